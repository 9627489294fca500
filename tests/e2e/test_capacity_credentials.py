"""`echolane capacity` at a target that asks who is there: it is fired at with the credentials that the settings give it, as in a run.

Run as a program it is that target: ``test_capacity_credentials.py PORT LOG KEY TOKEN…`` takes these tokens, and JSON Web Tokens signed by
KEY; LOG gets a line a request: what it was shown, its path, and how it was answered.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit


def token_of(user: int, key: str) -> str:
    """A JSON Web Token of a user."""
    head, claims = {"alg": "HS256", "typ": "JWT"}, {"sub": f"user-{user}", "iat": 1_700_000_000, "exp": 1_700_003_600}
    signed = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (head, claims)
    )
    return f"{signed}.{signature_of(signed, key)}"


def signature_of(signed: str, key: str) -> str:
    """By HMAC with SHA-256."""
    made = hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


class Gate(BaseHTTPRequestHandler):
    """Lets in whom it knows, and gives tokens to who logs in."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write an answer: two meet Nagle's algorithm and wait 40 ms
    log, key, tokens = Path(), "", list[str]()

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """The user by their token."""
        shown = self.headers.get("Authorization", "").removeprefix("Bearer ")
        signed, _, signature = shown.rpartition(".")
        status = 200 if shown in self.tokens or (signed and signature == signature_of(signed, self.key)) else 401
        with self.log.open("a") as log:
            log.write(f"{shown or '-'} {self.path} {status}\n")
        self._say(status, {"path": self.path})

    def do_POST(self) -> None:
        """A token: for a client, or for who logs in; an order is noted with its key."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/orders/"):
            with self.log.open("a") as log:
                log.write(f"{self.headers.get('Idempotency-Key', '-')} {self.path} 200\n")
            self._say(200, {})
            return
        query = urlsplit(self.path).query
        client = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        user = int((query or client.partition(":")[0]).rpartition("-")[2])
        self._say(200, {"access_token": self.tokens[user], "expires_in": 600})

    def _say(self, status: int, told: object) -> None:
        data = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Server(ThreadingHTTPServer):
    """Takes all connections at once."""

    request_queue_size = 128
    daemon_threads = True


def main() -> None:
    """Serve until killed."""
    Gate.log, Gate.key, Gate.tokens = Path(sys.argv[2]), sys.argv[3], sys.argv[4:]
    Server(("127.0.0.1", int(sys.argv[1])), Gate).serve_forever()


if __name__ == "__main__":  # as a program it needs nothing but the standard library
    main()

import pytest  # noqa: E402

from bench.ports import free_port  # noqa: E402
from tests.e2e.test_capacity import balanced  # noqa: E402
from tests.e2e.world import Done, World, listening, send, stop  # noqa: E402

USERS = 2
KEY = "a-key-of-the-target-that-is-long-enough"
RECORDED = [token_of(n, "the-key-of-production-that-nobody-has") for n in range(USERS)]
OWN = [f"st4ge-canary-of-tester-{n}-Vb6Nt2" for n in range(USERS)]
TABLE = "[targets.default.credentials]\n"
LISTED = ", ".join(f'{{file = "secret-{n}"}}' for n in range(USERS))
KINDS = {
    "static": f'provider = "static"\nidentities = [{LISTED}]',
    "command": 'provider = "command"\ncommand = "sh -c \'cat secret-$(({identity} - 1))\'"',
    "oauth2": 'provider = "oauth2"\ntoken_url = "http://127.0.0.1:PORT/token"\nclient_secret_file = "secret-0"\n'
    'identities = [{client_id = "tester-0"}, {client_id = "tester-1"}]',
    "login": 'provider = "login"\nrecording = "LOGINS"\ntake = "body:$.access_token"',
    "jwt": f'provider = "jwt"\nalgorithm = "HS256"\nkey_file = "key"\n# {KEY}',
    "masked": 'provider = "masked"',
}


class Shown(NamedTuple):
    """What the target was shown."""

    token: str
    path: str
    status: int


def gate(world: World, name: str, key: str, tokens: list[str]) -> int:
    """The target; its port."""
    port = free_port()
    words = [port, world.folder / f"{name}.log", key, *tokens]
    listening(port, process=world.start(sys.executable, __file__, *words))
    return port


def seen(world: World, name: str = "target") -> list[Shown]:
    """The target's own log."""
    path = world.folder / f"{name}.log"
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [Shown(token, target, int(status)) for token, target, status in lines]


