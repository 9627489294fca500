"""Deliveries of GitHub, GitLab and Gitea (and Forgejo): each signs in its own way, and is answered at once."""

from __future__ import annotations

import time

import orjson

from console.api import gate
from console.api.context import Call
from console.api.deliveries import EVENT_HEADER, read
from console.api.forge_names import GITEA, GITHUB, GITLAB
from console.api.hooks import digest, signers, taken, unsigned
from console.api.messages import HookTold
from console.api.problems import Problem
from console.api.signatures import STALE_S, is_fresh, is_same, is_signed_hex, is_signed_standard


async def admit_github(call: Call) -> None:
    """Let in what X-Hub-Signature-256 signs."""
    await _admit_hex(call, GITHUB, "X-Hub-Signature-256", "sha256=")


async def admit_gitea(call: Call) -> None:
    """Let in what X-Gitea-Signature signs."""
    await _admit_hex(call, GITEA, "X-Gitea-Signature", "")


async def _admit_hex(call: Call, forge: str, header: str, prefix: str) -> None:
    given = call.request.headers.get(header, "")
    if not given:
        raise unsigned(f"{header} is not there: give the webhook the secret of the hook")
    body = await gate.whole(call.request)
    call.armed = await call.site.read(signers, call, forge, lambda one: is_signed_hex(one, body, given, prefix))
    if not call.armed:
        raise unsigned(f"{header} is not that of the body with the secret of a hook of {forge}")
    call.by = f"hook {call.armed[0].hook.id}"


async def admit_gitlab(call: Call) -> None:
    """Let in what webhook-signature signs, or what an older GitLab sends with the secret itself."""
    id, stamp, given = (call.request.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))  # noqa: A001
    token = call.request.headers.get("X-Gitlab-Token", "")
    body = await gate.whole(call.request)
    if given:
        armed = await call.site.read(signers, call, GITLAB, lambda one: is_signed_standard(one, id, stamp, body, given))
        if armed and not is_fresh(stamp, time.time()):
            raise unsigned(f"webhook-timestamp is more than {STALE_S} s from the time here")
    elif token:
        # A secret that was made for signing (whsec_) is none that may be sent.
        armed = await call.site.read(
            signers, call, GITLAB, lambda one: not one.startswith(b"whsec_") and is_same(one, token)
        )
    else:
        raise unsigned("neither webhook-signature nor X-Gitlab-Token is there: give the webhook the secret of the hook")
    if not armed:
        raise unsigned("this is not signed with the secret of a hook of gitlab")
    call.armed, call.by = armed, f"hook {armed[0].hook.id}"


async def github(call: Call) -> HookTold:
    """A delivery of GitHub."""
    body = await gate.whole(call.request)
    return await _deliver(call, GITHUB, body, [call.request.headers.get("X-GitHub-Delivery", ""), digest(body)])


async def gitea(call: Call) -> HookTold:
    """A delivery of Gitea or Forgejo."""
    body = await gate.whole(call.request)
    return await _deliver(call, GITEA, body, [call.request.headers.get("X-Gitea-Delivery", ""), digest(body)])


async def gitlab(call: Call) -> HookTold:
    """A delivery of GitLab."""
    body = await gate.whole(call.request)
    names = ("webhook-id", "Idempotency-Key", "X-Gitlab-Event-UUID")
    id = next((value for name in names if (value := call.request.headers.get(name, ""))), "")  # noqa: A001
    return await _deliver(call, GITLAB, body, [id or digest(body)])


async def _deliver(call: Call, forge: str, body: bytes, ids: list[str]) -> HookTold:
    """Read a delivery that is believed, and take it in for the hooks of its repository that its secret is for."""
    if call.request.content_type != "application/json":
        raise Problem("unsupported-type", "set the webhook's content type to application/json")
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem("bad-request", f"body: {error}") from error
    if not isinstance(tree, dict):
        raise Problem("bad-request", "body: it is no object")
    told = read(forge, call.request.headers.get(EVENT_HEADER[forge], ""), tree, time.time_ns())
    armed = [one for one in call.armed if told.repository in one.hook.repositories]
    if told.repository and not armed:
        detail = f"repository `{told.repository[:100]}` is in no hook with this secret; [[hooks]] of echolane.toml lists them"
        raise Problem("not-found", detail)
    call.service = armed[0].hook.service if armed else ""
    if told.step is None:
        return HookTold(told.said, [])
    deliveries = [digest(forge, one) for one in ids if one]
    return await taken(call, armed, told.repository, told.branch, told.step, deliveries)
