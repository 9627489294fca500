"""The one door to clickhouse-driver: one connection to a ClickHouse server, in its native protocol.

:mod:`echolane.store.server` makes a store of such connections: it finds a host that answers, and asks again when one dies.
Foreign errors end here. What comes out is :class:`~echolane.store.QueryError` (the statement or a value is wrong),
:class:`~echolane.errors.StoreDown` (asked again, it may work), or :class:`~echolane.errors.HomeError` (it will not).
"""

from __future__ import annotations

import importlib
import logging
import re
import ssl
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, cast

from echolane.errors import HomeError, StoreDamaged, StoreDown, UsageError
from echolane.store import QueryError
from echolane.store.address import Address
from echolane.store.literals import quoted
from echolane.store.rows import Block, uncollected

SUPPORTED = (23, 8)
"""The oldest server whose SQL has all that the tables and views need."""
_TOKENS = (22, 2)
"""Since when an insert may carry a token by which a replicated table knows a repetition."""
_DATETIME64, _DATETIME = re.compile(r"DateTime64\((\d)[^)]*\)"), re.compile(r"DateTime(\([^)]*\))?")
_REVISION = 54_440
"""What we say we speak: every supported server does, and the tests' bridge, so that what is proven there is what is spoken here."""
_DATA = 1
"""The packet that holds rows."""
_TRY_AGAIN = {
    159,  # TIMEOUT_EXCEEDED
    202,  # TOO_MANY_SIMULTANEOUS_QUERIES
    209,  # SOCKET_TIMEOUT
    210,  # NETWORK_ERROR
    225,  # NO_ZOOKEEPER
    236,  # ABORTED: it is shutting down
    242,  # TABLE_IS_READ_ONLY: its keeper is away
    252,  # TOO_MANY_PARTS
    319,  # UNKNOWN_STATUS_OF_INSERT
    394,  # QUERY_WAS_CANCELLED
    999,  # KEEPER_EXCEPTION
}
_DAMAGED = {
    27,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED: of a part's own files
    32,  # ATTEMPT_TO_READ_AFTER_EOF
    33,  # CANNOT_READ_ALL_DATA
    40,  # CHECKSUM_DOESNT_MATCH
    74,  # CANNOT_READ_FROM_FILE_DESCRIPTOR
    76,  # CANNOT_OPEN_FILE
    107,  # FILE_DOESNT_EXIST
    117,  # INCORRECT_DATA
    226,  # NO_FILE_IN_DATA_PART
    227,  # UNEXPECTED_FILE_IN_DATA_PART
    228,  # BAD_SIZE_OF_FILE_IN_DATA_PART
    232,  # NO_SUCH_DATA_PART
    246,  # CORRUPTED_DATA
    271,  # CANNOT_DECOMPRESS
    736,  # CANNOT_READ_ALL_DATA of an encrypted disk
    740,  # POTENTIALLY_BROKEN_DATA_PART
}
_DENIED, _UNKNOWN_DATABASE, _MEMORY, _FULL, _READ_ONLY = {192, 193, 194, 195, 516}, 81, 241, 243, {164, 291, 497}
_TOO_LARGE_SETTING = 164
"""A user whose profile is read-only may not say how long blocks are to be, either."""


def driver() -> Any:
    """The driver, which is an extra.

    Raises:
        UsageError: it is not installed.
    """
    try:
        found = importlib.import_module("clickhouse_driver")
    except ModuleNotFoundError as error:
        raise UsageError(
            "a store at clickhouse:// needs the driver, which is an extra: pip install 'echolane[clickhouse]'"
        ) from error
    # It warns of each connection that fails, on stderr where nobody has set logging up; we tell in our own words.
    logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)
    return found


