"""The account of a capture: who records, counters of relay and recorder that outlive both, and the ledger that people see.

Each ``echolane record`` is a session with an epoch of its own and two mapped files: the relay counts what it has ``seen``, what it dropped
and what it ``delivered`` into the pipe; the recorder counts what it ``stored`` and dropped. Whatever dies, the rest follows by subtraction:
delivered and neither stored nor dropped died with the recorder, seen and not delivered died with the relay. What a recorder was appending when
it died is asked of the journal (:func:`recover`), so the account is exact to the exchange.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from echolane.errors import HomeError
from echolane.frame import FrameDamaged, decode_frame
from echolane.home import Home
from echolane.journal import Journal
from echolane.lease import is_held
from echolane.ledger import Counters, Counts, read_counters, steady_counters, summed
from echolane.recordings import topic_of

SESSIONS_KEPT = 1000
"""Sessions whose counters are kept, 16 KiB each; older ones have told what they had to tell."""
OPEN, FROM, BASE, FIRST = "append.open", "append.from", "append.base", "append.first"
"""An append that has begun: its partition + 1, the position it cannot be before, what was stored before it, and its first ``seq``.

A request that a broker was slow to take may still land after it was given up and sent again; by the last one it is known for an older one.
"""
SPOOLED = "spooled"
"""Exchanges that wait on the disk for a journal that is away (:mod:`capture.spool`)."""
NOT_LOSSES = ("dropped{filtered}", "dropped{sampled}", "dropped{replayed}")
"""Dropped on purpose and before an exchange has its ``seq``; everything else leaves a gap there."""
NOTES = ("upgraded", "upstream-refused", "forged-marks")


class Glance(msgspec.Struct, array_like=True, gc=False):
    """The beginning of a recorded exchange: whose it is. The rest is not decoded."""

    id: str
    service: str
    agent: str
    epoch: int
    seq: int


class Recorded(Protocol):
    """Whose exchanges are asked for: a session, or an import."""

    @property
    def service(self) -> str:
        """The service."""
        ...

    @property
    def agent(self) -> str:
        """Who stored them."""
        ...

    @property
    def epoch(self) -> int:
        """In which of its lives."""
        ...


class Session(NamedTuple):
    """One start of ``echolane record``."""

    service: str
    agent: str
    epoch: int
    folder: Path

    @property
    def relay(self) -> Path:
        """The relay's counters."""
        return self.folder / f"capture.{self.service}.{self.epoch}.relay"

    @property
    def recorder(self) -> Path:
        """The recorder's counters."""
        return self.folder / f"capture.{self.service}.{self.epoch}.recorder"

    @property
    def lock(self) -> Path:
        """Held while the session's relay (or import) lives."""
        return self.folder / f"capture.{self.service}.{self.epoch}.lock"

    @property
    def recorder_lock(self) -> Path:
        """Held while a recorder of it lives."""
        return self.folder / f"capture.{self.service}.{self.epoch}.recorder.lock"

    @property
    def lives(self) -> bool:
        """Whether somebody still carries exchanges of this session."""
        return is_held(self.lock) or is_held(self.recorder_lock)


class _Agent(msgspec.Struct):
    """Who records a service in a home, and how often it has started."""

    agent: str
    epoch: int


def next_session(home: Home, service: str) -> Session:
    """A new session: the agent is fixed for a home and service, its epoch one more than the last."""
    path = home.ledger / f"agent.{service}.json"
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # for the microseconds that another start takes
        epochs = [session.epoch for session in sessions(home, service)]
        try:
            known = msgspec.json.decode(path.read_bytes(), type=_Agent)
        except (OSError, msgspec.DecodeError):
            known = _Agent(os.urandom(4).hex(), 0)
        known.epoch = max([known.epoch, *epochs]) + 1
        session = Session(service, known.agent, known.epoch, home.ledger)
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(msgspec.json.encode(known))
        part.replace(path)
    except OSError as error:
        raise HomeError(f"ledger `{home.ledger}` cannot be used: {error.strerror}") from error
    finally:
        os.close(descriptor)
    for epoch in epochs[:-SESSIONS_KEPT]:
        old = Session(service, known.agent, epoch, home.ledger)
        for file in (old.recorder, old.lock, old.recorder_lock, old.relay):
            file.unlink(missing_ok=True)
    return session


def sessions(home: Home, service: str) -> list[Session]:
    """All sessions of a service, oldest first."""
    try:
        agent = msgspec.json.decode((home.ledger / f"agent.{service}.json").read_bytes(), type=_Agent).agent
    except (OSError, msgspec.DecodeError):
        agent = ""
    found = [int(path.name.split(".")[-2]) for path in home.ledger.glob(f"capture.{service}.*.relay")]
    return [Session(service, agent, epoch, home.ledger) for epoch in sorted(found)]


def recorders(home: Home) -> list[str]:
    """Services that were captured in this home, imports among them, by name."""
    return sorted({path.name.split(".")[1] for path in home.ledger.glob("capture.*.*.relay")})


def recover(journal: Journal, session: Session, counters: Counters) -> None:
    """Count what a recorder that died in the middle of an append had stored: the journal knows. Safe to repeat."""
    counters.set("stored", stored_by(journal, session, counters.read()))
    counters.set(OPEN, 0)


