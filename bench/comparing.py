"""The differ: pairs a second on one core, two answers as bytes in and differences out, against deepdiff, jsondiff and jsonpatch."""

from __future__ import annotations

import importlib
import importlib.util
import random
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import orjson

from bench.forms import CompiledForm, compiled_form
from bench.parts import Table, median
from bench.peers import how
from bench.pool import count
from differ.compare import compare
from differ.context import Context
from differ.echoes import Own
from differ.rows import RowMaker
from differ.worker import BATCH_BYTES, BATCH_ROWS
from echolane.exchange import Body, Response
from echolane.masks import Masker
from echolane.observation import ANSWERED, BASE, BRANCH, Observation, Shot, TargetInfo
from echolane.recordings import Recording
from echolane.runspec import RunSpec
from echolane.settings import Differ

HEADERS = [
    (b"Content-Type", b"application/json"),
    (b"Date", b"Mon, 23 Nov 2026 10:00:00 GMT"),
    (b"Server", b"bench"),
    (b"Cache-Control", b"no-store"),
    (b"Vary", b"Accept, Origin"),
]
SIZES = {"1 KB": 5, "10 KB": 47, "100 KB": 472}
CASES = (
    *("identical", "one noisy field", "many changes", "keyed reorder"),
    *("shuffled arrays", "arrays shuffled at every level"),
)
ROUND_S, PEER_ROUND_S, PEER_ROUNDS = 0.3, 0.3, 5
CHECKED = 100
"""Pairs of which the comparison is checked before it is measured."""
BOUND = "orjson.loads twice and =="
ROW = "echolane with the result row"
COMPILED = "echolane compiled"
MASKS, MASKS_AGAIN = "masking both, µs", "masking both again, µs"
LIBRARIES = ("deepdiff", "jsonpatch", "jsondiff")
NOW_NS = 1_795_428_000_000_000_000
CONTEXT = Context(
    own=(Own((b"127.0.0.1:8001", b"localhost:8001"), "8001"), Own((b"127.0.0.1:8002", b"localhost:8002"), "8002")),
    now_ns=(NOW_NS, NOW_NS),
)
"""What a run gives the differ: what each target may echo of itself, when it answered, the default bounds."""


Pair = tuple[bytes, bytes]


def document(items: int, seed: int = 7) -> list[dict[str, Any]]:
    """A list of items with many small values, about 215 bytes each: five are 1 KB, 47 are 10 KB."""
    chance = random.Random(seed)
    return [
        {
            "id": n,
            "sku": f"{chance.getrandbits(48):012x}",
            "name": f"item number {n}",
            "price": round(chance.random() * 100, 2),
            "stock": chance.randrange(100),
            "tags": ["alpha", "beta", f"t{n % 9}"],
            "dim": {"w": n % 7, "h": n % 5, "unit": "cm"},
            "active": n % 3 == 0,
            "note": None,
            "rating": n % 10 / 2,
            "updated": f"2026-11-{1 + n % 28:02}T{n % 24:02}:{chance.randrange(60):02}:00Z",
        }
        for n in range(items)
    ]


def pair(case: str, items: int, seed: int = 7) -> Pair:
    """The two bodies of a case."""
    old, new = arrays(case, items, seed) if "arrays" in case else objects(case, items, seed)
    return text(old), text(new)


