"""What the benchmarks mask and compare is new every time: a circle of answers longer than what the masker remembers."""

from __future__ import annotations

import orjson
import pytest

from bench import comparing, pool
from echolane.exchange import Body, Response
from echolane.masks import Masker


def met_again(answers: list[Response], monkeypatch: pytest.MonkeyPatch) -> int:
    """How many of the answers, asked for twice in a circle, the masker remembers."""
    masker, real, found = Masker(b"m" * 32), Masker._is_clean, 0

    def counted(self, headers, body):
        nonlocal found
        known = real(self, headers, body)
        found += known
        return known

    monkeypatch.setattr(Masker, "_is_clean", counted)
    for one in answers * 2:
        masker.response(one)
    return found


@pytest.mark.parametrize("kind", ["1024", "10240"])
def test_no_memory_helps_with_the_pool(kind, monkeypatch):
    """Every answer of the pool has its size and ids of its own, and none is remembered when its turn comes again."""
    size = pool.KINDS[kind]
    texts = [pool.body(size, number).encode() for number in range(pool.count(size))]
    assert {len(text) for text in texts} == {size}
    assert len({orjson.loads(text)["items"][0]["id"] for text in texts}) == len(texts)
    head = [(b"Content-Type", b"application/json")]
    assert met_again([Response(200, "1.1", head, Body(text, size)) for text in texts], monkeypatch) == 0
    assert met_again([Response(200, "1.1", head, Body(texts[0], size))], monkeypatch) == 1


def test_no_memory_helps_with_the_pairs(monkeypatch):
    """The pairs of the differ's table are all distinct, differ where their case says so, and are never remembered."""
    for case in comparing.CASES:
        pairs = comparing.pairs_of("10 KB", case)
        assert len(set(pairs)) == len(pairs)
        assert all((old == new) == (case == "identical") for old, new in pairs)
        answers = [one for one, _ in comparing.answers(pairs)]
        with monkeypatch.context() as patch:
            assert met_again(answers, patch) == 0, case
