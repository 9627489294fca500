"""Digests: what is made of something is told by one exchange, what is drawn is not."""

from __future__ import annotations

import pytest

from differ.difference import VALUE
from differ.evidence import REGRESSION, UNDECIDED
from tests.differ.test_verdicts import judged, row


@pytest.mark.parametrize(
    ("old", "signature", "own", "verdict"),
    [
        ("5d" * 20, "value:hash", True, REGRESSION),
        ("5d" * 16, "value:hash", True, REGRESSION),
        ("5d" * 4, "value:hash", True, UNDECIDED),
        ("5d" * 20, "value:renaming:1", True, UNDECIDED),
        ("5d" * 20, "value:hash", False, UNDECIDED),
    ],
)
def test_a_digest_that_instances_share_is_made_of_something(old: str, signature: str, own: bool, verdict: str) -> None:
    """Two instances never draw the same 128 bits, so one exchange is enough; short ones, ids and copies of one process prove nothing."""
    one = row(1, [(0, "header:x-content", "value", VALUE, 1)])
    one |= {"d_klass": ["hash"], "d_old": [f'"{old}"'], "d_new": [f'"{old[::-1]}"'], "d_signature": [signature]}
    found = judged([one], own=own)

    assert [weighed.verdict for weighed in found.weighed] == [verdict]
