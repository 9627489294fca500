"""Which verdict each branch has, who is told that it is another one now, and until when that is tried. Pure.

A verdict and the messages that come of it are one change, kept together: a kill in between neither loses a message nor makes it twice.
Messages to one destination go in their order, each when the one before was told or given up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from console.api.notify_settings import Notify
from console.api.outgoing import Outgoing

BRANCHES_MAX = 10_000
"""The newest are remembered, some 3 MB; a branch that was forgotten begins anew."""
MESSAGES_MAX = 1_000
"""That wait for one destination; the oldest makes room, and is counted as given up."""


class Seen(msgspec.Struct, frozen=True):
    """What a run came to."""

    run: str
    service: str
    branch: str
    """Empty where nothing says what it is called."""
    verdict: str
    started_ns: int
    ended_ns: int


class Branch(msgspec.Struct, frozen=True):
    """The verdict of a branch of a service: that of its newest run."""

    seen: Seen
    decided: str = ""
    """The last that was not ``inconclusive``; empty where there was none."""

    @property
    def key(self) -> str:
        """Which one it is."""
        return key_of(self.seen)


class Message(Outgoing):
    """A change that somebody is told."""

    id: str
    """The same whenever it is sent, so that a receiver knows it again."""
    to: str
    seen: Seen
    before: str
    """The verdict before; empty where there was none."""
    reason: str = ""
    findings: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    """How many by severity."""


class MessageChange(msgspec.Struct):
    """What is kept together: all of it, or nothing."""

    branches: list[Branch] = []
    messages: list[Message] = []
    gone: list[str] = []
    since_ns: int = 0
    """When this began: what was over before is nobody's news."""


def key_of(seen: Seen) -> str:
    """The key of a branch."""
    return f"{seen.service}\n{seen.branch}"


class Messages:
    """The branches' verdicts, and what is to be told of them."""

    def __init__(self) -> None:
        self.since_ns = 0
        self.branches: dict[str, Branch] = {}
        self.by_id: dict[str, Message] = {}

    def __repr__(self) -> str:
        return f"<Messages of {len(self.branches)} branches, {len(self.by_id)} to be told>"

    @property
    def until_ns(self) -> int:
        """Up to when runs were looked at."""
        return max((one.seen.ended_ns for one in self.branches.values()), default=self.since_ns)

    def apply(self, change: MessageChange) -> None:
        """What was kept once, as it is read again."""
        self.since_ns = change.since_ns or self.since_ns
        for branch in change.branches:
            self.branches.pop(branch.key, None)  # the newest stands last
            self.branches[branch.key] = branch
        while len(self.branches) > BRANCHES_MAX:
            del self.branches[next(iter(self.branches))]
        for message in change.messages:
            self.by_id[message.id] = message
        for id in change.gone:  # noqa: A001 - what it is
            self.by_id.pop(id, None)

    def whole(self) -> MessageChange:
        """All of it."""
        return MessageChange(list(self.branches.values()), list(self.by_id.values()), [], self.since_ns)

    def is_news(self, seen: Seen) -> bool:
        """Whether this is said of a newer run than the one that is known, or newly of that one."""
        if seen.ended_ns <= self.since_ns:
            return False
        known = self.branches.get(key_of(seen))
        if known is None:
            return True
        if known.seen.run == seen.run:
            return seen.ended_ns > known.seen.ended_ns
        return (seen.started_ns, seen.run) > (known.seen.started_ns, known.seen.run)

    def take(
        self, seen: Seen, tell: Iterable[Notify], told: Callable[[str, str], Message]
    ) -> tuple[MessageChange, int]:
        """A verdict that is news: what is to be kept, and how many messages gave way.

        ``told`` makes a message: to whom, and the verdict before.
        """
        known = self.branches.get(key_of(seen))
        decided = seen.verdict if seen.verdict != "inconclusive" else (known.decided if known else "")
        change = MessageChange([Branch(seen, decided)])
        for notify in tell:
            before = verdict_before(known, seen, notify)
            if before is not None:
                change.messages.append(told(notify.name, before))
                waiting = [one.id for one in self.by_id.values() if one.to == notify.name]
                change.gone += waiting[: max(0, len(waiting) + 1 - MESSAGES_MAX)]
        self.apply(change)
        return change, len(change.gone)

    def due(self, now_ns: int) -> list[Message]:
        """What may be told now: of each destination the one that waits longest."""
        first: dict[str, Message] = {}
        for message in self.by_id.values():
            first.setdefault(message.to, message)
        return [one for one in first.values() if one.due_ns <= now_ns]


def verdict_before(known: Branch | None, seen: Seen, notify: Notify) -> str | None:
    """What the verdict was, where somebody is told that it is another one now; None where it is not told.

    The first verdict of a branch is told unless it is a pass: nobody waits for the news that all is as it was.
    """
    if seen.verdict not in notify.verdicts or not notify.wants(seen.service, seen.branch):
        return None
    with_open = "inconclusive" in notify.verdicts
    before = "" if known is None else known.seen.verdict if with_open else known.decided
    if before == seen.verdict or (not before and seen.verdict == "pass"):
        return None
    return before
