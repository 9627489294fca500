"""The server's pages beside a run's own: services and runs, a run on its way, the door. Pure; foreign text is escaped.

Style and script come from ``/assets``, so that the policy of these pages admits nothing inline.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

from console.api.messages import RunRow, Runs, RunState, ServiceTold
from console.escapes import html, short
from console.page import API, LOGO
from console.page_style import favicon
from echolane import __version__

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
WORDS = {
    "queued": "waits for its turn",
    "running": "goes on",
    "paused": "stands still",
    "interrupted": "was interrupted",
    "failed": "did not come about",
}
ORDERS = {"pause": "Pause", "resume": "Go on", "cancel": "Cancel"}
"""What a run is told from its page, by the operation's word."""
REFRESH_S = 5


def page(
    title: str, main: str, *, word: str = "", events: str = "", refresh: bool = False, copies: bool = False
) -> str:
    """A page of the server around its content; ``copies``: whether it has commands to copy."""
    out = (
        f'<form method="post" action="/logout"><input type="hidden" name="word" value="{html(word)}">'
        "<button>Log out</button></form>"
        if word
        else ""
    )
    nav = '<nav aria-label="Pages"><a href="/">Runs</a><a href="/recordings">Recordings</a></nav>' if word else ""
    again = f'<noscript><meta http-equiv="refresh" content="{REFRESH_S}"></noscript>' if refresh else ""
    scripts = ["keys.js", *(["copy.js"] if copies else []), *(["live.js"] if events else [])]
    script = "".join(f'<script src="/assets/{file}" defer></script>' for file in scripts)
    live = f' data-events="{html(events)}"' if events else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f'<title>{html(title)} · Echolane</title><link rel="icon" href="{favicon("inconclusive")}">'
        f'<link rel="stylesheet" href="/assets/page.css"><link rel="stylesheet" href="/assets/list.css">{again}{script}</head>\n'
        f'<body{live}><a class="skip" href="#main">Skip to the content</a>'
        f'<header class="top"><a class="brand" href="/">{LOGO}Echolane</a>{nav}{out}</header>\n'
        f'<main id="main">{main}</main>\n<footer>Echolane {__version__} · {API}</footer></body></html>\n'
    )


def overview(
    services: Sequence[ServiceTold],
    runs: Runs,
    start: str,
    *,
    word: str,
    may_set: bool = False,
    service: str = "",
) -> str:
    """Services and their state, where a run is asked for, and runs."""
    cards = (
        "".join(_service(one) for one in services)
        or '<p class="row">Nothing has been recorded yet: <code>echolane record</code></p>'
    )
    listed = "".join(run_row(one, f"/runs/{one.run}") for one in runs.runs) or '<p class="row">No runs yet.</p>'
    query = {"cursor": runs.next, **({"service": service} if service else {})}
    more = (
        f'<p class="more"><a href="/?{html(urlencode(query))}#runs" rel="next">Older runs</a></p>' if runs.next else ""
    )
    links = [("/settings", "Settings")] if may_set else []
    if service:
        links = [("/", "All services"), (f"/recordings?{urlencode({'service': service})}", "What is recorded")]
        links.append((f"/services/{service}/noise", "Noise"))
    everything = " · ".join(f'<a href="{html(path)}">{said}</a>' for path, said in links)
    everything = f'<p class="intro">{everything}</p>' if everything else ""
    return page(
        service or "Services and runs",
        '<h1 class="sr">Services and runs</h1><section id="services">'
        f'<h2>Services <span class="count">{len(services):,}</span></h2>{everything}'
        f'<div class="rows">{cards}</div></section>{start}'
        f'<section id="runs"><h2>Runs</h2><div class="rows">{listed}</div>{more}</section>',
        word=word,
    )


def _service(one: ServiceTold) -> str:
    latest = one.latest
    seen = f"{one.runs:,} {'run' if one.runs == 1 else 'runs'}"
    targets = ", ".join(target.name for target in one.targets)
    what = f"targets: {targets}" if targets else "no targets configured"
    recorded = "recorded" if one.recorded else "nothing recorded"
    when = moment(latest.started_at) if latest else "<time>never</time>"
    return (
        f'<a class="row" href="/?{html(urlencode({"service": one.service}))}">{_chip(latest)}<b>{html(one.service)}</b>'
        f"<span>{recorded} · {seen} · {html(short(what, 200))}</span>{when}</a>"
    )


def choices(pairs: Iterable[tuple[str, str]], chosen: str) -> str:
    """What a list of a form offers: values and what stands for them."""
    return "".join(
        f'<option value="{html(value)}"{" selected" if value == chosen else ""}>{html(text)}</option>'
        for value, text in pairs
    )


def run_row(one: RunRow, href: str) -> str:
    """A run of a list, which leads somewhere."""
    said = (one.reason_code or one.state).replace("-", " ")
    return (
        f'<a class="row" href="{html(href)}">{_chip(one)}<b>{html(one.service)}</b>'
        f"<span>{html(said)} · <code>{html(one.run)}</code></span>{moment(one.started_at)}</a>"
    )


def _chip(one: RunRow | None) -> str:
    if one is None:
        return '<span class="chip">no run</span>'
    going = one.state in {"queued", "running", "paused"}
    text = one.state if going or not one.verdict else one.verdict
    return f'<span class="chip {"going" if going else html(text)}">{html(text)}</span>'


