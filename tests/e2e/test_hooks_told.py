"""What forges are told of pushes, by a real server with real runs: a status for each commit, one comment for each pull request, whatever breaks."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest

from console.markdown import marker
from tests.e2e.api_parts import WAIT_S, Answer, Served, log_of
from tests.e2e.forge_parts import OTHER, TOKEN, Fault, ForgeDouble
from tests.e2e.world import World, files_below
from tests.waiting import wait_until

SECRET = "a secret of the tests alone"
SETTINGS = """
[api]
url = "https://echolane.example"
hosts = ["127.0.0.1"]
rate_per_s = 10000
burst = 100000
"""
HOOK = """
[[hooks]]
service = "{service}"
base = "released"
branch = "next"
forge = "{forge}"
repositories = ["acme/{service}"]
secret_env = "HOOK_SECRET"
token_file = "{token}"
api = "{api}"
{more}
"""
GONE = (
    HOOK.replace('"next"', '"gone"').format(
        service="depot", forge="gitlab", token="{token}", api="{api}", more="wait_s = 5\ncontext = 'replay'"
    )
    + """
[[api_targets]]
service = "depot"
name = "gone"
url = "http://127.0.0.1:9"
"""
)
PATIENT = {"ECHOLANE_REPLAY_FIRST_BYTE_TIMEOUT_S": "100", "ECHOLANE_REPLAY_TOTAL_TIMEOUT_S": "120"}
"""For runs that are held."""
KINDS = ("github", "gitlab", "gitea")
FAILED = {"github": "failure", "gitlab": "failed", "gitea": "failure"}


class Told(Served):
    """A server whose hooks tell three forges."""

    def __init__(self, world: World, forges: dict[str, ForgeDouble]) -> None:
        self.forges = forges
        world.environ["HOOK_SECRET"] = SECRET
        world.environ |= PATIENT
        world.environ["ECHOLANE_API_MISSED_PUSHES_S"] = (
            "0"  # forges are told here; they are asked in test_hooks_missed.py
        )
        token = world.folder / "token"
        token.write_text(f"{TOKEN}\n", "ascii")
        more = "".join(
            HOOK.format(service="shop", forge=kind, token=token, api=one.api, more="") for kind, one in forges.items()
        )
        slow = HOOK.format(service="depot", forge="github", token=token, api=forges["github"].api, more='pace = "1/s"')
        super().__init__(
            world,
            exchanges=15,
            settings=SETTINGS,
            more=more + slow + GONE.format(token=token, api=forges["gitlab"].api),
        )

    def push(self, kind: str, before: str, after: str, branch: str, *, repository: str = "acme/shop") -> Answer:
        """A push of a branch, as this forge delivers it."""
        tree: dict[str, Any] = {"ref": f"refs/heads/{branch}", "before": before, "after": after}
        tree |= {"repository": {"full_name": repository}, "project": {"path_with_namespace": repository}}
        return self.deliver(kind, "Push Hook" if kind == "gitlab" else "push", tree)

    def deliver(self, kind: str, event: str, tree: Any) -> Answer:
        """A delivery, signed as this forge signs."""
        body = json.dumps(tree).encode()
        mac = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "github": {"X-GitHub-Event": event, "X-Hub-Signature-256": f"sha256={mac}"},
            "gitlab": {"X-Gitlab-Event": event, "X-Gitlab-Token": SECRET},
            "gitea": {"X-Gitea-Event": event, "X-Gitea-Signature": mac},
        }[kind]
        answer = self.ask(
            "POST", f"/hooks/{kind}", body, token=None, headers={**headers, "Content-Type": "application/json"}
        )
        assert answer.status == 202, answer
        return answer

    def told(self, commit: str) -> dict[str, Any]:
        """What the API says that the forge was told of a commit."""
        listed = self.ask("GET", "/api/v1/pushes?limit=200").json["pushes"]
        return next(one["forge"] for one in listed if one["commit"] == commit)

    def markdown(self, run: str) -> str:
        """What `echolane show RUN --markdown FILE` writes."""
        path = self.world.folder / f"{run}.md"
        done = self.world.call("show", run, "--markdown", path, "--home", self.world.home)
        assert done.code == 0, done.err
        return path.read_text("utf-8")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A server and its forges; at the end nothing that it wrote has the token in it."""
    world = World(tmp_path_factory.mktemp("told"))
    forges = {kind: ForgeDouble(kind) for kind in KINDS}
    yield (one := Told(world, forges))
    for process in world.started:
        process.kill()
        process.wait(10)
    for forge in forges.values():
        forge.close()
    assert "api.fault" not in log_of(world.home)
    written = files_below(world.home) | {one.said: one.said.read_bytes()}
    assert [path for path, data in written.items() if TOKEN.encode() in data] == []


