"""`echolane api` and `echolane up` where the journal is on Kafka and the store at ClickHouse: machines that share addresses and keys, and no disk."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from bench.broker import Broker
from echolane.ledger import run_identities
from echolane.store import open_store
from tests.console.up_stage import FAST, Stage
from tests.e2e.api_parts import Served, events, log_of
from tests.e2e.test_hooks_told import PATIENT
from tests.e2e.world import World, stop
from tests.store.bridge import Bridge, database_of
from tests.waiting import wait_until

PREFIXES = count(1)
EXCHANGES = 30
ONCE = "SELECT count() AS n, uniqExact(exchange) AS different FROM results_v WHERE run = {run:String}"


class Clustered(Served):
    """A server, a recorder and workers, each with a home of its own, as on machines of their own."""

    def __init__(self, world: World, journal: str, store: str) -> None:
        self.store = store
        world.environ |= {name: secrets.token_hex(32) for name in ("ECHOLANE_SEAL_KEY", "ECHOLANE_MARK_KEY")}
        world.environ |= PATIENT | {"ECHOLANE_JOURNAL": journal, "ECHOLANE_STORE": store}
        super().__init__(world, exchanges=EXCHANGES)

    def start(self) -> None:
        """The server, on a machine that has recorded nothing."""
        self.world.home = self.world.folder / "server"
        super().start()

    def worker(self, role: str) -> None:
        """A worker more, which listens for runs when this returns."""
        path = self.world.folder / f"{role}.said"
        words = ["worker", role, "--home", self.world.folder / "workers"]
        with path.open("wb") as said:
            process = self.world.start(sys.executable, "-m", "console.main", *words, stderr=said)
        wait_until(lambda: "waits for runs" in path.read_text("utf-8") or process.poll() is not None)
        assert process.poll() is None, path.read_text("utf-8")

    def once(self, run: str) -> int:
        """How many results a run has; none is there twice."""
        with open_store(self.world.home, self.store) as store:
            (row,) = store.query(ONCE, {"run": run})
        assert row["n"] == row["different"]
        return int(row["n"])

    def pages(self, path: str, key: str) -> list[dict[str, Any]]:
        """A list, page by page to its end."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            told = self.ask("GET", f"{path}{'&' if '?' in path else '?'}limit=7{cursor}").json
            found += told[key]
            if told["next"] is None:
                return found
            cursor = f"&cursor={told['next']}"


@pytest.fixture(scope="module")
def served(broker: Broker, bridge: Bridge, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clustered]:
    """Such a server, with its workers."""
    world = World(tmp_path_factory.mktemp("cluster"))
    try:
        found = Clustered(world, broker.url(f"prefix=api{next(PREFIXES)}."), database_of(bridge))
        for role in ("replay", "diff"):
            found.worker(role)
        yield found
        assert stop(found.process, 90) == 0
    finally:
        world.end()
    assert "api.fault" not in log_of(world.home)


def test_a_run_asked_for_by_the_api_is_watched_and_read_as_on_one_machine(served: Clustered) -> None:
    """Its events end with its end, its ledger balances, its findings lead to their exchanges, each once, and a shell elsewhere shows the same."""
    run = served.run()
    told = events(served, run, served.admin)
    assert told[-1][0] == "ended"
    assert told[-1][1] == served.ended(run)
    assert (told[-1][1]["state"], told[-1][1]["verdict"]) == ("finished", "fail")
    assert told[-1][1]["done"] == told[-1][1]["total"] == EXCHANGES == served.once(run)
    result = served.ask("GET", f"/api/v1/runs/{run}").json
    assert run_identities(result["ledger"]) == []
    shown = served.world.call("show", run, "--json", "--home", served.world.folder / "elsewhere")
    assert shown.result == result, shown.err

    findings = served.pages(f"/api/v1/runs/{run}/findings?verdict=regression", "findings")
    assert {one["where"] for one in findings} == {"body:$.price"}
    for one in findings:
        exchanges = served.pages(f"/api/v1/runs/{run}/findings/{one['id']}/exchanges", "exchanges")
        assert len({each["exchange"] for each in exchanges}) == len(exchanges) == one["differing"]
        each = served.ask("GET", f"/api/v1/runs/{run}/exchanges/{exchanges[0]['exchange']}").json
        assert each["request"]["target"].startswith("/items/"), each
        assert each["recorded"]["status"] == 200
    assert len(served.pages(f"/api/v1/runs/{run}/exchanges?header=content-type", "exchanges")) == EXCHANGES
    for path in (f"/runs/{run}", "/", "/recordings", "/services/shop/noise", "/metrics", "/readyz"):
        assert served.ask("GET", path).status == 200, path