@pytest.fixture
def recorded(world: World) -> World:
    """Two users' requests in turn."""
    live = gate(world, "live", "-", RECORDED)
    traffic = [(f"/orders/{n}", {"Authorization": f"Bearer {RECORDED[n % USERS]}"}) for n in range(20)]
    world.record(live, traffic)
    for n, secret in enumerate(OWN):
        (world.folder / f"secret-{n}").write_text(secret)
    (world.folder / "key").write_text(KEY)
    return world


def logins(world: World) -> str:
    """A recording of how both users log in."""
    process, port = world.recorder(gate(world, "live", "-", RECORDED), service="logins")
    send(port, [(f"/login?user-{n}", {}) for n in range(USERS)], method="POST")
    assert stop(process) == 0
    return world.call("recordings", "add", "--service", "logins", "--home", world.home).out.strip()


def evaluated(world: World, port: int, text: str) -> tuple[Done, dict[str, Any]]:
    """At a low rate, with these settings; the result's ledger balances."""
    (world.folder / "echolane.toml").write_text(text.replace("PORT", str(port)))
    path = world.folder / "capacity.json"
    words = ["--target", f"http://127.0.0.1:{port}", "--start", "20/s", "--max", "20/s", "--interval", "1s"]
    done = world.call(
        "capacity", "--service", "shop", "--home", world.home, *words, "--hold", 1, "--json", path, seconds=300
    )
    assert "Traceback" not in done.err, done.err
    result: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    if result:
        balanced(result)
    return done, result


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_fired_at_with_the_credentials_of_the_settings(recorded: World, kind: str) -> None:
    """Each kind that a run has: every user is one of the target's, or a mask, and no recorded token ever arrives."""
    port = gate(recorded, "target", KEY, OWN)
    text = TABLE + KINDS[kind]
    done, result = evaluated(recorded, port, text.replace("LOGINS", logins(recorded) if kind == "login" else ""))

    assert done.code in {0, 3}, (done.err, result)  # 3: this machine stood still
    if kind == "masked":  # as in a run: nobody is told how fast it refuses
        assert (done.code, result["state"], result["safe_rate_per_s"]) == (3, "unfaithful", 0)
        assert "answered 401 or 403 to 100% of the requests" in result["reason"]
        assert "(targets.NAME.credentials in echolane.toml)" in done.out
        assert len(result["intervals"]) == 1
    shown = seen(recorded)
    assert len(shown) == result["ledger"]["fired"] > 0
    assert result["ledger"]["failed"] == {}
    assert {one.status for one in shown} == {401 if kind == "masked" else 200}
    assert not {one.token for one in shown} & set(RECORDED)
    users = {(int(one.path.rpartition("/")[2]) % USERS, one.token) for one in shown}
    assert len({user for user, _ in users}) == USERS
    if kind == "jwt":  # signed anew when its time comes
        assert all(_subject(token) == f"user-{user}" for user, token in users)
    elif kind != "masked":
        assert users == set(enumerate(OWN))


def _subject(token: str) -> str:
    claims = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"]


