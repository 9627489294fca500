"""A backup beside those who make, remove and begin things: what is in it fits together."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from capture.account import next_session, sessions
from console import backing_up
from console.backing_up import back_up
from console.restoring import restore
from echolane.clock import SYSTEM
from echolane.frame import EXCHANGES, encode_frame
from echolane.home import Home, open_home
from echolane.journal.copying import Noted
from echolane.journal.sqlite import SqliteJournal
from echolane.keys import load_seal_keys
from echolane.ledger import Counters, read_counters


def made(home: Home, folder: Path) -> Path:
    """A backup of what is not in the store."""
    path = folder / "b.tar.zst"
    back_up(home, path, time.time_ns(), store_elsewhere=True)
    return path


def test_a_topic_that_is_removed_while_topics_are_listed_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An evaluation that ends, or retention, hinders no backup."""
    home = open_home(tmp_path / "home")
    journal, noted = SqliteJournal(home.journal, SYSTEM), backing_up.noted
    for name in ("work.a", "work.b"):
        journal.create(name, 1)

    def removing(own: SqliteJournal, name: str) -> Noted:
        journal.drop("work.b")
        return noted(own, name)

    monkeypatch.setattr(backing_up, "noted", removing)
    restore(made(home, tmp_path), tmp_path / "new")

    assert SqliteJournal(tmp_path / "new" / "journal", SYSTEM).topics() == ["work.a"]


def test_a_first_recording_that_begins_meanwhile_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose counters are in a backup, his name is too, which his exchanges carry; and so are the keys that open them."""
    home, small = open_home(tmp_path / "home"), backing_up._Backup._small

    def beginning(backup: backing_up._Backup) -> None:
        small(backup)
        load_seal_keys(home.keys, {})
        Counters(next_session(home, "shop").relay).close()

    monkeypatch.setattr(backing_up._Backup, "_small", beginning)
    new = open_home(restored(made(home, tmp_path), tmp_path / "new"))

    assert [one.agent for one in sessions(new, "shop")] == [one.agent for one in sessions(home, "shop")] != [""]
    assert load_seal_keys(new.keys, {}).current.id == load_seal_keys(home.keys, {}).current.id


def restored(file: Path, home: Path) -> Path:
    """The home of a backup."""
    restore(file, home)
    return home


def test_a_service_whose_topic_is_made_meanwhile_has_both_or_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is counted as stored is in the journal, also where the topic was not there yet a moment before."""
    home, still, after = open_home(tmp_path / "home"), backing_up.still, list[bool]()
    journal, session = SqliteJournal(home.journal, SYSTEM), next_session(home, "shop")
    Counters(session.relay).close()

    @contextmanager
    def late(*given: Any) -> Generator[None]:
        if after:
            journal.create("exchanges.shop", 1)
            journal.append("exchanges.shop", 0, [encode_frame([1], kind=EXCHANGES, partition=0, first_ns=1, last_ns=2)])
            counters = Counters(session.recorder)
            counters.set("stored", 1)
            counters.close()
        after.append(True)
        with still(*given):
            yield

    monkeypatch.setattr(backing_up, "still", late)
    new = open_home(restored(made(home, tmp_path), tmp_path / "new"))

    assert len(after) == 2
    assert read_counters(sessions(new, "shop")[0].recorder)["stored"] == 1
    assert SqliteJournal(new.journal, SYSTEM).end("exchanges.shop", 0) == 1
