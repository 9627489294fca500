"""The compiled form of the differ in a process of its own, measured round by round beside the pure one (:mod:`bench.comparing`)."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from select import select

from echolane import compiled

ROUND_WAIT_S = 60
"""A round takes a third of a second and one comparison; a process that says nothing for so long is stuck."""


class CompiledForm:
    """A process that compares with the compiled form; its rates are of its own CPU time."""

    def __init__(self) -> None:
        env = {**os.environ, compiled.PURE: "0"}
        command = [sys.executable, "-m", "bench.forms"]
        self._process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def per_s(self, size: str, case: str) -> float:
        """Pairs a second in one round."""
        sent, said = self._process.stdin, self._process.stdout
        assert sent is not None
        assert said is not None
        sent.write(f"{size}\t{case}\n")
        sent.flush()
        if not select([said], [], [], ROUND_WAIT_S)[0]:
            raise RuntimeError(f"the compiled form says nothing of {size} {case} within {ROUND_WAIT_S} s")
        line = said.readline()
        if not line:
            raise RuntimeError(f"the compiled form ended at {size} {case} with status {self._process.wait()}")
        return float(line)

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(ROUND_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def compiled_form() -> CompiledForm | None:
    """The compiled form, where it was built from the source that is measured."""
    return CompiledForm() if compiled.built("differ")[0] == "compiled" else None


def main() -> None:
    """Measure what each line of stdin names; one rate a line."""
    from bench.comparing import ROUND_S, SIZES, cases, ours, per_s

    for line in sys.stdin:
        size, case = line.rstrip("\n").split("\t")
        print(per_s(ours(*cases(SIZES[size])[case]), ROUND_S), flush=True)


if __name__ == "__main__":
    main()
