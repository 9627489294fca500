"""Check runs at GitHub, told by a real server with real runs: by an application whose tokens end, whatever is lost, and not by who may not."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator

import pytest

from tests.e2e.api_parts import WAIT_S, Served, log_of
from tests.e2e.checks_parts import GitHubDouble
from tests.e2e.forge_parts import TOKEN
from tests.e2e.test_hooks_told import HOOK, SECRET, SETTINGS, ZERO, sha
from tests.e2e.world import World, files_below
from tests.waiting import wait_until


class Told(Served):
    """A server that tells one GitHub: of `shop` as an application, of `depot` by a plain token."""

    def __init__(self, world: World, forge: GitHubDouble) -> None:
        self.forge = forge
        world.environ |= {"HOOK_SECRET": SECRET, "ECHOLANE_API_MISSED_PUSHES_S": "0"}
        token, key = world.folder / "token", world.folder / "app.pem"
        token.write_text(f"{TOKEN}\n", "ascii")
        key.write_bytes(forge.pem())
        plain = HOOK.format(service="depot", forge="github", token=token, api=forge.api, more="")
        app = HOOK.format(service="shop", forge="github", token="", api=forge.api, more="")
        app = app.replace('token_file = ""', f'app_id = 4242\napp_key_file = "{key}"')
        super().__init__(world, exchanges=6, settings=SETTINGS, more=app + plain)

    def push(self, commit: str, branch: str, before: str = ZERO, repository: str = "acme/shop") -> str:
        """A push of a branch; its run."""
        tree = {
            "ref": f"refs/heads/{branch}",
            "before": before,
            "after": commit,
            "repository": {"full_name": repository},
        }
        body = json.dumps(tree).encode()
        mac = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={mac}", "Content-Type": "application/json"}
        answer = self.ask("POST", "/hooks/github", body, token=None, headers=headers)
        assert answer.status == 202, answer
        return answer.json["pushes"][0]["run"]

    def told(self, commit: str) -> dict[str, str]:
        """What the API says that the forge was told of a commit."""
        listed = self.ask("GET", "/api/v1/pushes?limit=200").json["pushes"]
        return next(one["forge"] for one in listed if one["commit"] == commit)

    def wait_told(self, commit: str) -> None:
        """Wait until the forge has the verdict in both places."""
        wait_until(lambda: self.told(commit)["check"] == "told", WAIT_S)
        wait_until(lambda: self.forge.states(commit)[-1:] == ["failure"], WAIT_S)
        wait_until(lambda: self.forge.check(commit)["status"] == "completed", WAIT_S)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A server and its forge; at the end nothing that it wrote has a token or the key in it."""
    world = World(tmp_path_factory.mktemp("checks"))
    forge = GitHubDouble()
    yield (one := Told(world, forge))
    world.end()
    forge.close()
    assert "api.fault" not in log_of(world.home)
    written = [*files_below(world.home).values(), one.said.read_bytes()]
    # Whole, or so much of them that no bytes of a store or of a key are taken for one.
    secrets = [
        TOKEN.encode(),
        b"ghs_the-app",
        *(proof[:40].encode() for proof in forge.proofs),
        forge.pem().splitlines()[1],
    ]
    assert len(secrets) > 3
    assert [secret for secret in secrets for data in written if secret in data] == []


def test_a_push_has_a_check_run_with_a_note_for_each_finding(served: Told) -> None:
    """Under way, then completed with the verdict, the comment's text and the run's page, beside status and comment, all by one token of the app."""
    forge, commit = served.forge, sha("checked")
    pull = forge.pull("feature/c")
    run = served.push(commit, "feature/c")
    served.wait_told(commit)
    wait_until(lambda: forge.mine(pull), WAIT_S)
    check, result = forge.check(commit), served.ask("GET", f"/api/v1/runs/{run}").json
    assert (check["conclusion"], check["name"], check["external_id"]) == ("failure", "echolane/shop", run)
    assert check["details_url"] == f"https://echolane.example/runs/{run}"
    assert check["went"][-1] == "failure"
    assert set(check["went"][:-1]) <= {"queued", "in_progress"}
    assert check["output"]["summary"] == forge.mine(pull)[0]
    assert len(check["notes"]) == len(result["groups"]) > 0
    assert "price" in check["notes"][0]["title"]
    assert check["notes"][0]["path"].startswith("items/")
    assert forge.states(commit)[-1] == "failure"
    assert [call.path for call in forge.seen if call.path.endswith("access_tokens")] == [
        "/app/installations/77/access_tokens"
    ]
    served.ended(run)


