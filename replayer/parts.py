"""What the firing of a run works with, and who has a say in it. :mod:`replayer.fire` puts it together, :mod:`replayer.firing` uses it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from replayer.carrying import Carriers
from replayer.connection import Patience, Pool
from replayer.dryrun import DryRun
from replayer.flight import Flight
from replayer.hiding import Hiding
from replayer.keeper import Keeper
from replayer.partners import Asking, Taking
from replayer.restraint import Restraint
from replayer.schedule import Schedule
from replayer.stopping import Watch
from replayer.targets import Target

Spawn = Callable[[Coroutine[Any, Any, None]], object]
"""Runs a coroutine as a task of the run's."""
Sampling = Callable[[str, int], bool]
"""(endpoint, how many of it were fired before) → whether the controls get this one, too."""


def every(endpoint: str, nth: int) -> bool:  # noqa: ARG001
    """Controls get everything."""
    return True


def thinned(endpoint: str, nth: int) -> bool:  # noqa: ARG001
    """Controls get the first 200 of an endpoint, then every fifth: enough to see its noise move."""
    return nth < 200 or nth % 5 == 0


def no_skip(flight: Flight, reason: str) -> None:
    """Nobody is told."""


class Gate(Protocol):
    """Who has a say in the firing of a part of a run that is shared with other workers."""

    def may_fire(self) -> bool:
        """Whether anything may be fired now."""
        ...

    def may_write(self) -> bool:
        """Whether what came of it is still for this worker to write down."""
        ...

    def has_room(self) -> bool:
        """Whether the worker has a place for one flight more, whatever part it is of."""
        ...

    def landed(self) -> None:
        """A place is free; let whoever has least in the air fire."""
        ...


@dataclass(slots=True)
class Parts:
    """What the firing works with."""

    targets: Sequence[Target | None]
    """Four places; None where a run has no such target."""
    pools: Sequence[Pool | None]
    schedule: Schedule
    observer: Taking
    intents: Asking
    hiding: Hiding
    """So that no secret stands in what is said of a rewrite."""
    concurrency: int = 16
    adaptive: bool = False
    """Whether it is only the most, and adapted to how each target answers."""
    seed: int = 0
    sampling: Sampling = every
    paced: bool = False
    restraint: Restraint = field(default_factory=lambda: Restraint(0.0))
    """What targets asked for."""
    watch: Watch = field(default_factory=lambda: Watch(()))
    """What would end the run."""
    dry_run: DryRun | None = None
    """What is known of the echo of a dry run, where writes are one."""
    late_ns: int = 0
    """An exchange that is later than this is skipped; 0 for however late."""
    skip: Callable[[Flight, str], None] = no_skip
    """Told of an exchange that is not fired after all, and why."""
    gate: Gate | None = None
    carriers: Carriers | None = None
    """What the targets gave before, where anything is known of that."""
    keeper: Keeper | None = None
    """Credentials, where any target gets others than the recorded ones."""


def pools_of(targets: Sequence[Target | None], spawn: Spawn, patience: Patience, idle_max: int) -> list[Pool | None]:
    """Connections to each target, as many idle ones kept as are ever in use."""
    return [Pool(target.address, spawn, patience=patience, idle_max=idle_max) if target else None for target in targets]
