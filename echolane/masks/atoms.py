"""One atom, one mask: the keyed, deterministic replacement of a secret value by one of the same class.

The class is told from the value alone, never from the place it stands in, so a value has one mask in a cookie, a query and a
JSON answer. A mask carries a keyed check, so a mask that comes back (an echo, a replay with masks) is recognised and left as it
is: ``mask(mask(x)) == mask(x)``. Masks keep the value's length wherever that leaves room for enough chance (48 bits, so that
different values stay different) and the check; shorter values grow.

==========  ==============================  ==========================================================
class       looks like                      mask
==========  ==============================  ==========================================================
digits      ``4111 1111 1111 1111``         ``9`` and digits, 15 at least, in the same groups (no card begins with 9)
number      ``-12.5``, ``1e3``              a digit mask and ``.5``
uuid        ``c9bf9e57-1685-4c89-…``        hex digits in the same groups
jwt         ``eyJ….eyJ….…``                 a token whose claims are masked one by one (:mod:`echolane.masks.claims`)
email       ``ann@example.com``             ``mk…@x.test`` (RFC 2606: nobody's domain)
hex         ``[0-9a-f]{8,}``                hex digits that begin with a letter, 16 at least
token       everything else                 ``mk…``, ``MK…`` or ``Mk…`` by the case of its letters, 16 at least
word        the same, without chance        ``mp…``, ``MP…`` or ``Mp…``
==========  ==============================  ==========================================================

A word (``dark``, ``1-2``) is told apart from a token because it matters to a comparison: tokens differ by chance, words do not.

:mod:`echolane.masks.scan` finds atoms in texts, :mod:`echolane.masks.fields` in headers.
"""

from __future__ import annotations

import base64
import hashlib
import re

from echolane.masks import claims

EMAIL_TAIL = b"@x.test"

_CACHE_MAX = 4096  # Sessions present the same few secrets again and again; beyond that many at once a miss costs 3 µs.
_CACHED_BYTES_MAX = 512  # so that the cache holds 4 MB at most
_TOKENS_MAX = 256  # JSON web tokens are longer and cost 30 to 100 µs; of 8 KiB each, 6 MB at most.

_DIGITS = re.compile(rb"[0-9]+")
_GROUPS = re.compile(rb"[0-9]+(?:[ -][0-9]+)+")
_NUMBER = re.compile(rb"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_UUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_JWT = re.compile(rb"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,4}")
_EMAIL = re.compile(rb"[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:.]+(?:\.[^\s@<>\"'(),;:.]+)+")
_EMAIL_MASK = re.compile(rb"mk[a-z2-7]{10,}@x\.test")
_HEX = re.compile(rb"[0-9a-f]{8,}|[0-9A-F]{8,}")
_UPPER = re.compile(rb"[A-Z]")
_LOWER = re.compile(rb"[a-z]")

_HEX_DIGITS, _B32, _B64, _TENS = 8, 6, 5, 6
"""Characters of the check by alphabet: 30 bits and more, for digits 20 and the leading 9."""
_TO_LETTERS = bytes.maketrans(b"-_", b"kz")
_TO_HEX_LETTER = bytes.maketrans(b"0123456789", b"abcdefabcd")
_TO_DIGITS = bytes(48 + value % 10 for value in range(256))


