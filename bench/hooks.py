"""Deliveries of a forge at a real server: doubled, out of order, and lost while it is away. Table 9.

``told()`` is the same story in small for the tests: what is delivered is drawn from a seed, what must hold is in ``faults()``.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bench.parts import Table, median, p95, running
from bench.ports import free_port
from console.api.push_log import PushLog
from console.api.pushes import Book
from echolane.home import open_home

SECRET = "a secret of the benchmark alone"
REPOSITORIES = ["acme/shop", "acme/shop-front", "acme/depot", "other/shop"]
"""Branches are spread over them, and are called alike in all."""
PAGE = 100
WAIT_S = 60.0
SENDERS = 4
WINDOW = 3
"""Pushes of a branch within which their order is any."""
TOML = """
[api]
missed_pushes_s = 1
[[api_targets]]
service = "shop"
name = "released"
url = "http://127.0.0.1:9"
[[api_targets]]
service = "shop"
name = "branch"
url = "http://127.0.0.1:9"
[[hooks]]
service = "shop"
base = "released"
branch = "branch"
forge = "github"
repositories = {repositories}
secret_file = "secret"
token_file = "secret.token"
api = "http://127.0.0.1:{port}"
public_url = "https://echolane.example"
"""


def place_of(branch: int) -> tuple[str, str]:
    """A branch's repository, and what it is called there."""
    number, place = divmod(branch, len(REPOSITORIES))
    return REPOSITORIES[place], f"b{number}"


def sha(branch: int, step: int) -> str:
    """The commit of a step of a branch; the first follows none."""
    return f"{branch * 100_000 + step:040x}" if step else "0" * 40


