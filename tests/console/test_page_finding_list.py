"""The list of a run's findings: every one can be reached, page by page, and what is asked for is what is shown."""

from __future__ import annotations

import html
import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from console.api.page_finding_list import ROWS, VIEWED_MAX, ListQuery, listed
from console.page import render_page
from console.page_triage import Desk
from tests.console.results import RESULTS

RUN = "01890000-0000-7000-8000-000000000000"
SEVERITIES = ("breaking", "visible", "cosmetic")
COUNT = 1_234


@pytest.fixture(scope="module")
def many() -> dict[str, Any]:
    """A result with more findings than its own page has room for."""
    fail = RESULTS["fail"]()
    one = {**fail["groups"][0], "samples": fail["groups"][0]["samples"][:1]}
    groups = [{**one, "id": f"{n:016x}", "severity": SEVERITIES[n % 3]} for n in range(COUNT)]
    return {**fail, "run": RUN, "groups": groups, "undecided": [], "noise": fail["noise"][:1], "expected": []}


def page(many: dict[str, Any], address: str, said: dict[str, Any] | None = None) -> str:
    """The page at an address."""
    asked = dict(parse_qsl(urlsplit(address).query))
    return listed(many, msgspec.convert(asked, ListQuery, strict=False), Desk(said or {}, RUN), word="w")


def ids(text: str) -> list[str]:
    """The findings of a page."""
    return re.findall(r'class="finding" id="\w+-([^"]+)"', text)


def walk(many: dict[str, Any], address: str, rel: str, said: dict[str, Any] | None = None) -> list[list[str]]:
    """The findings of each page from an address on, along its links."""
    found = []
    while address:
        text = page(many, address, said)
        found.append(ids(text))
        link = re.search(rf'<a href="([^"]+)" rel="{rel}">', text)
        address = html.unescape(link[1]) if link else ""
    return found


def test_every_finding_is_reached_along_the_links_and_back(many: dict[str, Any]) -> None:
    """Each once; the pages back are the same pages; a page is bounded."""
    start = f"/runs/{RUN}/findings"
    forth = walk(many, start, "next")
    every = [one["id"] for part in ("groups", "noise") for one in many[part]]
    assert sorted(one for each in forth for one in each) == sorted(every)
    assert {len(each) for each in forth[:-1]} == {ROWS}
    assert walk(many, f"{start}?cursor={ROWS * (len(forth) - 1)}", "prev") == forth[::-1]
    assert len(page(many, start)) < 2_000_000


def test_samples_have_their_views_while_there_is_room(many: dict[str, Any]) -> None:
    """In one column of lines and as a tree, as on the run's own page; samples always stay, and a page of long values is bounded."""
    short, long = ({"lines": ["a line of what is ordered"] * n, "total": 1} for n in (10, 500))
    for value, shown in ((short, ROWS), (long, VIEWED_MAX // (2 * len(json.dumps(long))))):
        one = {"exchange": "e", "base": json.dumps(value), "branch": json.dumps({**value, "total": 2})}
        text = page({**many, "groups": [{**each, "samples": [one]} for each in many["groups"]]}, "/findings")

        assert text.count('class="sample') == ROWS
        assert (
            text.count('<div class="views">') == shown == text.count("<summary>Unified") == text.count("<summary>Tree")
        )
        assert len(text.encode()) < 3_000_000


def test_what_is_asked_for_is_what_is_shown(many: dict[str, Any]) -> None:
    """By verdict, severity and what stands of them, also together, through all pages; the form stays as it was filled in."""
    said = {f"{n:016x}": {"decision": ("bug", "intended")[n % 2], "expired": n % 7 == 0} for n in range(120)}
    start = f"/runs/{RUN}/findings"
    for asked, fits in (
        ("verdict=noise", lambda one, _: one["verdict"] == "noise"),
        (
            "severity=breaking&verdict=regression",
            lambda one, _: one["severity"] == "breaking" and one in many["groups"],
        ),
        ("said=bug", lambda _, now: now.get("decision") == "bug" and not now["expired"]),
        ("said=nothing&verdict=regression", lambda one, now: one in many["groups"] and now.get("expired", True)),
    ):
        every = [one for part in ("groups", "noise") for one in many[part]]
        wanted = [one["id"] for one in every if fits(one, said.get(one["id"], {}))]
        assert wanted
        found = [one for each in walk(many, f"{start}?{asked}", "next", said) for one in each]
        assert sorted(found) == sorted(wanted), asked
        for value in re.findall(r"=(\w+)", asked):
            assert f'value="{value}" selected' in page(many, f"{start}?{asked}", said)
    assert "No finding fits." in page(many, f"{start}?verdict=expected")


def test_a_page_that_leaves_findings_out_leads_to_the_list(many: dict[str, Any]) -> None:
    """On a server; the file that a shell writes leads nowhere."""
    long = {**many, "groups": many["groups"] * 10}
    assert f'<a href="/runs/{RUN}/findings">The list of its findings</a> has each' in render_page(long, home="/")
    assert "/findings" not in render_page(long)
    assert "more findings" in render_page(long)
