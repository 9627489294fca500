"""Files that are packed: gzip of any number of members (``.gz``), and zlib, in which mitmproxy and others write ``.zhar``.

What unpacks to far more than any log does is refused before it fills the disk.
"""

from __future__ import annotations

import gzip
import tempfile
import zlib
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import IO

from echolane.errors import UsageError

PIECE_BYTES = 1024 * 1024
"""How much of a file is read at a time."""
RATIO_MAX = 300
"""Logs of many equal exchanges reach 100:1; bombs reach 1028:1, which is all that deflate can."""
RATIO_FREE_BYTES = 1024 * 1024 * 1024
"""Up to this size any ratio is harmless: a disk bears it."""
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)


def open_plain(path: Path) -> IO[bytes]:
    """The file, unpacked when it is packed; UsageError when it cannot be read."""
    try:
        file = path.open("rb")
        head = file.read(4)
        file.seek(0)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if head == _ZIP:
        file.close()
        raise UsageError(f"{path} is a ZIP archive; unpack it and import the files in it")
    if not _is_packed(head):
        return file
    # Two passes and entries in another order than written: both need a file that can be read at any place.
    plain = tempfile.TemporaryFile(prefix="echolane-import-")  # noqa: SIM115 - given to the caller
    try:
        with file:
            _unpack(path, file, head, plain)
    except UsageError:
        plain.close()
        raise
    plain.seek(0)
    return plain


def head_of(path: Path, size: int = 512) -> bytes:
    """The first bytes of a file, unpacked; fewer when it is shorter or damaged."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
            file.seek(0)
            if not _is_packed(head):
                return file.read(size)
            with closing(_pieces(file, head, size)) as pieces:
                return next(pieces, b"")[:size]
    except _DAMAGE:
        return b""
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _is_packed(head: bytes) -> bool:
    # A zlib stream begins with its method, a deflate of 32 KiB, and a check of both bytes (RFC 1950); no text of ours begins so.
    return head.startswith(_GZIP) or (len(head) > 1 and head[0] == 0x78 and int.from_bytes(head[:2]) % 31 == 0)


def _unpack(path: Path, file: IO[bytes], head: bytes, plain: IO[bytes]) -> None:
    most = max(RATIO_FREE_BYTES, RATIO_MAX * path.stat().st_size)
    kind = "gzip" if head.startswith(_GZIP) else "zlib"
    size = 0
    try:
        for piece in _pieces(file, head):
            size += len(piece)
            if size > most:
                raise UsageError(
                    f"{path} unpacks to more than {RATIO_MAX} times its size, as no log does; unpack it yourself if it is one, and import that"
                )
            plain.write(piece)
    except _DAMAGE as error:
        way = f"unpack what is whole with `zcat {path.name} > FILE` and import that, or " if kind == "gzip" else ""
        raise UsageError(
            f"{path}: its {kind} stream is damaged or cut after {size} unpacked bytes; {way}copy the file again"
        ) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be unpacked: {error.strerror or error}") from error


def _pieces(file: IO[bytes], head: bytes, size: int = PIECE_BYTES) -> Generator[bytes]:
    """What is in a packed file, so many bytes at a time."""
    if head.startswith(_GZIP):
        with gzip.GzipFile(fileobj=file) as unpacked:
            while piece := unpacked.read(size):
                yield piece
        return
    stream = zlib.decompressobj()
    while not stream.eof:
        data = stream.unconsumed_tail or file.read(PIECE_BYTES)
        if piece := stream.decompress(data, size):
            yield piece
        elif not data and not stream.eof:
            raise EOFError("the stream is cut")
    if stream.unused_data or file.read(1):
        raise zlib.error("there is more behind the end of the stream")
