"""The whole chain on real processes: what varies by itself stays quiet over restarts, what really changed is reported."""

from __future__ import annotations

import base64
import json
import os

import pytest

from tests.e2e import chain_app
from tests.e2e.world import World, files_below, places

RESTARTS = int(os.environ.get("ECHOLANE_RESTARTS", "3"))
"""How often the quiet run is repeated, each time on four fresh copies with hash seeds of their own; 20 in `make faults`."""
ITEMS = [(f"/items/{n}", {}) for n in range(1, 49)]


def test_hash_seeded_sets_and_headers_stay_quiet_over_restarts(world: World) -> None:
    """A set in a body and a header in hash order are neither reported nor left undecided, however often the copies are restarted."""
    world.record(world.app(), ITEMS)
    command = world.app_command()
    seen: set[str] = set()
    for _ in range(RESTARTS):
        done, result = world.run("--base-cmd", command, "--branch-cmd", command)

        assert (done.code, result["verdict"]) == (0, "pass"), done.err
        assert result["groups"] == []
        assert result["undecided"] == []
        assert result["ledger"]["compared"] == len(ITEMS)
        # Two processes may order six words alike by chance; then there is nothing to forgive.
        lines = [
            json.loads(line)
            for line in world.call(
                "show", result["run"], "--exchanges", "--json", "--home", world.home
            ).out.splitlines()
        ]
        found = {(one["where"], one["verdict"]) for line in lines for one in line["differences"]}
        assert {verdict for _, verdict in found} == {"noise"}
        seen |= {place for place, _ in found}
    assert {"body:$.tags", "header:x-features"} <= seen


def test_a_real_reorder_and_a_real_change_beside_the_noise_are_reported(world: World) -> None:
    """The same list sorted the other way and one member more in the noisy header are findings; the noise around them is not."""
    world.record(world.app(), ITEMS)
    done, result = world.run(
        "--base-cmd", world.app_command(), "--branch-cmd", world.app_command("reorder", "feature", "price")
    )
    found = places(result)

    assert (done.code, result["verdict"]) == (1, "fail"), done.err
    assert ("body:$.ranking", "order") in found
    assert ("body:$.price", "value") in found
    assert "header:x-features" in {place for place, _ in found}
    assert {place for place, _ in found} == {"body:$.ranking", "body:$.price", "header:x-features"}
    assert "body:$.tags" in {place for place, _ in places(result, "noise")}


def basic() -> str:
    """The credentials as a browser sends them."""
    return "Basic " + base64.b64encode(f"{chain_app.USER}:{chain_app.PASSWORD}".encode()).decode()


CREDENTIALED = [
    ("/session", {}),
    ("/signed", {}),
    *[(f"/mine?n={n}", {}) for n in range(8)],
    *[(f"/account?n={n}", {}) for n in range(8)],
    *[(f"/bearer?n={n}", {"Authorization": f"Bearer {chain_app.BEARER}"}) for n in range(8)],
    *[(f"/basic?n={n}", {"Authorization": basic()}) for n in range(8)],
    *[(f"/key?n={n}", {"X-Api-Key": chain_app.API_KEY}) for n in range(8)],
    *[(f"/query?n={n}&api_key={chain_app.API_KEY}", {}) for n in range(8)],
]


@pytest.mark.parametrize("changed", [False, True])
def test_a_credentialed_application_gets_the_right_verdict(world: World, changed: bool) -> None:
    """Cookies, bearer, Basic and API keys are masked at rest and still open the doors of all four targets, with default settings."""
    world.record(world.app(), CREDENTIALED, cookies=True)
    branch = world.app_command("price") if changed else world.app_command()
    done, result = world.run("--base-cmd", world.app_command(), "--branch-cmd", branch)

    assert result["fidelity"] == 1.0, done.err
    assert result["undecided"] == []
    assert result["ledger"]["compared"] == len(CREDENTIALED)
    assert (done.code, places(result)) == ((1, {("body:$.balance", "value")}) if changed else (0, set())), done.err
    held = b"".join(files_below(world.home).values())
    for secret in (chain_app.BEARER, chain_app.API_KEY, chain_app.PASSWORD, basic()[6:]):
        assert secret.encode() not in held, f"{secret} lies in the home"
