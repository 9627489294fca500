"""An upstream that does nothing but answer and note when each request arrived: lateness told by somebody else's clock.

``python -m bench.sink PORT [SIZE [noise]]`` prints, at SIGTERM, the arrivals as little-endian 64-bit nanoseconds of the monotonic clock.
It is one process on a core of its own and the same for every client, so what it adds (some 30 µs of loopback and wake-up) all of them bear.
Answers are JSON of 1,024 bytes, or of SIZE; ``noise``: pictures, as far as a recorder can see, which nothing compresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import re
import signal
import sys
import tempfile
import time
from array import array
from collections.abc import Generator, Sequence
from typing import ClassVar

import uvloop

from bench import pool
from bench.parts import LOAD_CPU, running
from bench.ports import free_port

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\nContent-Length: %d\r\n\r\n"
NUMBER = re.compile(rb"[?&]n=(\d+) HTTP/1.1\r\n")
"""A request that has a number gets the pool's answer to it, the same from every sink."""


class Sink(asyncio.Protocol):
    """One connection; requests have no bodies."""

    arrivals = array("q")
    answers: ClassVar[list[bytes]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client."""
        self.transport, self.rest = transport, b""

    def data_received(self, data: bytes) -> None:
        """Whole requests are answered; what is left waits for more."""
        now = time.monotonic_ns()
        data = self.rest + data
        count = data.count(b"\r\n\r\n")
        if count:
            self.arrivals.extend([now] * count)
            numbers = NUMBER.findall(data)
            if len(numbers) < count:
                numbers = [b"0"] * count
            answers = self.answers
            self.transport.write(b"".join([answers[int(number) % len(answers)] for number in numbers[:count]]))
        self.rest = b"" if data.endswith(b"\r\n\r\n") else data[data.rfind(b"\r\n\r\n") + 4 :] if count else data


def answers(size: int, *, noise: bool = False) -> list[bytes]:
    """Whole answers, more than any memory of ours holds."""
    if noise:
        dice = random.Random(size)
        return [HEAD % (b"image/png", size) + dice.randbytes(size) for _ in range(pool.count(size))]
    head = HEAD % (b"application/json", size)
    return [head + pool.body(size, number).encode() for number in range(pool.count(size))]


async def serve(port: int, size: int = 1024, *, noise: bool = False) -> None:
    """Serve until SIGTERM, then print."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    Sink.answers = answers(size, noise=noise)
    loop.add_signal_handler(signal.SIGTERM, over.set)
    gc.disable()
    server = await loop.create_server(Sink, "127.0.0.1", port, backlog=1024)
    await over.wait()
    server.close()
    sys.stdout.buffer.write(Sink.arrivals.tobytes())
    sys.stdout.buffer.flush()


class Arrivals:
    """Where the arrivals are once the sink has ended."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.times_ns: list[int] = []

    def per_s(self) -> float:
        """Requests a second between the first and the last arrival."""
        times = self.times_ns
        return (len(times) - 1) / max(1, times[-1] - times[0]) * 1e9 if len(times) > 1 else 0.0

    def lateness_us(self, per_s: float) -> tuple[float, float]:
        """P50 and p99 against the best-fitting even schedule that no request was ahead of."""
        return lateness_us(self.times_ns, per_s)


def lateness_us(times_ns: Sequence[int], per_s: float) -> tuple[float, float]:
    """The n-th arrival was due n / rate after the start; the start is taken so that the least late one is on time."""
    late = [time_ns - n * 1e9 / per_s for n, time_ns in enumerate(sorted(times_ns))]
    if not late:
        return 0.0, 0.0
    least = min(late)
    late = sorted(one - least for one in late)
    return late[len(late) // 2] / 1e3, late[len(late) * 99 // 100] / 1e3


@contextlib.contextmanager
def sink() -> Generator[Arrivals]:
    """A sink in a process of its own until the block ends; then its arrivals are there."""
    arrivals = Arrivals(free_port())
    with tempfile.TemporaryFile() as out:
        command = [sys.executable, "-m", "bench.sink", str(arrivals.port)]
        with running(command, arrivals.port, cpu=LOAD_CPU, stdout=out):
            yield arrivals
        out.seek(0)
        times = array("q")
        times.frombytes(out.read())
        arrivals.times_ns = times.tolist()


if __name__ == "__main__":
    uvloop.run(serve(*map(int, sys.argv[1:3]), noise="noise" in sys.argv))
