"""A run that is watched: whose token or session ends meanwhile is told so, hears no more, and in a page is led to the door and back."""

from __future__ import annotations

import http.client
import json
import shutil
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from console.api.access import TokenBook
from console.api.secrets_kept import secret
from console.api.sessions import COOKIE, HOURS, Sessions
from echolane.home import open_home
from tests.console.test_page_browser import SCHEMES, WIDTHS, Browser
from tests.e2e import api_parts
from tests.e2e.api_parts import WAIT_S, Served, log_of
from tests.e2e.test_api_pages import Stage, shown
from tests.e2e.world import World


class Watching:
    """A stream of a run's events, read as a program reads it."""

    def __init__(self, served: Served, run: str, **headers: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=WAIT_S)
        self.connection.request("GET", f"/api/v1/runs/{run}/events", headers=headers)
        self.answer = self.connection.getresponse()

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Name and data of each event, until the server ends the stream."""
        event = data = ""
        for line in iter(self.answer.readline, b""):
            name, _, value = line.decode().rstrip("\n").partition(": ")
            event, data = (value if name == "event" else event), (value if name == "data" else data)
            if not name and event:
                yield event, json.loads(data)
                event = data = ""
        self.connection.close()


def expire(served: Served, token: str) -> None:
    """What time does to a token: its end is now, and nobody revokes it."""
    book = TokenBook(open_home(served.world.home))
    known = book.find(token)
    assert known is not None
    book._write(msgspec.structs.replace(known, expires_at_ns=time.time_ns()))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server over recordings that take minutes at one exchange a second."""
    world = World(tmp_path_factory.mktemp("watching"))
    try:
        yield Served(world, exchanges=240)
    finally:
        world.end()
    assert "api.fault" not in log_of(world.home)


@pytest.fixture
def going(served: Served) -> Iterator[str]:
    """A run that goes on for four minutes, unless it is cancelled, however slow this machine is."""
    run = served.run(pace="1/s")
    served.wait(run, "running")
    yield run
    assert served.ask("POST", f"/api/v1/runs/{run}/cancel").status == 202
    served.wait(run, "interrupted")


def test_a_token_that_expires_ends_what_it_watches(served: Served, going: str) -> None:
    """The stream's last event says that the token has expired and what to do, the server closes it, and the run goes on."""
    token = served.token("viewer", "shop")
    watching = Watching(served, going, Authorization=f"Bearer {token}")
    told = iter(watching)
    assert next(told)[0] == "state"
    expire(served, token)
    rest = list(told)

    assert {name for name, _ in rest[:-1]} <= {"state"}
    assert rest[-1] == (
        "denied",
        {
            "type": "urn:echolane:problem:unauthorised",
            "title": "A token is needed",
            "status": 401,
            "detail": "the token is revoked or has expired; watch again with one that holds",
        },
    )
    assert served.ask("GET", f"/api/v1/runs/{going}/state", token=token).status == 401
    assert served.ask("GET", f"/api/v1/runs/{going}/state").json["state"] == "running"


def test_a_session_that_ends_ends_what_it_watches(served: Served, going: str) -> None:
    """Also where its token holds: the last event says so and where the door is; the token itself is still let in."""
    token = served.token("viewer", "shop")
    home = open_home(served.world.home)
    book = TokenBook(home)
    known = book.find(token)
    assert known is not None
    for seconds in (2, 4, 8, 16, 32):  # a machine that stands still meanwhile is late at the door
        begun = Sessions(
            secret(home, "session.key"), book, lambda left=seconds: time.time() - HOURS * 3600 + left
        ).begin(known)
        watching = Watching(served, going, Cookie=f"{COOKIE}={begun}")
        if watching.answer.status == 200:
            break
    told = list(watching)

    assert {name for name, _ in told[:-1]} <= {"state"}
    name, problem = told[-1]
    assert (name, problem["status"]) == ("denied", 401)
    assert problem["detail"] == f"the session has ended; log in again at /login?next=%2Fruns%2F{going}"
    assert served.ask("GET", f"/api/v1/runs/{going}/state", token=token).json["state"] == "running"


@pytest.fixture
def stage(served: Served, tmp_path: Any, require: Any) -> Iterator[Stage]:
    """A browser before the server."""
    program = require("chromium", "chromium-browser", "google-chrome", "chrome", hint="apt-get install chromium")
    browser = Browser(program, tmp_path / "profile")
    yield Stage(served, browser, "", "")
    browser.close()
    shutil.rmtree(tmp_path / "profile", ignore_errors=True)


LIVE = (
    "document.readyState === 'complete' && /^[1-9]/.test(document.getElementById('count')?.textContent)"
    " && (window.seen ??= document.getElementById('count').textContent) !== document.getElementById('count').textContent"
)
"""The stream is open: the page counts on while it stays the same page."""
SAID = "document.getElementById('denied')?.hidden === false"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_says_that_its_session_has_ended(
    stage: Stage, served: Served, going: str, width: int, scheme: str
) -> None:
    """It stays where it was and says so, seen at a phone and at a desk; its link leads to the door, which says so, too, and back to the run."""
    token = served.token("runner", "shop")
    stage.login(token)
    stage.open(f"/runs/{going}", width, scheme)
    stage.wait(LIVE)
    assert not stage.browser.ask(SAID)
    expire(served, token)
    stage.wait(SAID)
    shown(stage, "denied", width, scheme)
    stage.browser.ask("document.querySelector('#denied a').click()")
    stage.wait("location.pathname === '/login' && document.readyState === 'complete'")
    assert stage.browser.ask("document.querySelector('.door .wrong').textContent") == (
        "Your session has ended; log in again to go on."
    )
    stage.browser.ask(f"document.querySelector('[name=token]').value = '{served.token('viewer', 'shop')}'")
    stage.browser.ask("document.querySelector('.door').submit()")
    stage.wait(f"location.pathname === '/runs/{going}' && document.readyState === 'complete'")
    assert not stage.browser.ask(SAID)


def test_a_page_whose_stream_was_lost_says_it_too(
    stage: Stage, served: Served, going: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server was away while the session ended: the page finds that out when it is back, and says so."""
    token = served.token("viewer", "shop")
    stage.login(token)
    stage.open(f"/runs/{going}")
    stage.wait(LIVE)
    served.process.terminate()
    served.process.wait(WAIT_S)
    expire(served, token)
    port = served.port
    monkeypatch.setattr(api_parts, "free_port", lambda: port)
    served.start()
    stage.wait(SAID)
    assert (
        stage.browser.ask("document.querySelector('#denied a').getAttribute('href')")
        == f"/login?next=%2Fruns%2F{going}"
    )
