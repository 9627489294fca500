"""`ECHOLANE_CONFIG`: what judges a branch is read from a commit that the branch cannot choose."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.world import World, places

HIDES = """
[[rules]]
name = "quiet"
service = "shop"
endpoint = "/items/{id}"
where = "body:$.price"
kinds = ["value", "format", "type"]
matcher = "ignore"
reason = "the branch says that this is as it should be"
owner = "branch"
expires = 2099-12-31
"""
MALICIOUS = {
    "a rule that hides the change": HIDES,
    "bounds that leave nothing to compare": "[differ]\nnodes = 100\ndepth = 8\ntime_ms = 1\n",
    "targets that are called otherwise": '[targets.branch]\nhost = "released.example"\n',
    "a command for credentials": '[targets.base.credentials]\ncommand = "touch pwned"\n',
    "what is no TOML": "[[[",
}
"""What a branch may have written into its own file."""


def git(folder: Path, *words: str) -> str:
    """Run it; what it says."""
    named = ["-c", "user.name=t", "-c", "user.email=t@t.invalid", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *named, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(world: World) -> World:
    """A repository whose main has a rule about something else, and a branch that is checked out; its service was recorded."""
    git(world.folder, "init", "-q", "-b", "main")
    (world.folder / "echolane.toml").write_text("\n\n[replay]\nthink_max_s = 2.0\n", "utf-8")
    (world.folder / "rules").mkdir()
    (world.folder / "rules" / "clock.yaml").write_text(
        '- name: clock\n  service: shop\n  endpoint: /items/{id}\n  where: "body:$.at"\n  matcher: class\n  class: time\n'
        "  reason: the time of the answer itself\n  owner: team\n  expires: 2099-12-31\n",
        "utf-8",
    )
    git(world.folder, "add", "echolane.toml", "rules")
    git(world.folder, "commit", "-qm", "main")
    git(world.folder, "checkout", "-qb", "work")
    world.record(world.app(), [(f"/items/{n}", {}) for n in range(1, 9)])
    return world


@pytest.mark.parametrize("written", MALICIOUS.values(), ids=MALICIOUS)
def test_a_branch_does_not_choose_what_judges_it(checkout: World, written: str) -> None:
    """Whatever the branch's file says, the commit's is read: its values are in force, and the change is found."""
    (checkout.folder / "echolane.toml").write_text(written, "utf-8")
    for path in (checkout.folder / "rules").iterdir():
        path.unlink()
    git(checkout.folder, "commit", "-qam", "branch")
    checkout.environ["ECHOLANE_CONFIG"] = "git:main"

    shown = checkout.call("config", "show")
    done, result = checkout.run("--base-cmd", checkout.app_command(), "--branch-cmd", checkout.app_command("price"))

    assert shown.code == 0, shown.err
    commit = git(checkout.folder, "rev-parse", "main")
    assert f"{commit}/top/echolane.toml line 4" in shown.out
    assert done.code == 1, done.err
    assert ("body:$.price", "value") in places(result)
    assert not (checkout.folder / "pwned").exists()
    rules = checkout.call("rules", "check", "--json").result
    assert [rule["name"] for rule in rules["rules"]] == ["clock"]


def test_without_it_the_folder_is_read(checkout: World) -> None:
    """The same branch judged by its own file passes, which is what the variable is for."""
    (checkout.folder / "echolane.toml").write_text(HIDES, "utf-8")
    done, _ = checkout.run("--base-cmd", checkout.app_command(), "--branch-cmd", checkout.app_command("price"))
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("git:nothing", "`nothing` is no commit"),
        ("git:", "name a commit"),
        ("git:--exec=x", "name a commit"),
        ("elsewhere.toml", "which is no file"),
    ],
)
def test_what_is_not_there_is_said(checkout: World, named: str, said: str) -> None:
    """One line and exit 2; the folder's file never takes its place."""
    checkout.environ["ECHOLANE_CONFIG"] = named
    done = checkout.call("config", "show")
    assert (done.code, said in done.err, len(done.err.strip().splitlines())) == (2, True, 1), done.err


def test_a_folder_of_a_commit_and_a_file_are_read(checkout: World) -> None:
    """In a folder below the repository's top its own file is read; a path names any file."""
    below = checkout.folder / "shop" / "api"
    below.mkdir(parents=True)
    (below / "echolane.toml").write_text("[replay]\nthink_max_s = 3.0\n", "utf-8")
    git(checkout.folder, "add", "shop")
    git(checkout.folder, "commit", "-qm", "below")
    (below / "echolane.toml").write_text("[replay]\nthink_max_s = 4.0\n", "utf-8")

    checkout.environ["ECHOLANE_CONFIG"] = "git:HEAD"
    there = checkout.call("config", "show", "--json", cwd=below)
    checkout.environ["ECHOLANE_CONFIG"] = str(below / "echolane.toml")
    named = checkout.call("config", "show", "--json")

    assert (there.code, named.code) == (0, 0), there.err + named.err
    speeds = [next(row["value"] for row in one.result if row["key"] == "replay.think_max_s") for one in (there, named)]
    assert speeds == [3.0, 4.0]
