"""One file that holds many: a tar of regular files, packed by zstd, whose last member lists the others with sizes and digests.

Any tar can unpack it, and ours takes nothing else: :func:`members` refuses links, folders, long names and names that lead elsewhere, gives
what it reads in pieces, and believes nothing before :func:`check` has seen the list. Neither side holds more than a piece in memory.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

import msgspec
import zstandard

from echolane.errors import HomeError

LIST = "files.ndjson"
"""The last member: a line for each of the others, in their order."""
BLOCK = 512
"""Everything in a tar is made of these."""
PIECE_BYTES = 1024 * 1024
"""Of a file, at a time."""
SIZE_MAX = 8 * 1024**3 - 1
"""What a tar's oldest header can tell, which has no parts of unbounded length. The largest file of a home is a column of one run."""
NAME_PARTS_MAX = 12
"""Folders in one another: a column of the store is in the sixth."""
LEVEL = 3
"""Frames and columns are packed already; a higher level costs time and gains nothing."""
WINDOW_BYTES_MAX = 8 * 1024 * 1024
"""Memory for unpacking: four times what our own level wants. A file that asks for more is none of ours."""
LINE_BYTES_MAX = 1024


class Damaged(HomeError):  # noqa: N818 - it says what was met, as the errors of the floor do
    """The file is not whole, was changed, or is none of ours."""


class Listed(msgspec.Struct, frozen=True):
    """One line of the list."""

    name: str
    size: int
    sha256: str


class _Digest(Protocol):
    """A hash that is being made."""

    def update(self, data: bytes, /) -> None: ...


class Member(NamedTuple):
    """One file as it is read; its pieces have to be taken before the next one comes."""

    name: str
    size: int
    pieces: Iterator[bytes]


class _Lines:
    """The list as far as it is made, in a file without a name: a store can have a million files."""

    def __init__(self, folder: Path | None) -> None:
        self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by its owner
        self.files = self.bytes = 0

    def add(self, name: str, size: int, digest: str) -> None:
        self.file.write(msgspec.json.encode(Listed(name, size, digest)) + b"\n")
        self.files, self.bytes = self.files + 1, self.bytes + size


class Packer:
    """Writes one; :func:`packing` makes it."""

    def __init__(self, out: io.RawIOBase | zstandard.ZstdCompressionWriter, lines: _Lines, at_s: int) -> None:
        self._out, self._lines, self._at_s = out, lines, at_s

    def __repr__(self) -> str:
        return f"<Packer of {self._lines.files} files, {self._lines.bytes} bytes>"

    @property
    def files(self) -> int:
        """How many there are up to now."""
        return self._lines.files

    @property
    def bytes(self) -> int:
        """How large they are together."""
        return self._lines.bytes

    def add(self, name: str, data: bytes) -> None:
        """A file of a few bytes."""
        self.take(name, io.BytesIO(data), len(data))

    def take(self, name: str, source: BinaryIO, size: int) -> None:
        """The next ``size`` bytes of a file. HomeError where there are fewer."""
        digest = hashlib.sha256()
        self._head(name, size)
        left = size
        while left:
            piece = source.read(min(left, PIECE_BYTES))
            if not piece:
                raise HomeError(f"`{name}` became shorter while it was copied; make the backup again")
            digest.update(piece)
            self._out.write(piece)
            left -= len(piece)
        self._out.write(bytes(-size % BLOCK))
        self._lines.add(name, size, digest.hexdigest())

    def _head(self, name: str, size: int) -> None:
        if size > SIZE_MAX:
            raise HomeError(f"`{name}` has {size} bytes; a backup takes files of at most {SIZE_MAX}")
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = size, 0o600, self._at_s
        try:
            head = entry.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
        except ValueError as error:  # its length
            raise HomeError(f"`{name}` has a name that a backup does not take ({error}); rename it") from error
        self._out.write(head)

    def finish(self) -> None:
        """The list, and the end."""
        file = self._lines.file
        size = file.tell()
        file.seek(0)
        self._head(LIST, size)
        while piece := file.read(PIECE_BYTES):
            self._out.write(piece)
        self._out.write(bytes(-size % BLOCK + 2 * BLOCK))


