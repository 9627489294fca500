"""Result rows inserted through the ClickHouse door: on a real server (Debian's, on plain types) and through the tests' bridge."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from echolane.store import Store, open_store
from echolane.store.address import address_of
from echolane.store.server import ServerStore

ON_SERVER = "the same through the ClickHouse door, on a server of 2018 (plain types, no fsync)"
THROUGH_BRIDGE = (
    "the same through the ClickHouse door and the tests' bridge before the engine (fsync; the bridge is Python)"
)
PLAIN = """CREATE TABLE results (run String, id String, version UInt32, seq UInt32, exchange String, service String, method String,
target String, endpoint String, recorded_status UInt16, verdict String, reason String, outcomes Array(String), statuses Array(UInt16),
durations_us Array(UInt32), fired_at UInt64, d_pair Array(UInt8), d_where Array(String), d_kind Array(String), d_facet Array(UInt8),
d_klass Array(String), d_flags Array(UInt8), d_count Array(UInt32), d_old Array(String), d_new Array(String), d_values Array(UInt64),
d_signature Array(String), topic String, partition UInt16, position UInt64)
ENGINE = ReplacingMergeTree(version) PARTITION BY run ORDER BY (run, seq, id)"""


@contextmanager
def stores(folder: Path) -> Generator[dict[str, tuple[Store, str]]]:
    """Stores by what they are, each with what its rows are counted in; without the server where that is not installed."""
    from bench.ports import free_port
    from tests.store.bridge import Bridge
    from tests.store.servers import Server

    found: dict[str, tuple[Store, str]] = {}
    with ExitStack() as stack:
        bridge = Bridge(folder / "bridge", free_port())
        stack.callback(bridge.kill)
        bridge.start()
        found[THROUGH_BRIDGE] = stack.enter_context(open_store(folder, bridge.url())), "results_v"
        if program := shutil.which("clickhouse-server"):
            server = Server(program, folder / "server")
            stack.callback(server.kill)
            server.start()
            old = stack.enter_context(ServerStore(address_of(server.url(), {}), oldest=(18, 1), steps=[]))
            old.query(PLAIN)
            found[ON_SERVER] = old, "results FINAL"
        yield found
