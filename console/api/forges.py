"""What the three forges' APIs call what they are told and asked: a row for each forge, a line for each operation. Pure.

GitHub REST 2022-11-28, GitLab v4, Gitea and Forgejo v1. A forge without a word for a run that was given up is told that it is pending
still, with a description that says so: there is no verdict, and none of these would be one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from console.api.deliveries import SHA, look, time_ns
from console.api.forge_names import GITEA, GITHUB, GITLAB

Word = Literal["waiting", "going", "pass", "fail", "inconclusive", "cancelled", "error"]
"""What there is to tell: the branch is waited for, the run goes on, its verdict, or why there is none."""
FINAL = frozenset({"pass", "fail", "inconclusive", "cancelled", "error"})
PAGE = 50
"""Things on a page of a list; a comment may have a quarter of a MiB."""


HEADS = 100
"""Branches on a page: as many as GitHub and GitLab give at once; a Gitea may give fewer."""


class Row(NamedTuple):
    """One operation: how it is called. `{names}` of the path are filled in, percent-encoded."""

    method: str
    path: str
    good: frozenset[int] = frozenset({200, 201})
    within: str = ""
    """Where the answer has the list, when it is none itself."""


class Checks(NamedTuple):
    """Check runs of a commit, which stand beside its statuses and have findings."""

    find: Row
    """Those of our name, whoever made them."""
    read: Row
    make: Row
    edit: Row


class Apps(NamedTuple):
    """How an application gets a token where it is installed."""

    installation: Row
    access: Row


@dataclass(frozen=True, slots=True)
class Forge:
    """One forge's API."""

    api: str
    """Where it is; empty where each installation has its own."""
    auth: tuple[str, str]
    """The header of the token, and what stands before it there."""
    states: Mapping[Word, str]
    fields: Mapping[str, str]
    """What a status is made of: the forge's name of a field, and ours."""
    status: Row
    pulls: Row
    """Open pull requests, of one branch where the forge can look for that."""
    number: str
    source: tuple[str, ...]
    """Where such a request names its branch."""
    homes: tuple[tuple[str, ...], tuple[str, ...]]
    """Where it names the repositories that it comes from and goes to: the same one, or it is a fork's."""
    comments: Row
    add: Row
    edit: Row
    author: str
    """Who wrote a comment."""
    comment_max: int
    """Characters."""
    branches: Row
    """All branches of a repository."""
    head: tuple[str, ...]
    """Where such a branch names its commit, ``dated`` when that is of; empty where it does not say."""
    dated: tuple[str, ...] = ()
    me: Row = Row("GET", "/user")  # noqa: RUF009 - a row is immutable
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    whole_name: bool = False
    """Whether a repository's name is one part of a path, with its slashes encoded."""
    same: str = ""
    """What it says where it has been told that already."""
    bots: bool = False
    """Whether tokens of applications, which may not ask who they are, write as bots."""
    checks: Checks | None = None
    """Its check runs, where it has such."""


_STATES: Mapping[Word, str] = {
    "waiting": "pending",
    "going": "pending",
    "pass": "success",
    "fail": "failure",
    "inconclusive": "error",
    "cancelled": "pending",
    "error": "error",
}
_COMMENTS = Row("GET", f"/repos/{{repository}}/issues/{{pull}}/comments?per_page={PAGE}&limit={PAGE}")
_BRANCHES = Row("GET", f"/repos/{{repository}}/branches?per_page={HEADS}&limit={HEADS}")
_ADD = Row("POST", "/repos/{repository}/issues/{pull}/comments")
_EDIT = Row("PATCH", "/repos/{repository}/issues/comments/{comment}")
_FIELDS = {"state": "state", "target_url": "url", "description": "text", "context": "context"}
_HEAD, _HOMES = ("head", "ref"), (("head", "repo", "full_name"), ("base", "repo", "full_name"))

APPS = Apps(
    Row("GET", "/repos/{repository}/installation"), Row("POST", "/app/installations/{installation}/access_tokens")
)
"""GitHub's alone."""
_CHECKS = Checks(
    find=Row(
        "GET",
        f"/repos/{{repository}}/commits/{{commit}}/check-runs?check_name={{context}}&filter=all&per_page={PAGE}",
        within="check_runs",
    ),
    read=Row("GET", "/repos/{repository}/check-runs/{check}"),
    make=Row("POST", "/repos/{repository}/check-runs"),
    edit=Row("PATCH", "/repos/{repository}/check-runs/{check}"),
)

