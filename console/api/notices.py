"""What forges are to be told, the newest of each thing, and until when it is tried. Pure.

There are a notice for each commit's status, one for its check run, and one for each branch (its comment). What is to be told
replaces what was not told yet, so a forge that was away is told how things are and not how they were.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

import msgspec

from console.api.forges import Word
from console.api.outgoing import Outgoing

NOTICES_MAX = 30_000
"""Three for each push that is remembered, some 15 MB."""
Kind = Literal["status", "check", "comment"]


class Notice(Outgoing):
    """One thing that a forge is told."""

    kind: Kind
    hook: str
    repository: str
    branch: str
    commit: str
    run: str
    word: Word
    text: str = ""
    """One line for a person."""
    begun: bool = True
    """Whether its run has a page."""
    turn: int = 1
    """Grows whenever there is something else to tell."""
    told: int = 0
    """The turn that was told."""
    pull: int = 0
    """The pull request that the comment is on; 0 where there was none."""
    comment: int = 0
    """The id of what was written there, or of the check run."""

    @property
    def key(self) -> str:
        """Which one it is."""
        return key_of(self.kind, self.hook, self.repository, self.branch if self.kind == "comment" else self.commit)

    @property
    def is_due(self) -> bool:
        """Whether it is to be told."""
        return self.told != self.turn and not self.given_up


def key_of(kind: Kind, hook: str, repository: str, what: str) -> str:
    """The key of a notice: of a branch for a comment, else of a commit."""
    return f"{kind}\n{hook}\n{repository}\n{what}"


class NoticeChange(msgspec.Struct):
    """What is to be kept together: all of it, or nothing."""

    notices: list[Notice] = []
    gone: list[str] = []
    since_ns: int = 0
    """When this began: what was over before then is nobody's news."""


class Notices:
    """All notices of a server."""

    def __init__(self) -> None:
        self.since_ns = 0
        self.by_key: dict[str, Notice] = {}

    def __repr__(self) -> str:
        return f"<Notices {len(self.by_key)}, {sum(1 for one in self.by_key.values() if one.is_due)} to be told>"

    def apply(self, change: NoticeChange) -> None:
        """What was kept once, as it is read again."""
        self.since_ns = change.since_ns or self.since_ns
        for notice in change.notices:
            self.by_key[notice.key] = notice
        for key in change.gone:
            self.by_key.pop(key, None)

    def whole(self) -> NoticeChange:
        """All of it."""
        return NoticeChange(list(self.by_key.values()), [], self.since_ns)

    def due(self, now_ns: int) -> list[Notice]:
        """What is to be told now, what has waited longest first."""
        return sorted(
            (one for one in self.by_key.values() if one.is_due and one.due_ns <= now_ns), key=lambda one: one.due_ns
        )

    def settle(self, wanted: Mapping[str, Notice], moot: Collection[str], now_ns: int) -> NoticeChange:
        """Have these told where they say something else than what is known.

        What is ``moot`` is told no more; what nobody asks for is forgotten once it is told, and the oldest of it beyond the bound.
        """
        change = NoticeChange()
        for key, notice in wanted.items():
            before = self.by_key.get(key)
            if before is None:
                notice.since_ns = notice.due_ns = now_ns
                change.notices.append(notice)
            elif (before.run, before.word, before.text) != (notice.run, notice.word, notice.text):
                change.notices.append(renewed(before, notice, now_ns))
        left = len(self.by_key) + len(change.notices) - NOTICES_MAX
        for key, notice in self.by_key.items():
            if key not in wanted and (left > 0 or key in moot or not notice.is_due):
                left -= 1
                change.gone.append(key)
        self.apply(change)
        return change


def renewed(before: Notice, notice: Notice, now_ns: int) -> Notice:
    """The notice that comes after another one: its turn is the next, and where it stands is known."""
    notice.turn, notice.told = before.turn + 1, before.told
    notice.since_ns = notice.due_ns = now_ns
    if notice.kind != "check" or notice.run == before.run:  # each run of a commit has a check run of its own
        notice.pull, notice.comment = before.pull, before.comment
    return notice


def after_telling(notice: Notice, turn: int) -> None:
    """Note that a turn of it was told; a later one may be waiting meanwhile."""
    notice.told = turn
    if turn == notice.turn:
        notice.tries = notice.refused = 0
        notice.why = ""
