"""A recorder whose clock jumps, an hour ahead and an hour back (``faketime``): nothing stalls, nothing is lost, the order stays."""

from __future__ import annotations

import http.client
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.e2e.world import World, stop

JUMPS = ("+0", "+1h", "-1h", "+0")
EACH = 10


def faked(program: str) -> str:
    """The library that it puts before others."""
    shown = subprocess.run([program, "-m", "-f", "+0s", "env"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"^LD_PRELOAD=(\S+)$", shown, re.MULTILINE)
    assert found is not None, shown
    return found[1]


def set_clock(clock: Path, offset: str) -> None:
    """At once: whoever reads the file meets the one or the other, and never an empty one."""
    written = clock.with_suffix(".new")
    written.write_text(offset)
    written.replace(clock)


def test_a_clock_that_jumps_costs_no_exchange_and_no_order(world: World, require: Callable[..., str]) -> None:
    """Whatever the wall clock of the recorder says, each exchange is stored, counted and replayed once, in the order in which it came."""
    library = faked(require("faketime", hint="apt-get install faketime"))
    clock, log, sane = world.folder / "clock", world.folder / "seen", dict(world.environ)
    set_clock(clock, JUMPS[0])
    upstream = world.app()
    world.environ |= {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    process, port = world.recorder(upstream)
    world.environ = sane
    assert "libfaketime" in Path(f"/proc/{process.pid}/maps").read_text()
    for turn, jump in enumerate(JUMPS):
        set_clock(clock, jump)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for number in range(turn * EACH, (turn + 1) * EACH):
            connection.request(
                "GET", f"/items/{number}?n={number}", headers={"Authorization": "Bearer one-client-abcdef"}
            )
            connection.getresponse().read()
        connection.close()
    assert stop(process) == 0
    world.check_capture(stored=len(JUMPS) * EACH)

    targets = ["--base", f"http://127.0.0.1:{world.app(f'seen={log}')}", "--branch", f"http://127.0.0.1:{world.app()}"]
    done, result = world.run(*targets, "--concurrency", "1")

    assert done.code == 0, done.err
    assert result["ledger"]["compared"] == len(JUMPS) * EACH
    # Base is its own control, so each comes twice.
    seen = [int(line.rpartition("n=")[2]) for line in log.read_text("ascii").splitlines()]
    assert list(dict.fromkeys(seen)) == list(range(len(JUMPS) * EACH))
