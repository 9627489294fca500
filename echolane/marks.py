"""The marks that replayed traffic carries on the wire: the signed replay mark, the lane, a fresh trace; and what is taken off.

The sender calls :func:`prepare_headers`, the recorder :func:`find_mark` on every request and drops those that verify. What is set
last wins: captured lane, trace, replay and hop-by-hop headers are removed, then the target's own are added. Everything is pure:
keys, randomness and the target's own words are arguments. The syntax is public: ``x-echolane-replay: v1;RUN;EXCHANGE;HOP;MAC``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import struct
from collections.abc import Callable
from typing import NamedTuple

from echolane.base64url import encode
from echolane.exchange import Headers

MARK = b"x-echolane-replay"
LANE = b"x-lane"
LANE_SERVED = b"x-lane-served"
"""The answer's word for the lane that it came from, set by whoever serves lanes."""
BAGGAGE = b"baggage"
TRACEPARENT = b"traceparent"

HOP_MAX = 1
"""A replayed request that arrives with a higher hop has been recorded and replayed again: a loop, refused."""

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
"""They belong to one connection, not to the request (RFC 9110 7.6.1), whether ``Connection`` names them or not."""

TRACE = frozenset(
    (
        TRACEPARENT,
        b"tracestate",
        b"b3",
        b"x-b3-traceid",
        b"x-b3-spanid",
        b"x-b3-parentspanid",
        b"x-b3-sampled",
        b"x-b3-flags",
        b"uber-trace-id",
        b"x-amzn-trace-id",
        b"x-cloud-trace-context",
        b"x-datadog-trace-id",
        b"x-datadog-parent-id",
        b"x-datadog-sampling-priority",
        b"sentry-trace",
    )
)
"""A captured trace would hang four replays under one long finished request."""

REMOVED = HOP_BY_HOP | TRACE | frozenset((b"host", b"content-length", b"expect", MARK, LANE, BAGGAGE))
"""Never sent as captured. The members of ``baggage`` other than the lane are; the rest is set anew or has no place in a replay."""

_USUAL = frozenset((b"keep-alive", b"close", b"Keep-Alive", b"Close"))
"""Values of ``Connection`` that name no further header; nearly every request has one of them."""
_LANE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PART = re.compile(r"[0-9A-Za-z_-]{1,64}")
_MARK = re.compile(rb"v1;([0-9A-Za-z_-]{1,64});([0-9A-Za-z_-]{1,64});([1-9][0-9]{0,2});[A-Za-z0-9_-]{43}")
_BROKEN = re.compile(rb"[\r\n\0]")
_NO_TRACE, _NO_PARENT = b"0" * 32, b"0" * 16
_TRACE_IDS = struct.Struct("32s16s")
_BLOCK = 64
"""Bytes that SHA-256 takes at a time."""
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


class HeaderRefused(ValueError):  # noqa: N818 - reads as what happened
    """A captured header cannot be sent: it would end its line or is no header at all. The exchange is skipped, not mended."""


class Mark(NamedTuple):
    """A replay mark whose signature holds."""

    run: str
    exchange: str
    hop: int

    @property
    def looped(self) -> bool:
        """Whether it has been replayed more often than allowed."""
        return self.hop > HOP_MAX


class Cleaned(NamedTuple):
    """Captured headers without what must not be sent."""

    headers: Headers
    baggage: bytes
    """Members of ``baggage`` other than the lane, as sent."""


class Signer:
    """Signs the marks of one run: what they all begin with is checked and hashed once.

    HMAC (RFC 2104) is two hashes that begin with the key; both are kept begun, since :mod:`hmac` takes four times as long to go on.
    """

    __slots__ = ("_begin", "_inner", "_outer")

    def __init__(self, key: bytes, run: str) -> None:
        if not _PART.fullmatch(run):
            raise ValueError(f"a mark's run is 1 to 64 of [0-9A-Za-z_-], not {run!r}")
        self._begin = f"v1;{run};".encode("ascii")
        block = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER) + self._begin)
        self._outer = hashlib.sha256(block.translate(_OUTER))

    def sign(self, exchange: str, hop: int = 1) -> bytes:
        """The value of ``x-echolane-replay``, equal for all targets of a shot."""
        if not _PART.fullmatch(exchange) or not 1 <= hop <= 999:
            raise ValueError(f"a mark's exchange is 1 to 64 of [0-9A-Za-z_-], its hop 1 to 999, not {(exchange, hop)}")
        rest = f"{exchange};{hop}".encode("ascii")
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(rest)
        outer.update(inner.digest())
        return b"%b%b;%b" % (self._begin, rest, encode(outer.digest()))


def verify(key: bytes, value: bytes) -> Mark | None:
    """The mark if it is well formed and signed with ``key``, else None: then the request is ordinary traffic."""
    found = _MARK.fullmatch(value)
    if found is None:
        return None
    signed, _, mac = value.rpartition(b";")
    if not hmac.compare_digest(mac, encode(hmac.digest(key, signed, "sha256"))):
        return None
    return Mark(found[1].decode(), found[2].decode(), int(found[3]))


def find_mark(key: bytes, headers: Headers) -> Mark | None:
    """The first valid mark among a request's headers; any other value of the header is a forgery and means nothing."""
    for name, value in headers:
        if len(name) == len(MARK) and name.lower() == MARK:
            mark = verify(key, value.strip(b" \t"))
            if mark is not None:
                return mark
    return None


