"""A real Prometheus scrapes the server by the files that `echolane grafana export` writes, and knows the alerts."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.parts import running
from bench.ports import free_port
from tests.e2e.api_parts import WAIT_S, Served
from tests.e2e.world import World
from tests.waiting import wait_until

HINT = "apt-get install prometheus"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of its own."""
    world = World(tmp_path_factory.mktemp("scraped"))
    try:
        yield Served(world)
    finally:
        world.end()


def is_ready(port: int) -> bool:
    """Whether Prometheus has read its files; until then it listens and answers that it is not."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=30) as answer:
            return answer.status == 200
    except urllib.error.HTTPError:
        return False


def asked(port: int, path: str, **query: str) -> Any:
    """What Prometheus answers."""
    address = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(address, timeout=30) as answer:
        return json.loads(answer.read())["data"]


def value(port: int, query: str) -> float | None:
    """The one value of a query; None where there is none yet."""
    found = asked(port, "query", query=query)["result"]
    return float(found[0]["value"][1]) if len(found) == 1 else None


def test_what_is_exported_scrapes_the_server(served: Served, tmp_path: Path, require: Callable[..., str]) -> None:
    """With a viewer's token it is up, a run that failed and what was recorded are counted as the API has them, and every alert is healthy."""
    program = require("prometheus", hint=HINT)
    run = served.run()
    assert served.ended(run)["verdict"] == "fail"
    exported = tmp_path / "grafana"
    assert served.world.call("grafana", "export", exported).code == 0
    token = tmp_path / "echolane.token"
    token.write_text(served.token("viewer"), "ascii")
    scrape = (exported / "prometheus/scrape.yaml").read_text("utf-8")
    assert "/etc/prometheus/echolane.token" in scrape
    scrape = scrape.replace("/etc/prometheus/echolane.token", str(token)).replace(":8900", f":{served.port}")
    rules = f"rule_files: ['{exported / 'prometheus/alerts.yaml'}']\n"
    config = tmp_path / "prometheus.yml"
    config.write_text(f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n{rules}{scrape}", "utf-8")
    port = free_port()
    command = [program, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    with running([*command, f"--web.listen-address=127.0.0.1:{port}"], port):
        up = f'up{{instance="127.0.0.1:{served.port}"}}'
        wait_until(lambda: is_ready(port), WAIT_S)
        wait_until(lambda: value(port, up) == 1.0, WAIT_S)
        assert value(port, 'echolane_runs{service="shop",verdict="fail"}') == 1.0
        stored = value(port, 'echolane_capture_exchanges{service="shop",outcome="stored"}')
        assert stored == served.exchanges
        wait_until(lambda: all(rule["health"] == "ok" for rule in rules_of(port)), WAIT_S)
        assert {rule["name"] for rule in rules_of(port)} >= {"EcholaneDown", "EcholaneCaptureLoss", "EcholaneRunFailed"}
        served.process.kill()
        wait_until(lambda: value(port, up) == 0.0, WAIT_S)
        wait_until(
            lambda: any(one["labels"]["alertname"] == "EcholaneDown" for one in asked(port, "alerts")["alerts"]), WAIT_S
        )
    served.process.wait(WAIT_S)
    served.start()


def rules_of(port: int) -> list[dict[str, Any]]:
    """The rules that it evaluates."""
    return [rule for group in asked(port, "rules")["groups"] for rule in group["rules"]]


def test_prometheus_own_tool_finds_nothing_wrong(served: Served, require: Callable[..., str]) -> None:
    """`promtool check metrics` reads what is told and has no objection: names, types and help are as they are meant to be."""
    tool = require("promtool", hint=HINT)
    told = served.ask("GET", "/metrics").body
    done = subprocess.run([tool, "check", "metrics"], input=told, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
