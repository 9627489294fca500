"""The page as a document: escaped, bounded, self-contained, and in the result's own numbers."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from console.page import PAGE_BYTES, render_page
from console.page_style import asset, policy
from console.page_triage import Desk
from echolane.observation import TARGETS
from tests.console.results import RESULTS, hostile

VOID = {"meta", "link", "input", "rect", "path", "circle", "br"}


class Outline(HTMLParser):
    """Every element with its attributes' names, all text, and whether elements close as they were opened."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: set[tuple[str, tuple[str, ...]]] = set()
        self.text: list[str] = []
        self.open: list[str] = []
        self.crossed = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element opens."""
        self.elements.add((tag, tuple(name for name, _ in attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """An element closes."""
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.crossed += 1

    def handle_data(self, data: str) -> None:
        """Text, but for style and script."""
        if not self.open or self.open[-1] not in {"style", "script"}:
            self.text.append(data)


def outline(page: str) -> Outline:
    """The page, parsed."""
    parsed = Outline()
    parsed.feed(page)
    parsed.close()
    return parsed


def words_of(page: str) -> str:
    """The page's text with its white space evened out."""
    return re.sub(r"\s+", " ", " ".join(outline(page).text))


@pytest.fixture(scope="module")
def known_elements() -> set[tuple[str, tuple[str, ...]]]:
    """All elements that pages of harmless runs have."""
    found: set[tuple[str, tuple[str, ...]]] = set()
    for build in RESULTS.values():
        found |= outline(render_page(build())).elements
    return found | outline(render_page(hostile("x"))).elements | outline(render_page(hostile("x" * 5000))).elements


def test_hostile_values_add_no_element_and_no_attribute(poisoned: dict[str, Any], known_elements: set[Any]) -> None:
    """Whatever was recorded, the page has only the elements and attributes that harmless runs have, properly nested."""
    page = render_page(poisoned)
    parsed = outline(page)

    assert parsed.elements - known_elements == set()
    assert parsed.crossed == 0
    assert parsed.open == []
    page.encode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)


def desk(result: dict[str, Any], text: str) -> Desk:
    """Something was said of each finding, in these words, and more may be."""
    names = ("decision", "owner", "note", "by", "who", "run", "at", "branch", "expires")
    said = {**{name: f"{name} {text}" for name in names}, "expired": False}
    return Desk({str(one["id"]): said for one in result["groups"]}, f"r {text}", f"w {text}", f"o {text}", may=True)


def test_hostile_words_of_triage_are_text_and_nothing_else(poisoned: dict[str, Any], known_elements: set[Any]) -> None:
    """What people say of findings, and what tokens are called, is shown as it is, in the line and in the form's fields."""
    text = poisoned["service"].removeprefix("shop ")
    harmless = outline(render_page(hostile("x"), desk=desk(hostile("x"), "x"))).elements
    parsed = outline(render_page(poisoned, desk=desk(poisoned, text)))

    assert ("form", ("class", "method", "action")) in parsed.elements
    assert parsed.elements - harmless - known_elements == set()
    assert (parsed.crossed, parsed.open) == (0, [])


def test_who_may_say_nothing_has_no_form_and_sees_what_was_said(fail: dict[str, Any]) -> None:
    """A file and a viewer's page tell it; a rule in git has no form even for who may."""
    said = desk(fail, "x")
    viewer = render_page(fail, desk=Desk(said.said))
    ruled = {**fail, "groups": [{**fail["groups"][0], "rule": "dearer", "triage": None}], "noise": [], "undecided": []}

    assert "<form" not in viewer + render_page(fail) + render_page(ruled, desk=desk(ruled, "x"))
    assert "form-action 'none'" in viewer
    assert "form-action 'self'" in render_page(fail, desk=said)
    assert "Decision x on branch x: note x · owner owner x · said by who x on at x · until expires x" in words_of(
        viewer
    )
    assert "Known bug: see SHOP-17 · owner team-shop · said by ann on 2026-11-20 · until 2026-12-24" in words_of(
        render_page(fail)
    )
    assert "Taken back since: Known bug: see SHOP-17" in words_of(render_page(fail, desk=Desk()))


def test_hostile_values_are_still_shown(poisoned: dict[str, Any]) -> None:
    """Escaping hides nothing: the text of a value, or its spelling, stands in the page."""
    hostile = poisoned["service"].removeprefix("shop ")
    shown = words_of(render_page(poisoned))
    start = re.sub(
        r"\s+", " ", repr(hostile)[1:10] if not hostile[0].isprintable() else hostile[:12].split("\n")[0]
    ).strip()

    assert start in shown


