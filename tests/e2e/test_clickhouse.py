"""The whole chain with its results on ClickHouse: the same verdict as at home, through outages and kills of the server."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from bench.ports import free_port
from differ.close import close_run
from echolane.journal import open_journal
from echolane.ledger import run_identities
from echolane.runspec import RunSpec
from echolane.store import open_store
from tests.e2e.world import Done, World, places
from tests.store.bridge import Bridge, database_of

ITEMS = [(f"/items/{n}", {}) for n in range(1, 49)]
CHANGES = ("reorder", "price")
SEED = int(os.environ.get("ECHOLANE_SEED", "5"))


def har(path: Path, port: int) -> Path:
    """What a browser recorded of the application."""
    entries = [
        {
            "startedDateTime": f"2026-01-01T00:00:{n:02d}.000Z",
            "time": 5,
            "request": {"method": "GET", "url": f"http://127.0.0.1:{port}{target}", "httpVersion": "HTTP/1.1", "headers": []},
            "response": {"status": 200, "httpVersion": "HTTP/1.1", "headers": [], "content": {"size": 0}},
        }
        for n, (target, _) in enumerate(ITEMS)
    ]  # fmt: skip
    path.write_bytes(
        orjson.dumps({"log": {"version": "1.2", "creator": {"name": "t", "version": "1"}, "entries": entries}})
    )
    return path


def test_import_run_and_show_with_results_on_clickhouse(world: World, bridge: Bridge) -> None:
    """Files are imported, a run is fired and judged, shown and listed: the verdict of the home's own store, and nothing in the home's."""
    url = database_of(bridge)
    assert "s3cret" in url
    imported = world.call(
        "import", har(world.folder / "shop.har", world.app()), "--service", "shop", "--home", world.home
    )
    assert imported.code == 0, imported.err
    commands = ["--base-cmd", world.app_command(), "--branch-cmd", world.app_command(*CHANGES), "--seed", "7"]

    done, result = world.run(*commands, "--store", url)
    assert not (world.home / "store" / "chdb").exists()
    at_home, embedded = world.run(*commands)

    assert (done.code, at_home.code) == (1, 1), done.err
    assert places(result) == places(embedded) == {("body:$.ranking", "order"), ("body:$.price", "value")}
    for name in ("verdict", "reason_code", "ledger", "fidelity"):
        assert result[name] == embedded[name]
    assert {group["id"] for group in result["groups"]} == {group["id"] for group in embedded["groups"]}
    assert result["ledger"]["compared"] == len(ITEMS)

    world.environ["ECHOLANE_STORE"] = url
    shown = world.call("show", "latest", "--json", "--home", world.home)
    assert shown.result == result, shown.err
    lines = world.call("show", result["run"], "--exchanges", "--json", "--home", world.home).out.splitlines()
    assert len(lines) == len(ITEMS)
    assert result["run"] in world.call("runs", "--home", world.home).out
    explained = world.call("show", "latest", "--explain", result["groups"][0]["id"], "--home", world.home)
    assert explained.code == 0, explained.err
    for words in (["doctor"], ["config"], ["rules", "impact"], ["dlq", "ls", "--run", "latest"]):
        told = world.call(*words, "--home", world.home)
        assert told.code == 0, told.err
        assert "s3cret" not in told.out + told.err
    assert "s3cret" not in done.out + done.err
    assert "--store 'clickhouse://echolane@127.0.0.1" in done.err


def without_times(value: Any) -> Any:
    """A result without when it was made."""
    gone = {"started_at", "finished_at", "rates"}
    return {name: one for name, one in value.items() if name not in gone}


def test_the_same_observations_give_the_same_result_in_both_stores(world: World, bridge: Bridge) -> None:
    """A run's observations are compared and closed once more into ClickHouse: every figure of the result and every exchange is equal."""
    world.record(world.app(), ITEMS)
    done, result = world.run("--base-cmd", world.app_command(), "--branch-cmd", world.app_command(*CHANGES))
    assert done.code == 1, done.err
    run, url = result["run"], database_of(bridge)
    lines = world.call("show", run, "--exchanges", "--json", "--home", world.home).out

    with open_store(world.home) as here, open_store(world.home, url) as there:
        (row,) = here.query("SELECT * FROM runs_v WHERE run = {run:String}", {"run": run})
        there.insert("runs", {name: [value] for name, value in row.items()})
        spec = msgspec.json.decode(row["spec"], type=RunSpec)
        journal = open_journal(world.home)
        for partition in range(journal.partitions(f"observations.{run}")):
            journal.commit("differ", f"observations.{run}", partition, 0)
        journal.close()
        words = [sys.executable, "-m", "differ.worker", str(world.home), run]
        subprocess.run(
            words, env={**world.environ, "ECHOLANE_STORE": url}, stdin=subprocess.DEVNULL, check=True, timeout=60
        )
        again = close_run(
            there, spec, state="finished", reason="", selected=result["ledger"]["selected"], fired_per_s=0.0
        )

        again["timing"] |= {"retry_after": {}, "concurrency": {}}  # only who fires knows these

        assert without_times(again) == without_times(result)
        asked = "SELECT * EXCEPT (version, json) FROM findings_v WHERE run = {run:String} ORDER BY id"
        assert there.query(asked, {"run": run}) == here.query(asked, {"run": run})
        asked = "SELECT * FROM results_v WHERE run = {run:String} ORDER BY seq"
        assert there.query(asked, {"run": run}) == here.query(asked, {"run": run})
    assert world.call("show", run, "--exchanges", "--json", "--home", world.home, "--store", url).out == lines


