"""Pair the requests and answers of one connection: bytes of both directions in, whole exchanges out. Pure.

Answers belong to requests in their order. An answer may begin before its request is whole; 1xx answers belong to none; after 101, or 2xx
to CONNECT, the connection is no HTTP any more and is relayed without being followed. Where an answer cannot be framed, its request and all
later ones of the connection are recorded without answers; where a request cannot be framed, the rest of the connection is not recorded,
but answers to what was asked before are still waited for.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import msgspec

from capture.framing import HEAD_BYTES_MAX, Budget, Framer, Message, Unframeable

OUTSTANDING_MAX = 256
"""Requests that wait for answers on one connection; browsers pipeline none, tools some dozens. One more is not followed."""


_BODILESS = frozenset((204, 304))


class Half(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One message as it goes to the recorder, unparsed."""

    head: bytes
    body: bytes
    size: int
    digest: bytes
    truncated: bool
    chunked: bool
    trailers: bytes
    complete: bool


class Raw(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One exchange as it goes to the recorder, unparsed."""

    captured_at_ns: int
    duration_ns: int
    client: str
    request: Half
    response: Half | None
    no_answer: str


class Sink(Protocol):
    """Where exchanges go; each is told exactly once."""

    def whole(self, raw: Raw) -> None:
        """An exchange to be recorded."""
        ...

    def lost(self, reason: str) -> None:
        """An exchange that cannot be recorded."""
        ...

    def noted(self, name: str) -> None:
        """Something that is counted beside the ledger."""
        ...


class Conversation:
    """One client connection and the upstream connection behind it."""

    def __init__(
        self,
        client: str,
        limits: tuple[int, int],
        wall_offset_ns: int,
        budget: Budget,
        sink: Sink,
    ) -> None:
        self._client, self._sink = client, sink
        self._wall_offset_ns = wall_offset_ns
        self._in = Framer(requests=True, limit=limits[0], budget=budget)
        self._out = Framer(requests=False, limit=limits[1], budget=budget)
        self._open: deque[Message] = deque()
        """Requests of exchanges that are not over, oldest first."""
        self._asking: Message | None = None
        """The last of them, while its body is being read."""
        self._answering: Message | None = None
        """The answer to the first of them, while its body is being read."""
        self._first_ns = 0
        """When a head began that has not ended."""
        self._now_ns = 0
        """When the last bytes of the service came."""
        self._tunnel: bytearray | None = None
        """What the client sent behind a CONNECT that is not answered yet: a request, or no HTTP at all."""
        self._deaf = self._mute = False
        """Requests, answers are not followed any more."""

    def __repr__(self) -> str:
        return f"<Conversation {len(self._open)} open{', deaf' * self._deaf}{', mute' * self._mute}>"

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way that could still be recorded."""
        return not self._open and not self._in.partial

    @property
    def asking(self) -> bool:
        """Whether a request has begun and not ended, as far as can be told."""
        return self._asking is not None or self._in.partial or self._deaf

    def asked(self, data: bytes, now_ns: int) -> None:
        """Bytes from the client, as they came at a time (monotonic)."""
        if self._deaf:
            return
        if self._tunnel is not None:
            self._tunnel += data
            if len(self._tunnel) > HEAD_BYTES_MAX:
                self._deafen()
            return
        try:
            while data:
                request = self._asking
                if request is None:
                    request, data = self._in.head(data)
                    if request is None:
                        self._first_ns = self._first_ns or now_ns
                        return
                    if not request.complete:
                        self._in.begin_body(request)
                    self._opened(request, now_ns)
                    if self._tunnel is not None:
                        self._tunnel += data
                        return
                else:
                    data = self._in.body(data)
                if not request.complete:
                    self._asking = request
                    continue
                self._asking = None
                if self._mute or (request.answer is not None and request.answer.complete):
                    self._open.remove(request)
                    self._emit(request, "unframeable" if self._mute else "")
        except Unframeable:
            self._deafen()

    def _opened(self, request: Message, now_ns: int) -> None:
        if len(self._open) >= OUTSTANDING_MAX:
            request.release()
            raise Unframeable("too many requests without answers")
        request.began_ns = self._first_ns or now_ns
        self._first_ns = 0
        self._open.append(request)
        if request.method == b"CONNECT" and not self._mute:
            self._tunnel = bytearray()

    def answered(self, data: bytes, now_ns: int) -> None:
        """Bytes from the service, as they came at a time (monotonic)."""
        self._now_ns = now_ns
        if self._mute:
            return
        try:
            while data:
                answer = self._answering
                if answer is None:
                    answer, data = self._answer_head(data)
                    if answer is None:
                        return
                else:
                    data = self._out.body(data)
                if not answer.complete:
                    self._answering = answer
                    continue
                self._answering = None
                request = self._open[0]
                if request.complete:
                    self._open.popleft()
                    self._emit(request, "")
        except Unframeable:
            self._silence()

    def _answer_head(self, data: bytes) -> tuple[Message | None, bytes]:
        """The answer that begins; interim ones are passed over, and so are line breaks that a service wrote behind its length."""
        while data:
            if not self._out.partial and not (data := data.lstrip(b"\r\n")):
                break
            if not self._open or self._open[0].answer is not None:
                if self._in.partial and not self._open:
                    # The service saw a whole request where we do not: bare line feeds, or a head it gave up on.
                    self._deafen()
                raise Unframeable("an answer without a request")
            request = self._open[0]
            answer, data = self._out.head(data)
            if answer is None:
                return None, b""
            status = answer.status
            if status == 101 or (status < 300 and request.method == b"CONNECT" and status >= 200):
                answer.release()
                self._upgrade()
                return None, b""
            if status >= 200:
                self._out.begin_body(answer, bodiless=status in _BODILESS or request.method == b"HEAD")
                request.answer = answer
                if request.method == b"CONNECT":
                    self._refuse_tunnel()
                return answer, data
            answer.release()
        return None, b""

    def _refuse_tunnel(self) -> None:
        """CONNECT was refused: what the client sent behind it was HTTP after all."""
        held, self._tunnel = self._tunnel, None
        if held:
            self.asked(bytes(held), self._now_ns)

    def _upgrade(self) -> None:
        """From here on it is not HTTP."""
        self._sink.noted("upgraded")
        self._deaf = self._mute = True
        self._abandon("upgrade")

    def _silence(self) -> None:
        """Answers cannot be followed any more: the requests stay."""
        self._mute = True
        self._answering = self._tunnel = None
        for request in [one for one in self._open if one.complete]:
            self._open.remove(request)
            self._emit(request, "unframeable")

    def _deafen(self) -> None:
        """A request cannot be followed, so nothing behind it can: it is counted, what was asked before keeps its answers."""
        if self._deaf:
            return
        self._deaf = True
        self._tunnel = None
        self._in.forget()
        if self._asking is not None:
            self._open.remove(self._asking)
            self._drop(self._asking, "unframeable")
            self._asking = None
        else:
            self._sink.lost("unframeable")

    def closed(self, why: str, *, whole: bool = False) -> None:
        """The connection is over: ``why`` is ``client-closed``, ``server-closed`` or ``not-recorded``.

        ``whole``: the service ended it in good order, which is the end of an answer that has no other.
        """
        if whole and not self._mute:
            self._out.close()
        if not self._deaf and self._in.partial:
            self._sink.lost("incomplete-request")
        # Bytes of an answer whose head never ended: it was an answer, but none that can be read.
        first = "unframeable" if self._out.partial and not self._mute else why
        self._deaf = self._mute = True
        self._answering = self._asking = self._tunnel = None
        for request in self._open:
            if not request.complete:
                self._drop(request, "incomplete-request")
            elif request.answer is not None and (request.answer.complete or why == "server-closed"):
                self._emit(request, "")
            else:
                self._emit(request, first)
            first = why
        self._open.clear()

    def _abandon(self, why: str) -> None:
        for request in self._open:
            if request.complete:
                self._emit(request, why)
            else:
                self._drop(request, why)
        self._open.clear()
        self._answering = self._asking = self._tunnel = None

    def _drop(self, request: Message, reason: str) -> None:
        request.release()
        if request.answer is not None:
            request.answer.release()
        self._sink.lost(reason)

    def _emit(self, request: Message, no_answer: str) -> None:
        answer = request.answer
        request.release()
        duration = 0
        if answer is not None:
            answer.release()
            if no_answer:
                answer = None
            else:
                duration = self._now_ns - request.began_ns
        if request.shed or (answer is not None and answer.shed):
            self._sink.lost("no-room")
            return
        self._sink.whole(
            Raw(
                request.began_ns + self._wall_offset_ns,
                duration,
                self._client,
                half(request),
                None if answer is None else half(answer),
                no_answer,
            )
        )


def half(message: Message) -> Half:
    """A message as it goes to the recorder."""
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