def test_a_check_run_whose_answer_was_lost_is_not_made_twice(served: Told) -> None:
    """It is found again by its external id, also by a server that knows nothing of it; a note stands there once."""
    forge, commit = served.forge, sha("lost")
    forge.lost = 2
    served.push(commit, "feature/l")
    served.wait_told(commit)
    assert forge.lost == 1
    notes = forge.check(commit)["notes"]
    forge.lost = 0
    served.process.terminate()
    assert served.process.wait(60) == 0
    (served.world.home / "hooks" / "notices.log").unlink()
    served.start()
    later = sha("after it")
    served.push(later, "feature/l", commit)
    served.wait_told(later)
    assert forge.check(commit)["notes"] == notes != []


def test_a_token_of_an_app_is_renewed_before_its_end_and_when_it_is_refused(served: Told) -> None:
    """One that ends soon is asked for again, one that was taken back is dropped at its first refusal: all is told all the same."""
    forge, one, two, three = served.forge, *map(sha, ("short", "long", "taken back"))
    forge.tokens.clear()
    given, forge.lasts_s = forge.given, 299.0  # shorter than what is kept back: each that is told asks anew
    served.push(one, "feature/t")
    served.wait_told(one)
    assert forge.given > given + 1
    assert forge.check(one)["conclusion"] == "failure"
    forge.lasts_s = 3600.0
    served.push(two, "feature/t", one)
    served.wait_told(two)
    begun, given = len(forge.seen), forge.given
    forge.tokens.clear()
    served.push(three, "feature/t", two)
    served.wait_told(three)
    assert 401 in {call.status for call in forge.seen[begun:]}
    assert forge.given == given + 1
    assert forge.check(three)["conclusion"] == "failure"


def test_a_note_that_is_refused_keeps_no_verdict_back(served: Told) -> None:
    """422 for what is in a note: the check run is completed without notes, and the log says why."""
    forge, commit = served.forge, sha("refused note")
    forge.refuses = True
    served.push(commit, "feature/n")
    served.wait_told(commit)
    forge.refuses = False
    assert forge.check(commit)["notes"] == []
    wait_until(lambda: "check.without-notes" in log_of(served.world.home), WAIT_S)  # said once the forge has answered


def test_who_may_write_no_check_runs_tells_the_status_alone(served: Told) -> None:
    """A plain token: the status says it all; the API says of each push why there is no check run, the log says it once, GitHub is asked once."""
    forge, one, two = served.forge, sha("plain1"), sha("plain2")
    begun = len(forge.seen)
    served.push(one, "feature/p", repository="acme/depot")
    wait_until(lambda: forge.states(one)[-1:] == ["failure"], WAIT_S)
    served.push(two, "feature/p", one, repository="acme/depot")
    for commit in (one, two):
        wait_until(lambda commit=commit: forge.states(commit)[-1:] == ["failure"], WAIT_S)
        wait_until(lambda commit=commit: served.told(commit)["status"] == "told", WAIT_S)
        wait_until(lambda commit=commit: served.told(commit)["check"] == "given-up", WAIT_S)
        assert "only an app that may write checks" in served.told(commit)["why"]
    asked = [call for call in forge.seen[begun:] if call.method == "POST" and call.path.endswith("/check-runs")]
    assert [call.status for call in asked] == [403]
    assert log_of(served.world.home).count("only an app that may write checks") == 1