def test_a_run_is_held_cut_off_and_gone_on_with_over_a_kill_of_its_server(served: Clustered) -> None:
    """Paused it stands still, a server that is killed finds it again, resumed it ends with each exchange fired once; cancelled one is closed with what it has."""
    with served.held():
        run = served.run("depot", pace="2/s")
        wait_until(lambda: served.ask("POST", f"/api/v1/runs/{run}/pause").status == 202)
        served.wait(run, "paused")
    served.process.kill()
    served.process.wait(10)
    served.start()
    served.wait(run, "paused")
    assert served.ask("POST", f"/api/v1/runs/{run}/resume").status == 202
    assert served.ended(run)["state"] == "finished"
    assert served.once(run) == EXCHANGES

    cut = served.run("depot", pace="1/s")
    wait_until(lambda: served.ask("GET", f"/api/v1/runs/{cut}/state").json["done"])
    assert served.ask("POST", f"/api/v1/runs/{cut}/cancel").status == 202
    assert served.ended(cut)["state"] == "interrupted"
    assert served.ask("POST", f"/api/v1/runs/{cut}/resume").status == 202
    served.wait(cut, "finished")
    assert served.ended(cut)["verdict"] == "fail"
    assert served.once(cut) == EXCHANGES


def test_what_was_said_and_kept_over_the_api_holds_for_the_next_run(served: Clustered) -> None:
    """A window is kept and replayed, a finding that is intended is expected in the run that is done again, and two runs are compared."""
    kept = served.ask("POST", "/api/v1/recordings", {"service": "shop"})
    assert kept.status == 201, kept
    first = served.run(recording=kept.json["recording"], branch_name="feature/a")
    assert served.ended(first)["verdict"] == "fail"
    (finding,) = served.pages(f"/api/v1/runs/{first}/findings?verdict=regression", "findings")
    said = served.ask(
        "POST", f"/api/v1/runs/{first}/findings/{finding['id']}/triage", {"decision": "intended", "note": "dearer"}
    )
    assert said.status == 201, said
    again = served.ask("POST", f"/api/v1/runs/{first}/rerun")
    assert again.status == 201, again
    second = again.json["run"]
    assert (served.ended(second)["verdict"], served.once(second)) == ("pass", EXCHANGES)
    compared = served.ask("GET", f"/api/v1/runs/{first}/compare/{second}").json
    (pair,) = [one for one in compared["findings"] if one["id"] == finding["id"]]
    assert (pair["change"], pair["after"]["verdict"]) == ("gone", "expected")


def test_up_on_a_cluster_leads_from_traffic_to_a_verdict(tmp_path: Path, broker: Broker, bridge: Bridge) -> None:
    """One command with both addresses in its file records, has workers, does a run and ends whole, with everything accounted for."""
    places = f'journal = "{broker.url(f"prefix=up{next(PREFIXES)}.")}"\nstore = "{database_of(bridge)}"\n'
    stage = Stage(tmp_path, up=FAST, settings=places)
    try:
        stage.begin()
        stage.send(12)
        assert stage.settled()["stored"] == 12
        state = stage.ended(stage.run())
        assert (state["state"], state["verdict"], state["total"]) == ("finished", "fail", 12)
        assert stage.ready() == (200, "ok\n")
        assert {"worker replay", "worker diff"} <= set(stage.parts)
        assert stage.stopped(90) == 0
    finally:
        stage.end()
    assert "api.fault" not in log_of(stage.world.home)
