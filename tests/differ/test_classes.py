"""Classes of values and formats of texts: what is random by its looks, and what stays when that is masked."""

from __future__ import annotations

import random

import pytest

from differ.classes import format_of, klass_of
from differ.context import Context
from differ.difference import CLOCK, FORMAT, VALUE
from tests.differ.forms import between

JSON = "application/json"


def test_short_hexadecimal_tokens_have_one_format() -> None:
    """A prefix and eight digits drawn by chance are one format, whatever the digits; words and versions stay as they are."""
    chance = random.Random(1)
    drawn = [f"{chance.getrandbits(32):08x}" for _ in range(200)]
    mixed = [text for text in drawn if not text.isdigit() and not text.isalpha()]

    assert len(mixed) > 180
    assert {format_of(f"req-{text}") for text in mixed} == {"req-<hash>"}
    assert format_of("facade decade") == "facade decade"
    assert format_of("v1.10.2") == "v<number>.<number>"


@pytest.mark.parametrize(("old", "new"), [("4d1272af7663b2c8517d3b072858cccf", "bc67fb691bc3e91f")])
def test_another_length_of_a_random_value_is_no_luck(old: str, new: str) -> None:
    """All values that are drawn alike are as long: a shorter one is of no class, so that one exchange is enough."""
    (shorter,) = between(f'{{"csrf": "{old}"}}', f'{{"csrf": "{new}"}}', JSON)
    (other,) = between(f'{{"csrf": "{old}"}}', f'{{"csrf": "{old[::-1]}"}}', JSON)

    assert klass_of(old) == klass_of(new) == "hash"
    assert (shorter.facet, shorter.klass) == (FORMAT, "")
    assert (other.facet, other.klass) == (VALUE, "hash")


@pytest.mark.parametrize(
    ("old", "new", "facet"),
    [
        ("2026-11-23T10:00:00.004Z", "2026-11-23T12:00:00.004+02:00", FORMAT),
        ("2026-11-23T10:00:00.004Z", "2026-11-23T10:00:00.004", FORMAT),
        ("2026-11-23T10:00:00Z", "2026-11-23 10:00:00Z", FORMAT),
        ("2026-11-23T10:00:00Z", "Mon, 23 Nov 2026 10:00:00 GMT", FORMAT),
        ("2026-11-23T10:00:00.004Z", "2026-11-23T10:00:00Z", VALUE),
        ("2026-11-23T10:00:00.120Z", "2026-11-23T10:00:01.12Z", VALUE),
    ],
)
def test_a_clock_in_another_zone_or_notation_is_no_noise(old: str, new: str, facet: int) -> None:
    """The time of an answer is noise; how it is written is not, save how many digits of a second it has."""
    answered = 1_795_428_000_000_000_000
    found = between(f'{{"at": "{old}"}}', f'{{"at": "{new}"}}', JSON, Context(now_ns=(answered, answered)))

    assert [(d.facet, d.klass) for d in found] == [(facet, "" if facet == FORMAT else "time")]
    assert bool(found[0].flags & CLOCK) == (facet == VALUE)


@pytest.mark.parametrize(
    ("old", "new", "facet"),
    [
        ("vpc-50998428", "vpc-5e998428", VALUE),  # one in forty has no letter
        ("eni-attach-12345678 of vpc-5e998428", "eni-attach-1e345678 of vpc-50998428", VALUE),
        ("vpc-5e998428", "vpc-374303c79afc29288", FORMAT),
        ("vpc-52996200", "vpc-374303c79afc29288", FORMAT),
        ("vpc-5e998428", "vpc-5e9984281", VALUE),  # a number written in hex is longer by one now and then
        ("vpc-5e998428", "subnet-5e998429", FORMAT),
        (":".join(["0a"] * 16), ":".join(["0b"] * 16), VALUE),
        (":".join(["0a"] * 16), ":".join(["0b"] * 20), FORMAT),
    ],
)
def test_ids_behind_a_word_are_told_by_their_length(old: str, new: str, facet: int) -> None:
    """Drawn anew they are another value, with or without a letter; written otherwise they are another format."""
    (found,) = between(f'{{"id": "{old}"}}', f'{{"id": "{new}"}}', JSON)

    assert found.facet == facet
