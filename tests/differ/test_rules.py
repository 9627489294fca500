"""Rules in the data path: what a rule explains is marked with it, all else stays as it was, whatever rules there are."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings, strategies as st

from differ.compare import Compared, compare
from differ.context import Context
from differ.difference import FORMAT, PRESENCE, TYPE, VALUE
from differ.evidence import NOISE, REGRESSION, Observed
from differ.gathering import gather
from differ.judging import Judgement, judge, verdict_of
from differ.rows import RowMaker
from differ.ruled import rules_json
from differ.rules import EXPECTED, RULED, Rulebook
from echolane.exchange import Body, Response
from echolane.observation import ANSWERED, BASE, BRANCH, Observation, Shot, TargetInfo
from echolane.recordings import Recording
from echolane.rules import Rule
from echolane.runspec import RunSpec
from echolane.settings import Differ
from tests.differ.test_verdicts import KINDS, PLACES, ROWS, made

ENDPOINT = "GET /items/{id}"


def rule(where: str, **more: Any) -> Rule:
    """A rule that holds at the shop."""
    return Rule(**{"name": "r", "where": where, "service": "shop", "reason": "known", "owner": "us", **more})


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer of JSON."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    pairs = {"Content-Type": "application/json", **(headers or {})}
    return Response(status, "1.1", [(k.encode(), v.encode()) for k, v in pairs.items()], Body(data, len(data)))


def compared(old: object, new: object, *rules: Rule, ask: Any = None) -> Compared:
    """Two bodies, or two answers, under rules."""
    left, right = (one if isinstance(one, Response | str) else answer(one) for one in (old, new))
    book = Rulebook(rules, ask) if ask else Rulebook(rules)
    return compare(left, right, Context(lens=book.lens(ENDPOINT, left.status if isinstance(left, Response) else 0)))


def ruled(found: Compared) -> dict[tuple[str, str], int]:
    """The number of the rule by place and kind."""
    return {(d.where, d.kind): d.rule for d in found.differences}


def test_an_ignored_value_is_marked_and_nothing_else_is() -> None:
    """The place's value is explained; its neighbour, its type and its absence are not."""
    one = rule("body:$.at")

    assert ruled(compared({"at": "a", "b": "x"}, {"at": "c", "b": "y"}, one)) == {
        ("body:$.at", "value"): 1,
        ("body:$.b", "value"): 0,
    }
    assert ruled(compared({"at": "a"}, {"at": None}, one)) == {("body:$.at", "type"): 0}
    assert ruled(compared({"at": "a"}, {}, one)) == {("body:$.at", "missing"): 0}
    assert ruled(compared({}, {"at": "a"}, one)) == {("body:$.at", "added"): 0}


def test_what_is_grave_is_explained_only_by_its_name() -> None:
    """Status, failure, presence and type each need their kind in the rule."""
    assert ruled(compared({"at": "a"}, {"at": 1}, rule("body:$.at", kinds=["type"]))) == {("body:$.at", "type"): 1}
    assert ruled(compared({"at": "a"}, {}, rule("body:$.at", kinds=["missing"]))) == {("body:$.at", "missing"): 1}
    assert ruled(compared(answer({}), answer({}, 500), rule("status", kinds=["status"]))) == {("status", "status"): 1}
    assert ruled(compared(answer({}), answer({}, 500), rule("status", kinds=["failure"]))) == {("status", "status"): 0}
    assert ruled(compared("reset", answer({}), rule("status", kinds=["failure"]))) == {("status", "failure"): 1}
    # Another kind of body is of kind format, and no rule about formats of values hides it.
    assert (
        compared({"a": 1}, answer(b"<html>"), rule("body", kinds=["format"], matcher="regex", pattern=".+"))
        .differences[0]
        .rule
        == 0
    )


def test_headers_and_cookies_have_places_too() -> None:
    """By name."""
    old, new = answer({}, headers={"X-Trace": "a", "X-B": "1"}), answer({}, headers={"X-Trace": "b", "X-B": "2"})

    assert ruled(compared(old, new, rule("header:x-trace"))) == {
        ("header:x-trace", "value"): 1,
        ("header:x-b", "value"): 0,
    }


