"""The story of ``python -m bench hooks``, which says how long answers take, from a seed: doubled, out of order and lost deliveries of many branches."""

from __future__ import annotations

from bench import hooks
from console.api.pushes import Book
from tests.console.test_pushes import push, sha


def test_one_run_a_commit_none_lost_and_the_newest_wins() -> None:
    """Of a thousand deliveries in any order, to branches called alike in several repositories; over a kill with a hundred pushes that nobody hears; a late delivery begins nothing."""
    one = hooks.told(7, branches=12, count=1_000, seconds=0.0, lost=120)
    assert one.faults == []
    assert len(one.answers_s) == 1_012
    assert one.commits == 1_000 * 2 // 3 // 12 * 12


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
