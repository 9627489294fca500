"""Writes as a dry run: a header that asks the application to change nothing, sent only where the application says that it heard it.

The application echoes the header in its answer. That is verified twice. Before anything is fired every target is asked once,
harmlessly, with the header; one that does not echo it gets no writes, and so does none of the others, since targets are fired at
together. Then each endpoint proves it for itself: its first write goes alone, and only when every answer has the echo do others follow
(``skipped{dry-run-unproven}`` else). An answer without it later on closes the endpoint, too.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence

from echolane.errors import UsageError
from echolane.marks import Signer, fresh_traceparent, prepare_headers
from replayer.answer import Answer, headers_of
from replayer.connection import Patience
from replayer.flight import Flight
from replayer.probing import PATIENCE, Probe, probe
from replayer.targets import Target

HEADER = "x-echolane-dry-run"
ASKED = b"1"
UNPROVEN = "dry-run-unproven"
"""The reason with which writes are skipped that might be real."""
NOTES_MAX = 8
"""Endpoints that are named to a person; the ledger counts all."""
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
_OURS = frozenset({"host", "content-length", "connection", "transfer-encoding", "x-lane", "baggage", "traceparent"})


def checked_name(name: str) -> str:
    """The header's name in lower case; UsageError for one that cannot be it."""
    lower = name.lower()
    if not _NAME.fullmatch(name) or lower in _OURS or lower == "x-echolane-replay":
        raise UsageError(f"`{name}` cannot be the header of a dry run; use a name such as {HEADER}")
    return lower


class DryRun:
    """What is known of the echo, by endpoint. Pure but for :func:`unechoed`, which gives ``silent``."""

    def __init__(self, header: str, silent: Sequence[str] = ()) -> None:
        self.header = header.encode("ascii")
        self.silent = silent
        """Targets that did not echo when they were asked."""
        self.notes: list[str] = []
        if silent:
            self.notes.append(f"writes were not fired: {', '.join(silent)} does not echo `{header}: 1`")
        self._proven: dict[str, bool] = {}
        self._waiting: dict[str, list[Flight]] = {}

    def __repr__(self) -> str:
        return f"<DryRun by {self.header.decode()}, {len(self._proven)} endpoints known>"

    def refuses(self, endpoint: str) -> bool:
        """Whether writes to an endpoint stay back."""
        return bool(self.silent) or self._proven.get(endpoint) is False

    def holds(self, flight: Flight) -> bool:
        """Whether a write waits until the first one of its endpoint was answered."""
        endpoint = flight.item.endpoint
        if endpoint in self._proven:
            return False
        if endpoint in self._waiting:
            self._waiting[endpoint].append(flight)
            return True
        self._waiting[endpoint] = []
        return False

    def heard(self, flight: Flight) -> list[Flight]:
        """A write was answered at every target; those that waited for it."""
        endpoint = flight.item.endpoint
        answers = [shot.answer for shot in flight.shots if shot is not None]
        if any(answer is not None and not self.echoed(answer) for answer in answers):
            if self._proven.get(endpoint) is not False and len(self.notes) < NOTES_MAX:
                self.notes.append(f"{endpoint} did not echo the dry run: no more writes were fired there")
            self._proven[endpoint] = False
        elif all(answer is not None for answer in answers) and answers:
            self._proven.setdefault(endpoint, True)
        return self._waiting.pop(endpoint, [])

    def echoed(self, answer: Answer) -> bool:
        """Whether an answer says that nothing was changed."""
        return [value.strip() for name, value in headers_of(answer.head)[2] if name.lower() == self.header] == [ASKED]


async def unechoed(
    targets: Sequence[Target], header: str, key: bytes, run: str, patience: Patience = PATIENCE
) -> list[str]:
    """Ask each target once, with a safe request; the names of those that do not echo."""
    found: dict[tuple[str, str | None, str], bool] = {}
    silent: list[str] = []
    asking = DryRun(header)
    async with asyncio.TaskGroup() as tasks:
        for target in targets:
            place = target.place
            if place not in found:
                shot: Probe = await probe(target.address, tasks.create_task, _wire(target, header, key, run), patience)
                found[place] = shot.answer is not None and asking.echoed(shot.answer)
            if not found[place]:
                silent.append(f"{target.name} {target.url}")
    return silent


def _wire(target: Target, header: str, key: bytes, run: str) -> bytes:
    return b"GET / HTTP/1.1\r\n" + prepare_headers(
        [(header.encode("ascii"), ASKED)],
        authority=target.authority.encode("latin-1"),
        lane=target.lane,
        mark=Signer(key, run).sign("probe"),
        traceparent=fresh_traceparent(os.urandom),
    )


__all__ = ["HEADER", "UNPROVEN", "DryRun", "checked_name", "unechoed"]
