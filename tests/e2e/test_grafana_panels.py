"""Each panel asked of a real run's store through the reader's door: its figure is that of `show --json`, or of the recorders' ledger."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from capture.account import total_ledger
from console.grafana import files
from console.health import Health
from dashboards.panels import METRICS, STORE, dashboards
from dashboards.statements import SERVICES
from echolane.home import open_home
from tests.e2e.grafana_parts import Read
from tests.e2e.world import World

PANELS = {panel["title"]: panel for one in dashboards().values() for panel in one["panels"]}
TARGETS = ("base", "control", "branch", "branch_control")
STATEMENTS = {title: panel["targets"][0]["rawSql"] for title, panel in PANELS.items() if panel["datasource"] == STORE}


def expanded(statement: str, services: list[str]) -> str:
    """What Grafana's plugin makes of macros and variables."""
    first, last = int(time.time()) - 3600, int(time.time()) + 3600
    known = ", ".join(f"'{name}'" for name in services)
    statement = re.sub(
        r"\$__timeFilter\((\w+)\)", rf"( \1 >= toDateTime({first}) AND \1 <= toDateTime({last}) )", statement
    )
    statement = re.sub(
        r"\$__timeInterval\(([\w.]+)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 60 second)", statement
    )
    statement = statement.replace("${service:sqlstring}", known)
    assert "$" not in statement, statement
    return statement


class Dying(BaseHTTPRequestHandler):
    """Answers all but two items, at which it closes the connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """An item, or nothing."""
        if self.path in {"/items/3", "/items/7"}:
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        """Nothing on the terminal."""


class Seen:
    """The server, and what `show --json` says of its runs."""

    def __init__(self, world: World) -> None:
        self.read = Read(world)
        served = self.read.served
        runs = [served.run(pace="40/s"), served.run(), served.run("depot")]
        for run in runs:
            assert served.ended(run)["state"] == "finished"
        dying = [ThreadingHTTPServer(("127.0.0.1", 0), Dying) for _ in range(2)]
        for one in dying:
            threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            base, branch = (f"http://127.0.0.1:{one.server_address[1]}" for one in dying)
            done, broken = world.run("--base", base, "--branch", branch)
            assert broken, done
        finally:
            for one in dying:
                one.shutdown()
                one.server_close()
        runs.append(broken["run"])
        self.evaluated: list[str] = []
        self.capacity = self._evaluated()
        for _ in range(4):  # a machine that stands still has no capacity to tell
            if len(self.capacity["curve"]) >= 2 and self.capacity["safe_rate_per_s"]:
                break
            self.capacity = self._evaluated()
        self.results = [served.world.call("show", run, "--json", "--home", served.world.home).result for run in runs]

    def _evaluated(self) -> dict[str, Any]:
        """What `echolane capacity` says of a target that has no limit where it is looked for."""
        world, path = self.read.served.world, self.read.served.world.folder / "capacity.json"
        target = ("--target", f"http://127.0.0.1:{world.app()}", "--start", "20/s", "--max", "45/s")
        words = ("--service", "shop", "--home", world.home, "--interval", "0.5s", "--hold", "2", "--json", path)
        done = world.call("capacity", *target, *words)
        assert "not among" not in done.err, done.err
        told = json.loads(path.read_bytes())
        self.evaluated.append(told["run"])
        return told

    def rows(self, title: str, *services: str) -> list[dict[str, Any]]:
        """A panel's rows."""
        return self.read.rows(
            expanded(STATEMENTS[title], list(services or ("shop", "depot"))), output_format_json_quote_64bit_integers=0
        )


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Two runs of one service, one of them paced, one of another, and one whose targets fail at two requests."""
    world = World(tmp_path_factory.mktemp("panels"))
    try:
        yield Seen(world)
    finally:
        world.end()


def total(rows: list[dict[str, Any]], figure: str, *by: str) -> Counter[Any]:
    """Figures summed over time, by columns."""
    found: Counter[Any] = Counter()
    for row in rows:
        found[tuple(row[name] for name in by)] += row[figure]
    return found


def listed(seen: Seen, part: str) -> Counter[Any]:
    """How many findings of a part each service's runs have."""
    found: Counter[Any] = Counter()
    for result in seen.results:
        found[result["service"],] += len(result[part])
    return found


