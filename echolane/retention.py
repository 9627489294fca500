"""Retention: what is older than the settings say leaves the journal, whole segments and whole runs at a time."""

from __future__ import annotations

import re

from echolane.journal import Journal

DAY_NS = 86_400_000_000_000
_OF_A_RUN = re.compile(r"(?:work|observations|intents)\.([0-9a-f]{8})-([0-9a-f]{4})-7")


def expire(journal: Journal, now_ns: int, days: float) -> int:
    """Remove recorded exchanges and the topics of runs that are older; how many segments and topics went.

    A run's topics carry the run's id, a UUIDv7, and with it its age. The results of a run stay in the store.
    """
    before_ns = now_ns - int(days * DAY_NS)
    removed = 0
    for topic in journal.topics():
        if topic.startswith("exchanges."):
            removed += journal.expire(topic, before_ns)
        elif (found := _OF_A_RUN.match(topic)) and int(found[1] + found[2], 16) * 1_000_000 < before_ns:
            journal.drop(topic)
            removed += 1
    return removed
