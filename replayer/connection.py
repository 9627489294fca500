"""Keep-alive connections to one target. A shot goes out as bytes written once and comes back as an answer or a failure.

:class:`Pool` hands out connections, :class:`Connection` carries one :class:`LiveShot` at a time; where an answer ends is
:mod:`replayer.framing`'s business. Nothing here makes a task or a timer per request: one sweep every tenth of a second finds what
waits too long. A server that closes an idle connection just as we write is no failure: the safe request goes out once more on
a fresh connection. Unsafe requests only ever travel on fresh ones, so that a lost answer never leaves them in doubt.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from echolane.errors import HomeError
from replayer.answer import Answer, Garbage
from replayer.framing import AnswerReader, whole

SWEEP_S = 0.1
ASLEEP_NS = int(2 * SWEEP_S * 1e9)
"""Between two sweeps: then this process stood still, and what has come meanwhile was not read yet."""
_mono_ns = time.monotonic_ns
_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a target may take."""

    connect_s: float = 3.0
    first_byte_s: float = 10.0
    total_s: float = 30.0


class Kin(msgspec.Struct, eq=False, gc=False):
    """The first answer among shots of one request: where another's bytes are the same, so is what is read out of them."""

    came: bytes = b""
    """As it came over the wire, whole."""
    answer: Answer | None = None

    def whole(self, data: bytes, *, head_only: bool) -> Answer | None:
        """As :func:`replayer.framing.whole`, read once where the bytes are the same."""
        if data == self.came:
            return self.answer
        answer = whole(data, head_only=head_only)
        if answer is not None and self.answer is None:
            self.came, self.answer = data, answer
        return answer


class LiveShot(msgspec.Struct, eq=False):
    """One request on its way to one target. ``settled`` is called once, with ``answer`` or ``failure`` set."""

    wire: bytes
    head_only: bool = False
    safe: bool = True
    answer: Answer | None = None
    failure: str = ""
    sent_ns: int = 0
    done_ns: int = 0
    attempts: int = 1
    kin: Kin | None = None
    """Shared with those who were sent the same request, if any."""

    @property
    def took_us(self) -> float:
        """From sending to the last byte; 0 where nothing was sent."""
        return (self.done_ns - self.sent_ns) / 1000 if self.sent_ns else 0.0

    def settled(self) -> None:
        """Overridden by who wants to know."""


class Connection(asyncio.Protocol):
    """One connection; idle, or with one shot in flight."""

    __slots__ = ("_pool", "_reader", "_transport", "lost", "shot", "used")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._reader: AnswerReader | None = None
        self.shot: LiveShot | None = None
        self.used = 0
        """How many shots it has carried."""
        self.lost = False

    def __repr__(self) -> str:
        return f"<Connection {'lost' if self.lost else 'busy' if self.shot else 'idle'}, {self.used} shots>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop has connected it."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def fire(self, shot: LiveShot) -> None:
        """Write the request; its answer settles the shot."""
        self.shot = shot
        self.used += 1
        shot.sent_ns = _mono_ns()
        if self._transport is not None:
            self._transport.write(shot.wire)

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer."""
        shot = self.shot
        if shot is None:
            self.close()  # bytes nobody asked for: whatever is answered next would be taken for them
            return
        reader = self._reader
        try:
            if reader is None:
                kin = shot.kin
                if kin is not None and data == kin.came:
                    answer = kin.answer
                else:
                    answer = (kin.whole if kin is not None else whole)(data, head_only=shot.head_only)
                if answer is not None and not self.lost:
                    self.shot = None
                    self._pool.idle.append(self)
                    shot.done_ns = _mono_ns()
                    shot.answer = answer
                    shot.settled()
                    return
                reader = self._reader = AnswerReader(head_only=shot.head_only)
            if not reader.feed(data):
                return
        except Garbage as garbage:
            self.close()
            self._settle(None, garbage.reason)
            return
        if reader.keep_alive and not self.lost:
            self._settle(reader.answer, "", keep=True)
        else:
            self.close()
            self._settle(reader.answer, "")

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by the target, or by us."""
        self.lost = True
        self._pool.forget(self)
        shot, reader = self.shot, self._reader
        if shot is None:
            return
        if reader is not None and (reader.end() if exc is None else reader.cut()):
            self._settle(reader.answer, "")
        elif self.used > 1 and reader is None and shot.safe and shot.attempts == 1:
            self.shot = None
            shot.attempts = 2
            self._pool.fire_fresh(shot)
        else:
            # Subtle: whether FIN or RST arrives first is a race in the server's kernel, so that both are one reason.
            self._settle(None, "closed")

    def sweep(self, first_byte_before_ns: int, sent_before_ns: int) -> None:
        """Give up a shot that was sent before these instants."""
        shot = self.shot
        if shot is None or shot.sent_ns >= first_byte_before_ns:
            return
        if self._reader is None:
            self.abort("first-byte-timeout")
        elif shot.sent_ns < sent_before_ns:
            self.abort("timeout")

    def abort(self, failure: str) -> None:
        """Give up the shot in flight and the connection."""
        self.lost = True
        if self._transport is not None:
            self._transport.abort()
        if self.shot is not None:
            self._settle(None, failure)

    def close(self) -> None:
        """Use it no more."""
        self.lost = True
        self._pool.forget(self)
        if self._transport is not None:
            self._transport.close()

    def _settle(self, answer: Answer | None, failure: str, *, keep: bool = False) -> None:
        shot = self.shot
        self.shot = self._reader = None
        if keep:
            self._pool.idle.append(self)
        if shot is not None:
            shot.done_ns = _mono_ns()
            shot.answer, shot.failure = answer, failure
            shot.settled()


