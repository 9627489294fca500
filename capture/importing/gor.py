"""GoReplay files (``.gor``, ``.gor.gz``): records ``type id time latency``, raw HTTP/1 messages, a line of three monkeys between them.

There is no escaping, so a body may hold that line: where a record ends is decided by the length its message announces, and only where that
says nothing by the first separator that is followed by another record. One pass indexes requests and answers over all files of one
recording (GoReplay cuts them into chunks ``name_0.gor``, ``name_1.gor``), the second reads them by time.
"""

from __future__ import annotations

import mmap
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from capture.exchanging import Half, half
from capture.framing import Framer, Message, Unframeable
from capture.importing.entry import Limits
from capture.importing.material import (
    EXCHANGES_MAX,
    MESSAGE_BYTES_MAX,
    TOO_LARGE,
    UNPARSEABLE,
    WEBSOCKET,
    Imported,
)
from capture.importing.packed import open_plain
from capture.parsing import request_of, response_of
from echolane.errors import UsageError

SEPARATOR = "\n🐵🙈🙉\n".encode()
META = re.compile(rb"([123]) ([0-9a-fA-F]{1,128}) (-?\d{1,19})(?: (-?\d{1,19}))?[^\n]{0,256}\n")
_CHUNK = re.compile(r"^(.*?)_(\d+)(\.gor(?:\.gz)?)$")
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*(\d{1,18})[ \t]*(?=\r\n)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding[ \t]*:[^\r\n]*chunked", re.IGNORECASE)
_BODILESS = re.compile(rb"HTTP/1\.[01] (?:1\d\d|204|304)\b")
WAITING_MAX = 200_000
"""Requests without an answer yet, and the other way round; more than any service has in flight. Files without answers need the bound."""
JOINS_MAX = 1000
"""Separators inside one chunked body that are tried as its end; each try costs a look at the body."""
DROP_PAGES_EVERY = 32 * 1024 * 1024
"""Pages of the file are given back after so much was read, so that memory stays bounded."""


class Record(NamedTuple):
    """One record as it stands in a file."""

    kind: bytes
    id: bytes
    time_ns: int
    latency_ns: int
    start: int
    """Where its message begins."""
    stop: int


class _Index:
    """Where every record of interest is, and which answer belongs to which request, in some 60 bytes an exchange."""

    def __init__(self) -> None:
        self.files, self.begins, self.stops = array("H"), array("Q"), array("Q")
        self.times, self.requests, self.answers = array("Q"), array("Q"), array("q")
        self._waiting: dict[bytes, int] = {}
        self._early: dict[bytes, int] = {}
        self.lonely = 0
        """Answers whose request is not there."""

    def add(self, file: int, begin: int, record: Record) -> None:
        """Remember a request or an answer, and pair it."""
        number = len(self.begins)
        self.files.append(file)
        self.begins.append(begin)
        self.stops.append(record.stop)
        if record.kind == b"1":
            self.times.append(record.time_ns)
            self.requests.append(number)
            answer = self._early.pop(record.id, None)
            self.answers.append(-1 if answer is None else answer)
            if answer is None:
                self._waiting[record.id] = len(self.requests) - 1
                self._forget(self._waiting)
            return
        asked = self._waiting.pop(record.id, None)
        if asked is not None:
            self.answers[asked] = number
            return
        self.lonely += record.id in self._early
        self._early[record.id] = number
        self.lonely += self._forget(self._early)

    def end(self) -> None:
        """All records are known: answers that still wait for a request have none."""
        self.lonely += len(self._early)
        self._waiting.clear()
        self._early.clear()

    def _forget(self, table: dict[bytes, int]) -> bool:
        """Drop the oldest of too many that wait for their other half."""
        if len(table) <= WAITING_MAX:
            return False
        del table[next(iter(table))]
        return True


def in_order(paths: Sequence[Path]) -> list[Path]:
    """Chunks of one recording by their number, everything else as given."""

    def key(place: int) -> tuple[int, int]:
        found = _CHUNK.match(paths[place].name)
        if found is None:
            return place, 0
        first = next(i for i, path in enumerate(paths) if _family(path) == _family(paths[place]))
        return first, int(found[2])

    return [paths[place] for place in sorted(range(len(paths)), key=key)]


