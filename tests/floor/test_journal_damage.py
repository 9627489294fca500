"""A damaged journal is read as far as it goes, what is lost is counted, and writing goes on. A full disk is an error, no more."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from echolane import log
from echolane.errors import HomeError, JournalFull
from echolane.frame import INTENTS, encode_frame
from echolane.journal import Journal, files, open_journal, writing
from echolane.observation import Intent

ROOT = Path(__file__).resolve().parents[2]


def frame_of(number: int, size: int = 600) -> bytes:
    """A sound frame of a little more than ``size`` bytes."""
    intent = Intent(f"e{number}", 0, os.urandom(size // 2).hex(), number)
    return encode_frame([intent], kind=INTENTS, partition=0, first_ns=1, last_ns=1)


def files_of(home: Path, pattern: str) -> list[Path]:
    """Files of topic ``t``."""
    return sorted(home.glob(f"journal/t/*/{pattern}"))


def written(home: Path, frames: list[bytes], *, keep_wal: bool = False) -> Path:
    """A home whose topic ``t`` holds ``frames``; with its WAL as a kill would leave it, if asked."""
    journal = open_journal(home / "first")
    journal.create("t", 1)
    half = len(frames) // 2
    journal.append("t", 0, frames[:half])
    if keep_wal:  # the first half is folded into the file, the second half stands in the WAL
        journal.close()
        journal = open_journal(home / "first")
    journal.append("t", 0, frames[half:])
    if keep_wal:
        shutil.copytree(home / "first", home / "second")
    journal.close()
    return home / ("second" if keep_wal else "first")


def read_back(journal: Journal, frames: list[bytes]) -> int:
    """How many frames can be read; each must be what was appended at its position."""
    entries = list(journal.read("t", 0))
    assert all(frames[e.position] == e.frame for e in entries)
    assert [e.position for e in entries] == sorted({e.position for e in entries})
    return len(entries)


BLOCK = 2048
HARMS: dict[str, Callable[[bytes, int], bytes]] = {
    "zeroed": lambda data, at: data[:at] + bytes(len(data[at : at + BLOCK])) + data[at + BLOCK :],
    "flipped": lambda data, at: data[:at] + bytes([data[at] ^ 0xA5]) + data[at + 1 :],
    "cut": lambda data, at: data[:at],
}


@pytest.mark.parametrize("kind", ["file", "wal"])
@pytest.mark.parametrize("harm", HARMS)
def test_every_damaged_block_loses_what_is_in_it_and_nothing_else(tmp_path: Path, kind: str, harm: str) -> None:
    """Whichever 2 KiB are hurt, reading never fails, gives nothing wrong, and counts exactly what is missing."""
    frames = [frame_of(n) for n in range(24)]
    sound = written(tmp_path, frames, keep_wal=kind == "wal")
    suffix = "[0-9]*.db" if kind == "file" else "[0-9]*.db-wal"
    original = files_of(sound, suffix)[0].read_bytes()
    lost = 0

    for at in range(0, len(original), BLOCK):
        home = tmp_path / "hurt"
        shutil.copytree(sound, home)
        files_of(home, suffix)[0].write_bytes(HARMS[harm](original, at))
        journal = open_journal(home)
        end = journal.end("t", 0)
        found = read_back(journal, frames)
        assert found + journal.damaged("t") == end == len(frames), f"{harm} at {at}"
        assert journal.append("t", 0, [frames[0]]) == [end]
        assert journal.end("t", 0) == end + 1
        assert [e.position for e in journal.read("t", 0, end)] == [end]
        again = read_back(journal, [*frames, frames[0]])
        assert again == found + 1, f"{harm} at {at}, after writing on"
        assert again + journal.damaged("t") == end + 1, f"{harm} at {at}, after writing on"
        lost += len(frames) - found
        journal.close()
        shutil.rmtree(home)

    assert lost


def test_a_damaged_frame_costs_one_exchange_batch_and_is_counted_once(tmp_path: Path) -> None:
    """One flipped byte inside a frame sets that entry aside, however often it is read, by whomever."""
    frames = [frame_of(n) for n in range(5)]
    home = written(tmp_path, frames)
    path = files_of(home, "[0-9]*.db")[0]
    data = path.read_bytes()
    at = data.index(frames[2]) + 100
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    journal, other = open_journal(home), open_journal(home)

    for reader in (journal, other, journal):
        assert [e.position for e in reader.read("t", 0)] == [0, 1, 3, 4]

    assert journal.damaged("t") == other.damaged("t") == 1
    journal.close()
    other.close()


@pytest.mark.parametrize("content", [b"", b"\0" * 8192, b"SQLite format 3\0" + b"\xff" * 9000])
def test_a_destroyed_index_is_made_anew(tmp_path: Path, content: bytes) -> None:
    """The index is rebuilt from the segments: all entries stay, groups begin again."""
    frames = [frame_of(n) for n in range(5)]
    home = written(tmp_path, frames)
    files_of(home, "index.db")[0].write_bytes(content)
    journal, other = open_journal(home), open_journal(home)

    assert read_back(journal, frames) == read_back(other, frames) == 5
    assert journal.committed("g", "t", 0) == 0
    journal.commit("g", "t", 0, 3)
    assert other.committed("g", "t", 0) == 3
    assert other.append("t", 0, [frames[0]]) == [5]
    assert journal.damaged("t") == 0
    journal.close()
    other.close()


def test_a_damaged_key_does_not_make_a_partition_leap(tmp_path: Path) -> None:
    """An entry whose key was hurt is missing from its place; the next one is given the position that is due."""
    frames = [frame_of(n) for n in range(5)]
    home = written(tmp_path, frames[:4])
    connection = sqlite3.connect(files_of(home, "[0-9]*.db")[0])
    connection.execute("UPDATE frames SET key = key + 1000 WHERE key = 3")
    connection.commit()
    connection.close()
    journal = open_journal(home)

    assert journal.end("t", 0) == 4
    assert journal.append("t", 0, [frames[4]]) == [4]
    assert [e.position for e in journal.read("t", 0)] == [0, 1, 2, 4]
    assert journal.damaged("t") == 1
    journal.close()


def test_a_lost_ends_file_is_missed_by_nobody(tmp_path: Path) -> None:
    """The segments alone say where a topic ends when their second witness is gone or lies."""
    frames = [frame_of(n) for n in range(3)]
    home = written(tmp_path, frames)
    ends = files_of(home, "ends")[0]

    for content in (b"", b"\xff" * 32, bytes(32)):
        ends.write_bytes(content)
        journal = open_journal(home)
        assert (journal.end("t", 0), read_back(journal, frames), journal.damaged("t")) == (3, 3, 0)
        journal.close()


def test_a_segment_that_somebody_removed_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file loses its own entries and no others."""
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 1)  # a segment per commit
    frames = [frame_of(n) for n in range(6)]
    journal = open_journal(tmp_path)
    journal.create("t", 1)
    for n in range(0, 6, 2):
        journal.append("t", 0, frames[n : n + 2])
    journal.close()
    files_of(tmp_path, "000002.db")[0].unlink()

    journal = open_journal(tmp_path)

    assert [e.position for e in journal.read("t", 0)] == [0, 1, 4, 5]
    assert journal.damaged("t") == 2
    assert journal.position_at("t", 0, 0) == 0
    journal.close()


