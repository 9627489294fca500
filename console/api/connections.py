"""Connections that take their time are let go: a head must be whole within ten seconds, counted from its first byte, whatever trickles in.

The HTTP library waits for as long as bytes come. Here each connection has a clock that runs while no call is being answered: from its
start, and after each answer from the first byte of the next call. What is no HTTP at all is answered with a problem, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from console.api.dressing import dress
from console.api.problems import answer, of_status

HEAD_S = 10.0
"""Until a head must be whole."""
CONNECTIONS_MAX = 1_000
"""At once, some 50 kB each; what is more is closed at once, so that those who are there are served."""
KEPT_S = 75.0
"""A connection on which nothing is asked for so long is closed."""
LINE_MAX, HEADERS_MAX = 8_190, 100
"""Of a head: bytes of a line, and lines."""


class Patience:
    """The clocks of all connections of a server; makes their protocols."""

    def __init__(self, server: web.Server, head_s: float = HEAD_S, most: int = CONNECTIONS_MAX) -> None:
        self._server, self.head_s, self._most = server, head_s, most
        self.open = 0
        """Connections now."""
        self.let_go = 0
        """That took too long."""

    def __repr__(self) -> str:
        return f"<Patience {self.open}/{self._most} open, {self.let_go} let go>"

    def __call__(self) -> asyncio.Protocol:
        """A connection's protocol, watched."""
        return _Watched(self._server, self)

    def full(self) -> bool:
        """Whether one more would be too many."""
        return self.open >= self._most


class _Watched(RequestHandler):
    """The library's protocol with a clock."""

    def __init__(self, server: web.Server, patience: Patience) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=KEPT_S,
            max_line_size=LINE_MAX,
            max_field_size=LINE_MAX,
            max_headers=HEADERS_MAX,
            access_log=None,  # pyright: ignore[reportArgumentType] - None is for none
        )
        self._patience = patience
        self._wire: asyncio.Transport | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._calls = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        super().connection_made(transport)
        wire = cast("asyncio.Transport", transport)  # uvloop's are none by class
        if self._patience.full():
            wire.abort()
        self._wire = wire
        self._patience.open += 1
        self._set()

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is gone."""
        self._patience.open -= 1
        self._clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes of it."""
        if self._alarm is None and not self._calls:
            self._set()
        super().data_received(data)

    def handle_error(
        self,
        request: Any,  # noqa: ARG002 - what the library gives
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """What cannot be read as a request."""
        detail = "this is no HTTP request that can be understood" if status < 500 else "see HOME/log/api.log"
        response = answer(of_status(status, detail))
        dress(response)
        response.force_close()
        return response

    def begun(self) -> None:
        """A head is whole, and its call is being answered."""
        self._calls += 1
        self._clear()

    def ended(self) -> None:
        """It was answered; the clock runs again from the next byte."""
        self._calls -= 1

    def _set(self) -> None:
        self._alarm = asyncio.get_running_loop().call_later(self._patience.head_s, self._late)

    def _clear(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _late(self) -> None:
        self._alarm = None
        if self._wire is not None and not self._calls:
            self._patience.let_go += 1
            self._wire.abort()


@contextmanager
def busy(protocol: object) -> Generator[None]:
    """While a call is being answered."""
    watched = protocol if isinstance(protocol, _Watched) else None
    if watched is not None:
        watched.begun()
    try:
        yield
    finally:
        if watched is not None:
            watched.ended()
