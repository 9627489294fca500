"""``echolane doctor``: look for what is wrong with a home, its journal and its store, and say what to do about it.

Each line is a :class:`~echolane.checks.Check`. Nothing is changed but by ``--repair``; on Kafka a topic of its own is made and removed
to read the brokers' clocks. What is looked at inside the journal and the store is in their own rooms' ``examining`` modules.
"""

from __future__ import annotations

import argparse
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from capture.account import spooled, total_ledger
from console import bundle
from console.output import put, say, table
from console.surroundings import home_in, settings_of, store_of
from echolane import checks, compiled
from echolane.checks import BAD, OK, WARN, Check
from echolane.errors import EcholaneError, HomeError, UsageError
from echolane.home import Home
from echolane.journal import Journal, examining, open_journal
from echolane.recordings import unreadable
from echolane.settings import Settings
from echolane.store import RUNS_OVER, QueryError

LOW_DISK = 512 * 1024 * 1024
"""Below this a recording of a busy service lives minutes; said as a warning."""
EPILOG = """examples:
  echolane doctor
  echolane doctor --journal kafka://kafka-1:9092 --store clickhouse://echolane@ch-1/echolane --json
  echolane doctor --only store --repair
  echolane doctor --bundle echolane.tar.gz

exit codes: 0 nothing is bad, 2 something is"""
PARTS = ("home", "journal", "store")


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.epilog = EPILOG
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")
    parser.add_argument(
        "--repair",
        action="store_true",
        help="set right what can be: rights of key files, files left in the journal, tables of the store that are to be made",
    )
    parser.add_argument("--deep", action="store_true", help="read the whole journal, and set aside what is damaged")
    parser.add_argument("--only", choices=PARTS, help="look at one part alone")
    parser.add_argument(
        "--bundle",
        type=Path,
        metavar="FILE",
        help="also write a .tar.gz for whoever is to help: versions, findings, settings, sums, sizes and ends of logs, without secrets",
    )
    parser.add_argument("--force", action="store_true", help="replace that file where it is there already")


def execute(args: argparse.Namespace) -> int:
    """Run every check; exit 2 when one is bad."""
    if args.bundle:
        bundle.check_file(args.bundle, force=args.force)
    elif args.force:
        raise UsageError("--force replaces the file of --bundle, which is missing")
    settings = settings_of(args)
    home = home_in(settings)
    found = list(examine(args, home))
    if args.json:
        put([check._asdict() for check in found])
    else:
        rows = [[check.check, check.state, "; ".join(filter(None, (check.what, check.do)))] for check in found]
        table(["check", "state", "what"], rows)
    if args.bundle:
        size = bundle.write(args.bundle, home, settings, found, lambda: store_of(args, home))
        say(f"wrote {args.bundle}, {size / 1000:.0f} kB: {bundle.HOLDS}")
    return 2 if any(check.state == BAD for check in found) else 0


def examine(args: argparse.Namespace, home: Home) -> Iterator[Check]:
    """Every check that was asked for."""
    settings = settings_of(args)
    if args.only in {None, "home"}:
        yield from of_home(home, repair=args.repair)
    if args.only in {None, "store"}:
        yield from of_store(args, home, settings)
    if args.only in {None, "journal"}:
        yield from of_journal(args, home, settings)


def of_home(home: Home, *, repair: bool) -> Iterator[Check]:
    """Room on the disk, keys, recordings, the form of the differ."""
    yield room(home.path)
    if home.spool.is_dir() and home.spool.stat().st_dev != home.path.stat().st_dev:
        yield room(home.spool)
    yield keys(home.keys, repair=repair)
    if damaged := unreadable(home.recordings):
        listed = checks.named(str(path) for path in damaged)
        yield Check("recordings", WARN, f"{listed} cannot be read", "restore them, or remove them")
    yield from spools(home)
    yield differ()


def room(folder: Path) -> Check:
    """How much fits on a folder's disk."""
    free = shutil.disk_usage(folder).free
    state, do = (OK, "") if free > LOW_DISK else (WARN, "free some, or move it: recordings are shed when it is full")
    return Check("disk", state, f"{free / 1e9:.1f} GB free at {folder}", do)


