"""What decides about a replay: pace, order, schedule, breaker, cookies. No socket, no clock."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, strategies as st

from echolane.clock import ManualClock
from echolane.errors import UsageError
from replayer.breaker import DOWN, OPEN, PAUSED, Breaker
from replayer.order import FOLLOWS_MAX, SESSIONS_MAX, Order
from replayer.pace import Pace, Pauses, parse_pace
from replayer.rewrite import Jar
from replayer.schedule import Schedule

SECOND = 1_000_000_000


# pace


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("recorded", 3 * SECOND), ("2x", 3 * SECOND // 2), ("0.5x", 6 * SECOND), ("200/s", 4 * SECOND // 200), ("max", 0),
        (" MAX ", 0), ("1.5/s", int(4e9 / 1.5)), ("1/s..3/s over 2s", 2 * SECOND),
        ("2/s..1/s over 1s", int(3.5e9)), ("1x..2x over 2s", 2 * SECOND), ("0/s..8/s over 1s", SECOND),
        ("3x..3x over 1m", SECOND), ("10/s .. 10/s over 1h", int(4e8)),
    ],
)  # fmt: skip
def test_a_pace_says_when_the_fifth_exchange_is_due(text, due):
    """Recorded three seconds after the first: sooner, later, or by its rank alone."""
    assert parse_pace(text).due_ns(4, 3 * SECOND) == due


@pytest.mark.parametrize("text", ["", "fast", "x", "0x", "-2x", "2", "10/m", "1e3/s", "inf/s", "99999999/s", "2 x",
    "1/s..2/s", "1/s..2/s over 5", "1/s over 5m", "..2/s over 1m", "1/s..2/s over 5mm"])  # fmt: skip
def test_what_is_no_pace_is_refused_with_the_ways_to_say_it(text):
    """The message names what was given and all its forms."""
    with pytest.raises(
        UsageError, match="recorded, max, a speed such as 2x, a rate such as 200/s, or a ramp such as `10/s"
    ):
        parse_pace(text)


@given(st.integers(1, 10_000), st.integers(1, 1000))
def test_a_whole_day_at_a_rate_never_drifts(rate, ranks):
    """Due times are multiples of the rate's period, however many have gone before."""
    pace, clock = parse_pace(f"{rate}/s"), ManualClock(0)
    clock.advance_s(86_400 + ranks / rate)
    assert abs(pace.due_ns(rate * 86_400 + ranks, 0) - clock.mono_ns()) < 1_000_000


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1/s..2x over 1m", "from one kind to another"), ("1/s..0/s over 1m", "must end above 0"),
        ("1/s..9999999/s over 1m", "no number above"), ("1/s..2/s over 0s", "longer than no time"), ("1x..2x over 8d", "at most a week"),
    ],
)  # fmt: skip
def test_a_ramp_that_cannot_be_is_refused_with_the_reason(text, why):
    """Mixed kinds, an end at which nothing is fired any more, no duration."""
    with pytest.raises(UsageError, match=why):
        parse_pace(text)


@given(st.floats(0, 1e4), st.floats(0.01, 1e4), st.integers(1, 1_000_000), st.integers(0, 100_000))
def test_a_ramp_has_fired_what_its_rate_adds_up_to(first, last, over_ms, rank):
    """Due times never go back; by the instant an exchange is due, the area under the rate is its rank; after the ramp the rate is level."""
    over_s = over_ms / 1000
    pace = Pace("rate", last, first, over_s)
    due_s = pace.due_ns(rank, 0) / 1e9
    assert pace.due_ns(rank + 1, 0) >= pace.due_ns(rank, 0)
    within = min(due_s, over_s)
    area = first * within + (last - first) * within * within / (2 * over_s) + last * max(0.0, due_s - over_s)
    # A due time is whole nanoseconds: at ten thousand a second that is a hundred thousandth of an exchange.
    assert abs(area - rank) <= 1e-5 * max(first, last) * 1e-3 + rank * 1e-9 + 1e-6


