"""The process in which functions of custom rules run: ``python -m differ.rules_plugin``. Its other end is :mod:`differ.rules_custom`.

One question a line on stdin, one answer a line on what was stdout: JSON. What a function prints goes nowhere, since both of its streams lead to
the null device. A function takes ``where``, ``kind``, ``base`` and ``branch`` (values as JSON holds them; None where one is missing) and
says True when the difference is as it should be.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import orjson

from echolane.rules import FUNCTIONS
from echolane.service import die_with_parent

MEMORY_MAX = 2 * 1024 * 1024 * 1024
"""Address space of this process, so that a function which eats memory ends itself and nobody else."""


def function_of(name: str) -> Callable[..., object]:
    """An installed function by the name of its entry point."""
    found: Any = next(iter(entry_points(group=FUNCTIONS, name=name))).load()
    return found


def answers(function: Callable[..., object], question: dict[str, Any]) -> list[bool]:
    """What a function says of each pair of values; anything but True and False is a fault."""
    found: list[bool] = []
    for pair in question["pairs"]:
        base, branch = (None if text is None else orjson.loads(text) for text in pair)
        said = function(where=question["where"], kind=question["kind"], base=base, branch=branch)
        if not isinstance(said, bool):
            raise TypeError(f"answered {type(said).__name__}, not True or False")
        found.append(said)
    return found


def main(parent: int) -> None:
    """Answer until the questions end."""
    die_with_parent(parent, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    questions, out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    functions: dict[str, Callable[..., object]] = {}
    out.write(b"ready\n")
    out.flush()
    for line in questions:
        question: dict[str, Any] = orjson.loads(line)
        name = question["function"]
        try:
            if name not in functions:
                functions[name] = function_of(name)
            answer: object = answers(functions[name], question)
        except Exception as error:  # noqa: BLE001 - a foreign function may raise anything; SystemExit ends the process, which is an answer too
            answer = type(error).__name__  # its text may hold what was captured, which no log may
        out.write(orjson.dumps([question["number"], answer]) + b"\n")
        out.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
