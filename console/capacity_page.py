"""An evaluated capacity as one self-contained HTML page: the answer, latency over load, rules, intervals, account. Pure.

Style and policy are those of a run's page (:mod:`console.page_style`); every foreign text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from console.escapes import html, short
from console.page import LOGO
from console.page_style import asset, favicon, policy
from echolane import __version__

WIDTH, HEIGHT = 960, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 44
SERIES = (("p50_ms", "p50"), ("p90_ms", "p90"), ("p99_ms", "p99"))
VERDICTS = {"found": "pass", "at-least": "pass"}
TICKS = (1, 2, 5)
TICKS_MOST = 8
"""Numbers along an axis; more would touch."""


def render_capacity(result: dict[str, Any], headline: str) -> str:
    """The whole page; ``headline`` is the answer in one sentence."""
    verdict = VERDICTS.get(result["state"], "inconclusive")
    name = html(short(result["service"], 80))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy()}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        '<meta name="referrer" content="no-referrer">'
        f'<title>Capacity: {name} · Echolane</title><link rel="icon" href="{favicon(verdict)}">'
        f"<style>{asset('page.css')}</style></head>\n"
        f'<body class="{verdict}"><a class="skip" href="#curve">Skip to the curve</a>'
        f'<header class="top"><span class="brand">{LOGO}Echolane</span><span class="service">{name}</span>'
        '<nav aria-label="Parts of this page"><a href="#curve">Curve</a><a href="#intervals">Intervals</a>'
        '<a href="#account">Account</a></nav></header>\n<main>'
        f'<section class="hero" aria-labelledby="verdict"><div class="say"><h1 id="verdict" class="long">{html(headline)}</h1>'
        f'<p class="lede">{html(short(result["reason"], 600))}</p>'
        f'<p class="versions"><b>target</b> <code>{html(short(result["target"], 300))}</code></p></div></section>'
        f"{_curve(result)}{_rules(result)}{_intervals(result)}{_account(result)}</main>\n"
        f"<footer>Written by Echolane {__version__}.</footer></body></html>\n"
    )


def _curve(result: dict[str, Any]) -> str:
    points = result["curve"]
    drawn = _drawn(result, points) if points else "<p class='note'>Nothing was measured.</p>"
    rows = [
        [f"{p['rate_per_s']:,.1f}", f"{p['intervals']}", f"{p['requests']:,}", f"{p['errors']:,}"]
        + [f"{p[key]:,.1f}" for key, _ in SERIES]
        + ["healthy" if p["healthy"] else "broken"]
        for p in points
    ]
    heads = ["requests/s", "intervals", "requests", "errors", "p50 ms", "p90 ms", "p99 ms", ""]
    intro = "Latency counts from the instant at which each request was due, so that waiting is seen. Both scales are logarithmic."
    return f'<section id="curve"><h2>Latency over load</h2><p class="intro">{intro}</p>{drawn}{_table("Intervals", heads, rows)}</section>'


def _drawn(result: dict[str, Any], points: Sequence[dict[str, Any]]) -> str:
    rates = [point["rate_per_s"] for point in points]
    values = [max(point[key], 0.01) for point in points for key, _ in SERIES]
    bound = next((rule["bound"] for rule in result["rules"] if rule["signal"] == "latency"), 0.0)
    across = _scale(min(rates) / 1.1, max(rates) * 1.1, LEFT, WIDTH - RIGHT)
    up = _scale(min(values) / 1.3, max([*values, bound]) * 1.3, HEIGHT - BOTTOM, TOP)
    parts = [_axes(rates, [*values, bound], across, up)]
    sure = result["confidence"]
    if sure and sure["high_per_s"] is not None:
        x, end = across(max(sure["low_per_s"], rates[0] / 1.1)), across(min(sure["high_per_s"], rates[-1] * 1.1))
        parts.append(
            f'<rect class="sure" x="{x:.1f}" y="{TOP}" width="{max(end - x, 2):.1f}" height="{HEIGHT - TOP - BOTTOM}"/>'
        )
    if bound:
        parts.append(
            f'<line class="bound" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(bound):.1f}" y2="{up(bound):.1f}"/>'
        )
    for key, title in SERIES:
        line = " ".join(f"{across(p['rate_per_s']):.1f},{up(max(p[key], 0.01)):.1f}" for p in points)
        parts.append(f'<polyline class="{title}" points="{line}"/>')
    for p in points:
        where = f'cx="{across(p["rate_per_s"]):.1f}" cy="{up(max(p["p99_ms"], 0.01)):.1f}"'
        said = f"{p['rate_per_s']:,.1f}/s: p99 {p['p99_ms']:,.1f} ms, {'healthy' if p['healthy'] else 'broken'}"
        parts.append(
            f'<circle class="{"healthy" if p["healthy"] else "broken"}" {where} r="4"><title>{said}</title></circle>'
        )
    legend = "".join(f'<span class="{title}">{title}</span>' for _, title in SERIES)
    band = " The band is where the limit lies; the dashed line is the latency rule."
    return (
        f'<figure class="curve"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Latency over load">{"".join(parts)}</svg>'
        f"<figcaption>{legend}{band}</figcaption></figure>"
    )


def _scale(least: float, most: float, begin: float, end: float) -> Callable[[float], float]:
    """From a value to a place, logarithmically."""
    low, span = math.log(least), math.log(most / least) or 1.0
    return lambda value: begin + (math.log(value) - low) / span * (end - begin)


def _axes(
    rates: Sequence[float], values: Sequence[float], across: Callable[[float], float], up: Callable[[float], float]
) -> str:
    floor = HEIGHT - BOTTOM
    parts = [f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{floor}" y2="{floor}"/>']
    parts += [
        f'<text x="{across(tick):.1f}" y="{floor + 18}" text-anchor="middle">{tick:g}</text>'
        for tick in _ticks(min(rates), max(rates))
    ]
    parts += [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(tick):.1f}" y2="{up(tick):.1f}"/>'
        f'<text x="{LEFT - 8}" y="{up(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick in _ticks(min(value for value in values if value), max(values))
    ]
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">requests/s</text>')
    return "".join([*parts, f'<text x="{LEFT - 8}" y="{TOP - 4}" text-anchor="end">ms</text>'])


def _ticks(least: float, most: float) -> list[float]:
    """1, 2, 5, 10 … within a range; only the decades where that would be too many."""
    decades = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    found = [tick * 10.0**decade for decade in decades for tick in TICKS if least <= tick * 10.0**decade <= most]
    return found if len(found) <= TICKS_MOST else [tick for tick in found if math.log10(tick) % 1 < 1e-9]


def _rules(result: dict[str, Any]) -> str:
    limit: dict[str, Any] = result["limit"] or {}
    rows = [
        [
            html(rule["signal"]),
            f"{'≥' if rule['at_least'] else '≤'} {rule['bound']:g}{' ' + rule['unit'] if rule['unit'] else ''}",
            f"{limit['value']:,.4g} at {limit['rate_per_s']:,.1f}/s" if limit.get("signal") == rule["signal"] else "",
        ]
        for rule in result["rules"]
    ]
    return f'<section id="rules"><h2>Health rules</h2>{_table("Health rules", ["signal", "must be", "broke first"], rows)}</section>'


def _intervals(result: dict[str, Any]) -> str:
    rows = [
        [
            str(number),
            one["phase"],
            f"{one['rate_per_s']:,.1f}",
            f"{one.get('p50_ms', 0):,.1f}",
            f"{one.get('p99_ms', 0):,.1f}",
            f"{one['late_ms']:,.1f}",
            html(one["state"] + (f": {one['signal']}" if one["signal"] else "")),
        ]
        for number, one in enumerate(result["intervals"], 1)
    ]
    heads = ["", "phase", "requests/s", "p50 ms", "p99 ms", "we were late, ms", ""]
    return f'<section id="intervals"><h2>Intervals</h2>{_table("Intervals", heads, rows)}</section>'


def _account(result: dict[str, Any]) -> str:
    ledger = result["ledger"]
    off = "; ".join(ledger["unaccounted"])
    state = f"It does not balance: {off}" if off else "Every request is accounted for."
    less = "".join(f" - {count:,} {reason}" for reason, count in ledger["skipped"].items())
    failed = "".join(f" + {count:,} {reason}" for reason, count in ledger["failed"].items())
    said = f"{ledger['due']:,} due{less} = {ledger['fired']:,} fired = {ledger['answered']:,} answered{failed}"
    return (
        f'<section id="account"><h2>Account</h2><p class="{"off" if off else "even"}">{html(state)}</p>'
        f"<p>{html(said)}</p></section>"
    )


def _table(name: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that scrolls sideways where it is wider than the page, by keys too."""
    head = "".join(f'<th scope="col">{html(text)}</th>' for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    frame = f'<div class="figures" role="region" aria-label="{html(name)}" tabindex="0">'
    return f"{frame}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
