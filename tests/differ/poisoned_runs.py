"""Runs that were fired at a version whose answers are poison, for the tests of what is set aside."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from console import comparing as conducting
from differ.letters import topic_of
from echolane.exchange import Body, Response
from echolane.frame import OBSERVATIONS, encode_frame
from echolane.home import Home, open_home
from echolane.journal import open_journal
from echolane.observation import ANSWERED, Observation, Shot, TargetInfo
from echolane.recordings import Recording
from echolane.runspec import RunSpec
from echolane.store import Store

RUN = "01930000-0000-7000-8000-00000000dead"
POISONED = Path(__file__).with_name("poisoned_worker.py")
BASE, CHANGED = b'{"price":1}', b'{"price":2}'
FRAME = 5
"""Exchanges of one frame."""


def spec() -> RunSpec:
    """A run of four targets."""
    targets = [TargetInfo(f"http://127.0.0.1:{9000 + n}") for n in range(4)]
    return RunSpec(RUN, "shop", Recording("r", "shop", 0, "everything", []), targets, started_at_ns=1)


def shot(data: bytes) -> Shot:
    """An answer."""
    return Shot(ANSWERED, "", Response(200, "1.1", [(b"Content-Type", b"application/json")], Body(data, len(data))))


def observation(number: int, branch: bytes, base: bytes = BASE) -> Observation:
    """An exchange in which branch says something else."""
    shots = [shot(base), Shot(ANSWERED, same_as=0), shot(branch), Shot(ANSWERED, same_as=2)]
    return Observation(f"x{number:05d}", number, 1, "GET /items", "GET", f"/items?{number}", 200, 1_000 + number, shots)


def poison(way: str) -> bytes:
    """An answer at which the poisoned worker does that."""
    return b'{"price":"poison:%b"}' % way.encode()


def observed(path: Path, branches: list[bytes], base: bytes = BASE) -> Home:
    """A home in which a run was fired."""
    home = open_home(path)
    journal = open_journal(home.path)
    journal.create(topic_of(RUN), 1)
    items = [observation(n, data, base) for n, data in enumerate(branches)]
    frames = [
        encode_frame(items[at : at + FRAME], kind=OBSERVATIONS, partition=0, first_ns=1, last_ns=2)
        for at in range(0, len(items), FRAME)
    ]
    journal.append(topic_of(RUN), 0, frames)
    journal.close()
    return home


def poisonable(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on comparisons fall for poison."""
    for name, module in (("WORKER", "worker"), ("SECOND_LOOK", "second_look")):
        monkeypatch.setattr(conducting, name, [sys.executable, str(POISONED), module])


def rows_of(store: Store) -> list[dict[str, Any]]:
    """The rows of the run, one an exchange."""
    return store.query(
        "SELECT seq, verdict, reason, position, version FROM results_v WHERE run = {run:String} ORDER BY seq",
        {"run": RUN},
    )
