"""``echolane grafana export``: the dashboards, what provisions them, and the alerts, as files for Grafana and Prometheus."""

from __future__ import annotations

import argparse
from pathlib import Path

import dashboards
from console.output import say
from echolane.errors import UsageError, unwritable

EPILOG = """examples:
  echolane grafana export ./grafana
  cp -r ./grafana/provisioning/. /etc/grafana/provisioning/"""
FOLDERS = {"grafana": "*.json", "provisioning": "*.yaml", "prometheus": "*.yaml"}
"""Folders of the package that people take, and what lies there."""
PLACES = {
    "grafana": "dashboards",
    "provisioning/datasources.yaml": "provisioning/datasources/echolane.yaml",
    "provisioning/dashboards.yaml": "provisioning/dashboards/echolane.yaml",
}
"""Where Grafana looks for them; what is not named keeps its place."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.epilog = EPILOG
    parser.add_argument("action", choices=["export"], help="write the files")
    parser.add_argument(
        "folder",
        type=Path,
        metavar="DIR",
        help="the folder into which they are written; our own files there are replaced",
    )


def execute(args: argparse.Namespace) -> int:
    """Write all of them."""
    folder: Path = args.folder
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    count = 0
    for name, text in sorted(files().items()):
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        except OSError as error:
            raise unwritable(f"`{path}`", error) from error
        count += 1
    say(
        f"{count} files in {folder}: dashboards/ for Grafana, provisioning/ for what finds them, prometheus/ for Prometheus"
    )
    return 0


def files() -> dict[str, str]:
    """Each file by where it is written, and what stands in it."""
    package = Path(dashboards.__file__).parent
    found: dict[str, str] = {}
    for folder, pattern in FOLDERS.items():
        for path in package.joinpath(folder).glob(pattern):
            name = f"{folder}/{path.name}"
            found[PLACES.get(name, f"{PLACES.get(folder, folder)}/{path.name}")] = path.read_text("utf-8")
    return found
