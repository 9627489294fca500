"""What a forge was told of a push, as the API tells it."""

from __future__ import annotations

from typing import Any

from console.api.context import Site
from console.api.messages import ForgeTold
from console.api.notices import Notice, key_of
from console.api.pushes import Push


def forge_told(site: Site, push: Push) -> ForgeTold | None:
    """What its forge was told of a push; None where its hook tells nothing."""
    armed = site.hooks.find(push.hook)
    if armed is None or armed.telling is None:
        return None
    known = site.notices.book.by_key
    repository = armed.hook.repository_of(push.repository)
    status = known.get(key_of("status", push.hook, repository, push.commit))
    check = known.get(key_of("check", push.hook, repository, push.commit))
    comment = known.get(key_of("comment", push.hook, repository, push.branch))
    if comment is not None and (comment.commit != push.commit or comment.run != push.run):
        comment = None  # it is of another push
    why = next((one.why for one in (status, check, comment) if one is not None and one.why), "")
    told = "told" if comment is None or comment.pull else "no-pull-request"
    return ForgeTold(
        "none" if status is None else _state(status) or "told",
        "none" if comment is None else _state(comment) or told,
        why,
        "none" if check is None else _state(check) or "told",
    )


def _state(notice: Notice) -> Any:
    return "given-up" if notice.given_up else "due" if notice.is_due else ""
