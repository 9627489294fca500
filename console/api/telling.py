"""Tell a forge one thing: a commit's status, its check run, or the one comment on its branch's pull request, edited and never repeated."""

from __future__ import annotations

from typing import Any

from console.api.check_telling import tell_check
from console.api.context import Site
from console.api.deliveries import look
from console.api.forge_client import ForgeClient, Trouble
from console.api.forge_settings import Telling
from console.api.forge_tokens import client_of
from console.api.forges import comment_of, pull_of, status_of
from console.api.notices import Notice
from console.api.outcomes import comment_text
from console.markdown import marker


async def tell(site: Site, telling: Telling, notice: Notice) -> tuple[int, int]:
    """Tell it; the pull request, 0 where there is none, and the id of its comment or of the check run. Trouble where it was not told."""
    client = await client_of(site, telling, notice.repository)
    names = {"repository": notice.repository, "commit": notice.commit, "branch": notice.branch}
    if notice.kind == "status":
        await _status(client, telling, notice, names)
        return 0, 0
    if notice.kind == "check":
        return 0, await tell_check(site, client, telling, notice, names, page_of(telling, notice))
    return await _comment(site, client, telling, notice, names)


def page_of(telling: Telling, notice: Notice) -> str:
    """The page of a run; that of all runs where it has not begun."""
    return f"{telling.public_url}/runs/{notice.run}" if notice.begun else f"{telling.public_url}/"


async def _status(client: ForgeClient, telling: Telling, notice: Notice, names: dict[str, str]) -> None:
    told = {
        "url": page_of(telling, notice),
        "text": notice.text,
        "context": telling.context,
        "branch": notice.branch,
    }
    forge = telling.forge
    try:
        await client.ask(forge.status, names, status_of(forge, notice.word, told))
    except Trouble as trouble:
        if not (trouble.refused and forge.same and forge.same in str(trouble)):
            raise


async def _comment(
    site: Site, client: ForgeClient, telling: Telling, notice: Notice, names: dict[str, str]
) -> tuple[int, int]:
    """Write it where it stands already, else anew; what was written and not known to be is found by its marker."""
    forge = telling.forge
    pull = await _pull(client, telling, notice, names)
    if not pull:
        return 0, 0
    names |= {"pull": str(pull)}
    url = page_of(telling, notice)
    body = {"body": await site.read(comment_text, site, notice, url, forge.comment_max)}
    known = notice.comment if notice.pull == pull else 0
    if known:
        try:
            await client.ask(forge.edit, {**names, "comment": str(known)}, body)
        except Trouble as trouble:
            if not trouble.refused:
                raise
        else:
            return pull, known  # else it was taken away, or is another's
    me = await _me(client, telling)
    mark = marker(notice.hook.partition("/")[0])
    async for listed in client.pages(forge.comments, names):
        if found := comment_of(forge, listed, mark, me):
            await client.ask(forge.edit, {**names, "comment": str(found)}, body)
            return pull, found
    made = await client.ask(forge.add, names, body)
    return pull, _id(made)


async def _pull(client: ForgeClient, telling: Telling, notice: Notice, names: dict[str, str]) -> int:
    async for listed in client.pages(telling.forge.pulls, names):
        if number := pull_of(telling.forge, listed, notice.branch):
            return number
    return 0


async def _me(client: ForgeClient, telling: Telling) -> int:
    """Who the token is; 0 for an application, which may not ask."""
    try:
        told = await client.ask(telling.forge.me, {})
    except Trouble as trouble:
        if telling.forge.bots and trouble.refused:
            return 0
        raise
    if not _id(told):
        raise Trouble(f"{telling.api} does not say who the token is")
    return _id(told)


def _id(tree: Any) -> int:
    found = look(tree, "id")
    return found if isinstance(found, int) else 0
