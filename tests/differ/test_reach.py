"""How far findings reach, and in which order they are told: by severity, then by endpoints and by the recorded traffic that shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, strategies as st

from console import words
from differ.close import close_run
from differ.reach import order, weight
from differ.rows import RowMaker
from differ.verdict import SEVERITIES
from echolane.exchange import Response
from echolane.home import open_home
from echolane.ledger import run_identities
from echolane.observation import Observation
from echolane.rules import Rule
from echolane.settings import Differ
from echolane.store import open_store
from tests.differ import poisoned_runs
from tests.differ.test_spread import CACHE, answer, observed

Answers = dict[str, tuple[int, Response, Response]]
"""By endpoint how many exchanges, and what base and branch answer."""
SERVERS = (b"Server", b"one"), (b"Server", b"other")
OLD, NEW = answer({"unit": "cm"}), answer({"unit": "inch"})


def closed(tmp_path: Path, answers: Answers, skipped: dict[str, int], *rules: Rule, **more: Any) -> dict[str, Any]:
    """The result of a run with these answers, and with so many more exchanges of an endpoint that were not fired."""
    pairs = [(name, *both) for name, (often, *both) in answers.items() for _ in range(often)]
    fired = [observed(name, base, branch, number) for number, (name, base, branch) in enumerate(pairs)]
    names = [name for name, often in skipped.items() for _ in range(often)]
    left = [
        Observation(f"s{n}", len(fired) + n, 1, name, "GET", "/", 200, 0, [], skipped="decided")
        for n, name in enumerate(names)
    ]
    spec = msgspec.structs.replace(poisoned_runs.spec(), rules=list(rules))
    with open_store(open_home(tmp_path).path) as store:
        maker = RowMaker(spec, Differ())
        for one in (*fired, *left):
            maker.add(one, 0, 0)
        store.insert("results", maker.take())
        told = {"state": "finished", "reason": "", "selected": len(fired) + len(left) + more.get("missing", 0)}
        result = close_run(store, spec, **told, fired_per_s=1.0)
    assert run_identities(result["ledger"]) == [] or more
    return result


def test_a_finding_tells_its_endpoints_and_what_share_of_the_recorded_traffic_they_get(tmp_path: Path) -> None:
    """Exchanges that were not fired are traffic, too; endpoints at which nothing was compared are none that it could show at."""
    answers = {"GET /a": (3, OLD, NEW), "GET /b": (2, OLD, NEW), "GET /same": (4, OLD, OLD)}
    result = closed(tmp_path, answers, {"GET /a": 5, "POST /never": 6})

    (found,) = result["groups"]
    assert (found["endpoints"], found["endpoints_compared"]) == (2, 3)
    assert (found["differing"], found["observed"]) == (5, 5)
    assert (found["traffic"], found["traffic_selected"]) == (10, 20)


def test_what_a_run_has_not_come_to_is_no_traffic(tmp_path: Path) -> None:
    """Of a run that was cut off, shares are of the exchanges that it knows where they go."""
    (found,) = closed(tmp_path, {"GET /a": (3, OLD, NEW)}, {"GET /b": 1}, missing=96)["groups"]

    assert (found["traffic"], found["traffic_selected"]) == (3, 4)


def test_what_a_rule_explains_tells_its_reach_too(tmp_path: Path) -> None:
    """By all endpoints at which the rule hid it."""
    rule = Rule("units", where="body:$.unit", reason="known", owner="us", permanent=True)
    answers = {"GET /a": (3, OLD, NEW), "GET /b": (2, OLD, NEW), "GET /same": (4, OLD, OLD)}
    result = closed(tmp_path, answers, {"GET /a": 1}, rule)

    (found,) = result["noise"]
    assert (found["endpoints"], found["endpoints_compared"]) == (2, 3)
    assert (found["traffic"], found["traffic_selected"]) == (6, 10)


def test_a_rare_breaking_finding_stands_before_a_cosmetic_one_that_is_everywhere(tmp_path: Path) -> None:
    """Reach orders within a severity alone."""
    one, other = answer({}, SERVERS[0]), answer({}, SERVERS[1])
    answers = {f"GET /{n}": (9, one, other) for n in range(5)} | {"GET /rare": (1, answer({"id": 1}), answer({}))}
    result = closed(tmp_path, answers, {})

    assert [one["severity"] for one in result["groups"]] == ["breaking", "cosmetic"]
    assert words.findings(result, "groups") == result["groups"]


def test_of_one_severity_endpoints_and_use_decide(tmp_path: Path) -> None:
    """What shows at two endpoints stands before what one endpoint shows somewhat oftener, unless that one gets more of the traffic."""
    both = answer({}, CACHE[0]), answer({}, CACHE[1])
    answers = {"GET /a": (2, *both), "GET /b": (2, *both), "GET /one": (6, OLD, NEW)}
    once, used = closed(tmp_path / "once", answers, {}), closed(tmp_path / "used", answers, {"GET /one": 3})

    assert [one["where"] for one in once["groups"]] == ["header:cache-control", "body:$.unit"]
    assert [one["where"] for one in used["groups"]] == ["body:$.unit", "header:cache-control"]


@st.composite
def findings(draw: st.DrawFn) -> dict[str, Any]:
    """A finding with any reach, or one of an older result without."""
    observed = draw(st.integers(0, 9))
    traffic = draw(st.none() | st.integers(observed, 20))
    return {
        "id": draw(st.text("ab", min_size=1, max_size=3)),
        "severity": draw(st.sampled_from([*SEVERITIES, "unknown"])),
        "endpoint": draw(st.sampled_from(["*", "GET /a"])),
        "endpoints": draw(st.integers(1, 5)),
        "differing": draw(st.integers(0, observed)),
        "observed": observed,
        **({} if traffic is None else {"traffic": traffic}),
    }


@given(st.lists(findings(), unique_by=lambda one: one["id"]), st.randoms(use_true_random=False))
def test_there_is_one_order_whatever_the_order_before(some: list[dict[str, Any]], chance: Any) -> None:
    """Findings are told in the same order by every worker and store, the graver severity always first."""
    told = sorted(some, key=order)
    chance.shuffle(some)

    assert sorted(some, key=order) == told
    ranks = [[*SEVERITIES, "unknown"].index(one["severity"]) for one in told]
    assert ranks == sorted(ranks)


@given(findings())
def test_reach_counts_once_more_for_each_endpoint_and_each_exchange(one: dict[str, Any]) -> None:
    """Twice as many endpoints weigh what twice as much traffic does."""
    wide = weight({**one, "endpoints": one["endpoints"] * 2})
    much = weight({**one, "differing": one["differing"] * 2})

    assert wide == much == 2 * weight(one)
