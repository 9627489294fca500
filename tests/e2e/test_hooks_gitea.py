"""A real Gitea and a real server: what it delivers starts runs, and what became of them stands in it."""

from __future__ import annotations

import urllib.parse
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from bench import gitea as part
from console.markdown import marker
from tests.e2e.api_parts import WAIT_S, Served, log_of
from tests.e2e.gitea_parts import WHO, Delivery, Gitea
from tests.e2e.test_hooks_told import PATIENT
from tests.e2e.world import World, files_below
from tests.waiting import wait_until

SECRET = "a secret of the tests alone"
SETTINGS = """
[api]
url = "http://127.0.0.1"
hosts = ["127.0.0.1"]
missed_pushes_s = 1
rate_per_s = 10000
burst = 100000
"""
HOOK = """
[[hooks]]
service = "shop"
base = "released"
branch = "next"
forge = "gitea"
repositories = ["keeper/shop"]
secret_env = "HOOK_SECRET"
not_branches = ["main"]
token_env = "FORGE_TOKEN"
api = "{api}"
"""


class Together(Served):
    """The two, each with the other's address."""

    def __init__(self, world: World, forge: Gitea) -> None:
        self.forge = forge
        world.environ |= PATIENT | {"HOOK_SECRET": SECRET, "FORGE_TOKEN": forge.token}
        forge.repository()
        super().__init__(world, exchanges=6, settings=SETTINGS, more=HOOK.format(api=f"{forge.url}/api/v1"))
        self.url = f"http://127.0.0.1:{self.port}/hooks/gitea"
        self.hook = forge.hook(self.url, SECRET)
        # What is there at the first look is nobody's news.
        wait_until(lambda: all(one["at_ns"] for one in self.looks()), WAIT_S)

    def pushes(self, commit: str) -> list[dict[str, Any]]:
        """What the server knows of a commit."""
        listed = self.ask("GET", "/api/v1/pushes?limit=200").json["pushes"]
        return [one for one in listed if one["commit"] == commit]

    def told(self, commit: str) -> dict[str, Any]:
        """How far the forge was told of a commit that is over."""
        [push] = self.pushes(commit)
        return push["forge"]

    def looks(self) -> list[dict[str, Any]]:
        """How it asked the forge for what it missed."""
        return self.ask("GET", "/api/v1/pushes").json["looks"]

    def runs(self) -> int:
        """How many runs there are."""
        return len(self.ask("GET", "/api/v1/runs?limit=200").json["runs"])


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gitea]:
    """A Gitea, where somebody built it: that takes too long to have it done, or to require it, whenever everything is tested."""
    if not part.GITEA.exists():
        pytest.skip(f"needs Gitea: {part.HINT}")
    found = Gitea(tmp_path_factory.mktemp("forge") / "gitea")
    yield found
    found.end()


@pytest.fixture(scope="module")
def served(forge: Gitea, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Together]:
    """A server that it delivers to; at the end nothing that it wrote has the token in it."""
    world = World(tmp_path_factory.mktemp("served"))
    yield (one := Together(world, forge))
    world.end()
    assert "api.fault" not in log_of(world.home)
    written = files_below(world.home) | {one.said: one.said.read_bytes()}
    assert [path for path, data in written.items() if forge.token.encode() in data] == []


def settled(served: Together, count: int) -> list[Delivery]:
    """What was delivered, once it is as many and all are answered."""
    wait_until(lambda: len(served.forge.deliveries()) >= count, WAIT_S)
    return served.forge.deliveries()


