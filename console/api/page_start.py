"""The form by which a run is asked for: at which targets, which exchanges, how. Pure; foreign text is escaped. It reads without any script.

A form that cannot be taken comes back as it was filled in, and says beside each field what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from console.api.messages import RunRequest, ServiceTold
from console.api.page_list import choices
from console.escapes import html, short
from differ.result import iso
from echolane.recordings import Recording

KEPT_MAX = 50
"""Recordings of a service in the form, the newest; a list that somebody picks from is not longer."""
VALUE_MAX, WHY_MAX = 128, 500
FIELDS = ("base", "branch", "branch_name", "recording", "last", "methods", "pace")
MORE = FIELDS[3:]
"""What most runs need not say: behind a line that opens."""
WRONG = {
    "base": "is not a target's name",
    "branch": "is not a target's name",
    "branch_name": "is not a branch's name: at most 128 letters, digits and . _ / + -, a letter or digit first",
    "recording": "is not the id of a recording",
    "last": "is not a span: give a whole number with ms, s, m, h or d, for example 30m",
    "methods": "is neither safe nor all",
    "pace": "is not a pace: give max, recorded, a factor as 2x or a rate as 50/s",
}
"""What is said behind a value that cannot be taken."""
_AT = re.compile(r"at `\$\.(\w+)`$")


@dataclass(frozen=True, slots=True)
class Filled:
    """A form that came."""

    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    wrong: Mapping[str, str] = field(default_factory=dict[str, str])
    """What is wrong, by field; what is of no field has no name."""

    def of(self, service: str) -> Filled:
        """As far as it is about a service."""
        return self if self.fields.get("service") == service else Filled()


def asked(fields: Mapping[str, str]) -> tuple[RunRequest | None, dict[str, str]]:
    """What a form asks for, else what is wrong in each field. What is empty is not asked, and reads only."""
    given = {name: fields[name].strip() for name in ("service", *FIELDS) if fields.get(name, "").strip()}
    given.setdefault("methods", "safe")  # as the form calls it, also where the settings say otherwise of who is silent
    wrong: dict[str, str] = {}
    if "recording" in given and "last" in given:
        wrong["last"] = f"`{given.pop('last')}` and a recording cannot both be chosen: leave one out"
    while True:  # each turn takes a field away
        try:
            found = msgspec.convert(given, RunRequest)
        except msgspec.ValidationError as error:
            at = _AT.search(str(error))
            if at is None or at[1] not in WRONG:
                return None, wrong or {"": str(error)}
            wrong[at[1]] = f"`{given.pop(at[1])}` {WRONG[at[1]]}"
        else:
            return (None if wrong else found), wrong


def section(
    services: Sequence[ServiceTold], kept: Sequence[Recording], filled: Filled, *, word: str, may_run: bool
) -> str:
    """A form for each service that can be run, and what is wrong with no field of them."""
    there = [one for one in services if may_run and one.recorded and len(one.targets) > 1]
    forms = "".join(
        _form(one, [each for each in kept if each.service == one.service], filled.of(one.service), word)
        for one in there
    )
    told = filled.wrong.get("", "")
    if not told and filled.wrong and not any(filled.of(one.service).wrong for one in there):
        told = "; ".join(filled.wrong.values())
    bad = f'<p class="wrong" role="alert">{html(short(told, WHY_MAX))}</p>' if told else ""
    return f'<section id="start"><h2>Start a run</h2>{bad}{forms}</section>' if forms else bad


def _form(one: ServiceTold, kept: Sequence[Recording], filled: Filled, word: str) -> str:
    targets = [(target.name, target.name) for target in one.targets]
    newest = sorted(kept, key=lambda each: each.created_at_ns, reverse=True)[:KEPT_MAX]
    recordings = [("", "all that is recorded"), *((each.id, _recording(each)) for each in newest)]
    methods = [("", "reads only"), ("all", "reads and writes")]

    def select(name: str, title: str, options: Sequence[tuple[str, str]], chosen: str = "") -> str:
        chosen = filled.fields.get(name) or chosen
        return _field(one.service, name, title, filled, f"<select{{marks}}>{choices(options, chosen)}</select>")

    def line(name: str, title: str, hint: str) -> str:
        value = html(short(filled.fields.get(name, ""), VALUE_MAX))
        text = f'<input{{marks}} value="{value}" maxlength="{VALUE_MAX}" placeholder="{html(hint)}">'
        return _field(one.service, name, title, filled, text)

    opened = any(filled.fields.get(name) or filled.wrong.get(name) for name in MORE)
    return (
        f'<form class="start" method="post" action="/runs"><input type="hidden" name="word" value="{html(word)}">'
        f'<input type="hidden" name="service" value="{html(one.service)}"><b>{html(one.service)}</b>'
        f"{select('base', 'base', targets, targets[0][0])}{select('branch', 'branch', targets, targets[1][0])}"
        f"{line('branch_name', 'branch&#x27;s name', 'optional')}"
        f"<details{' open' if opened else ''}><summary>Which exchanges, and how</summary><div class='fields'>"
        f"{select('recording', 'recording', recordings)}{line('last', 'or only the last', 'for example 30m')}"
        f"{select('methods', 'methods', methods)}{line('pace', 'pace', 'max')}</div></details><button>Start</button></form>"
    )


def _field(service: str, name: str, title: str, filled: Filled, control: str) -> str:
    """A field with its title before it and, behind it, what is wrong with it."""
    why = filled.wrong.get(name, "")
    id = f"{html(service)}-{name}-wrong"  # noqa: A001 - what it is
    marks = f' name="{name}"' + (f' aria-invalid="true" aria-describedby="{id}"' if why else "")
    said = f'<p class="wrong" id="{id}" role="alert">{html(short(why, WHY_MAX))}</p>' if why else ""
    return f'<div class="field"><label>{title}{control.replace("{marks}", marks, 1)}</label>{said}</div>'


def _recording(one: Recording) -> str:
    number = f" · {one.exchanges:,} exchanges" if one.exchanges is not None else ""
    return f"{iso(one.created_at_ns)[:16].replace('T', ' ')} UTC · {short(one.source, 60)}{number}"
