"""Triage: what is said of a finding holds in the next runs, as wide as the finding and no wider, until it is taken back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.e2e.api_parts import Answer, Served, log_of
from tests.e2e.world import World, places

TARGET = '[[api_targets]]\nservice = "shop"\nname = "{name}"\nurl = "http://127.0.0.1:{port}"\n'
OTHERS = {"worse": ("price", "feature"), "gone": ("gone",), "broken": ("broken",)}
FEATURE, MAIN = "feat/prices", "main"


class Desk(NamedTuple):
    """A server whose branch has another price, with worse branches; an editor of `shop`; and what a run found first."""

    served: Served
    editor: str
    first: dict[str, Any]
    """Of the branch, when it had no name and nothing was said."""

    def run(self, branch: str, target: str = "next") -> dict[str, Any]:
        """The result of a run of a branch."""
        run = self.served.run(branch=target, **({"branch_name": branch} if branch else {}))
        assert self.served.ended(run)["state"] == "finished"
        return self.served.ask("GET", f"/api/v1/runs/{run}").json

    def say(self, run: str, finding: str, decision: str, **more: Any) -> Answer:
        """One word."""
        headers = {"Idempotency-Key": more.pop("key")} if "key" in more else None
        body = {"decision": decision, "note": "as the team told", **more}
        path = f"/api/v1/runs/{run}/findings/{finding}/triage"
        return self.served.ask("POST", path, body, token=self.editor, headers=headers)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One server for all tests of this file."""
    world = World(tmp_path_factory.mktemp("triage"))
    more = "".join(TARGET.format(name=name, port=world.app(*changes)) for name, changes in OTHERS.items())
    served = Served(world, exchanges=12, more=more)
    bare = Desk(served, served.token("editor", "shop"), {})
    yield bare._replace(first=bare.run(""))
    faults = log_of(world.home)
    for process in world.started:
        process.kill()
        process.wait(10)
    assert "api.fault" not in faults


def of(result: dict[str, Any], part: str, finding: str) -> dict[str, Any]:
    """The finding of one part."""
    (found,) = [one for one in result[part] if one["id"] == finding]
    return found


def test_what_is_intended_is_expected_on_its_branch_alone(desk: Desk) -> None:
    """Said once, the branch passes; a change at another place beside it is reported, and on main the same one; it is told who said it."""
    first, (finding,) = desk.first, desk.first["groups"]
    preview = desk.served.ask("GET", f"/api/v1/runs/{first['run']}/findings/{finding['id']}/triage/preview").json
    assert (preview["differences"], preview["findings"], preview["regressions"], preview["rules"]) == (12, 1, 1, 1)
    assert (preview["refused"], preview["others"]) == (None, [])
    assert preview["runs"] == [first["run"]]
    intended = {"owner": "team-shop", "branch": FEATURE, "key": "click-0001"}
    said, again = (desk.say(first["run"], finding["id"], "intended", **intended) for _ in range(2))
    other = desk.say(first["run"], finding["id"], "noise", owner="team-shop", key="click-0001")
    assert (said.status, again.status, other.status) == (201, 200, 422)
    assert said.json == again.json
    assert (said.json["branch"], said.json["who"], said.json["run"]) == (FEATURE, "editor of a test", first["run"])

    passed = desk.run(FEATURE)
    told = of(passed, "expected", finding["id"])
    assert (passed["verdict"], passed["groups"]) == ("pass", [])
    same = ("where", "kind", "endpoint", "differing", "observed", "severity", "samples")
    assert {name: told[name] for name in same[:-1]} == {name: finding[name] for name in same[:-1]}
    assert [one["branch"] for one in told["samples"]] == [one["branch"] for one in finding["samples"]]
    assert (told["basis"], told["triage"]["decision"], told["triage"]["owner"]) == ("rule", "intended", "team-shop")
    assert [one["triage"] for one in passed["rules"]["applied"]] == [finding["id"]]

    worse = desk.run(FEATURE, "worse")
    assert (worse["verdict"], places(worse)) == ("fail", {("header:x-features", "value")})
    assert of(worse, "expected", finding["id"])["differing"] == 12

    main = desk.run(MAIN)
    assert (main["verdict"], places(main)) == ("fail", {("body:$.price", "value")})
    assert desk.say(passed["run"], finding["id"], "open").status == 201
    entries = desk.served.ask("GET", "/api/v1/audit").json["entries"]
    ours = [one for one in entries if one["operation"] == "decideFinding" and one["status"] in {200, 201}]
    assert [one["what"].split(":")[0] for one in ours] == ["open", "intended", "intended"]
    assert {one["service"] for one in ours} == {"shop"}


