"""What is asked of a provider, and when: keys that rotate, answers without end, addresses that may not be asked; and who gets which role."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given, strategies as st

from console.api import oidc_provider
from console.api.access import PEOPLE_MAX, SESSIONS_MAX, TokenBook
from console.api.oidc_flow import FLOW_S, Astray, Flows
from console.api.oidc_provider import Away, Provider
from console.api.oidc_settings import Granted, Person, Provided, read_oidc
from console.api.oidc_tokens import Unproven, Wanted, keys_of, verified
from echolane.errors import UsageError
from echolane.home import open_home
from echolane.settings import load
from tests.e2e.signin_parts import CLIENT, SECRET, Liar, Pair, say, text, token_of

ROWS = """
[[oidc.roles]]
group = "shop"
role = "editor"
services = ["shop"]

[[oidc.roles]]
email = "Bob@Example.com"
role = "viewer"
services = ["depot"]

[[oidc.roles]]
group = "more"
role = "editor"
services = ["till"]

[[oidc.roles]]
domain = "example.com"
role = "viewer"
services = ["*"]
"""


def read(
    folder: Path, issuer: str = "https://id.example", rows: str = ROWS, more: str = "", **environ: str
) -> Provided:
    """Settings as a file has them."""
    path = folder / "echolane.toml"
    path.write_text(f'[oidc]\nissuer = "{issuer}"\nclient_id = "{CLIENT}"\n{more}\n{rows}', "utf-8")
    found = read_oidc(path, load({}, environ, path), {"ECHOLANE_OIDC_CLIENT_SECRET": SECRET, **environ})
    assert found is not None
    return found


@pytest.fixture
def liar() -> Iterator[Liar]:
    """A provider of the test's own."""
    found = Liar()
    yield found
    found.stop()


class Clock:
    """Time that stands still until a test moves it."""

    now = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest_asyncio.fixture
async def provider(liar: Liar, tmp_path: Path) -> AsyncIterator[tuple[Provider, Clock]]:
    """Ours, which asks it."""
    clock = Clock()
    found = Provider(read(tmp_path, liar.issuer), clock)
    yield found, clock
    await found.close()


async def claims(provider: Provider, liar: Liar, verifier: str = "v" * 43) -> dict[str, Any]:
    """Redeem a code that the provider has just given."""
    code, challenge = f"code-{len(liar.codes)}", text(hashlib.sha256(b"v" * 43).digest())
    callback = "http://127.0.0.1:8900/signin/callback"
    liar.codes[code] = {"redirect_uri": callback, "nonce": "n", "code_challenge": challenge}
    return await provider.claims(code, verifier, "n")


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("kind", ["RS256", "ES256", "EdDSA"])
async def test_a_key_that_came_later_is_fetched_once(
    provider: tuple[Provider, Clock], liar: Liar, kind: str, named: bool
) -> None:
    """One that is not among those known is looked for anew; a token that names none is checked by the only one of its kind."""
    ours, _ = provider
    first, new = Pair(kind, None), Pair(kind, "second" if named else None)
    liar.pair, liar.published = first, [first.published]
    assert (await claims(ours, liar))["sub"] == "ann"
    other: list[Any] = [{"kty": "oct", "k": "AAAA", "kid": "second"}, "no key", {**first.published, "use": "enc"}]
    liar.pair, liar.published = new, [*other, new.published]
    assert (await claims(ours, liar))["sub"] == "ann"
    assert (await claims(ours, liar))["sub"] == "ann"
    assert liar.asked.count("/keys") == 2
    liar.pair = first
    with pytest.raises(Unproven, match=r"does not publish|signature"):
        await claims(ours, liar)


async def test_keys_are_read_anew_seldom_and_in_time(provider: tuple[Provider, Clock], liar: Liar) -> None:
    """Tokens with made-up keys have the provider asked five times, then twice a minute; a key that was withdrawn is forgotten."""
    ours, clock = provider
    await claims(ours, liar)
    honest, liar.pair = liar.pair, Pair("RS256", "made up")
    for _ in range(20):
        with pytest.raises(Unproven, match="does not publish"):
            await claims(ours, liar)
    assert liar.asked.count("/keys") == 6
    clock.now += 31
    with pytest.raises(Unproven):
        await claims(ours, liar)
    assert liar.asked.count("/keys") == 7
    liar.pair, liar.published = honest, []
    await claims(ours, liar)
    clock.now += oidc_provider.KEPT_S + 1
    with pytest.raises(Unproven, match="does not publish"):
        await claims(ours, liar)
    assert liar.asked.count("/.well-known/openid-configuration") == 2


