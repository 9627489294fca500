"""A target is elsewhere than where the recording comes from: else the run is refused before anything is sent (REP-3).

Names are compared when the run is planned, whose first pass reads them; addresses before the first connection. A target may be there
where somebody said so: it is on this machine, it is pinned, its lane is going to be proven, or ``[targets.NAME] origin = true``.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from urllib.parse import urlsplit

from echolane.addresses import inside
from echolane.authorities import chosen
from echolane.errors import RefusedForSafety
from echolane.observation import TARGETS
from echolane.recorded_hosts import Origins, RecordedHosts, address_in, host_named, is_here
from echolane.runspec import RunSpec
from replayer.targets import host_of, is_loopback

LOOKUP_S = 3.0
"""For all names of a recording together, as long as a target's own name may take: what has no address by then is not compared by it."""


def hosts_of(spec: RunSpec) -> set[str]:
    """The hosts of a run's targets, as they are compared."""
    return {host_named(urlsplit(info.url).netloc) for info in spec.targets if info.url}


def refuse_names(spec: RunSpec, meant: Mapping[str, bool], seen: RecordedHosts) -> Origins:
    """What the run must not be at, to be held against addresses. ``meant``: targets that the settings say may be there.

    Raises:
        RefusedForSafety: the first target whose host is one of the recording's.
    """
    held = _held(spec, meant)
    for index in held:
        info = spec.targets[index]
        host = host_named(urlsplit(info.url).netloc)
        if times := seen.times(host):
            raise RefusedForSafety(
                f"{TARGETS[index]} {info.url} is where `{spec.service}` was recorded (Host {host}: {times}); "
                f"nothing was fired. {_ways_out(spec, index)}"
            )
    return Origins(seen.most_called(), held) if held else Origins()


def _held(spec: RunSpec, meant: Mapping[str, bool]) -> list[int]:
    """The targets of which nobody said that they may be where the recording comes from; copies that are going to be started have no URL."""
    # Who serves a lane also serves what is shared, by one name; that it does is proven before anything is fired.
    proven = {_place(info.url) for info in spec.targets if spec.firing.lane_check and info.lane and info.url}
    return [
        index
        for index, (role, info) in enumerate(zip(TARGETS, spec.targets, strict=False))
        if info.url
        and not is_loopback(host_of(info.url))
        and not (spec.addresses and spec.addresses[index])
        and _place(info.url) not in proven
        and not chosen(meant, role, urlsplit(info.url).netloc)
    ]


def _place(url: str) -> tuple[str, int]:
    return host_of(url), urlsplit(url).port or 80


def held_apart(spec: RunSpec) -> dict[int, Callable[[str], None]]:
    """What refuses an address, by the index of each target that must be elsewhere (before there is a loop).

    Nobody is asked where no target is to be looked up: on this machine, pinned, or found when the run began.
    """
    origins = spec.origins
    if not origins.targets or (spec.addresses and all(spec.addresses)):
        return {}
    led = _led_to(origins.hosts)
    return {index: partial(_refuse_address, spec, led, index) for index in origins.targets}


def _led_to(hosts: Sequence[str]) -> dict[str, str]:
    """Addresses of a recording's hosts, each with its host; those of this machine are left out."""
    found: dict[str, str] = {}
    names: list[str] = []
    for host in hosts:
        if address_in(host) is None:
            names.append(host)
        else:
            _note(found, host, host)
    answers: queue.Queue[tuple[str, list[str]]] = queue.Queue(max(1, len(names)))
    for name in names:
        # Threads that nobody waits for: a resolver that does not answer must not hold the run, nor the end of the process.
        threading.Thread(target=_look_up, args=(name, answers), daemon=True).start()
    deadline = time.monotonic() + LOOKUP_S
    for _ in names:
        try:
            name, texts = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        for text in texts:
            _note(found, text, name)
    return found


def _refuse_address(spec: RunSpec, led: Mapping[str, str], index: int, address: str) -> None:
    for one in _forms(address):
        if host := led.get(one):
            raise RefusedForSafety(
                f"{TARGETS[index]} {spec.targets[index].url} is at {address}, where `{spec.service}` was recorded (Host {host} leads there); "
                f"nothing was fired. {_ways_out(spec, index)}"
            )


def _look_up(name: str, answers: queue.Queue[tuple[str, list[str]]]) -> None:
    try:
        infos = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        infos = []
    answers.put((name, [str(sockaddr[0]) for *_, sockaddr in infos]))


def _note(found: dict[str, str], text: str, host: str) -> None:
    for one in _forms(text):
        found.setdefault(one, host)


def _forms(text: str) -> list[str]:
    """An address and those that it carries, without those of this machine."""
    address = address_in(text)
    return [] if address is None else [str(one) for one in (address, *inside(address)) if not is_here(one)]


def _ways_out(spec: RunSpec, index: int) -> str:
    """What to do about it; what fires at one target has no pins and no lanes."""
    host, role = host_of(spec.targets[index].url), TARGETS[index]
    pins = f"pin it (--pin {host}=ADDRESS, or `address` of a server's target), prove a lane there (--lane), or "
    return f"Name another target; if this one is meant, {pins if len(spec.targets) > 1 else ''}set [targets.{role}] origin = true"
