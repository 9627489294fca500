"""Targets get credentials of their own: from where they are configured, once for all who need them, and never the recorded ones."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import sys
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, strategies as st
from msgspec.structs import replace as changed

from echolane import recordings
from echolane.credentials import Credentials, credentials_of
from echolane.errors import UsageError
from echolane.exchange import Body
from echolane.frame import EXCHANGES, encode_frame
from echolane.keys import load_seal_keys
from echolane.masks import Masker
from echolane.observation import TargetInfo
from echolane.recordings import everything, topic_of
from echolane.settings import load
from replayer.connection import Patience
from replayer.preparing import prepared
from replayer.providers import provider_of
from replayer.resigning import Unsignable, resigned
from replayer.tokens import Asked, NoCredential
from tests.replayer.test_whole import recorded_with

SECRETS = [b"rec0rded-t0ken-of-user-%d-x7Qm2" % n for n in range(4)]
OURS = [b"stag1ng-t0ken-of-tester-%d-k9Zw4" % n for n in range(4)]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
NO = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
PRESENTED = re.compile(rb"(?i)authorization: (?:bearer )?([^\r]*)")


def settings(folder: Path, text: str):
    """The settings that a file of this text makes."""
    path = folder / "echolane.toml"
    path.write_text(text)
    return load({}, {}, path)


def masker_of(stage) -> Masker:
    """Masks and seals as the recorder of this home makes them."""
    keys = load_seal_keys(stage.home.keys, os.environ)
    return Masker(keys.current.mask_key(), seal_key=keys.current)


def asking(exchange, seq, user, target="/me", **more):
    """A request of a user."""
    return exchange(seq, target, headers=[(b"Authorization", b"Bearer " + SECRETS[user])], **more)


def asked_by_many(stage, exchange, count):
    """Requests of four users, each of a caller of its own, so that none waits for another."""
    masker = masker_of(stage)
    recorded = [recorded_with(masker, asking(exchange, n, n % 4, session=f"{n:016x}")) for n in range(count)]
    return [changed(one, session=f"{n:016x}", uses=[], introduces=[]) for n, one in enumerate(recorded)]


def sharing_tokens_of(url):
    """Settings by which all targets share the tokens of one endpoint."""
    return (
        f'[targets.default.credentials]\nprovider = "oauth2"\ntoken_url = "{url}/token"\nclient_id = "replay"\n'
        'client_secret_env = "CLIENT_SECRET"\nshare = true\n'
    )


async def fired(stage, folder, text, **options):
    """Fire the planned run with these settings."""
    targets, made = await prepared(stage.home, stage.spec, settings(folder, text))
    return await stage.fire(
        targets=targets,
        **{"sources": made.sources, "original": made.original, "open_seal": made.open_seal, "mask": made.mask, "hiding": made.hiding}
        | options,
    )  # fmt: skip


def presented(server) -> list[bytes]:
    """What each request presented."""
    return [found[1] if (found := PRESENTED.search(request)) else b"" for request in server.seen]


def balanced(summary, observations) -> None:
    """Every exchange is fired or skipped with a reason, and has its observation."""
    assert summary.selected == summary.fired + summary.skipped.total() == len(observations)
    assert Counter(one.skipped for one in observations if one.skipped) == summary.skipped


async def test_each_recorded_identity_is_one_of_the_targets_and_who_has_none_is_skipped(
    stage, exchange, serving, tmp_path, monkeypatch
):
    """First come, first configured: sessions stay apart; the third of two is counted; nobody's recorded credential is sent."""
    monkeypatch.setenv("TESTER_0", OURS[0].decode())
    (tmp_path / "tester").write_bytes(OURS[1] + b"\n")
    text = f'[targets.default.credentials]\nprovider = "static"\nidentities = [{{env = "TESTER_0"}}, {{file = "{tmp_path}/tester"}}]\n'
    masker = masker_of(stage)
    order = [2, 0, 2, 1, 0, 2]
    recorded = [recorded_with(masker, asking(exchange, n, user)) for n, user in enumerate(order)]
    recorded.append(recorded_with(masker, exchange(9, "/public")))
    async with serving(*[lambda *_: OK] * 4) as servers:
        stage.record(recorded)
        stage.plan([server.url for server in servers])
        summary = await fired(stage, tmp_path, text)
    assert summary.skipped == {"no-identity": 1}
    assert stage.observations()[3].skipped == "no-identity"
    for server in servers:
        expected = [b"", *[OURS[[2, 0].index(user)] for user in order if user != 1]]
        assert sorted(presented(server)) == sorted(expected)
        assert not any(secret in request for secret in SECRETS for request in server.seen)
    for one in stage.observations():
        assert not any(secret in repr(one).encode() for secret in SECRETS + OURS)
    assert stage.observations()[0].shots[1].rewrites == ["header authorization: static credential"]
    balanced(summary, stage.observations())


