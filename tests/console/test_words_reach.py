"""How far a finding reaches, in the words of the terminal, the page and Markdown."""

from __future__ import annotations

import re
from typing import Any

import pytest

from console.markdown import markdown
from console.page import render_page
from console.terminal import plain_verdict
from console.words_reach import reach, where_told
from tests.console.results import RESULTS


def told(endpoints: int, compared: int, traffic: int, selected: int) -> dict[str, Any]:
    """A finding of that reach."""
    name = "GET /items/{id}" if endpoints == 1 else "*"
    numbers = {"endpoints": endpoints, "endpoints_compared": compared, "traffic": traffic, "traffic_selected": selected}
    return {"endpoint": name, **numbers}


@pytest.mark.parametrize(
    ("finding", "sentence", "place"),
    [
        (
            told(12, 40, 63, 100),
            "in 12 of 40 endpoints, which get 63 % of the traffic",
            ("12 of 40 endpoints", ", which get 63 % of the traffic"),
        ),
        (
            told(1, 40, 42, 1000),
            "in 1 of 40 endpoints, which gets 4.2 % of the traffic",
            ("GET /items/{id}", " · 4.2 % of the traffic"),
        ),
        (
            told(1, 40, 1, 100_000),
            "in 1 of 40 endpoints, which gets under 0.1 % of the traffic",
            ("GET /items/{id}", " · under 0.1 % of the traffic"),
        ),
        (
            told(3, 3, 9_999, 10_000),
            "in 3 of 3 endpoints, which get 99.9 % of the traffic",
            ("3 of 3 endpoints", ", which get 99.9 % of the traffic"),
        ),
        (told(1, 1, 100, 100), "", ("GET /items/{id}", "")),
        ({"endpoint": "*", "endpoints": 12}, "", ("12 endpoints", "")),
    ],
)
def test_a_figure_says_how_far_a_finding_reaches(finding: Any, sentence: str, place: tuple[str, str]) -> None:
    """In how many endpoints, and what share of the traffic they get; nothing where it is unknown, or the run has one endpoint."""
    assert reach(finding) == sentence
    assert where_told(finding) == place


def test_every_face_tells_it(result_of_reach: dict[str, Any]) -> None:
    """Terminal, Markdown and page have the same figure, in the line that names the endpoints."""
    figure = "12 of 40 endpoints, which get 63 % of the traffic"

    assert figure in plain_verdict(result_of_reach, 80)
    assert "<code>12 of 40 endpoints</code>, which get 63 % of the traffic<br>" in markdown(result_of_reach)
    shown = render_page(result_of_reach)
    line = shown.partition('<span class="endpoint">')[2].partition('<span class="where">')[0]
    assert re.sub("<[^>]*>", "", line) == figure
    assert f"<p>In {figure}, but not at GET /health.</p>" in shown


def test_a_long_name_leaves_the_figure_its_room(result_of_reach: dict[str, Any]) -> None:
    """At a terminal the endpoint's name is cut, never the figure."""
    finding = {**result_of_reach["groups"][0], **told(1, 40, 42, 1000), "endpoint": f"GET /{'a' * 200}"}
    lines = plain_verdict({**result_of_reach, "groups": [finding]}, 80).splitlines()

    (line,) = (one for one in lines if "GET /aaa" in one)
    assert line.endswith("… · 4.2 % of the traffic")
    assert len(line) <= 80


@pytest.fixture
def result_of_reach() -> dict[str, Any]:
    """A failed run of one finding that tells its reach and an exception."""
    result = RESULTS["fail"]()
    excepted = {"exceptions": ["GET /health"], "exceptions_count": 1}
    return {**result, "groups": [{**result["groups"][0], **told(12, 40, 63, 100), **excepted}]}
