"""What an answer echoes of its own target and of the request's trace: masked before it is compared."""

from __future__ import annotations

import re
from os.path import commonprefix
from urllib.parse import quote

import msgspec

TRACE = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]")
"""A traceparent of ours, fresh for each shot, echoed by the service."""
HYPHEN, PERCENT = b"-%"
COLON = b"%3"
SELF = b"\xc2\xabself\xc2\xbb"


class Own(msgspec.Struct, frozen=True):
    """What a target may echo of itself: it is masked before comparing."""

    names: tuple[bytes, ...] = ()
    """Host and port as texts, longest first."""
    port: str = ""
    number: int = -1
    """The port as a number. Made from it."""
    end: bytes = b""
    """What all names end with: a text without it has none of them. Made from the names."""
    quoted: tuple[bytes, ...] = ()
    """The names as they stand in a query (``127.0.0.1%3A8001``), in both ways to write that. Made from the names."""
    sent: tuple[bytes, ...] = ()
    """What targets of the run are called in Host, where it is not their address; the same for all of them, so that what is no
    echo stays equal on both sides."""
    heard: re.Pattern[bytes] | None = None
    """Those as names of their own and not in longer ones, also as they stand in a query. Made from them."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "number", int(self.port) if self.port else -1)
        backwards = [name[::-1] for name in self.names]
        msgspec.structs.force_setattr(self, "quoted", _quoted(self.names))
        if self.sent:
            forms = b"|".join(re.escape(form) for form in (*self.sent, *_quoted(self.sent)))
            heard = re.compile(rb"(?:(?<![\w.-])|(?<=%2[Ff]))(?:" + forms + rb")(?![\w-]|\.\w|(?::|%3[Aa])\d)")
            msgspec.structs.force_setattr(self, "heard", heard)
        msgspec.structs.force_setattr(self, "end", commonprefix(backwards)[::-1] if backwards else b"")  # noqa: RUF071 - of texts, as meant


def _quoted(names: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Names as they stand in a query, longest first; only those that are written in another way there."""
    spelled = {form for name in names for form in (quote(name, safe=""), quote(name, safe="").replace("%3A", "%3a"))}
    return tuple(form.encode() for form in sorted(spelled, key=len, reverse=True) if "%" in form)


NOBODY = Own()


def unechoed(data: bytes, own: Own) -> bytes:
    """The text with the target's own names and our traces masked; the very same object when it has none."""
    # From behind: what all names end with begins with a colon, and CPython then skips twice as fast over texts of digits.
    if own.end and data.rfind(own.end) >= 0:
        for name in own.names:
            if name in data:
                data = data.replace(name, SELF)
    # Most per cent signs are no address: the two bytes that begin a colon in a query are asked for before the names are.
    if PERCENT in data and COLON in data:
        for name in own.quoted:
            if name in data:
                data = data.replace(name, SELF)
    if own.heard is not None and own.heard.search(data) is not None:
        data = own.heard.sub(SELF, data)
    # One byte is found much faster than a pattern, and as a number at once; many texts have none.
    return TRACE.sub(b"00-trace-00", data) if HYPHEN in data and TRACE.search(data) is not None else data
