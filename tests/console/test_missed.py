"""Which branches of a list were pushed without a word of it here, and what is kept of where they were."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from console.api.forges import FORGES, Head, heads_of
from console.api.heads import HeadDesk, HeadLog, Heads, finding, step_of
from console.api.missed_told import sources_of
from console.api.pushes import Book, Line, Step
from echolane.home import open_home
from tests.console.test_pushes import push, sha


def line_of(*steps: Step) -> Line:
    """A branch of which these were told."""
    line = Line()
    for step in steps:
        line.take(step)
    return line


def test_a_branch_is_missed_where_its_forge_has_it_elsewhere() -> None:
    """By what was told of it, else by the last look; the first look takes down what is there; what is told meanwhile is newer than the list."""
    head = Head("a", sha(2), 0)
    told = line_of(Step("", sha(1), 1, came_ns=5))
    assert finding(head, None, None, 9) == "known"
    assert finding(head, None, {}, 9) == "missed"
    assert finding(head, None, {"a": sha(1)}, 9) == "missed"
    assert finding(head, None, {"a": sha(2)}, 9) == "known"
    assert finding(head, told, None, 9) == "missed"
    assert finding(head, told, {"a": sha(2)}, 9) == "missed"
    assert finding(head, told, {}, 5) == "told"
    assert finding(Head("a", sha(1), 0), told, {}, 5) == "known"


@given(st.lists(st.integers(0, 2), min_size=1, max_size=8), st.data())
def test_whatever_got_lost_a_look_leaves_the_newest_and_one_run_a_commit(fates: list[int], data: st.DataObject) -> None:
    """Deliveries that come, come late, or never; then a look; then the late ones: the forge's head is what remains, and no commit is run twice."""
    steps = [Step(sha(n), sha(n + 1), n, came_ns=n + 1) for n in range(len(fates))]
    book, last = Book(), len(fates)

    def take(step: Step, at: int) -> None:
        book.take([(push(step.after), step)], [], at, lambda: "again")

    for step in [step for step, fate in zip(steps, fates, strict=True) if fate == 0]:
        take(step, step.came_ns)
    line = book.lines.get(push("").line)
    head = Head("a", sha(last), 0)
    if finding(head, line, {}, 100) == "missed":
        take(step_of(head, line, last), 101)
    assert [one.commit for one in book.of("waiting")] == [sha(last)]
    late = [step for step, fate in zip(steps, fates, strict=True) if fate == 1]
    if (
        2 not in fates and fates[0] == 0 and sorted(fates) == fates
    ):  # nothing is missing between them, so dates do not matter
        late = [msgspec.structs.replace(step, at_ns=1000) for step in late]
    else:
        late = data.draw(st.permutations(late))
    for step in late:
        take(step, 102)
        assert [one.commit for one in book.of("waiting")] == [sha(last)]
    assert finding(head, book.lines[push("").line], {}, 200) == "known"
    assert all(one.run != "again" for one in book.of("waiting"))


def test_a_branch_that_was_made_again_is_found() -> None:
    """Its deletion was told and its making was not."""
    line = line_of(Step("", sha(1), 1, came_ns=1), Step(sha(1), "", 2, came_ns=2))
    head = Head("a", sha(1), 0)
    assert finding(head, line, {"a": sha(1)}, 9) == "missed"
    assert line.take(step_of(head, line, 3))
    assert line.head == sha(1)


async def test_where_branches_were_outlives_its_server(tmp_path: Path) -> None:
    """Also that a repository without branches was looked at; what is gone is forgotten, what is as it was writes nothing."""
    file = HeadLog(open_home(tmp_path / "home"))
    desk = HeadDesk(file)
    await desk.open()
    await desk.settle("empty", {})
    await desk.settle("shop", {"a": sha(1), "b": sha(2)})
    await desk.settle("shop", {"a": sha(3)})
    size = file.path.stat().st_size
    await desk.settle("shop", {"a": sha(3)})
    assert file.path.stat().st_size == size
    assert file.load().of == {"empty": {}, "shop": {"a": sha(3)}}


@pytest.mark.parametrize("kind", sorted(FORGES))
@given(tree=st.recursive(st.none() | st.integers() | st.text(), lambda some: st.lists(some) | st.dictionaries(st.sampled_from(["name", "commit", "id", "sha", "timestamp"]), some), max_leaves=12))  # fmt: skip
def test_lists_of_any_shape_are_read(kind: str, tree: Any) -> None:
    """What is no branch is none; one that is has its name, its commit and its time."""
    heads_of(FORGES[kind], [tree])
    name = {"github": "sha"}.get(kind, "id")
    dated = {"committed_date": "2023-11-14T22:13:20Z", "timestamp": "2023-11-14T22:13:20Z"}
    at = 0 if kind == "github" else 1_700_000_000_000_000_000
    listed = [{"name": "a", "commit": {name: sha(1), **dated}}, {"name": "b", "commit": {name: "no"}}, None]
    assert heads_of(FORGES[kind], listed) == [Head("a", sha(1), at)]


def test_a_repository_of_many_hooks_is_asked_for_once() -> None:
    """Hooks without a token, and those that do not want it, are none; nothing is asked where the setting is 0."""

    def armed(service: str, *names: str, missed: bool = True, api: str = "https://x") -> Any:
        telling = SimpleNamespace(api=api) if api else None
        return SimpleNamespace(
            hook=SimpleNamespace(service=service, repositories=names, missed=missed), telling=telling
        )

    hooks = [
        armed("a", "o/one", "o/two"),
        armed("b", "o/one"),
        armed("c", "o/three", missed=False),
        armed("d", "o/four", api=""),
    ]
    site: Any = SimpleNamespace(hooks=hooks, settings=SimpleNamespace(api=SimpleNamespace(missed_pushes_s=300.0)))
    found = {source.repository: [one.hook.service for one in source.armed] for source in sources_of(site)}
    assert found == {"o/one": ["a", "b"], "o/two": ["a"]}
    site.settings.api.missed_pushes_s = 0.0
    assert list(sources_of(site)) == []
    assert Heads().settle("x", {}) is not None
