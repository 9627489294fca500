"""Brokers that are away: what kafka-python tried to reach them with is closed."""

from __future__ import annotations

import gc
import socket

import pytest

from echolane.errors import HomeError
from echolane.journal.kafka import KafkaJournal
from echolane.journal.kafka_address import parse_address


def unconnected() -> int:
    """Open sockets of this process that came to no connection, also those that only the garbage collector still knows."""
    return sum(
        one.family == socket.AF_INET and one.fileno() >= 0 and one.getsockname()[0] == "0.0.0.0"
        for one in gc.get_objects()
        if isinstance(one, socket.socket)
    )


def test_a_broker_that_is_away_keeps_no_descriptor() -> None:
    """However often it is tried, and though nothing is collected meanwhile."""
    gc.collect()
    gc.disable()
    try:
        before = unconnected()
        for _ in range(3):
            with pytest.raises(HomeError, match="ECONNREFUSED"):
                KafkaJournal(parse_address("kafka://127.0.0.1:1?wait_s=1"))
        assert unconnected() <= before  # what another test has left may be closed meanwhile
    finally:
        gc.enable()
