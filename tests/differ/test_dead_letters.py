"""An answer that holds up or ends whoever compares it is set aside, looked at alone, and given up after three deaths."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from console import comparing as conducting
from console.conduct import save_run
from differ.attempts import AGAIN, ATTEMPTS_MAX, Attempts, Place
from differ.close import close_run
from differ.letters import letters_of
from differ.watch import HARD_S, SOFT_S, TICK_S
from echolane.errors import EcholaneError
from echolane.home import Home
from echolane.ledger import run_identities
from echolane.settings import Differ
from echolane.store import Store, open_store
from tests.differ.poisoned_runs import CHANGED, RUN, observed, poison, poisonable, rows_of, spec
from tests.waiting import wait_until

COMPUTED_S = 2 * (SOFT_S + 0.1) + 1.5
"""Computing of the worker until the rows of all neighbours of two poisonous answers are there, its start included: what they have waited
for, however busy the machine is."""


def compared(home: Home, store: Store, neighbours: set[int]) -> tuple[float, set[int]]:
    """Compare the run; what the worker computed until its neighbours were done, and which others had a row by then."""
    save_run(store, spec(), "running")
    since = time.monotonic()
    with conducting.comparing(home, spec()):
        while not neighbours <= (found := {row["seq"] for row in rows_of(store)}):
            assert time.monotonic() - since < 300, f"no row of {neighbours - found}"
            time.sleep(0.05)
        computed_s = cpu_s(int.from_bytes((home.runs / f"{RUN}.at").read_bytes()[:8], sys.byteorder))
    return computed_s, found - neighbours


def cpu_s(process: int) -> float:
    """What a process has computed."""
    words = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("way", ["exit", "fault", "memory", "loop", "hold"])
def test_a_pair_that_kills_its_worker_becomes_a_dead_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Three deaths, then not compared, with reason, place and digest; its neighbours hardly wait, and the ledger balances."""
    poisonable(monkeypatch)
    branches = [CHANGED] * 23
    # One where each death costs seconds of computing.
    places = {7: Place(0, 1, 2)} if way in {"loop", "hold"} else {7: Place(0, 1, 2), 19: Place(0, 3, 4)}
    for number in places:
        branches[number] = poison(way)
    home, poisonous = observed(tmp_path, branches), set(places)
    with open_store(home.path) as store:
        computed_s, early = compared(home, store, set(range(23)) - poisonous)
        rows = rows_of(store)
        result = close_run(store, spec(), state="finished", reason="", selected=23, fired_per_s=1.0)

    assert computed_s < COMPUTED_S
    if way in {"loop", "hold"}:
        assert not early, "neighbours waited until the poison was given up"
    assert [row["seq"] for row in rows] == list(range(23))
    assert {row["seq"] for row in rows if row["verdict"] == "not_compared"} == poisonous
    assert {row["reason"] for row in rows if row["seq"] in poisonous} == {"dead-letter"}
    assert all(row["verdict"] == "differs" for row in rows if row["seq"] not in poisonous)
    assert result["ledger"]["not_compared"] == {"dead-letter": len(places)}
    assert run_identities(result["ledger"]) == []
    assert result["groups"][0]["differing"] == 23 - len(places)
    letters = letters_of(home.runs, RUN)
    assert [(one.seq, one.place, one.deaths) for one in letters] == [(*item, ATTEMPTS_MAX) for item in places.items()]
    assert all(one.reason and len(one.digest) == 32 for one in letters)
    assert Attempts(home.runs, RUN).pending == []


def test_neighbours_wait_a_second() -> None:
    """What one exchange may take of the worker, ended politely or by the kernel, leaves room within a second for what follows."""
    assert SOFT_S + TICK_S < HARD_S < 1


