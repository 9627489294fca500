"""Rows of results: an observation and what its comparisons found, as columns for the store.

Three comparisons per exchange: x base/branch, a base/control, b branch/branch_control. Targets that answered byte for byte alike
(``same_as``) cost nothing. Values in rows are cut; whole excerpts are in ``samples``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from differ.compare import Context, Own, compare
from differ.difference import Difference
from echolane.ids import result_id
from echolane.observation import ANSWERED, BASE, BRANCH, BRANCH_CONTROL, CONTROL, FAILED, Observation, TargetInfo
from echolane.runspec import RunSpec
from echolane.settings import Differ

PAIRS = ((BASE, BRANCH), (BASE, CONTROL), (BRANCH, BRANCH_CONTROL))
VALUE_CUT = 2048
"""Characters of a value that a result row keeps: rows stay narrow, samples have 16 KiB."""
DIFFERENCES_MAX = 1000
"""Differences of one comparison that a row keeps, coarsest facets first; one answer with more is one change, told by these."""
COLUMNS = (
    *("run", "id", "version", "seq", "exchange", "service", "method", "target", "endpoint", "recorded_status"),
    *("verdict", "reason", "outcomes", "statuses", "durations_us", "fired_at"),
    *(
        "d_pair",
        "d_where",
        "d_kind",
        "d_facet",
        "d_klass",
        "d_flags",
        "d_count",
        "d_old",
        "d_new",
        "d_values",
        "d_signature",
    ),
    *("topic", "partition", "position"),
)
D_COLUMNS = tuple(name for name in COLUMNS if name.startswith("d_"))


class RowMaker:
    """Turns the observations of one run into rows."""

    def __init__(self, spec: RunSpec, settings: Differ) -> None:
        self._spec, self._settings = spec, settings
        self._own = [own_of(target) for target in spec.targets]

    def row(self, observation: Observation, topic: str, partition: int, position: int) -> dict[str, Any]:
        """One row; ``d_*`` are lists of equal length."""
        differences: list[tuple[int, Difference]] = []
        verdict, reason = self._verdict(observation, differences)
        shots = observation.shots
        row: dict[str, Any] = {
            "run": self._spec.run,
            "id": result_id(self._spec.run, observation.exchange),
            "version": observation.attempt,
            "seq": observation.seq,
            "exchange": observation.exchange,
            "service": self._spec.service,
            "method": observation.method,
            "target": observation.target,
            "endpoint": observation.endpoint,
            "recorded_status": observation.recorded_status,
            "verdict": verdict,
            "reason": reason,
            "outcomes": [f"{shot.outcome}:{shot.reason}" if shot.reason else shot.outcome for shot in shots],
            "statuses": [status_of(observation, index) for index in range(len(shots))],
            "durations_us": [min(shot.duration_ns // 1000, 0xFFFFFFFF) for shot in shots],
            "fired_at": observation.fired_at_ns,
            "topic": topic,
            "partition": partition,
            "position": position,
        }
        if not differences:
            row.update(EMPTY)
            return row
        columns = zip(*[cells(pair, difference) for pair, difference in differences], strict=True)
        row.update(zip(D_COLUMNS, map(list, columns), strict=True))
        return row

    def _verdict(self, observation: Observation, differences: list[tuple[int, Difference]]) -> tuple[str, str]:
        """The streaming class of an exchange and its reason; fills ``differences``."""
        if observation.skipped:
            return "skipped", observation.skipped
        if observation.not_compared:
            return "not_compared", observation.not_compared
        shots = observation.shots
        for pair, (left, right) in enumerate(PAIRS):
            if shots[left].outcome not in COMPARABLE or shots[right].outcome not in COMPARABLE:
                if pair == 0:
                    return "not_compared", "in-doubt"
                continue
            if alike(observation, left, right):
                continue
            found = compare(
                answer_of(observation, left), answer_of(observation, right), self._context(observation, left, right)
            )
            if found.uncomparable and pair == 0:
                return "uncomparable", found.uncomparable
            kept = sorted(found.differences, key=lambda d: d.facet)[:DIFFERENCES_MAX]
            differences += [(pair, difference) for difference in kept]
        return ("differs" if any(pair == 0 for pair, _ in differences) else "same"), ""

    def _context(self, observation: Observation, left: int, right: int) -> Context:
        shots = observation.shots
        return Context(
            method=observation.method,
            own=(self._own[left], self._own[right]),
            now_ns=(shots[left].sent_at_ns, shots[right].sent_at_ns),
            depth=self._settings.depth,
            nodes=self._settings.nodes,
            time_s=self._settings.time_ms / 1000,
        )


COMPARABLE = frozenset({ANSWERED, FAILED})
EMPTY: dict[str, list[Any]] = {name: [] for name in D_COLUMNS}


def own_of(target: TargetInfo) -> Own:
    """What a target may echo of itself."""
    parts = urlsplit(target.url)
    port = str(parts.port or 80)
    host = parts.hostname or ""
    names = {parts.netloc, f"{host}:{port}"}
    if host in {"127.0.0.1", "localhost", "::1"}:
        names |= {f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"}
    return Own(tuple(sorted((name.encode() for name in names), key=len, reverse=True)), port)


def alike(observation: Observation, left: int, right: int) -> bool:
    """Whether two shots came to the same, without looking at the answers."""
    one, two = observation.shots[left], observation.shots[right]
    if one.outcome != two.outcome:
        return False
    if one.outcome == FAILED:
        return one.reason == two.reason
    source = one.same_as if one.same_as >= 0 else left
    return source == (two.same_as if two.same_as >= 0 else right)


def answer_of(observation: Observation, index: int) -> Any:
    """A target's answer, or the reason why there is none."""
    return observation.answer_of(index) or observation.shots[index].reason or "failed"


def status_of(observation: Observation, index: int) -> int:
    """A target's status; 0 without an answer."""
    answer = observation.answer_of(index)
    return answer.status if answer else 0


def cells(pair: int, d: Difference) -> tuple[Any, ...]:
    """One difference in the order of D_COLUMNS."""
    return (pair, d.where, d.kind, d.facet, d.klass, d.flags, d.count, cut(d.old), cut(d.new), d.values, d.signature)


def cut(text: str | None) -> str:
    """A value for a row; missing is empty, which JSON text never is."""
    return "" if text is None else text if len(text) <= VALUE_CUT else text[: VALUE_CUT - 1] + "…"


def columns_of(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Rows as columns."""
    return {name: [row[name] for row in rows] for name in COLUMNS}
