"""What is told to others, who may be away or refuse: when it is tried again, and when it is given up. Pure, but for what it is given to do."""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from echolane import log
from echolane.errors import EcholaneError
from echolane.store import QueryError

BASE_S, STEP_MAX_S = 1.0, 60.0
"""The first wait, doubled each time up to the last one: who comes back is told within a minute."""
LASTS_NS = 24 * 3_600_000_000_000
"""For so long somebody who is away is tried; after a day there is other news."""
REFUSED_MAX = 6
"""Refusals after which a thing is given up, over about a minute: a commit may be told before the forge itself knows it everywhere."""
WAIT_MAX_S = 3600.0
"""The longest that somebody is left alone because he says so: limits of forges are those of an hour."""


class Outgoing(msgspec.Struct, kw_only=True):
    """One thing that somebody is told."""

    since_ns: int = 0
    """Since when it is to be told."""
    due_ns: int = 0
    tries: int = 0
    refused: int = 0
    why: str = ""
    """What went wrong last."""

    @property
    def given_up(self) -> bool:
        """Whether it is tried no more."""
        return self.refused >= REFUSED_MAX or self.due_ns - self.since_ns > LASTS_NS


def after_failure(one: Outgoing, why: str, now_ns: int, *, wait_s: float, refused: int, chance: float) -> bool:
    """Note that telling went wrong; whether it is given up.

    ``refused``: as how many refusals it counts; ``chance``, below 1, parts what failed together.
    """
    one.tries += 1
    one.refused += refused
    one.why = why
    step = min(BASE_S * 2 ** min(one.tries - 1, 10), STEP_MAX_S)
    one.due_ns = now_ns + int(max(step * (0.75 + chance / 4), wait_s) * 1e9)
    return one.given_up


def wait_of(retry_after: str, now_s: float) -> float:
    """Seconds of a Retry-After, within bounds; 0 where it says nothing that can be read."""
    text, found = retry_after.strip(), 0.0
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), WAIT_MAX_S)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        found = parsedate_to_datetime(text).timestamp() - now_s
    return min(max(found, 0.0), WAIT_MAX_S)


async def went_well(piece: Coroutine[Any, Any, None], room: str) -> bool:
    """Do a piece of work; False where store or disk are away, or where it is a fault of ours, which ends no server."""
    try:
        await piece
    except (EcholaneError, OSError, QueryError) as error:
        log.event(f"{room}.trouble", error=str(error))
    except Exception as error:  # noqa: BLE001 - told as a fault; its text may be anybody's, or a secret, so it is not
        log.event(f"{room}.fault", error=type(error).__name__)
    else:
        return True
    return False
