"""Services that draw a value once and keep it, base against itself: copies of a draw are no evidence, and no run may fail by them."""

from __future__ import annotations

import random
from collections.abc import Callable

from bench.accuracy_harness import Four, judged, verdict
from bench.accuracy_report import Permuted
from bench.accuracy_wire import Answer

EXCHANGES = 160
PORTS = (9001, 9002, 9003, 9004)
GAP_NS = 20_000_000
"""Between two exchanges."""
JSON = ((b"Content-Type", b"application/json"),)
KEPT: dict[str, tuple[Callable[[int], int], int, int]] = {
    "for each of 4 requests, of 3 values": (lambda n: n % 4, 4, 3),
    "for each of 8 requests, of 2 values": (lambda n: n % 8, 8, 2),
    "for each of 20 requests, of 3 values": (lambda n: n % 20, 20, 3),
    "for each of 40 requests, of 4 values": (lambda n: n % 40, 40, 4),
    "for each of 6 requests for 10 exchanges, of 3 values": (lambda n: n % 6 + 6 * (n // 60), 6, 3),
    "for 20 exchanges whatever is asked, of 3 values": (lambda n: n // 20, EXCHANGES, 3),
    "for each answer, of 2 values": (lambda n: n, 8, 2),
}
"""For which part of the exchanges an instance draws one value, after how many exchanges requests come again, and how many values there are."""


def kept(count: int, seed: str) -> Permuted:
    """Simulated runs of each service."""
    out = Permuted()
    for name in KEPT:
        for number in range(count):
            found = judged(exchanges(name, f"{seed}/{name}/{number}"), PORTS)
            out.count(name, verdict(found))
            if verdict(found) == "fail":
                first = found.of("regression")[0]
                out.shown.append(f"{name}, run {number}: {first.where} {first.kind} ({first.basis}) {first.why}")
    return out


def exchanges(name: str, seed: str) -> list[Four]:
    """One run: four instances with values of their own."""
    part, requests, choices = KEPT[name]
    return [
        Four(
            "GET /x/{id}",
            "GET",
            f"/x/{n % requests}",
            [
                answer(random.Random(f"{seed} {instance} {part(n)}").randrange(choices))
                for instance in range(len(PORTS))
            ],
            [1_790_000_000_000_000_000 + n * GAP_NS] * len(PORTS),
        )
        for n in range(EXCHANGES)
    ]


def answer(value: int) -> Answer:
    """What an instance says that has drawn this value."""
    body = b'{"id": 7, "region": "region-%c"}' % (ord("a") + value)
    return Answer(200, (*JSON, (b"Content-Length", b"%d" % len(body))), body)
