"""The whole chain with its journal on a real broker: the same ledgers, the same result, the same pages of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from bench.broker import Broker
from bench.ports import free_port
from echolane.home import Home
from echolane.journal import open_journal
from tests.e2e.world import World

PREFIXES = count(1)
ITEMS = [(f"/items/{n}", {}) for n in range(1, 33)]
UNLIKE = {"run", "targets", "started_at", "finished_at", "rates", "exchange", "samples", "explored", "version"}
"""What no two runs share."""


@pytest.fixture
def url(broker: Broker) -> str:
    """The shared broker, with a prefix of the test's own."""
    return broker.url(f"prefix=e{next(PREFIXES)}.")


def likeness(value: Any) -> Any:
    """A result without what no two runs share."""
    if isinstance(value, Mapping):
        return {key: likeness(one) for key, one in value.items() if key not in UNLIKE}
    return [likeness(one) for one in value] if isinstance(value, list) else value


def told(world: World, run: str, *words: str) -> list[Any]:
    """Every exchange of a run: which, its verdict, and what differs where, but for what the application varies by itself."""
    lines = world.call("show", run, "--exchanges", "--json", "--home", world.home, *words).out.splitlines()
    exchanges = [json.loads(line) for line in lines]
    return [
        (
            one["seq"],
            one["target"],
            one["verdict"],
            sorted((d["where"], d["kind"], d["verdict"]) for d in one["differences"] if d["verdict"] != "noise"),
        )
        for one in exchanges
    ]


def test_a_run_on_kafka_ends_as_one_on_sqlite(tmp_path: Path, world: World, url: str) -> None:
    """Recorded, replayed, compared and shown through a broker: every number and finding is that of the same run on one machine."""
    (tmp_path / "one").mkdir()
    one, many = World(tmp_path / "one"), world
    many.environ |= {"ECHOLANE_JOURNAL": url, "ECHOLANE_REPLAY_WORKERS": "own"}
    results = []
    for place in (one, many):
        try:
            place.record(place.app(), ITEMS)
            done, result = place.run(
                "--base-cmd", place.app_command(), "--branch-cmd", place.app_command("price"), "--seed", 7
            )
        finally:
            many.started += one.started
            one.started = []
        assert (done.code, result["verdict"]) == (1, "fail"), done.err
        results.append((likeness(result["ledger"]), likeness(result["groups"]), told(place, result["run"])))

    assert results[0] == results[1]
    assert not any((many.home / "journal").iterdir())
    journal = open_journal(Home(many.home, url))
    kept = journal.topics()
    journal.close()
    assert [topic.split(".")[0] for topic in kept] == ["dead", "exchanges", "intents", "observations", "work"]


def test_the_flag_leads_every_command_to_the_cluster(world: World, url: str) -> None:
    """Import, recordings, run, show and doctor take `--journal`; what a command says to do next leads there, too."""
    requests = "".join(
        f"1 {n:024x} {1_700_000_000_000_000_000 + n}\nGET /items/{n} HTTP/1.1\r\nHost: shop\r\n\r\n\n🐵🙈🙉\n"
        for n in range(1, 9)
    )
    world.environ["ECHOLANE_REPLAY_WORKERS"] = "own"
    file = world.folder / "traffic.gor"
    file.write_text(requests)
    place = ("--home", world.home, "--journal", url)

    imported = world.call("import", file, "--service", "shop", "--json", *place)
    listed = world.call("recordings", *place)
    done = world.call(
        *("run", "--service", "shop", "--recording", json.loads(imported.out)["recording"], *place),
        *(
            "--base-cmd",
            world.app_command(),
            "--branch-cmd",
            world.app_command("price"),
            "--json",
            world.folder / "r.json",
        ),
    )
    result = json.loads((world.folder / "r.json").read_bytes())
    explained = world.call("show", result["run"], "--explain", result["groups"][0]["id"], *place)
    examined = world.call("doctor", *place)

    assert json.loads(imported.out)["counts"]["stored"] == 8
    assert "recorded services: shop" in listed.err
    assert (done.code, result["ledger"]["compared"], result["ledger"]["unaccounted"]) == (1, 8, 0), done.err
    assert f"--home {world.home} --journal '{url}'" in done.err
    assert "the whole bodies" in explained.out
    assert examined.code == 0, examined.out
    assert "5 topics" in examined.out


def test_a_cluster_that_is_not_there_is_one_line(world: World) -> None:
    """Every command that needs the journal ends with exit 2 and says which address it cannot reach."""
    nobody = "kafka://127.0.0.1:1?wait_s=1"
    world.environ["ECHOLANE_CAPTURE_SPOOL_BYTES"] = "0"  # else a recorder begins, and says so: test_spool.py
    for words in (
        ("record", "--service", "shop", "--listen", f"127.0.0.1:{free_port()}", "--upstream", "http://127.0.0.1:1"),
        ("recordings",),
        ("run", "--service", "shop", "--base", "http://127.0.0.1:1", "--branch", "http://127.0.0.1:2"),
    ):
        done = world.call(*words, "--home", world.home, "--journal", nobody)

        assert done.code == 2, done.err
        assert "no broker of 127.0.0.1:1 answers" in done.err
        assert done.err.count("\n") == 1, done.err
    examined = world.call("doctor", "--home", world.home, "--journal", nobody)
    assert examined.code == 2
    assert "no broker of 127.0.0.1:1 answers" in examined.out
