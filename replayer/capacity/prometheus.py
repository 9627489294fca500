"""The door to a Prometheus server: instant queries, so that the target's own metrics can be health rules.

A rule is written ``NAME=QUERY <= BOUND`` (or ``>=``). Of several series the worst counts. A query that gives no number says nothing of
the target's health, so that the interval is not judged by it; one that gives none before the search begins is an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import math
import re
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote, urlsplit

import orjson

from echolane.errors import EcholaneError, UsageError
from replayer.capacity.rules import BACKLOG, ERRORS, LATENCY, OWN_FIRING, Rule

WAIT_S = 5.0
"""An answer of a server beside the target takes milliseconds; an interval must not wait for one that hangs."""
ANSWER_BYTES = 1024 * 1024
"""Of an instant query: some ten thousand series, far more than a rule should look at."""
QUERIES_MAX = 16
_RULE = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9_.-]{0,63})=)?(.+?)\s*(<=|>=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*", re.DOTALL
)


class MetricsUnreadable(EcholaneError):  # noqa: N818 - it is told, or makes an interval void
    """A query of the target's metrics gave no number."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One query with its bound."""

    rule: Rule
    query: str


def parse_metric(text: str, number: int = 1) -> Metric:
    """What ``--metric`` asks for; UsageError where that is no rule."""
    found = _RULE.fullmatch(text.strip())
    if not found:
        raise UsageError(
            f"--metric `{text}` is no rule; use `NAME=QUERY <= BOUND` or `>=`, "
            "for example `cpu=avg(rate(process_cpu_seconds_total[30s])) <= 0.8`"
        )
    name = found[1] or f"metric-{number}"
    if name in {ERRORS, LATENCY, BACKLOG, OWN_FIRING, "session-order"}:
        raise UsageError(f"--metric `{name}` is the name of a signal that is measured anyway; choose another")
    return Metric(Rule(name, float(found[4]), at_least=found[3] == ">="), found[2].strip())


def parse_metrics(texts: Sequence[str]) -> list[Metric]:
    """All of them; each name once."""
    found = [parse_metric(text, number) for number, text in enumerate(texts, 1)]
    if len(found) > QUERIES_MAX:
        raise UsageError(f"--metric is given {len(found)} times; at most {QUERIES_MAX} queries are asked an interval")
    names = [metric.rule.signal for metric in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--metric `{name}` is given twice; give each rule a name of its own")
    return found


class Prometheus:
    """One server's answers to a few queries."""

    def __init__(self, url: str, metrics: Sequence[Metric], thread: Executor) -> None:
        parts = _parts_of(url)
        self.url, self.metrics = url.rstrip("/"), metrics
        self._tls = parts.scheme == "https"
        self._host, self._path = parts.netloc, parts.path.rstrip("/")
        self._thread = thread

    def __repr__(self) -> str:
        return f"<Prometheus {self.url}, {len(self.metrics)} queries>"

    async def read(self) -> dict[str, float]:
        """Every signal's value now; MetricsUnreadable says which could not be read, and why."""
        found: dict[str, float] = {}
        for metric in self.metrics:
            found[metric.rule.signal] = await asyncio.get_running_loop().run_in_executor(self._thread, self.ask, metric)
        return found

    def ask(self, metric: Metric) -> float:
        """One instant query (``/api/v1/query``)."""
        name, what = metric.rule.signal, f"{self.url} asked for `{metric.rule.signal}`"
        kind = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
        connection = kind(self._host, timeout=WAIT_S)
        try:
            connection.request(
                "GET", f"{self._path}/api/v1/query?query={quote(metric.query, safe='')}&timeout={WAIT_S:.0f}s"
            )
            answer = connection.getresponse()
            body = answer.read(ANSWER_BYTES + 1)
        except TimeoutError as error:
            raise MetricsUnreadable(f"{what}: no answer within {WAIT_S:.0f} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise MetricsUnreadable(f"{what}: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if len(body) > ANSWER_BYTES:
            raise MetricsUnreadable(
                f"{what}: the answer is larger than {ANSWER_BYTES:,} bytes; aggregate, for example with max()"
            )
        return worst_of(body, answer.status, metric, f"{self.url} has no number for `{name}`")


def worst_of(body: bytes, status: int, metric: Metric, none: str) -> float:
    """The worst value in an answer. Pure."""
    try:
        told: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MetricsUnreadable(f"{none}: it answered {status} and no JSON; is it a Prometheus server?") from error
    answer: dict[str, Any] = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
    if answer.get("status") != "success":
        why = " ".join(str(answer.get("error") or f"status {status}").split())[:300]
        raise MetricsUnreadable(f"{none}: {why}")
    values = [value for value in _values(answer.get("data")) if not math.isnan(value)]
    if not values:
        raise MetricsUnreadable(f"{none}: `{metric.query}` gives nothing at this moment")
    return min(values) if metric.rule.at_least else max(values)


def _values(data: Any) -> list[float]:
    """Numbers of an instant vector or a scalar."""
    kind, result = (data.get("resultType"), data.get("result")) if isinstance(data, dict) else (None, None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    found: list[float] = []
    with contextlib.suppress(TypeError, ValueError, KeyError, IndexError):
        if kind == "scalar":
            found.append(float(result[1]))  # pyright: ignore[reportOptionalSubscript, reportUnknownArgumentType]
        elif kind == "vector":
            found += [float(series["value"][1]) for series in cast("list[dict[str, Any]]", result)]
    return found


def _parts_of(url: str) -> Any:
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise UsageError(f"--prometheus `{url}` is not a URL ({error}); use http://HOST:9090") from error
    if not known or "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(f"--prometheus `{url}` is not the address of a server; use http://HOST:9090")
    return parts
