"""Ask the functions of custom rules, in a process with a time box: one that crashes, hangs or prints costs no more than its answer.

The other end is :mod:`differ.rules_plugin`. Functions are entry points of the group ``echolane.matchers``, so a rule in a repository
can name only what was installed, never code of its own.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points

import orjson

from differ.rules import Pair, Unanswered
from differ.watch import SetAside
from echolane import log
from echolane.rules import FUNCTIONS

START_S = 20.0
"""Until the process is there: it imports this package, on a machine that is busy comparing."""
ANSWER_S = 2.0
"""For all values of one place, the import of the function's own package included. Functions are asked in the data path."""
AT_ONCE_S = 0.5
"""Of these, where others wait behind the exchange: then it is set aside, and asked again where nothing waits."""
HANGS_MAX = 3
"""After so many in a row of one function its exchanges are set aside without asking."""
FAILURES_MAX = 10
"""After so many faults of one function it is not asked again: at two seconds each, a run would not end."""
ANSWER_BYTES_MAX = 64 * 1024
"""Of an answer: a thousand times ``false`` are 6 KiB."""


def installed() -> frozenset[str]:
    """The names of all functions that rules may ask."""
    return frozenset(entry_points(group=FUNCTIONS).names)


class Hung(Unanswered):
    """It gave no answer in time."""


class Functions:
    """The process and its conversation; starts at the first question. ``aside``: who does not answer in time sets the exchange aside."""

    def __init__(self, answer_s: float = ANSWER_S, *, aside: bool = False) -> None:
        self._answer_s, self._aside = answer_s, aside
        self._hangs: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._failures: dict[str, int] = {}
        self._number = 0
        """Of the last question, which its answer repeats: what a child of a function says later answers no other question."""

    def __call__(self, name: str, where: str, kind: str, pairs: list[Pair]) -> list[bool]:
        """Whether a function explains each pair of values. Raises Unanswered, or SetAside."""
        if self._hangs.get(name, 0) >= HANGS_MAX:
            raise SetAside(f"function `{name}` gave no answer within {self._answer_s:g} s, {HANGS_MAX} times in a row")
        if self._failures.get(name, 0) >= FAILURES_MAX:
            raise Unanswered(f"function `{name}` failed {FAILURES_MAX} times and is not asked again")
        try:
            found = self._asked({"function": name, "where": where, "kind": kind, "pairs": pairs}, len(pairs))
        except Unanswered as error:
            if self._aside and isinstance(error, Hung):
                self._hangs[name] = self._hangs.get(name, 0) + 1
                raise SetAside(f"function `{name}`: {error}") from error
            self._failures[name] = self._failures.get(name, 0) + 1
            log.event("rule.failed", function=name, why=str(error))
            raise
        self._hangs.pop(name, None)
        return found

    def _asked(self, question: dict[str, object], count: int) -> list[bool]:
        process = self._process or self._start()
        self._number += 1
        try:
            self._send(process, orjson.dumps({**question, "number": self._number}) + b"\n")
            line = self._line(process, self._answer_s)
        except Unanswered:
            self.close()
            raise
        try:
            number, answer = orjson.loads(line)
        except (ValueError, TypeError) as error:
            self.close()
            raise Unanswered("it wrote what is no answer") from error
        if number != self._number:
            self.close()
            raise Unanswered("it answered another question")
        if isinstance(answer, str):
            raise Unanswered(answer)
        if not isinstance(answer, list) or len(answer) != count:  # pyright: ignore[reportUnknownArgumentType]
            self.close()
            raise Unanswered("it answered something else than was asked")
        return answer  # pyright: ignore[reportUnknownVariableType]

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = process = subprocess.Popen(
            [sys.executable, "-P", "-m", "differ.rules_plugin", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
        try:
            self._line(process, START_S)
        except Unanswered as error:
            self.close()
            raise Unanswered("its process did not start") from error
        return process

    def _send(self, process: subprocess.Popen[bytes], data: bytes) -> None:
        """Write a question; a process that does not read it is as good as one that does not answer."""
        if process.stdin is None:
            raise Unanswered("its process has no stdin")
        number, deadline, rest = process.stdin.fileno(), time.monotonic() + self._answer_s, memoryview(data)
        os.set_blocking(number, False)
        while rest:
            if not select.select([], [number], [], max(0.0, deadline - time.monotonic()))[1]:
                raise Hung(f"it read nothing for {self._answer_s:g} s")
            try:
                rest = rest[os.write(number, rest) :]
            except OSError as error:
                raise Unanswered("its process ended") from error

    def _line(self, process: subprocess.Popen[bytes], seconds: float) -> bytes:
        if process.stdout is None:
            raise Unanswered("its process has no stdout")
        number, deadline, found = process.stdout.fileno(), time.monotonic() + seconds, bytearray()
        while not found.endswith(b"\n"):
            if not select.select([number], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise Hung(f"it gave no answer within {seconds:g} s")
            data = os.read(number, ANSWER_BYTES_MAX)
            if not data or len(found) > ANSWER_BYTES_MAX:
                raise Unanswered("its process ended")
            found += data
        return bytes(found)

    def close(self) -> None:
        """End the process; the next question starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
