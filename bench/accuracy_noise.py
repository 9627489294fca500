"""Noise as services make it, put on raw answers: clocks, random values, instance constants, hash order, flapping, echoes.

A source gives one value per answer and instance. As a member it goes into the JSON body (into the object, or into every element of
a list of objects), on a page into the foot, otherwise into a header. Four instances of two versions draw from chances of their own, so
what differs between base and branch differs as often between an instance and its twin; ``branch`` noise is the exception it is named for.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from bench.accuracy_wire import Answer, put, spans, with_header

START_NS = 1_795_428_000_000_000_000
"""When a simulated run begins: a fixed day, so that a seed gives the same bytes."""
STEP_NS = 73_000_000
"""Between two exchanges: some fourteen a second, so that a second's turn falls between the four answers now and then."""
APART_NS = 12_000_000
"""The most by which the four answers to one request are apart."""
ELEMENTS_MAX = 40
"""Elements of a list that get a noisy member each."""
PICKS = (b'"teal"', b'"plum"', b'"sand"')
METHODS = (b"GET", b"HEAD", b"OPTIONS", b"POST", b"PUT")
FOOT = b"<p class=foot>"
"""Where the noise of a page begins."""
FLAP = 0.08
"""How often a flapping endpoint answers 503."""


@dataclass(slots=True)
class Instance:
    """One running copy of a version."""

    index: int
    """Rank among base, control, branch, branch_control."""
    chance: random.Random
    port: int
    boot_ns: int
    seed: int
    """Of its hashes: it orders sets one way for life."""
    served: int

    @property
    def branch(self) -> bool:
        """Whether it runs the new version."""
        return self.index >= 2


@dataclass(frozen=True, slots=True)
class Moment:
    """One exchange, as all instances see it."""

    number: int
    now_ns: tuple[int, int, int, int]
    """When each instance answers."""
    salt: int
    """What depends on the request and not on the instance."""


@dataclass(frozen=True, slots=True)
class Source:
    """One cause of noise."""

    name: str
    form: str
    """``member``, ``header``, ``cookie``, ``status`` or ``etag``."""
    make: Callable[[Instance, Moment], bytes | None]
    """The raw value; None leaves it out."""


def instances(chance: random.Random) -> list[Instance]:
    """Base, control, branch and branch control, started a second apart."""
    return [
        Instance(
            index,
            random.Random(chance.getrandbits(64)),
            41000 + chance.randrange(900) * 4 + index,
            START_NS - (4 - index) * 1_100_000_000 - chance.randrange(10**9),
            chance.getrandbits(32),
            chance.randrange(1000),
        )
        for index in range(4)
    ]


def moment(number: int, chance: random.Random) -> Moment:
    """The instant of one exchange."""
    begin = START_NS + number * STEP_NS
    first, second, third, fourth = (begin + chance.randrange(APART_NS) for _ in range(4))
    return Moment(number, (first, second, third, fourth), chance.getrandbits(32))


def _text(value: str) -> bytes:
    return b'"' + value.encode() + b'"'


