"""The bounded pipe between relay and recorder: batches of exchanges over a stream socket, never waited for.

The relay's end is :class:`PipeWriter`: a batch is written when it is full or old, without blocking. What the recorder does not take within
:data:`BACKLOG_MAX` is shed, whole exchanges at a time, and counted. The recorder's end is :class:`PipeReader`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import NamedTuple

import msgspec

from capture.exchanging import Raw
from echolane.ledger import Counters

BACKLOG_MAX = 32 * 1024 * 1024
"""Bytes that wait for a slow recorder: a second or two of a busy service. Beyond, exchanges are shed and the relay's memory stays bounded."""
BATCH_BYTES = 64 * 1024
"""A batch is written at this size: some dozens of exchanges share one system call."""
BATCH_S = 0.005
"""Or at this age: what a kill -9 of the relay can lose of what it had seen."""
SOCKET_BYTES = 256 * 1024
"""What may be on its way between the two: with the recorder's own last tick that is what a kill -9 of it loses."""
BATCH_MAX = 128 * 1024 * 1024
"""A batch that claims more was not written by a relay: bodies kept are at most 1 and 8 MiB, and a batch ends at its first large one."""
_RAW_OVERHEAD = 128  # msgpack's framing, times and flags of one exchange

_HEAD = struct.Struct("<III")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Raw])


class Batch(NamedTuple):
    """What the recorder reads at once."""

    raws: list[Raw]
    shed: int
    """Exchanges that the relay shed since its last batch: a gap in ``seq``."""


class _Waiting(NamedTuple):
    data: bytes
    exchanges: int


class PipeWriter:
    """The relay's end, and the :class:`~capture.exchanging.Sink` of all its conversations: every exchange is counted here."""

    def __init__(self, loop: asyncio.AbstractEventLoop, counters: Counters) -> None:
        self._loop, self._counters = loop, counters
        self._socket: socket.socket | None = None
        self._batch: list[Raw] = []
        self._batch_bytes = 0
        self._shed = 0
        self._waiting: deque[_Waiting] = deque()
        self._sent = 0
        """Bytes of the first waiting batch that are written."""
        self._backlog = 0
        self._timer: asyncio.TimerHandle | None = None
        self._watching = False

    def __repr__(self) -> str:
        return f"<PipeWriter {self._backlog}/{BACKLOG_MAX} bytes, {'open' if self._socket else 'closed'}>"

    @property
    def connected(self) -> bool:
        """Whether there is a recorder that reads."""
        return self._socket is not None

    @property
    def backlog(self) -> int:
        """Bytes that wait for a recorder."""
        return self._backlog

    @property
    def empty(self) -> bool:
        """Whether everything was handed over."""
        return not self._waiting and not self._batch

    def whole(self, raw: Raw) -> None:
        """Hand over one exchange, or shed it."""
        request, response = raw.request, raw.response
        size = _RAW_OVERHEAD + len(request.head) + len(request.body)
        if response is not None:
            size += len(response.head) + len(response.body)
        counters = self._counters
        counters.add("seen")
        if self._backlog + self._batch_bytes + size > BACKLOG_MAX:
            counters.add("dropped{recorder-busy}")
            self._shed += 1
            return
        self._batch.append(raw)
        self._batch_bytes += size
        if self._batch_bytes >= BATCH_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(BATCH_S, self.flush)

    def lost(self, reason: str) -> None:
        """An exchange that cannot be recorded."""
        self._counters.add("seen")
        self._counters.add(f"dropped{{{reason}}}")

    def noted(self, name: str) -> None:
        """Something that is counted beside the ledger."""
        self._counters.add(name)

    def flush(self) -> None:
        """Close the batch and write what the socket takes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._batch:
            body = _encoder.encode(self._batch)
            data = _HEAD.pack(len(body), len(self._batch), self._shed) + body
            self._waiting.append(_Waiting(data, len(self._batch)))
            self._backlog += len(data)
            self._batch, self._batch_bytes, self._shed = [], 0, 0
        if not self._watching:
            self._pump()

    def connect(self, end: socket.socket) -> None:
        """Write to a (new) recorder; a batch that the former one had in part goes to it from its beginning."""
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        self._socket = end
        self._pump()

    def disconnect(self) -> None:
        """The recorder is gone, or is to end: its end of the pipe reads to the end and closes."""
        if self._socket is None:
            return
        self._watch(False)
        self._socket.close()
        self._socket = None
        self._backlog += self._sent
        self._sent = 0

    def end(self) -> None:
        """Close it for good: what no recorder took is counted, as all that is more than the recorder could take."""
        self.flush()
        self.disconnect()
        left = sum(batch.exchanges for batch in self._waiting)
        if left:
            self._counters.add("dropped{recorder-busy}", left)
        self._waiting.clear()
        self._backlog = 0

    def _pump(self) -> None:
        end = self._socket
        if end is None:
            return
        try:
            while self._waiting:
                data, exchanges = self._waiting[0]
                sent = end.send(data if not self._sent else memoryview(data)[self._sent :])
                self._sent += sent
                self._backlog -= sent
                if self._sent == len(data):
                    self._waiting.popleft()
                    self._sent = 0
                    self._counters.add("delivered", exchanges)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._watch(False)
            return  # it died; whoever watches it disconnects and starts another
        self._watch(bool(self._waiting))

    def _watch(self, wanted: bool) -> None:
        if wanted == self._watching or self._socket is None:
            return
        self._watching = wanted
        if wanted:
            self._loop.add_writer(self._socket, self._pump)
        else:
            self._loop.remove_writer(self._socket)


class PipeReader:
    """The recorder's end."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._buffer = bytearray(SOCKET_BYTES)
        self._from = self._to = 0
        self.ended = False
        """Whether the relay has closed its end; what was written before has been read."""

    def read(self, wait_s: float) -> list[Batch]:
        """The batches that are there; waits up to ``wait_s`` for the first bytes."""
        self._end.settimeout(max(wait_s, 0.0001))
        try:
            size = self._end.recv_into(memoryview(self._buffer)[self._to :])
        except (TimeoutError, BlockingIOError, InterruptedError):
            return []
        except OSError:
            size = 0
        if not size:
            self.ended = True
            return []
        self._to += size
        return self._parse()

    def _parse(self) -> list[Batch]:
        found: list[Batch] = []
        needed = _HEAD.size
        with memoryview(self._buffer) as view:
            while self._to - self._from >= _HEAD.size:
                length, exchanges, shed = _HEAD.unpack_from(view, self._from)
                needed = _HEAD.size + length
                if length > BATCH_MAX:
                    raise ValueError(f"a batch of {length} bytes and {exchanges} exchanges was not written by a relay")
                if self._to - self._from < needed:
                    break
                found.append(Batch(_decoder.decode(view[self._from + _HEAD.size : self._from + needed]), shed))
                self._from += needed
                needed = _HEAD.size
        self._make_room(needed)
        return found

    def _make_room(self, needed: int) -> None:
        """Move what is left to the beginning; grow for a batch that does not fit, and shrink again behind it."""
        size = max(SOCKET_BYTES, needed)
        if not self._from and len(self._buffer) == size:
            return  # a large batch comes in dozens of reads: moved at each, it would cost its square
        left = bytes(memoryview(self._buffer)[self._from : self._to])
        if len(self._buffer) != size:
            self._buffer = bytearray(size)
        self._buffer[: len(left)] = left
        self._from, self._to = 0, len(left)
