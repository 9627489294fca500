"""Headers, trailers and cookies of two answers: by name, each by its own grammar."""

from __future__ import annotations

import re

from differ.context import Context
from differ.cookies import cookie_changed, cookie_of
from differ.derived import LENGTHS, framed, weighed
from differ.difference import FORMAT, PRESENCE
from differ.echoes import Own, unechoed
from differ.header_changes import DIGESTED, changed
from differ.header_grammars import GRAMMARS
from differ.sink import MISSING, Change, Sink, texts
from differ.walk import OURS
from echolane.exchange import Headers, Response
from echolane.marks import LANE_SERVED

HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade", b"proxy-connection")
)
LEFT_OUT = HOP_BY_HOP | {LANE_SERVED}
"""They belong to a connection, or to the lane that was asked for, and not to what is said."""
HEADERS_MAX = 2000
PORT_LEAST = 4
"""Digits of a port that is looked for in names: 80 and 443 stand in many for other reasons."""
FOLLOWING = LENGTHS | DIGESTED
Grouped = dict[bytes, list[bytes]]


def grouped(pairs: Headers) -> Grouped:
    """Values by lower-case name, in order."""
    found: Grouped = {}
    for name, value in pairs[:HEADERS_MAX]:
        found.setdefault(name.lower(), []).append(value)
    return found


def unlike(left: Headers, right: Headers) -> tuple[Grouped, Grouped]:
    """Values of the names that differ. Answers of one service name their fields in one order, and then few are looked at."""
    if len(left) != len(right) or len(left) > HEADERS_MAX:
        return grouped(left), grouped(right)
    names: set[bytes] = set()
    for one, two in zip(left, right, strict=True):
        if one != two:
            name = one[0].lower()
            if name != two[0].lower():
                return grouped(left), grouped(right)
            names.add(name)
    return _of(left, names), _of(right, names)


def _of(pairs: Headers, names: set[bytes]) -> Grouped:
    found: Grouped = {}
    for name, value in pairs:
        lower = name.lower()
        if lower in names:
            found.setdefault(lower, []).append(value)
    return found


def headers(sink: Sink, left: Response, right: Response, context: Context) -> None:
    """Headers by name; cookies by their own names."""
    old, new = unlike(left.headers, right.headers)
    cookies = old.pop(b"set-cookie", []), new.pop(b"set-cookie", [])
    if cookies[0] != cookies[1]:
        _cookies(sink, *cookies, context)
    fields(sink, "header:", old, new, context, (left, right))


def trailers(sink: Sink, left: Response, right: Response, context: Context) -> None:
    """Trailers by name, as headers are."""
    fields(sink, "trailer:", grouped(left.trailers), grouped(right.trailers), context, (left, right))


def fields(
    sink: Sink, prefix: str, old: Grouped, new: Grouped, context: Context, answers: tuple[Response, Response]
) -> None:
    """Values by name: missing, added, more or fewer lines, or another meaning."""
    for raw_name in [*old, *[name for name in new if name not in old]]:
        if raw_name in LEFT_OUT or old.get(raw_name) == new.get(raw_name):
            continue
        name = raw_name.decode("latin-1")
        if name in OURS and (raw_name in old) != (raw_name in new):
            continue  # echoed by one side only: no client sends it, so none misses it
        if raw_name not in new:
            shown = field_text(old[raw_name], context.own[0])
            flags = framed(name, shown, answers[0], context)
            sink.add(prefix + name, Change("missing", PRESENCE, shown, MISSING, name, flags=flags))
        elif raw_name not in old:
            shown = field_text(new[raw_name], context.own[1])
            flags = framed(name, shown, answers[1], context)
            sink.add(prefix + name, Change("added", PRESENCE, MISSING, shown, name, flags=flags))
        else:
            change = _field(name, old[raw_name], new[raw_name], context, answers)
            if change is not None:
                sink.add(prefix + name, change)


def _field(
    name: str, old: list[bytes], new: list[bytes], context: Context, answers: tuple[Response, Response]
) -> Change | None:
    """How the lines of one name differ."""
    values = field_text(old, context.own[0]), field_text(new, context.own[1])
    if values[0] == values[1]:
        # One list told in fewer lines is the same list; one echo of a target's own name is the other.
        return None if len(old) == len(new) or _listed(name) else _lines(name, values, old, new)
    if not _listed(name):
        if len(old) != len(new):
            return _lines(name, values, old, new)
        if len(old) > 1:
            change = texts(*values, context.now_ns)
            change.signature = f"{name}:{change.signature}"
            return change
    change = changed(name, *values, context.now_ns)
    return weighed(change, name, values, answers, context) if change is not None and name in FOLLOWING else change


def _listed(name: str) -> bool:
    """Whether several lines of a name are one list (RFC 9110 §5.3)."""
    grammar = GRAMMARS.get(name)
    return grammar is not None and grammar.listed


def _lines(name: str, values: tuple[str, str], old: list[bytes], new: list[bytes]) -> Change:
    """A second line of a field that has one value is a change of its own, whatever both say together."""
    return Change("length", FORMAT, *values, f"{name} {len(old)}>{len(new)} lines")


def _cookies(sink: Sink, old: list[bytes], new: list[bytes], context: Context) -> None:
    """Cookies by name; several of one name, for paths or domains of their own, by these."""
    before, after = _by_cookie(old, context.own[0]), _by_cookie(new, context.own[1])
    for name in [*before, *[name for name in after if name not in before]]:
        one, two = before.get(name, []), after.get(name, [])
        if one == two:
            continue
        where = f"header:set-cookie[{name}]"
        values = ", ".join(one), ", ".join(two)
        if not two:
            sink.add(where, Change("missing", PRESENCE, values[0], MISSING, name))
        elif not one:
            sink.add(where, Change("added", PRESENCE, MISSING, values[1], name))
        elif len(one) != len(two):
            sink.add(where, Change("length", FORMAT, *values, f"{name} {len(one)}>{len(two)} lines"))
        else:
            for was, now in zip(one, two, strict=True):
                if was != now and (change := cookie_changed(was, now, context.now_ns)) is not None:
                    sink.add(where, change)


def _by_cookie(lines: list[bytes], own: Own) -> dict[str, list[str]]:
    """Set-Cookie lines by the cookie's name, those of one name by where it holds.

    A name with the target's own port in it (``session-127-0-0-1-8001``) is one cookie at all targets.
    """
    found: dict[str, list[str]] = {}
    for line in lines:
        name, text = line.split(b";", 1)[0].split(b"=", 1)[0].strip().decode("latin-1"), field_text([line], own)
        if len(own.port) >= PORT_LEAST and own.port in name:
            plain = re.sub(rf"(?<!\d){own.port}(?!\d)", "{port}", name)
            name, text = plain, text.replace(name, plain)  # a signed value repeats the name of its cookie
        found.setdefault(name, []).append(text)
    for same in found.values():
        if len(same) > 1:
            same.sort(key=_holds)
    return found


def _holds(line: str) -> tuple[str, str]:
    attributes = cookie_of(line).attributes
    return attributes.get("domain", ""), attributes.get("path", "")


def field_text(values: list[bytes], own: Own) -> str:
    """All lines of one header as one text."""
    return unechoed(b", ".join(values), own).decode("utf-8", "backslashreplace")
