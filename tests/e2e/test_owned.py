"""A home, a journal or a store that somebody else owns: exit 2 with one line that says what and what to do, no traceback, nothing touched."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.kills_parts import gone
from tests.e2e.test_refusals import TWO, har, refused
from tests.e2e.world import Done, World

OTHER = 65_534
"""A user who is not us."""
CALLS = {
    "import": ("import", "--service", "shop", "shop.har"),
    "run": ("run", "--service", "shop", *TWO),
    "record": ("record", "--service", "shop", "--listen", "127.0.0.1:8098", "--upstream", "http://127.0.0.1:1"),
    "backup": ("backup", "whole.backup"),
}
HOLD_DATABASE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA locking_mode=EXCLUSIVE")
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""
HOLD_STORE = """
import os, sys
os.chdir(sys.argv[1])
import chdb.session
session = chdb.session.Session("store/chdb")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(world: World, script: str, place: Path) -> Generator[None]:
    """A process that has it open for itself while the block lasts."""
    holder = world.start(sys.executable, "-c", script, place, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    yield
    holder.kill()
    holder.wait(20)


def given_away(place: Path, mode: int) -> None:
    """A folder with all that is in it becomes another user's; who is not root closes it to himself."""
    for path in [place, *place.rglob("*")]:
        if os.geteuid() == 0:
            os.chown(path, OTHER, OTHER)
        path.chmod(mode if path.is_dir() else mode & 0o666)
    if os.geteuid():
        place.chmod(mode & 0o500)


def without_power(world: World, words: tuple[object, ...]) -> Done:
    """`echolane …` by a user whom modes hold: root without what lets it read and write everything."""
    weak = []
    if os.geteuid() == 0:
        if not (program := shutil.which("setpriv")):
            pytest.skip("needs setpriv, for root may read and write everything")
        weak = [program, "--bounding-set=-dac_override,-dac_read_search,-fowner,-chown", "--inh-caps=-all"]
    command = [*weak, sys.executable, "-m", "console.main", *map(str, words)]
    done = subprocess.run(
        command, env=world.environ, cwd=world.folder, capture_output=True, text=True, timeout=120, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("call", list(CALLS))
@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_a_home_of_another_user(world: World, call: str, mode: int) -> None:
    """Whatever is asked of a home that another user owns, readable or not, the home is named and nothing of it changes."""
    assert world.call("import", "--service", "shop", "--home", world.home, har(world)).code == 0
    before = sorted(world.home.rglob("*"))
    given_away(world.home, mode)
    done = without_power(world, (*CALLS[call], "--home", world.home))
    assert (done.code, done.out) == (2, ""), done
    assert "Traceback" not in done.err
    assert str(world.home) in done.err.splitlines()[-1]
    world.home.chmod(0o755)
    assert sorted(world.home.rglob("*")) == before


@pytest.mark.parametrize("part", ["journal", "ledger", "recordings", "keys"])
def test_a_part_of_a_home_of_another_user(world: World, part: str) -> None:
    """A folder that another user's call left in our home is named with what to do."""
    assert world.call("import", "--service", "shop", "--home", world.home, har(world)).code == 0
    given_away(world.home / part, 0o700)
    done = without_power(world, (*CALLS["import"], "--home", world.home))
    assert (done.code, done.out) == (2, ""), done
    assert "Traceback" not in done.err
    assert str(world.home / part) in done.err.splitlines()[-1]


def test_a_database_of_another_application_for_a_home(world: World) -> None:
    """A home or a journal that is the file of somebody's database is named and stays as it is."""
    for place in (world.home, world.folder / "other" / "journal"):
        place.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(place) as connection:
            connection.execute("CREATE TABLE bookmarks (url TEXT)")
        connection.close()
        data = place.read_bytes()
        home = world.home if place == world.home else place.parent
        refused(world, 2, str(place), *CALLS["import"], "--home", home, cwd=har(world).parent)
        assert place.read_bytes() == data


def test_a_journal_that_another_process_holds(world: World) -> None:
    """A file of the journal that somebody else has locked for himself: said after a bounded wait, with the topic."""
    assert world.call("import", "--service", "shop", "--home", world.home, har(world)).code == 0
    (index,) = world.home.glob("journal/exchanges.shop/*/index.db")
    with holding(world, HOLD_DATABASE, index):
        refused(world, 2, "exchanges.shop", *CALLS["import"], "--home", world.home)
        refused(world, 2, "another process", *CALLS["run"], "--home", world.home)
    assert world.call(*CALLS["import"], "--home", world.home).code == 0


def test_a_store_that_another_process_holds(world: World) -> None:
    """The store's folder is open in a foreign engine: said with the folder; when it is free again the same call works."""
    assert world.call("runs", "--home", world.home).code == 0
    gone(world.home, "store.owner")
    with holding(world, HOLD_STORE, world.home):
        refused(world, 2, "another program", "runs", "--home", world.home)
    assert world.call("runs", "--home", world.home).code == 0
