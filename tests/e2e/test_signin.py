"""People sign in at a provider: in a real browser, with a role at one of two services, while the provider comes and goes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.console.test_page_browser import WIDTHS, Browser
from tests.e2e import test_api_pages as pages
from tests.e2e.api_parts import Answer, Served
from tests.e2e.signin_parts import CLIENT, SECRET, Mock, Person
from tests.e2e.world import World

SETTINGS = """
[oidc]
issuer = "{issuer}"
client_id = "{client}"
client_secret_file = "{file}"
name = "Example ID"
"""
ROWS = """
[[oidc.roles]]
group = "shop-editors"
role = "editor"
services = ["shop"]

[[oidc.roles]]
email = "bob@example.com"
role = "viewer"
services = ["depot"]

[[oidc.roles]]
domain = "boss.example"
role = "admin"
services = ["*"]
"""
PEOPLE: dict[str, dict[str, Any]] = {
    "ann": {"groups": ["shop-editors", "everybody"]},
    "bob": {"email": "Bob@example.com", "email_verified": True},
    "boss": {"email": "boss@boss.example", "email_verified": True},
    "mallory": {"email": "bob@example.com", "email_verified": False, "groups": ["everybody"]},
}


class Stage(NamedTuple):
    """The provider, a server with a run of each of its services, and those runs."""

    mock: Mock
    served: Served
    shop: str
    depot: str

    def person(self) -> Person:
        """Somebody without cookies."""
        return Person(f"http://127.0.0.1:{self.served.port}")

    def sign_in(self, name: str, after: str = "/") -> tuple[Person, Answer]:
        """To the provider and back."""
        person = self.person()
        return person, person.come(self.mock.agrees(person.leave(after), name))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, require_module: Any) -> Iterator[Stage]:
    """One of each for all tests of this file."""
    require_module("oidc_provider_mock", "pip install oidc-provider-mock")
    world = World(tmp_path_factory.mktemp("signin"))
    mock = Mock(world)
    for name, claims in PEOPLE.items():
        mock.knows(name, **claims)
    secret = world.folder / "secret"
    secret.write_text(f"{SECRET}\n", "utf-8")
    settings = SETTINGS.format(issuer=mock.issuer, client=CLIENT, file=secret)
    served = Served(world, exchanges=8, settings=settings, more=ROWS)
    runs = [served.run(service) for service in ("shop", "depot")]
    for run in runs:
        assert served.ended(run)["state"] == "finished"
    yield Stage(mock, served, *runs)
    assert "Traceback" not in served.said.read_text("utf-8")
    world.end()


def test_each_gets_the_role_of_the_row_that_fits_at_its_services_alone(stage: Stage) -> None:
    """An editor of one service starts runs there and sees no other; a viewer sees another one and starts nothing; an admin gives access."""
    ann, answer = stage.sign_in("ann", f"/runs/{stage.shop}")
    bob, boss = (stage.sign_in(name)[0] for name in ("bob", "boss"))

    assert (answer.status, answer.headers["location"]) == (303, f"/runs/{stage.shop}")
    for person, own, other, service in (
        (ann, stage.shop, stage.depot, "depot"),
        (bob, stage.depot, stage.shop, "shop"),
    ):
        front = person.ask("GET", "/").body.decode()
        assert own in front
        assert other not in front
        assert service not in front
        assert person.ask("GET", f"/runs/{own}").status == 200
        for path in (f"/runs/{other}", f"/api/v1/runs/{other}", f"/api/v1/services/{service}"):
            assert person.ask("GET", path).status == 404, path
    wanted = {"service": "shop", "base": "released", "branch": "next"}
    assert bob.ask("POST", "/runs", {**wanted, "service": "depot", "word": bob.word()}).status == 403
    assert bob.ask("POST", "/runs", {**wanted, "word": bob.word()}).status == 403
    assert ann.ask("POST", "/runs", {**wanted, "service": "depot", "word": ann.word()}).status == 404
    started = ann.ask("POST", "/runs", {**wanted, "word": ann.word()})
    assert started.status == 303
    assert stage.served.ended(started.headers["location"].rpartition("/")[2])["state"] == "finished"
    assert [person.ask("GET", "/api/v1/tokens").status for person in (ann, bob, boss)] == [403, 403, 200]
    listed = boss.ask("GET", "/api/v1/tokens").json["tokens"]
    assert {(one["name"], one["role"], tuple(one["services"])) for one in listed if one["by"] == "oidc"} >= {
        ("ann", "editor", ("shop",)),
        ("Bob@example.com", "viewer", ("depot",)),
        ("boss@boss.example", "admin", ("*",)),
    }


def test_whom_no_row_fits_is_refused_with_the_reason(stage: Stage) -> None:
    """An address that is not verified fits none; the page says whom the provider named, the audit log whom it refused."""
    mallory, answer = stage.sign_in("mallory")
    entry = stage.served.ask("GET", "/api/v1/audit").json["entries"][0]

    assert answer.status == 403
    assert "Example ID knows you as mallory, but nothing here is open to you" in answer.body.decode()
    assert mallory.cookies == {}
    assert (entry["actor"], entry["what"], entry["status"]) == ("oidc mallory", "refused: no role for mallory", 403)
    assert mallory.ask("GET", "/").headers["location"] == "/login?next=%2F"


def test_an_admin_ends_a_session_at_once(stage: Stage) -> None:
    """Sessions of people stand among the tokens; a token in a form is taken as ever, where settings do not say `only`."""
    ann, _ = stage.sign_in("ann")
    session = stage.served.ask("GET", "/api/v1/tokens").json["tokens"][-1]
    assert (session["name"], ann.ask("GET", "/").status) == ("ann", 200)
    assert stage.served.ask("DELETE", f"/api/v1/tokens/{session['id']}").status == 200
    assert ann.ask("GET", "/").status == 303
    assert ann.ask("GET", "/api/v1/runs").status == 401
    assert ann.ask("POST", "/login", {"token": stage.served.admin, "next": "/"}).headers["location"] == "/"
    assert ann.ask("GET", "/").status == 200


def test_while_the_provider_is_away_sessions_go_on(stage: Stage) -> None:
    """Nobody signs in and each is told why; when it is back, with another key, people sign in again without a restart."""
    ann, _ = stage.sign_in("ann")
    late = stage.person()
    back = stage.mock.agrees(late.leave(), "bob")
    stage.mock.stop()
    try:
        told = late.come(back)
        assert (told.status, told.headers["retry-after"]) == (503, "10")
        assert "Example ID does not answer as it should" in told.body.decode()
        assert late.cookies == {}
        assert ann.ask("GET", "/").status == 200
        assert ann.ask("GET", f"/api/v1/runs/{stage.shop}").status == 200
    finally:
        stage.mock.start()
    assert stage.sign_in("bob")[1].status == 303
    assert stage.served.ask("GET", "/api/v1/audit").json["entries"][0]["what"] == "session of bob"


def test_a_person_signs_in_and_out_in_a_browser(
    stage: Stage, require: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """From a page to the door, by its link to the provider, back to that page; out again, and the cookie is worth nothing."""
    program = require("chromium", "chromium-browser", "google-chrome", "chrome", hint="apt-get install chromium")
    profile = tmp_path_factory.mktemp("profile")
    browser = Browser(program, profile)
    at = pages.Stage(stage.served, browser, stage.shop, "")
    try:
        for width in WIDTHS:
            at.open(
                f"/runs/{stage.shop}", width
            )  # by the name localhost: the link leads to the name that it comes back to
            assert browser.ask("location.pathname") == "/login"
            pages.shown(at, "door-signin", width, "light")
        assert browser.ask("document.querySelector('a.sign').textContent") == "Sign in with Example ID"
        browser.ask("document.querySelector('a.sign').click()")
        at.wait(f"location.port === '{stage.mock.port}' && document.readyState === 'complete'")
        browser.ask("document.querySelector('[name=sub]').value = 'ann'")
        browser.ask("document.querySelector('[name=sub]').form.submit()")
        at.wait(f"location.pathname === '/runs/{stage.shop}' && document.readyState === 'complete'")
        assert browser.ask("location.hostname") == "127.0.0.1"
        assert browser.ask("document.body.className") == "fail"
        cookies = {one["name"]: one for one in browser.call("Network.getCookies")["cookies"]}
        assert set(cookies) == {"echolane_session"}
        assert cookies["echolane_session"]["httpOnly"]
        assert cookies["echolane_session"]["sameSite"] == "Lax"
        browser.ask("document.querySelector('a.brand').click()")
        at.wait("location.pathname === '/' && document.readyState === 'complete'")
        assert "depot" not in browser.ask("document.body.textContent")
        browser.ask("document.querySelector('form[action=\"/logout\"]').submit()")
        at.wait("location.pathname === '/login' && document.readyState === 'complete'")
        assert browser.call("Network.getCookies")["cookies"] == []
        copied = stage.person()
        copied.cookies = {"echolane_session": cookies["echolane_session"]["value"]}
        assert copied.ask("GET", "/").status == 303
    finally:
        browser.close()
        shutil.rmtree(profile, ignore_errors=True)
