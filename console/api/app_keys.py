"""What an application of GitHub proves itself by: a key of RSA in a file, and the JSON Web Token that it signs (RFC 7519, RS256)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from echolane.base64url import encode
from echolane.errors import UsageError

KEY_MAX = 16 * 1024
"""Bytes: a key of 8,192 bits has less than half of it."""
BITS_MIN = 2048
BEFORE_S, LASTS_S = 60, 540
"""A token is made a minute ago, lest our clock is ahead, and ends before the ten minutes that GitHub gives it at most."""


@dataclass(frozen=True, slots=True)
class App:
    """An application, and where its key is."""

    id: int
    key_file: str

    def token(self, now_s: float) -> str:
        """A token that says who it is; of the key as it is now. UsageError where there is none."""
        return signed(self.id, self.key(), now_s)

    def key(self) -> rsa.RSAPrivateKey:
        """The key; UsageError names the file, and never what is there."""
        place = f"file {self.key_file}"
        try:
            with Path(self.key_file).open("rb") as file:
                data = file.read(KEY_MAX + 1)
        except OSError as error:
            raise UsageError(f"the app's key cannot be read from {place}: {error.strerror}") from error
        try:
            found = load_pem_private_key(data[:KEY_MAX], None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise UsageError(
                f"{place} is no private key in PEM, or has a password; download one from the app's page"
            ) from None
        if not isinstance(found, rsa.RSAPrivateKey) or found.key_size < BITS_MIN:
            raise UsageError(f"{place} is no RSA key of {BITS_MIN} bits or more, and GitHub takes no other")
        return found


def signed(app: int, key: rsa.RSAPrivateKey, now_s: float) -> str:
    """The token of an application. Pure."""
    claims = {"iat": int(now_s) - BEFORE_S, "exp": int(now_s) + LASTS_S, "iss": str(app)}
    parts = [encode(orjson.dumps(one)) for one in ({"alg": "RS256", "typ": "JWT"}, claims)]
    parts.append(encode(key.sign(b".".join(parts), padding.PKCS1v15(), SHA256())))
    return b".".join(parts).decode("ascii")
