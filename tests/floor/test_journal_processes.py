"""Several processes at one journal: turns, a holder that hangs or dies, readers beside a writer, and kill -9 at any instant."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from echolane.errors import HomeError
from echolane.frame import INTENTS, decode_frame, encode_frame
from echolane.journal import open_journal, turns, writing
from echolane.observation import Intent

ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import os, sys, threading
from pathlib import Path
from echolane.frame import INTENTS, encode_frame
from echolane.journal import open_journal, writing
from echolane.observation import Intent

home, name, count, segment = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
writing.SEGMENT_BYTES = segment
journal = open_journal(home)
journal.create("t", 2)

def work(thread):
    for n in range(count):
        word = f"{name}.{thread}.{n}"
        intents = [[Intent(word, half, os.urandom(500).hex(), n)] for half in range(2)]
        frames = [encode_frame(i, kind=INTENTS, partition=0, first_ns=1, last_ns=1) for i in intents]
        positions = journal.append("t", thread % 2, frames)
        os.write(1, f"{thread % 2} {positions[0]} {word}\\n".encode())

threads = [threading.Thread(target=work, args=(t,)) for t in range(3)]
for t in threads: t.start()
for t in threads: t.join()
"""
HOLDER = """
import sys, time
from pathlib import Path
from echolane.journal.turns import turn
with turn(Path(sys.argv[1]), "topic t"):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def started(script: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A script as a process of its own, killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=120)


def acknowledged_in(output: bytes) -> dict[tuple[int, int], str]:
    """What a writer was told to be durable: (partition, position) and the word that stands there."""
    lines = [line.split() for line in output.decode().splitlines(keepends=True) if line.endswith("\n")]
    return {(int(partition), int(position)): word for partition, position, word in lines}


def read_words(home: Path) -> dict[tuple[int, int], str]:
    """All entries of topic ``t``; nothing may be damaged and no position missing."""
    journal = open_journal(home)
    found: dict[tuple[int, int], str] = {}
    for partition in range(2):
        entries = [(e.position, decode_frame(e.frame, Intent)[0].exchange) for e in journal.read("t", partition)]
        assert [position for position, _ in entries] == list(range(journal.end("t", partition)))
        found |= {(partition, position): word for position, word in entries}
    assert journal.damaged("t") == 0
    journal.close()
    return found


@pytest.mark.parametrize("seed", range(4))
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, seed: int) -> None:
    """Killed at a random instant, with threads in commits and segments rolling: every acknowledged frame is there, none twice."""
    chance, acknowledged = random.Random(seed), dict[tuple[int, int], str]()
    for round_ in range(2):
        with started(WRITER, tmp_path, f"r{round_}", 100_000, chance.choice([1, 100_000, 1 << 30])) as writer:
            assert select.select([writer.stdout], [], [], 120)[0]
            time.sleep(chance.random() * 0.25)
            writer.send_signal(signal.SIGKILL)
            output, errors = writer.communicate(timeout=120)
        assert not errors
        acknowledged |= acknowledged_in(output)

    found = read_words(tmp_path)

    assert acknowledged
    for (partition, position), word in acknowledged.items():
        assert found[partition, position] == found[partition, position + 1] == word
    words = list(found.values())
    assert all(words.count(word) == 2 for word in words[-50:])
    journal = open_journal(tmp_path)
    end = journal.end("t", 0)
    assert journal.append("t", 0, [encode_frame([], kind=INTENTS, partition=0, first_ns=1, last_ns=1)]) == [end]
    journal.close()


def test_two_writers_and_their_readers_share_a_topic(tmp_path: Path) -> None:
    """Two processes append while two read along: positions are given once, and every reader sees each of them once, in order."""
    reader = open_journal(tmp_path)
    reader.create("t", 2)
    seen: list[list[int]] = [[], []]
    outputs: list[bytes] = []
    with started(WRITER, tmp_path, "a", 40, 100_000) as one, started(WRITER, tmp_path, "b", 40, 100_000) as two:
        deadline = time.monotonic() + 240  # each append waits for the disk, which others write to
        while sum(map(len, seen)) < 480 and time.monotonic() < deadline:
            for partition in range(2):
                at = len(seen[partition])
                seen[partition] += [e.position for e in reader.read("t", partition, at)]
            time.sleep(0.005)
        for writer in (one, two):
            output, errors = writer.communicate(timeout=120)
            assert not errors
            outputs.append(output)
    reader.close()

    found = read_words(tmp_path)

    assert [positions == list(range(len(positions))) for positions in seen] == [True, True]
    assert [len(positions) for positions in seen] == [320, 160]
    told = [acknowledged_in(output) for output in outputs]
    assert not told[0].keys() & told[1].keys()
    assert {key: found[key] for key in told[0] | told[1]} == told[0] | told[1]


def test_a_holder_that_hangs_is_named_and_one_that_dies_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped writer makes others fail in bounded time with its number; killed with -9 its turn is free at once."""
    monkeypatch.setattr(turns, "TURN_WAIT_S", 0.3)
    journal = open_journal(tmp_path)
    journal.create("t", 1)
    frame = encode_frame([], kind=INTENTS, partition=0, first_ns=1, last_ns=1)
    journal.append("t", 0, [frame])
    lock = next(tmp_path.glob("journal/t/*/writer.lock"))
    with started(HOLDER, lock) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        os.kill(holder.pid, signal.SIGSTOP)

        with pytest.raises(
            HomeError, match=rf"process {holder.pid} \(`.*`\) has been writing topic t for 0 s"
        ) as caught:
            journal.append("t", 0, [frame])
        assert "\n" not in str(caught.value)
        assert [e.position for e in journal.read("t", 0)] == [0]

        holder.kill()
        holder.wait(60)
        assert journal.append("t", 0, [frame]) == [1]
    journal.close()


def test_a_forked_child_does_not_keep_the_turn(tmp_path: Path) -> None:
    """A child that was forked during a commit inherits the open lock; it must not hold it beyond the commit: else the turn is never had."""
    with turns.turn(tmp_path / "lock", "topic t"):
        child = os.fork()
        if child == 0:
            time.sleep(600)
            os._exit(0)
    try:
        with turns.turn(tmp_path / "lock", "topic t"):
            assert os.waitpid(child, os.WNOHANG) == (0, 0), "it lives, with the lock that it inherited"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_reader_survives_that_its_segment_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retention by another process does not disturb who reads: what is gone is skipped, nothing counts as damaged."""
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 1)
    journal, other = open_journal(tmp_path), open_journal(tmp_path)
    journal.create("t", 1)
    for n in range(5):
        journal.append(
            "t", 0, [encode_frame([Intent("e", 0, "w", n)], kind=INTENTS, partition=0, first_ns=1, last_ns=1)]
        )
    reading = journal.read("t", 0)
    first = next(reading)

    assert other.expire("t", time.time_ns()) == 4

    assert [first.position, *(e.position for e in reading)] == [0, 4]
    assert journal.begin("t", 0) == 4
    assert journal.damaged("t") == 0
    journal.close()
    other.close()
