"""The bounded pipe between relay and recorder: batches of exchanges over a stream socket, never waited for.

The relay's end (:class:`PipeWriter`) buffers a batch per loop tick and writes without blocking. What the recorder does not take within
:data:`BACKLOG_MAX` is shed, whole exchanges at a time, and counted. The recorder's end is :func:`batches`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator

import msgspec

from capture.exchanging import Raw

BACKLOG_MAX = 32 * 1024 * 1024
"""Bytes that wait for a slow recorder: seconds of a busy service; beyond, exchanges are shed so that the relay's memory stays bounded."""
BATCH_BYTES = 64 * 1024
"""A batch is sent at this size, or at the end of :data:`BATCH_S`."""
BATCH_S = 0.005
SOCKET_BYTES = 1024 * 1024
BATCH_MAX = 64 * 1024 * 1024
"""A batch that claims more than this was not written by us."""
_LENGTH = struct.Struct("<II")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Raw])


class PipeWriter:
    """The relay's end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: Callable[[str, int], None]) -> None:
        self._loop, self._count = loop, count
        self._socket: socket.socket | None = None
        self._batch: list[Raw] = []
        self._batch_bytes = 0
        self._waiting: deque[tuple[memoryview, int]] = deque()
        self._backlog = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writing = False
        self._begun = False
        """Whether the first waiting batch has been written in part."""

    def __repr__(self) -> str:
        return f"<PipeWriter {self._backlog}/{BACKLOG_MAX} bytes, {'open' if self._socket else 'closed'}>"

    def connect(self, end: socket.socket) -> None:
        """Write to a (new) recorder; what the former one had not taken goes to it from its beginning."""
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        self._socket = end
        self._pump()

    def disconnect(self) -> int:
        """The recorder died. What was handed to it in part is lost: how many exchanges that were."""
        if self._socket is not None:
            if self._writing:
                self._loop.remove_writer(self._socket)
                self._writing = False
            self._socket.close()
            self._socket = None
        if self._waiting and self._begun:
            view, exchanges = self._waiting.popleft()
            self._backlog -= view.nbytes
            self._begun = False
            return exchanges
        return 0

    def put_nowait(self, raw: Raw) -> None:
        """Hand over one exchange, or shed it."""
        size = len(raw.request.body) + 600 + (len(raw.response.body) if raw.response is not None else 0)
        if self._backlog + self._batch_bytes + size > BACKLOG_MAX:
            self._count("dropped{recorder-busy}", 1)
            return
        self._batch.append(raw)
        self._batch_bytes += size
        if self._batch_bytes >= BATCH_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(BATCH_S, self.flush)

    def flush(self) -> None:
        """Close the batch and write what the socket takes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._batch:
            data = _encoder.encode(self._batch)
            self._waiting.append((memoryview(_LENGTH.pack(len(data), len(self._batch)) + data), len(self._batch)))
            self._backlog += len(data) + _LENGTH.size
            self._batch, self._batch_bytes = [], 0
        self._pump()

    def _pump(self) -> None:
        if self._socket is None:
            return
        try:
            while self._waiting:
                view, exchanges = self._waiting[0]
                sent = self._socket.send(view)
                self._backlog -= sent
                if sent < view.nbytes:
                    self._waiting[0] = (view[sent:], exchanges)
                    self._begun = True
                    break
                self._waiting.popleft()
                self._begun = False
                self._count("handed", exchanges)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            return  # it died; whoever watches it calls disconnect
        if self._waiting and not self._writing:
            self._loop.add_writer(self._socket, self._pump)
            self._writing = True
        elif not self._waiting and self._writing:
            self._loop.remove_writer(self._socket)
            self._writing = False

    @property
    def empty(self) -> bool:
        """Whether everything was handed over."""
        return not self._waiting and not self._batch

    def close(self) -> int:
        """End the pipe; how many exchanges were never handed over."""
        self.flush()
        lost = sum(exchanges for _, exchanges in self._waiting)
        if self._socket is not None:
            if self._writing:
                self._loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None
        self._waiting.clear()
        return lost


def batches(end: socket.socket, wait_s: float) -> Iterator[list[Raw]]:
    """Batches as they come; an empty one whenever ``wait_s`` passed without any; ends when the relay has closed its end."""
    end.settimeout(wait_s)
    buffer = bytearray()
    while True:
        while len(buffer) >= _LENGTH.size:
            length, _ = _LENGTH.unpack_from(buffer)
            if length > BATCH_MAX:
                return
            if len(buffer) < _LENGTH.size + length:
                break
            data = bytes(memoryview(buffer)[_LENGTH.size : _LENGTH.size + length])
            del buffer[: _LENGTH.size + length]
            yield _decoder.decode(data)
        try:
            more = end.recv(SOCKET_BYTES)
        except (TimeoutError, BlockingIOError):
            yield []
            continue
        except OSError:
            return
        if not more:
            return
        buffer += more
