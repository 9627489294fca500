"""What a run is told from its page: held, gone on with, cancelled; by real workers, in a real browser, by who may."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.console.test_page_browser import SCHEMES, WIDTHS, Browser
from tests.e2e.api_parts import WAIT_S, Served, log_of
from tests.e2e.signin_parts import Person
from tests.e2e.test_api_pages import Stage, follow, shown
from tests.e2e.test_hooks_told import PATIENT
from tests.e2e.world import World

LONG = "1/s"
"""A minute: such a run goes on until it is told something, however slow this machine is."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, require: Any) -> Iterator[Stage]:
    """A server whose runs workers do, and a browser of somebody who may all."""
    program = require("chromium", "chromium-browser", "google-chrome", "chrome", hint="apt-get install chromium")
    world, profile = World(tmp_path_factory.mktemp("orders")), tmp_path_factory.mktemp("profile")
    world.environ |= PATIENT
    served = Served(world, exchanges=60, settings='[replay]\nworkers = "shared"\n')
    for role in ("replay", "diff"):
        world.start(sys.executable, "-m", "console.main", "worker", role, "--home", world.home)
    browser = Browser(program, profile)
    one = Stage(served, browser, "", "")
    one.login()
    yield one
    browser.close()
    world.end()
    shutil.rmtree(profile, ignore_errors=True)
    assert "api.fault" not in log_of(world.home)


def person(served: Served, role: str, service: str = "shop") -> Person:
    """Somebody of a role, who has logged in."""
    one = Person(f"http://127.0.0.1:{served.port}")
    token = served.admin if role == "admin" else served.token(role, service)
    assert one.ask("POST", "/login", {"token": token, "next": "/"}).status == 303
    return one


def begun(served: Served) -> str:
    """A run that goes on, of which something is done."""
    run, deadline = served.run(pace=LONG), time.monotonic() + WAIT_S
    while not (state := served.ask("GET", f"/api/v1/runs/{run}/state").json)["done"]:
        assert time.monotonic() < deadline, state
        time.sleep(0.1)
    return run


def press(stage: Stage, order: str) -> None:
    """Press the button of an order, as a person does."""
    follow(stage, f"form[action$='/{order}'] button")


def test_a_run_is_held_and_gone_on_with_from_its_page(stage: Stage) -> None:
    """Its page gets a button to hold it by itself, held it stands still with one to go on, and that leads to its result; all of it is in the audit log."""
    served, browser = stage.served, stage.browser
    with served.held():
        run = served.run(pace="30/s")
        stage.open(f"/runs/{run}")
        stage.wait("document.querySelector(\"form[action$='/pause']\") !== null && document.readyState === 'complete'")
        press(stage, "pause")
        stage.wait("document.querySelector(\"form[action$='/resume']\") !== null && document.readyState === 'complete'")
        assert served.wait(run, "paused")["run"] == run
    assert "stands still" in browser.ask("document.querySelector('h1').textContent")
    assert browser.ask("document.querySelector(\"form[action$='/pause']\")") is None
    for width in WIDTHS:
        for scheme in SCHEMES:
            stage.open(f"/runs/{run}", width, scheme)
            shown(stage, "held", width, scheme)
    press(stage, "resume")
    stage.wait("document.body && document.body.className === 'fail'")
    assert served.ended(run)["done"] == 60
    entries = served.ask("GET", "/api/v1/audit").json["entries"]
    told = [(one["operation"], one["what"]) for one in entries if one["service"] == "shop"]
    assert told[:2] == [("page/runs/{run}/resume", run), ("page/runs/{run}/pause", run)]


def test_a_run_that_was_cancelled_is_gone_on_with_from_its_result(stage: Stage) -> None:
    """In a browser without scripts: the page of what came of it leads to a question, and that to the run, which goes on to its end."""
    served, browser = stage.served, stage.browser
    run = begun(served)
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        stage.open(f"/runs/{run}")
        press(stage, "cancel")
        assert served.ended(run)["state"] == "interrupted"
        stage.open(f"/runs/{run}")
        follow(stage, f"a[href='/runs/{run}/resume']")
        stage.wait("location.pathname.endsWith('/resume') && document.readyState === 'complete'")
        for width in WIDTHS:
            stage.open(f"/runs/{run}/resume", width)
            shown(stage, "resume", width, "light")
        press(stage, "resume")
        stage.wait(f"location.pathname === '/runs/{run}' && document.readyState === 'complete'")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    served.wait(run, "running", "finished")
    served.ask("POST", f"/api/v1/runs/{run}/cancel")
    served.ended(run)


def test_only_who_may_run_tells_a_run_something_and_only_by_a_form_of_the_session(stage: Stage) -> None:
    """A viewer has no button and is refused, a runner of another service finds no run, a form without the session's word is refused; the run goes on."""
    served = stage.served
    run = begun(served)
    try:
        viewer, runner, other = person(served, "viewer"), person(served, "runner"), person(served, "runner", "depot")
        sides = ((viewer, 403), (other, 404))
        for order in ("pause", "resume", "cancel"):
            path = f"/runs/{run}/{order}"
            assert path not in viewer.ask("GET", f"/runs/{run}").body.decode()
            for somebody, status in sides:
                assert somebody.ask("POST", path, {"word": somebody.word()}).status == status, path
            assert runner.ask("POST", path, {"word": viewer.word()}).status == 403, path
        for somebody, status in (*sides, (runner, 409)):  # it goes on already
            assert somebody.ask("GET", f"/runs/{run}/resume").status == status
        assert f"/runs/{run}/cancel" in runner.ask("GET", f"/runs/{run}").body.decode()
        assert served.ask("GET", f"/api/v1/runs/{run}/state").json["state"] == "running"
    finally:
        served.ask("POST", f"/api/v1/runs/{run}/cancel")
    served.ended(run)
    assert f"/runs/{run}/resume" not in viewer.ask("GET", f"/runs/{run}").body.decode()
    assert f"/runs/{run}/resume" in runner.ask("GET", f"/runs/{run}").body.decode()
