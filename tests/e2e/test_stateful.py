"""A shop recorded on one day's state and replayed on fresh copies: a login, carts, orders, payment, pages, at both versions."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest

from bench.ports import free_port
from echolane.frame import decode_frame
from echolane.journal import open_journal
from echolane.observation import Observation
from tests.e2e import admin_site
from tests.e2e.kills_parts import SEED
from tests.e2e.shop_app import User
from tests.e2e.world import HERE, World, listening, places, stop

USERS = 8
STEPS = 20
SHARE = 0.98


def command(*changes: str) -> str:
    """The shop as `--base-cmd` takes it."""
    return " ".join([sys.executable, str(HERE / "shop_app.py"), "{port}", *changes])


@pytest.fixture
def recorded(world: World, request: pytest.FixtureRequest) -> World:
    """Users, one after another, through the sidecar; the seed of what they were given is printed."""
    upstream, seed = free_port(), f"seed={SEED}-{request.node.name}"
    print(f"ECHOLANE_SEED={SEED}")
    listening(upstream, process=world.start(sys.executable, HERE / "shop_app.py", upstream, seed))
    process, port = world.recorder(upstream)
    users = [User(port) for _ in range(USERS)]
    for number, user in enumerate(users):
        user.shop(amount=3 + number)
    stop(process)
    world.check_capture(stored=sum(user.requests for user in users))
    return world


def in_class(world: World, run: str) -> tuple[list[float], list[str]]:
    """Of base and branch, the share of answers in the recorded status class; and every rewrite's words. Prints what was not."""
    journal = open_journal(world.home)
    seen = [one for entry in journal.read(f"observations.{run}", 0) for one in decode_frame(entry.frame, Observation)]
    journal.close()
    shares = []
    for index in (0, 2):
        answers = [(one.recorded_status // 100, one.answer_of(index)) for one in seen]
        shares.append(sum(bool(a) and a.status // 100 == wanted for wanted, a in answers) / len(answers))
    for one in seen:
        answer = one.answer_of(0)
        if answer is None or answer.status // 100 != one.recorded_status // 100:
            print(one.method, one.target, one.recorded_status, answer and answer.status, one.shots[0].rewrites)
    return shares, [note for one in seen for shot in one.shots for note in shot.rewrites]


def test_a_whole_shop_replays_on_fresh_copies_and_only_the_change_is_found(recorded: World) -> None:
    """With nothing configured both versions answer as recorded in 98 of 100, a changed price and status are found, and nothing else."""
    words = ["--methods", "all", "--base-cmd", command()]
    done, result = recorded.run(*words, "--branch-cmd", command("price", "status"))
    shares, notes = in_class(recorded, result["run"])

    print(f"in the recorded status class at base and branch: {shares}")
    assert min(shares) >= SHARE, (shares, done.err)
    assert result["fidelity"] >= SHARE
    assert result["ledger"]["compared"] == USERS * STEPS
    assert places(result) == {("body:$.price", "value"), ("status", "status")}, result["groups"]
    assert result["undecided"] == []
    samples = [sample for group in result["groups"] for sample in group["samples"]]
    assert any("branch" in sample.get("rewrites", {}) for sample in samples), samples
    page = recorded.call("show", result["run"], "--html", recorded.folder / "page.html", "--home", recorded.home)
    assert page.code == 0, page.err
    assert "rewritten for branch: <code>" in (recorded.folder / "page.html").read_text()
    assert any("blip from POST /carts at body:$.blip" in note for note in notes)


def test_without_correlation_the_shop_does_not_answer_as_recorded(recorded: World) -> None:
    """The same recording with `replay.correlate = false`: what needs another's id is refused, and the verdict says that it is worth nothing."""
    recorded.environ["ECHOLANE_REPLAY_CORRELATE"] = "false"
    words = ["--methods", "all", "--base-cmd", command(), "--branch-cmd", command()]
    done, result = recorded.run(*words)
    shares, notes = in_class(recorded, result["run"])

    print(f"in the recorded status class at base and branch: {shares}")
    assert max(shares) < 0.6, (shares, done.err)
    assert result["reason_code"] == "fidelity"
    assert set(notes) <= {"cookie sid", "header idempotency-key: key of this run and target"}


def test_what_will_be_rewritten_is_said_before_and_after(recorded: World) -> None:
    """`--explain` lists what would be fired, tied and skipped and sends nothing; `show --rewrites` tells what each target was sent instead, as foretold."""
    targets = ["--base-cmd", command(), "--branch-cmd", command()]
    words = ["run", "--service", "shop", "--home", recorded.home, *targets, "--explain"]
    safe, everything = recorded.call(*words), recorded.call(*words, "--methods", "all")

    assert (safe.code, everything.code) == (0, 0), everything.err
    assert f"{USERS * 10} unsafe-method" in safe.err
    assert f"{USERS * STEPS} of {USERS * STEPS} exchanges would be fired" in everything.err
    lines = everything.out.splitlines()
    assert sum(line.split()[1] == "fire" for line in lines if line[0].isdigit()) == USERS * STEPS
    assert sum("path[2] is blip from POST /carts at body:$.blip" in line for line in lines) == USERS * 7
    assert sum("path[2] is location from POST /desk at header:location" in line for line in lines) == USERS
    assert recorded.call("runs", "--home", recorded.home, "--json").out.strip() in {"", "[]"}

    _, result = recorded.run("--methods", "all", *targets)
    told = recorded.call("show", result["run"], "--rewrites", "--json", "--home", recorded.home)
    rewritten = [json.loads(line) for line in told.out.splitlines()]

    assert len({one["exchange"] for one in rewritten}) == len(rewritten) >= USERS * 15
    assert all(set(one["rewrites"]) == {"base", "control", "branch", "branch_control"} for one in rewritten)
    at_base = [note for one in rewritten for note in one["rewrites"]["base"]]
    assert (
        sum("cookie sid is what each target sets in " in line for line in lines) == at_base.count("cookie sid") > USERS
    )
    keys = sum("header idempotency-key is a key of this run" in line for line in lines)
    assert keys == at_base.count("header idempotency-key: key of this run and target") == USERS
    as_text = recorded.call("show", result["run"], "--rewrites", "--home", recorded.home).out
    assert min(as_text.count(f"    {name}: ") for name in ("base", "branch")) >= len(rewritten)


def test_an_application_that_we_did_not_write_replays_too(world: World, require_module: Callable[..., str]) -> None:
    """Django's administration (login, CSRF tokens, numbers of its database) answers as recorded at both versions, without correlation it does not."""
    require_module("django", "pip install -e '.[test]'")
    script, upstream = HERE / "admin_site.py", free_port()
    listening(upstream, process=world.start(sys.executable, script, upstream, world.folder))
    process, port = world.recorder(upstream)
    people = [admin_site.Person(port, name) for name in ("bob", "cem")]
    for person in people:
        person.work()
    stop(process)
    world.check_capture(stored=sum(person.requests for person in people))
    start = f"{sys.executable} {script} {{port}} {world.folder}"
    words = ["--methods", "all", "--base-cmd", start, "--branch-cmd", start]
    done, result = world.run(*words)
    shares, _ = in_class(world, result["run"])

    assert min(shares) >= SHARE, (shares, done.err)
    assert (result["verdict"], result["groups"]) == ("pass", []), result["reason"]
    world.environ["ECHOLANE_REPLAY_CORRELATE"] = "false"
    _, result = world.run(*words)
    without, _ = in_class(world, result["run"])
    print(f"in the recorded status class: {shares}, without correlation {without}")
    assert max(without) < 0.6
