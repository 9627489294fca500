"""The server's pages in a real browser: through the door, over the list, into a run that is started there, at a phone and at a desk."""

from __future__ import annotations

import base64
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from echolane.ledger import run_identities
from echolane.store import open_store
from tests.console.test_page_browser import CUT_OFF, OPEN_ALL, OUTSIDE, OVERFLOW, SCHEMES, WIDTHS, Browser
from tests.e2e.api_parts import WAIT_S, Served
from tests.e2e.test_hooks_told import PATIENT
from tests.e2e.world import World, send, stop

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
        deadline, wrong = time.monotonic() + WAIT_S, ""
        while True:
            try:
                if value := self.browser.ask(expression):
                    return value
            except AssertionError as error:  # the page may go while it is asked
                wrong = str(error)
            assert time.monotonic() < deadline, (expression, wrong)
            time.sleep(0.1)

    def login(self, token: str = "") -> None:
        """Through the door, as a person does."""
        self.open("/login?next=%2F")
        self.browser.ask(f"document.querySelector('[name=token]').value = '{token or self.served.admin}'")
        self.browser.ask("document.querySelector('.door').submit()")
        self.wait("location.pathname === '/' && document.readyState === 'complete'")


def staged(served: Served, browser: Browser) -> Stage:
    """A run that has ended, with its first finding, and somebody who is logged in."""
    run = served.run()
    served.ended(run)
    finding = served.ask("GET", f"/api/v1/runs/{run}/findings").json["findings"][0]["id"]
    one = Stage(served, browser, run, finding)
    one.login()
    return one


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, require: Any) -> Iterator[Stage]:
    """One of each for all tests of this file; the person is logged in."""
    program = require("chromium", "chromium-browser", "google-chrome", "chrome", hint="apt-get install chromium")
    world = World(tmp_path_factory.mktemp("pages"))
    profile = tmp_path_factory.mktemp("profile")
    mended = f'[[api_targets]]\nservice = "shop"\nname = "mended"\nurl = "http://127.0.0.1:{world.app()}"\n'
    world.environ |= PATIENT
    served = Served(world, exchanges=40, more=mended)
    one = staged(served, Browser(program, profile))
    browser = one.browser
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
    """The list, a service, a run closed and opened, a finding's triage, a run that never was, what is recorded, noise, settings, the API's page, and the door: nothing cut, nothing blocked, styled, on both grounds."""
    for name, path in (
        ("list", "/"),
        ("service", "/?service=shop"),
        ("run", f"/runs/{stage.run}"),
        ("opened", f"/runs/{stage.run}"),
        ("triage", f"/runs/{stage.run}/findings/{stage.finding}/triage"),
        ("none", "/runs/01890000-0000-7000-8000-000000000000"),
        ("recordings", "/recordings"),
        ("noise", "/services/shop/noise"),
        ("settings", "/settings"),
        ("docs", "/api/v1/docs"),
        ("door", "/login"),
    ):
        stage.open(path, width, scheme)
        if name == "none":
            stage.browser.events.clear()  # the browser notes the 404 itself
        assert stage.browser.ask("document.querySelector('footer a').getAttribute('href')") == "/api/v1/docs", path
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
    with stage.served.held():  # the page does not become another one while it is looked at
        stage.browser.ask("document.querySelector('form.start').submit()")
        stage.wait("location.pathname.startsWith('/runs/') && document.readyState === 'complete'")
        stage.wait("document.querySelector('progress') !== null")
        shown(stage, "going", width, "light")
    stage.wait("document.body && document.body.className === 'fail'")

    run = stage.browser.ask("location.pathname").rpartition("/")[2]
    assert stage.served.ended(run)["done"] == 40


