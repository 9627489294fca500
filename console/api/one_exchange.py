"""One exchange of a run: its row, weighed, what was recorded, and what each target answered as the journal has it. Everything here waits."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import msgspec

from console.api import masked, recorded, searching
from console.api.context import Site
from console.api.messages_exchanges import AnswerTold, Exchange, ExchangeTold, Lack, RecordedTold, RequestTold
from console.api.problems import Problem
from differ.difference import EXCERPT_BYTES
from echolane import exchange as kept
from echolane.errors import HomeError
from echolane.observation import TARGETS, Observation
from echolane.runspec import RunSpec
from echolane.store import Row

PLACE = "SELECT seq FROM results WHERE run = {run:String} AND exchange = {exchange:String} LIMIT 1"
"""Without folding: an exchange's place is the same in each of its rows."""
NEAR = 64
"""Ranks to either side in which a neighbour is looked for: a run has a row of each rank, but for those that a cancelled one never came to."""
BESIDE = """
SELECT seq, any(exchange) AS exchange FROM results
WHERE run = {run:String} AND seq >= {low:UInt64} AND seq <= {high:UInt64} GROUP BY seq ORDER BY seq"""
SPEC = "SELECT spec FROM runs_v WHERE run = {run:String}"


class Whole(NamedTuple):
    """One exchange as it is told, and its request with every byte that is kept."""

    told: ExchangeTold
    request: kept.Request | None


def told(site: Site, run: str, exchange: str) -> ExchangeTold:
    """One exchange; Problem where the run has none of this id."""
    return whole(site, run, exchange).told


def whole(site: Site, run: str, exchange: str) -> Whole:
    """The same, for who makes a command of it."""
    rows = site.store.query(PLACE, {"run": run, "exchange": exchange})
    if not rows:
        raise Problem("not-found", f"there is no exchange `{exchange[:64]}` in run {run}")
    seq = int(rows[0]["seq"])
    _, found = searching.found(site, run, searching.Sought(cursor=seq, until=seq + 1, limit=1))
    line, row = found[0]
    seen = searching.Answers(site).of(row)
    asked, record = _of_recording(site, run, seq, exchange)
    request = None if isinstance(asked, str) else asked.request
    answer, lack = (None, record) if isinstance(record, str) else _recorded(record)
    before, after = _beside(site, run, seq)
    said = ExchangeTold(
        run=run,
        exchange=cast("Exchange", line),
        recorded_status=int(row["recorded_status"]) or None,
        request=None if isinstance(asked, str) else _request(site, asked),
        request_lack=asked if isinstance(asked, str) else None,
        recorded=answer,
        recorded_lack=lack,
        answers=[_answer(row, seen, index) for index in range(len(row["outcomes"]))],
        before=before,
        after=after,
    )
    return Whole(said, request)


def _of_recording(site: Site, run: str, seq: int, exchange: str) -> tuple[kept.Exchange | Lack, kept.Exchange | Lack]:
    """The exchange as it was planned, and as it was recorded; a journal that does not answer has neither."""
    try:
        asked = recorded.planned(site.journal, run, seq, exchange)
        spec = str(site.store.query(SPEC, {"run": run})[0]["spec"])
        if isinstance(asked, str) or not spec:
            return asked, asked if isinstance(asked, str) else "gone"
        return asked, recorded.recorded(site.journal, msgspec.json.decode(spec, type=RunSpec).recording, asked)
    except HomeError:  # as for the answers of targets
        return "gone", "gone"


def _beside(site: Site, run: str, seq: int) -> tuple[str | None, str | None]:
    """The ids of the exchanges before and after a rank."""
    rows = site.store.query(BESIDE, {"run": run, "low": max(0, seq - NEAR), "high": seq + NEAR})
    before = [str(row["exchange"]) for row in rows if int(row["seq"]) < seq]
    after = [str(row["exchange"]) for row in rows if int(row["seq"]) > seq]
    return before[-1] if before else None, after[0] if after else None


def _request(site: Site, asked: kept.Exchange) -> RequestTold:
    request = asked.request
    return RequestTold(
        method=request.method,
        target=request.target,
        headers=_headers(request.headers),
        body=_body(request.body),
        bytes=request.body.size,
        truncated=request.body.truncated,
        masked=masked.places(site.home.keys, request),
        sealed=bool(asked.seal),
    )


def _recorded(record: kept.Exchange) -> tuple[RecordedTold | None, Lack | None]:
    answer = record.response
    if answer is None:
        return None, "no-answer"
    body = answer.body
    took = record.duration_ns // 1000
    return RecordedTold(answer.status, _headers(answer.headers), _body(body), body.size, took), None


def _answer(row: Row, seen: Observation | None, index: int) -> AnswerTold:
    fired = seen is not None and index < len(seen.shots)
    answer = seen.answer_of(index) if seen is not None and fired else None
    return AnswerTold(
        target=TARGETS[index],
        outcome=str(row["outcomes"][index]),
        status=_at(row["statuses"], index) or None,
        duration_us=_at(row["durations_us"], index) or None,
        headers=None if answer is None else _headers(answer.headers),
        body=None if answer is None else _body(answer.body),
        bytes=None if answer is None else answer.body.size,
        rewrites=seen.shots[index].rewrites if seen is not None and fired else [],
    )


def _at(numbers: list[Any], index: int) -> int:
    return int(numbers[index]) if index < len(numbers) else 0


def _headers(headers: kept.Headers) -> list[tuple[str, str]]:
    return [(_text(key), _text(value)) for key, value in headers]


def _text(value: bytes) -> str:
    """Bytes of a header: UTF-8 where it is, else each byte its character."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _body(body: kept.Body) -> str | None:
    """The beginning of a body, where it is a text."""
    data = body.data[:EXCERPT_BYTES]
    if body.undecoded or b"\0" in data:
        return None
    return data.decode("utf-8", "replace")
