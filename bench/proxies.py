"""The proxies of table 1: how each is started, and how many exchanges its record holds afterwards."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.parts import nginx
from bench.peers import find, how

ENVOY = """
static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {listen} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          http_filters:
{tap}          - name: envoy.filters.http.router
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
          route_config:
            virtual_hosts: [{{ name: all, domains: ["*"], routes: [{{ match: {{ prefix: / }}, route: {{ cluster: up }} }}] }}]
  clusters:
  - name: up
    type: STATIC
    load_assignment:
      cluster_name: up
      endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {upstream} }} }} }} }}] }}]
"""
TAP = """          - name: envoy.filters.http.tap
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.tap.v3.Tap
              common_config:
                static_config:
                  match: { any_match: true }
                  output_config: { sinks: [{ format: JSON_BODY_AS_BYTES, file_per_tap: { path_prefix: PREFIX } }] }
"""
SAME = "echolane, one answer again and again"
"""What it costs when nothing new comes: every body is remembered."""
GOR_REQUEST = re.compile(rb"(?:^|\n)1 [0-9a-f]{24} \d+ \d+\n")
_READ_FLOWS = "import sys; from mitmproxy.io import FlowReader; print(sum(1 for _ in FlowReader(open(sys.argv[1], 'rb')).stream()))"


@dataclass(frozen=True)
class Proxy:
    """One way of recording: ``command(folder, port, upstream)`` starts it, ``recorded(folder)`` counts its record."""

    name: str
    command: Callable[[Path, int, int], Sequence[str]] | None = None
    recorded: Callable[[Path], int] | None = None
    program: str = ""
    """The peer's program; empty for direct and ourselves."""
    stop: int = signal.SIGTERM
    passive: bool = False
    """Listens beside the traffic instead of carrying it."""
    same: bool = False
    """Is given one answer again and again, which the masker remembers."""

    @property
    def ours(self) -> bool:
        """Whether it is Echolane."""
        return self.recorded is our_record

    @property
    def lacking(self) -> str:
        """How to have it, if it is not here."""
        return how(self.program) if self.program and find(self.program) is None else ""


def proxies() -> list[Proxy]:
    """All of them, in the order of the table."""
    return [
        Proxy("direct"),
        Proxy("echolane", _ours, our_record, stop=signal.SIGINT),
        Proxy(SAME, _ours, our_record, stop=signal.SIGINT, same=True),
        Proxy(
            "nginx (records nothing)", lambda folder, port, upstream: nginx(folder / "n", port, upstream), None, "nginx"
        ),
        Proxy(
            "Envoy (records nothing)", lambda folder, port, upstream: _envoy(folder, port, upstream, ""), None, "envoy"
        ),
        Proxy("Envoy + tap", _envoy_tap, lambda folder: sum(1 for _ in os.scandir(folder / "tap")), "envoy"),
        Proxy("mitmdump -w", _mitmdump, _flows, "mitmdump", signal.SIGINT),
        Proxy("GoReplay, passive", _goreplay, _gor_requests, "goreplay", signal.SIGINT, passive=True),
    ]


def _ours(folder: Path, port: int, upstream: int) -> list[str]:
    flags = ["--service", "bench", "--home", str(folder / "home"), "--listen", f"127.0.0.1:{port}"]
    return [sys.executable, "-m", "console.main", "record", *flags, "--upstream", f"http://127.0.0.1:{upstream}"]


def our_record(folder: Path) -> int:
    """What our own journal holds, counted by its frames and not by the ledger."""
    from echolane.frame import peek
    from echolane.journal import open_journal
    from echolane.recordings import topic_of

    journal = open_journal(folder / "home")
    try:
        topic = topic_of("bench")
        return sum(
            peek(entry.frame).records for n in range(journal.partitions(topic)) for entry in journal.read(topic, n)
        )
    finally:
        journal.close()


def our_ledger(folder: Path) -> dict[str, int]:
    """Our ledger, while recording or afterwards."""
    from capture.account import total_ledger
    from echolane.home import Home

    return total_ledger(Home(folder / "home"), "bench")


def settle(folder: Path, wait_s: float = 20.0) -> None:
    """Wait until our recorder has stored what the relay has seen, so that its CPU time is complete."""
    deadline = time.monotonic() + wait_s
    while our_ledger(folder).get("spooled") and time.monotonic() < deadline:
        time.sleep(0.05)


def _envoy(folder: Path, port: int, upstream: int, tap: str) -> list[str]:
    config = folder / "envoy.yaml"
    config.write_text(ENVOY.format(listen=port, upstream=upstream, tap=tap))
    apart = ["--base-id", str(1000 + port % 1000)]
    return [find("envoy") or "envoy", "-c", str(config), "--concurrency", "1", "-l", "error", *apart]


def _envoy_tap(folder: Path, port: int, upstream: int) -> list[str]:
    (folder / "tap").mkdir()
    return _envoy(folder, port, upstream, TAP.replace("PREFIX", str(folder / "tap" / "t")))


def _mitmdump(folder: Path, port: int, upstream: int) -> list[str]:
    mode = ["--mode", f"reverse:http://127.0.0.1:{upstream}", "--listen-host", "127.0.0.1", "-p", str(port)]
    return [find("mitmdump") or "mitmdump", *mode, "-w", str(folder / "flows"), "-q"]


def _flows(folder: Path) -> int:
    python = Path(find("mitmdump") or "").parent / "python"
    done = subprocess.run(
        [str(python), "-c", _READ_FLOWS, str(folder / "flows")], capture_output=True, text=True, check=True, timeout=120
    )
    return int(done.stdout)


def _goreplay(folder: Path, _port: int, upstream: int) -> list[str]:
    raw = ["--input-raw", f"127.0.0.1:{upstream}", "--input-raw-track-response"]
    kept = ["--output-file", str(folder / "gor.gor"), "--output-file-append", "--output-file-size-limit", "8gb"]
    return [find("goreplay") or "goreplay", *raw, *kept]


def _gor_requests(folder: Path) -> int:
    count, rest = 0, b""
    for file in folder.glob("gor*.gor"):
        with file.open("rb") as source:
            while data := source.read(1 << 22):
                data = rest + data
                count += len(GOR_REQUEST.findall(data))
                rest = data[-64:]
                count -= len(GOR_REQUEST.findall(rest))
            count += len(GOR_REQUEST.findall(rest))
            rest = b""
    return count