def observed(home: Path, run: str) -> int:
    """How many frames of observations a run has."""
    journal, topic = open_journal(home), f"observations.{run}"
    try:
        return sum(journal.end(topic, partition) for partition in range(journal.partitions(topic)))
    finally:
        journal.close()


class Running:
    """A run that takes some seconds, with its results on a bridge."""

    def __init__(self, world: World, url: str) -> None:
        self.world, self.url = world, url
        world.record(world.app(), [(f"/items/{n % 40 + 1}?n={n}", {}) for n in range(400)])
        self.ports = [world.app(), world.app("price")]

    def start(self) -> subprocess.Popen[Any]:
        """The run."""
        words = ["run", "--service", "shop", "--home", self.world.home, "--store", self.url, "--pace", "30/s"]
        words += ["--json", self.world.folder / "result.json"]
        targets = ["--base", f"http://127.0.0.1:{self.ports[0]}", "--branch", f"http://127.0.0.1:{self.ports[1]}"]
        return self.world.start(
            sys.executable, "-m", "console.main", *words, *targets, stderr=subprocess.PIPE, text=True
        )

    def wait_rows(self) -> None:
        """Until the first results are stored."""
        deadline = time.monotonic() + 60
        with open_store(self.world.home, self.url) as store:
            while store.query("SELECT count() AS n FROM results_v") == [{"n": 0}]:
                assert time.monotonic() < deadline, "no results came"
                time.sleep(0.05)

    def wait(self, process: subprocess.Popen[Any]) -> Done:
        """Its end."""
        assert process.stderr is not None
        errors = process.stderr.read()
        return Done(process.wait(60), "", errors)

    def check(self, file: Path) -> None:
        """All is accounted for, and in the view once."""
        result = orjson.loads(file.read_bytes())
        assert run_identities(result["ledger"]) == [], result["ledger"]
        assert result["ledger"]["compared"] == 400
        assert places(result) == {("body:$.price", "value")}
        with open_store(self.world.home, self.url) as store:
            asked = "SELECT count() AS n, uniqExact(exchange) AS different FROM results_v WHERE run = {run:String}"
            assert store.query(asked, {"run": result["run"]}) == [{"n": 400, "different": 400}]


def test_a_store_that_is_away_for_a_while_costs_a_while(world: World, mortal: Bridge) -> None:
    """The server is killed twice and stopped once while a run fires: firing goes on, comparing waits and says so, the verdict comes."""
    dice = random.Random(SEED)
    print(f"seed {SEED}")
    running = Running(world, mortal.url(options="answer_s=1&connect_s=1&wait_s=60"))
    process = running.start()
    running.wait_rows()
    for _ in range(2):
        mortal.kill()
        time.sleep(dice.uniform(0.5, 2.5))
        mortal.start()
        time.sleep(dice.uniform(0.1, 0.5))
    mortal.signal(signal.SIGSTOP)
    time.sleep(3.5)
    mortal.signal(signal.SIGCONT)
    done = running.wait(process)

    assert done.code == 1, done.err
    running.check(world.folder / "result.json")
    assert "does not answer" in done.err
    assert "the store answers again" in done.err


def test_a_store_that_stays_away_ends_the_run_with_one_line_and_resume_goes_on(world: World, mortal: Bridge) -> None:
    """After wait_s the command says what is away and how to go on; --resume compares what was observed, and fires nothing again."""
    running = Running(world, mortal.url(options="wait_s=2"))
    process = running.start()
    running.wait_rows()
    mortal.kill()
    done = running.wait(process)
    last = done.err.strip().splitlines()[-1]

    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    assert "has not answered for 2 s" in last
    assert "s3cret" not in done.err
    run = last.partition("--resume ")[2].split()[0]

    before = observed(world.home, run)
    mortal.start()
    file = world.folder / "resumed.json"
    patient = mortal.url(options="wait_s=60")
    resumed = world.call("run", "--resume", run, "--home", world.home, "--store", patient, "--json", file)
    assert resumed.code == 1, resumed.err
    running.check(file)
    assert observed(world.home, run) == before


@pytest.mark.parametrize("words", [["runs"], ["show", "latest"], ["doctor"], ["rules", "impact"]])
def test_a_store_that_is_not_there_is_one_line_at_once(world: World, words: list[str]) -> None:
    """Each command that opens the store says which one does not answer, and exits 2."""
    begun = time.monotonic()
    done = world.call(*words, "--home", world.home, "--store", f"clickhouse://u:secret@127.0.0.1:{free_port()}/d")

    assert done.code == 2
    assert "Connection refused" in done.out + done.err
    assert "secret" not in done.out + done.err
    assert "Traceback" not in done.err
    assert time.monotonic() - begun < 45  # a run waits for a minute
