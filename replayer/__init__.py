"""Room replayer."""
