"""The structural comparison of two JSON-like trees: exact, aligned, bounded.

Works on what orjson gives (dict, list, str, int, float, bool, None) and on exact numbers (:class:`differ.jsons.Number`). Paths are linked
pairs, rendered only when a difference is emitted.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import orjson

from differ.classes import format_of, instant_ns, is_permutation, klass_of, timing_apart, timing_name
from differ.difference import CLOCK, EXCERPT_BYTES, FORMAT, PERMUTATION, PRESENCE, TYPE, VALUE, Difference

KEYS = ("id", "_id", "uuid", "key", "name", "slug", "code", "href", "url", "path", "title")
LCS_CELLS = 250_000
"""Elements are matched best up to this many pairs; beyond, in order: 100 KB arrays stay within the time box."""
PLACES_MAX = 10_000
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
OURS = frozenset({"x-lane", "baggage", "traceparent", "x-echolane-replay"})
"""Headers that the sender adds, echoed as keys of a body; a lane is sent to the branch only."""
CLOCK_SLACK_NS = 5_000_000_000
Path = tuple[Any, str] | None


class TooMuch(Exception):  # noqa: N818
    """A bound was reached; its text is the reason."""


def render(path: Path, root: str) -> str:
    """The place as text: ``body:$.a[*]['b c']``."""
    parts: list[str] = []
    while path is not None:
        parts.append(path[1])
        path = path[0]
    parts.append(root)
    return "".join(reversed(parts))


def step(key: str) -> str:
    """One key as a step of a path."""
    if _PLAIN.fullmatch(key):
        return "." + key
    text = key.replace("\\", "\\\\").replace("'", "\\'")
    return "['" + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text) + "']"


def kind_of(value: Any) -> str:
    """The JSON type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    return "number"


def text_of(value: Any) -> str:
    """JSON text of a value, at most EXCERPT_BYTES."""
    try:
        text = orjson.dumps(value, default=str).decode()
    except (TypeError, ValueError):
        text = orjson.dumps(str(value).encode("utf-8", "replace").decode()).decode()
    return text if len(text) <= EXCERPT_BYTES else text[: EXCERPT_BYTES - 1] + "…"


class Sink:
    """Collects differences: one per (where, kind), with the number of times it was met."""

    def __init__(self, now_ns: tuple[int, int] = (0, 0), ports: tuple[str, str] = ("", "")) -> None:
        self.found: dict[tuple[str, str], list[Any]] = {}
        self.now_ns, self.ports = now_ns, ports

    def echoed(self, old: Any, new: Any) -> bool:
        """Whether two values are each the port of their own target."""
        return self.ports[0] != "" and str(old) == self.ports[0] and str(new) == self.ports[1]

    def add(
        self,
        where: str,
        kind: str,
        facet: int,
        old: Any,
        new: Any,
        *,
        klass: str = "",
        flags: int = 0,
        signature: str = "",
    ) -> None:
        """One difference; ``old`` or ``new`` is MISSING where there is none."""
        old_text = None if old is MISSING else text_of(old)
        new_text = None if new is MISSING else text_of(new)
        entry = self.found.get((where, kind))
        if entry is None:
            if len(self.found) >= PLACES_MAX:
                raise TooMuch("too-many-differences")
            self.found[where, kind] = [facet, klass, flags, 1, old_text, new_text, [old_text, new_text], signature]
            return
        entry[0] = min(entry[0], facet)
        entry[1] = entry[1] or klass
        entry[2] &= flags
        entry[3] += 1
        if len(entry[6]) < 64:
            entry[6] += [old_text, new_text]

    def differences(self) -> list[Difference]:
        """All that was found."""
        return [
            Difference(where, kind, e[0], e[1], e[2], e[3], e[4], e[5], pair_digest(e[6]), e[7])
            for (where, kind), e in self.found.items()
        ]


MISSING: Any = object()


def pair_digest(texts: list[str | None]) -> int:
    """64 bits that name values; order matters."""
    data = b"\0".join(b"\1" if text is None else text.encode("utf-8", "surrogatepass") for text in texts)
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


