"""Where a run may fire, and what it says when nobody is there."""

from __future__ import annotations

import asyncio
import socket

import pytest

from echolane.errors import RefusedForSafety, TargetUnavailable, UsageError
from echolane.observation import TargetInfo
from echolane.recordings import Recording
from echolane.runspec import RunSpec
from replayer.probing import check_reachable
from replayer.targets import Target, check_allowed, is_loopback, make_targets, resolve


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:80", "http://localhost:1", "http://[::1]:1", "http://api.localhost", "http://127.8.9.1"]
)
def test_this_machine_is_allowed_with_writes(url):
    """Loopback by address or by reserved name needs no word."""
    check_allowed(url, [], [], "all")


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1",
        "http://prod.example",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://0.0.0.0:1",
    ],
)
def test_elsewhere_needs_a_word_for_reading_and_one_for_writing(url):
    """Without --allow-host nothing, without --allow-writes no writes; the message says which flag."""
    host = url.removeprefix("http://").partition(":")[0]
    with pytest.raises(RefusedForSafety, match=f"--allow-host {host}"):
        check_allowed(url, ["other.example"], [], "safe")
    check_allowed(url, [host.upper()], [], "safe")
    with pytest.raises(RefusedForSafety, match=f"--allow-writes {host}"):
        check_allowed(url, [host], [], "all")
    check_allowed(url, [host], [host], "all")


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1", "ftp://x", "127.0.0.1:80", "http://", "http://127.0.0.1:99999", "http://[::1"]
)
def test_what_is_no_plain_http_url_is_a_usage_error(url):
    """The message names the value and the form."""
    with pytest.raises(UsageError, match="use http://HOST:PORT"):
        check_allowed(url, [], [], "safe")


def test_base_and_branch_must_differ():
    """One URL for both is only meant with a lane."""
    one = TargetInfo("http://127.0.0.1:1")
    with pytest.raises(UsageError, match="are both"):
        make_targets([one, one, one, one], [], [], "safe")
    lane = TargetInfo(one.url, "feat-1")
    targets = make_targets([one, one, lane, lane], [], [], "safe")
    assert [(target.name, target.lane, target.allow_writes, target.credentials_recorded) for target in targets] == [
        ("base", None, False, True), ("control", None, False, True),
        ("branch", "feat-1", False, True), ("branch_control", "feat-1", False, True),
    ]  # fmt: skip


def test_recorded_credentials_go_to_this_machine_alone():
    """A seal is opened for loopback, never elsewhere."""
    infos = [TargetInfo("http://10.1.1.1")] * 2 + [TargetInfo("http://127.0.0.1:1")] * 2
    targets = make_targets(infos, ["10.1.1.1"], ["10.1.1.1"], "all")
    assert [target.credentials_recorded for target in targets] == [False, False, True, True]
    assert not is_loopback("127.0.0.1.example")


def run_at(*infos):
    """A run at these targets."""
    return RunSpec("r", "shop", Recording("r", "shop", 0, "everything", []), list(infos))


def test_a_target_that_refuses_is_unavailable_at_once():
    """Its name and URL are in the message."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
        up = TargetInfo(f"http://127.0.0.1:{port}")
        check_reachable(run_at(up))
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound, not listening: refuses
            down = TargetInfo(f"http://127.0.0.1:{taken.getsockname()[1]}")
            with pytest.raises(TargetUnavailable, match=f"control {down.url} refuses connections"):
                check_reachable(run_at(up, down, up, up))


async def test_an_address_is_looked_up_once_and_kept():
    """Two targets of one URL share their address; a name without one is unavailable."""
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    found = await resolve([Target(0, f"http://localhost:{port}"), Target(1, f"http://localhost:{port}")])
    assert {target.address for target in found} == {("127.0.0.1", port)}
    with pytest.raises(TargetUnavailable, match="has no address"):
        await resolve([Target(2, "http://nowhere.invalid")])
    server.close()


async def test_a_branch_is_fired_at_in_its_networks_alone(monkeypatch):
    """What its name leads to is checked when it is looked up, each time, and what was checked is what is connected to; base may be elsewhere."""
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    leads = ["127.0.0.1"] * 4

    async def getaddrinfo(_host, asked, **_):
        return [(2, 1, 6, "", (leads.pop(0), asked))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    infos = [TargetInfo(f"http://base.example:{port}")] * 2 + [TargetInfo(f"http://a.test.example:{port}")] * 2
    allowed = ["base.example", "a.test.example"]
    async with server:
        found = await resolve(make_targets(infos, allowed, [], "safe", networks=["127.0.0.0/8"]))
        assert {target.address for target in found} == {("127.0.0.1", port)}
        assert len(leads) == 2
        with pytest.raises(RefusedForSafety, match=r"branch http://a\.test\.example.*127\.0\.0\.1 is not public"):
            await resolve(make_targets(infos, allowed, [], "safe", networks=[]))
        leads[:] = ["127.0.0.1", "169.254.169.254"]
        with pytest.raises(RefusedForSafety, match="metadata"):
            await resolve(make_targets(infos, allowed, [], "safe", networks=["127.0.0.0/8", "169.254.0.0/16"]))
