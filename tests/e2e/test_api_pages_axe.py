"""Every page by the rules of WCAG 2 A and AA that axe-core can decide: those of the server, as its routes name them, and those that are one file."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from bench import axe
from bench.ports import free_port
from console.api.pages import add_pages
from console.capacity_page import render_capacity
from console.capacity_told import headline
from console.page import render_page
from tests.console.results import RESULTS
from tests.console.test_capacity_page import RESULT as CAPACITY
from tests.console.test_page_browser import OPEN_ALL, SCHEMES, WIDTHS, Browser
from tests.e2e.api_parts import Served
from tests.e2e.signin_parts import Person
from tests.e2e.test_api_pages import At, Stage, shown
from tests.e2e.test_signin import ROWS
from tests.e2e.world import World

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
ALIKE = 2
"""Articles of a section that one function writes, as the reference of the API has them; axe takes seconds for all."""
THINNED = f"document.querySelectorAll('main article:nth-of-type(n + {ALIKE + 1})').forEach(each => each.remove())"
CONTRAST = ["color-contrast"]
"""All that the other ground can change."""
ASKED = """axe.run(document, {runOnly: %s, resultTypes: ['violations']}).then(found => ({
  rules: found.passes.length, violations: found.violations.map(one => ({id: one.id, impact: one.impact, help: one.help,
  nodes: one.nodes.slice(0, 4).map(node => node.html.slice(0, 200) + ' | ' + node.failureSummary.slice(0, 300))}))}))"""


class There(NamedTuple):
    """A server with a run, a browser that is logged in, the script, and the values that routes need."""

    stage: Stage
    script: str
    values: dict[str, str]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, require: Any, lacking: Any) -> Iterator[There]:
    """One recording and one run for all pages; and a run that came to nothing."""
    program = require("chromium", "chromium-browser", "google-chrome", "chrome", hint="apt-get install chromium")
    try:
        axe.install()
    except SystemExit as error:
        lacking(f"needs axe-core, which could not be fetched: {str(error)[:400]}; {axe.HINT}")
    world, profile = World(tmp_path_factory.mktemp("axe")), tmp_path_factory.mktemp("profile")
    served = Served(world, exchanges=12)
    run = served.run()
    served.ended(run)
    none = served.run("depot", last="1s")  # in which nothing was recorded
    served.ended(none)
    assert served.ask("GET", f"/api/v1/runs/{none}").status != 200
    finding = served.ask("GET", f"/api/v1/runs/{run}/findings").json["findings"][0]["id"]
    exchange = served.ask("GET", f"/api/v1/runs/{run}/exchanges?verdict=different").json["exchanges"][0]["exchange"]
    browser = Browser(program, profile)
    stage = Stage(served, browser, run, finding)
    stage.login()
    values = {"run": run, "other": run, "finding": finding, "exchange": exchange, "none": none, "service": "shop"}
    yield There(stage, axe.AXE.read_text("utf-8"), values)
    browser.close()
    world.end()
    shutil.rmtree(profile, ignore_errors=True)


def routes() -> list[str]:
    """The pages of the application, those with a form for what is wrong too; a page that is added is in it."""
    app = web.Application()
    add_pages(app)
    found = [route.resource.canonical for route in app.router.routes() if route.method == "GET" and route.resource]
    return [path for path in found if not path.startswith("/assets/")]


def wrong_at(there: There, name: str) -> list[str]:
    """What axe finds on the page that is open, everything opened, at a phone and a desk, on both grounds."""
    browser, found = there.stage.browser, []
    browser.ask(f"{OPEN_ALL}; {THINNED}")
    browser.ask(f"{there.script};0")
    for width, scheme in itertools.product(WIDTHS, SCHEMES):
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        told = browser.ask(ASKED % json.dumps(TAGS if scheme == SCHEMES[0] else CONTRAST))
        assert told["rules"] > (5 if scheme == SCHEMES[0] else 0), name
        found += [f"{name} {width} {scheme}: {json.dumps(one, indent=1)}" for one in told["violations"]]
    return found


def test_every_page_of_the_server_is_accessible(there: There) -> None:
    """Each route that a browser opens, and what is said where there is no run, no result and no such page: no violation, at any width, on any ground."""
    paths = routes()
    assert len(paths) > 8
    paths += ["/?service=shop", "/runs/{none}", "/runs/01890000-0000-7000-8000-000000000000"]
    wrong = []
    for path in paths:
        stage, at = there.stage, re.sub(r"\{(\w+)\}", lambda found: there.values[found[1]], path)
        stage.open(at)
        assert stage.browser.ask("document.querySelector('main') !== null"), path
        wrong += wrong_at(there, path)
        if path == "/":  # the help of keys is the same everywhere
            stage.browser.ask("document.querySelector('.help-opener').click()")
            assert stage.browser.ask("document.querySelector('dialog.help').open") is True
            wrong += wrong_at(there, "help of keys")
    there.stage.open("/")
    there.stage.browser.ask("document.querySelector('.start [name=pace]').value = 'fast'")
    there.stage.browser.ask("document.querySelector('.start').submit()")
    there.stage.wait("document.querySelector('.start [aria-invalid]') !== null && document.readyState === 'complete'")
    wrong += wrong_at(there, "a form that was filled in wrongly")
    assert wrong == [], "\n".join(wrong)


def test_pages_that_are_one_file_are_accessible(there: There, tmp_path: Path) -> None:
    """The page of a run, as `show --html` writes it, those of runs of other sorts, and that of a capacity: no violation, at any width, on any ground."""
    page, capacity = tmp_path / "run.html", tmp_path / "capacity.html"
    served = there.stage.served
    done = served.world.call("show", there.values["run"], "--html", page, "--home", served.world.home)
    assert done.code == 0, done.err
    capacity.write_text(render_capacity(CAPACITY, headline(CAPACITY)), "utf-8")
    files = [page, capacity]
    for name in ("fail", "inconclusive"):
        files.append(tmp_path / f"{name}.html")
        files[-1].write_text(render_page(RESULTS[name]()), "utf-8")
    wrong = []
    for file in files:
        there.stage.browser.open(file, WIDTHS[0])
        wrong += wrong_at(there, file.name)
    assert wrong == [], "\n".join(wrong)


SIGNED = """[replay]
workers = "shared"
[oidc]
issuer = "http://127.0.0.1:{port}"
client_id = "echolane"
client_secret_file = "{file}"
name = "Example ID"
"""


@pytest.fixture(scope="module")
def other(there: There, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server at which people sign in at a provider, which is away, and whose runs a worker does, one request a second."""
    world = World(tmp_path_factory.mktemp("other"))
    secret = world.folder / "secret"
    secret.write_text("a secret\n", "utf-8")
    served = Served(world, exchanges=300, settings=SIGNED.format(port=free_port(), file=secret), more=ROWS)
    world.start(sys.executable, "-m", "console.main", "worker", "replay", "--home", world.home)
    yield served
    world.end()


