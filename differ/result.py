"""The ■ result of a run (design §7), and the lines of ``show --exchanges``. Every number that anything prints comes from here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from differ.difference import BROKEN
from differ.evidence import NOISE, REGRESSION, TESTED, UNDECIDED, Observed
from differ.folding import Finding
from differ.gathering import A, B, Key, Row, key_of, read
from differ.judging import Judgement, difference_verdict, exchange_verdict
from differ.paths import leaf_of
from differ.reach import reach_json
from differ.relating import related
from differ.ruled import verdict_of
from differ.rules import RULED
from differ.successors import RENAMED
from differ.verdict import SEVERITIES, Facts, decide, severity
from echolane.errors import HomeError
from echolane.observation import TARGETS
from echolane.runspec import RunSpec
from echolane.store import Store

PLACES_SHOWN = 50
ENDPOINTS_SHOWN = 50
NEW = ("branch", "branch_control")
"""The targets that have a renamed field under its new name."""
PLACES_ID = "places"
"""The findings' row that holds the verdict of every place, for the lines of exchanges."""
Sample = dict[str, Any]
Wanted = tuple[str, str, str, str]
"""Exchange, endpoint, where and kind of a sample."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a result tells besides its findings."""

    ledger: dict[str, Any]
    state: str
    """finished, interrupted, unavailable or refused."""
    reason: str
    fidelity: float | None
    unauthorised: float
    unfaithful: str
    """The endpoint at which base answers unlike the recording most often; empty when none does."""
    finished_at_ns: int
    fired_per_s: float


def result_json(
    spec: RunSpec,
    judgement: Judgement,
    observed: Mapping[str, Observed],
    samples: Mapping[Wanted, Sample],
    told: Told,
) -> dict[str, Any]:
    """The whole result."""
    groups, noise, undecided = (
        [finding_json(finding, verdict, judgement, observed, samples) for finding in findings]
        for verdict, findings in (
            (REGRESSION, judgement.regressions),
            (NOISE, judgement.noise),
            (UNDECIDED, judgement.undecided),
        )
    )
    if judgement.overflow:
        undecided.append(overflow_json(spec.service, judgement.overflow))
    verdict, code, reason = decide(
        Facts(
            state=told.state,
            reason=told.reason,
            ledger=told.ledger,
            regressions=groups,
            undecided=undecided,
            fidelity=told.fidelity,
            unauthorised=told.unauthorised,
            unfaithful=told.unfaithful,
            uncontrolled=judgement.uncontrolled,
            lost=f"{spec.lost.sentence(spec.service)}; {spec.lost.advice()}" if spec.lost.frames else "",
            endpoints=len({judgement.places[n].endpoint for f in judgement.regressions for n in f.members}),
        )
    )
    return {
        "schema": "echolane/run/1",
        "run": spec.run,
        "service": spec.service,
        "verdict": verdict,
        "reason_code": code,
        "reason": reason,
        "targets": {name: {"url": t.url, "lane": t.lane} for name, t in zip(TARGETS, spec.targets, strict=True)},
        "fidelity": told.fidelity,
        "ledger": told.ledger,
        **({"lost": spec.lost.result()} if spec.lost.frames else {}),
        "groups": groups,
        "noise": noise,
        "expected": [],
        "undecided": undecided,
        "started_at": iso(spec.started_at_ns),
        "finished_at": iso(told.finished_at_ns),
        "rates": {"fired_per_s": round(told.fired_per_s, 1)},
    }


def finding_json(
    finding: Finding,
    verdict: str,
    judgement: Judgement,
    observed: Mapping[str, Observed],
    samples: Mapping[Wanted, Sample],
) -> dict[str, Any]:
    """One finding as the result shows it."""
    weighed = judgement.weighed[finding.lead]
    seen = [observed.get(name, Observed()) for name in finding.endpoints]
    a, b = controls_differing(finding, judgement)
    signatures = sorted({text for number in finding.members for text in judgement.places[number].signatures})
    return {
        "id": finding.id,
        "endpoint": finding.endpoints[0] if len(finding.endpoints) == 1 else "*",
        "endpoints": len(finding.endpoints),
        "endpoint_names": finding.endpoints[:ENDPOINTS_SHOWN],
        "where": finding.where,
        "kind": finding.kind,
        "verdict": verdict,
        "basis": weighed.basis,
        "severity": worst(finding, judgement, signatures),
        "differing": finding.differing,
        "observed": sum(o.fired for o in seen),
        **reach_json(finding.endpoints, observed),
        "control_differing": a,
        "control_observed": sum(o.control for o in seen),
        "branch_control_differing": b,
        "branch_control_observed": sum(o.branch_control for o in seen),
        "p_value": weighed.p_value if weighed.basis == TESTED else None,
        "q_value": weighed.q_value if weighed.basis == TESTED else None,
        "places": finding.places[:PLACES_SHOWN],
        "places_count": len(finding.places),
        "rule": None,
        "triage": None,
        "profile": weighed.by_profile,
        **renamed_json(finding, judgement),
        "explanation": renaming(finding, judgement)
        or weighed.why
        or pointing(signatures)
        or answering(finding, judgement),
        "missing_samples": weighed.missing_samples,
        "greedy": max(judgement.places[number].greedy for number in finding.members),
        "samples": samples_of(finding, judgement, samples),
    }


