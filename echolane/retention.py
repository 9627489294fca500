"""Retention: what is older than the settings say leaves the journal, by segments and runs, and profiles and capacities the store."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from echolane.errors import HomeError, unwritable
from echolane.journal import Journal
from echolane.lease import held
from echolane.runlog import RUNS
from echolane.settings import PROFILES_KEPT_DAYS
from echolane.store import Store

DAY_NS = 86_400_000_000_000
_OLD_RUNS = """
SELECT run FROM noise GROUP BY run HAVING max(toUnixTimestamp64Nano(last_seen)) < {before:Int64} ORDER BY run LIMIT 1000"""
"""At most so many at once: each run begins with it, so that they never add up."""
_OLD_CAPACITIES = """
SELECT run FROM (SELECT run, version FROM capacities UNION ALL SELECT run, version FROM capacity_steps)
GROUP BY run HAVING max(version) < {before:UInt64} ORDER BY run LIMIT 1000"""
"""Of both tables: a kill between the two leaves steps alone."""
_RUN = r"([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
_OF_A_RUN = re.compile(rf"(?:work|observations|intents|progress|dead)\.({_RUN})")
_FILE_OF_A_RUN = re.compile(rf"({_RUN})\..+")


def expire(journal: Journal, runs: Path, now_ns: int, days: float) -> int:
    """Remove recorded exchanges, and the topics and files of runs, that are older; how many segments and topics went.

    What belongs to a run carries the run's id, a UUIDv7, and with it its age; a run that somebody is at is left alone. Its results
    stay in the store.
    """
    before_ns = now_ns - int(days * DAY_NS)
    removed = 0
    topics: dict[str, list[str]] = {}
    for topic in journal.topics():
        if topic.startswith("exchanges.") or topic == RUNS:
            removed += journal.expire(topic, before_ns)
        elif (found := _OF_A_RUN.match(topic)) and _began_ns(found) < before_ns:
            topics.setdefault(found[1], []).append(topic)
    for path in runs.iterdir() if runs.is_dir() else ():
        if (found := _FILE_OF_A_RUN.fullmatch(path.name)) and _began_ns(found) < before_ns:
            topics.setdefault(found[1], [])
    for run, names in topics.items():
        removed += _expire_run(journal, runs, run, names)
    return removed


def _began_ns(found: re.Match[str]) -> int:
    return int(found[2] + found[3], 16) * 1_000_000


def _expire_run(journal: Journal, runs: Path, run: str, topics: Sequence[str]) -> int:
    """The topics first: without them the files explain nothing, and the next time finds what a kill has left of the files."""
    lease = runs / f"{run}.lock"
    with ExitStack() as stack:
        try:
            stack.enter_context(held(lease, f"run {run}"))
        except HomeError:  # somebody is at it, or removes it
            return 0
        for topic in topics:
            journal.drop(topic)
        for path in sorted(runs.glob(f"{run}.*"), key=lambda path: path == lease):
            try:
                if path.is_dir():  # copies of a run that was killed
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                raise unwritable(f"`{path}`", error) from error
    return len(topics)


def expire_profiles(store: Store, now_ns: int) -> int:
    """Remove what runs learned of a version so long ago that no run may use it, each run whole; how many went."""
    before = {"before": now_ns - PROFILES_KEPT_DAYS * DAY_NS}
    old = [str(row["run"]) for row in store.query(_OLD_RUNS, before)]
    if old:  # a statement that deletes rewrites parts even where nothing goes
        store.query("DELETE FROM noise WHERE run IN {runs:Array(String)}", {"runs": old})
    return len(old)


def expire_capacities(store: Store, now_ns: int, days: float) -> int:
    """Remove what evaluations of capacity found longer ago, with their intervals of load; how many went."""
    old = [str(row["run"]) for row in store.query(_OLD_CAPACITIES, {"before": max(0, now_ns - int(days * DAY_NS))})]
    for table in (
        ("capacities", "capacity_steps") if old else ()
    ):  # the steps last: who sees the outcome has all of them
        store.query(f"DELETE FROM {table} WHERE run IN {{runs:Array(String)}}", {"runs": old})  # noqa: S608 - names of ours
    return len(old)
