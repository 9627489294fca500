"""Builds Grafana's dashboards from their statements; ``python -m dashboards.panels`` writes ``dashboards/grafana/*.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dashboards import statements as sql

GRAFANA = Path(__file__).parent / "grafana"
STORE = {"type": "grafana-clickhouse-datasource", "uid": "echolane-store"}
METRICS = {"type": "prometheus", "uid": "echolane-metrics"}
SCHEMA = 39
"""Of Grafana's dashboards; newer versions of it bring them up to their own."""
WIDTH = 24

Panel = dict[str, Any]


def _panel(kind: str, title: str, width: int, height: int, unit: str, **more: Any) -> Panel:
    return {
        "type": kind,
        "title": title,
        "description": more.pop("what", ""),
        "gridPos": {"w": width, "h": height, "x": 0, "y": 0},
        "fieldConfig": {"defaults": {"unit": unit, **more.pop("defaults", {})}, "overrides": []},
        **more,
    }


def stored(
    kind: str, title: str, statement: str, *, width: int = 12, height: int = 8, unit: str = "short", **more: Any
) -> Panel:
    """A panel over the store: ``timeseries``, ``table`` or ``stat``."""
    series = kind == "timeseries"
    target = {
        "refId": "A",
        "datasource": STORE,
        "editorType": "sql",
        "queryType": "timeseries" if series else "table",
        "format": 0 if series else 1,
        "rawSql": statement,
    }
    return _panel(kind, title, width, height, unit, datasource=STORE, targets=[target], **more)


def measured(
    title: str, *expressions: tuple[str, str], width: int = 12, height: int = 8, unit: str = "short", **more: Any
) -> Panel:
    """A panel over Prometheus: expressions and their legends."""
    targets = [
        {"refId": chr(65 + at), "datasource": METRICS, "expr": expression, "legendFormat": legend}
        for at, (expression, legend) in enumerate(expressions)
    ]
    return _panel("timeseries", title, width, height, unit, datasource=METRICS, targets=targets, **more)


def _laid(panels: list[Panel]) -> list[Panel]:
    """Left to right, then the next line."""
    x = y = tallest = 0
    for number, panel in enumerate(panels, 1):
        place = panel["gridPos"]
        if x + place["w"] > WIDTH:
            x, y, tallest = 0, y + tallest, 0
        place["x"], place["y"] = x, y
        x, tallest = x + place["w"], max(tallest, place["h"])
        panel["id"] = number
    return panels


