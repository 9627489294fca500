"""What folds into one finding, and in what time: nothing is a symptom that also shows alone, and no run of many causes holds up its close."""

from __future__ import annotations

import random
import time

import pytest

from differ.bundles import Shows
from differ.difference import FORMAT, VALUE
from differ.evidence import REGRESSION, TESTED, Place, Weighed
from differ.folding import COMBINATIONS_COMPARED, Finding, fold
from echolane.ids import finding_id

Combinations = dict[tuple[str, tuple[int, ...]], int]


def folded(places: list[Place], combinations: Combinations) -> list[Finding]:
    """The findings of regressions; combinations name places by their numbers."""
    shown = {(why, tuple(2 * number for number in numbers)): count for (why, numbers), count in combinations.items()}
    return fold("shop", places, range(len(places)), Shows(shown, [Weighed(REGRESSION, TESTED) for _ in places]))


def place(where: str, kind: str, signature: str = "x") -> Place:
    """A place of one endpoint that was seen once."""
    return Place("GET /a", where, kind, 0, count=1, signatures={signature})


@pytest.mark.parametrize(
    ("alone", "wanted"), [(False, ["body:$.stock", "status"]), (True, ["body:$.price", "body:$.stock", "status"])]
)
def test_what_also_shows_alone_is_no_symptom(alone: bool, wanted: list[str]) -> None:
    """However many more frequent combinations there are in which it shows beside another status only."""
    places = [place("status", "status"), place("body:$.price", "value"), place("body:$.stock", "value")]
    combinations: Combinations = {("", (0, 1)): 9}
    for number in range(COMBINATIONS_COMPARED):
        combinations[f"reason {number}", (2,)] = 5
    if alone:
        combinations["", (1,)] = 1

    assert sorted(one.where for one in folded(places, combinations)) == wanted


@pytest.mark.parametrize("begin", ["header:x", "body:/html/x"])
def test_many_causes_fold_in_time(begin: str) -> None:
    """Three thousand headers or nodes of pages that change in exchanges of their own, fifty in each."""
    chance, count = random.Random(5), 3000
    combinations = {("", tuple(chance.sample(range(count), 50))): 1 for _ in range(2000)}
    begun = time.process_time()

    assert len(folded([place(f"{begin}{n}", "value") for n in range(count)], combinations)) > 2000
    assert time.process_time() - begun < 6


def test_many_members_that_went_fold_in_time() -> None:
    """Six thousand keys that are gone, three of each container: two thousand findings."""
    places = [place(f"body:$.a{n // 3}.b{n}", "missing") for n in range(6000)]
    begun = time.process_time()
    found = folded(places, {("", (n,)): 1 for n in range(len(places))})

    assert {len(one.members) for one in found} == {3}
    assert len(found) == 2000
    assert time.process_time() - begun < 3


def shown_alone(places: list[Place]) -> list[Finding]:
    """The findings among places that show in exchanges of their own."""
    return folded(places, {("", (n,)): 1 for n in range(len(places))})


def written(where: str, signature: str, kind: str = "format", facet: int = FORMAT, endpoint: str = "GET /a") -> Place:
    """An element that is written in another way."""
    return Place(endpoint, where, kind, facet, count=1, signatures={signature})


def test_members_and_siblings_of_xml_fold_as_those_of_json() -> None:
    """By their container, by their name under many containers, by the element in which all values changed."""
    gone = [place(f"body:/r/item/{name}", "missing") for name in "abc"]
    keys = [place(f"body:/r{n}/item/@id", "added") for n in range(3)]
    values = [Place("GET /a", f"body:/r/other/{name}", "value", VALUE, count=1, signatures={"x"}) for name in "abc"]
    found = {one.where: one for one in shown_alone([*gone, *keys, *values])}

    assert sorted(found) == ["body:/r/item", "body:/r/other", "body:/r0/item/@id"]
    assert {len(one.members) for one in found.values()} == {3}


def test_values_of_unlike_documents_are_no_siblings() -> None:
    """Three at one endpoint are its document, also at a second one that shares most; one of each of three endpoints are three causes."""
    apart = [written(f"body:$.{name}", "x", "value", VALUE, f"GET /{name}") for name in "abc"]
    assert [one.where for one in shown_alone(apart)] == ["body:$.a", "body:$.b", "body:$.c"]

    order = [
        written(f"body:$.{name}", "x", "value", VALUE, endpoint) for endpoint in ("GET /o", "GET /p") for name in "abc"
    ]
    others = [written(f"body:$.{name}", "x", "value", VALUE, "GET /q") for name in "def"]
    elsewhere = [written("body:$.g", "x", "value", VALUE, endpoint) for endpoint in ("GET /o", "GET /r", "GET /s")]
    found = {tuple(one.places): one.endpoints for one in shown_alone([*order, *others, *elsewhere])}
    assert found == {
        ("body:$.a", "body:$.b", "body:$.c"): ["GET /o", "GET /p"],
        ("body:$.d", "body:$.e", "body:$.f"): ["GET /q"],
        ("body:$.g",): ["GET /o", "GET /r", "GET /s"],
    }


