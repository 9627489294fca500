"""Pushes that no delivery told of, by a real server and its forges: each is found at the start or at the next look, and run once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.api_parts import WAIT_S, Served, log_of
from tests.e2e.forge_parts import TOKEN, Fault, ForgeDouble
from tests.e2e.test_hooks_told import HOOK, KINDS, SECRET, SETTINGS, ZERO, Told, sha
from tests.e2e.world import World, files_below
from tests.waiting import wait_until

OLD = 120
"""Branches that were there before: two pages of GitHub's and GitLab's, three of Gitea's."""


class Missed(Told):
    """A server that looks every second. The branches of two forges never answer, so that nothing need run to see what was taken in."""

    def __init__(self, world: World, forges: dict[str, ForgeDouble]) -> None:
        self.forges = forges
        world.environ |= {"HOOK_SECRET": SECRET, "ECHOLANE_API_MISSED_PUSHES_S": "1"}
        token = world.folder / "token"
        token.write_text(f"{TOKEN}\n", "ascii")
        more = "".join(
            (HOOK if kind == "github" else HOOK.replace('"next"', '"gone"')).format(
                service="shop", forge=kind, token=token, api=one.api, more=""
            )
            for kind, one in forges.items()
        )
        gone = '[[api_targets]]\nservice = "shop"\nname = "gone"\nurl = "http://127.0.0.1:9"\n'
        Served.__init__(self, world, exchanges=3, settings=SETTINGS, more=gone + more)

    def looks(self) -> list[dict[str, Any]]:
        """How the looks went, those with trouble first."""
        return self.ask("GET", "/api/v1/pushes").json["looks"]

    def pushes(self, branch: str) -> dict[str, tuple[str, str]]:
        """State and run of a branch's commits."""
        listed = self.ask("GET", "/api/v1/pushes?limit=200").json["pushes"]
        found = [one for one in listed if one["branch"] == branch]
        assert len({one["commit"] for one in found}) == len(found) == len({one["run"] for one in found})
        return {one["commit"]: (one["state"], one["run"]) for one in found}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Missed]:
    """A server and its forges, at which branches are that nobody told it of."""
    world = World(tmp_path_factory.mktemp("missed"))
    forges = {kind: ForgeDouble(kind) for kind in KINDS}
    for kind, forge in forges.items():
        forge.branches["acme/shop"] = {f"old/{number:03}": sha(f"{kind}{number}") for number in range(OLD)}
    yield (one := Missed(world, forges))
    for process in world.started:
        process.kill()
        process.wait(10)
    for forge in forges.values():
        forge.close()
    assert not {"api.fault", "missed.fault"} & set(log_of(world.home).split('"'))
    written = files_below(world.home) | {one.said: one.said.read_bytes()}
    assert [path for path, data in written.items() if TOKEN.encode() in data] == []


def looked(served: Missed, kind: str) -> None:
    """Wait until a forge was asked for all its branches once more, from now on."""
    forge, last = served.forges[kind], {"github": 2, "gitlab": 2, "gitea": 3}[kind]
    begun = len(forge.seen)
    wait_until(
        lambda: sum(bool(re.search(f"branches.*&page={last}$", one.path)) for one in forge.seen[begun:]) > 1, WAIT_S
    )


def test_what_was_pushed_while_the_server_was_away_is_run_once(served: Missed) -> None:
    """What was there at the first look starts nothing; a known branch, a new one and one of a last page do; a late delivery changes nothing."""
    for kind, forge in served.forges.items():
        looked(served, kind)
        forge.branches["acme/shop"][f"{kind}/known"] = sha(f"{kind} one")
        served.push(kind, ZERO, sha(f"{kind} one"), f"{kind}/known")
    served.process.kill()
    served.process.wait(10)
    for kind, forge in served.forges.items():
        moved = {f"{kind}/known": sha(f"{kind} three"), f"{kind}/new": sha(f"{kind} four")}
        forge.branches["acme/shop"] |= moved | ({"old/119": sha("last")} if kind == "gitea" else {})
    served.start()
    for kind in KINDS:
        one, two, three, four = (sha(f"{kind} {word}") for word in ("one", "two", "three", "four"))
        known, new = f"{kind}/known", f"{kind}/new"
        wait_until(lambda three=three, known=known: three in served.pushes(known), WAIT_S)
        wait_until(lambda four=four, new=new: four in served.pushes(new), WAIT_S)
        runs = [served.pushes(known)[three][1], served.pushes(new)[four][1]]
        for before, after, branch in ((one, two, known), (two, three, known), (ZERO, four, new)):
            served.push(kind, before, after, branch)
        looked(served, kind)
        assert served.pushes(known)[two][0] == "superseded"
        assert served.pushes(known)[one][0] in {"superseded", "ended"}
        assert [served.pushes(known)[three][1], served.pushes(new)[four][1]] == runs
        if kind == "github":
            wait_until(lambda runs=runs: served.ask("GET", f"/api/v1/runs/{runs[1]}/state").status == 200, WAIT_S)
            assert [served.ended(run)["state"] for run in runs] == ["finished"] * 2
    assert set(served.pushes("old/119")) == {sha("last")}
    assert served.pushes("old/000") == {}
    entries = served.ask("GET", "/api/v1/audit").json["entries"]
    told = {entry["actor"] for entry in entries if entry["operation"] == "missedPush"}
    assert told == {f"look shop/{kind}" for kind in KINDS}


def test_a_forge_that_is_away_is_asked_again_and_says_so(served: Missed) -> None:
    """A rate limit is kept to, and told, by whoever calls, until the push is found; a page that is as it was costs GitHub's limit nothing."""
    looked(served, "github")
    looks = [call for call in served.forges["github"].seen if "branches" in call.path]
    assert {call.status for call in looks[-2:]} == {304}
    forge, one = served.forges["gitlab"], sha("while away")
    with forge.lock:
        forge.branches["acme/shop"]["away"] = one
        forge.faults = [Fault(429, {"Retry-After": "3"})]
        begun = len(forge.seen)
    wait_until(lambda: any(call.status == 429 for call in forge.seen[begun:]), WAIT_S)
    wait_until(lambda: served.looks()[0]["why"], WAIT_S)
    served.push("gitlab", ZERO, sha("told meanwhile"), "told")
    wait_until(lambda: one in served.pushes("away"), WAIT_S)
    wait_until(lambda: forge.states(sha("told meanwhile")), WAIT_S)
    [limited] = [call.at for call in forge.seen[begun:] if call.status == 429]
    later = [call for call in forge.seen[begun:] if call.at > limited]
    assert {"branches" in call.path for call in later} == {True, False}  # it is asked and told
    assert min(call.at for call in later) - limited >= 2.9
    wait_until(lambda: not served.looks()[0]["why"], WAIT_S)
    assert [(look["service"], look["repository"]) for look in served.looks()] == [("shop", "acme/shop")] * 3
    assert all(look["at_ns"] and look["heads"] > OLD for look in served.looks())
    numbers = served.ask("GET", "/metrics").body.decode()
    # One at least: a forge of these that stands still for long is away, too.
    assert re.search(r"^echolane_forge_looks_failed_total [1-9]", numbers, re.MULTILINE)
    assert "echolane_missed_pushes_total 8\n" in numbers
