"""Tell a commit's check run: one for each run, found again by its external id where an answer was lost, its notes added in pieces."""

from __future__ import annotations

from typing import Any

from console import words
from console.api.checks import AT_ONCE, NOTES_MAX, TEXT_MAX, check_of, notes_of
from console.api.context import Site
from console.api.deliveries import look
from console.api.forge_client import ForgeClient, Trouble
from console.api.forge_settings import Telling
from console.api.forges import FINAL, Checks
from console.api.notices import Notice
from console.api.outcomes import comment_text, result_of
from echolane import log

Notes = list[dict[str, Any]]
Told = dict[str, str]
MAY_NOT = "only an app that may write checks can make check runs; the commit's status says it all the same"


async def tell_check(
    site: Site, client: ForgeClient, telling: Telling, notice: Notice, names: dict[str, str], url: str
) -> int:
    """Tell it; the check run's id. Trouble where it was not told, ``never`` where this token may write none."""
    rows = telling.forge.checks
    if rows is None:
        raise Trouble(f"{telling.api} has no check runs", refused=True)
    notes, told = await site.read(_contents, site, telling, notice, url)
    names |= {"context": telling.context}
    try:
        try:
            return await _tell(client, rows, telling, notice, names, told, notes)
        except Trouble as trouble:
            if trouble.status != 422 or not notes:
                raise
            # What is wrong with a note is no reason to keep the verdict back.
            found = await _tell(client, rows, telling, notice, names, told, [])
            log.event("check.without-notes", hook=notice.hook, run=notice.run, why=str(trouble))
            return found
    except Trouble as trouble:
        if trouble.status == 403 and trouble.refused:
            raise Trouble(f"{trouble}: {MAY_NOT}", refused=True, status=403, never=True) from None
        raise


def _contents(site: Site, telling: Telling, notice: Notice, url: str) -> tuple[Notes, Told]:
    """The notes, and the words of a check run. Waits for the store."""
    told = {"name": telling.context, "run": notice.run, "url": url, "title": notice.text}
    if notice.word not in FINAL:
        return [], {**told, "summary": notice.text, "text": ""}
    result = result_of(site, notice.run) or {}
    left_out = len(words.findings(result, "groups")) - NOTES_MAX
    text = f"{words.count(left_out, 'more finding')} on the run's page." if left_out > 0 else ""
    return notes_of(result), {**told, "summary": comment_text(site, notice, url, TEXT_MAX), "text": text}


async def _tell(
    client: ForgeClient, rows: Checks, telling: Telling, notice: Notice, names: dict[str, str], told: Told, notes: Notes
) -> int:
    """Make it or change it, with the notes that are not there yet; the last request completes it."""
    id, there = await _known(client, rows, telling, notice, names)  # noqa: A001
    rest = notes[there:]
    while True:
        now, rest = rest[:AT_ONCE], rest[AT_ONCE:]
        body = check_of(notice.word, told, now, whole=not rest)
        if id:
            await client.ask(rows.edit, {**names, "check": str(id)}, body)
        else:
            id = _number(await client.ask(rows.make, names, {**body, "head_sha": notice.commit}), "id")  # noqa: A001
            if not id:
                raise Trouble(f"{telling.api} does not say which check run it made")
        if not rest:
            return id


async def _known(
    client: ForgeClient, rows: Checks, telling: Telling, notice: Notice, names: dict[str, str]
) -> tuple[int, int]:
    """The id of our check run of this run, and how many notes it has; 0 where there is none."""
    if notice.comment:
        try:
            return _seen(await client.ask(rows.read, {**names, "check": str(notice.comment)}))
        except Trouble as trouble:
            if trouble.status != 404:
                raise
    async for listed in client.pages(rows.find, names):
        for one in listed:
            ours = telling.app is None or look(one, "app", "id") == telling.app.id
            if ours and look(one, "external_id") == notice.run and _number(one, "id"):
                return _seen(one)
    return 0, 0


def _seen(one: Any) -> tuple[int, int]:
    return _number(one, "id"), _number(one, "output", "annotations_count")


def _number(tree: Any, *names: str) -> int:
    found = look(tree, *names)
    return found if isinstance(found, int) and found > 0 else 0
