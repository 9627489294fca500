"""Brokers that are away or not to be trusted: what kafka-python tried to reach them with is closed."""

from __future__ import annotations

import gc
import socket
import ssl

import pytest

from bench.broker import Broker
from echolane.errors import HomeError
from echolane.journal.kafka import KafkaJournal
from echolane.journal.kafka_address import parse_address


def left_open() -> int:
    """Sockets of this process that came to no connection, or to one with TLS, also those that only the garbage collector still knows."""
    return sum(
        one.family == socket.AF_INET
        and one.fileno() >= 0
        and (isinstance(one, ssl.SSLSocket) or one.getsockname()[0] == "0.0.0.0")
        for one in gc.get_objects()
        if isinstance(one, socket.socket)
    )


@pytest.mark.parametrize(
    ("place", "why"), [("127.0.0.1:1?wait_s=1", "ECONNREFUSED"), ("127.0.0.1:{tls}?tls=1&wait_s=1", "TLS failed")]
)
def test_a_connection_that_does_not_come_about_keeps_no_descriptor(broker: Broker, place: str, why: str) -> None:
    """However often a broker is tried that is away, or whose authority is not known, and though nothing is collected meanwhile."""
    address = parse_address(f"kafka://{place.format(tls=broker.tls)}")
    gc.collect()
    gc.disable()
    try:
        before = left_open()
        for _ in range(3):
            with pytest.raises(HomeError, match=why):
                KafkaJournal(address)
        assert left_open() <= before  # what another test has left may be closed meanwhile
    finally:
        gc.enable()