@pytest.mark.parametrize(
    ("path", "answer", "why"),
    [
        (
            "/.well-known/openid-configuration",
            lambda h: say(h, 200, b"[" * 100_000),
            "discovery document cannot be read",
        ),
        ("/.well-known/openid-configuration", lambda h: say(h, 302, {}, Location="/x"), "status 302"),
        ("/.well-known/openid-configuration", lambda h: say(h, 200, b"x" * 600_000), "more than"),
        ("/.well-known/openid-configuration", lambda h: say(h, 200, b"\xff", **{"Content-Encoding": "gzip"}), "read"),
        ("/.well-known/openid-configuration", lambda h: h.wfile.write(b"no HTTP\r\n\r\n"), "cannot be reached"),
        ("/keys", lambda h: say(h, 500, {}), "keys cannot be read"),
        ("/token", lambda h: h.server.hold.wait(60), "did not answer within"),
    ],
)
async def test_a_provider_that_answers_otherwise_is_away(
    provider: tuple[Provider, Clock], liar: Liar, monkeypatch: pytest.MonkeyPatch, path: str, answer: Any, why: str
) -> None:
    """In bounded time and size, without a redirect being followed; and it is asked again once it answers."""
    import threading

    ours, clock = provider
    liar.server.hold = threading.Event()  # type: ignore[attr-defined]
    liar.answers = {path: answer}
    with monkeypatch.context() as patch:
        if path == "/token":
            patch.setattr(oidc_provider, "ANSWER_S", 1.0)
        try:
            with pytest.raises(Away, match=why):
                await claims(ours, liar)
        finally:
            liar.server.hold.set()  # type: ignore[attr-defined]
    asked = len(liar.asked)
    if path != "/token":
        with pytest.raises(Away, match=why):  # at once, without asking
            await claims(ours, liar)
        assert liar.asked.count(path) == 1 or len(liar.asked) == asked
    clock.now += oidc_provider.FAILED_S + 1
    liar.answers = {}
    assert (await claims(ours, liar))["sub"] == "ann"


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("issuer", "https://other.example"),
        ("token_endpoint", "http://169.254.169.254/latest"),
        ("jwks_uri", "file:///etc/passwd"),
        ("authorization_endpoint", "javascript:alert(1)"),
        ("token_endpoint", "https://user@host/"),
        ("token_endpoint", "//host"),
        ("jwks_uri", "https://[::1"),
    ],
)
async def test_an_address_that_may_not_be_asked_is_not(
    provider: tuple[Provider, Clock], liar: Liar, name: str, url: str
) -> None:
    """What a discovery document names must be https, or this machine for a provider that is on it; and it must be of the issuer."""
    liar.metadata[name] = url
    with pytest.raises(Away, match=f"{name}|another issuer"):
        await provider[0].metadata()
    assert liar.asked == ["/.well-known/openid-configuration"]


async def test_a_code_is_worth_nothing_without_its_verifier(provider: tuple[Provider, Clock], liar: Liar) -> None:
    """The provider gets the verifier of this very sign-in, and the secret."""
    with pytest.raises(Unproven, match="invalid_grant"):
        await claims(provider[0], liar, "w" * 43)


def person(*groups: str, email: str = "") -> Person:
    """Somebody."""
    return Person("x", email, frozenset(groups))


def test_a_role_is_the_one_of_the_first_row_that_fits(tmp_path: Path) -> None:
    """Later rows of the same role add services, those of another role nothing; who fits none gets nothing."""
    found = read(tmp_path)

    assert found.granted(person("shop")) == Granted("editor", ("shop",))
    assert found.granted(person("shop", "more", email="bob@example.com")) == Granted("editor", ("shop", "till"))
    assert found.granted(person(email="BOB@example.COM")) == Granted("viewer", ("*",))
    assert found.granted(person(email="eve@sub.example.com")) is None
    assert found.granted(person(email="@example.com")) is None
    assert found.granted(person(email="example.com")) is None
    assert found.granted(person("Shop")) is None
    assert found.granted(person()) is None


