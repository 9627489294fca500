"""Headers that follow from the body of their own answer: forgiven when, and only when, that body explains them.

A length is compared with the bytes that came, before Content-Encoding was undone. A digest is computed again over the body;
behind masks or an encoding it may not be found again, and then two that differ are explained only by two bodies that do.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from zlib import crc32

from differ.context import Context
from differ.difference import CLOCK, DERIVED, FORMAT, PERMUTATION, VALUE
from differ.header_changes import DIGESTED
from differ.header_grammars import split
from differ.sink import Change, Sink
from echolane.exchange import Response

LENGTHS = frozenset(("content-length", "x-content-length"))
BODILESS = frozenset((204, 304))
"""Statuses whose answers have no body: what is said of one cannot be held against it."""
TAG_MIN = 8
"""The fewest characters of a digest by which a tag is known as one: shorter ones agree by chance."""
_CHECKSUMS = {
    **dict.fromkeys((TAG_MIN, 9, 10), "crc32"),
    **dict.fromkeys((24, 32), "md5"),
    **dict.fromkeys((28, 40), "sha1"),
    **dict.fromkeys((44, 64), "sha256"),
    **dict.fromkeys((88, 128), "sha512"),
}
"""By how many characters it has in hex or base64; a CRC-32 is written in hex or as a number."""
_NAMED = re.compile(r"(?:md5|sha-?(?:1|256|512)|crc-?32)[:=]", re.IGNORECASE)
_ALGORITHMS = {
    "md5": "md5",
    "sha": "sha1",
    "sha-1": "sha1",
    "sha-256": "sha256",
    "sha-512": "sha512",
}


def sent_body(answer: Response, context: Context) -> bool:
    """Whether the answer is one that has its body."""
    return context.method != "HEAD" and answer.status >= 200 and answer.status not in BODILESS


def length_fits(name: str, text: str, answer: Response) -> bool:
    """Whether a length is that of the bytes that came; one of several names may speak of the decoded ones."""
    if not text.isdecimal() or len(text) > 19:
        return False
    sizes = {answer.body.size} if name == "content-length" else {answer.body.size, len(answer.body.data)}
    return int(text) in sizes


def digest_fits(name: str, text: str, answer: Response) -> bool:
    """Whether every digest of a field is the body's, as far as we know its algorithm."""
    data = answer.body.data
    if answer.body.truncated:
        return False
    if name == "content-md5":
        return text.strip() == b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
    known = False
    for piece in split(text, ","):
        algorithm, _, value = piece.partition("=")
        make = _ALGORITHMS.get(algorithm.strip().lower())
        if make is None:
            continue
        known = True
        if value.strip(" \t:") != b64encode(hashlib.new(make, data, usedforsecurity=False).digest()).decode():
            return False
    return known


def bodies_differ(left: Response, right: Response) -> bool:
    """Whether the bytes that came differ, as far as their sizes and what was decoded tell."""
    one, two = left.body, right.body
    return one.data != two.data or one.size != two.size or one.digest != two.digest


def weighed(
    change: Change, name: str, values: tuple[str, str], answers: tuple[Response, Response], context: Context
) -> Change:
    """A changed length or digest by what the bodies say of it."""
    left, right = answers
    if not (sent_body(left, context) and sent_body(right, context)):
        return change
    fits = length_fits if name in LENGTHS else digest_fits
    one, two = fits(name, values[0], left), fits(name, values[1], right)
    if one != two:
        if not (left if two else right).incomplete:  # a body that broke off is told as such
            kind = "length" if name in LENGTHS else "value"
            return Change(kind, FORMAT, *values, f"{name}:{'not ' if one else ''}the body's")
    elif (one or name in DIGESTED) and change.facet == VALUE and bodies_differ(left, right):
        change.flags |= DERIVED
    return change


def framed(name: str, text: str, answer: Response, context: Context) -> int:
    """DERIVED for a length that one side alone has and that is right: the other ends its body in another way."""
    return DERIVED if name in LENGTHS and sent_body(answer, context) and length_fits(name, text, answer) else 0


def _announced(answer: Response) -> bytes | None:
    for name, value in answer.headers:
        if len(name) == 14 and name.lower() == b"content-length":
            return value
    return None


