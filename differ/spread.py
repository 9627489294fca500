"""Where a finding that spans endpoints does not show, though its place is there: the exceptions of a cause. Pure, bounded.

Rows tell where answers differ, and nothing of places that are alike. So some answers of the endpoints at which a finding does not show are
read again (:mod:`differ.looking`), and this says whether they have its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from differ.bodies import reading
from differ.bodies_of import JSON, OPENING
from differ.echoes import NOBODY
from differ.evidence import Observed
from differ.gathering import Gathering
from differ.judging import Judgement
from differ.paths import VALUES, parent_of
from differ.places import Place, root
from echolane.exchange import Response
from echolane.observation import BASE, Observation

FINDINGS_MAX = 8
"""Findings whose exceptions are looked for, those that show in most exchanges."""
ENDPOINTS_MAX = 64
"""Endpoints of which answers are read, those with most exchanges: two of each are some hundred milliseconds of frames."""
BYTES_MAX = 8 * 1024 * 1024
"""Of bodies that are read: about a tenth of a second."""
SHOWN_MAX = 20
"""Exceptions that a finding names."""
_HEADER, _COOKIE = "header:", "header:set-cookie["
_OF_LISTS = frozenset(("length", "order"))
"""Kinds of changes that only a list has."""
_ANY, _LISTS, _OBJECTS = object, list, dict
Asked = dict[str, tuple[str, str, list[str]]]
"""By a finding's id, its place and kind, and the endpoints at which it may have exceptions."""


def asked_of(judgement: Judgement, gathering: Gathering, observed: Mapping[str, Observed]) -> Asked:
    """Of which endpoints answers are to be read: those at which nothing differs at the place of a finding that shows at several others."""
    found: Asked = {}
    often = sorted(observed, key=lambda name: (-observed[name].fired, name))
    for finding in judgement.regressions:
        place = judgement.places[finding.lead]
        if len(finding.endpoints) < 2 or not place.where.startswith((_HEADER, VALUES)) or len(found) >= FINDINGS_MAX:
            continue
        shown = set(finding.endpoints)
        others = [name for name in often if name not in shown and (name, place.where) not in gathering.spots]
        found[finding.id] = place.where, place.kind, others[:ENDPOINTS_MAX]
    return found


def exceptions_of(asked: Asked, answers: Iterable[Observation]) -> dict[str, list[str]]:
    """By a finding's id, the endpoints of which an answer has its place."""
    found: dict[str, set[str]] = {id: set() for id in asked}  # noqa: A001 - what it is
    room = BYTES_MAX
    for observation in answers:
        answer, endpoint = observation.answer_of(BASE), observation.endpoint
        wanted = {id: one[:2] for id, one in asked.items() if endpoint in one[2] and endpoint not in found[id]}  # noqa: A001
        if answer is None or not wanted:
            continue
        tree: Any = None
        if any(where.startswith(VALUES) for where, _ in wanted.values()):
            room -= len(answer.body.data)
            tree = _tree(answer) if room >= 0 else None
        for id, (where, kind) in wanted.items():  # noqa: A001
            if _has(answer, tree, where, kind):
                found[id].add(endpoint)
    return {id: sorted(endpoints) for id, endpoints in found.items()}  # noqa: A001


def tell_exceptions(groups: Iterable[dict[str, Any]], found: Mapping[str, list[str]]) -> None:
    """Put the exceptions into the findings that were looked at."""
    for finding in groups:
        if (names := found.get(finding["id"])) is not None:
            finding |= {"exceptions": names[:SHOWN_MAX], "exceptions_count": len(names)}


def _has(answer: Response, tree: Any, where: str, kind: str) -> bool:
    """Whether base's answer has a place; of what came in branch, whether it could have come here, too, and is not there yet."""
    came = kind == "added"
    if where.startswith(_HEADER):
        return _has_header(answer, where) is not came
    if tree is None:
        return False
    top, of = root(VALUES), _LISTS if kind in _OF_LISTS else _ANY
    try:
        if came:
            return _stands(tree, top, parent_of(where)[0], _OBJECTS) and not _stands(tree, top, where, _ANY)
        return _stands(tree, top, where, of)
    except RecursionError:
        return False


def _has_header(answer: Response, where: str) -> bool:
    if where.startswith(_COOKIE):
        begin = where.removeprefix(_COOKIE).removesuffix("]").encode() + b"="
        return any(name.lower() == b"set-cookie" and value.startswith(begin) for name, value in answer.headers)
    wanted = where.removeprefix(_HEADER).encode()
    return any(name.lower() == wanted for name, _ in answer.headers)


def _tree(answer: Response) -> Any:
    """The body as JSON; None where it is none, or not whole."""
    body = answer.body
    if body.truncated or body.undecoded or body.data[:1] not in OPENING:
        return None
    try:
        parsed = reading(answer, NOBODY, None).parse()
    except RecursionError:
        return None
    return parsed.value if parsed.form == JSON else None


def _stands(value: Any, place: Place, where: str, of: type[object]) -> bool:
    """Whether something of a type stands at a generalised place."""
    if place.text == where:
        return isinstance(value, of)
    if isinstance(value, list):
        inside = place.children.get(None) or place.child(None)
        items = cast("list[Any]", value) if where.startswith(inside.text) else []
        return any(_stands(item, inside, where, of) for item in items)
    if not isinstance(value, dict):
        return False
    for key, item in cast("dict[str, Any]", value).items():
        below = place.children.get(key) or place.child(key)
        if where.startswith(below.text) and _stands(item, below, where, of):
            return True
    return False
