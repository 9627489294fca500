"""`echolane doctor` as a user calls it: at home, and on a real broker with results behind a real driver."""

from __future__ import annotations

import json
from itertools import count

import pytest

from bench.broker import Broker
from bench.ports import free_port
from tests.e2e.world import Done, World
from tests.store.bridge import Bridge, database_of

PREFIXES = count(1)
ITEMS = [(f"/items/{n}", {}) for n in range(1, 9)]


def told(done: Done) -> dict[str, list[tuple[str, str, str]]]:
    """The checks by name: state, what, what to do."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for one in json.loads(done.out):
        assert set(one) == {"check", "state", "what", "do"}
        found.setdefault(one["check"], []).append((one["state"], one["what"], one["do"]))
    return found


def test_a_home_is_examined_and_set_right(world: World) -> None:
    """Key files that others read, an unreadable recording and files left in the journal are said, then set right as far as can be."""
    world.record(world.app(), ITEMS)
    assert world.call("doctor", "--home", world.home).code == 0
    (key,) = list((world.home / "keys").glob("seal*"))[:1]
    key.chmod(0o644)
    (world.home / "recordings" / "12345678.json").write_text("{")
    (world.home / "journal" / "half").mkdir()

    ill = world.call("doctor", "--home", world.home, "--json")
    plain = world.call("doctor", "--home", world.home)
    mended = world.call("doctor", "--home", world.home, "--json", "--repair", "--deep")
    well = world.call("doctor", "--home", world.home, "--json")

    assert (ill.code, mended.code, well.code) == (2, 0, 0)
    assert told(ill)["keys"][0][0] == "bad"
    assert "chmod 600" in plain.out
    assert told(ill)["journal half"][0][0] == told(ill)["recordings"][0][0] == "warn"
    assert "12345678.json` cannot be read" in told(ill)["recordings"][0][1]
    assert "every frame was read" in told(mended)["journal"][0][1]
    assert told(mended)["journal half"][0][1].endswith("it was removed")
    assert key.stat().st_mode & 0o077 == 0
    assert {name for name, lines in told(well).items() if lines[0][0] != "ok"} == {"recordings"}
    assert set(told(well)) == {"disk", "keys", "recordings", "differ", "store", "journal", "lag", "agents"}


def test_damage_is_counted_by_reading_everything(world: World) -> None:
    """A frame whose bytes rotted is found by --deep, which nobody had read before, and the rest of the journal stays."""
    world.record(world.app(), ITEMS)
    files = [path for path in (world.home / "journal").rglob("*.db") if path.name != "index.db"]
    hurt = 0
    for path in files:
        data = bytearray(path.read_bytes())
        at = data.find(b"EL\x01\x01\x01")
        if at >= 0:
            data[at + 60] ^= 0xFF
            path.write_bytes(data)
            hurt += 1
    assert hurt

    found = world.call("doctor", "--home", world.home, "--json", "--only", "journal", "--deep")

    ((state, words, _),) = told(found)["journal exchanges.shop"]
    assert (state, "damaged frames were set aside" in words) == ("warn", True)


def test_a_cluster_and_a_server_are_examined_and_tables_made(world: World, broker: Broker, bridge: Bridge) -> None:
    """By flags and by environment alike: pending tables are made by --repair alone; one broker of two that is away is said; nothing is bad."""
    place = {
        "ECHOLANE_JOURNAL": f"kafka://127.0.0.1:{free_port()},127.0.0.1:{broker.plain}?prefix=d{next(PREFIXES)}.",
        "ECHOLANE_STORE": database_of(bridge),
    }
    flags = ("--journal", place["ECHOLANE_JOURNAL"], "--store", place["ECHOLANE_STORE"])
    by_flag = world.call("doctor", "--home", world.home, "--json", *flags)
    world.environ |= place
    by_environment = world.call("doctor", "--home", world.home, "--json")
    made = world.call("doctor", "--home", world.home, "--json", "--repair", "--only", "store")
    world.record(world.app(), ITEMS)
    commands = ("--base-cmd", world.app_command(), "--branch-cmd", world.app_command())
    done, result = world.run(*commands, "--workers", "own")
    assert done.code == 0, done.err
    well = world.call("doctor", "--home", world.home, "--json")

    assert (by_flag.code, by_environment.code, made.code, well.code) == (0, 0, 0, 0), by_flag.out
    assert told(by_flag)["store tables"] == told(by_environment)["store tables"]
    assert told(by_flag)["store tables"][0][0] == "warn"
    assert set(told(made)) == {"store", "store clock", "store tables", "store user"}
    assert [state for state, _, _ in told(well)["kafka brokers"]] == ["ok", "warn"]
    assert "accept no connections" in told(well)["kafka brokers"][1][1]
    ill = {name for name, lines in told(well).items() if any(state != "ok" for state, _, _ in lines)}
    assert ill == {"kafka brokers"}, well.out
    assert "5 topics at" in told(well)["journal"][0][1]
    assert result["ledger"]["compared"] == len(ITEMS)
    assert "s3cret" not in by_flag.out + by_flag.err + well.out


@pytest.mark.parametrize(("part", "words"), [("journal", "no broker of"), ("store", "Connection refused")])
def test_what_is_not_there_is_bad_and_the_rest_is_looked_at(world: World, part: str, words: str) -> None:
    """A wrong address is exit 2 and one line; home and the other part are examined all the same."""
    nobody = free_port()
    url = {"journal": f"kafka://127.0.0.1:{nobody}?wait_s=1", "store": f"clickhouse://u:secret@127.0.0.1:{nobody}/d"}
    done = world.call("doctor", "--home", world.home, "--json", f"--{part}", url[part])

    assert done.code == 2
    bad = [(name, line) for name, lines in told(done).items() for line in lines if line[0] == "bad"]
    assert len(bad) == 1
    assert words in bad[0][1][1]
    assert bad[0][1][2]
    assert {"disk", "keys", "differ", "store" if part == "journal" else "journal"} <= set(told(done))
    assert "secret" not in done.out + done.err
