"""Measure the truth of a pair: what differs between its two versions, told without any part of Echolane.

    python3 measure.py PAIR_DIR        (writes truth.json and summary.json; standard library only)

Each version is started fresh several times, on another port each time, and the whole workload is sent straight to it. A place that differs
between base and branch in every run and never within a version is a `regression` row; so is one that differs every time in presence, type,
length or body format. A place that differs within a version is a `noise` row. The port under test is replaced by one word before comparing; a
place where only that word hides a difference is noise of subkind `topology`. A noisy text is compared once more by its stable part.
"""

from __future__ import annotations

import http.client
import itertools
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

RUNS = {"base": 4, "branch": 3}
ABSENT = "<absent>"
CONNECTION = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"}
UNSTABLE = re.compile(
    r"\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT|\d{4}-\d\d-\d\d[T ][\d:.+Z-]+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-fA-F]{16,}|\d+"
)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def capture(pair: Path, version: str) -> list[dict[str, list[Any]]]:
    """One fresh start, the whole workload: for each request, place to values, in order."""
    port = free_port()
    with tempfile.TemporaryDirectory() as state:
        process = subprocess.Popen(
            ["bash", str(pair / "start.sh"), version, str(port), state],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            for _ in range(600):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            return [places(*answer, port) for answer in answers(pair, port)]
        finally:
            process.terminate()
            process.wait(20)


def answers(pair: Path, port: int) -> list[tuple[int, list[tuple[str, str]], bytes]]:
    found = []
    for line in (pair / "workload.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.putrequest(row["method"], row["path"], skip_accept_encoding=True)
        body = row["body"].encode() if "body" in row else b"" if row["method"] in {"POST", "PUT", "PATCH"} else None
        for name, value in row["headers"]:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        found.append((answer.status, answer.getheaders(), answer.read()))
        connection.close()
    return found


def places(status: int, headers: list[tuple[str, str]], body: bytes, port: int) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    found["status"].append(status)
    for name, value in headers:
        if name.lower() not in CONNECTION:
            found["header:" + name.lower()].append(value.replace(str(port), "PORT"))
    text = body.decode("utf-8", "replace").replace(str(port), "PORT")
    try:
        tree = json.loads(text)
        flatten(tree, "body:$", found)
        found["body"].append("json")
    except ValueError:
        found["body"].append(text)
    return found


def flatten(node: Any, path: str, found: dict[str, list[Any]]) -> None:
    if isinstance(node, dict):
        found[path].append("{}")
        for key, value in node.items():
            flatten(value, f"{path}.{key}" if re.fullmatch(r"[A-Za-z_][\w-]*", key) else f"{path}['{key}']", found)
    elif isinstance(node, list):
        found[path].append(f"[{len(node)}]")
        for value in node:
            flatten(value, path + "[*]", found)
    else:
        found[path].append(node)


def stable(values: list[Any]) -> str:
    """What is left of values when dates, ids and numbers are masked and comma lists are sets."""
    masked = [UNSTABLE.sub("#", str(value)) for value in values]
    return json.dumps(
        sorted([type(v).__name__, sorted(t.strip() for t in m.split(","))] for v, m in zip(values, masked, strict=True))
    )


def main() -> None:
    pair = Path(sys.argv[1])
    rows = [json.loads(line) for line in (pair / "workload.jsonl").read_text("utf-8").splitlines()]
    runs = {version: [capture(pair, version) for _ in range(count)] for version, count in RUNS.items()}
    truth: list[dict[str, Any]] = []
    different, clean, undetermined = [], [], []
    for index, row in enumerate(rows):
        base = [run[index] for run in runs["base"]]
        branch = [run[index] for run in runs["branch"]]
        verdicts = set()
        for where in sorted(set().union(*base, *branch)):
            judged = judge(where, [r.get(where) for r in base], [r.get(where) for r in branch])
            if judged is None:
                continue
            kind, subkind = judged
            optional = where == "header:content-length" and row["method"] != "HEAD"
            if not optional:
                verdicts.add(kind)
            pattern = row["path"].split("?")[0]
            example = {"base": str(base[0].get(where, ABSENT)), "branch": str(branch[0].get(where, ABSENT))}
            truth.append(
                {
                    "method": row["method"],
                    "path_pattern": pattern,
                    "where": where,
                    "kind": kind,
                    "subkind": subkind,
                    "optional": optional,
                    "explanation": "",
                    "requests": [row["id"]],
                    "example": {k: v[:200] for k, v in example.items()},
                }
            )
        (different if "regression" in verdicts else undetermined if "unsure" in verdicts else clean).append(row["id"])
    truth = [row for row in covered(truth) if row["kind"] != "unsure"]
    (pair / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", "utf-8")
    summary = {
        "pair": pair.name,
        "requests": len(rows),
        "captures": RUNS,
        "broken_in_base": [],
        "different_requests": different,
        "undetermined_requests": undetermined,
        "clean_requests": clean,
    }
    (pair / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", "utf-8")
    print(
        len(rows),
        "requests,",
        len(different),
        "different,",
        len(undetermined),
        "undetermined,",
        len(clean),
        "clean,",
        len(truth),
        "rows",
    )


def judge(where: str, base: list[Any], branch: list[Any]) -> tuple[str, str] | None:
    """regression, noise or unsure, with its subkind; None when nothing differs."""
    values = [json.dumps(v) for v in base], [json.dumps(v) for v in branch]
    noisy = len(set(values[0])) > 1 or len(set(values[1])) > 1
    apart = all(a != b for a, b in itertools.product(*values))
    present = ({v is not None for v in base}, {v is not None for v in branch})
    if len(present[0]) == len(present[1]) == 1 and present[0] != present[1]:
        return "regression", "presence"
    if not noisy:
        return ("regression", "value") if apart else None
    kept = [{stable(v or []) for v in side} for side in (base, branch)]
    if len(kept[0]) == len(kept[1]) == 1 and kept[0] != kept[1]:
        return "regression", "stable part of a noisy value"
    if len(kept[0]) == len(kept[1]) == 1:
        return "noise", "value"
    return ("unsure", "") if apart else ("noise", "value")


def covered(truth: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the members of containers that came or went, and of bodies that changed their format."""
    gone: dict[str, set[str]] = defaultdict(set)
    for row in truth:
        if row["kind"] == "regression" and (row["subkind"] == "presence" or row["where"] == "body"):
            gone[row["requests"][0]].add(row["where"])
    return [
        row
        for row in truth
        if not any(
            outer != row["where"]
            and row["where"].startswith((outer + ".", outer + "[") if outer != "body" else ("body:",))
            for outer in gone[row["requests"][0]]
        )
    ]


if __name__ == "__main__":
    main()
