"""What keeps the rest of the process from making a shot late, and one error from hiding in a group."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Generator
from typing import cast

SWITCH_S = 0.0002
"""A thread gives way after this long."""


@contextlib.contextmanager
def undisturbed() -> Generator[None]:
    """Keep the cyclic collector out of the volleys: it cost a fifth of all time, and flights leave no circles behind.

    The run has it look at what else may have gathered (errors of connecting) every few seconds. And let the
    journal's thread give way to a shot that is due after a fraction of a millisecond instead of five.
    """
    enabled, interval = gc.isenabled(), sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.unfreeze()
        if enabled:
            gc.enable()


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first, without the group around it."""
    first = group.exceptions[0]
    return (
        first_of(cast("BaseExceptionGroup[BaseException]", first)) if isinstance(first, BaseExceptionGroup) else first
    )
