"""What is said about shared runs: everybody who reads the same words comes to the same."""

from __future__ import annotations

from pathlib import Path

import msgspec
from hypothesis import given, strategies as st

from echolane.journal import open_journal
from echolane.observation import TargetInfo
from echolane.recordings import Recording
from echolane.runlog import (
    ASKED,
    BEGAN,
    CANCEL,
    CLOSING,
    CLOSING_NS,
    ENDED,
    PAUSE,
    RECENT_MAX,
    RESUME,
    SPEAKS,
    TROUBLES_MAX,
    Asked,
    RunLog,
    Shared,
    Told,
    Watching,
    Word,
    progress_topic,
    tell_progress,
    told,
)
from echolane.runspec import RunSpec

RUN = "01a21643-bda1-71f4-ba7c-69659928ff99"


def asked(run: str = RUN, turn: str = "1") -> Asked:
    """A run with nothing in it."""
    spec = RunSpec(run, "shop", Recording("r", "shop", 0, "everything", []), [TargetInfo("http://127.0.0.1:1")] * 4)
    return Asked(spec, 3, turn)


def said(*words: tuple[str, int]) -> Shared:
    """A run of which these words were said, by a worker each."""
    shared = Shared(asked())
    for number, (what, at_ns) in enumerate(words):
        told(shared, Word(RUN, what, f"w{number}", at_ns))
    return shared


def test_the_first_word_counts() -> None:
    """A run begins once, and one closes it, whoever says so later."""
    shared = said((BEGAN, 5), (BEGAN, 9), (CLOSING, 20), (CLOSING, 21))

    assert shared.began_ns == 5
    assert shared.closer == "w2"


def test_a_closer_that_died_is_replaced() -> None:
    """Who said that it closes and did not for a minute has no right to it any more."""
    assert said((CLOSING, 1), (CLOSING, 1 + CLOSING_NS)).closer == "w0"
    assert said((CLOSING, 1), (CLOSING, 2 + CLOSING_NS)).closer == "w1"


def test_a_pause_moves_what_is_due() -> None:
    """Due times count from the beginning, moved by as long as the run stood still; a pause before it moves nothing."""
    assert said((BEGAN, 100), (PAUSE, 150), (PAUSE, 160), (RESUME, 190), (RESUME, 200)).began_ns == 140
    assert said((PAUSE, 10), (RESUME, 50), (BEGAN, 100)).began_ns == 100
    assert said((PAUSE, 10), (BEGAN, 100), (RESUME, 130)).began_ns == 130


def test_what_is_cancelled_stays_so_and_does_not_stand_still() -> None:
    """A paused run that is cancelled ends; nothing is heard of a run that has ended."""
    assert (said((PAUSE, 1), (CANCEL, 2)).cancelled, said((PAUSE, 1), (CANCEL, 2)).paused_ns) == ("interrupted", 0)
    assert said((ENDED, 1), (CANCEL, 2)).cancelled == ""


@given(st.lists(st.tuples(st.sampled_from([BEGAN, PAUSE, RESUME, CANCEL, CLOSING, ENDED]), st.integers(1, 10**12))))
def test_a_run_never_begins_earlier_by_what_is_said(words: list[tuple[str, int]]) -> None:
    """Whatever is said in whatever order, the beginning only moves on, and never behind the last word."""
    begun = [said(*words[:n]).began_ns for n in range(len(words) + 1)]
    begun = [one for one in begun if one]

    assert begun == sorted(begun)


def test_words_reach_everybody(tmp_path: Path) -> None:
    """Two who listen hear the same, what is damaged or newer is passed over, and runs that ended are forgotten in time."""
    one_door, two_door = open_journal(tmp_path), open_journal(tmp_path)
    one, two = RunLog(one_door, "one"), RunLog(two_door, "two")
    one.prepare()
    two.prepare()
    one.say(RUN, ASKED, msgspec.json.encode(asked()))
    one.say("other", ASKED, b"{}")
    two.say(RUN, BEGAN, at_ns=7)
    one.hear()

    assert [shared.run for shared in one.active()] == [shared.run for shared in two.active()] == [RUN]
    assert (one.active()[0].began_ns, two.active()[0].began_ns) == (7, 7)
    for n in range(RECENT_MAX + 2):
        one.say(f"run-{n}", ASKED, msgspec.json.encode(asked(f"run-{n}")))
        one.say(f"run-{n}", ENDED)
    assert one.find("run-0") is None
    assert one.find(f"run-{RECENT_MAX + 1}") is not None
    assert [shared.run for shared in one.active()] == [RUN]
    one.say(RUN, ENDED)
    one.say(RUN, ASKED, msgspec.json.encode(asked(turn="2")))
    assert [shared.asked.turn for shared in one.active()] == ["2"]
    two.hear()
    before = two.find(RUN)
    assert before is not None
    one.say(RUN, ASKED, msgspec.json.encode(asked(turn="3")))
    two.hear()
    assert before.ended, "whoever is at the turn before must hear that it is over"
    assert [shared.asked.turn for shared in two.active()] == ["3"]
    one.say("newer", ASKED, msgspec.json.encode(msgspec.structs.replace(asked("newer"), speaks=SPEAKS + 1)))
    assert one.find("newer") is None
    one_door.close()
    two_door.close()


def test_the_last_word_of_each_worker_is_its_progress(tmp_path: Path) -> None:
    """Progress adds up what each worker said last."""
    journal = open_journal(tmp_path)
    journal.create(progress_topic(RUN), 1)
    watching = Watching(journal, RUN)
    assert not watching.look()
    for one in (
        Told("a", "replay", 1, 5, 2),
        Told("b", "replay", 1, 3, 2),
        Told("c", "diff", 1),
        Told("a", "replay", 2, 9),
    ):
        tell_progress(journal, RUN, one)

    assert watching.look() == {"replay", "diff"}
    assert not watching.look()
    assert (watching.fired(), watching.count("replay"), watching.count("diff")) == (12, 2, 1)
    for n in range(TROUBLES_MAX + 3):
        tell_progress(journal, RUN, Told("d", "replay", n, trouble=f"trouble {n}"))
    assert watching.look() == set(), "who is in trouble does not work"
    assert list(watching.troubles) == [f"trouble {n}" for n in range(3, TROUBLES_MAX + 3)]
    assert watching.count("replay") == 2
    journal.close()
