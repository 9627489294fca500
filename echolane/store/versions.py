"""The version of a row that replaces an earlier one of its run: later is higher, whatever the wall clock was set to in between."""

from __future__ import annotations

import time

from echolane.store import Store


def version_after(store: Store, table: str, run: str) -> int:
    """A version above all that a run has in a table of ours: the time, or one more than the last where the clock was set back since."""
    rows = store.query(f"SELECT max(version) AS last FROM {table} WHERE run = {{run:String}}", {"run": run})  # noqa: S608 - our own name
    return max(time.time_ns(), int(rows[0]["last"]) + 1)
