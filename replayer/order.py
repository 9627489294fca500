"""The order of a recording: who is one person, and who must have been answered before whom. Pure; :mod:`replayer.plan` asks.

A login changes the cookie, not the person: sessions are united when one uses a token that another introduced. Within a united
session B follows A if A's recorded end precedes B's start; what overlapped may overlap again. Only the last finished frontier
is named, for what came before it is named by its members: the predecessors of a strictly sequential session are one each.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from dataclasses import dataclass, field

from echolane.exchange import Exchange, WorkItem

FOLLOWS_MAX = 32
"""Predecessors of one exchange. More only come where dozens overlapped; of those the last to end are named."""
FRONTIER_MAX = 1_024
"""Exchanges of one session whose successors may still come; an address with more open requests at once is a crowd, not a person."""
SESSIONS_MAX = 16_384
"""Sessions and tokens remembered, the least recently seen given up first: what comes back after so many others follows nobody."""

SHARED_MAX = 262_144
"""Sessions of a shared run whose partition is remembered, 100 bytes each; later ones go by their name, which is as even among so many."""

_Span = tuple[int, int, int]
"""Rank, start and end of one exchange."""


@dataclass(slots=True)
class _Session:
    """One united session: what may still precede the next exchange."""

    frontier: list[_Span] = field(default_factory=list)
    joined: list[_Span] = field(default_factory=list)
    """Of sessions that were united with this one: covered only by what came after the union."""
    joined_rank: int = -1
    """Rank of the first exchange after the last union; -1 until it comes."""

    def predecessors(self, start_ns: int) -> list[_Span]:
        """The frontier of what ended before ``start_ns``; what its members cover is forgotten for good."""
        ended = [one for one in self.frontier if one[2] < start_ns]
        if ended:
            floor = max(one[1] for one in ended)
            self.frontier = [one for one in self.frontier if one[2] >= floor]
            ended = [one for one in ended if one[2] >= floor]
        if self.joined:
            floor = max((one[1] for one in ended if one[0] >= self.joined_rank), default=0)
            self.joined = [one for one in self.joined if one[2] >= floor]
            ended += [one for one in self.joined if one[2] < start_ns]
        return ended


class Order:
    """Names the predecessors of each exchange; exchanges are to be given in recorded order."""

    def __init__(self) -> None:
        self._of_session: OrderedDict[str, _Session] = OrderedDict()
        self._of_token: OrderedDict[str, str] = OrderedDict()
        self._alias: OrderedDict[str, str] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Order {len(self._of_session)} sessions, {len(self._of_token)} tokens>"

    def name_of(self, exchange: Exchange) -> str:
        """The united session of an exchange: the name of the first session it is connected with by tokens."""
        name = self._alias.get(exchange.session, exchange.session)
        for token in exchange.uses:
            owner = self._of_token.get(token)
            if owner is not None:
                self._of_token.move_to_end(token)
                owner = self._alias.get(owner, owner)
                if owner != name:
                    name = self._unite(owner, name)
        for token in exchange.introduces:
            self._of_token[token] = name
            self._of_token.move_to_end(token)
        _trim(self._of_token)
        return name

    def final(self, name: str) -> str:
        """The last name of a session that was united with others."""
        seen = {name}
        while (known := self._alias.get(name)) is not None and known not in seen:
            seen.add(known)
            name = known
        return name

    def follows(self, name: str, rank: int, start_ns: int, end_ns: int) -> list[int]:
        """Ranks that must be answered before this exchange may be fired."""
        session = self._of_session.get(name)
        if session is None:
            session = self._of_session[name] = _Session()
            _trim(self._of_session)
        else:
            self._of_session.move_to_end(name)
        if session.joined and session.joined_rank < 0:
            session.joined_rank = rank
        ended = session.predecessors(start_ns)
        session.frontier.append((rank, start_ns, end_ns))
        if len(session.frontier) > FRONTIER_MAX:
            del session.frontier[0]
        if len(ended) > FOLLOWS_MAX:
            ended = sorted(ended, key=lambda one: one[2])[-FOLLOWS_MAX:]
        return sorted(one[0] for one in ended)

    def _unite(self, first: str, second: str) -> str:
        """Let ``second`` be known as ``first``; their frontiers become one."""
        self._alias[second] = first
        self._alias.move_to_end(second)
        _trim(self._alias)
        other = self._of_session.pop(second, None)
        if other is not None:
            mine = self._of_session.setdefault(first, _Session())
            mine.joined = (mine.joined + other.joined + other.frontier)[-FRONTIER_MAX:]
            mine.joined_rank = -1
        return first


class Shares:
    """Which partition of a shared run each session belongs to: whole, and as even as may be.

    A session may turn out to be another's only late in a recording, when it was planned already. So all exchanges go through
    :meth:`unite` first; then each session goes to the partition that has least, when its first exchange is planned.
    """

    def __init__(self, partitions: int) -> None:
        self._loads = [0] * partitions
        self._order = Order()
        self._partition_of: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Shares {self._loads}>"

    def unite(self, exchange: Exchange) -> None:
        """Learn who is one person with whom."""
        self._order.name_of(exchange)

    def partition_of(self, item: WorkItem) -> int:
        """Where an item goes, whose exchange bears its united session."""
        name = self._order.final(item.exchange.session)
        partition = self._partition_of.get(name)
        if partition is None:
            if len(self._partition_of) >= SHARED_MAX:
                return zlib.crc32(name.encode()) % len(self._loads)
            partition = self._partition_of[name] = self._loads.index(min(self._loads))
        self._loads[partition] += 1
        return partition


def _trim(table: OrderedDict[str, _Session] | OrderedDict[str, str]) -> None:
    while len(table) > SESSIONS_MAX:
        table.popitem(last=False)
