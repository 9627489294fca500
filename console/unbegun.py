"""The result of a run that came to nothing: refused, a target that is away, nothing recorded, Ctrl-C before the first shot (design §6).

Whoever reads the files of a run (CI, a pull request's comment) then finds why there is no verdict, and not the files of the run before.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from console.output import say
from console.outputs import write_outputs
from differ.result import iso
from echolane import ids
from echolane.errors import EcholaneError, Inconclusive, RefusedForSafety, TargetUnavailable
from echolane.lost import Unread
from echolane.observation import TARGETS, TargetInfo
from echolane.runspec import RunSpec

CODES: dict[type[BaseException], str] = {
    TargetUnavailable: "target-unavailable",
    RefusedForSafety: "refused",
    Inconclusive: "nothing-compared",
    KeyboardInterrupt: "interrupted",
}
"""The reason code by what ended it. What was asked for wrongly (exit 2) is no run."""
STOPPED = "the run was interrupted before it had a result"


@dataclass(slots=True)
class Attempt:
    """What is known of a run by the time at which it comes to nothing."""

    service: str = ""
    targets: Sequence[TargetInfo] = ()
    run: str = ""
    begun_ns: int = field(default_factory=time.time_ns)

    def known(self, spec: RunSpec) -> RunSpec:
        """The run as it was asked for, which is handed on."""
        self.service, self.targets, self.run, self.begun_ns = spec.service, spec.targets, spec.run, spec.started_at_ns
        return spec


@contextmanager
def told(args: argparse.Namespace) -> Generator[Attempt]:
    """Write the files that were asked for also where the block ends without a result. What ended it goes on its way."""
    attempt = Attempt(args.service or "")
    try:
        yield attempt
    except KeyboardInterrupt:
        write_outputs(args, result_of(attempt, CODES[KeyboardInterrupt], STOPPED))
        go_on = f"; if it had begun: echolane run --resume {attempt.run}" if attempt.run else ""
        say(f"{STOPPED}{go_on}")
        raise
    except EcholaneError as error:
        if code := next((code for kind, code in CODES.items() if isinstance(error, kind)), ""):
            lost = {"lost": error.lost.result()} if isinstance(error, Unread) else {}
            write_outputs(args, result_of(attempt, code, str(error)) | lost)
        raise


def result_of(attempt: Attempt, code: str, reason: str) -> dict[str, Any]:
    """The result: nothing was fired, and why."""
    now, targets = time.time_ns(), dict(zip(TARGETS, attempt.targets, strict=False))
    nothing: dict[str, Any] = {"selected": 0, "skipped": {}, "fired": 0, "answered": dict.fromkeys(TARGETS, 0)}
    nothing |= {name: {} for name in ("failed", "spared", "in_doubt", "not_compared")}
    nothing |= dict.fromkeys(("compared", "same", "noise_only", "undecided", "different"), 0)
    return {
        "schema": "echolane/run/1",
        "run": attempt.run or ids.uuid7(now),
        "service": attempt.service,
        "verdict": "inconclusive",
        "reason_code": code,
        "reason": reason,
        "targets": {
            name: {"url": targets[name].url, "lane": targets[name].lane}
            if name in targets
            else {"url": "", "lane": None}
            for name in TARGETS
        },
        "fidelity": None,
        "ledger": nothing | {"uncomparable": {}, "unaccounted": 0},
        "groups": [],
        "noise": [],
        "expected": [],
        "undecided": [],
        "started_at": iso(attempt.begun_ns),
        "finished_at": iso(now),
        "rates": {"fired_per_s": 0},
    }
