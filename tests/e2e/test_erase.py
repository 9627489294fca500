"""Erasing a subject: no byte of it is left in the home, what others did stays, and everything goes on balancing; also after kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import zstandard

from console.erasing import unfinished
from console.erasing_store import erase_rows
from console.run_lease import erasing_lease
from echolane.erasing import Subject
from echolane.exchange import Exchange
from echolane.frame import decode_frame
from echolane.home import open_home
from echolane.journal import open_journal
from echolane.lease import held
from echolane.ledger import run_identities
from tests.e2e.api_parts import Served
from tests.e2e.test_dlq import POISONED
from tests.e2e.world import World, files_below
from tests.waiting import wait_until

ANN, BOB = "s3cr3tAnn9f8e7d6c5b", "s3cr3tBob1a2b3c4d5e"
CANARY = "annwashere7q2x"
ITEMS = [(f"/items/{n}?n={n}", {"Cookie": f"sid={BOB}"}) for n in range(1, 19) if n != 7]
HERS = [(f"/items/{n}?who={CANARY}{n}", {"Cookie": f"sid={ANN}"}) for n in (7, 20, 21)]
STOPPING = """
import os, signal, sys
from console import erasing, main
alone = erasing._alone
def stopped(*given):
    alone(*given)
    os.kill(os.getpid(), signal.SIGSTOP)
