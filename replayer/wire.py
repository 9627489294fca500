"""Recorded requests made ready for the wire: bytes for each target, ahead of the instant at which they are due.

Per exchange once: the seal opened, what must not be sent taken off, the body encoded as it was. Per target: its authority, its
lane, a fresh trace, and the signed mark last (design §8, :mod:`echolane.marks`). What a target gave is put in by
:mod:`replayer.carrying` at the last moment, only where a request takes any of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress

from msgspec.structs import replace as with_fields

from echolane.authorities import RECORDED, host_in, recorded_name
from echolane.bodies import encode
from echolane.errors import EcholaneError
from echolane.exchange import Exchange, Headers, Request
from echolane.marks import HeaderRefused, Signer, fresh_traceparents, prepare_headers
from replayer.digests import Bodies, has_digest, with_digests
from replayer.targets import Target, host_of, is_loopback
from replayer.wearing import with_masks

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose requests say `Content-Length: 0` when they have no body."""
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
_TARGET = re.compile(r"[^\x00-\x20\x7f]+")
_VALUE = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?|true|false|null")
"""What JSON reads as a value."""

Carry = Callable[[Request, Request], tuple[Request, list[str], Sequence[bytes]]]
"""(as recorded, as opened) → the request for one target, what was rewritten in words, and the secrets that were put in."""
OpenSeal = Callable[[Exchange], tuple[Request, Sequence[bytes]]]
"""The request as it was sent, and the secrets in it (they are masked where an answer repeats them)."""


class Unsendable(ValueError):  # noqa: N818 - a reason of ``skipped``
    """A recorded request that cannot go over the wire as it stands; the text is the reason it is skipped with."""


class _Version:
    """One version of a request: as recorded (masked), or with its seal opened."""

    __slots__ = ("body", "headers", "heads", "length", "line", "notes", "request", "secrets", "tail")

    def __init__(self, request: Request, secrets: Sequence[bytes], mark: bytes) -> None:
        if not _METHOD.fullmatch(request.method) or not _TARGET.fullmatch(request.target):
            raise Unsendable("unsendable-request-line")
        version = request.http_version if request.http_version in {"1.0", "1.1"} else "1.1"
        self.line = f"{request.method} {request.target} HTTP/{version}\r\nHost: ".encode("latin-1", "replace")
        self.request = request
        body = request.body
        self.headers = request.headers
        self.body = encode(body.data, body.encoding) if body.encoding and not body.undecoded else body.data
        self.length = len(self.body) if self.body or _has_length(request) else None
        self.secrets = secrets
        self.notes: list[str] = []
        self.tail = b"%b%b\r\n\r\n" % (_BETWEEN, mark)
        self.heads: dict[str | None, bytes] = {}

    def state_digests_like(self, other: _Version) -> list[str]:
        """Where the other one states true digests of its body, state those of this one's; what was written anew, in words."""
        notes: list[str] = []
        if self.body != other.body and has_digest(self.headers):
            before, after = (Bodies(one.body, one.request.body.data) for one in (other, self))
            self.headers, notes = with_digests(self.headers, before, after)
        return notes

    def write(self, authority: bytes, lane: str | None) -> bytes:
        """The bytes for one target."""
        head = self.heads.get(lane)
        if head is None:
            head = self.heads[lane] = _head(self.headers, lane, self.length)
        if not _traces:
            _traces.extend(fresh_traceparents(os.urandom, _TRACES))
        return b"".join((self.line, authority, head, _traces.pop(), self.tail, self.body))


_PLACE = b"\x01here\x01"
"""Stands for the trace and for the mark; no header that can be sent holds a control character."""
_BETWEEN = b"\r\nx-echolane-replay: "
"""Between trace and mark."""
_HEADS_MAX = 1024
_HEAD_MAX = 2048
_heads: dict[tuple[tuple[tuple[bytes, bytes], ...], str | None, int | None], bytes] = {}
"""Header lines written lately: the requests of one session mostly carry the same."""


