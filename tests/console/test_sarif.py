"""SARIF: valid by the published schema, the same numbers as the result, findings known again from run to run, harmless whatever was recorded."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import tarfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from console import words
from console.sarif import RESULTS_MAX, sarif
from tests.console.results import HOSTILE, RESULTS, failing, hostile

PACKAGE = "@microsoft/jest-sarif@1.0.0-beta.0"
DIGEST = "A1fOhPd6Ic5iDk4F9YPw1qNB4XF+7+IviR7xl8r2F6QzQkx5cpY9LsGk2rExiFIEcBbjpVnSmwWGBukASkiQ9A=="
"""Of the package that has the schema, as its registry tells it."""
BROKEN, MENDED = "[a-zA-Z]{2}]?$", "[a-zA-Z]{2}$"
"""A pattern of the schema, for languages, is no expression where ``]`` must be escaped; we write none."""
LEVELS = {"breaking": "error", "visible": "warning", "cosmetic": "note"}


def run_of(result: dict[str, Any]) -> dict[str, Any]:
    """The log's one run."""
    return json.loads(sarif(result))["runs"][0]


@pytest.fixture(scope="module")
def schema(require: Callable[..., str], lacking: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The published JSON Schema of SARIF 2.1.0, from a package of its registry."""
    npm, folder = require("npm", hint="apt-get install npm"), tmp_path_factory.mktemp("sarif")
    for pause_s in (0, 5, 20):  # a registry may be away for a moment
        time.sleep(pause_s)
        words = [npm, "pack", "--silent", PACKAGE]
        done = subprocess.run(words, cwd=folder, capture_output=True, timeout=300, check=False)
        if not done.returncode:
            break
    packed = next(iter(folder.glob("*.tgz")), None)
    if done.returncode or packed is None:
        lacking(f"needs {PACKAGE} from npm's registry")
    assert base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode() == DIGEST
    with tarfile.open(packed) as archive:
        file = archive.extractfile("package/lib/schemas/sarif-2.1.0-rtm.5.json")
        assert file is not None
        return json.loads(file.read().decode().replace(BROKEN, MENDED))


def test_it_is_valid_by_the_published_schema(schema: Any, require_module: Callable[..., str]) -> None:
    """A run of each sort, and runs whose every text is hostile, have no error; a log without its version has one."""
    require_module("jsonschema_rs")
    import jsonschema_rs

    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    for result in [*(make() for make in RESULTS.values()), *map(hostile, HOSTILE)]:
        assert [str(error) for error in validator.iter_errors(json.loads(sarif(result)))] == []
    assert not validator.is_valid({"runs": []})


def test_each_regression_is_a_result_and_nothing_else_is(result: dict[str, Any]) -> None:
    """Level by severity, its rule, fingerprint and counts; noise and undecided are counted beside; no verdict is told as such."""
    run = run_of(result)
    found = {one["partialFingerprints"]["echolaneFinding/v1"]: one for one in run["results"]}

    assert set(found) == {one["id"] for one in result["groups"]}
    for finding in result["groups"]:
        one = found[finding["id"]]
        assert one["level"] == LEVELS[finding["severity"]]
        assert run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == one["ruleId"] == finding["kind"]
        assert one["properties"]["differing"] == finding["differing"]
        assert one["properties"]["basis"] == finding["basis"]
        [place] = one["locations"][0]["logicalLocations"]
        assert (place["name"], run["logicalLocations"][place["parentIndex"]]["name"]) == (
            finding["where"],
            finding["endpoint_names"][0],
        )
        assert len(one.get("relatedLocations", [])) == len(finding["endpoint_names"]) - 1
    told = run["properties"]
    for part in ("undecided", "noise", "expected"):
        assert told[part] == len(result[part])
    assert (told["verdict"], told["ledger"]) == (result["verdict"], result["ledger"])
    assert [run["invocations"][0][name] for name in ("startTimeUtc", "endTimeUtc")] == [
        f"{datetime.fromisoformat(result[key]).astimezone(UTC):%FT%T.%f}"[:23] + "Z"
        for key in ("started_at", "finished_at")
    ]
    assert run["invocations"][0]["executionSuccessful"] == (result["verdict"] != "inconclusive")
    assert ("toolExecutionNotifications" in run["invocations"][0]) == (result["verdict"] == "inconclusive")


def test_a_finding_is_known_again_in_another_run() -> None:
    """Its fingerprint does not depend on counts, order or the run; the run's category is its service's, whatever the run."""
    first, second = failing(), failing()
    second["run"] = "01936b1c-0000-7000-8000-000000000000"
    second["groups"].reverse()
    for finding in second["groups"]:
        finding["differing"] += 1
    one, other = run_of(first), run_of(second)

    assert {json.dumps(each["partialFingerprints"]) for each in one["results"]} == {
        json.dumps(each["partialFingerprints"]) for each in other["results"]
    }
    assert one["automationDetails"]["id"].rpartition("/")[0] == "echolane/shop"
    assert one["automationDetails"]["id"] != other["automationDetails"]["id"]


def test_a_viewer_reads_no_markup_of_theirs(poisoned: dict[str, Any]) -> None:
    """No link, placeholder, control or address of another host comes of a recorded text."""
    run = run_of(poisoned)
    texts = [one["message"]["text"] for one in run["results"]]
    texts += [one["locations"][0]["message"]["text"] for one in run["results"]]
    texts += [rule["fullDescription"]["text"] for rule in run["tool"]["driver"]["rules"]]
    addresses = [one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in run["results"]]

    assert all(text.replace("\u200b", "").isprintable() for text in texts)
    assert not any(re.search(r"\]\(|\{\d|@\w|#\d|<[\w/!]|\w://", text) for text in texts)
    assert all(re.fullmatch(r"[A-Za-z0-9_.~/%-]*", address) and not address.startswith("/") for address in addresses)


def test_a_log_is_bounded() -> None:
    """As many results as a host takes, the gravest first; the properties say how many are left out."""
    result = failing()
    result["groups"] = [{**result["groups"][-1], "id": f"{n:016x}"} for n in range(RESULTS_MAX + 7)]
    result["groups"].append({**failing()["groups"][0], "severity": "breaking"})
    run = run_of(result)

    assert len(run["results"]) == RESULTS_MAX
    assert run["results"][0]["level"] == "error"
    assert run["properties"]["left_out"] == 8
    assert run["properties"]["findings"] == len(words.findings(result, "groups"))
