"""One sample in every detail: what is different between two bodies or values, by deepdiff. The only door to it, never in the hot path.

deepdiff's own bounds (``max_passes``, ``cache_size``) hold its search for pairs in arrays, but neither its comparison of long
texts nor its memory. So it runs in a child process, ``python -m differ.explain``, which the kernel ends at its limits of time and
memory; the caller gets an explanation or the reason why there is none.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, cast

import msgspec
import orjson

from differ.difference import EXCERPT_BYTES
from differ.places import step

TEXT_MAX = 1024 * 1024
"""Bytes of one side: deepdiff is some hundred times slower than the walk, and reads a megabyte in a few seconds."""
CPU_S = 4
"""Seconds of computing for one explanation: a person waits for it."""
WAIT_S = 8.0
"""Seconds until a child is given up that waits for the processor."""
MEMORY_BYTES = 1024 * 1024 * 1024
"""Address space of the child: deepdiff keeps a hash of each part of both trees."""
PASSES_MAX = 1_000
"""Searches for the best match in unordered arrays; beyond, elements are told as missing and added."""
CACHE_SIZE = 5_000
"""Distances that deepdiff remembers, since the same elements are asked for again and again."""
CHANGES_MAX = 200
"""Changes that are told; all are counted."""
LINES_MAX = 400
"""Lines of a text's unified difference."""
KINDS: dict[str, str] = {
    "values_changed": "value",
    "type_changes": "type",
    "dictionary_item_added": "added",
    "dictionary_item_removed": "missing",
    "iterable_item_added": "added",
    "iterable_item_removed": "missing",
    "iterable_item_moved": "moved",
    "repetition_change": "repeated",
}
"""deepdiff's words for a change, and ours."""


class Step(msgspec.Struct, frozen=True):
    """One change of an explanation."""

    path: str
    """With the real index: ``$.items[3].price``."""
    place: str
    """The same as findings tell it: ``$.items[*].price``."""
    kind: str
    base: str | None = None
    """JSON text, at most 16 KiB; None where missing."""
    branch: str | None = None
    lines: list[str] = []
    """A unified difference, for texts of several lines."""


class Explained(msgspec.Struct):
    """What is different in one sample, or why it cannot be told."""

    steps: list[Step] = []
    count: int = 0
    """All changes; ``steps`` has the first of them."""
    ordered: bool = False
    """Whether arrays were compared place by place; else each element with the one most like it."""
    reason: str = ""
    """``too-large``, ``too-slow`` or ``failed``; empty where it can be told."""


class _Question(msgspec.Struct):
    old: str | None
    new: str | None
    ordered: bool


def explain(old: str | None, new: str | None, *, ordered: bool = False) -> Explained:
    """What is different between two texts, as JSON where both are; None stands for a missing one. Never raises.

    Arrays are compared in any order unless that is asked for, and place by place where matching takes too long.
    """
    if max(len(old or ""), len(new or "")) > TEXT_MAX:
        return Explained(reason="too-large")
    found = _asked(_Question(old, new, ordered))
    if found.reason == "too-slow" and not ordered:
        found = _asked(_Question(old, new, ordered=True))
    return found


def _asked(question: _Question) -> Explained:
    """The child's answer."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "differ.explain"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        try:
            data, _ = child.communicate(msgspec.json.encode(_without_surrogates(question)), timeout=WAIT_S)
            return msgspec.json.decode(data, type=Explained)
        except subprocess.TimeoutExpired:
            child.kill()
            return Explained(ordered=question.ordered, reason="too-slow")
        except msgspec.MsgspecError:
            # SIGXCPU comes at the soft limit of computing; anything else (no memory, a fault of deepdiff) is no answer either.
            slow = child.returncode in {-24, -9}
            return Explained(ordered=question.ordered, reason="too-slow" if slow else "failed")


def _without_surrogates(question: _Question) -> _Question:
    old, new = (None if text is None else _replaced(text) for text in (question.old, question.new))
    return _Question(old, new, question.ordered)


def _replaced(text: str) -> str:
    """The text with a question mark for each lone surrogate, which nothing can write."""
    return text.encode("utf-8", "replace").decode()


def compared(old: str | None, new: str | None, *, ordered: bool) -> Explained:
    """The explanation itself, without bounds: what the child does."""
    if old is None or new is None:
        kind = "added" if old is None else "missing"
        return Explained([Step("$", "$", kind, _cut(old), _cut(new))], 1, ordered)
    from deepdiff import DeepDiff  # noqa: PLC0415 - half a second of imports that only an explanation pays

    one, two = _value(old), _value(new)
    if isinstance(one, _Text) or isinstance(two, _Text):
        one, two = old, new
    tree: Any = DeepDiff(
        one,
        two,
        ignore_order=not ordered,
        report_repetition=True,
        max_passes=PASSES_MAX,
        cache_size=CACHE_SIZE,
        verbose_level=2,
        view="tree",
    )
    levels = [
        (KINDS.get(str(name), str(name)), level)
        for name, found in tree.items()
        if name != "deep_distance"
        for level in found
    ]
    steps = sorted(
        (_step(kind, level) for kind, level in levels[: 100 * CHANGES_MAX]),
        key=lambda one: (one.place, one.path, one.kind),
    )
    return Explained(steps[:CHANGES_MAX], len(levels), ordered)


class _Text(str):
    """A text that is no JSON."""

    __slots__ = ()


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=str)
    except (ValueError, RecursionError):
        return _Text(text)


def _step(kind: str, level: Any) -> Step:
    keys = cast("list[Any]", level.path(output_format="list"))
    base = None if kind == "added" else _written(level.t1)
    branch = None if kind == "missing" else _written(level.t2)
    lines = _replaced(str(level.additional.get("diff", ""))).splitlines()
    shown = lines if len(lines) <= LINES_MAX else [*lines[:LINES_MAX], f"… {len(lines) - LINES_MAX} more lines"]
    return Step(path_of(keys), path_of(keys, real=False), kind, base, branch, shown)


def path_of(keys: Iterable[Any], *, real: bool = True) -> str:
    """Keys as a path, elements of arrays with their index or as ``[*]``."""
    return "$" + "".join((f"[{key}]" if real else "[*]") if isinstance(key, int) else step(str(key)) for key in keys)


def _written(value: Any) -> str | None:
    """A value as JSON, its decimals as they were written."""
    try:
        text = orjson.dumps(value, _plain).decode()
    except TypeError:  # deeper than orjson writes, an integer beyond 64 bits, or a lone surrogate
        text = _replaced(json.dumps(value, ensure_ascii=False, default=str))
    return _cut(text)


def _plain(value: Any) -> Any:
    return orjson.Fragment(str(value)) if isinstance(value, Decimal) else str(value)


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= EXCERPT_BYTES else text[: EXCERPT_BYTES - 1] + "…"


def _child() -> int:
    """Answer one question on stdin within the limits."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=_Question)
    found = compared(asked.old, asked.new, ordered=asked.ordered)
    sys.stdout.buffer.write(msgspec.json.encode(found))
    return 0


if __name__ == "__main__":
    sys.exit(_child())
