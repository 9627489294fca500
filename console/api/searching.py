"""Exchanges of a run, found by what they show: a page at a time, each within a bound, whatever is asked and however large the run.

A page goes on after an exchange's place in the run, so that one that is read while rows arrive shows none twice. What the store can
tell (:func:`conditions`) it tells of a stretch of the run at a time; what it cannot (a verdict, which is weighed, and headers, which the
journal has) is looked at here. A page that ends because it looked long enough says where to go on. Everything here waits.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from console.api.context import Site
from console.api.messages import PageQuery
from console.api.messages_exchanges import Exchanges, ExchangesQuery
from console.api.problems import Problem
from differ.difference import VALUE
from differ.evidence import REGRESSION, UNDECIDED
from differ.gathering import PLACES_MAX
from differ.ids import OPAQUE
from differ.letters import observed
from differ.relating import BROKEN_ID, Broken, broken_read, related, with_broken
from differ.result import PLACES_ID, Verdicts, line, places_read
from echolane.errors import HomeError
from echolane.observation import BASE, BRANCH, Observation
from echolane.store import Row

STRETCH, STRETCH_MAX = 16_384, 262_144
"""Places of the run that one question is about, the first and the most: a rare thing is looked for in ever longer stretches."""
LOOK_S = 0.1
"""After so long no further stretch is begun: half of the 200 ms in which a page is answered."""
BATCH = 200
"""Rows that are looked at here at once."""
FRAMES_MAX = 64
"""Frames of answers kept while one page is made: a frame is a few hundred KiB."""
WHERES_MAX = 500
"""Places named to the store at most; a verdict that more have is looked for here alone."""
FOUND = """
SELECT exchange, seq, method, target, endpoint, recorded_status, verdict, reason, outcomes, statuses, durations_us,
  topic, partition, position,
  d_pair, d_where, d_kind, d_facet, d_klass, d_flags, d_old, d_new, d_values, d_signature
FROM results_v WHERE run = {{run:String}} AND seq >= {{low:UInt64}} AND seq < {{high:UInt64}}{where}
ORDER BY seq, exchange LIMIT {{limit:UInt32}}"""
KEPT = "SELECT id, json FROM findings_v WHERE run = {run:String} AND id IN {ids:Array(String)}"
LENGTH = "SELECT JSONExtractUInt(result, 'ledger', 'selected') AS n FROM runs_v WHERE run = {run:String}"
LONGEST = "SELECT max(seq) + 1 AS n FROM results WHERE run = {run:String}"
WITH_IDS = f"""
SELECT seq, exchange, d_pair, d_where, d_kind, d_facet, d_klass, d_old, d_new FROM results_v
WHERE run = {{run:String}} AND seq <= {{last:UInt64}} AND
  arrayExists((c, f, k) -> has({{opaque:Array(String)}}, c) AND f = {VALUE} AND k = 'value', d_klass, d_facet, d_kind)
