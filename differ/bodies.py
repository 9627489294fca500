"""Bodies of two answers: equal bytes, else equal meaning, else differences."""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest

import msgspec

from differ.aligning import common_ends, parted
from differ.bodies_of import (
    BYTES,
    CSV,
    DOCUMENT,
    EMPTY,
    HTML,
    IMAGE,
    JSON,
    NDJSON,
    OPENING,
    PROTOBUF,
    TEXT,
    XML,
    Parsed,
    exactly,
    labelled,
    media_of,
)
from differ.classes import format_of, times_apart, timing_apart
from differ.context import Context, Reading
from differ.csvs import tables
from differ.difference import EXCERPT_BYTES, FORMAT, PERMUTATION, TYPE, VALUE, formed
from differ.echoes import Own, unechoed
from differ.images import images
from differ.jsons import LOSSY, PLAIN, NotJson, has_duplicates, parse_with_duplicates
from differ.magics import described, octets, text_of
from differ.pages import pages
from differ.places import root
from differ.protobufs import trees as protobuf_trees
from differ.raws import Owns, Uncut, differing, is_text
from differ.sink import Change, Sink, TooMuch, texts, written
from differ.walk import Walk
from differ.xml_walk import elements
from echolane.exchange import Body, Response

PEEK_BYTES = 256
"""Of a body that are looked at for its target's own name: the first element of a list, at a tenth of a microsecond."""
ONE_VALUE = 256
"""A text shorter than this is one value (a token, a date); longer ones are compared by lines."""


def body(sink: Sink, left: Response, right: Response, context: Context) -> None:
    """Equal bytes, else equal meaning, else differences."""
    one, two = left.body, right.body
    if one.data == two.data and one.truncated == two.truncated and one.digest == two.digest:
        return
    if one.truncated or two.truncated:
        cut_bodies(sink, one, two, context.own)
        return
    if one.undecoded != two.undecoded:
        sink.add("body", Change("encoding", TYPE, one.undecoded or "decoded", two.undecoded or "decoded", "encoding"))
        return
    read, own = context.read, context.own
    # Answers with links say their own name early, and nothing else may differ in them: then masks come first, once for all comparisons.
    echoes = one.data.rfind(own[0].end, 0, PEEK_BYTES) >= 0 if own[0].end else False
    if not echoes and cut(sink, one.data, two.data, context, own):
        return
    old, new = reading(left, own[0], read), reading(right, own[1], read)
    if old.data == new.data or (echoes and cut(sink, old.data, new.data, context, None)):
        return
    forms, raw = (old.parse(), new.parse()), (old.data, new.data)
    if forms[0].form != forms[1].form and XML in {forms[0].form, forms[1].form}:
        # What one answer is by its content alone, both have to be: else both are what they are called.
        forms = labelled(forms[0], old.data, left.headers), labelled(forms[1], new.data, right.headers)
    form, other = forms[0].form, forms[1].form
    if form != other:
        of_two_forms(sink, (old, new), forms)
    elif form in TREES:
        json_bodies(sink, raw, forms, context)
    else:
        structured(sink, raw, forms, context)


def cut_bodies(sink: Sink, one: Body, two: Body, own: tuple[Own, Own]) -> None:
    """Bodies of which only the beginning was kept: they cannot be read, but by size and digest it is known whether they are the same.

    The controls say whether that is noise. TooMuch where it is not known, and where targets say their own names in them, which makes
    another body of each.
    """
    digests = one.digest if one.truncated else b"", two.digest if two.truncated else b""
    if one.size == two.size and not all(digests):
        raise TooMuch("too-large")
    if one.size == two.size and digests[0] == digests[1]:
        return
    if any(unechoed(side.data, name) is not side.data for side, name in zip((one, two), own, strict=True)):
        raise TooMuch("too-large")
    sink.add("body", Change("value", VALUE, cut_short(one), cut_short(two), "too-large"))


def cut_short(body: Body) -> str:
    """What is known of a body of which only the beginning was kept: ``3,500,120 bytes, blake2b 9f86d081…``."""
    return f"{body.size:,} bytes, digest {body.digest.hex()[:16]}" if body.digest else f"{body.size:,} bytes"


READ_AS_TEXT = frozenset((HTML, CSV, TEXT))


