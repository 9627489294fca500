"""An import onto a real broker whose packets are dropped or whose connections are reset by `iptables` in the middle.

All of it is in a network namespace of its own (:mod:`tests.e2e.netns`). The moment is a byte of what the importer sends, so it does not
depend on how fast this machine is. Seeded, and the seed printed.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from itertools import count

import pytest

from bench.broker import Broker
from capture.account import ledger_of, sessions
from echolane.exchange import Exchange
from echolane.frame import decode_frame
from echolane.home import Home
from echolane.journal import open_journal
from echolane.ledger import capture_identities
from tests.e2e.kills_parts import no_twins
from tests.e2e.netns import DROP, KINDS, RESET, Net, dice_of
from tests.e2e.world import World

pytestmark = pytest.mark.slow
PREFIXES = count(1)
EXCHANGES = 2000
WAIT_S = 120.0
"""Far more than an import takes, also one that waits in vain."""
FIRST, LAST = 20_000, 300_000
"""Bytes on the way to the broker at which the network fails: after an append or two, and before the last ones."""
AWAY_S = 4.0
"""Long enough for requests to be given up and sent again, and far less than they are tried for."""
PATIENT, HASTY = "wait_s=60", "wait_s=2"


class Importing:
    """A file of requests that no codec makes much smaller, and its import onto a broker."""

    def __init__(self, world: World, broker: Broker, how: str) -> None:
        self.world, self.broker = world, broker
        self.url = broker.url(f"prefix=i{next(PREFIXES)}.&{how}")
        self.home = Home(world.home, self.url)
        self.file = world.folder / "traffic.gor"
        chance = random.Random(7)
        with self.file.open("w", encoding="utf-8") as out:
            for n in range(EXCHANGES):
                head = f"1 {n:024x} {1_700_000_000_000_000_000 + n}\nGET /items/{n} HTTP/1.1\r\nHost: shop\r\n"
                out.write(f"{head}X-Chance: {chance.randbytes(200).hex()}\r\n\r\n\n🐵🙈🙉\n")

    def begin(self, number: int = 0) -> subprocess.Popen[bytes]:
        """One import; what it says goes to files."""
        words = ("import", self.file, "--service", "shop", "--json", "--home", self.world.home, "--journal", self.url)
        out, err = (self.world.folder / f"{number}.{name}" for name in ("out", "err"))
        with out.open("wb") as stdout, err.open("wb") as stderr:
            return self.world.start(sys.executable, "-m", "console.main", *words, stdout=stdout, stderr=stderr)

    def said(self, number: int = 0) -> str:
        """What it told the person."""
        return (self.world.folder / f"{number}.err").read_text("utf-8")

    def check(self, number: int = 0) -> None:
        """A recording of everything, once, and a ledger that balances."""
        told = json.loads((self.world.folder / f"{number}.out").read_bytes())
        mine = [one for one in self.kept() if one.tags.get("import") == told["recording"]]
        no_twins(mine)
        assert sorted(int(one.request.target.rpartition("/")[2]) for one in mine) == list(range(EXCHANGES))
        assert told["counts"]["seen"] == told["counts"]["stored"] == EXCHANGES, told
        assert capture_identities(told["counts"]) == [], told

    def kept(self) -> list[Exchange]:
        """What stands on the broker."""
        journal = open_journal(self.home)
        try:
            return [
                one
                for partition in range(journal.partitions("exchanges.shop"))
                for entry in journal.read("exchanges.shop", partition)
                for one in decode_frame(entry.frame, Exchange)
            ]
        finally:
            journal.close()


def test_an_import_rides_out_a_network_that_drops_everything(world: World, broker_here: Broker, net: Net) -> None:
    """No packet passes for seconds in the middle: the import waits, ends well, and holds each exchange once."""
    dice = dice_of("import drop")
    importing = Importing(world, broker_here, PATIENT)
    with net.fault(DROP, broker_here.plain, after=dice.randrange(FIRST, LAST)):
        process = importing.begin()
        net.wait_hit(lambda: process.poll() is None)
        time.sleep(AWAY_S)
        assert process.poll() is None, importing.said()
    assert process.wait(WAIT_S) == 0, importing.said()
    importing.check()


def test_an_import_is_reset_at_random_moments(world: World, broker_here: Broker, net: Net) -> None:
    """Connections are reset at seeded bytes, three times: the import ends well, and holds each exchange once."""
    dice = dice_of("import resets")
    importing = Importing(world, broker_here, PATIENT)
    process = None
    for _ in range(3):
        with net.fault(RESET, broker_here.plain, after=dice.randrange(FIRST, LAST // 3)):
            process = process or importing.begin()
            net.wait_hit(lambda one=process: one.poll() is None)
            time.sleep(dice.uniform(0.0, 0.4))
    assert process is not None
    assert process.wait(WAIT_S) == 0, importing.said()
    importing.check()


@pytest.mark.parametrize("kind", KINDS)
def test_an_import_that_waited_in_vain_says_so(world: World, broker_here: Broker, net: Net, kind: str) -> None:
    """The network fails for good: one line says that no broker answers, exit 2; imported again, all is there, and every ledger balances."""
    dice = dice_of(f"import {kind} for good")
    importing = Importing(world, broker_here, HASTY)
    with net.fault(kind, broker_here.plain, after=dice.randrange(FIRST, LAST)):
        process = importing.begin()
        net.wait_hit(lambda: process.poll() is None)
        assert process.wait(WAIT_S) == 2, importing.said()
    said = importing.said()
    print(said)
    assert said.count("\n") == 1, said
    assert re.search(r"so there is no recording; .*: no broker of .* answers", said)
    assert f"127.0.0.1:{broker_here.plain}" in said
    again = importing.begin(1)
    assert again.wait(WAIT_S) == 0, importing.said(1)
    importing.check(1)
    for session in sessions(importing.home, "shop"):
        assert capture_identities(ledger_of(session)) == []
