"""Where the compiled form of a room is, when it was built from the very source that stands here (``make compiled``).

The pure form is the reference. The compiled one is taken only while the source it was made of is unchanged, by digest, and this
Python is the one it was made for; ``ECHOLANE_PURE=1`` leaves it out.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / "build" / "compiled"
STAMP = "STAMP"
"""A file beside the modules: their digest, then their names."""
PURE = "ECHOLANE_PURE"


def stamp(room: str, names: Iterable[str]) -> str:
    """What identifies the source of some modules of a room, and the Python that they are compiled for; then their names."""
    names = sorted(names)
    digest = blake2b(str(sysconfig.get_config_var("SOABI")).encode(), digest_size=16)
    for name in names:
        digest.update(b"\0" + name.encode() + b"\0" + (ROOT / room / f"{name}.py").read_bytes())
    return "\n".join([digest.hexdigest(), *names])


def form(room: str) -> tuple[str, list[str]]:
    """Which form of a room runs (``pure``, ``compiled`` or ``stale``: pure, beside one built from other source), and its modules."""
    return ("pure", []) if os.environ.get(PURE) == "1" else built(room)


def built(room: str) -> tuple[str, list[str]]:
    """The same, whatever ECHOLANE_PURE says."""
    at = BUILT / room / STAMP
    if not at.exists():
        return "pure", []
    try:
        text = at.read_text("utf-8")
        names = text.split("\n")[1:]
        return ("compiled", names) if names and stamp(room, names) == text else ("stale", [])
    except (OSError, ValueError):  # a module that is no more, or a stamp that is no text
        return "stale", []


def folders(room: str) -> list[str]:
    """Where to look for a room's modules first: its compiled form, or nowhere."""
    return [str(BUILT / room)] if form(room)[0] == "compiled" else []
