"""The page in a real browser (headless Chromium over its debugging pipe): widths, grounds, policy, keys, and no network."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.page import render_page

PATIENCE_S = 40.0
"""A busy machine starts Chromium in ten seconds."""
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]
WIDTHS = (390, 1280)
SCHEMES = ("light", "dark")


class Browser:
    """Chromium with one tab, spoken to in its debugging protocol."""

    def __init__(self, program: str, profile: Path) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()

        def wire() -> None:
            high = [os.dup2(theirs_in, 101), os.dup2(theirs_out, 102)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=wire,  # noqa: PLW1509 - its pipe must be descriptors 3 and 4
 pass_fds=(3, 4), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out, self._rest, self._last = ours_in, ours_out, b"", 0
        self.events: list[dict[str, Any]] = []
        self.session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its answer."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._last:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(deadline - time.monotonic(), 0))
            assert ready, "the browser said nothing for too long"
            data = os.read(self._in, 1 << 20)
            assert data, "the browser ended"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, file: Path, width: int, scheme: str = "light", height: int = 800) -> None:
        """Load a page at a width and ground."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.call("Page.navigate", url=file.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """One key, as a person presses it."""
        extra = {"text": "\r"} if key == "Enter" else ({"text": key} if len(key) == 1 else {})
        code = {"Enter": 13, "Tab": 9, "Escape": 27}.get(key, 0)
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **extra)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def close(self) -> None:
        """End the browser and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._in)
        os.close(self._out)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, require: Any) -> Iterator[Browser]:
    """One browser for all tests of this file."""
    program = require("chromium", "chromium-browser", "google-chrome", "chrome", hint="apt-get install chromium")
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
