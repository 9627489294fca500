"""Endpoint templates learned from traffic: ``/users/123`` becomes ``/users/{id}``.

A segment that looks like an identity (number, uuid, hex, long token, date, e-mail) is a parameter at once. Other segments are
kept by name until one place has seen more names than an API has: then the place becomes ``{arg}`` and what lay under its names
is merged. A service with too many endpoints loses depth: what is deeper becomes ``{rest}``.

State only ever merges: "this place is ``{arg}``" and "paths end at this depth" are never taken back, and a merge is the union of
two sets. Which places are ``{arg}`` depends on the set of paths alone, so the same traffic gives the same templates in any order
and in any pieces, and two processes may learn and save at once (:meth:`Templates.save` merges under a lock). Only a service
above :data:`ENDPOINTS_MAX` can lose depth a little earlier or later with another order; its processes agree at the next save.
The plan uses this module for work items, the differ for evidence.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import orjson

from echolane.errors import HomeError

NAMES_MAX = 30
"""Names kept at one place below the first; APIs list less than that side by side, user-made names come in hundreds."""
ROOT_NAMES_MAX = 200
"""Names kept where an API lists its resources: at the root and behind ``/api``, ``/v1`` and their like."""
ENDPOINTS_MAX = 1000
"""Distinct paths of a service; evidence spread thinner than that proves nothing, and labels must stay bounded."""
DEPTH_MAX = 16
"""Segments of a path that are told apart."""
CACHE_MAX = 8192
VERSION = 1

ID, DATE, EMAIL, ARG, REST = "{id}", "{date}", "{email}", "{arg}", "{rest}"

_SHAPE = re.compile(
    r"""(?:
      (?P<date>\d{4}-\d\d(?:-\d\d)?(?:[T_ ]|%20)?[0-9:.%A-Za-z+-]{0,24}(?<=[0-9Zz]))
    | (?P<id>[+-]?\d+(?:\.\d+)?(?:,-?\d+(?:\.\d+)?)*                       # numbers, lists of them, coordinates
      | \{?[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\}?
      | (?=[a-fA-F]*[0-9])[0-9a-fA-F]{8,}
      | (?:[A-Za-z]{1,8}[_-])?(?=[A-Za-z]*[0-9])[0-9A-Za-z]{20,}           # cus_9s6XKzkNRiz8i3…, nanoids, ULIDs
      | (?=[^.]*[0-9])(?=[^.]*[A-Z])(?=[^.]*[a-z])[0-9A-Za-z_-]{20,}={0,2} # base64url
      | eyJ[0-9A-Za-z_-]+\.[0-9A-Za-z_.-]*)
    | (?P<email>[^@/%]+(?:@|%40)[^@/]+\.[^@/.]+)
    )""",
    re.VERBOSE,
)
_LISTING = re.compile(r"_{0,2}(?:api|rest|admin|graphql|services|public|internal)|v\d{1,3}", re.IGNORECASE)
_METHOD = re.compile(r"[A-Z]{1,16}")

Tree = dict[str, Any]
"""A place: its children by segment. :data:`END` says that a path ends here, ``{arg}`` that names have merged."""

END = "{}"
"""No segment is spelled so: :func:`shape` names what begins with a brace."""


class Templates:
    """What is known of one service's paths."""

    def __init__(self) -> None:
        self.revision = 0
        """Grows with every change that can alter a template."""
        self.depth = DEPTH_MAX
        """Segments of a path that are told apart; only ever shrinks."""
        self._tree: Tree = {}
        self._ends = 0
        self._cache: dict[str, str] = {}
        self._known: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"<Templates {self._ends} paths, depth {self.depth}, revision {self.revision}>"

    def learn(self, targets: Iterable[str]) -> None:
        """Take in raw request targets; forget nothing, split nothing."""
        for target in targets:
            path = _path(target)
            if path in self._known:
                continue
            if len(self._known) >= CACHE_MAX:
                self._known.clear()
            self._known[path] = None
            self._add(_segments(path))
        self._settle()

    def template(self, method: str, target: str) -> str:
        """The endpoint of a request, for example ``GET /users/{id}``."""
        path = target.partition("?")[0]
        found = self._cache.get(path)
        if found is None:
            if len(self._cache) >= CACHE_MAX:
                self._cache.clear()
            found = self._cache[path] = self._walk(_path(path))
        return f"{method} {found}" if method in _METHODS or _METHOD.fullmatch(method) else f"OTHER {found}"

    def endpoints(self) -> Iterator[str]:
        """Every learned path, as a template."""
        for segments in _ends_of(self._tree, ()):
            yield "/" + "/".join(segments) if segments != ("*",) else "*"

    def merge(self, other: Templates) -> None:
        """Take in what another process has learned."""
        before, theirs, revision = self._shape(), other._shape(), max(self.revision, other.revision)
        self.depth = min(self.depth, other.depth)
        _unite(self._tree, other._tree)
        self._settle(force=True)
        after = self._shape()
        self.revision = revision if after in (before, theirs) else revision + 1

    @classmethod
    def load(cls, path: Path) -> Templates:
        """Templates of a file; none when it is not there."""
        templates = cls()
        with contextlib.suppress(FileNotFoundError):
            templates._read(path)
        return templates

    def save(self, path: Path) -> None:
        """Merge with the file and replace it whole; several processes may do so at once."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.with_name(f".{path.name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                held = Templates.load(path)
                self.merge(held)
                if path.exists() and self._dump() == held._dump():  # noqa: SLF001 - its own kind
                    return
                draft = path.with_name(f".{path.name}.new")
                with draft.open("wb") as file:
                    file.write(self._dump())
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(path)
        except OSError as error:
            raise HomeError(f"templates {path} cannot be written: {error.strerror}") from error

    def _shape(self) -> bytes:
        return orjson.dumps([self.depth, self._tree], option=orjson.OPT_SORT_KEYS)

    def _dump(self) -> bytes:
        state = {"version": VERSION, "revision": self.revision, "depth": self.depth, "tree": self._tree}
        return orjson.dumps(state, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)

    def _read(self, path: Path) -> None:
        try:
            state = orjson.loads(path.read_bytes())
            version, revision, depth, tree = state["version"], state["revision"], state["depth"], state["tree"]
            if version > VERSION:
                raise HomeError(f"templates {path} are of version {version}, this Echolane knows {VERSION}; update it")
            if not _is_tree(tree, DEPTH_MAX + 2) or not 1 <= depth <= DEPTH_MAX:
                raise ValueError(depth)  # noqa: TRY301 - the same damage as the others below
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise HomeError(f"templates {path} are damaged; remove the file, they are learned again") from error
        except FileNotFoundError:
            raise
        except OSError as error:
            raise HomeError(f"templates {path} cannot be read: {error.strerror}") from error
        self.depth, self._tree = int(depth), tree
        self._settle(force=True)
        self.revision = int(revision)

    def _changed(self) -> None:
        self.revision += 1
        self._cache.clear()

    def _add(self, segments: list[str]) -> None:
        """Put one path into the tree and merge the places that it overfills."""
        node: Tree = self._tree
        behind = ""
        for depth, segment in enumerate(segments):
            at_end = depth >= self.depth
            key = REST if at_end else segment
            if key not in node:
                key = self._grow(node, key, depth, behind)
            node, behind = node[key], key
            if at_end:
                break
        if END not in node:
            node[END] = 1
            self._ends += 1
            self._changed()
            if self._ends > 10 * ENDPOINTS_MAX:
                self._settle()

    def _grow(self, node: Tree, key: str, depth: int, behind: str) -> str:
        """Make room for a segment that a place does not have yet; under which key it is now."""
        if key[:1] == "{":
            node[key] = {}
            return key
        if ARG in node:
            return ARG
        node[key] = {}
        if not _crowded(node, depth, behind):
            return key
        _collapse(node)
        self._recount()
        return ARG

    def _recount(self) -> None:
        self._changed()
        _close(self._tree, 0, "")
        self._ends = sum(1 for _ in _ends_of(self._tree, ()))

    def _settle(self, *, force: bool = False) -> None:
        """Bring the tree under its bounds: first crowded places, then depth."""
        if force:
            _cut(self._tree, self.depth)
            self._recount()
        while self._ends > ENDPOINTS_MAX and self.depth > 1:
            self.depth -= 1
            _cut(self._tree, self.depth)
            self._recount()

    def _walk(self, path: str) -> str:
        if path == "*":
            return path
        node: Tree | None = self._tree
        out: list[str] = []
        for depth, segment in enumerate(_segments(path)):
            if depth >= self.depth:
                out.append(REST)
                break
            shown = segment
            if node is not None:
                child = node.get(segment)
                if child is None and segment[:1] != "{" and ARG in node:
                    shown, child = ARG, node[ARG]
                node = child
            out.append(shown)
        return "/" + "/".join(out)


_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def shape(segment: str) -> str:
    """The parameter a segment stands for by its look alone, or the segment."""
    found = _SHAPE.fullmatch(segment)
    if found is not None:
        return f"{{{found.lastgroup}}}"
    # A literal brace would read as a parameter, and no name of an API is that long.
    return ID if len(segment) > 64 or segment[:1] == "{" else segment


def _path(target: str) -> str:
    """The path of a request target in any of its four forms."""
    path = target.partition("?")[0].partition("#")[0]
    if path[:1] == "/" or path == "*":
        return path
    _, slashes, after = path.partition("://")
    return "/" + after.partition("/")[2] if slashes else "/" + path


def _segments(path: str) -> list[str]:
    """The segments of a path, parameters by their look already named; matrix parameters are no part of the place."""
    if path == "*":
        return ["*"]
    return [shape(segment.partition(";")[0]) for segment in path[1:].split("/", DEPTH_MAX)]


def _names(node: Tree) -> list[str]:
    return [key for key in node if key[:1] != "{"]


def _crowded(node: Tree, depth: int, behind: str) -> bool:
    most = ROOT_NAMES_MAX if depth == 0 or _LISTING.fullmatch(behind) else NAMES_MAX
    return len(node) > most and len(_names(node)) > most


def _collapse(node: Tree) -> None:
    """Merge all names of a place into ``{arg}``."""
    merged: Tree = node.setdefault(ARG, {})
    for name in _names(node):
        _unite(merged, node.pop(name))


def _unite(into: Tree, other: Tree) -> None:
    for key, child in other.items():
        if key == END:
            into[END] = 1
        else:
            _unite(into.setdefault(key, {}), child)


def _close(node: Tree, depth: int, behind: str) -> None:
    """Merge crowded places from the root down: a merge above can crowd a place below, never one above."""
    if ARG in node or _crowded(node, depth, behind):
        _collapse(node)
    for key, child in node.items():
        if key != END:
            _close(child, depth + 1, key)


def _cut(node: Tree, depth: int) -> None:
    """Let every path end after ``depth`` segments."""
    if depth == 0:
        deeper = any(key != END for key in node)
        ended = END in node
        node.clear()
        if ended:
            node[END] = 1
        if deeper:
            node[REST] = {END: 1}
        return
    for key, child in node.items():
        if key not in {END, REST}:
            _cut(child, depth - 1)


def _ends_of(node: Tree, prefix: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, child in node.items():
        if key == END:
            yield prefix
        else:
            yield from _ends_of(child, (*prefix, key))


def _is_tree(value: Any, depth: int) -> bool:
    if not isinstance(value, dict) or depth < 0:
        return False
    tree = cast("dict[Any, Any]", value)
    return all(isinstance(key, str) and (key == END or _is_tree(child, depth - 1)) for key, child in tree.items())
