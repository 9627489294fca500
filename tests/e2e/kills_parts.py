"""Load, processes and counts for the tests that kill: what clients were told, what the journal holds, who runs for a home."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

from echolane.exchange import Exchange
from echolane.frame import decode_frame
from echolane.home import open_home
from echolane.journal import open_journal
from echolane.recordings import topic_of
from tests.waiting import wait_until

KILLS = int(os.environ.get("ECHOLANE_KILLS", "6"))
"""How often each process is killed; 50 in `make faults`."""
SEED = int(os.environ.get("ECHOLANE_SEED", str(time.time_ns() % 1_000_000)))


def chance(test: str) -> random.Random:
    """The test's own randomness; its seed is printed, so a failure can be had again with ECHOLANE_SEED."""
    print(f"{test}: ECHOLANE_SEED={SEED} ECHOLANE_KILLS={KILLS}")
    return random.Random(f"{test} {SEED}")


class Load:
    """Clients that send as fast as they are answered and remember which requests were answered whole."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self.port, self.answered = port, [list[str]() for _ in range(clients)]
        self.failed = 0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._client, args=(n,), daemon=True) for n in range(clients)]
        for thread in self._threads:
            thread.start()

    def _client(self, number: int) -> None:
        sent = 0
        connection: http.client.HTTPConnection | None = None
        while not self._over.is_set():
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                sent += 1
                target = f"/items/{sent % 40 + 1}?u={self.port}-{number}-{sent}"
                connection.request("GET", target)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    self.answered[number].append(target)
                else:
                    self.failed += 1
            except (OSError, http.client.HTTPException):
                self.failed += 1
                if connection is not None:
                    connection.close()
                connection = None
                time.sleep(0.02)
        if connection is not None:
            connection.close()

    @property
    def count(self) -> int:
        """How many were answered whole."""
        return sum(map(len, self.answered))

    def wait(self, more: int) -> Load:
        """Until so many more were answered, however fast this machine is."""
        before = self.count
        wait_until(lambda: self.count >= before + more)
        return self

    def stop(self) -> set[str]:
        """End; the targets of all requests whose answer came whole."""
        self._over.set()
        for thread in self._threads:
            thread.join(60)
        return {target for one in self.answered for target in one}


def recorded(home: Path, service: str = "shop") -> list[Exchange]:
    """Every exchange that the journal holds."""
    journal = open_journal(home)
    try:
        topic = topic_of(service)
        return [
            exchange
            for partition in range(journal.partitions(topic))
            for entry in journal.read(topic, partition, 0)
            for exchange in decode_frame(entry.frame, Exchange)
        ]
    finally:
        journal.close()


def no_twins(exchanges: list[Exchange]) -> None:
    """No exchange twice, by its id and by who recorded it."""
    for key in ("id", "agent"):
        found = Counter(one.id if key == "id" else f"{one.agent}.{one.epoch}.{one.seq}" for one in exchanges)
        assert [name for name, count in found.items() if count > 1] == []


def pids_of(home: Path, word: str) -> list[int]:
    """Processes that have this word and the home in their command line."""
    found: list[int] = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{name}/cmdline").read_bytes().decode("utf-8", "replace")
                if word in line and str(home) in line:
                    found.append(int(name))
    return found


def peak_mib(pid: int) -> float:
    """The most memory a process has had, in MiB; what `getrusage` tells would count its parent's too."""
    line = next(
        line for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) / 1024


def kill(pid: int) -> None:
    """Kill -9."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def here(home: Path, word: str, seconds: float = 60.0) -> list[int]:
    """Wait until there is such a process; all of them."""
    deadline = time.monotonic() + seconds
    while not (found := pids_of(home, word)):
        assert time.monotonic() < deadline, f"no {word} runs"
        time.sleep(0.02)
    return found


def gone(home: Path, word: str, seconds: float = 60.0) -> None:
    """Wait until no such process is left."""
    deadline = time.monotonic() + seconds
    while pids_of(home, word):
        assert time.monotonic() < deadline, f"{word} still runs"
        time.sleep(0.05)


def settled(home: Path, service: str = "shop") -> dict[str, int]:
    """The ledger of all sessions, after the accounts of those that were killed are closed as the next start closes them."""
    from capture.account import settle_dead, total_ledger

    opened = open_home(home)
    journal = open_journal(home)
    try:
        settle_dead(opened, journal, service)
    finally:
        journal.close()
    return dict(total_ledger(opened, service))
