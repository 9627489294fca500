"""Traces: what the server, a run and its workers are at, and for how long, told to a collector in the form of OpenTelemetry.

It is off unless the environment says where to, by the variables that every OpenTelemetry SDK reads. The SDK stands behind
:mod:`echolane.otel`, which is imported only where it is on; everybody else says ``with span("plan"):`` and pays nothing.

What is told is ours: names of steps, ids of runs, names of services, verdicts and counts. Captured traffic is never among it, and
neither are messages of errors, which may quote an address or a value: an error is told by its class.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeAlias

from echolane import log

Attributes: TypeAlias = Mapping[str, str | int]
TRACEPARENT = "TRACEPARENT"
"""The variable in which a process is told the span that it was started in, as the header of that name has it."""
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
"""The one of traces alone goes before the one of everything."""
SPOKEN = "http/protobuf"
END_S = 1.0
"""How long a process waits at its end until its last spans are taken: some round trips to a collector far away. One that has not answered
before is not waited for."""


class Door(Protocol):
    """What the SDK does for us (:class:`echolane.otel.Telling`)."""

    def span(
        self, name: str, attributes: Attributes, parent: str, *, server: bool, apart: bool
    ) -> AbstractContextManager[None]:
        """One span, from the block's beginning to its end."""
        ...

    def note(self, attributes: Attributes) -> None:
        """Attributes more of the span that we are in."""
        ...

    def fail(self, kind: str) -> None:
        """The span that we are in is that of an error."""
        ...

    def here(self) -> str:
        """The span that we are in, as a ``traceparent``."""
        ...

    def end(self, within_s: float) -> tuple[int, int]:
        """Send what is left; how many spans there were, and how many of them nobody took."""
        ...


_door: Door | None = None


@contextmanager
def traced(environ: Mapping[str, str], tell: Callable[[str], None] | None = None) -> Generator[None]:
    """Tell the spans of this process, where the environment says where to; what was dropped is said once, at the end."""
    global _door
    _door = _opened(environ, tell)
    try:
        yield
    finally:
        door, _door = _door, None
        made, lost = door.end(END_S) if door is not None else (0, 0)
        if lost:
            log.event("traces.dropped", spans=made, dropped=lost)
            if tell is not None:
                tell(f"traces: {lost} of {made} spans were dropped, the collector did not take them in time")


@contextmanager
def span(
    name: str, attributes: Attributes | None = None, *, parent: str = "", server: bool = False, apart: bool = False
) -> Generator[None]:
    """What the block does, as a span: a child of ``parent``, else of the span that we are in. What is raised marks it as an error.

    ``server`` says that it answers a call from outside. ``apart`` is for several that go on in one thread, beside each other: no other
    becomes a child of it.
    """
    if _door is None:
        yield
        return
    with _door.span(name, attributes or {}, parent, server=server, apart=apart):
        yield


def note(attributes: Attributes) -> None:
    """Attributes more of the span that we are in."""
    if _door is not None:
        _door.note(attributes)


def fail(kind: str) -> None:
    """The span that we are in is that of an error; ``kind`` is one of few words, and no message."""
    if _door is not None:
        _door.fail(kind)


def here() -> str:
    """The span that we are in, as a ``traceparent`` to be handed on; empty where there is none."""
    return _door.here() if _door is not None else ""


def is_on() -> bool:
    """Whether spans are told."""
    return _door is not None


def handed_on(environ: Mapping[str, str], parent: str) -> dict[str, str]:
    """The environment of a process that is started for a span; without one it does not go on with ours."""
    found = {name: value for name, value in environ.items() if name != TRACEPARENT}
    return found | ({TRACEPARENT: parent} if parent else {})


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment says that traces are told, and where to."""
    off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    kinds = {word.strip() for word in environ.get("OTEL_TRACES_EXPORTER", "otlp").split(",")}
    return not off and "otlp" in kinds and any(environ.get(name, "").strip() for name in ENDPOINTS)


def _opened(environ: Mapping[str, str], tell: Callable[[str], None] | None) -> Door | None:
    """The door, where traces are wanted and can be told. That they cannot is no reason to do nothing else."""
    if not is_wanted(environ):
        return None
    name = next((name for name in PROTOCOLS if environ.get(name, "").strip()), "")
    if name and environ[name].strip() != SPOKEN:
        return _off(f"{name} is `{environ[name].strip()}`; set it to {SPOKEN}, and the address of that", tell)
    try:
        from echolane import otel  # noqa: PLC0415 - costs a tenth of a second, and may not be installed
    except ImportError:  # these variables often stand there for others' sake, so who watches is not told
        return _off("the extra is missing: pip install 'echolane[otel]'", None)
    try:
        return otel.Telling()
    except Exception as error:  # noqa: BLE001 - whatever the SDK does not like of the environment
        return _off(f"the OTEL_ variables of the environment do not fit: {error}", tell)


def _off(why: str, tell: Callable[[str], None] | None) -> None:
    log.event("traces.off", why=why)
    if tell is not None:
        tell(f"no traces are sent: {why}")
