"""Frames that were replaced are gone from the disk: pages, what was split off before, and the WAL; positions stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from echolane.erasing import Eraser, Subject
from echolane.exchange import ERASED, Exchange, Request, WorkItem
from echolane.frame import EXCHANGES, WORK, decode_frame, encode_frame
from echolane.home import open_home
from echolane.journal import open_journal
from echolane.journal.sqlite import SqliteJournal

ANN, BOB = "a" * 16, "b" * 16


def exchange(number: int, session: str, size: int) -> Exchange:
    """One whose bytes are chance, so that they stand in its frame as they are."""
    request = Request("GET", "http", "shop", f"/{os.urandom(size).hex()}", "1.1", [(b"x-chance", os.urandom(size))])
    return Exchange(f"{session}-{number}", "shop", "agent", 1, number, session, number + 1, 5, request)


def frame(number: int, session: str, size: int) -> bytes:
    """A frame of one."""
    return encode_frame([exchange(number, session, size)], kind=EXCHANGES, partition=0, first_ns=1, last_ns=2)


@pytest.mark.parametrize("size", [300, 40_000], ids=["in pages", "over pages"])
def test_no_byte_of_a_replaced_frame_is_left(tmp_path: Path, size: int) -> None:
    """Also while another process has the file open, and where pages of several partitions were split between each other."""
    home = open_home(tmp_path)
    journal, other = open_journal(home), open_journal(home)
    assert isinstance(journal, SqliteJournal)
    journal.create("exchanges.shop", 3)
    written = [(number % 3, frame(number, (ANN, BOB)[number % 2], size)) for number in range(90 if size < 1000 else 12)]
    for partition, data in written:
        journal.append("exchanges.shop", partition, [data])
    before = [
        list(other.read("exchanges.shop", partition)) for partition in range(3)
    ]  # it has the WAL open from now on
    hers = [data[100:124] for number, (_, data) in enumerate(written) if number % 2 == 0]
    his = [data[100:124] for number, (_, data) in enumerate(written) if number % 2]
    eraser = Eraser(Subject(frozenset((ANN,))))
    change = eraser.of_topic("exchanges.shop", erase=True)
    assert change is not None

    assert journal.rewrite("exchanges.shop", change) == len(hers) == eraser.records
    data = b"".join(path.read_bytes() for path in (tmp_path / "journal").rglob("*") if path.is_file())
    assert [one for one in hers if one in data] == []
    assert [one for one in his if one in data] != []
    for partition in range(3):
        after = list(other.read("exchanges.shop", partition))
        assert [(one.position, one.append_ns) for one in after] == [
            (one.position, one.append_ns) for one in before[partition]
        ]
        found = [decode_frame(one.frame, Exchange)[0] for one in after]
        assert {one.no_answer for one in found if one.id.startswith(ANN)} == {ERASED}
        assert {len(one.request.target) for one in found if one.id.startswith(BOB)} == {2 * size + 1}
    assert journal.damaged("exchanges.shop") == 0
    assert journal.rewrite("exchanges.shop", change) == 0
    journal.close()
    other.close()


def test_a_plan_is_emptied_and_keeps_its_ranks() -> None:
    """Who waits for a line of a plan still finds it, as one that is not fired."""
    items = [WorkItem(rank, 0, "GET /x", [], exchange(rank, session, 8)) for rank, session in enumerate((ANN, BOB))]
    eraser = Eraser(Subject(frozenset((ANN,))))
    change = eraser.of_topic("work.run", erase=True)
    assert change is not None
    after = change(encode_frame(items, kind=WORK, partition=0, first_ns=1, last_ns=2))
    assert after is not None
    hers, his = decode_frame(after, WorkItem)

    assert (hers.seq, hers.skip, hers.endpoint, hers.exchange.request.target) == (0, ERASED, "", "")
    assert his == items[1]
    assert eraser.ids == {items[0].exchange.id}
