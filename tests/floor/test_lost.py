"""What a run could not read: counted once, exactly, and told in a line."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, strategies as st

from echolane.frame import INTENTS, FrameDamaged, check_frame, encode_frame
from echolane.lost import DAMAGED, EXPIRED, NEWER, STRETCHES_MAX, Losses, Lost, Stretch, kind_of

TOLD = st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 8), st.sampled_from([DAMAGED, EXPIRED, NEWER]))


@given(st.lists(TOLD, max_size=30))
def test_a_frame_is_lost_once_and_why_is_what_was_told_first(told: list[tuple[int, int, int, str]]) -> None:
    """However stretches overlap, each position counts once, by its first reason, and neighbours of one reason are one stretch."""
    losses, model = Losses(), dict[tuple[int, int], str]()
    for partition, first, length, why in told:
        losses.add(partition, first, first + length, why)
        for position in range(first, first + length):
            model.setdefault((partition, position), why)

    lost = losses.lost()

    kept = [((one.partition, at), one.why) for one in lost.stretches for at in range(one.first, one.stop)]
    assert kept == sorted(model.items())
    counts = [sum(why == one for why in model.values()) for one in (NEWER, DAMAGED, EXPIRED)]
    assert [lost.newer, lost.damaged, lost.expired] == counts
    assert lost.frames == len(model)
    pairs = zip(lost.stretches, lost.stretches[1:], strict=False)
    assert not any((a.partition, a.stop, a.why) == (b.partition, b.first, b.why) for a, b in pairs)


def test_a_run_keeps_some_stretches_and_all_counts() -> None:
    """Of a journal that is damaged all over, the first stretches are kept, and the number of frames and of the other stretches."""
    losses = Losses()
    for position in range(0, 4 * STRETCHES_MAX, 2):
        losses.add(0, position, position + 1, DAMAGED)
    lost = losses.lost()
    assert (len(lost.stretches), lost.more, lost.frames) == (STRETCHES_MAX, STRETCHES_MAX, 2 * STRETCHES_MAX)
    assert lost.sentence("shop").endswith(f"partition 0, 4, and {2 * STRETCHES_MAX - 3} more)")
    assert msgspec.convert(lost.result(), Lost) == lost


@pytest.mark.parametrize(
    ("lost", "said", "todo"),
    [
        (
            Lost(damaged=3, stretches=[Stretch(0, 120, 123, DAMAGED)]),
            "3 frames of shop could not be read (damaged: partition 0, 120 to 122)",
            "`echolane doctor`",
        ),
        (
            Lost(newer=1, stretches=[Stretch(1, 7, 8, NEWER)]),
            "1 frame of shop could not be read (of a newer format: partition 1, 7)",
            "update Echolane",
        ),
        (
            Lost(damaged=1, expired=2, stretches=[Stretch(0, 0, 2, EXPIRED), Stretch(2, 5, 6, DAMAGED)]),
            "3 frames of shop could not be read (1 damaged, 2 removed by retention: partition 0, 0 to 1, partition 2, 5)",
            "journal.retention_days",
        ),
    ],
)
def test_what_is_lost_is_a_sentence(lost: Lost, said: str, todo: str) -> None:
    """How many, why, where and what to do; without a semicolon, behind which a reason has its advice."""
    assert lost.sentence("shop") == said
    assert todo in lost.advice()
    assert ";" not in said + lost.advice()


def test_a_frame_of_a_newer_format_is_told_from_damage() -> None:
    """The words in which a frame is refused say which of the two it is."""
    sound = encode_frame([1], kind=INTENTS, partition=0, first_ns=1, last_ns=1)
    kinds: list[str] = []
    for data in (sound[:2] + b"\x09" + sound[3:], sound[:-1] + bytes([sound[-1] ^ 1]), b"", sound[:2] + b"\x00"):
        with pytest.raises(FrameDamaged) as refused:
            check_frame(data)
        kinds.append(kind_of(str(refused.value)))
    assert kinds == [NEWER, DAMAGED, DAMAGED, DAMAGED]
