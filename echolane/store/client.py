"""A store as other processes see it: connections to the owner, which is started, found again and asked again as needed.

:func:`echolane.store.open_store` makes a :class:`StoreClient`. The owner is :mod:`echolane.store.owner`, the messages are
:mod:`echolane.store.wire`, columns become Arrow in :mod:`echolane.store.columns`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import orjson

from echolane.errors import HomeError, StoreBusy
from echolane.store import QueryError, Row, wire
from echolane.store.rows import uncollected
from echolane.store.starting import Outcome, start_owner

T = TypeVar("T")

CONNECT_S = 30.0
"""How long to try for an owner that answers: a cold start takes about a second, one on a busy machine several."""
ATTEMPTS_MAX = 8
"""Owners that may die under one request; beyond it the request itself is what kills them."""
ASKED_MAX = 2
"""The same for a foreign reader's statement: the first may meet a kept connection to an owner that is gone; none may end owner after owner."""
FREEZE_S = 4.0
"""How long a freeze may take: whoever asks for one keeps writers of the journal from their turn meanwhile, who wait for ten seconds."""
ANSWER_BYTES_MAX = 256 * 1024 * 1024
"""What :meth:`StoreClient.query` collects at most; larger answers are streamed."""
IDLE_MAX = 4
"""Connections kept for the next request; more than a process has threads that ask at once."""
PAGE_ROWS = 10_000
_CHANGED = "the store's owner died and the rows changed while they were read; read them again"