def test_a_bug_stays_a_regression_and_noise_is_none(desk: Desk) -> None:
    """A known bug fails the run and says so; said to be noise it is so in every branch; as a rule in git it is git's, which no word overrules."""
    (finding,) = desk.first["groups"]
    assert desk.say(desk.first["run"], finding["id"], "bug", note="see SHOP-17", owner="ann").status == 201
    known = desk.run(FEATURE)
    assert (known["verdict"], known["groups"][0]["triage"]["decision"]) == ("fail", "bug")
    assert known["groups"][0]["explanation"] == "known bug (owner ann, said by editor of a test): see SHOP-17"
    of_run = desk.served.ask("GET", f"/api/v1/runs/{known['run']}/triage", token=desk.editor).json
    of_service = desk.served.ask("GET", "/api/v1/services/shop/triage?decision=bug", token=desk.editor).json
    assert of_run == of_service
    assert [one["note"] for one in of_run["decisions"]] == ["see SHOP-17"]
    listed = f"/api/v1/runs/{known['run']}/findings"
    held = {
        word: [
            one["id"] for one in desk.served.ask("GET", f"{listed}?decision={word}", token=desk.editor).json["findings"]
        ]
        for word in ("bug", "noise", "none")
    }
    assert finding["id"] in held["bug"]
    assert finding["id"] not in held["noise"] + held["none"]
    assert desk.served.ask("GET", f"{listed}?decision=open", token=desk.editor).status == 400

    assert desk.say(known["run"], finding["id"], "noise").status == 201
    quiet = desk.run("any/branch")
    assert (quiet["verdict"], of(quiet, "noise", finding["id"])["triage"]["decision"]) == ("pass", "noise")
    assert (
        desk.served.ask("GET", "/api/v1/services/shop/triage?decision=bug", token=desk.editor).json["decisions"] == []
    )

    (said,) = desk.served.ask("GET", "/api/v1/services/shop/rules", token=desk.editor).json["rules"]
    assert (said["finding"], said["decision"], said["owner"]) == (finding["id"], "noise", "editor of a test")
    assert desk.served.ask("GET", "/api/v1/services/depot/rules", token=desk.editor).status == 404

    exported = desk.served.world.call(
        "rules", "export", "--triage", "--service", "shop", "--home", desk.served.world.home
    )
    assert desk.say(quiet["run"], finding["id"], "open").status == 201
    toml = desk.served.world.folder / "echolane.toml"
    before = toml.read_text("utf-8")
    toml.write_text(before + exported.out, "utf-8")
    assert "1 rule, 0 refused" in desk.served.world.call("rules", "check").err, exported
    in_git = desk.run(MAIN)
    (ruled,) = [one for one in in_git["noise"] if one["rule"]]
    (held,) = desk.served.ask("GET", "/api/v1/services/shop/rules?branch=main", token=desk.editor).json["rules"]
    assert (held["rule"], held["decision"], held["source"].partition(":")[0]) == (ruled["rule"], None, "echolane.toml")
    assert (in_git["verdict"], ruled["rule"], ruled["triage"]) == ("pass", f"triage {finding['id'][:12]}", None)
    refused = desk.say(in_git["run"], ruled["id"], "bug")
    assert (refused.status, refused.json["type"]) == (409, "urn:echolane:problem:conflict")
    toml.write_text(before, "utf-8")


def test_another_status_hides_its_own_answers_and_no_other_status(desk: Desk) -> None:
    """404 for 200 is said to be intended, with the answers that follow from it: then they pass; 500 for 200 at the same endpoint does not."""
    gone = desk.run(FEATURE, "gone")
    assert {one["where"] for one in gone["groups"]} == {"status"}
    (finding,) = gone["groups"]
    assert finding["places_count"] > 1
    said = desk.say(gone["run"], finding["id"], "intended")
    assert said.status == 201, said
    passed = desk.run(FEATURE, "gone")
    assert (passed["verdict"], passed["groups"], of(passed, "expected", finding["id"])["differing"]) == ("pass", [], 4)
    broken = desk.run(FEATURE, "broken")
    assert (broken["verdict"], {(one["where"], one["id"] == finding["id"]) for one in broken["groups"]}) == (
        "fail",
        {("status", False)},
    )
    assert broken["expected"] == []
    again = desk.say(passed["run"], finding["id"], "noise").json  # of what that run tells as a rule's
    assert {name: again[name] for name in ("places", "endpoints")} == {
        name: said.json[name] for name in ("places", "endpoints")
    }
    assert desk.say(gone["run"], finding["id"], "open").status == 201


def test_what_would_hide_too_much_is_refused_as_a_rule_would_be(desk: Desk) -> None:
    """A day that has passed or is none, intended where the branch has no name, a finding that is none: a code, and nothing is kept."""
    run, finding = desk.first["run"], desk.first["groups"][0]["id"]
    cases = [
        ({"decision": "noise", "expires": "2020-01-01"}, "EXPIRED"),
        ({"decision": "noise", "expires": "2027-02-31"}, "INVALID"),
        ({"decision": "bug", "expires": "2027-13-01"}, "INVALID"),
        ({"decision": "intended"}, "INVALID"),
    ]
    before = desk.served.ask("GET", "/api/v1/services/shop/triage").json
    for body, code in cases:
        answer = desk.say(run, finding, **body)
        assert (answer.status, answer.json["type"]) == (422, "urn:echolane:problem:refused-rule"), body
        assert answer.json["detail"].startswith(f"{code}: "), answer.json
    assert desk.say(run, "0" * 32, "noise").status == 404
    assert desk.say(run, finding, "intended", branch="feat/*").status == 400
    assert desk.served.ask("GET", "/api/v1/services/shop/triage").json == before
    assert desk.say(run, finding, "intended", branch="other").status == 201
    listed = desk.served.ask("GET", "/api/v1/services/shop/triage?limit=1").json
    assert [(one["decision"], one["branch"]) for one in listed["decisions"]] == [("intended", "other")]
    assert (listed["next"] is None) == (before["decisions"] == [])
