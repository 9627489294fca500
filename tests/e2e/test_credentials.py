"""A service behind logins: sessions and tokens of its own at every instance, and a verdict that is right with default settings.

Run as a program it is that service: ``test_credentials.py PORT [CHANGE]``. `test_chain` asks whether each kind of credential opens its
door; here it is asked that, behind them, each kind of change is found and nothing else is.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

USER, PASSWORD = "ada", "staple-77-Horse"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
BEARER = "Bearer " + "q7Rk2Zp9Xw4Lm8Vt1Ny6"
KEY = "ak_5Hs8Jd2Kf9Qp3Wz7"
CHANGES = {
    "value": ("body:$.total", "value"),
    "missing": ("body:$.currency", "missing"),
    "type": ("body:$.total", "type"),
    "order": ("body:$.lines", "order"),
    "status": ("status", "status"),
}
"""The branch's changes, and where and as what each is to be found."""
ORDERS = range(1, 17)


class Shop(BaseHTTPRequestHandler):
    """Orders, shown to who has a session of this very instance and to holders of fixed credentials; to all others 401."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write an answer: two meet Nagle's algorithm and wait 40 ms
    change = ""
    sessions: set[str] = set()

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """A login gives a session; everything else asks for one, or for a credential."""
        if self.path == "/login":
            session = base64.urlsafe_b64encode(os.urandom(24)).decode()
            self.sessions.add(session)
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
            "mine": cookies.get("session") in self.sessions,
            "basic": self.headers.get("Authorization") == BASIC,
            "bearer": self.headers.get("Authorization") == BEARER,
            "key": self.headers.get("X-Api-Key") == KEY,
        }
        return doors.get(self.path.split("/")[1], False)

    def order(self, number: int) -> None:
        """An order, with this version's change."""
        total: Any = number * 10 + 5
        body = {"id": number, "currency": "EUR", "total": total, "lines": ["screws", "nuts", "bolts"]}
        if self.change == "value":
            body["total"] = total + 1
        elif self.change == "type":
            body["total"] = str(total)
        elif self.change == "missing":
            del body["currency"]
        elif self.change == "order":
            body["lines"] = ["bolts", "screws", "nuts"]
        self.say(203 if self.change == "status" else 200, body, {"X-Request-Id": os.urandom(8).hex()})

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
    Shop.change = sys.argv[2] if len(sys.argv) > 2 else ""
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Shop)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":  # as a program it needs nothing but the standard library
    main()

import pytest  # noqa: E402

from tests.e2e.world import World, free_port, listening, places  # noqa: E402

TRAFFIC: list[tuple[str, dict[str, str]]] = [
    ("/login", {}),
    *[(f"/mine/{n}", {}) for n in ORDERS],
    *[(f"/basic/{n}", {"Authorization": BASIC}) for n in ORDERS],
    *[(f"/bearer/{n}", {"Authorization": BEARER}) for n in ORDERS],
    *[(f"/key/{n}", {"X-Api-Key": KEY}) for n in ORDERS],
]


def command(change: str = "") -> str:
    """The service as `--base-cmd` takes it."""
    return f"{sys.executable} {Path(__file__)} {{port}} {change}".strip()


@pytest.fixture
def recorded(world: World) -> World:
    """A home that holds one user's traffic, recorded by the sidecar."""
    port = free_port()
    process = world.start(sys.executable, __file__, port)
    listening(port, process=process)
    world.record(port, TRAFFIC, cookies=True)
    return world


def test_every_change_behind_a_login_is_found_and_nothing_else(recorded: World) -> None:
    """Of each kind of change exactly that finding is reported behind every door, and none where nothing changed."""
    done, result = recorded.run("--base-cmd", command(), "--branch-cmd", command())

    assert (done.code, result["verdict"], result["fidelity"]) == (0, "pass", 1.0), done.err
    assert (result["groups"], result["undecided"]) == ([], [])
    assert result["ledger"]["compared"] == len(TRAFFIC)
    for change, expected in CHANGES.items():
        done, result = recorded.run("--base-cmd", command(), "--branch-cmd", command(change))

        assert (done.code, result["verdict"], result["fidelity"]) == (1, "fail", 1.0), (change, done.err)
        assert places(result) == {expected}, change
        assert result["undecided"] == [], change
        assert result["ledger"]["different"] == 4 * len(ORDERS), change


def test_without_the_originals_the_verdict_says_why_there_is_none(recorded: World) -> None:
    """Where a credential no longer opens its door at base the run is inconclusive for fidelity, and the reason tells of 401."""
    (recorded.home / "keys").rename(recorded.folder / "keys-that-are-elsewhere")
    done, result = recorded.run("--base-cmd", command(), "--branch-cmd", command())

    assert (done.code, result["verdict"], result["reason_code"]) == (3, "inconclusive", "fidelity"), done.err
    assert "401" in result["reason"]
