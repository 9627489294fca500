"""The judge of the real pairs with the journal on Kafka and results behind ClickHouse's protocol, done by workers: ``make judge-kafka``.

    python -m tests.e2e.judge_kafka [PAIR…] [the judge's own flags]

``ECHOLANE_INPUTS_DIR`` is the folder of the judge and its pairs; without a PAIR (a name) all are judged. One broker, and one bridge
before the embedded engine, serve all of them. Every pair has a prefix, a database and workers of its own, for a run takes everything that was recorded of its
service. All of that reaches ``echolane`` by the environment alone, so what is judged is what a user of a cluster would type.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import broker as kafka
from bench.ports import free_port
from tests.store.bridge import Bridge, database_of

ROLES = ("replay", "replay", "diff", "diff")
ECHOLANE = (sys.executable, "-m", "console.main")
START_WAIT_S, STOP_WAIT_S = 60.0, 30.0
JUDGE_WAIT_S = 580.0
"""A pair takes half a minute; npm, pip or Maven may have to fetch it first."""


def main() -> int:
    """Judge each pair in turn; 1 where one falls short."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.judge_kafka", description=__doc__)
    parser.add_argument("pairs", nargs="*", help="names of pairs (default: all)")
    options, flags = parser.parse_known_args()
    inputs = Path(os.environ.get("ECHOLANE_INPUTS_DIR") or parser.error("set ECHOLANE_INPUTS_DIR to the real inputs"))
    if lack := kafka.lacks():
        parser.error(f"Apache Kafka needs {lack}: {kafka.HINT}")
    kafka.install()
    names = options.pairs or sorted(path.name for path in (inputs / "pairs").iterdir())
    if unknown := [name for name in names if not (inputs / "pairs" / name).is_dir()]:
        parser.error(f"no pair {', '.join(unknown)} in {inputs / 'pairs'}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="echolane-judge-")))
        broker, bridge = kafka.Broker(folder / "kafka"), Bridge(folder / "bridge", free_port())
        stack.callback(broker.kill)
        stack.callback(bridge.kill)
        broker.start()
        bridge.start()
        failed = [
            name
            for name in names
            if not judged(inputs, name, flags, folder, cluster(broker.url(f"prefix={name}."), database_of(bridge)))
        ]
    print(f"on Kafka, the bridge and workers: {len(names) - len(failed)} of {len(names)} pairs pass", *failed)
    return 1 if failed else 0


def cluster(journal: str, store: str) -> dict[str, str]:
    """The environment that leads everything to a journal and a store, with the keys of one installation."""
    keys = {name: secrets.token_hex(32) for name in ("ECHOLANE_SEAL_KEY", "ECHOLANE_MARK_KEY")}
    return {**os.environ, **keys, "ECHOLANE_JOURNAL": journal, "ECHOLANE_STORE": store}


def judged(inputs: Path, name: str, flags: list[str], folder: Path, environ: Mapping[str, str]) -> bool:
    """Whether a pair passes; the judge prints its scores, and workers that ended by themselves do not pass."""
    command = [sys.executable, str(inputs / "judge.py"), str(inputs / "pairs" / name), "--echolane", " ".join(ECHOLANE)]
    with working(folder / name, environ) as workers:
        done = subprocess.run([*command, *flags], env=environ, timeout=JUDGE_WAIT_S, check=False)
        gone = [worker.args for worker in workers if worker.poll() is not None]
    if gone:
        print(f"{name}: workers ended while the pair was judged: {gone}")
    return not done.returncode and not gone


@contextmanager
def working(folder: Path, environ: Mapping[str, str]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Workers, in a home of their own, that listen for runs."""
    folder.mkdir()
    workers: list[subprocess.Popen[bytes]] = []
    try:
        logs = [folder / f"{role}-{n}.log" for n, role in enumerate(ROLES)]
        for role, path in zip(ROLES, logs, strict=True):
            words = [*ECHOLANE, "worker", role, "--home", str(folder / "home")]
            with path.open("wb") as said:
                workers.append(subprocess.Popen(words, env=environ, stdin=subprocess.DEVNULL, stdout=said, stderr=said))
        deadline = time.monotonic() + START_WAIT_S
        while not all("waits for runs" in path.read_text("utf-8", "replace") for path in logs):
            if time.monotonic() > deadline or any(worker.poll() is not None for worker in workers):
                raise SystemExit("workers do not start:\n" + "\n".join(path.read_text("utf-8") for path in logs))
            time.sleep(0.05)
        yield workers
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            try:
                worker.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait(STOP_WAIT_S)


if __name__ == "__main__":
    sys.exit(main())
