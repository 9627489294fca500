"""The compiled form of the differ in a process of its own, measured round by round beside the pure one (:mod:`bench.comparing`)."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from select import select

from compiling.building import ROOM, NotBuilt, build
from echolane import compiled

ROUND_WAIT_S = 300
"""A round takes a third of a second, the first of a case some seconds more to make its pairs, all of it longer on a busy machine;
a process that says nothing for so long is stuck."""


class CompiledForm:
    """A process that compares with the compiled modules of a folder; its rates are of its own CPU time."""

    def __init__(self, folder: Path) -> None:
        env = {**os.environ, compiled.PURE: "1"}
        command = [sys.executable, "-m", "bench.forms", str(folder)]
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


def compiled_form() -> CompiledForm | str:
    """The compiled form: what ``make compiled`` built, else what is built now and used for nothing else; or why there is none."""
    if compiled.built(ROOM)[0] == "compiled":
        return CompiledForm(compiled.BUILT / ROOM)
    folder = compiled.BUILT.with_name("compiled.bench")
    try:
        build(folder)
    except NotBuilt as error:
        return str(error).split("\n", 1)[0]
    return CompiledForm(folder / ROOM)


def main() -> None:
    """Measure what each line of stdin names; one rate a line."""
    import differ

    differ.__path__.insert(0, sys.argv[1])
    from bench.comparing import ROUND_S, ours, pairs_of, per_s

    call = functools.lru_cache(1)(lambda size, case: ours(pairs_of(size, case)))  # one after the other
    for line in sys.stdin:
        size, case = line.rstrip("\n").split("\t")
        print(per_s(call(size, case), ROUND_S), flush=True)


if __name__ == "__main__":
    main()
