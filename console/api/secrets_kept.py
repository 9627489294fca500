"""Keys that the server makes for itself and keeps in ``HOME/keys``, readable by their owner alone."""

from __future__ import annotations

import os

from echolane.errors import HomeError, unwritable
from echolane.home import Home

KEY_BYTES = 32


def secret(home: Home, name: str) -> bytes:
    """The key of this name, made at first use. Of two that make it at once one wins."""
    path = home.keys / name
    part = path.with_name(f".{name}.{os.getpid()}.part")
    try:
        if not path.exists():
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.write(descriptor, os.urandom(KEY_BYTES).hex().encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            try:
                os.link(part, path)
            except FileExistsError:
                pass
            finally:
                part.unlink()
        key = bytes.fromhex(path.read_text("ascii").strip())
    except ValueError as error:
        raise HomeError(f"`{path}` holds no key; restore it, or remove it to have a new one made") from error
    except OSError as error:
        raise unwritable(f"`{path}`", error) from error
    if len(key) != KEY_BYTES:
        raise HomeError(f"`{path}` holds no key of {KEY_BYTES} bytes; restore it, or remove it to have a new one made")
    return key
