"""Carry on at each target what it gave itself: learn from its answers the values that later requests take, and put them in.

What ties request to answer was found when the run was planned (:mod:`replayer.linking`). Here a target's answer is read at the places
the plan names, and a request's values are replaced by what this target answered there. Cookies go by :mod:`replayer.rewrite`. Where base
and its control are one process, the control takes base's value for what only base was asked (writes are fired once).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from msgspec.structs import replace as with_fields

from echolane.authorities import host_in
from echolane.exchange import Given, Request, Response, Taken
from echolane.observation import Shot
from replayer.answer import headers_of
from replayer.fitting import fits
from replayer.flight import PLACES, Flight, FlightShot
from replayer.hiding import Hiding, is_secret
from replayer.idempotency import Keys
from replayer.keeper import Keeper
from replayer.keeping import Cookie, Gave, Kept
from replayer.observing import response_of
from replayer.origins import Reader
from replayer.pieces import put
from replayer.places import TEXT_MAX, Atom, atoms, edited
from replayer.rewrite import Jar
from replayer.targets import Target

VALUES_MAX = 262_144
"""Values kept of one target, the least recently learned given up first: later requests are then sent as recorded."""
BYTES_MAX = 32 * 1024 * 1024
"""And what they may weigh."""
_SHOWN_MAX = 200
_ERROR = 400


class Learned:
    """What one target answered where the recording had a value that is needed again."""

    def __init__(self) -> None:
        self._values: OrderedDict[int, str] = OrderedDict()
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<Learned {len(self._values)} values>"

    def __bool__(self) -> bool:
        return bool(self._values)

    def get(self, number: int) -> str | None:
        """The value of this number, None when the target gave none."""
        return self._values.get(number)

    def learn(
        self, gives: Sequence[Given], answer: Response, recorded: int = 0, masked: Callable[[str], bool] | None = None
    ) -> list[tuple[int, str]]:
        """Take in an answer of the target; ``recorded`` is the recorded answer's status. What was learned, by number.

        Where one of them is an error and the other is none, the answer is about something else, whatever stands in it. Of a stored
        answer, ``masked`` says which values are masks: what they stand for is not known here any more.
        """
        if recorded and (recorded >= _ERROR) != (answer.status >= _ERROR):
            return []
        reader = Reader(answer)
        found: list[tuple[int, str]] = []
        for given in gives:
            value = reader.value(given)
            if value and len(value) <= TEXT_MAX and (masked is None or not masked(value)):
                found.append((given.id, value))
        self.take(found)
        return found

    def take(self, found: Sequence[tuple[int, str]]) -> None:
        """Take in values that were learned now or before."""
        for number, value in found:
            old = self._values.pop(number, None)
            self._values[number] = value
            self._bytes += len(value) - len(old or "")
        while self._values and (len(self._values) > VALUES_MAX or self._bytes > BYTES_MAX):
            self._bytes -= len(self._values.popitem(last=False)[1])


class Carried(NamedTuple):
    """A request for one target."""

    request: Request
    notes: list[str]
    """What was rewritten and why, in words."""
    values: Sequence[bytes]
    """Secrets that it holds: to be masked where an answer repeats them."""


class _Change(NamedTuple):
    """One value that was put in."""

    where: str
    why: str
    secret: bytes
    """The value, where a secret stood: then neither it nor the recorded one is shown."""


class _Told(NamedTuple):
    """What is said of a request."""

    recorded: Request
    rewritten: Request
    """The recorded one with what is no secret put in."""
    hidden: Request
    """That with masks on; the same where there is nothing to mask."""


def carried(
    masked: Request,
    opened: Request,
    takes: Sequence[Taken],
    given: Callable[[int], str | None],
    hiding: Hiding,
) -> Carried:
    """The request with this target's values; ``masked`` is as recorded, ``opened`` with its seal opened. Pure."""
    places = {atom.where: atom for atom in atoms(masked)}
    sent = places if opened is masked else {atom.where: atom for atom in atoms(opened)}
    texts: dict[str, str] = {}
    changes: list[_Change] = []
    for take in sorted(takes, key=lambda one: -one.start):
        mask, atom = places.get(take.where), sent.get(take.where)
        if mask is None or atom is None:
            continue
        text = texts.get(take.where, atom.text)
        span = _span(take, mask.text, text, secret=mask.text != atom.text)
        if span is None:
            continue
        chosen = _chosen(take, _unescaped(text[span[0] : span[1]], take.escape), atom, given)
        if chosen is None:
            continue
        value, why = chosen
        texts[take.where] = put(text, *span, value, take.escape)
        recorded = _unescaped(mask.text[take.start : take.end], take.escape)
        secret = mask.text != atom.text or hiding.is_mask(recorded)
        changes.append(_Change(take.where, why, value.encode() if secret else b""))
    if not texts:
        return Carried(opened, [], [])
    request = edited(opened, [(sent[where], text) for where, text in texts.items()])
    secrets = {change.where for change in changes if change.secret}
    if opened is masked and not secrets:
        hidden, known = hiding.hide(request)
        return Carried(request, _notes(changes, secrets, places, texts, _Told(masked, request, hidden)), known)
    told = edited(masked, [(places[where], text) for where, text in texts.items() if where not in secrets])
    hidden, _ = hiding.hide(told)
    values = dict.fromkeys((*hiding.hide(request)[1], *(change.secret for change in changes if change.secret)))
    return Carried(request, _notes(changes, secrets, places, texts, _Told(masked, told, hidden)), list(values))


