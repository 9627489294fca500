"""The ClickHouse door on the real tables, through a bridge before the engine: made once, folded, kept through kills."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from echolane.errors import HomeError
from echolane.store import open_store
from echolane.store.address import address_of
from echolane.store.clickhouse import Connection
from echolane.store.migrate import migrations
from tests.store.bridge import Bridge, database_of
from tests.store.native_blocks import Short, end_of_block, text, varint

EXACT = "SELECT count() AS n, uniqExact(id) AS ids, sum(seq) AS seqs FROM results_v WHERE run = 'r'"
NOWHERE = Path("/nonexistent")
OPEN_AND_TELL = """
import sys
from pathlib import Path
from echolane.store import open_store
from echolane.store.address import address_of
from echolane.store.clickhouse import Connection
with open_store(Path("/nonexistent"), sys.argv[1]) as store:
    store.insert("runs", {"run": [sys.argv[2]], "version": [1]})
"""


def test_processes_that_come_at_once_make_the_tables_once(bridge: Bridge) -> None:
    """Three processes open an empty database together: all succeed, and the steps are written down once each."""
    url = database_of(bridge)
    starters = [subprocess.Popen([sys.executable, "-c", OPEN_AND_TELL, url, f"r{number}"]) for number in range(3)]

    assert [starter.wait(300) for starter in starters] == [0] * 3
    with open_store(NOWHERE, url) as store:
        assert store.query("SELECT count() AS n FROM runs_v") == [{"n": 3}]
        found = store.query("SELECT number FROM migrations FINAL ORDER BY number")
        assert [row["number"] for row in found] == [step.number for step in migrations()]


def test_tables_of_a_newer_version_are_refused(bridge: Bridge) -> None:
    """The schema's number is said, and nothing is changed."""
    url = database_of(bridge)
    with open_store(NOWHERE, url) as store:
        store.insert("migrations", {"number": [999], "name": ["future"]})
    with pytest.raises(HomeError, match=r"schema 999, this Echolane knows \d+: it was written by a newer version"):
        open_store(NOWHERE, url)


def test_kills_while_inserting_lose_nothing_and_double_nothing(mortal: Bridge, results: Callable[..., Any]) -> None:
    """Three seeded kill -9 in the middle of inserts of real rows: every acknowledged row is in the view, once."""
    dice = random.Random(20)
    print("seed 20")
    done, kills = threading.Event(), 0

    def kill_now_and_then() -> None:
        nonlocal kills
        while kills < 3 and not done.wait(dice.uniform(0.05, 0.5)):
            mortal.kill()
            mortal.start()
            kills += 1

    with open_store(NOWHERE, mortal.url()) as store:
        killer = threading.Thread(target=kill_now_and_then, daemon=True)
        killer.start()
        try:
            turn, batches = 0, [results("r", first, 500) for first in range(0, 10_000, 500)]
            while killer.is_alive() or turn < len(batches):
                store.insert("results", batches[turn % len(batches)])
                turn += 1
            assert kills == 3
            assert store.query(EXACT) == [{"n": 10_000, "ids": 10_000, "seqs": sum(range(10_000))}]
        finally:
            done.set()
            killer.join()


def test_an_insert_that_was_noted_and_not_stored_is_stored_when_it_comes_again(
    mortal: Bridge, results: Callable[..., Any]
) -> None:
    """An engine that is killed between noting an insert and storing its part takes the same insert again."""
    with open_store(NOWHERE, mortal.url()) as store:
        table = store.query("SELECT name, data_paths[1] AS path FROM system.tables WHERE name = 'results'")[0]
        rows = results("r", 0, 500)
        with contextlib.closing(_connection(mortal)) as connection:
            connection.insert("results", rows, "again")
        mortal.kill()
        parts = [part for part in (mortal.folder / table["path"]).glob("*_*_*_*") if part.is_dir()]
        assert parts
        for part in parts:  # which is what is there when the kill comes between the two
            shutil.rmtree(part)
        mortal.start()
        assert store.query("SELECT count() AS n FROM results_v") == [{"n": 0}]
        with contextlib.closing(_connection(mortal)) as connection:
            connection.insert("results", rows, "again")
        assert store.query("SELECT count() AS n FROM results_v") == [{"n": 500}]


def _connection(bridge: Bridge) -> Connection:
    return Connection(address_of(bridge.url(), {}), ("127.0.0.1", bridge.port))


def test_a_stream_goes_on_after_a_kill_and_says_when_its_rows_changed(mortal: Bridge) -> None:
    """Pages that were given are skipped when they are the same as before, and refused when they are not."""
    with open_store(NOWHERE, mortal.url()) as store:
        seen: list[int] = []
        asked = "SELECT number AS n, repeat(toString(cityHash64(n)), 12) AS wide FROM numbers(100_000) ORDER BY n"
        for turn, page in enumerate(store.stream(asked, rows=5_000)):
            seen += [row["n"] for row in page]
            if turn == 2:
                mortal.kill()
                mortal.start()
        assert seen == list(range(100_000))

        pages = store.stream(
            "SELECT now64(9) AS t, repeat('x', 200) AS wide, number AS n FROM numbers(200_000)", rows=5_000
        )
        next(pages)
        mortal.kill()
        mortal.start()
        with pytest.raises(HomeError, match="changed"):
            list(pages)


def test_the_statements_for_administrators_are_statements(bridge: Bridge) -> None:
    """What the guide tells an administrator to run is read by the engine as it stands."""
    guide = (Path(__file__).parents[2] / "docs/how-to/run-on-kafka-and-clickhouse.md").read_text("utf-8")
    told = [
        one for block in re.findall(r"```sql\n(.*?)```", guide, re.DOTALL) for one in block.split(";") if one.strip()
    ]

    assert len(told) >= 5
    with open_store(NOWHERE, bridge.url()) as store:
        for statement in told:
            assert store.query(f"EXPLAIN AST {statement}")


def test_the_bridge_tells_blocks_apart_at_every_byte() -> None:
    """A block cut anywhere is short, and whole it ends where it ends, whatever types it has."""
    columns = [
        ("s", "String", text("a") + text("b" * 200)),
        ("n", "Array(Array(UInt16))", b"\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0" + b"\2\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0" + bytes(4)),
        ("t", "Tuple(a DateTime64(9, 'UTC'), Nullable(UInt8))", bytes(16) + b"\0\1" + bytes(2)),
        ("e", "Enum8('a, (' = 1, 'b' = 2)", b"\1\2"),
        ("l", "LowCardinality(Nullable(String))", bytes(8) + b"\0\6\0\0\0\0\0\0\2\0\0\0\0\0\0\0" + text("") + text("k") + b"\2\0\0\0\0\0\0\0\1\1"),
    ]  # fmt: skip
    block = varint(len(columns)) + varint(2) + b"".join(text(name) + text(kind) + data for name, kind, data in columns)

    assert end_of_block(block + b"more", 0) == len(block)
    for cut in range(len(block)):
        with pytest.raises(Short):
            end_of_block(block[:cut], 0)
