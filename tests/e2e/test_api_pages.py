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

from tests.console.test_page_browser import CUT_OFF, OUTSIDE, OVERFLOW, SCHEMES, WIDTHS, Browser
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

    def login(self) -> None:
        """Through the door, as a person does."""
        self.open("/login?next=%2F")
        self.browser.ask(f"document.querySelector('[name=token]').value = '{self.served.admin}'")
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
    browser = Browser(program, profile)
    one = Stage(served, browser, run)
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
    """The list, one service, a run, a run that never was, and the door: nothing cut, nothing blocked, styled, on both grounds."""
    for name, path in (
        ("list", "/"),
        ("service", "/?service=shop"),
        ("run", f"/runs/{stage.run}"),
        ("none", "/runs/01890000-0000-7000-8000-000000000000"),
        ("door", "/login"),
    ):
        stage.open(path, width, scheme)
        if name == "none":
            stage.browser.events.clear()  # the browser notes the 404 itself
        red = int(stage.browser.ask("getComputedStyle(document.body).backgroundColor").split("(")[1].split(",")[0])
        assert (red > 128) == (scheme == "light"), path
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