@given(st.lists(st.integers(0, 60_000), max_size=40), st.integers(0, 5_000))
def test_pauses_are_cut_and_nothing_else_is(gaps_ms, max_ms):
    """Each distance is the sum of the gaps before it, none longer than allowed; 0 leaves all."""
    pauses, at, wanted = Pauses(max_ms), 0, 0
    assert pauses.shortened(0) == 0
    for gap in gaps_ms:
        at, wanted = at + gap, wanted + (min(gap, max_ms) if max_ms else gap)
        assert pauses.shortened(at) == wanted


# order


def told(spans, sessions=None):
    """Ranks each exchange follows; spans are (start, end)."""
    order = Order()
    sessions = sessions or ["s"] * len(spans)
    exchanges = [SimpleNamespace(session=s, uses=[], introduces=[]) for s in sessions]
    return [
        order.follows(order.name_of(x), rank, *span)
        for rank, (x, span) in enumerate(zip(exchanges, spans, strict=True))
    ]


def test_a_sequential_session_follows_one_by_one():
    """Each follows the one before it, and no other."""
    assert told([(0, 1), (2, 3), (4, 5), (6, 7)]) == [[], [0], [1], [2]]


def test_what_overlapped_may_overlap_again():
    """Two at once follow the same predecessor, and both are followed by what came after them."""
    assert told([(0, 1), (2, 10), (3, 5), (6, 7), (11, 12)]) == [[], [0], [0], [2], [1, 3]]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=30))
def test_the_frontier_covers_exactly_what_ended_before(raw):
    """Through the named predecessors all that ended before an exchange's start is reached, and nothing else; none is named twice."""
    spans = sorted((start, start + took) for start, took in raw)
    follows = told(spans)
    reach: list[set[int]] = []
    for rank, named in enumerate(follows):
        covered = set(named).union(*(reach[before] for before in named))
        assert covered == {before for before in range(rank) if spans[before][1] < spans[rank][0]}
        assert all(not any(one in reach[other] for other in named) for one in named)
        reach.append(covered)


def test_a_login_changes_the_cookie_not_the_person():
    """A session that uses what another introduced follows it, and what ran before the union is waited for by both."""
    order = Order()

    def take(session, rank, start, *, uses=(), introduces=()):
        name = order.name_of(SimpleNamespace(session=session, uses=uses, introduces=introduces))
        return name, order.follows(name, rank, start, start + 1)

    assert take("anon", 0, 0, introduces=["cookie"]) == ("anon", [])
    assert take("user", 1, 10) == ("user", [])
    assert take("other", 2, 15) == ("other", [])
    assert take("user", 3, 20, uses=["cookie"]) == ("anon", [0, 1])
    assert take("anon", 4, 30) == ("anon", [3])
    assert take("user", 5, 40) == ("anon", [4])
    assert take("other", 6, 50) == ("other", [2])


def test_order_is_bounded_in_width_and_in_number():
    """A crowd behind one address and a million sessions take a fixed amount of memory."""
    crowd = told([(n, 1000 + n) for n in range(200)] + [(5000, 5001)])
    assert crowd[-1] == list(range(200 - FOLLOWS_MAX, 200))
    order = Order()
    for rank in range(SESSIONS_MAX + 500):
        name = order.name_of(SimpleNamespace(session=str(rank), uses=[], introduces=[f"t{rank}"]))
        order.follows(name, rank, rank, rank + 1)
    assert repr(order) == f"<Order {SESSIONS_MAX} sessions, {SESSIONS_MAX} tokens>"


# schedule


def flight(seq, due_ns=0):
    """A flight as the schedule sees it."""
    return SimpleNamespace(seq=seq, due_ns=due_ns, blockers=0, followers=[], free_ns=0, waiting=False, launched=False)


