"""What is known of observations that are set aside outlives every process, and counts each death once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from differ import watch as watching
from differ.attempts import AGAIN, ASIDE, ATTEMPTS_MAX, CLOSED, COMPARED, DEAD, Attempts, Place
from differ.letters import forget, letter_of, letters_of, runs_with_letters, tell
from differ.watch import SetAside, Watch, patience, settle
from echolane.errors import HomeError
from echolane.settings import Differ
from tests.differ.poisoned_runs import CHANGED, RUN, observation

AT = "r.at"
HERE, THERE = Place(0, 1, 2), Place(1, 2, 3)
DIES = """
import os, sys
from pathlib import Path
from differ.attempts import Attempts, Place
from differ.watch import Watch
folder = Path(sys.argv[1])
watch = Watch(Attempts(folder, "r"), folder / "r.at", 60)
watch.enter(Place(0, 1, 2))
watch.leave()
if sys.argv[2] == "error":
    try:
        watch.enter(Place(1, 2, 3))
        raise MemoryError
    finally:
        watch.close()
if sys.argv[2] == "kill":
    watch.enter(Place(1, 2, 3))
    os.kill(os.getpid(), 9)
os._exit(0)
"""


def ended(folder: Path, how: str) -> int:
    """A process that compares one observation and, where told so, dies at the next."""
    return subprocess.run(
        [sys.executable, "-c", DIES, str(folder), how], check=False, stderr=subprocess.PIPE
    ).returncode


@pytest.mark.parametrize("how", ["kill", "error"])
def test_deaths_are_counted_once_each_and_outlive_everybody(tmp_path: Path, how: str) -> None:
    """A process that ends between comparisons counts nothing; one that ends within counts once, whoever looks how often."""
    assert ended(tmp_path, "well") == 0
    assert not settle(Attempts(tmp_path, "r"), tmp_path / AT, "x", ended=None)
    for deaths in range(1, ATTEMPTS_MAX + 1):
        assert ended(tmp_path, how) != 0
        assert settle(Attempts(tmp_path, "r"), tmp_path / AT, "killed")
        assert not settle(Attempts(tmp_path, "r"), tmp_path / AT, "again")
        attempts = Attempts(tmp_path, "r")
        assert attempts.found[THERE].deaths == deaths
        assert attempts.pending == [THERE]


def test_a_death_told_twice_is_one(tmp_path: Path) -> None:
    """Who was killed between noting a death and taking it out of the file has not made it two."""
    assert ended(tmp_path, "kill") == -signal.SIGKILL
    before = (tmp_path / AT).read_bytes()
    assert settle(Attempts(tmp_path, "r"), tmp_path / AT, "killed")
    (tmp_path / AT).write_bytes(before)
    assert settle(Attempts(tmp_path, "r"), tmp_path / AT, "killed")

    assert Attempts(tmp_path, "r").found[THERE].deaths == 1


def test_a_living_process_is_no_death(tmp_path: Path) -> None:
    """Who saw another process end counts nothing for the one that compares; who saw that one end does."""
    attempts = Attempts(tmp_path, "r")
    watch = Watch(attempts, tmp_path / AT, 60)
    watch.enter(HERE)

    assert not settle(attempts, tmp_path / AT, "x", ended=os.getpid() + 1)
    assert attempts.found == {}
    assert settle(attempts, tmp_path / AT, "x", ended=os.getpid())
    watch.close()


def test_a_newcomer_of_the_same_number_is_not_the_one_that_died(tmp_path: Path) -> None:
    """In a container the next worker may get the number of the dead one."""
    before = Watch(Attempts(tmp_path, "r"), tmp_path / AT, 60)
    before.enter(HERE)
    before.close()

    attempts = Attempts(tmp_path, "r")
    Watch(attempts, tmp_path / AT, 60).close()
    assert [one.deaths for one in attempts.found.values()] == [1]


def test_two_processes_never_compare_one_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose conductor was killed may still be at work: the next waits for it, within a bound, and then knows what it noted."""
    monkeypatch.setattr(watching, "TAKEN_S", 0.3)
    first = Watch(Attempts(tmp_path, "r"), tmp_path / AT, 60)
    first.enter(HERE)
    later = Attempts(tmp_path, "r")
    with pytest.raises(HomeError, match="still compares this run"):
        Watch(later, tmp_path / AT, 60)
    assert later.found == {}
    first.leave()
    Attempts(tmp_path, "r").add(ASIDE, THERE)
    first.close()

    Watch(later, tmp_path / AT, 60).close()
    assert list(later.found) == [THERE]


def test_only_a_comparison_that_goes_on_is_set_aside(tmp_path: Path) -> None:
    """The polite clock ends what takes long, never what follows it, and begins anew with each comparison."""
    handler = signal.getsignal(signal.SIGPROF)
    watch = Watch(Attempts(tmp_path, "r"), tmp_path / AT, 60, soft_s=0.2)

    def compute(seconds: float) -> None:
        since = os.times().user + os.times().system
        while os.times().user + os.times().system - since < seconds:
            sum(range(1000))

    for _ in range(4):
        watch.enter(HERE)
        compute(0.1)
        watch.leave()
    compute(0.5)
    watch.enter(HERE)
    watch.keep()
    compute(0.5)
    watch.leave()
    watch.enter(HERE)
    with pytest.raises(SetAside):
        compute(2)
    watch.leave()
    watch.close()
    assert signal.getsignal(signal.SIGPROF) == handler
    compute(0.3)


