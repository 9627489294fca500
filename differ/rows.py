"""Rows of results: an observation and what its comparisons found, as columns for the store. Pure.

Three comparisons per exchange: x base/branch, a base/control, b branch/branch_control. Targets that answered byte for byte alike
(``same_as``) cost nothing. A comparison that could not be made, while another could, leaves one entry whose place is empty and
whose kind says why, so that silence is never taken for agreement. Values in rows are cut; whole excerpts are in
:mod:`differ.samples`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from differ.compare import compare
from differ.context import Context, Reading
from differ.descriptors import Registry
from differ.difference import PRESENCE, Difference
from differ.echoes import Own
from differ.rules import PLUGIN, Ask, Lens, Rulebook, nobody
from differ.samples import Samples
from differ.sequential import Live
from echolane.authorities import OWN, RECORDED
from echolane.exchange import Response
from echolane.observation import ANSWERED, BASE, BRANCH, BRANCH_CONTROL, CONTROL, FAILED, Observation, Shot, TargetInfo
from echolane.runspec import RunSpec
from echolane.settings import Differ

PAIRS = ((BASE, BRANCH), (BASE, CONTROL), (BRANCH, BRANCH_CONTROL))
VALUE_CUT = 2048
"""Characters of a value that a result row keeps: rows stay narrow, samples have 16 KiB."""
DIFFERENCES_MAX = 1000
"""Differences of one comparison that a row keeps, coarsest facets first; one answer with more is one change, told by these."""
OWNS_MAX = 1024
"""Targets by recorded names whose patterns are kept: a service has few names, one for each of many tenants at most."""
DURATION_MAX = 0xFFFF_FFFF
CONSTANT = ("run", "service", "topic")
VARYING = (
    *("id", "version", "seq", "exchange", "method", "target", "endpoint", "recorded_status", "verdict", "reason"),
    *("outcomes", "statuses", "durations_us", "fired_at", "lateness_us", "session_wait_us", "partition", "position"),
)
DIFFERING = (
    *("d_pair", "d_where", "d_kind", "d_facet", "d_klass", "d_flags"),
    *("d_count", "d_old", "d_new", "d_values", "d_signature"),
)
RULED = (*DIFFERING, "d_rule")
"""The same in a run with rules."""
COMPARABLE = frozenset({ANSWERED, FAILED})
_NOTHING: list[Any] = []
"""Shared by all rows without differences: the store reads columns and never changes them."""


class Judged(NamedTuple):
    """The streaming class of an exchange, its reason, and each difference with the pair of answers it is in."""

    verdict: str
    reason: str
    differences: list[tuple[int, Difference]]


_SAME = Judged("same", "", [])
"""The commonest case, told by nothing but its identity."""


class RowMaker:
    """Turns the observations of one run into columns: :meth:`add` one by one, :meth:`take` a batch."""

    def __init__(self, spec: RunSpec, settings: Differ, ask: Ask = nobody, registry: Registry | None = None) -> None:
        self._registry = registry
        self._constant = {"run": spec.run, "service": spec.service, "topic": f"observations.{spec.run}"}
        self._settings = settings
        self._identity = result_hash(spec.run)
        self._own = owns_of(spec.targets)
        self._varying: list[tuple[Any, ...]] = []
        self._rules = Rulebook(spec.rules, ask) if spec.rules else None
        self._names = DIFFERING if self._rules is None else RULED
        self._differing: list[list[list[Any]]] = [[] for _ in self._names]
        self.samples = Samples(spec.run)
        self.live = Live()
        """What is sure so far."""
        self.bytes = 0
        """About how much the differences of this batch weigh."""

    def __len__(self) -> int:
        """Rows of this batch."""
        return len(self._varying)

    def add(self, observation: Observation, partition: int, position: int) -> None:
        """One row more."""
        alike = all_alike(observation.shots) and not observation.not_compared
        self.put(observation, partition, position, _SAME if alike else self.judged(observation))

    def judged(self, observation: Observation) -> Judged:
        """What the comparisons of an exchange found. Nothing is kept yet, so this may be interrupted anywhere."""
        differences: list[tuple[int, Difference]] = []
        return Judged(*self._verdict(observation, differences), differences)

    def put(self, observation: Observation, partition: int, position: int, judged: Judged) -> None:
        """One row more, of an exchange that is judged."""
        verdict, reason, differences = judged
        shots = observation.shots
        alike = judged is _SAME
        first = shots[BASE].answer if alike else None
        identity = self._identity.copy()
        identity.update(sized(observation.exchange))
        self._varying.append(
            (
                identity.hexdigest(),
                observation.attempt,
                observation.seq,
                observation.exchange,
                observation.method,
                observation.target,
                observation.endpoint,
                observation.recorded_status,
                verdict,
                reason,
                _ALL_ANSWERED if alike else [f"{s.outcome}:{s.reason}" if s.reason else s.outcome for s in shots],
                [first.status] * 4 if first is not None else statuses(observation),
                [us if (us := shot.duration_ns // 1000) < DURATION_MAX else DURATION_MAX for shot in shots],
                observation.fired_at_ns,
                observation.lateness_ns // 1000,
                observation.session_wait_ns // 1000,
                partition,
                position,
            )
        )
        if not differences:
            for column in self._differing:
                column.append(_NOTHING)
            return
        self.samples.take(observation, differences)
        if all(shot.outcome in COMPARABLE for shot in shots):
            self.live.add(observation.endpoint, differences)
        cells = [_cells(pair, difference) for pair, difference in differences]
        self.bytes += sum(200 + len(row[7]) + len(row[8]) for row in cells)
        for column, values in zip(self._differing, zip(*cells, strict=True), strict=False):
            column.append(list(values))

    def take(self) -> dict[str, list[Any]]:
        """The batch as columns; the maker begins a new one."""
        count = len(self._varying)
        columns: dict[str, list[Any]] = {name: [value] * count for name, value in self._constant.items()}
        if count:
            columns.update(zip(VARYING, map(list, zip(*self._varying, strict=True)), strict=True))
        else:
            columns.update({name: [] for name in VARYING})
        columns.update(zip(self._names, self._differing, strict=True))
        self._varying, self._differing, self.bytes = [], [[] for _ in self._names], 0
        return columns

    def _verdict(self, observation: Observation, differences: list[tuple[int, Difference]]) -> tuple[str, str]:
        """The streaming class of an exchange and its reason; fills ``differences``."""
        if observation.skipped:
            return "skipped", observation.skipped
        if observation.not_compared:
            return "not_compared", observation.not_compared
        shots, reason = observation.shots, ""
        read: dict[tuple[int, int], Reading] = {}
        owns = owns_in(self._own, observation)
        for pair, (left, right) in enumerate(PAIRS):
            one, two = shots[left], shots[right]
            if one.outcome not in COMPARABLE or two.outcome not in COMPARABLE:
                if pair == 0:
                    return "not_compared", "in-doubt"
                continue
            if two.same_as == left or (two.same_as >= 0 and two.same_as == one.same_as):
                continue
            if one.outcome == FAILED and two.outcome == FAILED and one.reason == two.reason:
                continue
            found = compare(
                _answer(observation, left),
                _answer(observation, right),
                self._context(observation, left, right, owns, read, self._lens(observation) if pair == 0 else None),
            )
            if found.uncomparable == PLUGIN:  # all was compared, and a rule could not be asked about it
                reason = PLUGIN
            elif found.uncomparable:
                reason = found.uncomparable if pair == 0 else reason
                differences.append((pair, Difference("", found.uncomparable, PRESENCE)))
            kept = found.differences
            if len(kept) > DIFFERENCES_MAX:
                kept = sorted(kept, key=lambda d: d.facet)[:DIFFERENCES_MAX]
            differences += [(pair, difference) for difference in kept]
        differs = any(pair == 0 and difference.where for pair, difference in differences)
        return ("differs" if differs else "uncomparable" if reason else "same"), reason

    def _lens(self, observation: Observation) -> Lens | None:
        """The rules in scope, which are about base against branch alone."""
        if self._rules is None:
            return None
        base = observation.answer_of(BASE)
        return self._rules.lens(observation.endpoint, 0 if base is None else base.status)

    def _context(
        self,
        observation: Observation,
        left: int,
        right: int,
        owns: Sequence[Own],
        read: dict[tuple[int, int], Reading],
        lens: Lens | None,
    ) -> Context:
        shots = observation.shots
        return Context(
            method=observation.method,
            path=observation.target,
            registry=self._registry,
            own=(owns[left], owns[right]),
            now_ns=(shots[left].sent_at_ns, shots[right].sent_at_ns),
            depth=self._settings.depth,
            nodes=self._settings.nodes,
            time_s=self._settings.time_ms / 1000,
            read=read,
            lens=lens,
        )


def all_alike(shots: Sequence[Shot]) -> bool:
    """The commonest case: four times the same bytes."""
    return len(shots) == 4 and shots[CONTROL].same_as == shots[BRANCH].same_as == shots[BRANCH_CONTROL].same_as == BASE


_ALL_ANSWERED = [ANSWERED] * 4


def result_hash(run: str) -> blake2b:
    """The beginning of :func:`echolane.ids.result_id` that all results of a run share, hashed once."""
    found = blake2b(digest_size=16)
    found.update(sized("result") + sized(run))
    return found


def sized(text: str) -> bytes:
    """A text with its length before it, as identities are made of them."""
    data = text.encode("utf-8", "surrogatepass")
    return len(data).to_bytes(4, "big") + data


def owns_of(targets: Sequence[TargetInfo]) -> list[Own]:
    """What each target of a run may echo of itself: its own address, and the names that any of them is sent."""
    sent = tuple(sorted({t.host.encode() for t in targets if t.host not in {OWN, RECORDED}}, key=len, reverse=True))
    return [_own_of(target, sent) for target in targets]


def owns_in(owns: Sequence[Own], observation: Observation) -> Sequence[Own]:
    """The same, with the recorded name of an exchange by which some of them were called and others were not."""
    name = observation.authority.encode()
    return [_hearing(own, name) for own in owns] if name else owns


@lru_cache(OWNS_MAX)
def _hearing(own: Own, name: bytes) -> Own:
    return Own(own.names, own.port, sent=tuple(sorted({*own.sent, name}, key=len, reverse=True)))


def _own_of(target: TargetInfo, sent: tuple[bytes, ...]) -> Own:
    parts = urlsplit(target.url)
    port = str(parts.port or (443 if parts.scheme == "https" else 80))
    host = parts.hostname or ""
    names = {parts.netloc, f"{host}:{port}"}
    if host in {"127.0.0.1", "localhost", "::1"}:
        names |= {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0")}  # noqa: S104 - what answers say
    return Own(tuple(sorted((name.encode() for name in names), key=len, reverse=True)), port, sent=sent)


def statuses(observation: Observation) -> list[int]:
    """The status of each target; 0 without an answer."""
    shots, found = observation.shots, list[int]()
    for shot in shots:
        source = shot.same_as
        if source >= 0:
            found.append(found[source])
        else:
            found.append(0 if shot.answer is None else shot.answer.status)
    return found


def _answer(observation: Observation, index: int) -> Response | str:
    """A target's answer, or the reason why there is none."""
    return observation.answer_of(index) or observation.shots[index].reason or "failed"


def _cells(pair: int, d: Difference) -> tuple[Any, ...]:
    """One difference in the order of RULED."""
    told = (d.where, d.kind, d.facet, d.klass, d.flags, d.count, cut(d.old), cut(d.new), d.values, d.signature)
    return (pair, *told, d.rule)


def cut(text: str | None) -> str:
    """A value for a row; missing is empty, which JSON text never is."""
    return "" if text is None else text if len(text) <= VALUE_CUT else text[: VALUE_CUT - 1] + "…"
