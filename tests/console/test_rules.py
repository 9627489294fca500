"""``echolane rules`` on real files: what is wrong is told with its line, what applies with its reason, and nothing is guessed."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from console.main import main
from console.rules_files import written_rules
from console.rules_in_force import branch_of, rules_of_run
from differ.rules_reading import FIELDS
from differ.rules_refusing import CODES
from echolane.errors import UsageError

RULES = """# ours
[replay]
pace = "max"

[[rules]]
name = "clock"
service = "shop"
where = "body:$.at"
matcher = "ignore"
reason = '''
[[rules]] is no table here
'''
owner = "team-shop"
expires = 2099-01-01

[[rules]]
where = "body:$.**"
service = "shop"
matcher = "ignore"
reason = "all is noise"
owner = "team-shop"
permanent = true
"""
YAML = """
- name: price
  service: shop
  endpoint: /items/*
  method: GET
  where: body:$.price
  matcher: tolerance
  absolute: 0.01
  reason: rounded by the new library
  owner: team-shop
  expires: 2099-01-01
- name: typo
  where: body:$.x
  matchr: ignore
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rules in both kinds of files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "echolane.toml").write_text(RULES, "utf-8")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "shop.yaml").write_text(YAML, "utf-8")
    return tmp_path


def test_check_lists_rules_and_refuses_with_file_and_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rules on stdout, refusals on stderr, 2 when there is one."""
    assert main(["rules", "check"]) == 2
    out, err = capsys.readouterr()

    assert "clock" in out
    assert "price" in out
    assert "echolane.toml:16: rule `body:$.**` is refused (OVER_BROAD)" in err
    assert (
        "rules/shop.yaml:14: rule `typo` is refused (INVALID): unknown field `matchr`; did you mean `matcher`?" in err
    )
    assert "2 rules, 2 refused" in err


def test_check_of_good_rules_is_zero_and_json_is_whole(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A script gets every field; a comment in git changes no version."""
    (folder / "rules" / "shop.yaml").unlink()
    (folder / "echolane.toml").write_text(RULES.partition("\n[[rules]]\nwhere")[0], "utf-8")
    assert main(["rules", "check", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)

    assert [one["name"] for one in found["rules"]] == ["clock"]
    assert found["refused"] == []
    assert found["version"]


def test_explain_says_which_rule_applies_and_why(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By place, endpoint and kind; a rule that is kept away is named with the field that keeps it."""
    assert main(["rules", "explain", "body:$.price", "--endpoint", "GET /items/{id}", "--kind", "value"]) == 0
    assert re.search(r"price +yes .* tolerance .* rounded by the new library", capsys.readouterr().out)
    main(["rules", "explain", "body:$.price", "--endpoint", "POST /items/{id}"])
    assert "no: another method" in capsys.readouterr().out
    main(["rules", "explain", "body:$.price", "--kind", "missing"])
    assert "no: another kinds" in capsys.readouterr().out
    main(["rules", "explain", "body:$.other", "--json"])
    assert json.loads(capsys.readouterr().out) == []
    assert main(["rules", "explain"]) == 2


@pytest.mark.parametrize(
    "asked", [["price"], ["body:$.a[3]"], ["body:$.a", "--kind", "valu"], ["body:$.a", "--endpoint", "/a"]]
)
def test_explain_of_what_no_difference_has_is_an_error(
    folder: Path, capsys: pytest.CaptureFixture[str], asked: list[str]
) -> None:
    """Else a slip of the pen would read as the absence of rules."""
    assert main(["rules", "explain", *asked]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("rules/a.yaml", "- &x {where: a}\n- *x\n", "aliases"),
        ("rules/a.yaml", "- {where: [}\n", "is not YAML"),
        ("rules/a.yaml", "- where: a\n  expires: 2027-02-31\n", "line 2: `expires` cannot be read"),
        ("rules/a.yaml", "- where: a\n\towner: b\n", "line 2 is not YAML"),
        ("rules/a.yaml", "- ? [a]\n  : b\n", "line 1: the name of a field is a word"),
        ("echolane.toml", "\n[[rule]]\nwhere = 'a'\n", "line 2: `rule` is nothing known"),
        ("rules/a.yaml", "rule: []\n", "line 1"),
        ("rules/a.yaml", "- a\n", "line 1: a rule is a mapping"),
        ("rules/a.yaml", "- where: a\n  where: b\n", "line 2: field `where` stands there twice"),
        ("rules/a.yaml", "- !!python/object/apply:os.system [ls]\n", "mapping"),
        ("rules/a.yaml", "- where: !!python/name:os.system ''\n", "is not YAML"),
        ("rules/a.yaml", "[" * 500_000, "nests deeper"),
        ("rules/a.yaml", "x" * 1_100_000, "at most"),
        ("echolane.toml", "[rules]\nwhere = 'a'\n", "line 1: rules are written as [[rules]]"),
        ("echolane.toml", "rules = 3\n", "line 1"),
        ("echolane.toml", "[[rules]\n", "is not TOML"),
    ],
)
def test_a_file_that_is_no_file_of_rules_is_one_line(folder: Path, name: str, text: str, words: str) -> None:
    """Whatever it holds: nothing of it is run, and the error names the file."""
    (folder / name).write_text(text, "utf-8")
    with pytest.raises(UsageError, match=r"a\.yaml|echolane\.toml") as caught:
        written_rules(Path("echolane.toml"))

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_each_rule_has_a_name_of_its_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Findings are told apart by it: a name given twice is refused, rules that only their place names get two names."""
    one = "- {service: shop, where: 'body:$.a', matcher: ignore, reason: r, owner: o, permanent: true, endpoint: "
    (folder / "echolane.toml").write_text("", "utf-8")
    (folder / "rules" / "shop.yaml").write_text(f"{one}/a}}\n{one}/b}}\n", "utf-8")
    assert main(["rules", "check", "--json"]) == 0
    names = [rule["name"] for rule in json.loads(capsys.readouterr().out)["rules"]]
    assert names[0] == "body:$.a"
    assert names[1].startswith("body:$.a ")
    (folder / "rules" / "shop.yaml").write_text(
        f"{one}/a, name: x}}\n{one}/b, name: x}}\n{one}/c, name: 3}}\n", "utf-8"
    )
    assert main(["rules", "check"]) == 2
    err = capsys.readouterr().err
    assert "rules/shop.yaml:2: rule `x` is refused (INVALID): a rule of this name stands at rules/shop.yaml:1" in err
    assert "rules/shop.yaml:3: rule `body:$.a` is refused (INVALID): `name` needs a text, not 3" in err


def test_rules_are_no_settings_and_settings_no_rules(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same file holds both; a table of another name is still an error."""
    assert main(["config", "explain", "replay.pace"]) == 0
    capsys.readouterr()
    (folder / "echolane.toml").write_text("[[rule]]\nwhere = 'a'\n", "utf-8")
    assert main(["config"]) == 2
    assert "unknown setting `rule`" in capsys.readouterr().err


def test_no_files_are_no_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing to read is nothing wrong, and a run without rules has none."""
    monkeypatch.chdir(tmp_path)
    assert main(["rules", "check"]) == 0
    assert "0 rules, 0 refused" in capsys.readouterr().err
    assert rules_of_run("shop", None) == ([], "")


def test_a_folder_of_somebody_else_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other tools have folders called rules; without an echolane.toml beside it, it is not read, and that is said."""
    (folder / "echolane.toml").unlink()
    (folder / "rules" / "alerts.yaml").write_text("groups: []\n", "utf-8")
    assert main(["rules", "check"]) == 0
    assert "the folder rules/ is not read" in capsys.readouterr().err


def test_the_branch_is_what_ci_says() -> None:
    """The source of a pull request first."""
    assert branch_of({"GITHUB_HEAD_REF": "feat/x", "GITHUB_REF_NAME": "12/merge"}) == "feat/x"
    assert branch_of({"CI_COMMIT_REF_NAME": "topic"}) == "topic"


PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "rules.md"


def test_the_documented_rule_has_every_field_and_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In TOML and in YAML, and every code of a refusal is told on that page."""
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text("utf-8")
    toml, yaml = (
        re.findall(r"```toml\n(\[\[rules\]\].*?)```", page, re.DOTALL)[0],
        re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0],
    )
    assert set(re.findall(r"^(?:# )?(\w+) = ", toml, re.MULTILINE)) == set(FIELDS)
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE)) == set(CODES)
    Path("echolane.toml").write_text(toml.replace("2027", "2099"), "utf-8")
    assert main(["rules", "check", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    Path("echolane.toml").write_text("", "utf-8")
    Path("rules").mkdir()
    Path("rules/shop.yaml").write_text(yaml.replace("2027", "2099"), "utf-8")
    assert main(["rules", "check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == one["version"]
    assert tomllib.loads(toml)["rules"][0]["matcher"] == "tolerance"
