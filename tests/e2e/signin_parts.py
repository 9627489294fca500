"""Providers for the tests of signing in: one from PyPI as a process, one of our own that can lie; and a browser as far as cookies go."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.ports import free_port
from tests.e2e.api_parts import Answer
from tests.e2e.world import World, listening

SECRET = "a client's secret: no one's business & %"
CLIENT = "echolane-test"


class Mock:
    """`oidc-provider-mock` as a process."""

    def __init__(self, world: World) -> None:
        self.world, self.port = world, free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes]
        self.people: dict[str, dict[str, Any]] = {}
        self.start()

    def start(self) -> None:
        """It knows the same people as before, and has another key."""
        self.process = self.world.start(sys.executable, "-m", "oidc_provider_mock", "--port", self.port)
        listening(self.port, 60.0, self.process)
        for name, claims in self.people.items():
            self.knows(name, **claims)

    def stop(self) -> None:
        """It is away."""
        self.process.kill()
        self.process.wait(10)

    def knows(self, name: str, **claims: Any) -> None:
        """A person."""
        self.people[name] = claims
        body, headers = json.dumps(claims).encode(), {"Content-Type": "application/json"}
        assert asked("PUT", f"{self.issuer}/users/{quote(name)}", body, headers).status == 204

    def agrees(self, address: str, name: str) -> str:
        """Where the provider sends somebody to who was sent to it and has said who they are."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = asked("POST", address, urlencode({"sub": name}).encode(), headers)
        assert answer.status == 302, answer
        return answer.headers["location"]


