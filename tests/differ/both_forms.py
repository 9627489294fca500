"""What the comparison says of many pairs, a digest a line: a program for the tests of the compiled form, run once in each.

``python both_forms.py FOLDER SEED``: FOLDER holds the compiled modules, or is empty for the pure form.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson

import differ

if sys.argv[1]:
    differ.__path__.insert(0, sys.argv[1])

from bench.comparing import CONTEXT, SIZES, cases
from differ import walk
from differ.compare import compare
from differ.context import Context
from differ.rules import Rulebook
from echolane.exchange import Body, Response
from echolane.rules import IGNORE_ORDER, TOLERANCE, Rule

CORPUS = [path.read_bytes() for path in sorted(Path(__file__).with_name("corpus").iterdir())]
MEDIA = (
    "application/json",
    "text/html",
    "text/csv",
    "application/xml",
    "text/plain",
    "application/x-www-form-urlencoded",
    "",
)
LEAVES = (
    0,
    1,
    1.0,
    True,
    False,
    None,
    -1.5,
    8001,
    8002,
    1_795_428_000,
    10**20,
    0.1,
    "",
    "a",
    "a,b",
    "b,a",
    "é",
    "12 ms",
    "127.0.0.1:8001",
    "http://localhost:8002/a",
    "5d9d5f7a-0000-4000-8000-000000000000",
    "2026-11-23T10:00:00Z",
    "deadbeef00",
    f"00-{'a' * 32}-{'b' * 16}-00",
)
KEYS = ("id", "name", "price_ms", "a", "b", "x y", "items", "X-Lane", "user_id")
DRAWN = 32
"""Characters of a key that is drawn anew."""
TREES, EDITS = 1500, 4
BOX_S = 60.0
"""How long a comparison may take: no form gives up before the other because the machine is busy."""
RULES = [
    Rule("numbers", where="body:$.**.price_ms", matcher=TOLERANCE, relative=0.5),
    Rule("names", where="body:$.**.name"),
    Rule("lists", where="body:$.**.items", matcher=IGNORE_ORDER),
]


def fresh(chance: random.Random) -> str:
    """A key that is drawn anew."""
    return f"{chance.getrandbits(4 * DRAWN):0{DRAWN}x}"


def tree(chance: random.Random, depth: int = 0) -> Any:
    """Any JSON value of a few members."""
    kind = chance.random()
    if depth > 3 or kind < 0.35:
        return chance.choice(LEAVES)
    if kind < 0.42:
        return {fresh(chance): tree(chance, depth + 1) for _ in range(chance.randrange(4))}
    if kind < 0.7:
        return {chance.choice(KEYS): tree(chance, depth + 1) for _ in range(chance.randrange(6))}
    if kind < 0.85:
        return [
            {"id": n, **{chance.choice(KEYS[1:]): tree(chance, depth + 2) for _ in range(3)}}
            for n in range(chance.randrange(7))
        ]
    return [tree(chance, depth + 1) for _ in range(chance.randrange(6))]


def edited(value: Any, chance: random.Random) -> Any:
    """The same with one thing changed somewhere."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        rest = {name: item for name, item in value.items() if name != key or chance.random() < 0.9}
        if key not in rest:
            return rest
        name = fresh(chance) if len(key) == DRAWN and chance.random() < 0.7 else key
        return {name if one == key else one: edited(item, chance) if one == key else item for one, item in rest.items()}
    if isinstance(value, list) and value and chance.random() < 0.9:
        place = chance.randrange(len(value))
        if chance.random() < 0.2:
            return chance.sample(value, len(value))
        return [*value[:place], *([edited(value[place], chance)] * chance.choice((1, 1, 1, 0, 2))), *value[place + 1 :]]
    return tree(chance, 3)


def written(value: Any, chance: random.Random) -> bytes:
    """A value as one server or another writes it."""
    if chance.random() < 0.7:
        try:
            return orjson.dumps(value)
        except TypeError:  # integers beyond 64 bits
            pass
    return json.dumps(value, indent=chance.choice((None, None, 1)), ensure_ascii=chance.random() < 0.5).encode()


def pairs(chance: random.Random) -> Iterator[tuple[bytes, bytes]]:
    """Bodies of the benchmark, of the corpus of poison, and trees with changes."""
    for items in (SIZES["1 KB"], SIZES["10 KB"]):
        yield from cases(items).values()
    for one, two in zip(CORPUS, CORPUS[1:], strict=False):
        at = chance.randrange(len(one) + 1)
        yield one, two
        yield one, one[:at] + b"7" + one[at + 1 :]
    for _ in range(TREES):
        old = new = tree(chance)
        for _ in range(chance.randrange(1, EDITS)):
            new = edited(new, chance)
        yield written(old, chance), written(new, chance)


def main() -> None:
    """Compare all pairs, plainly and with rules."""
    chance = random.Random(int(sys.argv[2]))
    plain = Context(time_s=BOX_S)
    known = msgspec.structs.replace(CONTEXT, time_s=BOX_S)
    ruled = msgspec.structs.replace(known, lens=Rulebook(RULES).lens("GET /items", 200))
    print(Path(walk.__file__).suffix)
    for one, two in pairs(chance):
        media = chance.choice(MEDIA) if one[:1] not in {b"{", b"["} else MEDIA[0]
        headers = [
            (b"Content-Type", media.encode()),
            (b"ETag", b'"%x"' % chance.randrange(9)),
            (b"X-Time", b"%d ms" % chance.randrange(3)),
        ]
        old, new = (Response(200, "1.1", headers, Body(data, len(data))) for data in (one, two))
        for context in (plain, known, ruled):
            print(msgspec.json.encode(compare(old, new, context)).decode())


if __name__ == "__main__":
    main()
