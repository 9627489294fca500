"""Seals: opened only with their key, for their request, undamaged; and safe to make in many processes."""

from __future__ import annotations

import os

import msgspec
import pytest
from hypothesis import given, strategies as st

from echolane.exchange import Body, Request
from echolane.keys import SealKey, SealKeys
from echolane.masks import Masker
from echolane.seal import Opener, SealBroken, open_seal

KEY, OTHER = SealKey.of(bytes(range(32))), SealKey.of(bytes(32))
BODY = b'{"password":"hunter2","mail":"ann@example.com"}'
REQUEST = Request(
    "POST",
    "http",
    "ann:pw@shop",
    "/x?token=abc&q=1",
    "1.1",
    [(b"Cookie", b"sid=1; b=2"), (b"Accept", b"*/*"), (b"Authorization", b"Basic YTpi")],
    Body(BODY, len(BODY), "gzip"),
    [(b"X-Auth-Token", b"late")],
)
MASKED = Masker(KEY.mask_key(), seal_key=KEY).request(REQUEST)


def test_a_seal_gives_back_what_was_masked():
    """Every part of a request that can be masked comes back."""
    assert MASKED.masks == 9
    assert open_seal(MASKED.request, MASKED.seal, SealKeys(KEY)) == REQUEST


def test_an_older_key_still_opens():
    """After a rotation recordings of before can be replayed."""
    assert open_seal(MASKED.request, MASKED.seal, SealKeys(OTHER, (KEY,))) == REQUEST


def test_another_key_is_named():
    """Whoever lacks the key learns which one it is and where to put it."""
    with pytest.raises(SealBroken, match=rf"key {KEY.id.hex()}.*ECHOLANE_SEAL_KEY"):
        open_seal(MASKED.request, MASKED.seal, SealKeys(OTHER))


def test_a_key_of_the_same_name_does_not_open():
    """A name is no key."""
    forged = SealKey(bytes(32), KEY.id)

    with pytest.raises(SealBroken, match="damaged"):
        open_seal(MASKED.request, MASKED.seal, SealKeys(forged))


@given(st.integers(0, len(MASKED.seal) - 1), st.integers(1, 255))
def test_a_damaged_seal_is_refused(at: int, flip: int):
    """No flipped bit gives another request."""
    seal = bytearray(MASKED.seal)
    seal[at] ^= flip

    with pytest.raises(SealBroken):
        open_seal(MASKED.request, bytes(seal), SealKeys(KEY))


@given(st.integers(1, len(MASKED.seal) - 1))
def test_a_cut_seal_is_refused(length: int):
    """Half a seal is none."""
    with pytest.raises(SealBroken):
        open_seal(MASKED.request, MASKED.seal[:length], SealKeys(KEY))


@pytest.mark.parametrize(
    "change",
    [{"target": "/y"}, {"method": "GET"}, {"headers": MASKED.request.headers[:1]}, {"body": Body(b"x", 1)}],
)
def test_a_seal_fits_no_other_request(change: dict[str, object]):
    """A seal moved to another request, or a request that was changed since, is refused."""
    with pytest.raises(SealBroken, match="another request"):
        open_seal(msgspec.structs.replace(MASKED.request, **change), MASKED.seal, SealKeys(KEY))


def test_no_seal_is_no_change():
    """A request without secrets, or with seal = false, opens as itself."""
    masked = Masker(KEY.mask_key()).request(REQUEST)

    assert masked.seal == b""
    assert open_seal(masked.request, b"", SealKeys(KEY)) is masked.request


def test_no_nonce_is_used_twice():
    """Equal requests have unlike seals, also in a child that was forked."""
    masker = Masker(KEY.mask_key(), seal_key=KEY)
    seals = {masker.request(REQUEST).seal[:29] for _ in range(50)}
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, masker.request(REQUEST).seal[:29])
        os._exit(0)
    os.waitpid(child, 0)
    seals.add(os.read(reader, 29))
    seals.add(masker.request(REQUEST).seal[:29])
    os.close(reader)
    os.close(writer)

    assert len(seals) == 52
    assert len({seal[5:21] for seal in seals}) == 2


def test_an_opener_serves_a_whole_recording():
    """One opener opens what many recorder starts have sealed, in bounded memory."""
    opener = Opener(SealKeys(KEY))
    for _ in range(300):
        masked = Masker(KEY.mask_key(), seal_key=KEY).request(REQUEST)
        assert opener.open(masked.request, masked.seal) == REQUEST