def _family(path: Path) -> tuple[Path, str, str]:
    found = _CHUNK.match(path.name)
    return (path.parent, found[1], found[3]) if found else (path.parent, path.name, "")


class GorSource:
    """All GoReplay files of one import."""

    def __init__(self, paths: Sequence[Path], limits: Limits) -> None:
        self.notes: Counter[str] = Counter()
        self._limits = limits
        self._paths = in_order(paths)
        self._maps: list[mmap.mmap] = []
        self._index = _Index()
        self._read = 0
        for path in self._paths:
            with open_plain(path) as file:
                if not file.seek(0, 2):
                    raise UsageError(f"{path} is not a GoReplay file: it is empty")
                self._maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def check(self) -> None:
        """Find every record and pair requests with answers; UsageError names the byte at which there is no record."""
        index = self._index
        for file, path in enumerate(self._paths):
            for begin, record in self._records(file, path):
                if record.kind == b"3":
                    self.notes["replayed-answers-ignored"] += 1
                    continue
                if len(index.begins) >= 2 * EXCHANGES_MAX:
                    raise UsageError(
                        f"{path}: byte {begin}: more than {EXCHANGES_MAX} exchanges; import fewer files at once"
                    )
                index.add(file, begin, record)
        index.end()
        self.notes["answers-without-request"] += index.lonely

    def exchanges(self) -> Iterator[Imported | str]:
        """Every request with its answer, by the time of the request."""
        times = self._index.times
        for place in sorted(range(len(times)), key=times.__getitem__):
            answer = self._index.answers[place]
            yield self._exchange(
                self._record(self._index.requests[place]), self._record(answer) if answer >= 0 else None
            )

    def close(self) -> None:
        """Close the files."""
        for mapped in self._maps:
            mapped.close()

    def _records(self, file: int, path: Path) -> Iterator[tuple[int, Record]]:
        data, at = self._maps[file], 0
        while at < len(data):
            meta = META.match(data, at)
            if meta is None:
                if not at:
                    raise UsageError(
                        f"{path} is not a GoReplay file: byte 0 does not begin a record (`1 ID TIME`);"
                        " give --format when it is something else"
                    )
                raise UsageError(
                    f"{path}: byte {at} begins no record and belongs to no body before it;"
                    " a separator stands inside a message, or bytes are missing: record it again"
                )
            end = _record_end(data, meta.end())
            if end is None:
                self.notes["unterminated"] += 1
                end = len(data)
            yield at, _record(meta, end)
            self._release(data, end - at)
            at = end + len(SEPARATOR)

    def _release(self, data: mmap.mmap, size: int) -> None:
        self._read += size
        if self._read >= DROP_PAGES_EVERY:
            data.madvise(mmap.MADV_DONTNEED)
            self._read = 0

    def _record(self, number: int) -> tuple[Record, bytes | None]:
        """A record of the index and its message; None for one that is too large."""
        data = self._maps[self._index.files[number]]
        meta = META.match(data, self._index.begins[number])
        if meta is None:
            raise UsageError(
                f"{self._paths[self._index.files[number]]} was changed while it was imported; import it again"
            )
        record = _record(meta, self._index.stops[number])
        if record.stop - record.start > MESSAGE_BYTES_MAX:
            return record, None
        found = data[record.start : record.stop]
        self._release(data, len(found))
        return record, found

    def _exchange(self, asked: tuple[Record, bytes | None], told: tuple[Record, bytes | None] | None) -> Imported | str:
        request, data = asked
        if data is None:
            return TOO_LARGE
        try:
            made = request_of(message_of(data, self._limits.request, self.notes, requests=True), "")
        except Unframeable:
            return UNPARSEABLE
        response, no_answer, took = None, "not-recorded", 0
        self.notes["answers-missing"] += told is None
        if told is not None:
            try:
                response = response_of(
                    message_of(
                        told[1] or b"", self._limits.answer, self.notes, requests=False, bodiless=made.method == "HEAD"
                    )
                )
                no_answer = ""
            except Unframeable:
                no_answer = "unframeable"
                self.notes["answers-unframeable"] += 1
            if response is not None and response.status == 101:
                return WEBSOCKET
            took = told[0].latency_ns or max(0, told[0].time_ns - request.time_ns)
        # Ids are made of ports and address (8 bytes) and a number that changes; older ones are longer.
        connection = request.id[:16] if len(request.id) <= 24 else request.id[:20]
        return Imported(made, response, no_answer, request.time_ns, took, f"gor {connection.decode()}")