def test_a_pull_request_is_run_and_told(served: Together) -> None:
    """Every delivery is believed; one run a commit; pending, then the verdict; one comment, edited by the next push; a replay, a test and the looks start nothing more."""
    forge = served.forge
    with (
        served.held()
    ):  # what comes is told in the place of what was not told yet: a run of a moment would never be pending
        first = forge.commit("feature/a", "one", onto="main")
        pull = forge.pull("feature/a")
        wait_until(lambda: forge.statuses(first), WAIT_S)
    wait_until(lambda: served.pushes(first) and served.told(first)["comment"] == "told", WAIT_S)
    wait_until(lambda: forge.statuses(first)[-1]["status"] == "failure", WAIT_S)  # told by itself, beside the comment
    [push] = served.pushes(first)
    assert (push["repository"], push["branch"], push["state"]) == (f"{WHO}/shop", "feature/a", "ended")
    states = forge.statuses(first)
    assert [one["status"] for one in states][-1] == "failure"
    assert {one["status"] for one in states[:-1]} == {"pending"}
    assert {one["context"] for one in states} == {"echolane/shop"}
    assert states[-1]["target_url"] == f"http://127.0.0.1/runs/{push['run']}"
    [comment] = forge.comments(pull)
    assert comment["body"].startswith(f"{marker('shop')}\n")
    assert "Echolane: fail" in comment["body"]
    assert f"commit {first[:12]}" in comment["body"]

    second = forge.commit("feature/a", "two")
    wait_until(lambda: served.pushes(second) and served.told(second)["comment"] == "told", WAIT_S)
    [edited] = forge.comments(pull)
    assert edited["id"] == comment["id"]
    assert f"commit {second[:12]}" in edited["body"]
    wait_until(lambda: forge.statuses(second)[-1]["status"] == "failure", WAIT_S)
    assert [one["status"] for one in forge.statuses(first)][-1] == "failure"
    for commit in (first, second):
        assert served.ended(served.pushes(commit)[0]["run"])["state"] == "finished"

    before = forge.deliveries()
    assert {one.status for one in before} == {202}, before
    assert Counter(one.event for one in before) >= Counter({"push": 2, "pull_request": 1, "pull_request_sync": 1})
    pushed = [one for one in before if one.event == "push"][-1]
    forge.redeliver(served.hook, pushed.uuid)
    forge.ask("POST", f"/repos/{WHO}/shop/hooks/{served.hook}/tests?ref={urllib.parse.quote('feature/a', safe='')}")
    after = settled(served, len(before) + 2)[len(before) :]
    assert {one.status for one in after} == {202}
    assert pushed.uuid not in {one.uuid for one in after}
    assert pushed.body in {one.body for one in after}
    again = served.ask("POST", "/hooks/gitea", pushed.body, token=None, headers=pushed.headers)
    assert "taken in before" in again.json["said"]
    assert len(served.pushes(second)) == 1
    assert served.runs() == 2
    assert [(one["repository"], one["why"]) for one in served.looks()] == [(f"{WHO}/shop", "")]


def test_a_delivery_with_another_secret_is_refused(served: Together) -> None:
    """What Gitea signs with a secret that is no hook's starts nothing, and Gitea's own book says 401."""
    forge, before, runs = served.forge, len(served.forge.deliveries()), served.runs()
    hook = forge.hook(served.url, "a secret of somebody else")
    forge.ask("POST", f"/repos/{WHO}/shop/hooks/{hook}/tests?ref=main")
    assert settled(served, before + 1)[-1].status == 401
    forge.unhook(hook)
    assert served.runs() == runs


def test_a_push_that_nobody_delivered_is_found_and_a_deleted_branch_is_taken_in(served: Together) -> None:
    """Without a webhook the look at Gitea's own list of branches finds the push, and tells it; with one again the deletion is believed."""
    forge = served.forge
    forge.unhook(served.hook)
    commit = forge.commit("feature/missed", "three", onto="main")
    wait_until(lambda: served.pushes(commit) and served.told(commit)["comment"] == "no-pull-request", WAIT_S)
    assert served.ended(served.pushes(commit)[0]["run"])["state"] == "finished"
    wait_until(lambda: forge.statuses(commit)[-1]["status"] == "failure", WAIT_S)
    [look] = served.looks()
    assert look["found"] >= 1
    assert look["why"] == ""

    served.hook = forge.hook(served.url, SECRET)
    forge.ask("DELETE", f"/repos/{WHO}/shop/branches/{urllib.parse.quote('feature/missed', safe='')}")
    wait_until(lambda: [one for one in forge.deliveries() if one.event == "delete"], WAIT_S)
    assert {one.status for one in forge.deliveries()[-2:]} == {202}
