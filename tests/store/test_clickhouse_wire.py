"""The ClickHouse door on a real server (Debian's, of 2018, so on tables of plain types): batches, retries, kills, failover."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.ports import free_port
from echolane.errors import HomeError, StoreDamaged, StoreDown, UsageError
from echolane.store import QueryError, open_store
from echolane.store.address import address_of
from echolane.store.server import ServerStore
from tests.store.servers import Server
from tests.waiting import wait_until

TABLE = """CREATE TABLE IF NOT EXISTS plain (run String, id String, version UInt32, seq UInt32, texts Array(String),
numbers Array(UInt64), small UInt16, at DateTime) ENGINE = ReplacingMergeTree(version) ORDER BY (run, id)"""
EXACT = "SELECT count() AS n, uniqExact(id) AS ids, sum(seq) AS seqs FROM plain FINAL WHERE run = {run:String}"
OLD = (18, 1)
SEED = int(os.environ.get("ECHOLANE_SEED", "20"))
WAITED_S = 600
"""What a door waits that takes something for a server that is away, and which is not to be taken for one."""


def opened(url: str, **options: Any) -> ServerStore:
    """The door, on a server that is too old for our own tables."""
    return ServerStore(address_of(url, {}), oldest=OLD, steps=[], **options)


def rows(run: str, first: int, count: int, version: int = 1) -> dict[str, Any]:
    """Rows of plain types as columns."""
    ranks = range(first, first + count)
    return {
        "run": [run] * count,
        "id": [f"{rank:08d}" for rank in ranks],
        "version": [version] * count,
        "seq": list(ranks),
        "texts": [[f"'{rank}\\", "\t"] for rank in ranks],
        "numbers": [[2**64 - 1]] * count,
        "small": (7,) * count,
        "at": tuple(range(1_700_000_000, 1_700_000_000 + count)),
    }


def exactly(count: int) -> list[dict[str, int]]:
    """The answer of EXACT when rows 0 to count are there, once each."""
    return [{"n": count, "ids": count, "seqs": sum(range(count))}]


@pytest.fixture(scope="session")
def program(require: Callable[..., str]) -> str:
    """The server's program."""
    return require("clickhouse-server", hint="apt-get install clickhouse-server")


def certificate() -> tuple[bytes, bytes]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "echolane test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), secret


