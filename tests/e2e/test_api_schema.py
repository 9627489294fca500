"""The server against its own OpenAPI document, by schemathesis: what the document says is what the server does, and nothing makes it fail."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console.api import openapi
from console.api.table import OPERATIONS
from tests.e2e.api_parts import Served, log_of
from tests.e2e.world import World

FEW = "[api]\nrate_per_s = 10000\nburst = 100000\nruns_at_once = 1\nruns_queued = 1\n"
"""Runs that are asked for take the machine from what is tested: few go on, and a full queue is an answer, too."""
EXAMPLES = 25
"""Of each operation and phase."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that has a run."""
    world = World(tmp_path_factory.mktemp("schema"))
    one = Served(world, exchanges=3, settings=FEW)
    one.ended(one.run())
    yield one
    for process in world.started:
        process.kill()
        process.wait(10)


def test_the_document_is_made_of_the_table(served: Served) -> None:
    """What the server gives, without a token, is what is made of the table of its operations."""
    document = served.ask("GET", "/api/v1/openapi.json", token=None).json

    assert document == json.loads(openapi.document(OPERATIONS))


@pytest.mark.parametrize("known", [False, True], ids=["any", "known"])
def test_nothing_that_the_document_allows_or_forbids_makes_it_fail(
    served: Served, require_module: Callable[..., str], tmp_path: Path, *, known: bool
) -> None:
    """Boundaries, fuzzing and stateful sequences with all checks, at any names and at things that are there: no failure, no 5xx, no fault in the log."""
    require_module("schemathesis")
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG + (there(served) if known else ""), "utf-8")
    done = schemathesis(served, config, tmp_path)

    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    assert "api.fault" not in log_of(served.world.home)


def there(served: Served) -> str:
    """Names of what is there, so that calls reach what they are about."""
    run = served.ask("GET", "/api/v1/runs?state=finished").json["runs"][0]["run"]
    finding = served.ask("GET", f"/api/v1/runs/{run}/findings").json["findings"][0]["id"]
    recording = served.ask("POST", "/api/v1/recordings", {"service": "shop"}).json["recording"]
    exchange = served.ask("GET", f"/api/v1/runs/{run}/exchanges").json["exchanges"][0]["exchange"]
    names = {
        "run": run,
        "other": run,
        "exchange": exchange,
        "finding": finding,
        "recording": recording,
        "service": "shop",
    }
    return "[parameters]\n" + "".join(f'"path.{name}" = "{value}"\n' for name, value in names.items())


def schemathesis(served: Served, config: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it as its users do. What is watched live does not end by itself, so that one has tests of its own."""
    words = [
        *("--config-file", config, "run", f"http://127.0.0.1:{served.port}/api/v1/openapi.json"),
        *("--header", f"Authorization: Bearer {served.admin}", "--max-examples", EXAMPLES, "--seed", 7),
        *("--workers", 1, "--request-timeout", 30, "--no-color", "--exclude-operation-id", "watchRun"),
    ]
    command = [sys.executable, "-m", "schemathesis.cli", *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=540, check=False)


CONFIG = """
[checks]
# A key that was used for another body is 422 (the IETF's draft), a full queue and a rate 429: the data is right, its moment is not.
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422", "429"]
"""
