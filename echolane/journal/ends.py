"""Where each partition ends, in a small file beside the segments: the second witness of what was acknowledged.

A segment whose WAL or pages were damaged opens as if its last entries had never been; this file still knows them. So no position is
given twice, and what is missing is counted. Values are written after each commit, survive kill -9 with the kernel's page cache,
and lag behind after a power cut at most; each stands with its complement, so a damaged one is known as such.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

_CELL = struct.Struct("<QQ")
CELL_BYTES = _CELL.size
_ONES = (1 << 64) - 1


class Ends:
    """The ends file of one topic: cell 0 is the latest append time, cell 1 + p the end of partition p."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    @staticmethod
    def create(path: Path, partitions: int) -> None:
        """A new file whose blocks are all there, so that a full disk never keeps an end from being written."""
        path.write_bytes(_CELL.pack(0, _ONES) * (1 + partitions))

    def end(self, partition: int) -> int | None:
        """The end of a partition; None when the file cannot tell."""
        return self._read(1 + partition)

    def latest_ns(self) -> int:
        """The latest append time; 0 when the file cannot tell."""
        return self._read(0) or 0

    def write(self, ends: dict[int, int], latest_ns: int) -> None:
        """Remember what a commit has reached."""
        for cell, value in [(0, latest_ns), *((1 + partition, end) for partition, end in ends.items())]:
            try:
                os.pwrite(self._descriptor, _CELL.pack(value, value ^ _ONES), cell * _CELL.size)
            except OSError:
                pass  # the second witness is silent; the commit itself is durable

    def _read(self, cell: int) -> int | None:
        data = os.pread(self._descriptor, _CELL.size, cell * _CELL.size)
        if len(data) < _CELL.size:
            return None
        value, complement = _CELL.unpack(data)
        return value if value ^ complement == _ONES else None

    def close(self) -> None:
        """Let go of the file."""
        descriptor, self._descriptor = self._descriptor, -1  # first: its number may soon be another file's
        if descriptor >= 0:
            os.close(descriptor)
