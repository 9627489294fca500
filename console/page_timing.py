"""How long the answers of a run took and how late its requests were, on its page: one closed table with small histograms. Pure.

All rows have one logarithmic scale, so that base and branch, and service time and response time, can be compared by eye.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import log2
from typing import Any, cast

from console import words
from console.page_parts import TARGET_TITLES, name
from console.words_timing import duration, retry_lines, timing_lines

KEYS = {"p50": "p50_us", "p90": "p90_us", "p99": "p99_us", "p99.9": "p999_us", "max": "max_us"}
OF_TARGETS = {"service": "service time", "response": "response time, from the instant due"}
OF_RUN = {"lateness": "sent late", "session_wait": "waited for their session's order"}
OCTAVES_MAX = 64
"""Bars of a histogram: an octave each, and a microsecond and 2^64 of them are beyond any time that was measured."""
LEAST = 6
"""Percent of the height of a bar with anything in it: one slow answer of a million must be seen."""
SAID = (
    "Service time runs from a request's sending to the last byte of its answer; response time from the instant at which it was due, "
    "with every wait in it."
)
Row = tuple[str, str, Mapping[str, Any]]


def has_times(result: words.Result) -> bool:
    """Whether there is anything to show."""
    return any(_rows(result))


def times(result: words.Result) -> str:
    """The section; empty for a result of before times were told, and where nothing was answered."""
    rows = list(_rows(result))
    if not rows:
        return ""
    found = words.section(result, "timing")
    octaves = sorted(octave for _, _, one in rows for octave, _ in _bars(one))
    span = (octaves[0], octaves[-1]) if octaves else (0, 0)
    heads = "".join(f'<th scope="col">{title}</th>' for title in ("", "count", *KEYS, "how many took how long"))
    body = "".join(_line(title, kind, one, span) for title, kind, one in rows)
    notes = "".join(f'<p class="note">{name(line)}</p>' for line in [*retry_lines(result), *_places(found)])
    scale = f"The bars of all rows have one scale, doubling from {duration(2 ** (span[0] - 1))} to {duration(2 ** span[1])}."
    return (
        f'<section id="times"><details class="times"><summary><h2>Times</h2><p>{name(_short(result))}</p></summary>'
        f'<p class="intro">Pace: <b>{name(found.get("pace") or "not told", 80)}</b>. {SAID} {scale}</p>'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{notes}</details></section>"
    )


def _short(result: words.Result) -> str:
    """What the closed section says: how long base and branch took."""
    line = next(timing_lines(result), "")
    return line[:1].upper() + line[1:]


def _rows(result: words.Result) -> Iterator[Row]:
    """Title, what it is of, and the series, of each that has values."""
    found = words.section(result, "timing")
    targets = words.section(found, "targets")
    for kind, what in OF_TARGETS.items():
        for target, title in TARGET_TITLES.items():
            if one := words.section(words.section(targets, target), kind):
                yield title, what, one
    for key, title in OF_RUN.items():
        if one := words.section(found, key):
            yield title, "requests", one


def _line(title: str, kind: str, one: Mapping[str, Any], span: tuple[int, int]) -> str:
    cells = "".join(f'<td data-name="{key}">{_value(one.get(field))}</td>' for key, field in KEYS.items())
    return (
        f'<tr><th scope="row">{title} <span>{kind}</span></th><td data-name="count">{int(_number(one.get("count"))):,}</td>'
        f'{cells}<td class="spread">{_histogram(one, span)}</td></tr>'
    )


def _value(value: object) -> str:
    return duration(_number(value)) if isinstance(value, int | float) else "none"


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _bars(one: Mapping[str, Any]) -> list[tuple[int, float]]:
    """(octave, count): how many took less than 2^octave microseconds, and at least half of it. What is damaged is left out."""
    pairs = [cast("list[Any]", pair) for pair in words.listed(one, "histogram")[:OCTAVES_MAX] if isinstance(pair, list)]
    found = [(_number(pair[0]), _number(pair[1])) for pair in pairs if len(pair) == 2]
    return [(round(log2(below)), count) for below, count in found if 1 <= below <= 2.0**OCTAVES_MAX and count > 0]


def _histogram(one: Mapping[str, Any], span: tuple[int, int]) -> str:
    bars = _bars(one)
    if not bars:
        return ""
    most, wide = max(count for _, count in bars), 100 / (span[1] - span[0] + 1)
    rects = "".join(
        f'<rect x="{(octave - span[0]) * wide:.2f}%" width="{wide:.2f}%" y="{100 - high:.1f}%" height="{high:.1f}%"/>'
        for octave, count in bars
        for high in [max(count / most * 100, LEAST)]
    )
    top = max(bars, key=lambda bar: bar[1])[0]
    said = f"most took {duration(2 ** (top - 1))} to {duration(2**top)}"
    return f'<svg class="spread" role="img" aria-label="{said}">{rects}</svg>'


def _places(found: Mapping[str, Any]) -> Iterator[str]:
    """How many places in flight an adaptive run came to."""
    bore = words.section(found, "concurrency")
    for target, title in TARGET_TITLES.items():
        if last := words.section(bore, target).get("last"):
            yield f"{title} bore {words.count(int(_number(last)), 'request')} in flight at the end"
