"""The figure of ``python -m bench hooks`` in small, from a seed: doubled, out of order and lost deliveries of many branches."""

from __future__ import annotations

from bench import hooks
from console.api.pushes import Book
from tests.console.test_pushes import push, sha


def test_one_run_a_commit_none_lost_and_the_newest_wins() -> None:
    """Whatever the order; over a kill with a hundred pushes that nobody hears; a late delivery begins nothing; each is answered within a second."""
    one = hooks.told(7, branches=10, count=150, seconds=0.0, lost=100)
    assert one.faults == []
    assert len(one.answers_s) == 160
    assert sorted(one.answers_s)[len(one.answers_s) * 9 // 10] < 1.0


def test_a_story_is_of_its_seed_and_has_every_push() -> None:
    """As many deliveries as said, each push among them, a third of them twice, out of order; and what is wrong is seen."""
    plan = hooks.story(7, 10, 150)
    assert plan.deliveries == hooks.story(7, 10, 150).deliveries != hooks.story(8, 10, 150).deliveries
    assert len(plan.deliveries) == 150
    assert set(plan.deliveries) == {(branch, step) for branch in range(1, 11) for step in range(1, 11)}
    assert [step for branch, step in plan.deliveries if branch == 1] != sorted(
        step for branch, step in plan.deliveries if branch == 1
    )
    book = Book()
    book.pushes = {"x": push(sha(3), "b1", "run")}
    assert len(hooks.faults(book, {1: 1}, [(sha(3), "other")])) == 2
