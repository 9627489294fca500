"""Search among the exchanges of a run, from traffic whose every field is hostile: what is found is what is there, and nothing of it has an effect."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest

from bench.ports import free_port
from console.api.curl import command
from echolane.exchange import Request
from echolane.ledger import run_identities
from echolane.store import open_store
from tests.console.results import HOSTILE
from tests.console.test_page_browser import SCHEMES, WIDTHS, Browser
from tests.e2e.api_parts import Served
from tests.e2e.test_api_pages import Stage, shown
from tests.e2e.world import HERE, World, listening, send, stop

CORPUS = [
    *(text for text in HOSTILE if "\ud800" not in text),
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd",
    "$(touch PWNED)",
    "`touch PWNED`",
    "'; touch PWNED; '",
    '"; touch PWNED #',
    "a\\' | touch PWNED & b",
    "\x1b]0;owned\x07\x1b[2J",
]
"""Of pages, terminals, spreadsheets and shells."""
SHELL = [
    "/$(touch PWNED)",
    "/`touch PWNED`",
    "/';touch PWNED;'",
    '/";touch PWNED;#',
    "/a&touch PWNED",
    "/[a-z]{1,2}",
    "/--help",
    "/%0atouch%20PWNED",
]
SECRET = "s3cr3t-value-0123456789"
COUNT = 3 * len(CORPUS) + 10


def written(port: int) -> None:
    """Every text of the corpus in the body of a write, and as far as a header takes it in a header."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for text in CORPUS:
        odd = (
            text.encode("latin-1", "replace").decode("latin-1").translate(dict.fromkeys((*range(32), 127), " ")).strip()
        )
        headers = {"X-Odd": odd[:500], "Cookie": f"sid={SECRET}", "Content-Type": "application/json", "X-Empty": ""}
        connection.request(
            "POST", "/write", json.dumps({"said": text, "password": SECRET}, ensure_ascii=False).encode(), headers
        )
        connection.getresponse().read()
    connection.close()


class There(NamedTuple):
    """A server with a run of hostile traffic, in a browser."""

    stage: Stage
    run: str
    lines: list[dict[str, Any]]
    """Its exchanges as `show --exchanges` prints them: what search is held to."""
    statuses: dict[str, tuple[int, int]]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, require: Any) -> Iterator[There]:
    """Recorded, replayed at two versions, compared: one for all tests of this file."""
    program = require("chromium", "chromium-browser", "google-chrome", "chrome", hint="apt-get install chromium")
    world, profile = World(tmp_path_factory.mktemp("hostile")), tmp_path_factory.mktemp("profile")
    ports = []
    for words in ([], ["branch"]):
        ports.append(free_port())
        listening(ports[-1], process=world.start(sys.executable, HERE / "hostile_app.py", ports[-1], *words))
    tables = "".join(
        f'[[api_targets]]\nservice = "hostile"\nname = "{name}"\nurl = "http://127.0.0.1:{port}"\nwrites = true\n'
        for name, port in zip(("old", "new"), ports, strict=True)
    )
    served = Served(world, exchanges=1, more=tables)
    process, port = world.recorder(ports[0], service="hostile")
    wanted = [f"/{kind}?{quote(text[:700])}" for text in CORPUS for kind in ("say", "page")]
    send(port, [(target, {"User-Agent": "a"}) for target in [*wanted, *(f"/gone/{n}?x" for n in range(10))]])
    written(port)
    assert stop(process) == 0
    world.check_capture("hostile", stored=COUNT)
    run = served.run("hostile", base="old", branch="new", methods="all")
    assert served.ended(run)["done"] == COUNT
    printed = world.call("show", run, "--exchanges", "--json", "--home", world.home).out.splitlines()
    with open_store(world.home) as store:
        rows = store.query("SELECT exchange, statuses FROM results_v WHERE run = {run:String}", {"run": run})
    browser = Browser(program, profile)
    stage = Stage(served, browser, run, "")
    stage.login()
    yield There(
        stage,
        run,
        [json.loads(one) for one in printed],
        {one["exchange"]: (one["statuses"][0], one["statuses"][2]) for one in rows},
    )
    browser.close()
    for started in world.started:
        started.kill()
        started.wait(10)
    shutil.rmtree(profile, ignore_errors=True)


def found(there: There, **asked: Any) -> list[str]:
    """The ids of all exchanges that fit, page by page; each comes once."""
    ids: list[str] = []
    cursor: int | None = 0
    while cursor is not None:
        query = urlencode({**asked, "limit": 7, "cursor": cursor})
        page = there.stage.served.ask("GET", f"/api/v1/runs/{there.run}/exchanges?{query}").json
        assert len(page["exchanges"]) <= 7
        assert page["unread"] == 0
        ids, cursor = ids + [one["exchange"] for one in page["exchanges"]], page["next"]
    assert len(set(ids)) == len(ids)
    return ids


def under(place: str, where: str) -> bool:
    """Whether a place is another, or in it."""
    return place == where or place.startswith((f"{where}.", f"{where}["))