def of_two_forms(sink: Sink, sides: tuple[Reading, Reading], forms: tuple[Parsed, Parsed]) -> None:
    """Two bodies of which each is something else, save where both can be read as the plainer of the two: a whole page is no text."""
    names = {forms[0].form, forms[1].form}
    whole = [DOCUMENT.match(side.data) is not None for side in sides]
    if names <= READ_AS_TEXT and (HTML not in names or whole[0] == whole[1]):
        old, new = (form.value if form.form == TEXT else form.value.text for form in forms)
        if old != new:
            text_bodies(sink, old, new)
    elif names <= {TEXT, BYTES} and media_of(sides[0].headers) == media_of(sides[1].headers):
        # Bytes that happen to be UTF-8 are no text, when others in their place are not.
        sink.add("body", octets(sides[0].data, sides[1].data))
    else:
        old, new = (described(s.data) if f.form in BINARY else shown(s.data) for s, f in zip(sides, forms, strict=True))
        sink.add("body", Change("format", TYPE, old, new, f"{forms[0].form}>{forms[1].form}"))


MEMBERS = frozenset(("added", "missing", "length", "moved"))
"""Kinds of change that come with more members on one side."""
MEASURED_MAX = 8
"""Changes whose values are measured, at half a microsecond each; from more on, counting both texts costs no more."""
BINARY = frozenset((BYTES, IMAGE, PROTOBUF))


def cut(sink: Sink, old: bytes, new: bytes, context: Context, owns: Owns | None) -> bool:
    """Compare two texts of JSON without parsing what they share; False where that says nothing (:mod:`differ.raws`).

    Without ``owns`` they are masked already.
    """
    if old[:1] not in OPENING or old[:1] != new[:1] or not (is_text(old) and is_text(new)):
        return False
    walk, found = Walk(sink, context, True, len(old) + len(new)), len(sink.found)
    try:
        differing(walk, old, new, root("body:$"), owns)
    except (msgspec.MsgspecError, NotJson, Uncut, RecursionError):
        pass
    else:
        # Texts that differ in nothing, or in too little, may hold a key twice, which only a parser that keeps both can tell.
        whole = not walk.lossy or len(old) == len(new)
        if len(sink.found) > found and walk.proved() and (whole or accounted(sink, found, old, new)):
            return True
    sink.forget("body:$")
    return False


def accounted(sink: Sink, since: int, old: bytes, new: bytes) -> bool:
    """Whether what was found can be all that differs: it explains that one text is longer, or neither has more colons.

    Else a key may come twice in one of them. Found members are taken for the reason, since what they hold is not measured.
    """
    if old.count(b":") == new.count(b":"):
        return True
    found = list(sink.found.values())[since:]
    if any(change.kind in MEMBERS for change in found):
        return True
    if len(found) > MEASURED_MAX:
        return False
    longer = len(old) - len(new)
    for change in found:
        values = [change.old, change.new, *(change.more or ())]
        longer -= sum(map(len, map(written, values[::2]))) - sum(map(len, map(written, values[1::2])))
    return not longer


def reading(answer: Response, own: Own, read: dict[tuple[int, int], Reading] | None) -> Reading:
    """The body of an answer of one target; once for all comparisons of an exchange, where what was read is kept."""
    if read is None:
        return Reading(unechoed(answer.body.data, own), answer.headers)
    key = id(answer), id(own)
    found = read.get(key)
    if found is None:
        found = read[key] = Reading(unechoed(answer.body.data, own), answer.headers)
    return found


def json_bodies(sink: Sink, raw: tuple[bytes, bytes], forms: tuple[Parsed, Parsed], context: Context) -> None:
    """Two bodies of JSON values as whole trees: what :func:`cut` left, and lines of JSON."""
    one, two = forms
    holds = max(one.holds, two.holds)
    if holds == LOSSY:
        one, two = exactly(one, raw[0]), exactly(two, raw[1])
    walk = Walk(sink, context, holds > PLAIN, len(raw[0]) + len(raw[1]))
    found = len(sink.found)
    if walk.trees(one.value, two.value, "body:$") and accounted(sink, found, *raw):
        return
    if one.form == JSON and (has_duplicates(raw[0], one.value) or has_duplicates(raw[1], two.value)):
        sink.forget("body:$")
        repeated(Walk(sink, context, True, len(raw[0]) + len(raw[1])), raw)


