"""One exchange of a run: its row, weighed, and what each target answered as the journal has it. Everything here waits."""

from __future__ import annotations

from typing import Any, cast

from console.api import searching
from console.api.context import Site
from console.api.messages_exchanges import AnswerTold, Exchange, ExchangeTold
from console.api.problems import Problem
from differ.difference import EXCERPT_BYTES
from echolane.exchange import Response
from echolane.observation import TARGETS, Observation
from echolane.store import Row

PLACE = "SELECT seq FROM results WHERE run = {run:String} AND exchange = {exchange:String} LIMIT 1"
"""Without folding: an exchange's place is the same in each of its rows."""


def told(site: Site, run: str, exchange: str) -> ExchangeTold:
    """One exchange; Problem where the run has none of this id."""
    rows = site.store.query(PLACE, {"run": run, "exchange": exchange})
    if not rows:
        raise Problem("not-found", f"there is no exchange `{exchange[:64]}` in run {run}")
    seq = int(rows[0]["seq"])
    _, found = searching.found(site, run, searching.Sought(cursor=seq, until=seq + 1, limit=1))
    line, row = found[0]
    seen = searching.Answers(site).of(row)
    return ExchangeTold(
        run=run,
        exchange=cast("Exchange", line),
        recorded_status=int(row["recorded_status"]) or None,
        answers=[_answer(row, seen, index) for index in range(len(row["outcomes"]))],
    )


def _answer(row: Row, seen: Observation | None, index: int) -> AnswerTold:
    answer = seen.answer_of(index) if seen is not None and index < len(seen.shots) else None
    return AnswerTold(
        target=TARGETS[index],
        outcome=str(row["outcomes"][index]),
        status=_at(row["statuses"], index) or None,
        duration_us=_at(row["durations_us"], index) or None,
        headers=None if answer is None else [(_text(key), _text(value)) for key, value in answer.headers],
        body=None if answer is None else _body(answer),
        bytes=None if answer is None else answer.body.size,
    )


def _at(numbers: list[Any], index: int) -> int:
    return int(numbers[index]) if index < len(numbers) else 0


def _text(value: bytes) -> str:
    """Bytes of a header: UTF-8 where it is, else each byte its character."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _body(answer: Response) -> str | None:
    """The beginning of a body, where it is a text."""
    data = answer.body.data[:EXCERPT_BYTES]
    if answer.body.undecoded or b"\0" in data:
        return None
    return data.decode("utf-8", "replace")
