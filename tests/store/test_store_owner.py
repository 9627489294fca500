"""One process owns a home's store: it is found, started, shared, and never left behind."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from echolane.errors import HomeError, StoreBusy
from echolane.store import Store, open_store, wire
from tests.waiting import wait_until

OPEN_AND_COUNT = """
import sys
from pathlib import Path
from echolane.store import open_store
with open_store(Path(sys.argv[1])) as store:
    store.insert("runs", {"run": [sys.argv[2]], "version": [1]})
    print((Path(sys.argv[1]) / "store" / "owner.lock").read_text().strip())
"""
HOLD_ENGINE = """
import sys, os
os.chdir(sys.argv[1])
import chdb.session
session = chdb.session.Session("store/chdb")
print("held", flush=True)
sys.stdin.read()
"""


def is_alive(process: int) -> bool:
    """Whether a process runs; a dead one that nobody has reaped yet does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_many_starters_at_once_share_one_owner(home: Path) -> None:
    """Three processes open a home that has no owner; all succeed and all meet the same one."""
    starters = [
        subprocess.Popen([sys.executable, "-c", OPEN_AND_COUNT, home, f"r{number}"], stdout=subprocess.PIPE, text=True)
        for number in range(3)
    ]
    owners = {starter.communicate(timeout=300)[0].strip() for starter in starters}

    assert len(owners) == 1
    assert [starter.returncode for starter in starters] == [0] * 3
    with open_store(home) as store:
        assert store.query("SELECT count() AS n FROM runs_v") == [{"n": 3}]


def test_readers_and_writers_work_side_by_side(shared_store: Store, results: Callable[..., Any]) -> None:
    """Threads that insert, query and stream through one store each see whole batches only."""
    store = shared_store
    torn: list[int] = []
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(15):
                (row,) = store.query("SELECT count() AS n FROM results_v WHERE run = 'r'")
                streamed = sum(
                    map(len, store.stream("SELECT seq FROM results_v WHERE run = 'r' ORDER BY seq", rows=300))
                )
                torn.extend(n for n in (row["n"], streamed) if n % 500)
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for first in range(0, 10_000, 500):
        store.insert("results", results("r", first, 500))
    for reader in readers:
        reader.join()

    assert (failures, torn) == ([], [])
    assert store.query("SELECT count() AS n FROM results_v") == [{"n": 10_000}]


def test_the_owner_ends_when_its_last_client_is_gone(home: Path, owner_of: Callable[[Path], int]) -> None:
    """A silent client keeps its owner; a moment after the last close the process and its socket are gone."""
    with open_store(home) as first:
        owner = owner_of(home)
        open_store(home).close()
        time.sleep(2.6)  # longer than the owner waits when alone
        assert first.query("SELECT 1 AS one") == [{"one": 1}]
        assert owner_of(home) == owner
    wait_until(lambda: not is_alive(owner))
    assert not (home / "store.sock").exists()
    with open_store(home):
        assert owner_of(home) != owner


def test_the_owner_ends_when_its_home_vanishes(home: Path, owner_of: Callable[[Path], int]) -> None:
    """A home moved away takes its owner with it, clients or not, and a store at the old place begins anew."""
    with open_store(home) as store:
        store.insert("runs", {"run": ["gone"]})
        owner = owner_of(home)
        home.rename(home.with_name("elsewhere"))
        wait_until(lambda: not is_alive(owner))

        assert store.query("SELECT count() AS n FROM runs_v") == [{"n": 0}]


def test_a_socket_that_was_tidied_away_comes_back(shared_store: Store, shared_home: Path) -> None:
    """An owner whose socket was removed listens again, so newcomers reach it instead of waiting for its lock."""
    (shared_home / "store.sock").unlink()
    wait_until((shared_home / "store.sock").exists)

    with open_store(shared_home) as other:
        assert other.query("SELECT 1 AS one") == shared_store.query("SELECT 1 AS one")


def test_sigterm_answers_what_is_under_way_and_ends(home: Path, owner_of: Callable[[Path], int]) -> None:
    """An ended owner finishes the statement it is at; the next statement starts another owner."""
    with open_store(home) as store:
        owner = owner_of(home)
        answers: list[Any] = []
        asking = threading.Thread(target=lambda: answers.append(store.query("SELECT sleep(1) AS slept")))
        asking.start()
        time.sleep(0.3)
        os.kill(owner, signal.SIGTERM)
        asking.join()

        assert answers == [[{"slept": 0}]]
        assert store.query("SELECT 1 AS one") == [{"one": 1}]
        assert owner_of(home) != owner


def test_a_stale_socket_is_replaced(home: Path) -> None:
    """A socket left by a dead owner does not stop the next one."""
    home.mkdir()
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(home / "store.sock"))
    stale.close()

    with open_store(home) as store:
        assert store.query("SELECT 1 AS one") == [{"one": 1}]


@pytest.mark.parametrize("place", ["store.sock", "store", "store/chdb", "log"])
def test_a_file_of_somebody_else_in_the_place_is_told_and_kept(home: Path, place: str) -> None:
    """Another program's file where ours belong: one line names it, and it is not touched."""
    home.mkdir()
    (home / place).parent.mkdir(exist_ok=True)
    (home / place).write_text("mine")

    with pytest.raises(HomeError) as caught:
        open_store(home)

    assert "\n" not in str(caught.value)
    assert str(home) in str(caught.value)
    assert (home / place).read_text() == "mine"


