"""A network that fails, for tests: a TCP proxy before a server of this machine whose connections are slow, cut, reset, or hang half-open.

Each connection that comes takes the next fault; when none are left, all goes through. Only 127.0.0.1 is listened at and spoken to.
"""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
from collections import Counter
from contextlib import suppress
from typing import NamedTuple, Self

from bench.ports import free_port

SLOW, CUT, RESET, HALF_OPEN = KINDS = ("slow", "cut", "reset", "half-open")
THERE, BACK = "there", "back"
CHUNK = 1 << 14
_RESETS = struct.pack("ii", 1, 0)
"""SO_LINGER: what is not sent is dropped, and the other side hears of it."""


class Fault(NamedTuple):
    """What happens to one connection."""

    kind: str
    way: str
    """Whose bytes are counted: of requests (``there``) or of answers (``back``)."""
    after: int
    """Bytes that get through: mostly in the middle of a frame."""
    wait_s: float = 0.0
    """Before each piece, where it is slow; it is cut in the end, too."""


def drawn(dice: random.Random, rounds: int, there_max: int, back_max: int) -> list[Fault]:
    """Each kind so often, in random order, at a random byte."""
    faults: list[Fault] = []
    for kind in dice.sample(KINDS * rounds, len(KINDS) * rounds):
        way = dice.choice((THERE, BACK))
        after = dice.randint(1, there_max if way == THERE else back_max)
        faults.append(Fault(kind, way, after, dice.uniform(0.01, 0.1) if kind == SLOW else 0.0))
    return faults


class FaultProxy:
    """Listens at ``port`` and passes on to a port of this machine."""

    def __init__(self, there: int, faults: list[Fault], port: int = 0) -> None:
        self.port = port or free_port()
        self.happened: Counter[str] = Counter()
        self._there, self._faults, self._over = there, list(faults), threading.Event()
        self._guard, self._taken = threading.Lock(), 0
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __repr__(self) -> str:
        return f"<FaultProxy {self.port} to {self._there}, {len(self._faults)} faults left, {dict(self.happened)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        """End; what hangs is let go."""
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    @property
    def left(self) -> int:
        """Faults that no connection has taken."""
        return len(self._faults)

    @property
    def spent(self) -> bool:
        """Whether every fault has happened to some connection."""
        with self._guard:
            return not self._faults and self.happened.total() >= self._taken

    def _next(self) -> Fault | None:
        with self._guard:
            self._taken += bool(self._faults)
            return self._faults.pop(0) if self._faults else None

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(client,), daemon=True))
            self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        """Both ways of one connection, until an end closes or its fault is over."""
        with client:
            try:
                server = socket.create_connection(("127.0.0.1", self._there), 10)
            except OSError:
                return
            fault = self._next()
            with server, suppress(OSError):
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._pass_on(client, server, fault)
            if fault is not None:
                with self._guard:
                    self.happened[fault.kind] += 1

    def _pass_on(self, client: socket.socket, server: socket.socket, fault: Fault | None) -> None:
        left = fault.after if fault is not None else 0
        while not self._over.is_set():
            for source in select.select([client, server], [], [], 0.1)[0]:
                data = source.recv(CHUNK)
                if not data:
                    return
                sink, way = (server, THERE) if source is client else (client, BACK)
                if fault is not None:
                    self._over.wait(fault.wait_s)
                    if way == fault.way:
                        left -= len(data)
                        if left <= 0:
                            sink.sendall(data[: len(data) + left])
                            self._break(client, server, fault)
                            return
                sink.sendall(data)

    def _break(self, client: socket.socket, server: socket.socket, fault: Fault) -> None:
        if fault.kind == RESET:
            for one in (client, server):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETS)
        elif fault.kind == HALF_OPEN:  # nothing comes through any more, and nobody is told, until the client gives up
            while not self._over.wait(0.05):
                if select.select([client], [], [], 0)[0] and not client.recv(CHUNK):
                    return
