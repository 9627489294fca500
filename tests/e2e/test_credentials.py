"""A service behind logins: sessions and tokens of its own at every instance, and a verdict that is right with default settings.

Run as a program it is that service: ``test_credentials.py PORT [CHANGE …]``. `test_chain` asks whether each kind of credential opens its
door; here it is asked that, behind them, each kind of change is found and nothing else is.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

USER, PASSWORD = "ada", "staple-77-Horse"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
BEARER = "Bearer " + "q7Rk2Zp9Xw4Lm8Vt1Ny6"
KEY = "ak_5Hs8Jd2Kf9Qp3Wz7"
CHANGES = {
    ("value",): {("body:$.total", "value")},
    ("status",): {("status", "status")},
    ("missing", "type", "order"): {("body:$.currency", "missing"), ("body:$.paid", "type"), ("body:$.lines", "order")},
}
"""The branches' changes, and where and as what they are to be found."""
ORDERS = range(1, 17)
SESSIONS: set[str] = set()


class Shop(BaseHTTPRequestHandler):
    """Orders, shown to who has a session of this very instance and to holders of fixed credentials; to all others 401."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write an answer: two meet Nagle's algorithm and wait 40 ms
    changes: frozenset[str] = frozenset()

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """A login gives a session; everything else asks for one, or for a credential."""
        if self.path == "/login":
            session = base64.urlsafe_b64encode(os.urandom(24)).decode()
            SESSIONS.add(session)
            token = os.urandom(16).hex()
            cookie = f"session={session}; Path=/; HttpOnly; SameSite=Lax"
            self.say(200, {"user": USER, "csrf_token": token}, {"Set-Cookie": cookie, "X-CSRF-Token": token})
        elif self.known():
            self.order(int(self.path.rpartition("/")[2]))
        else:
            self.say(401, {"error": "log in first"}, {"WWW-Authenticate": 'Basic realm="shop"'})

    def known(self) -> bool:
        """Whether the request shows what its door asks for."""
        cookies = dict(part.strip().partition("=")[::2] for part in self.headers.get("Cookie", "").split(";"))
        doors = {
            "mine": cookies.get("session") in SESSIONS,
            "basic": self.headers.get("Authorization") == BASIC,
            "bearer": self.headers.get("Authorization") == BEARER,
            "key": self.headers.get("X-Api-Key") == KEY,
        }
        return doors.get(self.path.split("/")[1], False)

    def order(self, number: int) -> None:
        """An order, with this version's change."""
        lines = [f"{number} {word}" for word in ("screws", "nuts", "bolts")]
        body = {"id": number, "currency": "EUR", "total": number * 10 + 5, "paid": True, "lines": lines}
        if "value" in self.changes:
            body["total"] = number * 10 + 6
        if "type" in self.changes:
            body["paid"] = "true"
        if "missing" in self.changes:
            del body["currency"]
        if "order" in self.changes:
            body["lines"] = [lines[2], lines[0], lines[1]]
        self.say(203 if "status" in self.changes else 200, body, {"X-Request-Id": os.urandom(8).hex()})

    def say(self, status: int, body: object, headers: dict[str, str]) -> None:
        """Answer with JSON."""
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Serve until killed."""
    Shop.changes = frozenset(sys.argv[2:])
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Shop)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":  # as a program it needs nothing but the standard library
    main()

from bench.ports import free_port  # noqa: E402
from tests.e2e.world import World, listening, places, send, stop  # noqa: E402

TRAFFIC: list[tuple[str, dict[str, str]]] = [
    ("/login", {}),
    *[(f"/mine/{n}", {}) for n in ORDERS],
    *[(f"/basic/{n}", {"Authorization": BASIC}) for n in ORDERS],
    *[(f"/bearer/{n}", {"Authorization": BEARER}) for n in ORDERS],
    *[(f"/key/{n}", {"X-Api-Key": KEY}) for n in ORDERS],
]


def command(*changes: str) -> str:
    """The service as `--base-cmd` takes it."""
    return " ".join([sys.executable, str(Path(__file__)), "{port}", *changes])


def service(world: World) -> int:
    """The service that is recorded; its port."""
    port = free_port()
    process = world.start(sys.executable, __file__, port)
    listening(port, process=process)
    return port


def running(world: World) -> list[str]:
    """The flags for two instances that already run."""
    return [word for name in ("--base", "--branch") for word in (name, f"http://127.0.0.1:{service(world)}")]


def test_every_change_behind_a_login_is_found_and_nothing_else(world: World) -> None:
    """Behind a session, Basic, a bearer token and an API key each kind of change is found, and none where nothing changed."""
    world.record(service(world), TRAFFIC, cookies=True)
    done, result = world.run("--base-cmd", command(), "--branch-cmd", command())

    assert (done.code, result["verdict"], result["fidelity"]) == (0, "pass", 1.0), done.err
    assert (result["groups"], result["undecided"]) == ([], [])
    assert result["ledger"]["compared"] == len(TRAFFIC)
    for changes, expected in CHANGES.items():
        done, result = world.run("--base-cmd", command(), "--branch-cmd", command(*changes))

        assert (done.code, result["verdict"], result["fidelity"]) == (1, "fail", 1.0), (changes, done.err)
        assert places(result) == expected, changes
        assert result["undecided"] == [], changes
        assert result["ledger"]["different"] == 4 * len(ORDERS), changes


def test_without_the_originals_there_is_no_verdict_but_a_reason(world: World) -> None:
    """Recorded without seals, masks are sent and open no door: inconclusive for fidelity, and the reason tells of 401 and what to do."""
    upstream, port = service(world), free_port()
    words = ["record", "--service", "shop", "--no-seal", "--home", world.home, "--listen", f"127.0.0.1:{port}"]
    process = world.start(sys.executable, "-m", "console.main", *words, "--upstream", f"http://127.0.0.1:{upstream}")
    listening(port, process=process)
    send(port, TRAFFIC, cookies=True)
    stop(process)
    world.check_capture(stored=len(TRAFFIC))
    done, result = world.run(*running(world))

    assert (done.code, result["verdict"], result["reason_code"]) == (3, "inconclusive", "fidelity"), done.err
    assert "401" in result["reason"]


def test_a_seal_whose_key_is_not_here_is_a_clear_error(world: World) -> None:
    """A home whose keys are elsewhere cannot send what was recorded: exit 2, and one line names the key and where to put it."""
    world.record(service(world), TRAFFIC, cookies=True)
    (world.home / "keys").rename(world.folder / "keys-elsewhere")
    done, result = world.run(*running(world))

    assert (done.code, result) == (2, {}), done.err
    assert "ECHOLANE_SEAL_KEY" in done.err.splitlines()[-1], done.err
