"""Close a run: evidence as a query over the folded rows, findings, verdict, ledger, and what is learned of base.

Nothing here trusts a counter of a process that may have died: every number is counted from the results' rows, of which each
exchange has one. Rows with differences are streamed once (:mod:`differ.gathering`), all else is counted by the store.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, cast

import orjson

from differ.evidence import Observed
from differ.gathering import Gathering, Row, gather
from differ.judging import Judgement, Looked, judge, verdict_of
from differ.looking import given_as_recorded, given_both_ways, given_exceptions
from differ.members import MEMBERS_ID, members_json
from differ.profile_rows import Ended, profile_json, profile_of, save_profile
from differ.reach import tell_reach
from differ.relating import BROKEN_ID, Broken, broken_json, related
from differ.result import PLACES_ID, Sample, Told, Wanted, line, places_json, places_read, result_json, wanted_of
from differ.ruled import Ruled, tell_rules
from differ.spread import tell_exceptions
from differ.timing import timing
from echolane.errors import EcholaneError
from echolane.journal import Journal
from echolane.observation import BRANCH_CONTROL, CONTROL, TARGETS
from echolane.runspec import RunSpec
from echolane.store import QueryError, Store
from echolane.store.versions import version_after

_COMPARABLE = "startsWith(outcomes[{0}], 'answered') OR startsWith(outcomes[{0}], 'failed')"
HAS_CONTROL, HAS_BRANCH_CONTROL = _COMPARABLE.format(CONTROL + 1), _COMPARABLE.format(BRANCH_CONTROL + 1)
DIFFERING = f"""
SELECT exchange, seq, method, target, endpoint, verdict, reason, ({HAS_CONTROL}) AS has_control,
  ({HAS_BRANCH_CONTROL}) AS has_branch_control,
  fired_at, d_pair, d_where, d_kind, d_facet, d_klass, d_flags, d_count, d_old, d_new, d_values, d_signature, d_rule
FROM results_v WHERE run = {{run:String}} AND notEmpty(d_pair) ORDER BY seq, exchange"""  # noqa: S608 - constants
PER_ENDPOINT = f"""
WITH (notEmpty(outcomes) AND verdict != 'not_compared') AS compared, ({HAS_CONTROL}) AS has_control,
  ({HAS_BRANCH_CONTROL}) AS has_branch_control
SELECT endpoint, countIf(compared) AS fired, countIf(compared AND has_control) AS control,
  countIf(compared AND has_branch_control) AS branch_control, countIf(compared AND NOT (has_control AND has_branch_control)) AS lone,
  minIf(fired_at, compared) AS first_ns, maxIf(fired_at, compared) AS last_ns, count() AS recorded
FROM results_v WHERE run = {{run:String}} GROUP BY endpoint HAVING fired > 0"""  # noqa: S608 - constants
ACCOUNT = "SELECT verdict, reason, count() AS n FROM results_v WHERE run = {run:String} GROUP BY verdict, reason"
OUTCOMES = """
SELECT arrayJoin(arrayZip(arrayEnumerate(outcomes), outcomes)) AS o, count() AS n
FROM results_v WHERE run = {run:String} GROUP BY o"""
FIDELITY = """
SELECT endpoint, countIf(recorded_status > 0 AND statuses[1] > 0) AS both,
  countIf(recorded_status > 0 AND statuses[1] > 0 AND intDiv(recorded_status, 100) != intDiv(statuses[1], 100)) AS unlike,
  countIf(statuses[1] IN (401, 403) AND recorded_status NOT IN (0, 401, 403)) AS unauthorised,
  countIf(statuses[1] > 0) AS answered, countIf(statuses[1] IN (401, 403)) AS refused
