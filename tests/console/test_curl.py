"""The command that repeats a recorded request: whatever its bytes are, a shell and curl send just them, and carry out nothing."""

from __future__ import annotations

import shlex
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from console.api import curl
from console.escapes import visible
from echolane.exchange import Body, Headers, Request
from tests.console.results import HOSTILE

HOSTILE_WORDS = [
    "$(touch PWNED)",
    "`touch PWNED`",
    "'; touch PWNED; '",
    '"; touch PWNED #',
    "!!",
    "\\",
    "-x",
    "@/etc/passwd",
    "%d",
]
URL = "http://127.0.0.1:1"
texts = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF), max_size=40) | st.sampled_from(
    [*HOSTILE_WORDS, *HOSTILE]
)
names = st.sampled_from([b"X-A", b"cookie", b"Accept", b"content-type", b"x`touch`"])
values = st.binary(max_size=30) | st.sampled_from([word.encode() for word in HOSTILE_WORDS])


def request(
    target: str = "/x", headers: Headers | None = None, body: bytes = b"", method: str = "GET", **more: Any
) -> Request:
    """A recorded request."""
    return Request(method, "http", "a.test", target, "1.1", headers or [], Body(body, len(body), **more))


@given(texts, st.lists(st.tuples(names, values), max_size=5), st.binary(max_size=60), st.lists(texts, max_size=3))
def test_the_command_is_read_back_as_what_was_put_in(
    target: str, headers: Headers, body: bytes, masked: list[str]
) -> None:
    """A shell reads the very headers and body; all of it can be seen, and comments hold no foreign text."""
    asked = request("/" + target, headers, body, "POST")
    line = curl.command(asked, {"url": URL, "lane": "one"}, [f"header:{one}" for one in masked])

    assert visible(line, "\n") == line
    comments = [one for one in line.splitlines() if one.startswith(("# masked", "# left out"))]
    assert not any(set(one) & set("`$;&|<>()'\"\\!") for one in comments)
    code = line[sum(len(one) + 1 for one in comments) :]
    words = shlex.split(code)
    assert words.count("curl") >= 1
    sent = [words[at + 1] for at, word in enumerate(words) if word == "--header"]
    for name, value in headers:
        text = value.decode("utf-8", "replace").strip()
        if text.isprintable() and text.encode() == value.strip():
            assert (f"{name.decode()}: {text}" if text else f"{name.decode()};") in sent
    if words[0] == "printf":
        assert subprocess.run(["sh", "-c", shlex.join(words[:2])], capture_output=True, check=True).stdout == body
    else:
        assert words[words.index("--data-raw") + 1].encode() == body


class Raw:
    """A server that keeps every request's bytes."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.seen: list[tuple[list[str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                there, _ = self.socket.accept()
            except OSError:
                return
            with there, there.makefile("rb") as stream:
                lines = [line.decode("latin-1").rstrip("\r\n") for line in iter(stream.readline, b"\r\n")]
                length = next((int(one.split(":")[1]) for one in lines if one.lower().startswith("content-length:")), 0)
                self.seen.append((lines, stream.read(length)))
                there.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("asked", "first", "headers"),
    [
        (request("/a?b=[1]&c={x}"), "GET /a?b=[1]&c={x} HTTP/1.1", []),
        (request("/a/../b//c#d e"), "GET /a/../b//c%23d%20e HTTP/1.1", []),
        (request("*", method="OPTIONS"), "OPTIONS * HTTP/1.1", []),
        (request(headers=[(b"Accept", b"text/x"), (b"X", b""), (b"x", b"'$(touch PWNED)")]), "GET /x HTTP/1.1", ["Accept: text/x", "X:", "x: '$(touch PWNED)"]),
        (request(headers=[(b"Host", b"h"), (b"TE", b"x"), (b"traceparent", b"0"), (b"User-Agent", b"me")]), "GET /x HTTP/1.1", ["User-Agent: me"]),
        (request(body=b"a=1\n&b='`touch PWNED`'", method="POST"), "POST /x HTTP/1.1", []),
        (request(body=b"@/etc/passwd", method="PUT", headers=[(b"Content-Type", b"text/plain")]), "PUT /x HTTP/1.1", ["Content-Type: text/plain"]),
        (request(body=b"-\0\xff%s\\n\r\n\x1b7", method="POST"), "POST /x HTTP/1.1", []),
        (request(body="é\u202e\t".encode() * 600, method="PATCH"), "PATCH /x HTTP/1.1", []),
        (request(method="POST"), "POST /x HTTP/1.1", []),
        (request(body=b"{}", method="POST", headers=[(b"Content-Encoding", b"gzip")], encoding="gzip"), "POST /x HTTP/1.1", []),
        (request(body=b"\x1f\x8b", method="POST", headers=[(b"Content-Encoding", b"gzip")], encoding="gzip", undecoded="corrupt"), "POST /x HTTP/1.1", ["Content-Encoding: gzip"]),
    ],
)  # fmt: skip
def test_a_real_shell_and_curl_send_the_very_request(
    asked: Request, first: str, headers: list[str], tmp_path: Path, require: Any
) -> None:
    """Request line, headers and body as they were recorded, and nothing of curl's own; no word of it is carried out."""
    require("curl", hint="apt-get install curl")
    server = Raw()
    line = curl.command(asked, {"url": server.url}, ["header:cookie", "target", "header:`touch PWNED`"])
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    server.socket.close()

    assert done.returncode == 0, done.stderr
    ((lines, body),) = server.seen
    assert lines[0] == first
    assert body == asked.body.data
    own = ("host:", "content-length:")
    assert [one.rstrip() for one in lines[1:] if not one.lower().startswith(own)] == headers
    assert any(one.lower().startswith("content-length:") for one in lines) == (asked.method in {"POST", "PUT", "PATCH"})
    assert list(tmp_path.iterdir()) == []


def test_the_lane_and_what_is_masked_are_in_it() -> None:
    """The lane goes as the run sent it, beside other baggage; places that are masked stand in a comment before it."""
    asked = request(headers=[(b"Cookie", b"sid=mk1"), (b"baggage", b"lane=old,a=1")])
    line = curl.command(asked, {"url": URL + "/", "lane": "two"}, ["header:cookie"])
    assert line.startswith("# masked when it was recorded: header cookie\ncurl --globoff --path-as-is")
    words = shlex.split(line, comments=True)
    assert {"x-lane: two", "baggage: a=1,lane=two", "Cookie: sid=mk1"} <= set(words)
    assert words[-1] == f"{URL}/x"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (request(body=b"x", method="POST", truncated=True), "only the beginning"),
        (request(body=b"x" * (curl.BODY_MAX + 1), method="POST"), "32,769 bytes is too long"),
        (request(body=b"x", method="HEAD"), "HEAD request with a body"),
        (request(headers=[(b"a b", b"")]), "header whose name"),
        (request(method="\x1b"), "request line"),
        (request(body=b"x" * curl.BODY_MAX, method="POST"), ""),
    ],
)
def test_what_no_command_repeats_is_said(asked: Request, why: str) -> None:
    """A request of which bytes are missing, or which curl cannot send, has words in the place of a command that would be another one."""
    assert (why in curl.refusal(asked)) if why else not curl.refusal(asked)
