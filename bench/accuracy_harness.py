"""Simulated answers through the product's own path, offline: rows, gathering, judgement. The one module of this bench that knows the differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from bench.accuracy_wire import Answer
from differ.difference import VALUE
from differ.evidence import NOISE, REGRESSION, UNDECIDED, Observed
from differ.folding import Finding
from differ.gathering import gather
from differ.judging import Judgement, Looked, judge
from differ.orders import LOOKED_MAX, open_orders, spots_both_ways
from differ.rows import RowMaker, owns_of
from echolane.exchange import Body, Response
from echolane.observation import ANSWERED, BRANCH_CONTROL, CONTROL, FAILED, Observation, Shot, TargetInfo
from echolane.recordings import Recording
from echolane.runspec import RunSpec
from echolane.settings import Differ

SERVICE = "bench"
SERIOUS = frozenset(("status", "failure", "missing", "type"))
"""Kinds that make a run inconclusive when they are undecided."""


@dataclass(frozen=True, slots=True)
class Four:
    """The answers to one request, as they enter the differ."""

    endpoint: str
    method: str
    target: str
    answers: Sequence[Answer]
    sent_ns: Sequence[int]


@dataclass(frozen=True, slots=True)
class Shown:
    """One finding."""

    verdict: str
    where: str
    kind: str
    basis: str
    places: tuple[str, ...]
    endpoints: tuple[str, ...]
    why: str = ""
    differing: int = 0


@dataclass(slots=True)
class Judged:
    """What the differ makes of the exchanges."""

    findings: list[Shown] = field(default_factory=list[Shown])
    p_values: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    """By endpoint and place that differs anywhere: the p-value of the test of its values."""
    uncomparable: int = 0

    def of(self, verdict: str) -> list[Shown]:
        """Findings of one verdict."""
        return [finding for finding in self.findings if finding.verdict == verdict]


def judged(fours: Iterable[Four], ports: Sequence[int]) -> Judged:
    """Findings of a run with these exchanges at targets on these ports."""
    spec = RunSpec(
        "run",
        SERVICE,
        Recording("r", SERVICE, 0, "bench", []),
        [TargetInfo(f"http://127.0.0.1:{port}") for port in ports],
    )
    maker = RowMaker(spec, Differ())
    observed: dict[str, Observed] = {}
    every: dict[str, list[Observation]] = {}
    for number, four in enumerate(fours):
        seen = observed.get(four.endpoint, Observed())
        observed[four.endpoint] = Observed(seen.fired + 1, seen.control + 1, seen.branch_control + 1)
        shots = list(_shots(four))
        observation = Observation(
            f"{number:08d}", number, 1, four.endpoint, four.method, four.target, 0, four.sent_ns[0], shots
        )
        every.setdefault(four.endpoint, []).append(observation)
        maker.add(observation, 0, number)
    columns = maker.take()
    differing = list(rows(columns))
    gathering = gather(differing)
    found = Judged(uncomparable=sum(verdict == "uncomparable" for verdict in columns["verdict"]))
    judgement = judge(SERVICE, gathering, observed)
    if asked := open_orders(judgement, gathering):
        owns = owns_of(spec.targets)
        looked = {spot: _looked(spot, every, differing) for spot in asked}
        judgement = judge(SERVICE, gathering, observed, looked=Looked(both_ways=spots_both_ways(looked, owns)))
    for verdict, findings in (
        (REGRESSION, judgement.regressions),
        (UNDECIDED, judgement.undecided),
        (NOISE, judgement.noise),
    ):
        found.findings += [_shown(verdict, finding, judgement) for finding in findings]
    for name, spot in gathering.spots.items():
        found.p_values[name] = spot.tally(VALUE).p_value
    return found


def _looked(
    spot: tuple[str, str], every: Mapping[str, Sequence[Observation]], differing: Iterable[Mapping[str, Any]]
) -> Iterator[Observation]:
    """The exchanges of an endpoint that a close would look at again: those that differ at a place, and others."""
    endpoint, where = spot
    shows = {row["exchange"] for row in differing if row["endpoint"] == endpoint and where in row["d_where"]}
    for wanted in (True, False):
        yield from islice((one for one in every[endpoint] if (one.exchange in shows) is wanted), LOOKED_MAX)


def _shown(verdict: str, finding: Finding, judgement: Judgement) -> Shown:
    lead = judgement.weighed[finding.lead]
    places = tuple(sorted({finding.where, *finding.places}))
    return Shown(
        verdict, finding.where, finding.kind, lead.basis, places, tuple(finding.endpoints), lead.why, finding.differing
    )


def _shots(four: Four) -> Iterator[Shot]:
    for index, answer in enumerate(four.answers):
        sent = four.sent_ns[index]
        if answer.failed:
            yield Shot(FAILED, answer.failed, sent_at_ns=sent)
            continue
        same = next((n for n in range(index) if four.answers[n] == answer), -1)
        yield Shot(ANSWERED, "", response(answer) if same < 0 else None, same, sent)


def response(answer: Answer) -> Response:
    """An answer as the replayer observes it."""
    body = Body(answer.body, len(answer.body))
    return Response(answer.status, "1.1", list(answer.headers), body, incomplete=answer.incomplete)


def rows(columns: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Rows in which something differs, as the store gives them at close."""
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        if row["d_pair"]:
            outcomes = row["outcomes"]
            row["has_control"] = outcomes[CONTROL].startswith((ANSWERED, FAILED))
            row["has_branch_control"] = outcomes[BRANCH_CONTROL].startswith((ANSWERED, FAILED))
            yield row


def verdict(found: Judged) -> str:
    """The word for a whole run, as far as its findings decide it."""
    if found.of(REGRESSION):
        return "fail"
    return "inconclusive" if any(one.kind in SERIOUS for one in found.of(UNDECIDED)) else "pass"