FROM results_v WHERE run = {run:String} AND notEmpty(statuses) GROUP BY endpoint ORDER BY unlike DESC, endpoint"""
SAMPLES = """
SELECT exchange, endpoint, `where`, kind, base, control, branch, branch_control, rewrites
FROM samples_v WHERE run = {run:String} AND exchange IN {exchanges:Array(String)}"""
ROWS_OF = """
SELECT exchange, seq, method, target, endpoint, d_pair, d_where, d_kind, d_old, d_new
FROM results_v WHERE run = {run:String} AND exchange IN {exchanges:Array(String)}"""
PAGE_ROWS = 1000
"""Rows with differences that are held at once: some kilobytes each, so that the memory of a close does not grow with its run."""
EXCHANGES_AT_ONCE = 200
"""Exchanges whose samples are asked for in one query: a sample may be 64 KiB."""


def close_run(
    store: Store,
    spec: RunSpec,
    *,
    state: str,
    reason: str,
    selected: int,
    fired_per_s: float,
    journal: Journal | None = None,
) -> dict[str, Any]:
    """Weigh what was compared and say it: the ■ result. Writes the findings' rows; the run's own row is the conductor's.

    ``journal``: where answers are looked at again that leave an order, a date or an id undecided.
    """
    run = {"run": spec.run}
    own_control, own_branch_control = spec.targets[CONTROL].own_instance, spec.targets[BRANCH_CONTROL].own_instance
    ended, kept = store.query(PER_ENDPOINT, run), profile_of(store, spec)
    broken: Broken = {}
    gathering = gather(differing(store, spec.run, broken))
    observed = {
        row["endpoint"]: Observed(
            *(row["fired"], row["control"], row["branch_control"], own_control, own_branch_control),
            lone=row["lone"] + gathering.given_up.get(row["endpoint"], 0),
            recorded=row["recorded"],
        )
        for row in ended
    }
    judgement = judge(spec.service, gathering, observed, kept.profile)
    both_ways = given_both_ways(store, journal, spec, judgement, gathering)
    as_recorded = given_as_recorded(store, journal, spec, judgement, gathering)
    if both_ways or as_recorded:
        judgement = judge(spec.service, gathering, observed, kept.profile, Looked(both_ways, as_recorded))
    places = places_json(gathering.numbers, judgement)
    ledger = account(store, spec.run, gathering, judgement, selected)
    fidelity, unauthorised, unfaithful = faithful(store, spec.run)
    told = Told(ledger, state, reason, fidelity, unauthorised, unfaithful, time.time_ns(), fired_per_s)
    shown = samples(store, spec.run, judgement, gathering.ruled)
    result = result_json(spec, judgement, observed, shown, told)
    tell_exceptions(result["groups"], given_exceptions(store, journal, spec, judgement, gathering, observed))
    tell_rules(result, spec, gathering, observed, shown)
    tell_reach(result)
    result["timing"] = timing(store, spec)
    result["profile"] = profile_json(kept, spec, judgement)
    learned = [Ended(row["endpoint"], row["control"], row["first_ns"], row["last_ns"]) for row in ended]
    save_profile(store, spec, gathering.learning, learned, result["reason_code"])
    kept_rows = {PLACES_ID: places, MEMBERS_ID: members_json(judgement), BROKEN_ID: broken_json(broken)}
    save_findings(store, spec, result, {name: text for name, text in kept_rows.items() if text})
    return result


def differing(store: Store, run: str, broken: Broken | None = None) -> Iterator[Row]:
    """Rows in which any comparison found something; ``broken`` is told which ids contradict earlier ones."""
    yield from related((row for page in store.stream(DIFFERING, {"run": run}, rows=PAGE_ROWS) for row in page), broken)


def account(store: Store, run: str, gathering: Gathering, judgement: Judgement, selected: int) -> dict[str, Any]:
    """The ledger of the run, counted from its rows."""
    counts: dict[str, dict[str, int]] = {"skipped": {}, "not_compared": {}, "uncomparable": {}}
    verdicts = {"same": 0, "noise": 0, "undecided": 0, "different": 0}
    found = 0
    for row in store.query(ACCOUNT, {"run": run}):
        found += row["n"]
        if row["verdict"] in counts:
            counts[row["verdict"]][row["reason"] or "unknown"] = row["n"]
        elif row["verdict"] == "same":
            verdicts["same"] += row["n"]
    for verdict, reason, number in verdicts_of_exchanges(store, run, gathering, judgement):
        if verdict == "uncomparable":
            counts[verdict][reason] = counts[verdict].get(reason, 0) + number
        else:
            verdicts[verdict] += number
    compared = sum(verdicts.values()) + sum(counts["uncomparable"].values())
    return {
        "selected": selected,
        "skipped": counts["skipped"],
        "fired": compared + sum(counts["not_compared"].values()),
        **outcomes(store, run),
        "not_compared": counts["not_compared"],
        "compared": compared,
        "same": verdicts["same"],
        "noise_only": verdicts["noise"],
        "undecided": verdicts["undecided"],
        "different": verdicts["different"],
        "uncomparable": counts["uncomparable"],
        "unaccounted": selected - found,
    }


def verdicts_of_exchanges(
    store: Store, run: str, gathering: Gathering, judgement: Judgement
) -> Iterator[tuple[str, str, int]]:
    """Verdict, reason and number of the exchanges in which branch differs from base."""
    if not gathering.uncounted:
        for combination, number in gathering.combinations.items():
            yield verdict_of(combination, judgement.weighed), combination[0], number
        return
    verdicts = places_read(places_json(gathering.numbers, judgement))
    for row in differing(store, run):
        if row["verdict"] == "differs":
            yield line(row, verdicts)["verdict"], row["reason"], 1


def outcomes(store: Store, run: str) -> dict[str, dict[str, Any]]:
    """answered, failed, spared and in_doubt by target."""
    table: dict[str, dict[str, Any]] = {
        "answered": dict.fromkeys(TARGETS, 0),
        "failed": {},
        "spared": {},
        "in_doubt": {},
    }
    for row in store.query(OUTCOMES, {"run": run}):
        index, text = cast("tuple[int, str]", row["o"])
        outcome, _, reason = text.partition(":")
        target = TARGETS[index - 1]
        if outcome in {"failed", "spared"}:
            table[outcome].setdefault(target, {})[reason or "unknown"] = row["n"]
        else:
            table[outcome][target] = table[outcome].get(target, 0) + row["n"]
    return table


def faithful(store: Store, run: str) -> tuple[float | None, float, str]:
    """Fidelity, the share of answers that were refused as unauthorised, and the endpoint where base is least faithful."""
    rows = store.query(FIDELITY, {"run": run})
    both, unlike, unauthorised = (sum(row[name] for row in rows) for name in ("both", "unlike", "unauthorised"))
    if not both:  # nothing was recorded of the answers; that all are refusals is told without it
        answered, refused = (sum(row[name] for row in rows) for name in ("answered", "refused"))
        return None, float(answered > 0 and answered == refused), ""
    # Not rounded up: a figure shown as 0.9 must be one that passes as 0.9.
    return int((both - unlike) / both * 10_000) / 10_000, unauthorised / both, rows[0]["endpoint"] if unlike else ""


def samples(store: Store, run: str, judgement: Judgement, ruled: Ruled) -> Mapping[Wanted, Sample]:
    """What the findings' first exchanges showed: excerpts as they were taken, else the cut values of the rows."""
    findings = (*judgement.regressions, *judgement.undecided, *judgement.noise)
    wanted = {one for finding in findings for one in wanted_of(finding, judgement)} | set(ruled.wanted())
    exchanges = sorted({exchange for exchange, *_ in wanted})
    found: dict[Wanted, Sample] = {}
    for start in range(0, len(exchanges), EXCHANGES_AT_ONCE):
        asked = {"run": run, "exchanges": exchanges[start : start + EXCHANGES_AT_ONCE]}
        for row in store.query(ROWS_OF, asked):
            found.update(_cut_samples(row, wanted))
        for row in store.query(SAMPLES, asked):
            key = (row["exchange"], row["endpoint"], row["where"], row["kind"])
            if key in found:
                found[key].update({name: row[name] or None for name in TARGETS})
                if row["rewrites"]:
                    found[key]["rewrites"] = orjson.loads(row["rewrites"])
    return found


