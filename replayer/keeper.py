"""Keeps the credentials of a run's targets: one for each identity, got once, renewed once however many requests were refused.

A lane is one identity at one source of credentials. Before a flight is fired each of its targets' lanes has a credential
(:meth:`Keeper.equip`); :meth:`Keeper.wear` puts it in the place of the recorded one. A target that answers 401 where the recording has
none has the lane renewed, by one request for all that were refused together, and a safe request is sent once more. Where that
never helps, the identity is paused at that target: what it would have sent is skipped, with the reason.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace as with_fields

from echolane.credentials import JWT, Credentials
from echolane.exchange import Exchange, Request, WorkItem
from replayer.flight import Flight, FlightShot
from replayer.targets import Target
from replayer.tokens import Asked, Lane, Provide, Worn, let_go, renew
from replayer.wearing import dressed, presented, presents

REFUSED, UNAVAILABLE, NO_IDENTITY, INTERRUPTED = (
    "credentials-refused",
    "credentials-unavailable",
    "no-identity",
    "interrupted",
)
"""Reasons of ``skipped``."""
REFUSALS_MAX = 5
"""Requests in a row that a target refuses in spite of a fresh credential, until the identity is paused there."""
RESENT_MAX = 3
"""How often a request is sent again whose credential ends while it is on its way."""
HOPELESS_ENDPOINTS, HOPELESS_TOTAL = 3, 50
"""Where some endpoints take it: fewer that refuse it are a change of the target's, which is to be seen and not skipped."""
LANES_MAX = 65_536
"""Lanes of one source, some hundred bytes each: those of recorded tokens that are signed anew are given up oldest first."""
ENDPOINTS_MAX = 1_024
TOLD_MAX = 20
"""Pauses that are told of one by one."""

Then = Callable[[str], None]
"""Called with the reason for which the flight is not fired, empty where it is."""


@dataclass(slots=True, eq=False)
class Source:
    """Where the credentials of one or several targets come from."""

    read: Credentials
    provide: Provide
    identities: int | None
    """How many there are; None for as many as the recording has."""
    numbers: Mapping[str, int] = field(default_factory=dict[str, int])
    """Recorded identity (session) → its number from 0."""
    lanes: OrderedDict[object, Lane] = field(default_factory=OrderedDict[object, Lane])

    def key(self, exchange: Exchange) -> object | None:
        """The lane of an exchange; None where there is no identity for it."""
        if self.read.provider == JWT:
            return presented(self.read, exchange.request.headers)
        if self.read.share:
            return 0
        number = self.numbers.get(exchange.session)
        return None if number is None or (self.identities is not None and number >= self.identities) else number


@dataclass(slots=True, eq=False)
class Standing:
    """How one identity fares at one target."""

    row: int = 0
    """Refusals in a row, of credentials that were never taken."""
    total: int = 0
    taken: int = 0
    """The credential that was last taken, at any endpoint."""
    taken_total: int = 0
    paused: str = ""
    """The reason, once it is."""
    stubborn: set[str] = field(default_factory=set[str])
    """Endpoints that refuse fresh credentials: they are their answer."""
    accepted: dict[str, int] = field(default_factory=dict[str, int])
    """The credential that an endpoint last took."""

    def hopeless(self) -> bool:
        """Whether it is only taken where anything is: public endpoints say nothing of a credential."""
        return (
            len(self.stubborn) >= HOPELESS_ENDPOINTS and self.total >= HOPELESS_TOTAL and self.total > self.taken_total
        )