def ready(schedule):
    """Take all that may go."""
    out = [one.seq for one in schedule.ready]
    for one in schedule.ready:
        one.launched = True
    schedule.ready.clear()
    return out


def test_a_flight_goes_when_it_is_due_and_its_predecessors_are_done():
    """Both must hold, in whichever order they come true."""
    schedule, flights = Schedule(), [flight(0, 10), flight(1, 20), flight(2, 30)]
    for one, follows in zip(flights, [[], [0], [1, 99]], strict=True):
        schedule.add(one, follows)
    assert schedule.advance(5) == 10
    assert ready(schedule) == []
    assert schedule.advance(25) == 30
    assert ready(schedule) == [0]
    schedule.done(flights[0], 26)
    assert ready(schedule) == [1]
    assert (flights[1].waiting, flights[1].free_ns) == (True, 26)
    schedule.done(flights[1], 27)
    assert ready(schedule) == []
    assert schedule.advance(30) is None
    assert ready(schedule) == [2]
    assert not flights[2].waiting


def test_who_follows_what_is_not_fired_follows_what_that_followed():
    """An exchange left out in the middle of a session does not set its followers free."""
    schedule, first, last = Schedule(), flight(0), flight(3)
    schedule.add(first, [])
    schedule.pass_over(1, [0])
    schedule.pass_over(2, [1])
    schedule.add(last, [2])
    schedule.advance(0)
    assert ready(schedule) == [0]
    schedule.done(first, 1)
    assert ready(schedule) == [3]


def test_what_was_not_launched_is_given_back_in_order():
    """At an early end: ready, not due and waiting flights, but not those in the air."""
    schedule, flights = Schedule(), [flight(n, 0 if n < 3 else 100) for n in range(5)]
    for one in flights:
        schedule.add(one, [1] if one.seq == 2 else [])
    schedule.advance(0)
    flights[0].launched = True
    assert [one.seq for one in schedule.abandon()] == [1, 2, 3, 4]
    assert len(schedule) == 1


# breaker


def test_ten_failures_in_twenty_shots_pause_a_target():
    """Not one fewer, and never before the window is full or ten seconds old."""
    breaker = Breaker(alive=True)
    for n in range(10):
        breaker.answered(n)
    for n in range(9):
        assert not breaker.failed(n, "closed", 20, 30)
    assert breaker.failed(9, "closed", 20, 30)
    assert breaker.state == PAUSED


def test_a_target_that_hangs_is_paused_after_ten_seconds():
    """One at a time, twenty shots would take minutes: half of what was sent in ten seconds is enough."""
    breaker = Breaker(alive=True)
    assert not breaker.failed(0, "refused", 0, 9 * SECOND)
    assert breaker.failed(1, "first-byte-timeout", 9 * SECOND, 19 * SECOND)


def test_answers_of_any_kind_are_signs_of_life():
    """Garbage and too much are answers; they never pause a target."""
    breaker = Breaker(alive=True)
    assert not any(breaker.failed(n, "garbage" if n % 2 else "too-large", n, n * SECOND) for n in range(100))


def test_a_good_first_probe_lets_failures_stand():
    """The target lives, so its failures are its answers."""
    breaker = Breaker(alive=True)
    assert any(breaker.failed(n, "closed", n, n + 1) for n in range(20))
    assert breaker.probed(good=True) == []
    assert breaker.state == OPEN
    assert not breaker.failed(50, "closed", 50, 51)


def test_a_target_that_comes_back_has_its_failures_withdrawn():
    """A probe failed, a later one was answered: what failed since the last good probe was absence."""
    breaker = Breaker(alive=True)
    assert any(breaker.failed(n, "refused", n, n + 1) for n in range(20))
    assert breaker.probed(good=False) == []
    assert breaker.probed(good=True) == list(range(20))
    assert breaker.state == OPEN


