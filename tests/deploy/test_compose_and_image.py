"""The compose file and the Dockerfile: parsed, held against the tree, and the image's install done for real."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from echolane.settings import load
from tests.deploy.commands import accepted
from tests.deploy.conftest import MANIFESTS

ROOT = MANIFESTS.parents[1]
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}")
PINNED = re.compile(r"[a-z0-9./-]+:\d+\.\d+[\w.-]*")


def secrets() -> dict[str, str]:
    """A filled-in .env."""
    names = re.findall(r"^([A-Z_]+)=(.*)$", (MANIFESTS / "compose.env.example").read_text("utf-8"), re.MULTILINE)
    return {name: value or "ab" * 32 for name, value in names}


def filled(value: Any, environ: dict[str, str]) -> Any:
    """Variables put in, as compose does; one that is required and not there is a KeyError."""
    if isinstance(value, dict):
        return {key: filled(one, environ) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, environ) for one in value]
    if not isinstance(value, str):
        return value
    return VARIABLE.sub(lambda hit: environ[hit[1]] if hit[1] in environ or hit[2] != "-" else hit[3], value)


@pytest.fixture
def compose() -> dict[str, Any]:
    """The compose file, filled in."""
    return filled(yaml.safe_load((MANIFESTS / "compose.yaml").read_text("utf-8")), secrets())


def ours(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The services that run Echolane."""
    return {name: one for name, one in compose["services"].items() if one["image"].startswith("echolane:")}


def test_the_compose_file_holds_together(compose: dict[str, Any]) -> None:
    """Every volume, dependency, condition and file that is named is there; every image is pinned, every part restarts and is waited for."""
    services, volumes = compose["services"], compose["volumes"]

    assert {"kafka", "clickhouse", "grafana", "agent", "replay", "diff", "migrate"} <= set(services)
    used: set[str] = set()
    for name, one in services.items():
        assert PINNED.fullmatch(one["image"]), one["image"]
        for needed, how in one.get("depends_on", {}).items():
            waits = {"service_healthy": "healthcheck", "service_completed_successfully": "command"}[how["condition"]]
            assert waits in services[needed], (name, needed)
        for mount in one.get("volumes", []):
            source = mount.partition(":")[0]
            if source.startswith("."):
                assert (MANIFESTS / source).exists(), source
            else:
                used.add(source)
        for port in one.get("ports", []):
            assert port.startswith("127.0.0.1:"), "nothing is open to the network without being asked"
    assert used == set(volumes)


def test_every_command_of_the_compose_file_is_ours(compose: dict[str, Any]) -> None:
    """Our own parser takes each command, our own loader each environment, and they lead to the parts of this file."""
    for name, one in ours(compose).items():
        found = load({}, {key: str(value) for key, value in one["environment"].items()}, MANIFESTS / "none")
        assert found.journal_url == "kafka://kafka:9092", name
        assert found.store == "clickhouse://echolane@clickhouse:9000/echolane"
        accepted([str(word) for word in one["command"]])


def test_our_parts_are_locked_down(compose: dict[str, Any]) -> None:
    """Not root, no capability, a read-only root, and a home that is a volume of its own."""
    homes = [mount for one in ours(compose).values() for mount in one["volumes"]]

    for one in ours(compose).values():
        assert (one["user"], one["read_only"], one["cap_drop"], one["tmpfs"]) == (
            "65532:65532",
            True,
            ["ALL"],
            ["/tmp"],
        )
        assert one["security_opt"] == ["no-new-privileges:true"]
    assert len(set(homes)) == len(homes)
    assert all(home.endswith(":/var/lib/echolane") for home in homes)


def test_no_secret_has_a_default() -> None:
    """Each password and key must be given; without it compose says which, and nothing starts with a known one."""
    text = (MANIFESTS / "compose.yaml").read_text("utf-8")
    wanted = {hit[0]: hit[1] for hit in VARIABLE.findall(text)}

    assert {name for name, how in wanted.items() if how == "?"} == {
        name for name in wanted if name.endswith(("PASSWORD", "_KEY"))
    }
    assert {name for name, how in wanted.items() if how == "?"} <= set(secrets())
    for name, value in yaml.safe_load(text)["services"]["clickhouse"]["environment"].items():
        assert "PASSWORD" not in name or value.startswith("${")
    empty = re.findall(r"^([A-Z_]+(?:PASSWORD|KEY))=$", (MANIFESTS / "compose.env.example").read_text(), re.MULTILINE)
    assert set(empty) == {name for name, how in wanted.items() if how == "?"}


