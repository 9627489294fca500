"""Pushes as forges deliver them to a real server: one run a commit, the newest remains, and what is not signed starts nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.api_parts import WAIT_S, Answer, Served, log_of
from tests.e2e.world import World
from tests.waiting import wait_until

SECRET = "a secret of the tests alone"
HOOKS = """
[api]
rate_per_s = 10000
burst = 100000
"""
FORGES = "".join(
    f"""
[[hooks]]
service = "shop"
base = "released"
branch = "next"
forge = "{forge}"
repositories = ["acme/shop"]
secret_env = "HOOK_SECRET"
not_branches = ["main"]
"""
    for forge in ("github", "gitlab", "gitea")
)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A server with a hook of each forge."""
    world = World(tmp_path)
    world.environ["HOOK_SECRET"] = SECRET
    yield (one := Served(world, exchanges=6, settings=HOOKS, more=FORGES))
    for process in world.started:
        process.kill()
        process.wait(10)
    assert "api.fault" not in log_of(one.world.home)


def pushed(before: int, after: int, branch: str = "feature/a", at: int = 1_700_000_000) -> dict[str, Any]:
    """A push as GitHub and Gitea tell it."""
    repository = {"full_name": "acme/shop", "pushed_at": at}
    return {
        "ref": f"refs/heads/{branch}",
        "before": f"{before:040x}",
        "after": f"{after:040x}",
        "repository": repository,
    }


def deliver(served: Served, tree: Any, id: str, *, event: str = "push", secret: str = SECRET) -> Answer:  # noqa: A002
    """A delivery of GitHub."""
    body = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-GitHub-Event": event, "X-GitHub-Delivery": id, "X-Hub-Signature-256": f"sha256={mac}"}
    return served.ask(
        "POST", "/hooks/github", body, token=None, headers={**headers, "Content-Type": "application/json"}
    )


def states(served: Served) -> dict[int, str]:
    """Where the pushes are, by commit."""
    return {int(one["commit"], 16): one["state"] for one in served.ask("GET", "/api/v1/pushes").json["pushes"]}


def test_a_push_is_run_once_and_the_newest_commit_remains(served: Served) -> None:
    """Out of order, doubled and replayed under another id, also over a kill of the server: one run, that of the last commit, balanced."""
    answers = [
        deliver(served, pushed(2, 3, at=30), "d3"),
        deliver(served, pushed(0, 1, at=10), "d1"),
        deliver(served, pushed(2, 3, at=30), "d3"),
        deliver(served, pushed(1, 2, at=20), "replayed"),
    ]
    assert [one.status for one in answers] == [202] * 4
    assert "taken in before" in answers[2].json["said"]
    run = answers[0].json["pushes"][0]["run"]
    served.process.kill()
    served.process.wait(10)
    served.start()
    assert "taken in before" in deliver(served, pushed(2, 3, at=30), "another id").json["said"]
    wait_until(lambda: states(served).get(3) == "ended", WAIT_S)

    assert states(served) == {1: "superseded", 2: "superseded", 3: "ended"}
    assert served.ended(run)["state"] == "finished"
    assert [row["run"] for row in served.ask("GET", "/api/v1/runs").json["runs"]] == [run]
    entries = served.ask("GET", "/api/v1/audit").json["entries"]
    assert {"hook shop/github"} == {one["actor"] for one in entries if one["operation"] == "hookGithub"}


def test_what_is_not_signed_or_not_meant_starts_nothing(served: Served) -> None:
    """Wrong, missing and foreign signatures, oversized and torn bodies, other repositories, branches and events: each a clear answer."""
    good = json.dumps(pushed(0, 1)).encode()
    wrong = deliver(served, good, "d1", secret="another secret of nobody")
    missing = served.ask("POST", "/hooks/github", good, token=None, headers={"Content-Type": "application/json"})
    as_admin = served.ask("POST", "/hooks/github", good, headers={"Content-Type": "application/json"})
    assert [one.status for one in (wrong, missing, as_admin)] == [401] * 3
    assert deliver(served, b"x" * (1024 * 1024 + 1), "d2").status == 413
    assert deliver(served, b'{"ref"', "d3").status == 400
    assert deliver(served, {**pushed(0, 1), "repository": {"full_name": "eve/shop"}}, "d4").status == 404
    for tree, event, said in (
        (pushed(0, 1, "main"), "push", "no hook is for this branch"),
        ({"zen": "x"}, "ping", "works"),
        ({"repository": {"full_name": "acme/shop"}}, "star", "start nothing"),
    ):
        answer = deliver(served, tree, f"d-{event}", event=event)
        assert answer.status == 202
        assert said in answer.json["said"]
    token = {"X-Gitlab-Token": SECRET, "X-Gitlab-Event": "Push Hook", "Content-Type": "application/json"}
    tree = {
        "project": {"path_with_namespace": "acme/shop"},
        "ref": "refs/tags/v1",
        "before": "0" * 40,
        "after": "1" * 40,
    }
    body = json.dumps(tree).encode()
    assert served.ask("POST", "/hooks/gitlab", body, token=None, headers=token).status == 202
    assert served.ask("POST", "/hooks/gitlab", body, token=None, headers={**token, "X-Gitlab-Token": "x"}).status == 401
    assert states(served) == {}
    assert served.ask("GET", "/api/v1/runs").json["runs"] == []


