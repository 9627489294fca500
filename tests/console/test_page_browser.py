"""The page in a real browser (headless Chromium over its debugging pipe): widths, grounds, policy, keys, and no network."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.chromium import PROGRAMS, Browser
from console.page import render_page
from console.page_triage import Desk
from console.words import findings
from tests.console.results_findings import feeds

WIDTHS = (390, 1280)
SCHEMES = ("light", "dark")
SHOTS = os.environ.get("SHOTS", "")
"""A folder for pictures of pages, for whoever wants to look at them."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, require: Any) -> Iterator[Browser]:
    """One browser for all tests of this file."""
    program = require(*PROGRAMS, hint="apt-get install chromium")
    profile = tmp_path_factory.mktemp("profile")
    one = Browser(program, profile)
    yield one
    one.close()
    shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture
def page(tmp_path: Path, result: dict[str, Any]) -> Path:
    """The page of a run of each sort, as a file."""
    file = tmp_path / "page.html"
    file.write_text(render_page(result), "utf-8")
    return file


@pytest.fixture
def fail_page(tmp_path: Path, fail: dict[str, Any]) -> Path:
    """The page of a failing run."""
    file = tmp_path / "fail.html"
    file.write_text(render_page(fail), "utf-8")
    return file


OVERFLOW = "document.documentElement.scrollWidth - innerWidth"
OUTSIDE = """[...document.querySelectorAll('main *')].filter(e => {
  const box = e.getBoundingClientRect(); if (!box.width || e.closest('.value, .command code, .sr, svg, thead, .preview')) return false;
  return box.right > innerWidth + 1 || box.left < -1 }).slice(0, 3).map(e => e.outerHTML.slice(0, 120))"""
CUT_OFF = """[...document.querySelectorAll('main *')].filter(e => {
  if (e.closest('.value, .command code, .sr, svg, thead, .preview')) return false;
  return e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).display !== 'inline' }).slice(0, 3).map(e => e.outerHTML.slice(0, 120))"""
OPEN_ALL = "document.querySelectorAll('details').forEach(each => each.open = true)"


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overflows_at_a_phone_or_a_desk(browser: Browser, page: Path, width: int) -> None:
    """However long the values, the page scrolls down and never sideways, closed and with everything opened."""
    browser.open(page, width)
    closed = browser.ask(OVERFLOW)
    browser.ask(OPEN_ALL)

    assert closed <= 0
    assert browser.ask(OVERFLOW) <= 0
    assert browser.ask(OUTSIDE) == []
    assert browser.ask(CUT_OFF) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_hostile_values_neither_overflow_nor_run(
    browser: Browser, tmp_path: Path, every_poison: dict[str, Any], width: int
) -> None:
    """A page in which every text is hostile runs no script of theirs, breaks no policy and does not overflow."""
    file = tmp_path / "hostile.html"
    file.write_text(render_page(every_poison), "utf-8")
    browser.open(file, width)
    browser.ask(OPEN_ALL)

    assert browser.ask(OVERFLOW) <= 0
    assert browser.ask(OUTSIDE) == []
    assert [
        event for event in browser.events if event.get("method") in {"Page.javascriptDialogOpening", "Log.entryAdded"}
    ] == []