async def test_one_identity_for_all_is_said_aloud(stage, exchange, serving, tmp_path, monkeypatch):
    """``share = true``: every recorded identity is the one."""
    monkeypatch.setenv("TESTER", OURS[0].decode())
    text = '[targets.branch.credentials]\nprovider = "static"\nenv = "TESTER"\nshare = true\nscheme = "Token"\n'
    masker = masker_of(stage)
    async with serving(*[lambda *_: OK] * 4) as servers:
        stage.record([recorded_with(masker, asking(exchange, n, n)) for n in range(4)])
        stage.plan([server.url for server in servers])
        summary = await fired(stage, tmp_path, text)
    assert sorted(presented(servers[0])) == sorted(SECRETS)
    assert set(presented(servers[2])) == set(presented(servers[3])) == {b"Token " + OURS[0]}
    balanced(summary, stage.observations())


@asynccontextmanager
async def served(*routes):
    """An aiohttp application for the time of a block; its URL."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    finally:
        await runner.cleanup()


async def test_five_hundred_parallel_requests_renew_an_expired_token_once(stage, exchange, tmp_path, monkeypatch):
    """The token server tells when a token ends, by what was served with it: one renewal each time, however many were refused."""
    monkeypatch.setenv("CLIENT_SECRET", OURS[0].decode())
    issued: list[str] = []
    taken_with: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    each = 1_500
    """Requests that a token is good for; more than twice those in the air, so that whoever is sent again has a living one."""

    async def token(request):
        form = await request.post()
        assert form["grant_type"] == "client_credentials"
        assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"replay:" + OURS[0]).decode()
        issued.append(f"issued-token-{len(issued)}-{os.urandom(8).hex()}")
        return web.json_response({"access_token": issued[-1], "token_type": "Bearer", "expires_in": 3600})

    async def me(request):
        shown = request.headers["Authorization"].removeprefix("Bearer ")
        if shown != issued[-1] or taken_with[shown] >= each:
            refused[shown] += 1
            return web.Response(status=401)
        taken_with[shown] += 1
        await asyncio.sleep(0)
        return web.Response(text="me")

    recorded = asked_by_many(stage, exchange, 1_500)
    async with served(web.post("/token", token), web.get("/me", me)) as url:
        stage.record(recorded)
        stage.plan([f"{url}/", url, f"{url}//", f"{url}///"], concurrency=125)
        text = sharing_tokens_of(url)
        patience = Patience(60.0, 60.0, 120.0)
        summary = await fired(stage, tmp_path, text, patience=patience)
    observations = stage.observations()
    balanced(summary, observations)
    assert summary.fired == 1_500
    assert all(one.answer_of(index).status == 200 for one in observations for index in range(4))
    assert sum(taken_with.values()) == 6_000
    assert len(issued) == 6_000 // each, "one renewal each time it ended"
    assert summary.paused == []
    assert sum(refused.values()) <= 500 * (len(issued) - 1)
    assert {shot.attempts for one in observations for shot in one.shots} >= {1, 2}


async def test_what_never_works_is_paused_with_the_reason_and_not_ten_thousand_failures(
    stage, exchange, serving, tmp_path, monkeypatch
):
    """A target that takes no credential gets a handful; the other identity goes on; anonymous requests go on; all is counted."""
    for n in range(2):
        monkeypatch.setenv(f"TESTER_{n}", OURS[n].decode())
    text = '[targets.branch.credentials]\nprovider = "static"\nidentities = [{env = "TESTER_0"}, {env = "TESTER_1"}]\n'
    masker = masker_of(stage)
    recorded = [recorded_with(masker, asking(exchange, n, n % 2)) for n in range(400)]
    recorded += [recorded_with(masker, exchange(400 + n, "/public")) for n in range(10)]
    async with serving(
        lambda *_: OK, lambda *_: OK, *[lambda request, _: NO if OURS[0] in request else OK] * 2
    ) as servers:
        stage.record(recorded)
        stage.plan([server.url for server in servers], concurrency=4)
        summary = await fired(stage, tmp_path, text)
    refused = [
        one for one in stage.observations() if one.shots and one.shots[2].answer and one.answer_of(2).status == 401
    ]
    assert 5 <= len(refused) <= 5 + 4
    assert summary.skipped == {"credentials-refused": 200 - len(refused)}
    assert summary.state == "finished"
    assert len(summary.paused) in {1, 2}
    assert summary.paused[0].startswith("identity 1 is paused at branch")
    assert f"{tmp_path}/echolane.toml line 1" in summary.paused[0]
    assert not any(ours.decode() in " ".join(summary.paused) for ours in OURS)
    assert sum(OURS[1] in request for request in servers[2].seen) == 200
    balanced(summary, stage.observations())


async def test_a_change_at_one_endpoint_is_no_credential_that_never_works(
    stage, exchange, serving, tmp_path, monkeypatch
):
    """Where the others take it, an endpoint that refuses is fired at to the end, and its refusals are compared."""
    monkeypatch.setenv("TESTER", OURS[0].decode())
    text = '[targets.branch.credentials]\nprovider = "static"\nenv = "TESTER"\n'
    masker = masker_of(stage)
    recorded = [recorded_with(masker, asking(exchange, n, 0, "/me" if n % 2 else "/new")) for n in range(60)]
    async with serving(
        lambda *_: OK, lambda *_: OK, *[lambda request, _: NO if b"/new" in request else OK] * 2
    ) as servers:
        stage.record(recorded)
        stage.plan([server.url for server in servers], concurrency=1)
        summary = await fired(stage, tmp_path, text)
    assert (summary.fired, summary.paused) == (60, [])
    assert Counter(one.answer_of(2).status for one in stage.observations()) == {200: 30, 401: 30}
    balanced(summary, stage.observations())


async def test_a_command_gives_each_identity_its_own_and_again_when_that_is_refused(stage, exchange, serving, tmp_path):
    """It is asked once an identity, then once more for what the target has ended; what fails is told without what it printed."""
    count = tmp_path / "count"
    script = tmp_path / "give.py"
    script.write_text(
        "import os, sys\n"
        f"with open({str(count)!r}, 'a') as f: f.write(sys.argv[1])\n"
        f"n = open({str(count)!r}).read().count(sys.argv[1])\n"
        "print(f'made-for-{sys.argv[1]}-{n}')\n"
    )
    text = f'[targets.default.credentials]\nprovider = "command"\ncommand = "{sys.executable} {script} {{identity}}"\n'
    masker = masker_of(stage)
    ended: set[bytes] = set()

    def target(request, number):
        shown = PRESENTED.search(request)[1]
        if shown == b"Bearer made-for-1-1" or b"made-for-1-1" in shown:
            ended.add(shown)
            return NO
        return OK

    async with serving(*[target] * 4) as servers:
        stage.record([recorded_with(masker, asking(exchange, n, n % 2)) for n in range(8)])
        stage.plan([server.url for server in servers])
        summary = await fired(stage, tmp_path, text)
    assert ended
    assert Counter(count.read_text()) == {"1": 2, "2": 1}
    assert all(one.answer_of(index).status == 200 for one in stage.observations() for index in range(4))
    balanced(summary, stage.observations())


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("import sys; print('s3cret-canary-output'); sys.exit(3)", "ended with status 3"),
        ("print('one\\ns3cret-canary-output')", "several lines"),
        ("pass", "empty"),
        ("import time; print('s3cret-canary-output', flush=True); time.sleep(600)", "did not end within 0.5 s"),
        ("print('s3cret-canary-output' * 9999)", "more than 65536 bytes"),
    ],
)
async def test_a_command_that_gives_none_says_why_without_what_it_printed(tmp_path, script, why):
    """Its status, its time, or what is wrong with its output; never the output."""
    (tmp_path / "give.py").write_text(script)
    command = f"{sys.executable} {tmp_path / 'give.py'}"
    read = Credentials("command", command=command, timeout_s=0.5 if "sleep" in script else 60.0)
    with pytest.raises(NoCredential, match=why) as raised:
        await provider_of(read, [], None)(Asked(0))
    assert "canary" not in str(raised.value)


async def test_a_source_that_has_none_skips_and_says_so(stage, exchange, serving, tmp_path):
    """A token endpoint that refuses the client: nothing is fired with a credential, all of it is counted, and the word is told."""
    (tmp_path / "secret").write_bytes(OURS[0])

    async def token(_request):
        return web.json_response({"error": "invalid_client", "error_description": OURS[0].decode()}, status=401)

    masker = masker_of(stage)
    async with served(web.post("/token", token)) as url, serving(*[lambda *_: OK] * 4) as servers:
        text = (
            f'[targets.branch.credentials]\nprovider = "oauth2"\ntoken_url = "{url}/token"\nclient_id = "replay"\n'
            f'client_secret_file = "{tmp_path}/secret"\nshare = true\n'
        )
        stage.record([recorded_with(masker, asking(exchange, n, 0)) for n in range(50)])
        stage.plan([server.url for server in servers])
        summary = await fired(stage, tmp_path, text)
    assert (summary.fired, summary.skipped) == (0, {"credentials-unavailable": 50})
    assert not any(server.seen for server in servers)
    assert summary.paused[0].endswith(f"{url}/token answered 401 (invalid_client)")
    balanced(summary, stage.observations())


@pytest.mark.parametrize("take", ["cookies", "cookie:sid", "header:x-token", "body:$.data.token"])
async def test_a_recorded_login_is_replayed_at_the_target_once(stage, exchange, serving, tmp_path, take):
    """Two logins of a recording are two identities; what each is given goes into the requests of its user, and again when it is refused."""
    masker = masker_of(stage)
    cookie = take.startswith("cookie")
    asked: Counter[bytes] = Counter()

    def target(request, _number):
        if request.startswith(b"POST /login"):
            who = re.search(rb'"user": "(\w+)"', request)[1]
            assert b'"password": "pa55-of-tester-%b"' % who in request
            asked[who] += 1
            given = b"given-to-%b-%d-0a1b2c3d" % (who, asked[who])
            body = b'{"data": {"token": "%b"}}' % given
            return (
                b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=%b; Path=/\r\nX-Token: %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (given, given, len(body), body)
            )
        assert b"given-to-" in request
        return NO if b"given-to-ann-1-" in request else OK

    def request(n, user):
        headers = (
            [(b"Cookie", b"theme=dark; sid=" + SECRETS[user])]
            if cookie
            else [(b"Authorization", b"Bearer " + SECRETS[user])]
        )
        return recorded_with(masker, exchange(n, "/me", headers=headers))

    json_type = (b"Content-Type", b"application/json")
    answer = [
        (b"Set-Cookie", b"sid=recorded-login-cookie-4711; Path=/"),
        (b"X-Token", b"recorded-login-token-4711"),
        json_type,
    ]
    logins = []
    for n, who in enumerate((b"ann", b"bob")):
        body = b'{"user": "%b", "password": "pa55-of-tester-%b"}' % (who, who)
        one = exchange(n, "/login", method="POST", headers=[json_type], body=Body(body), answer=answer)
        one = changed(
            one, response=changed(one.response, body=Body(b'{"data": {"token": "recorded-login-token-4711"}}'))
        )
        logins.append(changed(recorded_with(masker, one), service="logins"))
    stage.journal.create(topic_of("logins"), 1)
    stage.journal.append(
        topic_of("logins"), 0, [encode_frame(logins, kind=EXCHANGES, partition=0, first_ns=1, last_ns=2)]
    )
    recordings.save(stage.home.recordings, everything(stage.journal, "logins", id="deadbeef", now_ns=1))
    text = f'[targets.branch.credentials]\nprovider = "login"\nrecording = "deadbeef"\ntake = "{take}"\n'
    if take == "cookie:sid":
        text += 'cookie = "sid"\n'
    async with serving(lambda *_: OK, lambda *_: OK, target) as servers:
        stage.record([request(n, n % 3) for n in range(12)])
        urls = [server.url for server in servers]
        stage.plan([], infos=[*map(TargetInfo, urls), TargetInfo(urls[2], own_instance=False)])
        summary = await fired(stage, tmp_path, text)
    assert summary.skipped == {"no-identity": 4}, summary.paused
    assert asked == {b"ann": 2, b"bob": 1}
    sent = [r for r in servers[2].seen if r.startswith(b"GET") and b"given-to-ann-1-" not in r]
    assert Counter(re.search(rb"given-to-(\w+-\d)", r)[1] for r in sent) == {b"ann-2": 8, b"bob-1": 8}
    assert all((b"theme=" in r) == cookie for r in sent)
    assert not any(secret in r for secret in SECRETS for r in servers[2].seen)
    balanced(summary, stage.observations())


CLAIMS = {
    "sub": "user-7",
    "roles": ["a", "b"],
    "iat": 1_700_000_000,
    "nbf": 1_700_000_000,
    "exp": 1_700_000_900,
    "jti": "x1",
}


def b64(data: bytes) -> bytes:
    """As a token has it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def recorded_token(claims=None) -> bytes:
    """A token of the recorded service, whose signature nobody here can check."""
    head = b64(json.dumps({"alg": "RS256", "kid": "prod-1", "typ": "JWT"}).encode())
    return head + b"." + b64(json.dumps(claims or CLAIMS).encode()) + b"." + b64(b"signed-by-production" * 4)


