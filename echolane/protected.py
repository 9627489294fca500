"""What no run ever fires at, whatever its flags allow: ``replay.protected`` (REP-3). Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from echolane.addresses import Network, inside
from echolane.errors import RefusedForSafety, UsageError

SETTING = "replay.protected"
_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9_-])?")


@dataclass(frozen=True, slots=True)
class Protected:
    """Hosts, domains and networks. Nothing is protected where all are empty."""

    names: frozenset[str] = frozenset()
    domains: tuple[str, ...] = ()
    """With the dot before them: all that ends so."""
    networks: tuple[Network, ...] = ()

    def holds_name(self, host: str) -> bool:
        """Whether a host is named, or is an address that is."""
        name = host.strip("[]").lower().rstrip(".")
        return name in self.names or name.endswith(self.domains) or (bool(self.networks) and self.holds_address(name))

    def holds_address(self, text: str) -> bool:
        """Whether an address, or one that it carries (IPv4 within IPv6), is in one of the networks; False for what is no address."""
        try:
            outer = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return False
        return any(
            one.version == network.version and one in network
            for one in (outer, *inside(outer))
            for network in self.networks
        )

    def refuse(self, what: str, *, host: str = "", address: str = "") -> None:
        """RefusedForSafety where the host or the address is protected; ``what`` is who would have been fired at."""
        if (host and self.holds_name(host)) or (address and self.holds_address(address)):
            leads = f" ({address})" if address else ""
            raise RefusedForSafety(
                f"{what}{leads} is protected ({SETTING}), so no run fires at it, whatever its flags allow; nothing was fired"
            )


NOTHING = Protected()


def protected_of(texts: Iterable[str]) -> Protected:
    """What the setting says: names, ``*.`` and a domain, addresses, networks. UsageError names one that is none of them."""
    names: set[str] = set()
    domains: set[str] = set()
    networks: list[Network] = []
    for text in texts:
        name = text.strip().lower().rstrip(".")
        try:
            networks.append(ipaddress.ip_network(name.strip("[]"), strict=False))
            continue
        except ValueError:
            pass
        if not _NAME.fullmatch(name) or re.fullmatch(r"[0-9.]+", name):
            raise UsageError(
                f"setting `{SETTING}`: {text!r} is no host, address or network; write shop.example, *.shop.example, 10.0.0.7 or 10.0.0.0/8"
            )
        (domains if name.startswith("*.") else names).add(name.removeprefix("*"))
    return Protected(frozenset(names), tuple(sorted(domains)), tuple(networks))