@pytest.mark.parametrize(
    ("fields", "old", "new", "wanted"),
    [
        ({"matcher": "tolerance", "absolute": 0.01}, 10.0, 10.01, True),
        ({"matcher": "tolerance", "absolute": 0.01}, 10.0, 10.02, False),
        ({"matcher": "tolerance", "absolute": 1}, 12345678901234567890, 12345678901234567891, True),
        ({"matcher": "tolerance", "absolute": 1}, 12345678901234567890, 12345678901234567892, False),
        ({"matcher": "tolerance", "relative": 0.01}, "100.0", "101.0", True),
        ({"matcher": "tolerance", "relative": 0.01}, -100, 100, False),
        ({"matcher": "tolerance", "absolute": 1e300}, "a", "b", False),
        ({"matcher": "tolerance", "within_s": 5.0}, "2027-01-01T00:00:00Z", "2027-01-01T00:00:04Z", True),
        ({"matcher": "tolerance", "within_s": 5.0}, "2027-01-01T00:00:00Z", "2027-01-01T00:00:06Z", False),
        ({"matcher": "tolerance", "within_s": 5.0}, 1795428000.1, 1795428001.9, True),
        ({"matcher": "regex", "pattern": r"\d+ ms"}, "13 ms", "7 ms", True),
        ({"matcher": "regex", "pattern": r"\d+ ms"}, "13 ms", "7 s", False),
        ({"matcher": "regex", "pattern": r"[a-z]+\d*"}, "a" * 20_000, "a" * 20_001, False),
        ({"matcher": "class", "klass": "uuid"}, "0a2c1f62-9f5b-4c9d-8c2b-111111111111", "0a2c1f62-9f5b-4c9d-8c2b-222222222222", True),
        ({"matcher": "class", "klass": "uuid"}, "0a2c1f62-9f5b-4c9d-8c2b-111111111111", "none", False),
        ({"matcher": "class", "klass": "time"}, 1795428000, 1795429000, True),
        ({"matcher": "class", "klass": "counter"}, 17, 18, True),
        ({"matcher": "class", "klass": "counter"}, 17, -1, False),
    ],
)  # fmt: skip
def test_a_matcher_explains_what_it_is_made_for(fields: dict[str, Any], old: object, new: object, wanted: bool) -> None:
    """Beyond it a difference stays a difference."""
    found = compared({"v": old}, {"v": new}, rule("body:$.v", **fields))

    assert [d.rule for d in found.differences] == [int(wanted)]


def test_one_value_that_is_not_explained_keeps_the_difference_and_is_shown() -> None:
    """A place with many values is explained when each of them is; else what is off is what a person sees."""
    one = rule("body:$[*].p", matcher="tolerance", absolute=0.1)
    old = [{"id": n, "p": 10.0} for n in range(200)]
    near = [{"id": n, "p": 10.01} for n in range(200)]
    far = [{"id": n, "p": 99.5 if n == 150 else 10.01} for n in range(200)]

    assert [(d.rule, d.count) for d in compared(old, near, one).differences] == [(1, 200)]
    (stray,) = compared(old, far, one).differences
    (bare,) = compared(old, far).differences
    assert (stray.rule, stray.count, stray.old, stray.new) == (0, 200, "10.0", "99.5")
    assert (stray.values, stray.facet, stray.klass, stray.flags, stray.signature) == (
        bare.values,
        bare.facet,
        bare.klass,
        bare.flags,
        bare.signature,
    )


def test_an_order_is_ignored_by_its_own_matcher() -> None:
    """The same members in another order; one member more is still seen."""
    one = rule("body:$.tags", matcher="ignore-order")

    assert ruled(compared({"tags": ["a", "b", "c"]}, {"tags": ["c", "a", "b"]}, one)) == {("body:$.tags", "order"): 1}
    found = ruled(compared({"tags": ["a", "b", "c"]}, {"tags": ["c", "a", "b", "d"]}, one))
    assert found["body:$.tags", "length"] == 0


def test_scope_is_endpoint_method_and_status() -> None:
    """A rule out of scope is as if it were not there."""
    book = Rulebook([rule("body:$.a", endpoint="/items/*", methods=["GET"], status=["2xx"])])

    assert book.lens("GET /items/{id}", 204) is not None
    for endpoint, status in (
        ("POST /items/{id}", 200),
        ("GET /items", 200),
        ("GET /items/{id}", 404),
        ("GET /users/{id}", 200),
    ):
        assert book.lens(endpoint, status) is None


