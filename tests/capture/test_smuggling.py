"""The kept corpus of requests that two parsers read differently (``corpus/smuggling.toml``): relayed byte for byte, counted, never recorded as something else."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capture.parsing import request_of
from tests.capture.test_framing import heard
from tests.capture.test_relay import GET, OK, Stage
from tests.e2e.world import World

CASES: list[dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("corpus").joinpath("smuggling.toml").read_text("utf-8")
)["case"]
NAMES = [case["name"] for case in CASES]


def sent(case: dict[str, Any]) -> bytes:
    """The bytes of a case."""
    return case["sent"].replace("{fill}", "f" * 70_000).encode("latin-1")


@pytest.fixture
def stage(world: World) -> Iterator[Stage]:
    """One sidecar for the whole corpus."""
    found = Stage(world)
    yield found
    found.upstream.server.close()


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_what_becomes_of_each(case: dict[str, Any]) -> None:
    """A refused case is one counted drop, and nothing behind it is taken for a request; a sound one is recorded with its body."""
    found = heard(("<", GET), (">", OK), ("<", sent(case)), (">", OK), ("<", GET.replace(b"/a", b"/later")), (">", OK))
    requests = [request_of(raw.request, "x") for raw in found.raws]
    wanted = [body.encode() for body in case.get("recorded", [])]
    assert [one.body.data for one in requests][1 : len(wanted) + 1] == wanted
    assert [one.target for one in requests] == (["/a", *["/"] * len(wanted), "/later"] if wanted else ["/a"])
    assert found.counts.get("dropped{unframeable}", 0) == (0 if wanted else 1)


@pytest.mark.parametrize("pieces", [1 << 20, 11])
def test_the_corpus_passes_the_relay_untouched(stage: Stage, pieces: int) -> None:
    """Bytes that reach the service equal the bytes sent, whole or in pieces; what came before is recorded, each refused one counted once."""
    cases = [case for case in CASES if pieces > 64 or "{fill}" not in case["sent"]]
    for case in cases:
        assert stage.talk((GET, OK), (sent(case), OK), pieces=pieces) == OK * 2, case["name"]

    counts, found = stage.end()
    wanted: list[str] = []
    for case in cases:
        wanted += ["", *case.get("recorded", [])]
    assert [one.request.body.data.decode() for one in found] == wanted
    assert {one.request.target for one in found} == {"/a", "/"}
    assert counts["dropped{unframeable}"] == sum(not case.get("recorded") for case in cases)