def moment(text: str | None) -> str:
    """``2026-11-26 18:05 UTC``; nothing where it is not known."""
    if not text:
        return "<time></time>"
    return f'<time datetime="{html(text)}">{html(text[:16].replace("T", " "))} UTC</time>'


def on_its_way(state: RunState, *, word: str, orders: Sequence[str] = (), may_run: bool) -> str:
    """A run that has no result (yet): how far it is, or why there is none; ``orders``: what this reader may tell it."""
    going = state.state in {"queued", "running", "paused"}
    of = f"{state.done:,} of {state.total:,} exchanges" if state.total else f"{state.done:,} exchanges"
    value = f' value="{state.done}" max="{state.total}"' if state.total else (" value='0' max='1'" if not going else "")
    why = f'<p class="lede">{html(short(state.said, 500))}</p>' if state.said else ""
    buttons = "".join(order(state.run, one, word) for one in orders)
    buttons = f'<div class="orders">{buttons}</div>' if buttons else ""
    again = (
        f'<p class="more"><a href="/runs/{html(state.run)}/rerun">Run it again</a></p>' if may_run and not going else ""
    )
    main = (
        f'<section class="hero"><div class="say"><h1>Run of {html(state.service)} {WORDS.get(state.state, "")}</h1>'
        f'<p class="versions"><code>{html(state.run)}</code></p>{why}<progress aria-label="Progress"{value}></progress>'
        f'<p class="under"><span id="count">{of}</span><span id="state">{state.state}</span></p>{buttons}{again}</div></section>'
    )
    events = f"/api/v1/runs/{state.run}/events" if going else ""
    main += _denied(state.run) if going else ""
    return page(f"{state.service}: {state.state}", main, word=word, events=events, refresh=going)


def _denied(run: str) -> str:
    """What the script shows where it is told that nobody is logged in any more."""
    return (
        '<p class="wrong" id="denied" role="alert" hidden>Your session has ended, so this page follows the run no longer. '
        f'<a href="{html(login_for(run))}">Log in again</a></p>'
    )


def login_for(run: str) -> str:
    """The door, and behind it the page of a run."""
    return f"/login?{urlencode({'next': f'/runs/{run}'})}"


def order(run: str, name: str, word: str) -> str:
    """The button by which a run is told something."""
    return (
        f'<form class="more" method="post" action="/runs/{html(run)}/{name}"><input type="hidden" name="word" value="{html(word)}">'
        f"<button>{ORDERS[name]}</button></form>"
    )


def resume(state: RunState, *, word: str) -> str:
    """Asks whether a run is to go on."""
    return page(
        f"{state.service}: go on",
        f'<section class="hero"><div class="say"><h1>Go on with the run of {html(state.service)}</h1>'
        '<p class="note">Exchanges that were not fired are fired now, at the same targets, and its result is made anew of all.</p>'
        f'<p class="versions"><a href="/runs/{html(state.run)}"><code>{html(state.run)}</code></a></p>'
        f"{order(state.run, 'resume', word)}</div></section>",
        word=word,
    )


def rerun(state: RunState, *, word: str) -> str:
    """Asks whether a run is to be done again."""
    done = f"{state.total:,} exchanges" if state.total else "its exchanges"
    return page(
        f"{state.service}: run again",
        f'<section class="hero"><div class="say"><h1>Run of {html(state.service)} again</h1>'
        f'<p class="note">The whole run is done again: {done}, at the same targets, as it was asked for. '
        "Single exchanges are not chosen, for they depend on those before them in their session.</p>"
        f'<p class="versions"><a href="/runs/{html(state.run)}"><code>{html(state.run)}</code></a></p>'
        f'<form class="more" method="post" action="/runs/{html(state.run)}/rerun"><input type="hidden" name="word" value="{html(word)}">'
        "<button>Run it again</button></form></div></section>",
        word=word,
    )


def door(after: str, wrong: str = "", *, provider: str = "", takes_token: bool = True) -> str:
    """Asks who somebody is: by a provider, by a token, or either."""
    bad = f'<p class="wrong" role="alert">{html(short(wrong, 500))}</p>' if wrong else ""
    sign = (
        f'<p><a class="sign" href="/signin?{html(urlencode({"next": after}))}">Sign in with {html(short(provider, 60))}</a></p>'
        if provider
        else ""
    )
    token = (
        '<input type="text" name="user" value="echolane" autocomplete="username" hidden>'
        f'<label>Token<input type="password" name="token" autocomplete="current-password" required{"" if provider else " autofocus"}></label>'
        '<p class="note">The first start of the server printed one; <code>echolane token create</code> makes more.</p>'
        "<button>Log in</button>"
        if takes_token
        else ""
    )
    return page(
        "Log in",
        f'<form class="door" method="post" action="/login"><h1>Log in</h1>{bad}{sign}'
        f'<input type="hidden" name="next" value="{html(after)}">{token}</form>',
    )


def mistake(title: str, detail: str) -> str:
    """An error, for a person."""
    return page(
        title,
        f'<section class="hero"><div class="say"><h1>{html(title)}</h1><p class="lede">{html(short(detail, 500))}</p>'
        '<p class="versions"><a href="/">Services and runs</a></p></div></section>',
    )
