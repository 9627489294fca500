"""Mutations of the shape of JSON: members that go, come, move or get another name; elements of lists; pages; ids that are swapped."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.accuracy_mutations import ELSEWHERE, HARMLESS, STEADY, Mutation, Pick, at, known, promised, values
from bench.accuracy_wire import Answer, Span, add, cut, put, spans, step

Edit = tuple[int, int, bytes]
NEW_KEY = "extraInfo"
ELEMENTS_MIN = 3
"""Elements of a list that is changed in its order or length: fewer have no middle."""


def parent_path(span: Span) -> str:
    """The place of a value's container."""
    return span.parent.path if span.parent else "$"


@dataclass(frozen=True, slots=True)
class Member:
    """A chooser of members of objects, and the edits that change each."""

    edits: Callable[[bytes, Span], list[Edit]]
    suits: Callable[[Span, bytes], bool]
    places: Callable[[Span, bytes], tuple[str, ...]]
    promise: str = STEADY
    below: bool = False

    def pick(self, answer: Answer, chance: random.Random, quiet_but: frozenset[str]) -> Pick | None:
        """A path at random."""
        body = answer.body
        paths: dict[str, Span] = {}
        for span in values(answer, quiet_but):
            if span.path not in paths and self.suits(span, body) and put(body, self.edits(body, span)) != body:
                paths[span.path] = span
        if not paths:
            return None
        path = chance.choice(sorted(paths))
        places = self.places(paths[path], body)
        return Pick(path, places, self.promise, self.below, chance.random() < 0.5, old=paths[path].raw(body))

    def change(self, answer: Answer, pick: Pick, _: random.Random) -> Answer:
        """All edits, from the end on."""
        body = answer.body
        found = at(answer, pick, lambda span, _: self.suits(span, body))
        edits = [edit for span in found for edit in self.edits(body, span)]
        return replace(answer, body=put(body, edits)) if edits else answer


def is_member(span: Span, _: bytes) -> bool:
    """A member of an object."""
    return span.parent is not None and span.parent.kind == "object"


def is_named(span: Span, body: bytes) -> bool:
    """A member whose name may be spelled otherwise."""
    return is_member(span, body) and re.fullmatch(r"[A-Za-z]\w*", span.key) is not None


def itself(span: Span, _: bytes) -> tuple[str, ...]:
    """The place of the value."""
    return ("body:" + span.path,)


def or_again(span: Span, _: bytes) -> tuple[str, ...]:
    """The place of a value, or of the second one under its key."""
    return ("body:" + span.path, "body:" + parent_path(span) + step(f"{span.key} (again 2)"))


def renamed(new: Callable[[str], str]) -> Member:
    """Members under another name."""

    def edits(_: bytes, span: Span) -> list[Edit]:
        return [(span.lead, span.lead + len(span.key.encode()) + 2, b'"' + new(span.key).encode() + b'"')]

    def places(span: Span, _: bytes) -> tuple[str, ...]:
        return ("body:" + span.path, "body:" + parent_path(span) + step(new(span.key)))

    return Member(edits, is_named, places)


def other_case(key: str) -> str:
    """snake_case as camelCase and the other way round."""
    if "_" in key.strip("_"):
        return re.sub(r"_(\w)", lambda found: found[1].upper(), key)
    snake = re.sub(r"(?<=[a-z])([A-Z])", lambda found: "_" + found[1].lower(), key)
    return snake if snake != key else key.capitalize()


def _added(_: bytes, span: Span) -> list[Edit]:
    return [add(span, f'"{NEW_KEY}":"see the manual"'.encode())]


def _moved_in(body: bytes, span: Span) -> list[Edit]:
    """A member goes into an object of its own beside."""
    return [(span.lead, span.lead, b'"details":{'), (span.end, span.end, b"}")] if body else []


def _twice(body: bytes, span: Span) -> list[Edit]:
    return [(span.end, span.end, b"," + body[span.lead : span.start] + b'"twice"')]


def _keys_turned(body: bytes, span: Span) -> list[Edit]:
    """Members of an object in the opposite order: it means the same."""
    members = [body[child.lead : child.end] for child in span.children]
    return [(span.children[0].lead, span.children[-1].end, b",".join(reversed(members)))]


