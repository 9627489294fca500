"""Secrets that show by their own look, wherever they stand: e-mails, JWTs, card numbers, keys of well-known issuers.

Nothing here walks a text character by character: a substring test per class says whether there is a candidate at all, and only
its neighbourhood is read. Spans are escape-aware, so a masked JSON text stays JSON and a masked URL a URL.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from echolane.masks.atoms import Atoms
from echolane.masks.edits import Edit

FOLD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ123456789", b"abcdefghijklmnopqrstuvwxyz000000000")
"""Lower case, and every digit a zero: one pass that makes names and digit runs findable by substring."""

_ALNUM = bytes(97 if 48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122 else 32 for c in range(256))
_RUN = b"a" * 18
"""Every token, key and PEM line has this many letters and digits in a row; the shortest JWT header (``alg: none``) has 19."""
_DIGIT = bytes(48 if 48 <= c <= 57 else 97 for c in range(256))
_DIGIT_RUN = b"0" * 13
"""The shortest card, once the spaces and hyphens between its groups are taken out."""
_RUNS_MAX = 32  # Read one by one; a text with more (base64, lists of hashes) is searched for each mark instead.

_CARD = re.compile(
    rb"(?:(?<![0-9A-Za-z_.-])|(?<=\\[nrtbf])|(?<=\\u00[0-9a-fA-F]{2}))"
    rb"(?:[2-6][0-9]{12,18}|[2-6][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,7}|3[0-9]{3}([ -])[0-9]{6}\2[0-9]{4,5})"
    rb"(?![0-9A-Za-z_-]|\.[0-9])"
)
_ISSUER = re.compile(
    rb"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"
    rb"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    rb"|3[47][0-9]{13}|3(?:0[0-5]|[689][0-9])[0-9]{11}|35[0-9]{14}"
    rb"|6[0-9]{15,18}|5[06-9][0-9]{14,17}"
)
_JWT = re.compile(rb"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{2,}(?:\.[A-Za-z0-9_-]*){1,3}")
_KEY_MARKS = (
    b"sk_",
    b"sk-",
    b"pk_",
    b"rk_",
    b"gh",
    b"github_pat_",
    b"glpat-",
    b"xox",
    b"AKIA",
    b"ASIA",
    b"AIza",
    b"npm_",
    b"ya29.",
)
_KEY = re.compile(
    rb"(?:(?<![0-9A-Za-z])|(?<=\\[nrtbf]))(?:(?:sk|pk|rk)[_-](?:live|test|proj|ant)[_-][0-9A-Za-z_-]{10,}|sk-[0-9A-Za-z]{20,}|gh[oprsu]_[0-9A-Za-z]{20,}"
    rb"|github_pat_[0-9A-Za-z_]{20,}|glpat-[0-9A-Za-z_-]{16,}|xox[abeoprs]-[0-9A-Za-z-]{10,}|A(?:KI|SI)A[0-9A-Z]{16}"
    rb"|AIza[0-9A-Za-z_-]{30,}|npm_[0-9A-Za-z]{30,}|ya29\.[0-9A-Za-z_-]{20,})"
)
_KEY_BEFORE_MAX = 256
"""Bytes of a key before its first long run of letters and digits."""
_KEY_BYTES = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-"
_PEM = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----((?:\\[rn]|[\sA-Za-z0-9+/=:,-])*?)-----END")
_PEM_TEXT = re.compile(rb"[A-Za-z0-9+/=]{8,}")

_AT = re.compile(rb"@|%40|\\u0040")
_LOCAL = re.compile(rb"[A-Za-z0-9._+~'\x80-\xff-]+")
_DOMAIN = re.compile(
    rb"[A-Za-z0-9\x80-\xff](?:[A-Za-z0-9\x80-\xff-]*[A-Za-z0-9\x80-\xff])?(?:\.[A-Za-z0-9\x80-\xff](?:[A-Za-z0-9\x80-\xff-]*[A-Za-z0-9\x80-\xff])?)+"
)
_LOCAL_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+~'-") | frozenset(
    range(128, 256)
)
_HEX = frozenset(b"0123456789abcdefABCDEF")
_UNICODE = re.compile(rb"\\u([0-9a-fA-F]{4})")


class Looks:
    """Which looks are masked."""

    def __init__(self, atoms: Atoms, *, emails: bool, cards: bool, tokens: bool) -> None:
        self._atoms = atoms
        self._emails, self._cards, self._tokens = emails, cards, tokens

    def find(self, data: bytes) -> list[Edit]:
        """Edits for everything in ``data`` that looks like a secret."""
        edits: list[Edit] = []
        if self._emails and (64 in data or (37 in data and b"%40" in data) or (92 in data and b"\\u0040" in data)):
            self._find_emails(data, edits)
        if self._tokens and len(data) >= 18:
            alnum = data.translate(_ALNUM)
            at = alnum.find(_RUN)
            if at >= 0:
                self._find_tokens(data, alnum, at, edits)
        if self._cards and _DIGIT_RUN in data.translate(_DIGIT, b" -"):
            self._find_cards(data, edits)
        return edits

    def _find_tokens(self, data: bytes, alnum: bytes, at: int, edits: list[Edit]) -> None:
        """JWTs and keys around long runs of letters and digits, of which the first is at ``at``."""
        floor = 0
        for _ in range(_RUNS_MAX):
            start = alnum.rfind(b" ", 0, at) + 1
            end = alnum.find(b" ", at)
            end = len(data) if end < 0 else end
            token = data.find(b"eyJ", start, end)
            jwt = _JWT.match(data, token) if token >= 0 else None
            before = data[max(floor, start - _KEY_BEFORE_MAX) : start]
            begin = start - max(min(24, len(before)), len(before) - len(before.rstrip(_KEY_BYTES)))
            near = _KEY.finditer(data, begin, token if jwt else end + 64)
            following = alnum.find(_RUN, end)
            whole = token if jwt else len(data)  # a key may go on behind what is near
            starts = [one.start() for one in near]
            keys = [_KEY.match(data, one, whole) for one in starts if following < 0 or one < following]
            for found in (*keys, jwt):
                if found is not None:
                    edits.append(Edit(*found.span(), self._atoms.mask(found[0])))
                    floor = end = max(end, found.end())
            at = alnum.find(_RUN, end)
            if at < 0:
                break
        else:
            if b"eyJ" in data:
                edits += [Edit(*found.span(), self._atoms.mask(found[0])) for found in _JWT.finditer(data, at)]
            if any(mark in data for mark in _KEY_MARKS):
                edits += [Edit(*found.span(), self._atoms.mask(found[0])) for found in _KEY.finditer(data, at)]
        if b"PRIVATE KEY-" in data:
            self._find_pems(data, edits)

    def _find_cards(self, data: bytes, edits: list[Edit]) -> None:
        found = (card for card in _CARD.finditer(data) if is_card(card[0]))
        edits += [Edit(*card.span(), self._atoms.mask(card[0])) for card in found]

    def _find_pems(self, data: bytes, edits: list[Edit]) -> None:
        for block in _PEM.finditer(data):
            start, end = block.span(1)
            edits += [Edit(*line.span(), self._atoms.mask(line[0])) for line in _PEM_TEXT.finditer(data, start, end)]

    def _find_emails(self, data: bytes, edits: list[Edit]) -> None:
        floor = 0
        begin = -1
        for sign in _AT.finditer(data):
            at, after = sign.span()
            domain = _DOMAIN.match(data, after)
            if domain is None:
                floor, begin = after, -1
                continue
            start = _local_start(data, floor, at)
            if start == at:
                floor, begin = domain.end(), -1
                continue
            # Two that touch are one, else their masks would be read as another pair.
            if begin >= 0 and start == floor:
                edits.pop()
            else:
                begin = start
            floor = domain.end()
            edits.append(Edit(begin, floor, self._email(data[begin:floor], sign[0])))

    def _email(self, text: bytes, sign: bytes) -> bytes:
        """The mask of an e-mail as it stands in the text, its escapes like the original's."""
        value = unquote_to_bytes(text) if b"%" in text else text
        if b"\\" in value:
            value = _UNICODE.sub(lambda found: chr(int(found[1], 16)).encode("utf-8", "surrogatepass"), value)
        mask = self._atoms.mask_email(value)
        return mask if sign == b"@" else mask.replace(b"@", sign)


