"""Groups with members, without a door: laws of sharing out and of prefixes, and leases against a model on a clock that is moved."""

# ruff: noqa: D102 - the rules of the machine are named for what they do

from __future__ import annotations

import random
import shutil
import tempfile
from collections import defaultdict
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from echolane.clock import ManualClock
from echolane.journal.kafka_members import NOWHERE, Owned, seated, shared_out
from echolane.journal.leases import Leases
from echolane.journal.sharing import Prefix, balanced
from echolane.journal.sqlite import SqliteJournal

LEASE_S = 1.5
NAMES = st.sampled_from("abcde")


@given(st.sets(NAMES, min_size=1), st.dictionaries(st.integers(0, 20), NAMES), st.integers(0, 16))
def test_shares_are_even_and_few_change_hands(members: set[str], holders: dict[int, str], partitions: int) -> None:
    """Every partition has a holder, no member has two more than another, and nobody loses what fits within its share."""
    shall = balanced(members, holders, partitions)
    sizes = {member: sum(holder == member for holder in shall.values()) for member in members}
    kept = {m: [p for p in range(partitions) if holders.get(p) == m == shall[p]] for m in members}
    held = {m: sum(holders.get(p) == m for p in range(partitions)) for m in members}

    assert sorted(shall) == list(range(partitions))
    assert max(sizes.values()) - min(sizes.values()) <= 1
    assert all(len(kept[m]) == min(held[m], sizes[m]) for m in members)
    assert shall == balanced(sorted(members, reverse=True), dict(reversed(holders.items())), partitions)
    assert balanced(members, shall, partitions) == shall


@given(st.lists(st.integers(1, 4), max_size=30), st.integers(0, 100), st.randoms(use_true_random=False))
def test_what_may_be_committed_has_no_hole(steps: list[int], start: int, chance: random.Random) -> None:
    """However entries are finished, the prefix ends before the first one that is not, also where positions are missing."""
    prefix, model, at = Prefix(start), list[int](), start - 1
    unfinished: list[int] = []
    for step in steps:
        at += step
        prefix.begin(at)
        model.append(at)
        unfinished.append(at)
        if chance.random() < 0.6:
            prefix.finish(unfinished.pop(chance.randrange(len(unfinished))))
        done = [p for p in model if p < min(unfinished, default=at + 1)]
        assert prefix.reach == (done[-1] + 1 if done else start)
        assert prefix.waiting == len(model) - len(done)


def test_entries_are_begun_in_order() -> None:
    """A worker that takes up an entry behind one it has begun has lost count, and hears it."""
    prefix = Prefix(3)
    prefix.begin(5)

    with pytest.raises(ValueError, match="position 5 was begun behind 5"):
        prefix.begin(5)


class Generation(NamedTuple):
    """One round of a simulated group: who is in it, and who of them is a newcomer under an old name."""

    members: frozenset[str]
    renamed: frozenset[str]


@given(
    st.lists(st.builds(Generation, st.frozensets(NAMES, min_size=1), st.frozensets(NAMES)), min_size=1, max_size=12),
    st.integers(1, 8),
)
def test_of_a_partition_and_an_epoch_there_is_one_holder(generations: list[Generation], partitions: int) -> None:
    """Whoever comes, goes, or misses rounds: no two members ever hold a partition under one epoch, and who stays keeps its epoch."""
    seats = dict.fromkeys("abcde", NOWHERE)
    names = {name: name for name in seats}
    holders: dict[tuple[int, int], str] = {}
    for number, generation in enumerate(generations, 1):
        for name in generation.renamed:
            names[name] = f"{name}{number}"  # struck off and back: the brokers give it another id
        owned = {names[m]: Owned(seats[m].generation, sorted(seats[m].held)) for m in sorted(generation.members)}
        gets = shared_out(owned, partitions)
        assert sorted(p for places in gets.values() for p in places) == list(range(partitions))
        for m in generation.members:
            before = seats[m]
            seats[m] = seated(before, number, names[m], gets[names[m]])
            for partition, epoch in seats[m].held.items():
                assert holders.setdefault((partition, epoch), m) == m
                stayed = (before.generation, before.member) == (number - 1, names[m]) and partition in before.held
                assert epoch == (before.held[partition] if stayed else number)


