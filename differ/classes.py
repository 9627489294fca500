"""Classes of values: what is random or a clock by its looks, and what stays of a text when that is masked."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

TEXT_MAX = 64 * 1024
"""Beyond this a text is compared by lines only; masking megabytes tells a person nothing more."""

_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_DATE = (
    rf"{_DAY},? \d{{1,2}}[ -]{_MONTH}[ -]\d{{2,4}} \d\d:\d\d:\d\d(?: (?:GMT|UTC|[+-]\d{{4}}))?"
    r"|\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"
)
_PAIRS = r"\b[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5,}\b"
"""Bytes with colons: fingerprints of keys, hardware addresses."""
_HASH = rf"\b(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{{8,}}\b|{_PAIRS}"
_OPAQUE = r"(?<![\w/.+-])(?=[\w+/=-]{0,255}\d)(?=[\w+/=-]{0,255}[A-Za-z])[\w+/=-]{20,}(?![\w/.+-])"
_NUMBER = r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
MASKED = re.compile(f"(?P<uuid>{_UUID})|(?P<time>{_DATE})|(?P<hash>{_HASH})|(?P<token>{_OPAQUE})|(?P<number>{_NUMBER})")
_WHOLE = (
    ("uuid", re.compile(_UUID)),
    ("time", re.compile(_DATE)),
    (
        "hash",
        re.compile(
            rf'(?:W/)?"?(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{{8,}}"?|(?:W/)?"[^"]{{6,}}"|{_PAIRS}'
        ),
    ),
    ("token", re.compile(r"(?=[\w+/=.-]*\d)(?=[\w+/=.-]*[A-Za-z])[\w+/=.-]{12,}")),
)
_TELLING = re.compile(r'[\d"-]')
"""A character of which each of these has at least one: most texts of people have none, and are told by one look."""
_TURN = re.compile(r"\d[A-Za-z]|[A-Za-z](?=\d)|[a-z](?=[A-Z])")
TURNS_MIN = 4
"""Turns between letters and digits, or from small to capital, in a token that was drawn by chance; a path, a name or a version has fewer."""
_HEX = re.compile(r"[0-9a-fA-F]{8,}")
_RUN = re.compile(rf"\b[0-9a-fA-F]{{8,}}\b|{_PAIRS}")
_DIGITS = re.compile(r"[\d:]*")
LENGTHENED = 2
"""Characters by which an id inside a text must be longer to have another form: a number written in hex has one more or less by luck."""
_LIST = re.compile(r"[\w*!#$&.+:/-]+(?:\s*,\s*[\w*!#$&.+:/-]+)+")
_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")


@lru_cache(maxsize=4096)
def format_of(text: str) -> str:
    """The text with times, ids, hashes, tokens and numbers masked, and a list of tokens in one order."""
    masked = text[:TEXT_MAX]
    if _TELLING.search(masked) is not None:
        masked = MASKED.sub(lambda found: f"<{found.lastgroup}>", masked)
    if "," in masked and _LIST.fullmatch(masked):
        return ", ".join(sorted(part.strip() for part in masked.split(",")))
    return masked


@lru_cache(maxsize=4096)
def klass_of(text: str) -> str:
    """The generative class of a whole value: time, uuid, hash or token; empty for anything else."""
    for name, pattern in _WHOLE if _TELLING.search(text) is not None else ():
        if pattern.fullmatch(text):
            return name if name != "token" or drawn(text) else ""
    return ""


def drawn(text: str) -> bool:
    """Whether letters and digits are mixed as chance mixes them."""
    return len(_TURN.findall(text)) >= TURNS_MIN


@lru_cache(maxsize=4096)
def klass_of_both(old: str, new: str) -> str:
    """The class of two values of one place; empty where they are of two classes."""
    klass, other = klass_of(old), klass_of(new)
    if klass == other:
        return klass
    # One in forty hashes of eight characters has no letter, or no digit.
    if "hash" in {klass, other} and len(old) == len(new) and _HEX.fullmatch(old) and _HEX.fullmatch(new):
        return "hash"
    return ""


def hashes_apart(old: str, new: str) -> tuple[str, str] | None:
    """The first two hashes of unlike length inside texts that are alike but for hashes, ``("", "")`` where all are as long.

    None where the texts differ in anything else, or in no hash. One in forty hashes of eight characters has no letter, so a run of
    digits is a hash where the other text has a letter in its place.
    """
    old, new = old[:TEXT_MAX], new[:TEXT_MAX]
    runs, others = _RUN.findall(old), _RUN.findall(new)
    if len(runs) != len(others) or format_of(_RUN.sub("", old)) != format_of(_RUN.sub("", new)):
        return None
    pairs = [(one, two) for one, two in zip(runs, others, strict=True) if one != two]
    if not pairs or any(_DIGITS.fullmatch(one) and _DIGITS.fullmatch(two) for one, two in pairs):
        return None
    return next(((one, two) for one, two in pairs if abs(len(one) - len(two)) >= LENGTHENED), ("", ""))


def is_permutation(left: str, right: str) -> bool:
    """Whether two texts list the same members in another order."""
    if len(left) != len(right) or "," not in left or len(left) > TEXT_MAX:
        return False
    return left != right and sorted(p.strip() for p in left.split(",")) == sorted(p.strip() for p in right.split(","))


def instant_ns(value: object) -> int | None:
    """A time as nanoseconds since the epoch: HTTP dates, ISO 8601, epoch seconds or milliseconds; None for anything else."""
    if isinstance(value, str):
        try:
            if _HTTP_DATE.fullmatch(value):
                return int(parsedate_to_datetime(value).timestamp()) * 1_000_000_000
            if len(value) >= 19 and value[4] == "-" and value[10] in "T ":
                parsed = datetime.fromisoformat(value)
                return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1e9)
        except (ValueError, OverflowError):
            return None
        value = float(value) if value.isdigit() and len(value) in {10, 13} else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        if 1e9 < value < 1e10:
            return int(value * 1e9)
        if 1e12 < value < 1e13:
            return int(value * 1e6)
    return None


_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:([T ])\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")


def notation_of(time: str) -> str:
    """How a time is written: separator and zone of ISO 8601, else a date. Fractions of a second do not count: some leave zeros out."""
    found = _ISO.fullmatch(time)
    return "date" if found is None else f"ISO 8601{found[1] or ''}{found[2] or ''}"


_TIMING = re.compile(
    r"(?<!\d)\d+(?:\.\d+)?\s?(?:ms|µs|us|ns|s|secs?|seconds?|milliseconds?|microseconds?|minutes?)\b", re.IGNORECASE
)
TIMING_NAME = re.compile(
    r"(?i:duration|elapsed|latency|took|uptime|nanos|millis|micros)\w*'?\]?$|(?:_ms|_ns|_us|_secs|Ms|Ns)'?\]?$"
    r"|(?i:process|processing|response\w*|serve|server|total|query|execution|exec|send|wait|cpu|wall|render)[_-]?[Tt]ime'?\]?$"
)
"""Names of numbers that measure the process itself: they differ by nature, so two equal controls prove nothing."""


def timing_apart(old: str, new: str) -> bool:
    """Whether two texts differ in a measured duration and nothing else (``in 13 ms``)."""
    return old == new or (bool(_TIMING.search(old)) and _TIMING.sub("<t>", old) == _TIMING.sub("<t>", new))


def times_apart(old: str, new: str) -> list[tuple[str, str]]:
    """The points in time by which alone two texts of one format differ; empty where anything else differs.

    ``expires`` in a cookie has a second's resolution: answers of one instant agree or differ by luck.
    """
    found: list[tuple[str, str]] = []
    for one, two in zip(MASKED.finditer(old[:TEXT_MAX]), MASKED.finditer(new[:TEXT_MAX]), strict=False):
        if one[0] == two[0]:
            continue
        if one.lastgroup != "time" or two.lastgroup != "time":
            return []
        found.append((one[0], two[0]))
    return found


@lru_cache(maxsize=4096)
def timing_name(step: str) -> bool:
    """Whether the last step of a path names a measurement (``.query_ms``, ``.processTime``)."""
    return TIMING_NAME.search(step) is not None
