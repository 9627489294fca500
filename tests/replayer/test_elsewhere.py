"""A target is elsewhere than where the recording comes from (REP-3), or somebody said that it need not be."""

from __future__ import annotations

import asyncio
import socket
import threading
from types import SimpleNamespace

import msgspec
import pytest
from msgspec.structs import replace

from echolane.errors import RefusedForSafety, TargetUnavailable
from echolane.observation import TargetInfo
from echolane.recorded_hosts import NOWHERE
from echolane.runspec import Firing, RunSpec
from echolane.settings import Settings
from replayer import elsewhere
from replayer.plan import make_plan, planned, work_topic
from replayer.probing import check_reachable, check_targets

OLD, NEW = "http://shop.example:8080", "http://new.test:8080"
"""A target by the name that the recording has, and one by another."""
PRODUCTION, STAGING = "203.0.113.7", "203.0.113.8"
LEFT = "\\[targets\\.base\\] origin = true$"


@pytest.fixture
def run(stage, exchange):
    """A recording of requests for shop.example, and runs of it at a base and a branch elsewhere."""
    stage.record([exchange(n, f"/{n}") for n in range(12)])

    def made(*urls, **more):
        infos = more.pop("infos", None) or [TargetInfo(url) for url in urls for _ in range(2)]
        if not stage.spec:
            stage.plan([], infos=[TargetInfo("http://127.0.0.1:1")] * 4)
        spec = replace(stage.spec, run="r", targets=infos, allow_hosts=["shop.example", "new.test", PRODUCTION])
        return replace(spec, **more)

    return made


def plan(stage, spec, **settings):
    """The run with what its plan found."""
    summary = make_plan(stage.journal, stage.home, spec, Settings(**settings))
    return replace(spec, origins=summary.origins)


@pytest.fixture
def leads(monkeypatch):
    """Where names lead; nothing can be connected to, and who tried is noted."""
    places, tried, away = {"shop.example": PRODUCTION, "new.test": STAGING}, [], threading.Event()

    def look_up(host, port, *_, **__):
        if host == "slow.example":
            away.wait(60)
        if host.replace(".", "").isdigit():
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        if host not in places:
            raise socket.gaierror
        family = socket.AF_INET6 if ":" in places[host] else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (places[host], port))]

    async def connect(_loop, _protocol, host, port, **_):
        tried.append((host, port))
        if places.get("accepts"):
            return SimpleNamespace(close=lambda: None), None
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", connect)
    places["tried"] = tried
    yield places
    away.set()


def test_a_target_by_a_recorded_name_is_refused_when_the_run_is_planned(stage, run):
    """Whatever its port and case; the message says which target and name, where they were recorded, and the ways out. No work is written."""
    for spec in (run(OLD, NEW), run("http://127.0.0.1:1", "http://SHOP.example."), run(NEW, OLD, partitions=3)):
        with pytest.raises(RefusedForSafety) as told:
            plan(stage, spec)
        role = "base" if spec.targets[0].url == OLD else "branch"
        url = spec.targets[0 if role == "base" else 2].url
        assert str(told.value).startswith(
            f"{role} {url} is where `shop` was recorded (Host shop.example: 12 requests, the first at 2023-11-14T22:13:20+00:00); "
            "nothing was fired. Name another target; if this one is meant, pin it (--pin shop.example"
        )
        assert str(told.value).endswith(f"prove a lane there (--lane), or set [targets.{role}] origin = true")
        with pytest.raises(RefusedForSafety):
            planned(stage.journal, stage.home, spec, Settings())
    assert work_topic("r") not in stage.journal.topics()


def test_what_fires_at_one_target_is_told_the_way_that_it_has(stage, run):
    """It has no pins and no lanes."""
    with pytest.raises(RefusedForSafety, match=rf"if this one is meant, set {LEFT}"):
        plan(stage, run(infos=[TargetInfo(OLD)]))


@pytest.mark.parametrize(
    ("more", "origins"),
    [
        ({"addresses": [PRODUCTION] * 4}, {}),
        ({}, {"default": True}),
        ({}, {"shop.example": True}),
        ({}, {"shop.example:8080": True}),
        ({}, {"base": True, "branch": True, "default": False}),
        ({"infos": [TargetInfo(OLD)] * 2 + [TargetInfo("http://shop.example:8080/", "feat-1")] * 2}, {}),
        ({"infos": [TargetInfo("", managed=True)] * 4}, {}),
    ],
)
def test_a_target_that_is_meant_is_planned(stage, run, more, origins):
    """Pinned, so said by role, host or default, by a lane that is proven there, or started here: nothing is held against it."""
    spec = plan(stage, run(OLD, OLD, **more), origins=origins)
    assert spec.origins.targets == []
    assert elsewhere.held_apart(spec) == {}


