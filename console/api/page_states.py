"""The pages of what runs stand on: what is recorded, a service's noise, the settings. Pure; foreign text is escaped. No script needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from console.api.messages import Recordings, RecordingTold
from console.api.messages_state import (
    CaptureRule,
    CaptureRules,
    Captures,
    CaptureTold,
    Noise,
    NoisyPlace,
    Profiles,
    ProfileTold,
    SettingsTold,
    SettingTold,
)
from console.api.page_list import moment, page
from console.escapes import html, short
from console.words import count

TEXT_MAX = 300


class Recorded(NamedTuple):
    """What the page of recordings shows."""

    captures: Captures
    rules: Sequence[CaptureRules]
    recordings: Recordings
    service: str = ""
    """The only one that is shown."""
    wrong: str = ""
    """Why what was asked for by the form was not done."""


def recorded(told: Recorded, *, word: str, may_run: bool) -> str:
    """What is recorded, who recorded it and what came of each exchange, and the parts that are kept by name."""
    only = {"service": told.service} if told.service else {}
    rules = [_rule(one.service, rule) for one in told.rules for rule in one.rules]
    everything = '<p class="intro"><a href="/recordings">All services</a></p>' if told.service else ""
    return page(
        f"Recordings of {told.service}" if told.service else "Recordings",
        f'<h1 class="sr">Recordings and captures</h1><section id="rules"><h2>What is recorded</h2>{everything}'
        '<p class="intro">As this server\'s configuration says. Credentials and personal data are masked always.</p>'
        f"{_rows(rules, 'No service is configured or recorded yet.')}</section>"
        '<section id="captures"><h2>Captures</h2><p class="intro">Each start of a recorder or import in this home, and what came of '
        "each exchange that it saw. Recorders on other machines have accounts of their own.</p>"
        f"{_rows([_capture(one) for one in told.captures.captures], 'Nothing has been captured here yet.')}"
        f"{_more(only, 'cursor', told.captures.next, 'Older captures', 'captures')}</section>"
        f'<section id="recordings"><h2>Recordings</h2><p class="intro">Parts of what was recorded, kept by name, that a run can take.</p>'
        f"{_keep(told, word) if may_run else ''}"
        f"{_rows([_recording(one) for one in told.recordings.recordings], 'None is kept: a run takes all that is recorded.')}"
        f"{_more(only, 'older', told.recordings.next, 'Older recordings', 'recordings')}</section>",
        word=word,
    )


def noise(told: Noise, kept: Profiles, *, word: str) -> str:
    """What runs have learned of how a service differs from itself."""
    name = html(told.service)
    where = f"/services/{name}/noise"
    profiles = [_profile(one, where, told.profile) for one in kept.profiles]
    base = {"base": told.profile.base} if told.profile else {}
    places = (
        f'<section id="places"><h2>Places <span class="count">{told.total:,}</span></h2>'
        '<p class="intro">Where this version differs from itself, those first that do most often. A change there is held against this.</p>'
        f"{_rows([_place(one) for one in told.places], 'It does not differ from itself anywhere.')}"
        f"{_more(base, 'cursor', told.next, 'More places', 'places')}"
        f'<p class="note">As rules to be kept in git: <code>echolane rules export --profile --service {name}</code></p></section>'
        if told.profile
        else ""
    )
    return page(
        f"Noise of {told.service}",
        f'<h1 class="sr">Noise of {name}</h1><section id="profiles"><h2>Noise of {name}</h2>'
        '<p class="intro">Runs fire at base twice and learn where it differs from itself. The next run of the same version takes that '
        "into account, and where base has no control it stands in for one.</p>"
        f"{_rows(profiles, 'Nothing is learned yet: a run whose control answers does it.')}</section>{places}",
        word=word,
    )


def settings(told: SettingsTold, *, word: str) -> str:
    """The settings in force."""
    own = [one for one in told.settings if one.source != "default"]
    rest = [one for one in told.settings if one.source == "default"]
    return page(
        "Settings",
        '<h1 class="sr">Settings</h1><section id="set"><h2>Set here</h2>'
        '<p class="intro">By a flag, the environment or <code>echolane.toml</code>, read when the server was started.</p>'
        f"{_rows(map(_setting, own), 'Nothing is set: all is as it comes.')}</section>"
        f'<section id="defaults"><h2>As they come</h2>{_rows(map(_setting, rest), "None is left.")}</section>',
        word=word,
    )


def _rows(rows: Iterable[str], nothing: str) -> str:
    inside = "".join(rows) or f'<p class="row">{html(nothing)}</p>'
    return f'<div class="rows">{inside}</div>'


def _more(query: Mapping[str, str], name: str, after: str | None, said: str, anchor: str) -> str:
    return (
        f'<p class="more"><a href="?{html(urlencode({**query, name: after}))}#{anchor}" rel="next">{said}</a></p>'
        if after
        else ""
    )


def _rule(service: str, rule: CaptureRule) -> str:
    ways = (("", rule.methods, "all methods"), ("paths ", rule.paths, "all paths"), ("not ", rule.not_paths, ""))
    said = [f"{what}{', '.join(given)}" if given else every for what, given, every in ways if given or every]
    said.append("every session" if rule.sampling >= 1 else f"{rule.sampling:.0%} of sessions")
    said.append("originals sealed" if rule.seal else "originals of masked values dropped")
    place = f"{rule.listen} → {rule.upstream}" if rule.listen else "any recorder without flags of its own"
    return (
        f'<div class="row"><span class="chip">{"echolane up" if rule.listen else "by hand"}</span><b>{html(service)}</b>'
        f"<span>{html(short(' · '.join(said), TEXT_MAX))}</span><span>{html(short(str(place), TEXT_MAX))}</span></div>"
    )


def _capture(one: CaptureTold) -> str:
    """``seen 12 = stored 10 + on the way 0 + dropped 2 (filtered 2)``."""
    state, name = ("records", "going") if one.alive else ("ended", "")
    if one.lost:
        state, name = f"lost {one.lost:,}", "fail"
    reasons = ", ".join(f"{reason} {number:,}" for reason, number in one.dropped.items())
    dropped = f" + dropped {sum(one.dropped.values()):,} ({reasons})" if one.dropped else ""
    notes = "".join(f" · {note} {number:,}" for note, number in one.notes.items())
    account = f"seen {one.seen:,} = stored {one.stored:,} + on the way {one.spooled:,}{dropped}{notes}"
    return (
        f'<div class="row"><span class="chip {name}">{state}</span><b>{html(one.service)}</b>'
        f"<span>{html(account)}<br>agent <code>{html(one.agent or 'unknown')}</code>, start {one.epoch:,}</span>{moment(one.began_at)}</div>"
    )


def _recording(one: RecordingTold) -> str:
    number = "all that was recorded" if one.exchanges is None else count(one.exchanges, "exchange")
    return (
        f'<div class="row"><span class="chip">recording</span><b>{html(one.service)}</b>'
        f"<span>{html(number)} · {html(short(one.source, TEXT_MAX))}<br><code>{html(one.recording)}</code></span>{moment(one.created_at)}</div>"
    )


def _keep(told: Recorded, word: str) -> str:
    options = "".join(f"<option>{html(one.service)}</option>" for one in told.rules)
    bad = f'<p class="wrong" role="alert">{html(short(told.wrong, 500))}</p>' if told.wrong else ""
    if not options:
        return bad
    return (
        f'{bad}<form class="start" method="post" action="/recordings"><input type="hidden" name="word" value="{html(word)}">'
        f'<label>service<select name="service">{options}</select></label>'
        '<label>of the last<input name="last" maxlength="10" placeholder="30m; all without"></label><button>Keep</button></form>'
    )


def _profile(one: ProfileTold, where: str, shown: ProfileTold | None) -> str:
    state, name = ("in use", "pass") if one.in_use else ("too old", "")
    here = ' aria-current="true"' if shown is not None and shown.base == one.base else ""
    said = f"{count(one.exchanges, 'exchange')} of {count(one.runs, 'run')} · {one.age_days:.1f} days old"
    version = one.version or f"no name ({one.base.lstrip('? ')})"
    return (
        f'<a class="row" href="{where}?{html(urlencode({"base": one.base}))}"{here}><span class="chip {name}">{state}</span>'
        f"<b>{html(short(version, TEXT_MAX))}</b><span>{said}</span>{moment(one.last_seen)}</a>"
    )


def _place(one: NoisyPlace) -> str:
    kinds = ", ".join([*one.kinds, *([one.klass] if one.klass else [])])
    return (
        f'<div class="row"><span class="chip">{one.differing:,} of {one.observed:,}</span>'
        f"<b><code>{html(short(one.where, TEXT_MAX))}</code></b>"
        f"<span>{html(short(one.endpoint, TEXT_MAX))}<br>{html(kinds)}</span>{moment(one.last_seen)}</div>"
    )


def _setting(one: SettingTold) -> str:
    value = "empty" if one.value in ("", [], {}) else str(one.value)
    return (
        f'<div class="row setting"><b><code>{html(one.setting)}</code></b><span><code>{html(short(value, TEXT_MAX))}</code><br>'
        f"{html(one.what)}</span><span>{html(one.source)}</span></div>"
    )
