"""Compare two answers: status, headers, cookies, body. Equal bytes first, then meaning, then structure."""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest

import msgspec

from differ.bodies_of import BYTES, EMPTY, JSON, NDJSON, OPENING, TEXT, XML, Parsed, exactly, parsed
from differ.classes import format_of, times_apart, timing_apart
from differ.difference import DERIVED, EXCERPT_BYTES, FORMAT, PRESENCE, TYPE, VALUE, Difference
from differ.echoes import NOBODY, Own, unechoed
from differ.jsons import LOSSY, PLAIN, NotJson, has_duplicates, parse_with_duplicates
from differ.places import root
from differ.raws import Uncut, differing, is_text
from differ.sink import MISSING, Change, Sink, TooMuch, texts
from differ.walk import Bounds, Walk
from echolane.exchange import Headers, Response

HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade", b"proxy-connection")
)
VALIDATORS = frozenset((b"etag", b"last-modified"))
"""Headers whose value is made for one state of one instance: two that differ prove nothing by themselves."""
DERIVED_NAMES = frozenset(
    (b"content-length", b"content-md5", b"digest", b"content-digest", b"repr-digest", b"x-content-length")
)
ONE_VALUE = 256
"""A text shorter than this is one value (a token, a date); longer ones are compared by lines."""
HEADERS_MAX = 2000


class Reading(msgspec.Struct, gc=False):
    """A body as it is compared: what its target echoes of itself is masked, and it is parsed when that is asked for."""

    data: bytes
    headers: Headers
    parsed: Parsed | None = None

    def parse(self) -> Parsed:
        """Its form and value."""
        found = self.parsed
        if found is None:
            found = self.parsed = parsed(self.data, self.headers)
        return found


class Context(Bounds, frozen=True, gc=False):
    """What a comparison may know besides the two answers."""

    method: str = "GET"
    own: tuple[Own, Own] = (NOBODY, NOBODY)
    now_ns: tuple[int, int] = (0, 0)
    """When each answer was given, wall clock."""
    read: dict[tuple[int, int], Reading] | None = None
    """Bodies that were read before, by answer and target (their ids: both outlive the context): one is compared with two others."""


class Compared(msgspec.Struct, gc=False):
    """What a comparison found, or why it could not be made."""

    differences: list[Difference]
    uncomparable: str = ""


