"""Whether a cookie that an answer sets would come back: its Domain, against who was asked (RFC 6265, 5.1.3 and 5.3). Pure.

The recorded client decided for the recorded host, so a Domain that fits that host fits, and so does one that fits what the target is
called. Behind a gateway that renames hosts the client knew another name than the recording: it took the recorded cookie with its Domain
and sent it back, so it would have taken the target's with the same one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import NamedTuple

from echolane.exchange import Headers


class Cookie(NamedTuple):
    """A cookie that an answer sets."""

    name: bytes
    value: bytes
    domain: str
    """For whom it is, in lower case, without a dot before it; empty for who was asked alone."""


def cookies_set(headers: Headers) -> list[Cookie]:
    """The cookies that an answer sets, in its order."""
    found: list[Cookie] = []
    for name, line in headers:
        if len(name) == 10 and name.lower() == b"set-cookie":
            cookie, equals, rest = line.partition(b"=")
            if equals:
                value, _, attributes = rest.partition(b";")
                found.append(Cookie(cookie.strip(), value.strip(), _domain(attributes)))
    return found


def _domain(attributes: bytes) -> str:
    """The last Domain that is said (5.3, step 4)."""
    domain = b""
    for part in attributes.split(b";"):
        name, _, value = part.partition(b"=")
        if name.strip().lower() == b"domain":
            domain = value.strip().removeprefix(b".")
    return domain.decode("latin-1").lower()


def own(headers: Headers, hosts: Collection[str], known: Mapping[bytes, str]) -> list[Cookie]:
    """The cookies of an answer that come back: for one of ``hosts``, or with the Domain that the recorded one of that name has."""
    return [one for one in cookies_set(headers) if is_for(one.domain, hosts) or known.get(one.name) == one.domain]


def is_for(domain: str, hosts: Collection[str]) -> bool:
    """Whether one of the hosts belongs to the domain: it is the domain, or a name (never an address) under it that has a dot itself."""
    return not domain or any(
        host == domain or ("." in domain and host.endswith(f".{domain}") and not _is_address(host)) for host in hosts
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
