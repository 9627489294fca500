"""Runs that would disturb each other at one place go one after the other, also over a kill of the server; others go at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.api_parts import Served, log_of
from tests.e2e.test_hooks_told import PATIENT
from tests.e2e.world import World, stop
from tests.waiting import wait_until

MANY = "[api]\nrate_per_s = 10000\nburst = 100000\nruns_at_once = 4\n"
TARGET = '[[api_targets]]\nservice = "{}"\nname = "{}"\nurl = "http://{}:{}"\nwrites = true\n'


class Written(Served):
    """A server that does four runs at once, with a base and a branch that may be written to; the branch notes whose its requests are."""

    def __init__(self, world: World) -> None:
        self.log = world.folder / "runs.log"
        world.environ |= PATIENT
        ports = world.app(), world.app("price", f"runs={self.log}")
        written = world.started[-1]
        more = "".join(
            TARGET.format(service, name, host, port)
            # One place by two names.
            for service, host in (("shop", "127.0.0.1"), ("depot", "localhost"))
            for name, port in zip(("rw-base", "rw"), ports, strict=True)
        )
        super().__init__(world, settings=MANY, more=more)
        self.branch = written

    def asked(self, methods: str, service: str = "shop") -> str:
        """A run at what may be written to."""
        return self.run(service, base="rw-base", branch="rw", methods=methods)

    def waits(self, run: str) -> str:
        """What a queued run says that it waits for, once it says something."""
        found: list[str] = []

        def told() -> bool:
            state = self.ask("GET", f"/api/v1/runs/{run}/state").json
            assert state["state"] == "queued", state
            found.append(state["said"] or "")
            return found[-1] != ""

        wait_until(told)
        return found[-1]

    def order(self) -> list[str]:
        """Whose requests came to the branch, each stretch of one run once."""
        return [run for run, _ in itertools.groupby(self.log.read_text("ascii").split())]


@pytest.fixture
def served(world: World) -> Iterator[Written]:
    """Such a server."""
    found = Written(world)
    yield found
    assert stop(found.process, 90) == 0
    assert "api.fault" not in log_of(world.home)


@contextmanager
def going(served: Written, methods: str) -> Iterator[str]:
    """A run that does not end in this block."""
    with served.held():
        run = served.asked(methods)
        served.wait(run, "running")
        yield run


def test_a_run_that_writes_and_another_at_its_place_go_one_after_the_other(served: Written) -> None:
    """The second says whom it waits for, over a kill of the server, too, and fires when the first has ended; elsewhere one goes meanwhile."""
    with going(served, "all") as first:
        second, third = served.asked("all"), served.asked("safe", "depot")
        assert f"waits for run {first}: both fire at 127.0.0.1:" in served.waits(second)
        assert served.waits(third).startswith("waits for a run of another service: ")
        assert f"waits for run {first}" in served.ask("GET", f"/runs/{second}").body.decode()
        assert served.ended(served.run())["state"] == "finished"
        served.process.kill()
        served.process.wait(10)
        served.start()
        assert f"waits for run {first}: " in served.waits(second)
    runs = [first, second, third]
    assert [served.ended(run)["state"] for run in runs] == ["finished"] * 3
    assert served.order() == runs
    assert [served.ended(run)["said"] for run in runs] == [None] * 3


def test_runs_that_only_read_go_at_once(served: Written) -> None:
    """Two at one place are both under way before either has ended; a writer behind them waits for the older, and who reads after it for it."""
    with going(served, "safe") as first:
        second = served.asked("safe")
        served.wait(second, "running")
        writer = served.asked("all")
        assert f"waits for run {first}: " in served.waits(writer)
        late = served.asked("safe")
        assert f"waits for run {writer}: " in served.waits(late)
    states = [served.ended(run)["state"] for run in (first, second, writer, late)]
    assert states == ["finished"] * 4
    assert served.order()[-2:] == [writer, late]


def test_a_run_that_is_given_up_lets_the_next_one_go(served: Written) -> None:
    """One of the queue that is cancelled holds nobody up any more, nor does one that goes on and is cancelled; it is gone on with when nobody is in its way."""
    with going(served, "safe") as first:
        writer, late = served.asked("all"), served.asked("safe")
        served.waits(late)
        assert served.ask("POST", f"/api/v1/runs/{writer}/cancel").status == 202
        served.wait(late, "running")
        wait_until(lambda: served.ask("GET", f"/api/v1/runs/{first}/state").json["total"])  # it has begun to fire
        second = served.asked("all")
        assert f"waits for run {first}: " in served.waits(second)
        for run in (first, late):
            assert served.ask("POST", f"/api/v1/runs/{run}/cancel").status == 202
    assert served.ended(second)["state"] == "finished"
    assert [served.ended(run)["state"] for run in (first, writer)] == ["interrupted"] * 2
    with going(served, "all") as other:
        assert served.ask("POST", f"/api/v1/runs/{first}/resume").status == 202
        assert f"waits for run {other}: " in served.waits(first)
    assert served.ended(first)["state"] == "finished"
    assert served.ended(other)["state"] == "finished"