def test_the_page_asks_no_network_and_breaks_no_policy(browser: Browser, fail_page: Path) -> None:
    """Opened as a file it loads itself alone: no request leaves, no violation or error is logged, style and script work."""
    browser.open(fail_page, 1280)
    styled = browser.ask("getComputedStyle(document.querySelector('.hero')).display")
    asked = [e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    logged = [e for e in browser.events if e.get("method") in {"Log.entryAdded", "Runtime.exceptionThrown"}]

    assert styled == "grid"
    assert not browser.ask("document.querySelector('.tools').hidden")
    assert [url for url in asked if not url.startswith(("data:", fail_page.as_uri()))] == []
    assert logged == []


WRAPPED = """[...document.querySelectorAll('.help-opener, .targets th .lane')].filter(e => {
  const box = e.getBoundingClientRect(), line = e.parentElement, style = getComputedStyle(line);
  const begin = line.getBoundingClientRect().left + parseFloat(style.paddingLeft), before = document.createRange();
  before.setStart(line, 0); before.setEndBefore(e);
  const above = before.getClientRects(), wraps = above.length && box.top >= above[above.length - 1].bottom - 1;
  return wraps && Math.abs(box.left - begin) > 1 }).map(e => e.className)"""


@pytest.mark.parametrize("width", WIDTHS)
def test_what_wraps_begins_where_its_line_does(browser: Browser, fail_page: Path, width: int) -> None:
    """The button of the keys and a target's lane, where they stand on a line of their own, are not indented."""
    browser.open(fail_page, width)

    assert browser.ask("document.querySelectorAll('.help-opener, .targets th .lane').length") >= 3
    assert browser.ask(WRAPPED) == []


@pytest.mark.parametrize(("width", "height", "rows"), [(390, 844, 2), (1280, 800, 4)])
def test_one_screen_tells_the_verdict(browser: Browser, fail_page: Path, width: int, height: int, rows: int) -> None:
    """The verdict and the gravest findings are seen without scrolling."""
    browser.open(fail_page, width, height=height)
    seen = "[...document.querySelectorAll(%r)].filter(e => e.getBoundingClientRect().bottom <= innerHeight).length"

    assert browser.ask(seen % "h1") == 1
    assert browser.ask(seen % "#groups .finding > summary") >= rows


@pytest.mark.parametrize("scheme", SCHEMES)
def test_both_grounds_are_drawn(browser: Browser, fail_page: Path, scheme: str) -> None:
    """The page follows the reader's light or dark."""
    browser.open(fail_page, 1280, scheme)
    red = int(browser.ask("getComputedStyle(document.body).backgroundColor").split("(")[1].split(",")[0])

    assert (red > 128) == (scheme == "light")


def test_a_keyboard_is_enough(browser: Browser, fail_page: Path) -> None:
    """Keys j and k walk the findings, Enter opens one, / filters; nothing needs a mouse."""
    browser.open(fail_page, 1280)
    for key in ("j", "j", "k", "Enter"):
        browser.press(key)
    opened = browser.ask("[...document.querySelectorAll('.finding')].map(e => e.open)")
    browser.press("/")
    for key in "gunicorn":
        browser.press(key)

    assert opened.index(True) == 0
    assert sum(opened) == 1
    assert browser.ask("[...document.querySelectorAll('#groups .finding')].filter(e => !e.hidden).length") == 1


VIEWS = "[...document.querySelectorAll('.views .view')]"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", ["views", "views-xml"])
def test_views_of_a_sample_open_by_keys_and_need_no_script(
    browser: Browser, fail_page: Path, fail: dict[str, Any], width: int, scheme: str, kind: str
) -> None:
    """Without scripts Enter opens each view, which fits, is reached by Tab where it scrolls, and tells what came from what went by a sign."""
    if kind == "views-xml":
        base, branch = feeds()
        fail |= {"groups": fail["groups"][:1], "undecided": [], "noise": []}
        fail["groups"][0]["samples"] = [{"exchange": "e", "base": base, "branch": branch}]
        fail_page.write_text(render_page(fail), "utf-8")
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(fail_page, width, scheme)
        browser.ask("document.querySelectorAll('.finding').forEach(each => each.open = true)")
        for place in range(browser.ask(f"{VIEWS}.length")):
            browser.ask(f"{VIEWS}[{place}].querySelector('summary').focus()")
            browser.press("Enter")
            assert browser.ask(f"{VIEWS}[{place}].open"), place
        browser.press("Tab")
        named = browser.ask("document.activeElement.getAttribute('aria-label')")
        assert named == "tree view"
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    for sign, tag in (("-", "del"), ("+", "ins")):
        lines = browser.ask(f"[...document.querySelectorAll('.unified {tag}.line')].map(each => each.textContent[0])")
        assert set(lines) == {sign}
    assert browser.ask(OVERFLOW) <= 0
    assert browser.ask(OUTSIDE) == []
    assert browser.ask(CUT_OFF) == []
    boxes = "[...document.querySelectorAll('.views .value')].filter(each => each.scrollWidth > each.clientWidth).length"
    assert browser.ask(boxes) == 0
    if SHOTS:
        data = browser.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        (Path(SHOTS) / f"{kind}-{width}-{scheme}.png").write_bytes(base64.b64decode(data))


FOCUS = "document.activeElement.closest('.finding')?.id ?? ''"


def test_n_and_p_walk_what_is_not_decided(browser: Browser, tmp_path: Path, fail: dict[str, Any]) -> None:
    """Keys n and p go past a finding of which something is said that holds, and stop at one of which it holds no longer."""
    ids = [str(finding["id"]) for finding in findings(fail, "groups")][:4]
    now = {"decision": "bug", "note": "known", "owner": "shop", "who": "ann", "at": "2026-11-26"}
    desk = Desk({ids[1]: now, ids[2]: {**now, "expired": True, "expires": "2026-11-27"}}, run="r", word="w", may=True)
    file = tmp_path / "decided.html"
    file.write_text(render_page(fail, desk=desk), "utf-8")
    browser.open(file, 1280)
    went = []
    for key in ("n", "n", "n", "p", "p", "p"):
        browser.press(key)
        went.append(browser.ask(FOCUS))
    browser.press("j")

    first, second, third, fourth = (f"groups-{each}" for each in ids)
    assert went == [first, third, fourth, third, first, first]
    assert browser.ask(FOCUS) == second


def test_the_help_opens_tells_and_closes_by_keys(browser: Browser, fail_page: Path) -> None:
    """? opens a labelled help of the page's keys, ? and Escape close it and the focus is where it was; no other key acts meanwhile."""
    browser.open(fail_page, 1280)
    browser.press("j")
    before = browser.ask(FOCUS)
    for closing in ("?", "Escape"):
        browser.press("?")
        assert browser.ask("document.querySelector('dialog').open")
        assert browser.ask("document.activeElement.textContent") == "Close"
        browser.press("j")
        assert browser.ask("document.activeElement.textContent") == "Close"
        browser.press(closing)
        assert not browser.ask("document.querySelector('dialog').open")
        assert browser.ask(FOCUS) == before != ""
    title = "document.getElementById(document.querySelector('dialog').getAttribute('aria-labelledby')).textContent"
    assert browser.ask(title) == "Keys of this page"
    told = browser.ask("[...document.querySelectorAll('dialog kbd')].map(each => each.textContent)")
    assert sorted(told) == sorted(["n", "p", "j", "k", "Enter", "/", "?"])


def test_keys_do_not_act_while_one_types_or_holds_another(browser: Browser, fail_page: Path) -> None:
    """In the filter letters are text, and with Ctrl, Alt or Meta a key is the browser's."""
    browser.open(fail_page, 1280)
    browser.press("/")
    for key in "jnp?x":
        browser.press(key)
    assert browser.ask("document.activeElement.value") == "jnp?x"
    assert not browser.ask("document.querySelector('dialog').open")
    browser.press("Escape")
    for held in ("ctrlKey", "altKey", "metaKey"):
        for key in "j?":
            browser.ask(
                f"document.body.dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}', {held}: true, bubbles: true}}))"
            )
    assert browser.ask(FOCUS) == ""
    assert not browser.ask("document.querySelector('dialog').open")