def fresh_traceparent(random_bytes: Callable[[int], bytes]) -> bytes:
    """A W3C ``traceparent`` of a new trace, not sampled: a replay is four times the traffic that was paid for."""
    return fresh_traceparents(random_bytes, 1)[0]


def fresh_traceparents(random_bytes: Callable[[int], bytes], count: int) -> list[bytes]:
    """So many of them at once, for a third of the time of each."""
    text = random_bytes(24 * count).hex().encode()
    made = [b"00-%b-%b-00" % ids for ids in _TRACE_IDS.iter_unpack(text)]
    # All-zero ids are invalid by the standard: chance needs 2^64 draws for one, a broken source of randomness none.
    if _NO_PARENT in text and any(b"-%b-" % _NO_TRACE in one or b"-%b-" % _NO_PARENT in one for one in made):
        raise ValueError("the source of randomness gives zeros")
    return made


def lane_ok(lane: str) -> bool:
    """Whether a lane's name may stand in headers: letters, digits, ``. _ -`` inside, at most 63."""
    return _LANE.fullmatch(lane) is not None


def lane_pattern(lane: str) -> str:
    """The anchored expression that finds a lane in a whole ``baggage`` header, for gateways (RE2 syntax)."""
    return rf"^(?:.*,)?\s*lane\s*=\s*{re.escape(lane)}\s*(?:[;,].*)?$"


def lane_of(headers: Headers) -> str:
    """The lane a request carries: the ``x-lane`` header, else the ``lane`` member of its baggage; empty when none."""
    found = b""
    for name, value in headers:
        lower = name.lower()
        if lower == LANE:
            return value.strip().decode("latin-1")
        if lower == BAGGAGE and not found:
            for member in value.split(b","):
                if _key_of(member) == b"lane":
                    found = member.partition(b";")[0].partition(b"=")[2].strip()
    return found.decode("latin-1")


def with_lane(baggage: bytes | None, lane: str | None) -> bytes | None:
    """A ``baggage`` value with the lane's member set or taken out, other members as they are; None when nothing is left."""
    members = [member.strip() for member in (baggage or b"").split(b",") if _key_of(member) not in {b"lane", b""}]
    if lane is not None:
        members.append(b"lane=" + lane.encode("ascii"))
    return b",".join(members) or None


def clean_headers(headers: Headers) -> Cleaned:
    """Take off what must not be sent; :class:`HeaderRefused` for a name or value that would break the message."""
    removed = known = REMOVED
    baggage: list[bytes] = []
    kept: Headers = []
    lowered = _LOWER.get
    for pair in headers:
        name, value = pair
        lower = lowered(name) or _lower(name)
        if lower not in known:
            kept.append(pair)
        elif lower == b"connection" and value not in _USUAL:
            removed = removed.union(word.strip() for word in value.lower().split(b","))
        elif lower == BAGGAGE:
            baggage.append(value)
    if removed is not REMOVED:
        kept = [pair for pair in kept if (_LOWER.get(pair[0]) or pair[0].lower()) not in removed]
    if not baggage:
        return Cleaned(kept, b"")
    return Cleaned(kept, b"" if BAGGAGE in removed - REMOVED else with_lane(b",".join(baggage), None) or b"")


def prepare_headers(
    headers: Headers, *, authority: bytes, lane: str | None, mark: bytes, traceparent: bytes, length: int | None = None
) -> bytes:
    """The header block that a target gets, ``Host`` first, the marks last, and the empty line that ends it.

    Captured headers keep their order, case and repetition. ``length`` is the one Content-Length, None for a request without a
    body. :class:`HeaderRefused` where a header cannot be sent as it is.
    """
    kept, baggage = clean_headers(headers)
    lines = b"".join([b"%b: %b\r\n" % pair for pair in kept])
    count = len(kept)
    if lines.count(b"\n") != count or lines.count(b"\r") != count or b"\0" in lines or _BROKEN.search(baggage):
        _refuse(kept, baggage)
    parts = [b"Host: ", authority, b"\r\n", lines]
    if length is not None:
        parts.append(b"Content-Length: %d\r\n" % length)
    if lane is not None:
        name = lane.encode("ascii")
        parts += (b"x-lane: ", name, b"\r\nbaggage: ", baggage, b"," if baggage else b"", b"lane=", name, b"\r\n")
    elif baggage:
        parts += (b"baggage: ", baggage, b"\r\n")
    parts += (b"traceparent: ", traceparent, b"\r\nx-echolane-replay: ", mark, b"\r\n\r\n")
    return b"".join(parts)


_LOWER: dict[bytes, bytes] = {}
"""Lower-case spellings of header names seen so far; one per process, bounded."""
_LOWER_MAX = 2048  # Real traffic has some hundred spellings; a client that invents names only empties it.


def _lower(name: bytes) -> bytes:
    """Lower a name and remember it, once it is known to be one."""
    if not _NAME.fullmatch(name):
        raise HeaderRefused(f"header name {name[:60]!r} is no token and cannot be sent")
    lower = name.lower()
    if len(name) <= 64:
        if len(_LOWER) >= _LOWER_MAX:
            _LOWER.clear()
        _LOWER[name] = lower
    return lower


def _key_of(member: bytes) -> bytes:
    """The key of a baggage member."""
    return member.partition(b";")[0].partition(b"=")[0].strip()


def _refuse(kept: Headers, baggage: bytes) -> None:
    name = next((name for name, value in kept if _BROKEN.search(value)), BAGGAGE if baggage else b"")
    raise HeaderRefused(f"header {name.decode('latin-1')!r} holds CR, LF or NUL and cannot be sent")
