"""Erase what was captured of a subject, in every place of a home, so that no byte of it is left on the disk.

What is to be done is written down first (``HOME/erasures/ID.json``) and every step may be done twice, so whoever comes after a kill goes
on. Exchanges are found in the journal and the spool, and by their ids in the store, the dead letters and the plans of runs. At the
end the file is a receipt: what was erased where, and nothing that tells whose it was but a digest. What Kafka holds leaves with
its retention; until when is in the receipt.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import msgspec

from console.erasing_store import erase_rows, purge
from console.run_lease import erasing_lease, whole_lease
from differ.result import iso
from differ.shared_letters import Letters
from echolane.clock import SYSTEM
from echolane.erasing import Eraser, Subject
from echolane.errors import HomeError, unwritable
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.journal.sqlite import SqliteJournal
from echolane.lease import held, is_held
from echolane.retention import DAY_NS
from echolane.store import Store
from echolane.whole import write_whole

IDS_MAX = 1_000_000
"""Exchanges of one subject: 100 MB of memory. More is a token of everybody's, not of a person."""
ROUNDS_MAX = 3
"""How often the journal is gone through: what is recorded meanwhile is found in the second round, and by the third somebody is sending on."""
RUN_TOPICS_KEPT_DAYS = 7.0
"""Topics of runs stay on Kafka for so long at least (:mod:`echolane.journal.kafka_topic`)."""


class Hindered(HomeError):  # noqa: N818 - as the errors of the floor
    """Somebody is at what is to be erased; it can be tried again."""


class Erasure(msgspec.Struct, omit_defaults=True):
    """What is to be erased, and what was; when it is done, a receipt."""

    id: str
    subject: str
    """A digest of its tokens and masks."""
    asked_at: str
    done_at: str = ""
    erased: dict[str, int] = {}
    """Records, rows and letters by place."""
    remains: list[str] = []
    """What could not be erased, and until when it stays, in words."""
    tokens: list[str] = []
    masks: list[str] = []
    ids: list[str] = []
    """Exchanges that were found: once emptied they tell no more whose they were."""

    @property
    def whose(self) -> Subject:
        """Whose it is, while it goes on."""
        return Subject(frozenset(self.tokens), frozenset(mask.encode("latin-1") for mask in self.masks))

    @property
    def total(self) -> int:
        """How much was erased."""
        return sum(self.erased.values())


def begun(home: Home, subject: Subject, id: str, now_ns: int) -> Erasure:  # noqa: A002 - what it is
    """Write down what is to be done."""
    masks = sorted(mask.decode("latin-1") for mask in subject.masks)
    erasure = Erasure(id, subject.digest, iso(now_ns), tokens=sorted(subject.tokens), masks=masks)
    keep(home, erasure)
    return erasure


def unfinished(home: Home) -> list[Erasure]:
    """Those that a kill or an error has left, oldest first."""
    return [erasure for erasure in receipts(home) if not erasure.done_at]


