"""What `doctor` finds in what agents wrote, in groups that are behind, and in files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from echolane.checks import BAD, OK, WARN
from echolane.clock import ManualClock
from echolane.exchange import Exchange, Request
from echolane.frame import EXCHANGES, encode_frame
from echolane.journal import Group, Journal, examining, mending, open_journal
from echolane.journal.examining import Behind, agents, behind, lags
from tests.floor.test_examining import wrong

# A client of the tests of brokers before these may end late, and leaves its sockets then.
pytestmark = [pytest.mark.usefixtures("sockets"), pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")]
S = 1_000_000_000


def exchange(agent: str, epoch: int, seq: int, at_ns: int, **more: Any) -> Exchange:
    """One recorded exchange."""
    request = Request("GET", "http", "shop", "/", "1.1", [])
    return Exchange(f"{agent}-{epoch}-{seq}-{at_ns}", "shop", agent, epoch, seq, "s", at_ns, 1_000_000, request, **more)


Write = Callable[..., None]


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[tuple[Journal, ManualClock, Write]]:
    """A journal, its clock, and ``write(exchanges…)``, which appends a frame of them."""
    time_of = ManualClock()
    journal = open_journal(tmp_path / "home", clock=time_of)
    journal.create("exchanges.shop", 2)

    def write(*exchanges: Exchange, partition: int = 0) -> None:
        times = [one.captured_at_ns for one in exchanges]
        frame = encode_frame(exchanges, kind=EXCHANGES, partition=partition, first_ns=min(times), last_ns=max(times))
        journal.append("exchanges.shop", partition, [frame])

    yield journal, time_of, write
    journal.close()


def test_agents_with_a_name_and_a_clock_of_their_own_are_ok(recorded: tuple[Journal, ManualClock, Write]) -> None:
    """Restarts, losses, several agents, slow exchanges, a spool that is drained beside live ones and old imports are nothing to say."""
    journal, now, write = recorded
    for epoch in (1, 2):
        for seq in range(0, 60, 3):
            now.advance_s(20)
            for agent in ("aaaaaaaa", "bbbbbbbb"):
                write(exchange(agent, epoch, seq, now.wall_ns() - 20_000_000), partition=seq % 2)
    now.advance_s(4000)
    write(*(exchange("cccccccc", 1, seq, now.wall_ns() - (4000 - seq) * S) for seq in range(9)))
    write(exchange("cccccccc", 1, 9, now.wall_ns() - 1_000_000))
    write(exchange("dddddddd", 3, 0, now.wall_ns() - 10**9 * S, tags={"import": "x"}))

    assert wrong(list(agents(journal))) == []


@pytest.mark.parametrize(("off_s", "state", "words"), [(3600, BAD, "60 min ahead"), (-3600, WARN, "60 min old")])
def test_an_agent_whose_clock_is_an_hour_off_is_named(
    recorded: tuple[Journal, ManualClock, Write], off_s: int, state: str, words: str
) -> None:
    """Which agent, of which service, which way and by how much."""
    journal, now, write = recorded
    for seq in range(5):
        now.advance_s(1)
        write(exchange("aaaaaaaa", 1, seq, now.wall_ns() + off_s * S), exchange("bbbbbbbb", 1, seq, now.wall_ns() - S))

    (said,) = wrong(list(agents(journal)))

    assert said.state == state
    assert said.what.startswith("agent `aaaaaaaa` of service `shop`")
    assert words in said.what


@pytest.mark.parametrize("apart", [0, 5000])
def test_an_agent_at_two_places_is_named(recorded: tuple[Journal, ManualClock, Write], apart: int) -> None:
    """A home that was copied numbers exchanges twice: the same numbers, or two rows of them at the same time."""
    journal, now, write = recorded
    for seq in range(20):
        now.advance_s(5)
        write(exchange("aaaaaaaa", 2, seq, now.wall_ns() - S))
        write(exchange("aaaaaaaa", 2, apart + seq, now.wall_ns() - S + 1), partition=1)

    (said,) = wrong(list(agents(journal)))

    assert said.state == BAD
    assert "its home was copied" in said.what
    assert "ledger/agent.shop.json" in said.do


def test_a_group_that_is_behind_is_said_with_who_works_on_it(recorded: tuple[Journal, ManualClock, Write]) -> None:
    """Frames that nobody finished are counted, also those below what retention left; a run that is over needs nobody."""
    journal, now, write = recorded
    for seq in range(4):
        write(exchange("aaaaaaaa", 1, seq, now.wall_ns()), partition=seq % 2)
    journal.commit("differ", "exchanges.shop", 0, 1)
    journal.commit("done", "exchanges.shop", 0, 2)
    journal.commit("done", "exchanges.shop", 1, 2)

    found = behind(journal)

    assert found == [Behind(Group("differ", "exchanges.shop", 0), 3)]
    (said,) = lags(found, [])
    assert (said.state, "3 frames behind" in said.what, "nobody works on it" in said.what) == (WARN, True, True)
    assert [check.state for check in lags(found, ["shop"])] == [OK]
    member = journal.join("differ", "exchanges.shop", lease_s=60)
    (said,) = lags(behind(journal), [])
    member.leave()
    assert (said.state, "with 1 worker at it" in said.what) == (OK, True)


def test_files_without_an_owner_are_named_and_removed(tmp_path: Path) -> None:
    """What processes that died have left is said and, when asked, removed; a topic beside it is as it was."""
    home = tmp_path / "home"
    journal = open_journal(home)
    journal.create("t", 3)
    frame = encode_frame([], kind=EXCHANGES, partition=0, first_ns=1, last_ns=1)
    journal.append("t", 1, [frame])
    folder = home / "journal"
    (folder / "half").mkdir()
    (folder / "half" / "x.db").write_bytes(b"x")
    (folder / "t" / "1-1").mkdir()
    (current,) = [path for path in (folder / "t").iterdir() if (path / "ends").exists()]
    (current / "index.db.damaged").write_bytes(b"x")

    said = list(mending.examine(folder, repair=False))
    assert [(check.check, check.state) for check in said] == [("journal half", WARN)] + [("journal t", WARN)] * 2
    assert all("--repair" in check.do for check in said)
    assert list(mending.examine(folder, repair=False)) == said
    mended = list(mending.examine(folder, repair=True))
    assert [check.what.endswith("it was removed") for check in mended] == [True] * 3
    assert list(mending.examine(folder, repair=True)) == []
    assert [entry.frame for entry in journal.read("t", 1)] == [frame]
    journal.close()


def test_a_topic_whose_name_is_damaged_is_named_anew(tmp_path: Path) -> None:
    """Its files say where it is and how many partitions it has, so nothing of it is lost."""
    journal = open_journal(tmp_path)
    journal.create("t", 3)
    frame = encode_frame([], kind=EXCHANGES, partition=0, first_ns=1, last_ns=1)
    journal.append("t", 2, [frame])
    journal.close()
    folder = tmp_path / "journal"
    (folder / "t" / "topic.json").write_bytes(b'{"partit')

    (said,) = mending.examine(folder, repair=False)
    assert (said.state, "is damaged" in said.what) == (BAD, True)
    (mended,) = mending.examine(folder, repair=True)
    assert "3 partitions" in mended.what

    journal = open_journal(tmp_path)
    assert journal.partitions("t") == 3
    assert [entry.frame for entry in journal.read("t", 2)] == [frame]
    journal.close()
    (folder / "t" / "topic.json").write_bytes(b"")
    (folder / "t" / "another").mkdir()
    (folder / "t" / "another" / "ends").write_bytes(bytes(64))
    (undecided,) = mending.examine(folder, repair=True)
    assert (undecided.state, "2 folders" in undecided.what) == (BAD, True)


def test_nothing_is_said_of_a_journal_that_is_not_there(tmp_path: Path) -> None:
    """A new home is a healthy one."""
    assert list(mending.examine(tmp_path / "none", repair=True)) == []
    journal = open_journal(tmp_path)
    assert list(examining.agents(journal)) == []
    assert [check.state for check in lags(behind(journal), [])] == [OK]
    journal.close()
