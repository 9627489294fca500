"""The differ: pairs a second on one core, two answers as bytes in and differences out, against deepdiff, jsondiff and jsonpatch."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable
from typing import Any

import orjson

from bench.parts import Table, median
from differ.compare import Context, compare
from echolane.exchange import Body, Response

HEADERS = [
    (b"Content-Type", b"application/json"),
    (b"Date", b"Mon, 23 Nov 2026 10:00:00 GMT"),
    (b"Server", b"bench"),
    (b"Cache-Control", b"no-store"),
    (b"Vary", b"Accept, Origin"),
    (b"X-Request-Id", b"5d9d5f7a"),
]
SIZES = {"1 KB": 4, "10 KB": 47, "100 KB": 472}
ROUND_S = 0.4


def document(items: int, seed: int = 7) -> list[dict[str, Any]]:
    """A list of items with many small values, about 212 bytes each."""
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
        }
        for n in range(items)
    ]


def cases(items: int) -> dict[str, tuple[bytes, bytes]]:
    """Identical, one noisy field, many changes, reordered."""
    old = document(items)
    noisy, many = copy.deepcopy(old), copy.deepcopy(old)
    noisy[items // 2]["sku"] = "ffffffffffff"
    for n in range(0, items, 3):
        many[n]["price"] = -1.5
        many[n]["dim"]["w"] = 99
    shuffled = copy.deepcopy(old)
    random.Random(3).shuffle(shuffled)
    return {
        name: (orjson.dumps(old), orjson.dumps(new))
        for name, new in (
            ("identical", old),
            ("one noisy field", noisy),
            ("many changes", many),
            ("reordered", shuffled),
        )
    }


def answer(data: bytes) -> Response:
    """An answer with headers."""
    return Response(200, "1.1", HEADERS, Body(data, len(data)))


def ours(old: bytes, new: bytes) -> Callable[[], object]:
    """Our comparison with the headers of both answers."""
    one, two = answer(old), answer(new)
    return lambda: compare(one, two, Context(time_s=30))


def bound(old: bytes, new: bytes) -> Callable[[], object]:
    """What no Python differ can beat once bytes differ."""
    return lambda: orjson.loads(old) == orjson.loads(new)


def peers(old: bytes, new: bytes) -> dict[str, Callable[[], object]]:
    """The peers that are installed."""
    found: dict[str, Callable[[], object]] = {}
    try:
        import deepdiff

        found["deepdiff"] = lambda: deepdiff.DeepDiff(orjson.loads(old), orjson.loads(new))
    except ImportError:
        pass
    try:
        import jsonpatch

        found["jsonpatch"] = lambda: jsonpatch.make_patch(orjson.loads(old), orjson.loads(new))
    except ImportError:
        pass
    try:
        import jsondiff

        found["jsondiff"] = lambda: jsondiff.diff(orjson.loads(old), orjson.loads(new))
    except ImportError:
        pass
    return found


def per_s(call: Callable[[], object], seconds: float = ROUND_S, most: int = 1_000_000) -> float:
    """Calls a second of CPU time."""
    count, begun = 0, time.process_time()
    while count < most:
        call()
        count += 1
        if time.process_time() - begun > seconds:
            break
    return count / max(1e-9, time.process_time() - begun)


def table(rounds: int = 5) -> Table:
    """All cases and sizes, interleaved."""
    names = ["echolane", "orjson ×2 + ==", "deepdiff", "jsonpatch", "jsondiff"]
    out = Table(
        "3. Differ, pairs/s of CPU time", ["case", *names, "echolane ÷ (orjson ×2 + ==)", "÷ deepdiff", "÷ jsonpatch"]
    )
    for size, items in SIZES.items():
        for case, (old, new) in cases(items).items():
            calls = {"echolane": ours(old, new), "orjson ×2 + ==": bound(old, new), **peers(old, new)}
            if size == "100 KB":
                calls.pop("jsondiff", None)  # minutes a pair
            rates: dict[str, list[float]] = {name: [] for name in calls}
            for number in range(rounds):
                for name, call in calls.items():
                    if number < 2 or name in {"echolane", "orjson ×2 + =="}:
                        rates[name].append(per_s(call))
            found = {name: median(values) for name, values in rates.items()}
            shown = [
                f"{found[name]:,.0f}" if found.get(name, 0) >= 10 else f"{found[name]:.2f}" if name in found else ""
                for name in names
            ]
            ratios = [
                f"{found['echolane'] / found[name]:.2f}" if name in found else ""
                for name in ("orjson ×2 + ==", "deepdiff", "jsonpatch")
            ]
            out.rows.append([f"{size} {case}", *shown, *ratios])
    out.notes.append(
        "echolane compares status, headers and body; the others two parsed bodies; peers have 2 rounds, the rest 5"
    )
    return out
