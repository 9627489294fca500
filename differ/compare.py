"""Compare two answers: status, headers, cookies, body. Equal bytes first, then meaning, then structure."""

from __future__ import annotations

import msgspec

from differ.bodies import body
from differ.context import Context
from differ.derived import settle_digests, stated
from differ.difference import PRESENCE, TYPE, Difference
from differ.fields import headers, trailers
from differ.renaming import mark
from differ.sink import Change, Sink, TooMuch
from echolane.exchange import Response


class Compared(msgspec.Struct, gc=False):
    """What a comparison found, or why it could not be made."""

    differences: list[Difference]
    uncomparable: str = ""


def compare(left: Response | str, right: Response | str, context: Context) -> Compared:
    """Differences between two answers; a text stands for a failed answer and is its reason. Never raises."""
    own = context.own
    make = Sink if context.lens is None else context.lens.sink
    sink = make(context.now_ns, (own[0].port, own[1].port) if own[0].port else None, own[0].number)
    if isinstance(left, str) or isinstance(right, str):
        if left != right:
            old = left if isinstance(left, str) else left.status
            new = right if isinstance(right, str) else right.status
            sink.add("status", Change("failure", PRESENCE, old, new, f"{old}>{new}"))
        reason = sink.settle()
        return Compared(sink.differences(), reason)
    try:
        _answers(sink, left, right, context)
        reason = sink.settle() if context.lens is not None else ""
    except TooMuch as error:
        return Compared(sink.differences(), str(error))
    except RecursionError:
        return Compared(sink.differences(), "too-deep")
    except (ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as error:
        # A poisonous answer costs its own verdict, never the run's.
        return Compared(sink.differences(), f"error-{type(error).__name__}")
    return Compared(sink.differences() if sink.found else [], reason)


def _answers(sink: Sink, left: Response, right: Response, context: Context) -> None:
    if left.status != right.status:
        sink.add("status", Change("status", TYPE, left.status, right.status, f"{left.status}>{right.status}"))
    if left.headers != right.headers:
        headers(sink, left, right, context)
    if left.incomplete != right.incomplete:
        values = ("truncated", "whole") if left.incomplete else ("whole", "truncated")
        sink.add("body", Change("truncated", PRESENCE, *values, "truncated"))
    if left.trailers != right.trailers:
        trailers(sink, left, right, context)
    if left.body.size != right.body.size:
        stated(sink, left, right, context)
    if context.method != "HEAD":
        body(sink, left, right, context)
        if sink.found:
            settle_digests(sink, left, right)
            mark(sink, left, right, context)
