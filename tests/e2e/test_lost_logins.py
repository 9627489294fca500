"""Logins of which a frame can no longer be read, as a user meets them: nobody knows whose the others are, so nothing is fired with them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.e2e.test_kill_switch import Target, targets
from tests.e2e.test_lost import HARMS, hurt, recorded
from tests.e2e.world import World, send, stop

__all__ = ["targets"]
USERS = 3
SETTINGS = """[targets.branch.credentials]
provider = "login"
recording = "{recording}"
take = "cookie:sid"
header = "Cookie"
"""


def logins(world: World) -> str:
    """A recording of how users log in, each in a frame of its own."""
    app = world.app()
    for user in range(USERS):
        process, port = world.recorder(app, service="logins")
        send(port, [(f"/login?user-{user}", {})], method="POST")
        assert stop(process) == 0
    return world.call("recordings", "add", "--service", "logins", "--home", world.home).out.strip()


@pytest.fixture
def hurt_logins(world: World, targets: list[Target], request: pytest.FixtureRequest) -> tuple[int, int]:
    """What is to be replayed is whole, and of the logins a frame is not; where it is."""
    recorded(world, targets[0])
    text = SETTINGS.format(recording=logins(world))
    (world.folder / "echolane.toml").write_text(text)
    partition, position, missing = hurt(world, HARMS[request.param], topic="exchanges.logins")
    assert missing == 1
    for target in targets:
        target.arrived.clear()
    return partition, position


@pytest.mark.parametrize("hurt_logins", HARMS, indirect=True)
def test_a_login_in_a_frame_that_cannot_be_read_ends_the_run_before_it_fires(
    world: World, targets: list[Target], hurt_logins: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    """The run says which frame of which service it lacks, where and what to do, is inconclusive, and fires nothing."""
    base, branch = targets
    why = request.node.callspec.params["hurt_logins"]
    path = world.folder / "result.json"

    done, result = world.run("--base", base.url, "--branch", branch.url)
    explained = world.call(
        *("run", "--service", "shop", "--home", world.home, "--base", base.url, "--branch", branch.url, "--explain")
    )

    partition, position = hurt_logins
    word = "damaged" if why == "damaged" else "of a newer format"
    said = f"1 frame of logins could not be read ({word}: partition {partition}, {position})"
    todo = "record the logins again" if why == "damaged" else "update Echolane on this machine"
    assert (done.code, result["verdict"], result["reason_code"]) == (3, "inconclusive", "nothing-compared"), done.err
    assert said in result["reason"]
    assert "echolane.toml" in result["reason"]
    assert todo in result["reason"]
    assert result["lost"][why] == result["lost"]["frames"] == 1
    assert (explained.code, said in explained.err) == (3, True), explained.err
    assert json.loads(path.read_bytes())["ledger"]["fired"] == 0
    assert (base.arrived, branch.arrived) == ([], [])


@pytest.mark.parametrize("hurt_logins", ["damaged"], indirect=True)
def test_a_worker_that_lacks_a_login_says_so(world: World, targets: list[Target], hurt_logins: tuple[int, int]) -> None:
    """Whoever asked for a run that workers share hears which frame of the logins they cannot read; nothing is fired."""
    base, branch = targets
    command = [sys.executable, "-m", "console.main", "worker", "replay", "--home", world.home]
    world.start(*command, cwd=Path(world.folder))

    done, _ = world.run("--base", base.url, "--branch", branch.url, "--workers", "shared", "--wait", "25")

    assert done.code == 3, done.err
    assert "1 frame of logins could not be read (damaged: partition " in done.err
    assert hurt_logins
    assert (base.arrived, branch.arrived) == ([], [])