def stated(sink: Sink, left: Response, right: Response, context: Context) -> None:
    """A length that both announce and only one of them keeps: what neither the header nor a noisy body shows."""
    announced = _announced(left)
    if announced is None or announced != _announced(right) or left.incomplete or right.incomplete:
        return
    if not (sent_body(left, context) and sent_body(right, context)):
        return
    text = announced.decode("latin-1").strip()
    fits = length_fits("content-length", text, left), length_fits("content-length", text, right)
    if fits[0] != fits[1]:
        sizes = left.body.size, right.body.size
        says = f"content-length:{'not ' if fits[0] else ''}the body's"
        sink.add(
            "header:content-length",
            Change("length", FORMAT, f"{text} ({sizes[0]} sent)", f"{text} ({sizes[1]} sent)", says),
        )


def tag_fits(text: str, data: bytes) -> bool:
    """Whether an entity tag is a known digest of the body: whole or its beginning, in hex or base64, also behind its length."""
    opaque = text.removeprefix("W/").strip('"').removesuffix("-gzip").removesuffix("-br").removesuffix("-zstd")
    size = f"{len(data):x}-"
    opaque = opaque.removeprefix(size)
    if len(opaque) < TAG_MIN:
        return False
    if opaque.lower() == f"{crc32(data):08x}":
        return True
    for make in ("md5", "sha1", "sha256", "sha512"):
        digest = hashlib.new(make, data, usedforsecurity=False).digest()
        texts = digest.hex(), b64encode(digest).decode(), b64encode(digest, b"-_").decode()
        if texts[0].startswith(opaque.lower()) or any(text.startswith(opaque) for text in texts[1:]):
            return True
    return False


def checksum_way(text: str, data: bytes) -> str:
    """How a text says a digest of the whole body, whatever its field is called: algorithm and spelling; empty when it says none."""
    named = _NAMED.match(text.strip('"'))
    prefix = named[0] if named is not None else ""
    bare = text.strip('"').removeprefix(prefix)
    algorithm = _CHECKSUMS.get(len(bare), "")
    if algorithm == "crc32":
        ways = {str(crc32(data)): "number", f"{crc32(data):08x}": "hex", f"{crc32(data):08X}": "HEX"}
    elif algorithm:
        digest = hashlib.new(algorithm, data, usedforsecurity=False).digest()
        ways = {digest.hex(): "hex", digest.hex().upper(): "HEX", b64encode(digest).decode(): "base64"}
    else:
        return ""
    return f"{prefix}{algorithm} {ways[bare]}" if bare in ways else ""


def settle_digests(sink: Sink, left: Response, right: Response) -> None:
    """Forgive headers that are digests of their bodies where these differ in nothing, or in what is drawn or ordered anew.

    A plain change of the body is left with its digests: clients see both.
    """
    one, two = left.body, right.body
    if one.data == two.data or one.truncated or two.truncated:
        return
    changes: list[tuple[str, Change]] = []
    for (where, kind), found in sink.found.items():
        if where.startswith("body"):
            if not changes or not (found.klass or found.flags & (PERMUTATION | CLOCK)):
                return
        # Of base64 one digest may look unlike another by its signs alone; a tag that became weak is another promise.
        elif (
            where.startswith("header:")
            and not found.flags
            and (kind == "value" or (kind == "format" and where != "header:etag"))
        ):
            changes.append((where.removeprefix("header:"), found))
    for name, change in changes:
        texts = _only(left, name.encode("latin-1")), _only(right, name.encode("latin-1"))
        if name == "etag":
            fits = all(text and tag_fits(text, body.data) for text, body in zip(texts, (one, two), strict=True))
        else:
            way = checksum_way(texts[0], one.data)
            fits = bool(way) and way == checksum_way(texts[1], two.data)
        if fits:
            change.flags |= DERIVED


def _only(answer: Response, name: bytes) -> str:
    """The value of a field of an answer; empty when it has none or several."""
    values = [value for field, value in answer.headers if len(field) == len(name) and field.lower() == name]
    return values[0].decode("latin-1").strip() if len(values) == 1 else ""
