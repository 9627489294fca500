"""Where a comparison puts what it finds: one :class:`~differ.difference.Difference` per place and kind, however often it is met."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import msgspec
import orjson

from differ.classes import format_of, instant_ns, is_permutation, klass_of, timing_apart
from differ.difference import CLOCK, EXCERPT_BYTES, FORMAT, PERMUTATION, VALUE, Difference

PLACES_MAX = 10_000
"""Places of one comparison; an answer with more has become another document."""
DIGESTED_MAX = 64
"""Values of one place whose digests are told apart: enough to know two answers' lists from each other."""
CLOCK_SLACK_NS = 5_000_000_000
"""How far a value may be from the instant of its answer to be that instant: seconds are rounded, and answers take time."""
TEXT_CUT = 4 * EXCERPT_BYTES


class _Missing:
    """The value of a place that is not there."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final[Any] = _Missing()


class TooMuch(Exception):  # noqa: N818
    """A bound was reached; its text is the reason."""


class Change(msgspec.Struct, gc=False):
    """What is different at one place."""

    kind: str
    facet: int
    old: Any
    new: Any
    signature: str
    klass: str = ""
    flags: int = 0


class _Found(msgspec.Struct, gc=False):
    """All changes of one kind at one place."""

    facet: int
    klass: str
    flags: int
    signature: str
    values: list[Any]
    count: int = 1

    def told(self) -> tuple[str | None, str | None, int]:
        """The first two values as texts, and 64 bits that name all values in their order."""
        values = self.values
        try:
            data = orjson.dumps(values, default=_plain)
        except (TypeError, ValueError):
            data = "\0".join(text_of(value) or "\1" for value in values).encode("utf-8", "surrogatepass")
            old, new = text_of(values[0]), text_of(values[1])
        else:
            kind = values[0].__class__
            if (kind in _TREES or (kind is str and len(data) <= TEXT_CUT)) and kind is values[1].__class__:
                # Both are written in ``data``: the first is written once more to know where it ends.
                end = len(orjson.dumps(values[0], default=_plain)) + 1
                last = -1 if self.count == 1 else end + 1 + len(orjson.dumps(values[1], default=_plain))
                old, new = excerpt(data[1:end]), excerpt(data[end + 1 : last])
            else:
                old, new = text_of(values[0]), text_of(values[1])
        return old, new, int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


_TREES = frozenset({dict, list})


def _plain(value: Any) -> str:
    return repr(value)


class Sink(msgspec.Struct, gc=False):
    """The differences of one comparison."""

    now_ns: tuple[int, int] = (0, 0)
    ports: tuple[str, str] | None = None
    """The port of each target, where it is known."""
    found: dict[tuple[str, str], _Found] = msgspec.field(default_factory=dict[tuple[str, str], _Found])

    def echoed(self, old: Any, new: Any) -> bool:
        """Whether two values are each the port of their own target."""
        return self.ports is not None and str(old) == self.ports[0] and str(new) == self.ports[1]

    def add(self, where: str, change: Change) -> None:
        """One change at a place."""
        self.put(
            (where, change.kind), change.facet, change.klass, change.flags, change.signature, change.old, change.new
        )

    def put(self, key: tuple[str, str], facet: int, klass: str, flags: int, signature: str, old: Any, new: Any) -> None:
        """One change of a kind at a place."""
        found = self.found.get(key)
        if found is None:
            if len(self.found) >= PLACES_MAX:
                raise TooMuch("too-many-differences")
            self.found[key] = _Found(facet, klass, flags, signature, [old, new])
            return
        found.count += 1
        found.facet = min(found.facet, facet)
        if klass and not found.klass:
            found.klass = klass
        found.flags &= flags
        if found.count <= DIGESTED_MAX:
            found.values += (old, new)

    def forget(self, where: str) -> None:
        """Drop what was found at places that begin so."""
        self.found = {key: found for key, found in self.found.items() if not key[0].startswith(where)}

    def differences(self) -> list[Difference]:
        """All that was found."""
        found: list[Difference] = []
        for (where, kind), place in self.found.items():
            old, new, values = place.told()
            found.append(
                Difference(
                    where,
                    kind,
                    place.facet,
                    place.klass,
                    place.flags,
                    place.count,
                    old,
                    new,
                    values,
                    f"{kind}:{place.signature}",
                )
            )
        return found


def text_of(value: Any) -> str | None:
    """JSON text of a value, at most EXCERPT_BYTES characters; None where it is missing."""
    if value is MISSING:
        return None
    if value.__class__ is int:
        return str(value)
    if isinstance(value, str) and len(value) > TEXT_CUT:
        value = value[:TEXT_CUT]
    try:
        text = orjson.dumps(value, default=str).decode()
    except (TypeError, ValueError, RecursionError):
        text = orjson.dumps(repr(value).encode("utf-8", "replace").decode()).decode()
    return text if len(text) <= EXCERPT_BYTES else text[: EXCERPT_BYTES - 1] + "…"


def excerpt(data: bytes) -> str:
    """Written JSON as a text of at most EXCERPT_BYTES characters."""
    text = data.decode()
    return text if len(text) <= EXCERPT_BYTES else text[: EXCERPT_BYTES - 1] + "…"


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
    formats = format_of(old), format_of(new)
    klasses = klass_of(old), klass_of(new)
    klass = klasses[0] if klasses[0] == klasses[1] else ""
    flags = clock_flag(old, new, now_ns) if klass == "time" else 0
    if is_permutation(old, new):
        return Change("order", VALUE, old, new, "order", klass, flags | PERMUTATION)
    if formats[0] == formats[1]:
        klass = klass or ("time" if timing_apart(old, new) else "")
        return Change("value", VALUE, old, new, formats[0][:80], klass, flags)
    if klass:
        return Change("value", VALUE, old, new, klass, klass, flags)
    kind = "format" if klasses[0] != klasses[1] else "value"
    return Change(kind, FORMAT, old, new, f"{formats[0][:60]}>{formats[1][:60]}")
