"""The account of a capture: mapped counters of relay and recorder, sessions that died, and the ledger people see.

Each start of ``echolane record`` is a session with an epoch of its own: two files of counters, one written by its relay, one by its
recorder (:class:`echolane.ledger.Counters`). The kernel keeps both when the processes die, so a ledger can always be read: what was handed
over and neither stored nor dropped is ``spooled`` while the session lives, and a loss with its reason once it is over.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import msgspec

from echolane.exchange import Exchange
from echolane.frame import FrameDamaged, decode_frame
from echolane.home import Home
from echolane.journal import Journal
from echolane.lease import is_held
from echolane.ledger import Counters, Counts, read_counters, summed
from echolane.recordings import topic_of


class Session(NamedTuple):
    """One start of a recorder."""

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
        """Held while the session's relay lives."""
        return self.folder / f"capture.{self.service}.{self.epoch}.lock"


class _Agent(msgspec.Struct):
    """Who records a service in a home, and how often it has started."""

    agent: str
    epoch: int


def next_session(home: Home, service: str) -> Session:
    """A new session: the agent's id is fixed for a home and service, its epoch one more than the last."""
    path = home.ledger / f"agent.{service}.json"
    try:
        known = msgspec.json.decode(path.read_bytes(), type=_Agent)
    except (OSError, msgspec.DecodeError):
        epochs = [int(found.name.split(".")[-2]) for found in home.ledger.glob(f"capture.{service}.*.relay")]
        known = _Agent(os.urandom(4).hex(), max(epochs, default=0))
    known.epoch += 1
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(msgspec.json.encode(known))
    part.replace(path)
    return Session(service, known.agent, known.epoch, home.ledger)


def sessions(home: Home, service: str) -> list[Session]:
    """All sessions of a service, oldest first."""
    found = [int(path.name.split(".")[-2]) for path in home.ledger.glob(f"capture.{service}.*.relay")]
    return [Session(service, "", epoch, home.ledger) for epoch in sorted(found)]


def ledger_of(session: Session) -> Counts:
    """The ledger of one session, balanced whether it lives, has ended or was killed."""
    relay, recorder = read_counters(session.relay), read_counters(session.recorder)
    counts: Counts = {"seen": relay.get("seen", 0), "stored": recorder.get("stored", 0), "spooled": 0}
    for name, value in [*relay.items(), *recorder.items()]:
        if name.startswith("dropped{"):
            counts[name] = counts.get(name, 0) + value
    for name in ("upgraded", "upstream-refused"):
        if name in relay:
            counts[name] = relay[name]
    missing = counts["seen"] - counts["stored"] - summed(counts, "dropped")
    if missing and is_held(session.lock):
        counts["spooled"] = missing
    elif missing:
        not_handed = max(
            0,
            relay.get("seen", 0)
            - relay.get("handed", 0)
            - summed(relay, "dropped")
            + relay.get("dropped{recorder-died}", 0),
        )
        for name, number in (
            ("dropped{relay-died}", min(not_handed, missing)),
            ("dropped{recorder-died}", missing - min(not_handed, missing)),
        ):
            if number:
                counts[name] = counts.get(name, 0) + number
    return {name: value for name, value in counts.items() if value or name in {"seen", "stored", "spooled"}}


def total_ledger(home: Home, service: str) -> Counts:
    """The ledger of a service over all its sessions."""
    total: Counts = {}
    for session in sessions(home, service):
        for name, value in ledger_of(session).items():
            total[name] = total.get(name, 0) + value
    return total


def settle(journal: Journal, session: Session, counters: Counters) -> int:
    """Count what a recorder that died had stored and not counted: exact, from the journal itself."""
    topic, found = topic_of(session.service), 0
    if topic not in journal.topics():
        return 0
    for partition in range(journal.partitions(topic)):
        name = f"position{{{partition}}}"
        if not counters.get(name):
            continue
        for entry in journal.read(topic, partition, counters.get(name)):
            try:
                exchanges = decode_frame(entry.frame, Exchange)
            except FrameDamaged:
                continue
            found += sum(1 for e in exchanges if (e.agent, e.epoch) == (session.agent, session.epoch))
            counters.set(name, entry.position + 1)
    counters.add("stored", found)
    return found
