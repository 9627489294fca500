"""A running run as it is told: how far progress lags behind what the targets have been asked, and what a page shows of it. Table 12.

Targets note when each request arrived (:mod:`bench.sink`), so the lag is between two clocks of one machine, neither of them the run's.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.chromium import Browser, chromium
from bench.parts import Table, median, running
from bench.ports import free_port
from bench.sink import Arrivals, sink

RATES = (50, 500)
"""Exchanges a second of the runs that are watched."""
RUN_S = 20
SHOTS = 2
"""Each target is asked twice an exchange: it is its own control."""
BOUND_S = 2.0
LOOK_S = 0.1
"""How often the page is read."""
START_NS = 1_795_428_000_000_000_000

Seen = list[tuple[int, int]]
"""When something was told (ns of the monotonic clock), and how many exchanges were done by it."""


def trace(file: Path, count: int) -> None:
    """A GoReplay file of so many different requests."""
    with file.open("wb") as out:
        for n in range(count):
            head = f"GET /items/{n} HTTP/1.1\r\nHost: shop\r\nAccept: application/json\r\n\r\n"
            out.write(f"1 {n:024x} {START_NS + n * 1_000_000} 0\n{head}\n🐵🙈🙉\n".encode())


def told(port: int, token: str, run: str) -> Iterator[tuple[str, dict[str, object]]]:
    """The events of a run, as they come."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", f"/api/v1/runs/{run}/events", headers={"Authorization": f"Bearer {token}"})
        name = ""
        for line in connection.getresponse():
            word, _, value = line.decode().rstrip("\n").partition(": ")
            if word == "event":
                name = value
            elif word == "data":
                yield name, json.loads(value)
    finally:
        connection.close()


def watched(port: int, token: str, run: str, browser: Browser | None) -> tuple[Seen, Seen]:
    """What the stream and the page say of a run until it ends."""
    streamed: Seen = []
    ended = threading.Event()

    def follow() -> None:
        for name, state in told(port, token, run):
            if name == "state":
                streamed.append((time.monotonic_ns(), int(str(state["done"]))))
        ended.set()

    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    shown: Seen = []
    if browser is not None:
        browser.call("Network.setExtraHTTPHeaders", headers={"Authorization": f"Bearer {token}"})
        browser.open(f"http://127.0.0.1:{port}/runs/{run}", 1280)
    while not ended.wait(LOOK_S):
        if browser is not None:
            text = str(browser.ask("document.getElementById('count')?.textContent ?? ''"))
            if found := re.match(r"([\d,]+)", text):
                shown.append((time.monotonic_ns(), int(found[1].replace(",", ""))))
    reader.join(10)
    return streamed, shown


def lags_s(seen: Seen, arrived: Sequence[int]) -> list[float]:
    """How old what was told was each time: how long ago the exchange after it had been fired."""
    times = sorted(arrived)
    found: list[float] = []
    for at_ns, done in seen:
        place = done * SHOTS
        if done and place < len(times) and times[place] <= at_ns:
            found.append((at_ns - times[place]) / 1e9)
    return found


def _served(folder: Path, arrivals: Sequence[Arrivals], port: int, count: int) -> list[str]:
    """The words that start a server over a recording, with two targets."""
    targets = "".join(
        f'[[api_targets]]\nservice = "shop"\nname = "{name}"\nurl = "http://127.0.0.1:{one.port}"\n'
        for name, one in zip(("released", "next"), arrivals, strict=True)
    )
    (folder / "echolane.toml").write_text(f"[api]\nrate_per_s = 10000\nburst = 100000\n{targets}")
    trace(folder / "trace.gor", count)
    command = [sys.executable, "-m", "console.main"]
    words = ["import", "trace.gor", "--service", "shop", "--home", "home"]
    subprocess.run([*command, *words], cwd=folder, check=True, capture_output=True, timeout=120)
    served = " ".join(f"'{word}'" for word in [*command, "api", "--home", "home", "--listen", f"127.0.0.1:{port}"])
    return ["sh", "-c", f"cd '{folder}' && exec {served} 2>'{folder}/said'"]


def begun(port: int, token: str, rate: int) -> str:
    """A run that was asked for; its id."""
    wanted = {"service": "shop", "base": "released", "branch": "next", "pace": f"{rate}/s"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    head = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", "/api/v1/runs", json.dumps(wanted), head)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 201:
        raise RuntimeError(f"a run was refused: {answer.status} {body[:300]!r}")
    return str(json.loads(body)["run"])


def _measured(rate: int, browser: Browser | None) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as text, ExitStack() as held:
        folder, port = Path(text), free_port()
        arrivals = [held.enter_context(sink()) for _ in range(2)]
        words = _served(folder, arrivals, port, rate * RUN_S)
        with running(words, port, stop=signal.SIGTERM):
            token = next(iter(re.findall(r"ech_\S+", (folder / "said").read_text())))
            streamed, shown = watched(port, token, begun(port, token, rate), browser)
        held.close()  # then the arrivals are there
        return {"event": lags_s(streamed, arrivals[0].times_ns), "page": lags_s(shown, arrivals[0].times_ns)}


def table(rounds: int) -> Table:
    """Runs at a few rates, watched by a client of the stream and by a page in Chromium."""
    made = Table(
        "12. Progress of a running run", ["exchanges a second, told by", "looks", "median lag, s", "largest, s"]
    )
    program = chromium()
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(program, Path(profile)) if program else None
        try:
            for rate in RATES:
                found: dict[str, list[float]] = {}
                for _ in range(rounds):
                    for name, lags in _measured(rate, browser).items():
                        found.setdefault(name, []).extend(lags)
                for name, lags in found.items():
                    row = [f"{rate}/s, {name}", str(len(lags)), f"{median(lags):.2f}", f"{max(lags, default=0):.2f}"]
                    made.rows.append(row if lags else [f"{rate}/s, {name}", "0", "", ""])
        finally:
            if browser is not None:
                browser.close()
    made.notes += [
        f"bound: {BOUND_S:g} s; lag: how long ago the first exchange that is not in what is told was fired, at the moment of each "
        f"event, and every {LOOK_S:g} s of what the page shows; each run takes {RUN_S} s",
    ]
    if program is None:
        made.notes.append("the page is not measured: there is no Chromium (apt-get install chromium)")
    return made