def worst(finding: Finding, judgement: Judgement, signatures: Iterable[str] = ()) -> str:
    """The gravest severity of what a finding covers: a key that is gone breaks a consumer, whatever it is shown with."""
    members = [judgement.places[number] for number in finding.members]
    found = {severity(finding.where, finding.kind, signatures), *(severity(p.where, p.kind) for p in members)}
    return min(found, key=SEVERITIES.index)


def pointing(signatures: Iterable[str]) -> str:
    """What is wrong with an id that points elsewhere; empty where none does."""
    for signature in signatures:
        one, _, other = signature.partition(f":{BROKEN}")[2].partition("~")
        if one:
            return f"an id at {one} no longer goes with the one at {other}"
    return ""


def answering(finding: Finding, judgement: Judgement) -> str:
    """Of what media type the answers are that changed as a whole; empty where they do not say, or not all alike."""
    forms = {judgement.places[number].form for number in finding.members}
    return f"answers of the type {form}" if len(forms) == 1 and (form := min(forms)) else ""


def controls_differing(finding: Finding, judgement: Judgement) -> tuple[int, int]:
    """In how many exchanges base differs from its control, and branch from its own: at the noisiest place of each endpoint."""
    most: dict[str, tuple[int, int]] = {}
    for number in finding.members:
        tally, endpoint = judgement.tallies[number], judgement.places[number].endpoint
        a, b = most.get(endpoint, (0, 0))
        most[endpoint] = max(a, tally.a), max(b, tally.b)
    return sum(a for a, _ in most.values()), sum(b for _, b in most.values())


def wanted_of(finding: Finding, judgement: Judgement) -> list[Wanted]:
    """The samples that a finding is shown with, those of a field's new name last."""
    return [*wanted_at(finding.lead, judgement), *wanted_at(successor(finding, judgement), judgement)]


def wanted_at(number: int | None, judgement: Judgement) -> list[Wanted]:
    """The samples of one place."""
    if number is None:
        return []
    place = judgement.places[number]
    return [(exchange, place.endpoint, place.where, place.kind) for _, exchange in place.seen]


def samples_of(finding: Finding, judgement: Judgement, samples: Mapping[Wanted, Sample]) -> list[Sample]:
    """The samples of a finding; of a field with another name, what stood at the old name and what stands at the new one."""
    found = [samples[wanted] for wanted in wanted_at(finding.lead, judgement) if wanted in samples]
    now = {one[0]: samples[one] for one in wanted_at(successor(finding, judgement), judgement) if one in samples}
    news = [now.get(sample["exchange"], {}) for sample in found]
    # Each version's values stand under its own name: base and its control say the old one, branch and its control the new.
    return [sample | {name: new[name] for name in NEW if name in new} for sample, new in zip(found, news, strict=True)]


def successor(finding: Finding, judgement: Judgement) -> int | None:
    """The place at which a finding's field stands now; None where it is not about one that was renamed."""
    return judgement.successors.get(finding.lead) if finding.kind == RENAMED else None


def renamed_places(finding: Finding, judgement: Judgement) -> list[tuple[str, str]]:
    """The old and the new place of each field that a finding says is renamed."""
    if finding.kind != RENAMED:
        return []
    places, pairs = judgement.places, judgement.successors
    return sorted({(places[n].where, places[pairs[n]].where) for n in finding.members if n in pairs})


def renamed_json(finding: Finding, judgement: Judgement) -> dict[str, Any]:
    """The key ``renamed`` of a finding that has it."""
    found = renamed_places(finding, judgement)
    return {"renamed": [list(pair) for pair in found[:PLACES_SHOWN]], "renamed_count": len(found)} if found else {}


def renaming(finding: Finding, judgement: Judgement) -> str:
    """What is known of a field's new name; empty where none has one."""
    found = renamed_places(finding, judgement)
    if not found:
        return ""
    what = (
        f"{leaf_of(found[0][0])} went and {leaf_of(found[0][1])} came"
        if len(found) == 1
        else "what went came under another name"
    )
    return f"{what} in the same objects with the same values, wherever the two answers differ there"