class Pool:
    """The connections to one target."""

    def __init__(
        self,
        address: tuple[str, int],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        *,
        patience: Patience | None = None,
        idle_max: int = 16,
    ) -> None:
        self.address = address
        self.patience = patience or Patience()
        self.idle: list[Connection] = []
        """Newest last; the newest is used next, it is the least likely to have been closed."""
        self._all: set[Connection] = set()
        self._spawn = spawn
        self._halted = False
        self._swept_ns, self._is_spared = 0, False
        self._idle_max = idle_max
        """As many as can be in flight; a server may count open connections against us."""

    def __repr__(self) -> str:
        return f"<Pool {self.address[0]}:{self.address[1]}, {len(self._all)} open, {len(self.idle)} idle>"

    def take(self, *, safe: bool) -> Connection | None:
        """An idle connection, or None when one must be opened.

        An unsafe request gets none, and the idle one it would have had is closed: a server with a single thread may wait
        for that one's next request before it accepts another.
        """
        idle = self.idle
        while idle:
            connection = idle.pop()
            if connection.lost:
                continue
            if safe:
                return connection
            connection.close()
            break
        return None

    def open(self, opened: Callable[[Connection | None, str], None]) -> None:
        """Connect; ``opened`` is called with the connection, or with None and the reason of failure."""
        self._spawn(self._open(opened))

    def fire_fresh(self, shot: LiveShot) -> None:
        """Fire on a connection of its own."""

        def opened(connection: Connection | None, failure: str) -> None:
            if connection is not None:
                connection.fire(shot)
                return
            shot.failure, shot.done_ns = failure, _mono_ns()
            shot.settled()

        self.open(opened)

    def put_back(self, connection: Connection) -> None:
        """A connection that was taken or opened and not used."""
        if not connection.lost:
            self.idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """It is lost."""
        self._all.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)

    def sweep(self, now_ns: int) -> None:
        """Give up what waits too long, and close idle connections beyond what can be in flight.

        Who stood still reads first what came meanwhile: it is the next sweep that gives up, and never a later one.
        """
        asleep_ns, self._swept_ns = now_ns - self._swept_ns, now_ns
        self._is_spared = asleep_ns > ASLEEP_NS and not self._is_spared
        if self._is_spared:
            return
        first = now_ns - int(self.patience.first_byte_s * 1e9)
        total = now_ns - int(self.patience.total_s * 1e9)
        for connection in tuple(self._all):
            connection.sweep(max(first, total), total)
        while len(self.idle) > self._idle_max:
            self.idle[0].close()

    def abort(self, failure: str) -> None:
        """Give up all shots in flight."""
        for connection in tuple(self._all):
            connection.abort(failure)

    def halt(self) -> None:
        """Send nothing any more, also not once what is being connected stands."""
        self._halted = True
        self.close()

    def close(self) -> None:
        """Close what is idle and give up what is not."""
        self.abort("closed")
        for connection in tuple(self._all):
            connection.close()

    async def _open(self, opened: Callable[[Connection | None, str], None]) -> None:
        connection, failure = Connection(self), ""
        try:
            await self._connect(connection)
        except TimeoutError:
            failure = "connect-timeout"
        except ConnectionResetError:
            failure = "reset"
        except OSError as error:
            if error.errno in _OUT_OF_FILES:
                raise HomeError("too many open files; raise the limit (`ulimit -n`) or lower --concurrency") from error
            failure = "refused"
        if not failure and self._halted:
            connection.close()
            failure = "closed"
        if not failure:
            self._all.add(connection)
        opened(None if failure else connection, failure)

    async def _connect(self, connection: Connection) -> None:
        """Where the time ran out while we stood still ourselves it may have stood long ago: it is tried once more."""
        due_ns = _mono_ns() + int(self.patience.connect_s * 1e9)
        try:
            await self._try_once(connection)
        except TimeoutError:
            if _mono_ns() - due_ns < ASLEEP_NS:
                raise
            await self._try_once(connection)

    async def _try_once(self, connection: Connection) -> None:
        async with asyncio.timeout(self.patience.connect_s):
            await asyncio.get_running_loop().create_connection(lambda: connection, *self.address)