def test_places_of_xml_that_change_together_are_their_container() -> None:
    """Two of one member are enough; of a whole document it takes four, and nodes of a page are their page."""
    two = [place("body:/r/a/b", "value"), place("body:/r/a/c", "missing")]
    assert [one.where for one in folded(two, {("", (0, 1)): 3})] == ["body:/r/a"]
    two = [place("body:/r/a", "value"), place("body:/r/b", "missing")]
    assert len(folded(two, {("", (0, 1)): 3})) == 2
    nodes = [place("body:/html/body/p", "value"), place("body:/html/body/a/@href", "value")]
    assert [one.where for one in folded(nodes, {("", (0, 1)): 3})] == ["body"]


def test_elements_of_one_name_that_are_written_anew_alike_are_one_finding() -> None:
    """Under whatever root, at whatever endpoint; not where only a value changed, where it is written otherwise, or of another name."""
    alike = [
        written(f"body:/Answer{n}/Meta/RequestId", "format:<uuid>><token>", endpoint=f"GET /{n}") for n in range(2)
    ]
    others = [
        written("body:/Other/Meta/RequestId", "format:<uuid>><hash>"),
        written("body:/Third/Meta/RequestId", "value:token", "value", VALUE),
        written("body:/Fourth/Meta/RequestId", "value:token", "value", VALUE),
        written("body:/Third/Meta/Token", "format:<uuid>><token>"),
    ]
    found = shown_alone([*alike, *others])

    assert [one.places for one in found if len(one.members) > 1] == [sorted(place.where for place in alike)]
    assert len(found) == 5


def test_the_members_of_a_finding_have_a_signature_in_common() -> None:
    """That which most share, where one changed in several ways."""
    wheres = [f"body:/r{n}/name" for n in range(4)]
    places = [written(where, "value:a>b", "value") for where in wheres]
    places[0].signatures.add("value:c>d")
    places[3].signatures = {"value:c>d"}

    assert sorted(one.places for one in shown_alone(places)) == [wheres[:3], wheres[3:]]


def test_ids_of_many_things_that_are_drawn_anew_alike_are_one_finding() -> None:
    """From three names on: fewer may be a coincidence, and an id that does not say what it is of may come from anywhere."""
    ids = [
        written(f"body:/List/{name}/{name}Id", f"format:{name}-<hash>><token>")
        for name in ("order", "item", "user-key")
    ]
    bare = [written(f"body:/List/x{n}/{name}", "format:<hash>><token>") for n, name in enumerate("abc")]

    assert sorted(len(one.members) for one in shown_alone([*ids, *bare])) == [1, 1, 1, 3]
    assert len(shown_alone(ids[:2])) == 2


def test_json_keeps_its_findings() -> None:
    """Values of one name at two endpoints of JSON stay two findings, with the names they had."""
    places = [written(f"body:$.a{n}.id", "format:<uuid>><token>", endpoint=f"GET /{n}") for n in range(2)]
    found = shown_alone(places)

    assert [one.id for one in found] == [finding_id("shop", place.where, "format", "") for place in places]


def test_a_part_of_the_documents_of_several_endpoints_is_one_finding() -> None:
    """Where its places show in the very same exchanges; not where one of them also shows alone, nor whole documents, which share no more than being ones."""

    def both(*wheres: str) -> list[Place]:
        return [Place(one, where, "value", VALUE, count=1) for where in wheres for one in ("GET /a", "GET /b")]

    within, tops = both("body:$.sets.a.x", "body:$.sets.a.y"), both(*(f"body:$.{name}.v" for name in "abcd"))
    found = folded(within, {("", (0, 2)): 2, ("", (1, 3)): 1})

    assert [(one.where, one.endpoints, one.differing) for one in found] == [("body:$.sets.a", ["GET /a", "GET /b"], 3)]
    assert [one.id for one in found] == [finding_id("shop", "body:$.sets.a", "value", "document:*")]
    assert len(folded(within, {("", (0, 2)): 2, ("", (1, 3)): 1, ("", (1,)): 1})) == 2
    assert len(folded(tops, {("", (0, 2, 4, 6)): 2, ("", (1, 3, 5, 7)): 1})) == 4
