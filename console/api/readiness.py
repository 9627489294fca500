"""Whether a branch is there: its address may be connected to, and answers as it does when it serves.

A name is looked up each time, every address of it is checked, and the question goes to one of those: a name that leads elsewhere at the next
look-up leads nowhere. The run that follows looks names up once, at its start.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from echolane.addresses import Network, refusal
from echolane.errors import RefusedForSafety
from echolane.marks import LANE_SERVED, Signer, fresh_traceparent, prepare_headers
from echolane.protected import NOTHING, Protected
from replayer.answer import Answer, headers_of
from replayer.probing import PATIENCE, probe, served_by
from replayer.targets import host_of, is_loopback

LOOKUP_S = 5.0
ADDRESSES_MAX = 16
"""Of one name; one that has more is no branch."""
COMMIT_MIN = 7
"""Digits by which a commit is known."""


class Kept(NamedTuple):
    """What the operator said of where a branch is."""

    pinned: str = ""
    """Its address; empty where its name is looked up."""
    protected: Protected = NOTHING
    """Where it must not be."""


async def why_not_ready(
    url: str,
    lane: str,
    path: str,
    version: tuple[str, str],
    networks: Sequence[Network],
    signer: Signer,
    kept: Kept | None = None,
) -> str:
    """What is missing, for a person; empty where the branch is there. RefusedForSafety where its address may not be connected to."""
    kept = kept or Kept()
    kept.protected.refuse(f"`{host_of(url)}`", host=host_of(url))
    found = await addresses(url, networks, kept.pinned)
    for address, _ in found:
        kept.protected.refuse(f"`{host_of(url)}`", address=address)
    if not found:
        return f"the name `{host_of(url)}` has no address"
    wire = f"GET {path or '/'} HTTP/1.1\r\n".encode() + prepare_headers(
        [],
        authority=urlsplit(url).netloc.encode("latin-1"),
        lane=lane or None,
        mark=signer.sign("ready"),
        traceparent=fresh_traceparent(os.urandom),
    )
    async with asyncio.TaskGroup() as tasks:
        shot = await probe(found[0], tasks.create_task, wire, PATIENCE)
    if shot.answer is None:
        return f"{url} does not answer ({shot.failure})"
    return unready(shot.answer, path, lane, version)


def unready(answer: Answer, path: str, lane: str, version: tuple[str, str]) -> str:
    """What an answer says against the branch being there. Pure."""
    if path and not 200 <= answer.status < 300:
        return f"{path} answers {answer.status}"
    if answer.status >= 500 or answer.status == 404:
        return f"/ answers {answer.status}"
    if lane and served_by(answer) != [lane]:
        return f"its answer does not name lane `{lane}` in {LANE_SERVED.decode()}"
    name, commit = version
    if name and commit:
        values = [value for key, value in headers_of(answer.head)[2] if key.lower() == name.lower().encode()]
        told = values[0].strip().decode("latin-1").lower() if values else ""
        if len(told) < COMMIT_MIN or not (told.startswith(commit) or commit.startswith(told)):
            return f"{name} is `{told[:64]}`, not yet {commit[:12]}"
    return ""


async def addresses(url: str, networks: Sequence[Network], pinned: str = "") -> list[tuple[str, int]]:
    """Where a URL leads, or is pinned, all of it allowed; none where the name has no address. RefusedForSafety names the first that is not."""
    port = urlsplit(url).port or 80
    if pinned:
        _check(host_of(url), pinned, networks, "networks")
        return [(pinned, port)]
    return await addresses_of(host_of(url), port, networks, "networks")


async def addresses_of(host: str, port: int, networks: Sequence[Network], setting: str) -> list[tuple[str, int]]:
    """The same of a name and a port; ``setting`` is where a network is named that it may be in."""
    try:
        async with asyncio.timeout(LOOKUP_S):
            infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return []
    found = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in infos))[:ADDRESSES_MAX]
    for text in found:
        _check(host, text, networks, setting)
    return [(text, port) for text in found]


def _check(host: str, text: str, networks: Sequence[Network], setting: str) -> None:
    local = is_loopback(host) and ipaddress.ip_address(text.partition("%")[0]).is_loopback
    if not local and (why := refusal(text, networks)):
        raise RefusedForSafety(
            f'`{host}` leads to {why}; if that is meant, name its network in the hook: {setting} = ["10.0.0.0/8"]'
        )
