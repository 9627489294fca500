"""What protobuf messages are called: a reader of descriptor sets.

``protoc --include_imports --descriptor_set_out`` makes them. Of all they say, it reads names, numbers and types of fields, and what
the methods of a service answer.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

from differ.magics import text_of
from differ.wires import BYTES, FIXED32, FIXED64, VARINT, Wire, varint, wire

_DOUBLE, _FLOAT, _INT64, _UINT64, _INT32, _FIXED64, _FIXED32, _BOOL, _STRING = range(1, 10)
_MESSAGE, _BYTES, _UINT32, _ENUM, _SFIXED32, _SFIXED64, _SINT32, _SINT64 = range(11, 19)
_PACKED = {
    **dict.fromkeys((_DOUBLE, _FIXED64, _SFIXED64), FIXED64),
    **dict.fromkeys((_FLOAT, _FIXED32, _SFIXED32), FIXED32),
    **dict.fromkeys((_INT64, _UINT64, _INT32, _BOOL, _UINT32, _ENUM, _SINT32, _SINT64), VARINT),
}
"""The wire type of numbers, by the type of the field."""
_FORMATS = {
    _DOUBLE: "<d",
    _FIXED64: "<Q",
    _SFIXED64: "<q",
    _FLOAT: "<f",
    _FIXED32: "<I",
    _SFIXED32: "<i",
}


class Field(msgspec.Struct, gc=False):
    """One field of a message."""

    name: str
    type: int
    repeated: bool
    message: str = ""
    """The full name of what it holds, where that is a message."""
    names: dict[int, str] = {}
    """Of an enumeration, by number."""

    def values(self, wire_type: int, raw: int | bytes) -> list[Any] | None:
        """What one occurrence says, several numbers where they are packed; None where that is not its type."""
        if isinstance(raw, int):
            return [self._number(raw)] if _PACKED.get(self.type) == VARINT else None
        if self.type in {_STRING, _BYTES}:
            return [text_of(raw) if self.type == _STRING else raw.hex()] if wire_type == BYTES else None
        size = 8 if _PACKED.get(self.type) == FIXED64 else 4
        packed = wire_type == BYTES and self.repeated
        if self.type in _FORMATS:
            if len(raw) % size or not (packed or wire_type == _PACKED[self.type]):
                return None
            return [struct.unpack_from(_FORMATS[self.type], raw, at)[0] for at in range(0, len(raw) - size + 1, size)]
        if _PACKED.get(self.type) != VARINT or not packed:
            return None
        found: list[Any] = []
        at = 0
        while at < len(raw):
            value, at = varint(raw, at)
            if at < 0:
                return None
            found.append(self._number(value))
        return found

    def _number(self, value: int) -> Any:
        """A varint as what it means."""
        if self.type == _BOOL:
            return bool(value) if value < 2 else value
        if self.type == _ENUM:
            return self.names.get(value, value)
        if self.type in {_SINT32, _SINT64}:
            return value >> 1 ^ -(value & 1)
        return value - (1 << 64) if self.type in {_INT32, _INT64} and value >> 63 else value


class Message(msgspec.Struct, gc=False):
    """A message's fields by number."""

    fields: dict[int, Field]


class Registry(msgspec.Struct, gc=False):
    """All that a descriptor set names."""

    messages: dict[str, Message]
    """By full name, without a dot in front."""
    answers: dict[str, str]
    """The full name of what a method answers, by its path (``/shop.Cart/Get``)."""


def registry_of(data: bytes) -> Registry:
    """What a serialized FileDescriptorSet says.

    Raises:
        ValueError: the bytes are none.
    """
    files = wire(data)
    if not files or any(number != 1 or kind != BYTES for number, kind, _ in files):
        raise ValueError(
            "these bytes are no FileDescriptorSet; make one with protoc --include_imports --descriptor_set_out"
        )
    found, enums = Registry({}, {}), dict[str, dict[int, str]]()
    for file in _all(files, 1):
        fields = wire(file) or []
        package = _text(fields, 2)
        prefix = f"{package}." if package else ""
        _enums(_all(fields, 5), prefix, enums)
        for message in _all(fields, 4):
            _message(message, prefix, found, enums)
        for service in _all(fields, 6):
            _service(service, prefix, found)
    for message in found.messages.values():
        for field in message.fields.values():
            if field.type == _ENUM:
                field.names, field.message = enums.get(field.message, {}), ""
    return found


def _message(data: bytes, prefix: str, found: Registry, enums: dict[str, dict[int, str]], depth: int = 0) -> None:
    """A DescriptorProto and those inside it."""
    fields = wire(data) or []
    name = prefix + _text(fields, 1)
    found.messages[name] = Message(dict(map(_field, _all(fields, 2))))
    _enums(_all(fields, 4), f"{name}.", enums)
    for inner in _all(fields, 3) if depth < 32 else []:
        _message(inner, f"{name}.", found, enums, depth + 1)


def _field(data: bytes) -> tuple[int, Field]:
    """A FieldDescriptorProto."""
    fields = wire(data) or []
    kind = _number(fields, 5)
    named = _text(fields, 6).removeprefix(".") if kind in {_MESSAGE, _ENUM} else ""
    return _number(fields, 3), Field(_text(fields, 1), kind, _number(fields, 4) == 3, named)


def _enums(datas: list[bytes], prefix: str, enums: dict[str, dict[int, str]]) -> None:
    """EnumDescriptorProtos."""
    for data in datas:
        fields = wire(data) or []
        values = [wire(value) or [] for value in _all(fields, 2)]
        enums[prefix + _text(fields, 1)] = {_number(value, 2): _text(value, 1) for value in values}


def _service(data: bytes, prefix: str, found: Registry) -> None:
    """A ServiceDescriptorProto: what its methods answer."""
    fields = wire(data) or []
    for method in _all(fields, 2):
        told = wire(method) or []
        found.answers[f"/{prefix}{_text(fields, 1)}/{_text(told, 1)}"] = _text(told, 3).removeprefix(".")


def _all(fields: Wire, number: int) -> list[bytes]:
    return [value for one, _, value in fields if one == number and isinstance(value, bytes)]


def _text(fields: Wire, number: int) -> str:
    found = _all(fields, number)
    return found[-1].decode("utf-8", "replace") if found else ""


def _number(fields: Wire, number: int) -> int:
    return next((value for one, _, value in reversed(fields) if one == number and isinstance(value, int)), 0)
