"""Protobuf and gRPC messages as trees of their fields: by number as they are on the wire, by name where a descriptor is known.

The wire says little of what a field is, so all values of one field, on both sides, are read alike: as texts where all of them are
printable, as messages where all of them can be read as such, else as bytes.
"""

from __future__ import annotations

import re
import struct
import zlib
from binascii import a2b_base64
from typing import Any

import msgspec

from differ.descriptors import Field, Message, Registry
from differ.multiparts import parameter
from differ.wires import BYTES, FIELDS_MAX, FIXED64, VARINT, Wire, varint, wire

DEPTH_MAX = 32
"""Messages inside messages; protobuf's own parsers stop at 100, and each level reads its bytes once more."""
FRAMES_MAX = 10_000
MESSAGE_MAX = 4 * 1024 * 1024
"""Bytes of all compressed messages of a body, unpacked: what gRPC accepts of one by default."""
TRAILERS = 0x80
"""A frame of gRPC-Web that holds trailers."""
_TYPES = frozenset(("application/protobuf", "application/x-protobuf", "application/vnd.google.protobuf"))


class Messages(msgspec.Struct, gc=False):
    """The messages of a body, as bytes, and what they are called."""

    data: bytes
    bodies: list[bytes]
    name: str = ""
    framed: bool = False
    """Whether they come in frames of gRPC, one after another."""
    trailers: list[bytes] = msgspec.field(default_factory=list[bytes])


class _TooMany(Exception):  # noqa: N818 - never leaves this module
    """More than FIELDS_MAX."""


def is_protobuf(media: str) -> bool:
    """Whether a media type says so."""
    return media in _TYPES or (media.endswith("+proto") and not is_grpc(media))


def is_grpc(media: str) -> bool:
    """Whether a media type is gRPC's or gRPC-Web's, with protobuf inside."""
    base, _, inside = media.partition("+")
    return base in {"application/grpc", "application/grpc-web", "application/grpc-web-text"} and inside in {"", "proto"}


def messages_of(data: bytes, content_type: str) -> Messages | None:
    """The messages of a body by its content type; None where it does not hold what it says."""
    media = content_type.split(";", 1)[0].strip().lower()
    if is_grpc(media):
        plain = _plain(data) if "-text" in media else data
        return None if plain is None else _frames(plain, data)
    name = next((found for key in ("messagetype", "proto") if (found := parameter(content_type, key))), "")
    if parameter(content_type, "encoding") == "delimited":
        bodies = _delimited(data)
        return None if bodies is None else Messages(data, bodies, name, framed=True)
    return None if wire(data) is None else Messages(data, [data], name)


def _plain(data: bytes) -> bytes | None:
    """What padded pieces of base64 say; None where one is none: a body that is something else is never read as nothing."""
    try:
        pieces = re.findall(rb"[^=]+=*|=+", b"".join(data.split()))
        return b"".join(a2b_base64(piece, strict_mode=True) for piece in pieces)
    except ValueError:
        return None


def _frames(data: bytes, whole: bytes) -> Messages | None:
    """Frames of gRPC: a flag, four bytes of length, a message."""
    found, at, room = Messages(whole, [], framed=True), 0, MESSAGE_MAX
    while at < len(data):
        if at + 5 > len(data) or len(found.bodies) >= FRAMES_MAX:
            return None
        flag, size = struct.unpack_from(">BI", data, at)
        body = data[at + 5 : at + 5 + size]
        at += 5 + size
        if len(body) != size:
            return None
        if flag & TRAILERS:
            found.trailers.append(body)
            continue
        unpacked = _unpacked(body, room) if flag & 1 else body
        if unpacked is None or wire(unpacked) is None:
            return None
        room -= len(unpacked) if flag & 1 else 0
        found.bodies.append(unpacked)
    return found


def _unpacked(data: bytes, room: int) -> bytes | None:
    """A message of gzip or zlib; None for another algorithm."""
    try:
        unpacker = zlib.decompressobj(wbits=47)
        found = unpacker.decompress(data, max(1, room))
    except zlib.error:
        return None
    return found if unpacker.eof else None


