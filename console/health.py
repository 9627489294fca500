"""What a worker tells the machinery around it, by HTTP: whether it lives, whether it is ready, and how much work waits for workers.

``/livez`` is about the process alone: a loop that turns. Kafka and ClickHouse may be away, which a restart would not mend. ``/lag`` is the same
from every worker, for it is that of all runs; autoscalers ask any of them. Nothing here is secret, and nothing can be changed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import orjson

from echolane import __version__, log, vital
from echolane.errors import EcholaneError, UsageError

STALE_S = 60.0
"""A loop that has not turned for so long hangs: it turns several times a second, and what may take long is done elsewhere, or announced."""
LAG_KEPT_S = 5.0
"""How long a lag is told again before the journal is asked anew: many may ask, and autoscalers look every few seconds at most."""
REQUEST_S = 10.0
"""A client that sends nothing for so long is let go."""
CLIENTS_MAX = 32
"""Answered at a time; probes and autoscalers are a handful, and what is more gets 503."""
Lag = dict[str, int]


class Health:
    """How a worker is: it says that it lives, others ask."""

    def __init__(self, lag: Callable[[], Lag]) -> None:
        self._lag = lag
        self._beat_at = time.monotonic()
        self._long = False
        self._ready = False
        self._guard = threading.Lock()
        self._known: tuple[float, Lag] | None = None

    def __repr__(self) -> str:
        return f"<Health {'alive' if self.alive else 'stale'}, {'ready' if self._ready else 'not ready'}>"

    def beat(self, *, long: bool = False) -> None:
        """The loop has turned; or what it begins now may take long."""
        self._beat_at, self._long = time.monotonic(), long
        vital.sign(long=long)

    def ready(self, *, is_so: bool = True) -> None:
        """Work can be taken up, or no more."""
        self._ready = is_so

    @property
    def alive(self) -> bool:
        """Whether the loop turned lately."""
        return time.monotonic() - self._beat_at < STALE_S * (vital.LONG_TIMES if self._long else 1)

    @property
    def is_ready(self) -> bool:
        """Whether it takes up work."""
        return self._ready and self.alive

    def lag(self) -> Lag:
        """Frames of unfinished work by role. EcholaneError when the journal cannot tell."""
        with self._guard:  # one asks, the others have its answer
            if self._known is None or time.monotonic() - self._known[0] > LAG_KEPT_S:
                self._known = time.monotonic(), self._lag()
            return self._known[1]

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, media type and body for a path."""
        try:
            if path == "/livez":
                return _word(self.alive)
            if path == "/readyz":
                return _word(self.is_ready)
            if path == "/lag":
                return 200, "application/json", orjson.dumps(self.lag())
            if path == "/metrics":
                return 200, "text/plain; version=0.0.4; charset=utf-8", self._metrics().encode()
        except EcholaneError as error:
            return 503, "text/plain; charset=utf-8", f"{error}\n".encode()
        return 404, "text/plain; charset=utf-8", b"/livez, /readyz, /lag, /metrics\n"

    def _metrics(self) -> str:
        lines = [
            "# HELP echolane_build_info The version that runs.",
            "# TYPE echolane_build_info gauge",
            f'echolane_build_info{{version="{__version__}"}} 1',
            "# HELP echolane_worker_ready Whether this worker takes up work.",
            "# TYPE echolane_worker_ready gauge",
            f"echolane_worker_ready {int(self.is_ready)}",
        ]
        try:
            lag = self.lag()
        except EcholaneError:  # the others are told all the same
            lag = {}
        if lag:
            lines += [
                "# HELP echolane_lag_frames Frames of all runs that workers of a role have not finished.",
                "# TYPE echolane_lag_frames gauge",
                *(f'echolane_lag_frames{{role="{role}"}} {frames}' for role, frames in sorted(lag.items())),
            ]
        return "\n".join(lines) + "\n"


def _word(good: bool) -> tuple[int, str, bytes]:
    return (200, "text/plain; charset=utf-8", b"ok\n") if good else (503, "text/plain; charset=utf-8", b"no\n")


class _Server(ThreadingHTTPServer):
    """Answers a bounded number of clients, each in a thread."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], health: Health) -> None:
        self.health = health
        self._places = threading.BoundedSemaphore(CLIENTS_MAX)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin with a client, or close what is too much."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a client, and give its place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - what it is given
        """A client that leaves in the middle is nothing to say on the terminal."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            log.event("health.failed", error=f"{type(error).__name__}: {error}")


class _Handler(BaseHTTPRequestHandler):
    """One question."""

    timeout = REQUEST_S

    def do_GET(self) -> None:
        """Answer it."""
        status, kind, body = cast("_Server", self.server).health.answer(self.path.partition("?")[0])
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        """Probes come every few seconds."""


@contextmanager
def told(health: Health, address: tuple[str, int] | None) -> Generator[int]:
    """Answer at ``address`` while the block lasts, where there is one; the port.

    Raises:
        UsageError: nothing can listen there.
    """
    if address is None:
        yield 0
        return
    try:
        server = _Server(address, health)
    except OSError as error:
        raise UsageError(f"--health {address[0]}:{address[1]} cannot be listened on: {error.strerror}") from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="health", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