def test_the_page_is_one_file(result: dict[str, Any]) -> None:
    """Nothing is fetched: no address in any element's source, no import, and a policy that would refuse it."""
    page = render_page(result)

    assert not re.search(r"<(?:img|iframe|object|embed|script|link)[^>]*\b(?:src|href)=[\"'](?!data:)", page)
    assert not re.search(r"@import|url\(", asset("page.css"))
    assert not re.search(r"<[^>]+\sstyle=|<[^>]+\son[a-z]+=", page)
    assert policy() in page
    assert "default-src 'none'" in policy()
    assert "unsafe" not in policy()


def test_the_first_words_are_the_verdict(result: dict[str, Any]) -> None:
    """The heading says the verdict and its reason, and the title says it too."""
    page = render_page(result)
    heading = re.sub(r"<[^>]+>", "", re.search(r"<h1.*?</h1>", page, re.DOTALL)[0])

    assert heading.lower().startswith(f"{result['verdict']}: ")
    assert result["reason"].split(";")[0].lower() in heading.lower()
    assert f"<title>{result['verdict']}: shop" in page


def test_the_account_shows_its_sums(fail: dict[str, Any]) -> None:
    """Every sum is printed with its parts and reasons, and each target's row comes to what was fired."""
    shown = words_of(render_page(fail)).replace(" ", "")

    assert "300selected=280fired+20skipped(18unsafe-method,2truncated-body)✓balanced" in shown
    assert "280compared=31same+32noiseonly+5undecided+211different+1uncomparable(1too-large)✓balanced" in shown
    assert shown.count("280✓") == len(TARGETS)
    assert "1(1timeout)" in shown


def test_an_account_that_does_not_balance_says_so(fail: dict[str, Any]) -> None:
    """A wrong sum is marked, with what its parts come to."""
    fail["ledger"]["same"] -= 3
    shown = words_of(render_page(fail))

    assert "does not balance" in shown
    assert "✗ the parts come to 277" in shown


def test_a_finding_tells_where_what_how_often_and_why(fail: dict[str, Any]) -> None:
    """Severity, endpoint, place, kind, the three counts, basis with p and q, and both values are there."""
    shown = words_of(render_page({**fail, "groups": [fail["groups"][1]], "noise": [], "undecided": []}))

    for words in ("breaking", "GET /items/{id}", "body:$.price", "type changed", "118 of 120", "1 of 120", "0 of 120"):
        assert words in shown
    assert "Tested: p = 3e-36, q = 2.1e-35 (a regression needs q ≤ 0.01)" in shown
    assert '"1249.00"' in shown


def test_noise_and_undecided_say_why(fail: dict[str, Any]) -> None:
    """Noise gives its reason; what is undecided says how many samples are missing."""
    shown = words_of(render_page(fail))

    assert "Both values are the time at which they were given." in shown
    assert "6 more samples of GET /search like these would decide it." in shown


def test_controls_of_a_sample_are_told(fail: dict[str, Any]) -> None:
    """A control that agrees takes a line; one that does not is shown with its value."""
    fail["groups"][0]["samples"][0] |= {
        "control": "200",
        "branch_control": "503",
        "method": "GET",
        "target": "/items/3?x=1",
    }
    shown = words_of(render_page(fail))

    assert "control answered as base did" in shown
    assert "differs from branch" in shown
    assert "503" in shown
    assert "GET /items/3?x=1" in shown


def test_what_was_rewritten_in_a_sample_is_said_and_escaped(fail: dict[str, Any]) -> None:
    """For base and branch, each with its reason; what is no list is not shown."""
    fail["groups"][0]["samples"][0]["rewrites"] = {
        "base": ['"/orders/17" -> "/orders/<b>42": id from POST /orders at body:$.id'],
        "branch": "none",
        "control": ["cookie sid"],
    }
    page = render_page(fail)
    assert "rewritten for base: <code>&quot;/orders/17&quot; -&gt; &quot;/orders/&lt;b&gt;42&quot;: id from" in page
    assert page.count("rewritten for ") == 1


def test_at_most_three_samples_and_sixteen_kib(fail: dict[str, Any]) -> None:
    """A finding shows three samples at most, a value 16 KiB at most, and says what it leaves out."""
    fail["groups"] = [fail["groups"][0]]
    fail["noise"], fail["undecided"] = [], []
    fail["groups"][0]["samples"] = [
        {"exchange": f"e{n}", "base": '"' + "ä" * 20_000 + '"', "branch": '"b"'} for n in range(5)
    ]
    page = render_page(fail)

    assert page.count('class="sample') == 3
    assert page.count("ä") < 3 * 8_192 + 200
    assert "11,810 more characters are left out here" in page


