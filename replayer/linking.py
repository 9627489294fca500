"""Find what ties a session's requests to earlier answers: this path segment is that answer's ``$.id``. Pure; :mod:`replayer.plan` asks.

A pass over the recording before the plan is written. Answers of a session are indexed by value, only where a later request of it comes;
each value of that request is looked up. What a client sent before any answer had it is its own. Which of several places it came from, and
whether a short number came from any, is decided at the end (:mod:`replayer.deciding`), when the whole recording has been seen.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from echolane.exchange import Exchange
from replayer import affinity, origins
from replayer.affinity import MEANT, NEVER, RELATED, SAME, STRONG
from replayer.pieces import Piece, pieces
from replayer.places import FORM, PATH, TARGET, Atom, atoms

SESSIONS_MAX = 4_096
"""Sessions whose answers are remembered at a time, the least recently seen forgotten first: their later requests stay as recorded."""
BYTES_MAX = 256 * 1024 * 1024
"""What all sessions may weigh; beyond, the least recently seen are forgotten, and of a single one what it held first."""
WAITING_MAX = 16
"""Answers of a session that wait to be indexed until its next request comes."""
PLACES_MAX = 100_000
"""Places of requests that are counted; a client that makes up names has no end of them."""
_VALUE_BYTES, _ORIGIN_BYTES, _EXCHANGE_BYTES = 250, 250, 2_000
"""About what a value, a place of it and an exchange take beside their texts."""
ORIGINS_MAX = 8
"""Answers' places that are remembered for one value: of each place the first and the last, of all the first four and the last four."""
KINDS_MAX = 4
"""Different values of a place that are counted; three tell a habit from a single case."""
USES_MAX = 300_000
"""Ties of a recording, some 800 MiB with where they come from; what comes after them stays as recorded and is counted."""


_MASK_MIN = 16
"""Masks are no shorter."""
Mask = Callable[[str], str]
"""The mask of a value; a mask is its own."""


class Origin(NamedTuple):
    """A value at a place of a recorded answer."""

    rank: int
    end_ns: int
    endpoint: str
    method: str
    path: str
    """Of its request, without the query."""
    found: origins.Found
    echo: bool
    """Whether its own request held the value: then it was not the answer that brought it into being."""
    place: int
    """Hash of its endpoint and names: two elements of a list, and two answers of an endpoint, have one place."""


class Use(NamedTuple):
    """A value of a recorded request that earlier answers of its session held. There are many: texts are shared, parts are not kept."""

    rank: int
    endpoint: str
    where: str
    name: str
    """What the atom is called."""
    start: int
    end: int
    escape: int
    in_path: bool
    """Whether it stands in a path, of the request or of a link in it."""
    text: str
    strength: int
    own: bool
    """Whether the client had sent the value, as something else, before any answer held it."""
    candidates: tuple[tuple[int, Origin], ...]
    """With what names and places say for each."""


