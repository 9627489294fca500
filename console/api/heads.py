"""Where branches were when their forges were last asked, and which of them were pushed without a word of it here. Pure, but for its file.

A branch of which pushes were told is measured by those (:mod:`console.api.pushes`); one of which none was, by where it was at the last look.
The first look at a repository takes down what is there: nobody missed what was pushed before anybody listened.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from console.api.forges import Head
from console.api.line_log import Desk, LineLog
from console.api.pushes import Line, Step
from echolane.home import Home

Finding = Literal["known", "told", "missed"]


class HeadChange(msgspec.Struct):
    """What is to be kept together, by repository."""

    heads: dict[str, dict[str, str]] = {}
    """Commits of branches that are new or elsewhere; a repository without any was looked at for the first time."""
    gone: dict[str, list[str]] = {}


class Heads:
    """Where the branches of each repository were."""

    def __init__(self) -> None:
        self.of: dict[str, dict[str, str]] = {}

    def __repr__(self) -> str:
        return f"<Heads of {len(self.of)} repositories>"

    def apply(self, change: HeadChange) -> None:
        """What was kept once, as it is read again."""
        for repository, heads in change.heads.items():
            self.of.setdefault(repository, {}).update(heads)
        for repository, gone in change.gone.items():
            for branch in gone:
                self.of.get(repository, {}).pop(branch, None)

    def whole(self) -> HeadChange:
        """All of it."""
        return HeadChange(self.of)

    def settle(self, repository: str, listed: Mapping[str, str]) -> HeadChange | None:
        """Take down where all branches of a repository are; None where that is known."""
        known = self.of.get(repository)
        moved = {branch: commit for branch, commit in listed.items() if known is None or known.get(branch) != commit}
        gone = [branch for branch in known or () if branch not in listed]
        if known is not None and not moved and not gone:
            return None
        change = HeadChange({repository: moved}, {repository: gone} if gone else {})
        self.apply(change)
        return change


class HeadLog(LineLog[Heads, HeadChange]):
    """The file of one home."""

    def __init__(self, home: Home) -> None:
        super().__init__(home.path / "hooks" / "heads.log", Heads, HeadChange, "where branches were")


class Look(msgspec.Struct):
    """The looks at one repository since the server was started."""

    at_ns: int = 0
    """When it was last asked well."""
    tried_ns: int = 0
    heads: int = 0
    found: int = 0
    """Pushes that nobody had told."""
    failed: int = 0
    why: str = ""
    """What went wrong at the last one."""


class HeadDesk(Desk[Heads, HeadChange]):
    """The heads that one server knows, and how its looks went. On the loop."""

    def __init__(self, log: HeadLog) -> None:
        super().__init__(log)
        self.looks: dict[tuple[str, str], Look] = {}
        """By API and repository."""

    async def settle(self, repository: str, listed: Mapping[str, str]) -> None:
        """Keep where all branches of a repository are."""
        async with self._one:
            if (change := self.book.settle(repository, listed)) is not None:
                await self._keep(change)


def finding(head: Head, line: Line | None, seen: Mapping[str, str] | None, began_ns: int) -> Finding:
    """What a branch in a list means: where it is known to be; told of while the list was on its way, which may be older; or missed."""
    if line is not None:
        if line.head == head.commit:
            return "known"
        return "told" if line.told_ns >= began_ns else "missed"
    return "known" if seen is None or seen.get(head.branch) == head.commit else "missed"


def step_of(head: Head, line: Line | None, at_ns: int) -> Step:
    """A push that was missed, as one step from where the branch was for all that was told; dated as its delivery would be."""
    before = line.head if line is not None else ""
    return Step(before, head.commit, head.at_ns or at_ns, made=line is not None and not before, looked=True)
