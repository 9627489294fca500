"""How members of a group share the partitions of a topic, and how far a worker may commit. Pure; both doors use it.

A member holds a partition in an epoch, a number that grows with every change of hands. What it finishes it commits under that
epoch, which is refused once the partition is in other hands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping

from echolane.errors import Fenced

LEASE_S = 10.0
"""How long a member that says nothing keeps what it holds: long enough for a slow disk, short enough for a person who watches."""
BEATS = 3
"""A member says that it lives this often within its lease, so that one word may be lost."""


def balanced(members: Collection[str], holders: Mapping[int, str], partitions: int) -> dict[int, str]:
    """Who shall hold each partition: as even as can be, and with as few changes of hands as that allows.

    The same for everybody who asks with the same words, so that nobody has to be asked.
    """
    if not members:
        return {}
    held: dict[str, list[int]] = {member: [] for member in members}
    free: list[int] = []
    for partition in range(partitions):
        held.get(holders.get(partition, ""), free).append(partition)
    # Those who hold most keep one more than the others where it does not come out even.
    ranked = sorted(held, key=lambda member: (-len(held[member]), member))
    share, more = divmod(partitions, len(ranked))
    shall: dict[int, str] = {}
    places: deque[str] = deque()
    for rank, member in enumerate(ranked):
        quota = share + (rank < more)
        shall |= dict.fromkeys(held[member][:quota], member)
        free += held[member][quota:]
        places += [member] * (quota - len(held[member]))
    return shall | {partition: places.popleft() for partition in sorted(free)}


def fenced(group: str, partition: int, epoch: int) -> Fenced:
    """What is said to a member that commits what it does not hold."""
    return Fenced(f"partition {partition} of group `{group}` is no longer held in epoch {epoch}; nothing was committed")


class Prefix:
    """The finished beginning of a partition: entries are begun in order and finished in any; what may be committed has no hole."""

    __slots__ = ("_begun", "_finished", "_reach")

    def __init__(self, start: int) -> None:
        self._reach = start
        self._begun: deque[int] = deque()
        self._finished: set[int] = set()

    def __repr__(self) -> str:
        return f"<Prefix up to {self._reach}, {len(self._begun)} begun, {len(self._finished)} of them finished>"

    @property
    def reach(self) -> int:
        """Everything before this position is finished."""
        return self._reach

    @property
    def waiting(self) -> int:
        """Entries that were begun and are not within the prefix."""
        return len(self._begun)

    def begin(self, position: int) -> None:
        """An entry was taken up. Positions grow; where some are missing, nothing is waited for."""
        if self._begun and position <= self._begun[-1]:
            raise ValueError(f"position {position} was begun behind {self._begun[-1]}")
        self._begun.append(position)

    def finish(self, position: int) -> int:
        """An entry is done; how far the prefix reaches now."""
        self._finished.add(position)
        while self._begun and self._begun[0] in self._finished:
            done = self._begun.popleft()
            self._finished.remove(done)
            self._reach = max(self._reach, done + 1)
        return self._reach
