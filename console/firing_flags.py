"""Flags of ``echolane run`` that say how it is fired beside pace and concurrency, each with a setting of the same name."""

from __future__ import annotations

import argparse

from console.flags import time_span_ns
from console.write_rules import write_rules
from echolane.errors import UsageError
from echolane.runspec import Firing
from echolane.settings import Settings
from replayer.dryrun import checked_name
from replayer.stopping import parse_condition

THINK_MAX_S, LATE_MIN_S, LATE_MAX_S = 86_400.0, 0.001, 3600.0


def add_firing_flags(parser: argparse.ArgumentParser) -> None:
    """Those flags."""
    parser.add_argument(
        "--think-max",
        metavar="SPAN",
        help="cut pauses of the recording to SPAN, for example 2s, with --pace recorded or Nx (default: leave them)",
    )
    parser.add_argument(
        "--late",
        metavar="fire|skip",
        type=_late,
        help="what becomes of an exchange that is late: fire it nevertheless, skip it once it is later than a second, "
        "or `skip:200ms` (default: fire)",
    )
    parser.add_argument(
        "--stop-on",
        action="append",
        metavar="CONDITION",
        help="end the run once this holds of a target's last 200 requests: errors>5%%, p99>2s, branch:errors>5%%",
    )
    parser.add_argument(
        "--adaptive",
        action="store_true",
        help="--concurrency is the most; each target gets as many as it answers without queueing or failing",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="with --methods all: writes ask by a header to change nothing, and go only where the answers echo it",
    )
    parser.add_argument(
        "--no-lane-check",
        action="store_true",
        help="fire into the lane although no answer proves that it is served (x-lane-served)",
    )


def firing_of(args: argparse.Namespace, settings: Settings) -> Firing:
    """What was asked for, by flag or setting."""
    replay = settings.replay
    late, after_s = args.late or (replay.late, None)
    return Firing(
        think_max_s=_seconds(args.think_max, "--think-max", 0.0, THINK_MAX_S, replay.think_max_s),
        late=late,
        stop_on=[parse_condition(text).text for text in args.stop_on or replay.stop_on],
        writes=write_rules(),
        adaptive=args.adaptive or replay.adaptive,
        dry_run_header=checked_name(replay.dry_run_header) if args.dry_run else "",
        lane_check=not args.no_lane_check,
        late_after_s=replay.late_after_s if after_s is None else after_s,
    )


def _seconds(text: str | None, flag: str, low: float, high: float, default: float) -> float:
    if text is None:
        return default
    seconds = 0.0 if text == "0" else time_span_ns(text) / 1e9
    if not low <= seconds <= high:
        raise UsageError(f"{flag} is `{text}`; it must be between {low:g} and {high:g} seconds")
    return seconds


def _late(text: str) -> tuple[str, float | None]:
    """An argparse type."""
    word, colon, span = text.partition(":")
    if word not in {"fire", "skip"} or (colon and word == "fire"):
        raise argparse.ArgumentTypeError(f"`{text}` is none of fire, skip and skip:SPAN, for example skip:200ms")
    try:
        return word, _seconds(span, "--late", LATE_MIN_S, LATE_MAX_S, 0.0) if colon else None
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


__all__ = ["add_firing_flags", "firing_of"]
