"""The forms for CI: each of their commands is run, as the runner would, on a real run; what stands in an input is never read as shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest
import yaml

from echolane.ledger import run_identities
from tests.e2e.world import World

ROOT = Path(__file__).resolve().parents[2]
FORMS = ROOT / "deploy" / "ci"
ACTION: dict[str, Any] = yaml.safe_load((FORMS / "github-action" / "action.yml").read_text("utf-8"))
WORKFLOW: dict[str, Any] = yaml.safe_load((FORMS / "github-action" / "example-workflow.yml").read_text("utf-8"))
JOB: dict[str, Any] = yaml.safe_load((FORMS / "gitlab" / "echolane.gitlab-ci.yml").read_text("utf-8"))[".echolane"]
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
FILES = {"result.json", "verdict.xml", "verdict.sarif", "comment.md", "verdict.html"}
EVIL = "x$(touch pwned)`touch pwned`;touch pwned"
"""A branch's name as a stranger's pull request may have it."""
BRANCH = f"{EVIL}'\"\n::set-output name=a::b"


class Place(NamedTuple):
    """A job's folder with traffic in it, and `echolane` on the path."""

    world: World
    path: str

    def job(self, script: str, *, shell: str = "bash", **environ: str) -> subprocess.CompletedProcess[str]:
        """A script as a runner runs it."""
        return subprocess.run(
            [shell, "-e", "-c", script],
            cwd=self.world.folder,
            env={**self.world.environ, "PATH": self.path, "PYTHONPATH": str(ROOT), **environ},
            capture_output=True, text=True, timeout=400, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def results(self) -> dict[str, Any]:
        """What the run wrote: every file, each of the same run, whose ledger balances."""
        folder = self.world.folder / "echolane-results"
        assert {file.name for file in folder.iterdir()} == FILES
        result = json.loads((folder / "result.json").read_bytes())
        [log] = json.loads((folder / "verdict.sarif").read_bytes())["runs"]
        assert run_identities(result["ledger"]) == []
        assert [one["partialFingerprints"]["echolaneFinding/v1"] for one in log["results"]] == [
            one["id"] for one in result["groups"]
        ]
        assert log["properties"]["ledger"] == result["ledger"]
        suite = ET.parse(folder / "verdict.xml").getroot().find("testsuite")
        assert suite is not None
        assert int(suite.get("failures", "")) == len(result["groups"])
        shown = self.world.call("show", "latest", "--format", "sarif", "--home", self.world.home)
        assert shown.out == (folder / "verdict.sarif").read_text("utf-8")
        assert not (self.world.folder / "pwned").exists()
        return result


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Traffic of twelve requests as a file of a browser, and `echolane` and `python3` as an install puts them."""
    world = World(tmp_path_factory.mktemp("ci"))
    entries = [
        {
            "startedDateTime": f"2026-11-01T10:00:{number:02}.000Z",
            "time": 5,
            "request": {
                "method": "GET", "url": f"http://shop.example/items/{number}", "httpVersion": "HTTP/1.1",
                "headers": [], "queryString": [], "cookies": [], "headersSize": -1, "bodySize": 0,
            },
            "response": {
                "status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "headers": [], "cookies": [],
                "content": {"size": 2, "mimeType": "application/json", "text": "{}"},
                "redirectURL": "", "headersSize": -1, "bodySize": 2,
            },
            "cache": {}, "timings": {"send": 0, "wait": 5, "receive": 0},
        }
        for number in range(1, 13)
    ]  # fmt: skip
    har = {"log": {"version": "1.2", "creator": {"name": "t", "version": "1"}, "entries": entries}}
    (world.folder / "my traffic.har").write_text(json.dumps(har), "utf-8")
    shims = world.folder / "bin"
    shims.mkdir()
    (shims / "echolane").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m console.main "$@"\n', "ascii")
    (shims / "echolane").chmod(0o755)
    yield Place(world, f"{shims}:{os.environ['PATH']}")
    world.end()


def known(inputs: dict[str, str]) -> dict[str, str]:
    """What expressions of the action stand for."""
    defaults = {name: str(told.get("default", "")) for name, told in ACTION["inputs"].items()}
    values = {f"inputs.{name}": value for name, value in (defaults | inputs).items()}
    return values | {"github.action_path": str(FORMS / "github-action"), "github.head_ref || github.ref_name": BRANCH}


def filled(text: str, values: dict[str, str]) -> str:
    """A text with its expressions, as the runner fills them in."""
    return EXPRESSION.sub(lambda found: values[found[1]], text)


def step(place: Place, number: int, **inputs: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str], str]:
    """A step of the action: how it ended, its outputs, the job's summary."""
    told = ACTION["runs"]["steps"][number]
    values = known({name.replace("_", "-"): value for name, value in inputs.items()})
    values = {name: filled(value, values) for name, value in values.items()}  # a default is an expression, too
    environ = {name: filled(str(value), values) for name, value in told["env"].items()}
    files = {
        name: place.world.folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH")
    }
    for file in files.values():
        file.write_text("", "utf-8")
    environ |= {name: str(file) for name, file in files.items()} | {"RUNNER_TEMP": str(place.world.folder / "temp")}
    done = place.job(told["run"], **environ)
    outputs = dict(line.partition("=")[::2] for line in files["GITHUB_OUTPUT"].read_text("utf-8").splitlines())
    return done, outputs, files["GITHUB_STEP_SUMMARY"].read_text("utf-8")


def test_inputs_are_no_shell_and_every_path_is_there() -> None:
    """No expression stands in a script of the action, every input is used and told, and the example uses what the action has."""
    texts = [told["run"] for told in ACTION["runs"]["steps"]]
    used = set(re.findall(r"inputs\.([\w-]+)", json.dumps(ACTION["runs"])))

    assert not any("${{" in text for text in texts)
    assert used == set(ACTION["inputs"])
    assert all(told["description"] for told in (*ACTION["inputs"].values(), *ACTION["outputs"].values()))
    [ours] = [one for one in WORKFLOW["jobs"]["compare"]["steps"] if "echolane" in one["uses"]]
    assert (ROOT / ours["uses"].partition("@")[0].split("/", 2)[2] / "action.yml").is_file()
    assert set(ours["with"]) <= set(ACTION["inputs"])
    assert {name for name, told in ACTION["inputs"].items() if told.get("required")} <= set(ours["with"])
    text = (FORMS / "gitlab" / "echolane.gitlab-ci.yml").read_text("utf-8")
    example = yaml.safe_load(re.sub(r"(?m)^#( {3})?", "", text.split("\n.echolane")[0].split("extend it.")[1]))
    assert set(example["compare"]["variables"]) <= set(JOB["variables"])
    assert (ROOT / example["include"][0]["file"]).is_file()


def test_the_action_installs_what_it_is_told(place: Place) -> None:
    """The version that the action itself is of, unless another is named; into an environment of its own, which later steps find."""
    python = place.world.folder / "bin" / "python3"
    python.write_text(
        '#!/bin/sh\nmkdir -p "$3/bin"; printf \'#!/bin/sh\\necho "$@" >> "%s/said"\\n\' "$3" > "$3/bin/python"; chmod +x "$3/bin/python"\n',
        "ascii",
    )
    python.chmod(0o755)
    try:
        for what, told in (("", f"{FORMS / 'github-action'}/../../.."), ("echolane==0.1.0", "echolane==0.1.0")):
            done, _, _ = step(place, 0, service="shop", install=what)
            assert done.returncode == 0, done.stderr
            assert (place.world.folder / "temp" / "echolane" / "said").read_text("utf-8").split()[-1] == told
    finally:
        python.unlink()
    assert (FORMS / "github-action" / ".." / ".." / ".." / "pyproject.toml").is_file()
    assert (place.world.folder / "github_path").read_text("utf-8").strip().endswith("temp/echolane/bin")


def test_a_step_of_github_actions_tells_the_verdict(place: Place) -> None:
    """It imports, compares, writes every file, its outputs and the summary, fails on differences; the runner obeys nothing that is printed."""
    done, outputs, summary = step(
        place, 1, service="shop", home=str(place.world.home), branch_cmd=place.world.app_command("price"),
        base=f"http://127.0.0.1:{place.world.app()}", flags="--pace=max\n--concurrency=4", branch_name="feature/a",
        **{"import": "my traffic.har\n"},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert outputs == {"verdict": "fail", "exit-code": "1"}
    result = place.results()
    assert (result["ledger"]["fired"], result["verdict"]) == (12, "fail")
    assert summary == (place.world.folder / "echolane-results" / "comment.md").read_text("utf-8")
    first, *_, last = done.stdout.splitlines()
    assert first.startswith("::stop-commands::")
    assert last == f"::{first.rpartition(':')[2]}::"


def test_a_step_that_cannot_run_says_so(place: Place) -> None:
    """A usage error is the step's, with no verdict of an earlier run; a hostile branch's name does nothing; inconclusive may pass."""
    done, outputs, summary = step(place, 1, service="shop", home=str(place.world.home), branch_cmd="x {port}")
    assert (done.returncode, outputs, summary) == (2, {"verdict": "", "exit-code": "2"}, "")
    assert not (place.world.folder / "pwned").exists()
    nobody = "http://127.0.0.1:9"
    done, outputs, _ = step(place, 1, service="nobody", home=str(place.world.home), base=nobody, branch=f"{nobody}1")
    assert (done.returncode, outputs["verdict"]) == (2, "")
    assert step(place, 1, service="shop", inconclusive="maybe")[0].returncode == 2
    assert not list((place.world.folder / "echolane-results").glob("*"))
    shim = place.world.folder / "bin" / "echolane"
    kept = shim.read_text("ascii")
    shim.write_text("#!/bin/sh\nexit 3\n", "ascii")
    try:
        assert step(place, 1, service="shop")[0].returncode == 3
        assert step(place, 1, service="shop", inconclusive="pass")[0].returncode == 0
    finally:
        shim.write_text(kept, "ascii")


def test_a_job_of_gitlab_tells_the_verdict(place: Place) -> None:
    """In the plainest shell, too: imports, compares, writes every file; the job's exit code is the run's, and 3 is a warning."""
    environ = {name: str(value) for name, value in JOB["variables"].items()} | {
        "ECHOLANE_HOME": str(place.world.home),
        "REPLAY_INSTALL": "none",
        "REPLAY_SERVICE": "shop",
        "REPLAY_IMPORT": "my traffic.har",
        "REPLAY_BASE": f"http://127.0.0.1:{place.world.app()}",
        "REPLAY_BRANCH": f"http://127.0.0.1:{place.world.app('price')}",
        "REPLAY_FLAGS": "--pace=max\n--concurrency=4",
        "CI_COMMIT_REF_NAME": EVIL,
    }
    done = place.job("\n".join([*JOB["before_script"], *JOB["script"]]), shell="sh", **environ)
    assert done.returncode == 1, done.stderr
    assert place.results()["verdict"] == "fail"
    assert JOB["allow_failure"] == {"exit_codes": 3}
    assert JOB["artifacts"]["reports"]["junit"] == "echolane-results/verdict.xml"
