"""Dead letters: ``HOME/runs/RUN.dead.ndjson`` tells each exchange of a run whose comparison ended its process again and again.

The file is written anew as a whole, so a reader finds all letters or those of before. It is on the disk before the rows that it
explains are stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec

from differ.attempts import Attempt, Place
from echolane.errors import HomeError
from echolane.frame import FrameDamaged, decode_frame
from echolane.ids import result_id
from echolane.journal import Journal
from echolane.observation import Observation
from echolane.whole import write_whole

REASON = "dead-letter"
"""Of its row, which is ``not_compared``."""
ENDING = ".dead.ndjson"
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class Letter(msgspec.Struct):
    """One dead letter, without a word of the answers: what they are is in the journal, masked."""

    id: str
    """That of its row in ``results``."""
    run: str
    exchange: str
    seq: int
    method: str
    target: str
    endpoint: str
    topic: str
    partition: int
    position: int
    record: int
    attempt: int
    """The version of its row."""
    deaths: int
    reason: str
    digest: str
    """Of the observation: equal ones end a comparison alike."""
    at_ns: int

    @property
    def place(self) -> Place:
        """Where its answers are."""
        return Place(self.partition, self.position, self.record)


def letter_of(run: str, place: Place, observation: Observation, attempt: Attempt, at_ns: int) -> Letter:
    """The letter of an exchange."""
    return Letter(
        id=result_id(run, observation.exchange),
        run=run,
        exchange=observation.exchange,
        seq=observation.seq,
        method=observation.method,
        target=observation.target,
        endpoint=observation.endpoint,
        topic=topic_of(run),
        **place._asdict(),
        attempt=observation.attempt,
        deaths=attempt.deaths,
        reason=attempt.reason,
        digest=blake2b(msgspec.msgpack.encode(observation), digest_size=16).hexdigest(),
        at_ns=at_ns,
    )


def topic_of(run: str) -> str:
    """Where the answers of a run are."""
    return f"observations.{run}"


def observed(journal: Journal, topic: str, partition: int, position: int) -> list[Observation]:
    """The observations of one frame; none where it is damaged, or gone with its retention."""
    if topic not in journal.topics():
        return []
    for entry in journal.read(topic, partition, position, position + 1):
        try:
            return decode_frame(entry.frame, Observation)
        except FrameDamaged:
            return []
    return []


def observation_at(journal: Journal, run: str, place: Place) -> Observation | None:
    """One observation; None where the journal has it no longer."""
    found = observed(journal, topic_of(run), place.partition, place.position)
    return found[place.record] if place.record < len(found) else None


def letters_of(folder: Path, run: str) -> list[Letter]:
    """The dead letters of a run, in the order of the recording."""
    path = folder / f"{run}{ENDING}"
    try:
        found = [msgspec.json.decode(line, type=Letter) for line in path.read_bytes().splitlines()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HomeError(f"`{path}` cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise HomeError(f"`{path}` is damaged: {error}; remove it, its exchanges stay `not_compared`") from error
    return sorted(found, key=lambda letter: letter.seq)


def runs_with_letters(folder: Path) -> set[str]:
    """The runs of which a home has dead letters."""
    runs = (path.name.removesuffix(ENDING) for path in folder.glob(f"*{ENDING}"))
    return {run for run in runs if _RUN.fullmatch(run)}


def tell(folder: Path, letter: Letter) -> None:
    """Add a letter, in the place of an earlier one of this exchange."""
    _write(folder, letter.run, [*(one for one in letters_of(folder, letter.run) if one.id != letter.id), letter])


def forget(folder: Path, run: str, ids: Iterable[str]) -> None:
    """Take letters away."""
    gone, before = frozenset(ids), letters_of(folder, run)
    after = [letter for letter in before if letter.id not in gone]
    if len(after) < len(before):
        _write(folder, run, after)


def _write(folder: Path, run: str, letters: Sequence[Letter]) -> None:
    write_whole(folder / f"{run}{ENDING}", b"".join(msgspec.json.encode(letter) + b"\n" for letter in letters))