class LeaseMachine(RuleBasedStateMachine):
    """Workers of one machine that beat late, stop, die, leave and commit, on a clock that the machine moves."""

    def __init__(self) -> None:
        super().__init__()
        self.folder, self.clock = Path(tempfile.mkdtemp(prefix="leases-")), ManualClock()
        self.journal = SqliteJournal(self.folder, self.clock)
        self.seats: dict[str, tuple[dict[int, int], int]] = {}
        self.accepted: dict[tuple[int, int], str] = {}
        self.latest: dict[int, int] = defaultdict(int)
        self.names, self.lost = count(), False

    @initialize(partitions=st.integers(1, 5))
    def begin(self, partitions: int) -> None:
        self.partitions = partitions
        self.journal.create("t", partitions)

    @property
    def leases(self) -> Leases:
        opened = self.journal.opened("t")
        return Leases(opened.index, opened.partitions, "g")

    def beat(self, name: str) -> None:
        held = self.leases.beat(name, self.clock, int(LEASE_S * 1e9))
        self.seats[name] = held, self.clock.mono_ns() + int(LEASE_S * 1e9)

    @precondition(lambda self: len(self.seats) < 3)
    @rule()
    def join(self) -> None:
        self.beat(f"m{next(self.names)}")

    @precondition(lambda self: self.seats)
    @rule(data=st.data())
    def beats(self, data: st.DataObject) -> None:
        self.beat(data.draw(st.sampled_from(sorted(self.seats))))

    @precondition(lambda self: self.seats)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        del self.seats[data.draw(st.sampled_from(sorted(self.seats)))]

    @precondition(lambda self: self.seats)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.seats)))
        self.leases.leave(name)
        del self.seats[name]

    @rule(seconds=st.sampled_from([0.2, 0.5, 1.0, 2.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance_s(seconds)

    @precondition(lambda self: self.seats)
    @rule()
    def commit(self) -> None:
        """Everybody all at once, also what they no longer may: a worker that was stopped remembers what it held."""
        for name, (held, until) in self.seats.items():
            before = {partition: self.journal.committed("g", "t", partition) for partition in range(self.partitions)}
            refused = self.leases.commit(name, self.clock, {p: (before[p] + 1, epoch) for p, epoch in held.items()})
            moved = held.keys() - refused.keys()
            after = {partition: at + (partition in moved) for partition, at in before.items()}
            assert {p: self.journal.committed("g", "t", p) for p in range(self.partitions)} == after
            for partition in moved:
                epoch = held[partition]
                assert self.clock.mono_ns() < until  # slept past its lease: refused, even if nobody else came
                assert self.accepted.setdefault((partition, epoch), name) == name
                assert epoch >= self.latest[partition]
                self.latest[partition] = epoch

    @precondition(lambda self: not self.lost)
    @rule()
    def lose_the_index(self) -> None:
        """The file is damaged and rebuilt from the segments: everybody's leases are gone."""
        self.lost = True
        index = self.journal.opened("t").index
        self.clock.advance_s(1)  # no epoch is given twice, as the first one is the time
        index._path.write_bytes(b"no database")
        self.seats = {name: ({}, until) for name, (_, until) in self.seats.items()}
        self.journal.close()
        self.journal = SqliteJournal(self.folder, self.clock)

    @invariant()
    def no_partition_is_in_two_hands(self) -> None:
        now = self.clock.mono_ns()
        awake = [partition for held, until in self.seats.values() if now < until for partition in held]
        assert len(awake) == len(set(awake))

    def teardown(self) -> None:
        if self.seats:  # who lives takes over within a lease and two beats
            self.clock.advance_s(LEASE_S)
            for _ in range(3):
                for name in sorted(self.seats):
                    self.beat(name)
            shares = [len(held) for held, _ in self.seats.values()]
            assert sum(shares) == self.partitions
            assert max(shares) - min(shares) <= 1
        self.journal.close()
        shutil.rmtree(self.folder)


TestLeaseMachine = LeaseMachine.TestCase
TestLeaseMachine.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
