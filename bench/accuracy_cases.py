"""One case of the accuracy bench: an endpoint, its noise, a change at a rate; simulated as the four answers to each exchange.

All chance of a case comes from its seed. Exchanges ask for different entities (:func:`entity`), so values differ between exchanges
as they do in traffic; a change is a rule of the new version, so branch and its control show it in the same exchanges, unless it is flaky.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache

from bench.accuracy_answers import Sample
from bench.accuracy_messages import NEEDS
from bench.accuracy_mutations import HARMLESS, KINDS, Mutation, Pick
from bench.accuracy_noise import PROFILES, Instance, Moment, Noise, instances, moment
from bench.accuracy_wire import Answer, put, sealed, spans

ENTITIES = 40
"""Different things an endpoint is asked for in one case."""
BYTES_MAX = 1_000_000
"""Of the answers of one target in one case, where an answer that small suits: a thousand exchanges of a long list are no other evidence than
a thousand of a short one, and take a minute."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How many exchanges a case has and in how many the change shows."""

    name: str
    exchanges: int
    changed: int
    others: int = 0
    """Exchanges of other endpoints around it, one each, with the same noise: a run of many endpoints that are seen once."""


SHAPES = (
    Shape("1 of 1", 1, 1, 14),
    Shape("100 %", 30, 30),
    Shape("50 %", 40, 20),
    Shape("10 %", 200, 20),
    Shape("1 %", 200, 2),
    Shape("1 in 1,000", 1000, 1),
)


@dataclass(frozen=True, slots=True)
class Case:
    """What is simulated."""

    seed: str
    kind: str
    """Name of a mutation; empty when nothing is planted."""
    shape: Shape
    profile: str
    sample: Sample
    pick: Pick | None = None
    others: tuple[Sample, ...] = ()

    @property
    def noise(self) -> tuple[str, ...]:
        """Names of its sources of noise: those of the profile, and what the mutation needs."""
        names = PROFILES[self.profile]
        return (*names, *[name for name in needs(KINDS[self.kind]) if name not in names]) if self.kind else names


@dataclass(frozen=True, slots=True)
class Exchange:
    """The four answers to one request."""

    number: int
    at: Moment
    sample: Sample
    answers: tuple[Answer, Answer, Answer, Answer]
    planted: bool
    also: frozenset[str]
    """Headers that changed with what was planted: a length, a digest."""


def needs(mutation: Mutation) -> tuple[str, ...]:
    """Sources that must be there for a mutation."""
    found = [name for start, names in NEEDS.items() if mutation.name.startswith(start) for name in names]
    return (*mutation.needs, *found)


def drawn(seed: str, kind: str, shape: Shape, samples: Sequence[Sample]) -> Case | None:
    """A case of a kind: profile, answer and place by chance, each service as likely as any; None where no answer suits."""
    chance = random.Random(seed)
    profile = chance.choice(sorted(PROFILES))
    if profile == "flapping" and kind.startswith(("status-", "failure-")):
        profile = "clock"  # a status that flaps by itself is another question than one that changed
    order = spread(samples, chance)
    order.sort(
        key=lambda sample: len(sample.answer.body) * shape.exchanges > BYTES_MAX
    )  # stable: chance decides among equals
    case = Case(seed, kind, shape, profile, order[0], None, tuple(order[-shape.others :]) if shape.others else ())
    if not kind:
        return case
    mutation, noise = KINDS[kind], Noise(tuple(name for name in case.noise if name != "status"))
    quiet = not needs(mutation)
    for sample in order:
        probe = instances(random.Random(seed))[0]
        answer = sealed(noise.put(sample.answer, probe, moment(0, random.Random(seed))), etag=noise.etag)
        pick = mutation.pick(answer, chance, frozenset(map(noise.place, case.noise)) if quiet else frozenset())
        if pick is not None:
            return replace(
                case, sample=sample, pick=pick, others=tuple(one for one in case.others if one is not sample)
            )
    return None


def spread(samples: Sequence[Sample], chance: random.Random) -> list[Sample]:
    """All samples in a random order in which services take turns: one with hundreds of answers is no more likely than another."""
    services: dict[str, list[Sample]] = {}
    for sample in chance.sample(samples, len(samples)):
        services.setdefault(sample.service, []).append(sample)
    queues = chance.sample(list(services.values()), len(services))
    return [queue[turn] for turn in range(max(map(len, queues))) for queue in queues if turn < len(queue)]


