"""Somebody is told when a verdict changes: by a real server, of real runs, over a receiver that was away and a server that was killed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.ports import free_port
from console.api.signatures import is_signed_standard
from echolane.ledger import run_identities
from tests.e2e.api_parts import WAIT_S, Served, log_of
from tests.e2e.world import World
from tests.waiting import wait_until

SECRET = "whsec_" + base64.b64encode(b"a key of the tests, 32 bytes long").decode()


class Receiver:
    """Keeps what it is sent, by path; says no to nothing."""

    def __init__(self, port: int) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, path: str) -> list[Any]:
        """What came at one path."""
        return [json.loads(body) for at, _, body in self.got if at == path]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Served, int, str]]:
    """A server that tells a webhook everything and Slack what fails, where nobody listens yet; and an application without the change."""
    world, port = World(tmp_path), free_port()
    good = f"http://127.0.0.1:{world.app()}"
    world.environ |= {"OPS_SECRET": SECRET, "SLACK": f"http://127.0.0.1:{port}/services/T0/B0/slack-secret"}
    more = f"""
[[api_targets]]
service = "shop"
name = "mended"
url = "{good}"

[[notify]]
name = "ops"
url = "http://127.0.0.1:{port}/in"
secret_env = "OPS_SECRET"

[[notify]]
name = "chat"
kind = "slack"
url_env = "SLACK"
branches = ["feature/*"]
verdicts = ["fail"]
"""
    settings = '[api]\nrate_per_s = 10000\nburst = 100000\nurl = "https://echolane.example"\n'
    one = Served(world, exchanges=3, settings=settings, more=more)
    yield one, port, good
    for process in world.started:
        process.kill()
        process.wait(10)
    said = log_of(world.home)
    assert "fault" not in said
    assert "slack-secret" not in said


def test_a_change_is_told_once_and_outlives_a_receiver_and_a_server(served: tuple[Served, int, str]) -> None:
    """Fail by the server and pass by a shell: two changes, in order, signed; a kill -9 while the receiver is away loses and doubles none."""
    api, port, good = served
    first = api.run(branch_name="feature/a")
    assert api.ended(first)["verdict"] == "fail"
    waiting = 'echolane_notify_waiting{to="ops"} 1'
    wait_until(lambda: waiting in api.ask("GET", "/metrics").body.decode(), WAIT_S)
    api.process.kill()
    api.process.wait(10)
    receiver = Receiver(port)
    api.start()
    wait_until(lambda: len(receiver.got) == 2, WAIT_S)
    base = api.ask("GET", "/api/v1/services/shop").json["targets"][0]["url"]
    path = api.world.folder / "result.json"
    done = api.world.call(
        *("run", "--service", "shop", "--base", base, "--branch", good, "--branch-name", "feature/a"),
        *("--home", api.world.home, "--json", path),
    )
    assert done.code == 0, done.err
    result = json.loads(path.read_bytes())
    assert run_identities(result["ledger"]) == []
    wait_until(lambda: len(receiver.of("/in")) == 2, WAIT_S)

    told = [one["data"] for one in receiver.of("/in")]
    assert [(one["previous"], one["verdict"], one["run"]) for one in told] == [
        (None, "fail", first),
        ("fail", "pass", result["run"]),
    ]
    assert {(one["service"], one["branch"]) for one in told} == {("shop", "feature/a")}
    of_first = api.ask("GET", f"/api/v1/runs/{first}").json
    assert told[0]["reason"] == of_first["reason"]
    assert sum(told[0]["findings"].values()) == len(of_first["groups"]) > 0
    assert told[0]["url"] == f"https://echolane.example/runs/{first}"
    [chat] = receiver.of("/services/T0/B0/slack-secret")
    assert "shop: fail" in chat["blocks"][0]["text"]["text"]
    for at, headers, body in receiver.got:
        if at == "/in":
            names = [headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")]
            key = base64.b64decode(SECRET.removeprefix("whsec_"))
            mac = hmac.new(key, f"{names[0]}.{names[1]}.".encode() + body, hashlib.sha256).digest()
            assert names[2] == "v1," + base64.b64encode(mac).decode()
            assert is_signed_standard(SECRET.encode(), names[0], names[1], body, names[2])
    wait_until(lambda: waiting.replace("} 1", "} 0") in api.ask("GET", "/metrics").body.decode(), WAIT_S)
