"""What targets gave and no answer in the journal shows: sealed into the observation, for whoever goes on with a partition or resumes a run.

A session's cookie or a token is masked before an answer is stored, so a new owner could not learn it from there, and a login at the
target would be lost with the process that made it. So it is kept beside the answers under the installation's seal (:mod:`echolane.seal`),
as recordings keep theirs: in the same record, so that the two are durable together, and nowhere in clear.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from echolane import log
from echolane.errors import EcholaneError

SEALED_MAX = 64 * 1024
"""Bytes that are kept of one observation. A session's cookies are at most some KiB; what a page of a thousand tokens gives besides stays as
recorded for who takes over."""

Cookie = tuple[bytes, bytes, bytes]
"""Name, recorded value (its mask), the target's."""


class Gave(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What one target gave in one answer."""

    cookies: list[Cookie] = []
    values: list[tuple[int, str]] = []
    """Number of the value in the run, and the target's."""


class Kept(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is sealed of one exchange."""

    session: str
    of: dict[int, Gave]
    """By target; one whose answer is another's, byte for byte, is not named again."""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Kept)


class Keeping:
    """Seals and opens for one run."""

    def __init__(
        self, run: str, seal: Callable[[bytes, bytes], bytes], unseal: Callable[[bytes, bytes, str], bytes]
    ) -> None:
        self._run, self._seal, self._unseal = run, seal, unseal

    def __repr__(self) -> str:
        return f"<Keeping of {self._run}>"

    def seal(self, exchange: str, session: str, of: dict[int, Gave]) -> bytes:
        """The seal; empty where there is nothing to keep."""
        room, kept = SEALED_MAX, dict[int, Gave]()
        for index, gave in of.items():
            cookies: list[Cookie] = []
            values: list[tuple[int, str]] = []
            for cookie in gave.cookies:
                room -= sum(map(len, cookie)) + 16
                if room >= 0:
                    cookies.append(cookie)
            for number, value in gave.values:
                room -= 4 * len(value) + 16
                if room >= 0:
                    values.append((number, value))
            if cookies or values:
                kept[index] = Gave(cookies, values)
        return self._seal(_ENCODER.encode(Kept(session, kept)), self._context(exchange)) if kept else b""

    def open(self, exchange: str, sealed: bytes) -> Kept | None:
        """What was sealed; None where it cannot be opened, which costs what it held and is said in the log."""
        try:
            return _DECODER.decode(self._unseal(sealed, self._context(exchange), f"what exchange {exchange} gave"))
        except (EcholaneError, msgspec.DecodeError) as error:
            log.event("replay.unsealed", run=self._run, exchange=exchange, error=str(error))
            return None

    def _context(self, exchange: str) -> bytes:
        # No method begins with a zero byte, so this is never a request's.
        return f"\0gave\0{self._run}\0{exchange}".encode()
