"""Points in time as HTTP writes them: the three forms of RFC 9110 §5.6.7, and the dashed one that cookies still use."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = "(?P<month>" + "|".join(_MONTHS) + ")"
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_FORMS = (
    ("fixdate", re.compile(rf"{_DAY}, (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} GMT", re.ASCII)),
    ("rfc850", re.compile(rf"{_DAY}[a-z]*, (?P<day>\d\d)-{_MONTH}-(?P<year>\d{{2}}|\d{{4}}) {_TIME} GMT", re.ASCII)),
    ("asctime", re.compile(rf"{_DAY} {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})", re.ASCII)),
)


@lru_cache(maxsize=4096)
def http_date(text: str) -> tuple[int, str] | None:
    """Seconds since the epoch, and which form they are written in; None for anything else.

    A year of two digits is of 1970 to 2069 (RFC 6265 §5.1.1): no clock is needed to read it.
    """
    for form, pattern in _FORMS:
        found = pattern.fullmatch(text)
        if found is None:
            continue
        year = int(found["year"])
        if year < 100:
            year += 1900 if year >= 70 else 2000
        clock = int(found["hour"]), int(found["minute"]), int(found["second"])
        try:
            return int(datetime(year, _MONTHS[found["month"]], int(found["day"]), *clock, tzinfo=UTC).timestamp()), form
        except ValueError:  # the 31st of February
            return None
    return None
