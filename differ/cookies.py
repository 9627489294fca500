"""A Set-Cookie line by its attributes (RFC 6265 §5.2): what a cookie is, apart from the value that it carries today."""

from __future__ import annotations

import msgspec

from differ.difference import CLOCK, FORMAT, TYPE, VALUE
from differ.header_changes import clock, near
from differ.http_dates import http_date
from differ.sink import CLOCK_SLACK_NS, Change, texts

_WORDS = frozenset(("samesite", "domain", "priority"))
"""Attributes whose values have no case."""
LONG_AGO_S = 86_400 * 366
"""A cookie that ends within a year of the epoch was deleted, whatever time it is."""


AGE_DIGITS_MAX = 12
"""Of a Max-Age in seconds: more than any date needs, and quick to read."""


class Cookie(msgspec.Struct, frozen=True):
    """One cookie as a client is told to keep it."""

    name: str
    value: str
    attributes: dict[str, str]
    """By lower-case name, what is repeated joined. An expiry stands apart."""
    expires: str = ""
    expires_s: int | None = None
    """Seconds since the epoch, where it can be read."""

    def deleted(self, now_ns: int) -> bool | None:
        """Whether the client is told to forget it; None when that needs a clock which is not known."""
        age = self.attributes.get("max-age", "")
        if age.removeprefix("-").isdecimal():
            return age.startswith("-") or not age.strip("0")
        if not self.expires:
            return False
        if self.expires_s is None or self.expires_s < LONG_AGO_S:
            return self.expires_s is not None
        return self.expires_s * 1_000_000_000 <= now_ns + CLOCK_SLACK_NS if now_ns else None


def cookie_of(line: str) -> Cookie:
    """A line's cookie. Never raises: a line without a name is a cookie without one."""
    pair, *rest = line.split(";")
    name, equals, value = pair.partition("=")
    if not equals:
        name, value = "", pair
    attributes: dict[str, str] = {}
    for piece in rest:
        key, equals, text = piece.partition("=")
        key, text = key.strip(" \t").lower(), text.strip(" \t")
        if key:
            said = "=" + (text.lower().removeprefix(".") if key in _WORDS else text) if equals else ""
            attributes[key] = attributes[key] + ";" + said if key in attributes else said
    age = attributes.get("max-age", "").removeprefix("=")
    if age.isdecimal():
        attributes["max-age"] = age.lstrip("0") or "0"
    elif age.startswith("-"):
        attributes["max-age"] = age
    expires = attributes.pop("expires", "").removeprefix("=")
    when = http_date(expires) if expires else None
    return Cookie(name.strip(" \t"), value.strip(" \t"), attributes, expires, None if when is None else when[0])


def cookie_changed(old: str, new: str, now_ns: tuple[int, int]) -> Change | None:
    """How two lines for one cookie differ: coarsest first, so that a random value never hides an attribute beside it."""
    one, two = cookie_of(old), cookie_of(new)
    if says := _attributes(one, two, now_ns):
        return Change("format", TYPE, old, new, f"{one.name}: {' '.join(says)}"[:160])
    if one.value != two.value:
        change = texts(one.value, two.value, now_ns)
        if not one.value or not two.value:
            change = Change("value", FORMAT, old, new, "empty" if two.value == "" else "filled")
        change.old, change.new, change.signature = old, new, f"{one.name}:{change.signature}"
        return change
    if one.expires == two.expires or one.expires_s == two.expires_s is not None:
        return None
    if one.expires_s is None or two.expires_s is None:
        return Change("value", FORMAT, old, new, f"{one.name}: expires")
    flags = clock(one.expires_s, two.expires_s, now_ns)
    if _by_age(one, now_ns[0]) and _by_age(two, now_ns[1]):
        flags = CLOCK
    return Change("value", VALUE, old, new, f"{one.name}: expires", "time", flags)


def _by_age(cookie: Cookie, now_ns: int) -> bool:
    """Whether an expiry is its answer's instant and Max-Age, which is compared itself."""
    age = cookie.attributes.get("max-age", "")
    if not age.isdecimal() or len(age) > AGE_DIGITS_MAX or cookie.expires_s is None:
        return False
    return near(cookie.expires_s - int(age), now_ns)


def _attributes(one: Cookie, two: Cookie, now_ns: tuple[int, int]) -> list[str]:
    """Attributes that came, went or changed, and whether the cookie is set or deleted."""
    old, new = one.attributes, two.attributes
    says = [f"-{name}" for name in old if name not in new] + [f"+{name}" for name in new if name not in old]
    says += [f"{name} {old[name]}>{new[name]}" for name in old if name in new and old[name] != new[name]]
    if bool(one.expires) != bool(two.expires):
        says.append("-expires" if one.expires else "+expires")
    ends = one.deleted(now_ns[0]), two.deleted(now_ns[1])
    if None not in ends and ends[0] != ends[1]:
        says.append("deleted>set" if ends[0] else "set>deleted")
    return says