@dataclass
class Story:
    """Pushes of some branches, as they are delivered."""

    branches: int
    deliveries: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Branch and step, doubled and shuffled."""
    steps: int = 0


def story(seed: int, branches: int, count: int) -> Story:
    """So many deliveries: each push once, a third of all more than once, each overtaken by at most WINDOW of its branch."""
    chance = random.Random(seed)
    steps = max(1, count * 2 // 3 // branches)
    pushes = [(branch, step) for step in range(1, steps + 1) for branch in range(1, branches + 1)]
    doubled = sorted([*range(len(pushes)), *(chance.randrange(len(pushes)) for _ in range(count - len(pushes)))])
    order = sorted(doubled, key=lambda place: place + chance.uniform(0, WINDOW * branches))
    return Story(branches, [pushes[place] for place in order], steps)


@contextmanager
def forge(heads: dict[tuple[str, str], str]) -> Generator[int]:
    """What GitHub answers who asks for branches; everything that it is told is taken."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            page = int(parse_qs(url.query).get("page", ["1"])[0])
            asked = url.path.removeprefix("/repos/").removesuffix("/branches")
            known = [(name, commit) for (repository, name), commit in sorted(heads.items()) if repository == asked]
            more = {"Link": '<http://x>; rel="next"'} if page * PAGE < len(known) else {}
            listed = known[(page - 1) * PAGE : page * PAGE]
            self.say(200, [{"name": name, "commit": {"sha": commit}} for name, commit in listed], more)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.say(201, {}, {})

        def say(self, status: int, tree: Any, headers: dict[str, str]) -> None:
            data = json.dumps(tree).encode()
            self.send_response(status)
            for name, value in {
                **headers,
                "Content-Type": "application/json",
                "Content-Length": str(len(data)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


def deliver(port: int, branch: int, step: int) -> tuple[float, str]:
    """One delivery of GitHub; seconds until it was answered, and the run that it was told (empty: taken in before)."""
    repository, name = place_of(branch)
    tree = {
        "ref": f"refs/heads/{name}",
        "before": sha(branch, step - 1),
        "after": sha(branch, step),
        "repository": {"full_name": repository, "pushed_at": 1_700_000_000 + step},
    }
    body = json.dumps(tree).encode()
    mac = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": f"{branch}-{step}",
        "X-Hub-Signature-256": f"sha256={mac}",
    }
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    try:
        connection.request("POST", "/hooks/github", body, {**headers, "Content-Type": "application/json"})
        answer = connection.getresponse()
        told = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != 202:
        raise RuntimeError(f"a delivery was answered {answer.status}: {told}")
    return time.monotonic() - began, told["pushes"][0]["run"] if told["pushes"] else ""


def faults(book: Book, last: dict[int, int], runs: Sequence[tuple[str, str]]) -> list[str]:
    """What does not hold: of each branch the last commit waits and no other, no commit has two runs, no run two commits."""
    found: list[str] = []
    waiting = sorted(
        (push.repository, push.branch, push.commit) for push in book.of("waiting", "asked", "ended", "failed")
    )
    wanted = sorted((*place_of(branch), sha(branch, step)) for branch, step in last.items())
    if waiting != wanted:
        missing = set(wanted) - set(waiting)
        found.append(f"{len(missing)} newest commits have no run, {len(set(waiting) - set(wanted))} older ones have")
    by_commit: dict[str, set[str]] = {}
    for commit, run in [*runs, *((push.commit, push.run) for push in book.pushes.values())]:
        by_commit.setdefault(commit, set()).add(run)
    if double := sum(len(one) > 1 for one in by_commit.values()):
        found.append(f"{double} commits have more than one run")
    if len({run for one in by_commit.values() for run in one}) < len(by_commit):
        found.append("a run has two commits")
    return found


@dataclass
class Outcome:
    """What a story came to."""

    answers_s: list[float]
    faults: list[str]
    found_s: float
    """From the server's start until every branch that moved while it was away had its newest commit taken in."""
    commits: int


def told(seed: int, *, branches: int, count: int, seconds: float, lost: int) -> Outcome:
    """Deliver a story within so many seconds, kill the server, push ``lost`` times more, and start it again."""
    plan = story(seed, branches, count)
    heads: dict[tuple[str, str], str] = {}
    with tempfile.TemporaryDirectory() as text, forge(heads) as api:
        folder, port = Path(text), free_port()
        (folder / "echolane.toml").write_text(TOML.format(port=api, repositories=json.dumps(REPOSITORIES)))
        for name in ("secret", "secret.token"):
            (folder / name).write_text(SECRET.replace(" ", "-") if "token" in name else SECRET)
        words = f"cd '{folder}' && exec '{sys.executable}' -m console.main api --home home --listen 127.0.0.1:{port}"
        command = ["sh", "-c", words]
        with running(command, port, stop=signal.SIGKILL), ThreadPoolExecutor(SENDERS) as senders:
            began = time.monotonic()

            def send(number: int) -> tuple[float, str]:
                time.sleep(max(0.0, began + number * seconds / count - time.monotonic()))
                branch, step = plan.deliveries[number]
                return deliver(port, branch, step)

            answers = list(senders.map(send, range(count)))
        runs = [(sha(*one), run) for one, (_, run) in zip(plan.deliveries, answers, strict=True) if run]
        log = PushLog(open_home(folder / "home"))
        found = faults(log.read(), dict.fromkeys(range(1, branches + 1), plan.steps), runs)
        last = dict.fromkeys(range(1, branches + 1), plan.steps + lost // branches)
        heads |= {place_of(branch): sha(branch, step) for branch, step in last.items()}
        with running(command, port, stop=signal.SIGKILL):
            began = time.monotonic()
            while (missing := faults(log.read(), last, runs)) and time.monotonic() - began < WAIT_S:
                time.sleep(0.1)
            found_s = time.monotonic() - began
            late = [deliver(port, branch, step) for branch, step in last.items()]
            found += missing or faults(log.read(), last, runs)
            found += ["a late delivery began something"] if len(log.read().pushes) != len(set(runs)) + branches else []
        return Outcome([one for one, _ in [*answers, *late]], found, found_s, branches * plan.steps)


def table(rounds: int) -> Table:
    """A thousand deliveries a minute, then ten minutes' worth of them that nobody hears."""
    made = Table(
        "9. Pushes that start runs",
        [
            "round",
            "deliveries answered",
            "commits",
            "median answer",
            "p95 answer",
            "slowest answer",
            "newest commits missed, runs twice",
            "found after the start",
        ],
    )
    found_s: list[float] = []
    for seed in range(1, rounds + 1):
        one = told(seed, branches=40, count=1_000, seconds=60.0, lost=10_000)
        found_s.append(one.found_s)
        cells = (
            f"{median(one.answers_s) * 1e3:.0f} ms",
            f"{p95(one.answers_s) * 1e3:.0f} ms",
            f"{max(one.answers_s) * 1e3:.0f} ms",
            "; ".join(one.faults) or "none",
        )
        made.rows.append([str(seed), f"{len(one.answers_s):,}", f"{one.commits:,}", *cells, f"{one.found_s:.1f} s"])
    made.notes += [
        "bound: an answer within 1 s, no newest commit missed, none run twice",
        f"1,000 deliveries of GitHub in 60 s, a third of them doubles, each overtaken by up to {WINDOW} of its branch, of 40 branches in {len(REPOSITORIES)} repositories; then "
        "the server is killed, the branches are pushed 10,000 times more (ten minutes of such a minute), none of which is delivered, and it is started "
        f"again: its look at the forge finds all 40 newest commits (median {median(found_s):.1f} s), whose deliveries then come late",
        "the branches never answer, so a run waits for its branch and fires nothing; real runs of pushes are those of `tests/e2e/test_hooks*.py`",
    ]
    return made
