"""What a target is called: who is meant by which name, and what is never sent."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from echolane.authorities import with_hosts
from echolane.errors import RefusedForSafety
from echolane.observation import TargetInfo
from echolane.protected import protected_of
from replayer.targets import Target, make_targets
from replayer.wire import Unsendable, Wires


def test_what_a_target_is_called_travels_with_the_run():
    """A worker with other settings of its own sends what the spec says; by role before address before default."""
    infos = with_hosts(
        [TargetInfo("http://127.0.0.1:1")] * 2 + [TargetInfo("http://127.0.0.1:2"), TargetInfo("", managed=True)],
        {"branch": "shop.example:8443", "127.0.0.1:1": "a.example", "default": "b.example"},
    )
    made = make_targets([*infos[:3], replace(infos[3], url="http://127.0.0.1:9")], (), (), "safe")

    assert [target.authority for target in made] == ["a.example", "a.example"] + ["shop.example:8443"] * 2
    assert [one.host for one in with_hosts([TargetInfo("http://x.test:1")] * 4, {"default": "recorded"})] == [
        "recorded"
    ] * 4
    assert Target(0, "http://127.0.0.1:1", host="recorded").authority == "127.0.0.1:1"


@pytest.mark.parametrize("recorded", ["", "shop example", "shop.example\r\nX-Evil: 1", "shöp.example", "a/b"])
def test_what_was_recorded_and_is_no_authority_is_not_sent(exchange, recorded):
    """An imported file may say anything; the target's own authority is sent in its place."""
    wires = Wires("r", [Target(0, "http://127.0.0.1:1", host="recorded")], b"k" * 32, None)
    one = exchange(1)
    made = replace(one, request=replace(one.request, authority=recorded))

    assert wires.address(made, 0) == (b"127.0.0.1:1", None)
    named = replace(one, request=replace(one.request, authority="ann@shop.example:8443"))
    assert wires.address(named, 0) == (b"shop.example:8443", None)


@pytest.mark.parametrize(
    ("hosts", "recorded", "told"),
    [
        (("recorded", "target"), "shop.example", "shop.example"),
        (("recorded", "target"), "ann@shop.example", "shop.example"),
        (("recorded", "target"), "shop example", ""),
        (("recorded", "target"), "true", ""),
        (("recorded", "target"), "1.5", ""),
        (("recorded", "target"), "10.0.0.1", "10.0.0.1"),
        (("recorded", "target"), "web", "web"),
        (("recorded", "recorded"), "shop.example", ""),
        (("target", "other.example"), "shop.example", ""),
    ],
)
def test_the_recorded_name_is_told_where_only_some_were_called_by_it(exchange, hosts, recorded, told):
    """An observation says the name that was sent to some targets and not to others, and nothing where none was or all got it."""
    targets = [Target(n, f"http://127.0.0.1:{n + 1}", host=host) for n, host in enumerate(hosts)]
    one = exchange(1)
    made = replace(one, request=replace(one.request, authority=recorded))

    assert Wires("r", [*targets, None, None], b"k" * 32, None).prepare(made).authority == told


def test_a_protected_name_is_sent_to_nothing_elsewhere(exchange):
    """What chooses by Host would take it to production: a fixed name is refused, a recorded one skipped; on this machine it is but a name."""
    protected = protected_of(["shop.example"])
    infos = [TargetInfo("http://gateway.test", host="shop.example:443")] * 4
    with pytest.raises(
        RefusedForSafety, match=r"`shop\.example:443`, as base http://gateway\.test is called, is protected"
    ):
        make_targets(
            [replace(infos[0], lane=lane) for lane in "aabb"], ["gateway.test"], (), "safe", protected=protected
        )
    make_targets(
        [TargetInfo(f"http://127.0.0.1:{n}", host="shop.example") for n in range(4)],
        (),
        (),
        "safe",
        protected=protected,
    )

    there = Target(0, "http://gateway.test", host="recorded", protected=protected)
    with pytest.raises(Unsendable, match="protected-host"):
        Wires("r", [there], b"k" * 32, None).prepare(exchange(1))
    Wires("r", [Target(0, "http://127.0.0.1:1", host="recorded", protected=protected)], b"k" * 32, None).prepare(
        exchange(1)
    )
