"""Rules from their files: ``[[rules]]`` of ``echolane.toml`` and ``rules/*.yaml`` beside it, each field with its line.

What is no TOML or YAML at all is an error of usage; a rule that is one and is wrong is refused (:mod:`differ.rules_refusing`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import yaml as _yaml

from differ.rules_reading import Written
from echolane.errors import UsageError

yaml: Any = _yaml  # its types are known in part
FILE_BYTES_MAX = 1024 * 1024
"""A thousand rules with long reasons are half of it."""
DEPTH_MAX = 8
"""Lists within rules within a list are three; the parser's time grows with the square of the depth."""
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+|\"[^\"]*\")\s*=")


def written_rules(toml_path: Path) -> list[Written]:
    """All rules as they are written: the TOML file's first, then those of ``rules/`` beside it by the names of its files."""
    found = list(_from_toml(toml_path))
    if not toml_path.exists():  # then a folder of that name is somebody else's
        return found
    folder = toml_path.parent / "rules"
    for path in sorted(p for p in folder.glob("*") if p.suffix in {".yaml", ".yml"}) if folder.is_dir() else []:
        found += _from_yaml(path)
    return found


def _text_of(path: Path) -> str:
    try:
        data = path.read_bytes()
        if len(data) > FILE_BYTES_MAX:
            raise UsageError(f"{path} has {len(data)} bytes; a file of rules has at most {FILE_BYTES_MAX}")
        return data.decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def _from_toml(path: Path) -> Iterator[Written]:
    text = _text_of(path)
    try:
        tree = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    rules = tree.get("rules", [])
    tables = _tables(text)
    if "rule" in tree:
        line = next((n for n, words in enumerate(text.splitlines(), 1) if re.match(r"\s*\[*\s*\"?rule\b", words)), 1)
        raise UsageError(f"{path} line {line}: `rule` is nothing known; rules are written as [[rules]]")
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in cast("list[object]", rules)):
        line = next((n for n, words in enumerate(text.splitlines(), 1) if re.match(r"\s*\[?\"?rules\b", words)), 1)
        raise UsageError(f"{path} line {line}: rules are written as [[rules]], each with its fields below")
    for number, rule in enumerate(cast("list[dict[str, Any]]", rules)):
        line, lines = tables[number] if number < len(tables) else (1, {})
        yield Written(rule, str(path), line, lines)


def _tables(text: str) -> list[tuple[int, dict[str, int]]]:
    """Where each ``[[rules]]`` begins, and each of its keys. Texts of several lines are passed over."""
    found: list[tuple[int, dict[str, int]]] = []
    inside, quote = False, ""
    for number, line in enumerate(text.splitlines(), 1):
        if quote:
            quote = "" if quote in line else quote
            continue
        head = line.split("#", 1)[0].strip().replace(" ", "")
        if head.startswith("["):
            inside = head == "[[rules]]"
            if inside:
                found.append((number, {}))
        elif inside and (key := _KEY.match(line)):
            found[-1][1][key[1].strip('"')] = number
        for mark in ('"""', "'''"):
            if line.count(mark) % 2:
                quote = mark
    return found


def _from_yaml(path: Path) -> Iterator[Written]:
    text = _text_of(path)
    try:
        _bounded(path, text)
        loader = yaml.SafeLoader(text)
        try:
            root: Any = loader.get_single_node()
            yield from _rules(path, loader, root)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise _no_yaml(path, error) from error


def _no_yaml(path: Path, error: Any) -> UsageError:
    """What is wrong with a text that is no YAML, and in which line of the file."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = "" if mark is None else f" line {mark.line + 1}"
    words = getattr(error, "problem", None) or " ".join(str(error).split())
    return UsageError(f"{path}{line} is not YAML: {words}")


def _bounded(path: Path, text: str) -> None:
    """Refuse what could make a small file a large one or a long wait, before anything is made of it."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise UsageError(f"{path} has aliases (*name), which a file of rules may not have")
        if depth > DEPTH_MAX:
            raise UsageError(f"{path} line {event.start_mark.line + 1}: nests deeper than a rule does")


def _rules(path: Path, loader: Any, root: Any) -> Iterator[Written]:
    if root is None:
        return
    if isinstance(root, yaml.MappingNode):
        named: list[Any] = [value for key, value in root.value if key.value == "rules"]
        if len(root.value) != 1 or not named:
            line = root.value[0][0].start_mark.line + 1 if root.value else 1
            raise UsageError(f"{path} line {line}: a file of rules is a list of rules, or has the one key `rules`")
        root = named[0]
    if not isinstance(root, yaml.SequenceNode):
        raise UsageError(f"{path} line {root.start_mark.line + 1}: a file of rules is a list of rules")
    for node in cast("list[Any]", root.value):
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            raise UsageError(f"{path} line {line}: a rule is a mapping of fields")
        fields: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, value in cast("list[tuple[Any, Any]]", node.value):
            at = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise UsageError(f"{path} line {at}: the name of a field is a word, such as where")
            name = str(key.value)
            if name in fields:
                raise UsageError(f"{path} line {at}: field `{name}` stands there twice")
            try:
                fields[name] = loader.construct_object(value, deep=True)
            except (ValueError, OverflowError) as error:  # a day such as 2027-02-31
                raise UsageError(f"{path} line {at}: `{name}` cannot be read: {error}") from error
            lines[name] = at
        yield Written(fields, str(path), line, lines)
