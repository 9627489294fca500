"""The relay: bytes in, bytes out. The only part that stands on the path of a client.

One upstream connection per client connection. What is received is written on before it is looked at; then the conversation
(:mod:`capture.exchanging`) is told, and whole exchanges go to the recorder's pipe (:mod:`capture.pipe`). A side that cannot take more
pauses the other side (backpressure), so memory stays bounded whatever a client or the service does.
"""

from __future__ import annotations

import asyncio
import time
from typing import cast

from capture.exchanging import Conversation
from capture.pipe import PipeWriter
from echolane.ledger import Counters

WRITE_HIGH = 256 * 1024
"""Bytes that may wait in one direction of one connection before its source is paused."""
CONNECT_WAIT_S = 10.0
BEFORE_CONNECT_MAX = 64 * 1024
"""Bytes of a request that are kept while the upstream connection is made; then the client is paused."""
REFUSED = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: 36\r\nConnection: close\r\n\r\n"
    b"echolane: the service did not answer"
)


class Relay:
    """All connections of one listening address."""

    def __init__(
        self, upstream: tuple[str, int], counters: Counters, pipe: PipeWriter, limits: tuple[int, int]
    ) -> None:
        self.upstream, self.counters, self.pipe, self.limits = upstream, counters, pipe, limits
        self.clients: set[ClientSide] = set()

    def __repr__(self) -> str:
        return f"<Relay {len(self.clients)} connections, {self.pipe!r}>"

    def count(self, name: str, number: int = 1) -> None:
        """Add to the capture's ledger."""
        self.counters.add(name, number)

    def client(self) -> ClientSide:
        """The protocol of a new client connection."""
        return ClientSide(self)


class ClientSide(asyncio.Protocol):
    """A client's connection."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self._upstream: UpstreamSide | None = None
        self._early: list[bytes] = []
        self._early_bytes = 0
        self._ended = False
        self._connecting: asyncio.Future[None] | None = None
        self.conversation: Conversation | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came: connect to the service for it."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_HIGH)
        relay = self._relay
        relay.clients.add(self)
        peer = self.transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        self.conversation = Conversation(
            address, relay.limits, (time.time_ns, time.monotonic_ns), relay.pipe.put_nowait, relay.count
        )
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        host, port = self._relay.upstream
        try:
            async with asyncio.timeout(CONNECT_WAIT_S):
                _, upstream = await self._loop.create_connection(lambda: UpstreamSide(self), host, port)
        except (OSError, TimeoutError):
            self._refuse()
            return
        self._connecting = None
        if self.transport is None:
            upstream.drop()
            return
        self._upstream = upstream
        for data in self._early:
            upstream.write(data)
        self._early.clear()
        if self._early_bytes > BEFORE_CONNECT_MAX:
            self.transport.resume_reading()
        self._early_bytes = 0
        if self._ended:
            upstream.end()

    def _refuse(self) -> None:
        """The service is not there: say so, and record what was asked."""
        self._relay.count("upstream-refused")
        self._connecting = None
        if self.transport is not None:
            self.transport.write(REFUSED)
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Bytes of the client: on to the service first."""
        upstream = self._upstream
        if upstream is not None:
            upstream.write(data)
        else:
            self._early.append(data)
            self._early_bytes += len(data)
            if self._early_bytes > BEFORE_CONNECT_MAX and self.transport is not None:
                self.transport.pause_reading()
        if self.conversation is not None:
            self.conversation.asked(data)

    def eof_received(self) -> bool:
        """The client has said all; the answer may still come."""
        self._ended = True
        if self._upstream is not None:
            self._upstream.end()
        return True

    def pause_writing(self) -> None:
        """The client is slow: the service waits."""
        if self._upstream is not None:
            self._upstream.hold()

    def resume_writing(self) -> None:
        """The client takes more."""
        if self._upstream is not None:
            self._upstream.go_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it ended does not matter here
        """The client is gone."""
        self.transport = None
        self._relay.clients.discard(self)
        if self.conversation is not None:
            self.conversation.closed(by_client=True)
        if self._upstream is not None:
            self._upstream.drop()

    def finish(self) -> None:
        """Draining: an idle connection is closed now, one in use ends with its answers."""
        if self.conversation is None or self.conversation.idle:
            self.abort()

    def abort(self) -> None:
        """Close the connection; what the client was told already reaches it."""
        if self.transport is not None:
            self.transport.close()

    def answered(self, data: bytes) -> None:
        """Bytes of the service: on to the client first."""
        if self.transport is not None:
            self.transport.write(data)
        if self.conversation is not None:
            self.conversation.answered(data)

    def upstream_ended(self) -> None:
        """The service has closed: what it said is complete, and the client learns of it."""
        if self.conversation is not None:
            self.conversation.closed(by_client=False)
        if self.transport is not None:
            self.transport.close()

    def hold(self) -> None:
        """The service is slow: the client waits."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def go_on(self) -> None:
        """The service takes more."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()


class UpstreamSide(asyncio.Protocol):
    """The connection to the service that belongs to one client connection."""

    def __init__(self, client: ClientSide) -> None:
        self._client = client
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH)

    def write(self, data: bytes) -> None:
        """Bytes for the service."""
        if self._transport is not None:
            self._transport.write(data)

    def end(self) -> None:
        """The client has said all."""
        if self._transport is not None and self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def drop(self) -> None:
        """The client is gone."""
        if self._transport is not None:
            self._transport.close()

    def hold(self) -> None:
        """The client is slow."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def go_on(self) -> None:
        """The client takes more."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Bytes of the service."""
        self._client.answered(data)

    def pause_writing(self) -> None:
        """The service is slow: the client waits."""
        self._client.hold()

    def resume_writing(self) -> None:
        """The service takes more."""
        self._client.go_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The service has closed."""
        self._transport = None
        self._client.upstream_ended()
