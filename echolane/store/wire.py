"""Messages between :mod:`echolane.store.client` and :mod:`echolane.store.owner`: a head, a body, both bounded.

A message is ``magic · head length · body length · head (msgpack) · body``. The body of a page is the engine's lines of JSON.
The rows of an insert, an Arrow IPC stream, are not sent through the socket but as the descriptor of a sealed file in memory.
Both ends are ours and on one machine; the bounds are there so that garbage on the socket costs a connection, never memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec

PROTOCOL = 4
"""Grows when messages change; an owner of another version is named, not misunderstood."""
HEAD_BYTES_MAX = 4 * 1024 * 1024
"""A statement with its parameters. The longest we send ourselves is an IN list of some thousand ids."""
BODY_BYTES_MAX = 96 * 1024 * 1024
"""A page is cut at 8 MiB; the rest is room for one row of the largest size."""
ROWS_BYTES_MAX = 1024 * 1024 * 1024
"""An insert is cut at 8 MiB by its sender, but one row is never cut."""
_PREFIX = struct.Struct("<4sII")
_MAGIC = b"ELS1"
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_SUN_PATH_MAX = 100
"""Linux takes 107 bytes in a unix socket's address; a longer path is reached through a folder's descriptor."""


class Hello(msgspec.Struct, tag="hello"):
    """First word of a connection, answered by :class:`Welcome`."""

    protocol: int = PROTOCOL


class Columns(msgspec.Struct, tag="columns"):
    """Asks for a table's columns, answered by :class:`Described`."""

    table: str


class Insert(msgspec.Struct, tag="insert"):
    """Rows for a table; a descriptor comes with it. Answered by :class:`Done` once they are on the disk."""

    table: str
    names: list[str]


class Query(msgspec.Struct, tag="query"):
    """A statement, answered by any number of :class:`Page` and one :class:`Done`."""

    sql: str
    params: dict[str, Any]
    rows: int
    """Most rows of a page."""


class Ask(msgspec.Struct, tag="ask"):
    """A statement of a foreign reader, through the gate. Answered by :class:`Answered` or :class:`Denied`."""

    statement: str
    form: str
    """The format of the answer where the statement names none."""
    params: dict[str, str]
    seconds: float = 0.0
    rows: int = 0
    settings: dict[str, str] = {}


class Freeze(msgspec.Struct, tag="freeze"):
    """Asks for all parts as they are now (:mod:`echolane.store.freezing`), until this connection ends. Answered by :class:`Frozen`."""


class Welcome(msgspec.Struct, tag="welcome"):
    """Who answers."""

    protocol: int
    pid: int


class Described(msgspec.Struct, tag="described"):
    """A table's columns and their types, in order."""

    types: dict[str, str]


class Page(msgspec.Struct, tag="page"):
    """Some rows of an answer; the body is one JSON array per line."""

    names: list[str]
    types: list[str]
    rows: int


class Done(msgspec.Struct, tag="done"):
    """The request is carried out."""


class Frozen(msgspec.Struct, tag="frozen"):
    """Where the parts are."""

    name: str
    """Of the folder below the engine's ``shadow``."""
    tables: dict[str, str]
    """Names of tables by the names of their folders."""


class Failed(msgspec.Struct, tag="failed"):
    """The request is refused. ``kind`` names the error: query, home or busy."""

    kind: str
    message: str


class Answered(msgspec.Struct, tag="answered"):
    """The whole answer of a foreign reader's statement; it is the body, in this format."""

    form: str
    rows_read: int
    bytes_read: int
    elapsed_s: float


class Denied(msgspec.Struct, tag="denied"):
    """A foreign reader's statement is not answered; ``code`` is ClickHouse's number for why."""

    code: int
    message: str


Request = Hello | Columns | Insert | Query | Ask | Freeze
Reply = Welcome | Described | Page | Done | Failed | Answered | Denied | Frozen

_encode = msgspec.msgpack.Encoder().encode
_requests = msgspec.msgpack.Decoder(Request)
_replies = msgspec.msgpack.Decoder(Reply)


