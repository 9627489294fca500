"""HAR entries as exchanges: the habits of browsers and proxies, one test each."""

from __future__ import annotations

import base64
import gzip
from collections import Counter
from typing import Any

import pytest

from capture.importing.entry import Limits, exchange_of, headers_of, time_ns
from capture.importing.material import Imported
from echolane.bodies import encode

LIMITS = Limits(256 * 1024, 1024 * 1024)


def made(request: dict[str, Any] | None = None, response: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """An entry; what is not given is as for a small GET."""
    return {
        "startedDateTime": "2025-03-29T16:58:59.303Z",
        "time": 12.5,
        "request": {
            "method": "GET",
            "url": "https://shop.example/a?b=1",
            "httpVersion": "HTTP/1.1",
            "headers": [],
            **(request or {}),
        },
        "response": {
            "status": 200,
            "statusText": "OK",
            "httpVersion": "HTTP/1.1",
            "headers": [],
            "content": {"size": 2, "mimeType": "text/plain", "text": "ok"},
            **(response or {}),
        },
        **more,
    }


def taken(entry: dict[str, Any], notes: Counter[str] | None = None) -> Imported:
    """The exchange of an entry that has one."""
    found = exchange_of(entry, 7, LIMITS, "client", notes if notes is not None else Counter())
    assert isinstance(found, Imported)
    return found


def header(name: str, value: object) -> dict[str, object]:
    return {"name": name, "value": value}


def test_a_plain_entry_keeps_everything():
    """Method, target, version, headers, body, status and times arrive."""
    found = taken(
        made(
            {"headers": [header("Host", "shop.example"), header("X-A", "é")]},
            {"headers": [header("Set-Cookie", "a=1"), header("Set-Cookie", "b=2")]},
        )
    )
    request, response = found.request, found.response
    assert (request.method, request.scheme, request.authority, request.target, request.http_version) == (
        "GET",
        "https",
        "shop.example",
        "/a?b=1",
        "1.1",
    )
    assert request.headers == [(b"Host", b"shop.example"), (b"X-A", b"\xe9")]
    assert response is not None
    assert (response.status, response.reason, response.body.data, response.body.encoding) == (200, b"OK", b"ok", "")
    assert response.headers == [(b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2")]
    assert (found.captured_at_ns, found.duration_ns, found.no_answer) == (7, 12_500_000, "")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("h2", "2"),
        ("HTTP/2", "2"),
        ("http/2.0", "2"),
        ("h3", "3"),
        ("HTTP/3", "3"),
        ("HTTP/1.0", "1.0"),
        ("", "1.1"),
        ("unknown", "1.1"),
        (None, "1.1"),
    ],
)
def test_versions_in_free_text(text, version):
    """`httpVersion` is free text; each spelling in use is understood."""
    assert taken(made({"httpVersion": text})).request.http_version == version


def test_pseudo_headers_are_no_headers():
    """`:authority` gives the host where no Host header does, and is not sent."""
    found = taken(
        made(
            {
                "url": "https://other.example/",
                "headers": [header(":authority", "shop.example"), header(":path", "/"), header("accept", "*/*")],
            }
        )
    )
    assert found.request.headers == [(b"accept", b"*/*")]
    assert found.request.authority == "shop.example"


def test_headers_in_every_spelling():
    """Objects, pairs, one object, numbers as values, and lines that a browser joined."""
    assert headers_of([["A", "1"], header("B", 2), header("C", None), ["only"], 5, header("D", "x\ny")]) == [
        (b"A", b"1"),
        (b"B", b"2"),
        (b"C", b""),
        (b"D", b"x"),
        (b"D", b"y"),
    ]
    assert headers_of({"A": "1"}) == [(b"A", b"1")]
    assert headers_of(None) == []
    assert headers_of([header("A", "🐵"), header("B", "\udcff"), header("C", "\ud800")]) == [
        (b"A", "🐵".encode()),
        (b"B", b"\xff"),
        (b"C", b"?"),
    ]


def test_numbers_as_texts():
    """A status and a time that are texts are read as numbers."""
    found = taken(made(response={"status": "201"}, time="7"))
    assert found.response is not None
    assert (found.response.status, found.duration_ns) == (201, 7_000_000)
    assert taken(made(time=-1, timings={"wait": "3", "send": -1, "receive": 2})).duration_ns == 5_000_000
    assert taken(made(time="soon")).duration_ns == 0


@pytest.mark.parametrize("status", [0, -1, "0", None, "x", 7])
def test_no_answer(status):
    """Status 0 is no answer: the request stays, and it is counted."""
    notes: Counter[str] = Counter()
    found = taken(made(response={"status": status}), notes)
    assert (found.response, found.no_answer, notes["answers-missing"]) == (None, "not-recorded", 1)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (made({"url": "data:text/plain,x"}), "not-http"),
        (made({"url": "blob:https://shop.example/1"}), "not-http"),
        (made({"url": "chrome-extension://a/b"}), "not-http"),
        (made({"method": "CONNECT", "url": "https://shop.example:443"}), "not-http"),
        (made({"url": "wss://shop.example/"}), "websocket"),
        (made(_webSocketMessages=[]), "websocket"),
        (made(response={"status": 101}), "websocket"),
        (made({"url": None}), "unparseable"),
        (made({"method": "A B"}), "unparseable"),
        ({}, "unparseable"),
        ({"request": [], "response": 5}, "unparseable"),
    ],
)
def test_what_is_no_exchange_has_a_reason(entry, reason):
    """Websockets, data and blob URLs and entries without a request are left out by name."""
    assert exchange_of(entry, 0, LIMITS, "", Counter()) == reason


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("http://shop.example", "shop.example", "/"),
        ("HTTP://shop.example:81?q=1#x", "shop.example:81", "/?q=1"),
        ("http://u:p@shop.example/a#frag", "shop.example", "/a"),
        ("http://shop.example/ä b/%2F?q=[1]|'", "shop.example", "/%C3%A4%20b/%2F?q=[1]|'"),
        ("http://shop.example//a/../b", "shop.example", "//a/../b"),
    ],
)
def test_targets_are_raw(url, authority, target):
    """The target is what was on the wire: no fragment, nothing normalised, no bytes that a request line cannot have."""
    request = taken(made({"url": url})).request
    assert (request.authority, request.target) == (authority, target)