def test_an_answer_that_is_merely_slow_gets_its_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes longer than its neighbours may wait is compared beside them, costs nobody a process, and is no dead letter."""
    poisonable(monkeypatch)
    said: list[str] = []
    monkeypatch.setattr(conducting, "say", said.append)
    branches = [CHANGED] * 12
    branches[2] = branches[8] = poison("slow")
    home, slow = observed(tmp_path, branches), {2, 8}
    with open_store(home.path) as store:
        computed_s, _ = compared(home, store, set(range(12)) - slow)
        rows = rows_of(store)

    assert computed_s < COMPUTED_S
    assert [(row["seq"], row["verdict"], row["version"]) for row in rows] == [(n, "differs", 1) for n in range(12)]
    assert [one.deaths for one in Attempts(home.runs, RUN).found.values()] == [0, 0]
    assert (letters_of(home.runs, RUN), said) == ([], [])


def is_within(at: Path) -> bool:
    """Whether a process is within a comparison."""
    return at.exists() and at.read_bytes()[-8:] not in {b"", bytes(8)}


def stopped_within(process: int, at: Path) -> bool:
    """Stop a process; if it stands outside a comparison by then, let it go on. This process may itself have stood still."""
    os.kill(process, signal.SIGSTOP)
    wait_until(lambda: Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "T")
    if is_within(at):
        return True
    os.kill(process, signal.SIGCONT)
    return False


def test_a_kill_of_either_process_loses_and_doubles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed within a slow comparison, the second look goes on from there; every exchange has one row in the end."""
    poisonable(monkeypatch)
    branches = [CHANGED] * 12
    branches[2] = branches[8] = poison("slow")
    home = observed(tmp_path, branches)
    with open_store(home.path) as store:
        save_run(store, spec(), "running")
        kept = conducting.second
        started: list[conducting._Process] = []

        def second(*given: object) -> conducting._Process:
            started.append(kept(*given))  # pyright: ignore[reportArgumentType]
            return started[-1]

        monkeypatch.setattr(conducting, "second", second)
        with conducting.comparing(home, spec()):
            at = home.runs / f"{RUN}.aside.at"
            wait_until(lambda: started and is_within(at) and stopped_within(started[0].process.pid, at), 300)
            os.kill(started[0].process.pid, signal.SIGKILL)
        rows = rows_of(store)
        whole = store.query("SELECT count() AS n FROM results_v WHERE run = {run:String}", {"run": RUN})
        result = close_run(store, spec(), state="finished", reason="", selected=12, fired_per_s=1.0)

    assert [(row["seq"], row["verdict"]) for row in rows] == [(n, "differs") for n in range(12)]
    assert whole == [{"n": 12}]
    assert sum(one.deaths for one in Attempts(home.runs, RUN).found.values()) == 1
    assert run_identities(result["ledger"]) == []


def test_what_a_run_left_pending_is_looked_at_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions are committed beyond what was set aside, so a run that goes on finds it in the file, not in the topic."""
    poisonable(monkeypatch)
    branches = [CHANGED] * 7
    branches[3] = poison("slow")
    home = observed(tmp_path, branches)
    with open_store(home.path) as store:
        save_run(store, spec(), "running")
        both = conducting._Comparing(home, RUN)
        both._worker.let_go()
        both._worker.process.wait(300)
        assert {row["seq"] for row in rows_of(store)} == set(range(7)) - {3}
        both._worker.kill()

        with conducting.comparing(home, spec()):
            pass
        assert [(row["seq"], row["verdict"]) for row in rows_of(store)] == [(n, "differs") for n in range(7)]


def test_a_second_look_takes_other_bounds(tmp_path: Path) -> None:
    """What is compared again is compared within the bounds that are given, and by those of the run where none are."""
    deep = b'{"a":' * 20 + b'[{"k":%d}]' + b"}" * 20
    home = observed(tmp_path, [deep % 2], base=deep % 1)
    attempts = Attempts(home.runs, RUN)
    with open_store(home.path) as store:
        save_run(store, spec(), "running")
        found: list[tuple[str, str, int]] = []
        for bounds in (Differ(depth=1), None, Differ(depth=1)):
            attempts.add(AGAIN, Place(0, 0, 0))
            conducting.finish(conducting.second(home, RUN, attempts, bounds))
            (row,) = rows_of(store)
            found.append((row["verdict"], row["reason"], row["version"]))

    assert found == [("uncomparable", "too-deep", 2), ("differs", "", 3), ("uncomparable", "too-deep", 4)]


def test_a_worker_that_dies_elsewhere_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be laid to an observation is forgiven once, not for ever."""
    monkeypatch.setattr(conducting, "WORKER", [sys.executable, "-c", "raise SystemExit('no such luck')"])
    home = observed(tmp_path, [])

    with pytest.raises(EcholaneError, match=r"failed twice.*no such luck"), conducting.comparing(home, spec()):
        pass


def test_a_process_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that neither computes nor ends is killed after its bound, and is an error in the end."""
    monkeypatch.setattr(conducting, "WORKER", [sys.executable, "-c", "import time; time.sleep(600)"])
    monkeypatch.setattr(conducting, "HUNG_S", 0.5)
    home = observed(tmp_path, [])

    with pytest.raises(EcholaneError, match=r"failed twice \(-9\)"), conducting.comparing(home, spec()):
        pass
