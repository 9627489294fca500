"""What may be wrong with ClickHouse servers and our tables on them, for ``echolane doctor``. Changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from echolane import checks
from echolane.checks import BAD, OK, WARN, Check, named
from echolane.clock import SYSTEM, Clock
from echolane.errors import EcholaneError, HomeError
from echolane.store import RUNS_OVER, TABLES, QueryError
from echolane.store.address import Address
from echolane.store.clickhouse import SUPPORTED, Connection
from echolane.store.literals import bound, quoted
from echolane.store.migrate import migrations
from echolane.store.server import newest_of

ANY = (0, 0)
LOW_DISK = 2 * 1024**3
"""Below this a server soon refuses rows: it merges parts, for which it wants as much room again as they have."""
_HOW = "see docs/how-to/run-on-kafka-and-clickhouse.md#results-in-clickhouse"


def examine(address: Address, *, clock: Clock = SYSTEM) -> Iterator[Check]:
    """Every check of a store on servers."""
    met: Connection | None = None
    away: list[Check] = []
    try:
        for host in address.hosts:
            try:
                connection = Connection(address, host, ANY)
            except EcholaneError as error:
                away.append(Check("store", BAD, str(error), _HOW))
                continue
            version = ".".join(map(str, connection.version))
            if connection.version[:2] < SUPPORTED:
                needed = ".".join(map(str, SUPPORTED))
                words = f"ClickHouse {version} at {connection.host} is too old"
                away.append(Check("store", BAD, words, f"Echolane needs {needed} or newer"))
                connection.close()
                continue
            yield Check("store", OK, f"ClickHouse {version} at {connection.host}")
            yield from _guarded("store clock", _clock(connection, clock))
            yield from _guarded("store disk", _disks(connection))
            if met is None:
                met = connection
            else:
                connection.close()
        for check in away:  # one that is away is no harm where another answers, until that goes, too
            yield check._replace(state=WARN if met else BAD)
        if met is not None:
            yield from _guarded("store tables", _tables(met, address))
    finally:
        if met is not None:
            met.close()


def _guarded(check: str, found: Iterator[Check]) -> Iterator[Check]:
    """A user may be kept from looking; that is said, and the rest is looked at."""
    try:
        yield from found
    except (EcholaneError, QueryError) as error:
        yield Check(check, WARN, f"could not be looked at: {error}")


def _clock(connection: Connection, clock: Clock) -> Iterator[Check]:
    ahead_s = doubt_s = 0.0
    for _ in range(2):  # the first one pays for what the second needs
        before, begun = clock.wall_ns(), time.monotonic_ns()
        told = int(connection.run("SELECT toUnixTimestamp64Nano(now64(9))").strip())
        doubt_s = (time.monotonic_ns() - begun) / 2e9
        ahead_s = (told - before) / 1e9 - doubt_s
    yield checks.clock("store clock", connection.host, ahead_s, doubt_s)


def _disks(connection: Connection) -> Iterator[Check]:
    for line in connection.run("SELECT name, free_space, total_space FROM system.disks").decode().splitlines():
        name, free, total = line.split("\t")
        if int(total) and int(free) < min(LOW_DISK, int(total)):
            yield Check(
                "store disk",
                WARN,
                f"disk `{name}` of {connection.host} has {int(free) / 1e9:.1f} GB left",
                "free some, or give it more",
            )


def _tables(connection: Connection, address: Address) -> Iterator[Check]:
    known, there = max(step.number for step in migrations()), newest_of(connection, address.database)
    if there > known:
        yield Check(
            "store tables",
            BAD,
            f"`{address.database}` at {connection.host} has schema {there}, this Echolane knows {known}: a newer one was here",
            "update this Echolane",
        )
        return
    if there < known:
        waiting = named(f"{step.number:04d}_{step.name}" for step in migrations() if step.number > there)
        yield Check(
            "store tables",
            WARN,
            f"`{address.database}` at {connection.host} waits for {waiting}",
            "echolane doctor --repair makes them, as does the next command whose user may",
        )
        return
    names = connection.run(f"SELECT name FROM system.tables WHERE database = {quoted(address.database)}")  # noqa: S608
    lacking = sorted({name for table in TABLES for name in (table, f"{table}_v")} - set(names.decode().split()))
    if lacking:
        yield Check(
            "store tables",
            BAD,
            f"`{address.database}` at {connection.host} has schema {there}, but not {named(lacking)}",
            "somebody removed them: restore them, or begin with an empty database",
        )
        return
    runs = connection.run("SELECT count() FROM runs_v").decode().strip()
    yield Check("store tables", OK, f"schema {there}, {runs} runs")
    yield _may_write(connection, address)


def _may_write(connection: Connection, address: Address) -> Check:
    """Whether rows would be taken: none is a row as good as any to ask with."""
    try:
        connection.run("INSERT INTO runs SELECT * FROM runs WHERE 0")
    except HomeError as error:
        return Check(
            "store user",
            WARN,
            f"user `{address.user}` may only read ({error})",
            "right for dashboards; runs and workers need a user with INSERT",
        )
    return Check("store user", OK, f"user `{address.user}` may read and write")


def runs_over(address: Address, runs: Sequence[str]) -> list[str]:
    """Which of some runs are over.

    Raises:
        EcholaneError, QueryError: the first host cannot tell.
    """
    connection = Connection(address, address.hosts[0], ANY)
    try:
        return connection.run(bound(RUNS_OVER, {"runs": list(runs)})).decode().split()
    finally:
        connection.close()
