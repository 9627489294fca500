"""JSON web tokens by what they claim (RFC 7519): when and for which exchange one was made is no difference, whom it lets do what is.

The signature follows from header, claims and key, and is looked at nowhere.
"""

from __future__ import annotations

import re
from typing import Any

from differ.aligning import exactly_equal
from differ.classes import format_of, instant_ns, klass_of
from differ.difference import FORMAT, VALUE
from differ.sink import Change
from echolane.base64url import object_of
from echolane.masks.atoms import is_word_mask

TEXT_MAX = 16 * 1024
"""A longer text is no token: servers refuse headers of this size."""
OPENING = "eyJ"
"""How every JSON object that begins with a quote begins in base64."""
SECONDS = 10**9
SLACK_S = 2
"""Seconds by which two lifetimes may differ and be one: issue and expiry are rounded apart."""
TIMES = frozenset(("iat", "exp", "nbf", "auth_time"))
"""Claims that are points in time; what ``exp`` says is how long a token lives."""
DRAWN = frozenset(("jti", "sid", "nonce", "at_hash", "c_hash", "s_hash", "kid"))
"""Claims and headers that are drawn for each token or key, or a digest of such."""
MEANT = frozenset(("sub", "iss", "aud", "azp", "client_id", "scope"))
"""Claims that say who may do what: another value is another right, whatever it looks like."""
_TOKEN = re.compile(r"[\w-]{4,}\.[\w-]{2,}\.[\w-]*", re.ASCII)


def token_of(text: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Header and claims of a token; None where the text is none."""
    if len(text) > TEXT_MAX or not text.startswith(OPENING) or not _TOKEN.fullmatch(text):
        return None
    header, claims = (object_of(part.encode()) for part in text.split(".")[:2])
    return None if header is None or claims is None else (header, claims)


def tokens(old: str, new: str) -> Change | None:
    """How two different tokens differ; None where one of the texts is none.

    A claim that changed is told apart from the value's own noise by its facet: it is ``FORMAT``, and the signature names it.
    """
    one, two = token_of(old), token_of(new)
    if one is None or two is None:
        return None
    apart = [*_apart(one[0], two[0]), *_apart(one[1], two[1])]
    lives = _lifetime(one[1]), _lifetime(two[1])
    if lives[0] is not None and lives[1] is not None and abs(lives[0] - lives[1]) > SLACK_S:
        apart.append("lifetime")
        one, two = (({**side[0], "lifetime": life}, side[1]) for side, life in zip((one, two), lives, strict=True))
    if not apart:
        return Change("value", VALUE, old, new, "jwt", "token")
    sides = one[1] | one[0], two[1] | two[0]
    told = {name: sides[0].get(name) for name in apart}, {name: sides[1].get(name) for name in apart}
    return Change("value", FORMAT, told[0], told[1], f"jwt:{','.join(sorted(apart))}")


def _apart(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Names whose values differ by more than chance or time."""
    return [
        name
        for name in dict.fromkeys([*old, *new])
        if (name in old) != (name in new)
        or (not exactly_equal(old[name], new[name]) and not _by_nature(name, old[name], new[name]))
    ]


def _by_nature(name: str, old: Any, new: Any) -> bool:
    """Whether two values differ as two tokens' values do anyway."""
    if old.__class__ is not new.__class__ or name in MEANT:
        return False
    if name in DRAWN:
        return True
    if name in TIMES:
        return isinstance(old, int | float)
    if isinstance(old, str):
        if is_word_mask(old.encode()) or is_word_mask(new.encode()):
            return False  # words stood there, and not the same
        klass = klass_of(old)
        return bool(klass) and klass == klass_of(new) and (klass == "token" or format_of(old) == format_of(new))
    return instant_ns(old) is not None and instant_ns(new) is not None


def _lifetime(claims: dict[str, Any]) -> int | None:
    """Seconds from issue to expiry."""
    begin, end = claims.get("iat", claims.get("nbf")), claims.get("exp")
    if isinstance(begin, int | float) and isinstance(end, int | float) and abs(begin) + abs(end) < SECONDS * SECONDS:
        return int(end - begin)
    return None