def test_a_search_finds_what_is_there_and_nothing_else(there: There) -> None:
    """Each filter, and several at once, against the lines that `show` prints: the same exchanges, in recorded order, each once."""
    result = there.stage.served.ask("GET", f"/api/v1/runs/{there.run}").json
    assert run_identities(result["ledger"]) == []
    lines, statuses = there.lines, there.statuses
    different = [one["exchange"] for one in lines if one["verdict"] == "different"]
    assert different
    assert len(lines) == COUNT
    for asked, fits in (
        ({}, lambda _: True),
        ({"verdict": "different"}, lambda one: one["verdict"] == "different"),
        ({"verdict": "same"}, lambda one: one["verdict"] == "same"),
        ({"path": "/gone/"}, lambda one: "/gone/" in one["target"]),
        ({"path": quote(CORPUS[0])}, lambda one: quote(CORPUS[0]) in one["target"]),
        ({"path": "%"}, lambda one: "%" in one["target"]),
        ({"method": "GET"}, lambda one: one["target"] != "/write"),
        ({"method": "POST"}, lambda one: one["target"] == "/write"),
        ({"method": "PUT"}, lambda _: False),
        ({"endpoint": lines[0]["endpoint"]}, lambda one: one["endpoint"] == lines[0]["endpoint"]),
        ({"base_status": 200, "branch_status": 404}, lambda one: statuses[one["exchange"]] == (200, 404)),
        ({"where": "header:x-said"}, lambda one: any(under(d["where"], "header:x-said") for d in one["differences"])),
        ({"where": "body:$.list"}, lambda one: any(under(d["where"], "body:$.list") for d in one["differences"])),
        ({"header": "CONTENT-type:Text/Html"}, lambda one: "/page" in one["target"]),
        ({"header": "x-nowhere"}, lambda _: False),
        (
            {"path": "/page", "verdict": "different", "header": "x-said"},
            lambda one: "/page" in one["target"] and one["verdict"] == "different",
        ),
    ):
        assert found(there, **asked) == [one["exchange"] for one in lines if fits(one)], asked
    assert len(found(there, base_status=200, branch_status=404)) == 10


