"""Secrets in header fields: credentials by scheme, cookies by name, challenges, and every other value by its looks and pairs.

The unit is the atom: the scheme, the cookie's name and its attributes, a digest's realm stay readable, so a person sees what kind
of request it was and a comparison sees a cookie that lost its ``Secure``. JSON keys and texts that hold header-like values are
given to :meth:`Fields.mask` as well.
"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

from echolane.masks.atoms import Atoms
from echolane.masks.edits import apply
from echolane.masks.names import AUTHORIZATION, CHALLENGE, COOKIE, SET_COOKIE
from echolane.masks.scan import Looks

_PARAMETER = re.compile(rb'([A-Za-z0-9_*-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SECRET_PARAMETERS = frozenset(
    b"""username username* nonce cnonce response opaque nextnonce rspauth mac id signature keyid key token access_token
    refresh_token client_secret apikey api_key sharedkey oauth_token oauth_signature oauth_nonce oauth_consumer_key
    oauth_verifier""".split()
)
_CREDENTIAL = re.compile(rb"([^/,\s]+)(.*)", re.DOTALL)
_SCHEME = re.compile(rb"([A-Za-z][A-Za-z0-9_-]{1,31})[ \t]+(.+)", re.DOTALL)


class Fields:
    """Masks header values by the kind that their name promises."""

    def __init__(self, atoms: Atoms, looks: Looks) -> None:
        self._atoms = atoms
        self._looks = looks

    def mask(self, kind: int, value: bytes, held: list[bytes]) -> bytes:
        """The masked value; the originals of its atoms are added to ``held``."""
        if kind == COOKIE:
            masked = self._cookies(value, held)
        elif kind == SET_COOKIE:
            first, semicolon, attributes = value.partition(b";")
            masked = self._cookies(first, held) + semicolon + attributes
        elif kind == CHALLENGE:
            masked = self._parameters(value, held)
        elif kind == AUTHORIZATION:
            masked = self._credentials(value, held)
        else:
            return self._secret(value, held)
        # What is kept for its meaning (names, realms, attributes) may still show a secret by its look.
        return apply(masked, self._looks.find(masked))[0]

    def atom(self, raw: bytes, held: list[bytes]) -> bytes:
        """The mask of an atom that may be percent-encoded; then its mask begins with an escape, so that the two stay apart."""
        value = unquote_to_bytes(raw) if b"%" in raw else raw
        if not value:
            return raw
        held.append(value)
        mask = self._atoms.mask(value)
        if mask == value:
            return raw
        return mask if value == raw else b"%%%02X" % mask[0] + mask[1:].replace(b"@", b"%40")

    def _secret(self, value: bytes, held: list[bytes]) -> bytes:
        """A value that is one secret as a whole, unless it is written as credentials."""
        found = _SCHEME.fullmatch(value)
        if found is not None and found[1].lower() in _SCHEMES:
            return self._credentials(value, held)
        return self.atom(value, held)

    def _cookies(self, value: bytes, held: list[bytes]) -> bytes:
        out: list[bytes] = []
        for part in value.split(b";"):
            name, equals, text = part.partition(b"=")
            if not equals:
                name, text = b"", part
            bare = text.strip(b" \t")
            quoted = len(bare) > 1 and bare[:1] == b'"' == bare[-1:]
            inner = bare[1:-1] if quoted else bare
            if inner:
                at = text.index(bare) + quoted
                text = text[:at] + self.atom(inner, held) + text[at + len(inner) :]
            out.append(name + equals + text)
        return b";".join(out)

    def _credentials(self, value: bytes, held: list[bytes]) -> bytes:
        found = _SCHEME.match(value)
        if found is None:
            return value if value.strip().lower() in _SCHEMES else self.atom(value, held)
        scheme, rest = found[1].lower(), found[2]
        head = value[: found.start(2)]
        if scheme == b"basic":
            return head + self._basic(rest, held)
        parameter = _PARAMETER.match(rest)
        if parameter is not None and (parameter[2] is not None or b"," in rest):
            return head + self._parameters(rest, held, every=scheme not in _SCHEMES)
        return head + self._whole(rest, held)

    def _whole(self, rest: bytes, held: list[bytes]) -> bytes:
        """All that follows a scheme is one token."""
        bare = rest.rstrip(b" \t")
        return self._atom_as_is(bare, held) + rest[len(bare) :]

    def _atom_as_is(self, value: bytes, held: list[bytes]) -> bytes:
        held.append(value)
        return self._atoms.mask(value)

    def _basic(self, text: bytes, held: list[bytes]) -> bytes:
        bare = text.rstrip(b" \t")
        try:
            plain = base64.b64decode(bare, validate=True)
        except binascii.Error:
            return self._whole(text, held)
        user, colon, password = plain.partition(b":")
        masked = (
            (self._atom_as_is(user, held) if user else b"")
            + colon
            + (self._atom_as_is(password, held) if password else b"")
        )
        if masked == plain:
            return text
        return base64.b64encode(masked) + text[len(bare) :]

    def _parameters(self, text: bytes, held: list[bytes], *, every: bool = False) -> bytes:
        """``name="value"`` lists: those that hold a secret, or all of a scheme that is not known."""

        def masked(found: re.Match[bytes]) -> bytes:
            name = found[1].lower()
            group = 2 if found[2] is not None else 3
            inner = found[group]
            start = found.start(group) - found.start()
            whole = found[0]
            if name == b"credential":  # AWS: the key's id stands before the scope
                parts = _CREDENTIAL.fullmatch(inner)
                mask = self._atom_as_is(parts[1], held) + parts[2] if parts else inner
            elif inner and (every or name in _SECRET_PARAMETERS):
                mask = self._atom_as_is(inner, held)
            else:
                return whole
            return whole[:start] + mask + whole[start + len(inner) :]

        return _PARAMETER.sub(masked, text)


_SCHEMES = frozenset(
    b"""basic bearer digest token apikey negotiate ntlm hawk oauth mutual aws4-hmac-sha256 signature scram-sha-256 dpop hoba
    vapid privatetoken""".split()
)
