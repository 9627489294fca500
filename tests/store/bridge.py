"""A bridge that speaks ClickHouse's native protocol before the embedded engine, so that the whole real schema crosses the driver.

``python -m tests.store.bridge FOLDER PORT`` serves a server's databases from ``FOLDER/chdb``: hello, ping, queries, inserts,
exceptions. Blocks pass as they are, by ``FORMAT Native``. It says that it speaks revision 54440: blocks have their info,
settings are texts, and columns are as ``FORMAT Native`` writes them. Users ``echolane`` and ``dashboards`` have the password ``s3cret``, ``default`` none.
Where the folder has ``users.xml``, whoever comes has the rights that the engine's own user ``default`` is given there.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from echolane.store.address import address_of
from echolane.store.server import ServerStore
from tests.store.native_blocks import Short, end_of_block, end_of_column, read_text, read_varint, text, varint

REVISION = 54_440
USERS = {"default": "", "echolane": "s3cret", "dashboards": "s3cret"}
INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
"""A block's info: no overflow, no bucket."""
INSERT = re.compile(r"\s*INSERT INTO `(\w+)` \((.*)\) VALUES\s*", re.DOTALL)
CODE = re.compile(r"Code: (\d+)\. DB::\w+: (.*)", re.DOTALL)
START_S = 60.0
_NUMBERS = itertools.count(1)


class Refused(Exception):  # noqa: N818
    """What the client is told as an exception of the server."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Wire:
    """One connection: bytes in, packets out."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._data, self._at = bytearray(), 0

    def _more(self) -> None:
        found = self._sock.recv(1 << 20)
        if not found:
            raise ConnectionResetError
        self._data += found

    def _taken(self, read: Any) -> Any:
        while True:
            try:
                value, self._at = read(self._data, self._at)
            except Short:
                self._more()
            else:
                return value

    def number(self) -> int:
        """A varint."""
        return int(self._taken(read_varint))

    def text(self) -> str:
        """A text."""
        return str(self._taken(read_text))

    def skip(self, size: int) -> None:
        """Bytes of no interest."""
        while len(self._data) - self._at < size:
            self._more()
        self._at += size

    def block(self) -> tuple[int, bytes]:
        """A data packet's rows and bytes, without table and info."""
        self.text()
        self.skip(len(INFO))
        del self._data[: self._at]
        self._at = 0
        columns, rows = self.number(), self.number()
        for _ in range(columns):
            self._taken(lambda data, at: (None, end_of_column(data, at, rows)))
        return rows, bytes(self._data[: self._at])

    def send(self, data: bytes) -> None:
        """Bytes out."""
        self._sock.sendall(data)

    def send_block(self, block: bytes) -> None:
        """A data packet."""
        self._sock.sendall(b"\x01\x00" + INFO + block)

    def send_error(self, error: Refused) -> None:
        """An exception packet."""
        said = text("DB::Exception") + text(f"DB::Exception: {error}") + text("")
        self._sock.sendall(b"\x02" + struct.pack("<i", error.code) + said + b"\x00")


