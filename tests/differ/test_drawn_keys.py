"""Maps whose keys are drawn anew are compared by what their members hold; maps whose keys stay are compared by name."""

from __future__ import annotations

import copy
import random
import string
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from differ.compare import compare
from differ.context import Context
from differ.difference import FORMAT, VALUE, Difference
from differ.drawn_keys import drawn_keys
from differ.evidence import NOISE
from differ.gathering import gather
from echolane.exchange import Body, Response
from tests.differ.test_renaming import Document, answer, between
from tests.differ.test_renaming_judged import judged, row, shown

Maker = Callable[[random.Random], str]


def drawn_of(letters: str, length: int, before: str = "") -> Maker:
    """A maker of ids of so many letters."""
    return lambda chance: before + "".join(chance.choices(letters, k=length))


def instant(chance: random.Random) -> datetime:
    """A second of some years."""
    return datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(10**8))


BASE62 = string.ascii_letters + string.digits
MAKERS: dict[str, Maker] = {
    "uuid": lambda chance: str(uuid.UUID(int=chance.getrandbits(128), version=4)),
    "hex 32": lambda chance: f"{chance.getrandbits(128):032x}",
    "sha-1": lambda chance: f"{chance.getrandbits(160):040x}",
    "object id": lambda chance: f"{chance.getrandbits(96):024x}",
    "ulid": drawn_of("0123456789ABCDEFGHJKMNPQRSTVWXYZ", 24, "01"),
    "base62": drawn_of(BASE62, 22),
    "nanoid": drawn_of(BASE62 + "_-", 21),
    "base36": drawn_of(string.ascii_lowercase + string.digits, 25),
    "snowflake": lambda chance: str(chance.randrange(10**17, 10**18)),
    "epoch": lambda chance: str(int(instant(chance).timestamp())),
    "epoch ms": lambda chance: str(int(instant(chance).timestamp() * 1000)),
    "date and time": lambda chance: instant(chance).isoformat(),
    "date": lambda chance: instant(chance).date().isoformat(),
    "address": lambda chance: f"{drawn_of(string.ascii_lowercase, 6)(chance)}@example.com",
    "of a thing": lambda chance: f"ses_{chance.getrandbits(64):016x}",
    "number": lambda chance: str(chance.randrange(10_000, 99_999)),
    "numbered": lambda chance: f"user-{chance.randrange(10_000, 99_999)}",
}
FORMS = st.sampled_from(sorted(MAKERS))
SEEDS = st.integers(0, 2**32)


def keys(make: Maker, chance: random.Random, count: int, but: frozenset[str] = frozenset()) -> list[str]:
    """So many keys, no two alike."""
    found: dict[str, None] = {}
    while len(found) < count:
        if (key := make(chance)) not in but:
            found[key] = None
    return list(found)


def told(differences: list[Difference]) -> set[tuple[str, str, int]]:
    """Where, what, how often; without that the keys are others."""
    return {(one.where, one.kind, one.count) for one in differences if one.kind != "renamed"}


def people(count: int) -> list[Document]:
    """Members that are told apart by what they hold."""
    return [{"name": f"person {n}", "state": "open", "n": n, "tags": [f"tag {n}"]} for n in range(count)]


@settings(max_examples=200)
@given(FORMS, SEEDS, st.integers(2, 6))
def test_other_keys_are_one_difference_of_their_map(form: str, seed: int, count: int) -> None:
    """Members that hold the same are the same, in whatever order: only that the keys are others is told, as a value."""
    chance = random.Random(seed)
    every = keys(MAKERS[form], chance, 2 * count)
    old, new = dict(zip(every, people(count), strict=False)), list(zip(every[count:], people(count), strict=True))
    chance.shuffle(new)
    (one,) = between({"sessions": old}, {"sessions": dict(new)})

    assert (one.where, one.kind, one.facet, one.count) == ("body:$.sessions", "renamed", VALUE, count)


CHANGES: dict[str, tuple[Callable[[Document], object], set[tuple[str, str, int]]]] = {
    "type": (lambda one: one.update(n=str(one["n"])), {("n", "type", 1)}),
    "null": (lambda one: one.update(state=None), {("state", "type", 1)}),
    "renamed": (lambda one: one.update(status=one.pop("state")), {("state", "missing", 1), ("status", "added", 1)}),
    "missing": (lambda one: one.pop("n"), {("n", "missing", 1)}),
    "value": (lambda one: one.update(state="shut"), {("state", "value", 1)}),
    "inside": (lambda one: one["tags"].append("more"), {("tags", "length", 1)}),
}


