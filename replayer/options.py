"""How a run is to be fired, and what came of it: the words between :mod:`replayer.fire` and who calls it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from echolane.exchange import Exchange, Request
from echolane.observation import Observation
from replayer.breaker import PROBE_GAP_S
from replayer.connection import Patience
from replayer.health import PROBE_PATIENCE
from replayer.hiding import Hiding
from replayer.idempotency import Keys
from replayer.keeper import Source
from replayer.keeping import Keeping
from replayer.observing import Mask
from replayer.parts import Gate, Sampling, every
from replayer.stopping import Condition
from replayer.wire import OpenSeal

DRAIN_S = 5.0
"""After Ctrl-C a person waits this long for what is in the air, then it is given up and counted as cancelled."""


def never() -> bool:
    """The answer of a run that fires all it has."""
    return False


def no_halt() -> str:
    """The kill switch of a run that has none."""
    return ""


def _as_recorded(exchange: Exchange) -> Request:
    return exchange.request


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How a run fires."""

    concurrency: int = 16
    adaptive: bool = False
    """Whether that is the most, and what each target gets follows from how it answers (:mod:`replayer.limits`)."""
    paced: bool = False
    seed: int = 0
    patience: Patience = field(default_factory=Patience)
    mark_key: bytes = b"\0" * 32
    mask: Mask | None = None
    """Applied to each answer before it leaves this process's memory."""
    open_seal: OpenSeal | None = None
    keeping: Keeping | None = None
    """Seals what answers gave and is masked in them, and opens what others sealed."""
    hiding: Hiding = field(default_factory=lambda: Hiding(os.urandom(32)))
    """Masks what is said of a rewrite."""
    keys: Keys | None = None
    """Idempotency keys of the run's own, in place of the recorded ones."""
    sources: Sequence[Source | None] = (None, None, None, None)
    """Of each target whose credentials are others than the recorded ones."""
    original: Callable[[Exchange], Request] = _as_recorded
    """A request with its seal opened, for who makes a credential of the recorded one."""
    sampling: Sampling = every
    dry_run_header: str = ""
    """The header that writes carry; empty where they are meant (:mod:`replayer.dryrun`)."""
    dry_run_silent: Sequence[str] = ()
    """Targets that did not echo it."""
    retry_after_max_s: float = 30.0
    """How long a target is given at once that asks for time (Retry-After); 0 for never."""
    stop_on: Sequence[Condition] = ()
    late_ns: int = 0
    """Exchanges that are later than this are skipped; 0 for none."""
    probe_gap_s: float = PROBE_GAP_S
    probe_patience: Patience = PROBE_PATIENCE
    drain_s: float = DRAIN_S
    decided: Callable[[], bool] = never
    """Asked ten times a second: once it says so, no more is fired, and the rest is ``skipped{decided}``."""
    halted: Callable[[], str] = no_halt
    """Asked ten times a second: once it says why, nothing is sent any more, and what is in the air is given up."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a run is fired here: all of it, or one partition that others may take over (:mod:`replayer.slices`)."""

    partition: int = 0
    partitions: int = 1
    thread: Executor | None = None
    """The journal's thread, where it is shared with other parts."""
    gate: Gate | None = None
    """Who has one looks for itself whether the run may go on, over all parts."""
    durable: Callable[[Sequence[Observation]], None] | None = None
    """Told of observations that are in the journal."""


WHOLE = Part()


@dataclass(slots=True)
class ReplaySummary:
    """What a replay did."""

    state: str = "finished"
    """``finished``, ``interrupted``, ``stopped`` (by a condition) or ``unavailable``."""
    reason: str = ""
    """For a person; empty when finished."""
    selected: int = 0
    fired: int = 0
    """Exchanges fired by this process."""
    shots: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    seconds: float = 0.0
    lateness_us_p50: float = 0.0
    lateness_us_p99: float = 0.0
    retry_after: dict[str, dict[str, float | int]] = field(default_factory=dict[str, dict[str, float | int]])
    """By target, how often it asked for time, and what it was given."""
    concurrency: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    """Where it was adaptive: the fewest places that each target had, and those at the end."""
    notes: Sequence[str] = ()
    """What else a person should know."""
    down: str = ""
    """The name of the target that is unavailable."""
    paused: list[str] = field(default_factory=list[str])
    """Identities whose credentials did not work at a target, in words."""

    def was_late(self, ns: Sequence[int]) -> None:
        """Take in by how many nanoseconds shots were late, in rising order."""
        if ns:
            self.lateness_us_p50, self.lateness_us_p99 = (ns[int(len(ns) * part)] / 1000 for part in (0.5, 0.99))

    @property
    def rate_per_s(self) -> float:
        """Exchanges fired a second."""
        return self.fired / self.seconds if self.seconds else 0.0
