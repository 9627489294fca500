"""Room differ."""
