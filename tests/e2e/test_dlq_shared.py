"""Dead letters of a run on a real broker: whoever has its journal and store sees them, compares them again, and one at a time does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from itertools import count
from pathlib import Path

from bench.broker import Broker
from differ.attempts import AGAIN, CLOSED
from differ.shared_letters import dead_topic
from echolane.frame import decode_frame
from echolane.home import Home
from echolane.journal import open_journal
from echolane.ledger import run_identities
from echolane.observation import DeadWord
from echolane.store import open_store
from tests.e2e.test_dlq import ITEMS, POISONED, rows_in
from tests.e2e.world import WAIT_S, Done, World
from tests.store.bridge import Bridge, database_of
from tests.waiting import wait_until

PREFIXES = count(1)
OURS: Sequence[object] = ("-m", "console.main")
FALLS: Sequence[object] = (POISONED,)
"""A version whose comparison dies at poison."""


class Machines:
    """Machines with a home each, and one journal and one store."""

    def __init__(self, world: World, journal: str, store: str) -> None:
        self.world, self.journal, self.store = world, journal, store
        world.environ |= {"ECHOLANE_JOURNAL": journal, "ECHOLANE_STORE": store, "ECHOLANE_REPLAY_LEASE_S": "20"}

    def start(self, program: Sequence[object], home: Path, *words: object) -> subprocess.Popen[bytes]:
        """`echolane …` on a machine."""
        command = [sys.executable, *program, *words, "--home", home]
        return self.world.start(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def call(self, home: Path, *words: object, program: Sequence[object] = OURS) -> Done:
        """The same, to its end."""
        return ended(self.start(program, home, *words))

    def worker(self, role: str, program: Sequence[object] = OURS) -> None:
        """A worker on the first machine, once it waits for runs."""
        said = self.world.folder / f"said-{role}"
        with said.open("wb") as file:
            self.world.start(
                sys.executable, *program, "worker", role, "--home", self.world.home, stderr=file
            )  # fmt: skip
        wait_until(lambda: "waits for runs" in said.read_text("utf-8"), WAIT_S)

    def words_of(self, run: str) -> list[str]:
        """What was said about the run's letters, one after the other."""
        with closing(open_journal(Home(self.world.home, self.journal))) as journal:
            entries = list(journal.read(dead_topic(run), 0))
        return [word.what for entry in entries for word in decode_frame(entry.frame, DeadWord)]

    def versions(self, run: str) -> set[int]:
        """Those of the rows; each exchange has one."""
        with open_store(self.world.home, self.store) as store:
            return {row["version"] for row in rows_in(store, run)}


def ended(process: subprocess.Popen[bytes]) -> Done:
    """How a command ended."""
    out, err = process.communicate(timeout=WAIT_S)
    return Done(process.returncode, out.decode(), err.decode())


def test_another_machine_lists_shows_and_compares_again(world: World, broker: Broker, bridge: Bridge) -> None:
    """What a worker on one machine gave up is compared again from another, once where two begin together; the ledger balances after each."""
    many = Machines(world, broker.url(f"prefix=l{next(PREFIXES)}."), database_of(bridge))
    first, second, third = world.home, world.folder / "second", world.folder / "third"
    world.record(world.app(), ITEMS)
    base, branch = (f"http://127.0.0.1:{port}" for port in (world.app(), world.app("price", "poison=exit")))
    many.worker("replay")
    many.worker("diff", FALLS)
    words = ("run", "--service", "shop", "--base", base, "--branch", branch, "--workers", "shared", "--wait", "100")
    done = many.call(first, *words)
    assert done.code == 1, done.err

    (letter,) = json.loads(many.call(second, "dlq", "ls", "--json").out)
    run = letter["run"]
    assert (letter["endpoint"], letter["deaths"], letter["attempt"]) == ("GET /items/{id}", 3, 1)
    assert not list((first / "runs").glob("*.dead.ndjson"))
    shown = many.call(second, "dlq", "show", letter["id"][:8])
    assert "poison:exit" in shown.out, shown.err
    before = many.call(second, "show", run, "--json").result
    assert (before["ledger"]["not_compared"], run_identities(before["ledger"])) == ({"dead-letter": 1}, [])

    again = many.call(second, "dlq", "retry", letter["id"][:8], "--json", program=FALLS)
    assert (again.code, again.result["dead"]) == (3, 1), again.err
    assert [one["attempt"] for one in json.loads(many.call(first, "dlq", "ls", "--run", run, "--json").out)] == [2]
    assert many.versions(run) == {1, 2}

    both = [ended(one) for one in [many.start(OURS, home, "dlq", "retry", run, "--json") for home in (first, third)]]
    did, did_not = sorted(both, key=lambda one: one.code)
    assert (did.code, did.result["compared"], did.result["dead"]) == (0, 1, 0), did.err
    assert did_not.code == 2, did_not.err
    assert any(why in did_not.err for why in ("compared again by somebody else", "has no dead letters")), did_not.err
    assert many.versions(run) == {1, 3}
    assert many.words_of(run) == ["dead", AGAIN, "dead", CLOSED, AGAIN, "compared", CLOSED]
    closed = many.call(second, "show", run, "--json").result
    assert (closed["ledger"]["not_compared"], run_identities(closed["ledger"])) == ({}, [])
    assert closed["ledger"]["compared"] == before["ledger"]["compared"] + 1 == len(ITEMS)
    assert [many.call(home, "dlq", "ls", "--json").out for home in (first, second, third)] == ["[]\n"] * 3
