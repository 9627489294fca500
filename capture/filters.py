"""What is recorded: pure rules over a request. A session is kept whole or not at all."""

from __future__ import annotations

import hashlib

from echolane.exchange import Request
from echolane.settings import Capture


class Filters:
    """The rules of one service's capture."""

    def __init__(self, settings: Capture) -> None:
        self._methods = frozenset(method.upper() for method in settings.methods)
        self._paths, self._not_paths = tuple(settings.paths), tuple(settings.not_paths)
        self.probability = settings.sampling
        self._share = int(settings.sampling * 2**64)

    def refuses(self, request: Request, session: str) -> str:
        """Why a request is not recorded: ``filtered``, ``sampled``, or empty."""
        if self._methods and request.method not in self._methods:
            return "filtered"
        if self._paths and not request.target.startswith(self._paths):
            return "filtered"
        if self._not_paths and request.target.startswith(self._not_paths):
            return "filtered"
        if self.probability < 1.0 and session_point(session) >= self._share:
            return "sampled"
        return ""


def session_point(session: str) -> int:
    """Where a session stands between 0 and 2**64: equal on every agent, whatever it samples."""
    return int.from_bytes(hashlib.blake2b(session.encode(), digest_size=8).digest(), "big")
