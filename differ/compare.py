"""Compare two answers: status, headers, cookies, body. Equal bytes first, then meaning, then structure."""

from __future__ import annotations

import re
import time
from collections import Counter
from itertools import zip_longest
from typing import Any

import msgspec
import orjson

from differ.classes import format_of, timing_apart
from differ.difference import DERIVED, EXCERPT_BYTES, FORMAT, PRESENCE, TYPE, VALUE, Compared
from differ.jsons import NotJson, parse_exact, risky
from differ.walk import MISSING, Sink, TooMuch, Walk, texts
from differ.xmls import xml_tree
from echolane.exchange import Response

HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade", b"proxy-connection")
)
DERIVED_NAMES = frozenset(
    (b"content-length", b"content-md5", b"digest", b"content-digest", b"repr-digest", b"x-content-length")
)
TRACE = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]")
"""A traceparent of ours, fresh for each shot, echoed by the service."""
ONE_VALUE = 256
"""A text shorter than this is one value (a token, a date); longer ones are compared by lines."""
HEADERS_MAX = 2000


class Own(msgspec.Struct, frozen=True):
    """What a target may echo of itself: it is masked before comparing."""

    names: tuple[bytes, ...] = ()
    """Host and port as texts, longest first."""
    port: str = ""


NOBODY = Own()


class Context(msgspec.Struct, frozen=True):
    """What a comparison may know besides the two answers."""

    method: str = "GET"
    own: tuple[Own, Own] = (NOBODY, NOBODY)
    now_ns: tuple[int, int] = (0, 0)
    """When each answer was given, wall clock."""
    depth: int = 512
    nodes: int = 200_000
    time_s: float = 0.25


def compare(left: Response | str, right: Response | str, context: Context) -> Compared:
    """Differences between two answers; a text stands for a failed answer and is its reason."""
    sink = Sink(context.now_ns, (context.own[0].port, context.own[1].port))
    if isinstance(left, str) or isinstance(right, str):
        if left != right:
            old = left if isinstance(left, str) else left.status
            new = right if isinstance(right, str) else right.status
            sink.add("status", "failure", PRESENCE, old, new, signature=f"failure:{old}>{new}")
        return Compared(sink.differences())
    try:
        if left.status != right.status:
            sink.add(
                "status", "status", TYPE, left.status, right.status, signature=f"status:{left.status}>{right.status}"
            )
        if left.headers != right.headers:
            headers(sink, left, right, context)
        if left.incomplete != right.incomplete:
            sink.add(
                "body",
                "truncated",
                PRESENCE,
                *(("truncated", "whole") if left.incomplete else ("whole", "truncated")),
                signature="truncated",
            )
        if left.trailers != right.trailers:
            fields(sink, "trailer:", grouped(left.trailers), grouped(right.trailers), context)
        if context.method != "HEAD":
            body(sink, left, right, context)
    except TooMuch as error:
        return Compared(sink.differences() if str(error) == "too-many-differences" else [], str(error))
    return Compared(sink.differences())


def unechoed(data: bytes, echoes: tuple[bytes, ...]) -> bytes:
    """The text with the target's own names masked."""
    for echo in echoes:
        if echo in data:
            data = data.replace(echo, b"\xc2\xabself\xc2\xbb")
    return TRACE.sub(b"00-trace-00", data) if b"-00" in data else data


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
    for name in [*old, *[name for name in new if name not in old]]:
        if name in HOP_BY_HOP or old.get(name) == new.get(name):
            continue
        where = prefix + name.decode("latin-1") + closing
        flags = DERIVED if name in DERIVED_NAMES and context.method != "HEAD" else 0
        if name not in new:
            sink.add(
                where,
                "missing",
                PRESENCE,
                field_text(old[name], context.own[0].names),
                MISSING,
                flags=flags,
                signature=f"{name.decode('latin-1')}:missing",
            )
        elif name not in old:
            sink.add(
                where,
                "added",
                PRESENCE,
                MISSING,
                field_text(new[name], context.own[1].names),
                flags=flags,
                signature=f"{name.decode('latin-1')}:added",
            )
        else:
            values = field_text(old[name], context.own[0].names), field_text(new[name], context.own[1].names)
            if values[0] == values[1]:
                continue
            if len(old[name]) != len(new[name]):
                sink.add(where, "length", FORMAT, *values, flags=flags, signature=f"{name.decode('latin-1')}:length")
                continue
            facet, kind, klass, more, signature = texts(*values, sink.now_ns)
            if name in {b"etag", b"last-modified"} and not klass:
                klass = "hash"
            sink.add(
                where,
                kind,
                facet,
                *values,
                klass=klass,
                flags=flags | more,
                signature=f"{name.decode('latin-1')}:{signature}",
            )


def field_text(values: list[bytes], echoes: tuple[bytes, ...]) -> str:
    """All lines of one header as one text."""
    return unechoed(b", ".join(values), echoes).decode("utf-8", "replace")


