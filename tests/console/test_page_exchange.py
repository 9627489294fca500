"""The page of one exchange where something of it is not there: it says so in words, and offers no command that would be another request."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from console.api import page_exchange
from console.api.messages_exchanges import AnswerTold, Exchange, ExchangeTold, RecordedTold, RequestTold
from echolane.exchange import Body, Request

ASKED = Request("POST", "http", "a.test", "/x", "1.1", [(b"a", b"<b>1")], Body(b"<i>said", 7))
LINE = to_builtins(Exchange("e1", 3, "POST", "/x", "POST /x", "same", None, []))
TOLD = ExchangeTold(
    run="01890000-0000-7000-8000-000000000000",
    exchange=cast("Exchange", LINE),
    recorded_status=201,
    request=RequestTold("POST", "/x", [("a", "<b>1")], "<i>said", 7, truncated=False, masked=["header:a"], sealed=True),
    request_lack=None,
    recorded=RecordedTold(201, [("b", "<b>2")], "<i>answered", 11, 1_500),
    recorded_lack=None,
    answers=[AnswerTold("base", "answered", 200, 1_000, [("c", "3")], "now", 3, ["cookie sid <s>"])],
    before=None,
    after="e2",
)
TARGETS = {"base": {"url": "http://127.0.0.1:1"}, "branch": {"url": "http://127.0.0.1:2"}}


def page(told: ExchangeTold, request: Request | None = ASKED) -> str:
    """The page."""
    return page_exchange.one(told, request, "shop", TARGETS, word="w")


def test_all_of_it_is_shown_as_text() -> None:
    """Request, recorded answer, what was rewritten, the neighbour and the commands, escaped."""
    text = page(TOLD)
    for part in (
        "POST /x\na: &lt;b&gt;1",
        "&lt;i&gt;said",
        "status 201\nb: &lt;b&gt;2",
        "&lt;i&gt;answered",
        "Masked when it was recorded: header a; a run sends the originals",
        "rewritten for base: <code>cookie sid &lt;s&gt;</code>",
        'href="/runs/01890000-0000-7000-8000-000000000000/exchanges/e2" rel="next"',
        "It is a write",
        "--data-raw &#39;&lt;i&gt;said&#39;",
        "http://127.0.0.1:2/x",
    ):
        assert part in text, part
    assert 'rel="prev"' not in text
    assert "<i>" not in text


def test_what_is_compared_for_one_page_is_bounded() -> None:
    """A thousand long differences are all shown side by side; only so many of them have other views."""
    value = json.dumps({f"k{n}": n for n in range(1_000)})
    one = {"where": "body", "kind": "value", "verdict": "regression", "base": value, "branch": value.replace("7", "8")}
    text = page(replace(TOLD, exchange=cast("Exchange", cast("dict[str, Any]", LINE) | {"differences": [one] * 40})))
    assert text.count('<div class="difference">') == 40
    assert 0 < text.count("<summary>Unified") <= page_exchange.VIEWED_MAX // len(value)


def test_bodies_have_both_views_and_say_what_is_cut() -> None:
    """JSON bodies in one column of lines and as a tree, as text; one of which the beginning is kept says so, and a text has no tree."""
    bodies = ['{"a":1.0,"<b>":[' + f'"{"x" * 80}"' + "]}", '{"a":1,"<b>":[' + f'"{"x" * 80}"' + "]}"]
    both = [
        AnswerTold(name, "answered", 200, 1_000, [], body, 99, [])
        for name, body in zip(("base", "branch"), bodies, strict=True)
    ]
    text = page(replace(TOLD, answers=both))
    assert text.count('<details class="view">') == 2
    assert "<del>1.0</del> <ins>1</ins>" in text
    assert (
        "<b>"
        not in text.replace("<b>1", "")
        .partition('id="answers"')[2]
        .partition("tree view")[2]
        .partition("</section>")[0]
    )
    long = replace(both[0], body='["' + "a" * 16_382)
    cut = page(replace(TOLD, answers=[long, both[1]]))
    assert cut.count("Only the beginning is kept of base.") == 2
    lines = page(replace(TOLD, answers=[replace(each, body=f"<i>\n{each.target}") for each in both]))
    assert lines.count('<details class="view">') == 1
    assert '<ins class="line">+branch' in lines


@pytest.mark.parametrize(("lack", "said"), [("gone", "The journal has it no longer."), ("erased", "It was erased")])
def test_without_its_request_the_page_says_why(lack: Any, said: str) -> None:
    """Neither request nor recorded answer: words in their places, what the targets answered all the same, and no command."""
    text = page(replace(TOLD, request=None, request_lack=lack, recorded=None, recorded_lack=lack), None)
    assert text.count(said) == 2
    assert "Its status was 201." in text
    assert "c: 3" in text
    assert "curl" not in text


@pytest.mark.parametrize(
    ("lack", "said"),
    [
        ("gone", "no longer"),
        ("given-up", "was not found in as much of the recording"),
        ("no-answer", "No answer was recorded"),
    ],
)
def test_without_a_recorded_answer_the_request_stays(lack: Any, said: str) -> None:
    """The page says why there is none, and has the request and its command."""
    text = page(replace(TOLD, recorded=None, recorded_lack=lack))
    assert said in text
    assert "curl --globoff" in text


def test_a_request_that_no_command_repeats_says_so() -> None:
    """A body of which only the beginning was kept is shown as that, and has no command."""
    cut = Request("POST", "http", "a.test", "/x", "1.1", [], Body(b"be", 9_000_000, truncated=True))
    text = page(
        replace(TOLD, request=RequestTold("POST", "/x", [], "be", 9_000_000, truncated=True, masked=[], sealed=False)),
        cut,
    )
    assert "Only the beginning of its body was kept." in text
    assert "so no command repeats it" in text
    assert "curl" not in text
