"""Which commit of a branch is the newest, in whatever order and however often pushes are told, and what that means for each. Pure.

Deliveries come late, twice and in the wrong order. A push says which commit it follows, so a branch is a chain of such steps; where steps are
missing, the time that the forge names decides until they come. One push of each commit starts one run; it is given up once a newer commit
is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

STEPS_MAX = 64
"""Of one branch: deliveries that are so far out of order are told by their time alone."""
PUSHES_MAX = 10_000
"""Remembered, the newest, some 5 MB; older ones that are over are forgotten."""
LINES_MAX = 10_000
LATE_NS = 60_000_000_000
"""Within which what is told of a branch that is deleted and made again may be out of order; after that, it is as it is told."""
SEEN_MAX = 100_000
SEEN_NS = 7 * 86_400_000_000_000
"""Deliveries are known again for a week, and the newest hundred thousand of them."""
OPEN_MAX = 1_000
"""Pushes whose runs have not begun: a day's work of a server. Beyond it deliveries are refused, which the forge shows."""
State = Literal["waiting", "asked", "ended", "superseded", "failed"]


class TooMany(Exception):  # noqa: N818 - the word of style.md
    """As many pushes wait as may."""


class Step(msgspec.Struct, frozen=True):
    """A branch went from one commit to another; empty is none (it was made, or deleted)."""

    before: str
    after: str
    at_ns: int
    """As the forge tells it."""
    made: bool = False
    """Whether the branch was made by it, so that it follows nothing; without that an empty ``before`` is one that is not told."""
    came_ns: int = 0
    """When it was told here."""
    looked: bool = False
    """Whether nobody told it, but its forge was asked where the branch is: steps may lie between."""


class Line(msgspec.Struct):
    """What is known of one branch."""

    chain: list[Step] = []
    """Each step follows the one before; the last is the newest known."""
    apart: list[Step] = []
    """Steps whose place is not known yet, or is long past."""
    early: Step | None = None
    """That the branch was made again, told while it is there for all that is known: its deletion may come."""

    @property
    def head(self) -> str:
        """The newest commit; empty where the branch is deleted."""
        return self.chain[-1].after if self.chain else ""

    @property
    def told_ns(self) -> int:
        """When something was told of it last."""
        return max((one.came_ns for one in (*self.chain, *self.apart, *filter(None, [self.early]))), default=0)

    def take(self, step: Step) -> bool:
        """One more step, at whatever place; whether the branch is there again after it was deleted."""
        was_deleted = bool(self.chain) and not self.head
        if not self.chain:
            self.chain = [step]
        elif step.after == self.head:
            return False
        elif step.before and step.before == self.head:
            if self._led_to_the_end(step):
                ended, made = self.chain[-2:]
                self.chain[-2:] = [made, step, ended]
            else:
                self.chain.append(step)
        elif not self.head and step.made and not self._made_before(step):
            # What is known of the branch that was deleted says nothing of this one.
            self.apart = [one for one in self.apart if one.came_ns > self.chain[-1].came_ns]
            self.chain.append(step)
        elif self._ended_before(step):
            return False
        elif self._lies_between(step):
            self.apart.append(step)
        elif step.after and any(one.before == step.after for one in self.chain):
            if self.chain[0].before == step.after:
                self.chain.insert(0, step)
            self._bound()
            return False
        elif step.at_ns >= self.chain[-1].at_ns:
            self.apart += self.chain
            self.chain = [step]
        elif step.made and any(one.made for one in self.chain):
            self.early = step
        else:
            self.apart.append(step)
        again = self._follow()
        self._bound()
        return bool(self.head) and (was_deleted or again)

    def _follow(self) -> bool:
        """What came too early may go on from here; whether that is the branch made again."""
        early, self.early = self.early, None if not self.head else self.early
        again = not self.head and early is not None and self.chain[-1].came_ns - early.came_ns < LATE_NS
        if again and early is not None:
            self.chain.append(early)
        while step := next((one for one in self.apart if one.before and one.before == self.head), None):
            self.apart.remove(step)
            self.chain.append(step)
        return again

    def _made_before(self, step: Step) -> bool:
        """Whether a branch that is deleted was not made again by this, but in the first place, which is told late."""
        known = any(one.made and one.after == step.after for one in (*self.chain, *self.apart))
        begins = any(one.before == step.after for one in (self.chain[0], *self.apart))
        return not known and begins and step.came_ns - self.chain[-1].came_ns < LATE_NS

    def _lies_between(self, step: Step) -> bool:
        """Whether a step goes on from where the branch was before its forge was asked: so it lies between, whatever its date."""
        last, at = self.chain[-1], step.before
        for _ in range(STEPS_MAX if last.looked and last.before and step.after else 0):
            if at in {"", last.before}:
                return bool(at)
            at = next((one.before for one in self.apart if one.after == at), "")
        return False

    def _led_to_the_end(self, step: Step) -> bool:
        """Whether a step leads to a deletion that was told before it, and so did what looked as if the branch was made again."""
        if len(self.chain) < 2 or not self.chain[-1].made:
            return False
        ended = self.chain[-2]
        known = any(one.after == step.after for one in (*self.chain, *self.apart))
        return not ended.after and ended.before == step.after and not known and step.came_ns - ended.came_ns < LATE_NS

    def _ended_before(self, step: Step) -> bool:
        """Whether a branch that was made again is not deleted by this: that is what was before, told late or twice."""
        made = next((index for index in reversed(range(len(self.chain))) if self.chain[index].made), -1)
        if step.after or made < 0 or step.came_ns - self.chain[made].came_ns >= LATE_NS:
            return False
        earlier = {one.after for one in (*self.apart, *self.chain[:made])}
        return (made > 0 and not self.chain[made - 1].after) or (bool(step.before) and step.before in earlier)

    def _bound(self) -> None:
        del self.chain[:-STEPS_MAX], self.apart[:-STEPS_MAX]


