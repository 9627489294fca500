"""The JSON Schema of echolane.toml: what it takes is what the program takes, and the published copy is the program's."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

from console.config_schema import schema
from console.main import main
from echolane.errors import UsageError
from echolane.settings import BOUNDS, SHORT, WHAT, Settings, load
from tests.docs.rendered import REFERENCE, SCHEMA, schema_text

ROOT = Path(__file__).resolve().parents[2]
VALIDATOR = jsonschema_rs.Draft202012Validator(schema())
BLOCK = re.compile(r"^```toml\n(.*?)^```", re.DOTALL | re.MULTILINE)
EXAMPLES = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}:{number}")
    for page in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    for number, block in enumerate(BLOCK.findall(page.read_text("utf-8")))
    if "…" not in block and not block.startswith("[project.")  # a part of one; a package's own file
]
WHOLE = """
home = "/var/lib/echolane"
journal = "kafka://kafka-1:9092"
[replay]
pace = "10/s..500/s over 5m"
concurrency = 32
total_timeout_s = 10
methods = "safe"
[targets.branch]
origin = true
[targets.branch.credentials]
provider = "static"
env = "TOKEN"
[[writes]]
route = "POST /orders"
fire = true
reason = "idempotent"
[[rules]]
where = "$.price"
matcher = "tolerance"
absolute = 0.01
reason = "rounding"
owner = "shop"
expires = 2030-01-31
[[oidc.roles]]
role = "viewer"
services = ["*"]
group = "staff"
[[up.record]]
service = "shop"
listen = "127.0.0.1:8080"
upstream = "http://127.0.0.1:8000"
"""
WRONG = {
    "an unknown key": ("[replay]\nconcurency = 3", "concurency"),
    "an unknown table": ("[reply]\npace = 'max'", "reply"),
    "a wrong type": ("seal = 'nearly'", "nearly"),
    "a list that is none": ("[capture]\npaths = '/a'", "/a"),
    "out of bounds": ("[replay]\nconcurrency = 0", "minimum"),
    "a word that is none": ("[replay]\nmethods = 'none'", "none"),
    "a form that is none": ("journal = 'postgres://x'", "postgres"),
    "an unknown provider": ("[targets.branch]\ncredentials = 'mine'", "mine"),
    "a truth that is none": ("[targets.branch]\norigin = 1", "boolean"),
    "an unknown key of a hook": ("[[hooks]]\nservice = 'a'\nbase = 'b'\nbranch = 'c'\nsecret = 'x'", "secret"),
    "a rule without an owner": ("[[rules]]\nwhere = '$'\nmatcher = 'ignore'\nreason = 'x'", "owner"),
    "a write without a reason": ("[[writes]]\nroute = 'POST /'\nfire = true", "reason"),
}


def read(text: str) -> Any:
    """A file as validators see it: JSON has no days."""
    return orjson.loads(orjson.dumps(tomllib.loads(text), default=date.isoformat))


def test_the_schema_is_one() -> None:
    """It is a schema of draft 2020-12, every setting has its words in it, and every word of it is some table's."""
    jsonschema_rs.meta.validate(schema())
    for key, what in WHAT.items():
        node = schema()
        for name in key.split("."):
            found = node["properties"][name]
            node = found["anyOf"][1] if name in SHORT and "anyOf" in found else found
        assert node["description"] == what


def test_the_command_prints_what_is_published(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any
) -> None:
    """`echolane config schema` and the copy in the reference are one, and a broken echolane.toml is no hindrance."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "echolane.toml").write_text("nothing = 1", "utf-8")

    assert main(["config", "schema"]) == 0
    assert capsys.readouterr().out == (REFERENCE / SCHEMA).read_text("utf-8") == schema_text()


@pytest.mark.parametrize("text", ["", WHOLE, *EXAMPLES])
def test_what_the_documents_show_is_valid(text: str) -> None:
    """Every TOML of the documents validates, and so does an empty file."""
    assert [error.message for error in VALIDATOR.iter_errors(read(text))] == []


@pytest.mark.parametrize("case", list(WRONG))
def test_what_is_wrong_is_told(case: str) -> None:
    """A misspelled key, a wrong type and a value out of bounds are errors that name them."""
    text, named = WRONG[case]
    errors = [str(error) for error in VALIDATOR.iter_errors(read(text))]
    assert errors
    assert named in "\n".join(errors)


@pytest.mark.parametrize("key", list(WHAT))
def test_the_schema_takes_what_the_program_takes(key: str, tmp_path: Path) -> None:
    """Each setting, at its bounds and beyond, as each type: program and schema agree (but for numbers written as texts)."""
    default: Any = Settings()
    for name in key.split("."):
        default = getattr(default, name)
    values: list[Any] = [
        default,
        True,
        0,
        1,
        7,
        -1,
        2.5,
        10**15,
        "",
        "x",
        "max",
        "all",
        "skip",
        "sqlite",
        [],
        ["a"],
        [1],
    ]
    values += [edge + step for edge in BOUNDS.get(key, ()) for step in (-1, 0, 1)]
    for value in values:
        if isinstance(value, str) and not isinstance(default, str):
            continue
        *rooms, leaf = key.split(".")
        text = "".join(f"[{room}]\n" for room in rooms) + f"{leaf} = {orjson.dumps(value).decode()}\n"
        path = tmp_path / "echolane.toml"
        path.write_text(text, "utf-8")
        try:
            load({}, {}, path)
        except UsageError:
            taken = False
        else:
            taken = True
        assert VALIDATOR.is_valid(read(text)) == taken, text
