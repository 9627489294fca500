"""Measure the truth of a pair: what differs between its two versions, told without any part of Echolane.

    python3 measure.py PAIR_DIR        (writes truth.json and summary.json; standard library only)

Each version is started fresh several times, on another port each time, and the whole workload is sent straight to it, one request after
another. A place that differs between base and branch in every run and never within a version is a `regression` row; so is one that is there
in every run of one version only. A place that differs within a version is a `noise` row, unless its stable part (dates, ids and numbers
masked, page tokens decoded, comma lists as sets) is constant within each version and differs between them: that is a regression too. The port
under test is replaced by one word before comparing; a place where only the port differs is noise of subkind `topology`. What keeps differing
within a version even by its stable part, and is never equal between the versions, is told apart by nobody: its request is `undetermined`. Where
base always says one thing and branch something else each time, `became random` is a regression if the shapes of the two differ (a word became
an id), and noise of subkind `branch only` if not (a counter's number became a drawn one).
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import xml.dom.minidom
import xml.parsers.expat
from collections import defaultdict
from pathlib import Path
from typing import Any

RUNS = {"base": 6, "branch": 5}
ABSENT = "<absent>"
RAW = "raw:"
CONNECTION = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"}
UNSTABLE = re.compile(
    r"(?P<date>\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT|\d{4}-\d\d-\d\d[T ][\d:.+Z-]+)"
    r"|(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-fA-F]{16,}"
    r"|(?<![\w+/=-])(?=[\w+/=-]*\d)(?=[\w+/=-]*[a-zA-Z])[\w+/=-]{15,})"
    r"|(?P<number>\d+)"
)
"""What varies by nature, by its kind: a date that became a number is no noise. Ids are UUIDs, hashes, and words of letters and digits."""


def free_port() -> int:
    """A port nobody listens on at this moment."""
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
    """Send the workload in order, each request on a connection of its own."""
    found = []
    for line in (pair / "workload.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.putrequest(row["method"], row["path"], skip_accept_encoding=True)
        body = (
            base64.b64decode(row["body_b64"]) if "body_b64" in row else row["body"].encode() if "body" in row else None
        )
        if body is None and row["method"] in {"POST", "PUT", "PATCH"}:
            body = b""
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
    """Place to its values in order, as the contract writes places; the raw text of a place that names the port is kept under RAW."""
    found: dict[str, list[Any]] = defaultdict(list)
    found["status"].append(status)
    for name, value in headers:
        if name.lower() not in CONNECTION:
            found["header:" + name.lower()].append(value)
    text = body.decode("utf-8", "replace")
    try:
        flatten(json.loads(text), "body:$", found)
        found["body"].append("json")
    except ValueError:
        root = xml_root(body)
        if root is not None:
            flatten_xml(root, "body:/" + root.tagName, found)
        found["body"].append(text if root is None else "xml")
    named = re.compile(rf"(?<!\d){port}(?!\d)")
    for where, values in list(found.items()):
        found[where] = [named.sub("PORT", value) if isinstance(value, str) else value for value in values]
        if found[where] != values:
            found[RAW + where] = values
    return found


def flatten(node: Any, path: str, found: dict[str, list[Any]]) -> None:
    """Put each member of a JSON value under its path; a container leaves a mark of its kind, a list its length too."""
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


def xml_root(body: bytes) -> xml.dom.minidom.Element | None:
    """The root of an XML document; None for other bodies and for pages of HTML, which are read as text."""
    try:
        root = xml.dom.minidom.parseString(body).documentElement
    except (xml.parsers.expat.ExpatError, ValueError):
        return None
    return None if root is None or root.tagName.lower() == "html" else root


def flatten_xml(node: xml.dom.minidom.Element, path: str, found: dict[str, list[Any]]) -> None:
    """Put attributes and texts under their paths; an element leaves a mark of its kind."""
    for name, value in sorted(node.attributes.items()):
        found[f"{path}/@{name}"].append(value)
    text = "".join(
        child.data for child in node.childNodes if child.nodeType in {node.TEXT_NODE, node.CDATA_SECTION_NODE}
    )
    found[path].append(text.strip())
    for child in node.childNodes:
        if child.nodeType == node.ELEMENT_NODE:
            flatten_xml(child, f"{path}/{child.tagName}", found)


def decoded(token: re.Match[str]) -> str:
    """A page token is base64 of JSON: show what it holds, so that only its timestamps are masked and not a change of its format."""
    text = urllib.parse.unquote(token[1])
    try:
        return "_token=" + base64.b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        return token[0]


def kind_of(found: re.Match[str]) -> str:
    """What a masked text leaves: its kind, and how long it is where it is a hash: one of another length is made in another way."""
    return f"<{found.lastgroup}{len(found[0]) if re.fullmatch('[0-9a-fA-F]{16,}', found[0]) else ''}>"


def stable(values: list[Any]) -> str:
    """What is left of values when dates, ids and numbers are masked and comma lists are sets."""
    masked = [UNSTABLE.sub(kind_of, re.sub(r"_token=([\w%+/=-]+)", decoded, str(value))) for value in values]
    return json.dumps(
        sorted([type(v).__name__, sorted(t.strip() for t in m.split(","))] for v, m in zip(values, masked, strict=True))
    )


def main() -> None:
    """Capture both versions, judge each place of each request, write the two files."""
    pair = Path(sys.argv[1])
    rows = [json.loads(line) for line in (pair / "workload.jsonl").read_text("utf-8").splitlines()]
    runs = {version: [capture(pair, version) for _ in range(count)] for version, count in RUNS.items()}
    truth: list[dict[str, Any]] = []
    kinds: dict[str, list[str]] = {"different": [], "clean": [], "undetermined": []}
    for index, row in enumerate(rows):
        mine = request_rows(row, [run[index] for run in runs["base"]], [run[index] for run in runs["branch"]])
        verdicts = {r["kind"] for r in mine if not r["optional"]}
        kinds["different" if "regression" in verdicts else "undetermined" if "unsure" in verdicts else "clean"].append(
            row["id"]
        )
        for unsure in (r for r in mine if r["kind"] == "unsure"):
            print("unsure", row["id"], row["method"], row["path"], unsure["where"], unsure["example"])
        truth += [r for r in mine if r["kind"] != "unsure"]
    truth = merged(truth)
    (pair / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", "utf-8")
    counts = {kind: sum(r["kind"] == kind for r in truth) for kind in ("regression", "noise")}
    summary = {
        "pair": pair.resolve().name,
        "requests": len(rows),
        "captures": RUNS,
        "truth_rows": counts | {"optional": sum(r["optional"] for r in truth)},
        "broken_in_base": [],
    } | {f"{kind}_requests": ids for kind, ids in kinds.items()}
    (pair / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", "utf-8")
    print(len(rows), "requests,", ", ".join(f"{len(ids)} {kind}" for kind, ids in kinds.items()), "- rows:", counts)


def request_rows(row: dict[str, Any], base: list[dict[str, Any]], branch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The truth rows of one request, without the members of what came or went as a whole."""
    found = []
    for where in sorted({w for w in set().union(*base, *branch) if not w.startswith(RAW)}):
        judged = judge(where, [r.get(where) for r in base], [r.get(where) for r in branch])
        if judged is None:
            raw = [json.dumps(r.get(RAW + where)) for r in base + branch]
            judged = ("noise", "topology") if len(set(raw)) > 1 else None
        if judged is None:
            continue
        example = {"base": base[0], "base_again": base[1], "branch": branch[0], "branch_again": branch[1]}
        found.append(
            {
                "method": row["method"],
                "path_pattern": row["path"].split("?")[0],
                "where": where,
                "kind": judged[0],
                "subkind": judged[1],
                "optional": where == "header:content-length" and row["method"] != "HEAD",
                "explanation": "follows the body" if where == "header:content-length" else "",
                "requests": [row["id"]],
                "example": {name: str(run.get(where, ABSENT))[:200] for name, run in example.items()},
            }
        )
    return covered(found)