def compare(left: Response | str, right: Response | str, context: Context) -> Compared:
    """Differences between two answers; a text stands for a failed answer and is its reason. Never raises."""
    own = context.own
    sink = Sink(context.now_ns, (own[0].port, own[1].port) if own[0].port else None, own[0].number)
    if isinstance(left, str) or isinstance(right, str):
        if left != right:
            old = left if isinstance(left, str) else left.status
            new = right if isinstance(right, str) else right.status
            sink.add("status", Change("failure", PRESENCE, old, new, f"{old}>{new}"))
        return Compared(sink.differences())
    try:
        _answers(sink, left, right, context)
    except TooMuch as error:
        return Compared(sink.differences(), str(error))
    except RecursionError:
        return Compared([], "too-deep")
    except (ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as error:
        # A poisonous answer costs its own verdict, never the run's.
        return Compared([], f"error-{type(error).__name__}")
    return Compared(sink.differences() if sink.found else [])


def _answers(sink: Sink, left: Response, right: Response, context: Context) -> None:
    if left.status != right.status:
        sink.add("status", Change("status", TYPE, left.status, right.status, f"{left.status}>{right.status}"))
    if left.headers != right.headers:
        headers(sink, left, right, context)
    if left.incomplete != right.incomplete:
        values = ("truncated", "whole") if left.incomplete else ("whole", "truncated")
        sink.add("body", Change("truncated", PRESENCE, *values, "truncated"))
    if left.trailers != right.trailers:
        fields(sink, "trailer:", grouped(left.trailers), grouped(right.trailers), context)
    if context.method != "HEAD":
        body(sink, left, right, context)


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


def body(sink: Sink, left: Response, right: Response, context: Context) -> None:
    """Equal bytes, else equal meaning, else differences."""
    one, two = left.body, right.body
    if one.data == two.data and one.truncated == two.truncated and one.digest == two.digest:
        return
    if one.truncated or two.truncated:
        raise TooMuch("too-large")
    if one.undecoded != two.undecoded:
        sink.add("body", Change("encoding", TYPE, one.undecoded or "decoded", two.undecoded or "decoded", "encoding"))
        return
    if cut(sink, one.data, two.data, context):
        return
    read, own = context.read, context.own
    old = reading(left, own[0]) if read is None else _again(left, own[0], read)
    new = reading(right, own[1]) if read is None else _again(right, own[1], read)
    if old.data == new.data:
        return
    forms, raw = (old.parse(), new.parse()), (old.data, new.data)
    form, other = forms[0].form, forms[1].form
    if form != other:
        sink.add("body", Change("format", TYPE, shown(raw[0]), shown(raw[1]), f"{form}>{other}"))
    elif form in TREES:
        json_bodies(sink, raw, forms, context)
    else:
        structured(sink, raw, forms, context)


def cut(sink: Sink, old: bytes, new: bytes, context: Context) -> bool:
    """Compare two texts of JSON without parsing what they share; False where that says nothing (:mod:`differ.raws`)."""
    if old[:1] not in OPENING or old[:1] != new[:1] or not (is_text(old) and is_text(new)):
        return False
    walk, found = Walk(sink, context, True, len(old) + len(new)), len(sink.found)
    try:
        differing(walk, old, new, root("body:$"), context.own)
    except (msgspec.MsgspecError, NotJson, Uncut, RecursionError):
        pass
    else:
        # Texts that differ in nothing may hold a key twice, which only a parser that keeps both can tell.
        if len(sink.found) > found and walk.proved():
            return True
    sink.forget("body:$")
    return False


def reading(answer: Response, own: Own) -> Reading:
    """The body of an answer of one target."""
    return Reading(unechoed(answer.body.data, own), answer.headers)


def _again(answer: Response, own: Own, read: dict[tuple[int, int], Reading]) -> Reading:
    """The same once for all comparisons of an exchange."""
    key = id(answer), id(own)
    found = read.get(key)
    if found is None:
        found = read[key] = reading(answer, own)
    return found


def json_bodies(sink: Sink, raw: tuple[bytes, bytes], forms: tuple[Parsed, Parsed], context: Context) -> None:
    """Two bodies of JSON values as whole trees: what :func:`cut` left, and lines of JSON."""
    one, two = forms
    holds = max(one.holds, two.holds)
    if holds == LOSSY:
        one, two = exactly(one, raw[0]), exactly(two, raw[1])
    walk = Walk(sink, context, holds > PLAIN, len(raw[0]) + len(raw[1]))
    if walk.trees(one.value, two.value, "body:$"):
        return
    if one.form == JSON and (has_duplicates(raw[0], one.value) or has_duplicates(raw[1], two.value)):
        repeated(walk, raw)


def structured(sink: Sink, raw: tuple[bytes, bytes], forms: tuple[Parsed, Parsed], context: Context) -> None:
    """Two bodies of one form that is not JSON."""
    old, new = forms[0].value, forms[1].value
    form, size = forms[0].form, len(raw[0]) + len(raw[1])
    if form == XML:
        if old != new:
            Walk(sink, context, size=size).nodes(old, new, "body:")
    elif form == TEXT:
        text_bodies(sink, old, new)
    elif form in {BYTES, EMPTY}:
        sink.add("body", Change("value", FORMAT, shown(raw[0]), shown(raw[1]), "bytes"))
    else:
        Walk(sink, context, size=size).trees(old, new, "body:$")


TREES = frozenset((JSON, NDJSON))


def repeated(walk: Walk, raw: tuple[bytes, bytes]) -> None:
    """Texts whose values are equal once a repeated key is dropped: compared with every key kept."""
    try:
        old, new = parse_with_duplicates(raw[0]), parse_with_duplicates(raw[1])
    except NotJson:
        return
    walk.trees(old, new, "body:$")


def text_bodies(sink: Sink, old: str, new: str) -> None:
    """Texts by lines: what stays when dates, ids, hashes and numbers are masked tells a template from its timings."""
    if len(old) < ONE_VALUE and len(new) < ONE_VALUE:
        sink.add("body", texts(old, new, sink.now_ns))
        return
    lines = changed_lines(old.split("\n"), new.split("\n"))
    formats = [[format_of(line) for line in side] for side in lines]
    facet = VALUE if formats[0] == formats[1] else FORMAT
    klass = "time" if facet == VALUE and all(map(by_time_alone, *lines)) else ""
    first = next(
        (f"{one[:60]}>{two[:60]}" for one, two in zip_longest(*formats, fillvalue="") if one != two), "numbers"
    )
    excerpts = ["\n".join(side)[:EXCERPT_BYTES] for side in lines]
    sink.add("body", Change("value", facet, excerpts[0], excerpts[1], f"text:{first}", klass))


def by_time_alone(old: str, new: str) -> bool:
    """Whether two lines differ by a measured duration or a point in time and nothing else."""
    return timing_apart(old, new) or bool(times_apart(old, new))


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
