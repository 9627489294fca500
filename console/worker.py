"""``echolane worker replay|diff``: do runs that others ask for, together with as many others as there are."""

from __future__ import annotations

import argparse
import asyncio
import signal
import threading
import time
from types import FrameType

from console.asking import machine
from console.diffing import DiffWorker
from console.output import say
from console.surroundings import home_in, settings_of, store_of
from echolane import ids, log, service
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.settings import Settings
from replayer.worker import ReplayWorker

EPILOG = """examples:
  echolane worker replay --journal kafka://kafka-1:9092
  echolane worker diff"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.epilog = EPILOG
    parser.add_argument("role", choices=["replay", "diff"], help="fire requests, or compare answers")


def execute(args: argparse.Namespace) -> int:
    """Work until SIGINT or SIGTERM."""
    settings = settings_of(args)
    home = home_in(settings)
    name = ids.uuid7(time.time_ns())
    log.to(home.log / f"worker-{args.role}.log")
    journal = open_journal(home)
    try:
        say(f"{args.role} worker {name} waits for runs in {home.journal_place}; Ctrl-C ends it")
        if args.role == "replay":
            replaying(journal, home, settings, name)
        else:
            diffing(args, journal, home, settings, name)
    finally:
        journal.close()
    say(f"{args.role} worker {name} has let go of its work")
    return 0


def replaying(journal: Journal, home: Home, settings: Settings, name: str) -> None:
    """A replay worker, on the loop."""

    async def main(stop: asyncio.Event) -> None:
        await ReplayWorker(journal, home, settings, name, machine()).run(stop)

    service.run(main)


def diffing(args: argparse.Namespace, journal: Journal, home: Home, settings: Settings, name: str) -> None:
    """A diff worker, which waits for processes."""
    stop = threading.Event()

    def ended(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ended)
    with store_of(args, home) as store:
        DiffWorker(journal, store, home, settings, name).run(stop)
