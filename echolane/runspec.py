"""What a run was asked to do: the record that its processes share and that ``--resume`` reads again."""

from __future__ import annotations

import msgspec

from echolane.lost import NOTHING, Lost
from echolane.observation import TargetInfo
from echolane.recorded_hosts import NOWHERE, Origins
from echolane.recordings import Recording
from echolane.rules import Rule
from echolane.settings import Differ
from echolane.triage import Decision
from echolane.writes import WriteRule


class Firing(msgspec.Struct, frozen=True):
    """How a run is fired, beside its pace and its concurrency."""

    think_max_s: float = 0.0
    """Recorded pauses longer than this are cut to it; 0 leaves them."""
    late: str = "fire"
    """What becomes of an exchange that is late: ``fire`` it nevertheless, or ``skip`` it."""
    late_after_s: float = 1.0
    """How late it must be to be skipped."""
    stop_on: list[str] = []
    """Conditions that end it early (:mod:`replayer.stopping`)."""
    writes: list[WriteRule] = []
    """Which writes are fired; the first that fits decides, and what none fits is fired."""
    adaptive: bool = False
    """Whether the run's concurrency is only the most, and adapted to how each target answers."""
    dry_run_header: str = ""
    """The header that writes carry so that they change nothing; empty where they are meant."""
    lane_check: bool = True
    """Whether a lane must be proven before it is fired into."""


class RunSpec(msgspec.Struct, frozen=True):
    """One run, as planned. Kept as JSON in the store's ``runs.spec``."""

    run: str
    service: str
    recording: Recording
    targets: list[TargetInfo]
    """Four, in the order of :data:`echolane.observation.TARGETS`."""
    pace: str = "max"
    concurrency: int = 16
    """Requests in flight per target; 1 fires strictly one exchange after another in recorded order."""
    methods: str = "safe"
    """``safe`` (GET, HEAD, OPTIONS) or ``all``."""
    allow_hosts: list[str] = []
    allow_writes: list[str] = []
    networks: list[str] | None = None
    """In which the branch may be, beside public addresses; None where it may be anywhere that its name leads."""
    seed: int = 0
    """Of the order in which the targets of one exchange are fired."""
    base_cmd: str = ""
    branch_cmd: str = ""
    folder: str = ""
    """Where copies are started: the caller's folder."""
    differ: Differ = Differ()
    """The bounds of one comparison."""
    sample_controls: bool = False
    """Whether controls are spared at endpoints whose noise is known."""
    started_at_ns: int = 0
    rules: list[Rule] = []
    """Those that hold for this service, day and branch, in the order in which rows number them."""
    stop_early: bool = False
    """Whether the rest is skipped once a change is sure."""
    partitions: int = 0
    """Of the work of a run that workers share; 0 where the process that was asked does it."""
    branch_name: str = ""
    """What the branch is called, where rules are bound to branches."""
    firing: Firing = Firing()
    base_version: str = ""
    """The name of the version that base is (for ``git:REF CMD`` its commit), to which its noise profile is bound; empty where it is unknown."""
    triage: list[Decision] = []
    """What was said of findings and in force when the run began, at most one of each; its rules are the last of ``rules``."""
    addresses: list[str] = []
    """Where the check before the first request found each of ``targets``, and before it where each is pinned: empty where a name
    is to be looked up. There are none in specs of older versions."""
    protected: list[str] = []
    """What it must not fire at; whoever fires adds what it is told itself (:mod:`echolane.protected`)."""
    lost: Lost = NOTHING
    """What of ``recording`` could not be read when the run was planned; nothing before that, and in specs of older versions."""
    origins: Origins = NOWHERE
    """Where ``recording`` comes from and which targets must be elsewhere, once the run is planned; nothing in specs of older versions."""