@pytest.mark.parametrize("home", ["/proc/self/nowhere", "/dev/null", "/dev/null/home"])
def test_a_home_that_cannot_be_is_told_in_one_line(home: str) -> None:
    """A path that cannot hold a folder is named with its reason."""
    with pytest.raises(HomeError) as caught:
        open_store(Path(home))

    assert "\n" not in str(caught.value)
    assert home in str(caught.value)


def test_a_store_open_in_another_program_is_busy(home: Path) -> None:
    """Files held by a foreign engine give StoreBusy, with one line."""
    (home / "store").mkdir(parents=True)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_ENGINE, home], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreBusy, match="another program") as caught:
            open_store(home)
        assert "\n" not in str(caught.value)
        holder.communicate("", timeout=60)


def test_an_owner_that_does_not_answer_is_busy(
    shared_store: Store, shared_home: Path, owner_of: Callable[[Path], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped owner is named with its process after a bounded wait."""
    monkeypatch.setattr("echolane.store.client.CONNECT_S", 1.0)
    owner = owner_of(shared_home)
    os.kill(owner, signal.SIGSTOP)
    try:
        with pytest.raises(StoreBusy, match=str(owner)):
            open_store(shared_home)
    finally:
        os.kill(owner, signal.SIGCONT)
    assert shared_store.query("SELECT 1 AS one") == [{"one": 1}]


def test_any_path_will_do(tmp_path: Path) -> None:
    """A path longer than a socket's address, or full of characters that mean something elsewhere, is just a path."""
    home = tmp_path / ("long-" + "x" * 120) / "odd ?&=%#'\"; é {name}" / "home"
    with open_store(home) as store, open_store(home) as other:
        store.insert("runs", {"run": ["r"]})

        assert other.query("SELECT run FROM runs_v") == [{"run": "r"}]


def test_garbage_on_the_socket_costs_a_connection_and_nothing_else(shared_store: Store, shared_home: Path) -> None:
    """Random bytes, huge lengths, half messages, broken heads and rows that are none leave the owner at work."""
    dice = random.Random(3)
    prefix = wire._PREFIX
    messages = [dice.randbytes(dice.randrange(1, 4000)) for _ in range(20)]
    messages += [
        prefix.pack(b"ELS1", 2**32 - 1, 2**32 - 1),
        prefix.pack(b"ELS1", 100, 0) + b"short",
        prefix.pack(b"ELS1", 4, 0) + b"\xff\xff\xff\xff",
        prefix.pack(b"ELS1", 0, 0),
        b"E",
    ]
    for message in messages:
        with wire.connect(shared_home / "store.sock", 60.0) as sock:
            sock.sendall(message)
            sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while sock.recv(65536):
                    pass
    with wire.connect(shared_home / "store.sock", 60.0) as sock:
        for file in (-1, os.open(os.devnull, os.O_RDONLY)):
            wire.send(sock, wire.Insert("runs", ["run"]), file=file)
            assert isinstance(wire.receive_reply(sock)[0], wire.Failed)
        os.close(file)

    assert shared_store.query("SELECT 1 AS one") == [{"one": 1}]


def test_a_fork_gets_connections_of_its_own(shared_store: Store) -> None:
    """Parent and child may both use a store opened before the fork."""
    store = shared_store
    store.query("SELECT 1 AS one")
    child = os.fork()
    if child == 0:
        try:
            fine = all(store.query(f"SELECT {number} AS n") == [{"n": number}] for number in range(100))
            os._exit(0 if fine else 1)
        finally:
            os._exit(2)
    assert all(store.query(f"SELECT {number} AS n") == [{"n": number}] for number in range(100, 200))
    assert os.waitpid(child, 0)[1] == 0


def test_a_closed_store_says_so(home: Path) -> None:
    """Using a store after close() is an error, and closing twice is none."""
    store = open_store(home)
    store.close()
    store.close()
    with pytest.raises(HomeError, match="closed"):
        store.query("SELECT 1")


def test_memory_of_the_owner_is_bounded_while_wide_rows_are_read(
    store: Store, home: Path, owner_of: Callable[[Path], int]
) -> None:
    """77 MiB of rows of 64 KiB are streamed in order while the owner grows by far less, and what it took it gives back."""

    def resident_mib(name: str) -> int:
        status = Path(f"/proc/{owner_of(home)}/status").read_text()
        return int(status.partition(f"{name}:")[2].split()[0]) // 1024

    dice = random.Random(1)
    for first in range(0, 1_200, 400):
        ranks = range(first, first + 400)
        texts = [[dice.randbytes(8).hex() * 1024] * 4 for _ in ranks]
        columns = {"id": [str(rank) for rank in ranks], "seq": list(ranks), "d_old": texts, "run": ["r"] * 400}
        store.insert("results", columns)
    seen = [row["seq"] for page in store.stream("SELECT * FROM results_v WHERE run = 'r' ORDER BY seq") for row in page]

    assert seen == list(range(1_200))
    assert resident_mib("VmHWM") < 500
    wait_until(lambda: resident_mib("VmRSS") <= 300)


def test_a_client_pays_neither_for_the_engine_nor_for_pandas(home: Path) -> None:
    """Opening, inserting and asking loads neither chdb nor pandas into the process of the user."""
    code = (
        "import sys; from pathlib import Path; from echolane.store import open_store\n"
        "with open_store(Path(sys.argv[1])) as s: s.insert('runs', {'run': ['r']}); s.query('SELECT 1')\n"
        "print([name for name in ('chdb', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, home], capture_output=True, text=True, check=True, timeout=300)

    assert done.stdout == "[]\n"
