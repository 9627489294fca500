"""A recorded JSON Web Token signed anew by a key of the target's: its claims are kept, its times are now. Pure but for the clock.

``iat`` and ``nbf`` are moved to now and ``exp`` by as much, so that a token lives as long as it did when it was recorded. The recorded
signature is not looked at: it was the recorded service's to check.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Any, cast

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from echolane.base64url import decode, encode

_RSA_BITS_MIN = 2048
_HMAC_BYTES_MIN = 32
"""RFC 7518 §3.2: no shorter than the hash."""


class Unsignable(ValueError):  # noqa: N818 - it says what cannot be done
    """Why a token cannot be signed anew, without anything of it."""


def resigned(
    recorded: bytes, algorithm: str, key: bytes, kid: str, lifetime_s: float, now_s: float | None = None
) -> tuple[bytes, float]:
    """The token signed by ``key``, and how many seconds it lives."""
    header, claims = _parsed(recorded)
    now = int(time.time() if now_s is None else now_s)
    issued, ends = _instant(claims, "iat", "nbf"), _instant(claims, "exp")
    lives = ends - issued if issued is not None and ends is not None and ends > issued else lifetime_s
    claims["iat"], claims["exp"] = now, now + int(lives)
    if "nbf" in claims:
        claims["nbf"] = now
    header["alg"] = algorithm
    if kid:
        header["kid"] = kid
    signed = encode(orjson.dumps(header)) + b"." + encode(orjson.dumps(claims))
    return signed + b"." + encode(_signature(signed, algorithm, key)), float(lives)


def _parsed(token: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    parts = token.split(b".")
    try:
        header, claims = (orjson.loads(decode(part)) for part in parts[:2])
    except ValueError as error:
        raise Unsignable("the recorded credential is no JSON Web Token, or was recorded without its seal") from error
    if len(parts) != 3 or not isinstance(header, dict) or not isinstance(claims, dict):
        raise Unsignable("the recorded credential is no signed JSON Web Token")
    return cast("dict[str, Any]", header), cast("dict[str, Any]", claims)


def _instant(claims: dict[str, Any], *names: str) -> float | None:
    for name in names:
        value = claims.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None


def _signature(data: bytes, algorithm: str, key: bytes) -> bytes:
    if algorithm == "HS256":
        if len(key) < _HMAC_BYTES_MIN:
            raise Unsignable(f"the key for HS256 has {len(key)} bytes; it needs {_HMAC_BYTES_MIN}")
        return hmac.digest(key, data, hashlib.sha256)
    try:
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Unsignable(f"the key for {algorithm} is no private key in PEM without a passphrase") from error
    if algorithm == "RS256" and isinstance(private, rsa.RSAPrivateKey) and private.key_size >= _RSA_BITS_MIN:
        return private.sign(data, padding.PKCS1v15(), hashes.SHA256())
    if algorithm == "ES256" and isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name == "secp256r1":
        r, s = decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    raise Unsignable(f"the key is none for {algorithm} (RS256: RSA of {_RSA_BITS_MIN} bits; ES256: P-256)")