def _head(headers: Headers, lane: str | None, length: int | None) -> bytes:
    """The header lines from the end of Host's value to the beginning of the trace: the same for every target of a lane."""
    key = (tuple(headers), lane, length)
    head = _heads.get(key)
    if head is None:
        try:
            block = prepare_headers(headers, authority=b"", lane=lane, mark=_PLACE, traceparent=_PLACE, length=length)
        except HeaderRefused as refused:
            raise Unsendable("unsendable-header") from refused
        before, between, _ = block.split(_PLACE)
        assert between == _BETWEEN  # noqa: S101 - the marks stand last, in this order (design §8)
        head = before.removeprefix(b"Host: ")
        if len(head) <= _HEAD_MAX:
            if len(_heads) >= _HEADS_MAX:
                _heads.clear()
            _heads[key] = head
    return head


_TRACES = 256
_traces: list[bytes] = []
"""Fresh traces; made by the hundred, for a system call a shot would be a tenth of what preparing it costs."""


class Wires:
    """Writes requests for the targets of one run."""

    def __init__(
        self,
        run: str,
        targets: Sequence[Target | None],
        mark_key: bytes,
        open_seal: OpenSeal | None,
        dry_run: str = "",
    ) -> None:
        self._dry_run = dry_run.encode("ascii")
        """The header that writes carry so that nothing is changed; empty for none."""
        self._signer = Signer(mark_key, run)
        self._open_seal = open_seal
        self._authorities = [target.authority.encode("latin-1") if target else b"" for target in targets]
        self._as_recorded = [target is not None and target.host == RECORDED for target in targets]
        """Whether a target is sent the recorded authority, where a request has one."""
        hosts = {target.host == RECORDED for target in targets if target is not None}
        self._told_apart = len(hosts) > 1
        """Whether some are and others are not, so that an observation has to say which it was."""
        self._guards = [
            target.protected
            for target in targets
            if target is not None and target.host == RECORDED and not is_loopback(host_of(target.url))
        ]
        """Of targets elsewhere: what chooses by Host where requests go would take a protected name to production."""
        self._lanes = [target.lane if target else None for target in targets]
        self._fixed = None if True in hosts else list(zip(self._authorities, self._lanes, strict=True))
        """Authority and lane of each, where they are the same for all exchanges."""
        self._opening = [
            open_seal is not None and target is not None and target.credentials_recorded for target in targets
        ]
        """Whether a target gets what was sealed."""
        self._places = [target.credentials if target and target.credentials.replaces else None for target in targets]
        """What of it is not: a provider gives it."""

    def prepare(self, exchange: Exchange) -> Prepared:
        """The exchange, ready to be written for any target. Raises :class:`Unsendable` where a name that it had is protected."""
        if self._guards:
            name = host_in(exchange.request.authority.rpartition("@")[2])
            if any(guard.holds_name(name) for guard in self._guards):
                raise Unsendable("protected-host")
        return Prepared(self, exchange, self._signer.sign(exchange.id))

    def version(self, exchange: Exchange, mark: bytes, *, opened: bool, index: int) -> _Version:
        """The request of an exchange as it may be sent. Raises :class:`Unsendable`."""
        request, secrets = exchange.request, ()
        opener = self._open_seal
        if opened and opener is not None:
            request, secrets = opener(exchange)
            if (place := self._places[index]) is not None:
                headers = with_masks(place, exchange.request.headers, request.headers)
                request = with_fields(request, headers=headers)
        version = _Version(self._as_dry_run(request), secrets, mark)
        if opened or opener is None or not exchange.seal or not has_digest(exchange.request.headers):
            return version
        # Its masks are another body than the one that the digest is of; nothing of the original is sent.
        with suppress(EcholaneError):  # a key that is not here: the recorded digest goes
            version.notes = version.state_digests_like(_Version(opener(exchange)[0], (), mark))
            version.request = with_fields(version.request, headers=version.headers)
        return version

    def _as_dry_run(self, request: Request) -> Request:
        """A write with the header that says that nothing is to be changed, where writes are a dry run."""
        if not self._dry_run or request.method in SAFE_METHODS:
            return request
        # What was recorded of that header keeps its place, so that places of other headers stay true.
        kept = [(n, b"1" if n.lower() == self._dry_run else value) for n, value in request.headers]
        found = any(n.lower() == self._dry_run for n, _ in kept)
        return with_fields(request, headers=kept if found else [*kept, (self._dry_run, b"1")])

    def place(self, exchange: Exchange, index: int) -> tuple[bytes, str | None, bool]:
        """Authority and lane of a target, and whether the seal is opened for it."""
        return *self.address(exchange, index), bool(exchange.seal) and self._opening[index]

    def address(self, exchange: Exchange, index: int) -> tuple[bytes, str | None]:
        """Authority and lane of a target."""
        authority = self._authorities[index]
        # What was imported may be no authority at all.
        if self._as_recorded[index] and (recorded := recorded_name(exchange.request.authority)):
            authority = recorded.encode("ascii")
        return authority, self._lanes[index]

    def addresses(self, exchange: Exchange) -> Sequence[tuple[bytes, str | None]]:
        """Those of all targets."""
        return self._fixed or [self.address(exchange, index) for index in range(len(self._lanes))]

    def told_authority(self, exchange: Exchange) -> str:
        """The recorded authority, where some targets are called by it and others are not; else empty.

        Empty as well where JSON reads it as a value (``1``, ``true``): whoever is recorded can send any, and it is looked for in answers.
        """
        if not self._told_apart:
            return ""
        name = recorded_name(exchange.request.authority)
        return "" if _VALUE.fullmatch(name) else name

    def shared(self, index: int) -> int:
        """Whose version of a request is this target's, too: -1 for that of all who get it as it was."""
        return -1 if self._places[index] is None else index

    def probe(self, index: int) -> bytes:
        """What a target is asked that has never answered anything recorded; marked, so that no recorder takes it for traffic."""
        mark = self._signer.sign("probe")
        return b"HEAD / HTTP/1.1\r\nHost: %b\r\nx-echolane-replay: %b\r\n\r\n" % (self._authorities[index] or b"", mark)


