"""A target that misbehaves in the way its path says. Standard library only.

bad_target.py PORT good|bad        (`good` answers every path with the same small JSON)
"""

from __future__ import annotations

import gzip
import itertools
import socket
import sys
import threading

GOOD = b'{"fine":true}'
PIECE = b"x" * (1 << 20)
HUGE_PIECES = 1024
BOMB = gzip.compress(b"\0" * (200 << 20))
PATHS = ("/ok", "/close", "/garbage", "/huge", "/bomb", "/nested", "/headers", "/silent", "/length")


def answer(head: bytes = b"", body: bytes = GOOD) -> bytes:
    """A whole answer."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s" % (
        head,
        len(body),
        body,
    )


def pieces(path: str) -> itertools.chain[bytes]:
    """What is sent for a path; the connection is closed behind it unless the path is ``/ok``."""
    match path:
        case "/close":
            found = [answer(body=GOOD)[:-4]]
        case "/garbage":
            found = [b"\x00\x01\x02 this is no HTTP \xff\xfe\r\n\r\n"]
        case "/huge":
            size = HUGE_PIECES * len(PIECE)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % size
            return itertools.chain([head], itertools.repeat(PIECE, HUGE_PIECES))
        case "/bomb":
            found = [answer(b"Content-Encoding: gzip\r\n", BOMB)]
        case "/nested":
            found = [answer(body=b"[" * 10_000 + b"]" * 10_000)]
        case "/headers":
            found = [
                b"HTTP/1.1 200 OK\r\n",
                *(b"X-%d: y\r\n" % n for n in range(100_000)),
                b"Content-Length: 0\r\n\r\n",
            ]
        case "/length":
            found = [b"HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\r\nabc"]
        case "/silent":
            found = []
        case _:
            found = [answer()]
    return itertools.chain(found)


def serve(connection: socket.socket, kind: str) -> None:
    """One connection."""
    good = kind == "good"
    with connection:
        waiting = b""
        while True:
            while b"\r\n\r\n" not in waiting:
                data = connection.recv(65536)
                if not data:
                    return
                waiting += data
            head, _, waiting = waiting.partition(b"\r\n\r\n")
            path = "/silent" if kind == "hanging" else head.split(b" ", 2)[1].partition(b"?")[0].decode()
            try:
                for piece in pieces("/ok" if good else path):
                    connection.sendall(piece)
            except OSError:
                return
            if path == "/silent" and not good:
                threading.Event().wait(600)
            if path != "/ok" and not good:
                return


def main() -> None:
    """Accept for ever."""
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=256) as server:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=serve, args=(connection, sys.argv[2]), daemon=True).start()


if __name__ == "__main__":
    main()