def simulated(case: Case, *, plant: bool = True) -> Iterator[Exchange]:
    """The exchanges of a case in their order; without ``plant`` the very same ones with nothing changed in them.

    What each instance of branch does now and then is no change where those of base do so as well: without ``plant`` all four do.
    """
    chance = random.Random(case.seed + " run")
    four, noise = instances(chance), Noise(case.noise)
    calm = Noise(tuple(name for name in case.noise if name != "status"))
    mutation = KINDS.get(case.kind)
    planted = chosen(case, mutation, random.Random(case.seed + " planted"))
    rate = case.shape.changed / case.shape.exchanges
    for number in range(case.shape.exchanges + len(case.others)):
        at, own = moment(number, chance), number < case.shape.exchanges
        sample = case.sample if own else case.others[number - case.shape.exchanges]
        base = entity(sample.answer, number % ENTITIES)
        # Where the new version shows the change, no instance happens to be out of order.
        plain = [(calm if number in planted else noise).put(base, inst, at) for inst in four]
        made = [sealed(answer, etag=noise.etag) for answer in plain]
        also, shows = frozenset[str](), False
        for inst in changing(four, mutation, plant=plant, planted=number in planted) if own else ():
            # Another process may or may not run into a race; a rule holds in both.
            if mutation is None or case.pick is None or (mutation.flaky and chance.random() >= rate):
                continue
            new = _changed(mutation, case.pick, made[inst.index], inst, f"{case.seed} {number}")
            new = (
                sealed(new, etag=noise.etag and mutation.name != "etag-missing")
                if new.body != made[inst.index].body
                else new
            )
            if new != made[inst.index]:
                shows, also = True, also | _with_it(made[inst.index], new)
                made[inst.index] = new
        yield Exchange(number, at, sample, (made[0], made[1], made[2], made[3]), shows, also)


def changing(four: list[Instance], mutation: Mutation | None, *, plant: bool, planted: bool) -> list[Instance]:
    """The instances that may show a change in an exchange."""
    if mutation is None or not (mutation.flaky or (plant and planted)):
        return []
    return four[2:] if plant else four


def chosen(case: Case, mutation: Mutation | None, chance: random.Random) -> frozenset[int]:
    """Exchanges whose answers show the change: among those whose entity has what the mutation changes."""
    if mutation is None or case.pick is None:
        return frozenset()
    fits = [True] * ENTITIES
    if not needs(mutation):
        found = [entity(case.sample.answer, n) for n in range(min(ENTITIES, case.shape.exchanges))]
        fits = [mutation.change(one, case.pick, random.Random(1)) != one for one in found]
    able = [number for number in range(case.shape.exchanges) if fits[number % ENTITIES]]
    return frozenset(chance.sample(able, min(len(able), case.shape.changed)))


def _changed(mutation: Mutation, pick: Pick, answer: Answer, inst: Instance, seed: str) -> Answer:
    if answer.failed or (pick.places != ("status",) and answer.status == 503):
        return answer
    return mutation.change(answer, pick, inst.chance if mutation.own else random.Random(seed))


def _with_it(old: Answer, new: Answer) -> frozenset[str]:
    """Headers that follow from what changed."""
    names = {key.lower() for key, _ in (*old.headers, *new.headers)}
    lines = [{name: [v for k, v in answer.headers if k.lower() == name] for name in names} for answer in (old, new)]
    found = {f"header:{name.decode('latin-1')}" for name in names if lines[0][name] != lines[1][name]}
    # Another status or form of the body is one cause: what else became of the answer is its symptom.
    return frozenset(found | ({"body", "status"} if old.status != new.status or new.failed else set()))


_INT = re.compile(rb"\d{2,12}")
_FLOAT = re.compile(rb"\d{1,9}\.\d+")
_HEX = re.compile(rb'"[0-9a-f]{8,}"|"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"')
_DATE = re.compile(rb'"(\d{4}-\d\d-\d\d)')


@lru_cache(maxsize=512)
def entity(answer: Answer, number: int) -> Answer:
    """The same kind of answer for another thing: numbers, hashes, dates and sentences differ, everything else stays."""
    root = spans(answer.body)
    if root is None or not number:
        return answer
    edits: list[tuple[int, int, bytes]] = []
    for span in root.walk():
        raw = span.raw(answer.body) if span.kind in {"number", "string"} else b""
        if _INT.fullmatch(raw) and span.key not in {"status", "code", "page", "per_page", "version"}:
            new = str(int(raw) + 13 * number).encode()
        elif _FLOAT.fullmatch(raw):
            whole, _, rest = raw.partition(b".")
            new = str(int(whole) + number).encode() + b"." + rest
        elif _HEX.fullmatch(raw):
            chance = random.Random(raw.decode() + str(number))
            new = re.sub(rb"[0-9a-f]", lambda _, c=chance: b"0123456789abcdef"[(n := c.randrange(16)) : n + 1], raw)
        elif found := _DATE.match(raw):
            new = b'"' + _later(found[1].decode(), number).encode() + raw[11:]
        elif raw.count(b" ") > 1 and raw.isascii() and b"\\" not in raw and b"<" not in raw:
            words = raw[1:-1].split(b" ")
            turn = number % len(words)
            new = b'"' + b" ".join(words[turn:] + words[:turn]) + b'"'
        else:
            continue
        edits.append((span.start, span.end, new))
    return replace(answer, body=put(answer.body, edits))


def _later(text: str, days: int) -> str:
    try:
        return (date.fromisoformat(text) + timedelta(days=days)).isoformat()
    except (ValueError, OverflowError):
        return text


def harmless(case: Case) -> bool:
    """Whether a finding would be a false alarm wherever it is."""
    return not case.kind or (case.pick is not None and case.pick.promise == HARMLESS)
