"""What the server answers over a large store: lists, filters and one exchange of a run of a million. Table 11.

Rows are made by the differ's own :class:`~differ.rows.RowMaker` from answers, and the run is closed as any other, so the store holds
what a real run of this size leaves; only the firing is left out, and with it the frames that hold the answers' headers.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from bench.chromium import Browser, chromium
from bench.parts import Table, p95, running
from bench.ports import free_port
from console.conduct import save_run
from differ.close import close_run
from differ.rows import RowMaker
from echolane.exchange import Body, Response
from echolane.home import open_home
from echolane.ids import uuid7
from echolane.observation import ANSWERED, BASE, Observation, Shot, TargetInfo
from echolane.recordings import Recording
from echolane.runspec import RunSpec
from echolane.settings import Differ
from echolane.store import Store, open_store

EXCHANGES, DIFFERING = 1_000_000, 100_000
RUNS = 3
"""More of the same service stand beside it, a hundredth as large."""
ENDPOINTS = 40
FLUSH = 10_000
ASKED = 40
"""Times that each question is asked in a round, the place in the run drawn anew each time."""
BOUND_MS = 200
PAINTED, PAINT_BOUND_MS = 20, 1_000
"""Times that the page of the run is opened in a round, nothing of it kept from before."""
FIRST_PAINT = """new Promise(done => { const look = () => {
  const [first] = performance.getEntriesByName("first-contentful-paint");
  if (first) done(first.startTime); else requestAnimationFrame(look) }; look() })"""
STARTED_NS = 1_795_428_000_000_000_000
HEADERS = [(b"Content-Type", b"application/json"), (b"Server", b"bench")]


def answer(number: int, version: int, chance: random.Random) -> Response:
    """An order; one version rounds its price, another adds a key, and each answer names its own request."""
    endpoint = number % ENDPOINTS
    tree: dict[str, Any] = {
        "id": number,
        "total": 10 + number % 900 + (0.5 if version and endpoint < 3 else 0.25),
        "request": f"{chance.getrandbits(128):032x}",
        "lines": [{"sku": f"s{number % 977}", "count": number % 7}],
    }
    if version and endpoint == 5:
        tree["currency"] = "EUR"
    data = orjson.dumps(tree)
    return Response(200, "1.1", list(HEADERS), Body(data, len(data)))


def observations(count: int, every: int) -> Iterator[Observation]:
    """So many, of which one in ``every`` was not answered four times alike."""
    chance = random.Random(11)
    plain = answer(1, 0, chance)
    alike = Shot(ANSWERED, "", None, BASE)
    same = [Shot(ANSWERED, "", plain), alike, alike, alike]
    for number in range(count):
        shots = same
        if number % every == 0:
            place = number // every
            shots = [Shot(ANSWERED, "", answer(place, version, chance)) for version in (0, 0, 1, 1)]
        kind = (number // every) % ENDPOINTS
        exchange = f"{number:08x}-0000-7000-8000-{number:012x}"
        yield Observation(
            *(exchange, number, 1, f"GET /k{kind}/orders/{{id}}", "GET", f"/k{kind}/orders/{number}?n=1", 200),
            STARTED_NS + number * 1_000_000,
            shots,
        )


def filled(store: Store, service: str, count: int, every: int) -> str:
    """A finished run of so many exchanges; its id."""
    run = uuid7(STARTED_NS)
    infos = [TargetInfo(f"http://127.0.0.1:{port}", own_instance=port % 2 == 0) for port in (8001, 8002, 8003, 8004)]
    spec = RunSpec(run, service, Recording("r", service, 0, "everything", []), infos)
    maker = RowMaker(spec, Differ())
    for number, observation in enumerate(observations(count, every)):
        maker.add(observation, 0, number // 100)
        if len(maker) >= FLUSH:
            store.insert("results", maker.take())
    if len(maker):
        store.insert("results", maker.take())
    result = close_run(store, spec, state="finished", reason="", selected=count, fired_per_s=0.0)
    save_run(store, spec, "finished", result)
    return run


@dataclass(frozen=True)
class Asked:
    """A question and the path that asks it; ``{cursor}`` is drawn anew each time."""

    name: str
    path: str


def questions(run: str, finding: str, exchange: str) -> list[Asked]:
    """What a person looks at, in the order in which one does."""
    api, page = f"/api/v1/runs/{run}", f"/runs/{run}"
    return [
        Asked("services", "/api/v1/services"),
        Asked("runs", "/api/v1/runs"),
        Asked("a run", api),
        Asked("its findings", f"{api}/findings"),
        Asked("a finding", f"{api}/findings/{finding}"),
        Asked("its exchanges", f"{api}/findings/{finding}/exchanges?cursor={{cursor}}"),
        Asked("exchanges of the run", f"{api}/exchanges?cursor={{cursor}}"),
        Asked("… by endpoint", f"{api}/exchanges?endpoint=GET%20%2Fk5%2Forders%2F%7Bid%7D&cursor={{cursor}}"),
        Asked("… by path", f"{api}/exchanges?path=%2Fk5%2F&cursor={{cursor}}"),
        Asked("… by a path that is rare", f"{api}/exchanges?path=%2F{EXCHANGES - 7}%3F"),
        Asked("… by status that none has", f"{api}/exchanges?branch_status=503"),
        Asked("… by place of a difference", f"{api}/exchanges?where=body%3A%24.currency&cursor={{cursor}}"),
        Asked("… by verdict different", f"{api}/exchanges?verdict=different&cursor={{cursor}}"),
        Asked("… by verdict noise", f"{api}/exchanges?verdict=noise&cursor={{cursor}}"),
        Asked("one exchange", f"{api}/exchanges/{exchange}"),
        Asked("page of the run", page),
        Asked("page of its exchanges", f"{page}/exchanges"),
    ]


def answered(port: int, token: str, path: str) -> tuple[float, bytes]:
    """Milliseconds until the whole answer was there, and its body."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        found = connection.getresponse()
        body = found.read()
    finally:
        connection.close()
    if found.status != 200:
        raise RuntimeError(f"{path} was answered {found.status}: {body[:300]!r}")
    return (time.perf_counter() - began) * 1e3, body