@pytest.fixture(scope="module")
def server(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that lives for the module; with TLS on its second port."""
    found = Server(program, tmp_path_factory.mktemp("server"), certificate=certificate())
    try:
        found.start()
        with opened(found.url()) as store:
            store.query(TABLE)
        yield found
    finally:
        found.kill()


@pytest.fixture
def pair(program: str, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """Two servers of a test's own."""
    found = Server(program, tmp_path / "one"), Server(program, tmp_path / "two")
    try:
        for each in found:
            each.start()
            with opened(each.url()) as store:
                store.query(TABLE)
        yield found
    finally:
        for each in found:
            each.kill()


@pytest.mark.parametrize("compression", ["none", "lz4"])
def test_batches_go_in_as_columns_and_come_back_as_they_were(server: Server, compression: str) -> None:
    """100,000 rows in one call, lists and tuples, quotes and tabs and 64 bits, packed or not: all there, in order, in pages."""
    run = f"batch-{compression}"
    with opened(server.url(options=f"compression={compression}")) as store:
        store.insert("plain", rows(run, 0, 100_000))

        assert store.query(EXACT, {"run": run}) == exactly(100_000)
        asked = "SELECT * FROM plain FINAL WHERE run = {run:String} ORDER BY seq"
        pages = list(store.stream(asked, {"run": run}, rows=10_000))
    assert [len(page) for page in pages] == [10_000] * 10
    assert [row["seq"] for page in pages for row in page] == list(range(100_000))
    assert pages[7][5] == {
        **{name: values[70_005] for name, values in rows(run, 0, 70_006).items()},
        "at": (1_700_000_000 + 70_005) * 1_000_000_000,
    }


def test_a_server_too_old_for_the_tables_is_refused(server: Server) -> None:
    """The version is said, and which one is needed; nothing is made on that server."""
    with pytest.raises(HomeError, match=r"ClickHouse 18\.16\.1 at 127.0.0.1:\d+ is too old: Echolane needs 23\.8"):
        open_store(Path("/unused"), server.url())


@pytest.mark.parametrize(
    ("user", "database", "words"),
    [
        ("writer:wrong@", "default", "does not let user `writer` in: wrong name or password"),
        ("nobody:x@", "default", "does not let user `nobody` in"),
        ("", "missing", "has no database `missing`; make it with: CREATE DATABASE missing"),
    ],
)
def test_whoever_is_not_let_in_is_told_why_at_once(server: Server, user: str, database: str, words: str) -> None:
    """A wrong password, an unknown user and a missing database are one line each, without the password, and not tried again."""
    begun = time.monotonic()
    with pytest.raises(HomeError, match=words) as caught:
        opened(server.url(database, user, f"wait_s={WAITED_S}"))

    assert time.monotonic() - begun < WAITED_S / 2
    assert "wrong:" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_user_and_password_are_taken_from_the_address(server: Server) -> None:
    """A password with a quote and an at sign gets in."""
    with opened(server.url(user="writer:s3cret'p%40ss@")) as store:
        assert store.query("SELECT currentDatabase() AS name") == [{"name": "default"}]
        store.query("INSERT INTO plain (run, id) SELECT 'selected', 'x'")
        assert store.query("SELECT id FROM plain WHERE run = 'selected'") == [{"id": "x"}]


def test_a_user_who_may_only_read_reads_and_is_told_when_it_writes(server: Server) -> None:
    """Queries and streams work, even where the profile forbids to say how long blocks may be; an insert names the user."""
    with opened(server.url()) as store:
        store.insert("plain", rows("read", 0, 2_000))
    with opened(server.url(user="viewer:look@")) as viewer:
        assert viewer.query(EXACT, {"run": "read"}) == exactly(2_000)
        asked = "SELECT seq FROM plain WHERE run = 'read' ORDER BY seq"
        assert [row["seq"] for page in viewer.stream(asked) for row in page] == list(range(2_000))
        with pytest.raises(HomeError, match="does not let user `viewer` do that"):
            viewer.insert("plain", rows("read", 0, 1))
        with pytest.raises(HomeError, match="does not let user `viewer` do that"):
            viewer.query("DROP TABLE plain")


def test_tls_needs_a_certificate_that_is_trusted(server: Server, tmp_path: Path) -> None:
    """With the server's certificate as `ca` the rows go through; without it, the reason is the certificate; `verify=0` asks for none."""
    url = f"clickhouse://127.0.0.1:{server.secure_port}/default?secure=1&wait_s=0"
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes((server.folder / "server.crt").read_bytes())

    with opened(f"{url}&ca={trusted}") as store:
        store.insert("plain", rows("tls", 0, 500))
        assert store.query(EXACT, {"run": "tls"}) == exactly(500)
    with opened(f"{url}&verify=0") as store:
        assert store.query(EXACT, {"run": "tls"}) == exactly(500)
    with pytest.raises(StoreDown, match=r"(?i)certificate"):
        opened(url)


def test_a_refused_connection_is_one_line_at_once() -> None:
    """Nobody listens: the host is named, and a first word is not waited for."""
    url = f"clickhouse://u:secret@127.0.0.1:{free_port()}/d?wait_s={WAITED_S}"
    begun = time.monotonic()
    with pytest.raises(StoreDown, match=r"127\.0\.0\.1:\d+: Connection refused") as caught:
        opened(url)

    assert time.monotonic() - begun < WAITED_S / 2
    assert "secret" not in str(caught.value)


def test_what_is_no_clickhouse_is_told_in_one_line() -> None:
    """A program that speaks something else, and one that hangs up at once, are named and not waited for."""
    for answer, kind, words in [
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", HomeError, "not the native port"),
        (b"", StoreDown, "the connection was cut"),
    ]:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def serve(listener: socket.socket = listener, answer: bytes = answer) -> None:
                sock, _ = listener.accept()
                with sock:
                    sock.recv(4096)
                    sock.sendall(answer)

            thread = threading.Thread(target=serve)
            thread.start()
            with pytest.raises(kind, match=words):
                opened(f"clickhouse://127.0.0.1:{listener.getsockname()[1]}/default")
            thread.join()


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the extra says how to get it."""
    monkeypatch.setitem(sys.modules, "clickhouse_driver", None)
    with pytest.raises(UsageError, match=r"pip install 'echolane\[clickhouse\]'"):
        opened("clickhouse://127.0.0.1:1/d")


def test_what_a_table_does_not_take_is_named(server: Server) -> None:
    """An unknown table or column, unequal lengths and values that do not fit name their column; the next insert works."""
    with opened(server.url()) as store:
        for columns, words in [
            ({"colour": [1]}, "no column 'colour'"),
            ({"run": ["a", "b"], "seq": [1]}, "differ in length"),
            ({"small": [70_000]}, "column small"),
            ({"seq": ["seven"]}, "column seq"),
            ({"run": [5]}, "column run"),
        ]:
            with pytest.raises(QueryError, match=words):
                store.insert("plain", columns)
        with pytest.raises(QueryError, match="no table 'nope'"):
            store.insert("nope", {"a": [1]})
        store.insert("plain", {"run": ["lone"], "id": ["a\ud800b"]})
        assert store.query("SELECT id FROM plain WHERE run = 'lone'") == [{"id": "a?b"}]


def test_kills_while_inserting_lose_nothing_and_double_nothing(program: str, tmp_path: Path) -> None:
    """Seeded kill -9 of the server in the middle of inserts, each followed by a start: every acknowledged row is there, once."""
    print(f"seed {SEED}")
    dice = random.Random(SEED)
    server = Server(program, tmp_path)
    server.start()
    done, kills = threading.Event(), 0

    def kill_now_and_then() -> None:
        nonlocal kills
        while kills < 4 and not done.wait(dice.uniform(0.05, 0.4)):
            server.kill()
            server.start()
            kills += 1

    try:
        with opened(server.url()) as store:
            store.query(TABLE)
            killer = threading.Thread(target=kill_now_and_then, daemon=True)
            killer.start()
            turn, batches = 0, [rows("r", first, 1_000) for first in range(0, 20_000, 1_000)]
            while killer.is_alive() or turn < len(batches):
                store.insert("plain", batches[turn % len(batches)])
                turn += 1
            assert kills == 4
            assert store.query(EXACT, {"run": "r"}) == exactly(20_000)
    finally:
        done.set()
        server.kill()


def test_a_stream_goes_on_after_a_kill_where_it_was(program: str, tmp_path: Path) -> None:
    """The server dies while its rows are read: the pages already given are skipped, the rest follows."""
    server = Server(program, tmp_path)
    server.start()
    try:
        with opened(server.url()) as store:
            seen: list[int] = []
            # Some 100 MB: more than fits between the two.
            asked = "SELECT number AS n, toString(cityHash64(number)) AS a, concat(a, a, a, a, a, a, a, a, a, a, a, a) AS wide FROM numbers(400000)"
            for turn, page in enumerate(store.stream(asked, rows=5_000)):
                seen += [row["n"] for row in page]
                if turn in {2, 30}:
                    server.kill()
                    server.start()
        assert seen == list(range(400_000))
    finally:
        server.kill()


def test_when_a_host_dies_the_other_takes_over(pair: tuple[Server, Server]) -> None:
    """Inserts and queries go on at the second host when the first is killed, and back at the first when the second is."""
    one, two = pair
    url = f"clickhouse://127.0.0.1:{one.port},127.0.0.1:{two.port}/default?connect_s=1"
    with opened(url) as store:
        store.insert("plain", rows("f", 0, 100))
        one.kill()
        store.insert("plain", rows("f", 100, 100))
        assert store.query("SELECT min(seq) AS low, count() AS n FROM plain FINAL") == [{"low": 100, "n": 100}]
        one.start()
        two.kill()
        assert store.query("SELECT min(seq) AS low, count() AS n FROM plain FINAL") == [{"low": 0, "n": 100}]


def test_a_host_that_hangs_is_left_for_the_other(pair: tuple[Server, Server]) -> None:
    """A stopped server accepts and says nothing: after answer_s in a request, and connect_s at its door, the other one is asked."""
    one, two = pair
    url = f"clickhouse://127.0.0.1:{one.port},127.0.0.1:{two.port}/default?connect_s=2&answer_s=2"
    with opened(url) as store:
        store.query("SELECT 1 AS one")
        one.signal(signal.SIGSTOP)
        begun = time.monotonic()
        store.insert("plain", rows("h", 0, 10))
        assert time.monotonic() - begun >= 2
    with opened(url) as store:
        assert store.query(EXACT, {"run": "h"}) == exactly(10)
    with opened(two.url()) as store:
        assert store.query(EXACT, {"run": "h"}) == exactly(10)


def test_a_server_that_hangs_is_waited_for_and_given_up(server: Server) -> None:
    """A moment of SIGSTOP costs a moment and is told; longer than wait_s it is one line that says how long."""
    said: list[str] = []

    def tell(line: str) -> None:
        said.append(line)
        server.signal(signal.SIGCONT)  # once it has been missed

    with opened(server.url(options="connect_s=2&answer_s=2&wait_s=300"), tell=tell) as store:
        server.signal(signal.SIGSTOP)
        try:
            store.insert("plain", rows("slow", 0, 100))
        finally:
            server.signal(signal.SIGCONT)
        assert "does not answer" in said[0]
        assert "answers again" in said[1]
        assert store.query(EXACT, {"run": "slow"}) == exactly(100)

    with opened(server.url(options="connect_s=0.3&answer_s=0.3&wait_s=1")) as store:
        server.signal(signal.SIGSTOP)
        try:
            with pytest.raises(StoreDown, match="has not answered for 1 s"):
                store.query("SELECT 1 AS one")
        finally:
            server.signal(signal.SIGCONT)
        wait_until(lambda: answers(store))
        assert store.query("SELECT 2 AS two") == [{"two": 2}]


def answers(store: ServerStore) -> bool:
    """Whether a door of little patience gets its answer."""
    try:
        return store.query("SELECT 1 AS one") == [{"one": 1}]
    except StoreDown:
        return False


def test_a_part_that_is_lost_is_told_in_one_line(server: Server) -> None:
    """A part's file is cut: not asked again, no fault of the statement, and the line says what and what to do."""
    with opened(server.url()) as store:
        store.query(TABLE.replace("plain", "lost"))
        store.insert("lost", rows("r", 0, 1_000))
        gone = list((server.folder / "data/data/default/lost").glob("*/seq.bin"))
        assert gone
        for path in gone:
            path.write_bytes(path.read_bytes()[:20])
        with pytest.raises(StoreDamaged, match=r"cannot read its own files: .*seq") as told:
            store.query("SELECT sum(seq) AS n FROM lost")
        assert "backup" in str(told.value)
        assert "\n" not in str(told.value)
        assert store.query("SELECT 1 AS n") == [{"n": 1}]
        store.query("DROP TABLE lost")


def test_a_full_disk_is_told_in_one_line_and_costs_nothing_acknowledged(program: str, small_disk: Path) -> None:
    """Inserts fail with a line that says where there is no room; what was acknowledged is read on, and inserting goes on with space."""
    server = Server(program, small_disk / "server")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(12 << 20))
    server.start()
    acknowledged, told = 0, ""
    try:
        with opened(server.url()) as store:
            store.query(TABLE)
            while not told:
                columns = rows("r", acknowledged, 1_000)
                columns["texts"] = [[os.urandom(600).hex()] for _ in range(1_000)]
                try:
                    store.insert("plain", columns)
                    acknowledged += 1_000
                except HomeError as error:
                    told = str(error)
            assert "no room left" in told
            assert "\n" not in told
            assert acknowledged > 0
            (row,) = store.query(EXACT, {"run": "r"})
            assert row["n"] == row["ids"] == acknowledged
            ballast.unlink()
            store.insert("plain", rows("r", acknowledged, 1_000))
            assert store.query(EXACT, {"run": "r"})[0]["n"] == acknowledged + 1_000
    finally:
        server.kill()


def test_threads_and_a_fork_share_a_store(server: Server) -> None:
    """Four threads insert and ask through one store; a child of a fork gets connections of its own."""
    failures: list[BaseException] = []
    with opened(server.url()) as store:

        def work(number: int) -> None:
            try:
                for first in range(0, 1_000, 250):
                    store.insert("plain", rows(f"thread-{number}", first, 250))
                    store.query("SELECT 1 AS one")
                assert store.query(EXACT, {"run": f"thread-{number}"}) == exactly(1_000)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []

        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if all(store.query(f"SELECT {n} AS n") == [{"n": n}] for n in range(50)) else 1)
            finally:
                os._exit(2)
        assert all(store.query(f"SELECT {n} AS n") == [{"n": n}] for n in range(50, 100))
        assert os.waitpid(child, 0)[1] == 0


def test_a_closed_store_says_so(server: Server) -> None:
    """Using a store after close() is an error, and closing twice is none."""
    store = opened(server.url())
    store.close()
    store.close()
    with pytest.raises(HomeError, match="closed"):
        store.query("SELECT 1")
