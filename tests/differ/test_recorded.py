"""What was recorded as one more answer of base's version: it tells a value that is there for good from one that is made at a start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from differ.close import close_run
from differ.compare import compare
from differ.echoes import NOBODY
from differ.letters import topic_of
from differ.recorded import as_recorded, spots_as_recorded
from differ.rows import RowMaker
from echolane.exchange import Body, Exchange, Request, Response
from echolane.frame import EXCHANGES, OBSERVATIONS, encode_frame
from echolane.home import open_home
from echolane.journal import open_journal
from echolane.ledger import run_identities
from echolane.observation import ANSWERED, Observation, Shot
from echolane.recordings import Range, Recording, topic_of as recorded_in
from echolane.runspec import RunSpec
from echolane.settings import Differ
from echolane.store import open_store
from tests.differ import poisoned_runs
from tests.differ.poisoned_runs import RUN

OLD, NEW, SOON = (
    "Mon, 02 Mar 2026 08:00:00 GMT",
    "Mon, 02 Mar 2026 09:00:00 GMT",
    "Mon, 02 Mar 2026 08:00:02 GMT",
)
TAGS = '"5f0c1e9a77"', '"91b7d2ee04"'
WHERE = "header:last-modified"


def answer(*headers: tuple[bytes, str], body: bytes = b"a{}", status: int = 200) -> Response:
    """A style sheet."""
    fields = [(b"Content-Type", b"text/css"), *((name, value.encode()) for name, value in headers)]
    return Response(status, "1.1", fields, Body(body, len(body)))


def dated(value: str, **more: Any) -> Response:
    """One with a date."""
    return answer((b"Last-Modified", value), **more)


def observation(base: Response, branch: Response, number: int = 0) -> Observation:
    """Four answers: each version agrees with itself."""
    shots = [
        Shot(ANSWERED, "", base),
        Shot(ANSWERED, same_as=0),
        Shot(ANSWERED, "", branch),
        Shot(ANSWERED, same_as=2),
    ]
    return Observation(f"x{number}", number, 1, "GET /a.css", "GET", "/a.css", 200, 1_000 + number, shots)


def recorded(response: Response | None, number: int = 0) -> Exchange:
    """What was recorded of it."""
    return Exchange(
        f"x{number}", "shop", "0" * 8, 1, number, "", 1, 1, Request("GET", "http", "h", "/a.css", "1.1", []), response
    )


@pytest.mark.parametrize(
    ("response", "branch", "wanted"),
    [
        (dated(OLD), NEW, True),
        (dated(SOON), NEW, False),
        (dated(OLD), SOON, False),
        (dated(OLD, body=b"b{}"), NEW, True),
        (dated(OLD, status=304), NEW, False),
        (answer(), NEW, False),
        (None, NEW, False),
    ],
    ids=["as recorded", "another date", "near in time", "another body", "another status", "no date", "no answer"],
)
def test_base_says_what_was_recorded(response: Response | None, branch: str, wanted: bool) -> None:
    """Equal at the place is enough; instants that are near each other may be two starts, and what was not recorded says nothing."""
    assert as_recorded(observation(dated(OLD), dated(branch)), recorded(response), WHERE) is wanted


def test_a_cut_body_says_nothing_of_what_is_in_it() -> None:
    """Only a whole recorded body shows that base's says the same; what headers say stands."""
    body = Body(b'{"id":"5f0c1e9a77"}', 40, truncated=True)
    cut = Response(200, "1.1", dated(OLD).headers, body)
    one = observation(dated(OLD), dated(NEW))

    assert as_recorded(one, recorded(cut), WHERE)
    assert not as_recorded(one, recorded(cut), "body:$.id")


def in_json(tree: Any) -> Response:
    """An answer of JSON."""
    body = orjson.dumps(tree)
    return Response(200, "1.1", [(b"Content-Type", b"application/json")], Body(body, len(body)))


IDS = "5f0c1e9a775f0c1e9a775f0c1e9a7711", "91b7d2ee0491b7d2ee0491b7d2ee0422"


