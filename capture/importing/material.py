"""What every importer hands over, whatever its format: exchanges, the reasons why others are left out, and readable files."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from echolane.errors import UsageError
from echolane.exchange import Request, Response

PIECE_BYTES = 1024 * 1024
"""How much of a file is read at a time."""
EXCHANGES_MAX = 5_000_000
"""Of one import: what is remembered of each between the two passes costs some 60 bytes."""
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""One message; what is kept of it is at most a few MiB."""
HEAD_BYTES_MAX = 256 * 1024
"""Of a request line and its headers, as at the relay."""
GZIP = b"\x1f\x8b"

WEBSOCKET, NOT_HTTP, UNPARSEABLE, TOO_LARGE = "websocket", "not-http", "unparseable", "too-large"
"""Why an exchange of a file is not stored; further reasons are those of :mod:`capture.storing`."""


class Imported(NamedTuple):
    """One exchange of a file."""

    request: Request
    response: Response | None
    no_answer: str
    captured_at_ns: int
    duration_ns: int
    client: str
    """Whose it is where neither credentials nor cookies tell: the connection it came on."""


class Source(Protocol):
    """A file, or several that belong together, in one format."""

    notes: Counter[str]
    """What is worth telling and is no drop: bodies that are missing, an end that is cut."""

    def check(self) -> None:
        """The first pass: UsageError when anything is wrong with the file. Nothing is stored before every file passed."""
        ...

    def exchanges(self) -> Iterator[Imported | str]:
        """The second pass: exchanges in the order of their times; a text is the reason why one is left out."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


def open_plain(path: Path) -> IO[bytes]:
    """The file, unpacked when it is gzip (of any number of members); UsageError when it cannot be read."""
    try:
        file = path.open("rb")
        packed = file.read(2) == GZIP
        file.seek(0)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if not packed:
        return file
    # Two passes and entries in another order than written: both need a file that can be read at any place.
    plain = tempfile.TemporaryFile(prefix="echolane-import-")  # noqa: SIM115 - given to the caller
    with file, gzip.GzipFile(fileobj=file) as unpacked:
        size = 0
        try:
            while piece := unpacked.read(PIECE_BYTES):
                plain.write(piece)
                size += len(piece)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            plain.close()
            raise UsageError(
                f"{path}: its gzip stream is damaged or cut after {size} unpacked bytes; unpack what is whole"
                f" with `zcat {path.name} > FILE` and import that, or copy the file again"
            ) from error
        except OSError as error:
            plain.close()
            raise UsageError(f"{path} cannot be unpacked: {error.strerror or error}") from error
    plain.seek(0)
    return plain


def head_of(path: Path, size: int = 512) -> bytes:
    """The first bytes of a file, unpacked; fewer when it is shorter or damaged."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP
            file.seek(0)
            if not packed:
                return file.read(size)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return unpacked.read(size)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return b""
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
