"""A server whose pages take a provider's word alone, and a provider, browsers and links that lie to it."""

from __future__ import annotations

import hmac
import re
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.ports import free_port
from console.api.audit import Audit
from console.api.page_parts import ENDED_S
from echolane.home import open_home
from tests.e2e.api_parts import WAIT_S, Answer, log_of
from tests.e2e.signin_parts import CLIENT, SECRET, Liar, Pair, Person, say, token_of
from tests.e2e.world import World, files_below, listening

HOST = "echolane.test"


class Stage(NamedTuple):
    """The server, the liar, and where the server is."""

    world: World
    liar: Liar
    port: int

    def person(self) -> Person:
        """Somebody without cookies."""
        return Person(f"http://127.0.0.1:{self.port}", HOST)

    def sign_in(self, person: Person, after: str = "/", **more: str) -> Answer:
        """To the provider and back."""
        return person.come(self.liar.agrees(person.leave(after), **more))

    def audited(self) -> list[dict[str, Any]]:
        """The audit log, the newest first; it holds together."""
        audit = Audit(open_home(self.world.home))
        assert audit.verify()[1] == []
        return audit.entries(10_000)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One of each for all tests of this file. The server believes that it is behind a proxy that does TLS."""
    world, liar, port = World(tmp_path_factory.mktemp("signin")), Liar(), free_port()
    world.environ["ECHOLANE_OIDC_CLIENT_SECRET"] = SECRET
    (world.folder / "echolane.toml").write_text(SETTINGS.format(issuer=liar.issuer), "utf-8")
    words = ["api", "--home", world.home, "--listen", f"127.0.0.1:{port}", "--url", f"https://{HOST}"]
    with (world.folder / "api.said").open("wb") as said:
        process = world.start(sys.executable, "-m", "console.main", *words, cwd=world.folder, stderr=said)
    listening(port, WAIT_S, process)
    yield Stage(world, liar, port)
    assert process.poll() is None
    liar.stop()
    world.end()


@pytest.fixture(autouse=True)
def truth(stage: Stage) -> Iterator[None]:
    """Each test begins with a provider that is honest, and ends with one that found nothing wrong with us."""
    stage.liar.truth()
    yield
    assert stage.liar.wrong == []
    assert "Traceback" not in (stage.world.folder / "api.said").read_text("utf-8")
    assert "api.fault" not in log_of(stage.world.home)


SETTINGS = f"""
[api]
rate_per_s = 10000
burst = 100000

[oidc]
issuer = "{{issuer}}"
client_id = "{CLIENT}"
name = "Our <b>ID</b>"
hours = 2
only = true

[[oidc.roles]]
group = "staff"
role = "viewer"
services = ["shop"]
"""


def test_an_honest_sign_in_is_a_session_of_bounded_life(stage: Stage) -> None:
    """The cookie of the way there is `__Host-` and short, that of the session ends as settings say, and the audit log names the subject."""
    person = stage.person()
    address = person.leave("/?service=shop")
    (cookie,) = person.set
    back = stage.liar.agrees(address)
    answer = person.come(back)
    session = next(line for line in person.set if line.startswith("echolane_session="))

    assert cookie.startswith("__Host-echolane_signin=v1.")
    for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"):
        assert part in cookie, cookie
    assert "Domain" not in cookie
    assert (answer.status, answer.headers["location"]) == (303, "/?service=shop")
    ends_s = int(session.split(".")[2]) - time.time()
    assert 7200 - WAIT_S < ends_s <= 7200
    assert f"Max-Age={7200 + ENDED_S}" in session  # so that the door knows that there was one
    assert list(person.cookies) == ["echolane_session"]
    assert person.ask("GET", "/").status == 200
    entry = stage.audited()[0]
    assert (entry["operation"], entry["what"], entry["status"]) == ("page/signin/callback", "session of ann", 303)

    cookies = dict(person.cookies)
    assert person.ask("POST", "/logout", {"word": person.word()}).headers["location"] == "/login"
    assert stage.audited()[0]["what"] == "end of the session of ann"
    assert person.cookies == {}
    person.cookies = cookies
    assert person.ask("GET", "/").headers["location"] == "/login?next=%2F"


def at(**claims: Any) -> Callable[[Liar, dict[str, Any]], str]:
    """A token that says something else."""
    return lambda liar, told: token_of(
        liar.pair, {name: value for name, value in {**told, **claims}.items() if value is not None}
    )


def made(name: str, by_s: int) -> Callable[[Liar, dict[str, Any]], str]:
    """A token one of whose times is so far from the instant at which it is given: that of a whole test run's beginning may be long ago."""
    return lambda liar, told: token_of(liar.pair, {**told, name: told["iat"] + by_s})


def headed(sign: Callable[[Liar], Callable[[bytes], bytes]] | None = None, **header: Any) -> Callable[..., str]:
    """A token with another head."""
    return lambda liar, told: token_of(liar.pair, told, header, sign(liar) if sign else None)


def public_pem(liar: Liar) -> bytes:
    """What everybody knows of its key."""
    return liar.pair.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