class _Session:
    """What a session's answers held so far."""

    __slots__ = ("_masks", "index", "sent", "waiting", "weight")

    def __init__(self) -> None:
        self.index: dict[str, list[Origin]] = {}
        self._masks: dict[str, str] = {}
        """Mask → value, for the values of the index that were asked for so far."""
        self.sent: dict[str, set[str]] = {}
        """Values that the client brought itself, with the names it gave them."""
        self.waiting: deque[tuple[Exchange, int, str]] = deque()
        self.weight = 0
        """About how many bytes of memory it takes."""

    def halve(self) -> None:
        """Forget what it held first."""
        for values in (self.index, self.sent):
            for text in list(values)[: (len(values) + 1) // 2]:
                del values[text]
        for _ in range((len(self.waiting) + 1) // 2):
            self.waiting.popleft()
        self._masks.clear()
        self.weight //= 2

    def known(self, text: str, mask: Mask | None) -> list[Origin] | None:
        """Where a value came from; a mask also from where the value stood in clear, under a name that promised no secret."""
        found = self.index.get(text)
        if found is not None or mask is None or len(text) < _MASK_MIN or mask(text) != text:
            return found
        for value in itertools.islice(self.index, len(self._masks), None):
            self._masks[mask(value) if affinity.strength(value) == STRONG else f"{value} is short"] = value
        return self.index.get(self._masks.get(text, ""))


class Linker:
    """Given the fired exchanges of a recording in order; ``uses`` are the ties found, ``seen`` and ``owned`` what decides about them."""

    def __init__(self, mask: Mask | None = None) -> None:
        self._mask = mask
        self.uses: list[Use] = []
        self.dropped = 0
        """Ties beyond USES_MAX."""
        self.seen: Counter[tuple[str, str]] = Counter()
        """How often each place of each endpoint's requests held a value, in sessions that had been answered before."""
        self.kinds: dict[tuple[str, str], set[int]] = {}
        """The first few different values of each of those places, by their hashes."""
        self.owned: Counter[str] = Counter()
        """Names under which clients sent values that no answer had given."""
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<Linker {len(self._sessions)} sessions, {self._bytes} bytes, {len(self.uses)} uses>"

    def see(self, exchange: Exchange, name: str, rank: int, endpoint: str) -> None:
        """One exchange of the session ``name`` that will be fired."""
        session = self._session(name, exchange.session)
        if session.waiting or session.index:
            while session.waiting:
                self._take(session, *self._waited(session))
            self._look_up(session, exchange, rank, endpoint)
        elif exchange.response is not None:
            self._note_sent(session, exchange)
        if exchange.response is not None:
            session.waiting.append((exchange, rank, endpoint))
            self._weigh(session, _weight_of(exchange))
            if len(session.waiting) > WAITING_MAX:
                self._take(session, *self._waited(session))
        self._forget()

    def _waited(self, session: _Session) -> tuple[Exchange, int, str]:
        first = session.waiting.popleft()
        self._weigh(session, -_weight_of(first[0]))
        return first

    def _weigh(self, session: _Session, more: int) -> None:
        session.weight += more
        self._bytes += more

    def _forget(self) -> None:
        """Down to what may be remembered."""
        while self._bytes > BYTES_MAX or len(self._sessions) > SESSIONS_MAX:
            oldest = next(iter(self._sessions))
            session = self._sessions[oldest]
            self._bytes -= session.weight
            if len(self._sessions) > 1:
                del self._sessions[oldest]
            else:
                session.halve()
                self._bytes += session.weight

    def _session(self, name: str, recorded: str) -> _Session:
        session = self._sessions.get(name)
        if session is None:
            session = self._sessions[name] = _Session()
        self._sessions.move_to_end(name)
        if recorded != name and recorded in self._sessions:  # united with another meanwhile
            other = self._sessions.pop(recorded)
            for value, found in other.index.items():
                known = session.index.setdefault(value, [])
                for origin in found:
                    _remember(known, origin)
            for value, names in other.sent.items():
                session.sent.setdefault(value, set()).update(names)
            session.waiting = deque(sorted((*session.waiting, *other.waiting), key=lambda one: one[1]))
            session.weight += other.weight
        return session

    def _note_sent(self, session: _Session, exchange: Exchange) -> None:
        for atom in atoms(exchange.request):
            self._own(session, atom)

    def _own(self, session: _Session, atom: Atom) -> None:
        if affinity.strength(atom.text) > NEVER:
            if atom.text not in session.sent:
                self._weigh(session, _VALUE_BYTES + len(atom.text))
                session.sent[atom.text] = set()
            session.sent[atom.text].add(atom.name)
            if atom.codec != PATH and (atom.name in self.owned or len(self.owned) < PLACES_MAX):
                self.owned[atom.name] += 1

    def _take(self, session: _Session, exchange: Exchange, rank: int, endpoint: str) -> None:
        """Index an answer."""
        answer, request = exchange.response, exchange.request
        if answer is None:
            return
        end_ns = exchange.captured_at_ns + exchange.duration_ns
        path = request.target.partition("?")[0][:200]
        own: dict[str, set[str]] | None = None
        for found in origins.values(answer):
            if own is None:
                own = _own_values(exchange)
            known = session.index.get(found.text)
            if known is None:
                known = session.index[found.text] = []
                self._weigh(session, _VALUE_BYTES + len(found.text))
            echo = _is_echo(found, own)
            place = hash((endpoint, echo, found.place, found.name, found.around, len(found.path)))
            origin = Origin(rank, end_ns, endpoint, request.method, path, found, echo, place)
            self._weigh(session, _ORIGIN_BYTES * _remember(known, origin))

    def _look_up(self, session: _Session, exchange: Exchange, rank: int, endpoint: str) -> None:
        path = exchange.request.target.partition("?")[0]
        for atom in atoms(exchange.request):
            place = endpoint, folded(atom.where)
            if place in self.kinds or len(self.kinds) < PLACES_MAX:
                self.seen[place] += 1
                kinds = self.kinds.setdefault(place, set())
                if len(kinds) < KINDS_MAX:
                    kinds.add(hash(atom.text))
            uses = list(_uses(session, atom, exchange.captured_at_ns, path, self._mask))
            if not uses:
                self._own(session, atom)
            for piece, strength, candidates in uses:
                own = piece.text in session.sent
                if len(self.uses) >= USES_MAX:
                    self.dropped += 1
                else:
                    self.uses.append(_use(rank, endpoint, atom, piece, strength, candidates, own=own))


def _use(
    rank: int,
    endpoint: str,
    atom: Atom,
    piece: Piece,
    strength: int,
    candidates: list[tuple[int, Origin]],
    *,
    own: bool,
) -> Use:
    known = candidates[0][1].found.text
    return Use(
        rank,
        endpoint,
        sys.intern(atom.where),
        sys.intern(atom.name),
        piece.start,
        piece.end,
        piece.escape,
        atom.codec == PATH or piece.escape == 1,
        known if known == piece.text else piece.text,
        strength,
        own,
        tuple(candidates),
    )


def _remember(known: list[Origin], origin: Origin) -> int:
    """Add a place of a value to those known; how many more they are now.

    A short number stands in every price and every list of a page. Of a place that is known twice the last is replaced, so that such
    places do not push out the one answer that brought the value into being. Every value of every answer comes by here.
    """
    place, last = origin.place, -1
    for at in range(len(known) - 1, -1, -1):
        if known[at].place == place:
            if last >= 0:
                del known[last]
                known.append(origin)
                return 0
            last = at
    if len(known) < ORIGINS_MAX:
        known.append(origin)
        return 1
    half = ORIGINS_MAX // 2
    del known[next((at for at in range(half, len(known)) if known[at].echo), half)]
    known.append(origin)
    return 0


def _weight_of(exchange: Exchange) -> int:
    answered = len(exchange.response.body.data) if exchange.response else 0
    return _EXCHANGE_BYTES + len(exchange.request.body.data) + answered


def _in_query(found: origins.Found) -> bool:
    """Whether a value is a member of a link's query: who follows the link takes it, whatever it looks like."""
    return " query:" in found.sub


def _own_values(exchange: Exchange) -> dict[str, set[str]]:
    """The values of a request with their names; those of its path and query are called ``/``."""
    own: dict[str, set[str]] = {}
    for atom in atoms(exchange.request):
        for piece in pieces(atom.text):
            own.setdefault(piece.text, set()).add("/" if atom.part == TARGET else atom.name)
    return own


def _is_echo(found: origins.Found, own: dict[str, set[str]]) -> bool:
    """Whether a request held the value itself: a short one under the same name, or as what it asked for."""
    names = own.get(found.text)
    return bool(names) and (affinity.strength(found.text) == STRONG or "/" in names or found.name in names)


def _uses(
    session: _Session, atom: Atom, start_ns: int, path: str, mask: Mask | None
) -> Iterator[tuple[Piece, int, list[tuple[int, Origin]]]]:
    """The parts of an atom that earlier answers held, the largest first, none inside another."""
    taken: list[tuple[int, int]] = []
    for piece in pieces(atom.text):
        strength = affinity.strength(piece.text)
        known = session.known(piece.text, mask)
        if known is None or any(start < piece.end and piece.start < end for start, end in taken):
            continue
        names = session.sent.get(piece.text, ())
        if names and (strength == STRONG or atom.name in names):
            if not piece.sub:
                return
            continue
        if atom.where.startswith("cookie:") and any(_is_cookie(origin, atom.name) for origin in known):
            return  # the jar's
        candidates = [(score(atom, piece, origin, path), origin) for origin in known if origin.end_ns < start_ns]
        if strength == NEVER:
            candidates = [one for one in candidates if one[0] >= SAME - 8 and _in_query(one[1].found)]
        in_path = atom.codec == PATH
        if (
            strength == MEANT
            and not in_path
            and all(points < RELATED - 5 for points, _ in candidates)
            and " " in piece.text
        ):
            continue  # what is in a text may be tied, where the text is none
        if candidates:
            taken.append((piece.start, piece.end))
            yield piece, strength, candidates
            if not piece.sub:
                return


def _is_cookie(origin: Origin, name: str) -> bool:
    return origin.found.place == f"header:set-cookie[{name}]"


def score(atom: Atom, piece: Piece, origin: Origin, path: str) -> int:
    """What names and places say for an origin of a value."""
    found = origin.found
    source = next((part for part in reversed(origin.path.split("/")) if part and not part[-1].isdigit()), "")
    escape = piece.escape or (1 if atom.codec == PATH else 2 if atom.codec == FORM and atom.part == TARGET else 0)
    name = piece.name or atom.name
    if escape == 1:
        points = affinity.of_segment(
            name, found.name, found.around, source, in_url=" path[" in found.sub, made=origin.method == "POST"
        )
    else:
        points = affinity.of_name(name, found.name, found.around, source, made=origin.method == "POST")
    if (
        points > 0
        and found.text.isdigit()
        and found.path
        and found.path[-1] == found.name
        and affinity.is_count(found.name)
    ):
        points = 0
    if origin.path == path:
        points += 6
    if origin.echo:
        points -= 25
    return points - 4 * min(2, sum(not isinstance(step, str) for step in found.path))


def folded(place: str) -> str:
    """A place with its numbers as ``*``, so that elements of a list are one place."""
    if "[" not in place or place.startswith("path["):
        return place
    head, *rest = place.split("[")
    return head + "".join(
        "[*" + part[part.index("]") :] if "]" in part and part[: part.index("]")].isdigit() else "[" + part
        for part in rest
    )