class Walk:
    """One comparison of two trees."""

    def __init__(self, sink: Sink, root: str, *, depth: int, nodes: int, deadline: float, risky: bool) -> None:
        self.sink, self.root, self.depth, self.nodes, self.deadline, self.risky = (
            sink,
            root,
            depth,
            nodes,
            deadline,
            risky,
        )

    def same(self, old: Any, new: Any) -> bool:
        """Exact equality: ``==`` where it can be trusted, canonical text where 1, 1.0 and true may hide behind it."""
        if old != new:
            return False
        return not self.risky or canonical(old) == canonical(new)

    def walk(self, old: Any, new: Any, path: Path, depth: int) -> None:
        """Emit what differs between two values at ``path``."""
        self.nodes -= 1
        if self.nodes < 0:
            raise TooMuch("too-many-nodes")
        if not self.nodes & 255 and time.perf_counter() > self.deadline:
            raise TooMuch("too-slow")
        if depth > self.depth:
            raise TooMuch("too-deep")
        kinds = kind_of(old), kind_of(new)
        if kinds[0] != kinds[1]:
            self.emit(path, "type", TYPE, old, new, f"{kinds[0]}>{kinds[1]}")
        elif kinds[0] == "object":
            self.objects(old, new, path, depth)
        elif kinds[0] == "array":
            self.arrays(old, new, path, depth)
        else:
            self.scalars(old, new, path)

    def emit(
        self, path: Path, kind: str, facet: int, old: Any, new: Any, signature: str, klass: str = "", flags: int = 0
    ) -> None:
        """Give a difference to the sink."""
        self.sink.add(
            render(path, self.root), kind, facet, old, new, klass=klass, flags=flags, signature=f"{kind}:{signature}"
        )

    def objects(self, old: dict[str, Any], new: dict[str, Any], path: Path, depth: int) -> None:
        """Keys by name: missing, added, or compared."""
        for key, value in old.items():
            if key not in new:
                if key.lower() in OURS:
                    continue
                self.emit((path, step(key)), "missing", PRESENCE, value, MISSING, kind_of(value))
            elif not self.same(value, new[key]):
                self.walk(value, new[key], (path, step(key)), depth + 1)
        for key, value in new.items():
            if key not in old and key.lower() not in OURS:
                self.emit((path, step(key)), "added", PRESENCE, MISSING, value, kind_of(value))

    def arrays(self, old: list[Any], new: list[Any], path: Path, depth: int) -> None:
        """Elements by key, else by longest common run; order told apart from change."""
        inside: Path = (path, "[*]")
        if len(old) != len(new):
            self.emit(path, "length", FORMAT, len(old), len(new), "grew" if len(new) > len(old) else "shrank")
        keyed = by_key(old, new)
        if keyed is not None:
            pairs, moved = keyed
        else:
            olds, news = [canonical(v) for v in old], [canonical(v) for v in new]
            if Counter(olds) == Counter(news):
                self.emit(path, "order", VALUE, old, new, "order", flags=PERMUTATION)
                return
            pairs, moved = align(old, new, olds, news)
        if moved:
            self.emit(path, "order", VALUE, old, new, "order", flags=PERMUTATION)
        for i, j in pairs:
            if not self.same(old[i], new[j]):
                self.walk(old[i], new[j], inside, depth + 1)

    def scalars(self, old: Any, new: Any, path: Path) -> None:
        """Two values of one type."""
        if self.sink.echoed(old, new):
            return
        if isinstance(old, str):
            facet, kind, klass, flags, signature = texts(old, new, self.sink.now_ns)
            self.emit(path, kind, facet, old, new, signature, klass, flags)
            return
        flags, klass = 0, ""
        if not isinstance(old, bool):
            flags = clock_flag(old, new, self.sink.now_ns) if self.sink.now_ns[0] else 0
            klass = "time" if flags or (path is not None and timing_name(path[1])) else ""
        signature = f"{old}>{new}" if isinstance(old, bool) else "number"
        self.emit(path, "value", VALUE, old, new, signature, klass, flags)