def structured(sink: Sink, raw: tuple[bytes, bytes], forms: tuple[Parsed, Parsed], context: Context) -> None:
    """Two bodies of one form that is not JSON."""
    old, new = forms[0].value, forms[1].value
    form = forms[0].form
    walk = Walk(sink, context, forms[0].holds > PLAIN, len(raw[0]) + len(raw[1]), named=form in NAMED)
    if form == XML:
        if old != new:
            elements(walk, old, new)
    elif form == HTML:
        pages(sink, old, new, lambda one, two: text_change(one, two, sink.now_ns))
    elif form == TEXT:
        text_bodies(sink, old, new, forms[0])
    elif form == CSV:
        tables(sink, old, new, walk)
    elif form == IMAGE:
        images(sink, old, new)
    elif form == PROTOBUF:
        protobufs(sink, raw, forms, walk, context)
    elif form in {BYTES, EMPTY}:
        change = octets(*raw)
        change.signature = formed(forms[0].media, change.signature)
        sink.add("body", change)
    else:
        walk.trees(old, new, "body:$")


def protobufs(sink: Sink, raw: tuple[bytes, bytes], forms: tuple[Parsed, Parsed], walk: Walk, context: Context) -> None:
    """Messages of protobuf; as bytes where they are too large to be read."""
    old, new = forms[0].value, forms[1].value
    read = protobuf_trees(old, new, context.registry, context.path)
    if read is None:
        sink.add("body", octets(*raw))
        return
    walk.trees(*read, "body:$")
    if old.trailers != new.trailers:
        one, two = (text_of(b"\n".join(side.trailers)).strip() for side in (old, new))
        if one != two:
            sink.add("body", texts(one, two, sink.now_ns))


TREES = frozenset((JSON, NDJSON))
NAMED = frozenset((CSV, PROTOBUF))
"""Forms whose keys are heads of columns or numbers of fields, never drawn."""


def repeated(walk: Walk, raw: tuple[bytes, bytes]) -> None:
    """Texts whose values are equal once a repeated key is dropped: compared with every key kept."""
    try:
        old, new = parse_with_duplicates(raw[0]), parse_with_duplicates(raw[1])
    except NotJson:
        return
    walk.trees(old, new, "body:$")


def text_bodies(sink: Sink, old: str, new: str, of: Parsed | None = None) -> None:
    """Texts; ``of`` says what they are, or should have been and could not be read as."""
    change = text_change(old, new, sink.now_ns)
    if of is not None:
        change.signature = f"no {of.why}:{change.signature}" if of.why else formed(of.media, change.signature)
    sink.add("body", change)


def text_change(old: str, new: str, now_ns: tuple[int, int]) -> Change:
    """Texts by lines: what stays when dates, ids, hashes and numbers are masked tells a template from its timings."""
    if len(old) < ONE_VALUE and len(new) < ONE_VALUE:
        return texts(old, new, now_ns)
    lines = changed_lines(old.split("\n"), new.split("\n"))
    if not lines[0] and not lines[1]:  # the same lines in another order
        return Change("order", VALUE, old, new, "text:order", flags=PERMUTATION)
    formats = [[format_of(line) for line in side] for side in lines]
    facet = VALUE if formats[0] == formats[1] else FORMAT
    klass = "time" if facet == VALUE and all(map(by_time_alone, *lines)) else ""
    same = "numbers" if facet == VALUE else "blank lines"
    first = next((f"{one[:60]}>{two[:60]}" for one, two in zip_longest(*formats, fillvalue="") if one != two), same)
    excerpts = [told(side) for side in lines]
    return Change("value", facet, excerpts[0], excerpts[1], f"text:{first}", klass)


def told(lines: list[str]) -> str:
    """Lines as a text to look at: of blank ones alone it is their ends that are seen."""
    text = "\n".join(lines)
    return (text if text.strip() or not lines else f"{text}\n")[:EXCERPT_BYTES]


def by_time_alone(old: str, new: str) -> bool:
    """Whether two lines differ by a measured duration or a point in time and nothing else."""
    return timing_apart(old, new) or bool(times_apart(old, new))


def changed_lines(old: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """The lines between the common beginning and the common end, without those that both have there."""
    begin, end = common_ends(old, new)
    one, two = old[begin : len(old) - end], new[begin : len(new) - end]
    both = Counter(one) & Counter(two)
    kept = [[side[index] for index in parted(range(len(side)), side, both)[0]] for side in (one, two)]
    return kept[0], kept[1]


def shown(data: bytes) -> str:
    """Bytes as a text to look at."""
    return data[:20_000].decode("utf-8", "replace")
