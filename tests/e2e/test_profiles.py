"""Noise that one run learns of base serves the next of the same version: two real runs, one home."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.world import World, places

ORDERS = [(f"/orders/{n}", {}) for n in range(60)]
TOTAL, WHEN = "body:$.total", "body:$.when"


def recorded(world: World) -> tuple[Any, ...]:
    """Orders, and a first run of base against itself, all with controls of their own."""
    world.record(world.app(), ORDERS, method="POST")
    command = world.app_command()
    done, first = world.run("--base-cmd", command, "--branch-cmd", command, "--methods", "all", "--base-version", "v1")
    assert (done.code, first["profile"]) == (0, None), done.err
    assert WHEN in {place for place, _ in places(first, "noise")}
    return ("--base", f"http://127.0.0.1:{world.app()}", "--methods", "all")


@pytest.mark.parametrize("changed", [False, True])
def test_a_profile_stands_in_for_a_control_that_never_answers(world: World, changed: bool) -> None:
    """Base is fired once, since writes are; what it does by itself is noise all the same, and what branch does is a regression."""
    base = recorded(world)
    branch = ("--branch-cmd", world.app_command(*(["price"] if changed else [])))
    done, result = world.run(*base, *branch, "--base-version", "v1")

    assert result["ledger"]["answered"]["control"] == 0, result["ledger"]
    assert places(result) == ({(TOTAL, "value")} if changed else set()), done.err
    assert (done.code, result["verdict"]) == ((1, "fail") if changed else (0, "pass")), done.err
    (noise,) = [finding for finding in result["noise"] if finding["where"] == WHEN]
    assert noise["profile"]
    assert "of 60 exchanges of its profile" in noise["explanation"]
    used = result["profile"]
    assert (used["version"], used["runs"], used["exchanges"], used["stood_in"], used["unused"]) == (
        "v1",
        1,
        60,
        1,
        None,
    )
    assert "profile of base v1" in done.err
    if changed:
        (finding,) = result["groups"]
        assert (finding["basis"], finding["p_value"], finding["profile"]) == ("deterministic", None, True)


def test_a_profile_of_another_version_is_not_used_and_said(world: World) -> None:
    """Without a control there is nothing to go by then, as before there were profiles."""
    base = recorded(world)
    done, result = world.run(*base, "--branch-cmd", world.app_command("price"), "--base-version", "v2")

    assert (result["verdict"], result["reason_code"], result["groups"]) == ("inconclusive", "controls-missing", [])
    assert result["profile"]["runs"] == 0
    assert "base is of version v2, and the newest is of v1" in result["profile"]["unused"]
    assert "no profile was used" in done.err
