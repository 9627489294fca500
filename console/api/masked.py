"""Where a recorded request holds masks: told by their keyed checks, with the installation's keys."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from echolane.errors import EcholaneError
from echolane.exchange import Request
from echolane.keys import SEAL_COMMAND_ENV, SEAL_KEY_ENV, load_seal_keys
from echolane.masks.atoms import Atoms

_ATOM = re.compile(rb"[A-Za-z0-9@._-]{12,}")
"""What a mask may look like: every one has 12 letters and more (:mod:`echolane.masks.atoms`)."""


def places(keys: Path, request: Request) -> list[str]:
    """``target``, ``header:cookie``, ``body``: each that holds a mask; none where the keys are not to be had here."""
    atoms = _atoms(keys)
    texts = [("target", request.target.encode("latin-1", "replace"))]
    texts += [(f"header:{name.decode('latin-1').lower()}", value) for name, value in request.headers]
    texts.append(("body", request.body.data))
    return list(dict.fromkeys(place for place, text in texts if any(map(atoms, _ATOM.findall(text)))))


def _atoms(keys: Path) -> Callable[[bytes], bool]:
    file = keys / "seal.key"
    there = file.exists()
    if not there and not any(os.environ.get(name) for name in (SEAL_KEY_ENV, SEAL_COMMAND_ENV)):
        return lambda _: False  # a home without keys would be given new ones, and those made no mask
    return _known(keys, file.stat().st_mtime_ns if there else 0)


@lru_cache(maxsize=2)  # a command asks a vault, which is not for every look at a page
def _known(keys: Path, _changed_ns: int) -> Callable[[bytes], bool]:
    try:
        found = load_seal_keys(keys, os.environ)
    except EcholaneError:
        return lambda _: False
    every = [Atoms(key.mask_key()) for key in (found.current, *found.older)]
    return lambda value: any(atoms.mask(value) == value for atoms in every)
