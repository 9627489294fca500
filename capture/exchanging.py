"""Pair the requests and answers of one connection: bytes of both directions in, whole exchanges out. Pure.

Answers belong to requests in order. An answer may begin before its request is whole; 1xx answers belong to none; after 101, or 2xx
to CONNECT, the connection is no HTTP any more and is relayed without being followed. When an answer cannot be framed, its request and all
later ones of the connection are recorded without answers; when a request cannot be framed, the rest of the connection is not
recorded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from capture.framing import Framer, Message, Unframeable

OUTSTANDING_MAX = 256
"""Requests waiting for answers on one connection; browsers pipeline none, tools a few dozen. One more is unframeable."""


class Half(NamedTuple):
    """One message as it goes to the recorder."""

    head: bytes
    body: bytes
    size: int
    digest: bytes
    truncated: bool
    chunked: bool
    trailers: bytes
    complete: bool


class Raw(NamedTuple):
    """One exchange as it goes to the recorder, unparsed."""

    request: Half
    response: Half | None
    no_answer: str
    captured_at_ns: int
    duration_ns: int
    client: str


class _Open:
    """A request that waits for its end or its answer."""

    __slots__ = ("answer", "began_ns", "request", "wall_ns")

    def __init__(self, request: Message, wall_ns: int, began_ns: int) -> None:
        self.request, self.wall_ns, self.began_ns = request, wall_ns, began_ns
        self.answer: Message | None = None


def half(message: Message) -> Half:
    """A message as plain values."""
    return Half(
        message.head,
        bytes(message.body),
        message.size,
        message.digest,
        message.truncated,
        message.chunked,
        message.trailers,
        message.complete,
    )


class Conversation:
    """One client connection and the upstream connection behind it."""

    def __init__(
        self,
        client: str,
        limits: tuple[int, int],
        clocks: tuple[Callable[[], int], Callable[[], int]],
        done: Callable[[Raw], None],
        count: Callable[[str], None],
    ) -> None:
        self._client, self._done, self._count = client, done, count
        self._wall, self._mono = clocks
        self._in = Framer(requests=True, limit=limits[0])
        self._out = Framer(requests=False, limit=limits[1])
        self._open: deque[_Open] = deque()
        self._asking: _Open | None = None
        self._dark = False
        """Not followed any more: upgraded, or a request could not be framed."""
        self._mute = False
        """Answers are not followed any more."""

    @property
    def idle(self) -> bool:
        """Whether nothing is being asked or answered."""
        return not self._open and self._in.idle and not self._dark

    def asked(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._dark:
            return
        try:
            while data:
                data = self._ask(data)
        except Unframeable:
            self._darken()

    def _ask(self, data: bytes) -> bytes:
        asking = self._asking
        if asking is None:
            message, rest = self._in.head(data)
            if message is None:
                return b""
            if len(self._open) >= OUTSTANDING_MAX:
                raise Unframeable("too many requests without answers")
            # Framing is decided before the request counts as one, so that what is refused was never half recorded.
            self._in.begin_body(message, bodiless=False)
            asking = _Open(message, self._wall(), self._mono())
            self._open.append(asking)
            if not message.complete:
                self._asking = asking
            else:
                self._asked_whole(asking)
            return rest
        rest = self._in.body(data)
        if asking.request.complete:
            self._asking = None
            self._asked_whole(asking)
        return rest

    def _asked_whole(self, asking: _Open) -> None:
        if self._mute:
            self._open.remove(asking)
            self._emit(asking, "unframeable")
        elif asking.answer is not None and asking.answer.complete:
            self._open.remove(asking)
            self._emit(asking, "")

    def answered(self, data: bytes) -> None:
        """Bytes from the service."""
        if self._dark or self._mute:
            return
        try:
            while data:
                data = self._answer(data)
        except Unframeable:
            self._silence()

    def _answer(self, data: bytes) -> bytes:
        waiting = next((one for one in self._open if one.answer is None or not one.answer.complete), None)
        if waiting is None:
            # An answer that nobody asked for (408 on an idle connection): followed no further.
            raise Unframeable("an answer without a request")
        if waiting.answer is None:
            message, rest = self._out.head(data)
            if message is None:
                return b""
            bodiless = waiting.request.method == b"HEAD" or message.status < 200 or message.status in {204, 304}
            tunnel = message.status == 101 or (waiting.request.method == b"CONNECT" and 200 <= message.status < 300)
            self._out.begin_body(message, bodiless=bodiless or tunnel)
            if message.status < 200 and not tunnel:
                return rest
            waiting.answer = message
            if tunnel:
                self._tunnel(waiting)
                return b""
        else:
            rest = self._out.body(data)
        if waiting.answer.complete and waiting.request.complete:
            self._open.remove(waiting)
            self._emit(waiting, "")
        return rest

    def _tunnel(self, waiting: _Open) -> None:
        """101, or CONNECT: from here on it is not HTTP."""
        self._count("upgraded")
        self._open.remove(waiting)
        self._emit(waiting, "")
        self._abandon("upgrade")
        self._dark = True

    def _silence(self) -> None:
        """Answers cannot be followed any more: the requests stay."""
        self._mute = True
        for one in list(self._open):
            if one.request.complete:
                self._open.remove(one)
                self._emit(one, "unframeable")

    def _darken(self) -> None:
        """A request cannot be followed: it is counted, what was asked before is kept with the answers it has."""
        self._dark = True
        self._count("seen")
        self._count("dropped{unframeable}")
        if self._asking is not None:
            self._open.remove(self._asking)
            self._asking = None
        self._abandon("unframeable")

    def _abandon(self, why: str) -> None:
        for one in list(self._open):
            if one.request.complete:
                self._emit(one, why)
        self._open.clear()

    def closed(self, *, by_client: bool) -> None:
        """The connection is over; what had no whole answer is recorded with what there is."""
        if self._dark:
            return
        if not self._mute and self._out.close():
            waiting = next((one for one in self._open if one.answer is not None), None)
            if waiting is not None and waiting.request.complete:
                self._open.remove(waiting)
                self._emit(waiting, "")
        self._dark = True
        if self._asking is not None:
            self._open.remove(self._asking)
            self._count("seen")
            self._count("dropped{incomplete-request}")
        for one in list(self._open):
            self._emit(one, "" if one.answer is not None else "client-closed" if by_client else "server-closed")
        self._open.clear()

    def _emit(self, one: _Open, no_answer: str) -> None:
        self._count("seen")
        answer = None if no_answer == "unframeable" or one.answer is None else half(one.answer)
        self._done(
            Raw(
                half(one.request),
                answer,
                no_answer if answer is None else "",
                one.wall_ns,
                self._mono() - one.began_ns if answer is not None else 0,
                self._client,
            )
        )