FORGES: Mapping[str, Forge] = {
    GITHUB: Forge(
        api="https://api.github.com",
        auth=("Authorization", "Bearer "),
        headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"},
        states=_STATES,
        fields=_FIELDS,
        status=Row("POST", "/repos/{repository}/statuses/{commit}"),
        pulls=Row("GET", f"/repos/{{repository}}/pulls?state=open&head={{owner}}%3A{{branch}}&per_page={PAGE}"),
        number="number",
        source=_HEAD,
        homes=_HOMES,
        author="user",
        comment_max=65_536,
        bots=True,
        checks=_CHECKS,
        branches=_BRANCHES,
        head=("commit", "sha"),
        comments=_COMMENTS,
        add=_ADD,
        edit=_EDIT,
    ),
    GITLAB: Forge(
        api="https://gitlab.com/api/v4",
        auth=("PRIVATE-TOKEN", ""),
        states={
            "waiting": "pending",
            "going": "running",
            "pass": "success",
            "fail": "failed",
            "inconclusive": "failed",
            "cancelled": "canceled",
            "error": "failed",
        },
        fields={"state": "state", "target_url": "url", "description": "text", "name": "context", "ref": "branch"},
        status=Row("POST", "/projects/{repository}/statuses/{commit}"),
        pulls=Row(
            "GET",
            f"/projects/{{repository}}/merge_requests?state=opened&source_branch={{branch}}&per_page={PAGE}",
        ),
        number="iid",
        source=("source_branch",),
        homes=(("source_project_id",), ("target_project_id",)),
        comments=Row(
            "GET",
            f"/projects/{{repository}}/merge_requests/{{pull}}/notes?sort=asc&order_by=created_at&per_page={PAGE}",
        ),
        add=Row("POST", "/projects/{repository}/merge_requests/{pull}/notes"),
        edit=Row("PUT", "/projects/{repository}/merge_requests/{pull}/notes/{comment}"),
        author="author",
        comment_max=1_000_000,
        branches=Row("GET", f"/projects/{{repository}}/repository/branches?per_page={HEADS}"),
        head=("commit", "id"),
        dated=("commit", "committed_date"),
        whole_name=True,
        same="Cannot transition status",
    ),
    GITEA: Forge(
        api="",
        auth=("Authorization", "token "),
        states=_STATES,
        fields=_FIELDS,
        status=Row("POST", "/repos/{repository}/statuses/{commit}"),
        pulls=Row("GET", f"/repos/{{repository}}/pulls?state=open&limit={PAGE}"),
        number="number",
        source=_HEAD,
        homes=_HOMES,
        author="user",
        comment_max=65_536,
        branches=_BRANCHES,
        head=("commit", "id"),
        dated=("commit", "timestamp"),
        comments=_COMMENTS,
        add=_ADD,
        edit=_EDIT,
    ),
}


def path_of(forge: Forge, row: Row, names: Mapping[str, str], page: int = 0) -> str:
    """The path of an operation, with its names filled in; of a list, its page."""
    safe = {name: quote(value, safe="") for name, value in names.items()}
    repository = names.get("repository", "")
    safe["owner"] = quote(repository.partition("/")[0], safe="")
    if not forge.whole_name:
        safe["repository"] = quote(repository, safe="/")
    path = row.path.format_map(safe)
    return f"{path}&page={page}" if page else path


def status_of(forge: Forge, word: Word, told: Mapping[str, str]) -> dict[str, str]:
    """The body of a status: ``told`` has url, text, context and branch."""
    ours = {**told, "state": forge.states[word]}
    return {theirs: ours[name] for theirs, name in forge.fields.items()}


def pull_of(forge: Forge, listed: list[Any], branch: str) -> int:
    """The number of the pull request of a branch of the repository itself; 0 where none of these is."""
    for one in listed:
        number = look(one, forge.number)
        home, goal = (look(one, *names) for names in forge.homes)
        if look(one, *forge.source) == branch and home is not None and home == goal and isinstance(number, int):
            return number
    return 0


class Head(NamedTuple):
    """Where a branch is, as its forge lists it."""

    branch: str
    commit: str
    at_ns: int
    """As a delivery would date it; 0 where the list does not."""


def heads_of(forge: Forge, listed: list[Any]) -> list[Head]:
    """Where the branches of a page are; what has no name or no commit is none."""
    found: list[Head] = []
    for one in listed:
        name, commit = look(one, "name"), look(one, *forge.head)
        if isinstance(name, str) and name and isinstance(commit, str) and SHA.fullmatch(commit):
            found.append(Head(name, commit, time_ns(look(one, *forge.dated)) if forge.dated else 0))
    return found


def comment_of(forge: Forge, listed: list[Any], marker: str, me: int) -> int:
    """The id of our comment among these; 0 where it is not there.

    A comment is ours that begins with our marker and that we wrote: whoever else writes the marker would have us write into a comment that
    is theirs to edit. ``me`` is 0 for an application of GitHub, whose comments are a bot's.
    """
    for one in listed:
        body, id, author = look(one, "body"), look(one, "id"), look(one, forge.author)  # noqa: A001
        ours = look(author, "id") == me if me else look(author, "type") == "Bot"
        if ours and isinstance(body, str) and body.startswith(marker) and isinstance(id, int):
            return id
    return 0
