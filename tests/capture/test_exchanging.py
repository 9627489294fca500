"""Who answers whom when it is not plain: tunnels, early answers, connections that end in the middle, no room. Pure, no sockets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from capture.exchanging import OUTSTANDING_MAX
from capture.framing import HEAD_BYTES_MAX
from capture.parsing import request_of, response_of
from tests.capture.test_framing import GET, OK, SMUGGLING, STREAM_IN, STREAM_OUT, Heard, heard

CONNECT = b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n"
TLS = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256))
EARLY = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"


def test_what_passes_an_open_tunnel_is_not_taken_for_http() -> None:
    """After 2xx to CONNECT neither side is followed, not even where its bytes look like a request."""
    found = heard(
        ("<", CONNECT + TLS), (">", b"HTTP/1.1 200 Connection established\r\n\r\n"), ("<", GET), (">", OK + TLS)
    )

    assert [(raw.no_answer, raw.response) for raw in found.raws] == [("upgrade", None)]
    assert found.counts == {"seen": 1, "upgraded": 1}


def test_a_refused_tunnel_leaves_the_connection_http() -> None:
    """What the client sent behind a CONNECT that is refused was a request after all, also when it came before the answer."""
    found = heard(
        ("<", CONNECT + GET), (">", b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n"), (">", OK), ("<", GET), (">", OK)
    )

    assert found.statuses() == [405, 200, 200]
    assert "upgraded" not in found.counts


def test_a_tunnel_that_nobody_answers_holds_little() -> None:
    """What is sent behind an unanswered CONNECT is held up to a head's size; then the connection is not followed any more."""
    found = Heard().play(("<", CONNECT), *[("<", b"x" * 10_000)] * 8)

    assert HEAD_BYTES_MAX < 8 * 10_000
    assert found.talk._tunnel is None
    found.play((">", EARLY), ("x", b"client-closed"))
    assert found.budget.held == 0
    assert found.balanced()


@pytest.mark.parametrize("stray", [b"\n", b"\r\n", b"\n\r\n\n"])
@pytest.mark.parametrize("apart", [False, True])
def test_line_breaks_behind_a_length_end_no_recording(stray: bytes, apart: bool) -> None:
    """A service that writes a line break more than it announced keeps all its later answers, in whatever pieces they come."""
    answers = [(">", OK), (">", stray)] if apart else [(">", OK + stray)]
    found = heard(("<", GET), *answers, ("<", GET), (">", stray + OK), ("<", GET), (">", OK))

    assert found.statuses() == [200, 200, 200]
    assert [raw.no_answer for raw in found.raws] == ["", "", ""]


@pytest.mark.parametrize("rest", [b"0123456789", b""])
def test_an_answer_before_its_request_is_whole(rest: bytes) -> None:
    """A service may refuse a body it has not read: one exchange if the client finishes, one counted loss if it goes away."""
    found = heard(("<", POST), (">", EARLY), *([("<", rest)] if rest else []))

    assert found.statuses() == ([413] if rest else [])
    assert found.counts.get("dropped{incomplete-request}", 0) == (0 if rest else 1)


@pytest.mark.parametrize(
    ("talk", "no_answers", "dropped"),
    [
        ([("<", GET)], ["client-closed"], {}),
        ([("<", GET + GET), (">", OK)], ["", "client-closed"], {}),
        ([("<", GET[:-2])], [], {"dropped{incomplete-request}": 1}),
        ([("<", POST + b"0123")], [], {"dropped{incomplete-request}": 1}),
        ([("<", GET + POST + b"0123"), (">", OK)], [""], {"dropped{incomplete-request}": 1}),
        ([("<", GET), (">", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")], ["client-closed"], {}),
        ([("<", GET), (">", b"HTTP/1.1 200 O")], ["unframeable"], {}),
    ],
)
def test_a_client_that_goes_away(talk: list[tuple[str, bytes]], no_answers: list[str], dropped: dict[str, int]) -> None:
    """A whole request is recorded and says why it has no answer; a request that is not whole is counted."""
    found = heard(*talk)

    assert [raw.no_answer for raw in found.raws] == no_answers
    assert {name: value for name, value in found.counts.items() if name.startswith("dropped")} == dropped


def test_a_service_that_closes_in_an_answer_is_kept_with_what_it_said() -> None:
    """The half answer is marked; requests behind it, never answered, say so."""
    found = Heard().play(
        ("<", GET + GET), (">", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), ("x", b"server-closed")
    )

    first, second = found.raws
    assert first.response is not None
    assert (response_of(first.response).incomplete, response_of(first.response).body.data) == (True, b"half")
    assert (second.response, second.no_answer) == (None, "server-closed")


def test_more_requests_than_anybody_pipelines_are_not_followed() -> None:
    """One above the bound counts as unframeable; those before it keep their answers."""
    found = heard(("<", GET * (OUTSTANDING_MAX + 1)), (">", OK * OUTSTANDING_MAX))

    assert found.statuses() == [200] * OUTSTANDING_MAX
    assert found.counts["dropped{unframeable}"] == 1


def test_what_finds_no_room_is_counted_and_the_next_is_recorded() -> None:
    """A body that does not fit into what all connections may hold is let go; nothing of it stays held."""
    found = Heard(limits=(1 << 20, 1 << 20), room=5000)
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9000
    found.play(("<", GET), (">", large), ("<", GET), (">", OK), ("x", b"client-closed"))

    assert found.counts["dropped{no-room}"] == 1
    assert found.statuses() == [200]
    assert found.balanced()
    assert found.budget.held == 0


def test_before_the_smuggled_request_all_is_recorded_and_behind_it_nothing() -> None:
    """A request that cannot be framed ends what is recorded of its connection, not what came before."""
    before = GET.replace(b"/a", b"/before")
    found = heard(("<", before), ("<", SMUGGLING[0] + GET), (">", OK + OK + OK))

    assert [request_of(raw.request, "x").target for raw in found.raws] == ["/before?x=1"]
    assert found.statuses() == [200]
    assert found.counts["dropped{unframeable}"] == 1


STEPS = st.tuples(
    st.sampled_from("<>"),
    st.sampled_from(
        [
            GET,
            OK,
            POST,
            EARLY,
            CONNECT,
            TLS,
            STREAM_IN,
            STREAM_OUT,
            b"0123456789",
            GET[:9],
            GET[9:],
            OK[:20],
            OK[20:],
            *SMUGGLING,
        ]
    )
    | st.binary(max_size=40),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=14), st.sampled_from([b"client-closed", b"server-closed", b"not-recorded"]))
def test_each_exchange_is_told_once_and_nothing_stays_held(talk: list[tuple[str, bytes]], end: bytes) -> None:
    """Whatever is said and however it ends: told once, balanced, no byte held; what comes after the end changes nothing."""
    found = Heard(limits=(16, 16), room=600).play(*talk, ("x", end))
    counts, raws = dict(found.counts), len(found.raws)

    assert found.balanced()
    assert found.budget.held == 0
    found.play(("x", end), ("<", GET), (">", OK))
    assert (found.counts, len(found.raws)) == (counts, raws)
