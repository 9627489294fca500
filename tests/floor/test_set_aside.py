"""What `doctor` says of frames that were set aside: which are damaged, which of a newer format, and which can be read by now."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from echolane.checks import WARN, Check
from echolane.frame import INTENTS, encode_frame
from echolane.journal import examining, open_journal
from echolane.observation import Intent

SOUND = [encode_frame([Intent(f"e{n}", 0, "x", n)], kind=INTENTS, partition=0, first_ns=1, last_ns=1) for n in range(6)]
DAMAGED = "1 damaged frames were set aside; their exchanges are lost"
UPDATE = "update Echolane on this machine: they are whole, and are read then"


def newer(frame: bytes) -> bytes:
    """A frame as a newer Echolane would write it."""
    return frame[:2] + b"\x09" + frame[3:]


def put(home: Path, frames: dict[int, bytes]) -> None:
    """Frames in the place of those that stand at positions of topic ``t``."""
    (path,) = home.glob("journal/t/*/[0-9]*.db")
    connection = sqlite3.connect(path)
    for position, frame in frames.items():
        assert connection.execute("UPDATE frames SET frame = ? WHERE key = ?", (frame, position)).rowcount == 1
    connection.commit()
    connection.close()


def said(home: Path, *, read: bool = False) -> list[tuple[str, str, str]]:
    """What is said of topic ``t``; it is read before, if asked."""
    journal = open_journal(home)
    if read:
        assert len(list(journal.read("t", 0))) < len(SOUND)
    found = list(examining.unreadable(journal, "t"))
    journal.close()
    assert all(isinstance(one, Check) and one.check == "journal t" for one in found)
    return [(one.state, one.what, one.do) for one in found]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose topic ``t`` holds a damaged frame and two of a newer format, none of which was met yet."""
    journal = open_journal(tmp_path)
    journal.create("t", 1)
    journal.append("t", 0, SOUND)
    journal.close()
    put(tmp_path, {1: SOUND[1][:-1] + b"\x00", 3: newer(SOUND[3]), 4: newer(SOUND[4])})
    return tmp_path


def test_a_newer_format_is_told_from_damage(home: Path) -> None:
    """Of the one it is said what to do, of the other that it is lost, and of frames that nobody met nothing."""
    assert said(home) == []
    newer_ones = (WARN, "frames of a newer format were set aside: 2", UPDATE)
    assert said(home, read=True) == said(home) == [newer_ones, (WARN, DAMAGED, "")]


def test_after_an_update_nothing_is_said_of_what_was_newer(home: Path) -> None:
    """What can be read by now is lost to nobody, though it is counted still as set aside once."""
    assert len(said(home, read=True)) == 2
    put(home, {3: SOUND[3], 4: SOUND[4]})
    assert said(home) == [(WARN, DAMAGED, "")]


def test_a_topic_that_is_damaged_all_over_is_looked_at_in_part(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are looked at, as many as may be, and how many were not is said."""
    said(home, read=True)
    monkeypatch.setattr(examining, "FRAMES_READ", 1)
    assert said(home) == [
        (WARN, "frames of a newer format were set aside: 1", UPDATE),
        (WARN, "more frames were set aside, and not looked at again: 2", ""),
    ]