def clock_flag(old: Any, new: Any, now_ns: tuple[int, int]) -> int:
    """CLOCK when both values are the time of their answers."""
    left, right = instant_ns(old), instant_ns(new)
    if left is None or right is None:
        return 0
    near = abs(left - now_ns[0]) < CLOCK_SLACK_NS and abs(right - now_ns[1]) < CLOCK_SLACK_NS
    return CLOCK if near else 0


def texts(old: str, new: str, now_ns: tuple[int, int]) -> tuple[int, str, str, int, str]:
    """(facet, kind, class, flags, signature) of two different texts."""
    formats = format_of(old), format_of(new)
    klasses = klass_of(old), klass_of(new)
    klass = klasses[0] if klasses[0] == klasses[1] else ""
    flags = clock_flag(old, new, now_ns) if klass == "time" and now_ns[0] else 0
    if is_permutation(old, new):
        return VALUE, "order", klass, flags | PERMUTATION, "order"
    if formats[0] == formats[1]:
        return (
            VALUE,
            "value",
            klass or ("time" if timing_apart(old, new) else ""),
            flags,
            "value:" + formats[0][:80],
        )
    if klass:
        return VALUE, "value", klass, flags, f"{klass}"
    return (
        FORMAT,
        "format" if klasses[0] != klasses[1] else "value",
        klass,
        flags,
        f"{formats[0][:60]}>{formats[1][:60]}",
    )


def canonical(value: Any) -> bytes:
    """One text for equal values, whatever the order of keys."""
    return orjson.dumps(value, default=repr, option=orjson.OPT_SORT_KEYS)


def by_key(old: list[Any], new: list[Any]) -> tuple[list[tuple[int, int]], bool] | None:
    """Pairs of elements by an id-like key that is unique in both lists and shared by at least half; None when there is none."""
    if not (old and new and all(isinstance(v, dict) for v in old) and all(isinstance(v, dict) for v in new)):
        return None
    for name in KEYS:
        olds, news = unique(old, name), unique(new, name)
        if olds is None or news is None:
            continue
        common = [key for key in olds if key in news]
        if 2 * len(common) < min(len(olds), len(news)):
            continue
        pairs = [(olds[key], news[key]) for key in common]
        moved = any(b[1] < a[1] for a, b in zip(pairs, pairs[1:], strict=False))
        rest_old = [i for key, i in olds.items() if key not in news]
        rest_new = [j for key, j in news.items() if key not in olds]
        return pairs + list(zip(rest_old, rest_new, strict=False)), moved
    return None


def unique(items: list[Any], name: str) -> dict[Any, int] | None:
    """Key values to index, when every element has one and no two are equal."""
    found: dict[Any, int] = {}
    for index, item in enumerate(items):
        value = item.get(name)
        if not isinstance(value, str | int) or value in found:
            return None
        found[value] = index
    return found


def align(old: list[Any], new: list[Any], olds: list[bytes], news: list[bytes]) -> tuple[list[tuple[int, int]], bool]:
    """Pairs of the elements that are left when equal ones are taken away, and whether equal ones changed their order."""
    begin, end = 0, 0
    while begin < min(len(olds), len(news)) and olds[begin] == news[begin]:
        begin += 1
    while end < min(len(olds), len(news)) - begin and olds[-1 - end] == news[-1 - end]:
        end += 1
    rest_old, rest_new = list(range(begin, len(olds) - end)), list(range(begin, len(news) - end))
    spare = Counter(news[j] for j in rest_new)
    common: Counter[bytes] = Counter()
    for i in rest_old:
        if spare[olds[i]] > common[olds[i]]:
            common[olds[i]] += 1
    kept_old, kept_new = take(rest_old, olds, common), take(rest_new, news, common)
    moved = [olds[i] for i in rest_old if i not in set(kept_old)] != [
        news[j] for j in rest_new if j not in set(kept_new)
    ]
    return list(zip(kept_old, kept_new, strict=False)), moved


def take(indexes: list[int], texts_: list[bytes], common: Counter[bytes]) -> list[int]:
    """Indexes whose text is not one of the common ones (each as often as it is common)."""
    left = Counter(common)
    kept: list[int] = []
    for index in indexes:
        if left[texts_[index]] > 0:
            left[texts_[index]] -= 1
        else:
            kept.append(index)
    return kept


Walker = Callable[[Any, Any], None]