@settings(max_examples=200)
@given(FORMS, SEEDS, st.integers(2, 6), st.sampled_from(sorted(CHANGES)))
def test_a_change_inside_a_member_is_seen_whatever_the_keys_are(form: str, seed: int, count: int, name: str) -> None:
    """It is told at the place that all members share, once, and nothing besides."""
    chance = random.Random(seed)
    every = keys(MAKERS[form], chance, 2 * count)
    members, (change, expected) = people(count), CHANGES[name]
    change(members[chance.randrange(count)])
    new = list(zip(every[count:], members, strict=True))
    chance.shuffle(new)
    found = between({"sessions": dict(zip(every, people(count), strict=False))}, {"sessions": dict(new)})

    assert told(found) == {(f"body:$.sessions[*].{leaf}", kind, times) for leaf, kind, times in expected}


LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "open", "a b c d", "shut"])
MEMBERS = st.lists(
    st.recursive(
        LEAVES,
        lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("abcd"), below, max_size=3),
        max_leaves=6,
    ),
    min_size=2,
    max_size=5,
)


@settings(max_examples=300)
@given(FORMS, FORMS, SEEDS, MEMBERS, MEMBERS)
def test_what_drawn_keys_are_called_changes_nothing(
    form: str, other: str, seed: int, olds: list[Any], news: list[Any]
) -> None:
    """Under any other drawn keys, of another form too, the same differences are told of the members."""
    chance = random.Random(seed)
    found: list[list[Difference]] = []
    for make in (MAKERS[form], MAKERS[other]):
        every = keys(make, chance, len(olds) + len(news))
        old, new = dict(zip(every, olds, strict=False)), dict(zip(every[len(olds) :], news, strict=True))
        found.append([one for one in between({"m": old}, {"m": new}) if one.kind != "renamed"])

    assert found[0] == found[1]


@pytest.mark.parametrize("form", sorted(MAKERS))
def test_another_number_of_members_is_a_length(form: str) -> None:
    """However many are there more, the map is longer, and that is all."""
    chance = random.Random(form)
    every = keys(MAKERS[form], chance, 7)
    old, new = dict.fromkeys(every[:3], 1), dict.fromkeys(every[3:], 1)

    (length,) = [one for one in between({"m": old}, {"m": new}) if one.kind != "renamed"]

    assert (length.where, length.kind, length.facet) == ("body:$.m", "length", FORMAT)
    assert (length.old, length.new, length.signature) == ("3", "4", "length:grew")


@pytest.mark.parametrize("form", sorted(set(MAKERS) - {"number", "numbered", "address", "of a thing"}))
def test_a_map_that_is_empty_on_one_side_has_another_length(form: str) -> None:
    """No place is made of a key that comes once."""
    key = MAKERS[form](random.Random(form))

    assert told(between({"m": {}, "x": 1}, {"m": {key: {"n": 1}}, "x": 1})) == {("body:$.m", "length", 1)}


@pytest.mark.parametrize("form", sorted(MAKERS))
def test_keys_that_stay_are_names(form: str) -> None:
    """A member that is gone is told by its key, and so is what changed in another one."""
    chance = random.Random(form)
    first, second, third = keys(MAKERS[form], chance, 3)
    old = {first: {"n": 1}, second: {"n": 1}, third: {"n": 1}}
    found = between({"m": old}, {"m": {first: {"n": 1}, second: {"n": "1"}}})

    assert {one.kind for one in found} == {"missing", "type"}
    assert all(key in one.where for one in found for key in [third if one.kind == "missing" else second])


