"""The relay: bytes in, bytes out. The only part that stands on the path of a client.

One upstream connection per client connection, opened at its first byte. What is received is written on before it is looked at; then
the conversation (:mod:`capture.exchanging`) is told, and whole exchanges go into the pipe (:mod:`capture.pipe`). A side that cannot take
more pauses the other side, so memory stays bounded whatever a client or the service does.

Looking is put off to the end of the loop's turn: the bytes of all connections are gone by then, and one tight loop over what came
costs half of what looking at each in between costs (caches stay warm).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import cast

from capture.exchanging import Conversation, Sink
from capture.framing import Budget

HELD_BYTES_MAX = 64 * 1024 * 1024
"""Bytes of unfinished exchanges over all connections; beyond, bodies are let go and their exchanges counted as ``dropped{no-room}``."""
CONNECT_WAIT_S = 10.0
EARLY_BYTES_MAX = 64 * 1024
"""Bytes of a client that are kept while the upstream connection is made; then the client is paused."""
LINGER_S = 2.0
"""How long a client that is still sending is listened to after its last answer, so that a reset does not swallow that answer."""
_REFUSED_BODY = b"echolane: the service behind this recorder cannot be reached\n"
REFUSED = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
    % (len(_REFUSED_BODY), _REFUSED_BODY)
)


class Relay:
    """All connections of one listening address."""

    def __init__(
        self, upstream: tuple[str, int], sink: Sink, limits: tuple[int, int], connect: Callable[[ClientSide], None]
    ) -> None:
        self.upstream, self.sink, self.limits, self.connect = upstream, sink, limits, connect
        self.budget = Budget(HELD_BYTES_MAX)
        self.clients: set[ClientSide] = set()
        self.draining = False
        self._came: list[tuple[ClientSide, bool, int, bytes]] = []
        """Bytes not looked at yet: whose, whether the client's, when, what."""
        self._loop = asyncio.get_running_loop()
        self.wall_offset_ns = time.time_ns() - time.monotonic_ns()
        """Wall time is read once: a clock that is set in between reorders nothing."""

    def __repr__(self) -> str:
        return f"<Relay {len(self.clients)} connections, {self.budget!r}>"

    def came(self, client: ClientSide, asked: bool, data: bytes) -> None:
        """Bytes were written on; they are looked at when this turn of the loop has written all others on."""
        if not self._came:
            self._loop.call_soon(self.look)
        self._came.append((client, asked, time.monotonic_ns(), data))

    def look(self) -> None:
        """Tell the conversations what was said."""
        came, self._came = self._came, []
        for client, asked, now_ns, data in came:
            if asked:
                client.conversation.asked(data, now_ns)
            else:
                client.conversation.answered(data, now_ns)
                if self.draining:
                    client.finish()

    def drain(self) -> None:
        """Close idle connections now and every other one as soon as its exchanges are over."""
        self.draining = True
        self.look()
        for client in list(self.clients):
            client.finish()

    def abort(self) -> None:
        """Close what is left."""
        for client in list(self.clients):
            client.abort("not-recorded")


