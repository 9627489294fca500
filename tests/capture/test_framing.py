"""Where messages end and whom answers belong to: examples, chunk-boundary laws, and what must not be framed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from capture.exchanging import Conversation, Raw
from capture.framing import Budget
from capture.parsing import request_of, response_of

GET = b"GET /a?x=1 HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Heard:
    """A conversation whose exchanges and counts are kept: the sink is the test."""

    def __init__(self, limits: tuple[int, int] = (1000, 1000), room: int = 1 << 40) -> None:
        self.raws: list[Raw] = []
        self.counts: dict[str, int] = {}
        self.budget = Budget(room)
        self.now_ns = 0
        self.talk = Conversation("127.0.0.1", limits, 0, self.budget, self)

    def whole(self, raw: Raw) -> None:
        """An exchange."""
        self.noted("seen")
        self.raws.append(raw)

    def lost(self, reason: str) -> None:
        """An exchange that is none."""
        self.noted("seen")
        self.noted(f"dropped{{{reason}}}")

    def noted(self, name: str) -> None:
        """Anything else."""
        self.counts[name] = self.counts.get(name, 0) + 1

    def play(self, *talk: tuple[str, bytes]) -> Heard:
        """('<', bytes of the client), ('>', bytes of the service), ('x', why) for the end."""
        for side, data in talk:
            self.now_ns += 1
            if side == "x":
                self.talk.closed(data.decode(), whole=True)
            else:
                (self.talk.asked if side == "<" else self.talk.answered)(data, self.now_ns)
        return self

    def balanced(self) -> bool:
        """Whether every request that was seen is an exchange or a counted drop."""
        dropped = sum(value for name, value in self.counts.items() if name.startswith("dropped"))
        return self.counts.get("seen", 0) == len(self.raws) + dropped

    def statuses(self) -> list[int]:
        """The status of each exchange, 0 without an answer."""
        return [response_of(raw.response).status if raw.response else 0 for raw in self.raws]

    def targets(self) -> list[str]:
        """What was asked for, in recorded order."""
        return [request_of(raw.request, "x").target for raw in self.raws]


def heard(*talk: tuple[str, bytes], close: bool = True) -> Heard:
    """Play a conversation to its end; nothing may be held or unaccounted then."""
    found = Heard().play(*talk)
    if close:
        found.play(("x", b"client-closed"))
        assert found.budget.held == 0
    assert found.balanced()
    return found


def test_keep_alive_and_pipelining_pair_in_order() -> None:
    """Three requests sent at once get their answers in order."""
    found = heard(
        ("<", GET + GET.replace(b"/a", b"/b") + GET.replace(b"/a", b"/c")),
        (">", OK),
        (">", OK.replace(b"200", b"201") + OK.replace(b"200", b"202")),
    )

    assert [request_of(raw.request, "x").target for raw in found.raws] == ["/a?x=1", "/b?x=1", "/c?x=1"]
    assert found.statuses() == [200, 201, 202]


def test_chunks_are_taken_off_both_ways_and_trailers_kept() -> None:
    """The body is what was said, not how it was cut."""
    post = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n"
    found = heard(("<", post), (">", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
    request, response = request_of(found.raws[0].request, "x"), response_of(found.raws[0].response)

    assert (request.body.data, request.trailers, request.body.chunked) == (b"abcde", [(b"X-Sum", b"1")], True)
    assert response.body.data == b"hello"


@pytest.mark.parametrize(
    ("request_bytes", "answer", "body"),
    [
        (GET.replace(b"GET", b"HEAD"), b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", b""),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n", b""),
        (GET, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, b"hi"),
    ],
)
def test_answers_without_bodies_and_interim_answers(request_bytes: bytes, answer: bytes, body: bytes) -> None:
    """HEAD, 204, 304 have no body whatever they announce; 1xx belongs to no request. The next exchange is read right."""
    found = heard(("<", request_bytes), (">", answer), ("<", GET), (">", OK))

    assert len(found.raws) == 2
    assert response_of(found.raws[0].response).body.data == body
    assert found.statuses()[1] == 200


def test_a_body_until_the_close_is_whole_and_one_cut_short_is_marked() -> None:
    """Without a length the close ends the body; with one, an early close leaves it incomplete."""
    until = Heard().play(("<", GET), (">", b"HTTP/1.0 200 OK\r\n\r\nsome"), ("x", b"server-closed"))
    short = Heard().play(
        ("<", GET), (">", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome"), ("x", b"server-closed")
    )

    assert not response_of(until.raws[0].response).incomplete
    assert response_of(short.raws[0].response).incomplete


def test_upgrades_are_relayed_and_counted() -> None:
    """After 101 nothing is taken for HTTP."""
    found = heard(
        ("<", GET.replace(b"\r\n\r\n", b"\r\nUpgrade: websocket\r\n\r\n")),
        (">", b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n"),
        ("<", b"\x81\x05hello"),
        (">", b"\x81\x00"),
    )

    assert [(raw.no_answer, raw.response) for raw in found.raws] == [("upgrade", None)]
    assert found.counts["upgraded"] == 1


SMUGGLING = [
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\n\nabc\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\n folded: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHo\0st: h\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: h\r\n\r\n",
    b"GET /\r\n\r\n",
]


@pytest.mark.parametrize("request_bytes", SMUGGLING)
def test_what_two_parsers_could_read_differently_is_not_recorded(request_bytes: bytes) -> None:
    """The smuggling cases: one counted drop, and nothing of the connection after it is taken for a request."""
    found = heard(("<", request_bytes), ("<", GET), (">", OK))

    assert found.counts.get("dropped{unframeable}") == 1
    assert [raw for raw in found.raws if b"/a" in raw.request.head] == []


@pytest.mark.parametrize(
    "status",
    [
        b"HTTP/1.1 -1 X\r\n\r\n",
        b"HTTP/1.1 99 X\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ],
)
def test_an_answer_that_cannot_be_framed_leaves_its_request(status: bytes) -> None:
    """The request is recorded without an answer, and so are the later ones of the connection."""
    found = heard(("<", GET), (">", status), ("<", GET), (">", OK))

    assert [raw.no_answer for raw in found.raws] == ["unframeable", "unframeable"]


def test_a_large_body_is_cut_with_size_and_digest_of_the_whole() -> None:
    """What is kept is bounded; size and digest are not of the cut."""
    import hashlib

    data = bytes(range(256)) * 20
    found = heard(
        ("<", b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5120\r\n\r\n" + data[:700]), ("<", data[700:]), (">", OK)
    )
    body = request_of(found.raws[0].request, "x").body

    assert (len(body.data), body.size, body.truncated) == (1000, 5120, True)
    assert body.digest == hashlib.blake2b(data, digest_size=16).digest()


STREAM_IN = (
    GET
    + b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nT: 1\r\n\r\n"
    + GET.replace(b"GET", b"HEAD")
    + b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
)
STREAM_OUT = (
    OK
    + b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    + b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"
    + OK
)


@settings(max_examples=200)
@given(st.lists(st.integers(0, len(STREAM_IN)), max_size=12), st.lists(st.integers(0, len(STREAM_OUT)), max_size=12))
def test_how_the_bytes_arrive_does_not_matter(cuts_in: list[int], cuts_out: list[int]) -> None:
    """Any split of the two streams gives the same exchanges."""

    def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
        points = sorted({0, len(data), *cuts})
        return [data[a:b] for a, b in zip(points, points[1:], strict=False)]

    whole = heard(("<", STREAM_IN), (">", STREAM_OUT))
    split = heard(
        *[("<", piece) for piece in pieces(STREAM_IN, cuts_in)],
        *[(">", piece) for piece in pieces(STREAM_OUT, cuts_out)],
    )

    assert [(raw.request, raw.response) for raw in split.raws] == [(raw.request, raw.response) for raw in whole.raws]
    assert len(whole.raws) == 4


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("<>"),
            st.binary(max_size=60) | st.sampled_from([GET, OK, STREAM_IN, STREAM_OUT, *SMUGGLING]),
        ),
        max_size=8,
    )
)
def test_any_bytes_leave_the_account_balanced(talk: list[tuple[str, bytes]]) -> None:
    """Whatever both sides send: no exception, and every request seen is an exchange or a counted drop."""
    heard(*talk)