def test_a_segment_left_by_a_crash_before_it_was_listed_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that died between making a segment and listing it leaves nothing that is ever read."""
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 1)
    journal = open_journal(tmp_path)
    journal.create("t", 1)
    journal.append("t", 0, [frame_of(0)])
    first = files_of(tmp_path, "000001.db")[0]
    shutil.copy(first, first.with_name("000002.db"))

    assert journal.append("t", 0, [frame_of(1)]) == [1]
    assert [e.position for e in journal.read("t", 0)] == [0, 1]
    assert journal.damaged("t") == 0
    journal.close()


def test_a_damaged_topic_file_says_which_and_what_to_do(tmp_path: Path) -> None:
    """The one file that cannot be made anew is named."""
    home = written(tmp_path, [frame_of(0)])
    (home / "journal/t/topic.json").write_bytes(b"{")
    journal = open_journal(home)

    with pytest.raises(HomeError, match=r"topic\.json is damaged .* restore it"):
        journal.end("t", 0)
    journal.close()


def test_what_was_set_aside_is_logged(tmp_path: Path) -> None:
    """Damage leaves an event with its place, so that somebody can find out why."""
    home = written(tmp_path, [frame_of(n) for n in range(3)])
    path = files_of(home, "[0-9]*.db")[0]
    path.write_bytes(path.read_bytes()[:4096])
    journal = open_journal(home)
    log.to(tmp_path / "log")
    try:
        list(journal.read("t", 0))
    finally:
        log.stop()
    journal.close()

    assert '"event":"journal.set-aside"' in (tmp_path / "log").read_text()


FULL = """
import os
import sys
from pathlib import Path
from echolane.errors import JournalFull
from echolane.frame import INTENTS, encode_frame
from echolane.journal import open_journal
from echolane.observation import Intent

