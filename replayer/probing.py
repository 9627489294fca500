"""One request outside a run's work, and what it proves: that a lane is served, before anything is fired into it.

A lane is a header. A gateway that does not know it routes the request to the shared base, and the run would compare base with
base and pass. So the first request into a lane is a probe, and its answer must name the lane (``x-lane-served``); whoever serves
lanes sets that header.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from echolane.errors import RefusedForSafety, TargetUnavailable
from echolane.home import Home
from echolane.keys import load_mark_key
from echolane.marks import LANE_SERVED, Signer, fresh_traceparent, prepare_headers
from echolane.protected import NOTHING, Protected, protected_of
from echolane.runspec import RunSpec
from replayer.answer import Answer, headers_of
from replayer.connection import Connection, LiveShot, Patience, Pool
from replayer.elsewhere import held_apart
from replayer.targets import Target, make_targets, resolve

PATIENCE = Patience(connect_s=3.0, first_byte_s=10.0, total_s=10.0)
"""As long as an answer may take to begin by default."""


class Probe(LiveShot, kw_only=True, eq=False):
    """A shot of no flight."""

    done: asyncio.Future[None]

    def settled(self) -> None:
        """Tell who waits."""
        if not self.done.done():
            self.done.set_result(None)


async def probe(
    address: tuple[str, int],
    spawn: Callable[[Coroutine[Any, Any, None]], object],
    wire: bytes,
    patience: Patience,
    *,
    head_only: bool = False,
) -> Probe:
    """Ask once, on a connection of its own: the shot with its answer or its failure."""
    shot = Probe(wire, head_only, done=asyncio.get_running_loop().create_future())
    pool = Pool(address, spawn, patience=patience)

    def opened(connection: Connection | None, failure: str) -> None:
        if connection is None:
            shot.failure = failure
            shot.settled()
        else:
            connection.fire(shot)

    pool.open(opened)
    try:
        async with asyncio.timeout(patience.connect_s + patience.first_byte_s):
            await shot.done
    except TimeoutError:
        shot.failure = shot.failure or "first-byte-timeout"
    finally:
        pool.close()
    return shot


def check_targets(home: Home, spec: RunSpec, protected: Sequence[str] = ()) -> RunSpec:
    """Before there is a loop: every target accepts connections, and every lane is served. The spec with the addresses that were asked.

    Raises:
        TargetUnavailable: a target refuses, or does not answer the probe of its lane.
        RefusedForSafety: the answer does not name the lane, a target is protected, by the spec or now, or is where the recording comes from.
    """
    key, held = load_mark_key(home.keys, os.environ), held_apart(spec)
    return asyncio.run(_check(key, spec, protected_of([*spec.protected, *protected]), held))


def check_reachable(spec: RunSpec, protected: Protected = NOTHING) -> list[str]:
    """The addresses at which targets accept, for whoever fires; TargetUnavailable names the first that does not (before there is a loop)."""
    held = held_apart(spec)
    targets = [Target(index, info.url, protected=protected) for index, info in enumerate(spec.targets)]
    return [target.address[0] for target in asyncio.run(resolve(targets, held=held))]


async def _check(key: bytes, spec: RunSpec, protected: Protected, held: Mapping[int, Callable[[str], None]]) -> RunSpec:
    targets = await resolve(
        make_targets(
            spec.targets,
            spec.allow_hosts,
            spec.allow_writes,
            spec.methods,
            networks=spec.networks,
            protected=protected,
        ),
        spec.addresses,
        held,
    )
    if spec.firing.lane_check:
        # A copy that Echolane started is the branch itself, whatever is in front of others.
        await prove_lanes([one for one in targets if not spec.targets[one.index].managed], key, spec.run)
    return replace(spec, addresses=[target.address[0] for target in targets])


async def prove_lanes(targets: Sequence[Target], key: bytes, run: str) -> None:
    """Ask each address in its lane, once."""
    seen: set[tuple[str, str | None, str]] = set()
    async with asyncio.TaskGroup() as tasks:
        for target in targets:
            if target.lane is None or target.place in seen:
                continue
            seen.add(target.place)
            wire = b"GET / HTTP/1.1\r\n" + prepare_headers(
                [],
                authority=target.authority.encode("latin-1"),
                lane=target.lane,
                mark=Signer(key, run).sign("probe"),
                traceparent=fresh_traceparent(os.urandom),
            )
            problem = _unproven(target, target.lane, await probe(target.address, tasks.create_task, wire, PATIENCE))
            if problem is not None:
                break
        else:
            return
    raise problem


def _unproven(target: Target, lane: str, shot: Probe) -> TargetUnavailable | RefusedForSafety | None:
    """What the answer to a probe says against its lane. Pure."""
    where = f"{target.name} {target.url}"
    if shot.answer is None:
        return TargetUnavailable(
            f"{where} does not answer a probe in lane `{lane}` ({shot.failure}); nothing was fired"
        )
    served = served_by(shot.answer)
    if served == [lane]:
        return None
    said = (
        f"{LANE_SERVED.decode()} is `{', '.join(served)[:80]}`"
        if served
        else f"its answer has no {LANE_SERVED.decode()}"
    )
    return RefusedForSafety(
        f"{where} does not prove that it serves lane `{lane}` ({said}), so branch might be base; nothing was fired. "
        "Route the lane to it, or add --no-lane-check where the branch is known to answer there"
    )


def served_by(answer: Answer) -> list[str]:
    """The lanes that an answer names; every proxy on the way must agree, so several different ones prove nothing."""
    values = [value for name, value in headers_of(answer.head)[2] if name.lower() == LANE_SERVED]
    names = [part.strip().decode("latin-1") for value in values for part in value.split(b",")]
    return list(dict.fromkeys(names))


__all__ = ["Probe", "check_reachable", "check_targets", "probe", "prove_lanes"]
