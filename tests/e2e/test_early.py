"""A run that stops once it is sure: the rest is counted, and the verdict is that of a whole run."""

from __future__ import annotations

from tests.e2e.world import World

ITEMS = [(f"/items/{n % 48 + 1}?n={n}", {}) for n in range(600)]


def test_a_run_that_is_sure_skips_the_rest(world: World) -> None:
    """A price that changed in every answer is sure long before the end; what was not fired is skipped, not lost."""
    world.record(world.app(), ITEMS)
    commands = ("--base-cmd", world.app_command(), "--branch-cmd", world.app_command("price"), "--pace", "40/s")
    done, result = world.run(*commands, "--stop-early")
    ledger = result["ledger"]

    assert (done.code, result["verdict"]) == (1, "fail"), done.err
    assert ledger["selected"] == len(ITEMS)
    assert ledger["skipped"]["decided"] > 100
    assert ledger["fired"] == len(ITEMS) - ledger["skipped"]["decided"]
    assert "body:$.price" in {place for group in result["groups"] for place in group["places"]}
    assert "without --stop-early" in done.out + done.err


def test_without_a_change_all_is_fired(world: World) -> None:
    """Noise is never sure, so that a run of one version against itself goes to its end."""
    world.record(world.app(), ITEMS[:150])
    command = world.app_command()
    done, result = world.run("--base-cmd", command, "--branch-cmd", command, "--stop-early")

    assert (done.code, result["ledger"]["fired"]) == (0, 150), done.err
    assert result["ledger"]["skipped"] == {}
