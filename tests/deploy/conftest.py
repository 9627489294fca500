"""The deployment files as a person would use them: a real Helm renders the chart, YAML is parsed, commands go to our own parser."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest
import yaml

from bench import helm

MANIFESTS = Path(__file__).resolve().parents[2] / "deploy" / "manifests"
CHART = MANIFESTS / "chart"
KUBERNETES = "1.31.0"
"""What it is rendered for; Helm built from its module alone takes an old one."""


class Rendered(NamedTuple):
    """What Helm made of the chart, or why not."""

    code: int
    text: str
    error: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Every object."""
        assert self.code == 0, self.error
        return [one for one in yaml.safe_load_all(self.text) if one]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The objects of a kind."""
        return [one for one in self.objects if one["kind"] == kind]


Render = Callable[..., Rendered]


@pytest.fixture(scope="session")
def program(lacking: Callable[[str], NoReturn]) -> str:
    """Helm, built once."""
    try:
        helm.install()
    except SystemExit as error:
        lacking(f"needs Helm, which could not be built: {str(error)[:400]}; {helm.HINT}")
    return str(helm.HELM)


@pytest.fixture
def render(program: str, tmp_path: Path) -> Render:
    """``render(values)``: the chart with these values."""

    def rendered(values: dict[str, Any] | None = None, *words: str) -> Rendered:
        file = tmp_path / "values.yaml"
        file.write_text(yaml.safe_dump(values or {}), "utf-8")
        command = [program, "template", "one", str(CHART), "--namespace", "ns", "--values", str(file)]
        done = subprocess.run(
            [*command, "--kube-version", KUBERNETES, *words], capture_output=True, text=True, check=False, timeout=120
        )
        return Rendered(done.returncode, done.stdout, done.stderr)

    return rendered
