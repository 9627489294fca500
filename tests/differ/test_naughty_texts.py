"""Strings that break programs: in bodies, keys, headers and forms each equals itself alone, and reports show it harmlessly."""

from __future__ import annotations

import html
import json
import random
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from urllib.parse import quote

import pytest

from console.escapes import html as escaped, markdown, terminal, xml
from console.page import render_page
from differ.compare import compare
from differ.context import Context
from echolane.exchange import Response
from tests.console.results import hostile
from tests.console.test_page import outline
from tests.differ.foreign import FORM, JSON, TEXT, answer, figures

SEED, SAMPLE = 7, 6_000
"""Pairs of strings that are told apart, drawn from all 132 thousand."""
AT_ONCE = 103
"""Strings in one page of a report: it shows that many findings' texts without cutting them."""
ODD = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that move a cursor or turn a line around."""
ENDS = " \t"
"""What a header's value has at its ends is no part of it (RFC 9110 §5.5)."""
PLACES: dict[str, Callable[[str], Response]] = {
    "value": lambda text: answer(json.dumps({"a": text}), JSON),
    "raw value": lambda text: answer(json.dumps({"a": text}, ensure_ascii=False), JSON),
    "element": lambda text: answer(json.dumps([1, text]), JSON),
    "key": lambda text: answer(json.dumps({text: 1, "": 0} if text else {"": 1}), JSON),
    "form value": lambda text: answer("a=" + quote(text, safe=""), FORM),
    "form key": lambda text: answer(quote(text, safe="") + "=1", FORM),
    "text": lambda text: answer(text, TEXT),
    "header": lambda text: answer("{}", [*JSON, (b"X-Name", text.encode())]),
}
"""Where a string stands in an answer."""


@pytest.fixture(scope="module")
def naughty(inputs: Path) -> list[str]:
    """The strings."""
    return json.loads((inputs / "suites" / "naughty-strings" / "blns.json").read_text("utf-8"))


def same(old: Response, new: Response) -> bool:
    """Whether nothing is found, and comparing did not fail."""
    found = compare(old, new, Context())
    assert not found.uncomparable
    return not found.differences


@pytest.mark.inputs
@pytest.mark.parametrize("place", PLACES)
def test_each_string_equals_itself_alone(naughty: list[str], place: str) -> None:
    """Wherever it stands, a string is equal to itself and told from its neighbours and from others drawn from all."""
    chance = random.Random(SEED)
    answers = [(text, PLACES[place](text)) for text in naughty]
    again = [PLACES[place](text) for text in naughty]
    pairs = chance.sample(list(combinations(answers, 2)), SAMPLE)
    pairs += zip(answers, answers[1:], strict=False)

    assert [text for (text, one), other in zip(answers, again, strict=True) if not same(one, other)] == []
    for (text, one), (other, two) in pairs:
        alike = text.strip(ENDS) == other.strip(ENDS) if place == "header" else text == other
        assert same(one, two) is alike, (text, other)
    assert figures("naughty strings") == (len(naughty), len(naughty), 0, 0)


@pytest.mark.inputs
def test_a_spelling_is_no_difference(naughty: list[str]) -> None:
    """Escapes of JSON and of forms are spellings: the text they stand for is compared, and a key's too."""
    for text in naughty:
        assert same(PLACES["value"](text), PLACES["raw value"](text)), text
        spelled = "".join(f"\\u{unit:04X}" for unit in units(text))
        assert same(PLACES["value"](text), answer(f'{{"a": "{spelled}"}}', JSON)), text
        assert same(answer(json.dumps({text: 1}), JSON), answer(f'{{"{spelled}":1}}', JSON)), text
        every = "".join(f"%{byte:02x}" for byte in text.encode())
        assert same(PLACES["form value"](text), answer(f"a={every}", FORM)), text


def units(text: str) -> list[int]:
    """The UTF-16 code units of a text."""
    data = text.encode("utf-16-be")
    return [int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)]


@pytest.mark.inputs
def test_a_changed_string_is_shown_as_it_is(naughty: list[str]) -> None:
    """The two values of a difference are the strings themselves, as JSON, and its place names the key."""
    for old, new in zip(naughty, naughty[1:], strict=False):
        if old == new:
            continue
        (found,) = compare(PLACES["value"](old), PLACES["value"](new), Context()).differences
        assert (found.where, json.loads(found.old or ""), json.loads(found.new or "")) == ("body:$.a", old, new)


@pytest.mark.inputs
def test_reports_take_each_string_literally(naughty: list[str]) -> None:
    """In HTML, XML, Markdown and on a terminal a string makes no markup and no control, and is read back as it was."""
    for text in naughty:
        page = outline(f'<p class="{escaped(text)}">{escaped(text)}</p>')
        assert page.elements == {("p", ("class",))}, text
        assert "".join(page.text) == terminal(text) == html.unescape(xml(text, keep="")), text
        assert not ODD.search(terminal(text) + escaped(text) + xml(text) + markdown(text)), text
        assert not re.search(r"[<>|`*\[\]]", markdown(text)), text


@pytest.mark.inputs
def test_a_page_of_naughty_strings_is_the_same_page(naughty: list[str]) -> None:
    """A run whose every text is naughty gives a page of the same elements as one of harmless texts."""
    known = outline(render_page(hostile("x"))).elements | outline(render_page(hostile("x" * 5000))).elements
    for first in range(0, len(naughty), AT_ONCE):
        some = naughty[first : first + AT_ONCE]
        page = render_page(hostile(" ".join(some)))
        parsed = outline(page)
        assert [text for text in some if escaped(text) not in page] == []
        assert parsed.elements - known == set()
        assert (parsed.crossed, parsed.open) == (0, [])
        assert not ODD.search(page)