def sha(text: str) -> str:
    """A commit."""
    return hashlib.sha1(text.encode()).hexdigest()


ZERO = "0" * 40


@pytest.mark.parametrize("kind", KINDS)
def test_a_push_is_told_as_a_status_and_one_comment(served: Told, kind: str) -> None:
    """Pending, then the verdict with the run's page; the comment is that of `show --markdown`, found among many, edited by the next push."""
    forge, first, second = served.forges[kind], sha(f"{kind}1"), sha(f"{kind}2")
    for number in range(60):
        forge.pull(f"other/{number}")
    forge.pull("feature/a", fork=True)
    pull = forge.pull("feature/a", comments=120)
    theirs = forge.comment(pull, marker("shop") + "\nwritten by somebody else", OTHER)
    with (
        served.held()
    ):  # what comes is told in the place of what was not told yet: a run of a moment would never be pending
        run = served.push(kind, ZERO, first, "feature/a").json["pushes"][0]["run"]
        wait_until(lambda: forge.states(first), WAIT_S)
    wait_until(lambda: forge.mine(pull), WAIT_S)
    page = f"https://echolane.example/runs/{run}"
    assert forge.mine(pull) == [f"{served.markdown(run)}\n[The run's page]({page}) · commit {first[:12]}\n"]
    assert "Echolane: fail" in forge.mine(pull)[0]
    wait_until(lambda: forge.states(first)[-1] == FAILED[kind], WAIT_S)  # told by itself, beside the comment
    states = forge.states(first)
    assert states[-1] == FAILED[kind]
    assert states[:-1]
    assert set(states[:-1]) <= {"pending", "running"}
    last = next(body for commit, body in reversed(forge.statuses) if commit == first)
    assert last["target_url"] == page
    assert last["name" if kind == "gitlab" else "context"] == "echolane/shop"
    assert last["description"]

    run = served.push(kind, first, second, "feature/a").json["pushes"][0]["run"]
    wait_until(lambda: f"commit {second[:12]}" in forge.mine(pull)[0], WAIT_S)
    assert len(forge.mine(pull)) == 1
    assert forge.mine(pull)[0].startswith(served.markdown(run))
    assert theirs["body"].endswith("somebody else")
    wait_until(lambda: served.told(second)["status"] == "told", WAIT_S)
    told = served.told(second)
    assert (told["status"], told["comment"]) == ("told", "told")
    # By a plain token GitHub takes no check runs.
    assert (told["check"], told["why"].partition(":")[2] != "") == (
        ("given-up", True) if kind == "github" else ("none", False)
    )
    served.ended(run)


def test_a_push_without_a_pull_request_is_commented_when_one_is_opened(served: Told) -> None:
    """Only a status before; the delivery of the pull request has the comment written, without another run."""
    forge, one = served.forges["github"], sha("late")
    run = served.push("github", ZERO, one, "late").json["pushes"][0]["run"]
    wait_until(lambda: served.told(one)["comment"] == "no-pull-request", WAIT_S)
    wait_until(lambda: forge.states(one)[-1:] == ["failure"], WAIT_S)  # told by itself, beside the comment
    pull = forge.pull("late")
    repository = {"full_name": "acme/shop"}
    head = {"ref": "late", "sha": one, "repo": repository}
    served.deliver(
        "github", "pull_request", {"action": "opened", "repository": repository, "pull_request": {"head": head}}
    )
    wait_until(lambda: forge.mine(pull), WAIT_S)
    assert forge.mine(pull)[0].startswith(served.markdown(run))
    wait_until(lambda: served.told(one)["comment"] == "told", WAIT_S)  # noted when it is answered