class Connection:
    """One conversation with one host. Not shared between threads."""

    def __init__(self, address: Address, host: tuple[str, int], oldest: tuple[int, int] = SUPPORTED) -> None:
        """Connect and say who we are, within ``connect_s``.

        Raises:
            StoreDown: nobody answers there.
            HomeError: somebody does, and will not have us.
        """
        self.host = f"{host[0]}:{host[1]}"
        self._address = address
        self._narrow = True
        self._native: Any = driver().Client(
            host=host[0],
            port=host[1],
            database=address.database,
            user=address.user,
            password=address.password,
            client_name="echolane",
            connect_timeout=address.connect_s,
            send_receive_timeout=address.connect_s,
            sync_request_timeout=address.connect_s,
            compression=False if address.compression == "none" else address.compression,
            secure=address.secure,
            verify=address.verify,
            ca_certs=address.ca or _trusted(address),
            disable_reconnect=True,
            client_revision=_REVISION,
        )
        inner: Any = self._native.connection
        with self._translated():
            inner.connect()
        self.version: tuple[int, int, int] = inner.server_info.version_tuple()
        if self.version[:2] < oldest:
            self.close()
            told, needed = ".".join(map(str, self.version)), ".".join(map(str, oldest))
            raise HomeError(f"ClickHouse {told} at {self.host} is too old: Echolane needs {needed} or newer")
        self._converse()

    def __repr__(self) -> str:
        return f"<Connection to ClickHouse {'.'.join(map(str, self.version))} at {self.host}>"

    def _converse(self) -> None:
        """From the hello on the server has its time to answer, and times are numbers."""
        inner: Any = self._native.connection
        inner.socket.settimeout(self._address.answer_s)
        _raw_times(inner)

    def close(self) -> None:
        """End the conversation, wherever it is."""
        self._native.disconnect()

    def run(self, sql: str) -> bytes:
        """One statement without parameters; its answer as tab separated text."""
        rows = [row for block in self.blocks(sql) for row in zip(*block.columns, strict=True)]
        return "".join("\t".join(map(str, row)) + "\n" for row in rows).encode()

    def columns(self, table: str) -> dict[str, str]:
        """A table's columns and their types."""
        sql = "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = "
        found = {
            name: kind for block in self.blocks(sql + quoted(table)) for name, kind in zip(*block.columns, strict=True)
        }
        if not found:
            raise QueryError(f"there is no table {table!r} in the store")
        return found

    def insert(self, table: str, columns: Mapping[str, Sequence[Any]], token: str) -> None:
        """Rows as columns of equal length, stored when this returns. Replicated tables drop what comes with the same ``token`` again.

        Raises:
            UnicodeEncodeError: a text has no UTF-8.
            TypeError, ValueError: a value that its column cannot hold.
        """
        listed = ", ".join(f"`{name}`" for name in columns)
        settings = {"insert_deduplication_token": token, "async_insert": 0} if self.version[:2] >= _TOKENS else {}
        # The driver writes times into the list it is given; a tuple would not let it.
        values = [column if isinstance(column, list) else list(column) for column in columns.values()]
        with self._translated(), uncollected():
            self._native.execute(f"INSERT INTO `{table}` ({listed}) VALUES", values, columnar=True, settings=settings)

    def blocks(self, sql: str, rows: int = 0) -> Generator[Block]:
        """The answer, block by block; of at most ``rows`` rows each where that is asked for.

        A reader who stops in the middle must :meth:`close` the connection.
        """
        settings = {"max_block_size": rows} if rows and self._narrow else {}
        given = False
        try:
            for block in self._blocks(sql, settings):
                given = True
                yield block
        except _SettingRefused:
            if given or not settings:
                raise
        else:
            return
        self._narrow = False
        with self._translated():
            self._native.connection.connect()
        self._converse()
        yield from self._blocks(sql, {})

    def _blocks(self, sql: str, settings: Mapping[str, Any]) -> Generator[Block]:
        # The driver's own iterator gives rows; columns are cheaper to look through.
        client = self._native
        with self._translated(), client.disconnect_on_error(sql, settings):
            client.connection.send_query(sql)
            client.connection.send_external_tables(None)
        packets = client.packet_generator()
        while True:
            with self._translated(), uncollected():
                packet = next(packets, None)
            if packet is None:
                return
            if packet.type == _DATA and packet.block is not None and packet.block.num_rows:
                yield _block(packet.block)

    @contextmanager
    def _translated(self) -> Generator[None]:
        """Foreign errors end here, and with them the conversation: it may be in the middle of something."""
        native_errors: Any = importlib.import_module("clickhouse_driver.errors")
        try:
            yield
        except native_errors.ServerException as error:
            self.close()
            raise self._refused(int(error.code or 0), str(error.message)) from error
        except (native_errors.UnexpectedPacketFromServerError, native_errors.UnknownPacketFromServerError) as error:
            self.close()
            raise HomeError(
                f"what listens at {self.host} is not the native port of a ClickHouse server (9000, or 9440 with TLS)"
            ) from error
        except (OSError, EOFError, native_errors.NetworkError, native_errors.SocketTimeoutError) as error:
            self.close()
            raise StoreDown(f"{self.host}: {_why(error)}") from error
        except native_errors.TypeMismatchError as error:
            self.close()
            raise ValueError(str(error.message)) from error

    def _refused(self, code: int, text: str) -> Exception:
        """What an error of the server means for a user."""
        said = " ".join(text.removeprefix("DB::Exception:").split("Stack trace")[0].split()).rstrip(". ")
        where = f"the ClickHouse server at {self.host}"
        if code in _DENIED:
            return HomeError(f"{where} does not let user `{self._address.user}` in: wrong name or password")
        if code == _UNKNOWN_DATABASE:
            name = self._address.database
            return HomeError(f"{where} has no database `{name}`; make it with: CREATE DATABASE {name}")
        if code == _FULL or "No space left on device" in text:
            return HomeError(f"{where} has no room left; free some space there and run it again ({said})")
        if code == _MEMORY:
            return HomeError(f"a statement wanted more memory than {where} gives it: {said}")
        if code in _DAMAGED:
            return StoreDamaged(
                f"{where} cannot read its own files: {said}; bring the part back from a backup or a replica, or detach it, "
                "then run it again"
            )
        if code in _TRY_AGAIN:
            return StoreDown(f"{self.host}: {said}")
        if code == _TOO_LARGE_SETTING and "setting" in said:
            return _SettingRefused(f"{where} refuses: {said}")
        if code in _READ_ONLY:
            return HomeError(
                f"{where} does not let user `{self._address.user}` do that; grant it, or use another ({said})"
            )
        return QueryError(said)


