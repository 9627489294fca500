"""``echolane record --json``: a person's scripts read the ledger of a recording from its stdout."""

from __future__ import annotations

import json
import subprocess
import sys

from bench.ports import free_port
from echolane.ledger import capture_identities
from tests.e2e.world import World, listening, send, stop


def test_the_ledger_is_one_line_of_json(world: World) -> None:
    """Stdout holds nothing but the service and its balanced counts, those of the talk; without the flag it is empty."""
    for flags, wanted in (
        (["--json"], {"service": "shop", "counts": {"seen": 3, "stored": 3, "spooled": 0}}),
        ([], None),
    ):
        port, upstream = free_port(), world.app()
        words = ["record", "--service", "shop", "--home", world.home, "--listen", f"127.0.0.1:{port}", *flags]
        process = world.start(
            sys.executable, "-m", "console.main", *words, "--upstream", f"http://127.0.0.1:{upstream}",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        listening(port, process=process)
        send(port, [(f"/items/{n}", {}) for n in range(3)])
        assert stop(process) == 0
        assert process.stdout is not None
        assert process.stderr is not None
        out, said = process.stdout.read(), process.stderr.read().decode()
        assert "recorded shop: seen 3 = stored 3" in said
        if wanted is None:
            assert out == b""
            continue
        assert out.count(b"\n") == 1
        told = json.loads(out)
        assert told == wanted
        assert capture_identities(told["counts"]) == []