def is_list(span: Span, _: bytes) -> bool:
    """A list of enough elements."""
    return span.kind == "array" and len(span.children) >= ELEMENTS_MIN


@dataclass(frozen=True, slots=True)
class Listed:
    """A chooser of lists, and the new order and choice of their elements."""

    new: Callable[[list[bytes], random.Random], list[bytes]]
    promise: str = STEADY

    def pick(self, answer: Answer, chance: random.Random, quiet_but: frozenset[str]) -> Pick | None:
        """A list at random; the root too."""
        body, found = answer.body, dict[str, Span]()
        root = spans(body)
        for span in [*([root] if root else []), *values(answer, quiet_but)]:
            elements = [child.raw(body) for child in span.children]
            if span.path not in found and is_list(span, body) and self.new(elements, random.Random(1)) != elements:
                found[span.path] = span
        if not found:
            return None
        path, salt = chance.choice(sorted(found)), chance.getrandbits(32)
        return Pick(path, ("body:" + path,), self.promise, below=True, every=False, salt=salt)

    def change(self, answer: Answer, pick: Pick, _: random.Random) -> Answer:
        """The list with its elements in their new order. A rule of the new version: the same in each answer."""
        body = answer.body
        for span in at(answer, pick, is_list):
            elements = [child.raw(body) for child in span.children]
            text = b",".join(self.new(elements, random.Random(pick.salt)))
            made = put(body, [(span.children[0].start, span.children[-1].end, text)])
            return answer if made == body else replace(answer, body=made)
        return answer


def _moved(elements: list[bytes], chance: random.Random) -> list[bytes]:
    out = list(elements)
    out.insert(chance.randrange(1, len(out)), out.pop(0))
    return out


def _altered(elements: list[bytes], chance: random.Random) -> list[bytes]:
    out = list(elements)
    number = chance.randrange(len(out))
    out.insert(number, out[number])
    return out


def _dropped(elements: list[bytes], number: int) -> list[bytes]:
    return elements[:number] + elements[number + 1 :]


def swapped(suits: Callable[[Span, bytes], bool], *, within: bool) -> Mutation:
    """Two values change places: of one key in two elements of a list, or of two members of one object and type."""

    def pair(answer: Answer, path: str, fits: Callable[[Span], bool]) -> tuple[Span, Span] | None:
        body = answer.body
        found = at(answer, Pick(path, ()), lambda span, _: suits(span, body))
        if within and found and found[0].parent:
            found = [
                found[0],
                *[s for s in found[0].parent.children if s.kind == found[0].kind and suits(s, body) and fits(s)],
            ]
        other = next((s for s in found[1:] if s.raw(body) != found[0].raw(body)), None)
        return (found[0], other) if other is not None else None

    def pick(answer: Answer, chance: random.Random, quiet_but: frozenset[str]) -> Pick | None:
        found = {s.path: s for s in values(answer, quiet_but) if suits(s, answer.body)}
        for path in chance.sample(sorted(found), len(found)):
            two = pair(answer, path, lambda span: span.path in found)
            if two is not None:
                raws = two[0].raw(answer.body), two[1].raw(answer.body)
                places = tuple(sorted({"body:" + span.path for span in two}))
                if not within:  # elements may be told apart by what was swapped: then all else in them has changed
                    places = ("body:" + path.rpartition("[*]")[0] + "[*]",)
                return Pick(path, places, promised(path, *raws), below=not within)
        return None

    def change(answer: Answer, pick: Pick, _: random.Random) -> Answer:
        two = pair(answer, pick.path, lambda span: "body:" + span.path in pick.places)
        if two is None:
            return answer
        body = answer.body
        one, other = two[0].raw(body), two[1].raw(body)
        return replace(answer, body=put(body, [(two[0].start, two[0].end, other), (two[1].start, two[1].end, one)]))

    return Mutation("", pick, change)


def _is_id(span: Span, raw: bytes) -> bool:
    return (
        span.kind in {"number", "string"}
        and (span.key.lower() == "id" or span.key.endswith(("Id", "_id", "uuid")))
        and bool(raw)
    )


def _is_scalar(span: Span, body: bytes) -> bool:
    return span.kind in {"number", "string"} and is_member(span, body) and len(span.raw(body)) > 2


def _member(name: str, member: Member) -> Mutation:
    return Mutation(name, member.pick, member.change, group="shape")


