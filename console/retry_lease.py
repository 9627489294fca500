"""The lease of whoever compares a run's dead letters again, across machines: the one partition of the topic of their words.

The journal gives it to another where its holder dies or falls silent, and refuses that one's commits from then on; so a holder that stood
still and goes on learns it before it closes the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from console.output import say
from differ.shared_letters import GROUP, SharedLetters, dead_topic
from echolane.errors import Fenced, HomeError
from echolane.journal import Journal, Member

LEASES_WAITED = 3
"""A partition is held within two leases after a member came, left or died; one more for a machine that is busy."""
LOOK_S = 0.1


@contextmanager
def letters_held(journal: Journal, shared: SharedLetters | None, lease_s: float) -> Generator[Callable[[], None]]:
    """Hold it until the block ends; what is yielded raises HomeError once it is lost. Nothing to hold where nothing is shared.

    Raises:
        HomeError: another one holds it, or this user may not.
    """
    if shared is None:
        yield lambda: None
        return
    run, topic = shared.run, dead_topic(shared.run)
    member = journal.join(GROUP, topic, lease_s)
    try:
        epoch = _seated(member, run, lease_s)

        def still() -> None:
            try:
                member.commit(0, journal.end(topic, 0), epoch)
            except Fenced as error:
                raise HomeError(
                    f"the dead letters of run {run} are in other hands since this process stood still; call it again"
                ) from error

        yield still
    finally:
        member.leave()


def _seated(member: Member, run: str, lease_s: float) -> int:
    """The epoch in which the partition came into hand."""
    since, told = time.monotonic(), False
    while True:
        held = member.held()
        if 0 in held:
            return held[0]
        waited_s = time.monotonic() - since
        if waited_s > LEASES_WAITED * lease_s:
            raise HomeError(f"the dead letters of run {run} are compared again by somebody else; wait until that ends")
        if waited_s > lease_s and not told:
            told = True
            say(f"somebody may be comparing the dead letters of run {run} again; waiting for that to end")
        time.sleep(LOOK_S)
