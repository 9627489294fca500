"""What each target answered to one exchange: the record between replayer and differ.

An observation holds one :class:`Shot` per target, in the order of :data:`TARGETS`. An answer whose bytes equal an earlier
shot's is stored once (``same_as``), which is what most answers of a healthy branch are. Answers are decoded
(Content-Encoding undone) and masked with the installation's key before they reach the journal.
"""

from __future__ import annotations

import msgspec

from echolane.exchange import Headers, Response

TARGETS = ("base", "control", "branch", "branch_control")
BASE, CONTROL, BRANCH, BRANCH_CONTROL = range(4)

ANSWERED, FAILED, IN_DOUBT, SPARED = "answered", "failed", "in_doubt", "spared"
"""Outcomes of a shot. ``failed`` and ``spared`` have a reason."""
FAILURES = (
    "refused",
    "reset",
    "closed",
    "timeout",
    "connect-timeout",
    "first-byte-timeout",
    "garbage",
    "too-large",
    "unavailable",
)
"""Reasons of ``failed``. ``closed``: the connection ended before any byte of the answer, or before its head was whole."""
SPARINGS = ("sampled", "unsafe", "paused")


class Shot(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One request at one target and what came of it."""

    outcome: str
    reason: str = ""
    answer: Response | None = None
    """Set when ``outcome`` is answered and ``same_as`` is -1. ``answer.incomplete``: its body was shorter than announced."""
    same_as: int = -1
    """Index of the earlier shot of this observation with the same answer, byte for byte; else -1."""
    sent_at_ns: int = 0
    """Wall clock when the first byte of the request was handed to the socket; 0 when it never was."""
    duration_ns: int = 0
    """From sending to the last byte of the answer."""
    attempts: int = 1
    rewrites: list[str] = []
    """What was rewritten for this target, in words (``cookie sid``)."""


class Observation(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An exchange and what each target answered."""

    exchange: str
    seq: int
    attempt: int
    """Grows when an exchange is fired again (resume, retry); the highest attempt replaces the earlier ones whole."""
    endpoint: str
    method: str
    target: str
    recorded_status: int
    """Status of the recorded response; 0 when none was recorded."""
    fired_at_ns: int
    """Wall clock of the first shot; 0 when skipped."""
    shots: list[Shot]
    """Four, in the order of TARGETS; empty when ``skipped`` or ``not_compared`` is set."""
    skipped: str = ""
    not_compared: str = ""
    """``in-doubt``, ``dead-letter``, ``cancelled`` or ``unavailable``; fired, but no comparison can be made."""
    lateness_ns: int = 0
    """Sending against the due time; waiting for a predecessor (``session_wait_ns``) is not lateness."""
    session_wait_ns: int = 0
    sealed: bytes = b""
    """What these answers gave that later requests take and that is masked in them (a session's cookie), under the installation's seal:
    for whoever goes on with the run (:mod:`replayer.keeping`)."""
    authority: str = ""
    """The recorded authority, where some targets were called by it and others were not: what echoes it differs by nothing else."""

    def answer_of(self, index: int) -> Response | None:
        """The answer of one target, through ``same_as``; None unless it answered."""
        shot = self.shots[index]
        return self.shots[shot.same_as].answer if shot.same_as >= 0 else shot.answer


class Intent(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The durable word before an unsafe request is fired: only the first intent for (exchange, target) may fire."""

    exchange: str
    target: int
    worker: str
    attempt: int


class DeadWord(msgspec.Struct, array_like=True, frozen=True):
    """One thing that is said about a dead letter where the journal is shared (:mod:`differ.shared_letters`)."""

    what: str
    id: str
    """That of its row in ``results``; empty with a word about the run."""
    exchange: str
    version: int
    """That of the row which goes with it."""
    at_ns: int
    letter: bytes = b""
    """With ``dead`` the letter, as JSON."""


ERASED_WORD = "erased"
"""That a letter is gone, and what stands in the place of one whose words were erased."""


class TargetInfo(msgspec.Struct, frozen=True, omit_defaults=False):
    """One target of a run as the result shows it, with what must be masked in its answers."""

    url: str
    lane: str | None = None
    own_instance: bool = True
    """False when a control is the same process as its twin (``--control`` not given): copies agree by construction."""
    managed: bool = False
    """Whether Echolane started it (``--base-cmd``)."""
    host: str = "target"
    """What it is called in Host: ``target`` (as its URL says), ``recorded``, or a name (:mod:`echolane.authorities`)."""


__all__ = ["DeadWord", "Headers", "Intent", "Observation", "Response", "Shot", "TargetInfo"]
