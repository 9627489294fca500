"""``echolane demo``: the main job on a real third-party application, from nothing to a verdict.

It installs Datasette (a JSON and HTML front for SQLite, from PyPI, not ours) at two released versions into two environments,
records a real client's traffic through the sidecar, replays it at both versions and says what changed. Nothing is prepared:
``--base`` and ``--branch`` take any two released versions.
"""

from __future__ import annotations

import argparse
import importlib.resources
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from capture.account import recorders
from console.demo_client import browse
from console.output import say
from console.outputs import check_outputs
from echolane.errors import EcholaneError, TargetUnavailable, UsageError
from echolane.home import Home
from replayer.copies import free_ports

BASE, BRANCH = "0.64.8", "1.0a14"
SERVICE = "datasette"
EPILOG = (
    "It keeps everything in ./.echolane-demo, or in --home, which must be no home of yours: each demo begins it anew."
)
START_WAIT_S = 60.0
"""A cold start of the application on a slow disk takes seconds; a minute means that it does not start at all."""
_VERSION = re.compile(r"[0-9][0-9A-Za-z.!+]*")


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.epilog = EPILOG
    parser.add_argument(
        "--base", default=BASE, metavar="VERSION", help=f"released version of Datasette (default: {BASE})"
    )
    parser.add_argument(
        "--branch", default=BRANCH, metavar="VERSION", help=f"the version to compare (default: {BRANCH})"
    )
    parser.add_argument("--requests", type=int, default=200, metavar="N", help="how many requests the client sends")
    parser.add_argument("--html", type=Path, metavar="FILE", help="where the page goes (default: HOME/verdict.html)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="where the result goes as JSON (default: HOME/verdict.json)"
    )


def execute(args: argparse.Namespace) -> int:
    """Install, record, replay, show. The exit code is 0 when a verdict was reached, whatever it is."""
    home = (args.home or Path(".echolane-demo")).resolve()
    if args.store:
        os.environ["ECHOLANE_STORE"] = args.store  # for the commands it calls
    begun = time.monotonic()
    folder = home / "demo"
    check_outputs(args)
    check_home(home)
    folder.mkdir(parents=True, exist_ok=True)
    for flag, version in (("--base", args.base), ("--branch", args.branch)):
        if not _VERSION.fullmatch(version):
            raise UsageError(f"{flag} `{version}` is not a released version, for example {BASE}")
    say(f"1/4 installing Datasette {args.base} (base) and {args.branch} (branch) from PyPI")
    with ThreadPoolExecutor(2) as pool:
        base, branch = pool.map(install, (folder, folder), (args.base, args.branch))
    database = seed(folder, base)
    for old in ("journal", "ledger"):  # a demo shows this recording, not the ones before it
        shutil.rmtree(home / old, ignore_errors=True)
    say("2/4 recording a real client through the sidecar")
    count = record(home, [str(base / "bin/datasette"), "serve", "-i", str(database)], args.requests)
    say(f"    {count} requests passed")
    say("3/4 replaying them at both versions, each in two fresh copies")
    page = args.html or home / "verdict.html"
    command = [
        *(sys.executable, "-m", "console.main", "run", "--service", SERVICE, "--home", str(home)),
        *("--base-cmd", serve_command(base, database), "--branch-cmd", serve_command(branch, database)),
        *("--html", str(page), "--json", str(args.json or home / "verdict.json")),
    ]
    code = subprocess.run(command, check=False).returncode
    if code not in {0, 1}:
        say(f"the demo's run ended with {code}; its command was {shlex.join(command)}")
        return code
    say(f"4/4 done in {time.monotonic() - begun:.0f} s; the page with every finding: {page}")
    print(page)  # noqa: T201 - stdout is data
    return 0


def check_home(home: Path) -> None:
    """UsageError where a home holds anything but an earlier demo: its journal is begun anew, and what is in it would be gone."""
    known = [name for name in ("journal", "ledger") if (home / name).exists()]
    others = [name for name in recorders(Home(home)) if name != SERVICE] if known else []
    if others or (known and not (home / "demo").is_dir()):
        what = f"recordings of {', '.join(others)}"[:200] if others else "what no demo has written"
        raise UsageError(
            f"--home `{home}` holds {what}, and a demo begins anew; leave it out, or give a folder of its own"
        )


def install(folder: Path, version: str) -> Path:
    """An environment with that version; kept for the next demo."""
    place = folder / f"datasette-{version}"
    if (place / ".installed").exists():
        return place
    shutil.rmtree(place, ignore_errors=True)
    pip = [str(place / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for step in (
        [sys.executable, "-m", "venv", str(place)],
        [*pip, f"datasette=={version}", "setuptools<81"],  # its plugins still import pkg_resources
    ):
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
            raise UsageError(f"could not install Datasette {version}: {lines[-1]}")
    (place / ".installed").touch()
    return place


def seed(folder: Path, environment: Path) -> Path:
    """The demo's database, written anew by the application's own Python."""
    database = folder / "shop.db"
    database.unlink(missing_ok=True)
    script = importlib.resources.files("console").joinpath("assets/demo.sql").read_text("utf-8")
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.stdin.read()); c.commit()"
    subprocess.run([environment / "bin/python", "-c", code, database], input=script.encode(), check=True)
    return database


def serve_command(environment: Path, database: Path) -> str:
    """What starts one copy of a version; `{port}` is filled in by the run."""
    return f"{shlex.quote(str(environment / 'bin/datasette'))} serve -i {shlex.quote(str(database))} -h 127.0.0.1 -p {{port}}"


def record(home: Path, serve: list[str], requests: int) -> int:
    """Start the application and the sidecar before it, let the client browse, stop both; how many requests were sent."""
    upstream, listen = free_ports(2)
    with running([*serve, "-h", "127.0.0.1", "-p", str(upstream)], upstream, home / "demo/application.log"):
        sidecar = [
            *(sys.executable, "-m", "console.main", "record", "--service", SERVICE, "--home", str(home)),
            *("--listen", f"127.0.0.1:{listen}", "--upstream", f"http://127.0.0.1:{upstream}"),
        ]
        with running(sidecar, listen, home / "demo/record.log"):
            return browse(f"http://127.0.0.1:{listen}", requests)


@contextmanager
def running(command: list[str], port: int, log: Path) -> Generator[None]:
    """A server in a process group of its own, until the block ends; its port accepts when the block begins."""
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_WAIT_S
        while not accepts(port):
            if process.poll() is not None or time.monotonic() > deadline:
                last = (log.read_text("utf-8", "replace").strip().splitlines() or ["no output"])[-1]
                raise TargetUnavailable(f"`{shlex.join(command)}` does not listen on {port}: {last}")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(15.0)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if sys.exception() is None and code not in {0, 130, -signal.SIGINT}:
            raise EcholaneError(f"`{shlex.join(command)}` ended with {code}; see {log}")


def accepts(port: int) -> bool:
    """Whether something listens on a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True