class ClientSide(asyncio.Protocol):
    """A client's connection."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._early: list[bytes] | None = []
        """What came before the upstream connection was there; None afterwards."""
        self._early_bytes = 0
        self._connecting = self._ended = self._over = False

    def __repr__(self) -> str:
        return f"<ClientSide {self.conversation!r}{', over' * self._over}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = cast("asyncio.Transport", transport)
        self._upstream: asyncio.Transport | None = None
        # With a high-water mark of 0 uvloop writes at once, before the bytes are looked at, and tells us when the peer is slow.
        self._transport.set_write_buffer_limits(high=0)
        relay = self._relay
        relay.clients.add(self)
        peer = self._transport.get_extra_info("peername")
        self.conversation = Conversation(
            str(peer[0]) if peer else "",
            relay.limits,
            relay.wall_offset_ns,
            relay.budget,
            relay.sink,
        )

    def data_received(self, data: bytes) -> None:
        """Bytes of the client: on to the service first."""
        upstream = self._upstream
        if upstream is not None:
            upstream.write(data)
        elif not self._hold(data):
            return
        self._relay.came(self, True, data)

    def _hold(self, data: bytes) -> bool:
        """There is no upstream connection yet, or no more; whether the bytes count."""
        if self._early is not None:
            self._early.append(data)
            self._early_bytes += len(data)
            if not self._connecting:
                self._connecting = True
                self._relay.connect(self)
            if self._early_bytes > EARLY_BYTES_MAX:
                self._transport.pause_reading()
            return True
        return False  # it lingers: nobody is there to hear it

    async def connect_upstream(self) -> None:
        """Make the upstream connection and hand over what has come so far."""
        host, port = self._relay.upstream
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_WAIT_S):
                transport, _ = await loop.create_connection(lambda: UpstreamSide(self), host, port)
        except (OSError, ValueError):  # ValueError: a host name that cannot be encoded
            self._refuse()
            return
        if self._over:
            transport.abort()
            return
        early, self._early = self._early, None
        self._upstream = transport
        if self._early_bytes > EARLY_BYTES_MAX:
            self._transport.resume_reading()  # before the write, which may pause it again
        transport.write(b"".join(early or ()))
        if self._ended:
            transport.write_eof()

    def _refuse(self) -> None:
        """The service is not there: say so; what was asked is recorded."""
        if self._over:
            return
        self._relay.sink.noted("upstream-refused")
        early, self._early = self._early_bytes, None
        self._transport.write(REFUSED)
        if early > EARLY_BYTES_MAX:
            self._transport.resume_reading()
        self._end("server-closed", whole=False)

    def eof_received(self) -> bool:
        """The client has said all; the answer may still come."""
        self._ended = True
        if self._upstream is not None:
            self._upstream.write_eof()
        elif self._over or not self._connecting:
            return False
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it ended does not matter here
        """The client is gone."""
        self.abort("client-closed")
        self._relay.clients.discard(self)

    def pause_writing(self) -> None:
        """The client is slow: the service waits."""
        if self._upstream is not None and not self._upstream.is_closing():
            self._upstream.pause_reading()

    def resume_writing(self) -> None:
        """The client takes more."""
        if self._upstream is not None and not self._upstream.is_closing():
            self._upstream.resume_reading()

    def upstream_paused(self, paused: bool) -> None:
        """The service is slow, or takes more again: the client waits, or goes on."""
        if not self._transport.is_closing():
            (self._transport.pause_reading if paused else self._transport.resume_reading)()

    def answered(self, data: bytes) -> None:
        """Bytes of the service: on to the client first."""
        self._transport.write(data)
        self._relay.came(self, False, data)

    def upstream_ended(self, *, clean: bool) -> None:
        """The service has closed: what it said is complete, and the client learns of it."""
        if not self._over:
            self._upstream = None
            self._end("server-closed", whole=clean)

    def _end(self, why: str, *, whole: bool) -> None:
        """The last answer is on its way. A client in the middle of a request is listened to a little longer."""
        self._relay.look()
        sending = self.conversation.asking and not self._ended
        self.conversation.closed(why, whole=whole)
        self._over = True
        if sending and not self._transport.is_closing():
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(LINGER_S, self._transport.close)
        else:
            self._transport.close()

    def finish(self) -> None:
        """Draining: close the connection if nothing is on its way any more."""
        if self._over:
            return
        if self.conversation.idle:
            self.abort("not-recorded")

    def abort(self, why: str) -> None:
        """Close both connections; what the client was told already reaches it."""
        if not self._over:
            self._over = True
            self._relay.look()
            self.conversation.closed(why)
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None
        self._transport.close()


class UpstreamSide(asyncio.Protocol):
    """The connection to the service that belongs to one client connection."""

    def __init__(self, client: ClientSide) -> None:
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        cast("asyncio.Transport", transport).set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        """Bytes of the service."""
        self._client.answered(data)

    def pause_writing(self) -> None:
        """The service is slow."""
        self._client.upstream_paused(True)

    def resume_writing(self) -> None:
        """The service takes more."""
        self._client.upstream_paused(False)

    def connection_lost(self, exc: Exception | None) -> None:
        """The service has closed."""
        self._client.upstream_ended(clean=exc is None)