erasing._alone = stopped
sys.exit(main.main())
"""
"""`echolane` whose erasing stands still once it has begun, before it has done anything."""
MAGIC = b"\x28\xb5\x2f\xfd"


def found(home: Path, word: bytes) -> set[str]:
    """The parts of a home in whose bytes a word stands, as they are or packed in a frame, wherever in a file that begins."""
    places: set[str] = set()
    for path, data in files_below(home).items():
        at = data.find(MAGIC)
        hit = word in data
        while at >= 0 and not hit:
            try:
                hit = word in zstandard.ZstdDecompressor().decompressobj().decompress(data[at : at + (1 << 20)])
            except zstandard.ZstdError:
                pass
            at = data.find(MAGIC, at + 1)
        if hit:
            places.add(path.relative_to(home).parts[0])
    return places


def of_ann(home: Path) -> list[Exchange]:
    """Her exchanges in the journal."""
    journal = open_journal(home)
    try:
        topic = "exchanges.shop"
        frames = [entry for one in range(journal.partitions(topic)) for entry in journal.read(topic, one)]
        return [one for entry in frames for one in decode_frame(entry.frame, Exchange) if CANARY in one.request.target]
    finally:
        journal.close()


def shown(result: dict[str, Any]) -> set[str]:
    """The exchanges that a result shows as examples."""
    parts = ("groups", "noise", "undecided", "expected")
    return {one["exchange"] for part in parts for group in result[part] for one in group["samples"]}


@pytest.fixture
def ran(world: World) -> str:
    """A home with her traffic among others', a run with findings, samples and a dead letter of hers; the run."""
    world.record(world.app(), [*HERS, *ITEMS])
    base, branch = world.app(), world.app("price", "poison=exit")
    words = ["run", "--service", "shop", "--base", f"http://127.0.0.1:{base}", "--branch", f"http://127.0.0.1:{branch}"]
    done = subprocess.run(
        [sys.executable, POISONED, *words, "--home", world.home], env=world.environ, cwd=world.folder, check=False,
        capture_output=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert len(json.loads(world.call("dlq", "ls", "--json", "--home", world.home).out)) == 1
    return str(world.call("show", "latest", "--json", "--home", world.home).result["run"])


def test_no_byte_of_a_subject_is_left(world: World, ran: str) -> None:
    """Her cookie names her; killed again and again, erasing ends with nothing of hers on the disk and all sums as they were."""
    before = world.call("show", ran, "--json", "--home", world.home).result
    hers = of_ann(world.home)
    tokens = {token for one in hers for token in (one.session, *one.uses)}
    assert {"journal", "store", "runs"} <= found(world.home, CANARY.encode())
    assert shown(before) & {one.id for one in hers}
    command = [sys.executable, "-m", "console.main", "erase", "--home", str(world.home)]
    counted = world.call(
        "erase", "--values-file", "-", "--dry-run", "--json", "--home", world.home, stdin=None, input=ANN
    )
    assert counted.result["journal.exchanges"] == counted.result["results"] == len(HERS)
    assert found(world.home, CANARY.encode()) >= {"journal", "store", "runs"}

    began = world.start(*command, "--values-file", "-", stdin=subprocess.PIPE)
    assert began.stdin is not None
    began.stdin.write(ANN.encode())
    began.stdin.close()
    deadline = time.monotonic() + 60
    while not unfinished(open_home(world.home)) and began.poll() is None:  # it may be over before it is looked at
        assert time.monotonic() < deadline
        time.sleep(0.005)
    began.kill()
    began.wait(60)
    for patience in (1.2, 2.0):
        process = world.start(*command, "--resume")
        time.sleep(patience)
        process.kill()
        process.wait(10)
    done = world.call("erase", "--resume", "--json", "--home", world.home)
    assert done.code == 0, done.err
    assert unfinished(open_home(world.home)) == []
    assert found(world.home, CANARY.encode()) == set()
    for word in (*tokens, hers[0].request.headers[-1][1].decode("latin-1").rpartition("=")[2]):
        assert found(world.home, word.encode()) == set(), word

    after = world.call("show", ran, "--json", "--home", world.home).result
    assert run_identities(after["ledger"]) == []
    assert after["ledger"] == before["ledger"]
    assert shown(after) == shown(before) - {one.id for one in hers}
    assert [one["id"] for one in after["groups"]] == [one["id"] for one in before["groups"]]
    lines = [
        json.loads(one)
        for one in world.call("show", ran, "--exchanges", "--json", "--home", world.home).out.splitlines()
    ]
    assert len(lines) == len(ITEMS) + len(HERS)
    gone = {one["exchange"] for one in lines if one["reason"] == "erased"}
    assert gone == {one.id for one in hers}
    assert json.loads(world.call("dlq", "ls", "--json", "--home", world.home).out) == []
    assert world.call("audit", "verify", "--home", world.home).code == 0
    world.check_capture(stored=len(ITEMS) + len(HERS))
    _, again = world.run("--base-cmd", world.app_command(), "--branch-cmd", world.app_command("price"))
    assert again["ledger"]["skipped"] == {"erased": len(HERS)}
    twice = world.call("erase", "--values-file", "-", "--json", "--home", world.home, stdin=None, input=ANN)
    assert (twice.code, twice.result[0].get("erased", {})) == (0, {})


def test_a_run_that_is_begun_in_the_middle_waits(world: World) -> None:
    """A run that somebody starts while she is erased says so and begins afterwards: it fires nothing of hers, and no byte of her is left."""
    world.record(world.app(), [*HERS, *ITEMS])
    command = [sys.executable, "-c", STOPPING, "erase", "--home", str(world.home), "--values-file", "-"]
    began = world.start(*command, stdin=subprocess.PIPE)
    assert began.stdin is not None
    began.stdin.write(ANN.encode())
    began.stdin.close()
    wait_until(lambda: Path(f"/proc/{began.pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "T")
    try:
        said = world.folder / "run.said"
        words = ["run", "--service", "shop", "--base-cmd", world.app_command(), "--branch-cmd", world.app_command()]
        with said.open("wb") as out:
            command = [sys.executable, "-m", "console.main", *words, "--json", "result.json", "--home", str(world.home)]
            run = world.start(*command, cwd=world.folder, stderr=out)
        wait_until(lambda: b"being erased from this home; the run begins when that is done" in said.read_bytes())
        assert run.poll() is None
    finally:
        os.kill(began.pid, signal.SIGCONT)
    assert began.wait(60) == 0
    assert run.wait(120) == 0
    ledger = json.loads((world.folder / "result.json").read_bytes())["ledger"]
    assert (run_identities(ledger), ledger["skipped"], ledger["fired"]) == ([], {"erased": len(HERS)}, len(ITEMS))
    assert found(world.home, CANARY.encode()) == set()


def test_a_run_that_is_asked_for_in_the_middle_is_refused(world: World) -> None:
    """The server answers 409 with the reason while somebody is erased, to a new run and to one more time; afterwards it takes both."""
    served = Served(world, exchanges=6)
    run = served.run()
    served.ended(run)
    wanted = {"service": "shop", "base": "released", "branch": "next"}
    with held(erasing_lease(open_home(world.home)), "erasing"):
        for path, body in (("/api/v1/runs", wanted), (f"/api/v1/runs/{run}/rerun", None)):
            answer = served.ask("POST", path, body)
            assert (answer.status, answer.json["type"]) == (409, "urn:echolane:problem:conflict"), answer
            assert "being erased, and no run begins meanwhile" in answer.json["detail"]
    assert served.ended(served.run())["state"] == "finished"


class Counted:
    """A store that notes how many texts one answer held at most."""

    def __init__(self, findings: int) -> None:
        self.ids = [f"f{number:05}" for number in range(findings)]
        self.most, self.written = 0, 0

    def query(self, sql: str, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """One run with many findings, each with an example that is to go."""
        if sql.startswith("ALTER"):
            self.written += 1
        elif "DISTINCT run" in sql:
            return [{"run": "r"}] if "findings" in sql else []
        elif "DISTINCT id" in sql:
            return [{"id": one} for one in self.ids]
        elif "json AS text" in sql:
            assert params is not None
            self.most = max(self.most, len(params["ids"]))
            text = json.dumps({"samples": [{"exchange": "gone"}, {"exchange": "stays"}]})
            return [{"run": "r", "id": one, "version": 1, "text": text} for one in params["ids"]]
        return []


def test_texts_of_the_store_are_held_a_few_at_a_time() -> None:
    """Of ten thousand findings that show an example of hers, each is written anew, and never more than a few are in memory."""
    store = Counted(10_000)
    counts = erase_rows(store, Subject(frozenset()), ["gone"])  # type: ignore[arg-type]

    assert counts["findings"] == store.written == 10_000
    assert store.most <= 50
