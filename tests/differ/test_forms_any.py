"""Laws over all body forms: never an exception, nothing differs from itself, and a mirrored comparison mirrors."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings, strategies as st

from differ.bodies import structured
from differ.bodies_of import BYTES, EMPTY, IMAGE, TEXT, parsed
from differ.compare import compare
from differ.context import Context
from differ.sink import Sink
from tests.differ.forms import answer, between, places

MEDIA = [
    "application/json",
    "application/graphql-response+json",
    "text/html",
    "application/xhtml+xml",
    "application/xml",
    "text/csv",
    "text/tab-separated-values",
    "text/event-stream",
    "application/x-ndjson",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "multipart/mixed; boundary=b",
    "application/x-protobuf",
    "application/vnd.google.protobuf; proto=a.B; encoding=delimited",
    "application/grpc",
    "application/grpc-web-text",
    "image/png",
    "application/octet-stream",
    "text/plain",
    "",
]
PIECES = [
    *(b"<p>", b"</p>", b"<a href='x'>", b"<!--", b"-->", b"<script>", b"</script>", b"<table><tr><td>", b"&#", b"&lt;"),
    *(b"a,b\n", b"1,2\n", b'"', b";", b"\t", b"\r\n", b"--b\r\n", b"--b--", b"\r\n\r\n"),
    *(b'Content-Disposition: form-data; name="a"', b"data: ", b"id: 1\n", b"\n\n", b'{"a": 1}', b"[1]", b"eyJ.eyJ."),
    *(b"\x08\x01", b"\x12\x03abc", b"\x00\x00\x00\x00\x02\x08\x01", b"\x80", b"\x1a\x02\x08\x01"),
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"RIFFxxxxWEBP", b"=", b"&", b"x", b"12 ms"),
]
bodies = st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=14).map(b"".join)
media = st.sampled_from(MEDIA)
CORPUS = [
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\xff\xff\xff\xff\xff\xff\xff\xff\x08\x06\x00\x00\x00",
    b"\xff\xd8\xff" + b"\xff" * 50,
    b"\xff\xd8\xff\xe0\x00\x00" * 20,
    b"\x0a" * 40,
    b"\x0a\x7f" + b"\x0a" * 127,
    b"\xff" * 20,
    b"--b\r\n" * 20,
    b'"' * 50,
    b"&#" + b"9" * 5000 + b";",
    b"<a &#" + b"9" * 5000 + b";='x'>",
    b"<html" * 30,
    b"id\nid\n",
    b'data: {"a": "\\ud800"}',
    b"eyJhbGciOiJub25lIn0.eyJhIjoxfQ.",
    b"[" * 2000,
    b"\xef\xbb\xbf",
]


@settings(max_examples=250, deadline=None)
@given(bodies, bodies, media, media)
@example(b"\xff\xd8\xff", b"", "image/png", "image/png")
def test_any_bytes_under_any_name_are_compared(one: bytes, two: bytes, named: str, other: str) -> None:
    """An answer, never an exception: not even one that the comparison caught."""
    found = compare(answer(one, named), answer(two, other), Context())

    assert not found.uncomparable.startswith("error-")


@settings(max_examples=150, deadline=None)
@given(bodies, media)
def test_nothing_differs_from_itself(body: bytes, named: str) -> None:
    """A body read twice: no form finds a difference where there is none."""
    headers, sink = answer(body, named).headers, Sink()
    forms = parsed(body, headers), parsed(bytes(bytearray(body)), headers)
    if forms[0].form not in {TEXT, BYTES, IMAGE, EMPTY}:  # these are never asked about equal bytes
        structured(sink, (body, body), forms, Context())

    assert between(body, body, named) == sink.differences() == []


@settings(max_examples=250, deadline=None)
@given(bodies, bodies, media)
def test_a_mirrored_comparison_mirrors(one: bytes, two: bytes, named: str) -> None:
    """What is missing one way is added the other way, at the same places."""
    mirror = {"missing": "added", "added": "missing"}
    there, back = between(one, two, named), between(two, one, named)

    assert {(where, mirror.get(kind, kind)) for where, kind in places(there)} == places(back)


@pytest.mark.parametrize("named", MEDIA)
def test_the_kept_corpus_is_compared(named: str) -> None:
    """Inputs that hurt once, each against each other one."""
    for one in CORPUS:
        for two in CORPUS:
            found = compare(answer(one, named), answer(two, named), Context())
            assert not found.uncomparable.startswith("error-"), (one, two)