def test_three_failed_probes_are_the_end():
    """Down, and all that failed since the last good probe is withdrawn."""
    breaker = Breaker(alive=True)
    assert any(breaker.failed(n, "refused", n, n + 1) for n in range(20))
    assert [breaker.probed(good=False) for _ in range(2)] == [[], []]
    assert breaker.probed(good=False) == list(range(20))
    assert breaker.state == DOWN


def test_a_target_that_never_answered_is_probed_at_its_first_failure():
    """It may hang from the start, and a recording of four requests never fills a window."""
    breaker = Breaker()
    assert breaker.failed(0, "first-byte-timeout", 0, 1)
    assert breaker.probed(good=True) == []
    assert not breaker.failed(1, "first-byte-timeout", 2, 3)


@given(st.lists(st.booleans(), max_size=200))
def test_the_window_holds_the_last_twenty(shots):
    """The count of failures is that of the last twenty shots, whatever came before."""
    breaker = Breaker()
    for n, failed in enumerate(shots):
        if failed:
            breaker.failed(n, "closed", n, n)
        else:
            breaker.answered(n)
        if breaker.state == PAUSED:
            breaker.probed(good=True)
    assert breaker._failures == sum(one[1] for one in breaker._shots)


# cookies


def jar_of(recorded, given):
    """A jar that has seen one answer."""
    jar = Jar()
    jar.learn("s", [(b"Set-Cookie", value) for value in recorded], [(b"set-cookie", value) for value in given])
    return jar


def test_a_cookie_is_replaced_where_it_is_the_recorded_one():
    """By its recorded value (the mask), in its place, everything else as sent."""
    jar = jar_of([b"sid=MASK; Path=/; HttpOnly"], [b"sid=theirs; Secure"])
    masked = [(b"cookie", b"a=1; sid=MASK;b"), (b"X", b"sid=MASK")]
    opened = [(b"cookie", b"a=1; sid=real;b"), (b"X", b"sid=real")]
    assert jar.rewrite("s", masked, opened) == (
        [(b"cookie", b"a=1; sid=theirs;b"), (b"X", b"sid=real")],
        ["cookie sid"],
        [b"theirs"],
    )
    assert jar.rewrite("other", masked, opened) == (opened, [], [])
    assert jar.rewrite("s", [(b"cookie", b"sid=OLD")], [(b"cookie", b"sid=old")]).notes == []


@pytest.mark.parametrize(
    ("recorded", "given"),
    [([b"sid=A"], []), ([b"sid=A"], [b"other=B"]), ([b"sid="], [b"sid=B"]), ([b"sid=A"], [b"sid=; Max-Age=0"]), ([b"novalue"], [b"novalue"])],
)  # fmt: skip
def test_a_cookie_that_was_not_given_or_was_taken_away_is_not_replaced(recorded, given):
    """Only a value for a value."""
    headers = [(b"Cookie", b"sid=A")]
    assert jar_of(recorded, given).rewrite("s", headers, headers) == (headers, [], [])


def test_the_same_value_is_no_rewrite():
    """A target that gave what was recorded needs none."""
    headers = [(b"Cookie", b"sid=A")]
    assert jar_of([b"sid=A"], [b"sid=A"]).rewrite("s", headers, headers) == (headers, [], [])


def test_jars_are_bounded():
    """Sessions and cookies beyond the bound push out the oldest."""
    jar = Jar()
    for n in range(5000):
        jar.learn(str(n), [(b"Set-Cookie", b"a=1")], [(b"Set-Cookie", b"a=2")])
    for n in range(300):
        jar.learn("4999", [(b"Set-Cookie", b"c%d=1" % n)], [(b"Set-Cookie", b"c%d=2" % n)])
    assert "0" not in jar
    assert "4999" in jar
    names = b"; ".join(b"c%d=1" % n for n in range(300))
    assert len(jar.rewrite("4999", [(b"Cookie", names)], [(b"Cookie", names)])[1]) == 256