ORDER BY seq, exchange"""  # noqa: S608 - constants
BY_VALUE = frozenset({"renamed", "distribution"})
"""Kinds of findings that are seen over many exchanges, whose own differences have other kinds."""
DIFFERS = "has(d_pair, 0)"
STREAMED = {
    "same": "verdict IN ('same', 'differs')",
    "noise": DIFFERS,
    "undecided": DIFFERS,
    "different": DIFFERS,
    "uncomparable": "(verdict IN ('uncomparable', 'not_compared') OR reason != '')",
    "skipped": "verdict = 'skipped'",
}
"""What the rows of exchanges with a verdict show at least, before their differences were weighed."""
UNDER = """arrayExists((w, p) -> p = 0 AND (w = {where:String} OR startsWith(w, {dot:String}) OR startsWith(w, {bracket:String})),
    d_where, d_pair)"""


@dataclass(slots=True)
class Sought:
    """What is asked of the exchanges of a run."""

    where: list[str] = field(default_factory=list[str])
    """Conditions of the store, all of which must hold."""
    params: dict[str, object] = field(default_factory=dict[str, object])
    verdict: str = ""
    header: str = ""
    """``name`` or ``name:value``, of an answer of base or branch."""
    cursor: int = 0
    limit: int = 50
    until: int = 0
    """The place of the run before which to end; 0 for its end."""


def exchanges(site: Site, run: str, query: ExchangesQuery, finding: Mapping[str, Any] | None = None) -> Exchanges:
    """A page of the exchanges of a run that fit; ``finding`` is the one whose exchanges are asked for."""
    page, rows = found(site, run, sought(query, finding))
    return Exchanges(run, cast("list[Any]", [told for told, _ in rows]), page.next, page.unread)


def exchanges_of(site: Site, run: str, finding: Mapping[str, Any], query: PageQuery) -> Exchanges:
    """A page of the exchanges that differ at the places of a finding."""
    page, rows = found(site, run, _covered(Sought(cursor=query.cursor, limit=query.limit), finding))
    return Exchanges(run, cast("list[Any]", [told for told, _ in rows]), page.next)


def _covered(one: Sought, finding: Mapping[str, Any]) -> Sought:
    """Only what differs at the places of a finding. Pure."""
    names = finding.get("endpoint_names") or [finding["endpoint"]]
    every = finding["endpoints"] > len(names) or names == ["*"]
    pair = "AND p = 0" if finding["verdict"] == REGRESSION else ""
    kind = "" if finding["kind"] in BY_VALUE else "AND k = {kind:String}"
    one.where += [
        f"arrayExists((w, k, p) -> has({{places:Array(String)}}, w) {kind} {pair}, d_where, d_kind, d_pair)",
        "({every:UInt8} OR endpoint IN {endpoints:Array(String)})",
    ]
    places = sorted({finding["where"], *finding.get("places", [])})
    one.params |= {"places": places, "kind": finding["kind"], "every": int(every), "endpoints": names}
    return one


def sought(query: ExchangesQuery, finding: Mapping[str, Any] | None = None) -> Sought:
    """The query as the store and this module are asked. Pure."""
    one = Sought(cursor=query.cursor, limit=query.limit)
    for name, condition in (
        ("endpoint", "endpoint = {endpoint:String}"),
        ("method", "method = {method:String}"),
        ("path", "position(target, {path:String}) > 0"),
        ("base_status", "statuses[1] = {base_status:UInt16}"),
        ("branch_status", "statuses[3] = {branch_status:UInt16}"),
        ("where", UNDER),
    ):
        value = getattr(query, name)
        if isinstance(value, str | int):
            one.where.append(condition)
            one.params[name] = value
    if isinstance(query.where, str):
        one.params |= {"dot": f"{query.where}.", "bracket": f"{query.where}["}
    one.verdict = query.verdict if isinstance(query.verdict, str) else ""
    one.header = query.header if isinstance(query.header, str) else ""
    return one if finding is None else _covered(one, finding)


@dataclass(slots=True)
class Page:
    """How far a page came."""

    next: int | None = None
    unread: int = 0
    """Exchanges whose answers the journal has no longer, so that their headers are unknown."""


def found(site: Site, run: str, one: Sought) -> tuple[Page, list[tuple[dict[str, Any], Row]]]:
    """Where to go on, and the exchanges that fit, each as `show --exchanges` prints it and as its row."""
    kept = {
        str(row["id"]): str(row["json"]) for row in site.store.query(KEPT, {"run": run, "ids": [PLACES_ID, BROKEN_ID]})
    }
    if PLACES_ID not in kept:
        raise Problem("no-result", f"run {run} has not been closed, so its exchanges have no verdicts yet")
    verdicts = places_read(kept[PLACES_ID])
    broken = broken_read(kept[BROKEN_ID]) if BROKEN_ID in kept else None
    _by_verdict(one, verdicts)
    page, rows = Page(), list[tuple[dict[str, Any], Row]]()
    answers = Answers(site)
    begun = time.monotonic()
    for batch, low in _batches(site, run, one):
        page.next = low
        for row in _weighable(site, run, batch, broken):
            if len(rows) == one.limit:
                page.next = int(row["seq"])
                return page, rows
            told = line(row, verdicts)
            if (one.verdict and told["verdict"] != one.verdict) or (one.header and not answers.have(row, one.header)):
                continue
            rows.append((told, row))
        page.unread = answers.unread
        if len(rows) == one.limit or time.monotonic() - begun > LOOK_S:
            break
    return page, rows


def _batches(site: Site, run: str, one: Sought) -> Iterator[tuple[list[Row], int | None]]:
    """Rows that the store says fit, and the place in the run after them; None at its end."""
    end = (
        one.until
        or int(site.store.query(LENGTH, {"run": run})[0]["n"])
        or int(site.store.query(LONGEST, {"run": run})[0]["n"])
    )
    sql = FOUND.format(where="".join(f"\n  AND {condition}" for condition in one.where))
    filtered = one.verdict or one.header
    limit = BATCH if filtered else one.limit + 1
    low, stretch = one.cursor, STRETCH if one.where or filtered else limit  # each place of a run has its exchange
    while low < end:
        high = min(low + stretch, end)
        rows = site.store.query(sql, {"run": run, **one.params, "low": low, "high": high, "limit": limit})
        full = len(rows) == limit
        low = int(rows[-1]["seq"]) + 1 if full else high
        stretch = stretch if full else min(stretch * 2, STRETCH_MAX)
        yield rows, low if low < end else None


def _by_verdict(one: Sought, verdicts: Verdicts) -> None:
    """Have the store leave out what cannot have the verdict that is asked for."""
    if not one.verdict:
        return
    one.where.append(STREAMED[one.verdict])
    word = {"different": REGRESSION, "undecided": UNDECIDED}.get(one.verdict)
    if (
        word is None or len(verdicts) >= PLACES_MAX
    ):  # beyond these differences are undecided without a place of their own
        return
    wheres = sorted({key[1] for key, (verdict, _) in verdicts.items() if verdict == word})
    if len(wheres) <= WHERES_MAX:
        one.where.append("hasAny(d_where, {wheres:Array(String)})")
        one.params["wheres"] = wheres


def _weighable(site: Site, run: str, rows: list[Row], broken: Broken | None) -> Iterable[Row]:
    """The rows with what earlier exchanges of the run say of their ids.

    Runs that were closed before that was kept are read from their beginning.
    """
    if broken is not None:
        return (with_broken(row, broken) for row in rows)
    if not any(klass in OPAQUE for row in rows for klass in row["d_klass"]):
        return rows
    there = {row["seq"]: row for row in rows}
    stream = site.store.stream(WITH_IDS, {"run": run, "last": rows[-1]["seq"], "opaque": sorted(OPAQUE)}, rows=1000)
    for row in related(row for page in stream for row in page):
        if row["seq"] in there:
            there[row["seq"]]["d_facet"] = row["d_facet"]
    return rows


class Answers:
    """What targets answered, as the journal has it: a frame is read once for all of its exchanges."""

    def __init__(self, site: Site) -> None:
        self._site, self._frames = site, dict[tuple[str, int, int], dict[str, Observation]]()
        self.unread = 0

    def of(self, row: Row) -> Observation | None:
        """The answers to one exchange; None where the journal has them no longer."""
        place = (str(row["topic"]), int(row["partition"]), int(row["position"]))
        frame = self._frames.get(place)
        if frame is None:
            try:
                read = observed(self._site.journal, *place) if place[0] else []
            except HomeError:
                read = []
            frame = {one.exchange: one for one in read}
            while len(self._frames) >= FRAMES_MAX:
                del self._frames[next(iter(self._frames))]
            self._frames[place] = frame
        return frame.get(str(row["exchange"]))

    def have(self, row: Row, header: str) -> bool:
        """Whether base or branch answered with such a header: its name, and what its value holds, in any case of letters."""
        if not row["statuses"]:
            return False
        one = self.of(row)
        if one is None:
            self.unread += 1
            return False
        name, colon, value = header.partition(":")
        wanted, part = name.lower().encode(), value.strip().lower().encode() if colon else b""
        answers = (one.answer_of(index) for index in (BASE, BRANCH) if one.shots)
        return any(
            key.lower() == wanted and part in text.lower()
            for answer in answers
            if answer is not None
            for key, text in answer.headers
        )
