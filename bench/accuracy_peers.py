"""Two peers on the same answers: Diffy's rule and a plain A/A' filter. Their places are made here, from parsed JSON and raw headers.

Diffy counts, for each field path without indexes, the requests in which primary and candidate differ (``raw``) and those in which
primary and secondary do (``noise``), and shows the field when raw > noise, their relative difference is above 20 % and their absolute
difference above 0.03 % of all requests. A plain filter shows what ever differs between the versions and never between two of one.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import lru_cache
from typing import Any, cast

from bench.accuracy_wire import Answer, step, tags

RELATIVE, ABSOLUTE = 20.0, 0.03
"""Diffy's thresholds, in per cent."""
FAILED = "status"


def diffy(raw: int, noise: int, total: int) -> bool:
    """Whether Diffy shows a field with these counts."""
    if raw <= noise or not total:
        return False
    apart = abs(raw - noise)
    return apart / (raw + noise) * 100 > RELATIVE and apart / total * 100 > ABSOLUTE


def plain(raw: int, noise: int) -> bool:
    """Whether a plain A/A' filter shows a field with these counts."""
    return raw > 0 and noise == 0


class Peers:
    """Counts of one endpoint: add the first three answers to each exchange, then ask."""

    def __init__(self) -> None:
        self.raw: Counter[str] = Counter()
        self.noise: Counter[str] = Counter()
        self.total = 0

    def add(self, primary: Answer, secondary: Answer, candidate: Answer) -> None:
        """One exchange."""
        self.total += 1
        self.raw.update(differing(primary, candidate))
        self.noise.update(differing(primary, secondary))

    def diffy(self) -> frozenset[str]:
        """Places that Diffy shows."""
        return frozenset(p for p, raw in self.raw.items() if diffy(raw, self.noise[p], self.total))

    def plain(self) -> frozenset[str]:
        """Places that the filter shows."""
        return frozenset(p for p, raw in self.raw.items() if plain(raw, self.noise[p]))


def differing(one: Answer, two: Answer) -> frozenset[str]:
    """Places without indexes at which two answers differ."""
    if one == two:
        return frozenset()
    if one.failed or two.failed:
        return frozenset((FAILED,)) if one.failed != two.failed else frozenset()
    found: set[str] = set()
    if one.status != two.status:
        found.add("status")
    if one.headers != two.headers:
        left, right = headers(one), headers(two)
        found.update(f"header:{name}" for name in left.keys() | right.keys() if left.get(name) != right.get(name))
    if one.body != two.body:
        found |= bodies(one.body, two.body)
    return frozenset(found)


def headers(answer: Answer) -> dict[str, list[bytes]]:
    """Values by lower-case name; what belongs to the connection is left out, as a proxy does."""
    found: dict[str, list[bytes]] = {}
    for name, value in answer.headers:
        found.setdefault(name.lower().decode("latin-1"), []).append(value)
    return {
        name: values for name, values in found.items() if name not in {"connection", "keep-alive", "transfer-encoding"}
    }


def bodies(one: bytes, two: bytes) -> set[str]:
    """Places of two bodies: by path in JSON, by tag in HTML, else the body as a whole."""
    found: set[str] = set()
    left, right = parsed(one), parsed(two)
    if left is not None and right is not None:
        walk(left[0], right[0], "body:$", found)
        return found
    if b"<html" in one[:300].lower() and b"<html" in two[:300].lower():
        old, new = tags(one), tags(two)
        return {f"body:{path}" for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    return {"body"}


@lru_cache(maxsize=64)
def parsed(body: bytes) -> tuple[Any] | None:
    """A JSON value in a tuple; None for anything else."""
    try:
        return (json.loads(body),)
    except (ValueError, RecursionError):
        return None


def walk(one: Any, two: Any, path: str, found: set[str]) -> None:
    """Differences the way Diffy names them: primitive, type, missing and extra fields, ordering, sequence size, element by element."""
    if type(one) is not type(two):
        found.add(path)
    elif isinstance(one, dict):
        left, right = cast("dict[str, Any]", one), cast("dict[str, Any]", two)
        for key in left.keys() | right.keys():
            if key not in left or key not in right:
                found.add(path + step(key))
            else:
                walk(left[key], right[key], path + step(key), found)
    elif isinstance(one, list):
        items, others = cast("list[Any]", one), cast("list[Any]", two)
        if items == others:
            return
        texts = (
            sorted(json.dumps(item, sort_keys=True) for item in items),
            sorted(json.dumps(item, sort_keys=True) for item in others),
        )
        if len(items) != len(others) or texts[0] == texts[1]:
            found.add(path)
        else:
            for left, right in zip(items, others, strict=True):
                walk(left, right, path + "[*]", found)
    elif one != two:
        found.add(path)