def test_runs_and_verdicts(seen: Seen) -> None:
    """Counts of runs by verdict, and of regressions by service."""
    verdicts = Counter((result["verdict"],) for result in seen.results)

    assert seen.rows("Runs") == [{"runs": 4}]
    assert seen.rows("Runs", "depot") == [{"runs": 1}]
    assert seen.rows("Failed") == [{"failed": verdicts["fail",]}]
    assert seen.rows("Inconclusive") == [{"inconclusive": verdicts["inconclusive",]}]
    assert total(seen.rows("Runs by verdict"), "runs", "verdict") == verdicts
    assert total(seen.rows("Regressions by service"), "regressions", "service") == +listed(seen, "groups")
    assert seen.read.rows(SERVICES) == [{"service": "depot"}, {"service": "shop"}]


def test_what_regresses_most(seen: Seen) -> None:
    """Each place with how many runs had it, and how many exchanges differed there."""
    runs: Counter[Any] = Counter()
    exchanges: Counter[Any] = Counter()
    for result in seen.results:
        for group in result["groups"]:
            place = result["service"], group["endpoint"], group["where"], group["kind"]
            runs[place] += 1
            exchanges[place] += group["differing"]
    rows = seen.rows("What regresses most")

    assert runs
    assert total(rows, "runs", "service", "endpoint", "place", "kind") == runs
    assert total(rows, "exchanges", "service", "endpoint", "place", "kind") == exchanges
    assert [row["runs"] for row in rows] == sorted((row["runs"] for row in rows), reverse=True)


def test_latest_runs(seen: Seen) -> None:
    """Each run's line is its ledger."""
    rows = {row["run"]: row for row in seen.rows("Latest runs")}

    assert set(rows) == {result["run"] for result in seen.results}
    for result in seen.results:
        row, ledger = rows[result["run"]], result["ledger"]
        names = ("fired", "same", "noise_only", "undecided", "different")
        assert {name: row[name] for name in names} == {name: ledger[name] for name in names}
        assert (row["service"], row["verdict"], row["reason_code"], row["fidelity"]) == tuple(
            result[name] for name in ("service", "verdict", "reason_code", "fidelity")
        )
        assert row["seconds"] > 0


def test_noise(seen: Seen) -> None:
    """Findings of noise and undecided ones, the share of exchanges, and how often a place differed from itself."""
    assert total(seen.rows("Noise findings by service"), "findings", "service") == +listed(seen, "noise")
    assert total(seen.rows("Undecided findings by service"), "findings", "service") == +listed(seen, "undecided")
    for service in ("shop", "depot"):
        of_it = [result["ledger"] for result in seen.results if result["service"] == service]
        share = sum(one["noise_only"] for one in of_it) / sum(one["compared"] for one in of_it)
        shares = [row["share"] for row in seen.rows("Share of exchanges that differ in noise only", service)]
        assert min(shares) <= share <= max(shares)
    noisiest = {(row["service"], row["endpoint"], row["place"]): row["differs"] for row in seen.rows("Noisiest places")}
    told: dict[Any, int] = {}
    for result in seen.results:
        for finding in result["noise"]:
            if finding["kind"] == "value" and finding["control_differing"]:
                place = result["service"], finding["endpoint"], finding["where"]
                told[place] = max(told.get(place, 0), finding["control_differing"])
    assert told
    assert {place: noisiest.get(place) for place in told} == told


