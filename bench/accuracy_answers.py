"""Real answers for the accuracy bench: captured from the applications of the pairs, kept in ``.bench/answers``; and some that need nobody.

``python -m bench.accuracy_answers`` starts four instances of each pair's base on ports of their own and sends the workload to all of
them. The four answers to a request are kept as they are: they are base against itself, and one of them is what mutations are planted in.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import sys
import tempfile
import time
import zlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import brotli

from bench.accuracy_samples import SAMPLES
from bench.accuracy_wire import Answer
from bench.parts import running
from bench.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".bench" / "answers"
INSTANCES = 4
BODY_MAX = 24 * 1024
"""Larger bodies are not planted into: a thousand exchanges of one case would be copied four times."""
GAP_S = 1.1
"""Between the starts of two instances, so that what depends on the instant of start differs."""
CALL_S = 30.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One real answer and the endpoint that gave it."""

    service: str
    method: str
    endpoint: str
    answer: Answer


def pairs() -> list[Path]:
    """Folders of pairs on this machine: those of ``ECHOLANE_INPUTS_DIR``, and the repository's own."""
    outside = os.environ.get("ECHOLANE_INPUTS_DIR", "")
    folders = list((ROOT / "examples" / "pairs").glob("*"))
    if outside:
        folders += (Path(outside) / "pairs").glob("*")
    return sorted(path for path in folders if (path / "start.sh").is_file() and (path / "workload.jsonl").is_file())


def capture(pair: Path) -> Path:
    """Ask four instances of a pair's base the whole workload, and keep what they said; the file."""
    lines = [json.loads(line) for line in (pair / "workload.jsonl").read_bytes().splitlines() if line.strip()]
    kept: list[dict[str, Any]] = []
    with ExitStack() as stack:
        ports = [free_port() for _ in range(INSTANCES)]
        for port in ports:
            state = stack.enter_context(tempfile.TemporaryDirectory())
            stack.enter_context(running(["bash", str(pair / "start.sh"), "base", str(port), state], port))
            time.sleep(GAP_S)
        for line in lines:
            answers = [ask(port, line) for port in ports]
            kept.append({"method": line["method"], "target": line["path"], "ports": ports, "answers": answers})
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{pair.name}.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in kept), "ascii")
    return path


def ask(port: int, line: dict[str, Any]) -> dict[str, Any]:
    """One request at one instance, and its answer as JSON."""
    sent = time.time_ns()
    body = base64.b64decode(line["body_b64"]) if line.get("body_b64") is not None else (line.get("body") or "").encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_S)
    try:
        connection.putrequest(line["method"], line["path"], skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", f"127.0.0.1:{port}")
        for name, value in line.get("headers") or []:
            if name.lower() not in {"host", "content-length", "transfer-encoding", "connection"}:
                connection.putheader(name, value)
        if body or line["method"] in {"POST", "PUT", "PATCH"}:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        data, headers = answer.read(), answer.getheaders()
    except (OSError, http.client.HTTPException, ValueError):
        return {"failed": "closed", "sent_ns": sent}
    finally:
        connection.close()
    return {"status": answer.status, "headers": headers, "body": base64.b64encode(data).decode(), "sent_ns": sent}


def read(one: dict[str, Any]) -> Answer:
    """A kept answer, its body decoded."""
    if "failed" in one:
        return Answer(0, (), b"", failed=one["failed"])
    headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in one["headers"])
    return Answer(one["status"], headers, decoded(headers, base64.b64decode(one["body"])))


def decoded(headers: tuple[tuple[bytes, bytes], ...], body: bytes) -> bytes:
    """A body without its Content-Encoding; as it is when that cannot be undone."""
    coding = next((value.strip().lower() for name, value in headers if name.lower() == b"content-encoding"), b"")
    try:
        if coding == b"br":
            return brotli.decompress(body)
        return (
            zlib.decompress(body, 47) if coding == b"gzip" else zlib.decompress(body) if coding == b"deflate" else body
        )
    except (zlib.error, brotli.error):
        return body


def kept(name: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """What was captured, by service."""
    found = sorted(FOLDER.glob(f"{name or '*'}.jsonl"))
    return {path.stem: [json.loads(line) for line in path.read_bytes().splitlines()] for path in found}


def samples(*, real: bool = True) -> list[Sample]:
    """All answers that mutations are planted in, each once, the captured ones first."""
    found: list[Sample] = []
    seen: set[tuple[int, bytes]] = set()
    for service, lines in kept().items() if real else ():
        for line in lines:
            answer = read(line["answers"][0])
            key = (answer.status, answer.body)
            if not answer.failed and len(answer.body) <= BODY_MAX and key not in seen and line["method"] != "HEAD":
                seen.add(key)
                path = line["target"].partition("?")[0]
                found.append(Sample(service, line["method"], f"{line['method']} {path}", answer))
    made = [Sample("made", method, f"{method} {path}", answer) for (method, path), answer in SAMPLES.items()]
    return [*found, *made]


def main() -> int:
    """Capture every pair that is here; one that does not start is told and left out."""
    for pair in pairs():
        try:
            print(capture(pair).relative_to(ROOT), flush=True)
        except (RuntimeError, OSError) as error:
            print(f"{pair.name}: {error}", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