@pytest.mark.parametrize(
    ("more", "origins", "role"),
    [
        ({"addresses": ["", "", PRODUCTION, PRODUCTION]}, {}, "base"),
        ({}, {"base": True}, "branch"),
        ({}, {"default": True, "branch": False}, "branch"),
        ({"infos": [TargetInfo(OLD)] * 2 + [TargetInfo(OLD, "a")] * 2, "firing": Firing(lane_check=False)}, {}, "base"),
        ({"infos": [TargetInfo("http://shop.example")] * 2 + [TargetInfo(OLD, "a")] * 2}, {}, "base"),
    ],
)
def test_what_is_said_of_one_target_is_not_said_of_another(stage, run, more, origins, role):
    """A pin and a setting are of their target, a lane of its port; one that is taken on trust proves nothing."""
    with pytest.raises(RefusedForSafety, match=rf"^{role} http://shop\.example\S* is where"):
        plan(stage, run(OLD, OLD, **more), origins=origins)


def test_a_recording_of_this_machine_holds_nothing_against_it(stage, exchange, monkeypatch):
    """Targets at loopback are planned, and nobody is asked for addresses."""
    stage.record([exchange(n) for n in range(3)])
    stage.plan([], infos=[TargetInfo("http://localhost:1")] * 2 + [TargetInfo("http://127.0.0.1:1")] * 2)
    monkeypatch.setattr(threading, "Thread", None)
    spec = plan(stage, replace(stage.spec, run="r"))
    assert spec.origins == stage.spec.origins == NOWHERE
    assert elsewhere.held_apart(spec) == {}


@pytest.mark.parametrize("at", [PRODUCTION, f"64:ff9b::{0xCB00:x}:{0x7107:x}", "::ffff:203.0.113.7"])
def test_an_address_that_a_recorded_name_leads_to_is_refused_before_a_connection(stage, run, leads, at):
    """By name or as such, however it is carried, for runs and for what fires at one target."""
    leads["new.test"] = at
    said = rf"^base \S+ is at {at}, where `shop` was recorded \(Host shop\.example leads there\); nothing was fired\. .*{LEFT}"
    for url in (NEW, f"http://{PRODUCTION}:80") if at == PRODUCTION else (NEW,):
        spec = plan(stage, run(url, "http://127.0.0.1:1"))
        read = msgspec.json.decode(msgspec.json.encode(spec), type=RunSpec)
        with pytest.raises(RefusedForSafety, match=said):
            check_targets(stage.home, read)
    with pytest.raises(RefusedForSafety, match=said):
        check_reachable(plan(stage, run(infos=[TargetInfo(NEW)])))
    assert leads["tried"] == []


def test_an_address_in_host_is_where_a_target_must_not_be(stage, run, exchange, leads):
    """Users who called the service by its address have no name that could be looked up."""
    one = exchange(100)
    stage.record([replace(one, request=replace(one.request, authority=f"{STAGING}:80"))])
    with pytest.raises(RefusedForSafety, match=rf"is at {STAGING}, where .* \(Host {STAGING} leads there\)"):
        check_targets(stage.home, plan(stage, run(NEW, "http://127.0.0.1:1")))
    assert leads["tried"] == []


def test_targets_elsewhere_are_connected_to(stage, run, leads):
    """Another address, one that is said to be meant beside one that is not, what resolvers do not know, and this machine by a name."""
    elsewhere_ = plan(stage, run(NEW, "http://127.0.0.1:1"))
    leads["shop.example"] = "127.0.0.4"
    here = plan(stage, run(NEW, "http://127.0.0.1:1"))
    for spec in (elsewhere_, here, replace(here, addresses=[PRODUCTION] * 4)):
        if spec is here:
            leads["new.test"] = "127.0.0.4"
        with pytest.raises(TargetUnavailable, match="base"):
            check_targets(stage.home, spec)
    assert [host for host, _ in leads["tried"]] == [STAGING, "127.0.0.4", PRODUCTION]


def test_a_target_that_is_meant_says_nothing_of_another_at_its_url(stage, run, leads):
    """Base was said to be meant; its control by the same URL was not, and is not taken for it."""
    leads |= {"new.test": PRODUCTION, "accepts": "all"}
    spec = plan(stage, run(NEW, "http://127.0.0.1:1"), origins={"base": True, "control": False})
    with pytest.raises(RefusedForSafety, match=f"^control {NEW} is at {PRODUCTION}"):
        check_targets(stage.home, spec)
    assert [host for host, _ in leads["tried"]] == [PRODUCTION]


def test_a_resolver_that_does_not_answer_holds_no_run(stage, run, exchange, leads, monkeypatch):
    """All names have one short time together; those that have an address by then are compared."""
    monkeypatch.setattr(elsewhere, "LOOKUP_S", 60.0)
    now = iter([0.0, 0.0, 60.0])  # the time is over once the first has answered
    monkeypatch.setattr(elsewhere, "time", SimpleNamespace(monotonic=lambda: next(now)))
    one = exchange(100)
    stage.record([replace(one, request=replace(one.request, authority="slow.example"))])
    leads["new.test"] = PRODUCTION
    spec = plan(stage, run(NEW, "http://127.0.0.1:1"))
    assert set(spec.origins.hosts) == {"shop.example", "slow.example"}
    with pytest.raises(RefusedForSafety, match=r"Host shop\.example leads there"):
        check_targets(stage.home, spec)
