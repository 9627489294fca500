"""Long texts are shown and signed by the words that changed."""

from __future__ import annotations

import time

import orjson
from hypothesis import given, strategies as st

from differ.compare import compare
from differ.context import Context
from differ.difference import Difference
from differ.longest import common, longest
from differ.words import changed, shown
from echolane.exchange import Body, Response

words = st.lists(st.sampled_from(["a", "b", "c", "dd"]), max_size=9)


def between(old: str, new: str) -> Difference:
    """The one difference of two texts under a key."""
    answers = [
        Response(200, "1.1", [(b"Content-Type", b"application/json")], Body(data := orjson.dumps({"t": t}), len(data)))
        for t in (old, new)
    ]
    (only,) = compare(answers[0], answers[1], Context()).differences
    return only


def table(one: list[str], two: list[str]) -> int:
    """The length of a longest common subsequence, by the textbook."""
    rows = [[0] * (len(two) + 1) for _ in range(len(one) + 1)]
    for i, left in enumerate(one, 1):
        for j, right in enumerate(two, 1):
            rows[i][j] = rows[i - 1][j - 1] + 1 if left == right else max(rows[i - 1][j], rows[i][j - 1])
    return rows[-1][-1]


@given(words, words)
def test_the_longest_common_order_is_the_textbooks(one: list[str], two: list[str]) -> None:
    """As long as the table says, and really common and rising."""
    pairs = common(one, two)

    assert longest(one, two) == len(pairs) == table(one, two)
    assert all(one[i] == two[j] for i, j in pairs)
    assert all(a < c and b < d for (a, b), (c, d) in zip(pairs, pairs[1:], strict=False))


@given(words, words)
def test_short_texts_are_shown_whole(one: list[str], two: list[str]) -> None:
    """Where nothing is left out, both texts are there to the letter, and no word is called changed without need."""
    old, new = " ".join(one), " ".join(two)
    gone, came = changed(old, new)

    assert shown(old, new) == (old, new)
    assert (gone, came) == ("", "") if old == new else gone or came or old.split() == new.split()
    assert len(gone.replace("…", "").split()) <= len(one)


def test_a_long_text_is_shown_and_signed_by_what_changed() -> None:
    """A word in the middle of a book: the excerpt and the signature name it, and both are short."""
    page = " ".join(f"word{chr(97 + n % 26)} and more" for n in range(2000))
    old, new = f"{page} price gross {page}", f"{page} price net {page}"
    found = between(old, new)
    other = between(f"other {page} price gross", f"other {page} price net")

    assert found.old
    assert "price gross wordd" not in found.old
    assert "price gross " in found.old
    assert found.new
    assert "price net " in found.new
    assert len(found.old) < 200
    assert found.signature == "value:gross>net"
    assert other.signature == found.signature


def test_texts_that_share_no_word_cost_no_more_than_their_length() -> None:
    """Two megabytes of different words, and one word a hundred thousand times: told in time."""
    begun = time.process_time()
    for old, new in (
        (" ".join(map(str, range(200_000))), " ".join(map(str, range(200_000, 0, -1)))),
        ("x " * 100_000 + "y", "y " + "x " * 90_000),
    ):
        assert between(old, new).old

    assert time.process_time() - begun < 3
