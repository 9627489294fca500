"""Parts of a run that is shared: who gets which session, what may be committed, and that a part out of hand is left alone at once."""

from __future__ import annotations

from hypothesis import given, strategies as st

from echolane.exchange import Exchange, Request, WorkItem
from echolane.journal.sharing import Prefix
from replayer.order import Order, Shares
from replayer.slices import Window


def exchange(session: str, introduces: list[str] | None = None, uses: list[str] | None = None) -> Exchange:
    """One of a session."""
    request = Request("GET", "http", "shop", "/", "1.1", [])
    return Exchange("x", "shop", "a", 1, 1, session, 1, 1, request, introduces=introduces or [], uses=uses or [])


def shared(exchanges: list[Exchange], partitions: int) -> list[int]:
    """The partition of each exchange, as the plan gives them."""
    shares, order = Shares(partitions), Order()
    for one in exchanges:
        shares.unite(one)
    found: list[int] = []
    for rank, one in enumerate(exchanges):
        united = exchange(order.name_of(one))
        found.append(shares.partition_of(WorkItem(rank, 0, "", [], united)))
    return found


@given(st.lists(st.integers(0, 40), min_size=1, max_size=300), st.integers(1, 12))
def test_a_session_is_whole_and_the_parts_are_even(sessions: list[int], partitions: int) -> None:
    """Every session is in one partition, and none has more than the least one by more than one session's exchanges."""
    found = shared([exchange(f"s{n}") for n in sessions], partitions)
    of = {n: {part for one, part in zip(sessions, found, strict=True) if one == n} for n in sessions}
    loads = [found.count(part) for part in range(partitions)]

    assert all(len(parts) == 1 for parts in of.values())
    assert set(found) <= set(range(partitions))
    if len(of) == len(sessions):
        assert max(loads) - min(loads) <= 1


def test_a_login_late_in_the_recording_keeps_one_person_in_one_part() -> None:
    """Two sessions that turn out to be one person's are in one partition from their first exchange on."""
    exchanges = [
        exchange("anonymous"),
        exchange("other"),
        exchange("known"),
        exchange("anonymous", introduces=["t"]),
        exchange("known", uses=["t"]),
    ]
    parts = shared(exchanges, 4)

    assert parts[0] == parts[2] == parts[3] == parts[4] != parts[1]


@given(st.lists(st.integers(0, 4), max_size=30), st.randoms(use_true_random=False))
def test_only_what_is_finished_without_a_hole_is_committed(counts: list[int], random: object) -> None:
    """The window reaches over exactly those entries before which every exchange is finished, in whatever order that happened."""
    window, seqs, start = Window(10), [], 10
    entries: list[list[int]] = []
    for position, count in enumerate(counts, start):
        entries.append(list(range(len(seqs), len(seqs) + count)))
        seqs += entries[-1]
        window.begin(position, entries[-1])
    random.shuffle(seqs)  # type: ignore[attr-defined]
    done: set[int] = set()
    for seq in [*seqs, *seqs[:3]]:
        window.done(seq)
        done.add(seq)
        whole = 0
        while whole < len(entries) and set(entries[whole]) <= done:
            whole += 1
        assert window.reach == start + whole
    assert isinstance(window._prefix, Prefix)