def test_replay(seen: Seen) -> None:
    """Rate, fired, lateness, waits, times and failures are those of the results."""
    fired: Counter[Any] = Counter()
    failed: Counter[Any] = Counter()
    for result in seen.results:
        fired[result["service"],] += result["ledger"]["fired"]
        for target, reasons in result["ledger"]["failed"].items():
            failed[target,] += sum(reasons.values())
    late = [result["timing"]["lateness"] for result in seen.results if result["timing"]["lateness"]]
    waited = [result["timing"]["session_wait"] for result in seen.results if result["timing"]["session_wait"]]
    p99 = sorted(
        (target, told["service"]["p99_us"] / 1e6)
        for result in seen.results
        for target, told in result["timing"]["targets"].items()
    )

    assert sorted(row["fired_per_s"] for row in seen.rows("Fired per second, by run")) == sorted(
        result["rates"]["fired_per_s"] for result in seen.results
    )
    assert total(seen.rows("Exchanges fired"), "fired", "service") == fired
    assert late
    assert failed
    assert [(row["p50"], row["p99"], row["worst"]) for row in seen.rows("Lateness of paced runs")] == [
        (one["p50_us"] / 1e6, one["p99_us"] / 1e6, one["max_us"] / 1e6) for one in late
    ]
    assert [row["p99"] for row in seen.rows("Wait for the session's order")] == [one["p99_us"] / 1e6 for one in waited]
    assert sorted((row["target"], row["p99"]) for row in seen.rows("Service time by target, p99")) == p99
    assert total(seen.rows("Failed requests by target"), "failed", "target") == {
        **dict.fromkeys(((name,) for name in TARGETS), 0),
        **failed,
    }


def test_capacity(seen: Seen) -> None:
    """The curve is that of the result, and so is the outcome; `runs --capacity` lists it, and another service has none."""
    told = seen.capacity
    names = ("rate_per_s", "p50", "p90", "p99")
    curve = [tuple(row[name] for name in names) for row in seen.rows("Latency over load")]

    assert curve == [
        pytest.approx(tuple(point[f"{name}_ms"] if name in names[1:] else point[name] for name in names))
        for point in told["curve"]
    ]
    assert len(curve) >= 2
    assert seen.rows("Latency over load", "depot") == []
    rows = seen.rows("Evaluated capacities")
    assert sorted(row["run"] for row in rows) == sorted(seen.evaluated)
    (row,) = [row for row in rows if row["run"] == told["run"]]
    assert (row["run"], row["service"], row["target"], row["state"]) == tuple(
        told[name] for name in ("run", "service", "target", "state")
    )
    assert row["safe_per_s"] == told["safe_rate_per_s"] > 0
    world = seen.read.served.world
    listed = world.call("runs", "--capacity", "--service", "shop", "--json", "--home", world.home)
    assert sorted(one["run"] for one in json.loads(listed.out)) == sorted(seen.evaluated)
    assert told["run"] in world.call("runs", "--capacity", "--home", world.home).out
    assert told["run"] not in world.call("runs", "--home", world.home).out
    assert json.loads(world.call("runs", "--capacity", "--service", "depot", "--json", "--home", world.home).out) == []


def test_every_panel_of_the_store_is_tested(seen: Seen) -> None:
    """No panel is without a figure above, and each statement passes the gate."""
    text = Path(__file__).read_text("utf-8")

    for title in STATEMENTS:
        assert f'"{title}"' in text, title
        seen.rows(title)


def test_capture_is_what_the_recorders_counted(seen: Seen) -> None:
    """Prometheus is told the ledger's own counts, and every metric that a panel or an alert names is told by somebody."""
    served = seen.read.served
    metrics = served.ask("GET", "/metrics").body.decode()
    for service in ("shop", "depot"):
        ledger = total_ledger(open_home(served.world.home), service)
        assert ledger["seen"] == served.exchanges
        for name in ("seen", "stored", "spooled"):
            assert (
                f'echolane_capture_exchanges{{service="{service}",outcome="{name}"}} {ledger.get(name, 0)}\n' in metrics
            )
        assert f'echolane_capture_recorders{{service="{service}"}} 0\n' in metrics
    shop_only = served.ask("GET", "/metrics", token=served.token("viewer", "shop")).body.decode()
    assert 'service="depot"' not in shop_only

    health = Health(lambda: {"diff": 3})
    told = set(re.findall(r"# TYPE (\w+)", metrics + health.answer("/metrics")[2].decode()))
    expressions = [
        target["expr"] for panel in PANELS.values() if panel["datasource"] == METRICS for target in panel["targets"]
    ]
    expressions.append(files()["prometheus/alerts.yaml"])
    asked = {name for expression in expressions for name in re.findall(r"echolane_\w+", expression)}
    assert asked
    assert asked <= told
