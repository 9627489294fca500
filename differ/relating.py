"""Ids across the exchanges of a run: one that was made in one answer and is shown in another has one partner in both. Pure, bounded.

:mod:`differ.renaming` relates the ids of one pair of answers; this goes on over the rows of a run, in recorded order, with what is an
id by its looks at places that hold one value. A pair that contradicts an earlier one of the same comparison gets the facet FORMAT and
the signature ``relation-broken:PLACE~OTHER``, in x as in a and b, so that the versions' own contradictions are weighed against it. Its
class stays: what another exchange showed may have been replaced meanwhile, so each distinct pair counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from differ.difference import BROKEN, FORMAT, VALUE
from differ.ids import LENGTH_MAX, OPAQUE, is_opaque

PAIRS_MAX = 100_000
"""Ids remembered of each comparison, some 40 MB in all; those that come later are not related."""
BROKEN_MAX = 20_000
"""Exchanges with contradictions that are kept of a run: some 300 KB, which are read for each page of its exchanges."""
BROKEN_ID = "broken"
"""The findings' row that holds them."""


Broken = dict[int, list[int]]
"""By an exchange's place in the run, the indexes of its differences that contradict an earlier exchange."""


def related(rows: Iterable[dict[str, Any]], broken: Broken | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a run, changed where an id contradicts an earlier one; every reader of a run's rows must take them in one order.

    ``broken`` is told of each, so that later readers can begin in the middle (:func:`with_broken`).
    """
    relations = Relation(), Relation(), Relation()
    for row in rows:
        pairs: list[int] = row["d_pair"]
        for index, pair in enumerate(pairs):
            if row["d_klass"][index] in OPAQUE and row["d_facet"][index] == VALUE and row["d_kind"][index] == "value":
                contradicts = _relate(relations[pair], row, index)
                if contradicts and broken is not None and len(broken) <= BROKEN_MAX:
                    broken.setdefault(row["seq"], []).append(index)
        yield row


def broken_json(broken: Broken) -> str:
    """What is kept of a run for those who begin in the middle; empty where it is too much to keep."""
    return "" if len(broken) > BROKEN_MAX else orjson.dumps(list(broken.items())).decode()


def broken_read(text: str) -> Broken:
    """What :func:`broken_json` wrote."""
    return dict(orjson.loads(text))


def with_broken(row: dict[str, Any], broken: Broken) -> dict[str, Any]:
    """A row as :func:`related` would have given it, to those who do not look at signatures."""
    for index in broken.get(row["seq"], ()):
        row["d_facet"][index] = FORMAT
    return row


def _relate(relation: Relation, row: dict[str, Any], index: int) -> bool:
    """Whether it contradicts an earlier one; then the row says so."""
    where, old, new = row["d_where"][index], row["d_old"][index], row["d_new"][index]
    if "[*]" in where or where == "body" or not (is_id(old) and is_id(new)):
        return False
    other = relation.contradicted(old, new, where)
    if other:
        row["d_facet"][index] = FORMAT
        if "d_signature" in row:
            row["d_signature"][index] = f"value:{BROKEN}{where}~{other}"
    return bool(other)


def is_id(text: str) -> bool:
    """Whether a value of a row is a text that is an id by its looks."""
    return text[:1] == '"' == text[-1:] and len(text) <= LENGTH_MAX and is_opaque(text[1:-1])


class Relation:
    """Which id of one target stands for which of the other."""

    def __init__(self) -> None:
        self._forward: dict[str, tuple[str, str]] = {}
        self._back: dict[str, tuple[str, str]] = {}

    def contradicted(self, old: str, new: str, where: str) -> str:
        """The place of an earlier pair that this one contradicts; empty when there is none, and it is remembered."""
        one, two = self._forward.get(old), self._back.get(new)
        if one is not None and one[0] != new:
            return one[1]
        if two is not None and two[0] != old:
            return two[1]
        if one is None and len(self._forward) < PAIRS_MAX:
            self._forward[old], self._back[new] = (new, where), (old, where)
        return ""
