"""What forges tell of a push or a pull request, in each one's own words, as one step of a branch. Pure.

A pull request is run at its head, and only where that is in the same repository: whoever can open one from a fork could else have
code of theirs deployed and fired at. GitHub names the time of a push; GitLab and Gitea that of its commit, which comes second to
the order of commits.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, cast

import msgspec

from console.api.forge_names import GITEA, GITHUB, GITLAB
from console.api.problems import Problem
from console.api.pushes import Step

OPENED = {"opened", "reopened", "synchronize", "synchronized", "open", "reopen", "update"}
SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
EVENT_HEADER = {GITHUB: "X-GitHub-Event", GITEA: "X-Gitea-Event", GITLAB: "X-Gitlab-Event"}


class Told(msgspec.Struct, frozen=True):
    """What a delivery is about; without a step it starts nothing, and ``said`` tells why."""

    said: str = ""
    repository: str = ""
    branch: str = ""
    step: Step | None = None


def read(forge: str, event: str, tree: Any, now_ns: int) -> Told:
    """A delivery of this forge; Problem where it is none of the documented shape."""
    name = event.lower().removesuffix(" hook").replace(" ", "_")
    if name == "ping":
        return Told("this hook works")
    repository = (
        text(tree, "project", "path_with_namespace") if forge == GITLAB else text(tree, "repository", "full_name")
    )
    if name == "push":
        return _push(forge, tree, repository, now_ns)
    if name == "delete" and text(tree, "ref_type") == "branch":
        return Told(repository=repository, branch=text(tree, "ref"), step=Step("", "", now_ns))
    if name in {"pull_request", "pull_request_sync", "merge_request"}:
        return (_merge if forge == GITLAB else _pull)(tree, repository, now_ns)
    return Told(f"deliveries of `{name[:40]}` start nothing; choose pushes and pull requests", repository)


def _push(forge: str, tree: Any, repository: str, now_ns: int) -> Told:
    ref = text(tree, "ref")
    if not ref.startswith("refs/heads/"):
        return Told("only pushes of branches start runs", repository)
    before, after = (sha(text(tree, name)) for name in ("before", "after"))
    commits = cast("list[Any]", tree.get("commits")) if isinstance(tree.get("commits"), list) else []
    said = [look(tree, "repository", "pushed_at")] if forge == GITHUB else [look(tree, "head_commit", "timestamp")]
    said += [look(one, "timestamp") for one in commits if look(one, "id") == after]
    at = next((found for one in said if (found := time_ns(one))), now_ns) if after else now_ns
    step = Step(before, after, at, made=bool(after) and not before)
    return Told(repository=repository, branch=ref.removeprefix("refs/heads/"), step=step)


def _pull(tree: Any, repository: str, now_ns: int) -> Told:
    if text(tree, "action") not in OPENED:
        return Told("this change of a pull request starts nothing", repository)
    if look(tree, "pull_request", "head", "repo", "full_name") != repository:
        return Told("pull requests of forks start no runs", repository)
    head = {name: text(tree, "pull_request", "head", name) for name in ("ref", "sha")}
    at = time_ns(look(tree, "pull_request", "updated_at")) or now_ns
    before = look(tree, "before")
    step = Step(sha(before) if isinstance(before, str) else "", sha(head["sha"]), at)
    return Told(repository=repository, branch=head["ref"], step=step)


def _merge(tree: Any, repository: str, now_ns: int) -> Told:
    about = look(tree, "object_attributes")
    if look(about, "action") not in OPENED or (look(about, "action") == "update" and not look(about, "oldrev")):
        return Told("this change of a merge request starts nothing", repository)
    if look(about, "source_project_id") != look(about, "target_project_id"):
        return Told("merge requests of forks start no runs", repository)
    before, at = look(about, "oldrev"), time_ns(look(about, "last_commit", "timestamp")) or now_ns
    step = Step(sha(before) if isinstance(before, str) else "", sha(text(about, "last_commit", "id")), at)
    return Told(repository=repository, branch=text(about, "source_branch"), step=step)


def look(tree: Any, *names: str) -> Any:
    """A value of nested objects; None where it is not there."""
    for name in names:
        tree = cast("dict[str, Any]", tree).get(name) if isinstance(tree, dict) else None
    return tree


def text(tree: Any, *names: str) -> str:
    """A text of nested objects; Problem where it is not there."""
    found = look(tree, *names)
    if not isinstance(found, str):
        raise Problem("bad-request", f"body: `{'.'.join(names)}` is not there, or no text")
    return found


def sha(given: str) -> str:
    """A commit; empty for the one of zeros, which is none."""
    if not SHA.fullmatch(given):
        raise Problem("bad-request", "body: a commit has 40 or 64 hex digits")
    return given if given.strip("0") else ""


def time_ns(given: Any) -> int:
    """A time as forges write it, seconds or ISO 8601; 0 where there is none."""
    if isinstance(given, bool):
        return 0
    if isinstance(given, int):
        return given * 1_000_000_000 if 0 < given < 1 << 33 else 0
    try:
        return int(datetime.fromisoformat(given).timestamp() * 1_000_000) * 1_000 if isinstance(given, str) else 0
    except (ValueError, OverflowError):
        return 0


__all__ = ["EVENT_HEADER", "Told", "read"]