def test_grafana_reads_as_the_user_who_may_only_read(compose: dict[str, Any]) -> None:
    """The data source and ClickHouse's file of users agree on one user, whose profile is read-only and who sees one database."""
    (source,) = yaml.safe_load((MANIFESTS / "compose" / "grafana-datasource.yaml").read_text("utf-8"))["datasources"]
    user = ET.parse(MANIFESTS / "compose" / "dashboards-user.xml").getroot().find("users/dashboards")

    assert source["jsonData"]["username"] == user.tag
    assert source["jsonData"]["host"] in compose["services"]
    assert user.findtext("profile") == "readonly"
    assert [one.text for one in user.findall("grants/query")] == ["GRANT SELECT ON echolane.*"]
    assert user.find("password").attrib == {"from_env": "DASHBOARDS_PASSWORD"}
    assert "DASHBOARDS_PASSWORD" in compose["services"]["clickhouse"]["environment"]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, lines joined."""
    text = (MANIFESTS / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, " ".join(rest.split())) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_is_pinned_and_runs_as_nobody() -> None:
    """Two stages on a base with a whole version, a user by number, a home of its own, and nothing secret among its words."""
    found = instructions()
    last = [index for index, (word, _) in enumerate(found) if word == "FROM"][-1]
    final = dict(found[last:])

    assert all(PINNED.match(rest) for word, rest in found if word == "FROM")
    assert len([word for word, _ in found if word == "FROM"]) == 2
    assert final["USER"] == "65532:65532"
    assert json.loads(final["ENTRYPOINT"]) == ["echolane"]
    assert json.loads(final["VOLUME"]) == ["/var/lib/echolane"]
    assert "ECHOLANE_HOME=/var/lib/echolane" in final["ENV"]
    assert final["STOPSIGNAL"] == "SIGTERM"
    assert not any(re.search(r"PASSWORD|SECRET|TOKEN|_KEY", rest) for _, rest in found)
    load({}, dict(word.split("=", 1) for word in final["ENV"].split()), MANIFESTS / "none")


def copied(folder: Path) -> None:
    """What the build stage copies, as its ignore file lets it."""
    rules = [
        line for line in (MANIFESTS / "Dockerfile.dockerignore").read_text().splitlines() if line and line[0] != "#"
    ]
    let = {rule[1:] for rule in rules if rule.startswith("!")}
    assert rules[0] == "*"
    hidden = [rule.rpartition("/")[2] for rule in rules if rule.startswith("**/")]
    for word, rest in instructions():
        if word != "COPY" or rest.startswith("--from"):
            continue
        *sources, target = rest.split()
        for source in sources:
            assert source in let, f"{source} is not let through by Dockerfile.dockerignore"
            place = ROOT / source
            assert place.exists(), source
            if place.is_dir():
                ignore = shutil.ignore_patterns(*hidden)
                shutil.copytree(place, folder / target, ignore=ignore)
            else:
                shutil.copy(place, folder / target)
    assert not [path for path in folder.rglob("*") if any(fnmatch.fnmatch(path.name, name) for name in hidden)]


def test_what_the_image_copies_is_all_that_it_needs(tmp_path: Path) -> None:
    """The build stage's own install, from nothing but the files it copies, gives a program whose every command starts."""
    source, target = tmp_path / "src", tmp_path / "site"
    source.mkdir()
    copied(source)
    (install,) = [rest for word, rest in instructions() if word == "RUN" and rest.startswith("/opt/echolane/bin/pip")]
    words = shlex.split(install)
    assert words[0] == "/opt/echolane/bin/pip"
    assert words[-1] == ".[kafka,clickhouse,otel]"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), "."]
    done = subprocess.run(
        [*command, "--disable-pip-version-check"], cwd=source, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr

    # Beside what was installed stands the environment of the tests, in which the tree itself is installed, too.
    code = (
        "import importlib, sys; target, *rooms = sys.argv[1:]; sys.path.insert(0, target); "
        "assert all(importlib.import_module(room).__file__.startswith(target) for room in rooms); "
        "import console.main as m; [m.build_parser(name) for name in m.COMMANDS]; "
        "from echolane.store.migrate import migrations; print(len(migrations()))"
    )
    rooms = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
    told = subprocess.run(
        [sys.executable, "-P", "-c", code, str(target), *rooms],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert int(told.stdout) >= 4


def test_the_image_runs_the_compiled_form(modules: Path, tmp_path: Path) -> None:
    """What the build stage copies is enough to compile from; what it builds, put where its commands put it, is what an installed differ takes."""
    source, site = tmp_path / "src", tmp_path / "site"
    source.mkdir()
    copied(source)
    code = "from pathlib import Path; from compiling.building import sources; sources(Path('made'))"
    (source / "made").mkdir()
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, timeout=60)

    (build,) = [rest for word, rest in instructions() if word == "RUN" and "-m compiling" in rest]
    *_, copying = [shlex.split(step) for step in build.split(" && ")]
    python = next(rest for word, rest in instructions() if word == "FROM").split(":")[1].rpartition(".")[0]
    assert copying == ["cp", "-r", "build/compiled", f"/opt/echolane/lib/python{python}/site-packages/build/"]
    for room in ("differ", "echolane"):  # as pip lays them into site-packages, flat
        shutil.copytree(source / room, site / room)
    shutil.copytree(modules.parent, site / "build" / "compiled")
    told = subprocess.run(
        [sys.executable, "-P", "-c", "import differ.walk; print(differ.walk.__file__)"],
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert Path(told.stdout.strip()).parent == site / "build" / "compiled" / "differ"
    assert told.stdout.strip().endswith(".so")
