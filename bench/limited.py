"""A target with a limit that is known exactly: so many workers, each busy for a fixed time, and one queue before them.

``python -m bench.limited PORT SERVICE_MS WORKERS [DEPTH]`` bears WORKERS / SERVICE requests a second and not one more. A worker is free
again when its time is over, not when the loop got round to it, so that the limit is that of the figures. With DEPTH, what finds so many
in the queue is answered 503 at once. At SIGTERM it prints its log of arrivals as little-endian 64-bit nanoseconds of the monotonic clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import signal
import sys
import tempfile
from array import array
from collections.abc import Generator
from dataclasses import dataclass, field

import uvloop

from bench.parts import running
from bench.ports import free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class Workers:
    """When each worker is free again."""

    def __init__(self, count: int, service_s: float, depth: int) -> None:
        self.free_s = [0.0] * count
        self.service_s, self.depth = service_s, depth
        self.arrivals = array("q")

    def take(self, now_s: float) -> float | None:
        """When a request that arrives now is answered; None where the queue is full."""
        self.arrivals.append(int(now_s * 1e9))
        begin_s = max(now_s, self.free_s[0])
        if self.depth and (begin_s - now_s) * len(self.free_s) >= self.depth * self.service_s:
            return None
        heapq.heapreplace(self.free_s, begin_s + self.service_s)
        return begin_s + self.service_s


class Serving(asyncio.Protocol):
    """One connection; requests have no bodies and come one at a time."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client."""
        self.transport, self.rest = transport, b""

    def data_received(self, data: bytes) -> None:
        """A request goes to the worker that is free first."""
        self.rest += data
        while b"\r\n\r\n" in self.rest:
            _, _, self.rest = self.rest.partition(b"\r\n\r\n")
            now_s = self.loop.time()
            answered_s = self.workers.take(now_s)
            if answered_s is None:
                self.transport.write(BUSY)
            else:
                self.loop.call_later(answered_s - now_s, self.transport.write, OK)


async def serve(port: int, workers: Workers) -> None:
    """Serve until SIGTERM, then print."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    server = await loop.create_server(lambda: Serving(workers), "127.0.0.1", port, backlog=1024)
    await over.wait()
    server.close()
    sys.stdout.buffer.write(workers.arrivals.tobytes())
    sys.stdout.buffer.flush()


@dataclass(slots=True)
class Limited:
    """Where it is, what it bears, and once it has ended when requests arrived."""

    port: int
    limit: float
    pid: int
    times_ns: list[int] = field(default_factory=list[int])

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def limited(service_s: float, workers: int, depth: int = 0, cpu: int | None = None) -> Generator[Limited]:
    """A target in a process of its own until the block ends."""
    port = free_port()
    command = [sys.executable, "-m", "bench.limited", str(port), repr(service_s), str(workers), str(depth)]
    with tempfile.TemporaryFile() as out:
        with running(command, port, cpu=cpu, stdout=out) as pid:
            made = Limited(port, workers / service_s, pid)
            yield made
        out.seek(0)
        times = array("q")
        times.frombytes(out.read())
        made.times_ns = list(times)


def main() -> None:
    """Serve as the command line says."""
    port, service_s, workers, depth = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(port, Workers(workers, service_s, depth)))


if __name__ == "__main__":
    main()
