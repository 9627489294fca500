"""`echolane` that dies by kill -9 at a point that random moments rarely meet: a program for tests, never imported.

    DIES_AT=POINT:N dying_cli.py worker …

At the N-th time of a point it is over: ``intent`` (the word before an unsafe request is durable, the request is not sent), ``append``
(observations are durable, and it is not committed how far they reach), ``rows`` (results are stored, and that is not committed).
Product code has no such hook; this program puts one around it and then is the process.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from console import comparing, main
from differ import worker
from replayer.intents import Intents
from replayer.observing import Observer

POINT, _, NTH = os.environ.get("DIES_AT", "").partition(":")


def deadly(function: Callable[..., Any], left: int) -> Callable[..., Any]:
    """The function, and after its ``left``-th return the end."""

    def call(*args: Any) -> Any:
        nonlocal left
        found = function(*args)
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    return call


def once(start: Callable[..., None]) -> Callable[..., None]:
    """Starting a process, of which only the first one dies."""

    def call(process: comparing.Process) -> None:
        start(process)
        os.environ.pop("DIES_AT", None)

    return call


if __name__ == "__main__":
    if POINT == "intent":
        Intents.append = deadly(Intents.append, int(NTH))  # type: ignore[method-assign]
    elif POINT == "append":
        Observer._append = deadly(Observer._append, int(NTH))  # type: ignore[method-assign]
    elif POINT == "rows":
        worker.flush_rows = deadly(worker.flush_rows, int(NTH))
    if sys.argv[1] == "differ":
        sys.exit(worker.main(sys.argv[2:]))
    comparing.WORKER[:] = [sys.executable, str(Path(__file__).resolve()), "differ"]
    comparing.Process._start = once(comparing.Process._start)  # type: ignore[method-assign]
    sys.exit(main.main())
