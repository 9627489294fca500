"""Forms of the server's pages in a real browser without scripts: a run that is asked for, and what is found of a run; as they were filled in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.console.test_page_browser import SCHEMES, WIDTHS, Browser
from tests.e2e.api_parts import Served, log_of
from tests.e2e.signin_parts import Person
from tests.e2e.test_api_pages import Stage, follow, shown, staged
from tests.e2e.world import World, send, stop

SHOP = "form.start:has([name=service][value=shop])"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, require: Any) -> Iterator[Stage]:
    """A server with a run, and a browser whose pages run no script."""
    program = require("chromium", "chromium-browser", "google-chrome", "chrome", hint="apt-get install chromium")
    world, profile = World(tmp_path_factory.mktemp("forms")), tmp_path_factory.mktemp("profile")
    browser = Browser(program, profile)
    one = staged(Served(world, exchanges=30), browser)
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    yield one
    browser.close()
    world.end()
    shutil.rmtree(profile, ignore_errors=True)
    assert "api.fault" not in log_of(world.home)


def fill(stage: Stage, form: str, **values: str) -> None:
    """Write into fields, as a person who has opened what they are behind."""
    for name, value in values.items():
        field = f"{form} [name={name}]"
        assert stage.browser.ask(f"document.querySelector({field!r}).value = {value!r}") == value
        assert stage.browser.ask(f"document.querySelector({field!r}).value") == value, name


def test_a_run_of_chosen_exchanges_is_asked_for_by_the_form(stage: Stage) -> None:
    """A kept recording, or what was recorded last, at a pace: the run has these exchanges and no others."""
    served, browser = stage.served, stage.browser
    kept = served.ask("POST", "/api/v1/recordings", {"service": "shop"}).json["recording"]
    process, port = served.world.recorder(served.world.app())
    send(port, [(f"/items/{number}", {}) for number in range(40, 47)])
    assert stop(process) == 0
    for values, selected in (
        ({"recording": kept, "pace": "200/s"}, 30),
        ({"last": "1d", "pace": "max", "branch_name": "feature/a"}, 37),
    ):
        stage.open("/?service=shop")
        follow(stage, f"{SHOP} summary")
        stage.wait(f"document.querySelector({SHOP + ' details'!r}).open")
        fill(stage, SHOP, **values)
        follow(stage, f"{SHOP} button")
        stage.wait("/^.runs.[0-9a-f-]{36}$/.test(location.pathname) && document.readyState === 'complete'")
        run = browser.ask("location.pathname").rpartition("/")[2]
        assert served.ended(run)["total"] == selected


def test_a_form_that_cannot_be_taken_comes_back_as_it_was_filled_in(stage: Stage) -> None:
    """Every wrong value stays, and why it is wrong stands beside it; what the configuration refuses, too; nothing is cut, and no run begins."""
    served, browser = stage.served, stage.browser
    before = served.ask("GET", "/api/v1/runs").json["runs"]
    for width in WIDTHS:
        for scheme in SCHEMES:
            stage.open("/?service=shop", width, scheme)
            follow(stage, f"{SHOP} summary")
            fill(stage, SHOP, last="soon", pace="<b>fast</b>", branch_name="-a", branch="released")
            follow(stage, f"{SHOP} button")
            stage.wait("location.pathname === '/runs' && document.readyState === 'complete'")
            browser.events.clear()  # the browser notes the 400 itself
            for name, value in {"last": "soon", "pace": "<b>fast</b>", "branch_name": "-a"}.items():
                field = f"{SHOP} [name={name}]"
                assert browser.ask(f"document.querySelector({field!r}).value") == value
                said = f"document.getElementById(document.querySelector({field!r}).getAttribute('aria-describedby'))"
                assert browser.ask(f"{said}.textContent").startswith(f"`{value}` is not a")
            assert browser.ask(f"document.querySelector({SHOP + ' [name=branch]'!r}).value") == "released"
            shown(stage, "start-wrong", width, scheme)
    fill(stage, SHOP, last="", pace="", branch_name="", methods="all")
    follow(stage, f"{SHOP} button")
    stage.wait("document.querySelector('#shop-methods-wrong') !== null && document.readyState === 'complete'")
    assert "writes = true" in browser.ask("document.querySelector('#shop-methods-wrong').textContent")
    assert browser.ask(f"document.querySelector({SHOP + ' [name=methods]'!r}).value") == "all"
    browser.events.clear()
    assert served.ask("GET", "/api/v1/runs").json["runs"] == before


def test_a_finding_leads_to_all_its_exchanges(stage: Stage) -> None:
    """From its row on the run's page, and from its own page, to a search that finds as many as it says, and that can be narrowed; of no finding it says so."""
    browser, count = stage.browser, "document.querySelectorAll('#found a.row').length"
    link = f"a[href='/runs/{stage.run}/exchanges?finding={stage.finding}']"
    for path, ahead in (
        (f"/runs/{stage.run}", "#groups summary"),
        (f"/runs/{stage.run}/findings/{stage.finding}/triage", ""),
    ):
        stage.open(path)
        if ahead:
            follow(stage, ahead)
            stage.wait("document.querySelector('#groups details').open")
            shown(stage, "finding-opened", 1280, "light")
        assert browser.ask(f"document.querySelector({link!r}).textContent") == "All 30 exchanges"
        follow(stage, link)
        stage.wait("location.pathname.endsWith('/exchanges') && document.readyState === 'complete'")
        assert browser.ask(count) == 30
    fill(stage, "form.search", path="/items/7")
    follow(stage, "form.search button")
    stage.wait("location.search.includes('items') && document.readyState === 'complete'")
    assert browser.ask(count) == 1
    assert browser.ask("document.querySelector('form.search [name=finding]').value") == stage.finding
    for width in WIDTHS:
        stage.open(browser.ask("location.pathname + location.search"), width)
        shown(stage, "search-finding", width, "light")
    stage.open(f"/runs/{stage.run}/exchanges?finding=none-such&path=kept")
    browser.events.clear()  # the browser notes the 400 itself
    assert "no finding `none-such`" in browser.ask("document.querySelector('.wrong').textContent")
    assert browser.ask("document.querySelector('form.search [name=path]').value") == "kept"