def stored_by(journal: Journal, session: Recorded, counts: Mapping[str, int]) -> int:
    """How many exchanges a recorder has in the journal."""
    if not counts.get(OPEN):
        return counts.get("stored", 0)
    return counts.get(BASE, 0) + len(landed(journal, session, counts))


def landed(journal: Journal, session: Recorded, counts: Mapping[str, int]) -> set[int]:
    """Which exchanges of the append that has begun are in the journal, by their ``seq``."""
    found: set[int] = set()
    topic, whose, first = topic_of(session.service), (session.agent, session.epoch), counts.get(FIRST, 0)
    if counts.get(OPEN) and topic in journal.topics():
        for entry in journal.read(topic, counts[OPEN] - 1, counts.get(FROM, 0)):
            try:
                glances = decode_frame(entry.frame, Glance)
            except FrameDamaged:
                continue
            found.update(one.seq for one in glances if (one.agent, one.epoch) == whose and one.seq >= first)
    return found


def losses(counts: Mapping[str, int]) -> int:
    """What a recorder lost after it was delivered."""
    return summed(counts, "dropped") - sum(counts.get(name, 0) for name in NOT_LOSSES)


def settle(journal: Journal | None, session: Session) -> Counts:
    """Close the account of a session whose processes are gone: its ledger. Safe to repeat, and at any later time.

    What only a journal that is away can tell, or what waits on the disk, is left to the next recorder (:mod:`capture.outbox`).
    """
    recorder = Counters(session.recorder)
    try:
        if recorder.get(OPEN) and (journal is None or recorder.get(SPOOLED)):
            return ledger_of(session)
        if journal is not None:
            recover(journal, session, recorder)
        for name, count in missing(read_counters(session.relay), recorder.read()).items():
            recorder.add(name, count)
    finally:
        recorder.close()
    return _ledger(read_counters(session.relay), read_counters(session.recorder))


def settle_dead(home: Home, journal: Journal, service: str) -> None:
    """Close the accounts of sessions that were killed; one that somebody still carries is left for the next time."""
    for session in sessions(home, service):
        if not _balanced(session) and not session.lives:
            settle(journal, session)


def copied(session: Session) -> dict[str, bytes]:
    """Its counters as files, for a backup; while nobody can append to its topic, so that they fit what the topic holds.

    The recorder's first: what the relay has counted since then was on its way at that moment.
    """
    found: dict[str, bytes] = {}
    for path in (session.recorder, session.relay):
        try:
            found[path.name] = steady_counters(path)
        except FileNotFoundError:  # a session that begins just now, or one that is forgotten
            continue
    return found


def ledger_of(session: Session) -> Counts:
    """The ledger of one session as it is now: what is on its way counts as spooled while somebody lives who carries it."""
    carried = session.lives
    relay, recorder = read_counters(session.relay), read_counters(session.recorder)
    counts = _ledger(relay, recorder)
    for name, count in missing(relay, recorder).items():
        counts[SPOOLED if carried else name] = counts.get(SPOOLED if carried else name, 0) + count
    return counts


def total_ledger(home: Home, service: str) -> Counts:
    """The ledger of a service over all its sessions."""
    total: Counts = {}
    for session in sessions(home, service):
        for name, value in ledger_of(session).items():
            total[name] = total.get(name, 0) + value
    return total


def spooled(home: Home, service: str) -> tuple[str, str] | None:
    """How much of a service waits on the disk, and who sends it; None where nothing does."""
    waiting = total_ledger(home, service).get(SPOOLED, 0)
    if not waiting:
        return None
    alive = any(session.lives for session in sessions(home, service))
    do = "" if alive else f"echolane record --service {service} sends them when the journal answers"
    return f"{waiting} exchanges of {service} wait in {home.spool}", do


def ledger_line(counts: Mapping[str, int]) -> str:
    """``seen 12 = stored 11 + spooled 0 + dropped{filtered} 1``."""
    dropped = "".join(f" + {name} {value}" for name, value in sorted(counts.items()) if name.startswith("dropped{"))
    notes = "".join(f"; {name} {counts[name]}" for name in NOTES if counts.get(name))
    return f"seen {counts.get('seen', 0)} = stored {counts.get('stored', 0)} + spooled {counts.get('spooled', 0)}{dropped}{notes}"


def _ledger(relay: Mapping[str, int], recorder: Mapping[str, int]) -> Counts:
    counts: Counts = {
        "seen": relay.get("seen", 0),
        "stored": recorder.get("stored", 0),
        SPOOLED: recorder.get(SPOOLED, 0),
    }
    for name, value in [*relay.items(), *recorder.items()]:
        if value and (name.startswith("dropped{") or name in NOTES):
            counts[name] = counts.get(name, 0) + value
    return counts


def missing(relay: Mapping[str, int], recorder: Mapping[str, int]) -> Counts:
    """What neither side accounts for, by who had it last."""
    settled = recorder.get("stored", 0) + recorder.get(SPOOLED, 0) + summed(recorder, "dropped")
    lost = relay.get("seen", 0) - summed(relay, "dropped") - settled
    with_recorder = min(lost, max(0, relay.get("delivered", 0) - settled))
    found = {"dropped{recorder-died}": with_recorder, "dropped{relay-died}": lost - with_recorder}
    return {name: value for name, value in found.items() if value}


def _balanced(session: Session) -> bool:
    recorder = read_counters(session.recorder)
    return not recorder.get(OPEN) and not missing(read_counters(session.relay), recorder)
