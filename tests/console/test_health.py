"""What a worker tells probes and autoscalers, over real connections."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from console import health
from console.health import Health, Lag, told
from echolane.errors import HomeError, UsageError


class Journal:
    """What the lag is asked of."""

    def __init__(self) -> None:
        self.asked, self.away = 0, False

    def lag(self) -> Lag:
        """The lag, if it can be told."""
        self.asked += 1
        if self.away:
            raise HomeError("no broker answers")
        return {"replay": 7, "diff": 3}


@pytest.fixture
def journal() -> Journal:
    """One that answers."""
    return Journal()


@pytest.fixture
def worker(journal: Journal) -> Iterator[tuple[Health, str]]:
    """A worker's health, and where it is told."""
    found = Health(journal.lag)
    with told(found, ("127.0.0.1", 0)) as port:
        yield found, f"http://127.0.0.1:{port}"


def asked(url: str) -> tuple[int, str]:
    """Status and body."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_alive_is_a_loop_that_turns_and_ready_is_more(
    worker: tuple[Health, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker lives from its start, is ready when it says so, and is neither when its loop stands still, until it turns again."""
    found, url = worker

    assert (asked(f"{url}/livez")[0], asked(f"{url}/readyz")[0]) == (200, 503)
    found.ready()
    assert asked(f"{url}/readyz?verbose") == (200, "ok\n")
    monkeypatch.setattr(health, "STALE_S", -1.0)
    assert (asked(f"{url}/livez")[0], asked(f"{url}/readyz")[0]) == (503, 503)
    monkeypatch.setattr(health, "STALE_S", 600.0)
    found.beat()
    assert asked(f"{url}/livez")[0] == 200
    found.ready(is_so=False)
    assert (asked(f"{url}/livez")[0], asked(f"{url}/readyz")[0]) == (200, 503)
    assert asked(f"{url}/elsewhere")[0] == 404


def test_the_lag_is_told_as_json_and_as_a_metric(worker: tuple[Health, str], journal: Journal) -> None:
    """KEDA reads JSON, Prometheus its own text; however many ask, the journal is asked once in a while."""
    _, url = worker

    assert json.loads(asked(f"{url}/lag")[1]) == {"replay": 7, "diff": 3}
    metrics = asked(f"{url}/metrics")[1]
    assert 'echolane_lag_frames{role="replay"} 7\n' in metrics
    assert 'echolane_lag_frames{role="diff"} 3\n' in metrics
    assert 'echolane_build_info{version="' in metrics
    assert journal.asked == 1


def test_a_journal_that_is_away_costs_no_life(worker: tuple[Health, str], journal: Journal) -> None:
    """The lag is then an error that says why, the metrics go without it, and the worker lives."""
    _, url = worker
    journal.away = True

    assert asked(f"{url}/lag") == (503, "no broker answers\n")
    assert "echolane_lag_frames" not in asked(f"{url}/metrics")[1]
    assert asked(f"{url}/livez")[0] == 200


def test_clients_that_hang_take_no_more_than_their_places(
    worker: tuple[Health, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections beyond the bound are closed at once, and their places come back when the others leave."""
    _, url = worker
    port = int(url.rpartition(":")[2])
    idle = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(health.CLIENTS_MAX)]
    with socket.create_connection(("127.0.0.1", port), 20) as surplus:
        surplus.settimeout(20)
        assert surplus.recv(1) == b""
    threads = threading.active_count()
    for sock in idle:
        sock.close()
    for _ in range(200):
        try:
            assert asked(f"{url}/livez")[0] == 200
            break
        except (urllib.error.URLError, ConnectionError):
            threading.Event().wait(0.1)
    else:
        pytest.fail("no place came back")
    assert threads >= health.CLIENTS_MAX


def test_a_place_that_is_taken_is_one_line(journal: Journal) -> None:
    """A port of another's is said with its flag; without an address nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(UsageError, match=f"--health 127.0.0.1:{port} cannot be listened on"),
            told(Health(journal.lag), ("127.0.0.1", port)),
        ):
            pass
    with told(Health(journal.lag), None) as nothing:
        assert nothing == 0