def overflow_json(service: str, count: int) -> dict[str, Any]:
    """Differences at more places than a run keeps: said, not hidden."""
    why = f"{count} differences at more places than a run keeps apart; run fewer endpoints at once"
    finding = Finding("overflow", "body", "value", "overflow", [], 0, ["*"], ["body"], count)
    return {
        **dict.fromkeys(("observed", "control_differing", "control_observed"), 0),
        **dict.fromkeys(("branch_control_differing", "branch_control_observed", "missing_samples", "greedy"), 0),
        **dict.fromkeys(("p_value", "q_value"), None),
        "id": f"{service}-{finding.id}",
        "endpoint": "*",
        "endpoints": 1,
        "endpoint_names": [],
        "where": finding.where,
        "kind": finding.kind,
        "verdict": UNDECIDED,
        "basis": TESTED,
        "severity": severity(finding.where, finding.kind),
        "differing": count,
        "places": [],
        "places_count": 0,
        "rule": None,
        "triage": None,
        "profile": False,
        "explanation": why,
        "samples": [],
    }


def iso(ns: int) -> str:
    """A wall time as ISO 8601 in UTC."""
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds")


Verdicts = Mapping[Key, tuple[str, bool]]
"""For each place its verdict, and whether it holds in exchanges in which a version differs from itself."""


def places_json(numbers: Mapping[Key, int], judgement: Judgement) -> str:
    """Verdicts of all places, kept beside the result so that exchanges can be shown with them."""
    rows = [
        [*key, judgement.weighed[n].verdict, judgement.weighed[n].firm, *([form] if form else [])]
        for (*key, form), n in numbers.items()
    ]
    return orjson.dumps(rows).decode()


def places_read(text: str) -> Verdicts:
    """What :func:`places_json` wrote."""
    rows: list[list[Any]] = orjson.loads(text)
    return {(row[0], row[1], row[2], row[3], row[4], row[7] if len(row) > 7 else ""): (row[5], row[6]) for row in rows}


def line(row: Row, verdicts: Verdicts) -> dict[str, Any]:
    """One exchange as ``show --exchanges --json`` prints it."""
    differences = [_difference(row, index, noisy, verdicts) for index, noisy in differences_of(row)]
    streamed = str(row["verdict"])
    verdict = "uncomparable" if streamed == "not_compared" else streamed
    if streamed in {"same", "differs"}:
        verdict = exchange_verdict((d["verdict"] for d in differences), row["reason"])
    return {
        "exchange": row["exchange"],
        "seq": row["seq"],
        "method": row["method"],
        "target": row["target"],
        "endpoint": row["endpoint"],
        "verdict": verdict,
        "reason": row["reason"] or None,
        "differences": differences,
    }


def differences_of(row: Row) -> Iterator[tuple[int, bool]]:
    """Index of each difference between base and branch, and whether a version differs from itself there in this exchange."""
    if row["d_pair"]:
        for here in read(row)[0].values():
            for index in here.kinds:
                facet = row["d_facet"][index]
                yield index, here.facets[A] <= facet or here.facets[B] <= facet


def _difference(row: Row, index: int, noisy: bool, verdicts: Verdicts) -> dict[str, Any]:
    verdict, firm = verdicts.get(key_of(row, index), (UNDECIDED, True))
    if row["d_flags"][index] & RULED:
        verdict, firm = verdict_of(row["d_flags"][index]), True
    return {
        "where": row["d_where"][index],
        "kind": row["d_kind"][index],
        "verdict": difference_verdict(verdict, firm=firm, noisy=noisy),
        "base": row["d_old"][index] or None,
        "branch": row["d_new"][index] or None,
    }


LINES = """
SELECT exchange, seq, method, target, endpoint, verdict, reason, d_pair, d_where, d_kind, d_facet, d_klass, d_flags, d_old, d_new, d_values,
  d_signature
FROM results_v WHERE run = {run:String} ORDER BY seq, exchange"""


def exchange_lines(store: Store, run: str) -> Iterator[dict[str, Any]]:
    """Every exchange of a run in recorded order; HomeError when the run has not been closed."""
    places: Sequence[Row] = store.query(
        "SELECT json FROM findings_v WHERE run = {run:String} AND id = {id:String}", {"run": run, "id": PLACES_ID}
    )
    if not places:
        raise HomeError(f"run {run} has not been closed; `echolane run --resume {run}` goes on with it")
    verdicts = places_read(places[0]["json"])
    for row in related(row for page in store.stream(LINES, {"run": run}, rows=1000) for row in page):
        yield line(row, verdicts)
