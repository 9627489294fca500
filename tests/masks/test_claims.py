"""Masks of JSON web tokens: claims keep their names, types and times, and nothing else of them is left."""

from __future__ import annotations

import string
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from differ.jwts import token_of, tokens
from echolane.masks.atoms import Atoms
from echolane.masks.claims import BYTES_MAX

ATOMS = Atoms(b"k" * 32)
TIMES = {"iat": 1_795_448_000, "exp": 1_795_451_600}
CLAIMS = {"sub": "u1", "role": "clerk", "level": 3, "tenant": {"id": 17, "paid": False}, "groups": ["a", "b"], **TIMES}
NAMES = st.sampled_from(["sub", "role", "tenant", "https://shop.example/claims/roles", "cognito:groups", "is_admin"])
TEXTS = st.text(string.printable, min_size=6, max_size=60).filter(lambda text: len(set(text)) > 3)
NUMBERS = st.integers(10**6, 10**15) | st.floats(10**6, 10**12, allow_nan=False)
VALUES = st.recursive(TEXTS | NUMBERS | st.booleans() | st.none(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8)  # fmt: skip


def token(claims: dict[str, Any], signature: str = "c2lnbmF0dXJl", **header: Any) -> bytes:
    """A token that says this."""
    parts = ({"alg": "RS256", "typ": "JWT", **header}, claims)
    return b".".join([*(urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=") for part in parts), signature.encode()])


def said(masked: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a mask."""
    read = token_of(masked.decode())
    assert read is not None, masked
    return read


def shape(value: Any) -> Any:
    """Names, types and nesting."""
    if isinstance(value, dict):
        return {name: shape(held) for name, held in value.items()}
    return [shape(one) for one in value] if isinstance(value, list) else type(value)


def scalars(value: Any) -> list[str]:
    """Texts and numbers as they are written."""
    if isinstance(value, dict | list):
        return [one for held in (value.values() if isinstance(value, dict) else value) for one in scalars(held)]
    return [] if value is None or isinstance(value, bool) else [value if isinstance(value, str) else repr(value)]


@given(st.dictionaries(NAMES, VALUES, max_size=5), st.text(string.ascii_letters, max_size=60))
@settings(max_examples=200, deadline=None)
def test_a_masked_token_keeps_its_shape_and_nothing_else(claims: dict[str, Any], signature: str):
    """Names, types, truths and times stay; no text, number or signature does; and a mask is its own mask."""
    masked = ATOMS.mask(token({**claims, **TIMES}, signature))
    header, told = said(masked)

    assert ATOMS.mask(masked) == masked
    assert Atoms(b"k" * 32).mask(masked) == masked
    assert shape(told) == shape({**claims, **TIMES})
    assert {name: told[name] for name in TIMES} == TIMES
    assert header == {"alg": "RS256", "typ": "JWT"}
    assert not set(scalars(claims)) & set(scalars({name: held for name, held in told.items() if name not in TIMES}))
    assert len(signature) < 8 or signature.encode() not in masked


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"sub": "u2"}, "sub"),
        ({"role": "owner"}, "role"),
        ({"level": 4}, "level"),
        ({"level": "3"}, "level"),
        ({"tenant": {"id": 18, "paid": False}}, "tenant"),
        ({"tenant": {"id": 17, "paid": True}}, "tenant"),
        ({"groups": ["a"]}, "groups"),
        ({"exp": 1_795_448_060}, "lifetime"),
        ({"extra": "x"}, "extra"),
    ],
)
def test_a_claim_that_changed_shows_in_the_masks(change: dict[str, Any], name: str):
    """Two masks are apart in the very claim in which the tokens are, and alike where they only were issued at another time."""
    later = {"iat": 1_795_448_900, "exp": 1_795_452_500, "jti": "4c1f0e2d-7a55-4d1c-8f3b-1f0d2c3b4a59"}
    old = ATOMS.mask(token({**CLAIMS, "jti": "9f8b7c6d-1a2b-4c3d-9e8f-0a1b2c3d4e5f"})).decode()
    new = ATOMS.mask(token({**CLAIMS, **later}, "b3RoZXI")).decode()
    changed = ATOMS.mask(token({**CLAIMS, **later, **change})).decode()

    noise, found = tokens(old, new), tokens(old, changed)
    assert noise is not None
    assert noise.signature == "jwt"
    assert found is not None
    assert found.signature == f"jwt:{name}"


@pytest.mark.parametrize("name", ["ann@example.com", "4915123456789", "user 17", "a" * 65, "naïve"])
def test_a_name_that_is_data_is_masked(name: str):
    """What no program would call a claim is somebody's: it is masked like a text."""
    _, told = said(ATOMS.mask(token({"shares": {name: True, "read": True}})))

    assert name not in told["shares"]
    assert told["shares"]["read"] is True
    assert len(told["shares"]) == 2


def test_a_number_keeps_its_reading_and_not_its_value():
    """A telephone number that reads as an instant becomes another such number, a time of the standard's names stays."""
    _, told = said(
        ATOMS.mask(token({"phone": 4_915_123_456, "ms": 1_795_448_000_123, "age": 41, "share": 0.25, **TIMES}))
    )

    assert told["phone"] != 4_915_123_456
    assert 10**9 < told["phone"] < 10**10
    assert told["ms"] != 1_795_448_000_123
    assert 10**12 < told["ms"] < 10**13
    assert told["age"] >= 9 * 10**14
    assert isinstance(told["share"], float)
    assert told["share"] != 0.25
    assert {name: told[name] for name in TIMES} == TIMES


NESTED: Any = "x" * 20
for _ in range(40):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    "value",
    [
        token({"deep": NESTED}),
        token({"many": [f"value {n}" for n in range(600)]}),
        token({"long": "x y " * BYTES_MAX}),
        b"eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..ivivivivivivivi.secretsecretsecret.tagtagtag",
        b"eyJhbGciOiJIUzI1NiJ9.bm90IGpzb24gYXQgYWxs.c2lnbmF0dXJl",
        b"eyJhbGciOiJIUzI1NiJ9.WzEsMl0.c2lnbmF0dXJl",
    ],
)
def test_what_cannot_be_read_as_a_token_is_masked_as_a_whole(value: bytes):
    """Too deep, too much, too long, encrypted, or no object: nothing of its parts is left, and the mask is its own."""
    masked = ATOMS.mask(value)

    assert ATOMS.mask(masked) == masked
    assert len(masked) == len(value)
    payload = value.split(b".")[1][3:40]
    assert not payload or payload not in masked
    assert b"secret" not in urlsafe_b64decode(masked.split(b".")[-2] + b"==")


def test_a_token_without_a_signature_gets_one_and_is_still_told_apart():
    """``alg: none`` is a change of header; the check that recognises a mask stands where the signature would be."""
    masked = ATOMS.mask(token({"sub": "u1"}, "", alg="none"))

    assert said(masked)[0]["alg"] == "none"
    assert ATOMS.mask(masked) == masked
