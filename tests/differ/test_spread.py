"""The exceptions of a finding that spans endpoints: those that have its place and do not show it, told from those that do not have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from differ.close import close_run
from differ.letters import topic_of
from differ.rows import RowMaker
from differ.spread import ENDPOINTS_MAX, SHOWN_MAX, exceptions_of, tell_exceptions
from echolane.exchange import Body, Response
from echolane.frame import OBSERVATIONS, encode_frame
from echolane.home import open_home
from echolane.journal import open_journal
from echolane.ledger import run_identities
from echolane.observation import ANSWERED, Observation, Shot
from echolane.recordings import Range, Recording
from echolane.runspec import RunSpec
from echolane.settings import Differ
from echolane.store import open_store
from tests.differ import poisoned_runs
from tests.differ.poisoned_runs import RUN

Header = tuple[bytes, bytes]
CACHE = (b"Cache-Control", b"no-store"), (b"Cache-Control", b"max-age=60")


def answer(tree: Any, *headers: Header) -> Response:
    """An answer of JSON."""
    body = orjson.dumps(tree)
    return Response(200, "1.1", [(b"Content-Type", b"application/json"), *headers], Body(body, len(body)))


def observed(endpoint: str, base: Response, branch: Response, number: int = 0) -> Observation:
    """Four answers: each version agrees with itself."""
    shots = [Shot(ANSWERED, "", base), Shot(ANSWERED, same_as=0), Shot(ANSWERED, "", branch), Shot(ANSWERED, same_as=2)]
    return Observation(f"x{number}", number, 1, endpoint, "GET", "/", 200, 1_000 + number, shots)


def closed(tmp_path: Path, answers: dict[str, tuple[Response, Response]], *, journal: bool = True) -> dict[str, Any]:
    """The result of a run with two exchanges at each endpoint."""
    home, one = open_home(tmp_path), open_journal(tmp_path)
    pairs = [(name, *both) for name, both in answers.items() for _ in range(2)]
    observations = [observed(name, base, branch, number) for number, (name, base, branch) in enumerate(pairs)]
    one.create(topic_of(RUN), 1)
    one.append(topic_of(RUN), 0, [encode_frame(observations, kind=OBSERVATIONS, partition=0, first_ns=1, last_ns=2)])
    recording = Recording("r", "shop", 0, "everything", [Range(0, 0, 1)])
    spec = RunSpec(RUN, "shop", recording, poisoned_runs.spec().targets, started_at_ns=1)
    with open_store(home.path) as store:
        maker = RowMaker(spec, Differ())
        for each in observations:
            maker.add(each, 0, 0)
        store.insert("results", maker.take())
        told = {"state": "finished", "reason": "", "selected": len(pairs), "fired_per_s": 1.0}
        result = close_run(store, spec, **told, journal=one if journal else None)
    one.close()
    assert run_identities(result["ledger"]) == []
    return result


def with_exceptions() -> dict[str, tuple[Response, Response]]:
    """A header and a field that change at two endpoints; two more have the header, one of them the field."""
    old, new = answer({"unit": "cm"}, CACHE[0]), answer({"unit": "inch"}, CACHE[1])
    return {
        "GET /a": (old, new),
        "GET /b": (old, new),
        "GET /kept": (answer({"unit": "cm"}, CACHE[0]),) * 2,
        "GET /other": (answer([], CACHE[0]),) * 2,
        "GET /without": (answer({}),) * 2,
    }


def test_a_close_names_the_endpoints_that_keep_what_others_changed(tmp_path: Path) -> None:
    """Of a header and of a field; an endpoint that does not have the place is no exception."""
    found = {one["where"]: one for one in closed(tmp_path, with_exceptions())["groups"]}

    assert found["header:cache-control"]["exceptions"] == ["GET /kept", "GET /other"]
    assert found["body:$.unit"]["exceptions"] == ["GET /kept"]
    assert {where: one["exceptions_count"] for where, one in found.items()} == {
        "header:cache-control": 2,
        "body:$.unit": 1,
    }


def test_what_shows_at_one_endpoint_has_no_exceptions(tmp_path: Path) -> None:
    """Another endpoint's field of that name is another field."""
    answers = with_exceptions()
    del answers["GET /b"]

    assert not any("exceptions" in one for one in closed(tmp_path, answers)["groups"])


def test_without_the_journal_nothing_is_said_of_exceptions(tmp_path: Path) -> None:
    """Nobody has looked, so there is no list that could be read as none; the findings are the same."""
    groups = closed(tmp_path, with_exceptions(), journal=False)["groups"]

    assert sorted(one["where"] for one in groups) == ["body:$.unit", "header:cache-control"]
    assert not any("exceptions" in one for one in groups)


@pytest.mark.parametrize(
    ("where", "kind", "tree", "header", "wanted"),
    [
        ("header:x-a", "value", {}, (b"X-A", b"1"), True),
        ("header:x-a", "value", {}, (b"X-Ab", b"1"), False),
        ("header:x-a", "added", {}, (b"X-Ab", b"1"), True),
        ("header:x-a", "added", {}, (b"X-A", b"1"), False),
        ("body:$.items", "length", {"items": [1]}, (b"A", b""), True),
        ("body:$.items", "length", {"items": {}}, (b"A", b""), False),
        ("body:$.items[*].new", "added", {"items": [{"new": 1}]}, (b"A", b""), False),
        ("header:set-cookie[sid]", "value", {}, (b"Set-Cookie", b"sid=1; Path=/"), True),
        ("header:set-cookie[sid]", "value", {}, (b"Set-Cookie", b"side=1"), False),
        ("body:$.items[*]['a b']", "missing", {"items": [{}, {"a b": None}]}, (b"A", b""), True),
        ("body:$.items[*]['a b']", "missing", {"items": [{}]}, (b"A", b""), False),
        ("body:$.items[*].new", "added", {"items": [{}]}, (b"A", b""), True),
        ("body:$.items[*].new", "added", {"items": [1]}, (b"A", b""), False),
        ("body:$.item", "value", {"items": 1}, (b"A", b""), False),
    ],
)
def test_a_place_is_there_or_is_not(where: str, kind: str, tree: Any, header: Header, wanted: bool) -> None:
    """By its whole name at its depth; of what came in branch, whether base's answer holds what it could have come to."""
    one = observed("GET /x", answer(tree, header), answer(tree, header))

    assert exceptions_of({"id": (where, kind, ["GET /x"])}, [one]) == {"id": ["GET /x"] if wanted else []}


def test_a_finding_names_some_exceptions_and_counts_all() -> None:
    """A service may have thousands of endpoints."""
    names = [f"GET /{number:03}" for number in range(ENDPOINTS_MAX)]
    answers = [observed(name, answer({}, CACHE[0]), answer({}, CACHE[0])) for name in names]
    groups: list[dict[str, Any]] = [{"id": "id"}, {"id": "other"}]
    tell_exceptions(groups, exceptions_of({"id": ("header:cache-control", "value", names)}, answers))

    assert groups == [
        {"id": "id", "exceptions": names[:SHOWN_MAX], "exceptions_count": ENDPOINTS_MAX},
        {"id": "other"},
    ]