@pytest.mark.parametrize(
    ("then", "wanted"),
    [
        ({"of": {"id": IDS[0]}, "more": 1}, True),
        ({"of": {"id": IDS[1]}}, False),
        ({}, False),
        ({"of": None}, False),
        ([], False),
    ],
    ids=["there", "another one", "nothing that holds it", "no object", "another document"],
)
def test_what_was_not_there_when_it_was_recorded_was_not_recorded(then: Any, wanted: bool) -> None:
    """A difference of what holds a place hides all that is in it: no difference is told there, and nothing is known of it."""
    one = observation(*(in_json({"of": {"id": one_id}}) for one_id in IDS))

    assert as_recorded(one, recorded(in_json(then)), "body:$.of.id") is wanted


def test_a_list_of_another_length_shows_nothing_of_its_elements() -> None:
    """Where the recorded list was empty, none of its elements' ids was the one that base gives."""
    one = observation(*(in_json({"items": [{"n": 1, "id": one_id}]}) for one_id in IDS))

    assert as_recorded(one, recorded(in_json({"items": [{"n": 1, "id": IDS[0]}]})), "body:$.items[*].id")
    assert not as_recorded(one, recorded(in_json({"items": []})), "body:$.items[*].id")


def test_an_exchange_is_compared_once_for_all_its_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty-two places of three large bodies at a run's close cost three looks."""
    looks: list[str] = []

    def counted(*args: Any) -> Any:
        looks.append(args[2].path)
        return compare(*args)

    monkeypatch.setattr("differ.recorded.compare", counted)
    trees = [{f"id{number}": one_id for number in range(32)} for one_id in IDS]
    pairs = [
        (observation(in_json(trees[0]), in_json(trees[1]), number=n), recorded(in_json(trees[0]), number=n))
        for n in range(3)
    ]
    spots = {("GET /a.css", f"body:$.id{number}"): pairs for number in range(32)}

    assert spots_as_recorded(spots, NOBODY) == set(spots)
    assert len(looks) == 2 * len(pairs)


def closed(tmp_path: Path, then: str, *, journal: bool = True) -> dict[str, Any]:
    """The result of a run over two recorded exchanges, in which a date and a tag differ between the versions alone."""
    home, one = open_home(tmp_path), open_journal(tmp_path)
    answers = [answer((b"Last-Modified", OLD), (b"ETag", TAGS[0])), answer((b"Last-Modified", NEW), (b"ETag", TAGS[1]))]
    observations = [observation(*answers, number=n) for n in range(2)]
    exchanges = [recorded(answer((b"Last-Modified", then), (b"ETag", TAGS[0])), number=n) for n in range(2)]
    for topic, items, kind in (
        (topic_of(RUN), observations, OBSERVATIONS),
        (recorded_in("shop"), exchanges, EXCHANGES),
    ):
        one.create(topic, 1)
        one.append(topic, 0, [encode_frame(items, kind=kind, partition=0, first_ns=1, last_ns=2)])
    spec = RunSpec(
        RUN,
        "shop",
        Recording("r", "shop", 0, "everything", [Range(0, 0, 1)]),
        poisoned_runs.spec().targets,
        started_at_ns=1,
    )
    with open_store(home.path) as store:
        maker = RowMaker(spec, Differ())
        for n in range(2):
            maker.add(observations[n], 0, 0)
        store.insert("results", maker.take())
        result = close_run(
            *(store, spec),
            state="finished",
            reason="",
            selected=2,
            fired_per_s=1.0,
            journal=one if journal else None,
        )
    one.close()
    return result


def test_a_close_asks_the_recording(tmp_path: Path) -> None:
    """What base says as it was recorded is not drawn anew, so branch's other value is a regression; the ledger balances."""
    result = closed(tmp_path, OLD)

    assert {place for finding in result["groups"] for place in finding["places"]} == {WHERE, "header:etag"}
    assert {finding["basis"] for finding in result["groups"]} == {"deterministic"}
    assert run_identities(result["ledger"]) == []


def test_what_base_says_anew_stays_undecided(tmp_path: Path) -> None:
    """A date that was another one when it was recorded may be the start of an instance, on whose second two agree by luck."""
    result = closed(tmp_path, SOON)

    assert [finding["where"] for finding in result["groups"]] == ["header:etag"]
    assert [finding["where"] for finding in result["undecided"]] == [WHERE]


def test_without_the_recording_dates_and_tags_stay_undecided(tmp_path: Path) -> None:
    """No journal, no third instance: two pairs that agree are one coin each."""
    assert closed(tmp_path, OLD, journal=False)["groups"] == []
