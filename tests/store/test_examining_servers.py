"""What `doctor` finds about ClickHouse servers: on the bridge, whose engine is current, and on a real server, which is too old."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.ports import free_port
from echolane.checks import BAD, OK, WARN, Check
from echolane.store import open_store
from echolane.store.address import address_of
from echolane.store.clickhouse import Connection
from echolane.store.examining import _may_write, examine, runs_over
from echolane.store.migrate import migrations
from tests.store.bridge import Bridge, database_of
from tests.store.servers import Server

NEWEST = max(step.number for step in migrations())


def found(url: str) -> list[Check]:
    """Every check of a store."""
    return list(examine(address_of(url, {})))


def run(url: str, *statements: str) -> None:
    """Somebody else on the server."""
    address = address_of(url, {})
    connection = Connection(address, address.hosts[0])
    for statement in statements:
        connection.run(statement)
    connection.close()


@pytest.fixture(scope="module")
def old(require: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Debian's server, of 2018."""
    program = require("clickhouse-server", hint="apt-get install clickhouse-server")
    server = Server(program, tmp_path_factory.mktemp("old"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


def test_tables_that_wait_are_said_and_not_made(bridge: Bridge) -> None:
    """A new database waits for every step; looking makes none, and once they are made all is ok, with the number of runs."""
    url = database_of(bridge)
    before = found(url)
    again = found(url)
    with open_store(Path("none"), url) as store:
        store.insert("runs", {"run": ["r1", "r2"], "state": ["finished", "running"], "version": [1, 1]})
    after = found(url)

    (waits,) = [check for check in before if check.state != OK]
    assert (waits.check, waits.state) == ("store tables", WARN)
    assert "waits for `0001_runs_and_results`" in waits.what
    assert again == before
    assert [check.state for check in after] == [OK] * len(after)
    assert f"schema {NEWEST}, 2 runs" in [check.what for check in after]
    assert "user `echolane` may read and write" in [check.what for check in after]
    assert runs_over(address_of(url, {}), ["r1", "r2", "r3"]) == ["r1"]


def test_tables_of_a_newer_echolane_and_tables_that_are_gone_are_bad(bridge: Bridge) -> None:
    """What a newer version wrote is left to it; a table that somebody removed is named."""
    url = database_of(bridge)
    open_store(Path("none"), url).close()
    run(url, "DROP TABLE findings")
    (gone,) = [check for check in found(url) if check.state != OK]
    run(url, f"INSERT INTO migrations SELECT {NEWEST + 3}, 'later'")
    (newer,) = [check for check in found(url) if check.state != OK]

    assert (gone.state, "not `findings`" in gone.what) == (BAD, True)
    assert (newer.state, newer.do) == (BAD, "update this Echolane")
    assert f"schema {NEWEST + 3}, this Echolane knows {NEWEST}" in newer.what


def test_a_server_of_another_time_is_said(bridge: Bridge) -> None:
    """An hour between the server's clock and ours is said with its size and direction."""

    class Late:
        """A clock that is an hour late."""

        wall_ns = staticmethod(lambda: time.time_ns() - 3_600_000_000_000)
        mono_ns = staticmethod(time.monotonic_ns)

    url = database_of(bridge)
    open_store(Path("none"), url).close()
    (said,) = [check for check in examine(address_of(url, {}), clock=Late()) if check.state != OK]

    assert (said.check, said.state) == ("store clock", WARN)
    assert "60 min ahead of this machine's clock" in said.what


def test_a_host_that_is_away_is_a_warning_while_another_answers(bridge: Bridge) -> None:
    """Failover hides it from every other command, so here it is said."""
    url = database_of(bridge)
    open_store(Path("none"), url).close()
    away = free_port()
    both = found(url.replace("@", f"@127.0.0.1:{away},"))
    (alone,) = found(url.replace(f"127.0.0.1:{bridge.port}", f"127.0.0.1:{away}"))

    (said,) = [check for check in both if check.state != OK]
    assert (said.state, f"127.0.0.1:{away}" in said.what) == (WARN, True)
    assert (alone.state, "Connection refused" in alone.what) == (BAD, True)


@pytest.mark.parametrize(
    ("change", "words"),
    [(("s3cret", "wr0ng"), "does not let user `echolane` in"), (("/test_", "/nowhere_"), "has no database `nowhere_")],
)
def test_a_wrong_password_or_database_is_one_line(bridge: Bridge, change: tuple[str, str], words: str) -> None:
    """What is wrong, at which server; the password is not repeated."""
    (said,) = found(database_of(bridge).replace(*change))

    assert said.state == BAD
    assert words in said.what
    assert "wr0ng" not in said.what


def test_a_server_that_is_too_old_is_bad(old: Server) -> None:
    """A real server of 2018 is told by its version, with what is needed."""
    (said,) = found(old.url())

    assert said.state == BAD
    assert "ClickHouse 18.16" in said.what
    assert "is too old" in said.what
    assert said.do == "Echolane needs 23.8 or newer"


def test_a_user_who_may_only_read_is_said(old: Server) -> None:
    """On a real server with a read-only profile: right for dashboards, not for a worker; who may write is told from him."""
    address = address_of(old.url(), {})
    writer = Connection(address, address.hosts[0], (18, 1))
    writer.run("CREATE TABLE IF NOT EXISTS runs (run String) ENGINE = Memory")
    may = _may_write(writer, address)
    writer.close()
    address = address_of(old.url(user="viewer:look@"), {})
    viewer = Connection(address, address.hosts[0], (18, 1))
    may_not = _may_write(viewer, address)
    viewer.close()

    assert (may.state, may.what) == (OK, "user `default` may read and write")
    assert (may_not.state, "user `viewer` may only read" in may_not.what) == (WARN, True)
