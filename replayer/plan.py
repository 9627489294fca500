"""Plan a run: a recording becomes work items in recorded order, each with its due time, whom it follows, or why it is skipped.

Three passes over the chosen frames, all in bounded memory: the first learns the endpoints and each frame's earliest instant, the
second finds what ties requests to earlier answers (:mod:`replayer.linking`; not with ``replay.correlate = false``), the third
merges the frames by captured time and writes ``work.<run>``. A frame is decoded when its first exchange is due in the
order, so that only overlapping frames are held. What decides about one exchange is pure (:class:`Planner`); :mod:`replayer.order`
knows sessions, :mod:`replayer.pace` due times. Work carries its exchange without the recorded answer's body: it is enough to fire.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from echolane.exchange import ERASED, Exchange, Request, Response, WorkItem
from echolane.frame import WORK, encode_frame
from echolane.home import Home
from echolane.journal import Journal
from echolane.keys import load_seal_keys
from echolane.lost import Losses
from echolane.masks.atoms import Atoms
from echolane.recorded_hosts import NOWHERE, Origins, RecordedHosts
from echolane.recordings import is_kept
from echolane.runspec import RunSpec
from echolane.settings import Settings
from echolane.templating import Templates
from echolane.writes import REFUSED, WriteRule, rule_for
from replayer.deciding import Links, decide
from replayer.elsewhere import hosts_of, refuse_names
from replayer.linking import Linker, Mask
from replayer.order import Order, Shares
from replayer.pace import Pace, Pauses, parse_pace
from replayer.reading import Frame, Reader
from replayer.wire import SAFE_METHODS

WORK_ITEMS_MAX = 64
"""Items of a work frame: they are decoded between two shots, and more at once would make those late."""
WORK_BYTES_MAX = 256 * 1024
APPEND_FRAMES = 64
"""Work frames of one durable append."""
NO_LINKS = Links()
_RECORDED = attrgetter("captured_at_ns", "agent", "epoch", "seq")


@dataclass(slots=True)
class PlanSummary:
    """What a run is going to do."""

    selected: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    losses: Losses = field(default_factory=Losses)
    """Frames that could not be read, so that nobody knows what is in them."""
    origins: Origins = NOWHERE
    """Where the recording comes from: no target's host, or there would be no plan."""

    @property
    def to_fire(self) -> int:
        """How many exchanges will be fired."""
        return self.selected - self.skipped.total()


def work_topic(run: str) -> str:
    """The topic of a run's plan."""
    return f"work.{run}"


def make_plan(journal: Journal, home: Home, spec: RunSpec, settings: Settings) -> PlanSummary:
    """Write the work of a run; how much of it is to be fired, and what is skipped and why."""
    shares = Shares(spec.partitions or 1)
    topic = work_topic(spec.run)
    summary, items = planned(journal, home, spec, settings, shares)
    journal.create(topic, spec.partitions or 1)
    writers = [_Writer(journal, topic, partition) for partition in range(spec.partitions or 1)]
    for item in items:
        writers[shares.partition_of(item)].add(item)
    for writer in writers:
        writer.finish()
    return summary


def planned(
    journal: Journal, home: Home, spec: RunSpec, settings: Settings, shares: Shares | None = None
) -> tuple[PlanSummary, Iterator[WorkItem]]:
    """The plan of a run, made as it is read, and its summary, which is whole once all of it was read; who is one person, to ``shares``.

    Raises:
        RefusedForSafety: a target is where the recording comes from.
    """
    templates = Templates.load(home.templates / f"{spec.service}.json")
    reader = Reader(journal, spec.recording, kept=is_kept(home.recordings, spec.recording))
    hosts = RecordedHosts(hosts_of(spec))
    frames = reader.look_through(templates, hosts)
    templates.save(home.templates / f"{spec.service}.json")
    origins = refuse_names(spec, settings.origins, hosts)
    if shares is not None and spec.partitions > 1:
        for exchange in in_order(reader, frames):
            shares.unite(exchange)
    links = NO_LINKS
    if settings.replay.correlate:
        mask = _masking(home)
        exchanges = in_order(reader, frames)
        links = find_links(exchanges, spec.methods, templates, mask, spec.firing.writes)
    pauses = Pauses(int(spec.firing.think_max_s * 1e9))
    planner = Planner(
        parse_pace(spec.pace), spec.methods, templates, links, strict=spec.concurrency == 1, pauses=pauses
    )
    planner.writes, planner.summary.losses = spec.firing.writes, reader.losses
    planner.summary.origins = origins
    return planner.summary, map(planner.plan, in_order(reader, frames))


class _Writer:
    """Writes the work of one partition."""

    def __init__(self, journal: Journal, topic: str, partition: int) -> None:
        self._journal, self._topic, self._partition = journal, topic, partition
        self._frames: list[bytes] = []
        self._batch: list[WorkItem] = []
        self._size = 0

    def add(self, item: WorkItem) -> None:
        """One item more."""
        self._batch.append(item)
        self._size += len(item.exchange.request.body.data)
        if len(self._batch) >= WORK_ITEMS_MAX or self._size >= WORK_BYTES_MAX:
            self._close_frame()
        if len(self._frames) >= APPEND_FRAMES:
            self._append()

    def finish(self) -> None:
        """Write the rest."""
        if self._batch:
            self._close_frame()
        if self._frames:
            self._append()

    def _close_frame(self) -> None:
        first, last = self._batch[0].exchange.captured_at_ns, self._batch[-1].exchange.captured_at_ns
        frame = encode_frame(self._batch, kind=WORK, partition=self._partition, first_ns=first, last_ns=last)
        self._frames.append(frame)
        self._batch, self._size = [], 0

    def _append(self) -> None:
        self._journal.append(self._topic, self._partition, self._frames)
        self._frames = []


