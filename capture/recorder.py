"""The recorder: the process beside the relay that parses, masks, seals and stores. ``python -m capture.recorder``.

It shares nothing with the client's path but a pipe that the relay never waits for. It may be killed at any instant: what it had stored is in
the journal, what it had not is counted (:mod:`capture.account`). It ends when the relay closes the pipe or dies.
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

from capture.account import NOTES, Session, losses, recover
from capture.exchanging import Raw
from capture.filters import Filters
from capture.parsing import request_of, response_of
from capture.pipe import PipeReader
from capture.storing import Identity, Storing
from echolane import log
from echolane.errors import EcholaneError
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.keys import load_mark_key, load_seal_keys
from echolane.lease import held
from echolane.ledger import Counters, summed
from echolane.masks import Masker
from echolane.retention import expire
from echolane.settings import Settings

FLUSH_S = 0.05
"""An exchange waits at most this long for its frame to fill: what a kill -9 of the recorder can lose is bounded by it."""
EXPIRE_S = 600.0
"""How often what is older than its retention is removed; segments are hours."""
READY = b"ready\n"


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
    delivered: int
    """Exchanges that earlier recorders of this session were given."""


class Recorder:
    """One life of a session's recorder."""

    def __init__(self, task: Task, session: Session, journal: Journal, home: Home) -> None:
        settings = task.settings
        self._settings, self._session, self._journal, self._runs = settings, session, journal, home.runs
        self._counters = Counters(session.recorder)
        keys = load_seal_keys(home.keys, os.environ)
        self._storing = Storing(
            journal,
            self._counters,
            Identity(task.service, task.agent, task.epoch),
            Masker(keys.current.mask_key(), seal_key=keys.current if settings.seal else None),
            Filters(settings.capture),
            mark_key=load_mark_key(home.keys, os.environ),
            partitions=settings.journal.partitions,
        )
        self._authority = task.authority
        self._limits = (settings.capture.request_body_kept, settings.capture.answer_body_kept)
        self._recover(task.delivered)

    def _recover(self, delivered: int) -> None:
        """Settle what earlier recorders of this session left: what they were given and did not account for died with them."""
        counters = self._counters
        recover(self._journal, self._session, counters)
        counts = counters.read()
        lost = delivered - counts.get("stored", 0) - summed(counts, "dropped")
        if lost > 0:
            counters.add("dropped{recorder-died}", lost)
        self._storing.seq = counts.get("stored", 0) + losses(counters.read()) + counters.get("shed")
        log.event("recorder.started", service=self._session.service, epoch=self._session.epoch, lost=max(lost, 0))

    def work(self, pipe: PipeReader) -> None:
        """Take batches until the pipe ends; append what waits every FLUSH_S."""
        monotonic, storing = time.monotonic, self._storing
        due = monotonic() + FLUSH_S
        expire_at = 0.0
        while not pipe.ended:
            for raws, shed in pipe.read(due - monotonic()):
                if shed:
                    self._counters.add("shed", shed)
                    storing.seq += shed
                for raw in raws:
                    self._take(raw)
            now = monotonic()
            if now >= due:
                storing.flush()
                due = monotonic() + FLUSH_S
                if now >= expire_at:
                    self._expire()
                    expire_at = now + EXPIRE_S
        storing.flush(last=True)
        log.event(
            "recorder.ended", **{name: count for name, count in self._counters.read().items() if name not in NOTES}
        )

    def _take(self, raw: Raw) -> None:
        """One exchange. Whatever is wrong with it costs this one, and is counted."""
        before = self._storing.seq
        try:
            self._storing.take(
                request_of(raw.request, self._authority, self._limits[0]),
                None if raw.response is None else response_of(raw.response, self._limits[1]),
                raw.no_answer,
                (raw.captured_at_ns, raw.duration_ns),
                raw.client,
            )
        except Exception as error:  # noqa: BLE001 - a bug in one of four libraries must not cost the batch
            self._counters.add("dropped{unrecordable}")
            self._storing.seq = before + 1  # a gap: it is a loss
            log.event("exchange.unrecordable", error=type(error).__name__)

    def _expire(self) -> None:
        """Remove what is older than its retention. That it cannot be removed is no reason to stop recording."""
        try:
            expire(self._journal, self._runs, time.time_ns(), self._settings.journal.retention_days)
        except EcholaneError as error:
            log.event("retention.refused", error=str(error))


def main(task: Task) -> int:
    """Record until the relay has closed the pipe. The first line on stdout says ``ready``, or what is wrong."""
    # Ctrl-C on the terminal reaches us too; but the relay drains first and then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    home = Home(Path(task.home), task.settings.journal_url)
    log.to(home.log / "recorder.log")
    session = Session(task.service, task.agent, task.epoch, home.ledger)
    pipe = PipeReader(socket.socket(fileno=task.descriptor))
    try:
        with held(session.recorder_lock, f"recorder of {task.service}"):
            journal = open_journal(home)
            recorder = Recorder(task, session, journal, home)
            gc.collect()
            gc.freeze()
            say(READY)
            recorder.work(pipe)
            journal.close()
    except EcholaneError as error:
        log.event("recorder.failed", error=str(error))
        say(str(error).encode() + b"\n")
        return error.exit_code
    return 0


def say(line: bytes) -> None:
    """Tell the relay, which reads one line; it may be gone."""
    try:
        os.write(1, line)
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main(msgspec.json.decode(sys.argv[1], type=Task)))
