"""The door to OpenTelemetry: spans to a collector over OTLP/HTTP. Everybody else uses :mod:`echolane.tracing`.

A collector that is slow, away or wrong costs nobody anything: ending a span puts it into a bounded queue (``OTEL_BSP_MAX_QUEUE_SIZE``,
2048), a thread sends it, each attempt within ``OTEL_EXPORTER_OTLP_TIMEOUT`` (10 s), and what finds no place or no taker is counted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from echolane import __version__

SERVICE = "echolane"
_UNNAMED = "unknown_service"
"""How the SDK begins the name of a service that nobody named."""


class Telling:
    """The spans of this process, from now to :meth:`end`. Raises what the SDK does not like of the environment."""

    def __init__(self) -> None:
        # It complains of each failed attempt; here what is lost is counted, and said once. stderr belongs to the command.
        logger = logging.getLogger("opentelemetry")
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
        self._exporter = _Counted(OTLPSpanExporter())
        self._processor = _Counting(self._exporter)
        # Its own end at the interpreter's exit waits for as long as a collector hangs.
        provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer(SERVICE, __version__)
        self._words = TraceContextTextMapPropagator()

    def __repr__(self) -> str:
        return f"<Telling, {self._exporter.taken} of {self._processor.made} spans taken>"

    @contextmanager
    def span(
        self, name: str, attributes: Mapping[str, str | int], parent: str, *, server: bool, apart: bool
    ) -> Generator[None]:
        """One span, from the block's beginning to its end."""
        # A parent that cannot be read is none: the span begins a trace of its own.
        around = self._words.extract({"traceparent": parent}, context.Context()) if parent else None
        kind = trace.SpanKind.SERVER if server else trace.SpanKind.INTERNAL
        made = self._tracer.start_span(name, around, kind, attributes=dict(attributes))
        token = None if apart else context.attach(trace.set_span_in_context(made))
        try:
            yield
        except BaseException as error:
            _mark(made, type(error).__name__)
            raise
        finally:
            if token is not None:
                context.detach(token)
            made.end()

    def note(self, attributes: Mapping[str, str | int]) -> None:
        """Attributes more of the span that we are in."""
        trace.get_current_span().set_attributes(dict(attributes))

    def fail(self, kind: str) -> None:
        """The span that we are in is that of an error."""
        _mark(trace.get_current_span(), kind)

    def here(self) -> str:
        """The span that we are in, as a ``traceparent``; empty where there is none."""
        words: dict[str, str] = {}
        self._words.inject(words)
        return words.get("traceparent", "")

    def end(self, within_s: float) -> tuple[int, int]:
        """Send what is left; how many spans there were, and how many of them nobody took."""
        # The SDK's own shutdown waits for half a minute. It goes on without us, in a thread that ends with the process.
        ending = threading.Thread(target=self._processor.shutdown, name="traces-end", daemon=True)
        ending.start()
        ending.join(0.0 if self._exporter.is_stuck(within_s) else within_s)
        return self._processor.made, self._processor.made - self._exporter.taken


def _mark(span: trace.Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(trace.StatusCode.ERROR)


def _resource() -> Resource:
    """Who tells: as ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` have it, else Echolane."""
    told = Resource.create({"service.version": __version__})
    named = not str(told.attributes.get(SERVICE_NAME, _UNNAMED)).startswith(_UNNAMED)
    return told if named else told.merge(Resource({SERVICE_NAME: SERVICE}))


class _Counting(BatchSpanProcessor):
    """The SDK's queue, which drops what finds no place; here spans that go in are counted."""

    def __init__(self, exporter: SpanExporter) -> None:
        super().__init__(exporter)
        self.made = 0
        self._guard = threading.Lock()

    def on_end(self, span: ReadableSpan) -> None:
        """One span more."""
        if span.context is not None and span.context.trace_flags.sampled:
            with self._guard:
                self.made += 1
        super().on_end(span)


class _Counted(SpanExporter):
    """The SDK's exporter; spans that a collector took are counted. One thread at a time sends."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.taken = 0
        self._failed = False
        self._since = 0.0
        """Since when an attempt goes on; 0 while none does."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans."""
        self._since = time.monotonic()
        result = self._exporter.export(spans)
        self._since, self._failed = 0.0, result is not SpanExportResult.SUCCESS
        if not self._failed:
            self.taken += len(spans)
        return result

    def shutdown(self) -> None:
        """No more comes."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Whether all is sent: nothing waits here."""
        return self._exporter.force_flush(timeout_millis)

    def is_stuck(self, longer_s: float) -> bool:
        """Whether the collector did not take the last spans, or has been at them for too long."""
        since = self._since
        return self._failed or (since > 0.0 and time.monotonic() - since > longer_s)