def test_the_settings_that_the_page_shows_are_good(tmp_path: Path) -> None:
    """What docs/how-to/sign-in.md has people write is read, and gives what it says."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "sign-in.md").read_text("utf-8")
    shown = page.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "secret").write_text(f"{SECRET}\n", "utf-8")
    path = tmp_path / "echolane.toml"
    path.write_text(shown.replace("/run/secrets/oidc", str(tmp_path / "secret")), "utf-8")
    found = read_oidc(path, load({}, {}, path), {})

    assert found is not None
    assert found.secret == SECRET
    assert found.callback in page
    assert found.granted(person("shop-developers", email="bob@acme.example")) == Granted("editor", ("shop",))
    assert found.granted(person(email="ann@acme.example")) == Granted("admin", ("*",))
    assert found.granted(person(email="bob@acme.example")) == Granted("viewer", ("depot", "shop"))


def test_an_address_counts_only_when_it_is_verified(tmp_path: Path) -> None:
    """Anybody may have written another into a profile; groups are the provider's own, in a list, alone, or inside another claim."""
    found = read(tmp_path, more='groups_claim = "realm_access.roles"')
    for verified_, email in (
        (True, "a@b.c"),
        ("true", "a@b.c"),
        (False, ""),
        (None, ""),
        (1, ""),
        ([True], ""),
        ("yes", ""),
    ):
        assert found.person({"sub": "x", "email": "a@b.c", "email_verified": verified_}).email == email
    for email in (None, 7, ["a@b.c"], "a" * 300, "a@b.c\n"):
        assert found.person({"sub": "x", "email": email, "email_verified": True}).email == ""
    assert found.person({"sub": "x", "realm_access": {"roles": ["a", 1, None]}}).groups == {"a"}
    assert found.person({"sub": "x", "realm_access": {"roles": "a"}}).groups == {"a"}
    assert found.person({"sub": "x", "realm_access.roles": ["b"], "realm_access": ["a"]}).groups == {"b"}
    assert found.person({"sub": "x", "realm_access": 7}).groups == frozenset()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"issuer": "http://id.example"}, "must begin with https://"),
        ({"issuer": "https://id.example?x=1"}, "must be https://HOST"),
        ({"issuer": "https://a@id.example"}, "must be https://HOST"),
        ({"issuer": ""}, "no oidc.issuer"),
        ({"rows": ""}, "nobody could sign in"),
        ({"rows": '[[oidc.roles]]\nrole = "viewer"\nservices = ["*"]'}, "oidc.roles 1: say whom it is for"),
        ({"rows": '[[oidc.roles]]\ngroup = "a"\nemail = "a@b"\nrole = "viewer"\nservices = ["*"]'}, "by one of"),
        ({"rows": '[[oidc.roles]]\ngroup = "a"\nrole = "owner"\nservices = ["*"]'}, "owner"),
        ({"rows": '[[oidc.roles]]\ngroup = "a"\nrole = "viewer"\nservices = []'}, "services"),
        ({"rows": '[[oidc.roles]]\ngroup = "a"\nrole = "viewer"'}, "services"),
        ({"rows": '[[oidc.roles]]\ngroup = "a"\nrole = "viewer"\nservices = ["a b"]'}, "services"),
        ({"rows": '[[oidc.roles]]\ndomain = "@b.c"\nrole = "viewer"\nservices = ["*"]'}, "behind the @"),
        ({"more": 'scopes = ["email"]'}, "needs `openid`"),
        ({"more": 'ca_file = "/nowhere"'}, "ca_file"),
        ({"more": 'client_secret_file = "/nowhere"', "ECHOLANE_OIDC_CLIENT_SECRET": ""}, "cannot be read"),
        ({"more": 'client_secret_file = "/nowhere"'}, "not both"),
        ({"more": "hours = 13"}, "between 0.01 and 12"),
        ({"more": 'client_secret = "x"'}, "unknown setting `oidc.client_secret`"),
        ({"ECHOLANE_API_URL": "http://echolane.example"}, "api.url .* must begin with https://"),
    ],
)
def test_settings_that_would_let_in_nobody_or_anybody_are_refused(
    tmp_path: Path, change: dict[str, str], why: str
) -> None:
    """At the start, with the value and what to write instead; the secret is in no message and no representation."""
    with pytest.raises(UsageError, match=why) as told:
        read(tmp_path, **change)
    assert SECRET not in str(told.value)
    assert SECRET not in repr(read(tmp_path))


