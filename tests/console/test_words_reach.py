"""How far a finding reaches, in the words of the terminal, the page, Markdown, JUnit and SARIF."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from console.junit import junit
from console.markdown import markdown
from console.page import render_page
from console.sarif import sarif
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


def failure(result: dict[str, Any]) -> ET.Element:
    """JUnit's one failure."""
    found = ET.fromstring(junit(result).encode()).find("testsuite/testcase/failure")
    assert found is not None
    return found


def test_a_ci_server_is_told(result_of_reach: dict[str, Any]) -> None:
    """JUnit has the figure in a case's message and its text, SARIF in a result's message and as numbers."""
    figure, case = "12 of 40 endpoints, which get 63 % of the traffic", failure(result_of_reach)
    [found] = json.loads(sarif(result_of_reach))["runs"][0]["results"]

    assert case.attrib["message"].endswith(f" exchanges, in {figure}")
    assert f"in {figure}, but not at GET /health" in (case.text or "").splitlines()
    assert f" exchanges at {figure}: " in found["message"]["text"]
    numbers = ("endpoints", "endpoints_compared", "traffic", "traffic_selected")
    assert [found["properties"][name] for name in numbers] == [12, 40, 63, 100]


def test_a_ci_server_is_told_nothing_of_a_result_of_before(result_of_reach: dict[str, Any]) -> None:
    """Of a finding that does not say how far it reaches, JUnit and SARIF say what they said."""
    known = ("endpoints_compared", "traffic", "traffic_selected")
    finding = {key: value for key, value in result_of_reach["groups"][0].items() if key not in known}
    result = {**result_of_reach, "groups": [finding]}
    [found] = json.loads(sarif(result))["runs"][0]["results"]

    assert failure(result).attrib["message"].endswith(" exchanges")
    assert "traffic" not in found["message"]["text"]
    assert " exchanges at 12 endpoints: " in found["message"]["text"]


def test_long_names_leave_a_ci_server_the_figure(result_of_reach: dict[str, Any]) -> None:
    """In JUnit's and SARIF's messages the place and the endpoint's name are cut, never the figure."""
    names = {"endpoint": f"GET /{'a' * 2_000}", "where": f"body:$.{'b' * 2_000}"}
    result = {**result_of_reach, "groups": [{**result_of_reach["groups"][0], **told(1, 40, 42, 1000), **names}]}
    message = failure(result).attrib["message"]
    [found] = json.loads(sarif(result))["runs"][0]["results"]

    assert message.endswith("exchanges, in 1 of 40 endpoints, which gets 4.2 % of the traffic")
    assert len(message) <= 500
    assert "… · 4.2 % of the traffic: " in found["message"]["text"]


@pytest.fixture
def result_of_reach() -> dict[str, Any]:
    """A failed run of one finding that tells its reach and an exception."""
    result = RESULTS["fail"]()
    excepted = {"exceptions": ["GET /health"], "exceptions_count": 1}
    return {**result, "groups": [{**result["groups"][0], **told(12, 40, 63, 100), **excepted}]}
