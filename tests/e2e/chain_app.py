"""A small application with everything that makes answers differ by themselves, and switches for real changes. Standard library only.

    chain_app.py PORT [CHANGE …]

Its sets are ordered by the process's own hash seed, its sessions are random, its clock and counters run. Changes: ``reorder`` (a ranking
is sorted the other way), ``feature`` (the header of hash-ordered features gets another member), ``price`` (one field's value),
``poison=WAY`` (item 7 says a word at which a comparison in tests dies).
``posts=FILE`` notes every POST, ``seen=FILE`` every request, when it comes; an order (``POST /orders/…``) has a total and a word that is
drawn anew. ``runs=FILE`` notes the run of every replayed request. A login (``POST /login``) gives the client another session, which ``given=FILE``
notes. ``bulk=KIB`` makes items so large.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import random
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "islet", "jetty", "knoll", "larch")
FEATURES = {"search", "export", "audit", "sharing", "offline", "themes"}
USER, PASSWORD, BEARER, API_KEY = "ann", "correct horse 42", "tok_live_8Fz2kQ0pLm4VxR7sT1", "ak_7Yw3nB6vC9xZ2mQ5"
SYLLABLES = ("ba", "do", "fi", "gu", "ke", "la", "mo", "ni", "pu", "re", "sa", "to")
SESSIONS: set[str] = set()
SIGNING_KEY = b"the same in both versions"


class App(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write an answer: two meet Nagle's algorithm and wait 40 ms
    posts = seen = given = runs = poison = bulk = ""
    changes: frozenset[str] = frozenset()
    served = random.randrange(
        1 << 20
    )  # every instance counts from somewhere else, as ones that have run for a while do

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """Route."""
        App.served += 1
        self.note(self.seen)
        self.note_run()
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        if parts[0] == "items":
            self.item(int(parts[1]))
        elif parts[0] == "session":
            name = os.urandom(16).hex()
            SESSIONS.add(name)
            self.say(200, {"welcome": True}, {"Set-Cookie": f"sid={name}; Path=/; HttpOnly"})
        elif parts[0] == "signed":
            value = base64.urlsafe_b64encode(b'{"user":"ann"}').decode()
            self.say(200, {"ok": True}, {"Set-Cookie": f"login={value}.{signature(value)}; Path=/"})
        else:
            self.guarded(parts[0], parse_qs(url.query))

    def do_POST(self) -> None:
        """Something is done, which must not be done twice: noted in the file that ``posts=FILE`` names."""
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.note(self.posts)
        self.note(self.seen)
        self.note_run()
        body: dict[str, object] = {"done": self.path}
        if self.path.startswith("/login"):  # another session from here on; what it was called before is worth nothing
            SESSIONS.discard(self.cookies().get("sid", ""))
            name = os.urandom(16).hex()
            SESSIONS.add(name)
            self.note(self.given, name)
            self.say(200, {"welcome": True}, {"Set-Cookie": f"sid={name}; Path=/; HttpOnly"})
            return
        if self.path.startswith("/orders"):
            body |= {"total": 101 if "price" in self.changes else 100, "when": "".join(random.choices(SYLLABLES, k=3))}
        self.say(201, body, {})

    def note_run(self) -> None:
        """Which run sent this request, as its mark says."""
        mark = self.headers.get("x-echolane-replay", "").split(";")
        if self.runs and len(mark) > 1:
            self.note(self.runs, mark[1])

    def note(self, path: str, line: str = "") -> None:
        """One line of a file that a test reads."""
        if path:
            with open(path, "a", encoding="ascii") as file:
                file.write((line or self.path) + "\n")

    def item(self, number: int) -> None:
        """An item whose sets have this process's order."""
        chosen = {WORDS[(number * step + step) % len(WORDS)] for step in range(1, 7)}
        ranking = sorted(chosen, reverse="reorder" in self.changes)
        price = number * 3 + (1 if "price" in self.changes else 0)
        features = FEATURES | ({"beta"} if "feature" in self.changes else set())
        body = {
            "id": number,
            "tags": list(chosen),
            "ranking": ranking,
            "price": price,
            "at": time.time(),
            "served": App.served,
        }
        if number % 3 == 0 and self.changes & {"gone", "broken"}:
            self.say(404 if "gone" in self.changes else 500, {"error": "no such item"}, {})
            return
        if self.poison and number == 7:
            body["note"] = f"poison:{self.poison}"
        if self.bulk:  # of an item's own, so that no compression makes little of many
            body["bulk"] = random.Random(number).randbytes(int(self.bulk) << 9).hex()
        self.say(200, body, {"X-Features": ", ".join(features), "X-Request-Id": os.urandom(8).hex()})

    def guarded(self, door: str, query: dict[str, list[str]]) -> None:
        """What is shown only to who has the right credentials."""
        cookies = self.cookies()
        authorization = self.headers.get("Authorization", "")
        value, _, sign = cookies.get("login", "").partition(".")
        allowed = {
            "mine": cookies.get("sid") in SESSIONS,
            "account": bool(value) and hmac.compare_digest(sign, signature(value)),
            "bearer": authorization == f"Bearer {BEARER}",
            "basic": authorization == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
            "key": self.headers.get("X-Api-Key") == API_KEY,
            "query": query.get("api_key") == [API_KEY],
        }
        if not allowed.get(door):
            self.say(401, {"error": "who are you?"}, {})
            return
        balance = 101 if "price" in self.changes else 100
        self.say(200, {"door": door, "for": query.get("n", ["0"])[0], "balance": balance}, {})

    def cookies(self) -> dict[str, str]:
        """What the client's Cookie header holds."""
        return dict(pair.strip().partition("=")[::2] for pair in self.headers.get("Cookie", "").split(";") if pair)

    def say(self, status: int, body: object, headers: dict[str, str]) -> None:
        """Answer with JSON."""
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def signature(value: str) -> str:
    """A stateless session's proof, which every instance of the service accepts."""
    return hmac.new(SIGNING_KEY, value.encode(), hashlib.sha256).hexdigest()


if __name__ == "__main__":
    App.changes = frozenset(sys.argv[2:])
    App.seen = next((word.removeprefix("seen=") for word in sys.argv[2:] if word.startswith("seen=")), "")
    App.given = next((word.removeprefix("given=") for word in sys.argv[2:] if word.startswith("given=")), "")
    App.runs = next((word.removeprefix("runs=") for word in sys.argv[2:] if word.startswith("runs=")), "")
    App.posts = next((word.removeprefix("posts=") for word in sys.argv[2:] if word.startswith("posts=")), "")
    App.poison = next((word.removeprefix("poison=") for word in sys.argv[2:] if word.startswith("poison=")), "")
    App.bulk = next((word.removeprefix("bulk=") for word in sys.argv[2:] if word.startswith("bulk=")), "")
    ThreadingHTTPServer.request_queue_size = 128  # so many may wait while this machine stands still
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), App)
    server.daemon_threads = True
    server.serve_forever()