def asked(method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
    """One request."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        connection.request(method, f"{parts.path or '/'}?{parts.query}", body, headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


class Person:
    """A browser with cookies, which goes only where it is sent."""

    def __init__(self, base: str, host: str = "") -> None:
        self.base, self.host = base, host or urlsplit(base).netloc
        self.cookies: dict[str, str] = {}
        self.set: list[str] = []
        """Cookies as the server set them last."""

    def ask(self, method: str, path: str, form: dict[str, str] | None = None, **headers: str) -> Answer:
        """One request to the server."""
        parts = urlsplit(self.base)
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        sent = {"Host": self.host, **headers}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, path, urlencode(form).encode() if form is not None else None, sent)
            answer = connection.getresponse()
            self.set = answer.headers.get_all("Set-Cookie") or []
            for line in self.set:
                name, _, rest = line.partition("=")
                value = rest.partition(";")[0].strip('"')
                self.cookies.pop(name, None)
                if value:
                    self.cookies[name] = value
            return Answer(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def leave(self, after: str = "/") -> str:
        """Where the server sends somebody to say who they are."""
        answer = self.ask("GET", f"/signin?next={quote(after, safe='')}")
        assert answer.status == 303, answer
        return answer.headers["location"]

    def come(self, location: str) -> Answer:
        """Back from the provider; who is told to wait comes again, as a person does."""
        parts, deadline = urlsplit(location), time.monotonic() + 60
        while True:
            answer = self.ask("GET", f"{parts.path}?{parts.query}")
            if answer.status != 429 or time.monotonic() > deadline:
                return answer
            time.sleep(0.05)

    def word(self) -> str:
        """What the forms of this session carry."""
        page = self.ask("GET", "/").body.decode()
        return page.partition('name="word" value="')[2].partition('"')[0]


def text(data: bytes) -> str:
    """Base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    """A number as keys have it."""
    return text(value.to_bytes((value.bit_length() + 7) // 8))


class Pair:
    """A key of the liar's, and how it signs and publishes it."""

    def __init__(self, kind: str, name: str | None) -> None:
        self.id, self.algorithm = name, kind
        made = {
            "RS256": lambda: rsa.generate_private_key(65537, 2048),
            "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": Ed25519PrivateKey.generate,
        }
        self.private: Any = made[kind]()

    @property
    def published(self) -> dict[str, Any]:
        """The public key as JSON."""
        told: dict[str, Any] = {"use": "sig", "alg": self.algorithm, **({"kid": self.id} if self.id else {})}
        public = self.private.public_key()
        if self.algorithm == "RS256":
            numbers = public.public_numbers()
            return {**told, "kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        if self.algorithm == "ES256":
            numbers = public.public_numbers()
            x, y = (text(value.to_bytes(32)) for value in (numbers.x, numbers.y))
            return {**told, "kty": "EC", "crv": "P-256", "x": x, "y": y}
        return {**told, "kty": "OKP", "crv": "Ed25519", "x": text(public.public_bytes(Encoding.Raw, PublicFormat.Raw))}

    def sign(self, data: bytes) -> bytes:
        """A signature as tokens have it."""
        if self.algorithm == "RS256":
            return self.private.sign(data, padding.PKCS1v15(), SHA256())
        if self.algorithm == "ES256":
            r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(SHA256())))
            return r.to_bytes(32) + s.to_bytes(32)
        return self.private.sign(data)


def token_of(
    pair: Pair,
    claims: dict[str, Any],
    header: dict[str, Any] | None = None,
    sign: Callable[[bytes], bytes] | None = None,
) -> str:
    """An ID token."""
    told = {"alg": pair.algorithm, "typ": "JWT", **({"kid": pair.id} if pair.id else {}), **(header or {})}
    signed = ".".join(text(json.dumps(part).encode()) for part in (told, claims))
    return f"{signed}.{text((sign or pair.sign)(signed.encode()))}"


class Liar:
    """A provider that does as it should, which means that it checks us, too, until a test has it lie."""

    def __init__(self) -> None:
        self.pair = Pair("RS256", "first")
        self.published: list[dict[str, Any]] = [self.pair.published]
        self.lie: Callable[[Liar, dict[str, Any]], str] | None = None
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        """What it says at a path instead."""
        self.person: dict[str, Any] = {"sub": "ann", "groups": ["staff"]}
        self.codes: dict[str, dict[str, str]] = {}
        self.wrong: list[str] = []
        """What was wrong with what we asked it."""
        self.asked: list[str] = []
        liar = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                liar.answer(self, "")

            def do_POST(self) -> None:
                liar.answer(self, self.rfile.read(int(self.headers["Content-Length"])).decode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}/realm"
        self.metadata: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=a",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def stop(self) -> None:
        """It is no more."""
        self.server.shutdown()
        self.thread.join(10)
        self.server.server_close()

    def truth(self) -> None:
        """No more lies."""
        self.lie, self.answers = None, {}
        self.published = [self.pair.published]
        self.person = {"sub": "ann", "groups": ["staff"]}

    def agrees(self, address: str, **more: str) -> str:
        """Where it sends somebody to who was sent to it."""
        asked_for = dict(parse_qsl(urlsplit(address).query))
        wanted = {"response_type": "code", "client_id": CLIENT, "code_challenge_method": "S256", "tenant": "a"}
        self.wrong += [f"{name} is {asked_for.get(name)}" for name in wanted if asked_for.get(name) != wanted[name]]
        code = f"code-{len(self.codes)}-{text(hashlib.sha256(address.encode()).digest())}"
        self.codes[code] = asked_for
        query = urlencode({"code": code, "state": asked_for["state"], **more})
        return f"{asked_for['redirect_uri']}?{query}"

    def answer(self, handler: BaseHTTPRequestHandler, body: str) -> None:
        """Whatever it is asked."""
        path = urlsplit(handler.path).path.removeprefix("/realm")
        self.asked.append(path)
        if path in self.answers:
            self.answers[path](handler)
        elif path == "/.well-known/openid-configuration":
            say(handler, 200, self.metadata)
        elif path == "/keys":
            say(handler, 200, {"keys": self.published})
        elif path == "/token":
            say(handler, *self._token(handler, {name: values[0] for name, values in parse_qs(body).items()}))
        else:
            say(handler, 404, {})

    def _token(self, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        pair = f"{CLIENT}:{quote(SECRET, safe='')}"
        basic = f"Basic {base64.b64encode(pair.encode()).decode()}"
        asked_for = self.codes.pop(form.get("code", ""), None)
        if handler.headers["Authorization"] != basic:
            return 401, {"error": "invalid_client"}
        if asked_for is None or form["redirect_uri"] != asked_for["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        if text(hashlib.sha256(form["code_verifier"].encode()).digest()) != asked_for["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked_for["nonce"],
            **self.person,
        }
        token = self.lie(self, claims) if self.lie else token_of(self.pair, claims)
        return 200, {"access_token": "unused", "token_type": "Bearer", "id_token": token}


def say(handler: BaseHTTPRequestHandler, status: int, body: Any, **headers: str) -> None:
    """JSON, or bytes as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(data)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    try:
        handler.wfile.write(data)
    except OSError:
        pass
