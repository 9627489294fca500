"""A branch that is deleted and made again is run, whatever its age and the order of what is told; a date in the future holds nobody up."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from console.api import deliveries as d
from console.api.push_desk import PushDesk
from console.api.push_log import PushLog
from console.api.pushes import LATE_NS, Book, Push, Step
from echolane.home import open_home

ZERO, A, B, C = "0" * 40, "a" * 40, "b" * 40, "c" * 40
S = 1_000_000_000
OLD, NOW = 1_600_000_000 * S, 1_700_000_000 * S


def pushed(forge: str, before: str, after: str, at_s: int) -> Step:
    """A push as this forge tells it, of a commit of years ago; taken in at this second."""
    tree = {"ref": "refs/heads/a", "before": before, "after": after, "project": {"path_with_namespace": "acme/shop"}}
    tree |= {"repository": {"full_name": "acme/shop", "pushed_at": NOW // S + at_s}}
    tree |= {"commits": [{"id": after, "timestamp": "2020-09-13T12:26:40+00:00"}], "created": before == ZERO}
    now = NOW + at_s * S
    step = d.read(forge, "Push Hook" if forge == "gitlab" else "push", tree, now).step
    assert step is not None
    return Step(step.before, step.after, min(step.at_ns, now), made=step.made, came_ns=now)


def book_of(steps: list[Step]) -> Book:
    """A book that was told these, whose runs are over at once."""
    book = Book()
    for number, step in enumerate(steps):
        push = Push("shop/x", "shop", "acme/shop", "a", step.after, step.came_ns, f"run-{number}", "hook")
        book.take([(push, step)], [f"d{number}"], step.came_ns, lambda number=number: f"again-{number}")
        if number < len(steps) - 1:
            for one in book.of("waiting"):
                one.state = "ended"
    return book


@pytest.mark.parametrize("forge", ["github", "gitlab", "gitea"])
@pytest.mark.parametrize("commit", [A, B, C], ids=["older", "same", "new"])
@pytest.mark.parametrize("pause_s", [5, 7200])
def test_a_branch_that_was_deleted_is_run_when_it_is_made_again(forge: str, commit: str, pause_s: int) -> None:
    """At a commit that it had, at its last one, or at one that nobody knows; soon or late; one that was run is run again."""
    steps = [pushed(forge, ZERO, A, 0), pushed(forge, A, B, 10), pushed(forge, B, ZERO, 20)]
    book = book_of([*steps, pushed(forge, ZERO, commit, 20 + pause_s)])
    assert [one.commit for one in book.of("waiting")] == [commit]
    book = book_of([*steps, pushed(forge, ZERO, commit, 20 + pause_s), pushed(forge, commit, ZERO, 30 + pause_s)])
    assert book.lines.popitem()[1].head == ""


@pytest.mark.parametrize("forge", ["github", "gitlab", "gitea"])
def test_what_is_told_late_of_a_deleted_branch_does_not_bring_it_back(forge: str) -> None:
    """It was made, pushed and deleted within a minute: however that is told, the branch is gone in the end; a deletion is told twice."""
    steps = [pushed(forge, ZERO, A, 1), pushed(forge, A, B, 2), pushed(forge, B, ZERO, 3)]
    for order in itertools.permutations(steps):
        book = book_of([Step(one.before, one.after, one.at_ns, one.made, NOW + 4 * S) for one in order])
        assert book.lines.popitem()[1].head == "", order
    gone = Step("", "", NOW + 4 * S, came_ns=NOW + 4 * S)
    for last in ([steps[2], gone], [gone, steps[2]]):
        book = book_of([*steps[:2], last[0], pushed(forge, ZERO, C, 5), last[1]])
        assert book.lines.popitem()[1].head == C


@pytest.mark.parametrize("forge", ["github", "gitlab", "gitea"])
def test_a_deletion_that_is_told_after_the_branch_is_made_again_deletes_what_was_before(forge: str) -> None:
    """Made again at another commit, also one that is older than all; both orders leave that one."""
    steps = [pushed(forge, ZERO, A, 0), pushed(forge, A, B, 10)]
    gone, again = pushed(forge, B, ZERO, 20), pushed(forge, ZERO, C, 21)
    older = Step("", C, OLD - S, made=True, came_ns=again.came_ns)
    for last in ([gone, again], [again, gone], [gone, older], [older, gone]):
        book = book_of([*steps, *last])
        assert book.lines.popitem()[1].head == C
        assert [one.commit for one in book.of("waiting")] in ([C], [])
    after = pushed(forge, ZERO, C, 21 + LATE_NS // S)
    assert book_of([*steps, after, pushed(forge, C, ZERO, 200)]).lines.popitem()[1].head == ""


async def test_a_commit_of_the_future_holds_nobody_up(tmp_path: Path) -> None:
    """Dated a century ahead it is as of now, so that a push of a rewritten history after it is newer."""
    desk = PushDesk(PushLog(open_home(tmp_path / "home")))
    await desk.open()
    for number, (commit, at) in enumerate(((A, 4_000_000_000 * S), (B, 4_000_000_001 * S))):
        push = Push("shop/x", "shop", "acme/shop", "a", commit, 1, f"run-{number}", "hook")
        await desk.take([(push, Step("", commit, at))], [f"d{number}"])
    assert [one.commit for one in desk.book.of("waiting")] == [B]
    push = Push("shop/x", "shop", "acme/shop", "a", C, 1, "run-3", "hook")
    await desk.take([(push, Step("", C, time.time_ns()))], ["d3"])
    assert [one.commit for one in desk.book.of("waiting")] == [C]
