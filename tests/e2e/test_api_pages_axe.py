"""Every page by the rules of WCAG 2 A and AA that axe-core can decide: those of the server, as its routes name them, and those that are one file."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from bench import axe
from console.api.pages import add_pages
from console.capacity_page import render_capacity
from console.capacity_told import headline
from console.page import render_page
from tests.console.results import RESULTS
from tests.console.test_capacity_page import RESULT as CAPACITY
from tests.console.test_page_browser import OPEN_ALL, SCHEMES, WIDTHS, Browser
from tests.e2e.api_parts import Served
from tests.e2e.test_api_pages import Stage
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
    values = {"run": run, "other": run, "finding": finding, "exchange": exchange, "none": none}
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
