"""Where a comparison puts what it finds: one :class:`~differ.difference.Difference` per place and kind, however often it is met."""

from __future__ import annotations

from typing import Any, Final
from zlib import crc32

import msgspec
from crc32c import crc32c
from orjson import Fragment, dumps

from differ.classes import (
    format_of,
    hashes_apart,
    instant_ns,
    is_permutation,
    klass_of,
    klass_of_both,
    notation_of,
    times_apart,
    timing_apart,
)
from differ.difference import CLOCK, EXCERPT_BYTES, FORMAT, GREEDY, PERMUTATION, VALUE, Difference, turned
from differ.jsons import Exact
from differ.words import LONG, changed, shown

PLACES_MAX = 10_000
"""Places of one comparison; an answer with more has become another document."""
DIGESTED_MAX = 64
"""Values of one place whose digests are told apart: enough to know two answers' lists from each other."""
SIGNED_MAX = 240
"""A longer text is signed by the words that changed: the same change of many texts is one."""
GREEDY_MAX = 64
"""Arrays of one comparison that are marked as paired greedily; each mark is looked for at every place."""
SIZED = frozenset({"hash", "uuid"})
"""Classes whose values have one length each."""
CLOCK_SLACK_NS = 5_000_000_000
"""How far a value may be from the instant of its answer to be that instant: seconds are rounded, and answers take time."""


