"""The address that was checked is the one that is fired at (REP-3): a name that moves between check and fire takes nothing with it."""

from __future__ import annotations

import asyncio
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from msgspec.structs import replace

from echolane.errors import RefusedForSafety, TargetUnavailable
from echolane.observation import TargetInfo
from echolane.runspec import RunSpec
from echolane.settings import Replay, Settings
from replayer.fire import replay
from replayer.preparing import prepared, prepared_one
from replayer.probing import check_reachable, check_targets

HERE, THERE = "127.0.0.3", "127.0.0.4"
"""Where the name leads when it is checked, and from then on."""
NAME = "branch.shop.test"
COUNT = 12


class Handler(BaseHTTPRequestHandler):
    """Serves the lane, and counts."""

    def do_GET(self):
        """One more."""
        self.server.hits.append(self.path)
        self.send_response(200)
        self.send_header("x-lane-served", "feat-1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


class Instance(ThreadingHTTPServer):
    """One of two that a name may lead to; every connection counts."""

    daemon_threads = True

    def __init__(self, at, port=0):
        super().__init__((at, port), Handler)
        self.hits, self.connections = [], 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def verify_request(self, _request, _client):
        """Count it."""
        self.connections += 1
        return True


@pytest.fixture
def leads(monkeypatch):
    """What the resolver answers for the name, and how often it was asked."""
    real, answers = socket.getaddrinfo, {"to": HERE, "asked": 0}

    def look_up(host, port, *rest, **more):
        if host != NAME:
            return real(host, port, *rest, **more)
        answers["asked"] += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers["to"], port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return answers


@pytest.fixture
def instances():
    """One here and one there, on one port."""
    here = Instance(HERE)
    there = Instance(THERE, here.server_address[1])
    yield here, there
    for one in (here, there):
        one.shutdown()
        one.server_close()


@pytest.fixture
def checked(stage, exchange, leads, instances):
    """A run whose targets were checked; the name has moved since."""
    port = instances[0].server_address[1]
    stage.record([exchange(n, f"/{n}") for n in range(COUNT)])
    infos = [TargetInfo(f"http://{HERE}:{port}")] * 2 + [TargetInfo(f"http://{NAME}:{port}", "feat-1")] * 2
    stage.plan([], infos=infos, allow_hosts=[NAME])
    spec = check_targets(stage.home, stage.spec)
    leads["to"] = THERE
    return spec


def test_a_name_that_moves_after_the_check_takes_nothing_with_it(stage, checked, leads, instances):
    """Every request goes to the address that proved the lane, none to where the name leads meanwhile, and nobody asks again."""
    here, there = instances
    summary = asyncio.run(
        replay(stage.journal, stage.home, checked, Settings(), asyncio.Event(), lambda _done, _total: None)
    )
    assert summary.fired == COUNT
    assert len([path for path in here.hits if path != "/"]) == 4 * COUNT
    assert there.connections == 0
    assert leads["asked"] == 1


def test_workers_and_resume_take_the_address_that_is_kept(stage, checked, leads, instances):
    """The spec carries the addresses to whoever reads it, and the check of a resumed run asks the same ones."""
    read = msgspec.json.decode(msgspec.json.encode(checked), type=RunSpec)
    targets, _ = asyncio.run(prepared(stage.home, read, Settings()))
    assert [target.address[0] for target in targets] == [HERE] * 4
    assert check_targets(stage.home, read).addresses == [HERE] * 4
    assert instances[1].connections == 0
    assert leads["asked"] == 1


def test_a_kept_address_that_is_not_allowed_any_more_is_refused(stage, checked):
    """What is kept is held against the networks of whoever fires."""
    with pytest.raises(RefusedForSafety, match=rf"branch http://{NAME}:\d+ leads to {HERE}"):
        asyncio.run(prepared(stage.home, replace(checked, networks=[]), Settings()))


def test_a_kept_address_where_nothing_is_any_more_is_unavailable(stage, checked, instances):
    """No other address of the name is tried; the message says which one was."""
    instances[0].shutdown()
    instances[0].server_close()
    with pytest.raises(
        TargetUnavailable, match=r"branch .* refuses connections at 127\.0\.0\.3, where this run found it"
    ):
        asyncio.run(prepared(stage.home, _branch_alone(checked), Settings()))


def test_a_spec_of_an_older_version_has_no_addresses(stage, checked):
    """It still reads, and its names are looked up."""
    older = msgspec.json.decode(msgspec.json.encode(checked))
    del older["addresses"]
    read = msgspec.convert(older, RunSpec)
    assert read.addresses == []
    targets, _ = asyncio.run(prepared(stage.home, read, Settings()))
    assert [target.address[0] for target in targets] == [HERE, HERE, THERE, THERE]


def _branch_alone(spec):
    """With a base that is there."""
    port = spec.targets[0].url.rpartition(":")[2]
    there = TargetInfo(f"http://{THERE}:{port}")
    return replace(spec, targets=[there, there, *spec.targets[2:]], addresses=[THERE, THERE, *spec.addresses[2:]])


def test_a_target_that_is_pinned_is_not_looked_up(stage, checked, leads, instances):
    """The check, too, goes to the pinned address, wherever the name leads."""
    leads["asked"] = 0
    read = check_targets(stage.home, replace(checked, addresses=["", "", HERE, HERE]))
    assert read.addresses == [HERE] * 4
    assert leads["asked"] == 0
    assert instances[1].connections == 0


def test_a_name_that_leads_to_what_is_protected_is_refused_before_a_connection(stage, checked, leads, instances):
    """Whoever checks and whoever fires, by the spec or by its own settings, and whatever was allowed; the pinned address is held to it, too."""
    before = instances[1].connections
    anew = replace(checked, addresses=[])
    for run in (anew, replace(checked, addresses=["", "", THERE, THERE])):
        with pytest.raises(RefusedForSafety, match=rf"branch http://{NAME}:\d+ \({THERE}\) is protected"):
            check_targets(stage.home, run, [f"{THERE}/32"])
        with pytest.raises(RefusedForSafety, match="is protected"):
            asyncio.run(prepared(stage.home, replace(run, protected=[THERE]), Settings()))
        with pytest.raises(RefusedForSafety, match="is protected"):
            asyncio.run(prepared(stage.home, run, Settings(replay=Replay(protected=[THERE]))))
    assert instances[1].connections == before


def test_capacity_fires_at_the_address_that_was_checked(stage, checked, leads, instances):
    """The name is looked up once; where it leads afterwards gets nothing."""
    leads.update(to=HERE, asked=0)
    one = replace(checked, targets=[replace(checked.targets[2], lane=None)], addresses=[])
    one = replace(one, addresses=check_reachable(one))
    leads["to"] = THERE
    target, _ = asyncio.run(prepared_one(stage.home, one, Settings()))

    assert target.address[0] == HERE
    assert leads["asked"] == 1
    assert instances[1].connections == 0
