"""Distinct answers, more than any memory of ours holds, as a real stream has them; we and the peers get the same ones in the same order.

The masker remembers bodies that hold nothing secret. Asked for in a circle that is a quarter longer than what it remembers, none is met while
it is remembered, so what is measured is the work itself.
"""

from __future__ import annotations

import os
from pathlib import Path

from echolane.masks.masker import _CLEAN_BYTES_MAX, _CLEAN_EACH

KINDS = {"1024": 1024, "10240": 10240, "changed": 1024}
"""Size of the answers by the first part of their paths; ``changed`` is what differs between two servers."""
TOTALS = ("12.5", "13.5")
"""The field that differs, on the one and on the other."""
_MODIFIED_S = 1_790_000_000  # one validator on both servers


def count(size: int) -> int:
    """How many answers of a size make a circle that no memory helps in."""
    return 5 * _CLEAN_BYTES_MAX // (4 * (size + _CLEAN_EACH)) + 1


def path(kind: str, number: int) -> str:
    """Where the answer to the n-th request is."""
    return f"/{kind}/{number % count(KINDS[kind])}.json"


def body(size: int, number: int, total: str = TOTALS[0]) -> str:
    """An answer of exactly ``size`` bytes; its ids and prices are its own."""
    items: list[str] = []
    room = size - 80
    for n in range(10_000 + number * 200, 1 << 62):
        item = f'{{"id": {n}, "name": "an item of the list", "price": {n * 7919 % 10_000 / 100}, "tags": ["a", "b"]}}'
        room -= len(item) + 1
        if room < 0:
            break
        items.append(item)
    return f'{{"total": {total}, "items": [{",".join(items)}]}}'.ljust(size)


def write(folder: Path, total: str) -> None:
    """All answers of one server, as files for nginx; those that are there stay."""
    if folder.exists():
        return
    for kind, size in KINDS.items():
        place = folder / kind
        place.mkdir(parents=True, exist_ok=True)
        for number in range(count(size)):
            file = place / f"{number}.json"
            file.write_text(body(size, number, total if kind == "changed" else TOTALS[0]))
            os.utime(file, (_MODIFIED_S, _MODIFIED_S))


def script(kind: str, *, same: bool) -> str:
    """What wrk runs to ask for all answers of a kind in a circle, or for one again and again at the same cost."""
    return (
        "local all, n = {}, 0\n"
        f"init = function() for i = 0, {1 if same else count(KINDS[kind])} - 1 do "
        f'all[i + 1] = wrk.format("GET", "/{kind}/" .. i .. ".json") end end\n'
        "request = function() n = n % #all + 1; return all[n] end\n"
    )