def _record(meta: re.Match[bytes], stop: int) -> Record:
    # The id's digits in either case stand for the same bytes.
    return Record(meta[1], meta[2].lower(), max(0, int(meta[3])), max(0, int(meta[4] or 0)), meta.end(), stop)


def _record_end(data: mmap.mmap, start: int) -> int | None:
    """Where the message that begins at ``start`` ends: before a separator, or None when it runs to the end of the file."""
    first = data.find(SEPARATOR, start)
    if first < 0:
        return None
    head_end = data.find(_HEAD_END, start, min(first, start + MESSAGE_BYTES_MAX))
    if head_end < 0:
        return _next_boundary(data, first)
    head = b"\r\n" + data[start : head_end + 2]
    if _CHUNKED.search(head):
        return _chunked_end(data, start, first)
    end = head_end + len(_HEAD_END)
    if not _BODILESS.match(head, 2):
        length = _LENGTH.search(head)
        if length is None and head.startswith(b"\r\nHTTP/"):
            return _next_boundary(data, first)
        end += int(length[1]) if length else 0
    if end == len(data):
        return None
    if end > first and data[end : end + len(SEPARATOR)] == SEPARATOR and _is_boundary(data, end):
        return end
    # Not as long as it says: an answer to HEAD, or the capture has cut it. What is behind its announced end is no part of it.
    boundary = _next_boundary(data, first)
    return boundary if boundary <= end else first


def _is_boundary(data: mmap.mmap, separator: int) -> bool:
    """Whether a record or the end of the file follows the separator."""
    after = separator + len(SEPARATOR)
    return after >= len(data) or META.match(data, after) is not None


def _next_boundary(data: mmap.mmap, separator: int) -> int:
    """The first separator from here on that a record follows; the first of all, if there is none."""
    found = separator
    while found >= 0 and found - separator <= MESSAGE_BYTES_MAX:
        if _is_boundary(data, found):
            return found
        found = data.find(SEPARATOR, found + 1)
    return separator


def _chunked_end(data: mmap.mmap, start: int, first: int) -> int | None:
    """The separator at which the chunks are complete; where none is, as if the body had no framing."""
    found = first
    framer = Framer(requests=data[start : start + 5] != b"HTTP/", limit=0)
    at = start
    try:
        for _ in range(JOINS_MAX):
            piece = data[at:found]
            if framer.message is None:
                message, piece = framer.head(piece)
                if message is None:
                    break
                framer.begin_body(message, bodiless=False)
            if not framer.message or not framer.message.complete:
                framer.body(piece)
            if framer.message is not None and framer.message.complete:
                return found
            at, found = found, data.find(SEPARATOR, found + 1)
            if found < 0 or found - start > MESSAGE_BYTES_MAX:
                break
    except Unframeable:
        pass
    return _next_boundary(data, first)


def message_of(data: bytes, limit: int, notes: Counter[str], *, requests: bool, bodiless: bool = False) -> Half:
    """One message of a file; Unframeable when it is no HTTP/1. A request whose body is cut is marked as truncated."""
    framer = Framer(requests=requests, limit=limit)
    message, rest = framer.head(data)
    if message is None:
        raise Unframeable("the head does not end")
    framer.begin_body(message, bodiless=bodiless or (not requests and _is_bodiless(message)))
    if rest and not message.complete:
        rest = framer.body(rest)
    if message.complete and rest:
        notes["bytes-behind-messages"] += len(rest)
    framer.close()
    found = half(message)
    if requests and not found.complete:
        found = msgspec.structs.replace(found, truncated=True, size=found.size + 1)  # one byte is missing, at least
    return found


def _is_bodiless(message: Message) -> bool:
    return message.status < 200 or message.status in {204, 304}