def objects(case: str, items: int, seed: int) -> tuple[list[Any], list[Any]]:
    """Lists of objects that have ids, in which this changed."""
    old, new = document(items, seed), document(items, seed)
    if case == "one noisy field":
        new[items // 2]["sku"] = "ffffffffffff"
    elif case == "many changes":
        for n in range(0, items, 3):
            new[n]["price"] = -1.5
            new[n]["dim"]["w"] = 99
    elif case == "keyed reorder":
        chance = random.Random(seed - 4)
        while new == old:
            chance.shuffle(new)
    return old, new


def arrays(case: str, items: int, seed: int) -> tuple[list[Any], list[Any]]:
    """Arrays without keys: rows of numbers in another order, and with the order of each row's numbers changed too."""
    chance = random.Random(seed - 2)
    rows = [[chance.randrange(10**6) for _ in range(30)] for _ in range(items)]
    shuffled = rows
    while shuffled == rows:
        shuffled = chance.sample(rows, len(rows))
    return rows, [chance.sample(row, len(row)) for row in shuffled] if "every level" in case else shuffled


def text(value: object) -> bytes:
    """JSON that takes no more room than it is long; what the writer returns takes several times as much."""
    return bytes(bytearray(orjson.dumps(value)))


def cases(items: int) -> dict[str, Pair]:
    """A pair of bodies by what became of them."""
    return {case: pair(case, items) for case in CASES}


def pairs_of(size: str, case: str) -> list[Pair]:
    """Distinct pairs of a case: more than any memory holds (:mod:`bench.pool`), in an order that everybody has alike."""
    items = SIZES[size]
    return [pair(case, items, seed) for seed in range(7, 7 + count(len(orjson.dumps(document(items)))))]


def answer(data: bytes, number: int) -> Response:
    """The n-th answer with headers, its request id and body its own."""
    return Response(
        200, "1.1", [*HEADERS, (b"X-Request-Id", b"%08x" % number)], Body(bytes(bytearray(data)), len(data))
    )


def answers(pairs: Sequence[Pair]) -> list[tuple[Response, Response]]:
    """Both answers of every pair; they have the same headers."""
    return [(answer(old, number), answer(new, number)) for number, (old, new) in enumerate(pairs)]


def ours(pairs: Sequence[Pair]) -> Callable[[], object]:
    """Our comparison with the headers of both answers, as the worker calls it; one that gives up is an error."""
    both = answers(pairs)
    for (one, two), (old, new) in zip(both[:CHECKED], pairs, strict=False):
        found = compare(one, two, CONTEXT)
        if found.uncomparable or bool(found.differences) != (old != new):
            raise RuntimeError(f"{found.uncomparable or 'wrong'}: {len(found.differences)} differences")
    take = cycle(both).__next__
    return lambda: compare(*take(), CONTEXT)


def with_row(pairs: Sequence[Pair]) -> Callable[[], object]:
    """The comparison and its result row, a batch taken when the worker would take it.

    Equal answers come from the replayer marked as such; here they are compared all the same.
    """
    infos = [TargetInfo(f"http://127.0.0.1:{port}") for port in (8001, 8001, 8002, 8002)]
    maker = RowMaker(RunSpec("r", "bench", Recording("r", "bench", 0, "everything", []), infos), Differ())
    again, other = Shot(ANSWERED, "", None, BASE), Shot(ANSWERED, "", None, BRANCH)
    work: list[tuple[Observation, tuple[Response, Response] | None]] = []
    for (one, two), (old, new) in zip(answers(pairs), pairs, strict=True):
        first = Shot(ANSWERED, "", one)
        shots = [first, again, again, again] if old == new else [first, again, Shot(ANSWERED, "", two), other]
        observation = Observation("e" * 36, 1, 1, "GET /items", "GET", "/items?n=1", 200, NOW_NS, shots)
        work.append((observation, (one, two) if old == new else None))
    take = cycle(work).__next__

    def call() -> None:
        observation, equal = take()
        if equal:
            compare(*equal, CONTEXT)
        maker.add(observation, 0, 1)
        if len(maker) >= BATCH_ROWS or maker.bytes >= BATCH_BYTES:
            maker.take()

    return call


def masking(pairs: Sequence[Pair]) -> Callable[[], object]:
    """What masks cost before: the replayer masks each answer of its own bytes once."""
    masker, take = Masker(b"m" * 32), cycle(answers(pairs)).__next__

    def call() -> None:
        one, two = take()
        masker.response(one)
        masker.response(two)

    return call


def bound(pairs: Sequence[Pair]) -> Callable[[], object]:
    """What no Python differ can beat once bytes differ."""
    take = cycle(pairs).__next__

    def call() -> bool:
        old, new = take()
        return orjson.loads(old) == orjson.loads(new)

    return call


def peers(pairs: Sequence[Pair]) -> dict[str, Callable[[], object]]:
    """The peers that are installed, given what they need: parsed bodies."""

    def called(function: Callable[[Any, Any], object]) -> Callable[[], object]:
        take = cycle(pairs).__next__

        def call() -> object:
            old, new = take()
            return function(orjson.loads(old), orjson.loads(new))

        return call

    found: dict[str, Callable[[], object]] = {}
    for name, function in (("deepdiff", "DeepDiff"), ("jsonpatch", "make_patch"), ("jsondiff", "diff")):
        if importlib.util.find_spec(name):
            found[name] = called(getattr(importlib.import_module(name), function))
    return found


def per_s(call: Callable[[], object], seconds: float) -> float:
    """Calls a second of CPU time, in growing handfuls so that reading the clock costs nothing."""
    count, handful, begun = 0, 1, time.process_time()
    while True:
        for _ in range(handful):
            call()
        count += handful
        spent = time.process_time() - begun
        if spent > seconds:
            return count / spent
        handful = min(handful * 2, max(1, int(count / max(spent, 1e-6) * seconds / 8)))


def measured(size: str, case: str, pairs: Sequence[Pair], rounds: int, fast: CompiledForm | str) -> dict[str, float]:
    """Medians of everybody, interleaved."""
    calls = {
        "echolane": ours(pairs),
        BOUND: bound(pairs),
        ROW: with_row(pairs),
        MASKS: masking(pairs),
        MASKS_AGAIN: masking(pairs[:1]),
        **peers(pairs),
    }
    if size == "100 KB" or (size == "10 KB" and case.startswith("arrays")):
        calls.pop("jsondiff", None)  # many seconds a pair
    rates: dict[str, list[float]] = {name: [] for name in calls}
    if isinstance(fast, CompiledForm):
        rates[COMPILED] = []
    for number in range(rounds):
        if isinstance(fast, CompiledForm):
            rates[COMPILED].append(fast.per_s(size, case))
        for name, call in calls.items():
            if name not in LIBRARIES:
                rates[name].append(per_s(call, ROUND_S))
            elif number < PEER_ROUNDS:
                rates[name].append(per_s(call, PEER_ROUND_S))
    return {name: median(values) for name, values in rates.items()}


def table(rounds: int = 5) -> Table:
    """All cases and sizes, interleaved."""
    head = [
        "pair",
        "echolane",
        COMPILED,
        ROW,
        BOUND,
        *LIBRARIES,
        "echolane ÷ bound",
        "÷ deepdiff",
        "÷ jsonpatch",
        "compiled ÷ echolane",
        "÷ bound",
        "÷ deepdiff",
        MASKS,
        MASKS_AGAIN,
    ]
    out = Table("3. Differ, pairs a second of CPU time", head)
    fast = compiled_form()
    try:
        for size in SIZES:
            for case in CASES:
                found = measured(size, case, pairs_of(size, case), rounds, fast)
                cells = [shown(found.get(name)) for name in ("echolane", COMPILED, ROW, BOUND, *LIBRARIES)]
                cells += [over(found, "echolane", name) for name in (BOUND, "deepdiff", "jsonpatch")]
                cells += [over(found, COMPILED, name) for name in ("echolane", BOUND, "deepdiff")]
                out.rows.append(
                    [f"{size} {case}", *cells, *[f"{1e6 / found[name]:,.0f}" for name in (MASKS, MASKS_AGAIN)]]
                )
    finally:
        if isinstance(fast, CompiledForm):
            fast.close()
    lacking = [name for name in LIBRARIES if not importlib.util.find_spec(name)]
    out.notes += [f"{name} is not here: {how(name)}" for name in lacking]
    if isinstance(fast, str):
        out.notes.append(f"the compiled form is not here: {fast}")
    out.notes += [
        f"{COMPILED}: the same source with its hot modules as C extensions, in a process of its own, round by round beside the others",
        "echolane compares status, headers and body, masks what a target echoes of itself and classes every value; the peers get two bodies and parse them",
        f"{ROW}: with the row that the store gets, and samples of differences; masks are put on answers before, by the replayer, once per distinct answer",
        "everybody is given the same distinct pairs in a circle: "
        f"{', '.join(f'{count(len(orjson.dumps(document(items)))):,} of {size}' for size, items in SIZES.items())}, more than the masker remembers (of answers up to 64 KB); "
        f"{MASKS_AGAIN}: one pair again and again, which it remembers",
        f"the peers have at most {PEER_ROUNDS} rounds; jsondiff is left out where one pair takes it many seconds",
    ]
    return out


def over(found: dict[str, float], one: str, other: str) -> str:
    """How many times faster one is than another; empty where either was not measured."""
    ratio = found[one] / found[other] if one in found and other in found else 0.0
    return f"{ratio:,.2f}" if 0 < ratio < 10 else f"{ratio:,.0f}" if ratio else ""


def shown(rate: float | None) -> str:
    """A rate with as many digits as it deserves."""
    return "" if rate is None else f"{rate:,.0f}" if rate >= 10 else f"{rate:.2f}"
