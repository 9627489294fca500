"""Backup and restore: what comes back is the home of one moment, also where everything went on; what cannot be one is refused whole."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from capture.account import settle_dead, total_ledger
from console import run_lease
from console.api.audit import Audit
from console.run_lease import whole_lease
from echolane.errors import HomeError
from echolane.home import open_home
from echolane.journal import open_journal
from echolane.lease import held, is_held
from echolane.ledger import capture_identities, run_identities
from echolane.store import open_store
from tests.e2e.kills_parts import Load, chance, no_twins, recorded
from tests.e2e.world import World, stop
from tests.waiting import wait_until

ITEMS = [(f"/items/{n}?n={n}", {"Cookie": f"sid=s{n % 5}"}) for n in range(1, 31)]


def restored(world: World, file: Path, name: str = "restored") -> Path:
    """The home that a backup makes; nothing else is left beside it."""
    home = world.folder / name
    done = world.call("restore", file, "--home", home)
    assert done.code == 0, done.err
    assert not list(world.folder.glob(".*"))
    return home


def checked(home: Path) -> int:
    """Ledger and journal tell the same exchanges, each once; how many there are."""
    place = open_home(home)
    journal = open_journal(home)
    settle_dead(place, journal, "shop")
    journal.close()
    found = recorded(home)
    counts = total_ledger(place, "shop")
    assert capture_identities(counts) == [], counts
    assert counts["stored"] == len(found), counts
    no_twins(found)
    return len(found)


def healthy(world: World, home: Path) -> None:
    """Doctor reads all of it, and finds nothing."""
    done = world.call("doctor", "--deep", "--json", "--home", home)
    assert done.code == 0, done.out
    assert {one["state"] for one in json.loads(done.out)} == {"ok"}, done.out


def ran(world: World) -> str:
    """A home with a recording, a run with findings, and a token; the run."""
    world.record(world.app(), ITEMS)
    base, branch = world.app(), world.app("price")
    done, result = world.run("--base", f"http://127.0.0.1:{base}", "--branch", f"http://127.0.0.1:{branch}")
    assert done.code == 1, done.err
    assert world.call("token", "create", "ci", "--home", world.home).code == 0
    return str(result["run"])


def test_what_comes_back_says_what_the_home_said(world: World) -> None:
    """A restored home has the same runs, results, exchanges, tokens, keys and audit log, all readable by their owner alone."""
    run, file = ran(world), world.folder / "b.tar.zst"
    (world.home / "STOP").touch()

    done = world.call("backup", file, "--home", world.home, "--json")
    home = restored(world, file)

    assert done.code == 0, done.err
    assert "holds secrets" in done.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    told = json.loads(done.out)
    assert told["about"]["holds"] == ["home", "journal", "store"]
    assert told["contents"]["exchanges"] == {"shop": len(ITEMS)} == {"shop": checked(home)}
    assert told["contents"]["rows"]["results"] == len(ITEMS)
    for words in (
        ["runs", "--json"],
        ["show", run, "--json"],
        ["show", run, "--exchanges", "--json"],
        ["token", "list"],
    ):
        before, after = (world.call(*words, "--home", place) for place in (world.home, home))
        assert before.code == after.code == 0, after.err
        assert before.out == after.out
    healthy(world, home)
    assert Audit(open_home(home)).verify() == Audit(open_home(world.home)).verify() == (1, [])
    assert (home / "STOP").exists()
    secret = (home / "keys", *home.glob("keys/*"), *home.glob("access/**/*"))
    assert not [path for path in secret if stat.S_IMODE(path.stat().st_mode) & 0o077]


def test_a_restored_home_goes_on(world: World) -> None:
    """What is recorded and run in a restored home adds to what was there, as if nothing had been."""
    run, file = ran(world), world.folder / "b.tar.zst"
    assert world.call("backup", file, "--home", world.home).code == 0
    world.home = restored(world, file)

    process, port = world.recorder(world.app())
    Load(port, 1).wait(10).stop()
    stop(process)
    base, branch = world.app(), world.app()
    done, result = world.run("--base", f"http://127.0.0.1:{base}", "--branch", f"http://127.0.0.1:{branch}")

    assert done.code == 0, done.err
    assert checked(world.home) == result["ledger"]["selected"] > len(ITEMS)
    assert {row["run"] for row in json.loads(world.call("runs", "--json", "--home", world.home).out)} == {
        run,
        result["run"],
    }


def backed_up(world: World, port: int, rng: random.Random) -> list[tuple[Path, int]]:
    """Three backups while clients are recorded and a run goes on; how much was stored before each."""
    live = set(world.home.glob("runs/*.live"))
    wait_until(lambda: set(world.home.glob("runs/*.live")) - live)
    load = Load(port, 4)
    backups: list[tuple[Path, int]] = []
    for number in range(3):
        time.sleep(rng.random())
        before = total_ledger(open_home(world.home), "shop")["stored"]
        file = world.folder / f"{number}.tar.zst"
        done = world.call("backup", file, "--home", world.home, "--force")
        assert done.code == 0, done.err
        backups.append((file, before))
    load.stop()
    return backups


def test_a_backup_under_load_is_of_one_moment(world: World) -> None:
    """While clients are recorded and a run goes on, every backup makes a home that balances, and in which the run is resumed to its end."""
    rng = chance("backup")
    base, branch = world.app(), world.app("price")
    process, port = world.recorder(base)
    Load(port, 4).wait(200).stop()
    wait_until(lambda: total_ledger(open_home(world.home), "shop")["stored"] >= 200)
    chosen = world.call("recordings", "add", "--service", "shop", "--home", world.home).out.strip()
    targets = ("--recording", chosen, "--base", f"http://127.0.0.1:{base}", "--branch", f"http://127.0.0.1:{branch}")
    for pace in ("20/s", "8/s", "4/s"):  # the more slowly, the longer this machine takes for a backup
        words = ["run", "--service", "shop", *targets, "--pace", pace, "--home", world.home]
        run = world.start(sys.executable, "-m", "console.main", *words)
        backups = backed_up(world, port, rng)
        if run.poll() is None:
            break
    else:
        pytest.fail("each run was over before the last backup")
    run.kill()
    stop(process)

    for file, before in backups:
        home = restored(world, file, f"of-{file.name}")
        assert checked(home) >= before
        rows = json.loads(world.call("runs", "--json", "--home", home).out)
        (row,) = [row for row in rows if row["state"] == "interrupted"]
        assert {row["state"] for row in rows} <= {"finished", "interrupted"}
        result = home.parent / "resumed.json"
        done = world.call("run", "--resume", row["run"], "--home", home, "--json", result, seconds=300)
        ledger = json.loads(result.read_bytes())["ledger"]
        assert done.code == 1, done.err
        assert run_identities(ledger) == []
        healthy(world, home)
        shown = [
            json.loads(line)
            for line in world.call("show", row["run"], "--exchanges", "--json", "--home", home).out.splitlines()
        ]
        assert len({one["exchange"] for one in shown}) == len(shown) == ledger["selected"]


def test_a_killed_backup_leaves_nothing(world: World) -> None:
    """Killed with -9 at any instant, a backup leaves no file and no frozen parts, and the next one is whole."""
    ran(world)
    rng = chance("killed backup")
    folder = world.folder / "backups"
    folder.mkdir()
    shadow = world.home / "store" / "chdb" / "shadow"
    with open_store(world.home):  # the owner outlives them
        for _ in range(6):
            command = [
                sys.executable,
                "-m",
                "console.main",
                "backup",
                str(folder / "b.tar.zst"),
                "--home",
                str(world.home),
                "--force",
            ]
            process = world.start(*command)
            time.sleep(0.15 + rng.random() * 0.5)
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            assert {path.name for path in folder.iterdir()} <= {"b.tar.zst"}
            wait_until(lambda: not shadow.is_dir() or not [path for path in shadow.iterdir() if path.is_dir()])
    done = world.call("backup", folder / "b.tar.zst", "--home", world.home, "--force")

    assert done.code == 0, done.err
    assert world.call("backup", "--verify", folder / "b.tar.zst").code == 0
    home = restored(world, folder / "b.tar.zst")
    assert checked(home) == len(ITEMS)
    healthy(world, home)


def test_a_home_with_a_cluster_is_backed_up_without_it(world: World) -> None:
    """Journal and store on other machines are left to their own means, and a line says so; the rest comes back."""
    ran(world)
    file = world.folder / "b.tar.zst"
    elsewhere = ["--journal", "kafka://127.0.0.1:1", "--store", "clickhouse://u:geheim@127.0.0.1:1/e"]
    done = world.call("backup", file, "--home", world.home, "--json", *elsewhere)
    home = restored(world, file)

    assert done.code == 0, done.err
    assert json.loads(done.out)["about"]["holds"] == ["home"]
    assert "not in it: the journal at kafka://127.0.0.1:1" in done.err
    assert "not in it: the store at clickhouse://u@127.0.0.1:1/e" in done.err
    assert "geheim" not in done.err
    assert {path.name for path in home.iterdir()} == {"access", "keys", "templates"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["backup", "home/b.tar.zst", "--home", "home"], "lies in the home"),
        (["backup", "nowhere/b.tar.zst", "--home", "home"], "there is no folder"),
        (["backup", ".", "--home", "home"], "is a folder"),
        (["backup", "pipe", "--force", "--home", "home"], "is no file"),
        (
            ["backup", "there.tar.zst", "--home", "home"],
            "is there already; name another file, or replace it with --force",
        ),
        (["backup", "b.tar.zst", "--home", "elsewhere"], "there is no home at"),
        (["backup", "--verify", "there.tar.zst"], "is no backup of Echolane"),
        (["backup", "--verify", "--force", "there.tar.zst"], "--verify only reads it"),
        (["restore", "there.tar.zst", "--home", "new"], "is no backup of Echolane"),
        (["restore", "missing.tar.zst", "--home", "new"], "cannot be read: No such file"),
        (["restore", "there.tar.zst", "--home", "home"], "is not empty"),
        (["restore", "there.tar.zst", "--home", "there.tar.zst"], "cannot be a home"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(world: World, words: list[str], said: str) -> None:
    """A place or a file that will not do ends with exit 2 and one line, and nothing is written."""
    open_home(world.home)
    (world.folder / "there.tar.zst").write_text("something of somebody's")
    os.mkfifo(world.folder / "pipe")
    before = sorted(world.folder.iterdir())

    done = world.call(*words)

    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1
    assert sorted(world.folder.iterdir()) == before


def test_a_full_disk_leaves_nothing_half(world: World, small_disk: Path, fill: Callable[[Path], None]) -> None:
    """Where the disk takes no more, neither a backup nor a home is left behind, and one line says so."""
    run, file = ran(world), world.folder / "b.tar.zst"
    assert world.call("backup", file, "--home", world.home).code == 0
    (small_disk / "room").write_bytes(bytes(24 * 1024))  # as much as is left to them
    fill(small_disk / "full")
    (small_disk / "room").unlink()

    for words in (
        ["backup", small_disk / "b.tar.zst", "--home", world.home],
        ["restore", file, "--home", small_disk / "new"],
    ):
        done = world.call(*words)
        assert done.code == 2, done.err
        assert "free" in done.err
        assert done.err.count("\n") == 1, done.err
        assert {path.name for path in small_disk.iterdir()} == {"full"}
    assert run


def test_a_home_can_be_a_disk_of_its_own(world: World, small_disk: Path) -> None:
    """A home is restored into the root of a mounted disk, as a container's volume is, and only where that is empty."""
    open_home(world.home)
    file = world.folder / "b.tar.zst"
    assert world.call("backup", file, "--home", world.home).code == 0
    (small_disk / "lost+found").mkdir()

    done, again = (world.call("restore", file, "--home", small_disk) for _ in range(2))

    assert done.code == 0, done.err
    assert {path.name for path in small_disk.iterdir()} == {"lost+found", "store"}
    assert again.code == 2
    assert "is not empty" in again.err