class Conversation:
    """One client, with an engine's session of its own."""

    def __init__(self, wire: Wire, engine: Any) -> None:
        self._wire, self._engine = wire, engine
        self._session: Any = None

    def run(self) -> None:
        """From hello to the end."""
        try:
            self._greet()
            while True:
                packet = self._wire.number()
                if packet == 4:
                    self._wire.send(b"\x04")
                elif packet == 1:
                    self._query()
                elif packet != 3:  # a cancel that came too late
                    return
        except ConnectionError:
            pass
        except Refused as error:
            with contextlib.suppress(OSError):
                self._wire.send_error(error)
        finally:
            if self._session is not None:
                self._session.close()

    def _greet(self) -> None:
        wire = self._wire
        wire.number(), wire.text(), wire.number(), wire.number(), wire.number()
        database, user, password = wire.text(), wire.text(), wire.text()
        if USERS.get(user) != password:
            raise Refused(
                516, f"{user}: Authentication failed: password is incorrect, or there is no user with such name."
            )
        self._session = self._engine.session()
        if not isinstance(self._engine, Granted):
            # As a server, which has no memory of its own to spare, and lets its client say how long blocks are.
            self._session.run("SET max_memory_usage = 536870912")
        if database not in self._session.run("SHOW DATABASES").decode().split():
            raise Refused(81, f"Database {database} does not exist")
        self._session.run(f"USE `{database}`")
        version = bytes(self._session.run("SELECT version()")).decode().split(".")
        hello = text("ClickHouse") + varint(int(version[0])) + varint(int(version[1])) + varint(REVISION)
        wire.send(b"\x00" + hello + text("UTC") + text("bridge") + varint(int(version[2])))

    def _query(self) -> None:
        wire = self._wire
        wire.text()
        wire.skip(1)  # query kind
        wire.text(), wire.text(), wire.text()
        wire.skip(1)  # interface
        wire.text(), wire.text(), wire.text()
        wire.number(), wire.number(), wire.number()
        wire.text(), wire.number()
        settings: dict[str, str] = {}
        while name := wire.text():
            wire.skip(1)
            settings[name] = wire.text()
        wire.number()
        compressed, sql = wire.number(), wire.text()
        if wire.number() != 2 or compressed:
            raise Refused(48, "the bridge takes no compressed blocks")
        wire.block()  # external tables: none
        try:
            with self._errors():
                if found := INSERT.fullmatch(sql):
                    self._insert(found[1], found[2], settings)
                else:
                    self._answer(sql, settings)
        except Refused as error:
            wire.send_error(error)
            return
        wire.send(b"\x05")

    def _insert(self, table: str, listed: str, settings: dict[str, str]) -> None:
        names = re.findall(r"`(\w+)`", listed)
        asked = f"SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '{table}' FORMAT TabSeparatedRaw"
        kinds = dict(line.split("\t") for line in self._session.run(asked).decode().splitlines())
        header = b"".join(text(name) + text(kinds[name]) for name in names)
        self._wire.send_block(varint(len(names)) + varint(0) + header)
        file = os.memfd_create("rows")
        try:
            total = 0
            while self._wire.number() == 2:
                rows, block = self._wire.block()
                if not rows:
                    break
                total += rows
                with os.fdopen(os.dup(file), "ab") as out:
                    out.write(block)
            if total:
                os.lseek(file, 0, os.SEEK_SET)
                given = ", ".join(f"{name} = '{value}'" for name, value in settings.items())
                into = f"INSERT INTO `{table}` ({listed}) FROM INFILE '/proc/self/fd/{file}'"
                self._session.run(f"{into} {f'SETTINGS {given}' if given else ''} FORMAT Native")
        finally:
            os.close(file)

    def _answer(self, sql: str, settings: dict[str, str]) -> None:
        for name, value in settings.items():
            self._session.run(f"SET {name} = '{value}'")
        try:
            for chunk in self._chunks(sql):
                at = 0
                while at < len(chunk):
                    end = end_of_block(chunk, at)
                    self._wire.send_block(chunk[at:end])
                    at = end
        finally:
            for name in settings:
                self._session.run(f"SET {name} = DEFAULT")

    def _chunks(self, sql: str) -> Iterator[bytes]:
        native = self._session._native
        try:
            answer = native.send_query(sql, "Native")
        except RuntimeError as error:
            if "Streaming query is not supported" not in str(error):
                raise
            yield bytes(native.query(sql, "Native").bytes())
            return
        while True:
            try:
                chunk = native.streaming_fetch_result(answer)
            except RuntimeError as error:
                if "No active streaming query" in str(error):
                    return
                raise
            if chunk is None or not chunk.size():
                return
            try:
                yield bytes(chunk.bytes())
            except GeneratorExit:
                native.streaming_cancel_query(answer)
                raise

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            found = CODE.search(str(error))
            raise Refused(int(found[1]) if found else 1001, found[2] if found else str(error)) from error
        except (KeyError, ValueError) as error:
            # What the embedded door has translated keeps its cause.
            found = CODE.search(str(error.__cause__))
            raise Refused(int(found[1]) if found else 36, found[2] if found else str(error)) from error


class Granted:
    """The engine with the users of a file. It logs nobody in: everybody is its user ``default``."""

    def __init__(self, path: Path) -> None:
        from echolane.store import chdb

        here = Path.cwd()
        native: Any = importlib.import_module("chdb")._chdb
        os.chdir(here)  # which its import changes
        config = path.with_suffix(".granted.xml")
        config.write_text("<clickhouse><users_config>users.xml</users_config></clickhouse>", "ascii")
        self._session: Any = chdb.Session
        self._path = path
        self._connect = lambda: native.connect(f"{path}?config-file={config}")
        self._first = self._connect()

    def session(self) -> Any:
        """A conversation without settings of ours, which a user may be forbidden to make."""
        session = self._session.__new__(self._session)
        session._native, session._path, session._types = self._connect(), self._path, {}
        return session


def serve(folder: Path, port: int) -> None:
    """Until killed."""
    from echolane.store.chdb import Engine

    os.chdir(folder)
    engine: Any = Granted(Path("chdb")) if Path("users.xml").exists() else Engine(Path("chdb"))
    listener = socket.create_server(("127.0.0.1", port))

    def converse(sock: socket.socket) -> None:
        with sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Conversation(Wire(sock), engine).run()

    while True:
        sock, _ = listener.accept()
        threading.Thread(target=converse, args=(sock,), daemon=True).start()


class Bridge:
    """A bridge's process, for tests: started, killed, started again on the same folder and port."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.store.bridge", str(self.folder), str(self.port)]
        with (self.folder / "bridge.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=Path(__file__).parents[2])
        deadline = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            assert self._process.poll() is None, (self.folder / "bridge.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the bridge did not listen"
            time.sleep(0.05)

    def signal(self, number: int) -> None:
        """Stop it, or let it go on."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)

    def url(self, database: str = "echolane", user: str = "echolane:s3cret@", options: str = "") -> str:
        """Its address."""
        return f"clickhouse://{user}127.0.0.1:{self.port}/{database}?{options}"


def database_of(bridge: Bridge, options: str = "") -> str:
    """The address of a new, empty database."""
    name = f"test_{next(_NUMBERS)}"
    with ServerStore(address_of(bridge.url("default"), {}), steps=[]) as store:
        store.query(f"CREATE DATABASE {name}")
    return bridge.url(name, options=options)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
