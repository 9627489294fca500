"""The page of two runs beside each other. Pure; foreign text is escaped. It reads without any script."""

from __future__ import annotations

from urllib.parse import urlencode

from console import words
from console.api.messages import RunRow, Runs
from console.api.page_list import page, run_row
from console.escapes import html, short
from console.page_parts import duration
from console.two_runs import CHANGES, Change, Pair, compare, counts, ledgers
from console.words_place import place

ROWS_MAX = 200
"""Findings of one sort that are shown; the API has all."""
NO_OTHER = '<p class="row">No other run here has a result.</p>'
NAME_MAX, REASON_MAX = 300, 240
TITLES: dict[Change, str] = {"new": "New", "gone": "Gone", "changed": "Changed", "same": "The same"}
INTROS: dict[Change, str] = {
    "new": "Found by the second run, and not by the first.",
    "gone": "Found by the first run, and not by the second.",
    "changed": "Found by both, with another verdict, severity, reach or share of exchanges.",
    "same": "Found by both alike.",
}


def compared(before: words.Result, after: words.Result, *, word: str) -> str:
    """The whole page."""
    pairs = compare(before, after)
    numbers = counts(pairs)
    said = ", ".join(f"{number:,} {TITLES[change].lower()}" for change, number in numbers.items() if number)
    service = words.text(after, "service")
    main = (
        f'<section class="hero"><div class="say"><h1>{html(said[:1].upper() + said[1:] or "No finding in either run")}</h1>'
        f'<p class="note">Two runs of {html(short(service, NAME_MAX))}, by their findings.</p></div></section>'
        f'<div class="two">{_run("First run", before)}{_run("Second run", after)}</div>'
        f"{''.join(_section(change, pairs, before, after) for change in CHANGES)}"
        f"{_ledgers(before, after)}"
        f'<p class="more"><a href="/runs/{_id(after)}/compare/{_id(before)}">The other way round</a></p>'
    )
    return page(f"{service}: two runs", main, word=word)


def choice(run: str, service: str, started_at: str, runs: Runs, *, word: str) -> str:
    """Which other runs of its service a run can be set beside: those that have a result, the newest first."""
    others = [one for one in runs.runs if one.verdict and one.state == "finished" and one.run != run]
    rows = "".join(run_row(one, _way(run, started_at, one)) for one in others)
    more = (
        f'<p class="more"><a href="/runs/{html(run)}/compare?{html(urlencode({"cursor": runs.next}))}" rel="next">Older runs</a></p>'
        if runs.next
        else ""
    )
    main = (
        '<section id="runs"><h1>Compare with another run</h1>'
        f'<p class="intro">Runs of {html(short(service, NAME_MAX))} beside <a href="/runs/{html(run)}"><code>{html(run)}</code></a>, '
        "the older one first.</p>"
        f'<div class="rows">{rows or NO_OTHER}</div>{more}</section>'
    )
    return page(f"{service}: another run", main, word=word)


def _way(run: str, started_at: str, other: RunRow) -> str:
    first, second = (run, other.run) if (started_at, run) < (other.started_at, other.run) else (other.run, run)
    return f"/runs/{first}/compare/{second}"


def _id(result: words.Result) -> str:
    return html(words.text(result, "run"))


def _run(title: str, result: words.Result) -> str:
    verdict = words.verdict(result)
    when = words.text(result, "started_at")
    return (
        f'<section class="side"><h2>{title}</h2><p><span class="chip {verdict}">{verdict}</span> '
        f'<time datetime="{html(when)}">{html(when[:16].replace("T", " "))} UTC</time></p>'
        f"<p>{html(short(words.sentence(words.headline(result)), REASON_MAX))}</p>"
        f'<p><a href="/runs/{_id(result)}"><code>{_id(result)}</code></a></p></section>'
    )


def _section(change: Change, pairs: list[Pair], before: words.Result, after: words.Result) -> str:
    found = [pair for pair in pairs if pair.change == change]
    title = f'<h2>{TITLES[change]} <span class="count">{len(found):,}</span></h2>'
    if not found:
        return f'<section id="{change}" class="none-here">{title}<p class="intro">None.</p></section>'
    rows = "".join(_row(pair, before, after) for pair in found[:ROWS_MAX])
    left = len(found) - ROWS_MAX
    more = f'<p class="left-out">And {words.count(left, "more finding")}; the API tells all.</p>' if left > 0 else ""
    body = f'<p class="intro">{INTROS[change]}</p><div class="rows">{rows}</div>{more}'
    if change == "same":
        return f'<section id="{change}"><details><summary>{title}</summary>{body}</details></section>'
    return f'<section id="{change}">{title}{body}</section>'


def _row(pair: Pair, before: words.Result, after: words.Result) -> str:
    finding, result = pair.shown, before if pair.change == "gone" else after
    undecided = finding.get("verdict") == "undecided"
    label = "undecided" if undecided else words.severity(finding)
    anchor = f"{'undecided' if undecided else 'groups'}-{words.text(finding, 'id')}"
    return (
        f'<a class="row pair" href="/runs/{_id(result)}#{html(anchor)}"><span class="chip {label}">{label}</span>'
        f"<b>{html(short(words.endpoint(finding), NAME_MAX))}</b>"
        f"<span><code>{html(short(place(finding), NAME_MAX))}</code> {html(short(words.kind(finding), NAME_MAX))}</span>"
        f'<span class="sides">{_side(pair.before, pair.after)} <span aria-hidden="true">→</span>'
        f'<span class="sr"> then </span> {_side(pair.after, pair.before)}</span></a>'
    )


def _side(finding: words.Finding | None, other: words.Finding | None) -> str:
    """How often it differs in one run, and what is said of it where that is not as in the other."""
    if finding is None:
        return '<span class="none">not there</span>'
    facts = [words.seen(finding)]
    if other is not None:
        if finding.get("verdict") != other.get("verdict"):
            facts.append(words.text(finding, "verdict"))
        if finding.get("severity") != other.get("severity"):
            facts.append(words.severity(finding))
        if finding.get("endpoints") != other.get("endpoints"):
            facts.append(words.count(int(finding.get("endpoints") or 0), "endpoint"))
    return html(", ".join(facts))


def _took(result: words.Result) -> str:
    return duration(words.seconds(result))


def _ledgers(before: words.Result, after: words.Result) -> str:
    rows = [(name, f"{was:,}", f"{now:,}", was == now) for name, was, now in ledgers(before, after)]
    for name, told in (("fidelity", words.fidelity), ("took", _took)):
        rows.append((name, told(before), told(after), told(before) == told(after)))
    body = "".join(
        f'<tr{"" if same else " class=other"}><th scope="row"{" class=part" if name.startswith(" ") else ""}>{html(name.strip())}</th>'
        f"<td>{html(was)}</td><td>{html(now)}</td></tr>"
        for name, was, now, same in rows
    )
    told = [words.balance(words.ledger(result)) for result in (before, after)]
    balance = "Both accounts balance." if told == ["balanced"] * 2 else f"First: {told[0]}. Second: {told[1]}."
    return (
        f'<section id="account"><h2>Accounts</h2><p class="intro">{html(short(balance, 500))}</p>'
        '<table class="accounts"><thead><tr><th scope="col">exchanges</th><th scope="col">first</th><th scope="col">second</th></tr></thead>'
        f"<tbody>{body}</tbody></table></section>"
    )