def table(rounds: int) -> Table:
    """A million exchanges in one run, a tenth of them with differences."""
    made = Table("11. The server over a run of a million exchanges", ["question", "median, ms", "p95, ms", "bytes"])
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "echolane.toml").write_text("[api]\nrate_per_s = 10000\nburst = 100000\n")
        home = open_home(folder / "home").path
        began = time.monotonic()
        with open_store(home) as store:
            for _ in range(RUNS):
                filled(store, "shop", EXCHANGES // 100, EXCHANGES // DIFFERING)
            run = filled(store, "shop", EXCHANGES, EXCHANGES // DIFFERING)
        filled_s = time.monotonic() - began
        found, painted = _asked(folder, run, rounds)
        for name, sizes in found.items():
            made.rows.append([name, *_figures([one for one, _ in sizes]), f"{sizes[-1][1]:,}"])
        if painted:
            made.rows.append(["first paint of the run's page", *_figures(painted), ""])
    made.notes += [
        f"bound: {BOUND_MS} ms at p95 on 2 cores, asked over a socket of its own each time, one after another, "
        f"{ASKED} times a round, from places of the run that are drawn anew",
        f"first paint: {PAINT_BOUND_MS:,} ms, in headless Chromium, {PAINTED} times a round with an empty cache"
        if painted
        else "first paint is not measured: there is no Chromium (apt-get install chromium)",
        f"{EXCHANGES:,} exchanges of which {DIFFERING:,} differ, over {ENDPOINTS} endpoints, filled and closed in {filled_s:.0f} s",
    ]
    return made


def _figures(times: list[float]) -> tuple[str, str]:
    return f"{sorted(times)[len(times) // 2]:.0f}", f"{p95(times):.0f}"


def first_paints(url: str, token: str, times: int) -> list[float]:
    """Milliseconds from asking for a page to the first of it that is seen; empty without a browser."""
    program = chromium()
    if program is None:
        return []
    found: list[float] = []
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(program, Path(profile))
        try:
            browser.call("Network.setExtraHTTPHeaders", headers={"Authorization": f"Bearer {token}"})
            browser.call("Network.setCacheDisabled", cacheDisabled=True)
            for _ in range(times):
                browser.open("about:blank", 1280)
                browser.open(url, 1280)
                found.append(float(browser.ask(FIRST_PAINT)))
        finally:
            browser.close()
    return found


def _asked(folder: Path, run: str, rounds: int) -> tuple[dict[str, list[tuple[float, int]]], list[float]]:
    port = free_port()
    said = folder / "said"
    words = (
        f"cd '{folder}' && exec '{sys.executable}' -m console.main api --home home --listen 127.0.0.1:{port} 2>'{said}'"
    )
    chance = random.Random(5)
    found: dict[str, list[tuple[float, int]]] = {}
    with running(["sh", "-c", words], port, stop=signal.SIGTERM):
        token = next(iter(re.findall(r"ech_\S+", said.read_text())))
        (finding, *_) = json.loads(answered(port, token, f"/api/v1/runs/{run}/findings")[1])["findings"]
        exchange = json.loads(answered(port, token, f"/api/v1/runs/{run}/exchanges?cursor={EXCHANGES // 2}")[1])
        asked = questions(run, finding["id"], exchange["exchanges"][0]["exchange"])
        for _ in range(rounds * ASKED):
            for one in asked:
                place = chance.randrange(EXCHANGES)
                took, body = answered(port, token, one.path.replace("{cursor}", str(place)))
                found.setdefault(one.name, []).append((took, len(body)))
        painted = first_paints(f"http://127.0.0.1:{port}/runs/{run}", token, rounds * PAINTED)
    return found, painted
