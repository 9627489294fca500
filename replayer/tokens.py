"""Tokens, and the lane of one identity: one request for a token at a time, for all who wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from echolane.exchange import Request

MARGIN = 0.1
"""Of its lifetime before a token's end a new one is asked for, from lifetimes of :data:`MARGIN_FROM_S` on; 30 s at most."""
MARGIN_FROM_S = 10.0
RENEW_GAP_S = 0.5
"""Between two renewals of a lane, so that a source that gives what is refused at once is not asked in a circle."""
TRIES = 3
"""How often a source is asked that does not answer."""

Arrived = Callable[[bool], None]
"""Called with whether there is another credential than before."""


class NoCredential(Exception):  # noqa: N818 - it says what there is not
    """Why there is no credential; ``again`` where asking again may help."""

    def __init__(self, reason: str, *, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


class Token(NamedTuple):
    """What is put into requests."""

    value: bytes = b""
    """The credential without its scheme."""
    cookies: Mapping[bytes, bytes] = {}
    """Cookies by name, where those are what a login gave."""
    lifetime_s: float = 0.0
    """Seconds until it is worth nothing; 0 where nothing says so."""

    @property
    def usable_s(self) -> float:
        """Seconds for which it is used before a new one is asked for; 0 for until it is refused."""
        early = min(30.0, self.lifetime_s * MARGIN) if self.lifetime_s >= MARGIN_FROM_S else 0.0
        return self.lifetime_s - early


class Asked(NamedTuple):
    """For whom a credential is asked."""

    identity: int
    """From 0."""
    request: Request | None = None
    """The request with its seal opened, where the provider makes the credential of the recorded one."""


Provide = Callable[[Asked], Awaitable[Token]]


@dataclass(slots=True, eq=False)
class Lane:
    """One identity at one source."""

    provide: Provide
    asked: Asked
    token: Token | None = None
    generation: int = 0
    """Grows with every other credential."""
    until_ns: int = 0
    """Monotonic instant from which it is not used any more; 0 for never."""
    got_ns: int = 0
    failure: str = ""
    """Why the source has none."""
    waiting: list[tuple[object, Arrived]] = field(default_factory=list["tuple[object, Arrived]"])
    """Who asks, and what is called with whether there is another credential than before. Bounded by what may be in flight."""
    task: asyncio.Future[None] | None = None
    """Of nobody's group: parts of a shared run use one source, and any of them may end first."""

    def ready(self) -> bool:
        """Whether it has a credential that may be used."""
        return self.token is not None and not (self.until_ns and time.monotonic_ns() >= self.until_ns)


class Worn(NamedTuple):
    """Which credential a shot carried."""

    lane: Lane
    generation: int


def renew(who: object, lane: Lane, generation: int, arrived: Arrived) -> None:
    """Call ``arrived`` once there is another credential than that of ``generation``, or there is none."""
    if lane.generation != generation and lane.ready():
        arrived(True)
        return
    lane.waiting.append((who, arrived))
    if lane.task is None:
        lane.task = asyncio.ensure_future(_get(lane))


def let_go(who: object, lane: Lane) -> None:
    """``who`` waits no longer; what nobody waits for is not asked for any more."""
    ours = [arrived for one, arrived in lane.waiting if one is who]
    lane.waiting = [(one, arrived) for one, arrived in lane.waiting if one is not who]
    if lane.task is not None and not lane.waiting:
        lane.task.cancel()
        lane.task = None
    for arrived in ours:
        arrived(False)


async def _get(lane: Lane) -> None:
    """Ask the source, a few times where it does not answer."""
    token: Token | None = None
    if lane.got_ns:
        await asyncio.sleep(max(0.0, RENEW_GAP_S - (time.monotonic_ns() - lane.got_ns) / 1e9))
    for attempt in range(TRIES):
        try:
            token = await lane.provide(lane.asked)
            lane.failure = ""
            break
        except NoCredential as none:
            lane.failure = str(none)
            if not none.again or attempt == TRIES - 1:
                break
            await asyncio.sleep(RENEW_GAP_S * 2**attempt)
        except Exception as error:  # noqa: BLE001 - who waits must be told; a text of it might hold a secret
            lane.failure = f"its provider failed ({type(error).__name__})"
            break
    lane.task = None
    _got(lane, token)


def _got(lane: Lane, token: Token | None) -> None:
    changed = False
    lane.got_ns = time.monotonic_ns()
    if token is not None:
        old = lane.token
        changed = old is None or (token.value, token.cookies) != (old.value, old.cookies)
        lane.token, lane.generation = token, lane.generation + changed
        lane.until_ns = lane.got_ns + int(token.usable_s * 1e9) if token.lifetime_s else 0
    waiting, lane.waiting = lane.waiting, []
    for _, arrived in waiting:
        arrived(changed)
