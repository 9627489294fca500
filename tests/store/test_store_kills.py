"""The owner of the store may die at any instant: nothing acknowledged is lost, nothing is stored twice."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from echolane.errors import HomeError
from echolane.store import open_store

EXACT = "SELECT count() AS n, uniqExact(id) AS ids FROM results_v WHERE run = 'r'"


def test_ten_kills_while_inserting_lose_nothing_and_double_nothing(
    home: Path, results: Callable[..., Any], kill_owner: Callable[[Path], int]
) -> None:
    """Ten seeded kill -9 at random instants of 60 inserts: every acknowledged row is there, once."""
    dice = random.Random(20)
    batches = [results("r", first, 500) for first in range(0, 30_000, 500)]
    done = threading.Event()
    kills = 0

    def kill_now_and_then() -> None:
        nonlocal kills
        while kills < 10 and not done.wait(dice.uniform(0.02, 0.4)):
            try:
                kill_owner(home)
                kills += 1
            except (OSError, ValueError):
                pass  # none lives at this instant

    with open_store(home) as store:
        killer = threading.Thread(target=kill_now_and_then, daemon=True)
        killer.start()
        turn = 0
        while killer.is_alive() or turn < len(batches):
            # Batches go round until all kills have happened: repetitions must not count either.
            store.insert("results", batches[turn % len(batches)])
            turn += 1
        done.set()
        killer.join()

        assert kills == 10
        assert store.query(EXACT) == [{"n": 30_000, "ids": 30_000}]


def test_what_was_acknowledged_before_a_kill_is_there_after_it(
    home: Path, results: Callable[..., Any], kill_owner: Callable[[Path], int]
) -> None:
    """insert() returns when the rows are on the disk, not before."""
    for turn in range(3):
        with open_store(home) as store:
            store.insert("results", results("r", turn * 100, 100))
            kill_owner(home)
    with open_store(home) as store:
        assert store.query(EXACT) == [{"n": 300, "ids": 300}]


def test_a_stream_goes_on_after_a_kill_where_it_was(home: Path, kill_owner: Callable[[Path], int]) -> None:
    """The pages already given are skipped, the rest follows, nothing is missing or double."""
    with open_store(home) as store:
        seen: list[int] = []
        for turn, page in enumerate(store.stream("SELECT number AS n FROM numbers(500_000) ORDER BY n")):
            seen += [row["n"] for row in page]
            if turn in {3, 30}:
                kill_owner(home)

        assert seen == list(range(500_000))


def test_a_stream_whose_rows_changed_says_so(home: Path, kill_owner: Callable[[Path], int]) -> None:
    """If the answer is another one after a kill, it is refused and not patched together."""
    with open_store(home) as store:
        pages = store.stream("SELECT now64(9) AS t, number AS n FROM numbers(2_000_000)")
        next(pages)
        kill_owner(home)
        with pytest.raises(HomeError, match="changed"):
            list(pages)


def test_a_request_that_kills_every_owner_is_given_up(home: Path, kill_owner: Callable[[Path], int]) -> None:
    """After some owners died under one request, it fails with one line and names the log."""
    with open_store(home) as store:
        done = threading.Event()

        def keep_killing() -> None:
            while not done.wait(0.05):
                try:
                    kill_owner(home)
                except (OSError, ValueError):
                    pass  # none lives at this instant

        killer = threading.Thread(target=keep_killing, daemon=True)
        killer.start()
        try:
            with pytest.raises(HomeError, match=r"store\.log"):
                # A minute, a second at a time: it does not end before the killer comes, who may stand still meanwhile.
                store.query("SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1")
        finally:
            done.set()
            killer.join()


def test_a_start_killed_at_any_time_is_finished_by_the_next(
    home: Path, kill_owner: Callable[[Path], int], results: Callable[..., Any]
) -> None:
    """An owner killed while it makes its tables leaves a store that opens and works."""
    dice = random.Random(5)

    def kill_soon() -> None:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                if home.joinpath("store", "chdb").exists():
                    time.sleep(dice.uniform(0, 0.4))
                    kill_owner(home)
                    return
            except (OSError, ValueError):
                pass
            time.sleep(0.005)

    for turn in range(3):
        killer = threading.Thread(target=kill_soon, daemon=True)
        killer.start()
        try:
            with open_store(home) as store:
                store.insert("results", results("r", turn * 10, 10))
        except HomeError:
            pass  # "it did not start" is a fair answer to a kill
        killer.join()
    with open_store(home) as store:
        store.insert("results", results("r", 0, 40))
        assert store.query(EXACT) == [{"n": 40, "ids": 40}]


def test_a_full_disk_is_told_in_one_line_and_costs_nothing_acknowledged(
    small_disk: Path, results: Callable[..., Any]
) -> None:
    """Inserts fail with HomeError, reading goes on, and with free space inserting goes on in the same owner."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(12 << 20))
    acknowledged = 0
    with open_store(small_disk / "home") as store:
        told = ""
        while not told:
            columns = results("r", acknowledged, 1_000)
            columns["target"] = [os.urandom(1_000).hex() for _ in range(1_000)]
            try:
                store.insert("results", columns)
                acknowledged += 1_000
            except HomeError as error:
                told = str(error)
        assert "no room left" in told
        assert "\n" not in told
        assert acknowledged > 0
        (row,) = store.query(EXACT)
        assert row["n"] == row["ids"]
        assert row["n"] in {acknowledged, acknowledged + 1_000}, "the refused batch is stored whole or not at all"

        ballast.unlink()
        store.insert("results", results("r", acknowledged, 1_000))
        assert store.query(EXACT) == [{"n": acknowledged + 1_000, "ids": acknowledged + 1_000}]


@pytest.mark.parametrize("left", [0, 36 << 10, 40 << 10, 44 << 10, 512 << 10, 3 << 20])
def test_a_store_on_a_full_disk_is_told_in_one_line_and_made_later(
    small_disk: Path, fill: Callable[[Path], None], left: int
) -> None:
    """A store that cannot be made says that there is no room, and leaves nothing behind that keeps it from being made when there is.

    With some 40 KiB the engine would write a definition of no bytes, and never open the store again.
    """
    (small_disk / "left").write_bytes(bytes(left))
    fill(small_disk / "ballast")
    (small_disk / "left").unlink()
    with pytest.raises(HomeError) as caught:
        open_store(small_disk / "home").close()

    assert "\n" not in str(caught.value)
    assert "space" in str(caught.value) or "room" in str(caught.value)
    (small_disk / "ballast").unlink()
    with open_store(small_disk / "home") as store:
        assert store.query("SELECT count() AS n FROM results_v") == [{"n": 0}]


def test_the_store_can_be_moved_to_another_place(tmp_path: Path, results: Callable[..., Any]) -> None:
    """A home is a folder like any other: moved as a whole it opens as it was."""
    with open_store(tmp_path / "old") as store:
        store.insert("results", results("r", 0, 10))
    shutil.move(tmp_path / "old", tmp_path / "new")
    with open_store(tmp_path / "new") as store:
        assert store.query(EXACT) == [{"n": 10, "ids": 10}]