class StoreClient:
    """The :class:`~echolane.store.Store` of one home. Safe to share between threads; a fork gets connections of its own."""

    def __init__(self, home: Path) -> None:
        """Connect, so that a home that cannot be used is told now.

        Raises:
            StoreBusy: another program holds the store's files.
            HomeError: the path cannot be used.
        """
        self._home = home.absolute()
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []
        self._process = os.getpid()
        self._types: dict[str, dict[str, str]] = {}
        self._closed = False
        self._give_back(self._connect())

    def __repr__(self) -> str:
        return f"<StoreClient of {self._home}, {'closed' if self._closed else f'{len(self._idle)} connections'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the owner."""
        self._closed = True
        self._drop_idle()

    def insert(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """See :meth:`echolane.store.Store.insert`."""
        from echolane.store.columns import SLICE_ROWS_MAX, slices  # noqa: PLC0415 - pyarrow costs 0.2 s, and `show` never inserts

        names = list(columns)
        parts = slices(columns, self._columns_of(table), table)
        if max(map(len, columns.values()), default=0) <= SLICE_ROWS_MAX:
            for part in parts:
                self._insert_part(table, names, part)
            return
        # The next part is made from its columns while the one before is on its way to the disk.
        with ThreadPoolExecutor(max_workers=1) as pool:
            under_way: Future[None] | None = None
            for part in parts:
                if under_way:
                    under_way.result()
                under_way = pool.submit(self._insert_part, table, names, part)
            if under_way:
                under_way.result()

    def _insert_part(self, table: str, names: list[str], part: memoryview) -> None:
        request = wire.Insert(table, names)
        file = wire.rows_file(part)
        try:
            self._retrying(lambda sock: _exchange(sock, request, file))
        finally:
            os.close(file)

    def query(self, sql: str, params: Mapping[str, object] | None = None) -> list[Row]:
        """See :meth:`echolane.store.Store.query`."""
        request = wire.Query(sql, _plain(params), PAGE_ROWS)

        def collect(sock: socket.socket) -> list[Row]:
            rows: list[Row] = []
            size = 0
            for page, body in _pages(sock, request):
                size += len(body)
                if size > ANSWER_BYTES_MAX:
                    raise QueryError(f"the answer is larger than {ANSWER_BYTES_MAX} bytes; use stream() for it")
                rows += _rows(page, body)
            return rows

        return self._retrying(collect)

    def ask(self, request: wire.Ask) -> tuple[wire.Answered, bytes]:
        """A foreign reader's statement: the owner has it pass the gate, and answers it whole.

        Raises:
            Refused: the gate or the engine will not.
        """
        from echolane.store.gate import Refused  # noqa: PLC0415 - only the readers' door comes here

        def talk(sock: socket.socket) -> tuple[wire.Reply, bytearray]:
            wire.send(sock, request)
            return wire.receive_reply(sock)

        reply, body = self._retrying(talk, ASKED_MAX)
        if isinstance(reply, wire.Denied):
            raise Refused(reply.code, reply.message)
        return cast("wire.Answered", _checked(reply)), bytes(body)

    @contextlib.contextmanager
    def frozen(self) -> Generator[wire.Frozen]:
        """All parts as they are at one moment, for as long as the block; the rest of the store goes on.

        The owner is asked over a connection that is there, where there is one: it was started before then.

        Raises:
            HomeError: the owner hangs or died, which at the block's end says that parts went while they were copied; or there is no
                room for the links.
        """
        sock = self._take()
        try:
            sock.settimeout(FREEZE_S)
            try:
                reply = _exchange(sock, wire.Freeze())
            except TimeoutError as error:
                raise HomeError(
                    f"{self._holder()}, the store's owner, did not freeze the store within {FREEZE_S:.0f} s; try again, or look at it"
                ) from error
            except OSError as error:
                raise HomeError(f"the store's owner died while it froze the store ({error}); try again") from error
            yield cast("wire.Frozen", reply)
            sock.settimeout(CONNECT_S)
            try:  # what is frozen goes with its owner, and with it files that nobody would miss
                _exchange(sock, wire.Hello())
            except OSError as error:
                raise HomeError(f"the store's owner ended while its parts were copied ({error}); try again") from error
        finally:
            sock.close()

    def stream(
        self, sql: str, params: Mapping[str, object] | None = None, rows: int = PAGE_ROWS
    ) -> Generator[list[Row]]:
        """See :meth:`echolane.store.Store.stream`."""
        request = wire.Query(sql, _plain(params), rows)
        given, digest = 0, b""
        failures = 0
        while True:
            sock = self._take()
            whole, count = False, 0
            try:
                running = hashlib.blake2b(digest_size=16)
                for count, (page, body) in enumerate(_pages(sock, request), start=1):
                    running.update(body)
                    if count > given:
                        given, digest, failures = count, running.digest(), 0
                        yield _rows(page, body)
                    elif count == given and running.digest() != digest:
                        raise HomeError(_CHANGED)
                if count < given:
                    raise HomeError(_CHANGED)
                whole = True
            except OSError as error:
                failures += 1
                self._note_failure(failures, error)
            finally:
                # An abandoned or broken conversation is in the middle of something: it cannot be used again.
                if whole:
                    self._give_back(sock)
                else:
                    sock.close()
            if whole:
                return

    def _columns_of(self, table: str) -> dict[str, str]:
        known = self._types.get(table)
        if known is None:
            reply = self._retrying(lambda sock: _exchange(sock, wire.Columns(table)))
            known = self._types[table] = reply.types if isinstance(reply, wire.Described) else {}
        return known

    def _retrying(self, talk: Callable[[socket.socket], T], attempts: int = ATTEMPTS_MAX) -> T:
        """Have one conversation, again with the next owner if this one dies in it."""
        failures = 0
        while True:
            sock = self._take()
            try:
                result = talk(sock)
            except OSError as error:
                sock.close()
                failures += 1
                self._note_failure(failures, error, attempts)
                continue
            except BaseException:
                sock.close()
                raise
            self._give_back(sock)
            return result

    def _note_failure(self, failures: int, error: OSError, attempts: int = ATTEMPTS_MAX) -> None:
        self._drop_idle()
        if failures >= attempts:
            log = self._home / "log" / "store.log"
            raise HomeError(f"the store's owner died {failures} times in a row ({error}); see {log}") from error

    def _take(self) -> socket.socket:
        if self._closed:
            raise HomeError(f"the store of {self._home} was closed by this program")
        if self._process != os.getpid():
            # After a fork the connections belong to the parent: two processes on one would garble it.
            self._lock = threading.Lock()
            self._drop_idle()
            self._process = os.getpid()
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _give_back(self, sock: socket.socket) -> None:
        with self._lock:
            if len(self._idle) < IDLE_MAX and not self._closed:
                self._idle.append(sock)
                return
        sock.close()

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for sock in idle:
            sock.close()

    def _connect(self) -> socket.socket:
        """A connection to an owner that has said its name, however many have to be started for it."""
        deadline = time.monotonic() + CONNECT_S
        pause_s, deaths = 0.01, 0
        path = self._home / "store.sock"
        while True:
            try:
                return _greeted(path, max(1.0, deadline - time.monotonic()))
            except TimeoutError:
                raise self._silent() from None
            except OSError:
                _refuse_foreign(path)
            if time.monotonic() > deadline:
                raise self._silent()
            outcome = start_owner(self._home, deadline)
            if outcome is Outcome.READY:
                continue
            if outcome is Outcome.DIED:
                deaths += 1
                self._note_failure(deaths, ConnectionResetError("it ended while it was starting"))
            # Or another process was faster; its owner is about to listen, or an old one is about to let go.
            time.sleep(pause_s)
            pause_s = min(0.2, pause_s * 2)

    def _holder(self) -> str:
        """The owner's process."""
        holder = ""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            holder = (self._home / "store" / "owner.lock").read_text().strip()
        return f"process {holder or 'unknown'}"

    def _silent(self) -> StoreBusy:
        return StoreBusy(
            f"the store of {self._home} is held by {self._holder()}, which has not answered for {CONNECT_S:.0f} s;"
            " end it and run this again"
        )


def _refuse_foreign(path: Path) -> None:
    """A file of somebody else in the socket's place is theirs: say so, don't touch it."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise HomeError(f"{path} is not a socket of Echolane; move it away")


def _greeted(path: Path, timeout_s: float) -> socket.socket:
    sock = wire.connect(path, timeout_s)
    try:
        _recognise(_exchange(sock, wire.Hello()), path)
        # From here on the owner may take its time: a slow disk is backpressure, not a fault.
        sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return sock


def _recognise(reply: wire.Reply, path: Path) -> None:
    if not isinstance(reply, wire.Welcome) or reply.protocol != wire.PROTOCOL:
        # Ended by itself, it would be begun again by those that it serves, which then could not speak to the new one.
        raise HomeError(
            f"the owner of the store at {path} is another version of Echolane; end the commands of that version which use this "
            "home (`echolane up`, `api`, runs): it ends with the last of them; then run this again"
        )


def _exchange(sock: socket.socket, head: wire.Request, file: int = -1) -> wire.Reply:
    """One request, one reply."""
    wire.send(sock, head, file=file)
    reply, _ = wire.receive_reply(sock)
    return _checked(reply)


def _pages(sock: socket.socket, request: wire.Query) -> Generator[tuple[wire.Page, bytearray]]:
    wire.send(sock, request)
    while True:
        reply, body = wire.receive_reply(sock)
        page = _checked(reply)
        if not isinstance(page, wire.Page):
            return
        yield page, body


def _checked(reply: wire.Reply) -> wire.Reply:
    if not isinstance(reply, wire.Failed):
        return reply
    if reply.kind == "query":
        raise QueryError(reply.message)
    raise (StoreBusy if reply.kind == "busy" else HomeError)(reply.message)


def _plain(params: Mapping[str, object] | None) -> dict[str, Any]:
    return dict(params or {})


def _rows(page: wire.Page, body: bytearray) -> list[Row]:
    """One JSON array per line to rows. A line break inside a text is escaped, so a raw one ends a row."""
    text = b"[" + bytes(body).rstrip().replace(b"\n", b",") + b"]"
    with uncollected():
        try:
            values: list[list[Any]] = orjson.loads(text)
        except orjson.JSONDecodeError:
            # A function such as substring() has cut a character in two.
            values = orjson.loads(text.decode("utf-8", "replace"))
        for index, kind in enumerate(page.types):
            if kind.startswith("DateTime64(9"):
                for row in values:
                    row[index] = int(row[index].replace(".", ""))
            elif "DateTime" in kind:
                for row in values:
                    row[index] = _nanoseconds(row[index])
        names = page.names
        return [dict(zip(names, row, strict=True)) for row in values]


def _nanoseconds(value: Any) -> Any:
    """Seconds since the epoch as text (``1700000000.25``) to nanoseconds; lists and nulls as they are."""
    if isinstance(value, str):
        seconds, _, fraction = value.partition(".")
        return int(seconds) * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))
    if isinstance(value, list):
        return [_nanoseconds(item) for item in cast("list[Any]", value)]
    return value if value is None else int(value) * 1_000_000_000
