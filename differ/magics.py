"""Bytes as a text; and those that are none: what they are by their first bytes, how many, and their digest."""

from __future__ import annotations

from hashlib import sha256

from differ.difference import FORMAT, TYPE
from differ.sink import Change

_MAGICS = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"wOFF", "woff"),
    (b"wOF2", "woff2"),
    (b"\x00\x01\x00\x00\x00", "ttf"),
    (b"OTTO", "otf"),
    (b"\x7fELF", "elf"),
    (b"\x00asm", "wasm"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"ID3", "mp3"),
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"PAR1", "parquet"),
    (b"Obj\x01", "avro"),
)
_BOXED = {b"WEBP": "webp", b"WAVE": "wav", b"AVI ": "avi"}


def magic_of(data: bytes) -> str:
    """What bytes are by how they begin; ``bytes`` where that says nothing."""
    for beginning, name in _MAGICS:
        if data.startswith(beginning):
            return name
    if data[:4] == b"RIFF":
        return _BOXED.get(data[8:12], "riff")
    return "mp4" if data[4:8] == b"ftyp" else "bytes"


def text_of(data: bytes) -> str:
    """A text in UTF-8, its other bytes as escapes, for which no letter is taken."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("utf-8", "backslashreplace")


def described(data: bytes) -> str:
    """Kind, size and digest of bytes, as a text to look at."""
    return f"{magic_of(data)}, {len(data)} bytes, sha256 {sha256(data).hexdigest()[:16]}"


def octets(old: bytes, new: bytes) -> Change:
    """How two different runs of bytes differ: in kind, in size, or in what they hold."""
    kinds = magic_of(old), magic_of(new)
    if kinds[0] != kinds[1]:
        return Change("format", TYPE, described(old), described(new), f"{kinds[0]}>{kinds[1]}")
    return Change("value", FORMAT, described(old), described(new), kinds[0])