@contextmanager
def packing(file: BinaryIO, folder: Path, at_s: int) -> Generator[Packer]:
    """Pack into ``file``; whole when the block ends well. ``folder`` takes what is kept of the list meanwhile, without a name."""
    lines = _Lines(folder)
    with (
        lines.file,
        zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).stream_writer(file, closefd=False) as out,
    ):
        packer = Packer(out, lines, at_s)
        yield packer
        packer.finish()


class Reading:
    """One file of ours as it is read, in one pass."""

    def __init__(self, path: Path, file: BinaryIO, folder: Path | None = None) -> None:
        self._path = path
        unpacker = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX)
        self._source = unpacker.stream_reader(file, read_across_frames=True)
        self._lines = _Lines(folder)

    def close(self) -> None:
        """Let go of what is kept of the list."""
        self._lines.file.close()

    def members(self) -> Iterator[Member]:
        """The files in their order; at the end the list was compared with them.

        Raises:
            Damaged: it is cut short, a digest is not the one listed, or there is something in it that we never write.
        """
        while True:
            head = self._exactly(BLOCK)
            if not any(head):
                raise self.damaged("its list of files is missing")
            entry = self._entry(head)
            if entry.name == LIST:
                self._check(entry.size)
                return
            digest, left = hashlib.sha256(), [entry.size]
            pieces = self._pieces(left, digest)
            yield Member(entry.name, entry.size, pieces)
            for _ in pieces:  # what the caller did not want
                pass
            self._exactly(-entry.size % BLOCK)
            self._lines.add(entry.name, entry.size, digest.hexdigest())

    def damaged(self, why: str) -> Damaged:
        """What is said of it."""
        return Damaged(f"`{self._path}` is damaged: {why}; take another backup")

    def _entry(self, head: bytes) -> tarfile.TarInfo:
        try:
            entry = tarfile.TarInfo.frombuf(head, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError, ValueError) as error:
            raise self.damaged("a header cannot be read") from error
        if entry.type != tarfile.REGTYPE:
            raise self.damaged(f"`{entry.name}` is no plain file, and a backup holds nothing else")
        if not is_plain_name(entry.name) or not 0 <= entry.size <= SIZE_MAX:
            raise self.damaged(f"the name {entry.name!r} leads elsewhere")
        return entry

    def _pieces(self, left: list[int], digest: _Digest) -> Iterator[bytes]:
        while left[0]:
            piece = self._exactly(min(left[0], PIECE_BYTES))
            left[0] -= len(piece)
            digest.update(piece)
            yield piece

    def _exactly(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            try:
                piece = self._source.read(size - len(found))
            except zstandard.ZstdError as error:
                raise self.damaged(f"it cannot be unpacked ({error})") from error
            if not piece:
                raise self.damaged("it is cut short")
            found += piece
        return bytes(found)

    def _check(self, size: int) -> None:
        """Compare the list with what was read, line by line."""
        lines, rest = self._lines.file, b""
        lines.seek(0)
        left = size
        while left:
            piece = self._exactly(min(left, PIECE_BYTES))
            left -= len(piece)
            *whole, rest = (rest + piece).split(b"\n")
            if len(rest) > LINE_BYTES_MAX:
                raise self.damaged("its list of files cannot be read")
            for line in whole:
                if (own := lines.readline()) != line + b"\n":
                    raise self.damaged(_other(own, line))
        if rest or lines.readline():
            raise self.damaged("its list of files is not whole")
        self._exactly(-size % BLOCK + 2 * BLOCK)
        self._at_end()

    def _at_end(self) -> None:
        try:
            more = self._source.read(1)
        except zstandard.ZstdError as error:
            raise self.damaged(f"it cannot be unpacked to its end ({error})") from error
        if more:
            raise self.damaged("there is more behind its end")


def _other(own: bytes, listed: bytes) -> str:
    try:
        name = msgspec.json.decode(own or listed, type=Listed).name
    except msgspec.DecodeError:
        return "its list of files cannot be read"
    return f"`{name}` is not as it is listed"


def is_plain_name(name: str) -> bool:
    """Whether a name leads to a place below the folder that it is in, and nowhere else."""
    parts = name.split("/")
    return len(parts) <= NAME_PARTS_MAX and name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(parts)