def test_a_run_is_done_again_from_its_page_and_compared(stage: Stage) -> None:
    """Its page leads to the question, that to the new run, whose page leads to both beside each other, in a browser without scripts."""
    browser, served = stage.browser, stage.served
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        stage.open(f"/runs/{stage.run}")
        follow(stage, f"a[href='/runs/{stage.run}/rerun']")
        stage.wait("location.pathname.endsWith('/rerun') && document.readyState === 'complete'")
        browser.ask("document.querySelector('main form').submit()")
        stage.wait("/^.runs.[0-9a-f-]{36}$/.test(location.pathname) && document.readyState === 'complete'")
        run = browser.ask("location.pathname").rpartition("/")[2]
        assert run != stage.run
        assert served.ended(run)["done"] == 40
        stage.open(f"/runs/{run}")
        follow(stage, "a[href*='/compare/']")
        stage.wait("location.pathname.includes('/compare/') && document.readyState === 'complete'")
        assert browser.ask("location.pathname.endsWith(" + repr(run) + ")")
        assert browser.ask("document.querySelector('h1').textContent") == "1 the same"
        assert browser.ask("document.querySelectorAll('#same .row').length") == 1
        browser.ask("document.querySelector('#same details').open = true")
        shown(stage, "compare-same", 1280, "light")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def follow(stage: Stage, selector: str) -> None:
    """Click a link as a person does: where it is, with a mouse, so that no script has to be of the page."""
    stage.browser.ask(f"document.querySelector({selector!r}).scrollIntoView({{block: 'center'}})")
    x, y = stage.browser.ask(
        f"(() => {{ const box = document.querySelector({selector!r}).getBoundingClientRect(); return [box.x + 5, box.y + box.height / 2]; }})()"
    )
    for kind in ("mousePressed", "mouseReleased"):
        stage.browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


def test_two_runs_are_shown_beside_each_other(stage: Stage) -> None:
    """What the mended branch mended is gone, the other way round new; the API tells the same; nothing is cut at any width, on either ground."""
    served = stage.served
    mended = served.run(branch="mended")
    assert served.ended(mended)["verdict"] == "pass"
    told = served.ask("GET", f"/api/v1/runs/{stage.run}/compare/{mended}").json
    back = served.ask("GET", f"/api/v1/runs/{mended}/compare/{stage.run}?change=new").json
    assert told["counts"] == {"new": 0, "gone": 1, "changed": 0, "same": 0}
    assert [(one["change"], one["where"]) for one in told["findings"]] == [("gone", "body:$.price")]
    assert (back["total"], back["findings"][0]["after"]["differing"]) == (1, 40)
    assert (told["before"]["verdict"], told["after"]["verdict"]) == ("fail", "pass")
    results = [served.ask("GET", f"/api/v1/runs/{run}").json for run in (stage.run, mended)]
    assert [told["before"]["ledger"], told["after"]["ledger"]] == [one["ledger"] for one in results]
    for first, second, said in ((stage.run, mended, "1 gone"), (mended, stage.run, "1 new")):
        for width in WIDTHS:
            for scheme in SCHEMES:
                stage.open(f"/runs/{first}/compare/{second}", width, scheme)
                assert stage.browser.ask("document.querySelector('h1').textContent") == said
                shown(stage, f"compare-{said.split()[1]}", width, scheme)
                stage.open(f"/runs/{stage.run}/rerun", width, scheme)
                shown(stage, "rerun", width, scheme)
    stage.open(f"/runs/{stage.run}")
    follow(stage, f"a[href='/runs/{stage.run}/compare']")
    stage.wait("location.pathname.endsWith('/compare') && document.readyState === 'complete'")
    ways = stage.browser.ask("[...document.querySelectorAll('a.row')].map(one => one.getAttribute('href'))")
    assert f"/runs/{stage.run}/compare/{mended}" in ways
    assert f"/runs/{stage.run}/compare/{stage.run}" not in ways
    for width in WIDTHS:
        for scheme in SCHEMES:
            stage.open(f"/runs/{mended}/compare", width, scheme)
            shown(stage, "compare-choice", width, scheme)
    assert f"/runs/{stage.run}/compare/{mended}" in stage.browser.ask(
        "[...document.querySelectorAll('a.row')].map(one => one.getAttribute('href'))"
    )
    cells = "[...document.querySelectorAll('.accounts tr')].map(row => row.innerText.split(/\\s*\\t\\s*/))"
    stage.open(f"/runs/{stage.run}/compare/{mended}")
    rows = {row[0]: row[1:] for row in stage.browser.ask(cells)}
    for name, key in (("selected", "selected"), ("different", "different"), ("same", "same")):
        assert rows[name] == [f"{one['ledger'][key]:,}" for one in results]


