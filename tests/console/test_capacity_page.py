"""The page and the words of an evaluated capacity: whole, escaped, self-contained, in the result's own numbers."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from console.capacity import exit_code, latency_rule, rate
from console.capacity_page import render_capacity
from console.capacity_told import headline, print_capacity
from console.page_style import policy
from echolane.errors import UsageError
from tests.console.test_page import Outline

EVIL = "<script>alert(1)</script>\x1b[31m"


def point(per_s: float, p99: float, *, healthy: bool) -> dict[str, Any]:
    """One point of the curve."""
    return {
        "rate_per_s": per_s,
        "intervals": 1,
        "seconds": 5.0,
        "broken": int(not healthy),
        "healthy": healthy,
        "requests": int(per_s * 5),
        "errors": 0,
        "p50_ms": p99 / 3,
        "p90_ms": p99 / 2,
        "p99_ms": p99,
        "max_ms": p99 * 2,
    }


RESULT: dict[str, Any] = {
    "schema": "echolane/capacity/1", "service": "shop", "target": "http://127.0.0.1:8001", "recording": "r", "run": "r",
    "state": "found", "reason": "held; backlog is the first limit", "safe_rate_per_s": 83.7,
    "confidence": {"level": 0.95, "low_per_s": 83.7, "high_per_s": 84.8, "method": "m"},
    "limit": {"signal": "backlog", "rate_per_s": 84.8, "value": 0.0184, "bound": 0.01},
    "rules": [
        {"signal": "errors", "at_least": False, "bound": 0.01, "unit": None},
        {"signal": "latency", "at_least": False, "bound": 500.0, "unit": "ms"},
        {"signal": "backlog", "at_least": False, "bound": 0.01, "unit": None},
    ],
    "curve": [point(10.0, 31.6, healthy=True), point(83.7, 61.2, healthy=True), point(101.2, 450.0, healthy=False)],
    "intervals": [
        {"phase": "climb", "rate_per_s": 10.0, "state": "healthy", "signal": None, "late_ms": 1.0, "p50_ms": 1.0, "p99_ms": 2.0}
    ],
    "ledger": {"due": 100, "skipped": {"called-off": 3}, "fired": 97, "answered": 95, "failed": {"closed": 2}, "unaccounted": []},
}  # fmt: skip


def outlined(result: dict[str, Any]) -> tuple[str, Outline]:
    """The page, and it as a document."""
    page = render_capacity(result, headline(result))
    outline = Outline()
    outline.feed(page)
    return page, outline


def test_the_page_is_whole_and_tells_the_numbers() -> None:
    """Elements close as they were opened; the answer, the curve, the rules and the account are there; nothing is fetched."""
    page, outline = outlined(RESULT)
    text = " ".join(outline.text)

    assert outline.crossed == 0
    assert "83.7 requests/s are safe; the limit lies between 83.7 and 84.8 (95%)" in text
    assert "100 due - 3 called-off = 97 fired = 95 answered + 2 closed" in text
    assert page.count('<circle class="healthy"') == 2
    assert page.count('<circle class="broken"') == 1
    assert policy() in page
    assert "style=" not in page
    assert "http" not in page.replace("http://127.0.0.1:8001", "").replace("http://www.w3.org/2000/svg", "").replace(
        "http-equiv", ""
    )


@pytest.mark.parametrize("state", ["none", "unsure", "interrupted", "unavailable", "at-least"])
def test_a_page_without_an_answer_is_a_page(state: str) -> None:
    """Nothing measured, one rate only, or no limit: no number is made up."""
    for curve in ([], RESULT["curve"][:1]):
        found = RESULT | {"state": state, "curve": curve, "confidence": None, "limit": None, "safe_rate_per_s": 0.0}
        assert outlined(found)[1].crossed == 0
        assert "No safe rate was found" in headline(found)


def test_foreign_words_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Names of services, targets, metrics and reasons cannot become markup, nor move a terminal's cursor."""
    found = copy.deepcopy(RESULT) | {"service": EVIL, "target": EVIL, "reason": EVIL, "state": "unsure"}
    found["rules"].append({"signal": EVIL, "at_least": True, "bound": 1.0, "unit": None})
    found["limit"]["signal"] = EVIL
    found["intervals"][0]["signal"] = EVIL
    page, outline = outlined(found)
    print_capacity(found)

    assert "<script" not in page
    assert outline.crossed == 0
    assert "\x1b" not in capsys.readouterr().out


def test_exit_codes() -> None:
    """Scripts are told by number."""

    def code(state: str, at_least: float = 0.0, safe: float = 83.7) -> int:
        return exit_code(RESULT | {"state": state, "safe_rate_per_s": safe}, at_least)

    assert [code(state) for state in ("found", "at-least", "none", "unsure", "damaged", "exhausted")] == [
        0,
        0,
        3,
        3,
        3,
        3,
    ]
    assert [code("unavailable"), code("interrupted")] == [4, 130]
    assert [code("found", 80), code("found", 90), code("none", 90, 0.0), code("unsure", 90)] == [0, 1, 1, 3]


def test_what_a_rule_says() -> None:
    """Percentiles with decimals, seconds and milliseconds; anything else is told."""
    assert latency_rule("p99.9<=1.5s") == (pytest.approx(0.999), 1500.0)
    assert latency_rule("p95 < 200ms") == (0.95, 200.0)
    assert rate("12.5/s", "--max") == rate("12.5", "--max") == 12.5
    for text in ("p0<=1s", "p99<=0ms", "p100<=1s", "99<=1s"):
        with pytest.raises(UsageError):
            latency_rule(text)
