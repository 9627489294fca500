"""Results of runs as the differ writes them (design §7), realistic and hostile ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from tests.console.results_findings import finding, regressions

Result = dict[str, Any]
JUNIT_ELEMENTS = frozenset(
    ("testsuite", "properties", "property", "testcase", "failure", "error", "skipped", "system-out")
)
"""All that a suite of JUnit holds."""


def series(count: int, p50_us: int, spread: list[int]) -> dict[str, Any]:
    """Times as the differ folds them: ``spread`` is how many fell into each octave, the third of which has the median."""
    first = p50_us.bit_length() - 2
    return {
        "count": count,
        "mean_us": p50_us,
        "p50_us": p50_us,
        "p90_us": p50_us * 2,
        "p99_us": p50_us * 5,
        "p999_us": p50_us * 9,
        "max_us": p50_us * 11,
        "histogram": [[2 ** (first + n), number] for n, number in enumerate(spread) if number],
    }


def timed() -> dict[str, Any]:
    """A paced run's times: the branch is slower, some requests waited for their session."""
    answers = {
        name: {"service": series(count, us, spread), "response": series(count, us * 2, [*spread, 2])}
        for name, count, us, spread in (
            ("base", 280, 4_100, [10, 60, 150, 55, 4, 1]),
            ("control", 200, 4_000, [8, 40, 110, 40, 2]),
            ("branch", 279, 9_800, [4, 55, 140, 70, 8, 0, 0, 2]),
            ("branch_control", 200, 9_600, [4, 40, 100, 50, 6]),
        )
    }
    return {
        "pace": "200/s",
        "retry_after": {"branch": {"times": 2, "longest_s": 3.0, "waited_s": 4.0, "fired_again": 1}},
        "concurrency": {"branch": {"least": 2, "last": 9}},
        "lateness": series(280, 60, [30, 90, 120, 38, 1, 0, 1]),
        "session_wait": series(41, 3_000, [6, 10, 20, 5]),
        "targets": answers,
    }


def failing() -> Result:
    """A run that fails with twelve findings, and has noise and an undecided finding too."""
    noise = [
        finding(
            "*",
            "header:date",
            "value",
            "cosmetic",
            [('"Sun, 23 Nov 2025 16:02:11 GMT"', '"Sun, 23 Nov 2025 16:02:12 GMT"')],
            verdict="noise",
            basis="clock",
            endpoints=31,
            differing=280,
            observed=280,
            control_differing=200,
            control_observed=200,
            branch_control_differing=200,
            branch_control_observed=200,
            explanation="both values are the time at which they were given",
        ),
        finding(
            "GET /items",
            "body:$.request_id",
            "value",
            "visible",
            [('"5d1f6c1e-3f0a-4a57-9a68-0c6a4f9f3f0e"', '"a7cf0a52-1d0f-4be1-8d8a-0f9d5f6a2b11"')],
            verdict="noise",
            basis="tested",
            p_value=1.0,
            q_value=1.0,
            differing=40,
            observed=40,
            control_differing=38,
            control_observed=38,
            branch_control_differing=38,
            branch_control_observed=38,
            explanation="base and branch differ from themselves here too",
        ),
    ]
    undecided = [
        finding(
            "GET /search",
            "body:$.took_ms",
            "value",
            "visible",
            [("12", "31")],
            verdict="undecided",
            basis="tested",
            p_value=0.031,
            q_value=0.08,
            differing=20,
            observed=31,
            control_differing=11,
            control_observed=31,
            branch_control_differing=12,
            branch_control_observed=31,
            explanation="differs more often than the controls, but not often enough to be sure",
            missing_samples=6,
        ),
    ]
    return {
        "schema": "echolane/run/1",
        "run": "01936b1c-8f2a-7c31-9d4e-5f6071829304",
        "service": "shop",
        "verdict": "fail",
        "reason_code": "regressions",
        "reason": "12 regressions in 57 endpoints",
        "targets": {
            "base": {"url": "http://127.0.0.1:8001", "lane": None},
            "control": {"url": "http://127.0.0.1:8001", "lane": None},
            "branch": {"url": "http://127.0.0.1:8002", "lane": "feat-1"},
            "branch_control": {"url": "http://127.0.0.1:8002", "lane": "feat-1"},
        },
        "fidelity": 0.9929,
        "ledger": {
            "selected": 300,
            "skipped": {"unsafe-method": 18, "truncated-body": 2},
            "fired": 280,
            "answered": {"base": 280, "control": 200, "branch": 279, "branch_control": 200},
            "failed": {"branch": {"timeout": 1}},
            "spared": {"control": {"sampled": 80}, "branch_control": {"sampled": 80}},
            "in_doubt": {},
            "not_compared": {},
            "compared": 280,
            "same": 31,
            "noise_only": 32,
            "undecided": 5,
            "different": 211,
            "uncomparable": {"too-large": 1},
            "unaccounted": 0,
        },
        "groups": regressions(),
        "noise": noise,
        "expected": [],
        "undecided": undecided,
        "started_at": "2025-11-23T16:02:09.114+00:00",
        "finished_at": "2025-11-23T16:02:14.871+00:00",
        "rates": {"fired_per_s": 212.4},
        "timing": timed(),
    }


