"""Targets: where a run fires, whether it may, and whether anybody is there.

A URL on this machine is allowed, with writes if the run asks for them; any other host needs ``--allow-host NAME``, and
``--allow-writes NAME`` for writes (design §6); what is protected is never fired at, whatever they say. A name is looked up once, by
the check before the first request, and its address is kept in the run's spec: who fires, all workers and ``--resume`` connect to
that one, so that a name which moves to production takes nothing with it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from echolane.addresses import Network, networks_of, refusal
from echolane.authorities import OWN, RECORDED, host_in, sent_to
from echolane.credentials import AS_RECORDED, Credentials, credentials_of
from echolane.errors import RefusedForSafety, TargetUnavailable, UsageError
from echolane.observation import TARGETS, TargetInfo
from echolane.protected import NOTHING, Protected

CONNECT_S = 3.0


@dataclass(frozen=True, slots=True)
class Target:
    """One place to fire at."""

    index: int
    """Its place in :data:`echolane.observation.TARGETS`."""
    url: str
    lane: str | None = None
    allow_writes: bool = False
    credentials_recorded: bool = True
    """Whether seals are opened for it: only where the recorded users' credentials may go."""
    credentials: Credentials = AS_RECORDED
    """What stands in the place of the recorded users' credentials."""
    host: str = OWN
    """What it is called in Host, and where that is the recorded one or a name of its own (:mod:`echolane.authorities`)."""
    own_instance: bool = True
    """False for a control that is the same process as its twin."""
    networks: tuple[Network, ...] | None = None
    """In which its address may be, beside public ones; None where it may be any."""
    protected: Protected = NOTHING
    """Where its address must not be."""
    address: tuple[str, int] = ("", 0)
    """Where to connect, once :func:`resolve` has found it."""

    @property
    def name(self) -> str:
        """``base``, ``control``, ``branch`` or ``branch_control``."""
        return TARGETS[self.index]

    @property
    def authority(self) -> str:
        """What it is called where no recorded request says it: a name, else host and port as the URL names them."""
        return sent_to(TargetInfo(self.url, host=self.host))

    @property
    def names(self) -> frozenset[str]:
        """The hosts that it is: by its URL, and by the authority that it is sent."""
        return frozenset({host_of(self.url), host_in(self.authority).lower()})

    @property
    def place(self) -> tuple[str, str | None, str]:
        """What tells two places apart that answer for themselves."""
        return self.url, self.lane, self.host


def make_targets(
    infos: Sequence[TargetInfo],
    allow_hosts: Sequence[str],
    allow_writes: Sequence[str],
    methods: str,
    configured: Mapping[str, Credentials] | None = None,
    networks: Sequence[str] | None = None,
    protected: Protected = NOTHING,
) -> list[Target]:
    """The targets of a run, checked: RefusedForSafety where one may not be fired at, UsageError where they make no sense."""
    for info in infos:
        check_allowed(info.url, allow_hosts, allow_writes, methods, protected)
    base, branch = infos[0], infos[2]
    if base.url == branch.url and base.lane == branch.lane:
        raise UsageError(f"base and branch are both {base.url}; give two addresses, or --lane for the branch")
    targets = [target_of(index, info, methods, configured or {}, protected) for index, info in enumerate(infos)]
    if networks is None:
        return targets
    allowed = networks_of(networks, "networks")
    return [replace(one, networks=allowed) if one.name.startswith("branch") else one for one in targets]


def target_of(
    index: int, info: TargetInfo, methods: str, configured: Mapping[str, Credentials], protected: Protected = NOTHING
) -> Target:
    """One target as the settings have it: whether it is written to, and with whose credentials it is fired at."""
    local = is_loopback(host_of(info.url))
    if not local and info.host not in {OWN, RECORDED}:
        # What chooses by Host where requests go would take it to production.
        protected.refuse(f"`{info.host}`, as {TARGETS[index]} {info.url} is called,", host=host_in(info.host))
    credentials = credentials_of(configured, TARGETS[index], urlsplit(info.url).netloc, loopback=local)
    return Target(
        index,
        info.url,
        info.lane,
        allow_writes=methods == "all",
        credentials_recorded=credentials.opens(loopback=local),
        credentials=credentials,
        host=info.host,
        protected=protected,
        own_instance=info.own_instance,
    )


