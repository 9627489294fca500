"""JSON web tokens through the whole chain: masked before anything is written, and still compared by what they claim."""

from __future__ import annotations

import sys

import pytest

from bench.ports import free_port
from tests.e2e.world import HERE, World, listening, places

PEOPLE = ("ann", "bob", "cem", "dee", "eve", "fay")


def command(*changes: str) -> str:
    """The service as `--base-cmd` takes it."""
    return " ".join([sys.executable, str(HERE / "token_app.py"), "{port}", *changes])


@pytest.fixture
def recorded(world: World) -> World:
    """Each person logs in three times."""
    upstream = free_port()
    listening(upstream, process=world.start(sys.executable, HERE / "token_app.py", upstream))
    world.record(upstream, [(f"/login/{person}", {}) for person in PEOPLE * 3])
    return world


@pytest.mark.parametrize(("change", "claim"), [("role", "role"), ("claim", "scope"), ("life", "lifetime")])
def test_a_claim_that_a_version_changed_is_found_behind_its_mask(recorded: World, change: str, claim: str) -> None:
    """Another role, scope or lifetime is a finding that names the claim, in a field with a secret's name and in any other."""
    _, result = recorded.run("--base-cmd", command(), "--branch-cmd", command(change))

    assert result["verdict"] == "fail", result["reason"]
    assert places(result) == {("body:$.token", "value"), ("body:$.carried.here", "value")}, result["groups"]
    samples = [sample for group in result["groups"] for sample in group["samples"]]
    assert all(claim in sample["base"] + sample["branch"] for sample in samples), samples


def test_tokens_that_are_only_made_anew_are_noise_and_nothing_of_them_is_kept(recorded: World) -> None:
    """Another id, time and signature pass; no e-mail, person or role stands in any file of the home."""
    done, result = recorded.run("--base-cmd", command(), "--branch-cmd", command())

    assert (done.code, result["verdict"], result["groups"], result["undecided"]) == (0, "pass", [], []), result[
        "reason"
    ]
    written = [path for path in recorded.home.rglob("*") if path.is_file()]
    assert written
    for path in written:
        data = path.read_bytes()
        assert not any(word in data for word in (b"ann@shop", b"person-bob", b"clerk")), path