def test_a_forge_that_is_away_misses_nothing_and_a_lost_state_repeats_nothing(served: Told) -> None:
    """Refused connections over a kill of the server, then 500, 429 with Retry-After, and too slow: told in the end, and the one comment found again."""
    forge, one, two = served.forges["gitea"], sha("away1"), sha("away2")
    pull = forge.pull("away")
    forge.close()
    run = served.push("gitea", ZERO, one, "away").json["pushes"][0]["run"]
    wait_until(lambda: served.ask("GET", f"/api/v1/runs/{run}/state").status == 200, WAIT_S)
    served.ended(run)
    wait_until(lambda: served.told(one)["why"], WAIT_S)
    assert "cannot be reached" in served.told(one)["why"]
    assert served.told(one)["status"] == "due"
    served.process.kill()
    served.process.wait(10)
    served.start()
    begun = len(forge.seen)
    forge.faults = [Fault(500), Fault(429, {"Retry-After": "3"}), Fault(502, slow_s=1.0), Fault(503)]
    forge.open()
    wait_until(lambda: forge.mine(pull) and forge.states(one), WAIT_S)
    assert forge.states(one) == ["failure"]
    assert len(forge.mine(pull)) == 1
    # One call of the comment may be on its way when the status' one is told to wait; none begins after that.
    [limited] = [call.at for call in forge.seen[begun:] if call.status == 429]
    assert sum(limited < call.at < limited + 2.9 for call in forge.seen[begun:]) <= 1
    assert "bad luck with [token]" in log_of(served.world.home)

    served.process.terminate()
    assert served.process.wait(60) == 0
    (served.world.home / "hooks" / "notices.log").unlink()
    served.start()
    served.push("gitea", one, two, "away")
    wait_until(lambda: f"commit {two[:12]}" in forge.mine(pull)[0], WAIT_S)
    assert len(forge.mine(pull)) == 1
    assert forge.states(one) == ["failure"]


def test_a_branch_that_is_not_there_is_told_as_an_error(served: Told) -> None:
    """Waiting first; then why, also where there is no result: in the status and in the comment."""
    forge, one = served.forges["gitlab"], sha("gone")
    pull = forge.pull("gone")
    served.push("gitlab", ZERO, one, "gone", repository="acme/depot")
    wait_until(lambda: served.told(one)["comment"] == "told", WAIT_S)
    assert forge.states(one) == ["pending", "failed"]
    last = [body for commit, body in forge.statuses if commit == one][-1]
    assert (last["name"], last["ref"], last["target_url"]) == ("replay", "gone", "https://echolane.example/")
    assert last["description"].startswith("the branch was not there within 5 s")
    [text] = forge.mine(pull)
    assert text.startswith(f"{marker('depot')}\n### ⚠️ Echolane: no result: the branch was not there within 5 s")


def test_a_run_that_is_given_up_is_not_told_as_failed(served: Told) -> None:
    """A newer commit ends the run of the older: that one stays pending and says why, the newer has its verdict. Cancelled by hand, at once or later, it is neither."""
    forge, one, two, three, four = served.forges["github"], *map(sha, ("old", "new", "at once", "later"))
    pull = forge.pull("slow", repository="acme/depot")
    served.push("github", ZERO, one, "slow", repository="acme/depot")
    wait_until(lambda: forge.states(one), WAIT_S)
    served.push("github", one, two, "slow", repository="acme/depot")
    wait_until(lambda: forge.states(two) and forge.states(two)[-1] == "failure", WAIT_S)
    wait_until(lambda: forge.mine(pull), WAIT_S)
    assert set(forge.states(one)) == {"pending"}
    given_up = f"given up: commit {two[:12]} is newer"
    wait_until(
        lambda: [body for commit, body in forge.statuses if commit == one][-1]["description"] == given_up, WAIT_S
    )
    assert [f"commit {two[:12]}" in text for text in forge.mine(pull)] == [True]

    for before, commit, done in ((two, three, 0), (three, four, 1)):
        run = served.push("github", before, commit, "slow", repository="acme/depot").json["pushes"][0]["run"]
        wait_until(lambda run=run: served.ask("GET", f"/api/v1/runs/{run}/state").status == 200, WAIT_S)
        served.wait(run, "running")
        wait_until(
            lambda run=run, done=done: served.ask("GET", f"/api/v1/runs/{run}/state").json["done"] >= done, WAIT_S
        )
        assert served.ask("POST", f"/api/v1/runs/{run}/cancel").status == 202
        served.ended(run)
        wait_until(lambda commit=commit: served.told(commit)["comment"] == "told", WAIT_S)
        assert set(forge.states(commit)) == {"pending"}, forge.statuses[-1]
    assert forge.mine(pull)[0].startswith(served.markdown(run))
    assert "interrupted" in forge.mine(pull)[0]


def test_a_run_holds_where_its_branch_may_be(served: Told) -> None:
    """A name that leads to this machine without saying so is refused with --networks, and nothing is fired; where it is named it is not."""
    world = served.world
    listed = served.ask("GET", "/api/v1/services/shop").json["targets"]
    base, branch = (next(one["url"] for one in listed if one["name"] == name) for name in ("released", "next"))
    words = ["--base", base, "--branch", branch.replace("127.0.0.1", "2130706433"), "--allow-host", "2130706433"]
    done, _ = world.run(*words, "--networks", "public")
    assert done.code == 5
    assert "127.0.0.1 is not public" in done.err
    done, result = world.run(*words, "--networks", "127.0.0.0/8")
    assert done.code == 1, done.err
    assert result["ledger"]["fired"] == served.exchanges
