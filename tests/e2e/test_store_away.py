"""A store that is away for a whole run: what was observed waits in the journal, workers wait for it, and all of it is caught up with."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from itertools import count
from pathlib import Path

import msgspec

from bench.broker import Broker
from tests.e2e.kills_parts import peak_mib, pids_of
from tests.e2e.soak_parts import Raw, asked, check_raw, check_views
from tests.e2e.workers_parts import WAIT_S, Stage
from tests.e2e.world import World
from tests.store.bridge import Bridge
from tests.waiting import wait_until

PREFIXES = count(1)
EXCHANGES, SESSIONS, RATE = 240, 24, 60
BULK_KIB = 96
"""Of an item: what waits for the store is then far more than a worker weighs."""
LEASE_S = 4.0


class Bulky(World):
    """A world whose targets give large answers."""

    def app(self, *words: str) -> int:
        """The application; its port. What is recorded is small: a client that is as fast as it can be is no matter of this test."""
        return super().app(*words, *([f"bulk={BULK_KIB}"] if words else []))


def peak(stage: Stage) -> float:
    """The most memory that one of the processes of the diff workers has had, in MiB."""
    peaks = [0.0]
    for pid in (*pids_of(stage.world.home, "differ.worker"), *pids_of(stage.world.home, "diff")):
        with contextlib.suppress(OSError, StopIteration):  # it has just ended
            peaks.append(peak_mib(pid))
    return max(peaks)


def waiting_mib(stage: Stage, run: str) -> float:
    """Wait until all is observed; what it weighs."""
    weights: list[int] = []

    def whole() -> bool:
        weights[:] = [len(msgspec.msgpack.encode(one)) for one in stage.observed(run)]
        return len(weights) == EXCHANGES

    wait_until(whole)
    return sum(weights) / (1 << 20)


def wait_rows(stage: Stage, run: str, asking: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Wait until each exchange has a row and the run is closed; rows a second between the first and the last, and the peak meanwhile."""
    most, deadline = 0.0, time.monotonic() + WAIT_S
    seen: list[tuple[float, int]] = []
    raw = Raw(stage.store)
    try:
        while asking.poll() is None:
            most = max(most, peak(stage))
            ((rows,),) = raw.rows(f"SELECT uniqExact(exchange) FROM results WHERE run = '{run}'")
            if rows and (not seen or seen[-1][1] != rows):
                seen.append((time.monotonic(), rows))
            assert time.monotonic() < deadline, f"{rows} of {EXCHANGES} have a row"
            time.sleep(0.05)
    finally:
        raw.close()
    if len(seen) < 2:  # it was over before it was looked at
        return 0.0, most
    (first_at, first), (last_at, last) = seen[0], seen[-1]
    return (last - first) / (last_at - first_at), most


def test_a_store_that_is_away_for_a_whole_run_costs_nothing_but_time(
    tmp_path: Path, broker: Broker, mortal: Bridge
) -> None:
    """Diff workers that begin without a store say so and wait in bounded memory; when it comes, every exchange gets its one result."""
    world = Bulky(tmp_path)
    try:
        journal = broker.url(f"prefix=away{next(PREFIXES)}.")
        stage = Stage(world, EXCHANGES, SESSIONS, journal, LEASE_S, mortal.url(options="wait_s=600&connect_s=2"))
        stage.worker("replay")
        asking = asked(stage, "--workers", "shared", "--pace", f"{RATE}/s", "--wait", "600")
        stage.wait_fired(1)
        run = stage.latest()
        mortal.kill()
        # Who waits for two seconds gives up and begins anew many times meanwhile.
        world.environ["ECHOLANE_STORE"] = mortal.url(options="wait_s=2&connect_s=2")
        workers = [stage.worker("diff") for _ in range(2)]
        waits_mib = waiting_mib(stage, run)
        said = [world.folder / f"worker-{world.started.index(one)}" for one in workers]
        wait_until(lambda: all("this worker waits for it" in path.read_text("utf-8") for path in said))
        assert asking.poll() is None
        assert [one.poll() for one in workers] == [None, None]
        before_mib = peak(stage)

        mortal.start()
        rate, after_mib = wait_rows(stage, run, asking)

        asking.wait(WAIT_S)
        assert asking.returncode == 1, (world.folder / "asking.log").read_text("utf-8")[-2000:]
        result = stage.result()
        assert result["run"] == run
        stage.check(result)
        raw = Raw(stage.store)
        check_raw(raw, run, EXCHANGES)
        check_views(raw)
        raw.close()
        assert after_mib - before_mib < waits_mib / 2, (before_mib, after_mib, waits_mib)
        for one in workers:
            one.send_signal(signal.SIGTERM)
        assert [one.wait(60) for one in workers] == [0, 0]
        print(
            f"{waits_mib:.0f} MiB waited; {before_mib:.0f} MiB before and {after_mib:.0f} MiB after; caught up with "
            f"{rate:.0f}/s, {rate / RATE:.1f} times the live rate"
        )
    finally:
        world.end()