def body_of(post: dict[str, Any] | None, headers: list[dict[str, object]] | None = None, **more: Any):
    return taken(made({"method": "POST", "postData": post, "headers": headers or [], **more})).request.body


def test_request_bodies():
    """Text, base64 in both spellings, parameters without text, and bytes written as characters become the bytes they were."""
    assert body_of({"text": "é"}).data == "é".encode()
    assert body_of({"text": "é"}, [header("Content-Length", 1)]).data == b"\xe9"
    for name in ("encoding", "_encoding"):
        assert body_of({"text": base64.b64encode(b"\0\xff").decode(), name: "base64"}).data == b"\0\xff"
    form = [{"name": "a b", "value": "1&2"}, {"name": ":action", "value": None}, {"name": "é"}]
    assert (
        body_of({"mimeType": "application/x-www-form-urlencoded", "params": form}).data
        == b"a+b=1%262&%3Aaction=&%C3%A9="
    )
    assert body_of({"text": "a=1", "params": form}).data == b"a=1"
    assert body_of({"text": "", "params": []}).data == b""
    assert body_of(None).truncated is False
    assert body_of({"text": "\udcff"}).data == b"\xff"


def test_multipart_parameters():
    """A form of several parts is put together again, and one whose file is not there is known to be cut."""
    kind = 'multipart/form-data; boundary="xx"'
    parts = [{"name": "a", "value": "1"}, {"name": "f", "value": "é", "fileName": "f.txt", "contentType": "text/plain"}]
    assert (
        body_of({"mimeType": kind, "params": parts}).data
        == (
            '--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--xx\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n'
            "Content-Type: text/plain\r\n\r\né\r\n--xx--\r\n"
        ).encode()
    )
    assert body_of({"mimeType": kind, "params": [{"name": "f", "fileName": "f.txt"}]}).truncated
    assert body_of({"mimeType": "multipart/form-data", "params": parts}).truncated


def test_missing_request_bodies_are_never_fired_as_if_whole():
    """A body that was announced and is not in the file is marked as cut, and counted."""
    notes: Counter[str] = Counter()
    found = taken(made({"method": "POST", "headers": [header("content-length", "5")]}), notes)
    assert (found.request.body.truncated, found.request.body.size, notes["request-bodies-missing"]) == (True, 5, 1)
    assert body_of(None, bodySize=9).truncated
    assert not body_of(None, bodySize=-1).truncated
    assert body_of({"text": "%%%", "encoding": "base64"}).truncated


