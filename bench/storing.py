"""Journal and store: exchanges appended durably and read back, result rows inserted; against SQLite by row and the engine by JSON."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import orjson

from bench.parts import Table, median
from bench.storing_clickhouse import ON_SERVER, THROUGH_BRIDGE, stores
from echolane.exchange import Body, Exchange, Request, Response
from echolane.frame import EXCHANGES, decode_frame, frames_of
from echolane.ids import result_id
from echolane.journal import Journal, open_journal
from echolane.store import Store, open_store

EXCHANGES_N, COMMIT = 20_000, 500
ROWS_N, FLUSH = 50_000, 10_000
APPEND = f"exchanges of 1 KB appended durably, encoded, {COMMIT} a commit"
APPEND_SQLITE = f"the same, a row each in SQLite (WAL, synchronous=FULL, {COMMIT} a commit)"
READ, READ_SQLITE = "exchanges read back and decoded", "the same from SQLite"
INSERT = f"result rows inserted, {FLUSH:,} a flush, as columns through the owner's socket"
INSERT_LARGE = f"the same, {ROWS_N:,} a flush"
INSERT_JSON = f"the engine alone, in process, `FORMAT JSONEachRow`, {FLUSH:,} a flush"


def exchanges() -> list[Exchange]:
    """Exchanges with 1 KB bodies, half of them chance, so that no codec makes them small."""
    headers = [
        (b"Host", b"shop"),
        (b"User-Agent", b"bench/1"),
        (b"Accept", b"*/*"),
        (b"Cookie", b"sid=0123456789abcdef"),
    ]
    made: list[Exchange] = []
    for n in range(EXCHANGES_N):
        request = Request("GET", "http", "shop", f"/items/{n}?x=1", "1.1", headers)
        body = Body(os.urandom(256).hex().encode() + b'{"kk": "v"}\n' * 42 + b"12345678", 1024)
        answer = Response(200, "1.1", headers, body)
        made.append(Exchange(f"{n:036d}", "bench", "a", 1, n, f"{n % 997:016x}", n, 1000, request, answer))
    return made


def columns_of(run: str, count: int = ROWS_N) -> dict[str, list[object]]:
    """Result rows as columns, one in ten with two differences."""
    one = {
        "version": 1,
        "service": "bench",
        "method": "GET",
        "endpoint": "GET /items/{id}",
        "recorded_status": 200,
        "reason": "",
        "outcomes": ["answered"] * 4,
        "statuses": [200] * 4,
        "durations_us": [500] * 4,
        "topic": f"observations.{run}",
        "partition": 0,
        "run": run,
    }
    two = {"d_pair": 0, "d_where": "body:$.a", "d_kind": "value", "d_facet": 3, "d_klass": "", "d_flags": 0}
    two |= {"d_count": 1, "d_old": "1", "d_new": "2", "d_values": 7, "d_signature": "value:number"}
    found: dict[str, list[object]] = {name: [value] * count for name, value in one.items()}
    found["id"] = [result_id(run, str(n)) for n in range(count)]
    found["seq"] = list(range(count))
    found["exchange"] = [f"{n:036d}" for n in range(count)]
    found["target"] = [f"/items/{n}" for n in range(count)]
    found["verdict"] = ["same" if n % 10 else "differs" for n in range(count)]
    found["fired_at"] = [1_795_448_000_000_000_000 + n for n in range(count)]
    found["position"] = [n // 100 for n in range(count)]
    for name, value in two.items():
        found[name] = [[] if n % 10 else [value, value] for n in range(count)]
    return found


def cut(columns: dict[str, list[object]], size: int) -> list[dict[str, list[object]]]:
    """The columns in flushes."""
    count = len(columns["id"])
    return [{name: values[at : at + size] for name, values in columns.items()} for at in range(0, count, size)]


def timed(count: int, what: Callable[[], object]) -> float:
    """How many a second."""
    begun = time.monotonic()
    what()
    return count / (time.monotonic() - begun)


def our_journal(journal: Journal, topic: str, items: Sequence[Exchange]) -> None:
    """Encode and append, a commit at a time, as the recorder does."""
    for at in range(0, len(items), COMMIT):
        batch = items[at : at + COMMIT]
        times = [exchange.captured_at_ns for exchange in batch]
        frames = [frame for frame, _ in frames_of(batch, kind=EXCHANGES, partition=0, times=times)]
        journal.append(topic, 0, frames)


def our_reading(journal: Journal, topic: str) -> None:
    """Read and decode all."""
    count = sum(len(decode_frame(entry.frame, Exchange)) for entry in journal.read(topic, 0))
    if count != EXCHANGES_N:
        raise RuntimeError(f"{count} exchanges read of {EXCHANGES_N}")


def sqlite_rows(database: sqlite3.Connection, table: str, items: Sequence[Exchange]) -> None:
    """What most would write: a row an exchange, many a commit."""
    encode = msgspec.msgpack.encode
    database.execute(f"CREATE TABLE {table} (position INTEGER PRIMARY KEY, at INTEGER, exchange BLOB)")
    for at in range(0, len(items), COMMIT):
        rows = [(one.captured_at_ns, encode(one)) for one in items[at : at + COMMIT]]
        with database:
            database.execute("BEGIN")
            database.executemany(f"INSERT INTO {table} (at, exchange) VALUES (?, ?)", rows)


def sqlite_reading(database: sqlite3.Connection, table: str) -> None:
    """Read and decode all."""
    decode = msgspec.msgpack.Decoder(Exchange).decode
    for (data,) in database.execute(f"SELECT exchange FROM {table} ORDER BY position"):
        decode(data)


def journal_round(rates: dict[str, list[float]], home: Path, items: Sequence[Exchange], number: int) -> None:
    """Both journals once."""
    topic = f"exchanges.b{number}"
    journal = open_journal(home)
    journal.create(topic, 1)
    rates[APPEND].append(timed(len(items), lambda: our_journal(journal, topic, items)))
    rates[READ].append(timed(len(items), lambda: our_reading(journal, topic)))
    journal.drop(topic)
    journal.close()
    database = sqlite3.connect(home / f"peer{number}.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    rates[APPEND_SQLITE].append(timed(len(items), lambda: sqlite_rows(database, "exchanges", items)))
    rates[READ_SQLITE].append(timed(len(items), lambda: sqlite_reading(database, "exchanges")))
    database.close()
    for file in home.glob(f"peer{number}.db*"):
        file.unlink()


def insert_all(store: Store, parts: Sequence[dict[str, list[object]]]) -> None:
    """Flush by flush; each is durable when it returns."""
    for part in parts:
        store.insert("results", part)


def engine_json(home: Path) -> float:
    """Rows a second of the engine fed with lines of JSON, in this process (``python -m bench.storing HOME``)."""
    from echolane.store.chdb import Engine
    from echolane.store.migrate import migrate

    engine = Engine(home)
    try:
        session = engine.first
        migrate(session)
        made = columns_of("json")
        parts = [
            [dict(zip(part, row, strict=True)) for row in zip(*part.values(), strict=True)] for part in cut(made, FLUSH)
        ]

        def insert(rows: list[dict[str, object]]) -> None:
            session.run("INSERT INTO results FORMAT JSONEachRow " + b"\n".join(map(orjson.dumps, rows)).decode())

        insert(parts[0])  # the first one warms the engine up
        rate = timed(FLUSH * (len(parts) - 1), lambda: [insert(rows) for rows in parts[1:]])
        kept = int(session.run("SELECT count() FROM results"))
        if kept != ROWS_N:
            raise RuntimeError(f"{kept} rows of {ROWS_N}")
        return rate
    finally:
        engine.close()


def store_round(rates: dict[str, list[float]], home: Path, store: Store, number: int) -> None:
    """Both ways of inserting once."""
    for what, size in ((INSERT, FLUSH), (INSERT_LARGE, ROWS_N)):
        run = f"run{number}-{size}"
        parts = cut(columns_of(run), size)
        rates[what].append(timed(ROWS_N, lambda parts=parts: insert_all(store, parts)))
        kept = store.query("SELECT count() AS n FROM results_v WHERE run = {run:String}", {"run": run})[0]["n"]
        if int(kept) != ROWS_N:
            raise RuntimeError(f"{kept} rows of {ROWS_N}")
    command = [sys.executable, "-m", "bench.storing", str(home / f"json{number}")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode == 0:
        rates[INSERT_JSON].append(float(done.stdout))
    else:
        print(done.stderr.strip()[-300:], file=sys.stderr)


def door_round(rates: dict[str, list[float]], doors: dict[str, tuple[Store, str]], number: int) -> None:
    """The ClickHouse door once, wherever it leads."""
    for what, (store, counted) in doors.items():
        run = f"door{number}"
        parts = cut(columns_of(run), FLUSH)
        rates[what].append(timed(ROWS_N, lambda store=store, parts=parts: insert_all(store, parts)))
        kept = store.query(f"SELECT count() AS n FROM {counted} WHERE run = {{run:String}}", {"run": run})[0]["n"]
        if int(kept) != ROWS_N:
            raise RuntimeError(f"{kept} rows of {ROWS_N}")


def table(rounds: int = 5) -> Table:
    """Append, read, insert."""
    out = Table("4. Journal and store", ["what", "per second, median", "best", "echolane ÷ it"])
    rates: dict[str, list[float]] = defaultdict(list)
    items = exchanges()
    with tempfile.TemporaryDirectory(prefix="echolane-bench-") as name:
        home = Path(name)
        with open_store(home) as store, stores(home / "clickhouse") as doors:
            for warmed in (store, *(door for door, _ in doors.values())):
                warmed.insert("results", columns_of("warm", FLUSH))
            for number in range(rounds):
                journal_round(rates, home, items, number)
                store_round(rates, home, store, number)
                door_round(rates, doors, number)
    ours = {APPEND_SQLITE: APPEND, READ_SQLITE: READ, INSERT_JSON: INSERT}
    for what in (
        APPEND,
        APPEND_SQLITE,
        READ,
        READ_SQLITE,
        INSERT,
        INSERT_LARGE,
        ON_SERVER,
        THROUGH_BRIDGE,
        INSERT_JSON,
    ):
        if not (values := rates[what]):
            out.rows.append([what, "failed", "", ""])
            continue
        ratio = f"{median(rates[ours[what]]) / median(values):.1f}" if what in ours else ""
        out.rows.append([what, f"{median(values):,.0f}", f"{max(values):,.0f}", ratio])
    out.notes.append(
        "every append and flush is on the disk (fsync) when it returns; counts are checked after every round"
    )
    out.notes.append(
        "the journal on Kafka is in table 6; the ClickHouse server is Debian's `clickhouse-server`, which syncs nothing"
    )
    return out


if __name__ == "__main__":
    print(engine_json(Path(sys.argv[1])))