class Planner:
    """Decides about one exchange after the other, given in recorded order."""

    def __init__(
        self,
        pace: Pace,
        methods: str,
        templates: Templates,
        links: Links = NO_LINKS,
        *,
        strict: bool = False,
        pauses: Pauses | None = None,
    ) -> None:
        self.summary = PlanSummary()
        self._pace = pace
        self._methods = methods
        self._templates = templates
        self._links = links
        self._strict = strict
        """One exchange after another, whoever sent it."""
        self.writes: Sequence[WriteRule] = ()
        """Which of the unsafe ones are fired."""
        self._pauses = pauses or Pauses(0)
        self._order = Order()
        self._first_ns = 0
        self._fired = 0
        self._last: list[int] = []

    def plan(self, exchange: Exchange) -> WorkItem:
        """The work item of one exchange."""
        rank = self.summary.selected
        self.summary.selected += 1
        request = exchange.request
        start_ns = exchange.captured_at_ns
        session = self._order.name_of(exchange)
        skip = skip_reason(exchange, self._methods, self.writes)
        follows: list[int] = []
        due_ns = 0
        if skip:
            self.summary.skipped[skip] += 1
        else:
            if not self._fired:
                self._first_ns = start_ns
            due_ns = self._pace.due_ns(self._fired, self._pauses.shortened(start_ns - self._first_ns))
            self._fired += 1
            if self._strict:
                follows, self._last = self._last, [rank]
            else:
                follows = self._order.follows(session, rank, start_ns, start_ns + exchange.duration_ns)
        endpoint = self._templates.template(request.method, request.target)
        gives, takes = self._links.gives(rank), self._links.takes(rank)
        return WorkItem(rank, due_ns, endpoint, follows, _lighter(exchange, session), skip, gives, takes)


def _masking(home: Home) -> Mask:
    """Masks as the recorder made them: a token that an answer shows in clear is masked where a request has it in a header."""
    atoms = Atoms(load_seal_keys(home.keys, os.environ).current.mask_key())
    return lambda text: atoms.mask(text.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")


def find_links(
    exchanges: Iterable[Exchange],
    methods: str,
    templates: Templates,
    mask: Mask | None = None,
    writes: Sequence[WriteRule] = (),
) -> Links:
    """What ties the requests of a recording to its earlier answers, as far as they will be fired."""
    order, linker = Order(), Linker(mask)
    for rank, exchange in enumerate(exchanges):
        session = order.name_of(exchange)
        if not skip_reason(exchange, methods, writes):
            request = exchange.request
            linker.see(exchange, session, rank, templates.template(request.method, request.target))
    return decide(linker)


def skip_reason(exchange: Exchange, methods: str, writes: Sequence[WriteRule] = ()) -> str:
    """Why an exchange is not fired; empty when it is."""
    request = exchange.request
    if exchange.no_answer == ERASED:
        return ERASED
    if not request.method or not request.target:
        return "no-request"
    if request.method == "CONNECT" or exchange.no_answer == "upgrade":
        return "not-replayable"
    if methods != "all" and request.method not in SAFE_METHODS:
        return "unsafe-method"
    if writes and request.method not in SAFE_METHODS:
        rule = rule_for(writes, request.method, request.target)
        if rule is not None and not rule.fire:
            return REFUSED
    if request.body.truncated:
        return "truncated-body"
    return ""


def in_order(reader: Reader, frames: list[Frame]) -> Iterator[Exchange]:
    """The exchanges of a recording by (captured_at, agent, epoch, seq), each once, however their frames overlap."""
    pending: list[Exchange] = []
    last: tuple[int, str, int, int] | None = None
    for index, frame in enumerate(frames):
        pending += reader.exchanges_of(frame)
        pending.sort(key=_RECORDED)
        safe_ns = frames[index + 1].first_ns if index + 1 < len(frames) else None
        emitted = 0
        for exchange in pending:
            if safe_ns is not None and exchange.captured_at_ns >= safe_ns:
                break
            emitted += 1
            key = _RECORDED(exchange)
            if key != last:
                yield exchange
            last = key
        del pending[:emitted]


def _lighter(exchange: Exchange, session: str) -> Exchange:
    """The exchange with its united session and without the recorded answer's body, which firing does not need."""
    answer = exchange.response
    if answer is not None:
        cookies = [pair for pair in answer.headers if pair[0].lower() == b"set-cookie"]
        answer = Response(answer.status, answer.http_version, cookies)
    request: Request = exchange.request
    return Exchange(
        exchange.id,
        exchange.service,
        exchange.agent,
        exchange.epoch,
        exchange.seq,
        session,
        exchange.captured_at_ns,
        exchange.duration_ns,
        request,
        answer,
        seal=exchange.seal,
        no_answer=exchange.no_answer,
    )