def test_a_table_of_its_address_is_heeded_and_without_one_users_keep_their_own(recorded: World) -> None:
    """`[targets."127.0.0.1:PORT".credentials]` as in a run; with no table at all the recorded ones go to this machine."""
    port = gate(recorded, "target", "-", [*OWN, *RECORDED])
    done, _ = evaluated(recorded, port, f'[targets."127.0.0.1:PORT".credentials]\n{KINDS["static"]}')
    assert done.code in {0, 3}, done.err
    assert {one.token for one in seen(recorded)} == set(OWN)

    done, _ = evaluated(recorded, port, "")
    assert done.code in {0, 3}, done.err
    assert {one.token for one in seen(recorded)} == {*OWN, *RECORDED}


def test_credentials_that_are_never_taken_end_it_and_the_reason_is_told(recorded: World) -> None:
    """Not a fast target that answers 401 to everything: exit 4 after a few refusals, with who was refused."""
    port = gate(recorded, "target", "-", ["none-of-ours"])
    done, result = evaluated(recorded, port, TABLE + KINDS["static"])

    assert (done.code, result["state"]) == (4, "unavailable"), done.err
    assert "cannot be evaluated without its credentials: identity" in result["reason"]
    assert "were answered 401" in result["reason"]
    assert len(seen(recorded)) < 200, "a few refusals are enough"
    assert not {one.token for one in seen(recorded)} & set(RECORDED)


def test_a_provider_that_gives_none_ends_it_before_anything_is_fired(recorded: World) -> None:
    """A command that fails: its status is told, and the target saw nothing."""
    port = gate(recorded, "target", "-", OWN)
    done, result = evaluated(recorded, port, TABLE + 'provider = "command"\ncommand = "false"')

    assert (done.code, result["state"]) == (4, "unavailable"), done.err
    assert "the command `false` ended with status 1" in result["reason"]
    assert seen(recorded) == []


def test_who_has_no_identity_is_left_out_and_counted(recorded: World) -> None:
    """One identity for two users: the other's requests are none of the load, as the result says."""
    port = gate(recorded, "target", "-", OWN)
    done, result = evaluated(recorded, port, TABLE + 'provider = "static"\nidentities = [{file = "secret-0"}]')

    assert done.code in {0, 3}, done.err
    assert result["recording_skipped"] == {"no-identity": 10}
    assert {one.token for one in seen(recorded)} == {OWN[0]}


def test_each_pass_over_the_recording_has_idempotency_keys_of_its_own(world: World) -> None:
    """No recorded key arrives and none comes in two passes; what was recorded as a repetition is one in each."""
    keys = [f"order-{n:04d}-7f3a9c2e5b" for n in (1, 2, 2, 3)]
    process, port = world.recorder(gate(world, "live", "-", []))
    for n, key in enumerate(keys):
        send(port, [(f"/orders/{n}", {"Idempotency-Key": key})], method="POST")
    assert stop(process) == 0
    done, result = evaluated(world, gate(world, "target", "-", []), '[replay]\nmethods = "all"')

    assert done.code in {0, 3}, done.err
    shown = seen(world)
    assert len(shown) == result["ledger"]["fired"] > 8
    came = [[one.token for one in shown if one.path == f"/orders/{n}"] for n in range(4)]
    passes = len(came[3])
    assert passes > 2
    assert not {one.token for one in shown} & set(keys)
    assert all(one.token.startswith("order-") for one in shown)
    assert came[1][:passes] == came[2][:passes]
    assert all(len(set(tokens)) == len(tokens) for tokens in came)


def test_a_secret_that_is_not_there_is_an_error_with_its_line(recorded: World) -> None:
    """As in a run: exit 2, one line, nothing fired."""
    port = gate(recorded, "target", "-", OWN)
    done, result = evaluated(recorded, port, TABLE + 'provider = "static"\nfile = "nowhere"')

    assert (done.code, result) == (2, {}), done.err
    assert "the file nowhere cannot be read" in done.err
    assert "echolane.toml" in done.err
    assert len(done.err.splitlines()) == 1
    assert seen(recorded) == []
