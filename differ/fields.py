"""Headers, trailers and cookies of two answers: by name, with repetition."""

from __future__ import annotations

from differ.context import Context
from differ.difference import DERIVED, FORMAT, PRESENCE
from differ.echoes import Own, unechoed
from differ.sink import MISSING, Change, Sink, texts
from echolane.exchange import Response

HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade", b"proxy-connection")
)
VALIDATORS = frozenset((b"etag", b"last-modified"))
"""Headers whose value is made for one state of one instance: two that differ prove nothing by themselves."""
DERIVED_NAMES = frozenset(
    (b"content-length", b"content-md5", b"digest", b"content-digest", b"repr-digest", b"x-content-length")
)
HEADERS_MAX = 2000


def grouped(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    """Values by lower-case name, in order."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in pairs[:HEADERS_MAX]:
        found.setdefault(name.lower(), []).append(value)
    return found


def headers(sink: Sink, left: Response, right: Response, context: Context) -> None:
    """Headers by name; cookies by their own names."""
    old, new = grouped(left.headers), grouped(right.headers)
    cookies = old.pop(b"set-cookie", []), new.pop(b"set-cookie", [])
    if cookies[0] != cookies[1]:
        fields(sink, "header:set-cookie[", by_cookie(cookies[0]), by_cookie(cookies[1]), context)
    fields(sink, "header:", old, new, context)


def by_cookie(values: list[bytes]) -> dict[bytes, list[bytes]]:
    """Set-Cookie values by the cookie's name."""
    found: dict[bytes, list[bytes]] = {}
    for value in values:
        found.setdefault(value.split(b"=", 1)[0].strip(), []).append(value)
    return found


def fields(
    sink: Sink, prefix: str, old: dict[bytes, list[bytes]], new: dict[bytes, list[bytes]], context: Context
) -> None:
    """Values by name: missing, added, more or fewer lines, or another text."""
    closing = "]" if prefix.endswith("[") else ""
    for raw_name in [*old, *[name for name in new if name not in old]]:
        if raw_name in HOP_BY_HOP or old.get(raw_name) == new.get(raw_name):
            continue
        name = raw_name.decode("latin-1")
        where = prefix + name + closing
        flags = DERIVED if raw_name in DERIVED_NAMES and context.method != "HEAD" else 0
        if raw_name not in new:
            shown = field_text(old[raw_name], context.own[0])
            sink.add(where, Change("missing", PRESENCE, shown, MISSING, name, flags=flags))
        elif raw_name not in old:
            shown = field_text(new[raw_name], context.own[1])
            sink.add(where, Change("added", PRESENCE, MISSING, shown, name, flags=flags))
        else:
            lines = old[raw_name], new[raw_name]
            values = field_text(lines[0], context.own[0]), field_text(lines[1], context.own[1])
            if values[0] == values[1]:
                continue
            if len(lines[0]) != len(lines[1]):
                # A second line of the same name is a change of its own, whatever both say together.
                sink.add(
                    where,
                    Change("length", FORMAT, *values, f"{name} {len(lines[0])}>{len(lines[1])} lines", flags=flags),
                )
                continue
            change = texts(*values, sink.now_ns)
            change.klass = change.klass or ("hash" if raw_name in VALIDATORS else "")
            change.flags |= flags
            change.signature = f"{name}:{change.signature}"
            sink.add(where, change)


def field_text(values: list[bytes], own: Own) -> str:
    """All lines of one header as one text."""
    return unechoed(b", ".join(values), own).decode("utf-8", "replace")
