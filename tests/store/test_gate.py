"""What foreign readers may not do: each known way to write, to read elsewhere or to hold the engine up is refused before it runs."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from echolane.errors import HomeError
from echolane.store import open_store, wire
from echolane.store.client import StoreClient
from echolane.store.gate import Refused
from echolane.store.tokens import Unreadable, tokens, written

OUT = Path(tempfile.gettempdir()) / f"echolane-gate-{os.getpid()}.out"
SECRET = "s3cr3t-of-a-file"
FORBIDDEN = [
    # More than one statement, or one behind what looks like none.
    "SELECT 1; INSERT INTO runs (run) VALUES ('x')",
    "SELECT 1;;DROP TABLE runs",
    "SELECT 1 -- ;\n; TRUNCATE TABLE runs",
    "SELECT 1 /* ; */ ; TRUNCATE TABLE runs",
    "SELECT '\\'; TRUNCATE TABLE runs; --'; TRUNCATE TABLE runs",
    "SELECT $$ ; $$ ; TRUNCATE TABLE runs",
    "SELECT $a$'$a$; TRUNCATE TABLE runs; --'",
    "SELECT ‘; TRUNCATE TABLE runs; --’",
    "SELECT 1 # '\n; TRUNCATE TABLE runs -- '",
    "SELECT `a\\`; TRUNCATE TABLE runs; --`",
    "EXPLAIN AST SELECT 1; TRUNCATE TABLE runs",
    "SELECT 1\x00; TRUNCATE TABLE runs",
    # Statements that change something.
    "INSERT INTO runs (run) VALUES ('x')",
    "INSERT INTO FUNCTION file('x.csv') SELECT 1",
    "ALTER TABLE runs DELETE WHERE 1",
    "ALTER TABLE runs UPDATE state = '' WHERE 1",
    "DELETE FROM runs WHERE 1",
    "UPDATE runs SET state = '' WHERE 1",
    "TRUNCATE TABLE runs",
    "DROP TABLE runs",
    "DROP VIEW runs_v",
    "DROP DATABASE echolane",
    "DETACH TABLE runs",
    "ATTACH TABLE runs",
    "RENAME TABLE runs TO walks",
    "EXCHANGE TABLES runs AND results",
    "CREATE TABLE t (a UInt8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE t (a UInt8)",
    "CREATE OR REPLACE VIEW runs_v AS SELECT 1",
    "CREATE FUNCTION f AS x -> x",
    "CREATE USER u",
    "GRANT ALL ON *.* TO u",
    "OPTIMIZE TABLE runs FINAL",
    "SYSTEM SHUTDOWN",
    "SYSTEM STOP MERGES",
    "SYSTEM DROP MARK CACHE",
    "KILL QUERY WHERE 1",
    "SET max_threads = 9",
    "SET readonly = 0",
    "USE system",
    "BACKUP TABLE runs TO File('x')",
    "RESTORE TABLE runs FROM File('x')",
    "BEGIN TRANSACTION",
    "CHECK TABLE runs",
    "WATCH runs",
    "UNDROP TABLE runs",
    "MOVE USER u TO v",
    "EXECUTE AS u SELECT 1",
    "FROM runs_v SELECT 1",
    "TABLE runs_v",
    "WITH 1 AS x INSERT INTO runs SELECT 1",
    # Files.
    f"SELECT 1 INTO OUTFILE '{OUT}'",
    f"SELECT 1 INTO/**/OUTFILE '{OUT}' FORMAT CSV",
    f"SELECT * FROM runs_v INTO OUTFILE '{OUT}' TRUNCATE",
    f"(SELECT 1) INTO OUTFILE '{OUT}' APPEND",
    f"EXPLAIN SELECT 1 INTO OUTFILE '{OUT}'",
    f"DESCRIBE TABLE runs_v INTO OUTFILE '{OUT}'",
    f"SHOW TABLES INTO OUTFILE '{OUT}'",
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM FILE('/etc/passwd', 'LineAsString')",
    "SELECT * FROM `file`('/etc/passwd', 'LineAsString')",
    "SELECT * FROM \"file\"/**/('/etc/passwd', 'LineAsString')",
    "SELECT * FROM file/* */('/etc/passwd', 'LineAsString')",
    "SELECT (SELECT any(line) FROM file('/etc/passwd', 'LineAsString'))",
    "WITH x AS (SELECT * FROM file('/etc/passwd', 'LineAsString')) SELECT * FROM x",
    "SELECT 1 UNION ALL SELECT 1 FROM file('/etc/passwd', 'LineAsString')",
    "SELECT 1 EXCEPT SELECT 1 FROM file('/etc/passwd', 'LineAsString')",
    "SELECT 1 FROM runs_v JOIN file('/etc/passwd', 'LineAsString') AS f ON 1 = 1",
    "SELECT 1 FROM runs_v, file('/etc/passwd', 'LineAsString')",
    "SELECT 'a' IN file('/etc/passwd', 'LineAsString')",
    "SELECT in('a', file('/etc/passwd', 'LineAsString'))",
    "SELECT * FROM view(SELECT * FROM file('/etc/passwd', 'LineAsString'))",
    "SELECT * FROM runs_v WHERE EXISTS (SELECT 1 FROM file('/etc/passwd', 'LineAsString'))",
    "SELECT * FROM runs_v ORDER BY (SELECT any(line) FROM file('/etc/passwd', 'LineAsString'))",
    "SELECT sum(1) OVER (PARTITION BY (SELECT any(line) FROM file('/etc/passwd', 'LineAsString'))) FROM runs_v",
    "DESCRIBE TABLE file('/etc/passwd', 'LineAsString')",
    "DESC file('/etc/passwd')",
    "DESCRIBE (SELECT * FROM file('/etc/passwd', 'LineAsString'))",
    "EXPLAIN SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "EXPLAIN QUERY TREE SELECT (SELECT any(line) FROM file('/etc/passwd', 'LineAsString'))",
    "EXPLAIN TABLE OVERRIDE file('x') COLUMNS (a UInt8)",
    "SELECT * FROM (EXPLAIN SELECT * FROM file('/etc/passwd', 'LineAsString'))",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM `/etc/passwd`",
    "SELECT file('/etc/passwd')",
    "SELECT * FROM filesystem('/')",
    "SELECT * FROM fileCluster('c', '/etc/passwd')",
    # Elsewhere.
    "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
    "DESCRIBE TABLE url('http://127.0.0.1:1/x.csv')",
    "SELECT * FROM s3('http://127.0.0.1:1/b/x.csv')",
    "DESCRIBE TABLE s3('http://127.0.0.1:1/b/x.csv')",
    "SELECT * FROM remote('127.0.0.1:1', 'system.one')",
    "SELECT * FROM remoteSecure('127.0.0.1:1', system, one)",
    "SELECT * FROM cluster('default', 'system.one')",
    "SELECT * FROM redis('127.0.0.1:1', 'k', 'k String')",
    "SELECT * FROM odbc('d', 't')",
    "SELECT * FROM jdbc('d', 't')",
    "SELECT * FROM gcs('x')",
    "SELECT * FROM executable('id', 'TSV', 'x String')",
    "SELECT * FROM python('x')",
    "SELECT * FROM Python(x)",
    "SELECT * FROM loop(runs_v)",
    "SELECT * FROM input('a UInt8')",
    "SELECT * FROM dictionary('d')",
    "SELECT dictGet('d', 'a', 1)",
    "SELECT joinGet('j', 'a', 1)",
    # Tables that are not on the list, by every way to name one.
    "SELECT * FROM merge('echolane', '.*')",
    "SELECT * FROM merge('.*')",
    "SELECT * FROM mergeTreeIndex('echolane', 'runs')",
    "SELECT * FROM runs",
    "SELECT * FROM echolane.runs FINAL",
    "SELECT * FROM `echolane`.`runs`",
    "SELECT * FROM {t:Identifier}",
    "SELECT 'a' IN runs",
    "SELECT 'a' IN (runs)",
    "SELECT 'a' GLOBAL NOT IN echolane.runs",
    "SELECT in('a', system.processes)",
    "SELECT globalNullIn('a', runs)",
    "WITH runs AS (SELECT 1) SELECT * FROM (SELECT * FROM runs)",
    "SELECT * FROM system.processes",
    "SELECT * FROM system.disks",
    "SELECT * FROM system.parts",
    "SELECT * FROM system.query_log",
    "SELECT * FROM system.zookeeper",
    "SELECT * FROM SYSTEM.users",
    "SELECT * FROM default.x",
    "SHOW PROCESSLIST",
    "SHOW GRANTS",
    "SHOW USERS",
    "SHOW CREATE TABLE runs",
    "SHOW CREATE USER default",
    "SHOW TABLES FROM nowhere",
    "SHOW COLUMNS FROM runs FROM echolane",
    "SHOW COLUMNS FROM processes FROM system",
    "SHOW TABLES WHERE name IN (SELECT line FROM file('/etc/passwd', 'LineAsString'))",
    "EXISTS TABLE runs",
    "EXISTS (SELECT 1)",
    "DESCRIBE TABLE runs",
    # To hold it up, to lift a limit, to write in another way.
    "SELECT damerauLevenshteinDistance(repeat('a', 60000), materialize(repeat('b', 60000)))",
    "SELECT sum(editDistance(repeat('a', 60000), toString(number))) FROM numbers(512)",
    "SELECT jaroWinklerSimilarity('a', 'b'), levenshteinDistance('a', 'b')",
    "SELECT sleep(3)",
    "SELECT sleepEachRow(1) FROM numbers(1000)",
    "SELECT * APPLY(sleep) FROM numbers(3)",
    "SELECT * APPLY sleep FROM numbers(3)",
    "SELECT 1 SETTINGS max_execution_time = 0",
    "SELECT * FROM (SELECT 1 SETTINGS max_threads = 1)",
    "DESCRIBE TABLE runs_v SETTINGS describe_compact_output = 1",
    "EXPLAIN SELECT 1 SETTINGS max_threads = 9",
    "SELECT 1 FORMAT Template SETTINGS format_template_row = '/etc/passwd'",
    "SELECT 1 FORMAT CapnProto",
    "SELECT 1 FORMAT CSV FORMAT CSV",
    "SELECT getServerSetting('path')",
    "SELECT logTrace('x')",
    "SELECT generateSerialID('/x')",
    "SELECT finalizeAggregation(CAST(unhex('00'), 'AggregateFunction(sum, UInt64)'))",
    "SELECT arrayMap(x -> sleep(x), [1])",
    "SELECT `sleep`(1)",
]
ALLOWED = [
    "SELECT 1",
    "select count() from runs_v;",
    "SELECT ';', '--', '/*', 'INTO OUTFILE', 'it''s', 'a\\'b', \"x\" FROM (SELECT 1 AS x) -- a comment ; with a ';'",
    "/* Grafana */ SELECT 'é – „“' AS `p95 (ms)`",
    "WITH a AS (SELECT 1 AS x), b AS (SELECT x FROM a) SELECT * FROM b WHERE x IN a",
    "(SELECT 1) UNION ALL (SELECT 2)",
    "SELECT * FROM echolane.results_v AS r LEFT JOIN runs_v USING run WHERE r.seq IN (1, 2) AND verdict IN ('same')",
    "SELECT toStartOfInterval(started_at, INTERVAL 60 second) AS time, countIf(verdict = 'fail') FROM runs_v GROUP BY time ORDER BY time",
    "SELECT quantile(0.95)(lateness_us) / 1e3, 1e-3, .5, -1, 1--1\n FROM results_v",
    "SELECT d FROM results_v ARRAY JOIN d_where AS d",
    "SELECT arrayMap(x -> x + 1, [1, 2])[1], (1, 2).1, JSONExtractInt('{}', 'a'), format('{}', 'x')",
    "SELECT number FROM numbers(3) ORDER BY number WITH FILL FROM 0 TO 5 STEP 1",
    "SELECT * FROM values('a UInt8', 1, 2)",
    "SELECT {x:UInt8}, {y:String}",
    "DESCRIBE TABLE runs_v",
    "DESC echolane.findings_v",
    "DESCRIBE (SELECT 1)",
    "SHOW DATABASES",
    "SHOW TABLES FROM echolane",
    "SHOW TABLES LIKE 'r%'",
    "SHOW COLUMNS FROM runs_v FROM echolane",
    "SHOW CREATE TABLE runs_v",
    "EXISTS TABLE runs_v",
    "EXPLAIN SELECT 1",
    "EXPLAIN PLAN header = 1, actions = 1 SELECT * FROM runs_v",
    "EXPLAIN QUERY TREE SELECT 1",
    "SELECT name FROM system.tables WHERE database = currentDatabase()",
    "SELECT displayName(), version(), revision(), timezone()",
    "SELECT table_name FROM information_schema.tables",
    "SELECT 1 FORMAT JSONEachRow",
]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreClient]:
    """A store with a run in it, and the home beside a file that nobody may read."""
    home = tmp_path_factory.mktemp("gate") / "home"
    with open_store(home) as opened:
        assert isinstance(opened, StoreClient)
        opened.insert("runs", {"run": ["one"], "version": [1], "service": ["shop"], "state": ["finished"]})
        (home / "secret.csv").write_text(SECRET)
        yield opened


def ask(store: StoreClient, statement: str) -> bytes:
    """One statement, as the door passes it on."""
    return store.ask(wire.Ask(statement, "TabSeparated", {"x": "1", "y": "a", "t": "runs"}, seconds=5.0))[1]


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
        ask(guarded, statement)

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
