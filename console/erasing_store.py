"""Erasing in the store: rows of erased exchanges are emptied, their samples go, and results forget the examples that they showed.

On the embedded store the parts that held them are gone from the disk when this returns. Servers keep parts that were replaced for
``old_parts_lifetime`` (8 minutes unless they say otherwise).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import orjson

from echolane.erasing import Subject
from echolane.errors import HomeError
from echolane.exchange import ERASED
from echolane.store import Row, Store

TABLES = ("results", "samples", "findings", "runs")
"""Tables that hold something of single exchanges."""
IDS_AT_ONCE = 500
"""Ids in one statement: 20 KB of text, far below what a server reads (256 KiB)."""
GONE_WAIT_S = 60.0
"""How long replaced parts may take to leave the disk: a second, or minutes on one that hangs."""
_EMPTY = f"""
ALTER TABLE results UPDATE verdict = 'skipped', reason = '{ERASED}', method = '', target = '', endpoint = '', recorded_status = 0,
outcomes = [], statuses = [], durations_us = [], d_pair = [], d_where = [], d_kind = [], d_facet = [], d_klass = [], d_flags = [],
d_count = [], d_old = [], d_new = [], d_values = [], d_signature = [], d_rule = []
WHERE run IN {{runs:Array(String)}} AND exchange IN {{ids:Array(String)}} SETTINGS mutations_sync = 2"""
_DROP = "ALTER TABLE samples DELETE WHERE run IN {runs:Array(String)} AND exchange IN {ids:Array(String)} SETTINGS mutations_sync = 2"
_HOLDING = {
    "results": "SELECT run, count() AS n FROM results_v WHERE exchange IN {ids:Array(String)} AND reason != 'erased' GROUP BY run ORDER BY run",
    "samples": "SELECT run, count() AS n FROM samples_v WHERE exchange IN {ids:Array(String)} GROUP BY run ORDER BY run",
}
TEXTS_AT_ONCE = 50
"""Texts in memory: a finding's has some KB, a run's result a few MB at most, and runs have one or two."""
_RUNS = {table: f"SELECT DISTINCT run FROM {table} ORDER BY run" for table in ("findings", "runs")}  # noqa: S608 - our own names
_IDS = {
    "findings": "SELECT DISTINCT id FROM findings WHERE run = {run:String} ORDER BY id",
    "runs": "SELECT DISTINCT '' AS id FROM runs WHERE run = {run:String}",
}
_TEXTS = {
    "findings": "SELECT run, id, version, json AS text FROM findings WHERE run = {run:String} AND id IN {ids:Array(String)}",
    "runs": "SELECT run, '' AS id, version, result AS text FROM runs WHERE run = {run:String} AND '' IN {ids:Array(String)}",
}
_WRITE = {
    "findings": "ALTER TABLE findings UPDATE json = {text:String} WHERE run = {run:String} AND id = {id:String} AND version = {version:UInt64}"
    " SETTINGS mutations_sync = 2",
    "runs": "ALTER TABLE runs UPDATE result = {text:String} WHERE run = {run:String} AND version = {version:UInt64}"
    " SETTINGS mutations_sync = 2",
}
_FORGETFUL = {
    "old_parts_lifetime": 0,
    "cleanup_delay_period": 0,
    "cleanup_delay_period_random_add": 0,
    "max_cleanup_delay_period": 1,
    "min_rows_to_fsync_after_merge": 1,
    "finished_mutations_to_keep": 0,
}
"""Settings of a table under which what was replaced leaves the disk at once."""


def erase_rows(store: Store, subject: Subject, ids: Sequence[str], *, erase: bool = True) -> dict[str, int]:
    """Empty what is left of exchanges in the store; how many rows by table. Without ``erase`` they are only counted."""
    counts: dict[str, int] = dict.fromkeys(TABLES, 0)
    ordered = sorted(ids)
    for at in range(0, len(ordered), IDS_AT_ONCE):
        some = ordered[at : at + IDS_AT_ONCE]
        for table, holding in _HOLDING.items():
            rows = store.query(holding, {"ids": some})
            counts[table] += sum(int(row["n"]) for row in rows)
            if rows and erase:
                where = {"ids": some, "runs": [str(row["run"]) for row in rows]}
                store.query(_EMPTY if table == "results" else _DROP, where)
    known = frozenset(ids)
    for table in _TEXTS:
        for row in _changed(store, table, subject, known):
            counts[table] += 1
            if erase:
                store.query(_WRITE[table], row)
    return counts


def _changed(store: Store, table: str, subject: Subject, ids: frozenset[str]) -> Iterator[Row]:
    """Rows whose text is another one without the subject: a run after the other, and of its texts a few at a time."""
    for run in [str(row["run"]) for row in store.query(_RUNS[table])]:
        found = [str(row["id"]) for row in store.query(_IDS[table], {"run": run})]
        for at in range(0, len(found), TEXTS_AT_ONCE):
            for row in store.query(_TEXTS[table], {"run": run, "ids": found[at : at + TEXTS_AT_ONCE]}):
                before = str(row["text"])
                after = without(before, subject, ids)
                if after != before:
                    yield {**row, "text": after}


def without(text: str, subject: Subject, ids: frozenset[str]) -> str:
    """A result's or finding's JSON without examples of these exchanges, and without the subject's masks."""
    tree = orjson.loads(text) if text else None
    kept = _cut(tree, ids)
    data = text if kept == tree else orjson.dumps(kept).decode()
    for mask in subject.masks:
        data = data.replace(mask.decode("latin-1"), ERASED)
    return data


def _cut(node: Any, ids: frozenset[str]) -> Any:
    if isinstance(node, dict):
        return {key: _cut(value, ids) for key, value in cast("dict[str, Any]", node).items()}
    if isinstance(node, list):
        return [_cut(one, ids) for one in cast("list[Any]", node) if not _is_of(one, ids)]
    return node


def _is_of(node: Any, ids: frozenset[str]) -> bool:
    return isinstance(node, dict) and cast("dict[str, Any]", node).get("exchange") in ids


def purge(store: Store) -> None:
    """Have the parts that mutations replaced leave the disk of an embedded store now. Safe to repeat."""
    wanted = ", ".join(f"{name} = {value}" for name, value in _FORGETFUL.items())
    for table in TABLES:
        store.query(f"ALTER TABLE {table} MODIFY SETTING {wanted}")
        # The thread that removes parts takes its new pace when the table is opened anew.
        store.query(f"DETACH TABLE {table} SYNC")
        store.query(f"ATTACH TABLE {table}")
    deadline = time.monotonic() + GONE_WAIT_S
    waiting = "SELECT count() AS n FROM system.parts WHERE active = 0 AND database = currentDatabase() AND table IN {tables:Array(String)}"
    while store.query(waiting, {"tables": list(TABLES)})[0]["n"]:
        if time.monotonic() > deadline:
            raise HomeError(f"the store has kept replaced parts for {GONE_WAIT_S:.0f} s; erase again")
        time.sleep(0.2)
    for table in TABLES:
        store.query(f"ALTER TABLE {table} RESET SETTING {', '.join(_FORGETFUL)}")