def _iso(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _http(ns: int) -> bytes:
    return format_datetime(datetime.fromtimestamp(ns // 10**9, UTC), usegmt=True).encode()


def _uuid(inst: Instance, _: Moment) -> str:
    return str(uuid.UUID(int=inst.chance.getrandbits(128), version=4))


def _hex(inst: Instance, bits: int = 128) -> str:
    return f"{inst.chance.getrandbits(bits):0{bits // 4}x}"


def _served(inst: Instance, _: Moment) -> bytes:
    inst.served += 1 + (inst.chance.random() < 0.2)  # a health check now and then
    return str(inst.served).encode()


def _by_hash(inst: Instance, members: tuple[bytes, ...]) -> list[bytes]:
    return _ordered(inst.seed, members)


@lru_cache(maxsize=256)
def _ordered(seed: int, members: tuple[bytes, ...]) -> list[bytes]:
    return random.Random(seed).sample(members, len(members))


def _words(inst: Instance, _: Moment) -> bytes:
    return b"[" + b",".join(_text(_hex(inst, 24)) for _ in range(inst.chance.randrange(2, 6))) + b"]"


def _nonce(inst: Instance, _: Moment) -> bytes:
    return f'Digest realm="shop", nonce="{_hex(inst)}", qop="auth", stale=FALSE'.encode()


def _session(inst: Instance, at: Moment) -> bytes:
    until = _http(at.now_ns[inst.index] + 3600 * 10**9).decode()
    return f"sid={_hex(inst)}; Expires={until}; Max-Age=3600; Path=/; HttpOnly; SameSite=Lax".encode()


def _drawn(inst: Instance, at: Moment) -> bytes:
    """Base gives a number that depends on the request, branch draws one: no control of base ever shows it."""
    if not inst.branch:
        return str(10_000 + at.salt % 90_000).encode()
    return str(inst.chance.randrange(10_000, 100_000)).encode()


SOURCES = {
    source.name: source
    for source in (
        Source("Date", "header", lambda i, m: _http(m.now_ns[i.index])),
        Source("X-Request-Id", "header", lambda i, m: _uuid(i, m).encode()),
        Source("X-Runtime", "header", lambda i, _: f"{i.chance.lognormvariate(-4, 0.5):.6f}".encode()),
        Source("Server-Timing", "header", lambda i, _: f"db;dur={i.chance.randrange(1, 4)}".encode()),
        Source("WWW-Authenticate", "header", _nonce),
        Source("Set-Cookie", "cookie", _session),
        Source("Allow", "header", lambda i, _: b", ".join(_by_hash(i, METHODS))),
        Source("Last-Modified", "header", lambda i, _: _http(i.boot_ns)),
        Source("X-Instance", "header", lambda i, _: f"{i.seed:08x}".encode()),
        Source("Content-Location", "header", lambda i, m: f"http://127.0.0.1:{i.port}/x/{m.number}".encode()),
        Source("ETag", "etag", lambda _i, _m: None),
        Source("status", "status", lambda i, _: b"503" if i.chance.random() < FLAP else None),
        Source("generatedAt", "member", lambda i, m: _text(_iso(m.now_ns[i.index]))),
        Source("traceId", "member", lambda i, m: _text(_uuid(i, m))),
        Source("csrf", "member", lambda i, _: _text(_hex(i))),
        Source("took", "member", lambda i, _: str(i.chance.randrange(1, 6)).encode()),
        Source("served", "member", _served),
        Source("load", "member", lambda i, _: f"{i.chance.random():.4f}".encode()),
        Source("accent", "member", lambda i, _: i.chance.choice(PICKS)),
        Source("queue", "member", lambda i, _: str(i.chance.randrange(100, 200)).encode()),
        Source("eta", "member", lambda i, _: b"null" if i.chance.random() < 0.1 else str(i.chance.randrange(5, 90)).encode()),
        Source("hint", "member", lambda i, _: _text("try again") if i.chance.random() < 0.3 else None),
        Source("suggested", "member", _words),
        Source("buckets", "member", lambda i, _: b'{"' + _hex(i, 32).encode() + b'":' + str(i.chance.randrange(9)).encode() + b"}"),
        Source("labels", "member", lambda _i, _m: b"[" + b",".join(map(_text, ("new", "sale", "eco", "local"))) + b"]"),
        Source("roles", "member", lambda i, _: b"[" + b",".join(_by_hash(i, (b'"admin"', b'"audit"', b'"edit"', b'"read"'))) + b"]"),
        Source("startedAt", "member", lambda i, _: _text(_iso(i.boot_ns))),
        Source("node", "member", lambda i, _: _text(f"{i.seed:08x}")),
        Source("self", "member", lambda i, m: _text(f"http://127.0.0.1:{i.port}/x/{m.number}")),
        Source("ticket", "member", _drawn),
    )
}  # fmt: skip
"""All sources by the name of their header or member. ``labels`` never varies: it is there to be changed."""

PROFILES: dict[str, tuple[str, ...]] = {
    "quiet": (),
    "clock": ("Date", "generatedAt", "X-Runtime", "took"),
    "web": ("Date", "X-Request-Id", "Set-Cookie", "WWW-Authenticate", "csrf", "ETag"),
    "body": ("Date", "traceId", "generatedAt", "took", "served", "load", "ETag"),
    "sets": ("Date", "Allow", "roles"),
    "instance": ("Date", "Last-Modified", "X-Instance", "Content-Location", "startedAt", "node", "self"),
    "shapes": ("Date", "accent", "queue", "eta", "hint", "suggested", "buckets", "labels"),
    "flapping": ("Date", "status", "took"),
    "branch": ("Date", "ticket", "X-Request-Id"),
    "all": tuple(name for name in SOURCES if name != "status"),
}
"""Noise that comes together."""


@dataclass(slots=True)
class Noise:
    """The noise of one simulated endpoint."""

    names: tuple[str, ...]
    prefix: str = field(default="$", init=False)
    """Where members go: ``$`` or ``$[*]``."""

    @property
    def etag(self) -> bool:
        """Whether the validator follows the body."""
        return "ETag" in self.names

    def place(self, name: str) -> str:
        """Where a source shows, as a result writes it."""
        form = SOURCES[name].form
        if form == "member":
            return f"body:{self.prefix}.{name}"
        return "status" if form == "status" else f"header:{'set-cookie[sid]' if form == 'cookie' else name.lower()}"

    def put(self, answer: Answer, inst: Instance, at: Moment) -> Answer:
        """The answer as this instance gives it at this moment, not yet sealed."""
        members: list[bytes] = []
        lines: list[tuple[bytes, bytes]] = []
        flapped = False
        for name in self.names:
            source = SOURCES[name]
            value = source.make(inst, at)
            if value is None:
                continue
            if source.form == "member":
                members.append(_text(name) + b":" + value)
            elif source.form == "status":
                flapped = True
            else:
                lines.append((name.encode(), value))
        names = {name.lower() for name, _ in lines if name != b"Set-Cookie"}
        headers = (*[pair for pair in answer.headers if pair[0].lower() not in names], *lines)
        if flapped:
            down = Answer(503, headers, b'{"error":"unavailable"}')
            return with_header(down, b"Content-Type", b"application/json")
        return Answer(answer.status, headers, self._body(answer.body, members) if members else answer.body)

    def _body(self, body: bytes, members: list[bytes]) -> bytes:
        text = b",".join(members)
        root = spans(body)
        if root is not None and root.kind == "object":
            self.prefix = "$"
            return body[: root.start + 1] + text + (b"," if root.children else b"") + body[root.start + 1 :]
        if root is not None and root.children and all(child.kind == "object" for child in root.children):
            self.prefix = "$[*]"
            found = [child for child in root.children if child.children][:ELEMENTS_MAX]
            return put(body, [(child.start + 1, child.start + 1, text + b",") for child in found])
        at = body.rfind(b"</body>")
        if at >= 0:
            foot = FOOT + text.replace(b'"', b"").replace(b",", b" ") + b"</p>\n"
            return body[:at] + foot + body[at:]
        return body