def keys(folder: Path, *, repair: bool = False) -> Check:
    """Whether the key files can be read by their owner alone."""
    open_to_others = [path for path in folder.glob("*") if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    if not open_to_others:
        return Check("keys", OK, "readable by their owner alone")
    names = ", ".join(map(str, open_to_others))
    if repair:
        for path in open_to_others:
            path.chmod(0o600)
        return Check("keys", WARN, f"{names} could be read by others; now by their owner alone", "make new keys")
    return Check("keys", BAD, f"{names} can be read by others", f"chmod 600 {names}, or echolane doctor --repair")


def of_journal(args: argparse.Namespace, home: Home, settings: Settings) -> Iterator[Check]:
    """The cluster or the files, then what is in the journal."""
    try:
        if home.journal_url:
            # Its client is an extra, which a journal on this machine does not need.
            from echolane.journal.kafka_address import parse_address  # noqa: PLC0415 - see above
            from echolane.journal.kafka_examining import examine as examine_kafka  # noqa: PLC0415 - see above

            found = list(examine_kafka(parse_address(home.journal_url), settings.journal.partitions))
            yield from found
            if any(check.check == "kafka" and check.state == BAD for check in found):
                return  # nothing can be read
        else:
            from echolane.journal.mending import examine as examine_files  # noqa: PLC0415 - imports SQLite

            yield from examine_files(home.journal, repair=args.repair)
        journal = open_journal(home)
    except EcholaneError as error:
        yield Check("journal", BAD, str(error))
        return
    try:
        yield from inside(args, home, settings, journal)
    finally:
        journal.close()


def spools(home: Home) -> Iterator[Check]:
    """What waits on the disk for a journal that is or was away."""
    if aside := [str(path) for path in home.spool.glob("damaged-*")]:
        words = f"{', '.join(aside)} could not be read; what was in it is counted as lost"
        yield Check("spool", WARN, words, "remove it")
    for service in sorted({path.name.rpartition(".")[0] for path in home.spool.glob("*.*")}):
        if found := spooled(home, service):
            yield Check(f"spool {service}", WARN, *found)
        if shed := total_ledger(home, service).get("dropped{spool-full}", 0):
            yield Check(f"spool {service}", WARN, f"{shed} exchanges found no room in it", "raise capture.spool_bytes")


def inside(args: argparse.Namespace, home: Home, settings: Settings, journal: Journal) -> Iterator[Check]:
    """Topics that open, damage, groups that are behind, agents."""
    unreadable: list[Check] = []
    try:
        topics = journal.topics()
    except EcholaneError as error:
        yield Check("journal", BAD, str(error))
        return
    sound = True
    for topic in topics:
        try:
            if args.deep:
                for partition in range(journal.partitions(topic)):
                    for _ in journal.read(topic, partition):
                        pass  # what cannot be read is set aside as it is met
            unreadable += examining.unreadable(journal, topic)
        except EcholaneError as error:
            sound = False
            yield Check(f"journal {topic}", BAD, str(error))
    if not sound:
        return
    read = ", every frame was read" if args.deep else ""
    yield Check("journal", OK, f"{len(topics)} topics at {home.journal_place}{read}")
    yield from unreadable
    try:
        behind = examining.behind(journal)
        runs = [one.group.topic.partition(".")[2] for one in behind]
        yield from examining.lags(behind, over(args, home, settings, runs))
        yield from examining.agents(journal)
    except EcholaneError as error:
        yield Check("journal", BAD, str(error))


def over(args: argparse.Namespace, home: Home, settings: Settings, runs: Sequence[str]) -> list[str]:
    """Those of the runs that are over; none where the store cannot tell."""
    if not runs:
        return []
    try:
        if settings.store:
            from echolane.store.address import address_of  # noqa: PLC0415 - the driver is an extra
            from echolane.store.examining import runs_over  # noqa: PLC0415 - the driver is an extra

            return runs_over(address_of(settings.store, os.environ), runs)
        with store_of(args, home) as store:
            return [str(row["run"]) for row in store.query(RUNS_OVER, {"runs": list(runs)})]
    except (EcholaneError, QueryError):
        return []


def of_store(args: argparse.Namespace, home: Home, settings: Settings) -> Iterator[Check]:
    """Servers and their tables, or the store in the home, whose tables are made when it is opened."""
    try:
        if not settings.store:
            with store_of(args, home) as opened:
                runs = opened.query("SELECT count() AS runs FROM runs_v")[0]["runs"]
            yield Check("store", OK, f"{runs} runs at {home.store}")
            return
        from echolane.store.address import address_of  # noqa: PLC0415 - the driver is an extra
        from echolane.store.examining import examine as examine_servers  # noqa: PLC0415 - the driver is an extra

        address = address_of(settings.store, os.environ)
        if args.repair:
            try:
                store_of(args, home).close()
            except HomeError as error:
                yield Check(
                    "store tables",
                    BAD,
                    f"were not made: {error}",
                    "give the user the rights that the guide lists, or let another make them",
                )
        yield from examine_servers(address)
    except EcholaneError as error:
        yield Check("store", BAD, str(error))


def differ() -> Check:
    """Which form of the differ runs; one that was compiled from other source is left alone."""
    form, names = compiled.form("differ")
    if form == "stale":
        words = "pure: the compiled form is of other source or another Python"
        return Check("differ", WARN, words, "run make compiled, or make pure")
    return Check("differ", OK, f"compiled: {len(names)} modules" if names else "pure Python")