def test_a_folder_that_is_mounted_elsewhere_is_told(world: World, small_disk: Path) -> None:
    """Where a folder of the same disk is mounted no home can be put; the line says so, and nothing is left."""
    open_home(world.home)
    file = world.folder / "b.tar.zst"
    assert world.call("backup", file, "--home", world.home).code == 0
    folder, place = small_disk / "folder", small_disk / "place"
    folder.mkdir()
    place.mkdir()
    subprocess.run(["mount", "--bind", folder, place], check=True)
    try:
        done = world.call("restore", file, "--home", place)
    finally:
        subprocess.run(["umount", place], check=True)

    assert done.code == 2
    assert "is where a folder is mounted; restore into the folder itself" in done.err
    assert {path.name for path in small_disk.iterdir()} == {"folder", "place"}
    assert not list(folder.iterdir())


def test_what_a_killed_restore_left_goes_with_the_next(world: World) -> None:
    """A restore that was killed has made no home; the next one removes what it left, and makes it."""
    open_home(world.home)
    file = world.folder / "b.tar.zst"
    assert world.call("backup", file, "--home", world.home).code == 0
    left = world.folder / ".new.restoring"
    (left / "keys").mkdir(parents=True)
    (left / "keys" / "old.key").write_text("old")

    home = restored(world, file, "new")

    assert not left.exists()
    assert not (home / "keys" / "old.key").exists()


def test_nobody_erases_while_a_backup_is_made(world: World) -> None:
    """An erasure and a backup of one home exclude each other, so no backup brings back what is half gone."""
    lock = whole_lease(open_home(world.home))
    lock.parent.mkdir()
    holder = subprocess.Popen(["flock", lock, "sleep", "60"])
    try:
        wait_until(lambda: is_held(lock))
        done = world.call("backup", world.folder / "b.tar.zst", "--home", world.home)
    finally:
        holder.kill()
        holder.wait()

    assert done.code == 2
    assert "erasing in this home, or a backup of it, is in the hands of process" in done.err
    assert not (world.folder / "b.tar.zst").exists()


def test_runs_begin_while_a_backup_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an erasure keeps runs from, a backup does not."""
    monkeypatch.setattr(run_lease, "WAIT_S", 0.0)
    home = open_home(tmp_path / "home")
    with held(whole_lease(home), "a backup"), run_lease.run_held(home, "r"):
        pass
    with held(run_lease.erasing_lease(home), "erasing"), pytest.raises(HomeError), run_lease.run_held(home, "r"):
        pass