def passing() -> Result:
    """A run in which nothing but noise differs."""
    result = failing()
    ledger = {
        **result["ledger"],
        "same": 247,
        "noise_only": 33,
        "undecided": 0,
        "different": 0,
        "uncomparable": {},
        "failed": {},
    }
    ledger["answered"] = {**ledger["answered"], "branch": 280}
    return {
        **result,
        "verdict": "pass",
        "reason_code": "passed",
        "reason": "no regression in 280 compared exchanges",
        "groups": [],
        "undecided": [],
        "fidelity": None,
        "ledger": ledger,
    }


def unfaithful() -> Result:
    """A run without a verdict, because base does not answer as it did."""
    result = passing()
    reason = "base answered 401 or 403 to 96% of the requests that were answered otherwise when recorded; give the targets credentials they accept, or record again with seals"
    return {**result, "verdict": "inconclusive", "reason_code": "fidelity", "reason": reason, "fidelity": 0.0417}


def interrupted() -> Result:
    """A run that Ctrl-C ended in the middle, with a first finding."""
    result = failing()
    ledger = {**result["ledger"], "selected": 1300, "fired": 1300 - 20, "not_compared": {"cancelled": 1000}}
    ledger["answered"] = dict.fromkeys(ledger["answered"], 280)
    ledger["failed"], ledger["spared"] = {}, {name: {"paused": 1000} for name in ledger["answered"]}
    return {
        **result,
        "verdict": "inconclusive",
        "reason_code": "interrupted",
        "reason": "the run was interrupted; `echolane run --resume` goes on with it",
        "groups": result["groups"][:2],
        "ledger": ledger,
    }


def huge() -> Result:
    """A run with 200 findings and an account that does not balance."""
    result = failing()
    found = []
    for number in range(200):
        one = copy.deepcopy(result["groups"][number % 12])
        one["endpoint"] = one["endpoint"] if one["endpoint"] == "*" else f"{one['endpoint']}/part-{number}"
        one["id"] = f"{number:016x}"
        found.append(one)
    ledger = {**result["ledger"], "compared": 279}
    return {**result, "groups": found, "reason": "200 regressions in 178 endpoints", "ledger": ledger}


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "</pre></details><h1>pass</h1>",
    "javascript:alert(1)",
    "&lt;b&gt;&#60;i&#62;",
    "`code` | pipe | **bold** [link](http://evil.example) <b>x</b>",
    "@everyone @org/team #1 GH-1 https://evil.example",
    "--> <!-- x",
    "]]>",
    "\x00\x01\x1b[31mred\x1b[0m\x07\x9b31m",
    "\u202eexe.txt\u202c\u2066\u200b",
    "\ud800 lone",
    "\ufffe\uffff",
    "line\nline\r\nline\ttab",
    "w" * 5000,
    "${jndi:ldap://x}{{7*7}}%s",
    "🦄 ünïcödé 漢字",
    "style=\"x\" onload='y'",
    "</style><svg onload=alert(1)>",
)


def hostile(text: str) -> Result:
    """A run in which every text is hostile."""

    def poison(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            if key in {"skipped", "failed", "spared", "uncomparable", "not_compared"} and all(
                isinstance(v, int) for v in value.values()
            ):
                return {f"{name} {text}": number for name, number in value.items()}
            return {name: poison(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [poison(each, key) for each in value]
        return (
            f"{value} {text}"
            if isinstance(value, str) and key not in {"verdict", "started_at", "finished_at", "schema"}
            else value
        )

    poisoned = poison(failing())
    for one in poisoned["groups"]:
        one["severity"] = f"breaking{text}"
    return poisoned


RESULTS: dict[str, Callable[[], Result]] = {
    "fail": failing,
    "pass": passing,
    "inconclusive": unfaithful,
    "interrupted": interrupted,
    "huge": huge,
}