class Push(msgspec.Struct):
    """One commit of a branch that was pushed, and what became of it."""

    hook: str
    service: str
    repository: str
    branch: str
    commit: str
    """As the caller names it; one that names none is given the delivery's."""
    at_ns: int
    run: str
    by: str
    """Who said so, for the run: a hook or a token."""
    state: State = "waiting"
    why: str = ""
    given_up: bool = False
    """Whether its run was, so that it needs another where the branch goes back to it."""
    trace: str = ""
    """The span of the delivery that its run is due to, as a ``traceparent``."""

    @property
    def key(self) -> str:
        """Which one it is."""
        return f"{self.line}\n{self.commit}"

    @property
    def line(self) -> str:
        """Of which branch it is."""
        return line_of(self.hook, self.repository, self.branch)


def line_of(hook: str, repository: str, branch: str) -> str:
    """What a branch is called in the book."""
    return f"{hook}\n{repository}\n{branch}"


class Change(msgspec.Struct):
    """What is to be kept together: all of it, or nothing."""

    seen: dict[str, int] = {}
    pushes: list[Push] = []
    lines: dict[str, Line] = {}


class Book:
    """All pushes of a server."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}
        """Deliveries, and when they came."""
        self.pushes: dict[str, Push] = {}
        self.lines: dict[str, Line] = {}

    def __repr__(self) -> str:
        return f"<Book {len(self.pushes)} pushes, {sum(1 for _ in self.of('waiting'))} wait>"

    def of(self, *states: State) -> Iterable[Push]:
        """The pushes that are at this, the oldest first."""
        return [push for push in self.pushes.values() if push.state in states]

    def was_seen(self, deliveries: Iterable[str], now_ns: int) -> bool:
        """Whether one of these was taken in already."""
        return any(now_ns - self.seen.get(one, -SEEN_NS) < SEEN_NS for one in deliveries)

    def take(
        self, pushes: Iterable[tuple[Push, Step]], deliveries: Iterable[str], now_ns: int, new_run: Callable[[], str]
    ) -> Change:
        """Take a delivery in: which commits are to be run, and which no more. TooMany where too many wait."""
        told = list(pushes)
        if any(step.after for _, step in told) and len(list(self.of("waiting"))) >= OPEN_MAX:
            raise TooMany
        change = Change(seen=dict.fromkeys(deliveries, now_ns))
        for push, step in told:
            line = self.lines.pop(push.line, None) or Line()
            again = line.take(step)
            self.lines[push.line] = change.lines[push.line] = line
            if step.after and push.key not in self.pushes:
                push.state, push.why = "superseded", "a newer commit was known already"  # unless it is the head
                self.pushes[push.key] = push
                change.pushes.append(push)
            change.pushes += self._settle(push, line.head, new_run, again=again)
        self.seen.update(change.seen)
        self._forget(now_ns)
        return change

    def _settle(self, told: Push, head: str, new_run: Callable[[], str], *, again: bool) -> list[Push]:
        """Have the newest commit of a branch run, and none else; one that was run, too, where the branch is there again."""
        changed: list[Push] = []
        for push in self.pushes.values():
            if push.line != told.line:
                continue
            if push.commit != head and push.state in {"waiting", "asked"}:
                push.why = f"commit {head[:12]} is newer" if head else "the branch was deleted"
                push.state, push.given_up = "superseded", True
                changed.append(push)
            elif push.commit == head and (push.state == "superseded" or (again and push.state in {"ended", "failed"})):
                if push.given_up or push.state != "superseded":
                    push.run, push.given_up = new_run(), False
                push.state, push.why, push.trace = "waiting", "", told.trace
                changed.append(push)
        return changed

    def apply(self, change: Change) -> None:
        """What was kept once, as it is read again."""
        self.seen.update(change.seen)
        for push in change.pushes:
            self.pushes[push.key] = push
        for name, line in change.lines.items():
            self.lines.pop(name, None)
            self.lines[name] = line

    def whole(self) -> Change:
        """All of it."""
        return Change(self.seen, list(self.pushes.values()), self.lines)

    def _forget(self, now_ns: int) -> None:
        """What is beyond the bounds, the oldest first; each has been in order of time since it came."""
        while self.seen and (len(self.seen) > SEEN_MAX or now_ns - next(iter(self.seen.values())) > SEEN_NS):
            del self.seen[next(iter(self.seen))]
        if len(self.pushes) > PUSHES_MAX:
            over = [key for key, push in self.pushes.items() if push.state not in {"waiting", "asked"}]
            for key in over[: len(self.pushes) - PUSHES_MAX]:
                del self.pushes[key]
        while len(self.lines) > LINES_MAX:
            del self.lines[next(iter(self.lines))]
