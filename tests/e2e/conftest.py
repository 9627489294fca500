"""The stage of the tests of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.broker import Broker
from tests.e2e.netns import Net, own_network
from tests.e2e.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fresh home and its processes."""
    found = World(tmp_path)
    yield found
    found.end()


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    """A network of a file's own, in which its tests are, and what they start."""
    with own_network() as found:
        yield found


@pytest.fixture(scope="module")
def broker_here(kafka_parts: None, net: Net, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker in the network of a file's own."""
    found = Broker(tmp_path_factory.mktemp("net"))
    try:
        found.start()
        yield found
    finally:
        found.kill()