def _delimited(data: bytes) -> list[bytes] | None:
    """Messages that each follow their own length."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        size, at = varint(data, at)
        if at < 0 or at + size > len(data) or len(found) >= FRAMES_MAX:
            return None
        found.append(data[at : at + size])
        at += size
    return found


def trees(old: Messages, new: Messages, registry: Registry | None, method: str) -> tuple[Any, Any] | None:
    """Two bodies as trees; None where they have too many fields.

    Args:
        old: the messages of one answer.
        new: those of the other.
        registry: what is known of messages by name, from ``differ.descriptors``.
        method: the path of the request, which names a method of gRPC.
    """
    message = None
    if registry is not None:
        name = old.name if old.name == new.name else ""
        message = registry.messages.get(name or registry.answers.get(method.split("?", 1)[0], ""))
    reader = _Reader(registry)
    try:
        read = reader.messages([*old.bodies, *new.bodies], message, 0)
    except _TooMany:
        return None
    if read is None:
        return None
    sides = read[: len(old.bodies)], read[len(old.bodies) :]
    if old.framed or new.framed:
        return sides
    return sides[0][0], sides[1][0]


Met = tuple[int, int, int | bytes]
"""One field of a message: the message's index, the wire type, the value."""


class _Reader:
    """Reads messages of one kind together, so that a field is the same thing in all of them."""

    def __init__(self, registry: Registry | None) -> None:
        self._registry = registry
        self._fields = 0

    def messages(self, bodies: list[bytes], kind: Message | None, depth: int) -> list[dict[str, Any]] | None:
        """Messages as objects; None where not all of them are messages."""
        if depth > DEPTH_MAX:
            return None
        wires: list[Wire] = []
        for body in bodies:
            read = wire(body)
            if read is None:
                return None
            wires.append(read)
        self._fields += sum(map(len, wires))
        if self._fields > FIELDS_MAX:
            raise _TooMany
        found: list[dict[str, Any]] = [{} for _ in bodies]
        by_number: dict[int, list[Met]] = {}
        for index, fields in enumerate(wires):
            for number, wire_type, value in fields:
                by_number.setdefault(number, []).append((index, wire_type, value))
        for number in sorted(by_number):
            self._field(number, by_number[number], found, kind, depth)
        return found

    def _field(
        self,
        number: int,
        met: list[Met],
        found: list[dict[str, Any]],
        kind: Message | None,
        depth: int,
    ) -> None:
        """One field of all messages, a list where it is repeated in one of them."""
        field = kind.fields.get(number) if kind is not None else None
        at, types, raws = [one[0] for one in met], [one[1] for one in met], [one[2] for one in met]
        values = self._described(field, types, raws, depth) if field is not None else None
        repeated = len(set(at)) < len(at)
        if field is not None and values is not None:
            repeated = field.repeated
        elif values is None:
            values = [[value] for value in self._guessed(types, raws, depth)]
        name = field.name if field is not None else str(number)
        for index, several in zip(at, values, strict=True):
            if repeated:
                found[index].setdefault(name, []).extend(several)
            elif several:
                found[index][name] = several[-1]

    def _guessed(self, types: list[int], raws: list[int | bytes], depth: int) -> list[Any]:
        """Values by what the wire lets guess."""
        if len(set(types)) > 1:  # one field, two types: all that can be said is what stood there
            return [raw.hex() if isinstance(raw, bytes) else raw for raw in raws]
        if types[0] == VARINT:
            return list(raws)
        datas = [raw for raw in raws if isinstance(raw, bytes)]
        if types[0] != BYTES:
            return _fixed(datas, types[0])
        texts = [_text(data) for data in datas]
        # A message may look like a text: its first byte is then a tag, which for the first four fields is no printable one.
        if None not in texts and not all(data[:1] < b" " for data in datas if data):
            return texts
        inner = self.messages(datas, None, depth + 1) if any(datas) else None
        if inner is not None:
            return list(inner)
        return texts if None not in texts else [data.hex() for data in datas]

    def _described(self, field: Field, types: list[int], raws: list[int | bytes], depth: int) -> list[list[Any]] | None:
        """Values as the descriptor says, each as a list; None where the wire says otherwise."""
        if field.message:
            datas = [raw for raw in raws if isinstance(raw, bytes)]
            message = None if self._registry is None else self._registry.messages.get(field.message)
            inner = self.messages(datas, message, depth + 1) if len(datas) == len(raws) else None
            return None if inner is None else [[one] for one in inner]
        found: list[list[Any]] = []
        for wire_type, raw in zip(types, raws, strict=True):
            several = field.values(wire_type, raw)
            if several is None:
                return None
            found.append(several)
        return found


def _text(data: bytes) -> str | None:
    """Bytes as a text; None where it has what no text has."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if all(char.isprintable() or char in "\t\r\n" for char in text) else None


def _fixed(datas: list[bytes], kind: int) -> list[Any]:
    """Numbers of four or eight bytes: decimals where all of them are of a size that people write, else integers."""
    decimals = [struct.unpack("<d" if kind == FIXED64 else "<f", data)[0] for data in datas]
    if all(value == 0 or 1e-6 < abs(value) < 1e15 for value in decimals):
        return decimals
    return [int.from_bytes(data, "little") for data in datas]