class GarbageReceived(ConnectionError):  # noqa: N818 - it says what was met, as the errors of the floor do
    """The other end does not speak this protocol."""


def send(sock: socket.socket, head: Request | Reply, body: bytes = b"", file: int = -1) -> None:
    """Send one message whole, and with it the descriptor ``file`` if there is one.

    Raises:
        ValueError: it is larger than the other end would take.
        OSError: the other end is gone.
    """
    packed = _encode(head)
    if len(packed) > HEAD_BYTES_MAX or len(body) > BODY_BYTES_MAX:
        raise ValueError(f"a message of {len(packed)} + {len(body)} bytes is larger than the store takes")
    prefix = _PREFIX.pack(_MAGIC, len(packed), len(body))
    if file >= 0:
        socket.send_fds(sock, [prefix[:1]], [file])
        prefix = prefix[1:]
    sock.sendall(prefix + packed)
    if body:
        sock.sendall(body)


def receive_request(sock: socket.socket) -> tuple[Request, int] | None:
    """The next request with the descriptor that came along (or -1), or None when the client has gone between two.

    The descriptor is the caller's to close.
    """
    first, files, _, _ = socket.recv_fds(sock, 1, 1)
    file = files[0] if files else -1
    try:
        if not first:
            return None
        head, _ = _receive(sock, first)
        return _decode(_requests, head), file
    except BaseException:
        if file >= 0:
            os.close(file)
        raise


def rows_file(rows: memoryview) -> int:
    """A descriptor of a file in memory that holds ``rows`` and cannot change any more."""
    file = os.memfd_create("rows", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        while rows:
            rows = rows[os.write(file, rows) :]
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(file)
        raise
    return file


def is_rows_file(file: int) -> bool:
    """Whether ``file`` is such a one: the engine may map it, and a file that shrinks under a map kills its reader."""
    try:
        sealed = file >= 0 and fcntl.fcntl(file, fcntl.F_GET_SEALS) & _SEALS == _SEALS
        return sealed and os.fstat(file).st_size <= ROWS_BYTES_MAX
    except OSError:
        return False


def receive_reply(sock: socket.socket) -> tuple[Reply, bytearray]:
    """The next reply and its body.

    Raises:
        ConnectionError: the owner is gone.
    """
    head, body = _receive(sock, b"")
    return _decode(_replies, head), body


def _decode(decoder: msgspec.msgpack.Decoder[Any], head: bytearray) -> Any:
    try:
        return decoder.decode(head)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise GarbageReceived(f"unreadable head of {len(head)} bytes: {error}") from error


def _receive(sock: socket.socket, begun: bytes) -> tuple[bytearray, bytearray]:
    prefix = begun + _receive_exactly(sock, _PREFIX.size - len(begun))
    magic, head_length, body_length = _PREFIX.unpack(prefix)
    if magic != _MAGIC or head_length > HEAD_BYTES_MAX or body_length > BODY_BYTES_MAX:
        raise GarbageReceived(f"not a message of the store: {bytes(prefix)!r}")
    return _receive_exactly(sock, head_length), _receive_exactly(sock, body_length)


def _receive_exactly(sock: socket.socket, size: int) -> bytearray:
    buffer = bytearray(size)
    view = memoryview(buffer)
    filled = 0
    while filled < size:
        count = sock.recv_into(view[filled:])
        if count == 0:
            raise ConnectionResetError(f"the connection ended after {filled} of {size} bytes")
        filled += count
    return buffer


@contextlib.contextmanager
def address_of(path: Path) -> Generator[str]:
    """An address for ``path`` that fits into a unix socket's, however long the path is."""
    if len(os.fsencode(path)) <= _SUN_PATH_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def connect(path: Path, timeout_s: float) -> socket.socket:
    """Connect to the owner behind ``path``; ``timeout_s`` stays set until the caller lifts it.

    Raises:
        OSError: nobody listens there.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        with address_of(path) as address:
            sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock
