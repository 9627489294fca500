"""The hosts of a recording: how they are read, counted and bounded."""

from __future__ import annotations

import pytest

from echolane.recorded_hosts import ADDRESSES_MAX, HOSTS_MAX, NAMES_MAX, RecordedHosts, host_named


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("Shop.EXAMPLE:8443", "shop.example"),
        ("ann@shop.example.:80", "shop.example"),
        ("shop.example:", "shop.example"),
        ("[2001:DB8:0::7]:80", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("192.0.2.7:80", "192.0.2.7"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("ü" * 64 + ".example", ""),
        ("", ""),
    ],
)
def test_a_host_is_one_however_it_is_written(authority: str, host: str) -> None:
    """Without user, port and dot, in lower case and ASCII; of what is none nothing."""
    assert host_named(authority) == host


def test_a_targets_host_is_counted_behind_any_number_of_others() -> None:
    """Others are bounded, so that no client can fill the memory, nor hide a host by sending many names before it."""
    seen = RecordedHosts({"shop.example"})
    for n in range(HOSTS_MAX + 500):
        seen.see(f"x{n}.example", 5)
    seen.see("x" * 5000 + ".example", 5)
    for at_ns in (9, 7, 8):
        seen.see("shop.example:80", at_ns)
    times = seen.times("shop.example")

    assert times is not None
    assert (times.count, times.first_ns) == (3, 7)
    assert str(times) == "3 requests, the first at 1970-01-01T00:00:00+00:00"
    assert seen.times(f"x{HOSTS_MAX + 1}.example") is None
    assert repr(seen) == f"<RecordedHosts {HOSTS_MAX + 1}>"


def test_those_that_were_called_most_are_compared_by_address() -> None:
    """Names and addresses within their bounds, without this machine's and without what no resolver can be asked for."""
    seen = RecordedHosts()
    for host in ("localhost", "api.localhost", "127.0.0.1:80", "0.0.0.0", "[::1]:80", "a b", "ü" * 64):
        for _ in range(9):
            seen.see(host, 1)
    for n in range(NAMES_MAX + 3):
        seen.see(f"x{n}.example", 1)
    for n in range(ADDRESSES_MAX + 3):
        seen.see(f"192.0.2.{n}", 1)
    seen.see(f"x{NAMES_MAX + 2}.example", 1)
    hosts = seen.most_called()

    assert hosts[0] == f"x{NAMES_MAX + 2}.example"
    assert [host for host in hosts if host.endswith(".example")] == hosts[:NAMES_MAX]
    assert hosts[NAMES_MAX:] == [f"192.0.2.{n}" for n in range(ADDRESSES_MAX)]