def test_the_findings_of_a_run_are_listed_and_chosen_from(stage: Stage) -> None:
    """The run's page leads to the list; what is chosen there is shown, opened too, at any width and on any ground; what is no choice is refused."""
    browser, finding = stage.browser, f"groups-{stage.finding}"
    stage.open(f"/runs/{stage.run}")
    follow(stage, f"a[href='/runs/{stage.run}/findings']")
    stage.wait("location.pathname.endsWith('/findings') && document.readyState === 'complete'")
    total = stage.served.ask("GET", f"/api/v1/runs/{stage.run}/findings").json["total"]
    assert browser.ask("document.querySelectorAll('.finding').length") == total > 1
    assert browser.ask("document.querySelector('.finding').id") == finding
    fill(stage, "form.search", verdict="regression", said="nothing")
    follow(stage, "form.search button")
    stage.wait("location.search.includes('regression') && document.readyState === 'complete'")
    assert browser.ask("[...document.querySelectorAll('.finding')].map(each => each.id)") == [finding]
    for width in WIDTHS:
        for scheme in SCHEMES:
            stage.open(f"/runs/{stage.run}/findings?severity=", width, scheme)
            shown(stage, "findings", width, scheme)
            browser.ask("document.querySelectorAll('.finding').forEach(each => each.open = true)")
            shown(stage, "findings-opened", width, scheme)
    viewer = Person(f"http://127.0.0.1:{stage.served.port}")
    assert viewer.ask("POST", "/login", {"token": stage.served.token("viewer", "depot"), "next": "/"}).status == 303
    assert viewer.ask("GET", f"/runs/{stage.run}/findings").status == 404
    assert stage.served.ask("GET", f"/runs/{stage.run}/findings?severity=grave").status == 400


def test_a_viewer_starts_nothing_and_a_runner_nothing_of_another_service(stage: Stage) -> None:
    """A viewer has no form and is refused; a runner is told of another service, and of another service's recording, that there is none."""
    served = stage.served
    other = served.ask("POST", "/api/v1/recordings", {"service": "depot"}).json["recording"]
    form = {"service": "shop", "base": "released", "branch": "next"}
    people = {role: Person(f"http://127.0.0.1:{served.port}") for role in ("viewer", "runner")}
    for role, one in people.items():
        assert one.ask("POST", "/login", {"token": served.token(role, "shop"), "next": "/"}).status == 303
    viewer, runner = people.values()
    assert 'action="/runs"' not in viewer.ask("GET", "/").body.decode()
    assert viewer.ask("POST", "/runs", {**form, "word": viewer.word()}).status == 403
    for wrong in ({"service": "depot"}, {"recording": other}):
        answer = runner.ask("POST", "/runs", {**form, **wrong, "word": runner.word()})
        assert answer.status == 404
        assert "there is no" in answer.body.decode()
        assert ">depot<" not in answer.body.decode()
    entries = served.ask("GET", "/api/v1/audit").json["entries"]
    assert [(one["operation"], one["status"]) for one in entries[:3]] == [
        ("page/runs", 404),
        ("page/runs", 404),
        ("page/runs", 403),
    ]
