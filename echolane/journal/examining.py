"""What may be wrong inside a journal, on whichever door: how far groups are behind, and what agents wrote. For ``echolane doctor``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from echolane.checks import BAD, OK, WARN, Check, span
from echolane.exchange import Exchange
from echolane.frame import FrameDamaged, decode_frame
from echolane.journal import Group, Journal
from echolane.lost import Losses

NAMES_OF_AGENTS = "agent."
"""Groups that read nothing: what they commit says which session of a recorder uses its name (:mod:`capture.shipping`)."""
FRAMES_READ = 512
"""Frames looked at in all: a second or two of reading, whatever the journal holds."""
FRAMES_OF_A_PARTITION = (4, 32)
AHEAD_S = 60.0
"""An exchange that was captured so long after it was appended was captured by a clock that is ahead."""
BEHIND_S = 600.0
"""One appended so long after it was captured came out of a spool, or from a clock that is behind."""
STEP_S = 60.0
"""Exchanges of one agent are numbered as they end; one that began so long before its predecessors is another's."""


class Behind(NamedTuple):
    """How far a group is from the end of its topic."""

    group: Group
    frames: int


def lag(journal: Journal, group: Group) -> int:
    """Frames that a group has not finished."""
    total = 0
    for partition in range(journal.partitions(group.topic)):
        done = max(journal.committed(group.name, group.topic, partition), journal.begin(group.topic, partition))
        total += max(0, journal.end(group.topic, partition) - done)
    return total


def behind(journal: Journal) -> list[Behind]:
    """Every group of readers that is not at the end of its topic."""
    topics = set(journal.topics())
    groups = [one for one in journal.groups() if one.topic in topics and not one.name.startswith(NAMES_OF_AGENTS)]
    found = [Behind(group, lag(journal, group)) for group in groups]
    return [one for one in found if one.frames]


def lags(found: Sequence[Behind], over: Iterable[str]) -> Iterator[Check]:
    """What is said of groups that are behind; runs that are ``over`` need nobody."""
    done = set(over)
    waiting = [one for one in found if one.group.topic.partition(".")[2] not in done]
    for one in waiting:
        group = one.group
        words = f"group `{group.name}` is {one.frames} frames behind the end of `{group.topic}`"
        if group.members:
            members = "1 worker" if group.members == 1 else f"{group.members} workers"
            yield Check("lag", OK, f"{words}, with {members} at it")
        else:
            do = "start workers, or `echolane run --resume` what was interrupted; else it leaves with its retention"
            yield Check("lag", WARN, f"{words}, and nobody works on it", do)
    if not waiting:
        yield Check("lag", OK, "no group is behind")


@dataclass(slots=True)
class _Agent:
    """What the tail of a topic tells of one agent."""

    ahead_s: float = -1e9
    behind_s: float = 1e18
    seen: dict[tuple[int, int], tuple[str, int]] = field(default_factory=dict[tuple[int, int], tuple[str, int]])
    """Of each (epoch, seq) the exchange's id, and when it was over."""
    twice: int = 0


def agents(journal: Journal) -> Iterator[Check]:
    """Agents whose clock is off, and agents of one name at two places, as far as the newest frames tell."""
    topics = [topic for topic in journal.topics() if topic.startswith("exchanges.")]
    parts = [(topic, partition) for topic in topics for partition in range(journal.partitions(topic))]
    if not parts:
        return
    least, most = FRAMES_OF_A_PARTITION
    frames = max(least, min(most, FRAMES_READ // len(parts)))
    found: dict[tuple[str, str], _Agent] = {}
    for topic, partition in parts[: FRAMES_READ // frames]:
        end = journal.end(topic, partition)
        for entry in journal.read(topic, partition, max(0, end - frames), end):
            try:
                exchanges = decode_frame(entry.frame, Exchange)
            except FrameDamaged:  # told of elsewhere
                continue
            _look(found, topic, entry.append_ns, exchanges)
    wrong = [check for (topic, name), agent in sorted(found.items()) for check in _said(topic, name, agent)]
    words = (
        f"{len(found)} recorded lately, each with a name and a clock of its own" if found else "none recorded lately"
    )
    yield from wrong or [Check("agents", OK, words)]


def _look(found: dict[tuple[str, str], _Agent], topic: str, append_ns: int, exchanges: Sequence[Exchange]) -> None:
    for one in exchanges:
        if "import" in one.tags:  # a file's times are the file's
            continue
        agent = found.setdefault((topic, one.agent), _Agent())
        over_ns = one.captured_at_ns + one.duration_ns
        agent.ahead_s = max(agent.ahead_s, (over_ns - append_ns) / 1e9)
        agent.behind_s = min(agent.behind_s, (append_ns - over_ns) / 1e9)
        known = agent.seen.setdefault((one.epoch, one.seq), (one.id, over_ns))
        agent.twice += known[0] != one.id


def _said(topic: str, name: str, agent: _Agent) -> Iterator[Check]:
    service = topic.partition(".")[2]
    who = f"agent `{name}` of service `{service}`"
    if agent.ahead_s > AHEAD_S:
        yield Check(
            "agents",
            BAD,
            f"{who} captures by a clock that is {span(agent.ahead_s)} ahead of the journal's",
            "set the clock of its machine; the order of sessions over several agents is wrong until then",
        )
    elif agent.behind_s > BEHIND_S:
        yield Check(
            "agents",
            WARN,
            f"{who} wrote nothing lately that was not {span(agent.behind_s)} old by the journal's clock",
            "set the clock of its machine, unless it was catching up with what it had spooled",
        )
    if agent.twice or _steps_back(agent):
        yield Check(
            "agents",
            BAD,
            f"{who} numbers its exchanges twice: its home was copied, and runs at two places",
            f"give each place a home of its own, or remove ledger/agent.{service}.json from the copy and start it again",
        )


def _steps_back(agent: _Agent) -> bool:
    """Whether exchanges of higher numbers were over long before those of lower ones: two count, not one."""
    latest: dict[int, int] = {}
    for (epoch, _), (_, over_ns) in sorted(agent.seen.items()):
        if over_ns < latest.get(epoch, 0) - STEP_S * 1e9:
            return True
        latest[epoch] = max(latest.get(epoch, 0), over_ns)
    return False


def unreadable(journal: Journal, topic: str) -> Iterator[Check]:
    """What was set aside in a topic: damage, or frames that an Echolane of a newer format wrote, which are whole."""
    aside = journal.damaged(topic)
    seen, newer, read = _looked_again(journal, topic) if aside else (0, 0, 0)
    name = f"journal {topic}"
    if newer:
        do = "update Echolane on this machine: they are whole, and are read then"
        yield Check(name, WARN, f"frames of a newer format were set aside: {newer}", do)
    if damaged := seen - newer - read:
        yield Check(name, WARN, f"{damaged} damaged frames were set aside; their exchanges are lost")
    if unseen := aside - seen:
        yield Check(name, WARN, f"more frames were set aside, and not looked at again: {unseen}")


def _looked_again(journal: Journal, topic: str) -> tuple[int, int, int]:
    """How many of the frames that were set aside were looked at, the newest first; how many are newer, and how many can be read."""
    losses, seen, read = Losses(), 0, 0
    for partition, first, stop in reversed(journal.aside(topic)):
        first = max(first, stop - (FRAMES_READ - seen))  # noqa: PLW2901 - as much of it as is looked at
        read += sum(1 for _ in journal.read(topic, partition, first, stop, losses.teller(partition)))
        seen += stop - first
        if seen == FRAMES_READ:
            break
    return seen, losses.lost().newer, read
