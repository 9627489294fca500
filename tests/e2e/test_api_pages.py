"""The server's pages in a real browser: through the door, over the list, into a run that is started there, at a phone and at a desk."""

from __future__ import annotations

import base64
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.console.test_page_browser import CUT_OFF, OPEN_ALL, OUTSIDE, OVERFLOW, SCHEMES, WIDTHS, Browser
from tests.e2e.api_parts import WAIT_S, Served
from tests.e2e.world import World

SHOTS = os.environ.get("SHOTS", "")
"""A folder for pictures of each page, for whoever wants to look at them."""


class At(NamedTuple):
    """A page of the server, as the browser opens it."""

    url: str

    def as_uri(self) -> str:
        """Its address."""
        return self.url


class Stage(NamedTuple):
    """A server with a run, and a browser."""

    served: Served
    browser: Browser
    run: str
    finding: str

    def open(self, path: str, width: int = 1280, scheme: str = "light") -> None:
        """Show a page."""
        self.browser.open(At(f"http://localhost:{self.served.port}{path}"), width, scheme)  # type: ignore[arg-type]

    def wait(self, expression: str) -> Any:
        """The value of an expression in the page, once it is true."""
        deadline = time.monotonic() + WAIT_S
        while not (value := self.browser.ask(expression)):
            assert time.monotonic() < deadline, expression
            time.sleep(0.1)
        return value

    def login(self, token: str = "") -> None:
        """Through the door, as a person does."""
        self.open("/login?next=%2F")
        self.browser.ask(f"document.querySelector('[name=token]').value = '{token or self.served.admin}'")
        self.browser.ask("document.querySelector('.door').submit()")
        self.wait("location.pathname === '/' && document.readyState === 'complete'")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, require: Any) -> Iterator[Stage]:
    """One of each for all tests of this file; the person is logged in."""
    program = require("chromium", "chromium-browser", "google-chrome", "chrome", hint="apt-get install chromium")
    world = World(tmp_path_factory.mktemp("pages"))
    profile = tmp_path_factory.mktemp("profile")
    served = Served(world, exchanges=40)
    run = served.run()
    served.ended(run)
    finding = served.ask("GET", f"/api/v1/runs/{run}/findings").json["findings"][0]["id"]
    browser = Browser(program, profile)
    one = Stage(served, browser, run, finding)
    one.login()
    yield one
    browser.close()
    for process in world.started:
        process.kill()
        process.wait(10)
    shutil.rmtree(profile, ignore_errors=True)


def shown(stage: Stage, name: str, width: int, scheme: str) -> None:
    """Nothing overflows or is cut; a picture for who wants one."""
    assert stage.browser.ask(OVERFLOW) <= 0
    assert stage.browser.ask(OUTSIDE) == []
    assert stage.browser.ask(CUT_OFF) == []
    wrong = {"Log.entryAdded", "Runtime.exceptionThrown", "Page.javascriptDialogOpening"}
    assert [event for event in stage.browser.events if event.get("method") in wrong] == []
    if SHOTS:
        data = stage.browser.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        (Path(SHOTS) / f"{name}-{width}-{scheme}.png").write_bytes(base64.b64decode(data))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_overflows_or_breaks_its_policy(stage: Stage, width: int, scheme: str) -> None:
    """The list, a service, a run closed and opened, a finding's triage, a run that never was, and the door: nothing cut, nothing blocked, styled, on both grounds."""
    for name, path in (
        ("list", "/"),
        ("service", "/?service=shop"),
        ("run", f"/runs/{stage.run}"),
        ("opened", f"/runs/{stage.run}"),
        ("triage", f"/runs/{stage.run}/findings/{stage.finding}/triage"),
        ("none", "/runs/01890000-0000-7000-8000-000000000000"),
        ("door", "/login"),
    ):
        stage.open(path, width, scheme)
        if name == "none":
            stage.browser.events.clear()  # the browser notes the 404 itself
        red = int(stage.browser.ask("getComputedStyle(document.body).backgroundColor").split("(")[1].split(",")[0])
        assert (red > 128) == (scheme == "light"), path
        if name == "opened":
            stage.browser.ask(OPEN_ALL)
        shown(stage, name, width, scheme)


def test_a_list_leads_to_its_runs_and_back(stage: Stage) -> None:
    """A row is a link to the run's page, which is the one that `show --html` writes, and whose name leads back."""
    stage.open("/")
    assert (
        stage.browser.ask(f"document.querySelector('#runs a[href=\"/runs/{stage.run}\"] .chip').textContent") == "fail"
    )
    stage.browser.ask(f"document.querySelector('#runs a[href=\"/runs/{stage.run}\"]').click()")
    stage.wait("location.pathname.startsWith('/runs/') && document.readyState === 'complete'")

    assert stage.browser.ask("document.body.className") == "fail"
    assert stage.browser.ask("document.querySelectorAll('#groups .finding').length") == 1
    assert stage.browser.ask("document.querySelector('a.brand').getAttribute('href')") == "/"