def test_one_exchange_is_told_whole(there: There) -> None:
    """Its line, statuses, heads and bodies of each target, of every exchange; one of another run, or none, is not found."""
    served = there.stage.served
    for line in there.lines[:: len(there.lines) // 8]:
        told = served.ask("GET", f"/api/v1/runs/{there.run}/exchanges/{line['exchange']}").json
        assert told["exchange"] == line
        assert [one["target"] for one in told["answers"]] == ["base", "control", "branch", "branch_control"]
        assert (told["answers"][0]["status"], told["answers"][2]["status"]) == there.statuses[line["exchange"]]
        answered = [one for one in told["answers"] if one["outcome"] == "answered"]
        assert all("x-said" in {name.lower() for name, _ in one["headers"]} for one in answered)
    assert served.ask("GET", f"/api/v1/runs/{there.run}/exchanges/{there.run}").status == 404


def test_an_exchange_has_its_request_its_recorded_answer_and_its_neighbours(there: There) -> None:
    """What was sent and what was answered then, as they were but for masks, of every exchange; one leads to the next and to the one before."""
    served, ids = there.stage.served, [line["exchange"] for line in there.lines]
    writes = iter(CORPUS)
    for number, line in enumerate(there.lines):
        told = served.ask("GET", f"/api/v1/runs/{there.run}/exchanges/{line['exchange']}").json
        assert (told["request_lack"], told["recorded_lack"]) == (None, None)
        asked, recorded = told["request"], told["recorded"]
        assert (asked["method"], asked["target"]) == (line["method"], line["target"])
        assert recorded["status"] == told["recorded_status"] == 200
        assert recorded["body"] == told["answers"][0]["body"]
        assert SECRET not in json.dumps(told)
        if line["method"] == "POST":
            assert json.loads(asked["body"])["said"] == next(writes)
            assert asked["masked"] == ["header:cookie", "body"]
            assert ["X-Empty", ""] in asked["headers"]
        assert told["before"] == (ids[number - 1] if number else None)
        assert told["after"] == (ids[number + 1] if number + 1 < len(ids) else None)
    assert next(writes, None) is None


def test_the_command_that_the_page_copies_is_answered_as_the_run_was(
    there: There, tmp_path: Path, require: Any
) -> None:
    """The button copies it, a real shell runs it, base answers what it answered in the run, and no word of the traffic is carried out."""
    require("curl", hint="apt-get install curl")
    stage = there.stage
    for line in there.lines[::7]:
        path = f"/runs/{there.run}/exchanges/{line['exchange']}"
        stage.open(path)
        stage.browser.ask("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
        stage.browser.ask("document.querySelector('#again .copy').click()")
        copied = stage.wait("window.copied")
        assert copied.startswith("# masked when it was recorded: header cookie, body\n") == (line["method"] == "POST")
        done = subprocess.run(["sh", "-c", copied], cwd=tmp_path, capture_output=True, timeout=60, check=False)
        told = stage.served.ask("GET", f"/api/v1{path}").json
        body = told["answers"][0]["body"] or ""  # none where it holds a NUL
        assert (done.returncode, done.stdout.decode("utf-8", "replace")[: len(body)]) == (0, body), copied
    assert list(tmp_path.iterdir()) == []


def test_keys_lead_from_an_exchange_to_its_neighbours(there: There) -> None:
    """`n` goes to the next exchange of the run, `p` to the one before."""
    stage, ids = there.stage, [line["exchange"] for line in there.lines]
    stage.open(f"/runs/{there.run}/exchanges/{ids[1]}")
    for key, leads in (("n", 2), ("p", 1), ("p", 0)):
        stage.browser.ask(f"document.body.dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}}))")
        stage.wait(f"location.pathname.endsWith('{ids[leads]}') && document.readyState === 'complete'")
    assert stage.browser.ask("location.pathname") == f"/runs/{there.run}/exchanges/{ids[0]}"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_hostile_traffic_has_no_effect_on_any_page(there: There, width: int, scheme: str) -> None:
    """Search, each sort of exchange, findings and their triage: nothing runs, overflows or breaks the policy, and the text stands as it is."""
    stage, run = there.stage, there.run
    findings = stage.served.ask("GET", f"/api/v1/runs/{run}/findings").json["findings"]
    pages = [
        f"/runs/{run}/exchanges",
        f"/runs/{run}/exchanges?{urlencode({'path': CORPUS[1], 'where': CORPUS[0]})}",
        f"/runs/{run}",
        f"/runs/{run}/findings",
    ]
    pages += [f"/runs/{run}/findings/{one['id']}/triage" for one in findings[:2]] + [
        f"/runs/{run}/compare/{run}",
        f"/runs/{run}/compare",
        f"/runs/{run}/rerun",
    ]
    chosen = range(0, COUNT, 9) if (width, scheme) != (1280, "light") else range(COUNT)
    pages += [f"/runs/{run}/exchanges/{there.lines[number]['exchange']}" for number in chosen]
    for number, path in enumerate(pages):
        stage.open(path, width, scheme)
        assert (
            stage.browser.ask("document.querySelectorAll('main script, main img, main iframe, main style').length") == 0
        ), path
        shown(stage, f"hostile-{number}", width, scheme)
    stage.open(pages[1], width, scheme)
    assert stage.browser.ask("document.querySelector('[name=path]').value") == CORPUS[1]


def test_a_search_needs_no_script_and_leads_to_its_exchange(there: There) -> None:
    """In a browser without scripts: the run's page leads to the form, the form to what fits, a row to its exchange; a wrong field is said."""
    stage, browser = there.stage, there.stage.browser
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        stage.open(f"/runs/{there.run}")
        assert browser.ask(f"document.querySelector('a[href=\"/runs/{there.run}/exchanges\"]') !== null")
        stage.open(f"/runs/{there.run}/exchanges")
        browser.ask("document.querySelector('[name=path]').value = '/gone/3'")
        browser.ask("document.querySelector('form.search').submit()")
        stage.wait("location.search.includes('gone') && document.readyState === 'complete'")
        assert browser.ask("document.querySelectorAll('#found a.row').length") == 1
        assert browser.ask("document.querySelector('#found .sides').textContent").endswith("200 → then  404")
        href = browser.ask("document.querySelector('#found a.row').getAttribute('href')")
        stage.open(href)
        assert browser.ask("document.querySelector('h1').textContent") == "GET /gone/3?x"
        assert browser.ask(
            "document.querySelectorAll('.copy').length === document.querySelectorAll('.copy[hidden]').length"
        )
        assert browser.ask("document.querySelectorAll('main a[rel=prev], main a[rel=next]').length") == 2
        assert "GET /gone/3?x" in browser.ask("document.querySelector('#request').textContent")
        stage.open(f"/runs/{there.run}/exchanges?base_status=many&path=kept")
        assert "Expected `int`" in browser.ask("document.querySelector('.wrong').textContent")
        assert browser.ask("document.querySelector('[name=path]').value") == "kept"
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_the_copied_command_asks_for_just_that_and_runs_nothing_else(tmp_path: Path, require: Any) -> None:
    """In a real shell: the server is asked for the very target, and no word of it is carried out."""
    require("curl", hint="apt-get install curl")
    seen: list[str] = []

    class Sink(BaseHTTPRequestHandler):
        """Notes the request line."""

        def log_message(self, *_: object) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            """Note it."""
            seen.append(self.path)
            self.send_response(204)
            self.end_headers()

    sink = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    try:
        for target in SHELL:
            line = command(
                Request("GET", "http", "hostile.test", target, "1.1", []),
                {"url": f"http://127.0.0.1:{sink.server_port}", "lane": "'$(touch PWNED)"},
            )
            subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, timeout=120, check=False)
    finally:
        sink.shutdown()
        sink.server_close()
    assert list(tmp_path.iterdir()) == []
    assert [one.replace(" ", "%20").replace("#", "%23") for one in SHELL] == seen
