"""An answer that kills whoever compares it is set aside after three times; its neighbours never notice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from console import comparing as conducting
from console.conduct import save_run
from differ.attempts import ATTEMPTS_MAX, Attempts, Place, deaths_of, patience, settle
from differ.close import close_run
from echolane.errors import EcholaneError
from echolane.exchange import Body, Response
from echolane.frame import OBSERVATIONS, encode_frame
from echolane.home import Home, open_home
from echolane.journal import open_journal
from echolane.ledger import run_identities
from echolane.observation import ANSWERED, Observation, Shot, TargetInfo
from echolane.recordings import Recording
from echolane.runspec import RunSpec
from echolane.settings import Differ
from echolane.store import open_store

RUN = "0193-poison"
WORKER = Path(__file__).with_name("poisoned_worker.py")


def spec() -> RunSpec:
    """A run of four targets."""
    targets = [TargetInfo(f"http://127.0.0.1:{9000 + n}") for n in range(4)]
    return RunSpec(RUN, "shop", Recording("r", "shop", 0, "everything", []), targets, started_at_ns=1)


def shot(data: bytes) -> Shot:
    """An answer."""
    return Shot(ANSWERED, "", Response(200, "1.1", [(b"Content-Type", b"application/json")], Body(data, len(data))))


def observation(number: int, branch: bytes) -> Observation:
    """An exchange in which branch says something else."""
    base = b'{"price":1}'
    shots = [shot(base), Shot(ANSWERED, same_as=0), shot(branch), Shot(ANSWERED, same_as=2)]
    return Observation(f"x{number:05d}", number, 1, "GET /items", "GET", f"/items?{number}", 200, 1_000 + number, shots)


def observed(path: Path, branches: list[bytes]) -> Home:
    """A home in which a run was fired, in frames of five."""
    home = open_home(path)
    journal = open_journal(home.path)
    topic = f"observations.{RUN}"
    journal.create(topic, 1)
    items = [observation(n, data) for n, data in enumerate(branches)]
    frames = [
        encode_frame(items[at : at + 5], kind=OBSERVATIONS, partition=0, first_ns=1, last_ns=2)
        for at in range(0, len(items), 5)
    ]
    journal.append(topic, 0, frames)
    journal.close()
    return home


@pytest.mark.parametrize("way", ["exit", "fault", "memory", "loop"])
def test_a_pair_that_kills_its_worker_becomes_a_dead_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Three deaths, then not compared, with reason, place and digest; every neighbour has its row and the ledger balances."""
    monkeypatch.setattr(conducting, "COMMAND", [sys.executable, str(WORKER)])
    branches = [b'{"price":2}'] * 23
    branches[7] = branches[19] = b'{"price":"poison:%b"}' % way.encode()
    home = observed(tmp_path, branches)
    with open_store(home.path) as store:
        save_run(store, spec(), "running")
        with conducting.comparing(home, spec()):
            pass
        rows = store.query(
            "SELECT seq, verdict, reason, position FROM results_v WHERE run = {run:String} ORDER BY seq", {"run": RUN}
        )
        result = close_run(store, spec(), state="finished", reason="", selected=23, fired_per_s=1.0)

    assert [row["seq"] for row in rows] == list(range(23))
    assert {row["seq"] for row in rows if row["verdict"] == "not_compared"} == {7, 19}
    assert {row["reason"] for row in rows if row["seq"] in {7, 19}} == {"dead-letter"}
    assert all(row["verdict"] == "differs" for row in rows if row["seq"] not in {7, 19})
    assert result["ledger"]["not_compared"] == {"dead-letter": 2}
    assert run_identities(result["ledger"]) == []
    assert result["groups"][0]["differing"] == 21
    letters = [orjson.loads(line) for line in (home.runs / f"{RUN}.dead.ndjson").read_bytes().splitlines()]
    assert [(one["seq"], one["position"], one["record"], one["deaths"]) for one in letters] == [
        (7, 1, 2, 3),
        (19, 3, 4, 3),
    ]
    assert all(one["reason"] and len(one["digest"]) == 32 for one in letters)