@pytest.mark.parametrize("width", WIDTHS)
def test_a_run_is_started_in_the_page_and_seen_to_its_end(stage: Stage, width: int) -> None:
    """Started by the form, watched as it goes on, and when it has ended the page becomes that of its result, by itself."""
    stage.open("/?service=shop", width)
    stage.browser.ask("document.querySelector('form.start').submit()")
    stage.wait("location.pathname.startsWith('/runs/') && document.readyState === 'complete'")
    if stage.browser.ask("document.querySelector('progress') !== null"):
        shown(stage, "going", width, "light")
    stage.wait("document.body && document.body.className === 'fail'")

    run = stage.browser.ask("location.pathname").rpartition("/")[2]
    assert stage.served.ended(run)["done"] == 40


def test_who_logs_out_is_at_the_door_again(stage: Stage) -> None:
    """The cookie is gone, and what it showed is not shown."""
    stage.open("/")
    stage.browser.ask("document.querySelector('form[action=\"/logout\"]').submit()")
    stage.wait("location.pathname === '/login' && document.readyState === 'complete'")
    stage.open("/")

    assert stage.browser.ask("location.pathname") == "/login"
    stage.login()


def test_a_second_click_says_what_a_finding_is_and_it_stays_said(stage: Stage) -> None:
    """Opened and said to be noise by keys, with a note: shown at once, holds in the next run, and taken back by a click; a viewer has no form."""
    at = f"#groups-{stage.finding}"
    stage.open(f"/runs/{stage.run}")
    assert stage.browser.ask(f"document.querySelector('{at} form.triage').checkVisibility()") is False
    stage.browser.ask(f"document.querySelector('{at} summary').focus()")
    stage.browser.press("n")
    assert stage.browser.ask("document.activeElement.name") == "note"
    stage.browser.call("Input.insertText", text="rounds <b>elsewhere</b>")
    stage.browser.press("Enter")
    stage.wait(
        f"location.hash === '{at}' && document.querySelector('{at} .said') && document.readyState === 'complete'"
    )
    said = stage.browser.ask(f"document.querySelector('{at} .said').textContent")
    assert said.startswith("Noise: rounds <b>elsewhere</b> · owner first admin · said by first admin on 20"), said
    assert said.endswith("· holds from the next run on")
    assert stage.browser.ask(f"document.querySelector('{at}').open") is True
    shown(stage, "said", 390, "light")

    run = stage.served.run()
    assert stage.served.ended(run)["verdict"] == "pass"
    stage.open(f"/runs/{run}")
    quiet = f"#noise-{stage.finding}"
    assert stage.browser.ask(f"document.querySelector('{quiet} .said').textContent").startswith(
        "Noise: rounds <b>elsewhere</b>"
    )
    file = stage.served.world.folder / "said.html"
    assert stage.served.world.call("show", run, "--html", file, "--home", stage.served.world.home).code == 0
    assert "rounds &lt;b&gt;elsewhere&lt;/b&gt;" in file.read_text("utf-8")
    assert "<form" not in file.read_text("utf-8")

    stage.login(stage.served.token("viewer"))
    stage.open(f"/runs/{run}")
    assert stage.browser.ask("document.querySelectorAll('form.triage').length") == 0
    assert stage.browser.ask(f"document.querySelector('{quiet} .said') !== null")
    stage.login()
    stage.open(f"/runs/{run}/findings/{stage.finding}/triage")
    stage.browser.ask("document.querySelector('[name=note]').value = 'a mistake'")
    stage.browser.ask("document.querySelector('button[value=open]').click()")
    stage.wait(f"location.pathname === '/runs/{run}' && document.readyState === 'complete'")
    assert stage.browser.ask(f"document.querySelector('{quiet} .said').textContent").startswith(
        "Taken back since: Noise"
    )


def test_a_word_without_a_note_or_of_another_session_is_not_said(stage: Stage) -> None:
    """The browser asks for the note; without the session's word nothing is said; a branch that has no name is said to be missing."""
    stage.open(f"/runs/{stage.run}/findings/{stage.finding}/triage")
    stage.browser.ask("document.querySelector('button[value=noise]').click()")
    assert stage.browser.ask("document.querySelector('[name=note]').matches(':invalid')") is True
    stage.browser.ask("document.querySelector('[name=note]').value = 'new prices'")
    stage.browser.ask("document.querySelector('button[value=intended]').click()")
    stage.wait("document.querySelector('.wrong') && document.readyState === 'complete'")
    assert "nothing says what the run's is called" in stage.browser.ask("document.querySelector('.wrong').textContent")
    fields = "{method: 'POST', body: new URLSearchParams({decision: 'noise', note: 'x', word: 'wrong'})}"
    assert stage.browser.ask(f"fetch(location.pathname, {fields}).then(answer => answer.status)") == 403
    listed = stage.served.ask("GET", f"/api/v1/runs/{stage.run}/triage").json["decisions"]
    assert listed == []
