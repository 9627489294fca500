"""Frames: compressed batches of records of one partition, what the journal stores.

Layout, little endian::

    magic 'EL' · version u8 · codec u8 · kind u8 · reserved u8 · partition u16 · count u32 · first_ns u64 · last_ns u64
    · raw length u32 · block length u32 · CRC32C of everything else u32 · block

The block is msgpack (an array of records), compressed by zstd. A frame that does not check out raises :class:`FrameDamaged`; the
journal sets it aside and counts it. Records are described in :mod:`echolane.exchange` and :mod:`echolane.observation`.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import crc32c
import msgspec
import zstandard

MAGIC = b"EL"
VERSION = 1
CODEC_ZSTD_MSGPACK = 1
EXCHANGES, WORK, OBSERVATIONS, INTENTS, WORDS = 1, 2, 3, 4, 5

FRAME_RAW_TARGET = 1024 * 1024
"""Bytes of msgpack after which a batch is closed: 1 MiB keeps a commit's work and a reader's memory small."""
FRAME_BYTES_MAX = 16 * 1024 * 1024
"""The largest frame: what a topic's record may hold (design §3). One record is at most 4 answers of 1 MiB and its own head."""
NEWER_FORMAT = "a newer Echolane wrote it, so update this one"
"""In the words of a :class:`FrameDamaged` that is one only here: tells such a frame from damage wherever the words are kept."""
RAW_BYTES_MAX = 32 * 1024 * 1024
"""A block that claims more than this when unpacked is damaged or hostile."""

_HEAD = struct.Struct("<2sBBBxHIQQIII")
_CRC_AT = _HEAD.size - 4
T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type, msgspec.msgpack.Decoder[Any]] = {}


class _Zstd(threading.local):
    """A thread's own compressor and decompressor: they keep their tables between frames and must not be shared."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=1, write_content_size=True, write_checksum=False).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_zstd = _Zstd()


class FrameTooLarge(ValueError):  # noqa: N818
    """A record is larger than a frame may be; its owner counts it as dropped."""


class FrameDamaged(ValueError):  # noqa: N818
    """The bytes are not a whole frame of a version and codec known here."""


class FrameHead(NamedTuple):
    """What a frame says about itself."""

    version: int
    codec: int
    kind: int
    partition: int
    records: int
    first_ns: int
    last_ns: int


def encode_frame(items: Sequence[Any], *, kind: int, partition: int, first_ns: int, last_ns: int) -> bytes:
    """One frame of records; the caller keeps a batch near :data:`FRAME_RAW_TARGET`."""
    raw = _encoder.encode(items)
    return _seal_frame(raw, len(items), kind, partition, (first_ns, last_ns))


def _seal_frame(raw: bytes, count: int, kind: int, partition: int, times: tuple[int, int]) -> bytes:
    if len(raw) > RAW_BYTES_MAX:
        raise FrameTooLarge(f"{count} records of {len(raw)} bytes are over a frame's limit of {RAW_BYTES_MAX}")
    block = _zstd.compress(raw)
    if len(block) + _HEAD.size > FRAME_BYTES_MAX:
        raise FrameTooLarge(
            f"{count} records of {len(block)} bytes, compressed, are over a frame's limit of {FRAME_BYTES_MAX}"
        )
    head = _HEAD.pack(
        MAGIC, VERSION, CODEC_ZSTD_MSGPACK, kind, partition, count, times[0], times[1], len(raw), len(block), 0
    )
    check = crc32c.crc32c(block, crc32c.crc32c(head[:_CRC_AT]))
    return head[:_CRC_AT] + check.to_bytes(4, "little") + block


def frames_of(
    items: Sequence[Any], *, kind: int, partition: int, times: Sequence[int], raw_target: int = FRAME_RAW_TARGET
) -> Iterator[tuple[bytes, int]]:
    """Frames of at most about ``raw_target`` bytes (a record larger than that has its own), each with its count of records."""
    parts: list[bytes] = []
    size, begin = 0, 0
    for index, item in enumerate(items):
        part = _encoder.encode(item)
        if parts and size + len(part) > raw_target:
            yield _joined(parts, kind, partition, times[begin:index]), len(parts)
            parts, size, begin = [], 0, index
        parts.append(part)
        size += len(part)
    if parts:
        yield _joined(parts, kind, partition, times[begin:]), len(parts)


def _joined(parts: list[bytes], kind: int, partition: int, times: Sequence[int]) -> bytes:
    raw = b"\xdd" + len(parts).to_bytes(4, "big") + b"".join(parts)  # msgpack: array 32
    return _seal_frame(raw, len(parts), kind, partition, (min(times), max(times)))


def peek(data: bytes) -> FrameHead:
    """What a frame says about itself, without its block being checked."""
    if len(data) < _HEAD.size:
        raise FrameDamaged(f"{len(data)} bytes are too short for a frame")
    magic, version, codec, kind, partition, count, first_ns, last_ns, _, _, _ = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise FrameDamaged("the magic is missing")
    return FrameHead(version, codec, kind, partition, count, first_ns, last_ns)


def check_frame(data: bytes) -> FrameHead:
    """What a frame says about itself, after its CRC was found right."""
    head = peek(data)
    raw_length, block_length, check = struct.unpack_from("<III", data, _CRC_AT - 8)
    if head.version != VERSION or head.codec != CODEC_ZSTD_MSGPACK:
        newer = f"; {NEWER_FORMAT}" if head.version > VERSION else ""
        raise FrameDamaged(f"version {head.version} with codec {head.codec} is not known here{newer}")
    if len(data) != _HEAD.size + block_length or raw_length > RAW_BYTES_MAX:
        raise FrameDamaged(f"{len(data)} bytes do not hold a block of {block_length}")
    if crc32c.crc32c(memoryview(data)[_HEAD.size :], crc32c.crc32c(data[:_CRC_AT])) != check:
        raise FrameDamaged("the checksum is wrong")
    return head


def decode_frame(data: bytes, item_type: type[T]) -> list[T]:
    """The records of a frame. Raises :class:`FrameDamaged` for anything that is not a whole, known frame of them."""
    head = check_frame(data)
    (raw_length,) = struct.unpack_from("<I", data, _CRC_AT - 8)
    decoder = _decoders.get(item_type)
    if decoder is None:
        decoder = _decoders[item_type] = msgspec.msgpack.Decoder(list[item_type])
    try:
        raw = _zstd.decompress(memoryview(data)[_HEAD.size :], max_output_size=raw_length)
        items: list[T] = decoder.decode(raw)
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise FrameDamaged(f"the block does not open: {error}") from error
    if len(raw) != raw_length or len(items) != head.records:
        raise FrameDamaged("the block holds another number of records than its head says")
    return items