def frame(n):
    intent = Intent(f"e{n}", 0, os.urandom(100_000).hex(), n)
    return encode_frame([intent], kind=INTENTS, partition=0, first_ns=1, last_ns=1)

journal = open_journal(Path(sys.argv[1]))
journal.create("t", 1)
frames = [frame(n) for n in range(4)]
kept = journal.append("t", 0, frames[:2])
fill()
refused = 0
for n in range(100):
    try:
        kept += journal.append("t", 0, [frame(n + 10)])
    except JournalFull as error:
        refused += 1
        assert "no room left" in str(error) and "free some space" in str(error), error
        if refused > 3: break
assert refused == 4, refused
assert [e.position for e in journal.read("t", 0)] == kept, "readers go on"
newcomer = open_journal(Path(sys.argv[1]))
assert [e.position for e in newcomer.read("t", 0)] == kept, "newcomers can read"
try:
    for n in range(1000): journal.commit("g" * 3000 + str(n), "t", 0, 1)
except JournalFull: pass
else: assert False, "commits need room too"
free()
kept += journal.append("t", 0, frames[2:])
assert kept == list(range(len(kept))), kept
assert [e.position for e in journal.read("t", 0)] == kept
assert journal.damaged("t") == 0
journal.close(); newcomer.close()
fill()
late = open_journal(Path(sys.argv[1]))
assert [e.position for e in late.read("t", 0)] == kept, "who comes when the disk is full can read what was closed"
assert late.damaged("t") == 0
print("ok")
"""
BY_LIMIT = """
import resource
def fill(): resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, resource.RLIM_INFINITY))
def free(): resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
BY_DISK = """
import sys
from pathlib import Path
ballast = Path(sys.argv[1]) / "ballast"
def fill():
    with ballast.open("wb", buffering=0) as f:
        try:
            while True: f.write(bytes(65536))
        except OSError: pass
        try:
            while True: f.write(bytes(512))
        except OSError: pass
def free(): ballast.unlink()
"""


def run_script(script: str, *arguments: str) -> str:
    """Run a script with the repository's rooms; its output."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_writes_cut_short_are_refused_and_forgotten(tmp_path: Path) -> None:
    """Where a file may not grow (short write, then EFBIG): JournalFull, readers go on, and room is used without a restart."""
    assert run_script(BY_LIMIT + FULL, str(tmp_path)) == "ok\n"


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A disk of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", place], capture_output=True, check=False)
    if mounted.returncode:
        if os.environ.get("ECHOLANE_REQUIRE_ALL") and os.geteuid() == 0:
            pytest.fail(f"cannot mount a tmpfs: {mounted.stderr!r}")
        pytest.skip("mounting a small tmpfs needs root; the same promise is tested by a file size limit above")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_is_refused_and_recovers(small_disk: Path) -> None:
    """On a disk without a byte left: JournalFull, readers go on, and freed space is used without a restart."""
    assert run_script(BY_DISK + FULL, str(small_disk)) == "ok\n"


def test_every_connection_waits_for_the_disk(tmp_path: Path) -> None:
    """Segments and index are written with synchronous=FULL in WAL mode: a commit returns when it is on the disk."""
    home = written(tmp_path, [frame_of(0)])
    connections = files.Connections()

    for path in (*files_of(home, "[0-9]*.db"), *files_of(home, "index.db")):
        with connections.using(str(path)) as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
            assert connection.execute("PRAGMA journal_mode").fetchone() == (b"wal",)
    connections.close_below()


def test_idle_connections_are_bounded(tmp_path: Path) -> None:
    """However many topics are touched, a process keeps few files open, and none after closing."""
    journal = open_journal(tmp_path)
    for n in range(12):
        journal.create(f"t{n}", 1)
        journal.append(f"t{n}", 0, [frame_of(n)])
    links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    open_files = [os.readlink(link) for link in links if link.is_symlink()]

    assert f"{files.IDLE_MAX}/{files.IDLE_MAX} idle, open" in repr(journal)
    assert (
        len([name for name in open_files if name.startswith(str(tmp_path)) and name.endswith(".db")]) <= files.IDLE_MAX
    )
    journal.close()
    assert "0/16 idle, closed" in repr(journal)
    with pytest.raises(HomeError, match="closed"):
        journal.append("t1", 0, [frame_of(1)])


def test_a_home_that_cannot_be_used_is_said_in_one_line(tmp_path: Path) -> None:
    """A journal whose path is a file is a HomeError that names it."""
    (tmp_path / "journal").write_text("not a folder")

    with pytest.raises(HomeError, match="give another home") as caught:
        open_journal(tmp_path)

    assert not isinstance(caught.value, JournalFull)
