"""Which addresses a name from outside may lead to: public ones, and those of networks that were named for it. Pure.

An address that carries another one inside (IPv4-mapped, NAT64, 6to4, Teredo) is that other one as well: ``64:ff9b::7f00:1`` reaches 127.0.0.1
through a translator, and the standard library calls it global. Addresses of one link, of groups and of nobody are refused whatever is named:
the metadata services of clouds are there, and no branch is.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from echolane.errors import UsageError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
METADATA = (
    ipaddress.ip_network("169.254.0.0/16"),
    ipaddress.ip_network("fe80::/10"),
    ipaddress.ip_network("fd00:ec2::254/128"),
    ipaddress.ip_network("100.100.100.200/32"),
    ipaddress.ip_network("168.63.129.16/32"),
    ipaddress.ip_network("192.0.0.192/32"),
)
"""Links' own addresses, and metadata services that are elsewhere (AWS by IPv6, Alibaba, Azure, Oracle)."""
TRANSLATED = ipaddress.ip_network("::ffff:0:0:0/96")
"""IPv4 addresses of hosts behind a stateless translator (RFC 7915)."""
NOT_PUBLIC = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "fec0::/10", "5f00::/16")))
"""Of protocols, relays, sites and segments (IANA's special-purpose registries); some versions of the standard library call them global."""


def networks_of(texts: Iterable[str], where: str) -> tuple[Network, ...]:
    """Networks as people write them; UsageError names the place of one that is none."""
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise UsageError(f"{where}: {error}; write 10.0.0.0/8, for example") from error


def refusal(text: str, networks: Sequence[Network]) -> str:
    """Why an address may not be connected to, for a person; empty where it may."""
    try:
        outer = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return f"`{text[:80]}` is no address"
    for address in (outer, *inside(outer)):
        if address.is_multicast or address.is_unspecified or _in(address, METADATA):
            return f"{text} is an address of a link, a group, nobody or a cloud's metadata, where no branch is"
        if _in(address, networks):
            continue
        if address is not outer and _in(outer, networks):
            return f"{text} stands for {address}, which is in none of the networks that are named"
        if not address.is_global or _in(address, NOT_PUBLIC) or (address is outer and list(inside(outer))):
            return f"{text} is not public, and in none of the networks that are named"
    return ""


def inside(address: Address) -> Iterable[Address]:
    """The addresses that another one carries."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address.sixtofour is not None:
        yield address.sixtofour
    elif address.teredo is not None:
        yield from address.teredo
    elif _in(address, (*NAT64, TRANSLATED)) or (not int(address) >> 32 and int(address) > 1):
        yield ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)


def _in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
