"""A recorded request as a command for ``sh``: ``curl`` that repeats it at a target, whatever its bytes are. Pure.

What a target would be sent by a run without rewrites: headers of one connection, traces and marks are taken off
(:mod:`echolane.marks`), the lane is set. Every line can be seen and copied as it stands: bytes that cannot are written as octal
escapes for ``printf``. Comments hold words of ours alone, for a shell that takes no comments would carry them out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from console.escapes import shell, visible
from echolane.exchange import Request
from echolane.marks import HeaderRefused, clean_headers, with_lane

BODY_MAX = 32 * 1024
"""Bytes of a body that a command holds: Linux takes 128 KiB as one argument, and nobody pastes more."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Headers that a comment may name; a back-tick is a letter of names, too."""
_OWN = ("user-agent", "accept")
"""Headers that curl sends of itself."""


def refusal(request: Request) -> str:
    """Why no command repeats this request; empty where one does."""
    body = request.body
    if not request.method.isprintable() or not request.target:
        return "Its request line is none that curl sends."
    if body.truncated:
        return "The recording kept only the beginning of its body, so no command repeats it."
    if len(body.data) > BODY_MAX:
        return f"Its body of {len(body.data):,} bytes is too long for a command."
    if body.data and request.method == "HEAD":
        return "A HEAD request with a body is none that curl sends."
    try:
        clean_headers(request.headers)
    except HeaderRefused:
        return "It has a header whose name cannot be sent."
    return ""


def command(request: Request, target: Mapping[str, Any], masked: Sequence[str] = ()) -> str:
    """The request as a command for ``sh``, at a target of a run; ``masked`` says what of it stands as a mask. Not where it is refused."""
    headers, left_out = _headers(request, str(target["lane"]) if target.get("lane") else None)
    names = {name.lower() for name, _ in headers}
    method = ["--head"] if request.method == "HEAD" else ["--request", request.method]
    words = [["curl", "--globoff", "--path-as-is", *method]]
    coded = any(name.lower() == "accept-encoding" and value != "identity" for name, value in headers)
    words += [["--compressed"]] if coded else []
    words += [["--header", f"{name}: {value}" if value else f"{name};"] for name, value in headers]
    words += [["--header", f"{name}:"] for name in _OWN if name not in names]
    before, body = _body(request, names)
    url = str(target["url"]).rstrip("/")
    address = quote(request.target, safe="!$%&'()*+,/:;=?@[]~\"<>\\^`{|}", encoding="latin-1", errors="replace")
    # Where a target is no path (`*`, a whole address), curl is told it apart.
    words += [
        *body,
        *([["--url", url + address]] if address.startswith("/") else [["--request-target", address], ["--url", url]]),
    ]
    notes = (("masked when it was recorded", _named(masked)), ("left out", left_out))
    comments = [f"# {said}: {', '.join(what)}\n" for said, what in notes if what]
    return "".join(comments) + before + " \\\n  ".join(shell(part) for part in words)


def _headers(request: Request, lane: str | None) -> tuple[list[tuple[str, str]], list[str]]:
    """Headers that a command can hold, and what had to be left out."""
    kept, baggage = clean_headers(request.headers)
    if request.body.encoding and not request.body.undecoded:
        kept = [pair for pair in kept if pair[0].lower() != b"content-encoding"]
    if members := with_lane(baggage, lane):
        kept = [*kept, (b"baggage", members)]
    headers, left_out = [("x-lane", lane)] if lane else [], list[str]()
    for key, raw in kept:
        name, value = key.decode("latin-1"), raw.decode("utf-8", "replace").strip()
        if value.isprintable() and value.encode() == raw.strip():
            headers.append((name, value))
        else:
            left_out.append(f"header {name}" if _NAME.fullmatch(name) else "a header")
    return headers, left_out


def _named(masked: Sequence[str]) -> list[str]:
    """Places of a request in words that a shell without comments finds harmless."""
    said = [place.replace(":", " ", 1) for place in masked]
    return [one if all(map(_NAME.fullmatch, one.split(" "))) else "a header" for one in said]


def _body(request: Request, names: set[str]) -> tuple[str, list[list[str]]]:
    """What goes before curl, and the words that send a body; a write without a body says so, as the recorded one did."""
    data = request.body.data
    if not data and request.method not in {"POST", "PUT", "PATCH"}:
        return "", []
    more = [["--header", f"{name}:"] for name in ("content-type", "expect") if name not in names]
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if visible(text, "\n") == text:
        return "", [*more, ["--data-raw", text]]
    octal = "".join(chr(byte) if 0x20 <= byte < 0x7F and byte not in b"\\%-" else f"\\{byte:03o}" for byte in data)
    return f"{shell(['printf', octal])} |\n", [*more, ["--data-binary", "@-"]]