LIES: dict[str, tuple[Callable[[Liar, dict[str, Any]], str], str]] = {
    "nonce of another": (at(nonce="x" * 43), "another sign-in"),
    "no nonce": (at(nonce=None), "another sign-in"),
    "expired": (made("exp", -120), "expired"),
    "made long ago": (made("iat", -3600), "expired"),
    "not yet": (made("nbf", 3600), "only later"),
    "made later": (made("iat", 3600), "only later"),
    "no end": (at(exp=None), "when it holds"),
    "an end that is true": (at(exp=True), "when it holds"),
    "audience": (at(aud="another"), "somebody else"),
    "no audience": (at(aud=None), "somebody else"),
    "party": (at(azp="another"), "somebody else"),
    "audiences without a party": (at(aud=[CLIENT, "another"]), "somebody else"),
    "issuer": (at(iss="http://127.0.0.1/other"), "another issuer"),
    "nobody": (at(sub=""), "whom it is about"),
    "a subject with a line": (at(sub="ann\nbob"), "whom it is about"),
    "none": (headed(lambda _: lambda _: b"x", alg="none"), "not signed by one of"),
    "HS256 with the public key": (
        headed(lambda liar: lambda data: hmac.digest(public_pem(liar), data, sha256), alg="HS256"),
        "not signed by one of",
    ),
    "HS256 with the client's secret": (
        headed(lambda _: lambda data: hmac.digest(SECRET.encode(), data, sha256), alg="HS256"),
        "not signed by one of",
    ),
    "PS256": (headed(alg="PS256"), "not signed by one of"),
    "an RSA key as one of a curve": (headed(lambda _: lambda _: bytes(64), alg="ES256"), "does not publish"),
    "signature": (headed(lambda _: Pair("RS256", "x").sign), "signature of its token is wrong"),
    "a key of its own": (
        lambda _, told: token_of(other := Pair("RS256", "own"), told, {"jwk": other.published, "jku": "http://x"}),
        "does not publish",
    ),
    "critical": (headed(crit=["b64"], b64=False), "another sort"),
    "a token for signing out": (headed(typ="logout+jwt"), "another sort"),
    "no token": (lambda *_: "a.b", "no signed token"),
    "no base64": (lambda *_: "a+.b.c", "cannot be read"),
    "a list": (lambda *_: "W10.W10.W10", "cannot be read"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_token_that_lies_lets_nobody_in(stage: Stage, lie: str) -> None:
    """Each is refused with a page that says why, no session begins, and the refusal is audited."""
    stage.liar.lie, why = LIES[lie]
    person = stage.person()
    answer = stage.sign_in(person)

    assert answer.status == 403
    assert why in answer.body.decode()
    assert 'href="/signin?next=' in answer.body.decode()
    assert person.cookies == {}
    entry = stage.audited()[0]
    assert (entry["actor"], entry["status"]) == ("nobody", 403)
    assert why in entry["what"]


def test_an_answer_is_for_the_browser_that_asked_and_once(stage: Stage) -> None:
    """Another browser's state, none, a changed one, a cookie that is not ours, a state used already, and a code used already are refused."""
    liar, ann, eve = stage.liar, stage.person(), stage.person()
    back = liar.agrees(ann.leave())
    assert "no sign-in on its way" in eve.come(back).body.decode()
    eve.leave()
    assert "another window or browser" in eve.come(back).body.decode()
    cookies = dict(ann.cookies)
    for wrong in (back.replace("state=", "state=x"), back.partition("&state")[0], f"{back}&state=x"):
        assert ann.come(wrong).status == 403
        ann.cookies = dict(cookies)
    name, value = next(iter(cookies.items()))
    for other in (
        value[:-1] + ("A" if value[-1] != "A" else "B"),
        value.replace("v1.", "v1.A", 1),
        "v1.a.1..b",
    ):
        ann.cookies = {name: other}
        assert ann.come(back).status == 403
    ann.cookies = dict(cookies)
    assert ann.come(back).status == 303
    ann.cookies = dict(cookies)
    assert "used already" in ann.come(back).body.decode()
    code = back.partition("code=")[2].partition("&")[0]
    address = ann.leave()
    again = liar.agrees(address)
    again = again.replace(again.partition("code=")[2].partition("&")[0], code)
    assert "invalid_grant" in ann.come(again).body.decode()
    stolen = liar.agrees(eve.leave())  # her code in his browser: the verifier is not hers
    his = liar.agrees(ann.leave())
    injected = his.replace(his.partition("code=")[2].partition("&")[0], stolen.partition("code=")[2].partition("&")[0])
    assert "invalid_grant" in ann.come(injected).body.decode()


def test_a_provider_that_says_no_is_told_in_a_page(stage: Stage) -> None:
    """Its error is one word, whatever it sends; an answer of another issuer (RFC 9207), or without a code, is none."""
    liar, person = stage.liar, stage.person()
    for query, why in (
        ("error=access_denied", "the provider said access_denied"),
        ("error=%3Cscript%3E&error_description=%3Cscript%3E", "the provider said no"),
        ("code=", "sent no code"),
        ("code=a&code=b", "several code"),
        ("code=a&iss=http%3A%2F%2Fother", "of another provider"),
    ):
        back = liar.agrees(person.leave())
        state = back.partition("&state=")[2]
        answer = person.come(f"{back.partition('?')[0]}?{query}&state={state}")
        assert (answer.status, why in answer.body.decode()) == (403, True), (query, answer)
        assert "<script>" not in answer.body.decode().replace('<script src="/assets', "")
    assert stage.sign_in(person, iss=liar.issuer).status == 303


@pytest.mark.parametrize(
    "after",
    [
        "//evil.test/",
        "https://evil.test",
        "/\\evil.test",
        "/\t/evil.test",
        "evil.test",
        "javascript:1",
        "/" + "a" * 1990,
    ],
)
def test_nobody_is_sent_elsewhere_afterwards(stage: Stage, after: str) -> None:
    """Only a path of this server is gone on with, and it need not be long."""
    answer = stage.sign_in(stage.person(), after)
    assert (answer.status, answer.headers["location"]) == (303, "/")


def test_pages_take_no_token_and_the_api_does(stage: Stage) -> None:
    """`oidc.only`: no form at the door, none taken, no page for a token in a header or a cookie; calls of the API as ever."""
    token = next(w for w in (stage.world.folder / "api.said").read_text("utf-8").split() if w.startswith("ech_"))
    person = stage.person()
    door = person.ask("GET", "/login").body.decode()
    answer = person.ask("POST", "/login", {"token": token, "next": "/"})

    assert 'name="token"' not in door
    assert "Sign in with Our &lt;b&gt;ID&lt;/b&gt;" in door
    assert (answer.status, person.cookies) == (403, {})
    assert "take no token" in answer.body.decode()
    assert person.ask("GET", "/", Authorization=f"Bearer {token}").status == 303
    assert person.ask("GET", "/api/v1/services", Authorization=f"Bearer {token}").status == 200
    assert person.ask("GET", "/api/v1/services").status == 401


def test_a_server_of_many_names_sends_people_to_the_one_that_they_come_back_to(stage: Stage) -> None:
    """A cookie of another name would not be there; one that a proxy always calls by another name is not sent round for ever."""
    elsewhere = Person(f"http://127.0.0.1:{stage.port}")
    location = elsewhere.leave("/?service=shop")
    assert location == f"https://{HOST}/signin?here&next=%2F%3Fservice%3Dshop"
    assert elsewhere.cookies == {}
    assert elsewhere.ask("GET", location.partition(HOST)[2]).headers["location"].startswith(stage.liar.issuer)
    assert Person(f"http://127.0.0.1:{stage.port}", "evil.test").ask("GET", "/signin").status == 421


def test_a_provider_that_is_away_is_told_and_sessions_go_on(stage: Stage) -> None:
    """What it answers instead, however long or wherever it leads, is a page that says so; who is in stays in."""
    within, person = stage.person(), stage.person()
    assert stage.sign_in(within).status == 303
    for answer, status in (
        (lambda handler: say(handler, 503, {}), 503),
        (lambda handler: say(handler, 200, b"x" * 600_000), 503),
        (lambda handler: say(handler, 200, b"{", **{"Content-Length": "2"}), 503),
        (lambda handler: say(handler, 200, b"{}"), 403),
        (lambda handler: say(handler, 307, {}, Location=f"{stage.liar.issuer}/else"), 403),
    ):
        stage.liar.answers = {"/token": answer}
        told = stage.sign_in(person)
        assert told.status == status, told
        assert ("does not answer as it should" in told.body.decode()) == (status == 503)
        assert within.ask("GET", "/").status == 200
        assert person.cookies == {}
    assert "/else" not in stage.liar.asked


def test_whoever_keeps_coming_back_is_slowed_down(stage: Stage) -> None:
    """Without asking the provider anything, and without a line in the audit log for each."""
    person = stage.person()
    asked_before, audited, refused = len(stage.liar.asked), len(stage.audited()), 0
    while (answer := person.ask("GET", "/signin/callback?code=a&state=b")).status == 403:
        refused += 1
        assert refused < 5_000

    assert answer.status == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert len(stage.audited()) == audited + refused
    assert len(stage.liar.asked) == asked_before


FORMS = {
    rb"code-\d+-[\w-]{20}": b"code-0-" + b"x" * 43,
    rb"eyJ[\w-]{12}": b"eyJhbGciOiAiUlMyNTYiLCAidHlwIjog",
    rb"v1\.[\w-]{8,43}\.\d{8,12}\.": b"v1.0123456789ab.1700000000.",
}
"""Codes of the provider, its tokens, and cookies of a sign-in and of a session."""


def test_nothing_that_lets_in_is_written_down(stage: Stage) -> None:
    """Neither the client's secret nor codes, states, tokens or cookies are in any file of the home or in what the server said."""
    data = b"".join(files_below(stage.world.folder).values())

    assert b"session of ann" in data
    assert SECRET.encode() not in data
    # Each is looked for by so much of its form that no bytes of a store or of a key have it by chance.
    for form, example in FORMS.items():
        assert re.search(form, example)
        assert not (found := re.search(form, data)), found
