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

from capture.account import NOT_LOSSES, NOTES, Session, recover
from capture.appending import Direct, Sink
from capture.exchanging import Raw
from capture.filters import Filters
from capture.outbox import Outbox
from capture.parsing import request_of, response_of
from capture.pipe import PipeReader
from capture.shipping import Shipping
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
    partitions: int
    """Of the service's topic, as far as it is known."""


class Recorder:
    """One life of a session's recorder."""

    def __init__(self, task: Task, session: Session, home: Home) -> None:
        settings = task.settings
        self._settings, self._session, self._home = settings, session, home
        self._counters = Counters(session.recorder)
        self._journal: Journal | None = None
        self._outbox: Outbox | None = None
        keys = load_seal_keys(home.keys, os.environ)
        who = Identity(task.service, task.agent, task.epoch)
        self._storing = Storing(
            self._sink(task, who),
            self._counters,
            who,
            Masker(keys.current.mask_key(), seal_key=keys.current if settings.seal else None),
            Filters(settings.capture),
            mark_key=load_mark_key(home.keys, os.environ),
        )
        self._authority = task.authority
        self._limits = (settings.capture.request_body_kept, settings.capture.answer_body_kept)
        log.event("recorder.started", service=session.service, epoch=session.epoch, lost=self._begin(task.delivered))

    def _sink(self, task: Task, who: Identity) -> Sink:
        """A journal on this machine is waited for; one on others may be away, so frames go by way of an outbox."""
        if not self._home.journal_url:
            self._journal = open_journal(self._home)
            return Direct(self._journal, self._counters, who, task.partitions)
        self._outbox = Outbox(
            self._home, self._session, self._counters, self._settings.capture, task.partitions, tell=tell
        )
        return self._outbox

    def _begin(self, delivered: int) -> int:
        """Settle what earlier recorders of this session left: what they were given and did not account for died with them; how many."""
        counters = self._counters
        before = summed(counters.read(), "dropped")
        if self._outbox is not None:
            shipping = Shipping(self._home, self._session, counters, self._outbox.partitions, tell, chore=self._expire)
            self._outbox.begin(delivered, shipping.run)
        elif self._journal is not None:
            recover(self._journal, self._session, counters)
            counts = counters.read()
            lost = delivered - counts.get("stored", 0) - summed(counts, "dropped")
            counters.add("dropped{recorder-died}", max(lost, 0))
        # Each exchange that was given to us has its number, but for those that were left out on purpose.
        counts = counters.read()
        self._storing.seq = delivered - sum(counts.get(name, 0) for name in NOT_LOSSES) + counts.get("shed", 0)
        return summed(counts, "dropped") - before

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
                if self._outbox is not None:
                    self._outbox.tick()
                due = monotonic() + FLUSH_S
                if self._journal is not None and now >= expire_at:
                    self._expire(self._journal)
                    expire_at = now + EXPIRE_S
        storing.flush(last=True)
        self._close()
        log.event("recorder.ended", **self._told())

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

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()
        if self._outbox is not None and not self._outbox.close():
            # Its thread waits for a journal that does not answer; nothing is in its hands that the counters do not know.
            log.event("recorder.ended", **self._told())
            os._exit(0)

    def _told(self) -> dict[str, int]:
        return {name: count for name, count in self._counters.read().items() if name not in NOTES}

    def _expire(self, journal: Journal) -> None:
        """Remove what is older than its retention. That it cannot be removed is no reason to stop recording."""
        try:
            expire(journal, self._home.runs, time.time_ns(), self._settings.journal.retention_days)
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
            recorder = Recorder(task, session, home)
            gc.collect()
            gc.freeze()
            say(READY)
            recorder.work(pipe)
    except EcholaneError as error:
        log.event("recorder.failed", error=str(error))
        say(str(error).encode() + b"\n")
        return error.exit_code
    return 0


def tell(words: str) -> None:
    """Talk to whoever started the recording: it has our stderr. A terminal that is gone is no reason to stop."""
    try:
        os.write(2, f"{words}\n".encode())
    except OSError:
        pass


def say(line: bytes) -> None:
    """Tell the relay, which reads one line; it may be gone."""
    try:
        os.write(1, line)
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main(msgspec.json.decode(sys.argv[1], type=Task)))
