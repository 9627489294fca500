"""Restoring believes nothing: what a backup may hold, and where that goes, is decided here, and what will not do leaves no home."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from console.backing_up import ABOUT, CONTENTS, FORMAT, About, Contents
from console.restoring import look_through, restore
from echolane.archive import Packer, packing
from echolane.clock import SYSTEM
from echolane.errors import EcholaneError, HomeError, UsageError
from echolane.frame import WORDS, encode_frame
from echolane.journal.copying import RECORD, Copying, cut, noted
from echolane.journal.sqlite import SqliteJournal
from echolane.store.migrate import migrations

TABLES = max(step.number for step in migrations())
HEAD = About(FORMAT, "0.1.0", "2026-11-27T21:00:00.000+00:00", TABLES, ["home"])


def told(**change: object) -> bytes:
    """What a backup says of itself."""
    return msgspec.json.encode({**msgspec.to_builtins(HEAD), **change})


def made(folder: Path, fill: Callable[[Packer], object], about: bytes | None = None, end: bool = True) -> Path:
    """A backup that somebody else made."""
    path = folder / "b.tar.zst"
    with path.open("wb") as file, packing(file, folder, 0) as packer:
        packer.add(ABOUT, told() if about is None else about)
        fill(packer)
        if end:
            packer.add(CONTENTS, msgspec.json.encode(Contents({}, 0, {})))
    return path


def test_a_plain_backup_makes_a_home(tmp_path: Path) -> None:
    """Files come to their places, for their owner alone."""
    file = made(tmp_path, lambda packer: packer.add("home/keys/seal.key", b"k"))

    assert restore(file, tmp_path / "new").files == look_through(file).files == 3
    key = tmp_path / "new" / "keys" / "seal.key"
    assert key.read_bytes() == b"k"
    assert [path.stat().st_mode & 0o777 for path in (key.parent.parent, key.parent, key)] == [0o700, 0o700, 0o600]
    assert {path.name for path in tmp_path.iterdir()} == {"new", "b.tar.zst"}


def test_everything_in_a_home_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Folders in folders and the journal's files are readable by their owner alone, whatever the mask of the caller."""
    before = os.umask(0o022)
    try:
        journal = SqliteJournal(tmp_path / "home" / "journal", SYSTEM)
        journal.create("exchanges.shop", 1)
        journal.append("exchanges.shop", 0, [encode_frame([1], kind=WORDS, partition=0, first_ns=1, last_ns=2)])
        one = noted(journal, "exchanges.shop")
        entries = [*Copying("exchanges.shop", cut(one)).files()]
        journal.close()

        def fill(packer: Packer) -> None:
            packer.add("home/a/b/c/file", b"x")
            for name, data in entries:
                packer.add(f"journal/{name}", data)

        restore(made(tmp_path, fill), tmp_path / "new")
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)

    found = {path: path.stat().st_mode & 0o777 for path in [tmp_path / "new", *(tmp_path / "new").rglob("*")]}
    assert any(path.suffix == ".db" for path in found)
    assert not {path: oct(mode) for path, mode in found.items() if mode & 0o077}


@pytest.mark.parametrize(
    ("about", "said"),
    [
        (
            told(format=FORMAT + 1, echolane="9.9", new="x"),
            f"made by Echolane 9.9, in format {FORMAT + 1}; this one knows {FORMAT}",
        ),
        (
            told(tables=TABLES + 1, echolane="9.9"),
            f"made by Echolane 9.9, whose store has schema {TABLES + 1}; this one knows {TABLES}",
        ),
        (b"{}", "what it says of itself cannot be read"),
        (b"x" * (2 << 20), "is larger than any of ours"),
    ],
)
def test_what_is_too_new_or_unreadable_is_refused(tmp_path: Path, about: bytes, said: str) -> None:
    """A backup of a newer format or schema names the version that made it; one that says nothing is damaged."""
    file = made(tmp_path, lambda packer: packer.add("home/x", b""), about)
    for use in (look_through, lambda path: restore(path, tmp_path / "new")):
        with pytest.raises(EcholaneError, match=said) as raised:
            use(file)
        assert raised.value.exit_code == 2
    assert {path.name for path in tmp_path.iterdir()} == {"b.tar.zst"}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x", b""),
        ("home", b""),
        ("elsewhere/x", b""),
        ("journal/../../x", b""),
        ("journal/t/000001.0", b"no entry"),
        ("journal/t/topic.json", b"no head"),
        ("spool/t/000001.0", RECORD.pack(1, 1, 99)),
        ("journal/t/000001.0", bytes(26 << 20)),
    ],
)
def test_what_has_no_place_in_a_home_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    """A file whose place is none of a home's, or that is too large or no entry of a topic, makes no home, not even in part."""

    def fill(packer: Packer) -> None:
        packer.add("home/keys/seal.key", b"k")
        packer.add(name, data)

    with pytest.raises(HomeError, match="is damaged"):
        restore(made(tmp_path, fill), tmp_path / "new")
    assert {path.name for path in tmp_path.iterdir()} == {"b.tar.zst"}


@pytest.mark.parametrize("names", [("home/a", "home/a"), ("home/a", "home/a/b")])
def test_a_file_that_comes_twice_is_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    """No file takes the place of another one of the same backup."""
    with pytest.raises(HomeError, match="is in it twice"):
        restore(made(tmp_path, lambda packer: [packer.add(name, b"") for name in names]), tmp_path / "new")


def test_a_backup_without_its_end_is_refused(tmp_path: Path) -> None:
    """What does not say what was copied was not copied to its end."""
    with pytest.raises(HomeError, match="does not say what is in it"):
        look_through(made(tmp_path, lambda packer: packer.add("home/x", b""), end=False))


def test_two_restores_of_one_home_do_not_meet(tmp_path: Path) -> None:
    """While somebody restores into a home another one is told so, and touches nothing."""
    file = made(tmp_path, lambda packer: packer.add("home/x", b""))
    place = tmp_path / ".new.restoring"
    place.mkdir()
    (place / "x").write_text("theirs")
    descriptor = os.open(place, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(HomeError, match="somebody else is restoring"):
            restore(file, tmp_path / "new")
    finally:
        os.close(descriptor)
    assert (place / "x").read_text() == "theirs"


def test_a_link_in_the_place_of_a_home_in_the_making_is_not_followed(tmp_path: Path) -> None:
    """Nothing is removed or written behind a link that stands where a home is made."""
    file = made(tmp_path, lambda packer: packer.add("home/x", b""))
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "x").write_text("theirs")
    (tmp_path / ".new.restoring").symlink_to(theirs)

    with pytest.raises(HomeError):
        restore(file, tmp_path / "new")
    assert (theirs / "x").read_text() == "theirs"


def test_a_home_may_be_an_empty_folder_or_a_link_to_one(tmp_path: Path) -> None:
    """An empty folder becomes the home, also behind a link; one that is not empty is refused."""
    file = made(tmp_path, lambda packer: packer.add("home/x", b"1"))
    (tmp_path / "real").mkdir()
    (tmp_path / "new").symlink_to(tmp_path / "real")

    restore(file, tmp_path / "new")

    assert (tmp_path / "real" / "x").read_bytes() == b"1"
    with pytest.raises(UsageError, match="is not empty"):
        restore(file, tmp_path / "new")