def opened(there: There, served: Served, path: str, role: str = "admin") -> None:
    """A page of another server, as somebody of a role sees it; by its number, for cookies know names and no ports."""
    base = f"http://127.0.0.1:{served.port}"
    person, browser = Person(base), there.stage.browser
    browser.call("Network.clearBrowserCookies")
    if role:
        token = served.admin if role == "admin" else served.token(role, "shop")
        assert person.ask("POST", "/login", {"token": token, "next": "/"}).status == 303
        for name, value in person.cookies.items():
            browser.call("Network.setCookie", name=name, value=value, url=base)
    browser.open(At(f"{base}{path}"), WIDTHS[0])  # type: ignore[arg-type]


def whole(there: There, name: str, title: str) -> list[str]:
    """What is wrong with the page that is open, of which this is the heading: by axe, and what is cut or overflows."""
    browser = there.stage.browser
    browser.events.clear()  # the browser notes the status of an error itself
    assert title in browser.ask("document.querySelector('h1').textContent"), browser.ask("document.body.innerText")
    for width, scheme in itertools.product(WIDTHS, SCHEMES):
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        shown(there.stage, name, width, scheme)
    return wrong_at(there, name)


def test_a_run_under_way_and_held_is_accessible(there: There, other: Served) -> None:
    """A page that changes by itself while a run goes on, and that of a run which was held: no violation, nothing cut."""
    run = other.run(pace="1/s")
    other.wait(run, "running")
    opened(there, other, f"/runs/{run}")
    there.stage.wait("document.querySelector('progress')?.value > 0")
    wrong = whole(there, "going", "goes on")
    assert other.ask("POST", f"/api/v1/runs/{run}/pause").status == 202
    other.wait(run, "paused")
    opened(there, other, f"/runs/{run}")
    wrong += whole(there, "held", "stands still")
    assert other.ask("POST", f"/api/v1/runs/{run}/cancel").status == 202
    assert wrong == [], "\n".join(wrong)


def test_the_door_with_a_provider_is_accessible(there: There, other: Served) -> None:
    """Where one can sign in at a provider or with a token, a token that is wrong, and a provider that does not answer: no violation, nothing cut."""
    opened(there, other, "/login?next=%2Fruns", role="")
    wrong = whole(there, "door-provider", "Log in")
    there.stage.browser.ask("document.querySelector('[name=token]').value = 'ech_wrong'")
    there.stage.browser.ask("document.querySelector('.door').submit()")
    there.stage.wait("document.querySelector('.wrong') !== null")
    wrong += whole(there, "door-wrong", "Log in")
    opened(there, other, "/signin?next=%2F", role="")
    wrong += whole(there, "door-away", "")
    assert wrong == [], "\n".join(wrong)


def test_what_is_said_of_mistakes_is_a_page_and_accessible(there: There, other: Served) -> None:
    """No such address, what a role may not do, and a store that is away are told on pages of their own: no violation, nothing cut; a program gets a problem."""
    run = "01890000-0000-7000-8000-000000000000"
    opened(there, other, "/nowhere/at-all")
    wrong = whole(there, "unknown", "There is no such thing")
    opened(there, other, f"/runs/{run}/rerun", role="viewer")
    wrong += whole(there, "forbidden", "This token may not do that")
    told = other.ask("GET", "/nowhere/at-all")
    assert (told.status, told.headers["content-type"]) == (404, "application/problem+json")
    assert (
        other.ask("GET", "/api/v1/nowhere", headers={"Accept": "text/html"}).headers["content-type"]
        == "application/problem+json"
    )
    lost(other)
    opened(there, other, "/")
    assert "cannot hold a store" in there.stage.browser.ask("document.querySelector('.lede').textContent")
    wrong += whole(there, "store-away", "What this needs does not answer")
    assert wrong == [], "\n".join(wrong)


def lost(served: Served) -> None:
    """Its store does not answer any more, and cannot be started again."""
    folder = served.world.home / "store"
    folder.rename(folder.with_name("gone"))  # before it ends: whoever starts it anew finds no folder
    folder.write_text("no folder")
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes().split(b"\0")
            if b"echolane.store.owner" in words and os.fsencode(served.world.home) in words:
                os.kill(int(path.name), signal.SIGKILL)
