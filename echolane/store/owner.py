"""The process that owns a home's store and serves every other process over ``HOME/store.sock``.

``python -m echolane.store.owner HOME`` runs it in the foreground; :mod:`echolane.store.client` starts it with ``--detach`` when
nobody listens. One thread per client, each with a session of its own at :mod:`echolane.store.chdb`. It ends itself when the
last client has been gone for a moment, when its home vanishes, and at SIGTERM. Messages: :mod:`echolane.store.wire`.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import select
import signal
import socket
import stat
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator
from pathlib import Path

from echolane.errors import HomeError, StoreBusy
from echolane.store import QueryError, wire
from echolane.store.chdb import Engine, Session
from echolane.store.freezing import Freezer
from echolane.store.gate import Refused, admit, format_named
from echolane.store.guarded import Limits, reading
from echolane.store.migrate import migrate

IDLE_S = 2.0
"""How long it stays after its last client: longer than the gap between two commands of a script, shorter than a person waits."""
FIRST_CLIENT_S = 10.0
"""How long it waits for the client that started it, which may be slow to connect on a busy machine."""
HELLO_S = 10.0
"""How long a connection may be silent before its first word, so that a stray one does not keep the owner alive."""
DRAIN_S = 10.0
"""How long requests under way may take after SIGTERM."""
TICK_S = 0.25
GIVE_BACK_S = 2.0
"""How often memory goes back to the system while there is work: 10 to 40 ms each time."""
CLIENTS_MAX = 64
"""Each costs a thread and some MiB while it asks; a home has a handful of processes."""
LOG_BYTES_MAX = 4 * 1024 * 1024
"""Above it the log is turned over at the next start; one old log is kept."""
EXIT_BUSY = 75
"""Another owner lives (EX_TEMPFAIL): connect to that one."""
_SOCKET = "store.sock"
_FOLDER = Path("store")
_LOCK = _FOLDER / "owner.lock"
_Plain = wire.Hello | wire.Columns | wire.Insert | wire.Query


def main(argv: list[str] | None = None) -> int:
    """Own the store of one home until nobody needs it."""
    parser = argparse.ArgumentParser(prog="python -m echolane.store.owner", description="Own the store of a home.")
    parser.add_argument("home", type=Path)
    parser.add_argument(
        "--detach", action="store_true", help="go to the background; stdout tells ready, busy or why not"
    )
    args = parser.parse_args(argv)
    # Forked before the engine is loaded: a process with threads must not fork.
    if args.detach and os.fork():
        return 0
    outcome = _leave_the_terminal() if args.detach else os.dup(2)
    try:
        with _owning(args.home.absolute(), log=args.detach) as server:
            _tell(outcome, "ready")
            server.serve()
    except BlockingIOError:
        _tell(outcome, "busy")
        return EXIT_BUSY
    except HomeError as error:
        _tell(outcome, f"{_kind_of(error)} {error}")
        return error.exit_code
    return 0


def _leave_the_terminal() -> int:
    """A session of its own, no stdin; returns the descriptor that the starter reads."""
    os.setsid()
    outcome = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    return outcome


def _tell(outcome: int, line: str) -> None:
    with contextlib.suppress(OSError):  # the starter may be gone
        os.write(outcome, f"{line}\n".encode("utf-8", "replace"))
    os.close(outcome)


def _kind_of(error: Exception) -> str:
    if isinstance(error, QueryError):
        return "query"
    return "busy" if isinstance(error, StoreBusy) else "home"


@contextlib.contextmanager
def _owning(home: Path, *, log: bool) -> Generator[Server]:
    """The lock, the engine and the socket of ``home``, in this order.

    Raises:
        BlockingIOError: another owner has the lock.
        HomeError: the home cannot be used.
    """
    os.umask(0o077)  # results are for the user who made them
    try:
        (home / _FOLDER).mkdir(parents=True, exist_ok=True)
        # From here on all paths are relative: no length limit for the socket, no quoting for the engine.
        os.chdir(home)
        if log:
            _log_to(Path("log"))
        lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
    except BlockingIOError:
        raise
    except OSError as error:
        raise HomeError(
            f"the home {home} cannot hold a store: {error.strerror or error} ({error.filename or _FOLDER});"
            " give --home DIR another folder"
        ) from error
    freezer = Freezer(_FOLDER / "chdb")
    engine = Engine(_FOLDER / "chdb")
    try:
        migrate(engine.first)
        server = Server(engine, freezer, home)
        yield server
        server.drain()
    finally:
        engine.close()
        os.close(lock)


def _log_to(folder: Path) -> None:
    """Send what the process and its engine print to a log of bounded size."""
    folder.mkdir(exist_ok=True)
    path = folder / "store.log"
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(folder / "store.log.1")
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


class Server:
    """Accepts clients and counts them; the working folder is the home."""

    def __init__(self, engine: Engine, freezer: Freezer, home: Path) -> None:
        """Listen at the home's socket.

        Raises:
            HomeError: something else stands at its place.
        """
        self._engine, self._freezer = engine, freezer
        self._home = home
        self._lock_identity = _identity_of(_LOCK)
        self._clients: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        self._alone_until = time.monotonic() + FIRST_CLIENT_S
        self._ended = threading.Event()
        self._worked = False
        self._given_back = time.monotonic()
        self._listener = self._listen()

    def __repr__(self) -> str:
        return f"<Server of {self._home}: {len(self._clients)} clients>"

    def serve(self) -> None:
        """Until nobody is left, the home is gone, or SIGTERM or SIGINT asks for an end."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        missed = 0
        while not self._ended.is_set() and not self._is_forsaken():
            readable, _, _ = select.select([self._listener], [], [], TICK_S)
            self._give_back_memory()
            if readable:
                # A home that was moved away or removed since is no longer ours to serve.
                if not self._is_forsaken():
                    self._accept()
            elif _identity_of(Path(_SOCKET)) == self._listening:
                missed = 0
            elif (missed := missed + 1) > 1:
                # Somebody tidied the socket away, and only the socket: two looks tell that from a home being removed.
                # Clients could not reach us, and the lock would keep any other owner out.
                self._listener.close()
                self._listener = self._listen()

    def _end(self, _number: int, _frame: object) -> None:
        self._ended.set()

    def _note_work(self) -> None:
        self._worked = True

    def _give_back_memory(self) -> None:
        """Now and then after work, never when nothing was asked."""
        if self._worked and time.monotonic() > self._given_back + GIVE_BACK_S:
            self._worked = False
            self._engine.give_back_memory()
            self._given_back = time.monotonic()

    def drain(self) -> None:
        """Take no new request, answer those under way."""
        if _identity_of(Path(_SOCKET)) == self._listening:
            Path(_SOCKET).unlink(missing_ok=True)
        self._listener.close()
        with self._lock:
            clients = dict(self._clients)
        for sock in clients:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RD)
        patience_ends = time.monotonic() + DRAIN_S
        for thread in clients.values():
            thread.join(max(0.0, patience_ends - time.monotonic()))

    def _listen(self) -> socket.socket:
        """A new socket in the place of a stale one, never of anything else."""
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(os.lstat(_SOCKET).st_mode):
                raise HomeError(f"{self._home / _SOCKET} is not a socket of Echolane; move it away")
        own = f"{_SOCKET}.{os.getpid()}"
        Path(own).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(own)
            listener.listen(CLIENTS_MAX)
            # Set in place by renaming: whoever sees the socket finds it listening.
            Path(own).replace(_SOCKET)
        except OSError as error:
            listener.close()
            raise HomeError(f"the store cannot listen at {self._home / _SOCKET}: {error.strerror or error}") from error
        self._listening = _identity_of(Path(_SOCKET))
        return listener

    def _is_forsaken(self) -> bool:
        with self._lock:
            alone = not self._clients and time.monotonic() > self._alone_until
        return alone or _identity_of(self._home / _LOCK) != self._lock_identity

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        with self._lock:
            if len(self._clients) < CLIENTS_MAX:
                thread = threading.Thread(target=self._serve_client, args=(sock,), daemon=True)
                self._clients[sock] = thread
                thread.start()
                return
        with contextlib.suppress(OSError):
            wire.send(
                sock, wire.Failed("busy", f"the store has {CLIENTS_MAX} clients already; end some and run it again")
            )
        sock.close()

    def _serve_client(self, sock: socket.socket) -> None:
        try:
            _converse(sock, self._engine, self._freezer, self._note_work)
        except wire.GarbageReceived as error:
            _log(f"a client was sent away: {error}")
        except OSError:
            pass  # the client is gone, with whatever it still had to say
        except Exception:  # noqa: BLE001 - a fault in one conversation must not end the others
            _log(traceback.format_exc())
        finally:
            sock.close()
            with self._lock:
                self._alone_until = time.monotonic() + IDLE_S
                del self._clients[sock]