class Atoms:
    """Masks and tokens of values under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._cache: dict[bytes, bytes] = {}
        self._tokens: dict[bytes, bytes] = {}

    def mask(self, value: bytes) -> bytes:
        """The mask of an atom; of a mask, itself; nothing stays nothing."""
        found = self._cache.get(value)
        if found is None:
            found = self._make(value) if value else value
            if len(value) <= _CACHED_BYTES_MAX:
                if len(self._cache) >= _CACHE_MAX:
                    self._cache.clear()
                self._cache[value] = found
        return found

    def mask_email(self, value: bytes) -> bytes:
        """The mask of what was found to be an e-mail, whatever its letters."""
        return self._email(value)

    def token(self, value: bytes) -> str:
        """The keyed token (16 hex digits) by which two exchanges know that they hold the same value."""
        return hashlib.blake2b(value, digest_size=8, key=self._key, person=b"echolane-token").hexdigest()

    def _make(self, value: bytes) -> bytes:
        if _DIGITS.fullmatch(value):
            return self._digits(value, value)
        if _EMAIL.fullmatch(value):
            return self._email(value)
        if _HEX.fullmatch(value):
            return self._hex(value)
        if value.startswith(b"eyJ") and _JWT.fullmatch(value):
            return self._jwt(value)
        if _UUID.fullmatch(value):
            return self._uuid(value)
        if _GROUPS.fullmatch(value):
            return self._groups(value)
        if _NUMBER.fullmatch(value):
            return self._number(value)
        return self._text(value)

    def _bytes(self, value: bytes, size: int) -> bytes:
        """``size`` keyed pseudo-random bytes of a value."""
        if size <= 64:
            return hashlib.blake2b(value, digest_size=size, key=self._key, person=b"echolane-atom").digest()
        seed = hashlib.blake2b(value, digest_size=32, key=self._key, person=b"echolane-long").digest()
        return hashlib.shake_128(seed).digest(size)

    def _check(self, text: bytes) -> bytes:
        """16 keyed bytes that only a mask of this key can repeat."""
        return hashlib.blake2b(text, digest_size=16, key=self._key, person=b"echolane-check").digest()

    def _digits(self, value: bytes, seed: bytes) -> bytes:
        if len(value) > 14 and value[:1] == b"9" and value[-_TENS:] == self._ten(value[:-_TENS]):
            return value
        head = b"9" + self._bytes(seed, max(len(value), 15) - _TENS - 1).translate(_TO_DIGITS)
        return head + self._ten(head)

    def _ten(self, head: bytes) -> bytes:
        return b"%0*d" % (_TENS, int.from_bytes(self._check(head)[:8], "big") % 10**_TENS)

    def _groups(self, value: bytes) -> bytes:
        digits = value.translate(None, b" -")
        mask = self._digits(digits, digits)
        if mask == digits:
            return value
        rest = iter(mask)
        grouped = bytes(char if char in b" -" else next(rest) for char in value)
        return grouped + bytes(rest)

    def _number(self, value: bytes) -> bytes:
        if value.endswith(b".5") and _DIGITS.fullmatch(whole := value[:-2]) and self._digits(whole, value) == whole:
            return value
        return self._digits(b"9" * 15, value) + b".5"

    def _hex(self, value: bytes) -> bytes:
        upper = _UPPER.search(value) is not None
        low = value.lower() if upper else value
        if low[:1] > b"9" and low[-_HEX_DIGITS:] == self._check(low[:-_HEX_DIGITS]).hex().encode()[:_HEX_DIGITS]:
            return value
        head = self._hexes(value, max(len(value), 16) - _HEX_DIGITS)
        out = head + self._check(head).hex().encode()[:_HEX_DIGITS]
        return out.upper() if upper else out

    def _hexes(self, value: bytes, length: int) -> bytes:
        text = self._bytes(value, (length + 1) // 2).hex().encode()[:length]
        # A first letter keeps a mask from being all digits, which would be another class.
        return text[:1].translate(_TO_HEX_LETTER) + text[1:]

    def _uuid(self, value: bytes) -> bytes:
        bare = value.replace(b"-", b"")
        low = bare.lower()
        if low[:1] > b"9" and low[-_HEX_DIGITS:] == self._check(low[:-_HEX_DIGITS]).hex().encode()[:_HEX_DIGITS]:
            return value
        head = self._hexes(bare, 32 - _HEX_DIGITS)
        text = head + self._check(head).hex().encode()[:_HEX_DIGITS]
        if bare.isupper():
            text = text.upper()
        return b"-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

    def _jwt(self, value: bytes) -> bytes:
        found = self._tokens.get(value)
        if found is None:
            found = self._jwt_made(value)
            if len(value) <= claims.BYTES_MAX:
                if len(self._tokens) >= _TOKENS_MAX:
                    self._tokens.clear()
                self._tokens[value] = found
        return found

    def _jwt_made(self, value: bytes) -> bytes:
        said, dot, signature = value.rpartition(b".")
        if len(signature) > _B64 and signature[-_B64:] == self._check64(said + dot + signature[:-_B64]):
            return value
        masked = claims.masked(value, self.mask, self._below)
        if masked is None:
            return self._jwt_whole(value)
        size = max(len(signature), 16) - _B64
        head = masked + dot + base64.urlsafe_b64encode(self._bytes(value, size))[:size]
        return head + self._check64(head)

    def _below(self, value: bytes, bound: int) -> int:
        """A keyed number below a bound."""
        return int.from_bytes(self._bytes(value, 16), "big") % bound

    def _jwt_whole(self, value: bytes) -> bytes:
        """Of what looks like a token and cannot be read as one: the same parts, each beginning and as long as its original."""
        first, dot, rest = value.partition(b".")
        if first[-_B64:] == self._check64(first[:-_B64] + dot + rest):
            return value
        fill = base64.urlsafe_b64encode(self._bytes(value, len(value)))
        parts = [b"eyJ" + fill[3 : len(first) - _B64]]
        at = len(first)
        for part in rest.split(b"."):
            start = b"eyJ" if part.startswith(b"eyJ") else b""
            parts.append(start + fill[at + len(start) : at + len(part)])
            at += len(part)
        out = b".".join(parts[1:])
        return parts[0] + self._check64(parts[0] + dot + out) + dot + out

    def _check64(self, text: bytes) -> bytes:
        return base64.urlsafe_b64encode(self._check(text))[:_B64]

    def _email(self, value: bytes) -> bytes:
        if _EMAIL_MASK.fullmatch(value):
            return value
        length = min(max(len(value) - len(EMAIL_TAIL), 12), 64) - 2
        return b"mk" + base64.b32encode(self._bytes(value, length * 5 // 8 + 1))[:length].lower() + EMAIL_TAIL

    def _text(self, value: bytes) -> bytes:
        start = value[:2]
        if start in _STARTS and len(value) > 15:
            head = value[:-_B64] if start in _MIXED else value[:-_B32]
            if value[len(head) :] == self._tail(head, start):
                return value
        upper, lower = _UPPER.search(value) is not None, _LOWER.search(value) is not None
        start = b"Mk" if upper and lower else b"MK" if upper else b"mk"
        if not is_chance(value):
            start = start[:1] + (b"P" if start == b"MK" else b"p")
        length = max(len(value), 16)
        if start in _MIXED:
            count = length - 2 - _B64
            fill = base64.urlsafe_b64encode(self._bytes(value, count * 3 // 4 + 1))[:count].translate(_TO_LETTERS)
        else:
            count = length - 2 - _B32
            fill = base64.b32encode(self._bytes(value, count * 5 // 8 + 1))[:count]
            if start in _LOWERS:
                fill = fill.lower()
        head = start + fill
        return head + self._tail(head, start)

    def _tail(self, head: bytes, start: bytes) -> bytes:
        if start in _MIXED:
            return self._check64(head).translate(_TO_LETTERS)
        tail = base64.b32encode(self._check(head))[:_B32]
        return tail.lower() if start in _LOWERS else tail


def is_chance(value: bytes) -> bool:
    """Whether a value is chance enough (a session id, not ``dark``) that meeting it twice proves a relation."""
    return len(value) >= 8 and _CHANCE.fullmatch(value) is not None and _DAY.fullmatch(value) is None


def is_word_mask(text: bytes) -> bool:
    """Whether a text has the look of the mask of a word, so that two of them differ because their originals do."""
    return len(text) > 15 and _WORD_MASK.fullmatch(text) is not None


_LOWERS, _MIXED = (b"mk", b"mp"), (b"Mk", b"Mp")
_STARTS = (*_LOWERS, *_MIXED, b"MK", b"MP")
_CHANCE = re.compile(rb"(?=.*[0-9])(?=.*[A-Za-z])[^\s]{8,}|[^\s]{16,}", re.DOTALL)
_DAY = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}.{0,20}", re.DOTALL)
_WORD_MASK = re.compile(rb"mp[a-z2-7]+|MP[A-Z2-7]+|Mp[A-Za-z0-9]+")
