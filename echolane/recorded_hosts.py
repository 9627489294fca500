"""Where a recording comes from: the hosts by which its users called the service. No run fires there by accident (REP-3). Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from echolane.authorities import authority_ok

HOSTS_MAX = 1_000
"""Hosts of one recording that are counted: a service has a few, and users may send any. Those of targets are found beyond them, too."""
AUTHORITY_MAX = 300
"""Characters of an authority that is read: a name has 253, a port five; a user's name before it is rare and short."""
NAMES_MAX = 16
"""Names whose addresses are asked for, those with the most requests: each is a question to a resolver, and whoever was recorded can put one."""
ADDRESSES_MAX = 64
"""Addresses that stand in Host and are kept with the run: comparing them costs nothing, keeping them a line of its spec."""
_PORT = re.compile(r":[0-9]*\Z")


class Origins(msgspec.Struct, frozen=True):
    """What a run keeps of where its recording comes from."""

    hosts: list[str] = []
    """Names and addresses, those with the most requests first."""
    targets: list[int] = []
    """Of the run's targets those that must not be at one of them."""


NOWHERE = Origins()


@dataclass(slots=True)
class Times:
    """How often a host was called, and when first."""

    count: int
    first_ns: int

    def __str__(self) -> str:
        """In words, for a person."""
        first = datetime.fromtimestamp(self.first_ns / 1e9, UTC).isoformat(timespec="seconds")
        return f"1 request, at {first}" if self.count == 1 else f"{self.count:,} requests, the first at {first}"


class RecordedHosts:
    """Counts the hosts of a recording's requests. ``wanted``: those of targets, which are counted whatever else there is."""

    def __init__(self, wanted: Collection[str] = ()) -> None:
        self._wanted = frozenset(wanted)
        self._read: dict[str, str] = {}
        """Authorities and their hosts: most requests have the same ones."""
        self._found: dict[str, Times] = {}

    def __repr__(self) -> str:
        return f"<RecordedHosts {len(self._found)}>"

    def see(self, authority: str, at_ns: int) -> None:
        """The authority of one request, and when it was sent."""
        host = self._read.get(authority)
        if host is None:
            host = host_named(authority) if len(authority) <= AUTHORITY_MAX else ""
            if len(self._read) < HOSTS_MAX:
                self._read[authority] = host
        if not host:
            return
        times = self._found.get(host)
        if times is not None:
            times.count += 1
            times.first_ns = min(times.first_ns, at_ns)
        elif len(self._found) < HOSTS_MAX or host in self._wanted:
            self._found[host] = Times(1, at_ns)

    def times(self, host: str) -> Times | None:
        """How often a host was called; None where it was not."""
        return self._found.get(host)

    def most_called(self) -> list[str]:
        """The hosts whose addresses a target must not have, within the bounds; this machine is nobody's production."""
        names: list[str] = []
        addresses: list[str] = []
        for host in sorted(self._found, key=lambda one: -self._found[one].count):
            address = address_in(host)
            if address is not None:
                addresses += [] if is_here(address) else [host]
            elif authority_ok(host) and host != "localhost" and not host.endswith(".localhost"):
                names.append(host)
        return [*names[:NAMES_MAX], *addresses[:ADDRESSES_MAX]]


def host_named(authority: str) -> str:
    """A host as hosts are compared: without user and port, in lower case and ASCII, no dot behind it, an address in its shortest form."""
    host = _PORT.sub("", authority.rpartition("@")[2]).strip("[]").lower().rstrip(".")
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    address = address_in(host)
    return host if address is None else str(address)


def address_in(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a text is, without the name of an interface; None where it is none."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def is_here(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is this machine, or none."""
    return address.is_loopback or address.is_unspecified
