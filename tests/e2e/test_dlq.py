"""Dead letters of a real run: listed, shown, compared again, and the run closed anew with a ledger that balances."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from console.comparing import finish, second
from differ.attempts import AGAIN, Attempts
from differ.letters import letters_of
from echolane.home import open_home
from echolane.ids import result_id
from echolane.ledger import run_identities
from echolane.settings import Differ
from echolane.store import Store, open_store
from tests.e2e import chain_app
from tests.e2e.kills_parts import KILLS, chance, gone
from tests.e2e.world import Done, World

POISONED = Path(__file__).with_name("poisoned_cli.py")
ITEMS = [(f"/items/{n}", {"Cookie": f"sid={chain_app.API_KEY}"}) for n in range(1, 25)]


def poisoned(world: World, *words: object) -> Done:
    """`echolane …` of a version whose comparison dies at poison."""
    command = [sys.executable, str(POISONED), *[str(word) for word in words], "--home", str(world.home)]
    done = subprocess.run(
        command, env=world.environ, cwd=world.folder, capture_output=True, text=True, timeout=200, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def call(world: World, *words: object) -> Done:
    """`echolane …` as it is."""
    return world.call(*words, "--home", world.home)


def fired(world: World, way: str = "exit") -> dict[str, Any]:
    """A run of which one answer is a dead letter; its result."""
    world.record(world.app(), ITEMS)
    base, branch = world.app(), world.app("price", f"poison={way}")
    done = poisoned(
        world, "run", "--service", "shop", "--base", f"http://127.0.0.1:{base}", "--branch", f"http://127.0.0.1:{branch}"
    )  # fmt: skip
    assert done.code == 1, done.err
    result = call(world, "show", "latest", "--json").result
    assert result["ledger"]["not_compared"] == {"dead-letter": 1}
    assert run_identities(result["ledger"]) == []
    assert f"1 dead letter, not compared: echolane dlq ls --run {result['run']}" in done.err
    return result


def rows(world: World, run: str) -> list[dict[str, Any]]:
    """The row of each exchange; there must be as many as exchanges."""
    with open_store(world.home) as store:
        return rows_in(store, run)


def rows_in(store: Store, run: str) -> list[dict[str, Any]]:
    """The same of an open store."""
    found = store.query(
        "SELECT id, exchange, verdict, version FROM results_v WHERE run = {run:String} ORDER BY seq", {"run": run}
    )
    assert len({row["id"] for row in found}) == len(found) == len(ITEMS)
    return found


def test_a_dead_letter_is_listed_shown_and_compared_again(world: World) -> None:
    """It stays while it kills, and goes with the version that can compare it: the run is closed anew and has no exchange twice."""
    result = fired(world)
    run = result["run"]
    (letter,) = json.loads(call(world, "dlq", "ls", "--json").out)
    assert (letter["run"], letter["endpoint"], letter["deaths"], letter["attempt"]) == (run, "GET /items/{id}", 3, 1)
    assert letter["id"] == result_id(run, letter["exchange"])
    assert "ended with 7" in letter["reason"]
    shown = call(world, "dlq", "show", letter["id"][:8])
    for word in (run, letter["exchange"], f"observations.{run}", letter["digest"], letter["reason"], "poison:exit"):
        assert word in shown.out
    assert chain_app.API_KEY not in shown.out

    again = poisoned(world, "dlq", "retry", letter["id"][:8], "--json")
    assert again.code == 3, again.err
    assert again.result == {
        "run": run, "retried": 1, "compared": 0, "dead": 1, "verdict": "fail", "reason_code": "regressions"
    }  # fmt: skip
    (letter,) = letters_of(world.home / "runs", run)
    assert (letter.deaths, letter.attempt) == (3, 2)
    assert sorted({row["version"] for row in rows(world, run)}) == [1, 2]
    assert call(world, "show", run, "--json").result["ledger"] == result["ledger"]

    done = call(world, "dlq", "retry", run, "--json")
    assert (done.code, done.result["compared"], done.result["dead"]) == (0, 1, 0), done.err
    closed = call(world, "show", run, "--json").result
    assert run_identities(closed["ledger"]) == []
    assert closed["ledger"]["not_compared"] == {}
    assert closed["ledger"]["compared"] == result["ledger"]["compared"] + 1 == len(ITEMS)
    assert {group["where"] for group in closed["groups"]} == {"body:$.price", "body:$.note"}
    assert {row["verdict"] for row in rows(world, run)} == {"differs"}
    assert sorted({row["version"] for row in rows(world, run)}) == [1, 3]
    assert call(world, "dlq", "ls", "--json").out == "[]\n"
    assert "no dead letters" in call(world, "dlq", "ls", "--run", run).err


def test_a_run_that_was_not_closed_since_is_closed(world: World) -> None:
    """Killed after the row was stored and before the run was closed, the next call closes it, and the one after has nothing to do."""
    run = fired(world)["run"]
    (letter,) = letters_of(world.home / "runs", run)
    attempts = Attempts(world.home / "runs", run)
    attempts.add(AGAIN, letter.place)
    with open_store(world.home) as store:
        finish(second(open_home(world.home), run, attempts, Differ()))
        assert {row["verdict"] for row in rows_in(store, run)} == {"differs"}
    assert letters_of(world.home / "runs", run) == []
    assert call(world, "show", run, "--json").result["ledger"]["compared"] == len(ITEMS) - 1

    assert call(world, "dlq", "retry", run).code == 0
    assert call(world, "show", run, "--json").result["ledger"]["compared"] == len(ITEMS)
    done = call(world, "dlq", "retry", run)
    assert (done.code, "has no dead letters" in done.err) == (2, True)


def test_a_retry_may_be_killed_anywhere(world: World) -> None:
    """Killed at random moments and called again, nothing is lost or counted twice, and the run ends closed. A seed repeats it."""
    luck = chance("retry")
    result = fired(world)
    run = result["run"]
    for _ in range(KILLS):
        process = world.start(sys.executable, "-m", "console.main", "dlq", "retry", run, "--home", world.home)
        time.sleep(luck.uniform(0.1, 1.5))
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        if luck.random() < 0.5:
            gone(world.home, "second_look")
    call(world, "dlq", "retry", run)

    closed = call(world, "show", run, "--json").result
    assert run_identities(closed["ledger"]) == []
    assert (closed["ledger"]["not_compared"], closed["ledger"]["compared"]) == ({}, len(ITEMS))
    assert letters_of(world.home / "runs", run) == []
    assert {row["verdict"] for row in rows(world, run)} == {"differs"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("dlq",), "action"),
        (("dlq", "show"), "`dlq show` needs an id; `echolane dlq ls` lists them"),
        (("dlq", "show", "f00"), "there is no dead letter `f00`; `echolane dlq ls` lists them"),
        (("dlq", "retry"), "`dlq retry` needs an id"),
        (("dlq", "retry", "f00"), "there is no dead letter and no run `f00`"),
        (("dlq", "ls", "f00"), "`dlq ls` takes no `f00`"),
        (("dlq", "ls", "--run", "f00"), "there is no run `f00`"),
        (("dlq", "retry", "f00", "--run", "f00"), "--run goes with `dlq ls`"),
        (("dlq", "drop"), "invalid choice"),
    ],
)
def test_bad_words_are_one_clear_line(world: World, words: tuple[str, ...], told: str) -> None:
    """What is unknown or missing is said with what to do."""
    done = call(world, *words)

    assert done.code == 2
    assert told in done.err
    assert done.err.count("\n") == 1


def test_what_cannot_be_compared_again_is_said(world: World) -> None:
    """A run without dead letters, one that is at work, one that is not closed, and answers that have left the journal."""
    from console.conduct import save_run
    from echolane.journal import open_journal
    from echolane.lease import held
    from tests.differ.poisoned_runs import RUN, spec

    run = fired(world)["run"]
    with held(world.home / "runs" / f"{run}.lock", "x"):
        assert "is in the hands of process" in call(world, "dlq", "retry", run).err
    journal = open_journal(world.home)
    journal.drop(f"observations.{run}")
    journal.close()
    assert "no longer in the journal" in call(world, "dlq", "retry", run).err
    (letter,) = letters_of(world.home / "runs", run)
    assert "no longer in the journal" in call(world, "dlq", "show", letter.id).out
    (world.home / "runs" / f"{run}.dead.ndjson").unlink()
    assert "has no dead letters" in call(world, "dlq", "retry", run).err
    with open_store(world.home) as store:
        save_run(store, spec(), "running")
    assert f"run {RUN} has no result yet" in call(world, "dlq", "retry", RUN).err
