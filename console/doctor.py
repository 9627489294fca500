"""``echolane doctor``: look for what is wrong with a home, and say what to do about it."""

from __future__ import annotations

import argparse
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import orjson

from console.output import table
from console.surroundings import home_of, store_of
from echolane import compiled
from echolane.errors import EcholaneError
from echolane.home import Home
from echolane.journal import open_journal

LOW_DISK = 512 * 1024 * 1024
"""Below this a recording of a busy service lives minutes; said as a warning."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")


def execute(args: argparse.Namespace) -> int:
    """Run every check; exit 2 when one failed."""
    home = home_of(args)
    checks = list(examine(args, home))
    if args.json:
        print(orjson.dumps([{"check": c, "state": s, "what": w} for c, s, w in checks]).decode())  # noqa: T201
    else:
        table(["check", "state", "what"], [list(check) for check in checks])
    return 2 if any(state == "bad" for _, state, _ in checks) else 0


def examine(args: argparse.Namespace, home: Home) -> Iterator[tuple[str, str, str]]:
    """Each check as (name, ok|warn|bad, words)."""
    free = shutil.disk_usage(home.path).free
    yield "disk", "ok" if free > LOW_DISK else "warn", f"{free / 1e9:.1f} GB free at {home.path}"
    yield keys(home.path / "keys")
    yield from journal(home)
    yield store(args, home)
    yield differ()


def keys(folder: Path) -> tuple[str, str, str]:
    """Whether the key files can be read by their owner alone."""
    open_to_others = [
        str(path) for path in folder.glob("*") if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    if open_to_others:
        return "keys", "bad", f"{', '.join(open_to_others)} can be read by others; run chmod 600 on them"
    return "keys", "ok", "readable by their owner alone"


def journal(home: Home) -> Iterator[tuple[str, str, str]]:
    """Whether the journal opens, and how much of each topic is damaged."""
    try:
        opened = open_journal(home)
    except EcholaneError as error:
        yield "journal", "bad", str(error)
        return
    try:
        topics = opened.topics()
        damaged = {topic: opened.damaged(topic) for topic in topics}
    except EcholaneError as error:
        yield "journal", "bad", str(error)
        return
    finally:
        opened.close()
    yield "journal", "ok", f"{len(topics)} topics"
    for topic, count in damaged.items():
        if count:
            yield f"journal {topic}", "warn", f"{count} damaged frames were set aside; their exchanges are lost"


def store(args: argparse.Namespace, home: Home) -> tuple[str, str, str]:
    """Whether the store answers."""
    try:
        opened = store_of(args, home)
        rows = opened.query("SELECT count() AS runs FROM runs_v")
        opened.close()
    except EcholaneError as error:
        return "store", "bad", str(error)
    return "store", "ok", f"{rows[0]['runs']} runs"


def differ() -> tuple[str, str, str]:
    """Which form of the differ runs; one that was compiled from other source is left alone."""
    form, names = compiled.form("differ")
    if form == "stale":
        return (
            "differ",
            "warn",
            "pure: the compiled form is of other source or another Python; run make compiled, or make pure",
        )
    return "differ", "ok", f"compiled: {len(names)} modules" if names else "pure Python"