def _listed(name: str, new: Callable[[list[bytes], random.Random], list[bytes]], promise: str = STEADY) -> Mutation:
    made = Listed(new, promise)
    return Mutation(name, made.pick, made.change, group="list")


def keyed(*names: str) -> Callable[[Span, bytes], bool]:
    """Members of these names."""
    return lambda span, body: is_member(span, body) and span.key in names and span.kind in {"number", "string"}


def _next_page(body: bytes, span: Span) -> list[Edit]:
    raw = span.raw(body)
    found = re.search(rb"(\d+)(?!.*\d)", raw)
    if span.kind != "string" or found is None:
        return []
    return [(span.start + found.start(1), span.start + found.end(1), str(int(found[1]) + 1).encode())]


def _one_more(body: bytes, span: Span) -> list[Edit]:
    raw = span.raw(body)
    return [(span.start, span.end, str(int(raw) + 1).encode())] if re.fullmatch(rb"\d+", raw) else []


def _nulled(_: bytes, span: Span) -> list[Edit]:
    return [(span.start, span.end, b"null")]


_NEXT, _TOTAL = keyed("next", "next_url", "nextPage"), keyed("total", "count", "size", "filtered_table_rows_count")
known(
    (
        _member("member-missing", Member(lambda _b, s: [cut(s)], is_member, itself)),
        _member("null-to-missing", Member(lambda _b, s: [cut(s)], lambda s, b: is_member(s, b) and s.kind == "null", itself)),
        _member("empty-list-missing", Member(lambda _b, s: [cut(s)], lambda s, b: is_member(s, b) and s.kind == "array" and not s.children, itself)),
        _member("object-missing", Member(lambda _b, s: [cut(s)], lambda s, b: is_member(s, b) and s.kind == "object", itself)),
        _member("member-added", Member(_added, lambda s, _: s.kind == "object", lambda s, _: (f"body:{s.path}.{NEW_KEY}",))),
        _member("member-renamed", renamed(lambda key: key + "Value")),
        _member("member-renamed-case", renamed(other_case)),
        _member("member-moved-in", Member(_moved_in, is_named, lambda s, _: ("body:" + s.path, f"body:{parent_path(s)}.details"), below=True)),
        _member("member-twice", Member(_twice, lambda s, b: is_member(s, b) and s.kind == "string", or_again, below=True)),
        _member("pagination-next", Member(_next_page, _NEXT, itself)),
        _member("pagination-next-nulled", Member(_nulled, _NEXT, itself)),
        _member("pagination-total", Member(_one_more, _TOTAL, itself)),
        _member("harmless-key-order", Member(_keys_turned, lambda s, _: s.kind == "object" and len(s.children) > 1, itself, HARMLESS)),
        _member("harmless-blanks", Member(lambda _b, s: [(s.start, s.start, b"\n  ")], is_member, itself, HARMLESS)),
        _listed("element-last-missing", lambda elements, _: elements[:-1]),
        _listed("element-first-missing", lambda elements, _: elements[1:]),
        _listed("element-middle-missing", lambda elements, _: _dropped(elements, len(elements) // 2)),
        _listed("element-first-twice", lambda elements, _: [elements[0], *elements]),
        _listed("element-twice", _altered),
        _listed("element-replaced-by-twin", lambda elements, _: [*elements[:-1], elements[0]]),
        _listed("element-moved", _moved, ELSEWHERE),
        _listed("list-reversed", lambda elements, _: elements[::-1], ELSEWHERE),
        _listed("list-sorted", lambda elements, _: sorted(elements), ELSEWHERE),
        _listed("list-page-halved", lambda elements, _: elements[: len(elements) // 2]),
        _listed("list-page-shifted", lambda elements, _: [*elements[1:], elements[0][:1] + b'"id":90001}' if elements[0][:1] == b"{" else b"90001"]),
        _listed("list-emptied", lambda _elements, _: []),
        replace(swapped(_is_id, within=False), name="ids-swapped", group="list"),
        replace(swapped(_is_scalar, within=True), name="members-swapped", group="shape"),
        replace(swapped(keyed("price", "name", "title", "email", "stock", "status", "body", "content"), within=False), name="elements-values-swapped", group="list"),
    )
)  # fmt: skip