def test_no_fault_that_a_comparison_forgives_is_the_end_of_its_time() -> None:
    """A comparison catches the exceptions of poisonous answers; that it is set aside is none of them."""
    assert not issubclass(SetAside, Exception)


def test_the_life_of_one_that_is_set_aside(tmp_path: Path) -> None:
    """It waits until it is compared or a dead letter; asked for again, its deaths begin anew and its row's version grows."""
    attempts, other = Attempts(tmp_path, "r"), Attempts(tmp_path, "r")
    for what, pending, tries in ((ASIDE, True, 0), (DEAD, False, 0), (AGAIN, True, 1), (COMPARED, False, 1)):
        attempts.add(what, HERE)
        other.refresh()
        for one in (attempts, other, Attempts(tmp_path, "r")):
            assert (one.found[HERE].pending, one.found[HERE].tries) == (pending, tries), what
    assert not other.closed
    attempts.add(CLOSED)
    other.refresh()
    assert other.closed
    assert list(other.found) == [HERE]


def test_a_line_that_was_not_written_whole_is_left_out(tmp_path: Path) -> None:
    """A machine that stops within a line has not noted it; the next line is whole all the same. Cuts by a seed."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    attempts = Attempts(tmp_path, "r")
    for place in (HERE, THERE):
        attempts.add(ASIDE, place, "slow")
    path = tmp_path / "r.attempts"
    data = path.read_bytes()
    first = data.index(b"\n") + 1
    path.write_bytes(data[: random.Random(seed).randrange(first, len(data) - 1)])

    assert list(Attempts(tmp_path, "r").found) == [HERE]
    Attempts(tmp_path, "r").add(ASIDE, Place(7, 8, 9))
    assert list(Attempts(tmp_path, "r").found) == [HERE, Place(7, 8, 9)]


def test_a_line_is_on_the_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker commits positions beyond what it set aside: the line, and that there is such a file, are flushed by then."""
    flushed: list[str] = []
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        flush(descriptor)
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        flushed.append(path.name if path.is_dir() else f"{path.name}: {path.read_bytes().count(10)}")

    monkeypatch.setattr(os, "fsync", fsync)
    attempts = Attempts(tmp_path, "r")
    for place in (HERE, THERE):
        attempts.add(ASIDE, place)
    assert flushed == ["r.attempts: 1", tmp_path.name, "r.attempts: 2"]

    flushed.clear()
    tell(tmp_path, letter_of("r", HERE, observation(1, CHANGED), attempts.found[HERE], 1))
    assert flushed == ["r.dead.part: 1", tmp_path.name]


def test_two_who_note_at_once_lose_nothing(tmp_path: Path) -> None:
    """The worker, the second look and the conductor write one file."""
    for number in range(4):
        if os.fork() == 0:
            mine = Attempts(tmp_path, "r")
            for record in range(25):
                mine.add(ASIDE, Place(number, 0, record))
            os._exit(0)
    for _ in range(4):
        os.wait()

    assert len(Attempts(tmp_path, "r").found) == 100


@pytest.mark.parametrize(("name", "read"), [("r.attempts", Attempts), ("r.dead.ndjson", letters_of)])
def test_a_damaged_file_is_said(tmp_path: Path, name: str, read: Callable[[Path, str], object]) -> None:
    """A file that is not what it should be is an error of one line, never a wrong count."""
    (tmp_path / name).write_bytes(b"{\n")

    with pytest.raises(HomeError, match="damaged"):
        read(tmp_path, "r")


def test_patience_outlasts_every_box() -> None:
    """Comparisons that end themselves are never ended from outside, whatever the settings."""
    assert patience(Differ()) == 16.0
    assert patience(Differ(time_ms=60_000)) > 3 * 60 * 8


def test_letters_are_told_once_and_forgotten_one_by_one(tmp_path: Path) -> None:
    """A letter met again takes the place of its former self; one that is taken away leaves the others."""
    attempt = Attempts(tmp_path, RUN)
    attempt.add(ASIDE, HERE, "slow")
    letters = [letter_of(RUN, HERE, observation(n, CHANGED), attempt.found[HERE], 1) for n in (2, 0, 1)]
    for letter in (*letters, letters[0]):
        tell(tmp_path, letter)

    assert [one.seq for one in letters_of(tmp_path, RUN)] == [0, 1, 2]
    assert runs_with_letters(tmp_path) == {RUN}
    forget(tmp_path, RUN, [letters[1].id, "another"])
    assert [one.seq for one in letters_of(tmp_path, RUN)] == [1, 2]
    assert len({one.digest for one in letters}) == 3