def judge(where: str, base: list[Any], branch: list[Any]) -> tuple[str, str] | None:
    """regression, noise or unsure, with its subkind; None when nothing differs."""
    values = [json.dumps(v) for v in base], [json.dumps(v) for v in branch]
    noisy = len(set(values[0])) > 1 or len(set(values[1])) > 1
    apart = all(a != b for a, b in itertools.product(*values))
    present = ({v is not None for v in base}, {v is not None for v in branch})
    if len(present[0]) == len(present[1]) == 1 and present[0] != present[1]:
        return "regression", "presence"
    if not noisy:
        return ("regression", subkind(where, base[0], branch[0])) if apart else None
    kept = [{stable(v or []) for v in side} for side in (base, branch)]
    if len(kept[0]) == len(kept[1]) == 1 and kept[0] != kept[1]:
        return "regression", "stable part of a noisy value"
    if len(kept[0]) == len(kept[1]) == 1:
        return "noise", "value"
    if len(set(values[0])) == 1 and len(set(values[1])) == len(branch):
        shapes = [{re.sub(r"<(id|number)\d*>|[0-9a-f]+", "#", text) for text in side} for side in kept]
        return ("regression", "became random") if shapes[0].isdisjoint(shapes[1]) else ("noise", "branch only")
    return ("unsure", "") if apart else ("noise", "value")


def subkind(where: str, base: list[Any], branch: list[Any]) -> str:
    """What sort of difference two constant values have."""
    if where == "body" and {"json", "xml"} & {str(side[0]) for side in (base, branch)}:
        return "format of the body"
    marks = [[v for v in side if isinstance(v, str) and re.fullmatch(r"\[\d+\]", v)] for side in (base, branch)]
    if marks[0] == base and marks[1] == branch:
        return "length"
    return "type" if {type(v) for v in base}.isdisjoint({type(v) for v in branch}) else "value"


def merged(truth: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each method, path, place and kind, with the ids of all its requests."""
    kept: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in truth:
        first = kept.setdefault(
            tuple(str(row[key]) for key in ("method", "path_pattern", "where", "kind", "subkind")), row
        )
        if first is not row:
            first["requests"] += row["requests"]
    return list(kept.values())


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
            and row["where"].startswith((outer + ".", outer + "[", outer + "/") if outer != "body" else ("body:",))
            for outer in gone[row["requests"][0]]
        )
    ]


if __name__ == "__main__":
    main()
