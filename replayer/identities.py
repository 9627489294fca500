"""Which recorded identity is which of a target's: the first that appears in the recording is the first that is configured, and so on.

A recorded identity is a united session of the plan (:mod:`replayer.order`), known by the mask of its credential. The numbers follow
from the recording alone, so that every worker of a shared run and every resumption has the same. Pure but for the journal that is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from echolane.credentials import JWT, Credentials
from echolane.exchange import Exchange, Request, WorkItem
from echolane.journal import Journal
from replayer.feeding import work_items
from replayer.keeper import Keeper, Source
from replayer.targets import Target
from replayer.wearing import presents

IDENTITIES_MAX = 1_048_576
"""Recorded identities that are told apart, 150 bytes each; those that appear later have no identity at a target."""


class Numbering:
    """Numbers the identities of one place in the order of their first appearance."""

    def __init__(self, read: Credentials) -> None:
        self._read = read
        self._first: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Numbering of {len(self._first)} identities>"

    def see(self, item: WorkItem) -> None:
        """An exchange, in any order."""
        exchange = item.exchange
        if item.skip or not presents(self._read, exchange.request.headers):
            return
        first = self._first.get(exchange.session)
        if first is None and len(self._first) >= IDENTITIES_MAX:
            return
        if first is None or item.seq < first:
            self._first[exchange.session] = item.seq

    def numbers(self) -> dict[str, int]:
        """Session → number, from 0."""
        return {session: number for number, session in enumerate(sorted(self._first, key=self._first.__getitem__))}


def keeper_of(
    journal: Journal,
    topic: str,
    targets: Sequence[Target | None],
    sources: Sequence[Source | None],
    opened: Callable[[Exchange], Request],
) -> Keeper | None:
    """Who keeps the credentials of a run's targets; None where all get recorded ones, or masks."""
    if not any(sources):
        return None
    number(journal, topic, sources)
    return Keeper(targets, sources, opened)


def number(journal: Journal, topic: str, sources: Sequence[Source | None]) -> None:
    """Give each source the numbers of the recorded identities of a run."""
    wanted = {id(one): one for one in sources if one is not None and counts(one.read) and not one.numbers}.values()
    for source, numbers in zip(wanted, numbered(work_items(journal, topic), [one.read for one in wanted]), strict=True):
        source.numbers = numbers


def numbered(work: Iterable[Sequence[WorkItem]], reads: Sequence[Credentials]) -> list[dict[str, int]]:
    """The numbers at the place of each of these credentials."""
    numberings = [Numbering(read) for read in reads]
    if numberings:
        for items in work:
            for item in items:
                for one in numberings:
                    one.see(item)
    return [one.numbers() for one in numberings]


def counts(read: Credentials) -> bool:
    """Whether it matters which recorded identity is which."""
    return read.replaces and not read.share and read.provider != JWT
