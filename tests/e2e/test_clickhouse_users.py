"""The users of the guide on the current engine: its GRANTs are enough for Echolane, and its reader can change nothing.

What is not run: ``CREATE USER`` itself, of which the engine in a process says that it has nowhere to keep users (it reads it, settings and
all, before it says so), and therefore its passwords. The rights come from the guide's own ``GRANT``s by way of a file of users instead.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.ports import free_port
from echolane.errors import EcholaneError
from echolane.store import QueryError, open_store
from echolane.store.address import address_of
from echolane.store.clickhouse import Connection
from tests.e2e.rights_parts import told
from tests.e2e.world import World, places
from tests.store.bridge import Bridge

NOWHERE = Path("/nonexistent")
NO_PLACE_FOR_USERS = "Code: 514|no writeable access storage"
USERS = """<clickhouse><quotas><default/></quotas><profiles><default>{settings}</default></profiles><users><default>
<password></password><profile>default</profile><quota>default</quota><networks><ip>::/0</ip></networks>
{rights}
</default></users></clickhouse>
"""
CHANGES = (
    "INSERT INTO runs (run) VALUES ('x')",
    "CREATE TABLE mine (a Int32) ENGINE = MergeTree ORDER BY a",
    "ALTER TABLE runs DELETE WHERE 1",
    "DROP TABLE runs",
    "DROP VIEW runs_v",
    "OPTIMIZE TABLE runs FINAL",
    "TRUNCATE TABLE results",
    "CREATE DATABASE other",
    "SET readonly = 0",
    "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a Int32')",
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
)


def statements() -> list[str]:
    """What an administrator is told to run, in order."""
    (text,) = told("Results in ClickHouse", "sql")
    return [one.strip() for one in text.split(";") if one.strip()]


class Server:
    """A bridge that is started anew as each user."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._bridge = folder, Bridge(folder, free_port())
        folder.mkdir()

    def become(self, user: str) -> str:
        """Start it with the rights that the guide gives a user; the address. ``default`` may do everything."""
        self._bridge.kill()
        rights, settings = "<access_management>1</access_management>", ""
        if user != "default":
            given = [one for one in statements() if one.startswith("GRANT ") and one.endswith(f" TO {user}")]
            assert given
            rights = "".join(f"<query>{one.removesuffix(f' TO {user}')}</query>" for one in given)
            rights = f"<grants>{rights}</grants>"
            (made,) = (one for one in statements() if one.startswith(f"CREATE USER {user} "))
            settings = "".join(
                f"<{name}>{value}</{name}>"
                for name, value in re.findall(r"(\w+) = (\w+)", made.partition(" SETTINGS ")[2])
            )
        (self._folder / "users.xml").write_text(USERS.format(rights=rights, settings=settings), "utf-8")
        self._bridge.start()
        password = "" if user == "default" else ":s3cret"
        return self._bridge.url("default" if user == "default" else "echolane", f"{user}{password}@")

    def end(self) -> None:
        """Kill it."""
        self._bridge.kill()


def refused(url: str, statement: str) -> str:
    """What the server says to a statement that it does not do."""
    address = address_of(url, {})
    connection = Connection(address, address.hosts[0])
    try:
        with pytest.raises((EcholaneError, QueryError)) as said:
            connection.run(statement)
    finally:
        connection.close()
    return str(said.value)


def test_the_users_of_the_guide(tmp_path: Path, world: World) -> None:
    """Made by an administrator, tables and a whole run by `echolane`; `dashboards` reads every view and is refused every change, which `doctor --repair` tells by its exit code."""
    server = Server(tmp_path / "server")
    try:
        _administer(server.become("default"))
        place = ("--home", world.home)
        unmade = world.call("doctor", "--only", "store", "--repair", "--store", server.become("dashboards"), *place)
        assert (unmade.code, "were not made" in unmade.out) == (2, True), unmade.out
        url = server.become("echolane")
        repaired = world.call("doctor", "--only", "store", "--repair", "--store", url, *place)
        assert (repaired.code, "DENIED" in repaired.out) == (0, False), repaired.out
        world.record(world.app(), [(f"/items/{n}", {}) for n in range(1, 13)])
        targets = ("--base-cmd", world.app_command(), "--branch-cmd", world.app_command("price"))
        done, result = world.run(*targets, "--store", url)
        assert done.code == 1, done.err
        assert places(result) == {("body:$.price", "value")}
        examined = world.call("doctor", "--only", "store", "--store", url, *place)
        assert "user `echolane` may read and write" in examined.out
        assert "could not be looked at" not in examined.out
        with open_store(NOWHERE, url) as store:  # as retention does
            store.query("DELETE FROM noise WHERE run IN {runs:Array(String)}", {"runs": ["none"]})
        assert "rivileges" in refused(url, "CREATE DATABASE other")

        url = server.become("dashboards")
        shown = world.call("show", "latest", "--json", "--store", url, *place)
        assert shown.result == result, shown.err
        examined = world.call("doctor", "--only", "store", "--store", url, *place)
        assert "user `dashboards` may only read" in examined.out
        with open_store(NOWHERE, url) as store:
            for view in ("results_v", "runs_v", "samples_v", "noise_v", "findings_v"):
                store.query(f"SELECT * FROM {view} LIMIT 1")
        for statement in CHANGES:
            said = refused(url, statement)
            assert "rivileges" in said or "readonly" in said, f"{statement}: {said}"
    finally:
        server.end()


def _administer(url: str) -> None:
    """What the guide tells an administrator, as far as this engine can keep it."""
    address = address_of(url, {})
    for statement in statements():
        if statement.startswith("CREATE USER "):
            assert re.search(NO_PLACE_FOR_USERS, refused(url, statement)), statement
        elif not statement.startswith("GRANT "):
            connection = Connection(address, address.hosts[0])
            connection.run(statement)
            connection.close()
