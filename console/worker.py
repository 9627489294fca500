"""``echolane worker replay|diff``: do runs that others ask for, together with as many others as there are."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import threading
import time
from contextlib import suppress
from types import FrameType

from console.asking import machine
from console.diffing import DiffWorker
from console.flags import host_port
from console.health import Health, told
from console.lag import Waiting
from console.output import say
from console.surroundings import home_in, settings_of, store_of
from echolane import ids, log, service, vital
from echolane.errors import StoreDown
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.settings import Settings
from echolane.store import Store
from echolane.tracing import traced
from replayer.quiet import first_of
from replayer.worker import ReplayWorker

EPILOG = """examples:
  echolane worker replay --journal kafka://kafka-1:9092
  echolane worker diff --health 0.0.0.0:8901"""

STORE_AGAIN_S = 2.0
"""Between two looks whether the store is there: as long as the store's door itself pauses at most (:mod:`echolane.store.patience`)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.epilog = EPILOG
    parser.add_argument("role", choices=["replay", "diff"], help="fire requests, or compare answers")
    parser.add_argument(
        "--health",
        metavar="HOST:PORT",
        help="answer probes, Prometheus and autoscalers there: /livez, /readyz, /metrics, /lag",
    )


def execute(args: argparse.Namespace) -> int:
    """Work until SIGINT or SIGTERM."""
    address = host_port(args.health, "--health") if args.health else None
    settings = settings_of(args)
    home = home_in(settings)
    name = ids.uuid7(time.time_ns())
    log.to(home.log / f"worker-{args.role}.log")
    journal = open_journal(home)
    try:
        health = Health(Waiting(journal, name).by_role)
        with told(health, address), traced(os.environ):
            say(f"{args.role} worker {name} waits for runs in {home.journal_place}; Ctrl-C ends it")
            if args.role == "replay":
                replaying(journal, home, settings, name, health)
            else:
                diffing(args, journal, home, settings, name, health)
    finally:
        journal.close()
    say(f"{args.role} worker {name} has let go of its work")
    return 0


def replaying(journal: Journal, home: Home, settings: Settings, name: str, health: Health) -> None:
    """A replay worker, on the loop."""
    worker = ReplayWorker(journal, home, settings, name, machine())

    async def living(stop: asyncio.Event) -> None:
        trouble = ""
        while not stop.is_set():
            health.beat()
            if worker.trouble != trouble:
                trouble = worker.trouble
                say(trouble)
            with suppress(TimeoutError):
                async with asyncio.timeout(vital.EVERY_S):
                    await stop.wait()
        health.ready(is_so=False)

    async def main(stop: asyncio.Event) -> None:
        health.ready()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(living(stop))
            await worker.run(stop)

    try:
        service.run(main)
    except BaseExceptionGroup as group:
        raise first_of(group) from group


class Beating(threading.Event):
    """Tells a worker to stop; each time it looks, its loop has turned."""

    def __init__(self, health: Health) -> None:
        super().__init__()
        self._health = health

    def wait(self, timeout: float | None = None) -> bool:
        """Wait a while, or until it is to stop."""
        self._health.beat()
        return super().wait(timeout)


def diffing(
    args: argparse.Namespace, journal: Journal, home: Home, settings: Settings, name: str, health: Health
) -> None:
    """A diff worker, which waits for processes."""
    stop = Beating(health)

    def ended(_number: int, _frame: FrameType | None) -> None:
        health.ready(is_so=False)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ended)
    store = store_when_there(args, home, health, stop)
    if store is None:
        return
    with store:
        health.ready()
        DiffWorker(journal, store, home, settings, name).run(stop, lambda: health.beat(long=True))


def store_when_there(args: argparse.Namespace, home: Home, health: Health, stop: threading.Event) -> Store | None:
    """The store, for which a worker waits as long as it lives, as it does for one that goes away later; None when it is to stop first.

    A name that is wrong is seen by what is said at once, and by a worker that is not ready.
    """
    waits = False
    while not stop.is_set():
        health.beat(long=True)
        try:
            store = store_of(args, home)
        except StoreDown as error:
            if not waits:
                waits = True
                say(f"{error}; this worker waits for it")
            stop.wait(STORE_AGAIN_S)
        else:
            if waits:
                say("the store answers")
            return store
    return None