class _SettingRefused(HomeError):  # noqa: N818 - as the errors of the floor
    """The user's profile is read-only."""


def _trusted(address: Address) -> str | None:
    """The system's certificates, where the driver would take those of another package."""
    return ssl.get_default_verify_paths().cafile if address.secure else None


def _why(error: Exception) -> str:
    text = " ".join(str(getattr(error, "message", "") or error).split())
    text = re.sub(r"^(Code: \d+\.?)|\([^()]*:\d+\)$", "", text).strip()
    if isinstance(error, EOFError):
        return "the connection was cut"
    return text or ("it does not answer" if "imeout" in type(error).__name__ else type(error).__name__)


def _raw_times(inner: Any) -> None:
    """Have times read as the numbers they are: the driver would make floats of nanoseconds.

    On the wire a time is an integer, so its column is read as one of integers; the block keeps the true name of the type.
    """
    stream = inner.block_in
    native: Any = importlib.import_module("clickhouse_driver.streams.native")
    module_read: Any = native.read_column

    def read(use_numpy: bool | None = None) -> Any:
        info = native.BlockInfo()
        info.read(stream.fin)
        count, rows = native.read_varint(stream.fin), native.read_varint(stream.fin)
        named: list[tuple[str, str]] = []
        data: list[Any] = []
        for _ in range(count):
            name, kind = native.read_binary_str(stream.fin), native.read_binary_str(stream.fin)
            named.append((name, kind))
            if rows:
                plain = _DATETIME.sub("UInt32", _DATETIME64.sub("Int64", kind)) if "DateTime" in kind else kind
                data.append(module_read(stream.context, plain, rows, stream.fin, use_numpy=use_numpy))
        return native.ColumnOrientedBlock(columns_with_types=named, data=data, info=info)

    stream.read = read


def _block(found: Any) -> Block:
    names = [str(name) for name, _ in found.columns_with_types]
    kinds = [str(kind) for _, kind in found.columns_with_types]
    columns = [_plain(kind, column) for kind, column in zip(kinds, found.get_columns(), strict=True)]
    size = sum(_size(kind, column) for kind, column in zip(kinds, columns, strict=True))
    return Block(names, columns, int(found.num_rows), size)


def _plain(kind: str, column: Sequence[Any]) -> Sequence[Any]:
    """A column as the embedded store gives it: times in nanoseconds, texts that are texts, lists for tuples."""
    if "DateTime" in kind:
        digits = _DATETIME64.search(kind)
        return _each(column, 10 ** (9 - int(digits[1] if digits else 0)))
    if kind in _NUMBERS:
        return column
    if kind in _TEXTS:
        return [_text(value) for value in column] if bytes in set(map(type, column)) else column
    if kind == "Array(String)":
        cut = bytes in set(map(type, chain.from_iterable(column)))
        return [[_text(value) for value in values] for values in column] if cut else column
    return [_json(value) for value in column]


_SCALARS = ("Float32", "Float64", "Bool", *(f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)))
_NUMBERS = {*_SCALARS, *(f"Array({name})" for name in _SCALARS)}
_TEXTS = {"String", "LowCardinality(String)"}


def _each(values: Sequence[Any], factor: int) -> list[Any]:
    return [
        _each(cast("Sequence[Any]", one), factor) if isinstance(one, list | tuple) else one and one * factor
        for one in values
    ]


def _json(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_json(one) for one in cast("Sequence[Any]", value)]
    return value if value is None or isinstance(value, str | int | float) else _text(value)


def _text(value: Any) -> str:
    """A function such as substring() may have cut a character in two."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _size(kind: str, column: Sequence[Any]) -> int:
    if kind in _TEXTS:
        return sum(map(len, column))
    if kind == "Array(String)":
        return sum(map(len, chain.from_iterable(column)))
    return 8 * (sum(map(len, column)) if kind.startswith("Array(") else len(column))
