"""Keys of an installation: the seal key (and the mask key derived from it) and the key that signs replay marks.

They come from the environment (``ECHOLANE_SEAL_KEY``, ``ECHOLANE_MARK_KEY``: 64 hex digits), from a command
(``ECHOLANE_SEAL_KEY_COMMAND``, run without a shell) or from files of mode 0600 under ``HOME/keys``, made at first use. One seal
key serves all agents and workers of an installation. To rotate, put the new key on the first line of the file (or first in the
variable, separated by commas) and keep the old ones behind it: they still open what they sealed. :mod:`echolane.seal` uses
the seal key, :mod:`echolane.masks` the mask key, :mod:`echolane.marks` the mark key.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from echolane.errors import HomeError, UsageError

SEAL_KEY_ENV, SEAL_COMMAND_ENV, MARK_KEY_ENV = "ECHOLANE_SEAL_KEY", "ECHOLANE_SEAL_KEY_COMMAND", "ECHOLANE_MARK_KEY"
KEY_BYTES = 32
COMMAND_WAIT_S = 20.0
"""A vault that asks for a second factor answers in seconds; a start-up that hangs longer looks dead."""

_KEY = re.compile(r"[0-9a-fA-F]{64}")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, repr=False)
class SealKey:
    """A 32-byte key and its public name."""

    secret: bytes
    id: bytes
    """Four bytes that name the key in a seal without telling anything about it."""

    @classmethod
    def of(cls, secret: bytes) -> SealKey:
        """The key with its name worked out."""
        if len(secret) != KEY_BYTES:
            raise ValueError(f"a seal key has {KEY_BYTES} bytes, not {len(secret)}")
        return cls(secret, hashlib.blake2b(secret, digest_size=4, person=b"echolane-keyid").digest())

    def mask_key(self) -> bytes:
        """The key that masks are made with: apart from the seal's, so that a mask never helps to open a seal."""
        return hashlib.blake2b(key=self.secret, digest_size=KEY_BYTES, person=b"echolane-mask").digest()

    def __repr__(self) -> str:
        return f"<SealKey {self.id.hex()}>"


@dataclass(frozen=True, slots=True)
class SealKeys:
    """The key that seals and those that still open."""

    current: SealKey
    older: tuple[SealKey, ...] = ()

    def find(self, key_id: bytes) -> SealKey | None:
        """The key of this name."""
        for key in (self.current, *self.older):
            if key.id == key_id:
                return key
        return None


def load_seal_keys(folder: Path, environ: Mapping[str, str]) -> SealKeys:
    """The installation's seal keys; a home that has none yet gets one."""
    text = environ.get(SEAL_KEY_ENV, "")
    command = environ.get(SEAL_COMMAND_ENV, "")
    if text:
        secrets = _parse(text, SEAL_KEY_ENV, UsageError)
    elif command:
        secrets = _parse(_run(command), f"the output of {SEAL_COMMAND_ENV}", UsageError)
    else:
        secrets = _from_file(folder / "seal.key")
    first, *others = [SealKey.of(secret) for secret in secrets]
    return SealKeys(first, tuple(others))


def load_mark_key(folder: Path, environ: Mapping[str, str]) -> bytes:
    """The key that signs replay marks; it must be the same wherever replayed traffic can be recorded."""
    text = environ.get(MARK_KEY_ENV, "")
    return _parse(text, MARK_KEY_ENV, UsageError)[0] if text else _from_file(folder / "mark.key")[0]


def _parse(text: str, source: str, fault: type[UsageError | HomeError]) -> list[bytes]:
    """Keys separated by commas or white space; the message never shows what was read."""
    words = re.split(r"[\s,]+", text.strip())
    if not all(_KEY.fullmatch(word) for word in words):
        lengths = ", ".join(str(len(word)) for word in words[:4])
        raise fault(
            f"{source} must hold a key of 64 hex digits (`openssl rand -hex 32` makes one), not text of length {lengths}"
        )
    return [bytes.fromhex(word) for word in words]


def _run(command: str) -> str:
    """What the user's own command prints: the way to keys that live in a vault."""
    try:
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=COMMAND_WAIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"{SEAL_COMMAND_ENV} did not answer within {COMMAND_WAIT_S:.0f} s: {command}") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{SEAL_COMMAND_ENV} cannot be run ({error}): {command}") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
        raise UsageError(f"{SEAL_COMMAND_ENV} ended with {done.returncode} ({said}): {command}")
    return done.stdout


def _from_file(path: Path) -> list[bytes]:
    """Keys of a file, made now if it is not there yet."""
    for _ in range(2):
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                held = file.read(64 * 1024)
        except FileNotFoundError:
            _create(path)
            continue
        except OSError as error:
            raise HomeError(f"key file {path} cannot be read: {error.strerror}") from error
        if status.st_mode & _OTHERS:
            mode = stat.S_IMODE(status.st_mode)
            raise HomeError(f"key file {path} has mode {mode:04o}, so others can read it; run `chmod 600 {path}`")
        return _parse(held.decode("latin-1"), f"key file {path}", HomeError)
    raise HomeError(f"key file {path} vanishes as soon as it is written; is another program cleaning {path.parent}?")


def _create(path: Path) -> None:
    """Write a new key so that it appears whole or not at all, and so that of two processes one wins and both read its key."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(handle, "wb") as file:  # noqa: PTH123 - a descriptor has no path
                file.write(os.urandom(KEY_BYTES).hex().encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise HomeError(f"key file {path} cannot be made: {error.strerror}") from error
