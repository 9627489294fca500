"""The accuracy bench measures what it says: mutations change bytes, seeds repeat, the peers follow their formulas, nobody peeks."""

from __future__ import annotations

import ast
import random
from dataclasses import replace
from pathlib import Path

import pytest

from bench import accuracy
from bench.accuracy_answers import samples
from bench.accuracy_cases import SHAPES, Case, Shape, drawn, entity, simulated
from bench.accuracy_harness import Four, judged
from bench.accuracy_mutations import ELSEWHERE, KINDS, RESTLESS, STEADY, Pick
from bench.accuracy_noise import FOOT, PROFILES
from bench.accuracy_peers import Peers, differing, diffy, plain
from bench.accuracy_report import Permuted, Rows, compared, report
from bench.accuracy_scoring import FOUND, UNDECIDED, Score, covers, draws, touches
from bench.accuracy_wire import Answer, add, cut, put, sealed, spans
from differ.evidence import REGRESSION

BENCH = Path(accuracy.__file__).parent
MADE = samples(real=False)
SMALL = Shape("10 %", 30, 3)


def test_who_plants_a_change_knows_nothing_of_who_looks_for_it() -> None:
    """Of the bench's modules only the harness imports the differ: mutations, noise and peers are written against raw bytes."""
    for path in sorted(BENCH.glob("accuracy*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        rooms = {name.partition(".")[0] for name in names}
        assert ("differ" in rooms) == (path.name == "accuracy_harness.py"), path.name
        if path.stem in {
            "accuracy_mutations",
            "accuracy_values",
            "accuracy_shapes",
            "accuracy_messages",
            "accuracy_noise",
            "accuracy_wire",
        }:
            own = {name for name in names if name.startswith("bench")}
            assert own <= {f"bench.accuracy_{part}" for part in ("mutations", "noise", "wire")}, path.name


def test_there_are_enough_kinds_cases_and_rates() -> None:
    """Forty kinds at least, five thousand cases, rates from all down to one in a thousand."""
    assert len(KINDS) >= 40
    assert len(list(accuracy.planned("s", accuracy.FULL, len(SHAPES)))) >= 5000
    assert {shape.changed / shape.exchanges for shape in SHAPES} >= {1.0, 0.5, 0.1, 0.01, 0.001}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_mutation_changes_bytes_of_branch_alone(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a change is planted the bytes of branch are others than without it; all other answers are the same bytes."""
    case = drawn(f"t/{kind}/10 %/0", kind, SMALL, MADE)
    assert case is not None
    case = replace(case, profile="quiet")
    changed = list(simulated(case))
    monkeypatch.setitem(KINDS, kind, replace(KINDS[kind], change=lambda answer, _pick, _chance: answer))
    plain_run = [e.answers for e in simulated(case)]

    assert sum(e.planted for e in changed) >= 1
    for exchange, without in zip(changed, plain_run, strict=True):
        assert exchange.answers[:2] == without[:2]
        assert (exchange.answers[2:] != without[2:]) == exchange.planted


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_noise_is_alike_in_both_versions(profile: str) -> None:
    """Without a change branch differs from base about as often as each from its control; noise of the branch alone is the exception."""
    sample = next(one for one in MADE if one.endpoint == "GET /orders/{id}")
    case = Case("n//100 %/0", "", SHAPES[1], profile, sample)
    counts = [0, 0, 0]
    for exchange in simulated(case):
        base, control, branch, twin = exchange.answers
        counts = [n + one for n, one in zip(counts, (base != branch, base != control, branch != twin), strict=True)]

    assert profile == "branch" or max(counts) - min(counts) <= 15
    assert (max(counts) == 0) == (profile == "quiet")


def test_a_seed_gives_the_same_report() -> None:
    """Cases, noise, places and scores hang on the seed and nothing else."""
    seeds = [
        seed
        for seed in accuracy.planned(
            "again", 1, 3, ["value-number", "range-shift", "cookie-insecure", "status-500-flaky"]
        )
        if "//" not in seed or seed[-2:] == "/1"
    ]
    case = accuracy.case_of("again/value-number/50 %/0", real=False)
    assert case is not None
    assert [e.answers for e in simulated(case)] == [e.answers for e in simulated(case)]
    first, second = (accuracy.measured(seeds, real=False) for _ in range(2))

    assert first == second
    assert report(first, Permuted(), services=["made"]) == report(second, Permuted(), services=["made"])
    assert first != accuracy.measured([seed.replace("again", "other") for seed in seeds], real=False)


def test_a_run_that_ended_early_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores are kept as they come; the next run of the same source measures only what is left, and says the same in the end."""
    seeds = [f"t/range-shift/{shape}/{n}" for shape in ("1 of 1", "100 %") for n in range(2)]
    kept = tmp_path / "scores.jsonl"
    early = accuracy.measured(seeds, real=False, kept=kept, until=0)
    assert len(early) == 1

    asked: list[str] = []
    monkeypatch.setattr(accuracy, "run", lambda seed, real, run=accuracy.run: asked.append(seed) or run(seed, real))
    whole = accuracy.measured(seeds, real=False, kept=kept)
    assert asked == seeds[1:]
    assert whole == accuracy.measured(seeds, real=False)
    monkeypatch.setattr(accuracy, "source", lambda: "another")
    assert accuracy.read(kept) == {}


def test_a_peer_that_shows_a_place_anyway_has_found_nothing_there() -> None:
    """Hits count less what is shown with nothing planted, which is a false alarm; what no test can tell is counted for itself."""

    def score(kind: str, promise: str, verdict: str, *, changed: int, hit: bool, twin: bool) -> Score:
        peers = {"diffy": (hit, 0), "plain": (False, 0)}
        return Score("s", kind, "1 %", "all", "made", promise, changed, verdict, peers=peers, twins={"diffy": twin})

    lucky = compared([score("a", RESTLESS, "noise", changed=30, hit=True, twin=True)])
    assert (lucky.worse, len(lucky.lucky), [one.split(":")[0] for one in lucky.equal]) == ([], 1, ["a, 1 %, plain"])
    assert len(compared([score("a", RESTLESS, "noise", changed=30, hit=True, twin=False)]).worse) == 1
    assert len(compared([score("a", RESTLESS, "noise", changed=6, hit=False, twin=False)]).hopeless) == 2
    assert len(compared([score("a", RESTLESS, "noise", changed=7, hit=False, twin=False)]).equal) == 2
    assert len(compared([score("a", STEADY, "noise", changed=2, hit=False, twin=False)]).equal) == 2
    assert compared([score("a", STEADY, FOUND, changed=2, hit=False, twin=False)]) == Rows()


@pytest.mark.parametrize(
    ("promise", "changed", "draws", "asked"),
    [(ELSEWHERE, 19, 19, False), (ELSEWHERE, 20, 20, True), (ELSEWHERE, 30, 6, False), (ELSEWHERE, 30, 7, True), (RESTLESS, 2, 0, False),
     (RESTLESS, 20, 0, True), (STEADY, 2, 1, True)],
)  # fmt: skip
def test_asking_for_more_is_a_miss_only_where_one_exchange_or_many_draws_are_enough(
    promise: str, changed: int, draws: int, asked: bool
) -> None:
    """An undecided change is no miss beside a peer below twenty exchanges or seven draws, save where one exchange is promised to do."""
    peers = {"diffy": (True, 0), "plain": (True, 0)}
    score = Score("s", "a", "1 %", "all", "made", promise, changed, UNDECIDED, peers=peers, draws=draws)

    assert len(compared([score]).worse) == (2 if asked else 0)
    assert len(compared([replace(score, verdict="noise")]).worse) == 2


def test_a_false_alarm_is_compared_by_what_causes_it() -> None:
    """One that a change brings belongs to its kind; one that is there without belongs to the noise, among all of its cases at that rate."""

    def score(kind: str, *, false: int, anyway: int, peer: int) -> Score:
        peers = {"diffy": (True, peer), "plain": (True, peer)}
        there = {"ours": anyway, "diffy": peer, "plain": peer} if false else {}
        return Score("s", kind, "1 %", "all", "made", STEADY, 2, FOUND, false=false, peers=peers, anyway=there)

    brought = compared([score("a", false=1, anyway=0, peer=1), score("b", false=0, anyway=0, peer=9)]).worse
    assert [told.split(":")[0] for told in brought] == ["a, 1 %, diffy", "a, 1 %, plain"]
    assert compared([score("a", false=1, anyway=1, peer=0), score("b", false=0, anyway=0, peer=9)]).worse == []
    there = compared([score("a", false=1, anyway=1, peer=0), score("b", false=0, anyway=0, peer=0)]).worse
    assert [told.split(":")[0] for told in there] == ["noise all, 1 %, diffy", "noise all, 1 %, plain"]


def test_a_race_of_branch_is_weighed_against_the_same_race_of_all_four() -> None:
    """With nothing planted, what comes now and then comes so from base as well: a peer that shows that has shown no change."""
    case = drawn("t/status-500-flaky/50 %/0", "status-500-flaky", SHAPES[2], MADE)
    assert case is not None
    for plant, failing in ((True, (2, 3)), (False, (0, 1, 2, 3))):
        found = list(simulated(case, plant=plant))
        assert {n for e in found for n in range(4) if e.answers[n].status == 500} == set(failing)


def test_a_number_in_the_node_of_a_page_that_its_noise_is_in_promises_nothing() -> None:
    """Two paragraphs side by side are one place to all who judge; a change of words, or elsewhere on the page, is as steady as ever."""
    page = next(one.answer for one in MADE if one.endpoint == "GET /page")
    noisy = replace(page, body=page.body.replace(b"</body>", FOOT + b"took:5</p>\n</body>"))

    def promise(kind: str, answer: Answer) -> str:
        pick = KINDS[kind].pick(answer, random.Random(1), frozenset())
        assert pick is not None
        return pick.promise

    assert (promise("text-number", noisy), promise("text-number", page)) == (RESTLESS, STEADY)
    assert promise("html-text", noisy) == STEADY
    elsewhere = replace(noisy, body=noisy.body.replace(b'<p class="price">129.95 EUR</p>', b""))
    assert promise("text-number", elsewhere) == STEADY
    timed = replace(page, body=b"<html><p>in 129.95 ms</p><p>took 12s</p></html>")
    assert KINDS["text-number"].pick(timed, random.Random(1), frozenset()) is None


def test_what_comes_again_is_one_draw() -> None:
    """Draws are counted by pairs of values at the place, whatever else differs."""
    case = drawn("t/value-number/10 %/0", "value-number", SMALL, MADE)
    assert case is not None
    first, *_ = exchanges = [e for e in simulated(case) if e.planted]
    assert draws([first] * 9, case.pick) == 1
    assert 1 < draws(exchanges, case.pick) <= len(exchanges)
    assert draws(exchanges, Pick("server", ("header:server",))) == 0


def test_what_is_found_is_told_from_what_is_not() -> None:
    """A plain change of a value is found in every shape; the same run without a change reports nothing."""
    scores = accuracy.measured([f"t/value-number/{shape}/0" for shape in ("1 of 1", "100 %", "1 %")], real=False)

    assert [(one.verdict, one.promise) for one in scores] == [(FOUND, STEADY)] * 3
    quiet = [
        seed
        for n in range(40)
        if (case := drawn(seed := f"t//50 %/{n}", "", SHAPES[2], MADE)) and case.profile == "quiet"
    ]
    assert quiet
    assert sum(one.false for one in accuracy.measured(quiet, real=False)) == 0


@pytest.mark.parametrize(
    ("raw", "noise", "total", "shown"),
    [(0, 0, 10, False), (1, 0, 10, True), (5, 5, 10, False), (4, 5, 10, False), (6, 4, 10, False), (7, 4, 11, True), (3, 2, 10, False),
     (31, 20, 100, True), (30, 20, 100, False), (1, 0, 3333, True), (1, 0, 3334, False)],
)  # fmt: skip
def test_diffys_rule_is_its_formula(raw: int, noise: int, total: int, shown: bool) -> None:
    """More raw than noise, relatively by more than 20 %, absolutely by more than 0.03 % of all requests."""
    assert diffy(raw, noise, total) == shown


@pytest.mark.parametrize(("raw", "noise", "shown"), [(0, 0, False), (1, 0, True), (1000, 1, False), (0, 3, False)])
def test_a_plain_filter_forgets_what_was_ever_noisy(raw: int, noise: int, shown: bool) -> None:
    """One difference between base and its control hides a place for good."""
    assert plain(raw, noise) == shown


def test_peers_count_by_places_without_indexes() -> None:
    """Members, elements, types, order, length, headers and status have places; equal answers have none."""

    def answer(body: bytes, status: int = 200) -> Answer:
        return Answer(status, ((b"A", b"1"),), body)

    old = answer(b'{"a":1,"l":[{"x":1},{"x":2}],"o":[1,2],"n":[1]}')
    new = answer(b'{"b":1,"l":[{"x":1},{"x":3}],"o":[2,1],"n":[1,2]}', 201)
    assert differing(old, old) == frozenset()
    assert differing(old, new) == {"status", "body:$.a", "body:$.b", "body:$.l[*].x", "body:$.o", "body:$.n"}
    peers = Peers()
    for _ in range(3):
        peers.add(old, old, new)
    peers.add(old, new, new)
    assert "body:$.a" in peers.diffy()
    assert peers.plain() == frozenset()


def test_edits_leave_json_whole() -> None:
    """Any member or element taken out or put in leaves a text that is JSON again, with that one change."""
    body = b'{"a": 1, "b": [ {"c": null}, "x, y" ,3], "d": {}}'
    root = spans(body)
    assert root is not None
    for span in list(root.walk())[1:]:
        assert spans(put(body, [cut(span)])) is not None, span.path
        if span.kind in {"object", "array"}:
            text = b'"new":1' if span.kind == "object" else b"1"
            assert spans(put(body, [add(span, text)])) is not None, span.path
            assert spans(put(body, [add(span, text, 0)])) is not None, span.path


def test_entities_differ_in_values_and_not_in_shape() -> None:
    """Exchanges ask for different things of one kind."""
    answer = next(one.answer for one in MADE if one.endpoint == "GET /orders/{id}")
    one, two = spans(entity(answer, 1).body), spans(entity(answer, 2).body)
    assert one is not None
    assert two is not None
    assert [(s.path, s.kind) for s in one.walk()] == [(s.path, s.kind) for s in two.walk()]
    assert entity(answer, 1).body != entity(answer, 2).body
    assert entity(answer, 0) == answer


def test_a_place_counts_when_it_tells_of_the_change() -> None:
    """The place itself or a container; what is below only where a subtree changed; neighbours never."""
    pick = Pick("$.a.b", ("body:$.a.b",))
    assert [
        covers(place, pick) for place in ("body:$.a.b", "body:$.a", "body", "body:$.a.b.c", "body:$.a.bc", "status")
    ] == [True, True, True, False, False, False]
    assert covers("body:$.a.b.c", replace(pick, below=True))
    assert touches(("body:$.a.b.c",), pick, frozenset())
    assert touches(("header:etag",), pick, frozenset({"header:etag"}))
    assert not touches(("body:$.x",), pick, frozenset({"header:etag"}))


def test_a_sealed_answer_announces_its_length() -> None:
    """Content-Length follows the body, unless the answer is cut on its way."""
    whole = sealed(Answer(200, ((b"Content-Length", b"9"),), b"abc"), etag=True)
    assert dict(whole.headers)[b"Content-Length"] == b"3"
    assert b"ETag" in dict(whole.headers)
    assert dict(sealed(replace(whole, body=b"a", incomplete=True)).headers)[b"Content-Length"] == b"3"


def test_an_open_order_is_looked_at_again_as_a_close_does() -> None:
    """Two members that an instance gives both ways are in no drawn order: what branch turned round seven times is a regression."""

    def four(number: int, *bodies: bytes) -> Four:
        headers = ((b"Content-Type", b"application/json"),)
        answers = [Answer(200, headers, body) for body in bodies]
        return Four("GET /items", "GET", f"/items?{number}", answers, [1_000 + number] * 4)

    one, two = b'{"tags":["a","b"]}', b'{"tags":["b","a"]}'
    fours = [four(n, one, one, two, two) for n in range(7)] + [four(7 + n, two, two, one, one) for n in range(3)]
    fours += [four(10 + n, one, one, one, one) for n in range(3)]

    assert [found.where for found in judged(fours, (8001, 8002, 8003, 8004)).of(REGRESSION)] == ["body:$.tags"]