def test_compressed_request_bodies():
    """A decoded body is sent as it was sent, one that is still packed is unpacked."""
    gzipped = [header("Content-Encoding", "gzip")]
    decoded = body_of({"text": "hello"}, [*gzipped, header("Content-Length", 25)])
    assert (decoded.data, decoded.encoding, decoded.size) == (b"hello", "gzip", 25)
    packed = body_of({"text": base64.b64encode(gzip.compress(b"hello")).decode(), "encoding": "base64"}, gzipped)
    assert (packed.data, packed.encoding) == (b"hello", "gzip")
    assert body_of({"text": "hello"}, [header("Content-Encoding", "aes128gcm")]).encoding == ""


def test_cookies_without_their_header():
    """Where a producer lists cookies and no Cookie header, the request gets one, so that its session is known."""
    cookies = [{"name": "sid", "value": "abc"}, {"name": "x", "value": "1"}]
    assert taken(made({"cookies": cookies})).request.headers == [(b"cookie", b"sid=abc; x=1")]
    assert taken(made({"cookies": cookies, "headers": [header("Cookie", "y=2")]})).request.headers == [
        (b"Cookie", b"y=2")
    ]


def answer_of(**response: Any):
    found = taken(made(response=response)).response
    assert found is not None
    return found


def test_decoded_answers_lose_the_headers_that_no_longer_fit():
    """Content is decoded already: no Content-Encoding stays, and Content-Length is that of what is there."""
    headers = [header("Content-Encoding", "br"), header("Content-Length", "3"), header("X", "1")]
    found = answer_of(headers=headers, content={"size": 5, "text": "hello"})
    assert (found.body.data, found.body.encoding, found.body.size) == (b"hello", "", 5)
    assert found.headers == [(b"Content-Length", b"5"), (b"X", b"1")]


def test_packed_answers_are_unpacked():
    """Content that a producer left packed is decoded as the recorder would, and damage is known as damage."""
    headers = [header("Content-Encoding", "gzip")]
    whole = answer_of(
        headers=headers, content={"encoding": "base64", "text": base64.b64encode(encode(b"hello", "gzip")).decode()}
    )
    assert (whole.body.data, whole.body.encoding, whole.headers) == (b"hello", "gzip", [(b"Content-Encoding", b"gzip")])
    damaged = answer_of(
        headers=headers, content={"encoding": "base64", "text": base64.b64encode(b"\x1f\x8bxxxxxx").decode()}
    )
    assert damaged.body.undecoded == "corrupt"


def test_answers_in_another_charset():
    """The charset of the media type, then the size, tell which bytes a text was."""
    assert answer_of(content={"size": 1, "mimeType": "text/html; charset=iso-8859-1", "text": "é"}).body.data == b"\xe9"
    assert (
        answer_of(content={"size": 2, "mimeType": "text/html; charset=iso-8859-1", "text": "é"}).body.data
        == "é".encode()
    )
    assert answer_of(content={"mimeType": "text/html; charset=shift_jis", "text": "日"}).body.data == "日".encode(
        "shift_jis"
    )
    assert answer_of(content={"mimeType": "text/html; charset=no-such", "text": "日"}).body.data == "日".encode()


def test_missing_answer_bodies():
    """A body that a browser left out is known to be missing; HEAD, 204 and 304 have none whatever they announce."""
    notes: Counter[str] = Counter()
    found = taken(made(response={"content": {"size": 77}}), notes).response
    assert found is not None
    assert (found.body.truncated, found.body.size, notes["answer-bodies-missing"]) == (True, 77, 1)
    announced = {"headers": [header("Content-Length", "77")], "content": {"size": 77}}
    for entry in (made({"method": "HEAD"}, announced), made(response={**announced, "status": 304})):
        response = taken(entry).response
        assert response is not None
        assert not response.body.truncated
        assert response.headers == [(b"Content-Length", b"77")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T01:00:00.5+01:00", 500_000_000),
        ("2023-03-29T16:58:59.303-07:00", 1_680_134_339_303_000_000),
        ("1970-01-01T00:00:01", 1_000_000_000),
        ("1960-01-01T00:00:00Z", 0),
        ("yesterday", None),
        (12, None),
        (None, None),
    ],
)
def test_times_with_zones(text, expected):
    """`startedDateTime` in any zone is a wall clock; what tells no time is None."""
    assert time_ns(text) == expected


def test_a_huge_head_is_refused():
    """Headers beyond what any server takes cost the one entry."""
    with pytest.raises(ValueError, match="too long"):
        taken(made({"headers": [header("a", "x" * 300_000)]}))
