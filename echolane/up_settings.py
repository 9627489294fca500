"""Settings of `echolane up`: how many workers it has, how it starts again what dies, and how long it lets a part drain."""

from __future__ import annotations

import msgspec

MARK = "ECHOLANE_UP"
"""The environment's variable by which the processes of one `echolane up` are known: ``ID:HOME``. Set by it, for what it starts."""
WHAT = {
    "up.replay_workers": "replay workers of `echolane up`, where runs are shared (replay.workers, or a journal on Kafka); none elsewhere",
    "up.diff_workers": "and diff workers",
    "up.drain_s": "seconds that each part has to end in good order when it is stopped; then it is killed",
    "up.still_s": "seconds without a sign of life after which a part is started again; ten times as many in waits for journal and store",
    "up.restart_s": "seconds until a part that died is started again; twice as many after each further failure",
    "up.restart_max_s": "and at most so many",
    "up.failures": "failures, each within 30 s of a start, after which a part is held, and not ready",
    "up.held_s": "seconds until a held part is tried again",
}
"""What each means."""
BOUNDS: dict[str, tuple[float, float]] = {
    "up.replay_workers": (0, 64),
    "up.diff_workers": (0, 64),
    "up.drain_s": (0.1, 3600),
    "up.still_s": (2, 86_400),
    "up.restart_s": (0.01, 60),
    "up.restart_max_s": (0.01, 600),
    "up.failures": (1, 1000),
    "up.held_s": (0.1, 86_400),
}


class Up(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How `echolane up` keeps its parts."""

    replay_workers: int = 1
    diff_workers: int = 1
    drain_s: float = 60.0
    """Longer than a recorder's and the server's own bounds together, which are 40 s."""
    still_s: float = 60.0
    """Loops turn many times a second and what takes long is done beside them, so a minute is no pause. Where one waits, for journal (30 s)
    and store (60 s) in turn, or closes a run of millions of exchanges (half a minute each), it says so and has ten minutes."""
    restart_s: float = 0.2
    restart_max_s: float = 10.0
    failures: int = 5
    held_s: float = 60.0
