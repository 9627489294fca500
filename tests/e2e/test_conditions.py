"""Conditions and requests for time, as a user meets them: exit codes, what is said, and what the result holds."""

from __future__ import annotations

import json
import re
import sys

import pytest

from tests.e2e.test_kill_switch import Target, targets
from tests.e2e.world import World
from tests.waiting import wait_until

__all__ = ["targets"]
COUNT = 150
SHARED = 600


def recorded(world: World, base: Target) -> None:
    """A session of requests."""
    world.record(base.server_address[1], [(f"/items/{n}", {}) for n in range(COUNT)])


@pytest.mark.parametrize(
    ("condition", "breaks", "code", "said"),
    [
        ("branch:errors>20%", True, 1, "regression"),
        ("p50>1ms", False, 130, "--stop-on p50>1ms:"),
        ("errors>20%", False, 0, "no regression"),
    ],
)
def test_a_condition_ends_a_run(
    world: World, targets: list[Target], condition: str, breaks: bool, code: int, said: str
) -> None:
    """What was fired is compared: regressions fail, else the condition is the reason; one that never holds changes nothing."""
    base, branch = targets
    recorded(world, base)
    branch.breaks_after = 60 if breaks else 10**9
    done, result = world.run("--base", base.url, "--branch", branch.url, "--stop-on", condition)
    assert done.code == code, done.err
    assert said in result["reason"]
    assert ("interrupted" in result["ledger"]["skipped"]) is (code != 0)
    assert result["timing"]["targets"]["branch"]["service"]["count"] == result["ledger"]["answered"]["branch"]
    assert ("--resume" in done.err) is (code != 0)


def test_a_condition_ends_a_run_that_workers_share(world: World, targets: list[Target]) -> None:
    """The worker that sees it tells all: within a second none fires; the asker says which condition, the rest is gone on with by --resume."""
    base, branch = targets
    world.record(
        base.server_address[1],
        [(f"/items/{n}", {"Authorization": f"Bearer client-number-{n % 24}-abcdef"}) for n in range(SHARED)],
    )
    branch.slow_after = 2 * 60  # branch and its control in turn
    (world.folder / "echolane.toml").write_text(
        '[replay]\nworkers = "shared"\nstop_on = ["branch:p90>150ms"]\n', "utf-8"
    )
    said = [world.folder / f"worker-{n}" for n in range(3)]
    for path, role in zip(said, ("replay", "replay", "diff"), strict=True):
        with path.open("wb") as file:
            world.start(sys.executable, "-m", "console.main", "worker", role, "--home", world.home, stderr=file)
    wait_until(lambda: all("waits for runs" in path.read_text("utf-8") for path in said), 60)
    done, result = world.run("--base", base.url, "--branch", branch.url, "--pace", "100/s", "--wait", "60")
    arrived = len(base.arrived)

    assert done.code == 130, done.err
    assert (result["verdict"], result["reason_code"]) == ("inconclusive", "interrupted")
    assert re.match(r"--stop-on branch:p90>150ms: branch took [\d.]+ s", result["reason"])
    assert "requests, as one worker saw it; `echolane run --resume` goes on with the rest" in result["reason"]
    assert "as one worker saw it; waiting for what is in the air" in done.err
    assert "2 replay workers" in done.err
    ledger = result["ledger"]
    assert ledger["skipped"] == {"interrupted": SHARED - ledger["fired"]}
    # Some 100 until a worker has 50 and a tenth of them slow, what is in the air, and a second of fire; three more where this machine stands still.
    assert 60 < ledger["fired"] <= 100 + 32 + 100 + 300, ledger

    branch.slow_after = 10**9
    path = world.folder / "result.json"
    done = world.call("run", "--resume", result["run"], "--home", world.home, "--json", path)
    result = json.loads(path.read_bytes())
    assert done.code == 0, done.err
    assert result["ledger"]["compared"] == SHARED
    assert len(base.arrived) - arrived == 2 * (SHARED - ledger["fired"]) - result["ledger"]["spared"].get(
        "control", {}
    ).get("sampled", 0)


def test_time_that_a_target_asks_for_is_said(world: World, targets: list[Target]) -> None:
    """The run passes, since what was refused was asked again; the summary and the result say how long that took."""
    base, branch = targets
    recorded(world, base)
    branch.busy_at = 30
    done, result = world.run("--base", base.url, "--branch", branch.url)
    assert done.code == 0, done.err
    (asked,) = result["timing"]["retry_after"].items()
    assert asked[0] in {"branch", "branch_control"}
    assert (asked[1]["times"], asked[1]["longest_s"], asked[1]["fired_again"]) == (1, 1, 1)
    assert (
        f"{asked[0]} asked for time 1 time (Retry-After, up to 1 s): waited 1 s in all, 1 request fired again"
        in " ".join(done.err.split())
    )


def test_a_dry_run_is_of_writes(world: World, targets: list[Target]) -> None:
    """Alone it is a mistake that is told; with writes, a target that echoes nothing gets none, and both are said."""
    base, branch = targets
    words = ("--base", base.url, "--branch", branch.url, "--dry-run")
    world.record(base.server_address[1], [("/items/1", {}), ("/items/2", {})])
    done, _ = world.run(*words)
    assert (done.code, "--methods all" in done.err) == (2, True)
    done, result = world.run(*words, "--methods", "all")
    assert done.code == 0, done.err
    assert "writes were not fired" in done.err
    assert result["ledger"]["fired"] == 2


@pytest.mark.parametrize(
    "flag", ["--stop-on=errors>5", "--stop-on=p5>1s", "--late=never", "--think-max=2", "--pace=1/s..0/s over 1m"]
)
def test_what_is_no_condition_or_pace_is_one_line(world: World, flag: str) -> None:
    """Exit 2, and the line names it."""
    words = ("--base", "http://127.0.0.1:1", "--branch", "http://127.0.0.1:2")
    done = world.call("run", "--service", "shop", "--home", world.home, *words, flag)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert flag.partition("=")[2].partition(" ")[0] in done.err.splitlines()[-1]
