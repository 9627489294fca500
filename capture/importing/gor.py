"""GoReplay files (``.gor``, ``.gor.gz``): records ``type id time latency``, raw HTTP/1 messages, a line of three monkeys between them.

There is no escaping, so a body may hold that line: where a record ends is decided by the length its message announces, and only where that
says nothing by the first separator that is followed by another record. One pass indexes requests and answers over all files of one
recording (GoReplay cuts them into chunks ``name_0.gor``, ``name_1.gor``), the second reads them by time.
"""

from __future__ import annotations

import mmap
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from capture.exchanging import Half, half
from capture.framing import Framer, Message, Unframeable
from capture.importing.entry import Limits
from capture.importing.material import (
    EXCHANGES_MAX,
    MESSAGE_BYTES_MAX,
    UNPARSEABLE,
    WEBSOCKET,
    Imported,
    open_plain,
)
from capture.parsing import request_of, response_of
from echolane.errors import UsageError

SEPARATOR = "\n🐵🙈🙉\n".encode()
META = re.compile(rb"([123]) ([0-9a-fA-F]{1,128}) (-?\d{1,19})(?: (-?\d{1,19}))?[^\n]{0,256}\n")
_CHUNK = re.compile(r"^(.*?)_(\d+)(\.gor(?:\.gz)?)$")
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*(\d{1,18})[ \t]*(?=\r\n)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding[ \t]*:[^\r\n]*chunked", re.IGNORECASE)
_BODILESS = re.compile(rb"HTTP/1\.[01] (?:1\d\d|204|304)\b")
JOINS_MAX = 1000
"""Separators inside one chunked body that are tried as its end; each try costs a look at the body."""
DROP_PAGES_EVERY = 32 * 1024 * 1024
"""Pages of the file are given back after so much was read, so that memory stays bounded."""


class Piece(NamedTuple):
    """Where a message is."""

    file: int
    start: int
    stop: int


class Request(NamedTuple):
    """A request and, once it was met, its answer."""

    time_ns: int
    id: bytes
    at: Piece


