"""A disk that fails: a system call of the journal's files, or of the spool's, ends with an error, once or from then on.

``strace`` has the N-th such call fail; N is drawn, the seed is printed, and ``ECHOLANE_SEED`` has the same again.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from capture.spool import SENT
from echolane.clock import SYSTEM
from echolane.frame import decode_frame
from echolane.journal.sqlite import SqliteJournal
from echolane.observation import Intent

ROOT = Path(__file__).resolve().parents[2]
SEED = int(os.environ.get("ECHOLANE_SEED", "0")) or random.randrange(1 << 30)
TOPIC = "shop.1"
FAULTS = {"fdatasync": 150, "fsync": 5, "pwrite64": 450, "ftruncate": 50}
"""Calls that the script makes at least, of those that write: which one fails is drawn among so many."""
ERRORS = ("EIO", "ENOSPC")
SCRIPT = """
import os, sys
from pathlib import Path
from capture.spool import Spool
from echolane.clock import SYSTEM
from echolane.errors import EcholaneError
from echolane.frame import INTENTS, encode_frame
from echolane.journal.sqlite import SqliteJournal
from echolane.observation import Intent

def said(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def frames(n):
    return [encode_frame([Intent(f"e{n}.{m}", 0, os.urandom(2500).hex(), n)], kind=INTENTS, partition=0, first_ns=1, last_ns=1) for m in range(2)]

def until_done(do):
    for _ in range(5):
        try:
            return do()
        except EcholaneError as error:
            assert "\\n" not in str(error) and str(error), error
            said("refused", type(error).__name__)
    said("for ever")
    raise SystemExit(0)

journal = until_done(lambda: SqliteJournal(Path(sys.argv[1]), SYSTEM, 40_000))
if sys.argv[2] == "spool":
    spool = Spool(journal, "shop.1", 2)
    for n in range(12):
        some = frames(n)
        stop = until_done(lambda: spool.append(n % 2, some))
        said("acked", n % 2, n, stop - 2, stop - 1)
        if n % 3 == 2:
            batch = until_done(spool.next)
            said("sent", batch.partition, batch.stop)
            until_done(lambda: spool.sent(batch.partition, batch.stop))
            said("committed", batch.partition, batch.stop)
else:
    until_done(lambda: journal.create("shop.1", 2))
    for n in range(12):
        some = frames(n)
        positions = until_done(lambda: journal.append("shop.1", n % 2, some))
        said("acked", n % 2, n, *positions)
        until_done(lambda: journal.commit("sent", "shop.1", n % 2, positions[-1] + 1))
        said("committed", n % 2, positions[-1] + 1)
journal.close()
said("done")
"""


@pytest.fixture(scope="module")
def strace(require: Callable[..., str], lacking: Callable[[str], None]) -> str:
    """The program, where it may trace and make a call fail."""
    program = require("strace", hint="apt-get install strace")
    words = [program, "-qq", "-o", os.devnull, "-e", "inject=getppid:error=EIO:when=1", "true"]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        lacking("needs a kernel that lets strace trace and make calls fail")
    return program


def check_kept(folder: Path, words: list[list[str]]) -> None:
    """Whoever comes when the disk is well reads all that was acknowledged, once and in its place, and no half append."""
    journal = SqliteJournal(folder, SYSTEM)
    kept: dict[tuple[int, int], str] = {}
    if TOPIC in journal.topics():
        for partition in range(2):
            for entry in journal.read(TOPIC, partition):
                kept[partition, entry.position] = decode_frame(entry.frame, Intent)[0].exchange
        assert journal.damaged(TOPIC) == 0
    for _, partition, number, *positions in [one for one in words if one[0] == "acked"]:
        assert [kept.get((int(partition), int(at))) for at in positions] == [f"e{number}.{half}" for half in range(2)]
    assert len(set(kept.values())) == len(kept), kept
    assert len(kept) % 2 == 0, "an append is stored whole or not at all"
    for _, partition, stop in [one for one in words if one[0] == "committed"]:
        assert journal.committed(SENT, TOPIC, int(partition)) >= int(stop)
    journal.create("after", 1)
    journal.close()


@pytest.mark.parametrize("call", FAULTS)
@pytest.mark.parametrize("door", ["journal", "spool"])
def test_a_call_that_fails_loses_nothing_acknowledged(tmp_path: Path, strace: str, door: str, call: str) -> None:
    """A write or sync of the disk that fails is one clear refusal, what was acknowledged is there, and work goes on when the disk does."""
    chance = random.Random(f"{SEED} {door} {call}")
    when, error, stays = chance.randint(1, FAULTS[call]), chance.choice(ERRORS), chance.random() < 0.3
    print(f"ECHOLANE_SEED={SEED}: {door}, {call} number {when}{' and all later ones' if stays else ''}: {error}")
    folder, trace = tmp_path / "journal", tmp_path / "trace"
    inject = f"inject={call}:error={error}:when={when}{'+' if stays else ''}"
    command = [strace, "-f", "-qq", "-o", str(trace), "-e", f"trace={call}", "-e", inject, sys.executable, "-c", SCRIPT]

    done = subprocess.run(
        [*command, str(folder), door], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "(INJECTED)" in trace.read_text(), "the call did not come so often"
    words = [line.split() for line in done.stdout.splitlines()]
    assert words[-1] == (["for", "ever"] if stays and ["done"] not in words else ["done"])
    check_kept(folder, words)
