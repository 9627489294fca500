"""Base against itself under random labels: any of its four answers may be called branch, and no run may fail.

Two ways: whole instances change their names (what is constant in an instance stays with it), and the four answers of each exchange are
shuffled by themselves. Both are true nulls: all four are one version.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bench.accuracy_answers import INSTANCES, kept, read
from bench.accuracy_harness import Four, judged, verdict
from bench.accuracy_report import Permuted
from bench.accuracy_wire import Answer
from echolane.templating import Templates

PORT = 9000
"""All instances are written as one where exchanges are shuffled one by one: a target has one address."""
SHARE = 0.8
"""Of the exchanges that one run takes: another part of the workload each time."""
SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Seen:
    """One request and base's four answers."""

    endpoint: str
    method: str
    target: str
    answers: tuple[Answer, ...]
    sent_ns: tuple[int, ...]


def observed(lines: list[dict[str, Any]]) -> tuple[list[Seen], list[int]]:
    """What was captured of one service, and the instances' ports."""
    templates = Templates()
    templates.learn([line["target"] for line in lines])
    found = [
        Seen(
            templates.template(line["method"], line["target"]),
            line["method"],
            line["target"],
            tuple(map(read, line["answers"])),
            tuple(one["sent_ns"] for one in line["answers"]),
        )
        for line in lines
    ]
    return found, lines[0]["ports"] if lines else []


def permuted(count: int, seed: str) -> Permuted:
    """Runs with random labels over everything that was captured."""
    services = {name: observed(lines) for name, lines in kept().items()}
    out = Permuted()
    for number in range(count if services else 0):
        chance = random.Random(f"{seed}/permutation/{number}")
        name = sorted(services)[number // 2 % len(services)]
        seen, ports = services[name]
        part = [one for one in seen if chance.random() < SHARE]
        if number % 2:
            labels = chance.sample(range(INSTANCES), INSTANCES)
            fours, own, way = relabelled(part, labels), [ports[label] for label in labels], "instances"
        else:
            fours, own, way = shuffled(part, ports, chance), [PORT] * INSTANCES, "answers"
        found = judged(fours, own)
        out.count(way, verdict(found))
        if verdict(found) == "fail" and len(out.shown) < SHOWN_MAX:
            first = found.of("regression")[0]
            out.shown.append(
                f"{name} {way} {number}: {first.endpoints[0]} {first.where} {first.kind} ({first.basis}, {first.differing} differ)"
            )
    return out


def relabelled(seen: list[Seen], labels: list[int]) -> Iterator[Four]:
    """Whole instances under other names."""
    for one in seen:
        yield Four(
            one.endpoint, one.method, one.target, [one.answers[n] for n in labels], [one.sent_ns[n] for n in labels]
        )


def shuffled(seen: list[Seen], ports: list[int], chance: random.Random) -> Iterator[Four]:
    """The answers to each request in an order of their own."""
    for one in seen:
        labels = chance.sample(range(INSTANCES), INSTANCES)
        answers = [at_one_address(one.answers[n], ports[n]) for n in labels]
        yield Four(one.endpoint, one.method, one.target, answers, [one.sent_ns[n] for n in labels])


def at_one_address(answer: Answer, port: int) -> Answer:
    """The answer of an instance as if it listened on PORT."""
    old, new = str(port).encode(), str(PORT).encode()
    pairs = tuple((name, value.replace(old, new)) for name, value in answer.headers)
    return replace(answer, headers=pairs, body=answer.body.replace(old, new))