def test_fixed_keys_beside_drawn_ones_keep_their_names() -> None:
    """A total beside sessions: it is compared by name, and told by name when it is gone."""
    one, two, three = keys(MAKERS["uuid"], random.Random(1), 3)
    old, new = {"total": 1, one: {"n": 1}}, {"total": "1", two: {"n": 1}}

    assert told(between(old, new)) == {("body:$.total", "type", 1)}
    assert told(between(old, {three: {"n": 2}})) == {("body:$.total", "missing", 1), ("body:$[*].n", "value", 1)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"state": 1}, {"status": 1}),
        ({"line1": 1, "city": 1}, {"line2": 1, "city": 1}),
        ({"200": 1, "404": 1}, {"200": 1, "500": 1}),
        ({"2024": 1, "2025": 1}, {"2025": 1, "2026": 1}),
        ({"sha1": 1}, {"sha256": 1}),
        ({"userName": 1, "userMail": 2}, {"loginName": 1, "loginMail": 2}),
        ({"oauth2": 1, "x": 1}, {"x": 1}),
        ({"a": 1}, {"a": 1, "oauth2TokenUrl": 1}),
    ],
)
def test_names_of_fields_are_not_drawn(old: Document, new: Document) -> None:
    """A renamed or missing field stays that."""
    assert not drawn_keys(old, new, [key for key in old if key not in new], [key for key in new if key not in old])
    assert {one.kind for one in between(old, new)} <= {"missing", "added"}


def test_columns_of_tables_are_names() -> None:
    """A day more in a wide table is a column, though a day may be a key elsewhere."""
    sides = [
        Response(200, "1.1", [(b"content-type", b"text/csv")], Body(text, len(text)))
        for text in (b"name,d2026-01-01 10:00:00\na,1\n", b"name,d2026-01-02 10:00:00\na,1\n")
    ]

    assert {one.kind for one in compare(*sides, Context()).differences} == {"missing", "added"}


def test_members_are_matched_by_what_their_keys_are_called_elsewhere() -> None:
    """An id that another place names belongs to the one that stands there now, whatever members look like."""
    one, two, three, four = keys(MAKERS["uuid"], random.Random(2), 4)
    for first in (False, True):  # the reference stands before the map, or behind it
        old: Document = {"m": {one: {"n": 1}, two: {"n": 2}}}
        new: Document = {"m": {three: {"n": 1}, four: {"n": 2}}}
        refs = {"chosen": one}, {"chosen": four}
        old, new = ({**ref, **side} if first else {**side, **ref} for ref, side in zip(refs, (old, new), strict=True))

        assert ("body:$.m[*].n", "value", 2) in told(between(old, new))
        assert told(between(old, {**new, "chosen": three})) == {("body:$.chosen", "value", 1)}


def test_another_form_of_keys_is_a_change_of_format() -> None:
    """Ids that became hashes are no noise of ids."""
    chance = random.Random(3)
    old, new = (dict.fromkeys(keys(MAKERS[form], chance, 2), 1) for form in ("uuid", "hex 32"))
    (found,) = between({"m": old}, {"m": new})

    assert (found.kind, found.facet, found.klass) == ("renamed", FORMAT, "")
    assert found.signature == "renamed:keys:uuid:36>hash:32"


def test_values_under_drawn_keys_belong_to_equal_ones() -> None:
    """Two numbers are as far apart as any others: where both maps have one, it is the same member."""
    one, two, three, four, five, six = keys(MAKERS["uuid"], random.Random(8), 6)
    old, new = {one: 1, two: 2, three: 3}, {four: 2, five: 3, six: 1}

    assert told(between({"m": old}, {"m": new})) == set()
    assert told(between({"m": old}, {"m": {**new, four: 7}})) == {("body:$.m[*]", "value", 1)}


@pytest.mark.parametrize("form", sorted(MAKERS))
def test_one_exchange_tells_another_key_beside_keys_that_stay(form: str) -> None:
    """Users under ids of their own that every answer has: where branch has another one in one's stead, it is told at once."""
    first, second, third = keys(MAKERS[form], random.Random(form), 3)
    base = {"users": {first: {"n": 1}, second: {"n": 1}}}
    branch = {"users": {first: {"n": 1}, third: {"n": 1}}}

    assert judged([[base, base, branch, branch]]).regressions


def test_maps_in_members_of_maps_are_compared_alike() -> None:
    """Sessions of accounts, both with drawn keys: what changed in one session is told once."""
    chance = random.Random(4)

    def one(n: object) -> Document:
        sessions = [dict(zip(keys(MAKERS["hex 32"], chance, 2), ({"n": 1}, {"n": n}), strict=True)) for _ in range(2)]
        names = keys(MAKERS["uuid"], chance, 2)
        return {key: {"name": f"account {i}", "sessions": sessions[i]} for i, key in enumerate(names)}

    assert told(between(one(2), one(2))) == set()
    assert told(between(one(2), one("2"))) == {("body:$[*].sessions[*].n", "type", 2)}


