"""Rules on real processes: a run takes them from its folder, names them in its result, and tells what they hid."""

from __future__ import annotations

import json
import tomllib

from tests.e2e.world import World, places

ITEMS = [(f"/items/{n}", {}) for n in range(1, 25)]
RULE = """
[[rules]]
name = "{name}"
service = "shop"
endpoint = "/items/*"
where = "{where}"
matcher = "{matcher}"
reason = "told by the team"
owner = "team-shop"
expires = 2099-01-01
{more}
"""


def written(world: World, *rules: str) -> None:
    """The echolane.toml of the folder in which commands are called."""
    (world.folder / "echolane.toml").write_text("\n".join(rules), "utf-8")


def rule(name: str, where: str, matcher: str = "ignore", more: str = "") -> str:
    """One rule as a person writes it."""
    return RULE.format(name=name, where=where, matcher=matcher, more=more)


def test_a_run_with_rules_hides_what_they_explain_and_says_so(world: World) -> None:
    """The same change fails without the rule, passes with it, is counted and named, and expected on its branch alone."""
    world.record(world.app(), ITEMS)
    targets = ("--base-cmd", world.app_command(), "--branch-cmd", world.app_command("price"))
    bare, without = world.run(*targets)
    assert (bare.code, places(without)) == (1, {("body:$.price", "value")}), bare.err
    assert without["rules"] == {"version": None, "branch": None, "hidden": 0, "applied": []}

    written(world, rule("dearer", "body:$.price", "tolerance", "absolute = 1"))
    impact = world.call("rules", "impact", "--last", "5", "--home", world.home)
    assert "hides 24 differences in 1 finding of 1 run, 1 of them a regression" in impact.out, impact.err

    done, result = world.run(*targets)
    assert (done.code, result["verdict"]) == (0, "pass"), done.err
    (finding,) = [f for f in result["noise"] if f["rule"]]
    assert (finding["rule"], finding["where"], finding["differing"], finding["basis"]) == (
        "dearer",
        "body:$.price",
        24,
        "rule",
    )
    assert "told by the team" in finding["explanation"]
    assert finding["samples"]
    (applied,) = result["rules"]["applied"]
    assert (applied["name"], applied["hidden"], result["rules"]["hidden"]) == ("dearer", 24, 24)
    assert result["rules"]["version"]

    written(world, rule("dearer", "body:$.price", more='branch = "feat/*"'))
    on_branch, result = world.run(*targets, "--branch-name", "feat/prices")
    assert on_branch.code == 0, on_branch.err
    assert [(f["rule"], f["verdict"], f["where"]) for f in result["expected"]] == [
        ("dearer", "expected", "body:$.price")
    ]
    lines = [
        json.loads(line)
        for line in world.call("show", result["run"], "--exchanges", "--json", "--home", world.home).out.splitlines()
    ]
    assert {d["verdict"] for line in lines for d in line["differences"] if d["where"] == "body:$.price"} == {"expected"}
    assert {line["verdict"] for line in lines} == {"noise"}

    merged, result = world.run(*targets, "--branch-name", "main")
    assert (merged.code, places(result)) == (1, {("body:$.price", "value")}), merged.err


def test_a_refused_rule_stops_a_run_before_it_begins(world: World) -> None:
    """A rule that could hide everything is an error of configuration, with its file and line, and nothing is fired."""
    world.record(world.app(), ITEMS[:2])
    written(world, rule("all", "body:$.**"))
    done, result = world.run("--base-cmd", world.app_command(), "--branch-cmd", world.app_command())
    assert (done.code, result) == (2, {})
    assert "echolane.toml:2: rule `all` is refused (OVER_BROAD)" in done.err

    written(world, rule("old", "body:$.at").replace("2099", "2020"))
    done, result = world.run("--base-cmd", world.app_command(), "--branch-cmd", world.app_command())
    assert done.code == 0, done.err
    assert "(EXPIRED)" in done.err
    assert result["rules"]["applied"] == []


def test_noise_of_a_run_is_proposed_as_rules(world: World) -> None:
    """The export is TOML whose rules lack an owner alone."""
    world.record(world.app(), ITEMS)
    _, result = world.run("--base-cmd", world.app_command(), "--branch-cmd", world.app_command())
    text = world.call("rules", "export", result["run"], "--home", world.home).out
    proposed = tomllib.loads(text)["rules"]

    assert {"body:$.at", "body:$.served", "header:x-request-id"} <= {one["where"] for one in proposed}
    assert {one["owner"] for one in proposed} == {""}
    assert "differs in 24 of 24" in text
    (world.folder / "echolane.toml").write_text(text, "utf-8")
    assert "INVALID" in world.call("rules", "check").err
    (world.folder / "echolane.toml").write_text(text.replace('owner = ""', 'owner = "us"'), "utf-8")
    checked = world.call("rules", "check")
    assert (checked.code, checked.err) == (0, checked.err), checked.err
