"""From the demo to `echolane up`: each command of that tutorial runs, and what it tells to do by hand is done over HTTP as a browser does it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from html import unescape
from pathlib import Path
from typing import Any

from console.demo import BASE, BRANCH, install
from dashboards.panels import STORE, dashboards
from echolane.errors import UsageError
from tests.docs.test_docs import ROOT, SHELL_S, blocks, follow
from tests.e2e.signin_parts import Person
from tests.e2e.world import World

PAGE = "a-server.md"


class Reader:
    """Who follows the tutorial: the browser of its steps by hand."""

    def __init__(self, world: World) -> None:
        self.folder, self.world = world.folder, world
        self.person = Person("http://127.0.0.1:1")
        self.marked = ""
        """The run in which a finding was said to be a bug."""
        self.begun = ""
        """The run that the form began."""

    def bug(self, text: str) -> None:
        """Through the door, into the run, and a form of triage."""
        self.person = Person(re.findall(r"http://[\w.:]+", text)[0])
        token, self.marked = ((self.folder / name).read_text("ascii").strip() for name in ("token", "run"))
        assert self.person.ask("POST", "/login", {"token": token, "next": "/"}).status == 303
        page = self.person.ask("GET", f"/runs/{self.marked}").body.decode()
        [finding] = [one["id"] for one in self.result(self.marked)["groups"] if one["where"] == "body:$.columns"]
        action = f"/runs/{self.marked}/findings/{finding}/triage"
        [form] = re.findall(rf'<form class="triage" method="post" action="{action}">.*?</form>', page, re.DOTALL)
        assert '<button name="decision" value="bug">Bug</button>' in form
        fields = {"word": self.person.word(), "note": "clients read the columns", "decision": "bug"}
        assert self.person.ask("POST", action, fields).status == 303

    def start(self, text: str) -> None:
        """The front page's form, and the page of the run until its verdict stands there."""
        page = unescape(self.person.ask("GET", "/").body.decode())
        [form] = re.findall(r'<form class="start" method="post" action="/runs">.*?</form>', page, re.DOTALL)
        assert "<h2>Start a run</h2>" in page
        assert "<button>Start</button>" in form
        fields = {"service": "datasette", "word": self.person.word()}
        for name, title in (("base", "base"), ("branch", "branch"), ("branch_name", "branch's name")):
            assert f'name="{name}"' in form.partition(f"<label>{title}<")[2].partition("</label>")[0]
            fields[name] = re.findall(rf"[:,] {title} ([\w/]+)", text)[0]
        answer = self.person.ask("POST", "/runs", fields)
        assert answer.status == 303, answer
        self.begun = answer.headers["location"].rpartition("/")[2]
        deadline = time.monotonic() + SHELL_S
        while b"List its findings" not in self.person.ask("GET", f"/runs/{self.begun}").body:
            assert time.monotonic() < deadline, "the run does not end"
            time.sleep(0.2)

    def end(self, _: str) -> None:
        """Ctrl-C."""
        up: subprocess.Popen[bytes] = self.world.started[-1]
        up.send_signal(signal.SIGINT)
        assert up.wait(SHELL_S) == 0

    def result(self, run: str) -> dict[str, Any]:
        """What a run came to."""
        return self.world.call("show", run, "--json", "--home", self.folder / ".echolane").result


def prepared(folder: Path, lacking: Any) -> None:
    """The demo's applications, which it takes as they are: into `.parts/`, once; without a registry of packages there are none."""
    there, demo = ROOT / ".parts" / "demo", folder / ".echolane-demo" / "demo"
    for place in (there, demo):
        place.mkdir(parents=True, exist_ok=True)
    try:
        for version in (BASE, BRANCH):
            place = install(there, version)
            (demo / place.name).symlink_to(place)
    except UsageError as error:
        lacking(f"needs PyPI: {error}")


def test_the_way_from_the_demo_to_a_server_runs(world: World, require: Any, lacking: Any) -> None:
    """A push and a form begin runs, two findings are triaged, the comment tells it, each panel is answered, all of it drains."""
    require("curl", hint="apt-get install curl")
    make = require("make", hint="apt-get install make")
    prepared(world.folder, lacking)
    told = subprocess.run(
        [make, "--no-print-directory", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert told.stdout.splitlines()[-1].split() == [".venv/bin/echolane", "demo"]
    reader = Reader(world)
    follow(world, PAGE, {"bug": reader.bug, "start": reader.start, "end": reader.end})

    pushed, begun = reader.result(reader.marked), reader.result(reader.begun)
    assert {"body:$.columns", "body:$.ok", "body:$.truncated", "body:$.rows[*]"} <= {
        one["where"] for one in pushed["groups"]
    }
    assert pushed["expected"] == []
    assert [one["where"] for one in begun["expected"]] == ["body:$.ok"]
    [known] = [one for one in begun["groups"] if one["where"] == "body:$.columns"]
    assert (begun["verdict"], known["triage"]["decision"], known["triage"]["note"]) == (
        "fail",
        "bug",
        "clients read the columns",
    )
    comment = world.call("show", reader.begun, "--format", "markdown", "--home", world.folder / ".echolane").out
    assert "1 expected" in comment
    assert "known bug" in comment
    lines = (world.folder / "panels.txt").read_text("utf-8").splitlines()
    panels = [
        panel["title"] for one in dashboards().values() for panel in one["panels"] if panel["datasource"] == STORE
    ]
    assert sorted(line.partition(":")[0] for line in lines) == sorted(panels)
    assert "Runs: 1 rows, the first is [2]" in lines
    assert "Failed: 1 rows, the first is [2]" in lines


def test_its_settings_name_no_secret(world: World) -> None:
    """The file that a reader saves has where secrets are, and the commands draw them."""
    [settings] = [text for _, options, text in blocks(PAGE) if options.get("file") == "echolane.toml"]
    drawn = [text for language, _, text in blocks(PAGE) if language == "sh" and "secrets.token_hex" in text]

    assert not re.search(r"(secret|password)\s*=", settings)
    assert all(f"> {name}" in drawn[0] for name in re.findall(r'_file = "([\w.]+)"', settings))
    assert json.dumps(settings).count("_file") == 2
