"""Identities: UUIDv7 for exchanges and runs, keyed-less digests for results and findings.

Randomness and time are arguments, so a seed replays them.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Callable

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""An id as we write it."""
_LOW_62 = (1 << 62) - 1


def uuid7(wall_ns: int, random_bytes: Callable[[int], bytes] = os.urandom) -> str:
    """A UUID version 7 (RFC 9562): 48 bits of milliseconds, 74 random bits; 36 characters, sorts by time."""
    millis = wall_ns // 1_000_000
    raw = random_bytes(10)
    rand_a = (raw[0] << 8 | raw[1]) & 0x0FFF
    rand_b = int.from_bytes(raw[2:10], "big") & _LOW_62
    text = f"{millis:012x}{0x7000 | rand_a:04x}{1 << 63 | rand_b:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Uuid7Batch:
    """Many UUIDv7 for little: one read of randomness serves 256 ids (the recorder needs one per exchange)."""

    def __init__(self, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._random_bytes = random_bytes
        self._pool = b""
        self._at = 0

    def next(self, wall_ns: int) -> str:
        """The next id for an exchange captured at ``wall_ns``."""
        if self._at + 10 > len(self._pool):
            self._pool, self._at = self._random_bytes(2560), 0
        at = self._at
        self._at = at + 10
        a, b = struct.unpack_from(">HQ", self._pool, at)
        text = f"{wall_ns // 1_000_000:012x}{0x7000 | a & 0x0FFF:04x}{1 << 63 | b & _LOW_62:016x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def digest16(*parts: str) -> str:
    """32 hex digits that name a tuple of texts (results, findings); equal parts give equal ids in every run."""
    sink = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        sink.update(struct.pack(">I", len(data)))
        sink.update(data)
    return sink.hexdigest()


def result_id(run: str, exchange: str) -> str:
    """The identity of one result, H(run, exchange)."""
    return digest16("result", run, exchange)


def finding_id(service: str, where: str, kind: str, signature: str) -> str:
    """The identity of a finding, H(service, where, kind, change signature): the same in every run."""
    return digest16("finding", service, where, kind, signature)