def media_of(answer: Response) -> str:
    """The media type, lower case, without parameters."""
    for name, value in answer.headers:
        if name.lower() == b"content-type":
            return value.split(b";", 1)[0].strip().lower().decode("latin-1")
    return ""


def body(sink: Sink, left: Response, right: Response, context: Context) -> None:
    """Equal bytes, else equal meaning, else differences."""
    one, two = left.body, right.body
    if one.data == two.data and one.truncated == two.truncated and one.digest == two.digest:
        return
    if one.truncated or two.truncated:
        raise TooMuch("too-large")
    old, new = unechoed(one.data, context.own[0].names), unechoed(two.data, context.own[1].names)
    if old == new:
        return
    formats = parsed(old, media_of(left)), parsed(new, media_of(right))
    if formats[0][0] != formats[1][0]:
        sink.add("body", "format", TYPE, shown(old), shown(new), signature=f"format:{formats[0][0]}>{formats[1][0]}")
        return
    form = formats[0][0]
    if form in {"json", "xml", "ndjson"}:
        root = "body:" if form == "xml" else "body:$"
        deadline = time.perf_counter() + context.time_s
        walk = Walk(
            sink, root, depth=context.depth, nodes=context.nodes, deadline=deadline, risky=risky(old) or risky(new)
        )
        if form == "xml":
            walk.xml(formats[0][1], formats[1][1])
        elif not walk.same(formats[0][1], formats[1][1]):
            walk.walk(formats[0][1], formats[1][1], None, 0)
        return
    if form == "text":
        text_bodies(sink, formats[0][1], formats[1][1])
        return
    sink.add("body", "value", FORMAT, shown(old), shown(new), signature="bytes")


def text_bodies(sink: Sink, old: str, new: str) -> None:
    """Texts by lines: what stays when dates, ids, hashes and numbers are masked tells a template from its timings."""
    if len(old) < ONE_VALUE and len(new) < ONE_VALUE:
        facet, kind, klass, flags, signature = texts(old, new, sink.now_ns)
        sink.add("body", kind, facet, old, new, klass=klass, flags=flags, signature=f"text:{signature[:120]}")
        return
    lines = changed_lines(old.split("\n"), new.split("\n"))
    formats = [[format_of(line) for line in side] for side in lines]
    facet = VALUE if formats[0] == formats[1] else FORMAT
    klass = "time" if facet == VALUE and all(map(timing_apart, *lines)) else ""
    first = next((f"{one}>{two}" for one, two in zip_longest(*formats, fillvalue="") if one != two), "numbers")
    excerpts = ["\n".join(side)[:EXCERPT_BYTES] for side in lines]
    sink.add("body", "value", facet, *excerpts, klass=klass, signature=f"text:{first[:120]}")


def changed_lines(old: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """The lines between the common beginning and the common end, without those that both have there."""
    begin = 0
    least = min(len(old), len(new))
    while begin < least and old[begin] == new[begin]:
        begin += 1
    end = 0
    while end < least - begin and old[-1 - end] == new[-1 - end]:
        end += 1
    one, two = old[begin : len(old) - end], new[begin : len(new) - end]
    both = Counter(one) & Counter(two)
    return without(one, both), without(two, both)


def without(lines: list[str], both: Counter[str]) -> list[str]:
    """Lines that are not one of ``both`` (each as often as it is there)."""
    left, kept = Counter(both), list[str]()
    for line in lines:
        if left[line] > 0:
            left[line] -= 1
        else:
            kept.append(line)
    return kept


def shown(data: bytes) -> str:
    """Bytes as a text to look at."""
    return data[:20_000].decode("utf-8", "replace")


def parsed(data: bytes, media: str) -> tuple[str, Any]:
    """(format, tree): json, ndjson, xml, text, bytes or empty, by what the body is rather than by what it says it is."""
    if not data.strip():
        return "empty", None
    first = data.lstrip()[:1]
    if first in b'{["-0123456789tfn' and (media.endswith("json") or first in b"{[" or not media):
        try:
            return "json", orjson.loads(data) if not risky(data) else parse_exact(data)
        except (orjson.JSONDecodeError, NotJson):
            lines = [line for line in data.split(b"\n") if line.strip()]
            if len(lines) > 1 and first in b"{[":
                try:
                    return "ndjson", [parse_exact(line) if risky(line) else orjson.loads(line) for line in lines]
                except (orjson.JSONDecodeError, NotJson):
                    pass
    if first == b"<" and media.endswith("xml") and "html" not in media:
        tree = xml_tree(data)
        if tree is not None:
            return "xml", tree
    try:
        return "text", data.decode("utf-8")
    except UnicodeDecodeError:
        return ("text", data.decode("latin-1")) if media.startswith("text/") else ("bytes", data)


__all__ = ["VALUE", "Compared", "Context", "compare"]
