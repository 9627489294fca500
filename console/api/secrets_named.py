"""Secrets that the configuration names, by a variable or a file, and that never stand in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from echolane.errors import UsageError

SECRET_MIN, SECRET_MAX = 16, 4_096
"""Bytes. A shorter one is guessed: who has one delivery can try secrets at home."""


def read_secret(where: str, environ: Mapping[str, str], what: str, env: str, file: str) -> str:
    """What stands in a variable or a file; UsageError names the place, and never what is there."""
    if env and file:
        raise UsageError(f"{where}: give {what}_env or {what}_file, not both")
    if env:
        text, place = environ.get(env, ""), f"variable {env}"
    else:
        place = f"file {file}"
        try:
            with Path(file).open("rb") as opened:
                text = opened.read(SECRET_MAX + 2).decode().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise UsageError(f"{where}: its {what} cannot be read from {place}: {reason}") from error
    size = len(text.encode("utf-8", "surrogateescape"))
    if not SECRET_MIN <= size <= SECRET_MAX:
        raise UsageError(f"{where}: the {what} in {place} needs {SECRET_MIN} to {SECRET_MAX} bytes and has {size}")
    return text
