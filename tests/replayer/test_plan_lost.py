"""What a plan cannot read of its recording is counted, by why; what was never part of it is not."""

import pytest

from echolane import recordings
from echolane.clock import SYSTEM
from echolane.frame import EXCHANGES, encode_frame
from echolane.journal.sqlite import SqliteJournal
from echolane.lost import DAMAGED, EXPIRED, Lost, Stretch
from echolane.observation import TargetInfo
from echolane.recordings import Range, Recording, everything, topic_of
from echolane.runspec import RunSpec
from echolane.settings import Settings
from replayer.plan import make_plan

TOPIC = topic_of("shop")
FRAMES = 6
GONE = 2
"""Segments of one frame each that retention takes."""


@pytest.fixture
def journal(stage):
    """The stage's journal, in which each frame has a segment of its own."""
    stage.journal.close()
    stage.journal = SqliteJournal(stage.home.journal, SYSTEM, segment_bytes=1)
    return stage.journal


def planned(stage, recording):
    """What the plan of a run over a recording came to: how many exchanges, and what is lost."""
    stage.spec = RunSpec("r", "shop", recording, [TargetInfo("http://127.0.0.1:1")] * 4)
    summary = make_plan(stage.journal, stage.home, stage.spec, Settings())
    return summary.selected, summary.losses.lost()


def whole(stage):
    """A recording of everything."""
    return everything(stage.journal, "shop", id="0badcafe", now_ns=1)


@pytest.mark.parametrize("kept", [True, False])
def test_what_retention_took_is_lost_to_a_recording_that_was_kept(stage, journal, exchange, kept):
    """A recording that somebody made misses it; of everything that is there, it is no part."""
    stage.record([exchange(n, f"/{n}") for n in range(FRAMES)], frame=1, partitions=1)
    recording = whole(stage)
    if kept:
        recordings.save(stage.home.recordings, recording)
    assert journal.cut(TOPIC, GONE) == GONE

    gone = Lost(expired=GONE, stretches=[Stretch(0, 0, GONE, EXPIRED)])
    assert planned(stage, recording) == (FRAMES - GONE, gone if kept else Lost())


@pytest.mark.parametrize("passes", [1, 2])
def test_what_retention_takes_while_a_run_is_planned_is_lost(stage, journal, exchange, monkeypatch, passes):
    """Whichever reading of the recording it meets, and whether or not the recording was kept."""
    stage.record([exchange(n, f"/{n}") for n in range(FRAMES)], frame=1, partitions=1)
    recording, read, reads = whole(stage), journal.read, []

    def reading(topic, *place):
        reads.append(place)
        if len(reads) == passes:
            journal.cut(TOPIC, GONE)
        return read(topic, *place)

    monkeypatch.setattr(journal, "read", reading)
    assert planned(stage, recording) == (FRAMES - GONE, Lost(expired=GONE, stretches=[Stretch(0, 0, GONE, EXPIRED)]))


def test_what_is_behind_the_end_of_the_journal_is_lost(stage, exchange):
    """A recording that names more than there is, as beside a journal that was restored from before, misses the rest."""
    stage.record([exchange(n) for n in range(4)], frame=1, partitions=1)
    recording = Recording("0badcafe", "shop", 1, "test", [Range(0, 1, 9)])
    assert planned(stage, recording) == (3, Lost(damaged=5, stretches=[Stretch(0, 4, 9, DAMAGED)]))


@pytest.mark.parametrize(
    "records", [[("not", "an", "exchange")], [["e", "shop", "a", 1, 9, "s", 10**18, 1, ["GET", "http", "h", "/"]]]]
)
def test_a_sound_frame_of_other_records_is_lost(stage, exchange, records):
    """One whose checksum is right and whose records are none of ours, from their beginning or further on, is damage too."""
    stage.record([exchange(n) for n in range(2)], frame=1, partitions=1)
    odd = encode_frame(records, kind=EXCHANGES, partition=0, first_ns=1, last_ns=1)
    assert stage.journal.append(TOPIC, 0, [odd]) == [2]
    assert planned(stage, whole(stage)) == (2, Lost(damaged=1, stretches=[Stretch(0, 2, 3, DAMAGED)]))
