"""Bodies of which only the beginning was kept, and a target's own address however it is spelled: from four answers to a verdict."""

from __future__ import annotations

import random
from hashlib import blake2b

import pytest

from differ.echoes import Own, unechoed
from differ.evidence import NOISE, REGRESSION
from echolane.exchange import Body
from tests.differ.test_headers_judged import judged_of, verdicts

PORTS = (9000, 9000, 9002, 9002)
"""Two servers without controls of their own: each says one address in all its answers."""


def cut(data: bytes) -> Body:
    """A body of which a hundred bytes were kept."""
    return Body(data[:100], len(data), digest=blake2b(data, digest_size=16).digest(), truncated=True)


def test_a_cut_body_that_is_another_one_in_branch_is_a_regression() -> None:
    """Equal beginnings and lengths: the digests tell it, and both controls that it is no noise."""
    assert judged_of(lambda target, _n, _chance: cut(b"x" * 200 + (b"a" if target < 2 else b"b"))) == {
        ("body", "value"): REGRESSION
    }


def test_a_cut_body_that_differs_by_itself_is_noise() -> None:
    """Every answer has another end."""

    def bodies(target: int, n: int, chance: random.Random) -> Body:
        return cut(b"x" * 200 + b"%d %d %d" % (target, n, chance.getrandbits(64)))

    assert set(judged_of(bodies).values()) == {NOISE}


def test_cut_bodies_that_say_their_own_address_are_told_apart_by_nothing() -> None:
    """Each target's own name makes it another body: nothing is known of the rest, and no difference is made up."""
    assert (
        judged_of(lambda target, _n, _chance: cut(b"http://127.0.0.1:%d/" % PORTS[target] + b"x" * 200), ports=PORTS)
        == {}
    )


def test_what_is_known_of_a_cut_body_depends_on_both_sides() -> None:
    """Kept to another length they are the same by their digests; a whole one of the same size may be the same; of another size it is not."""
    whole = b"x" * 200 + b"a"
    longer = Body(whole[:150], 201, digest=cut(whole).digest, truncated=True)
    assert judged_of(lambda target, _n, _chance: longer if target > 1 else cut(whole)) == {}
    assert judged_of(lambda target, _n, _chance: Body(whole, 201) if target > 1 else cut(whole)) == {}
    assert judged_of(lambda target, _n, _chance: Body(whole[:-1], 200) if target > 1 else cut(whole)) == {
        ("body", "value"): REGRESSION
    }


@pytest.mark.parametrize(
    "spelled",
    [
        "http://127.0.0.1:{}/x",
        "http%3A%2F%2F127.0.0.1%3A{}%2Fx",
        "http%3a%2f%2flocalhost%3a{}%2fx",
        "http://0.0.0.0:{}/",
    ],
)
@pytest.mark.parametrize("kind", ["text/html", "application/json", "location"])
def test_an_address_of_its_own_is_no_difference_however_it_is_spelled(spelled: str, kind: str) -> None:
    """In a link of a page, a text of JSON, a Location; another path behind it is a difference all the same."""

    def answers(target: int, changed: bool) -> tuple[list[tuple[str, str]], bytes]:
        said = "/login?next=" + spelled.format(PORTS[target]) + ("more" if changed and target > 1 else "")
        if kind == "location":
            return [("Location", said)], b""
        text = f'<a href="{said}">in</a>' if kind == "text/html" else f'{{"next": "{said}"}}'
        return [("Content-Type", kind)], text.encode()

    assert verdicts(lambda target, _n, _chance: answers(target, False), ports=PORTS) == {}
    assert set(verdicts(lambda target, _n, _chance: answers(target, True), ports=PORTS).values()) == {REGRESSION}


def test_a_text_without_an_address_is_the_same_object() -> None:
    """Nothing is copied where nothing is masked, per cent signs or not."""
    own = Own((b"127.0.0.1:8001",), "8001")
    for data in (b"100 %, a-b", b"plain", b"127.0.0.1%3A8002"):
        assert unechoed(data, own) is data
