"""Whether an ID token proves who somebody is (OpenID Connect Core 3.1.3.7, RFC 8725). Pure: time is an argument.

Three signatures are taken, each with a key of its own kind out of the provider's list: RS256, ES256 on P-256, EdDSA on Ed25519. A key
is bound to its algorithm before a token is looked at, so no token can choose how a key is used, and whatever has no public key (`none`,
HS256) is refused.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from echolane.base64url import decode

ALGORITHMS = ("RS256", "ES256", "EdDSA")
TOKEN_MAX = 64 * 1024
"""Characters: a few hundred groups. What a browser never sees may be larger than a header."""
KEYS_MAX = 100
KEYS_TRIED = 4
"""Keys of one name."""
RSA_BITS = (2048, 8192)
"""A weaker key proves nothing; checking with a longer one takes a provider's word for our time."""
AGE_MAX_S = 600.0
"""A token comes straight from the provider, so it was made just now."""
SUBJECT_MAX = 255
_PART = re.compile(r"[A-Za-z0-9_-]+")
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | Ed25519PublicKey


class Unproven(Exception):  # noqa: N818 - what it says of the token
    """A token that proves nothing; the message says why, in words of ours."""


class UnknownKey(Unproven):
    """It may be signed by a key that the provider has had since its list was read."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key, and the one algorithm that it is used with."""

    id: str | None
    algorithm: str
    public: PublicKey


class Wanted(NamedTuple):
    """What a token must say."""

    issuer: str
    client: str
    nonce: str
    skew_s: float


def keys_of(data: bytes) -> list[Key]:
    """The keys of a JSON Web Key Set that can be used here; Unproven where it is none."""
    try:
        listed: Any = orjson.loads(data)["keys"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Unproven("the provider's list of keys cannot be read") from error
    if not isinstance(listed, list):
        raise Unproven("the provider's list of keys cannot be read")
    found = [_key(cast("dict[str, Any]", one)) for one in cast("list[Any]", listed)[:KEYS_MAX] if isinstance(one, dict)]
    return [key for key in found if key is not None]


def _key(told: Mapping[str, Any]) -> Key | None:
    """One key, None where it is for something else: encryption, another algorithm, a secret that is shared."""
    operations = told.get("key_ops")
    if told.get("use", "sig") != "sig" or (isinstance(operations, list) and "verify" not in operations):
        return None
    try:
        public, algorithm = _public(told)
    except (ValueError, TypeError, KeyError, Unproven):
        return None
    id = told.get("kid")  # noqa: A001 - what it is
    return (
        Key(id if isinstance(id, str) else None, algorithm, public) if told.get("alg", algorithm) == algorithm else None
    )


def _public(told: Mapping[str, Any]) -> tuple[PublicKey, str]:
    kind, curve = told.get("kty"), told.get("crv")
    if kind == "RSA":
        public = rsa.RSAPublicNumbers(_number(told["e"]), _number(told["n"])).public_key()
        if not RSA_BITS[0] <= public.key_size <= RSA_BITS[1]:
            raise ValueError(public.key_size)
        return public, "RS256"
    if kind == "EC" and curve == "P-256":
        return ec.EllipticCurvePublicNumbers(
            _number(told["x"]), _number(told["y"]), ec.SECP256R1()
        ).public_key(), "ES256"
    if kind == "OKP" and curve == "Ed25519":
        return Ed25519PublicKey.from_public_bytes(_bytes(told["x"])), "EdDSA"
    raise ValueError(kind)


def verified(token: str, keys: Sequence[Key], wanted: Wanted, now_s: float) -> dict[str, Any]:
    """The claims of a token; Unproven unless it is the provider's, for us, for this sign-in, and holds now."""
    parts = token.split(".") if len(token) <= TOKEN_MAX else []
    if len(parts) != 3:
        raise Unproven("the provider gave no signed token")
    header = _object(parts[0])
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise Unproven(f"its token is not signed by one of {', '.join(ALGORITHMS)}")
    if "crit" in header or str(header.get("typ", "JWT")).upper() != "JWT":
        raise Unproven("its token is of another sort than an ID token")
    _check_signature(f"{parts[0]}.{parts[1]}".encode(), _bytes(parts[2]), algorithm, header.get("kid"), keys)
    claims = _object(parts[1])
    _check_parties(claims, wanted)
    _check_times(claims, wanted.skew_s, now_s)
    nonce, subject = claims.get("nonce"), claims.get("sub")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), wanted.nonce.encode()):
        raise Unproven("its token is of another sign-in")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_MAX or not subject.isprintable():
        raise Unproven("its token does not say whom it is about")
    return claims


def _check_signature(signed: bytes, signature: bytes, algorithm: str, id: object, keys: Sequence[Key]) -> None:  # noqa: A002
    found = [key for key in keys if key.algorithm == algorithm and (id is None or key.id == id)]
    if not found or (id is None and len(found) > 1):
        raise UnknownKey("its token is signed by a key that it does not publish")
    if any(_is_signed(key.public, signed, signature) for key in found[:KEYS_TRIED]):
        return
    if id is None:  # the only key of its sort may be another one by now
        raise UnknownKey("the signature of its token is wrong")
    raise Unproven("the signature of its token is wrong")


def _is_signed(public: PublicKey, signed: bytes, signature: bytes) -> bool:
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, signed, padding.PKCS1v15(), SHA256())
        elif isinstance(public, ec.EllipticCurvePublicKey):
            if len(signature) != 64:
                return False
            numbers = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
            public.verify(encode_dss_signature(*numbers), signed, ec.ECDSA(SHA256()))
        else:
            public.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _check_parties(claims: Mapping[str, Any], wanted: Wanted) -> None:
    if claims.get("iss") != wanted.issuer:
        raise Unproven("its token is of another issuer")
    audience: Any = claims.get("aud")
    audiences: list[Any] = cast("list[Any]", audience) if isinstance(audience, list) else [audience]
    if wanted.client not in audiences or not all(isinstance(one, str) for one in audiences):
        raise Unproven("its token is for somebody else")
    if ("azp" in claims or len(audiences) > 1) and claims.get("azp") != wanted.client:
        raise Unproven("its token was given to somebody else")


def _check_times(claims: Mapping[str, Any], skew_s: float, now_s: float) -> None:
    ends, made, begins = (claims.get(name) for name in ("exp", "iat", "nbf"))
    if not _is_time(ends) or not _is_time(made) or (begins is not None and not _is_time(begins)):
        raise Unproven("its token does not say when it holds")
    if now_s >= cast("float", ends) + skew_s or now_s >= cast("float", made) + AGE_MAX_S + skew_s:
        raise Unproven("its token has expired (or the clocks differ)")
    if now_s < max(cast("float", made), cast("float", begins or 0)) - skew_s:
        raise Unproven("its token holds only later (or the clocks differ)")


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _object(part: str) -> dict[str, Any]:
    try:
        found: Any = orjson.loads(_bytes(part))
    except orjson.JSONDecodeError as error:
        raise Unproven("its token cannot be read") from error
    if not isinstance(found, dict):
        raise Unproven("its token cannot be read")
    return cast("dict[str, Any]", found)


def _bytes(part: object) -> bytes:
    """Base64url without padding, and nothing else."""
    if not isinstance(part, str) or not _PART.fullmatch(part) or len(part) % 4 == 1:
        raise Unproven("its token cannot be read")
    return decode(part.encode())


def _number(part: object) -> int:
    return int.from_bytes(_bytes(part))
