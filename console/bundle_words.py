"""What may leave a machine of free text: words that stand in Echolane's own source, and small numbers. Everything else becomes ``…``.

A list of what secrets look like is never whole; the words of our own messages are. So an error keeps its sentence and loses the paths,
names and values in it, whatever they are.
"""

from __future__ import annotations

import builtins
import errno
import importlib
import os
import re
from pathlib import Path
from typing import Any, cast

LEFT_OUT = "…"
TEXT_MAX = 2_000
"""Characters of one text; our messages have some hundred."""
DEPTH_MAX = 8
ITEMS_MAX = 1_000
"""Of one list or object; ledgers and events have some dozen."""
ROOMS = ("echolane", "capture", "replayer", "differ", "console")
_NUMBER = re.compile(r"\d{1,5}")
"""As much as a status, a port, a line or a count of seconds needs, and no card, code or id."""
_MARKS = "`'\"()[]{}<>.,:;!?=+*/|-~%"
_INNER = re.compile(r"[`'\"(){}\[\].,:;=/|-]+")
"""What may stand between words of ours: ``dropped{spool-full}``. No ``@``: what stands before it is somebody's."""


class Words:
    """The words that are kept."""

    def __init__(self) -> None:
        system = (word for code in errno.errorcode for word in re.findall(r"\w+", os.strerror(code)))
        self._known = _of_source() | {"Traceback", *dir(builtins), *system}

    def __repr__(self) -> str:
        return f"<Words {len(self._known)}>"

    def clean(self, text: str) -> str:
        """A text without what is not ours."""
        cut = LEFT_OUT if len(text) > TEXT_MAX else ""
        return " ".join(word if self._keeps(word) else LEFT_OUT for word in text[:TEXT_MAX].split()) + cut

    def cleaned(self, value: Any, depth: int = 0) -> Any:
        """A value of JSON with its texts cleaned, names of fields too. Numbers stay."""
        if isinstance(value, str):
            return self.clean(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth >= DEPTH_MAX:
            return LEFT_OUT
        if isinstance(value, dict):
            items = list(cast("dict[str, Any]", value).items())[:ITEMS_MAX]
            return {self.clean(str(name)): self.cleaned(one, depth + 1) for name, one in items}
        if isinstance(value, list | tuple):
            return [self.cleaned(one, depth + 1) for one in cast("list[Any]", value)[:ITEMS_MAX]]
        return LEFT_OUT

    def _keeps(self, word: str) -> bool:
        parts = [part for part in _INNER.split(word.strip(_MARKS)) if part]
        return all(part in self._known or _NUMBER.fullmatch(part) for part in parts)


def _of_source() -> set[str]:
    found: set[str] = set()
    for room in ROOMS:
        folder = Path(str(importlib.import_module(room).__file__)).parent
        for path in folder.rglob("*.py"):
            found.update(re.findall(r"[^\W\d]\w*", path.read_text("utf-8")))
    return found