def test_a_worker_that_dies_elsewhere_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be laid to an observation is forgiven once, not for ever."""
    monkeypatch.setattr(conducting, "COMMAND", [sys.executable, "-c", "raise SystemExit('no such luck')"])
    home = observed(tmp_path, [])

    with pytest.raises(EcholaneError, match=r"failed twice.*no such luck"), conducting.comparing(home, spec()):
        pass


DIES = """
import os, sys
from pathlib import Path
from differ.attempts import Attempts, Place
attempts = Attempts(Path(sys.argv[1]), "r")
attempts.enter(Place(0, 1, 2))
attempts.leave()
if len(sys.argv) > 2:
    attempts.enter(Place(1, 2, 3))
    os.kill(os.getpid(), 9)
os._exit(0)
"""


def ended(folder: Path, *how: str) -> int:
    """A process that compares one observation and, where told so, dies at the next."""
    return subprocess.run([sys.executable, "-c", DIES, str(folder), *how], check=False).returncode


def test_deaths_are_counted_once_each_and_outlive_everybody(tmp_path: Path) -> None:
    """A process that ends between comparisons counts nothing; one that dies within counts once, whoever looks how often."""
    assert ended(tmp_path) == 0
    assert settle(tmp_path, "r", "x") == {}
    for deaths in range(1, ATTEMPTS_MAX + 1):
        assert ended(tmp_path, "die") == -signal.SIGKILL
        assert deaths_of(tmp_path, "r", "killed") == deaths_of(tmp_path, "r", "again") == deaths
        attempts = Attempts(tmp_path, "r")
        assert attempts.is_dead(Place(1, 2, 3)) is (deaths >= ATTEMPTS_MAX)
        assert not attempts.is_dead(Place(0, 1, 2))
        attempts.close()


def test_a_living_worker_is_no_death(tmp_path: Path) -> None:
    """Who looks while a comparison goes on counts nothing."""
    attempts = Attempts(tmp_path, "r")
    attempts.enter(Place(0, 0, 0))

    assert settle(tmp_path, "r", "x") == {}
    attempts.leave()
    attempts.close()


def test_a_newcomer_of_the_same_number_is_not_the_one_that_died(tmp_path: Path) -> None:
    """In a container the next worker may get the number of the dead one."""
    before = Attempts(tmp_path, "r")
    before.enter(Place(0, 0, 0))
    signal.setitimer(signal.ITIMER_PROF, 0)
    before.close()

    after = Attempts(tmp_path, "r")
    assert [one.deaths for one in after.counted.values()] == [1]
    after.close()


def test_patience_outlasts_every_box() -> None:
    """Comparisons that end themselves are never ended from outside, whatever the settings."""
    assert patience(Differ()) == 16.0
    assert patience(Differ(time_ms=60_000)) > 3 * 60 * 8


def test_a_damaged_counter_is_said(tmp_path: Path) -> None:
    """A file that is not what it should be is an error of one line, never a wrong count."""
    (tmp_path / "r.attempts").write_bytes(b"{")

    with pytest.raises(EcholaneError, match="damaged"):
        settle(tmp_path, "r", "x")


def letters(home: Home) -> list[dict[str, Any]]:
    """The dead letters of the run."""
    path = home.runs / f"{RUN}.dead.ndjson"
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def test_a_letter_is_told_once(tmp_path: Path) -> None:
    """A worker that dies later and meets it again does not tell it twice."""
    home = open_home(tmp_path)
    for _ in range(ATTEMPTS_MAX):
        process = os.fork()
        if process == 0:
            Attempts(home.runs, RUN).enter(Place(0, 0, 0))
            os._exit(9)
        os.waitpid(process, 0)
        settle(home.runs, RUN, "9")
    attempts = Attempts(home.runs, RUN)
    for _ in range(2):
        assert attempts.letter(Place(0, 0, 0), observation(0, b"x")).not_compared == "dead-letter"
    attempts.close()

    assert len(letters(home)) == 1
