"""How likely it is that a value of a request is the one that an answer held: by its look, by names, by where both stand. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

NEVER, WEAK, MEANT, STRONG = range(4)
"""A word, which says nothing · a short number or code, which many places hold by chance · a date, time, amount or text, which says
itself what it is, so that names must agree · what is met twice on purpose only."""
SAME, RELATED, HINT = 45, 30, 12
"""Names say that it is the same thing; that it may well be; that it is some identity."""
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.{0,24}|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4}.{0,16}")
_STAMP = re.compile(
    r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[0-9]{6})?|(?:1[5-9]|20)[0-9]{8}(?:[0-9]{3})?"
)
"""A date without signs, or seconds or milliseconds since 1970, from 2017 to 2036: two clocks say the same at the same instant."""
_AMOUNT = re.compile(r"(?:[A-Z]{3}|[A-Za-z$])?[+-]?[0-9]{1,15}(?:[.,:/x][0-9]{1,15}){1,4}%?")
"""Prices, times, other dates, addresses, versions, sizes."""
_KIND = re.compile(
    r"(?i)(?:application|audio|font|image|message|multipart|text|video)/\S+|(?:iso|utf|windows|us)-[0-9-]+"
)
_SIGNS = re.compile(r"[-_./:@+ ]")
_CASED = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_UNSPOKEN = re.compile(r"(?i)[bcdfghjklmnpqrstvwxz]{6}")
_BASE64 = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[+=])[A-Za-z/+]+={0,2}")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_IDENTITY = frozenset("id uuid guid key slug ref reference number no code handle pk oid uid sku".split())  # noqa: SIM905 - words read as words
_QUANTITY = frozenset("amount count height limit max min page price qty quantity size total width".split())  # noqa: SIM905 - words read as words
_POSITION = frozenset("after before begin continuation continue cursor marker next position seek since start".split())  # noqa: SIM905 - words read as words
_TAG = re.compile(r"[A-Z]{1,2}|[$@#].{0,30}|_|(?:[a-z]{1,12})?[Vv]alue|text|string|integer|int|long|double|float")
"""How a member is called that says of what type a value is, not what it is of: ``S`` and ``N``, ``$numberLong``, ``stringValue``."""
_CSRF = frozenset(("csrf", "xsrf", "csrfmiddlewaretoken", "csrftoken", "xsrftoken", "authenticity"))
_TOKENS = frozenset(("token", "jwt", "bearer", "accesstoken", "authtoken", "idtoken", "session"))
_PAIRS = {
    "if-match": "etag",
    "if-none-match": "etag",
    "if-range": "etag",
    "if-modified-since": "last-modified",
    "if-unmodified-since": "last-modified",
}
_EMPTY = frozenset(("x", "http", "the", "data"))


@lru_cache(4096)
def strength(text: str) -> int:
    """How much it says that a value is met twice."""
    if len(text) > 256:
        return MEANT if " " in text else STRONG
    if text.isdigit() and text.isascii():
        if len(text) < 6 or text.endswith("000"):
            return WEAK
        return MEANT if _STAMP.fullmatch(text) else STRONG
    if _DAY.fullmatch(text) or _AMOUNT.fullmatch(text) or _KIND.fullmatch(text):
        return MEANT
    if any(sign.isdigit() for sign in text):
        if len(text) < 8:
            return WEAK
        return MEANT if " " in text or not text.isascii() else STRONG
    if len(text) >= 8 and _is_drawn(text):
        return STRONG
    if len(text) < 16 or " " in text or not text.isascii():
        return NEVER
    return MEANT if _SIGNS.search(text) else STRONG


def _is_drawn(text: str) -> bool:
    """Whether a text without digits was drawn and not written: its case changes often, it cannot be spoken, or it is base64."""
    if not text.isascii() or " " in text:
        return False
    cased = _CASED.findall(text)
    often = len(cased) >= 3 and sum(map(len, cased)) < 2.5 * len(cased)
    return often or _UNSPOKEN.search(text) is not None or _BASE64.fullmatch(text) is not None


@lru_cache(4096)
def words(name: str) -> tuple[str, ...]:
    """The words of a name, singular: ``cart_ids``, ``cartId`` and ``cart-id`` are the same."""
    found = [word.lower() for word in _WORDS.findall(name)]
    kept = [_singular(word) for word in found if word not in _EMPTY]
    return tuple(kept or found)


@lru_cache(4096)
def is_tag(name: str) -> bool:
    """Whether a member is called like a type: where it is alone in its object, what holds that object tells what it is."""
    return _TAG.fullmatch(name) is not None and not is_identity(name)


def is_identity(name: str) -> bool:
    """Whether a name says that what it names tells a thing from others."""
    return bool(_IDENTITY.intersection(words(name)[-1:]))


def is_quantity(name: str) -> bool:
    """Whether a name says how many or how much: such a number means itself, wherever it stands."""
    return bool(_QUANTITY.intersection(words(name)[-1:]))


def is_count(name: str) -> bool:
    """Whether a member that holds one number says how many there are: ``total``, and ``orders`` in a report of a shop."""
    last = [word.lower() for word in _WORDS.findall(name)[-1:]]
    return is_quantity(name) or list(map(_singular, last)) != last


def is_position(place: str) -> bool:
    """Whether a place says where in a list to go on: ``query:after``, ``body:$.ExclusiveStartKey.id``."""
    return not _POSITION.isdisjoint(words(place))


def of_segment(before: str, name: str, around: str, source: str, *, in_url: bool, made: bool) -> int:
    """For a path segment that stands behind ``before``; the answer's value is ``name`` in ``around``, its request's path ends in ``source``.

    ``made``: that request made something. What an answer that only shows a thing holds besides its identity (a total) is none.
    """
    collection = words(before)[-1:]
    if in_url and before and around == before:
        return SAME
    own = words(name)
    holders = {words(around)[-1:], words(source)[-1:], own[:1] if len(own) > 1 else ()}
    identity = bool(own) and own[-1] in _IDENTITY
    if collection and collection in holders and (identity or made):
        return RELATED + (8 if identity else 0)
    if collection and own == collection:
        return RELATED
    return HINT if identity else 0


def of_name(wanted: str, name: str, around: str, source: str, *, made: bool = False) -> int:
    """For a value that is called ``wanted`` in the request (member, field, header, cookie); ``made`` as for a segment."""
    if _PAIRS.get(wanted) == name and name:
        return SAME
    own, theirs = words(wanted), words(name)
    if not own or not theirs:
        return 0
    if own == theirs or "".join(own) == "".join(theirs):
        return SAME
    if _CSRF & {*own, "".join(own)} and (_CSRF | {"token"}) & {*theirs, "".join(theirs)}:
        return SAME - 3
    if wanted == "authorization" and _TOKENS & {*theirs, "".join(theirs)}:
        return SAME - 3
    holders = {words(around)[-1:], words(source)[-1:]}
    short, long = sorted((own, theirs), key=len)
    if long[-len(short) :] == short:
        if long == own and own[-len(short) - 1 : -len(short)] in holders:
            return SAME - 5
        return RELATED if short[-1] not in _IDENTITY else RELATED - 15
    if own[-1:] in holders and theirs[-1] in _IDENTITY:
        return RELATED
    if own[-1] in _IDENTITY and own[-2:-1] and own[-2:-1] in holders:
        return RELATED - 5
    return RELATED - 5 if made and own[-1:] in holders else 0


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and len(word) > 3 and not word.endswith("ss") else word
