"""``import``: HAR and GoReplay files become exchanges of a service and a recording of exactly those.

Floor plan::

    __init__.py    import_files: which format, prove every file, then store (the way in)
    material.py    what every format hands over         packed.py      files that are packed
    har.py         a HAR in two passes          splitting.py   where its entries are
    entry.py       one entry as an exchange     payload.py     its bodies
    gor.py         GoReplay's records

Imported exchanges go the recorder's way (:mod:`capture.storing`): the same masks, filters and seals, and a session with a ledger of its own
in the account of the service. No file is imported before all of them have been read to their end.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from capture.account import ledger_of, next_session
from capture.appending import Direct
from capture.filters import Filters
from capture.importing.entry import Limits
from capture.importing.gor import META, GorSource
from capture.importing.har import HarSource
from capture.importing.material import UNPARSEABLE, Imported, Source
from capture.importing.packed import head_of
from capture.storing import Identity, Storing
from echolane import ids, log
from echolane.errors import HomeError, Inconclusive, JournalFull, UsageError
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.keys import load_mark_key, load_seal_keys
from echolane.lease import held
from echolane.ledger import Counters, Counts
from echolane.masks import Masker
from echolane.recordings import Range, Recording, save, topic_of
from echolane.settings import Settings

__all__ = ["FORMATS", "ImportSummary", "format_of", "import_files"]

FORMATS = ("har", "gor")
_NAMES = re.compile(r"\.(?:z(?=har))?(har|gor)(?:\.gz)?$", re.IGNORECASE)


class ImportSummary(NamedTuple):
    """What became of an import."""

    recording: str
    counts: Counts
    """``seen``, ``stored`` and ``dropped{reason}``; they balance."""
    notes: dict[str, int]
    """What is worth telling and is no drop: missing bodies, a cut last record."""


def format_of(path: Path) -> str:
    """``har`` or ``gor``: by the name, else by how the file begins."""
    named = _NAMES.search(path.name)
    if named:
        return named[1].lower()
    head = head_of(path).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"{"):
        return "har"
    if META.match(head):
        return "gor"
    raise UsageError(
        f"{path} is neither HAR nor GoReplay: byte 0 begins neither a JSON object nor a record; export it as HAR 1.2"
    )


def import_files(
    home: Home,
    service: str,
    files: Sequence[Path],
    format: str | None,  # noqa: A002 - the word of the command line
    settings: Settings,
) -> ImportSummary:
    """Store what the files hold as one recording. UsageError before anything is stored when a file is broken."""
    for path in files:
        if path.is_dir():
            raise UsageError(f"{path} is a folder; name the files in it")
    with ExitStack() as stack:
        sources = _opened(files, format, settings, stack)
        for source in sources:
            source.check()
        id_ = ids.uuid7(now := time.time_ns())
        counts, ranges = _Importing(home, service, settings, id_).run(sources)
        notes: Counter[str] = Counter()
        for source in sources:
            notes.update(source.notes)
    if not counts["stored"]:
        dropped = ", ".join(f"{name} {value}" for name, value in sorted(counts.items()) if name.startswith("dropped{"))
        why = f"{counts['seen']} exchanges seen, {dropped}" if dropped else "there are no exchanges in it"
        raise Inconclusive(f"nothing was stored, so there is no recording: {why}")
    source_text = "import of " + ", ".join(path.name for path in files[:5]) + (", …" if len(files) > 5 else "")
    save(home.recordings, Recording(id_, service, now, source_text, ranges, {"import": id_}, counts["stored"]))
    return ImportSummary(id_, counts, {name: value for name, value in sorted(notes.items()) if value})


def _opened(files: Sequence[Path], format_: str | None, settings: Settings, stack: ExitStack) -> list[Source]:
    """Every HAR is a source; all GoReplay files together are one."""
    limits = Limits(settings.capture.request_body_kept, settings.capture.answer_body_kept)
    formats = [format_ or format_of(path) for path in files]
    sources: list[Source] = []
    for number, (path, kind) in enumerate(zip(files, formats, strict=True)):
        if kind == "har":
            source = HarSource(path, limits, number)
            stack.callback(source.close)
            sources.append(source)
    records = [path for path, kind in zip(files, formats, strict=True) if kind == "gor"]
    if records:
        source = GorSource(records, limits)
        stack.callback(source.close)
        sources.append(source)
    return sources


class _Importing:
    """The second pass: into the journal, counted as a session of the service."""

    def __init__(self, home: Home, service: str, settings: Settings, id_: str) -> None:
        self._home, self._service, self._settings, self._id = home, service, settings, id_

    def run(self, sources: Sequence[Source]) -> tuple[Counts, list[Range]]:
        """The session's ledger, and where its exchanges are in the journal."""
        keys = load_seal_keys(self._home.keys, os.environ)
        mark_key = load_mark_key(self._home.keys, os.environ)
        journal = open_journal(self._home)
        try:
            # What can be refused is refused before there is a session.
            topic, partitions = topic_of(self._service), self._settings.journal.partitions
            journal.create(topic, partitions)
            session = next_session(self._home, self._service)
            with held(session.lock, f"session {session.epoch} of {self._service}"):
                seen, counters = Counters(session.relay), Counters(session.recorder)
                who = Identity(self._service, session.agent, session.epoch)
                storing = Storing(
                    Direct(journal, counters, who, partitions),
                    counters,
                    who,
                    Masker(keys.current.mask_key(), seal_key=keys.current if self._settings.seal else None),
                    Filters(self._settings.capture),
                    mark_key=mark_key,
                )
                storing.tags = {"import": self._id}
                starts = [journal.end(topic, partition) for partition in range(partitions)]
                self._store(sources, storing, seen, counters)
                counters.set("seq", storing.seq)
                ranges = _ranges(journal, topic, starts)
            return ledger_of(session), ranges
        finally:
            journal.close()

    def _store(self, sources: Sequence[Source], storing: Storing, seen: Counters, counters: Counters) -> None:
        for source in sources:
            for found in source.exchanges():
                seen.add("seen")
                seen.add("delivered")
                self._take(found, storing, counters)
                if storing.full:
                    self._flush(storing, counters)
        self._flush(storing, counters)

    def _take(self, found: Imported | str, storing: Storing, counters: Counters) -> None:
        if isinstance(found, str):
            counters.add(f"dropped{{{found}}}")
            return
        times = (found.captured_at_ns, found.duration_ns)
        try:
            storing.take(found.request, found.response, found.no_answer, times, found.client)
        except (ValueError, IndexError, KeyError, OverflowError, RecursionError) as error:
            counters.add(f"dropped{{{UNPARSEABLE}}}")
            log.event("exchange.unparseable", error=type(error).__name__)

    def _flush(self, storing: Storing, counters: Counters) -> None:
        """Append. A file can be imported again, so a journal that refuses ends the import instead of losing a part."""
        before = counters.get("stored")
        waiting = storing.waiting
        storing.flush(last=True)
        if counters.get("stored") - before == waiting:
            return
        if counters.get("dropped{journal-full}"):
            raise JournalFull(
                f"the journal in `{self._home.journal_place}` is full, so there is no recording; free space and import again"
            )
        raise HomeError(
            f"the journal in `{self._home.journal_place}` took not all, so there is no recording; mend this and import again: "
            f"{storing.trouble}"
        )


def _ranges(journal: Journal, topic: str, starts: Sequence[int]) -> list[Range]:
    """What was appended since ``starts``; a recorder may have appended between, which the recording's tags tell apart."""
    ends = [journal.end(topic, partition) for partition in range(len(starts))]
    return [Range(place, start, stop) for place, (start, stop) in enumerate(zip(starts, ends, strict=True))]