def keys_of(algorithm):
    """A private key as it is configured, and what checks a signature of it."""
    if algorithm == "HS256":
        import hmac

        key = os.urandom(32).hex().encode()

        def check(data, signature):
            assert hmac.digest(key, data, "sha256") == signature

        return key, check
    private = rsa.generate_private_key(65537, 2048) if algorithm == "RS256" else ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

    def verify(data, signature):
        if algorithm == "RS256":
            private.public_key().verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        else:
            half = (int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
            private.public_key().verify(encode_dss_signature(*half), data, ec.ECDSA(hashes.SHA256()))

    return pem, verify


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
async def test_a_token_is_signed_anew_with_its_claims(stage, exchange, serving, tmp_path, algorithm):
    """Claims stay, its times are now, the key is the target's; the recorded token is nowhere, each user keeps a token of their own."""
    key, check = keys_of(algorithm)
    (tmp_path / "key").write_bytes(key)
    text = f'[targets.default.credentials]\nprovider = "jwt"\nalgorithm = "{algorithm}"\nkey_file = "{tmp_path}/key"\nkid = "stage-1"\n'
    masker = masker_of(stage)
    tokens = [recorded_token(CLAIMS | {"sub": f"user-{n}"}) for n in range(3)]
    recorded = [exchange(n, "/me", headers=[(b"Authorization", b"Bearer " + tokens[n % 3])]) for n in range(6)]
    recorded.append(exchange(6, "/me", headers=[(b"Authorization", b"Bearer opaque-and-no-jwt-0815")]))
    async with serving(*[lambda *_: OK] * 4) as servers:
        stage.record([recorded_with(masker, one) for one in recorded])
        stage.plan([server.url for server in servers])
        summary = await fired(stage, tmp_path, text)
    assert (summary.fired, summary.skipped) == (6, {"credentials-unavailable": 1})
    users = Counter()
    for shown in presented(servers[2]):
        head, claims, signature = (base64.urlsafe_b64decode(part + b"==") for part in shown.split(b"."))
        check(shown.rpartition(b".")[0], signature)
        assert json.loads(head) == {"alg": algorithm, "kid": "stage-1", "typ": "JWT"}
        told = json.loads(claims)
        users[told["sub"]] += 1
        assert {k: told[k] for k in ("roles", "jti")} == {k: CLAIMS[k] for k in ("roles", "jti")}
        assert told["exp"] - told["iat"] == 900
        assert told["nbf"] == told["iat"] > 1_700_000_900
    assert users == {f"user-{n}": 2 for n in range(3)}
    assert not any(token in request for token in tokens for server in servers for request in server.seen)
    balanced(summary, stage.observations())


@given(st.binary(max_size=80), st.sampled_from(["HS256", "RS256", "ES256"]), st.binary(max_size=60))
def test_whatever_a_token_or_a_key_is_there_is_one_line(token, algorithm, key):
    """Nothing but :class:`Unsignable`, and nothing of either in it."""
    with pytest.raises(Unsignable):
        resigned(token, algorithm, key, "", 300)


FILE = """[replay]
pace = "max"

[targets.branch.credentials]
provider = "static"
{line}
"""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (FILE.format(line='envv = "A"'), r"line 6: unknown setting `targets.branch.credentials.envv` of provider static; did you mean `env`"),
        (FILE.format(line=""), "line 5: .*needs either `env` or `file`"),
        (FILE.format(line='env = "A"\nfile = "b"'), "either `env` or `file`"),
        (FILE.format(line='env = "A"\ntimeout_s = 3'), "line 7: unknown setting .*timeout_s"),
        (FILE.format(line='env = "A"\nheader = "No such: header"'), "line 7: .*no header's name"),
        (FILE.format(line="env = 3"), "line 6: .*Expected `str`"),
        ('[targets.brnach.credentials]\nprovider = "static"\nenv = "A"', "line 1: .*names no target.*did you mean `branch`"),
        ('[targets.branch]\ncredential = "recorded"', "line 2: unknown setting .*did you mean `credentials`"),
        ('[targets.branch.credentials]\nprovider = "statik"', "line 2: 'statik' is no provider.*did you mean `static`"),
        ("[targets.branch.credentials]\nheader = 'A'", "`provider` is missing"),
        ('[targets]\nbranch.credentials = "whatever"', "line 2: 'whatever' is no provider"),
        ('[targets.branch.credentials]\nprovider = "oauth2"\ntoken_url = "https://u:p@x/t"\nclient_id = "a"', "line 3: .*without user and password"),
        ('[targets.branch.credentials]\nprovider = "jwt"\nalgorithm = "none"\nkey_env = "K"', "line 3: `targets.branch.credentials`: `algorithm` is one of"),
        ('[targets.branch.credentials]\nprovider = "login"\nrecording = "x"\ntake = "all"', "line 4: "),
        ('[targets.branch.credentials]\nprovider = "command"\ncommand = "a \'b"', "line 3: .*cannot be read"),
        ('[targets.branch.credentials]\nprovider = "static"\nenv = "A"\nshare = true\nidentities = [{env = "A"}, {env = "B"}]', "line 4: .*share"),
        ("targets = 3", "line 1: `targets` is a table"),
    ],
)  # fmt: skip
def test_a_wrong_setting_names_its_line(tmp_path, text, why):
    """One line, with the file's line and what was meant."""
    with pytest.raises(UsageError, match=why) as raised:
        settings(tmp_path, text)
    assert "\n" not in str(raised.value)


def test_a_target_is_found_by_role_by_its_version_by_address_and_by_default(tmp_path):
    """A control has its version's; recorded credentials are the default on this machine only."""
    text = "".join(
        f'[targets.{name}.credentials]\nprovider = "static"\nenv = "{n}"\n'
        for n, name in enumerate(("base", '"stage.example:8080"', '"qa.example"', "default"))
    )
    found = settings(tmp_path, text).targets
    for role, authority, env in (
        ("base", "stage.example:8080", "0"), ("control", "x", "0"), ("branch", "Stage.example:8080", "1"),
        ("branch_control", "qa.example:99", "2"), ("branch", "127.0.0.1:1", "3"),
    ):  # fmt: skip
        assert credentials_of(found, role, authority, loopback=True).env == env
    assert credentials_of({}, "base", "127.0.0.1:1", loopback=True).opens(loopback=True)
    assert not credentials_of({}, "base", "qa.example", loopback=False).opens(loopback=False)