def _unescaped(text: str, escape: int) -> str:
    return unquote(text) if escape == 1 else unquote_plus(text) if escape else text


def _span(take: Taken, recorded: str, text: str, *, secret: bool) -> tuple[int, int] | None:
    """Which part of the text to be sent the take names; in an opened text all but what is around it was masked."""
    if not secret:
        return (take.start, take.end) if take.end <= len(text) else None
    before, behind = recorded[: take.start], recorded[take.end :]
    if len(text) > len(before) + len(behind) and text.startswith(before) and text.endswith(behind):
        return len(before), len(text) - len(behind)
    return None


def _chosen(take: Taken, old: str, atom: Atom, given: Callable[[int], str | None]) -> tuple[str, str] | None:
    """The target's value and why it is the one; None where the recorded one stays."""

    def fitting(number: int) -> str | None:
        value = given(number)
        return value if value is not None and fits(value, old, atom, take.escape) else None

    known = [(value, why) for value, why in zip(map(fitting, take.given), take.whys, strict=True) if value is not None]
    if not known:
        return None
    equal = [(fitting(number), why) for number, why in zip(take.given[: take.tied], take.whys, strict=False)]
    leading = [(value, why) for value, why in equal if value is not None] or known[:1]
    changed = [(value, why) for value, why in leading if value != old]
    if not changed or (len(changed) < len(leading) and take.where.startswith("body")):
        return (
            None  # nothing says which of equally likely ones it was, and a body has many values that are what they are
        )
    return changed[0]


def _notes(
    changes: list[_Change], secrets: set[str], places: dict[str, Atom], texts: dict[str, str], told: _Told
) -> list[str]:
    """Each change in words; ``places`` and ``texts`` are the recorded atoms and their new texts."""
    before, hidden = told.recorded, told.hidden
    shown = texts if hidden is told.rewritten else {atom.where: atom.text for atom in atoms(hidden)}
    path = before.target.partition("?")[0][:_SHOWN_MAX], hidden.target.partition("?")[0][:_SHOWN_MAX]
    notes: list[str] = []
    for change in changes:
        where = change.where
        kind, _, label = where.partition(":")
        if kind.startswith("path"):
            bare = any(place.startswith("path[") for place in secrets)
            notes.append(f"path: {change.why}" if bare else f'"{path[0]}" -> "{path[1]}": {change.why}')
            continue
        place = f"{kind} {label}".strip()
        atom = places[where]
        text = shown.get(where)
        if text is None or where in secrets or kind == "cookie" or text != texts[where] or is_secret(atom.name):
            notes.append(f"{place}: {change.why}")
        else:
            notes.append(f'{place} "{atom.text[:_SHOWN_MAX]}" -> "{text[:_SHOWN_MAX]}": {change.why}')
    return list(dict.fromkeys(notes))