def is_card(text: bytes) -> bool:
    """Whether digits, perhaps in groups, are a number that an issuer may have given out and whose check digit holds."""
    digits = text.translate(None, b" -")
    if _ISSUER.fullmatch(digits) is None:
        return False
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = char - 48
        if place & 1:
            value += value - 9 if value > 4 else value
        total += value
    return total % 10 == 0


def _is_escape(data: bytes, at: int) -> bool:
    """Whether the character at ``at`` is escaped: an odd number of backslashes before it."""
    start = at
    while start and data[start - 1] == 0x5C:
        start -= 1
    return (at - start) % 2 == 1


def _local_start(data: bytes, floor: int, at: int) -> int:
    """Where the local part that ends at ``at`` begins, not before ``floor``; escapes count as the characters they stand for."""
    start = at
    while True:
        run = _LOCAL.match(data[floor:start][::-1])
        start -= run.end() if run else 0
        before = data[start - 1] if start > floor else 0
        if before == 0x25:  # %XX: its two digits were taken for letters
            code = data[start : start + 2]
            if len(code) == 2 and code[0] in _HEX and code[1] in _HEX and start + 2 <= at:
                if int(code, 16) in _LOCAL_BYTES:
                    start -= 1
                    continue
                start += 2
        elif before == 0x5C and _is_escape(data, start):
            code = _UNICODE.match(data, start - 1)
            if code is not None and code.end() <= at:
                value = int(code[1], 16)
                if value > 127 or value in _LOCAL_BYTES:
                    start -= 1
                    continue
                start = code.end()
            elif start < at:
                start += 1
                while start < at and data[start - 1] > 127 and data[start] > 127:
                    start += 1
        break
    while start < at and data[start] in b"'.":
        start += 1
    return start