def test_ten_thousand_long_findings_stay_below_five_megabytes(fail: dict[str, Any]) -> None:
    """The page keeps its bound, shows as many findings as it can, and counts the rest."""
    long = '"' + "<&\\n€" * 4_000 + '"'
    one = {**fail["groups"][0], "samples": [{"exchange": "e", "base": long, "branch": long + "x"}] * 3}
    result = {**fail, "groups": [{**one, "id": f"{n:016x}"} for n in range(10_000)]}
    page = render_page(result)
    shown = page.count('class="finding" id="groups-')
    left_out = re.search(r"leaves out ([\d,]+) more findings and ([\d,]+) samples", page)

    assert len(page.encode()) <= PAGE_BYTES + 5_000 <= 5_000_000
    assert shown > 500
    assert int(left_out[1].replace(",", "")) + shown == 10_000
    assert int(left_out[2].replace(",", "")) + page.count('class="sample') >= 3 * shown
    assert page.count('class="sample') > 20
    assert "Findings <b>10,000</b>" in page
    served = render_page(result, desk=Desk(run="r" * 36, word="w" * 43, owner="o" * 80, may=True))
    shown = served.count('class="finding" id="groups-')
    assert len(served.encode()) <= 5_000_000
    assert shown > 500
    assert served.count('<form class="triage"') + served.count("Say what it is") == served.count('class="finding" id="')
    assert served.count("Say what it is") > 0


def test_an_older_result_still_has_a_page() -> None:
    """Keys that are missing count as empty; nothing is invented and nothing breaks."""
    shown = words_of(render_page({"verdict": "pass", "run": "r", "service": "s", "reason": ""}))

    assert "Pass" in shown
    assert "unknown" in shown


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG contrast of two colours."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


GROUNDS = ("ground", "surface", "sunk")
TEXTS = [(text, ground) for text in ("ink", "soft", "link", "fail", "pass", "del", "ins") for ground in GROUNDS]
WASHED = ("fail", "pass", "open", "breaking", "visible", "cosmetic", "undecided", "del", "ins")
BARS = [(bar, "surface") for bar in ("bar-different", "bar-undecided", "bar-uncomparable", "bar-go", "strong-line")]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast_meets_wcag_aa(scheme: int) -> None:
    """Each pair of text and ground has a contrast of 4.5, text on its wash too, on both grounds; bars that speak have 1.6 at least."""
    blocks = re.findall(r":root \{(.*?)\}", asset("page.css"), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[scheme]))
    pairs = (
        TEXTS
        + [(name, f"{name}-wash") for name in WASHED]
        + [("ink", f"{name}-wash") for name in ("fail", "pass", "open")]
    )
    low = [
        (pair, round(contrast(colours[pair[0]], colours[pair[1]]), 2))
        for pair in pairs
        if contrast(colours[pair[0]], colours[pair[1]]) < 4.5
    ]

    assert low == []
    assert min(contrast(colours[bar], colours[ground]) for bar, ground in BARS) >= 1.6


def test_times_stand_in_a_table_of_their_own(fail: dict[str, Any]) -> None:
    """Service time and response time of each target, lateness and waits, with percentiles, and bars of one scale that sum up to the histogram."""
    page = render_page(fail)
    table = page[page.index('<section id="times">') :].split("</section>")[0]
    shown = words_of(table).replace("\xa0", " ")

    assert '<a href="#times">Times</a>' in page
    assert "Pace: 200/s" in shown
    assert "base service time 280 4.1 ms 8.2 ms 20.5 ms 36.9 ms 45.1 ms" in shown
    assert "branch response time, from the instant due 279 19.6 ms" in shown
    assert "sent late requests 280 60 µs" in shown
    assert "waited for their session's order requests 41 3 ms" in shown
    assert "branch asked for time 2 times (Retry-After, up to 3 s)" in shown
    assert table.count("<svg") == table.count("<tr><th") - 1 == 10
    base = table[table.index("<svg") :].split("</svg>")[0]
    heights = [float(height) for height in re.findall(r'height="([\d.]+)%"', base)]
    assert heights == [6.7, 40.0, 100.0, 36.7, 6.0, 6.0]  # of 10, 60, 150, 55, 4, 1: the least are still seen


def test_times_that_are_missing_or_damaged_break_nothing(fail: dict[str, Any]) -> None:
    """A result of before times were told has no such section; numbers that are none, and bars without end, are left out."""
    without = {key: value for key, value in fail.items() if key != "timing"}
    assert 'href="#times"' not in render_page(without)
    assert '<section id="times">' not in render_page(without)
    damaged = {
        "count": None,
        "p50_us": "soon",
        "p99_us": 3,
        "histogram": [[0, 4], ["x", 1], [2], 7, [1e300, 2], [4, 3]],
    }
    fail["timing"] = {"pace": None, "targets": {"base": {"service": damaged, "response": None}}, "concurrency": 3}
    page = render_page(fail)
    table = page[page.index('<section id="times">') :].split("</section>")[0]
    assert table.count("<rect") == 1
    assert "p50</th>" in table
    assert ">none</td>" in table
