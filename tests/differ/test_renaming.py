"""Ids in one-to-one relation are a renaming, an id that points elsewhere is a finding: laws, whole verdicts, and what stays silent."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from differ.compare import compare
from differ.context import Context
from differ.difference import BROKEN, RENAMING, Difference
from differ.ids import ids_in, is_opaque, name_of, singular
from differ.renaming import MET_MAX, leaves
from echolane.exchange import Body, Response

Document = dict[str, Any]


def answer(document: object, headers: list[tuple[bytes, bytes]] | None = None) -> Response:
    """A JSON answer."""
    raw = document if isinstance(document, bytes) else orjson.dumps(document)
    return Response(200, "1.1", [(b"content-type", b"application/json"), *(headers or [])], Body(raw, len(raw)))


def between(old: object, new: object) -> list[Difference]:
    """The differences between two JSON answers."""
    found = compare(answer(old), answer(new), Context())
    assert not found.uncomparable
    return found.differences


def broken(differences: list[Difference]) -> set[str]:
    """Places whose ids point elsewhere."""
    return {one.where for one in differences if f":{BROKEN}" in one.signature}


def renamed(differences: list[Difference]) -> set[str]:
    """Places that are part of a renaming."""
    return {one.where for one in differences if f":{RENAMING}" in one.signature}


def fresh(chance: random.Random) -> str:
    """A random uuid."""
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def shop(chance: random.Random, users: int, posts: int, make: Callable[[random.Random], Any] = fresh) -> Document:
    """People, what they wrote, and links to both; every id is new."""
    people = [{"id": make(chance), "name": f"person {n}"} for n in range(users)]
    owners = [chance.choice(people)["id"] for _ in range(posts)]
    return {
        "users": people,
        "posts": [{"title": f"post {n}", "user_id": owner} for n, owner in enumerate(owners)],
        "first": {"user_id": people[0]["id"], "href": f"/users/{people[0]['id']}"},
    }


def substituted(value: Any, names: dict[Any, Any]) -> Any:
    """The document with every id renamed, in links too."""
    if isinstance(value, dict):
        return {key: substituted(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [substituted(one, names) for one in value]
    if isinstance(value, str) and value.startswith("/users/"):
        old = value.removeprefix("/users/")
        return f"/users/{next((new for one, new in names.items() if str(one) == old), old)}"
    return names.get(value, value)


def counter(chance: random.Random) -> int:
    """A small number that no other thing of a document has."""
    return chance.randrange(1, 99_999)


SEEDS = st.integers(0, 2**32)
MAKERS = st.sampled_from([fresh, counter])


@settings(max_examples=150)
@given(SEEDS, st.integers(1, 5), st.integers(1, 6), MAKERS)
def test_a_bijection_breaks_nothing(seed: int, users: int, posts: int, make: Callable[[random.Random], Any]) -> None:
    """Whatever all ids are renamed to, as long as each keeps one name of its own."""
    chance = random.Random(seed)
    old = shop(chance, users, posts, make)
    ids = [one["id"] for one in old["users"]]
    kept = chance.sample(ids, chance.randrange(len(ids) + 1))
    new = substituted(old, {one: make(chance) for one in ids if one not in kept})

    assert not broken(between(old, new))


@settings(max_examples=150)
@given(SEEDS, st.integers(2, 5), st.integers(1, 6), st.booleans(), st.booleans())
def test_one_broken_reference_is_found(seed: int, users: int, posts: int, renaming: bool, dangling: bool) -> None:
    """An id that points to another thing, or to none, is named with its place, whether the others are renamed or stay."""
    chance = random.Random(seed)
    old = shop(chance, users, posts)
    ids = [one["id"] for one in old["users"]]
    new = substituted(old, {one: fresh(chance) for one in ids} if renaming else {})
    wrong = chance.choice([*new["posts"], new["first"]])
    others = [one["id"] for one in new["users"] if one["id"] != wrong["user_id"]]
    wrong["user_id"] = fresh(chance) if dangling else chance.choice(others)
    where = "body:$.first.user_id" if wrong is new["first"] else "body:$.posts[*].user_id"

    assert broken(between(old, new)) == {where}


@settings(max_examples=150)
@given(SEEDS, st.integers(1, 5), st.integers(1, 6), MAKERS)
def test_a_mirrored_relation_breaks_at_the_same_places(
    seed: int, users: int, posts: int, make: Callable[[random.Random], Any]
) -> None:
    """It is a relation: no side is the first."""
    chance = random.Random(seed)
    old = shop(chance, users, posts, make)
    pool = [one["id"] for one in old["users"]] + [make(chance) for _ in range(3)]
    new = substituted(old, {one: chance.choice(pool) for one in pool})

    assert broken(between(old, new)) == broken(between(new, old))
    assert renamed(between(old, new)) == renamed(between(new, old))


@settings(max_examples=60)
@given(SEEDS, st.integers(1, 4), st.integers(1, 5))
def test_nothing_but_facet_class_and_signature_is_touched(seed: int, users: int, posts: int) -> None:
    """Relating ids neither adds a difference nor takes one away: the same places and values as of an answer in which each stands alone."""
    chance = random.Random(seed)
    old, new = shop(chance, users, posts), shop(chance, users, posts)
    found = between(old, new)
    for one in found:
        key = one.where.removeprefix("body:$.").split(".")[0].removesuffix("[*]")
        alone = {other.where: other for other in between({key: old[key]}, {key: new[key]})}
        assert (alone[one.where].kind, alone[one.where].values, alone[one.where].count) == (
            one.kind,
            one.values,
            one.count,
        )


def test_a_second_id_that_stays_while_the_first_changes_is_a_broken_one() -> None:
    """An id that stays equal at one place and changes at another has two partners."""
    old = {"user": {"id": 5}, "user_id": 5}

    assert broken(between(old, {"user": {"id": 5}, "user_id": 9})) == {"body:$.user_id"}
    assert broken(between(old, {"user": {"id": 9}, "user_id": 9})) == set()


def test_an_id_that_stays_is_believed_before_two_that_change() -> None:
    """What agrees is the surest pair, however many others contradict it."""
    old, new = ({name: {"user_id": n} for name, n in zip("abc", ids, strict=True)} for ids in ((5, 5, 5), (9, 9, 5)))

    assert broken(between(old, new)) == {"body:$.a.user_id", "body:$.b.user_id"}


def test_numbers_of_different_things_are_not_related() -> None:
    """An order and a person may both be number 5, and part ways."""
    assert not broken(between({"order_id": 5, "user_id": 5, "n": 5}, {"order_id": 6, "user_id": 5, "n": 5}))
    assert not broken(between({"id": 5, "user_id": 5}, {"id": 6, "user_id": 5}))


def test_a_list_that_shows_other_things_of_a_few_users_breaks_nothing() -> None:
    """Numbers that come again at one place of a list are related to other places only."""
    old, new = ([{"userId": n, "text": "a"} for n in ids] for ids in ((1, 1, 2), (1, 2, 3)))

    assert not broken(between(old, new))


def test_a_window_that_moved_on_breaks_nothing() -> None:
    """Lists that were aligned otherwise than by position have no positions to relate."""
    ids = [fresh(random.Random(n)) for n in range(5)]
    old, new = ({"events": [{"id": one} for one in ids[n : n + 4]], "first": ids[n]} for n in range(2))

    assert not broken(between(old, new))


def test_an_array_that_was_aligned_otherwise_is_left_out_whole() -> None:
    """Two of its elements may agree by position by chance; they say nothing."""
    one, two, three = (fresh(random.Random(n)) for n in range(3))

    def window(start: int, users: list[str]) -> Document:
        events = [{"id": start + n, "user_id": user} for n, user in enumerate(users)]
        return {"events": events, "latest": {"user_id": users[-1]}}

    assert not broken(between(window(1, [one, two, two]), window(2, [two, two, three])))


def test_a_reordered_list_breaks_nothing() -> None:
    """Elements that found each other by name."""
    chance = random.Random(1)
    old = shop(chance, 4, 5)
    new = substituted(old, {one["id"]: fresh(chance) for one in old["users"]})
    new["users"].reverse()

    assert not broken(between(old, new))


def test_a_location_goes_with_the_id_it_leads_to() -> None:
    """A header is related as a place of the body is."""
    one, two, three = (fresh(random.Random(n)) for n in range(3))

    def found(place: str) -> set[str]:
        old = answer({"id": one}, [(b"location", f"/items/{one}".encode())])
        new = answer({"id": two}, [(b"location", f"/items/{place}".encode())])
        return broken(compare(old, new, Context()).differences)

    assert found(two) == set()
    assert found(three) == {"header:location"}


def test_the_work_is_bounded() -> None:
    """A document with more values than are met is related as far as they go; one too large or with too many ids not at all."""
    many = [[-1], list(range(MET_MAX))]
    chance = random.Random(5)
    large = {"user_id": fresh(chance), "user": {"id": fresh(chance)}, "text": "x" * 2_000_000}

    assert not list(leaves(many, many, {-1}))
    assert list(leaves([1, 2], [1, 3], {1})) == [("body:$[*]", "[0]", 1, 1)]
    assert not broken(between(large, large | {"user_id": large["user"]["id"]}))
    crowd = [{"id": fresh(chance), "ref_id": fresh(chance)} for _ in range(300)]
    assert not broken(between(crowd, [{"id": fresh(chance), "ref_id": one["id"]} for one in crowd]))


def test_numbers_too_long_for_an_id_are_numbers() -> None:
    """Thousands of digits where an id should be are compared like any number, and nothing beside them is lost."""
    old, new = (
        b'{"user_id":%b,"a":{"user_id":%b},"b":%b}' % tuple(digit * 5000 for digit in digits)
        for digits in ((b"9", b"9", b"1"), (b"8", b"7", b"2"))
    )

    assert {one.where for one in between(old, new)} == {"body:$.user_id", "body:$.a.user_id", "body:$.b"}


DEEP = b'{"id":"%b","a":' + b'{"a":' * 300 + b'{"id":"%b"}' + b"}" * 301


def test_depth_does_no_harm() -> None:
    """The walk that relates is no recursion."""
    one, two, three = (fresh(random.Random(n)).encode() for n in range(3))

    assert broken(between(DEEP % (one, one), DEEP % (two, two))) == set()
    assert len(broken(between(DEEP % (one, one), DEEP % (two, three)))) == 1


@pytest.mark.parametrize(
    ("value", "where", "wanted"),
    [
        (17, "body:$.user_id", ("", [("user", "17")])),
        (17, "body:$.users[*].id", ("", [("user", "17")])),
        ("ann", "body:$.categoryIds[*]", ("", [("categori", "ann")])),
        (17, "body:$.id", ("", [])),
        (1700000, "body:$.id", ("", [("", "1700000")])),
        (17, "body:$.stock", ("", [])),
        ("/users/17/posts/3", "body:$.href", ("/users/\0/posts/\0", [("user", "17"), ("post", "3")])),
        ("text/html", "header:content-type", ("text/html", [])),
        ("a long name", "body:$.user_id", ("", [])),
        ("release-2024-11-25", "body:$.version", ("", [])),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "body:$.version", ("", [("", "01ARZ3NDEKTSV4RRFFQ69G5FAV")])),
    ],
)  # fmt: skip
def test_what_an_id_is(value: Any, where: str, wanted: Any) -> None:
    """By its looks, else by the name of its place, and then only of that thing."""
    assert ids_in(value, where) == wanted


def test_names_of_ids() -> None:
    """A thing names itself by ``id`` and others by ``thing_id``."""
    assert name_of("body:$.users[*].id") == ("user", True)
    assert name_of("body:$['owner-id']") == ("owner", False)
    assert name_of("body:$.paid") is None
    assert name_of("body:$.valid") is None
    assert not is_opaque("application-1.2")


# Whole verdicts.


@pytest.mark.parametrize(
    "noun", ["user", "address", "house", "box", "branch", "movie", "category", "key", "case", "series"]
)
def test_one_thing_and_many_of_it_have_one_noun(noun: str) -> None:
    """``address_id`` refers to the ``id`` under ``addresses``, however the plural is made."""
    plural = noun + ("es" if noun.endswith(("s", "x", "ch")) else "s")
    plural = plural[:-2] + "ies" if noun == "category" else plural

    assert singular(plural) == singular(noun) != ""
    assert singular(noun.upper()) == singular(noun)
