"""A login at a target outlives the process that made it: who takes over and who resumes go on in its session, and nobody else can read it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from echolane.store import open_store
from tests.e2e.soak_parts import Shop
from tests.e2e.workers_parts import WAIT_S
from tests.e2e.world import World, files_below

EXCHANGES, SESSIONS = 160, 8
PACE = "60/s..4/s over 3s"
"""Soon behind the logins, and then slowly: whoever is killed there had more to do for seconds."""


def written(home: Path, shop: Shop, run: str) -> Iterator[tuple[str, bytes]]:
    """Everything that stands in the home: files as they are, and what is packed in some of them unpacked."""
    for path, data in files_below(home).items():
        yield str(path), data
    for observation in shop.observed(run):
        yield f"observation {observation.seq}", msgspec.msgpack.encode(observation)
    with open_store(home) as store:
        for table in ("runs", "results", "samples", "findings"):
            for row in store.query(f"SELECT * FROM {table}"):
                yield table, repr(row).encode()


@pytest.mark.parametrize("form", ["shared", "own"])
def test_a_session_outlives_who_began_it(world: World, form: str) -> None:
    """A worker (or the run) is killed after logins; who goes on is known at every target, and no session's name is written in clear."""
    shop = Shop(world, EXCHANGES, SESSIONS, lease_s=2.0)
    worker = None
    if form == "shared":
        worker = shop.worker("replay")
        shop.worker("diff")
    asking = world.start(sys.executable, "-m", "console.main", *shop.words("--workers", form, "--pace", PACE))
    shop.wait_fired((shop.login + 4) * SESSIONS)
    if worker is not None:
        worker.kill()
        shop.worker("replay")
        assert asking.wait(WAIT_S) == 1
    else:
        asking.kill()
        asking.wait(10)
        done = world.call(
            "run", "--resume", shop.latest(), "--home", world.home, "--json", world.folder / "result.json"
        )
        assert done.code == 1, done.err
    result = shop.result()
    shop.check(result)

    guarded = [one for one in shop.observed(result["run"]) if one.target.startswith("/mine")]
    assert len({one.seq for one in guarded}) == 4 * SESSIONS
    for one in guarded:
        assert [answer.status for n in range(4) if (answer := one.answer_of(n))] == [200] * 4, one
    sessions = [name for log in shop.logs for name in Path(f"{log}-given").read_bytes().split()]
    assert len(sessions) == 4 * SESSIONS
    for place, data in written(world.home, shop, result["run"]):
        assert not [name for name in sessions if name in data], place
