"""Triage on pages: what was said of a finding, and the form by which a person says it. Parts of :mod:`console.page`; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from console.escapes import html, short
from console.words import Finding

LINE_MAX, NAME_MAX = 500, 80
FORMS_BYTES = 400_000
"""Of a page of 5 MB: four hundred forms; findings beyond have a link to a page with theirs."""
BUTTONS = (("intended", "Intended"), ("noise", "Noise"), ("bug", "Bug"))
Said = Mapping[str, Any]
"""As :func:`differ.ruled.said_json` has it."""


@dataclass(slots=True)
class Desk:
    """What is known of triage where a page is shown, and whether the reader may say something."""

    said: Mapping[str, Said] = field(default_factory=dict[str, Said])
    """What stands now, by finding."""
    run: str = ""
    word: str = ""
    """Of the session, which forms must bring back."""
    owner: str = ""
    branch: str = ""
    may: bool = False
    room: int = FORMS_BYTES

    def form(self, finding: Finding) -> str:
        """The form of a finding, or a link to it; empty where nothing can be said."""
        if not self.may or not sayable(finding):
            return ""
        text = form(self, finding)
        self.room -= len(text.encode())
        return (
            text
            if self.room > 0
            else f'<p class="triage"><a href="{address(self.run, finding)}">Say what it is</a></p>'
        )


def sayable(finding: Finding) -> bool:
    """Whether a word can be said of a finding: rules in git, and what found no room, have none."""
    return (
        bool(finding.get("id"))
        and not (finding.get("rule") and not finding.get("triage"))
        and bool(finding.get("places"))
    )


def address(run: str, finding: Finding) -> str:
    """Where a finding has its page of triage."""
    return f"/runs/{html(run)}/findings/{html(str(finding.get('id')))}/triage"


def form(desk: Desk, finding: Finding, *, ahead: bool = True) -> str:
    """What it is, why, and who answers for it; ``ahead``: with a link to its page.

    Its first button can do nothing, so that Enter in a field says nothing by accident.
    """
    said = desk.said.get(str(finding.get("id")))
    words = [*BUTTONS, ("open", "Open again")] if said else BUTTONS
    buttons = "".join(f'<button name="decision" value="{value}">{name}</button>' for value, name in words)
    branch = (
        '<label>Branch<input name="branch" maxlength="128" placeholder="for intended"></label>'
        if not desk.branch
        else ""
    )
    where = address(desk.run, finding)
    link = f'<a href="{where}">What else would it hide?</a>' if ahead else ""
    return (
        f'<form class="triage" method="post" action="{where}"><button disabled hidden></button>'
        f'<input type="hidden" name="word" value="{html(desk.word)}">'
        f'<label class="wide">Note<input name="note" required maxlength="500" placeholder="Why, in one line"></label>'
        f'<label>Owner<input name="owner" maxlength="80" value="{html(short(desk.owner, NAME_MAX))}"></label>{branch}'
        f'<span class="words">{buttons}</span>{link}</form>'
    )


def said_line(finding: Finding, desk: Desk | None) -> str:
    """What was said of a finding, by whom and until when; empty where nothing was; ``past`` where it holds no longer."""
    then: Said | None = finding.get("triage")
    now = then if desk is None else desk.said.get(str(finding.get("id")))
    if now is None:
        return f'<span class="said past">{html("Taken back since: " + in_words(then))}</span>' if then else ""
    since = then is None or (then.get("decision"), then.get("at")) != (now.get("decision"), now.get("at"))
    when, past = "holds from the next run on" if since else "", ""
    if now.get("expired"):
        when, past = f"ended on {now.get('expires')}", " past"
    return f'<span class="said{past}">{html(" · ".join(filter(None, (in_words(now), when))))}</span>'


def in_words(said: Said) -> str:
    """``Intended on feat/a: new prices · owner team-shop · said by ann on 2026-11-26 · until 2027-02-25``."""
    word = "Known bug" if said.get("decision") == "bug" else str(said.get("decision", "")).capitalize()
    branch = f" on {said['branch']}" if said.get("branch") else ""
    parts = [
        f"{word}{branch}: {said.get('note', '')}",
        f"owner {said.get('owner', '')}",
        f"said by {said.get('who', '')} on {str(said.get('at', ''))[:10]}",
        f"until {said['expires']}" if said.get("expires") and not said.get("expired") else "",
    ]
    return short(" · ".join(part for part in parts if part), LINE_MAX)
