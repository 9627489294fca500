"""The recorder: the process beside the relay that parses, masks, seals and stores. ``python -m capture.recorder``.

It shares nothing with the client's path but a pipe that the relay never waits for. It may be killed at any instant: what it had stored is in
the journal, what it had not is counted as lost (:mod:`capture.account`). It ends when the relay closes the pipe or dies.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import time
from pathlib import Path

import msgspec

from capture.account import Session, settle
from capture.exchanging import Raw
from capture.filters import Filters
from capture.parsing import request_of, response_of
from capture.pipe import batches
from capture.storing import Identity, Storing
from echolane import log
from echolane.errors import EcholaneError
from echolane.home import Home
from echolane.journal import open_journal
from echolane.keys import load_mark_key, load_seal_keys
from echolane.ledger import Counters
from echolane.masks import Masker
from echolane.settings import Settings

FLUSH_S = 0.05
"""A frame waits at most this long: what a kill -9 can lose is bounded by it."""


class Task(msgspec.Struct, frozen=True):
    """What a recorder is started with, as JSON in its argument."""

    home: str
    service: str
    agent: str
    epoch: int
    authority: str
    """Of the listening address, for requests that name no host."""
    settings: Settings
    descriptor: int


def main(task: Task) -> int:
    """Record until the relay has closed the pipe."""
    # Ctrl-C on the terminal reaches us too; the relay drains first and then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    home = Home(Path(task.home))
    log.to(home.log / "recorder.log")
    session = Session(task.service, task.agent, task.epoch, home.ledger)
    counters = Counters(session.recorder)
    journal = open_journal(home.path)
    keys = load_seal_keys(home.keys, os.environ)
    masker = Masker(keys.current.mask_key(), seal_key=keys.current if task.settings.seal else None)
    storing = Storing(
        journal,
        counters,
        Identity(task.service, task.agent, task.epoch),
        masker,
        Filters(task.settings.capture),
        mark_key=load_mark_key(home.keys, os.environ),
        partitions=task.settings.journal.partitions,
    )
    settled = settle(journal, session, counters)
    storing.seq = counters.get("seq")
    log.event("recorder.started", service=task.service, epoch=task.epoch, settled=settled)
    gc.freeze()
    work(socket.socket(fileno=task.descriptor), storing, counters, task.authority)
    storing.flush(last=True)
    journal.close()
    log.event("recorder.ended", **counters.read())
    return 0


def work(pipe: socket.socket, storing: Storing, counters: Counters, authority: str) -> None:
    """Take batches until the pipe ends; append what waits every FLUSH_S."""
    due = time.monotonic() + FLUSH_S
    for batch in batches(pipe, FLUSH_S):
        for raw in batch:
            take(raw, storing, counters, authority)
        counters.set("seq", storing.seq)
        if storing.full or time.monotonic() >= due:
            storing.flush()
            due = time.monotonic() + FLUSH_S


def take(raw: Raw, storing: Storing, counters: Counters, authority: str) -> None:
    """One exchange. Whatever is wrong with it costs this one and is counted."""
    try:
        request = request_of(raw.request, authority)
        response = response_of(raw.response) if raw.response is not None else None
        storing.take(request, response, raw.no_answer, (raw.captured_at_ns, raw.duration_ns), raw.client)
    except (ValueError, IndexError, KeyError, OverflowError, RecursionError, EcholaneError) as error:
        counters.add("dropped{unparseable}")
        log.event("exchange.unparseable", error=type(error).__name__)


if __name__ == "__main__":
    sys.exit(main(msgspec.json.decode(sys.argv[1], type=Task)))