def _converse(sock: socket.socket, engine: Engine, freezer: Freezer, note_work: Callable[[], None]) -> None:
    """One client, from its first word to its last."""
    with contextlib.ExitStack() as stack:
        session: Session | None = None
        sock.settimeout(HELLO_S)
        while (message := wire.receive_request(sock)) is not None:
            sock.settimeout(None)
            head, file = message
            try:
                if isinstance(head, wire.Ask):
                    _answer_reader(sock, engine, head)
                    continue
                if session is None and not isinstance(head, wire.Hello):
                    session = engine.session()
                    stack.callback(session.close)
                if isinstance(head, wire.Freeze):
                    assert session is not None  # noqa: S101 - made above
                    name, tables = stack.enter_context(freezer.frozen(session))
                    wire.send(sock, wire.Frozen(name, tables))
                    continue
                _answer(sock, session, freezer, head, file)
            except (QueryError, HomeError) as error:
                wire.send(sock, wire.Failed(_kind_of(error), str(error)))
            finally:
                note_work()
                if file >= 0:
                    os.close(file)


def _answer(sock: socket.socket, session: Session | None, freezer: Freezer, head: _Plain, file: int) -> None:
    if isinstance(head, wire.Hello) or session is None:
        wire.send(sock, wire.Welcome(wire.PROTOCOL, os.getpid()))
    elif isinstance(head, wire.Columns):
        wire.send(sock, wire.Described(session.columns(head.table)))
    elif isinstance(head, wire.Insert):
        if not wire.is_rows_file(file):
            raise QueryError(f"an insert into {head.table} came without its rows")
        with freezer.inserting():
            session.insert(head.table, head.names, file)
        wire.send(sock, wire.Done())
    else:
        with contextlib.closing(session.pages(head.sql, head.params, head.rows)) as pages:
            for page in pages:
                if len(page.lines) > wire.BODY_BYTES_MAX:
                    raise QueryError(f"one row of the answer has {len(page.lines)} bytes; ask for fewer columns")
                wire.send(sock, wire.Page(page.names, page.types, page.rows), page.lines)
        wire.send(sock, wire.Done())


def _answer_reader(sock: socket.socket, engine: Engine, head: wire.Ask) -> None:
    """A foreign reader's statement, through the gate, in a session of its own."""
    try:
        admitted = admit(head.statement)
        form = admitted.format or format_named(head.form)
        with reading(engine.connection(), Limits(head.seconds, head.rows, head.settings)) as reader:
            answer = reader.answer(admitted, form, head.params)
    except Refused as error:
        wire.send(sock, wire.Denied(error.code, str(error)))
    else:
        wire.send(sock, wire.Answered(form, answer.rows_read, answer.bytes_read, answer.elapsed_s), answer.body)


def _identity_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _log(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} [{os.getpid()}] {text.rstrip()}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    code = main()
    # The engine's threads have nothing left to do, and the interpreter's own shutdown would race with them.
    sys.stderr.flush()
    os._exit(code)