def test_sessions_of_people_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One person has ten, the first of which end; those that ended leave; all people together have so many; tokens are left alone."""
    now = [1_000_000_000_000_000_000]
    book = TokenBook(open_home(tmp_path / "home"), lambda: now[0])
    token, _ = book.create("ci", "runner", ["shop"])
    first = book.sign_in("ann", "ann", "viewer", ["shop"], 2)
    for _ in range(SESSIONS_MAX):
        now[0] += 1
        last = book.sign_in("ann", "ann", "viewer", ["shop"], 2)
    assert book.by_id(first.id) is None
    assert book.by_id(last.id) == last
    assert len(book.listed()) == SESSIONS_MAX + 1
    assert book.find(f"ech_{last.id}_{'A' * 43}") is None
    assert PEOPLE_MAX < 10_000
    monkeypatch.setattr("console.api.access.PEOPLE_MAX", 3)
    now[0] += 1
    book.sign_in("bob", "bob", "viewer", ["shop"], 2)
    assert [one.subject for one in book.listed()] == ["", "ann", "ann", "bob"]
    now[0] += 2 * 3_600_000_000_000
    assert book.by_id(last.id) is None
    book.sign_in("bob", "bob", "viewer", ["shop"], 2)
    assert [one.subject for one in book.listed()] == ["", "bob"]
    assert book.by_id(token.id) == token


def test_a_way_there_is_taken_back_once_and_in_time() -> None:
    """Its cookie is signed whole; it ends; another server's key takes none."""
    now = [1000.0]
    flows = Flows(b"k" * 32, lambda: now[0])
    state, cookie = flows.begin("/runs/ü?x=1")
    assert flows.verifier(state) not in cookie
    assert flows.nonce(state) not in cookie
    with pytest.raises(Astray):
        Flows(b"l" * 32, lambda: now[0]).take(cookie, state)
    with pytest.raises(Astray, match="another window"):
        flows.take(cookie, "\ud800")
    assert flows.take(cookie, state) == "/runs/ü?x=1"
    with pytest.raises(Astray, match="already"):
        flows.take(cookie, state)
    state, cookie = flows.begin("/" + "ü" * 1000)
    assert len(cookie) < 3000
    assert flows.take(cookie, state) == "/"
    state, cookie = flows.begin("/")
    now[0] += FLOW_S + 1
    with pytest.raises(Astray, match="too long"):
        flows.take(cookie, state)


KEYS = {kind: Pair(kind, "k") for kind in ("RS256", "ES256", "EdDSA")}
CLAIMS = {"iss": "i", "aud": "c", "nonce": "n", "sub": "ann", "iat": 1000, "exp": 1300}


@given(data=st.data())
def test_no_token_that_was_touched_is_believed(data: st.DataObject) -> None:
    """Whatever character is changed, dropped or added, and whatever else is said to be a token: refused in one way, and never a fault."""
    import orjson

    pair = KEYS[data.draw(st.sampled_from(sorted(KEYS)))]
    keys = keys_of(orjson.dumps({"keys": [one.published for one in KEYS.values()]}))
    wanted, token = Wanted("i", "c", "n", 0.0), token_of(pair, CLAIMS)
    assert verified(token, keys, wanted, 1100.0) == CLAIMS
    place = data.draw(st.integers(0, len(token) - 1))
    way = data.draw(st.sampled_from(["change", "drop", "add", "cut", "any"]))
    mark = data.draw(st.sampled_from("AZaz09-_.=+/ \n\x00ü"))
    other = {
        "change": token[:place] + mark + token[place + 1 :],
        "drop": token[:place] + token[place + 1 :],
        "add": token[:place] + mark + token[place:],
        "cut": token[:place],
        "any": data.draw(st.text(max_size=60)),
    }[way]
    if other == token:
        return
    try:
        found = verified(other, keys, wanted, 1100.0)
    except Unproven:
        return
    # The last character of a signature holds bits that are no part of it.
    assert found == CLAIMS
    assert other[:-1] == token[:-1]