def test_a_large_map_is_compared_within_its_bounds() -> None:
    """Thousands of members that are all different are paired in the time of a comparison, and said to be paired greedily."""
    chance = random.Random(5)
    sides = [
        {"m": {key: {"a": chance.random(), "b": chance.random()} for key in keys(MAKERS["uuid"], chance, 3_000)}}
        for _ in range(2)
    ]
    found = compare(answer(sides[0]), answer(sides[1]), Context(time_s=60))

    assert not found.uncomparable
    assert {one.where for one in found.differences} == {"body:$.m", "body:$.m[*].a", "body:$.m[*].b"}


def sessions(chance: random.Random, form: str, count: int = 3) -> Document:
    """Sessions under ids of their own, each with a load that varies."""
    members = [{"state": chance.choice(["open", "shut"]), "n": 3, "load": chance.random()} for _ in range(count)]
    return {"sessions": dict(zip(keys(MAKERS[form], chance, count), members, strict=True)), "version": 2}


def of_members(change: Callable[[Document], object]) -> Callable[[Document], None]:
    """The same change in each member."""

    def changed(document: Document) -> None:
        for one in document["sessions"].values():
            change(one)

    return changed


PLANTED: dict[str, tuple[Callable[[Document], object], tuple[str, str]]] = {
    "type": (of_members(lambda one: one.update(n="3")), ("body:$.sessions[*].n", "type")),
    "null": (of_members(lambda one: one.update(n=None)), ("body:$.sessions[*].n", "type")),
    "renamed": (of_members(lambda one: one.update(status=one.pop("state"))), ("body:$.sessions[*]", "value")),
    "missing": (of_members(lambda one: one.pop("load")), ("body:$.sessions[*].load", "missing")),
    "value": (of_members(lambda one: one.update(n=4)), ("body:$.sessions[*].n", "value")),
    "dropped": (lambda document: document["sessions"].popitem(), ("body:$.sessions", "length")),
    "range": (of_members(lambda one: one.update(load=one["load"] - 5)), ("body:$.sessions[*].load", "distribution")),
}


def run_of(form: str, seed: int, planted: Callable[[Document], object] | None, spread: int = 0) -> list[list[Document]]:
    """Twelve exchanges with four answers each, all drawn anew; the last two of each are the branch's."""
    chance = random.Random(seed)
    exchanges = [[sessions(chance, form, 3 + chance.randint(0, spread)) for _ in range(4)] for _ in range(12)]
    for four in exchanges:
        for document in four[2:] if planted is not None else ():
            planted(document)
    return copy.deepcopy(exchanges)


@pytest.mark.parametrize("form", sorted(MAKERS))
@pytest.mark.parametrize("spread", [0, 2])
def test_drawn_keys_alone_are_noise(form: str, spread: int) -> None:
    """Ids, loads and, where it varies, the number of sessions: nothing of it is a regression, nor left open."""
    found = judged(run_of(form, 6, None, spread))

    assert not found.regressions
    assert {weighed.verdict for weighed in found.weighed} == {NOISE}


@pytest.mark.parametrize("form", sorted(MAKERS))
@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_regression_under_drawn_keys_is_one_finding(form: str, name: str) -> None:
    """Inside the noise of keys, loads and states, what branch changed in the members is told, and nothing else."""
    planted, (where, kind) = PLANTED[name]
    found = shown(judged(run_of(form, 7, planted)))

    assert [(one["where"], one["kind"]) for one in found] == [(where, kind)]


def test_how_many_members_there_are_is_measured_though_their_keys_are_others() -> None:
    """A number that varies in all four answers is watched by all four."""
    rows = [row(n, [answer(one) for one in four]) for n, four in enumerate(run_of("uuid", 8, None, 4))]
    measured = gather(rows).shifts["GET /x/{id}", "body:$.sessions"]

    assert measured.fours
    assert all(text.isdigit() for four in measured.fours for text in four[1:])
