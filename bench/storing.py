"""Journal and store: exchanges appended durably and read back, result rows inserted."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bench.parts import Table, median
from echolane.exchange import Body, Exchange, Request, Response
from echolane.frame import EXCHANGES, decode_frame, frames_of
from echolane.ids import result_id
from echolane.journal import open_journal
from echolane.store import open_store

EXCHANGES_N, ROWS_N = 30_000, 30_000


def exchanges() -> list[Exchange]:
    """Exchanges with 1 KB bodies."""
    headers = [
        (b"Host", b"shop"),
        (b"User-Agent", b"bench/1"),
        (b"Accept", b"*/*"),
        (b"Cookie", b"sid=0123456789abcdef"),
    ]
    return [
        Exchange(
            f"{n:036d}",
            "bench",
            "a",
            1,
            n,
            f"{n % 997:016x}",
            n,
            1000,
            Request("GET", "http", "shop", f"/items/{n}?x=1", "1.1", headers),
            Response(200, "1.1", headers, Body(os.urandom(256).hex().encode() + b'{"k": "v"}' * 51, 1024)),
        )
        for n in range(EXCHANGES_N)
    ]


def rows(run: str) -> list[dict[str, object]]:
    """Result rows, one in ten with two differences."""
    found: list[dict[str, object]] = []
    for n in range(ROWS_N):
        many = 2 if n % 10 == 0 else 0
        found.append(
            {
                "run": run,
                "id": result_id(run, str(n)),
                "version": 1,
                "seq": n,
                "exchange": f"{n:036d}",
                "service": "bench",
                "method": "GET",
                "target": f"/items/{n}",
                "endpoint": "GET /items/{id}",
                "recorded_status": 200,
                "verdict": "differs" if many else "same",
                "reason": "",
                "outcomes": ["answered"] * 4,
                "statuses": [200] * 4,
                "durations_us": [500] * 4,
                "fired_at": 1_795_448_000_000_000_000 + n,
                "d_pair": [0] * many,
                "d_where": ["body:$.a"] * many,
                "d_kind": ["value"] * many,
                "d_facet": [3] * many,
                "d_klass": [""] * many,
                "d_flags": [0] * many,
                "d_count": [1] * many,
                "d_old": ["1"] * many,
                "d_new": ["2"] * many,
                "d_values": [n] * many,
                "d_signature": ["value:number"] * many,
                "topic": f"observations.{run}",
                "partition": 0,
                "position": n // 100,
            }
        )
    return found


def table(rounds: int = 5) -> Table:
    """Append, read, insert."""
    out = Table("4. Journal and store", ["what", "per second, median", "best"])
    items = exchanges()
    append: list[float] = []
    read: list[float] = []
    insert: list[float] = []
    with tempfile.TemporaryDirectory(prefix="echolane-bench-") as name:
        home = Path(name)
        (home / "log").mkdir()
        journal = open_journal(home)
        store = open_store(home)
        for number in range(rounds):
            topic = f"exchanges.b{number}"
            journal.create(topic, 1)
            begun = time.monotonic()
            for at in range(0, EXCHANGES_N, 500):
                batch = items[at : at + 500]
                frames = [
                    frame
                    for frame, _ in frames_of(
                        batch, kind=EXCHANGES, partition=0, times=[e.captured_at_ns for e in batch]
                    )
                ]
                journal.append(topic, 0, frames)
            append.append(EXCHANGES_N / (time.monotonic() - begun))
            begun = time.monotonic()
            count = sum(len(decode_frame(entry.frame, Exchange)) for entry in journal.read(topic, 0))
            read.append(count / (time.monotonic() - begun))
            journal.drop(topic)
            made = rows(f"run{number}")
            columns = {key: [row[key] for row in made] for key in made[0]}
            parts = [
                {key: values[at : at + 10_000] for key, values in columns.items()} for at in range(0, ROWS_N, 10_000)
            ]
            begun = time.monotonic()
            for part in parts:
                store.insert("results", part)
            insert.append(ROWS_N / (time.monotonic() - begun))
        store.close()
        journal.close()
    for what, values in (
        ("exchanges of 1 KB appended durably, 500 a commit, encoded", append),
        ("exchanges read back and decoded", read),
        ("result rows inserted, 10,000 a flush, through the socket", insert),
    ):
        out.rows.append([what, f"{median(values):,.0f}", f"{max(values):,.0f}"])
    return out
