"""A collector of the tests' own: takes OTLP over HTTP as any does, keeps what came, and may hang or refuse."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

WAIT_S = 60.0
SERVER, ERROR = 2, 2
"""As the protocol numbers the kind of a span that answers a call, and the status of one that failed."""


class Told(NamedTuple):
    """A span as it came."""

    name: str
    trace: str
    id: str
    parent: str
    kind: int
    status: int
    attributes: dict[str, Any]
    resource: dict[str, Any]
    begun_ns: int
    ended_ns: int
    events: int
    message: str


class Collector:
    """What was told so far."""

    def __init__(self) -> None:
        self.port = 0
        self.raw: list[bytes] = []
        self.hangs, self.came = threading.Event(), threading.Event()
        """``came``: somebody has told it something and waits for its answer."""
        self.over = threading.Event()

    @property
    def environ(self) -> dict[str, str]:
        """The environment of who tells it; spans come soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}", "OTEL_BSP_SCHEDULE_DELAY": "100"}

    def spans(self) -> list[Told]:
        """All of them, in the order in which they came."""
        return [one for body in list(self.raw) for one in decoded(body)]

    def named(self, name: str) -> list[Told]:
        """Those of a name."""
        return [one for one in self.spans() if one.name == name]

    def wait(self, enough: Callable[[list[Told]], bool]) -> list[Told]:
        """All spans, once there are those that are waited for."""
        deadline = time.monotonic() + WAIT_S
        while not enough(found := self.spans()):
            assert time.monotonic() < deadline, [one.name for one in found]
            time.sleep(0.05)
        return found


def decoded(body: bytes) -> Iterator[Told]:
    """The spans of one request."""
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                yield Told(
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.kind,
                    span.status.code,
                    values(span.attributes),
                    values(group.resource.attributes),
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    len(span.events),
                    span.status.message,
                )


def values(attributes: Any) -> dict[str, Any]:
    """Attributes by their names."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.came.set()
            if collector.hangs.is_set():
                collector.over.wait(WAIT_S)
                return
            assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
            collector.raw.append(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nothing: the tests say what they miss."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield collector
    finally:
        collector.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