def test_a_run_is_done_again_as_it_was_asked_for(stage: Stage) -> None:
    """The same exchanges, though there are more now, targets and flags, once for each key; also of a run that a shell did."""
    served = stage.served
    process, port = served.world.recorder(served.world.app())
    send(port, [("/items/77", {})])
    assert stop(process) == 0
    key = {"Idempotency-Key": "again-once-1234"}
    answers = [served.ask("POST", f"/api/v1/runs/{stage.run}/rerun", headers=key) for _ in range(2)]
    assert [one.status for one in answers] == [201, 200]
    again = answers[0].json["run"]
    assert answers[1].json["run"] == again != stage.run
    assert served.ask("POST", f"/api/v1/runs/{again}/rerun").status == 409
    urls = [one["url"] for one in served.ask("GET", "/api/v1/services/shop").json["targets"]]
    path = served.world.folder / "result.json"
    done = served.world.call(
        *("run", "--service", "shop", "--base", urls[0], "--branch", urls[2], "--pace", "10/s..900/s over 1s"),
        *("--late", "skip:90s", "--concurrency", 3, "--home", served.world.home, "--json", path),
    )
    assert done.code == 0, done.err
    by_shell = json.loads(path.read_bytes())
    assert (run_identities(by_shell["ledger"]), by_shell["ledger"]["selected"]) == ([], 41)
    assert served.ask("POST", f"/api/v1/runs/{by_shell['run']}/rerun", headers=key).status == 422
    taken = served.ask("POST", f"/api/v1/runs/{by_shell['run']}/rerun")
    assert taken.status == 201, taken
    assert served.ended(again)["verdict"] == "fail"
    assert served.ended(taken.json["run"])["verdict"] == "pass"
    for one, other in ((stage.run, again), (by_shell["run"], taken.json["run"])):
        specs = [spec_of(served, run) for run in (one, other)]
        for name in ("targets", "pace", "concurrency", "methods", "firing", "recording"):
            assert specs[0][name] == specs[1][name], name
    assert served.ask("GET", f"/api/v1/runs/{again}").json["ledger"]["selected"] == 40


def spec_of(served: Served, run: str) -> Any:
    """What a run was asked to do, as the store has it."""
    with open_store(served.world.home, "") as store:
        return json.loads(store.query("SELECT spec FROM runs_v WHERE run = {run:String}", {"run": run})[0]["spec"])


def test_a_sample_leads_to_its_exchange(stage: Stage) -> None:
    """On the page of the server alone: the file that a shell writes leads nowhere."""
    stage.open(f"/runs/{stage.run}")
    stage.browser.ask(OPEN_ALL)
    link = stage.browser.ask("document.querySelector('#groups .sample .exchange a').getAttribute('href')")
    stage.browser.ask("document.querySelector('#groups .sample .exchange a').click()")
    stage.wait(f"location.pathname === '{link}' && document.readyState === 'complete'")
    assert stage.browser.ask("document.querySelector('h1').textContent").startswith("GET /items/")
    file = stage.served.world.folder / "one.html"
    done = stage.served.world.call("show", stage.run, "--html", file, "--home", stage.served.world.home)
    assert done.code == 0, done.err
    assert "/exchanges/" not in file.read_text("utf-8")


def test_keys_walk_open_search_and_tell_of_themselves(stage: Stage) -> None:
    """On a list j and k move and Enter opens; on a search `/` goes to its field, in which letters are letters; `?` tells the keys and Escape ends that, everywhere."""
    browser = stage.browser
    stage.open("/")
    browser.press("j")
    browser.press("j")
    second = browser.ask("[...document.querySelectorAll('.rows > *')].indexOf(document.activeElement)")
    browser.press("k")
    assert (second, browser.ask("[...document.querySelectorAll('.rows > *')].indexOf(document.activeElement)")) == (
        1,
        0,
    )
    browser.press("Enter")
    stage.wait("location.search.startsWith('?service=') && document.readyState === 'complete'")
    for path in ("/", "/recordings", "/services/shop/noise", f"/runs/{stage.run}/exchanges", f"/runs/{stage.run}"):
        stage.open(path)
        browser.press("?")
        assert browser.ask("document.querySelector('dialog.help').open") is True, path
        told = browser.ask("[...document.querySelectorAll('dialog.help kbd')].map(each => each.textContent).join('')")
        assert {"j", "k", "?"} <= set(told), path
        browser.press("Escape")
        assert browser.ask("document.querySelector('dialog.help').open") is False, path
    stage.open(f"/runs/{stage.run}/exchanges")
    browser.ask("document.querySelector('form input:not([type=hidden])').focus()")
    browser.call("Input.insertText", text="j?")
    assert browser.ask("document.activeElement.value") == "j?"
    assert browser.ask("document.querySelector('dialog.help').open") is False


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
    stage.browser.press("x")
    assert stage.browser.ask("document.activeElement.name") == "note"
    assert stage.browser.ask("document.querySelector('.wanted').value") == "noise"
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