class Keeper:
    """The credentials of one run."""

    def __init__(
        self,
        targets: Sequence[Target | None],
        sources: Sequence[Source | None],
        opened: Callable[[Exchange], Request],
    ) -> None:
        self._targets, self._sources = targets, sources
        """Four places; None for who gets recorded credentials, or masks."""
        self._opened = opened
        self._standings: dict[tuple[int, object], Standing] = {}
        self.paused: list[str] = []
        """For a person: who is paused where, and why."""
        self._aborted = False
        self._again: Callable[[FlightShot, Flight], None] = _nothing
        self._settled: Callable[[FlightShot], None] = _nobody

    def __repr__(self) -> str:
        return f"<Keeper of {sum(len(one.lanes) for one in self._sources if one)} lanes, {len(self.paused)} paused>"

    def watch(
        self, settled: Callable[[FlightShot], None], again: Callable[[FlightShot, Flight], None]
    ) -> Callable[[FlightShot], None]:
        """What shots are to call when they have settled: it passes on to ``settled`` all but those it sends ``again``."""
        self._settled, self._again = settled, again
        return self._look

    def equip(self, flight: Flight, indexes: Iterable[int], then: Then) -> None:
        """Call ``then`` once every target of the flight has its credential, or with why it has none."""
        exchange = flight.item.exchange
        lanes: list[Lane] = []
        for index in indexes:
            source = self._sources[index]
            if source is None or not presents(source.read, exchange.request.headers):
                continue
            lane, why = self._lane(source, exchange, index)
            if lane is None:
                then(why)
                return
            if not lane.ready() and lane not in lanes:
                lanes.append(lane)
        left = len(lanes)
        if not left:
            then("")
            return

        def arrived(_: bool) -> None:
            nonlocal left
            left -= 1
            if not left:
                failed = any(lane.failure for lane in lanes)
                if failed and not self._aborted:
                    self._give_up(exchange, indexes)
                then(INTERRUPTED if self._aborted else UNAVAILABLE if failed else "")

        for lane in lanes:
            renew(self, lane, lane.generation, arrived)

    def lacks(self, exchange: Exchange, index: int) -> bool:
        """Whether an exchange presents a credential for which this target has no identity."""
        source = self._sources[index]
        return source is not None and presents(source.read, exchange.request.headers) and source.key(exchange) is None

    def _lane(self, source: Source, exchange: Exchange, index: int) -> tuple[Lane | None, str]:
        key = source.key(exchange)
        if key is None:
            return None, NO_IDENTITY
        standing = self._standings.get((index, key))
        if standing is not None and standing.paused:
            return None, standing.paused
        lane = source.lanes.get(key)
        if lane is None:
            if len(source.lanes) >= LANES_MAX:
                source.lanes.popitem(last=False)
            request = self._opened(exchange) if source.read.provider == JWT else None
            lane = source.lanes[key] = Lane(source.provide, Asked(key if isinstance(key, int) else 0, request))
        return lane, ""

    def _give_up(self, exchange: Exchange, indexes: Iterable[int]) -> None:
        """The source of a lane has none: the identity is paused wherever it was to be used."""
        for index in indexes:
            source = self._sources[index]
            key = source.key(exchange) if source is not None else None
            lane = source.lanes.get(key) if source is not None and key is not None else None
            if lane is not None and lane.failure:
                self._pause(index, key, UNAVAILABLE, lane.failure)

    # putting it in

    def wear(self, shot: FlightShot, opened: Request, request: Request) -> tuple[Request, list[str], list[bytes]]:
        """The request with its target's credential at its place; what was done, and the secrets."""
        source = self._sources[shot.index]
        flight = shot.flight
        if source is None or flight is None:
            return request, [], []
        key = source.key(flight.item.exchange)
        lane = source.lanes.get(key) if key is not None else None
        if lane is None or lane.token is None:
            return request, [], []
        read, token = source.read, lane.token
        headers, secrets = dressed(read, token, opened.headers, request.headers)
        if not secrets:
            return request, [], []
        shot.worn = Worn(lane, lane.generation)
        return with_fields(request, headers=headers), [f"{read.place}: {read.provider} credential"], secrets

    # what comes of it

    def _look(self, shot: FlightShot) -> None:
        """A shot has settled: refused, taken, or neither."""
        worn, flight, answer = shot.worn, shot.flight, shot.answer
        if worn is None or flight is None or answer is None or answer.status >= 500:
            self._settled(shot)
            return
        source = self._sources[shot.index]
        assert source is not None  # noqa: S101 - it wears a credential of it
        key = source.key(flight.item.exchange)
        standing = self._standings.setdefault((shot.index, key), Standing())
        endpoint = flight.item.endpoint
        if answer.status != 401:
            standing.row = 0
            standing.taken, standing.taken_total = worn.generation, standing.taken_total + 1
            standing.stubborn.discard(endpoint)
            if endpoint in standing.accepted or len(standing.accepted) < ENDPOINTS_MAX:
                standing.accepted[endpoint] = worn.generation
        elif not _was_refused(flight.item):
            if self._may_resend(shot, standing, worn, endpoint):
                renew(self, worn.lane, worn.generation, lambda changed: self._refused(shot, changed=changed))
                return
            self._count(shot, standing, key, endpoint)
        self._settled(shot)

    def _may_resend(self, shot: FlightShot, standing: Standing, worn: Worn, endpoint: str) -> bool:
        """Once; again only where this endpoint took this very credential meanwhile, so that it has ended since."""
        if not shot.safe or standing.paused or endpoint in standing.stubborn:
            return False
        return not shot.resent or (shot.resent < RESENT_MAX and standing.accepted.get(endpoint) == worn.generation)

    def _refused(self, shot: FlightShot, *, changed: bool) -> None:
        """The lane of a refused shot was renewed, or could not be."""
        flight, source = shot.flight, self._sources[shot.index]
        if flight is None or source is None or shot.worn is None:
            return
        if self._aborted:
            shot.answer, shot.failure = None, "closed"
            self._settled(shot)
            return
        if changed:
            shot.answer, shot.resent = None, shot.resent + 1
            shot.attempts += 1
            self._again(shot, flight)
            return
        key = source.key(flight.item.exchange)
        standing = self._standings.setdefault((shot.index, key), Standing())
        if shot.worn.lane.failure:
            self._pause(shot.index, key, UNAVAILABLE, shot.worn.lane.failure)
        else:
            self._count(shot, standing, key, flight.item.endpoint)
        self._settled(shot)

    def _count(self, shot: FlightShot, standing: Standing, key: object, endpoint: str) -> None:
        """A refusal that a fresh credential did not help against, or could not be tried against."""
        worn = shot.worn
        if worn is None or worn.generation < worn.lane.generation:
            return  # it had another credential than there is now
        if not shot.safe:
            renew(self, worn.lane, worn.generation, _forget)
        if standing.taken == worn.generation:
            if not shot.resent or standing.accepted.get(endpoint) == worn.generation:
                return  # it has ended meanwhile
            if len(standing.stubborn) < ENDPOINTS_MAX:
                standing.stubborn.add(endpoint)
        standing.total += 1
        standing.row += standing.taken != worn.generation
        if standing.row >= REFUSALS_MAX or standing.hopeless():
            self._pause(
                shot.index, key, REFUSED, f"{standing.total} requests were answered 401, with a fresh credential too"
            )

    def _pause(self, index: int, key: object, reason: str, why: str) -> None:
        standing = self._standings.setdefault((index, key), Standing())
        target, source = self._targets[index], self._sources[index]
        if standing.paused or target is None or source is None:
            return
        standing.paused = reason
        who = f"identity {key + 1}" if isinstance(key, int) else "an identity"
        if len(self.paused) < TOLD_MAX:
            self.paused.append(
                f"{who} is paused at {target.name} ({source.read.provider}, {source.read.source}): {why}"
            )

    def abort(self) -> None:
        """Nothing more is fired: who waits is let go."""
        self._aborted = True
        for source in {id(one): one for one in self._sources if one is not None}.values():
            for lane in tuple(source.lanes.values()):
                let_go(self, lane)


def _was_refused(item: WorkItem) -> bool:
    response = item.exchange.response
    return response is not None and response.status in {401, 403}


def _nothing(_shot: FlightShot, _flight: Flight) -> None:
    """Before it is watched."""


def _nobody(_shot: FlightShot) -> None:
    """Before it is watched."""


def _forget(_changed: bool) -> None:
    """Renewed for those who come later."""