def check_allowed(
    url: str,
    allow_hosts: Sequence[str],
    allow_writes: Sequence[str],
    methods: str,
    protected: Protected = NOTHING,
) -> None:
    """RefusedForSafety unless this URL may be fired at with these methods (``safe`` or ``all``)."""
    host = host_of(url)
    protected.refuse(f"target {url}", host=host)
    if is_loopback(host):
        return
    if host not in {name.lower() for name in allow_hosts}:
        raise RefusedForSafety(
            f"target {url} is not on this machine; if it is meant for tests, add --allow-host {host}"
        )
    if methods != "safe" and host not in {name.lower() for name in allow_writes}:
        raise RefusedForSafety(
            f"--methods {methods} would write to {url}; if it may be written to, add --allow-writes {host}"
        )


def host_of(url: str) -> str:
    """The host of a plain http URL; UsageError for anything else."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"target `{url}` is no URL ({error}); use http://HOST:PORT") from error
    if parts.scheme != "http" or not host:
        raise UsageError(f"target `{url}` is no plain HTTP URL; use http://HOST:PORT")
    return host.lower()


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine by definition, whatever a resolver says."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def resolve(
    targets: Sequence[Target], kept: Sequence[str] = (), held: Mapping[int, Callable[[str], None]] | None = None
) -> list[Target]:
    """The targets with their addresses: those that are kept of them, one each, else what their names lead to, as ``held`` lets them.

    Raises:
        TargetUnavailable: the first that refuses, or does not accept in time.
        RefusedForSafety: the first whose address is in none of its networks, or is protected; or as ``held`` says.
    """
    found: dict[tuple[str, bool, bool, str], tuple[str, int]] = {}
    placed: list[Target] = []
    for target, ip in zip(targets, kept or [""] * len(targets), strict=True):
        refuse = (held or {}).get(target.index)
        key = (target.url, target.networks is not None, refuse is not None, ip)
        if key not in found:
            found[key] = await _address_of(target, ip, refuse)
        placed.append(replace(target, address=found[key]))
    return placed


async def _address_of(target: Target, kept: str, refuse: Callable[[str], None] | None) -> tuple[str, int]:
    """The first address of a target that accepts a connection; no other one than the kept one, where there is one."""
    loop = asyncio.get_running_loop()
    parts = urlsplit(target.url)
    host, port = parts.hostname or "", parts.port or 80
    local = is_loopback(host)
    reason = "does not accept connections"
    places = [kept] if kept else await _looked_up(target, host, port)
    for ip in places:  # all of them, before any is connected to
        target.protected.refuse(f"{target.name} {target.url}", address=ip)
        if refuse is not None:
            refuse(ip)
    for ip in places:
        if local and not ipaddress.ip_address(ip.partition("%")[0]).is_loopback:
            continue  # a hosts file that sends localhost elsewhere is not followed
        # The address that is checked is the one that all connections of the run go to.
        if not local and target.networks is not None and (why := refusal(ip, target.networks)):
            raise RefusedForSafety(f"{target.name} {target.url} leads to {why}; nothing was fired")
        try:
            async with asyncio.timeout(CONNECT_S):
                transport, _ = await loop.create_connection(asyncio.Protocol, ip, port)
        except TimeoutError:
            reason = f"does not accept a connection within {CONNECT_S:.0f} s"
        except OSError:
            reason = "refuses connections"
        else:
            transport.close()
            return ip, port
    if kept and not local:
        raise TargetUnavailable(
            f"{target.name} {target.url} {reason} at {kept}, where this run found it or it is pinned; start it there, or begin a new run"
        )
    raise TargetUnavailable(f"{target.name} {target.url} {reason}; start it, or check the port")


async def _looked_up(target: Target, host: str, port: int) -> list[str]:
    """The addresses of a target's name."""
    try:
        async with asyncio.timeout(CONNECT_S):
            infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        raise TargetUnavailable(f"{target.name} {target.url}: the name `{host}` has no address") from error
    return [str(sockaddr[0]) for *_, sockaddr in infos]