def receipts(home: Home) -> list[Erasure]:
    """All of a home, oldest first."""
    found: list[Erasure] = []
    for path in sorted((home.path / "erasures").glob("*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Erasure))
        except (OSError, msgspec.MsgspecError) as error:
            raise HomeError(
                f"`{path}` cannot be read ({error}); erase again what it was about, then remove it"
            ) from error
    return found


def keep(home: Home, erasure: Erasure) -> None:
    """Have its file on the disk, whole."""
    folder = home.path / "erasures"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise unwritable(f"`{folder}`", error) from error
    write_whole(folder / f"{erasure.id}.json", msgspec.json.encode(erasure), mode=0o600)


def erase(home: Home, store: Store, erasure: Erasure, now_ns: int, days: float, *, embedded: bool) -> Erasure:
    """Do it, from wherever it stands.

    Raises:
        HomeError: a run is going on, another process erases, or a place cannot be used; what was done stays done.
    """
    with ExitStack() as stack:
        _alone(home, stack)
        journals = list(_journals(home, stack))
        eraser = Eraser(erasure.whose, erasure.ids)
        for turn in range(ROUNDS_MAX):
            for journal, name in journals:
                _search(journal, name, eraser)
            _bounded(eraser)
            if turn and eraser.records == 0:  # never the first: a kill may have left a file half rewritten
                break
            erasure.ids = sorted(eraser.ids)
            keep(home, erasure)
            _add(home, erasure, erase_rows(store, eraser.subject, erasure.ids))
            _add(home, erasure, {"dead-letters": _letters(_seen(home, journals[0][0]), eraser.ids)})
            for journal, name in journals:
                _add(home, erasure, _emptied(journal, name, eraser))
            if home.journal_url:
                break
        if embedded and (erasure.ids or erasure.masks):
            purge(store)
        remains = (
            []
            if embedded
            else ["replaced parts of the store, until the servers' old_parts_lifetime is over (8 minutes)"]
        )
        for journal, name in journals:
            remains += _remaining(journal, name, eraser, days)
    done = Erasure(erasure.id, erasure.subject, erasure.asked_at, iso(now_ns), erasure.erased, remains)
    keep(home, done)
    return done


def _alone(home: Home, stack: ExitStack) -> None:
    try:
        stack.enter_context(held(whole_lease(home), "erasing in this home, or a backup of it,"))
        stack.enter_context(held(erasing_lease(home), "erasing in this home"))
    except HomeError as error:
        raise Hindered(str(error)) from error
    if running := [path.stem for path in sorted(home.runs.glob("*.lock")) if is_held(path)]:
        raise Hindered(
            f"run {running[0]} is going on, and holds what is to be erased; wait, or cancel it, and erase again"
        )


def counted(home: Home, store: Store, subject: Subject) -> dict[str, int]:
    """How much would be erased, by place; nothing is changed."""
    eraser, found = Eraser(subject), dict[str, int]()
    with ExitStack() as stack:
        journals = list(_journals(home, stack))
        for journal, name in journals:
            _search(journal, name, eraser)
        _bounded(eraser)
        for journal, name in journals:
            for topic in journal.topics():
                before = eraser.records
                _look(journal, name, topic, eraser)
                place = f"{name}.{topic.partition('.')[0]}" if name == "journal" else name
                found[place] = found.get(place, 0) + eraser.records - before
        seen = _seen(home, journals[0][0])
        found["dead-letters"] = sum(one.exchange in eraser.ids for letters in seen.each() for one in letters)
    found |= erase_rows(store, subject, sorted(eraser.ids), erase=False)
    return {place: count for place, count in found.items() if count}


def _journals(home: Home, stack: ExitStack) -> Iterator[tuple[Journal, str]]:
    journal = open_journal(home)
    stack.callback(journal.close)
    yield journal, "journal"
    for folder in sorted(path for path in home.spool.glob("*") if path.is_dir()) if home.spool.is_dir() else ():
        if (folder / "topic.json").exists():
            spool = SqliteJournal(home.spool, SYSTEM)
            stack.callback(spool.close)
            yield spool, "spool"
            break


def _search(journal: Journal, name: str, eraser: Eraser) -> None:
    """Find ids: exchanges first, for observations tell only those."""
    eraser.records = 0
    topics = journal.topics()
    for topic in sorted(topics, key=lambda topic: topic.startswith("observations.")):
        _look(journal, name, topic, eraser)


def _held_by(name: str, topic: str) -> str:
    """A spool's topics are named after services, one of which may be called `work`."""
    return topic if name == "journal" else f"exchanges.{topic}"


def _look(journal: Journal, name: str, topic: str, eraser: Eraser) -> int:
    """Go through a topic; when the last frame that holds something of it was appended, 0 where none does."""
    look, last = eraser.of_topic(_held_by(name, topic), erase=False), 0
    for partition in range(journal.partitions(topic)) if look else ():
        for entry in journal.read(topic, partition, journal.begin(topic, partition)):
            before = eraser.records
            assert look is not None  # noqa: S101 - the loop is empty without it
            look(entry.frame)
            if eraser.records > before:
                last = max(last, entry.append_ns)
    return last


def _emptied(journal: Journal, name: str, eraser: Eraser) -> dict[str, int]:
    counts: dict[str, int] = {}
    if not isinstance(journal, SqliteJournal):
        return counts
    for topic in journal.topics():
        change = eraser.of_topic(_held_by(name, topic), erase=True)
        if change is not None:
            eraser.records = 0
            journal.rewrite(topic, change)
            place = f"{name}.{topic.partition('.')[0]}" if name == "journal" else name
            counts[place] = counts.get(place, 0) + eraser.records
    return counts


def _remaining(journal: Journal, name: str, eraser: Eraser, days: float) -> list[str]:
    """What is still there, and until when."""
    found: list[str] = []
    for topic in journal.topics():
        eraser.records = 0
        last = _look(journal, name, topic, eraser)
        if last:
            kept = days if topic.startswith("exchanges.") else max(days, RUN_TOPICS_KEPT_DAYS)
            until = f"until {iso(last + int(kept * DAY_NS))}, by the retention of Kafka"
            why = "that came while it was erased: erase again" if isinstance(journal, SqliteJournal) else until
            found.append(f"{eraser.records} records in {name} topic {topic} {why}")
    return found


def _seen(home: Home, journal: Journal) -> Letters:
    return Letters(home.runs, journal if home.journal_url else None)


def _letters(letters: Letters, ids: set[str]) -> int:
    """Dead letters name the request's target."""
    count = 0
    for found in letters.each():
        gone = [letter for letter in found if letter.exchange in ids]
        letters.erase(gone)
        count += len(gone)
    return count


def _bounded(eraser: Eraser) -> None:
    if len(eraser.ids) > IDS_MAX:
        raise HomeError(
            f"more than {IDS_MAX} exchanges belong to it, so it is nobody's own; give a token of one caller"
        )


def _add(home: Home, erasure: Erasure, counts: dict[str, int]) -> None:
    for place, count in counts.items():
        if count:
            erasure.erased[place] = erasure.erased.get(place, 0) + count
    keep(home, erasure)
