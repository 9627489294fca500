"""Dashboards as code: the files are what the code builds, ask for what exists, and alerts fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from console.grafana import files
from dashboards.panels import GRAFANA, METRICS, STORE, dashboards, written
from tests.e2e.world import World

HERE = Path(__file__).parent
PACKAGE = GRAFANA.parent


def test_the_files_are_what_the_code_builds() -> None:
    """`python -m dashboards.panels` has been run since the code changed, and no file is left over."""
    assert {path: path.read_text("utf-8") for path in GRAFANA.glob("*.json")} == written()


def test_dashboards_fit_grafana() -> None:
    """Ids of their own, panels side by side and never over each other, data sources that the provisioning makes."""
    sources = {
        one["uid"]: one["type"]
        for one in yaml.safe_load((PACKAGE / "provisioning/datasources.yaml").read_text())["datasources"]
    }
    found = dashboards()

    assert sources == {STORE["uid"]: STORE["type"], METRICS["uid"]: METRICS["type"]}
    assert len({one["uid"] for one in found.values()}) == len(found)
    titles = [panel["title"] for one in found.values() for panel in one["panels"]]
    assert len(set(titles)) == len(titles)
    for one in found.values():
        taken: set[tuple[int, int]] = set()
        assert len({panel["id"] for panel in one["panels"]}) == len(one["panels"])
        for panel in one["panels"]:
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert place["x"] + place["w"] <= 24
            assert not cells & taken, panel["title"]
            taken |= cells
            assert sources[panel["datasource"]["uid"]] == panel["datasource"]["type"]


def test_no_panel_reads_a_table_in_which_rows_stand_twice() -> None:
    """Every statement reads views that fold, and every count is of them."""
    statements = [
        target["rawSql"]
        for one in dashboards().values()
        for panel in one["panels"]
        for target in panel["targets"]
        if "rawSql" in target
    ]

    assert statements
    for statement in statements:
        assert set(re.findall(r"(?:FROM|JOIN) (\w+)", statement)) <= {
            "runs_v",
            "results_v",
            "findings_v",
            "noise_runs_v",
            "noise_v",
            "capacities_v",
            "capacity_steps_v",
        }, statement


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    """Prometheus' own tool reads the rules and runs them over written histories: loss, not sampling; a restart is no loss."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not here (Debian: prometheus)")
    for path in (PACKAGE / "prometheus/alerts.yaml", HERE / "alerts_test.yaml"):
        shutil.copy(path, tmp_path)
    for words in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]):
        done = subprocess.run([tool, *words], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_export_writes_all_of_it(tmp_path: Path) -> None:
    """`echolane grafana export DIR` writes what Grafana and Prometheus read, twice the same, and refuses a file."""
    world = World(tmp_path)
    for _ in range(2):
        done = world.call("grafana", "export", tmp_path / "out")
        assert done.code == 0, done
    kept = {
        str(path.relative_to(tmp_path / "out")): path.read_text("utf-8")
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }

    assert kept == files()
    assert {
        "dashboards/runs.json",
        "provisioning/datasources/echolane.yaml",
        "provisioning/dashboards/echolane.yaml",
        "prometheus/alerts.yaml",
    } <= set(kept)
    assert all(json.loads(text)["panels"] for name, text in kept.items() if name.endswith(".json"))
    (tmp_path / "file").touch()
    assert world.call("grafana", "export", tmp_path / "file").code == 2