class Carriers:
    """What each target of a run gave so far."""

    def __init__(
        self,
        targets: Sequence[Target | None],
        hiding: Hiding,
        keys: Keys | None = None,
        keeper: Keeper | None = None,
        ranks: int = 0,
    ) -> None:
        self._hiding, self._keys, self._keeper = hiding, keys, keeper
        self._ranks = ranks
        """Ranks of one pass over the recording, where it is fired over and over; 0 where it is fired once."""
        self._masked = [target is not None and not target.credentials_recorded for target in targets]
        """Who is sent masks: what follows from them is told of."""
        self._names = [target.names if target is not None else frozenset[str]() for target in targets]
        self._jars = [Jar() for _ in range(PLACES)]
        self._learned = [Learned() for _ in range(PLACES)]
        self._twins = [
            index - 1 if index % 2 and target is not None and not target.own_instance else -1
            for index, target in enumerate(targets)
        ]
        """Of a control that is the same process as the version it controls, that version."""
        self.any = keeper is not None or any(self._masked)
        """Whether any target gave anything; until then nothing needs to be looked up for a safe request."""

    def __repr__(self) -> str:
        return f"<Carriers {self._learned}>"

    def learn(self, flight: Flight) -> None:
        """Every target has answered."""
        item = flight.item
        recorded = item.exchange.response
        if not item.gives and (recorded is None or not recorded.headers):
            return
        for shot in flight.shots:
            if shot is None or shot.answer is None:
                continue
            cookies: list[Cookie] = []
            values: list[tuple[int, str]] = []
            if recorded is not None and recorded.headers and b"et-cookie:" in shot.answer.head.lower():
                self.any = True
                answered = headers_of(shot.answer.head)[2]
                hosts = self._names[shot.index] | {host_in(item.exchange.request.authority.rpartition("@")[2]).lower()}
                cookies = self._jars[shot.index].learn(item.exchange.session, recorded.headers, answered, hosts)
            if item.gives:
                self.any = True
                values = self._learned[shot.index].learn(
                    item.gives, response_of(shot.answer), recorded.status if recorded else 0
                )
            if cookies or values:
                shot.gave = Gave(cookies, values)

    def learn_again(self, index: int, gives: Sequence[Given], answer: Response, recorded: int) -> None:
        """A target has answered before: to an earlier attempt, or to another worker. The answer is masked, as it was stored."""
        self.any = True
        self._learned[index].learn(gives, answer, recorded, self._hiding.is_mask)

    def recall(self, kept: Kept, shots: Sequence[Shot]) -> None:
        """What an earlier observation kept under its seal."""
        for index, shot in enumerate(shots):
            gave = kept.of.get(shot.same_as if shot.same_as >= 0 else index)
            if gave is not None:
                self.any = True
                self._jars[index].take(kept.session, gave.cookies)
                self._learned[index].take(gave.values)

    def load(self, shot: FlightShot, flight: Flight) -> None:
        """Put into a shot what its target gave."""
        index, item = shot.index, flight.item
        twin = self._twins[index]
        session = item.exchange.session
        jars = [self._jars[at] for at in (twin, index) if at >= 0 and session in self._jars[at]]
        keys, keeper = None if flight.safe else self._keys, self._keeper
        if not jars and not item.takes and keys is None and keeper is None and not self._masked[index]:
            return
        turn = item.seq // self._ranks if self._ranks else 0
        own, other = self._learned[index], self._learned[twin] if twin >= 0 else None

        def given(number: int) -> str | None:
            value = own.get(number)
            return value if value is not None or other is None else other.get(number)

        def carry(masked: Request, opened: Request) -> Carried:
            done = carried(masked, opened, item.takes, given, self._hiding) if item.takes else Carried(opened, [], [])
            done = _with_cookies(done, masked, session, jars)
            if keeper is not None:
                request, notes, secrets = keeper.wear(shot, opened, done.request)
                others = [note for note in done.notes if not notes or not note.startswith(notes[0].partition(":")[0])]
                done = Carried(request, [*others, *notes], [*done.values, *secrets])
            return done if keys is None else _with_keys(done, masked, keys, shot, turn)

        shot.wire, shot.notes = flight.prepared.carried(index, carry)


def _with_keys(done: Carried, masked: Request, keys: Keys, shot: FlightShot, turn: int) -> Carried:
    """Idempotency keys of this target's own; what it answers of them is read as if it were the recorded ones."""
    headers, replaced = keys.rewritten(done.request.headers, shot.index, turn)
    if not replaced:
        return done
    recorded = dict(zip((value for _, value in headers), (value for _, value in masked.headers), strict=False))
    shot.echoes = [(ours, recorded.get(ours, old)) for ours, old in replaced.items()]
    notes = [
        f"header {name.decode('latin-1').lower()}: key of this run and target" for name, v in headers if v in replaced
    ]
    return Carried(with_fields(done.request, headers=headers), [*done.notes, *dict.fromkeys(notes)], done.values)


def _with_cookies(done: Carried, masked: Request, session: str, jars: Sequence[Jar]) -> Carried:
    """Cookies come last: a jar knows them by their masks, whatever else stands in the header."""
    request, notes, values = done
    for jar in jars:
        headers, named, secrets = jar.rewrite(session, masked.headers, request.headers)
        if named:
            request = with_fields(request, headers=headers)
            notes, values = [*notes, *(n for n in named if n not in notes)], [*values, *secrets]
    return Carried(request, notes, values)
