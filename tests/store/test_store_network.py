"""The ClickHouse door behind a network that fails: slow, cut and reset in the middle of a block, half-open. Seeded, and the seed printed."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from echolane.store import open_store
from tests.fault_proxy import KINDS, FaultProxy, drawn
from tests.store.bridge import Bridge, database_of

SEED = int(os.environ.get("ECHOLANE_SEED", "0")) or random.randrange(1 << 30)
NOWHERE = Path("/nonexistent")
BATCHES, ROWS, ROUNDS = 12, 250, 3
WAIT_S = 300.0
EXACT = "SELECT count() AS n, uniqExact(id) AS ids, sum(seq) AS seqs FROM results_v WHERE run = 'r'"


def test_rows_that_were_acknowledged_are_there_once_whatever_the_network_does(
    bridge: Bridge, results: Callable[..., Any]
) -> None:
    """Each insert comes back as stored although connections end at any byte of it or of its answer, and every row is in the view once."""
    print(f"ECHOLANE_SEED={SEED}")
    url = database_of(bridge, "answer_s=1&connect_s=2&wait_s=240")
    open_store(NOWHERE, url).close()
    batches = [results("r", first, ROWS) for first in range(0, BATCHES * ROWS, ROWS)]
    with FaultProxy(bridge.port, drawn(random.Random(SEED), ROUNDS, 60_000, 1_500)) as proxy:
        through = url.replace(f":{bridge.port}/", f":{proxy.port}/")
        with open_store(NOWHERE, through, patient=True) as store:
            turn, deadline = 0, time.monotonic() + WAIT_S
            while turn < BATCHES or not proxy.spent:
                assert time.monotonic() < deadline, f"{proxy} after {turn} inserts (ECHOLANE_SEED={SEED})"
                store.insert("results", batches[turn % BATCHES])
                turn += 1
            found = store.query(EXACT)
    total = BATCHES * ROWS
    assert found == [{"n": total, "ids": total, "seqs": sum(range(total))}], f"ECHOLANE_SEED={SEED}"
    assert proxy.happened == dict.fromkeys(KINDS, ROUNDS)