TREES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(0, 3),
        st.sampled_from(["a", "b", "a, b", "2027-01-01T00:00:00Z", "x9y8z7x9y8z7"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=8,
)
WHERES = st.sampled_from(
    ["body:$.a", "body:$.b", "body:$.a[*]", "body:$.a.**", "body:$.*.b", "body:$[*].a", "body:$.a.b"]
)
RULES = st.lists(
    st.one_of(
        st.builds(rule, WHERES),
        st.builds(lambda where, kind: rule(where, kinds=[kind]), WHERES, st.sampled_from(["missing", "added", "type", "length", "value"])),
        st.builds(lambda where: rule(where, matcher="ignore-order"), WHERES),
        st.builds(lambda where: rule(where, matcher="tolerance", absolute=1.0), WHERES),
        st.builds(lambda where: rule(where, matcher="regex", pattern="[ab]"), WHERES),
    ),
    min_size=1, max_size=3,
)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(TREES, TREES, RULES)
def test_rules_change_nothing_but_what_they_explain(old: object, new: object, rules: list[Rule]) -> None:
    """Same places, kinds, facets, counts and digests as without rules; and no kind that no rule at that place names is marked."""
    bare, under = (
        compared(
            {"x": old, **(old if isinstance(old, dict) else {})},
            {"x": new, **(new if isinstance(new, dict) else {})},
            *given,
        )
        for given in ((), tuple(rules))
    )
    facts = [
        [(d.where, d.kind, d.facet, d.klass, d.flags & 63, d.count, d.values, d.signature) for d in one.differences]
        for one in (bare, under)
    ]

    assert facts[0] == facts[1]
    assert bare.uncomparable == under.uncomparable
    for one in under.differences:
        if one.rule:
            meant = rules[one.rule - 1]
            assert one.kind in (
                meant.kinds or (["order", "moved"] if meant.matcher == "ignore-order" else ["value", "format"])
            )
        assert bool(one.rule) == bool(one.flags & RULED)


def judged(rows: list[dict[str, Any]]) -> tuple[Judgement, list[str]]:
    """The judgement of rows, and the verdicts of their exchanges."""
    seen = {one["endpoint"]: Observed(1000, 1000, 1000) for one in rows}
    gathering = gather(rows)
    found = judge("shop", gathering, seen)
    return found, [verdict_of(c, found.weighed) for c, n in sorted(gathering.combinations.items()) for _ in range(n)]


@settings(max_examples=150, deadline=None)
@given(ROWS, PLACES, KINDS)
def test_a_rule_moves_no_verdict_outside_of_it_and_turns_no_pass_into_a_fail(
    drawn: list[Any], where: str, kind: tuple[str, int]
) -> None:
    """Whatever is explained at one place: all other places are weighed as before, and what was no regression is none."""
    bare, under = made(drawn), made(drawn)
    for row in under:
        marks = [
            int(pair == 0 and (place, name) == (where, kind[0]))
            for pair, place, name in zip(row["d_pair"], row["d_where"], row["d_kind"], strict=True)
        ]
        row["d_rule"], row["d_flags"] = marks, [RULED * mark for mark in marks]
    (one, verdicts), (two, others) = judged(bare), judged(under)
    before = {(p.endpoint, p.where, p.kind, p.facet, p.nature): w for p, w in zip(one.places, one.weighed, strict=True)}
    after = {(p.endpoint, p.where, p.kind, p.facet, p.nature): w for p, w in zip(two.places, two.weighed, strict=True)}

    assert before == after
    told = {number for finding in two.regressions for number in finding.members}
    assert all((two.places[n].where, two.places[n].kind) != (where, kind[0]) for n in told)
    assert len(verdicts) == len(others)
    assert others.count("different") <= verdicts.count("different")
    if not one.regressions:
        assert not two.regressions


def test_wholly_explained_exchanges_are_accounted_as_noise() -> None:
    """An exchange whose differences rules explain is no empty set: the ledger must balance."""
    rows = made([([(0, "body:$.a", ("value", VALUE), 1)], "GET /a")])
    rows[0]["d_rule"], rows[0]["d_flags"] = [1], [RULED]
    found, verdicts = judged(rows)

    assert verdicts == [NOISE]
    assert (found.regressions, found.noise, found.undecided) == ([], [], [])
    bare, _ = judged(made([([(0, "body:$.a", ("value", VALUE), 1)], "GET /a")]))
    assert bare.weighed[0].verdict == REGRESSION


def test_a_row_names_its_rule_and_a_run_counts_it() -> None:
    """Only base against branch is asked: what a version shows against itself stays evidence."""
    rules = [rule("body:$.at"), rule("body:$.b", branch="feat/*")]
    spec = RunSpec(
        "r",
        "shop",
        Recording("r", "shop", 0, "everything", []),
        [TargetInfo(f"http://127.0.0.1:{p}") for p in (1, 1, 2, 2)],
        rules=rules,
    )
    shots = [Shot(ANSWERED, "", answer({"at": n, "b": n > 1})) for n in range(4)]
    maker = RowMaker(spec, Differ())
    maker.add(Observation("e", 1, 1, ENDPOINT, "GET", "/items/1", 200, 1, shots), 0, 1)
    columns = maker.take()
    row = {name: values[0] for name, values in columns.items()}
    told = list(
        zip(
            row["d_pair"],
            row["d_where"],
            row["d_kind"],
            row["d_rule"],
            [f & (RULED | EXPECTED) for f in row["d_flags"]],
            strict=True,
        )
    )

    assert (0, "body:$.at", "value", 1, RULED) in told
    assert [one for one in told if one[0] > 0 and one[3]] == []
    gathering = gather([{**row, "has_control": True, "has_branch_control": True}])
    assert rules_json(spec, gathering.ruled)["hidden"] == sum(1 for one in told if one[3])
    bare = RowMaker(RunSpec("r", "shop", spec.recording, spec.targets), Differ())
    bare.add(
        Observation(
            "e",
            1,
            1,
            ENDPOINT,
            "GET",
            "/items/1",
            200,
            1,
            [shots[BASE], Shot(ANSWERED, "", None, BASE), shots[BRANCH], Shot(ANSWERED, "", None, BRANCH)],
        ),
        0,
        1,
    )
    assert "d_rule" not in bare.take()


def test_a_rule_of_a_very_change_explains_no_other() -> None:
    """By its signature a status is another one, and an endpoint another; what follows from a status is explained beside it alone."""
    said = [
        f"{d.kind}:{d.signature}" if ":" not in d.signature else d.signature
        for d in compared(answer({}), answer({}, 404)).differences
    ]
    gone = rule("status", kinds=["status"], changes=said, endpoints=[ENDPOINT])
    beside = rule("body:$.price", kinds=["missing"], beside=said)
    both = compared(answer({"price": 1}), answer({}, 404), gone, beside)
    other = compared(answer({"price": 1}), answer({}, 500), gone, beside)
    alone = compared(answer({"price": 1}), answer({}), gone, beside)

    assert said == ["status:200>404"]
    assert ruled(both) == {("status", "status"): 1, ("body:$.price", "missing"): 2}
    assert set(ruled(other).values()) == set(ruled(alone).values()) == {0}
    assert Rulebook([gone]).lens("GET /others/{id}", 200) is None
    plain = rule("body:$.price", kinds=["missing"])
    assert ruled(compared(answer({"price": 1}), answer({}), beside, plain)) == {("body:$.price", "missing"): 2}


def test_a_resumed_run_has_the_rules_it_began_with() -> None:
    """They travel in the run's spec, every field of them; a spec from before there were rules has none."""
    one = rule(
        "body:$.a",
        matcher="class",
        klass="uuid",
        within_s=1.5,
        status=["2xx"],
        branch="b",
        expires="2099-01-01",
        source="f:1",
    )
    spec = RunSpec(
        "r", "shop", Recording("r", "shop", 0, "everything", []), [TargetInfo("")], rules=[one], branch_name="b"
    )
    text = msgspec.json.encode(spec)
    older = {name: value for name, value in orjson.loads(text).items() if name not in {"rules", "branch_name"}}

    assert msgspec.json.decode(text, type=RunSpec) == spec
    assert msgspec.convert(older, RunSpec).rules == []


def test_facets_are_what_rules_think_they_are() -> None:
    """The order of facets on which the protection of grave kinds rests."""
    assert PRESENCE < TYPE < FORMAT < VALUE
