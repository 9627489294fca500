"""What foreign readers may not do: each known way to write, to read elsewhere or to hold the engine up is refused before it runs."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from echolane.errors import HomeError
from echolane.store import open_store, wire
from echolane.store.client import StoreClient
from echolane.store.gate import Refused
from echolane.store.tokens import Unreadable, tokens, written
from tests.store.gate_statements import ALLOWED, FORBIDDEN, OUT, SECRET


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreClient]:
    """A store with a run in it, and the home beside a file that nobody may read."""
    home = tmp_path_factory.mktemp("gate") / "home"
    with open_store(home) as opened:
        assert isinstance(opened, StoreClient)
        opened.insert("runs", {"run": ["one"], "version": [1], "service": ["shop"], "state": ["finished"]})
        (home / "secret.csv").write_text(SECRET)
        yield opened


def ask(store: StoreClient, statement: str, seconds: float = 5.0) -> bytes:
    """One statement, as the door passes it on."""
    return store.ask(wire.Ask(statement, "TabSeparated", {"x": "1", "y": "a", "t": "runs"}, seconds=seconds))[1]


def state_of(store: StoreClient) -> str:
    """All that a statement could have changed: rows, tables, settings, files of the home."""
    seen = [
        *store.query("SELECT * FROM runs"),
        *store.query(
            "SELECT name, create_table_query AS q FROM system.tables WHERE database != 'system' ORDER BY database, name"
        ),
        *store.query("SELECT count() AS n FROM system.functions WHERE origin != 'System'"),
        *store.query("SELECT count() AS n FROM results"),
    ]
    files = sorted(str(path) for path in store._home.iterdir())
    return hashlib.sha256(repr((seen, files, OUT.exists())).encode()).hexdigest()


def test_no_forbidden_statement_is_answered(guarded: StoreClient) -> None:
    """Each is refused with a number, and nothing that is kept has changed."""
    before = state_of(guarded)
    answered = []
    for statement in FORBIDDEN:
        try:
            answered.append((statement, ask(guarded, statement)))
        except Refused as error:
            if not error.code:
                answered.append((statement, b""))

    assert answered == []
    assert state_of(guarded) == before


def test_what_grafana_and_people_ask_is_answered(guarded: StoreClient) -> None:
    """The gate is no wall: statements of every kind that only read are answered."""
    for statement in ALLOWED:
        ask(guarded, statement, 120.0)

    assert ask(guarded, "SELECT revision(), REVISION ( )") == b"0\t0\n"
    assert ask(guarded, "SELECT 'it''s -- no', {x:UInt8} + 1 /* two */ -- three") == b"it\\'s -- no\t2\n"
    assert ask(guarded, "SELECT count() FROM runs_v") == b"1\n"


PAST_THE_GATE = """
import os, sys
from pathlib import Path
os.chdir(sys.argv[1])
from echolane.store.chdb import Engine
from echolane.store.gate import Refused
from echolane.store.guarded import Limits, reading
engine = Engine(Path("chdb"))
engine.first.run("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
for statement in sys.argv[2:]:
    with reading(engine.connection(), Limits(0, 0, {})) as reader:
        try:
            reader._ask(statement)
            print("answered", statement)
        except Refused as error:
            print(error.code)
os._exit(0)
"""


def test_behind_the_gate_is_the_engines_own_lock(tmp_path: Path) -> None:
    """Were the gate to let a writing statement through, it would meet a session that may only read."""
    writing = [
        "INSERT INTO t VALUES (1)",
        "DROP TABLE t",
        "CREATE TABLE u (a UInt8) ENGINE = Memory",
        "SET readonly = 0",
        "ALTER TABLE t DELETE WHERE 1",
    ]
    done = subprocess.run(
        [sys.executable, "-c", PAST_THE_GATE, str(tmp_path), *writing],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.stdout.split() == ["164"] * len(writing), done


PIECES = st.sampled_from(
    [
        *[word for statement in FORBIDDEN + ALLOWED for word in statement.split(" ")][::3],
        ";",
        "--",
        "\n",
        "/*",
        "*/",
        "'",
        '"',
        "`",
        "\\",
        "(",
        ")",
        ",",
        "$$",
        "#",
    ]
)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
)
@given(
    pieces=st.lists(PIECES, min_size=1, max_size=14),
    start=st.sampled_from(["", "SELECT", "SELECT 1", "WITH", "EXPLAIN", "SHOW", "DESCRIBE", "SELECT * FROM"]),
)
def test_what_passes_changes_nothing(guarded: StoreClient, pieces: list[str], start: str) -> None:
    """Whatever is put together of pieces of good and bad statements: answered or refused, no row, table or file is another after it."""
    before = state_of(guarded)
    statement = f"{start} {' '.join(pieces)}"
    try:
        answer = ask(guarded, statement)
    except Refused:
        answer = b""

    assert SECRET.encode() not in answer
    assert b"root:" not in answer
    assert state_of(guarded) == before


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=60))
def test_the_reader_of_tokens_ends_and_keeps_what_it_reads(statement: str) -> None:
    """Any text is read or refused; what is read is the same again when it is written."""
    try:
        found = tokens(statement)
    except Unreadable:
        return
    again = tokens(written(found))

    assert [token.written for token in again] == [token.written for token in found]


def test_a_reader_is_answered_by_the_next_owner_and_ends_at_most_two(
    tmp_path: Path, kill_owner: Callable[[Path], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An owner that dies between statements is nothing to a reader; a statement that ends its owner is given up after the second."""
    home = tmp_path / "home"
    with open_store(home) as store:
        assert isinstance(store, StoreClient)
        assert ask(store, "SELECT 1") == b"1\n"
        kill_owner(home)
        assert ask(store, "SELECT 1") == b"1\n"

        killed: list[int] = []
        receive = wire.receive_reply

        def deadly(sock: socket.socket) -> tuple[wire.Reply, bytearray]:
            reply = receive(sock)
            if isinstance(reply[0], wire.Answered):
                killed.append(kill_owner(home))
                raise ConnectionResetError
            return reply

        monkeypatch.setattr(wire, "receive_reply", deadly)
        with pytest.raises(HomeError, match="died 2 times"):
            ask(store, "SELECT 1")
        assert len(killed) == 2
