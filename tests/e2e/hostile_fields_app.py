"""An application that says a hostile text in every field of its answers, another in each version: ``hostile_fields_app.py PORT CORPUS [branch]``.

The request's ``x-n`` says which text of the file, and the end of its path in which field. It writes bytes as they are, for no library of HTTP would
send some of them. Standard library only.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

BRANCH = "branch" in sys.argv[3:]
CORPUS: list[str] = json.loads(Path(sys.argv[2]).read_text("ascii")) if __name__ == "__main__" else []
NO_NAME = re.compile(r"[^!#$%&'*+.^_`|~0-9A-Za-z-]")


def line(text: str) -> bytes:
    """What a field of a head can hold of a text: all but line ends and NUL, with the controls of eight bits as UTF-8 has them."""
    return re.sub("[\0\r\n]", " ", text).encode("utf-8", "replace").strip() or b"-"


def name(text: str) -> bytes:
    """What a name of a head can hold of a text."""
    return NO_NAME.sub("", text).encode()[:200] or b"-"


def in_name(text: str, number: int) -> tuple[list[bytes], bytes, object]:
    """A header's name."""
    return [b"X-" + name(text) + b": %d" % (number + BRANCH)], b"application/json", {}


def in_header(text: str, number: int) -> tuple[list[bytes], bytes, object]:
    """A header's value."""
    return [b"X-Said-%d: " % number + line(text)], b"application/json", {}


def in_cookie(text: str, number: int) -> tuple[list[bytes], bytes, object]:
    """A cookie's name, its value and its path."""
    return (
        [b"Set-Cookie: c%d" % number + name(text) + b"=" + line(text).replace(b";", b"") + b"; Path=/" + line(text)],
        b"application/json",
        {},
    )


def in_type(text: str, number: int) -> tuple[list[bytes], bytes, object]:
    """The media type."""
    return [], b"text/x-%d" % number + name(text) + b"; said=" + line(text), "as it was"


def in_key(text: str, number: int) -> tuple[list[bytes], bytes, object]:
    """A key."""
    return [], b"application/json", {text: number, f"in-{number}": {text: {text: number + BRANCH}}}


def in_value(text: str, number: int) -> tuple[list[bytes], bytes, object]:
    """A value, alone and in a list."""
    return [], b"application/json", {f"said_{number}": text, f"list_{number}": [1, text]}


def in_text(text: str, _: int) -> tuple[list[bytes], bytes, object]:
    """A body that is text."""
    return [], b"text/plain; charset=utf-8", text


FIELDS: dict[str, Callable[[str, int], tuple[list[bytes], bytes, object]]] = {
    "name": in_name,
    "header": in_header,
    "cookie": in_cookie,
    "type": in_type,
    "key": in_key,
    "value": in_value,
    "text": in_text,
}


class App(StreamRequestHandler):
    """One connection."""

    def handle(self) -> None:
        """Its requests, one after another."""
        while start := self.rfile.readline():
            head = {}
            while (row := self.rfile.readline().rstrip(b"\r\n")) != b"":
                key, _, value = row.partition(b":")
                head[key.lower()] = value.strip()
            self.rfile.read(int(head.get(b"content-length", 0)))
            target = start.split(b" ")[1].decode("latin-1").partition("?")[0]
            number = int(head.get(b"x-n", b"0"))
            text = CORPUS[number]
            said = f"{text} {text}" if BRANCH else text
            lines, kind, told = FIELDS[target.rpartition("/")[2]](said, number)
            body = told.encode("utf-8", "replace") if isinstance(told, str) else json.dumps(told).encode()
            length = b"Content-Length: %d" % len(body)
            answer = [b"HTTP/1.1 200 " + line(said), b"Content-Type: " + kind, *lines, length, b"", body]
            self.wfile.write(b"\r\n".join(answer))


if __name__ == "__main__":
    ThreadingTCPServer.allow_reuse_address = ThreadingTCPServer.daemon_threads = True
    ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), App).serve_forever()