def test_a_token_starts_a_run_of_a_branch(served: Served) -> None:
    """The generic hook: kept at once, done when its turn comes, once for each key."""
    body = {"service": "shop", "branch": "feature/b"}
    key = {"Idempotency-Key": "deploy-1234"}
    first = served.ask("POST", "/hooks/run", body, headers=key)
    again = served.ask("POST", "/hooks/run", body, headers=key)
    assert (first.status, again.json["pushes"]) == (202, [])
    run = first.json["pushes"][0]["run"]
    wait_until(lambda: served.ask("GET", f"/api/v1/runs/{run}/state").status == 200, WAIT_S)
    assert served.ended(run)["state"] == "finished"
    assert served.ask("POST", "/hooks/run", {**body, "branch": "a/../b"}).status == 400
    assert served.ask("POST", "/hooks/run", {**body, "branch": "///"}).status == 400


def test_a_thousand_deliveries_are_answered_in_time(served: Served) -> None:
    """1,000 deliveries of 42 branches, doubled and in reverse: every one is taken, and 42 commits are what remains."""
    began = time.monotonic()
    slowest = 0.0
    for step in reversed(range(12)):
        for branch in range(42):
            for copy in ("a", "b"):
                at = time.monotonic()
                tree = pushed(branch * 100 + step, branch * 100 + step + 1, f"b{branch}", step + 1)
                assert deliver(served, tree, f"{branch}-{step}-{copy}").status == 202
                slowest = max(slowest, time.monotonic() - at)
    print(f"1,008 deliveries in {time.monotonic() - began:.1f} s, the slowest {slowest:.3f} s")
    told = served.ask("GET", "/api/v1/pushes?limit=200").json["pushes"]
    alive = {int(one["commit"], 16) for one in told if one["state"] in {"waiting", "asked", "ended"}}
    assert alive <= {branch * 100 + 12 for branch in range(42)}


def test_a_run_under_way_is_given_up_for_a_newer_commit(tmp_path: Path) -> None:
    """Its run is interrupted and balances; the newer one begins; a deleted branch gives that up, too."""
    world = World(tmp_path)
    world.environ["HOOK_SECRET"] = SECRET
    served = Served(world, exchanges=60, settings=HOOKS, more=FORGES.replace("secret_env", 'pace = "1/s"\nsecret_env'))
    try:
        runs = []
        for step in range(2):
            answer = deliver(served, pushed(step, step + 1, at=step + 1), f"d{step}")
            runs.append(run := answer.json["pushes"][0]["run"])
            wait_until(lambda run=run: served.ask("GET", f"/api/v1/runs/{run}/state").status == 200, WAIT_S)
            served.wait(run, "running")
        assert served.ended(runs[0])["state"] == "interrupted"
        assert deliver(served, pushed(2, 0, at=9), "d9").status == 202
        assert served.ended(runs[1])["state"] == "interrupted"
        assert states(served) == {1: "superseded", 2: "superseded"}
    finally:
        for process in world.started:
            process.kill()
            process.wait(10)


def test_a_hook_signed_by_standard_webhooks_is_taken_once(tmp_path: Path) -> None:
    """Id, time and body are signed: right is taken, a replay does nothing, another time, an old one or another body is refused."""
    world = World(tmp_path)
    world.environ["HOOK_SECRET"] = SECRET
    more = FORGES.split("[[hooks]]")[1].replace('forge = "github"\n', "").replace('"shop"', '"depot"')
    served = Served(world, exchanges=3, settings=HOOKS)
    toml = world.folder / "echolane.toml"
    text = toml.read_text("utf-8").replace('[[hooks]]\nservice = "depot"\nbase = "released"\nbranch = "next"\n', "")
    toml.write_text(f"{text}\n[[hooks]]\n{more}", "utf-8")
    served.process.terminate()
    assert served.process.wait(60) == 0
    served.start()
    try:
        body = b'{"service": "depot", "branch": "a", "commit": "2f1c9a7"}'

        def call(id: str, at: int, sent: bytes = body) -> Answer:  # noqa: A002
            mac = hmac.new(SECRET.encode(), f"{id}.{at}.".encode() + body, hashlib.sha256).digest()
            signature = "v1," + base64.b64encode(mac).decode()
            headers = {"webhook-id": id, "webhook-timestamp": str(at), "webhook-signature": signature}
            return served.ask(
                "POST", "/hooks/run", sent, token=None, headers={**headers, "Content-Type": "application/json"}
            )

        now = int(time.time())
        good = call("m1", now)
        assert good.status == 202, good
        assert call("m1", now).json["pushes"] == []
        assert call("m2", now - 3600).status == 401
        assert call("m3", now, body.replace(b'"a"', b'"b"')).status == 401
        wait_until(
            lambda: "ended" in {one["state"] for one in served.ask("GET", "/api/v1/pushes").json["pushes"]}, WAIT_S
        )
        assert served.ended(good.json["pushes"][0]["run"])["state"] == "finished"
    finally:
        for process in world.started:
            process.kill()
            process.wait(10)