class Answer(NamedTuple):
    """An answer and when it came."""

    time_ns: int
    latency_ns: int
    at: Piece


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
        self._requests: list[Request] = []
        self._answers: dict[int, Answer] = {}
        self._read = 0
        for path in self._paths:
            with open_plain(path) as file:
                if not file.seek(0, 2):
                    raise UsageError(f"{path} is not a GoReplay file: it is empty")
                self._maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def check(self) -> None:
        """Find every record and pair requests with answers; UsageError names the byte at which there is no record."""
        waiting: dict[bytes, int] = {}
        early: dict[bytes, Answer] = {}
        for file, path in enumerate(self._paths):
            for kind, id_, time_ns, latency_ns, at in self._records(file, path):
                if kind == b"3":
                    self.notes["replayed-answers-ignored"] += 1
                elif kind == b"1":
                    if len(self._requests) >= EXCHANGES_MAX:
                        raise UsageError(
                            f"{path} byte {at.start}: more than {EXCHANGES_MAX} requests; import fewer files at once"
                        )
                    place = len(self._requests)
                    self._requests.append(Request(time_ns, id_, at))
                    if id_ in early:
                        self._answers[place] = early.pop(id_)
                    else:
                        waiting[id_] = place
                elif id_ in waiting:
                    self._answers[waiting.pop(id_)] = Answer(time_ns, latency_ns, at)
                else:
                    self.notes["answers-without-request"] += id_ in early
                    early[id_] = Answer(time_ns, latency_ns, at)
        if early:
            self.notes["answers-without-request"] += len(early)

    def exchanges(self) -> Iterator[Imported | str]:
        """Every request with its answer, by the time of the request."""
        for place in sorted(range(len(self._requests)), key=lambda place: self._requests[place].time_ns):
            yield self._exchange(self._requests[place], self._answers.get(place))

    def close(self) -> None:
        """Close the files."""
        for mapped in self._maps:
            mapped.close()

    def _records(self, file: int, path: Path) -> Iterator[tuple[bytes, bytes, int, int, Piece]]:
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
            # The id's text in any case stands for the same bytes.
            kind, id_ = meta[1], meta[2].lower()
            yield kind, id_, max(0, int(meta[3])), max(0, int(meta[4] or 0)), Piece(file, meta.end(), end)
            self._release(data, end - at)
            at = end + len(SEPARATOR)

    def _release(self, data: mmap.mmap, size: int) -> None:
        self._read += size
        if self._read >= DROP_PAGES_EVERY:
            data.madvise(mmap.MADV_DONTNEED)
            self._read = 0

    def _bytes(self, at: Piece) -> bytes:
        data = self._maps[at.file]
        found = data[at.start : at.stop]
        self._release(data, len(found))
        return found

    def _exchange(self, request: Request, answer: Answer | None) -> Imported | str:
        if request.at.stop - request.at.start > MESSAGE_BYTES_MAX:
            return "too-large"
        try:
            asked = message_of(self._bytes(request.at), self._limits.request, requests=True)
        except Unframeable:
            return UNPARSEABLE
        made = request_of(asked, "")
        response, no_answer = None, "not-recorded"
        if answer is not None:
            bodiless = made.method == "HEAD"
            try:
                whole = answer.at.stop - answer.at.start <= MESSAGE_BYTES_MAX
                told = self._bytes(answer.at) if whole else b""
                response = response_of(message_of(told, self._limits.answer, requests=False, bodiless=bodiless))
                no_answer = ""
            except Unframeable:
                no_answer = "unframeable"
                self.notes["answers-unframeable"] += 1
            if response is not None and response.status == 101:
                return WEBSOCKET
        # Ids are made of ports and address (8 bytes) and a number that changes; older ones are longer.
        connection = request.id[:16] if len(request.id) <= 24 else request.id[:20]
        took = 0 if answer is None else answer.latency_ns or max(0, answer.time_ns - request.time_ns)
        return Imported(made, response, no_answer, request.time_ns, took, f"gor {connection.decode()}")


def _record_end(data: mmap.mmap, start: int) -> int | None:
    """Where the message that begins at ``start`` ends: before a separator, or None when it runs to the end of the file."""
    first = data.find(SEPARATOR, start)
    if first < 0:
        return None
    if _is_boundary(data, first) and data.find(_HEAD_END, start, first) < 0:
        return first
    head_end = data.find(_HEAD_END, start, min(first, start + MESSAGE_BYTES_MAX))
    if head_end < 0:
        return _next_boundary(data, first)
    head = b"\r\n" + data[start : head_end + 2]
    if _CHUNKED.search(head):
        return _chunked_end(data, start, first)
    length = _LENGTH.search(head)
    if length is not None and not _BODILESS.match(head, 2):
        end = head_end + 4 + int(length[1])
        if end >= first and data[end : end + len(SEPARATOR)] == SEPARATOR and _is_boundary(data, end):
            return end
        if end == len(data):
            return None
        if end < first:
            return first
    return _next_boundary(data, first)


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


def message_of(data: bytes, limit: int, *, requests: bool, bodiless: bool = False) -> Half:
    """One message of a file; Unframeable when it is no HTTP/1. A request whose body is cut is marked as truncated."""
    framer = Framer(requests=requests, limit=limit)
    message, rest = framer.head(data)
    if message is None:
        raise Unframeable("the head does not end")
    framer.begin_body(message, bodiless=bodiless or (not requests and _is_bodiless(message)))
    if rest and not message.complete:
        framer.body(rest)
    framer.close()
    found = half(message)
    if requests and not found.complete:
        found = found._replace(truncated=True, size=max(found.size, 1))
    return found


def _is_bodiless(message: Message) -> bool:
    return message.status < 200 or message.status in {204, 304}
