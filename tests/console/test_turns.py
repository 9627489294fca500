"""Which queued runs may begin beside those that go on."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, strategies as st

from console.api.launching import Asked
from console.api.turns import Claim, Wait, claim_of_flags, claim_of_spec, turns
from echolane.observation import TargetInfo
from echolane.recordings import Recording
from echolane.runspec import RunSpec

FLAGS = ["--base=http://127.0.0.1:8000", "--branch=http://127.0.0.1:8001", "--methods=safe", "--pace=max"]
PLACES = ["base:80", "branch:80", "branch:80 in lane a", "branch:80 in lane b"]
CLAIMS = st.builds(Claim, st.lists(st.sampled_from(PLACES), unique=True), st.booleans())
READS, WRITES = Claim(["x:80"]), Claim(["x:80"], writes=True)


def in_way(one: Claim, other: Claim) -> bool:
    """Whether two runs must not go on together, said otherwise than the code does."""
    return (one.writes or other.writes) and not set(one.places).isdisjoint(other.places)


@given(st.lists(CLAIMS, max_size=4), st.lists(CLAIMS, max_size=8), st.integers(-1, 4))
def test_whatever_is_asked_for_no_two_in_each_others_way_go_at_once(
    going: list[Claim], queued: list[Claim], free: int
) -> None:
    """Who begins is in nobody's way who goes on or is older, each other waits for one who is, and no place stays empty for nothing."""
    named = [*((f"g{n}", one) for n, one in enumerate(going)), *((f"q{n}", one) for n, one in enumerate(queued))]
    found = turns(named[: len(going)], named[len(going) :], free)
    may = []
    for place, (run, claim) in enumerate(named):
        older = [name for name, one in named[:place] if in_way(one, claim)]
        if place < len(going):
            continue
        if older:
            wait = found.waits[run]
            assert wait.run in older
            assert wait.place in claim.places
        else:
            assert run not in found.waits
            may.append(run)
    assert found.begin == may[: max(0, free)]


def test_a_run_that_writes_is_not_starved() -> None:
    """Runs that only read and came after one that writes wait for it, also while it waits itself; elsewhere they go."""
    queued = [("w", WRITES), ("r2", READS), ("far", Claim(["y:80"], writes=True)), ("r3", READS)]
    found = turns([("r1", READS)], queued, 4)
    assert found.begin == ["far"]
    assert found.waits == {"w": Wait("r1", "x:80"), "r2": Wait("w", "x:80"), "r3": Wait("w", "x:80")}
    assert turns([], queued, 4).begin == ["w", "far"]
    assert turns([], queued[1:], 4).begin == ["r2", "far", "r3"]


def test_a_lane_is_a_place_of_its_own_and_this_machine_has_one_name() -> None:
    """The branch and its control stand in the lane, base and its own beside it; ports and hosts are told as they are connected to."""
    base, branch = "127.0.0.1:8000", "127.0.0.1:8001"
    assert claim_of_flags(FLAGS) == Claim([base, branch])
    twins = ["--control=http://localhost:8002", "--branch-control=http://other", "--lane=a"]
    found = claim_of_flags([*FLAGS, *twins, "--methods=all"])
    assert found == Claim([base, "127.0.0.1:8002", f"{branch} in lane a", "other:80 in lane a"], writes=True)


@pytest.mark.parametrize("methods", ["safe", "all"])
def test_a_run_that_is_gone_on_with_claims_what_it_began_with(methods: str) -> None:
    """By its spec as by its flags; copies that it starts itself are in nobody's way."""
    base, branch = TargetInfo("http://127.0.0.1:8000"), TargetInfo("http://127.0.0.1:8001", "a")
    spec = RunSpec("r", "shop", Recording("k", "shop", 1, "x", []), [base, base, branch, branch], methods=methods)
    assert claim_of_spec(spec) == claim_of_flags([*FLAGS, "--lane=a", f"--methods={methods}"])
    own = TargetInfo("http://127.0.0.1:8001", managed=True)
    copies = msgspec.structs.replace(spec, targets=[base, base, own, TargetInfo("", managed=True)])
    assert claim_of_spec(copies).places == ["127.0.0.1:8000"]


def test_what_was_kept_by_an_older_version_is_read() -> None:
    """A file without a claim has none yet, and one with it is the same when it is read again."""
    old = Asked("r", "shop", "t", 1, FLAGS)
    assert old.claim is None
    old.claim = claim_of_flags(FLAGS)
    assert msgspec.json.decode(msgspec.json.encode(old), type=Asked) == old
