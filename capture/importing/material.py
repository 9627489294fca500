"""What every importer hands over, whatever its format: exchanges and the reasons why others are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from echolane.exchange import Request, Response

EXCHANGES_MAX = 5_000_000
"""Of one import: what is remembered of each between the two passes costs some 60 bytes."""
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""One message; what is kept of it is at most a few MiB."""
HEAD_BYTES_MAX = 256 * 1024
"""Of a request line and its headers, as at the relay."""

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
