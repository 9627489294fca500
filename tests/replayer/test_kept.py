"""What a target gave is kept under the seal: it opens for the same exchange of the same run and key, and never grows without bound."""

from __future__ import annotations

import os

from hypothesis import given, strategies as st

from echolane.keys import SealKey, SealKeys
from echolane.masks import Masker  # noqa: F401 - masks come before the seal, which they import
from echolane.seal import Opener, Sealer
from replayer.keeping import SEALED_MAX, Gave, Keeping, Kept

KEYS = SealKeys(SealKey.of(bytes(range(32))))
SECRET = b"a-session-that-is-nobodys-business"


def keeping(run: str = "r", keys: SealKeys = KEYS) -> Keeping:
    """One run's."""
    return Keeping(run, Sealer(keys.current).seal_data, Opener(keys).open_data)


cookies = st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40)), max_size=5)
values = st.lists(st.tuples(st.integers(0, 2**31), st.text(max_size=40)), max_size=5)


@given(st.dictionaries(st.integers(0, 3), st.builds(Gave, cookies, values), max_size=4))
def test_what_is_sealed_opens_as_it_was(of: dict[int, Gave]):
    """Everything that gave anything comes back; nothing is sealed where nothing was given."""
    sealed = keeping().seal("x", "session", of)
    wanted = {index: gave for index, gave in of.items() if gave.cookies or gave.values}
    assert bool(sealed) == bool(wanted)
    if sealed:
        assert keeping().open("x", sealed) == Kept("session", wanted)


def test_it_opens_nowhere_else():
    """Another exchange, another run, another key, a changed byte: nothing, and no error; and the secret stands nowhere in it."""
    sealed = keeping().seal("x", "s", {0: Gave([(b"sid", b"mask", SECRET)])})
    assert SECRET not in sealed
    assert keeping().open("y", sealed) is None
    assert keeping("other").open("x", sealed) is None
    assert keeping(keys=SealKeys(SealKey.of(os.urandom(32)))).open("x", sealed) is None
    assert keeping().open("x", sealed[:-1] + bytes([sealed[-1] ^ 1])) is None
    assert keeping().open("x", b"") is None


def test_a_page_full_of_tokens_is_kept_up_to_a_bound():
    """Cookies come first; of thousands of values as many are kept as there is room for."""
    gave = Gave([(b"sid", b"mask", SECRET)], [(number, f"{number:040d}") for number in range(5000)])
    sealed = keeping().seal("x", "s", {0: gave, 2: gave})
    kept = keeping().open("x", sealed)
    assert len(sealed) < SEALED_MAX + 1024
    assert kept is not None
    assert kept.of[0].cookies == gave.cookies
    assert 300 < len(kept.of[0].values) < 5000