class Prepared:
    """One exchange, written for each target on demand."""

    __slots__ = ("_exchange", "_mark", "_versions", "_wires", "ready", "secrets")

    def __init__(self, wires: Wires, exchange: Exchange, mark: bytes) -> None:
        self._wires = wires
        self._exchange = exchange
        self._mark = mark
        self._versions: dict[tuple[bool, int], _Version] = {}
        self.ready: list[bytes] = []
        self.secrets: list[bytes] = []
        """What was sent unmasked: to be masked where an answer repeats it."""

    @property
    def authority(self) -> str:
        """The recorded authority, where some targets are called by it and others are not; else empty."""
        return self._wires.told_authority(self._exchange)

    def write_ahead(self, indexes: Sequence[int]) -> None:
        """Write for these targets now; ``ready`` holds a place for each of four."""
        self.ready = [b"", b"", b"", b""]
        if self._exchange.seal:
            for index in indexes:
                version, authority, lane = self._version(index)
                self.ready[index] = version.write(authority, lane)
            return
        version = self._version(0)[0]  # nothing is sealed, so whoever it is for
        addresses = self._wires.addresses(self._exchange)
        for index in indexes:
            self.ready[index] = version.write(*addresses[index])

    def carried(self, index: int, carry: Carry) -> tuple[bytes, list[str]]:
        """The bytes for one target with what it gave, and what was rewritten."""
        version, authority, lane = self._version(index)
        request, notes, values = carry(self._exchange.request, version.request)
        if not notes:
            return self.ready[index], version.notes
        try:
            written = _Version(request, version.secrets, self._mark)
            digests = written.state_digests_like(version)
            wire = written.write(authority, lane)
        except Unsendable:  # a value with a control character in it; the recorded one goes
            return self.ready[index], version.notes
        self.secrets += values
        return wire, list(dict.fromkeys((*notes, *version.notes, *digests)))

    def _version(self, index: int) -> tuple[_Version, bytes, str | None]:
        authority, lane, opens = self._wires.place(self._exchange, index)
        key = (opens, self._wires.shared(index) if opens else -1)
        version = self._versions.get(key)
        if version is None:
            version = self._wires.version(self._exchange, self._mark, opened=opens, index=index)
            self._versions[key] = version
            self.secrets += version.secrets
        return version, authority, lane


def _has_length(request: Request) -> bool:
    """Whether a request without a body says so: as recorded, or because its method usually has one."""
    if request.body.chunked or request.method in BODY_METHODS:
        return True
    for name, _ in request.headers:  # noqa: SIM110 - once an exchange, and any() costs three times as much
        if len(name) == 14 and name.lower() == b"content-length":
            return True
    return False