def _dashboard(uid: str, title: str, panels: list[Panel], variables: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "uid": uid,
        "title": title,
        "tags": ["echolane"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-7d", "to": "now"},
        "timezone": "browser",
        "links": [
            {
                "type": "dashboards",
                "tags": ["echolane"],
                "title": "Echolane",
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "templating": {"list": variables},
        "panels": _laid(panels),
    }


def _services(source: dict[str, str], query: Any) -> list[dict[str, Any]]:
    return [
        {
            "name": "service",
            "label": "Service",
            "type": "query",
            "datasource": source,
            "query": query,
            "multi": True,
            "includeAll": True,
            "current": {"text": ["All"], "value": ["$__all"]},
            "refresh": 2,
            "sort": 1,
        }
    ]


def dashboards() -> dict[str, dict[str, Any]]:
    """Each dashboard by the name of its file."""
    of_store = _services(STORE, sql.SERVICES)
    of_metrics = _services(METRICS, {"query": "label_values(echolane_capture_exchanges, service)", "refId": "A"})
    return {
        "runs": _dashboard("echolane-runs", "Echolane: runs and verdicts", _runs(), of_store),
        "noise": _dashboard("echolane-noise", "Echolane: noise", _noise(), of_store),
        "replay": _dashboard("echolane-replay", "Echolane: replay", _replay(), of_store),
        "capture": _dashboard("echolane-capture", "Echolane: capture and machinery", _capture(), of_metrics),
    }


def _runs() -> list[Panel]:
    return [
        stored("stat", "Runs", sql.RUNS, width=4, height=5),
        stored("stat", "Failed", sql.FAILED, width=4, height=5),
        stored("stat", "Inconclusive", sql.INCONCLUSIVE, width=4, height=5),
        stored("timeseries", "Regressions by service", sql.BY_SERVICE, height=5),
        stored("timeseries", "Runs by verdict", sql.VERDICTS, width=24, height=7),
        stored(
            "table",
            "What regresses most",
            sql.REGRESSES_MOST,
            width=24,
            height=10,
            what="Places whose findings were regressions, by the runs that had them.",
        ),
        stored("table", "Latest runs", sql.LATEST, width=24, height=12),
    ]


def _noise() -> list[Panel]:
    return [
        stored("timeseries", "Noise findings by service", sql.NOISE_FINDINGS),
        stored("timeseries", "Undecided findings by service", sql.UNDECIDED),
        stored(
            "timeseries", "Share of exchanges that differ in noise only", sql.NOISE_SHARE, width=24, unit="percentunit"
        ),
        stored(
            "table",
            "Noisiest places",
            sql.NOISIEST,
            width=24,
            height=12,
            what="How often a version differed from itself there, in the run where it did most.",
        ),
    ]


def _replay() -> list[Panel]:
    return [
        stored("timeseries", "Fired per second, by run", sql.FIRED_PER_S, unit="reqps"),
        stored("timeseries", "Exchanges fired", sql.FIRED),
        stored(
            "timeseries",
            "Lateness of paced runs",
            sql.LATENESS,
            unit="s",
            what="How late requests were sent against their due time.",
        ),
        stored("timeseries", "Wait for the session's order", sql.SESSION_WAIT, unit="s"),
        stored("timeseries", "Service time by target, p99", sql.SERVICE_TIME, unit="s"),
        stored("timeseries", "Failed requests by target", sql.NOT_ANSWERED),
        stored(
            "xychart",
            "Latency over load",
            sql.LATENCY_OVER_LOAD,
            unit="ms",
            what="Of the newest `echolane capacity` of these services: medians over the intervals that each rate was held. "
            "Latency counts from the instant at which each request was due.",
            options={"mapping": "auto", "series": [{"x": {"matcher": {"id": "byName", "options": "rate_per_s"}}}]},
        ),
        stored("table", "Evaluated capacities", sql.CAPACITIES),
    ]


def _capture() -> list[Panel]:
    chosen = 'service=~"$service"'
    return [
        measured(
            "Exchanges seen and stored",
            (f"sum by (service, outcome) (echolane_capture_exchanges{{{chosen}}})", "{{service}} {{outcome}}"),
        ),
        measured(
            "Lost, by reason",
            (
                f'sum by (service, reason) (echolane_capture_dropped{{{chosen}, reason!~"filtered|sampled|replayed"}})',
                "{{service}} {{reason}}",
            ),
            what="What was seen and not kept. Filtered, sampled and replayed exchanges are left out on purpose and not counted here.",
        ),
        measured(
            "Left out on purpose",
            (
                f'sum by (service, reason) (echolane_capture_dropped{{{chosen}, reason=~"filtered|sampled|replayed"}})',
                "{{service}} {{reason}}",
            ),
        ),
        measured(
            "Spooled on the disk",
            (f'echolane_capture_exchanges{{{chosen}, outcome="spooled"}}', "{{service}}"),
            what="Waiting for a journal that is away.",
        ),
        measured("Recorders that live", (f"echolane_capture_recorders{{{chosen}}}", "{{service}}"), width=8),
        measured(
            "Runs going and waiting", ("echolane_runs_going", "going"), ("echolane_runs_waiting", "waiting"), width=8
        ),
        measured(
            "Workers: frames not finished",
            ("max by (role) (echolane_lag_frames)", "{{role}}"),
            ("sum(echolane_worker_ready)", "workers ready"),
            width=8,
        ),
        measured(
            "Runs in the store, by verdict",
            (f"sum by (service, verdict) (echolane_runs{{{chosen}}})", "{{service}} {{verdict}}"),
        ),
        measured(
            "API calls",
            ("sum by (operation, status) (rate(echolane_api_calls_total[5m]))", "{{operation}} {{status}}"),
            unit="reqps",
        ),
    ]


def written() -> dict[Path, str]:
    """Each file and what stands in it."""
    return {GRAFANA / f"{name}.json": json.dumps(found, indent=2) + "\n" for name, found in dashboards().items()}


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text, "utf-8")