def _cut_samples(row: Row, wanted: set[Wanted]) -> Iterator[tuple[Wanted, Sample]]:
    for index, where in enumerate(row["d_where"]):
        key = (row["exchange"], row["endpoint"], where, row["d_kind"][index])
        if row["d_pair"][index] == 0 and key in wanted:
            yield (
                key,
                {
                    **{name: row[name] for name in ("exchange", "seq", "method", "target")},
                    "base": row["d_old"][index] or None,
                    "branch": row["d_new"][index] or None,
                },
            )


def save_findings(store: Store, spec: RunSpec, result: dict[str, Any], kept: Mapping[str, str]) -> None:
    """One row a finding, and one for each of ``kept``: what readers of single exchanges (:mod:`differ.result`) and triage need."""
    found = [finding for name in ("groups", "noise", "expected", "undecided") for finding in result[name]]
    rows = [{"id": name, "endpoint": "", "where": "", "kind": "", "verdict": "index"} for name in kept]
    texts = [*(orjson.dumps(finding).decode() for finding in found), *kept.values()]
    try:
        store.insert(
            "findings",
            {
                "run": [spec.run] * len(texts),
                **{name: [finding[name] for finding in (*found, *rows)] for name in rows[0]},
                "json": texts,
                "version": [version_after(store, "findings", spec.run)] * len(texts),
            },
        )
    except QueryError as error:
        raise EcholaneError(f"the findings of run {spec.run} could not be stored: {error}") from error
