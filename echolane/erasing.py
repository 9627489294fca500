"""What belongs to a subject, and what is left of it when it was erased: its place, and nothing else.

A subject is told by keyed tokens (``session``, ``uses`` and ``introduces`` of an exchange) and by masks, which stand in the place of its
values. Nobody needs the values themselves, but whoever has one can have both made of it (:func:`subject_of`). A record is not taken
out of its frame: positions, ranks and sums stay what they are, so recordings, runs and ledgers go on balancing. The journal's part
is :mod:`echolane.journal.rewriting`; :mod:`console.erasing` goes through all places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from echolane.exchange import ERASED, Exchange, Request, WorkItem
from echolane.frame import decode_frame, encode_frame, peek
from echolane.keys import SealKeys
from echolane.masks.atoms import Atoms
from echolane.observation import ERASED_WORD, DeadWord, Observation

T = TypeVar("T")
MASK_BYTES_MIN = 12
"""Every mask is longer (:mod:`echolane.masks.atoms`); a shorter text would be found in records of others."""
_SCHEMES = (b"", b"Bearer ", b"Basic ", b"Token ", b"address ")
"""How a caller's token is made: of the value, of a header with its scheme, of an address."""
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose data it is."""

    tokens: frozenset[str]
    masks: frozenset[bytes] = frozenset()

    @property
    def digest(self) -> str:
        """What tells it in receipts and the audit log, without its tokens."""
        told = [*(token.encode() for token in self.tokens), *self.masks]
        return hashlib.sha256(b"\0".join(sorted(told))).hexdigest()[:16]

    def owns(self, exchange: Exchange) -> bool:
        """Whether an exchange was its own, or holds one of its values."""
        tokens = self.tokens
        if exchange.session in tokens or not tokens.isdisjoint((*exchange.uses, *exchange.introduces)):
            return True
        return self.is_in(exchange)

    def is_in(self, record: object) -> bool:
        """Whether one of its masks stands somewhere in a record."""
        data = _encode(record) if self.masks else b""
        return any(mask in data for mask in self.masks)


def subject_of(keys: SealKeys, tokens: Iterable[str], values: Sequence[bytes]) -> Subject:
    """A subject by its tokens, and by values that it has: under every key of the installation."""
    found, masks = set(tokens), set[bytes]()
    for key in (keys.current, *keys.older):
        atoms = Atoms(key.mask_key())
        for value in values:
            found |= {atoms.token(scheme + value) for scheme in _SCHEMES}
            masks |= {atoms.mask(value), atoms.mask_email(value) if b"@" in value else atoms.mask(value)}
    return Subject(frozenset(found), frozenset(mask for mask in masks if len(mask) >= MASK_BYTES_MIN))


def emptied(exchange: Exchange) -> Exchange:
    """What is left of an exchange: where it stood in the capture."""
    request = Request("", "", "", "", "", [])
    return Exchange(
        *(exchange.id, exchange.service, exchange.agent, exchange.epoch, exchange.seq, ""),
        *(exchange.captured_at_ns, 0, request),
        tags=exchange.tags,
        no_answer=ERASED,
    )


def emptied_item(item: WorkItem) -> WorkItem:
    """What is left of a line of a plan: who waits for it goes on."""
    return WorkItem(item.seq, item.due_ns, "", item.follows, emptied(item.exchange), ERASED)


def emptied_observation(seen: Observation) -> Observation:
    """What is left of an observation: that there was one."""
    return Observation(seen.exchange, seen.seq, seen.attempt, "", "", "", 0, 0, [], skipped=ERASED)


def emptied_word(word: DeadWord) -> DeadWord:
    """What is left of a word about a dead letter: its place."""
    return DeadWord(ERASED_WORD, "", "", 0, word.at_ns)


class Eraser:
    """Goes through the frames of topics: first what is a subject's, then (``erase``) emptying it.

    ``ids`` grows with every exchange that is found: its observations and rows say no more of whose it was.
    """

    def __init__(self, subject: Subject, ids: Iterable[str] = ()) -> None:
        self.subject, self.ids = subject, set(ids)
        self.records = 0
        """How many records were found, or emptied."""

    def of_topic(self, topic: str, *, erase: bool) -> Callable[[bytes], bytes | None] | None:
        """What to do with each frame of a topic; None where it holds nothing that was captured."""
        kind = topic.partition(".")[0]
        if kind == "work":
            return lambda frame: self._frame(frame, WorkItem, self._item, emptied_item, erase)
        if kind == "observations":
            return lambda frame: self._frame(frame, Observation, self._seen, emptied_observation, erase)
        if kind == "dead":
            return lambda frame: self._frame(frame, DeadWord, self._told, emptied_word, erase)
        if kind in {"intents", "runs", "progress"}:
            return None
        return lambda frame: self._frame(frame, Exchange, self._own, emptied, erase)

    def _own(self, exchange: Exchange) -> str:
        if exchange.no_answer == ERASED:
            return ""
        return exchange.id if exchange.id in self.ids or self.subject.owns(exchange) else ""

    def _item(self, item: WorkItem) -> str:
        if item.skip == ERASED:
            return ""
        return item.exchange.id if self._own(item.exchange) or self.subject.is_in(item) else ""

    def _seen(self, seen: Observation) -> str:
        if seen.skipped == ERASED:
            return ""
        return seen.exchange if seen.exchange in self.ids or self.subject.is_in(seen) else ""

    def _told(self, word: DeadWord) -> str:
        if not word.letter:
            return ""
        return word.exchange if word.exchange in self.ids or self.subject.is_in(word) else ""

    def _frame(
        self, frame: bytes, kind: type[T], owner: Callable[[T], str], empty: Callable[[T], T], erase: bool
    ) -> bytes | None:
        records: list[Any] = decode_frame(frame, kind)
        found = {place: whose for place, record in enumerate(records) if (whose := owner(record))}
        self.ids.update(found.values())
        self.records += len(found)
        if not found or not erase:
            return None
        after = [empty(record) if place in found else record for place, record in enumerate(records)]
        head = peek(frame)
        return encode_frame(
            after, kind=head.kind, partition=head.partition, first_ns=head.first_ns, last_ns=head.last_ns
        )