class _Missing:
    """The value of a place that is not there."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final[Any] = _Missing()


class TooMuch(Exception):  # noqa: N818
    """A bound was reached; its text is the reason."""


class Change(msgspec.Struct, gc=False):
    """What is different at one place; one that comes again adds to the first."""

    kind: str
    facet: int
    old: Any
    new: Any
    signature: str
    klass: str = ""
    flags: int = 0
    count: int = 1
    more: list[Any] | None = None
    """Old and new of those that came again."""

    def again(self, facet: int, klass: str, flags: int, old: Any, new: Any) -> None:
        """The same kind of change at the same place once more."""
        count = self.count = self.count + 1
        if facet < self.facet:  # noqa: PLR1730 - min() is a call, and this is the hottest line of answers with many changes
            self.facet = facet
        if klass and not self.klass:
            self.klass = klass
        self.flags &= flags
        more = self.more
        if more is None:
            self.more = [old, new]
        elif count <= DIGESTED_MAX:
            more += (old, new)

    def told(self, where: str) -> Difference:
        """The place with its first two values as texts, and 64 bits that name all values in their order."""
        one, two, more = self.old, self.new, self.more
        if one.__class__ is two.__class__ is float:  # the commonest values, of which none needs care
            old, new = dumps(one), dumps(two)
        else:
            old, new = written(one), written(two)
        kind = self.kind
        if kind == "missing" or kind == "added":  # noqa: PLR1714 - a tuple is looked up, and this is met for each difference
            digest = self._alone(old or new)
        else:
            data = old + b"\n" + new
            if more is not None:
                data += written(more)
            digest = crc32c(data) << 32 | crc32(data)  # as checksums() does, which is a call
        if len(old) <= LONG >= len(new):
            one, two = old.decode() or None, new.decode() or None
        else:
            one, two = self._excerpts(old, new)
        return Difference(
            where, kind, self.facet, self.klass, self.flags, self.count, one, two, digest, f"{kind}:{self.signature}"
        )

    def _alone(self, data: bytes) -> int:
        """The digest of values that one side alone has: :func:`~differ.difference.turned`, what came is told as the same values that went."""
        more, came = self.more, self.kind == "added"
        if more is not None:
            data += written(more[came::2]) + b"%d" % self.count
        digest = checksums(data)
        return turned(digest) if came else digest

    def _excerpts(self, old: bytes, new: bytes) -> tuple[str | None, str | None]:
        """What is shown of long values: of two long texts the words that changed."""
        if len(old) > LONG < len(new) and self.old.__class__ is self.new.__class__ is str and self.kind != "order":
            one, two = shown(self.old, self.new)
            return excerpt(written(one)), excerpt(written(two))
        return excerpt(old), excerpt(new)


def checksums(data: bytes) -> int:
    """Two of unlike polynomials: they tell values apart, they need not withstand anybody, and blake2b costs ten times as much."""
    return crc32c(data) << 32 | crc32(data)


def all_alike(value: str, count: int) -> int:
    """The digest of values that went, of which so many are this one JSON text and none is another."""
    if count == 1:
        return checksums(value.encode())
    others = ",".join([value] * (min(count, DIGESTED_MAX) - 1))
    return checksums(f"{value}[{others}]{count}".encode())


def written(value: Any) -> bytes:
    """A value, or a list of them, as JSON; empty where it is missing. Bytes are JSON already."""
    if value is MISSING:
        return b""
    if value.__class__ is bytes:
        return value
    try:
        return dumps(value, _plain)
    except (TypeError, ValueError, RecursionError):  # deeper than orjson writes, or a lone surrogate
        return dumps(repr(value).encode("utf-8", "replace").decode())


def _plain(value: Any) -> Any:
    """An exact number as it was written, save NaN and infinities, which are no JSON."""
    return Fragment(value.text) if isinstance(value, Exact) and value.text[-1:].isdigit() else repr(value)


def excerpt(data: bytes) -> str | None:
    """Written JSON as a text of at most EXCERPT_BYTES characters; None where the value is missing."""
    if len(data) <= EXCERPT_BYTES:
        return data.decode() if data else None
    text = data[: 4 * EXCERPT_BYTES].decode("utf-8", "ignore")
    return text if len(text) <= EXCERPT_BYTES and len(data) <= 4 * EXCERPT_BYTES else text[: EXCERPT_BYTES - 1] + "…"


class Sink(msgspec.Struct, gc=False):
    """The differences of one comparison."""

    now_ns: tuple[int, int] = (0, 0)
    ports: tuple[str, str] | None = None
    """The port of each target, where it is known."""
    port: int = -1
    """That of the first as a number."""
    found: dict[tuple[str, str], Change] = msgspec.field(default_factory=dict)
    """By place and kind."""
    greedy: set[str] | None = None
    """Places of arrays whose elements were paired greedily."""

    def echoed(self, old: Any, new: Any) -> bool:
        """Whether two values are each the port of their own target."""
        return self.ports is not None and str(old) == self.ports[0] and str(new) == self.ports[1]

    def add(self, where: str, change: Change) -> None:
        """One change at a place."""
        self.put((where, change.kind), change)

    def put(self, key: tuple[str, str], change: Change) -> None:
        """One change of a kind at a place."""
        found = self.found.setdefault(key, change)
        if found is not change:
            found.again(change.facet, change.klass, change.flags, change.old, change.new)
        elif len(self.found) > PLACES_MAX:
            raise TooMuch("too-many-differences")

    def greedily(self, where: str) -> None:
        """The elements of an array were paired greedily."""
        found = self.greedy = self.greedy or set()
        if len(found) < GREEDY_MAX:
            found.add(where)

    def settle(self) -> str:
        """Why rules could not be asked; never, where there are none (:class:`differ.rules.RuledSink`)."""
        return ""

    def forget(self, where: str) -> None:
        """Drop what was found at places that begin so."""
        self.found = {key: found for key, found in self.found.items() if not key[0].startswith(where)}

    def differences(self) -> list[Difference]:
        """All that was found."""
        if self.greedy:
            begins = tuple(f"{where}{step}" for where in self.greedy for step in "[/")
            for (where, _), change in self.found.items():
                if where in self.greedy or where.startswith(begins):
                    change.flags |= GREEDY
        return [change.told(key[0]) for key, change in self.found.items()]


def clock_flag(old: Any, new: Any, now_ns: tuple[int, int]) -> int:
    """CLOCK when both values are the time of their answers."""
    if not now_ns[0] or not now_ns[1]:
        return 0
    left, right = instant_ns(old), instant_ns(new)
    if left is None or right is None:
        return 0
    near = abs(left - now_ns[0]) < CLOCK_SLACK_NS and abs(right - now_ns[1]) < CLOCK_SLACK_NS
    return CLOCK if near else 0


def texts(old: str, new: str, now_ns: tuple[int, int]) -> Change:
    """How two different texts differ."""
    both = klass_of_both(old, new)
    flags = 0
    if both == "time":
        notation, other = notation_of(old), notation_of(new)
        if notation != other:
            # A clock is noise by its value; in which zone and how it is written is none.
            return Change("format", FORMAT, old, new, f"{notation}>{other}")
        flags = clock_flag(old, new, now_ns)
    if is_permutation(old, new):
        return Change("order", VALUE, old, new, "order", both, flags | PERMUTATION)
    form, other_form = format_of(old), format_of(new)
    hashed = not both and ("<hash>" in form or "<hash>" in other_form)
    # Texts of one form and one length, the commonest noise, have nothing to be told apart by.
    if hashed and (form != other_form or len(old) != len(new)) and (hashes := hashes_apart(old, new)) is not None:
        if hashes[0]:
            sizes = f"hash:{len(hashes[0])}>{len(hashes[1])}"
            return Change("format", FORMAT, old, new, f"{form[:60]}:{sizes}", "", flags)
        form = other_form = form if "<hash>" in form else other_form
    if form == other_form and not (both in SIZED and len(old) != len(new)):
        if not both and "<time>" in form and (times := times_apart(old, new)):
            both = "time"
            flags = CLOCK if all(clock_flag(one, two, now_ns) for one, two in times) else 0
        return Change("value", VALUE, old, new, form[:80], both or ("time" if timing_apart(old, new) else ""), flags)
    if both:
        if both in SIZED and len(old) != len(new):
            # However they are drawn, all are as long, so this is no luck; where they are not, the controls show it.
            return Change("format", FORMAT, old, new, f"{both}:{len(old)}>{len(new)}", "", flags)
        return Change("value", VALUE, old, new, both, both, flags)
    if len(form) > SIGNED_MAX or len(other_form) > SIGNED_MAX:
        form, other_form = changed(form, other_form)
    return Change(
        "format" if klass_of(old) != klass_of(new) else "value", FORMAT, old, new, f"{form[:60]}>{other_form[:60]}"
    )
