"""A frozen store: what was in it at one moment stays to be copied, and goes with whoever asked for it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from echolane.errors import HomeError
from echolane.store import Store, client, open_store, wire
from echolane.store.client import StoreClient
from echolane.store.freezing import SHADOW, Freezer
from tests.waiting import wait_until


def rows(run: str) -> dict[str, list[str]]:
    """One row of a table with few columns."""
    return {"run": [run], "service": ["shop"]}


def counts(home: Path, name: str, tables: dict[str, str]) -> dict[str, int]:
    """Rows of the frozen parts, by table."""
    found: dict[str, int] = {}
    for path in (home / "store" / "chdb" / SHADOW / name).rglob("count.txt"):
        table = tables[path.parts[-3]]
        found[table] = found.get(table, 0) + int(path.read_text())
    return found


def test_what_is_frozen_does_not_change(home: Path, store: Store) -> None:
    """Rows that come later, and merges, change nothing in the frozen parts; every table is among them."""
    store.insert("noise", rows("one"))
    with StoreClient(home) as client, client.frozen() as frozen:
        before = counts(home, frozen.name, frozen.tables)
        store.insert("noise", rows("two"))
        store.query("OPTIMIZE TABLE noise FINAL")

        assert counts(home, frozen.name, frozen.tables) == before
        assert before["noise"] == 1
        assert {"runs", "results", "findings", "triage", "migrations"} <= set(frozen.tables.values())


def test_a_freeze_goes_with_its_client(home: Path, store: Store) -> None:
    """When the client has gone nothing stays frozen, and two freezes do not disturb each other."""
    store.insert("noise", rows("one"))
    shadow = home / "store" / "chdb" / SHADOW
    with StoreClient(home) as client, ExitStack() as stack:
        first = stack.enter_context(client.frozen())
        with client.frozen() as second:
            assert {path.name for path in shadow.iterdir() if path.is_dir()} == {first.name, second.name}
        wait_until(lambda: not (shadow / second.name).exists(), 10)
        assert counts(home, first.name, first.tables)["noise"] == 1
    wait_until(lambda: not (shadow / first.name).exists(), 10)


def test_a_freeze_whose_owner_was_killed_is_told(home: Path, store: Store, owner_of: Callable[[Path], int]) -> None:
    """Who copied what another owner has removed meanwhile is told, also where no file was missed."""
    store.insert("noise", rows("one"))

    def copy(own: StoreClient) -> None:
        with own.frozen() as frozen:
            os.kill(owner_of(home), signal.SIGKILL)
            wait_until(lambda: store.query("SELECT count() AS n FROM noise")[0]["n"] == 1, 30)
            assert counts(home, frozen.name, frozen.tables) == {}

    with StoreClient(home) as own, pytest.raises(HomeError, match="ended while its parts were copied"):
        copy(own)


def test_an_owner_that_hangs_is_not_waited_for(
    home: Path, store: Store, owner_of: Callable[[Path], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever freezes keeps others waiting, and gives up before they do."""
    monkeypatch.setattr(client, "FREEZE_S", 0.3)
    store.insert("noise", rows("one"))
    owner = owner_of(home)
    with StoreClient(home) as own:
        os.kill(owner, signal.SIGSTOP)
        try:
            with pytest.raises(HomeError, match=f"process {owner}, the store's owner, did not freeze"), own.frozen():
                pass
        finally:
            os.kill(owner, signal.SIGCONT)
        shadow = home / "store" / "chdb" / SHADOW
        store.insert("noise", rows("two"))
        wait_until(lambda: not [path for path in shadow.glob("*") if path.is_dir()])


def test_a_freeze_is_between_two_inserts(tmp_path: Path) -> None:
    """A freeze waits for inserts that are under way, and those that follow wait for it."""
    order: list[str] = []
    begun = threading.Event()

    class Tables:
        def run(self, sql: str) -> bytes:
            order.append("froze" if "FREEZE" in sql else "listed")
            begun.set()
            late.join(0.3)
            return b"" if "FREEZE" in sql else b"uuid\tnoise\n"

    freezer = Freezer(tmp_path)

    def freeze() -> None:
        with freezer.frozen(Tables()):
            pass

    def insert() -> None:
        begun.wait(60)
        with freezer.inserting():
            order.append("inserted late")

    late, freezing = threading.Thread(target=insert), threading.Thread(target=freeze)
    late.start()  # before anybody joins it
    with freezer.inserting():
        freezing.start()
        freezing.join(0.3)
        order.append("inserted")
    freezing.join(60)
    late.join(60)

    assert order == ["inserted", "listed", "froze", "inserted late"]


def test_an_owner_of_another_version_is_left_to_its_clients(
    home: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who meets one is told to end what it serves, not the owner, which those would begin anew."""
    store.insert("noise", rows("one"))
    monkeypatch.setattr(wire, "PROTOCOL", wire.PROTOCOL + 1)
    with pytest.raises(HomeError, match="end the commands of that version"):
        StoreClient(home)
    assert store.query("SELECT count() AS n FROM noise")[0]["n"] == 1


def test_an_owner_removes_what_another_left(home: Path) -> None:
    """What stayed frozen since an owner was killed is removed when the next one starts."""
    left = home / "store" / "chdb" / SHADOW / "left"
    left.mkdir(parents=True)
    with open_store(home):
        assert not left.exists()
