"""The audit log: one line for each call that changes something, also for those that were refused, each chained to the one before.

``HOME/access/audit.log`` is NDJSON that is only appended to. A line's ``mac`` is an HMAC-SHA256 over the line before and its own fields, under
``HOME/keys/audit.key``: whoever can write the file but not read the key can neither change, drop, insert nor reorder lines. How many
there are, and the last ``mac``, stand signed in ``audit.head``, so that lines cut off at the end are missed too. :meth:`Audit.verify` checks
all. Who can put back older copies of both files at once is found only by somebody who has kept a newer one.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import orjson

from console.api.secrets_kept import secret
from echolane.errors import HomeError, unwritable
from echolane.home import Home

START = "0" * 64
"""What the first line is chained to."""
LINE_MAX = 16 * 1024
"""Our own fields are a few hundred bytes; a longer line is none of ours."""


class Audit:
    """The log of a home. Any number of processes may append."""

    def __init__(self, home: Home) -> None:
        self._folder = home.path / "access"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise unwritable(f"`{self._folder}`", error) from error
        self.path, self._head = self._folder / "audit.log", self._folder / "audit.head"
        self._key = secret(home, "audit.key")

    def __repr__(self) -> str:
        return f"<Audit {self.path}>"

    def note(self, **fields: object) -> None:
        """Append one line, durable when it returns."""
        with self._locked() as log:
            count, last = self._ending()
            entry = {"seq": count + 1, "at_ns": time.time_ns(), **fields, "before": last}
            mac = self._mac(entry)
            try:
                os.write(log, orjson.dumps({**entry, "mac": mac}) + b"\n")
                os.fsync(log)
                self._write_head(count + 1, mac)
            except OSError as error:
                raise unwritable(f"`{self.path}`", error) from error

    def check(self) -> None:
        """HomeError where nothing can be appended: then nothing may be changed either."""
        with self._locked():
            self._ending()

    def entries(self, last: int) -> list[dict[str, Any]]:
        """The last lines, the newest first."""
        try:
            lines = self.path.read_bytes().splitlines()[-last:]
        except FileNotFoundError:
            return []
        return [orjson.loads(line) for line in reversed(lines)]

    def verify(self) -> tuple[int, list[str]]:
        """How many lines there are, and what is wrong, the first fault only: what follows it cannot be trusted."""
        with self._locked():
            count, head = self._ending()
            last, number = START, 0
            with self.path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if fault := self._fault(line, number, last):
                        return number, [fault]
                    last = str(orjson.loads(line)["mac"])
            if (number, last) != (count, head):
                return number, [f"line {number} is the last one, but {count} were written: what followed is cut off"]
            return number, []

    def _fault(self, line: bytes, number: int, last: str) -> str:
        try:
            entry = orjson.loads(line[:LINE_MAX])
            mac = str(entry.pop("mac"))
        except (orjson.JSONDecodeError, AttributeError, KeyError):
            return f"line {number} is none of ours"
        if not hmac.compare_digest(mac, self._mac(entry)):
            return f"line {number} was changed"
        if entry.get("before") != last or entry.get("seq") != number:
            return f"line {number} does not follow the one before: lines were dropped, added or moved"
        return ""

    def _mac(self, entry: dict[str, Any]) -> str:
        data = orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)
        return hmac.new(self._key, data, hashlib.sha256).hexdigest()

    def _ending(self) -> tuple[int, str]:
        """How many lines were written, and the mac of the last."""
        try:
            head = orjson.loads(self._head.read_bytes())
            count, last, signed = int(head["count"]), str(head["mac"]), str(head["signed"])
        except FileNotFoundError:
            raise HomeError(
                f"`{self._head}` is missing, so `{self.path}` cannot be gone on with; restore both"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise HomeError(f"`{self._head}` cannot be read ({error}); restore it with `{self.path}`") from error
        if not hmac.compare_digest(signed, self._mac({"count": count, "mac": last})):
            raise HomeError(f"`{self._head}` was changed; restore it with `{self.path}`")
        return count, last

    def _write_head(self, count: int, mac: str) -> None:
        part = self._head.with_suffix(".part")
        head = {"count": count, "mac": mac}
        part.write_bytes(orjson.dumps({**head, "signed": self._mac(head)}))
        part.replace(self._head)

    @contextmanager
    def _locked(self) -> Generator[int]:
        try:
            log = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise unwritable(f"`{self.path}`", error) from error
        try:
            fcntl.flock(log, fcntl.LOCK_EX)
            self._mend(log)
            yield log
        finally:
            os.close(log)

    def _mend(self, log: int) -> None:
        """Take in what a process left that was killed: half a line is nothing, a whole one behind the head was said."""
        size = os.fstat(log).st_size
        if not size and not self._head.exists():
            self._write_head(0, START)
        begin = max(0, size - LINE_MAX)
        tail = os.pread(log, LINE_MAX, begin)
        whole, newline, torn = tail.rpartition(b"\n")
        if torn:
            os.ftruncate(log, size - len(torn))
        if newline:
            count, last = self._ending()
            line = whole.rpartition(b"\n")[2]
            if self._fault(line, count + 1, last) == "":
                self._write_head(count + 1, str(orjson.loads(line)["mac"]))
