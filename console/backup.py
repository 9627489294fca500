"""``echolane backup``: everything that a home knows, in one file, while it goes on recording and comparing."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import msgspec

from console.backing_up import Written, back_up
from console.output import put, say, table
from console.restoring import look_through
from console.surroundings import settings_of
from echolane.errors import UsageError
from echolane.home import FOLDERS, Home, open_home
from echolane.settings import Settings
from echolane.store.address import without_password

EPILOG = """examples:
  echolane backup /backups/shop-$(date +%F).tar.zst
  echolane backup --verify /backups/shop-2026-11-27.tar.zst
  echolane restore /backups/shop-2026-11-27.tar.zst --home /var/lib/echolane

The file holds secrets: the keys that open what was masked, and hashes of tokens. It is readable by its owner alone."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.epilog = EPILOG
    parser.add_argument("file", type=Path, metavar="FILE", help="the backup, for example echolane.tar.zst")
    parser.add_argument("--verify", action="store_true", help="only read the backup, and say whether it is whole")
    parser.add_argument("--force", action="store_true", help="replace the file where it is there already")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")


def execute(args: argparse.Namespace) -> int:
    """Make a backup, or look whether one is whole."""
    path: Path = args.file
    if args.verify:
        if args.force:
            raise UsageError("--force replaces a file, and --verify only reads it; give one of them")
        tell(look_through(path), path, as_json=args.json)
        say(f"{path} is whole")
        return 0
    settings = settings_of(args)
    folder = Path(settings.home).absolute()
    if not any((folder / name).is_dir() for name in FOLDERS):
        raise UsageError(f"there is no home at `{folder}`; name one with --home")
    _check_file(path, folder, force=args.force)
    home = open_home(folder, settings.journal_url)
    written = back_up(home, path, time.time_ns(), store_elsewhere=bool(settings.store))
    tell(written, path, as_json=args.json)
    _say_what_is_elsewhere(home, settings)
    say(f"wrote {path}, {path.stat().st_size / 1e6:,.1f} MB; it holds secrets, so keep it as you keep those")
    return 0


def tell(written: Written, path: Path, *, as_json: bool) -> None:
    """What is in a backup, on stdout."""
    if as_json:
        put({"schema": "echolane/backup/1", "file": str(path), **msgspec.to_builtins(written)})
        return
    about, contents = written.about, written.contents
    rows: list[tuple[str, Any]] = [
        ("made", f"{about.made_at} by Echolane {about.echolane}"),
        ("holds", ", ".join(about.holds)),
    ]
    rows += [(f"exchanges of {service}", f"{count:,}") for service, count in contents.exchanges.items()]
    rows += [(f"rows of {name}", f"{count:,}") for name, count in contents.rows.items() if count]
    rows.append(("files", f"{written.files:,}, {written.bytes / 1e6:,.1f} MB before they are packed"))
    table(["what", "how much"], [[name, str(value)] for name, value in rows])


def _check_file(path: Path, home: Path, *, force: bool) -> None:
    """UsageError where the file may not be written."""
    if path.is_dir():
        raise UsageError(f"`{path}` is a folder; name a file, for example {path / 'echolane.tar.zst'}")
    if not path.parent.is_dir():
        raise UsageError(f"`{path}`: there is no folder `{path.parent}`")
    if path.resolve().is_relative_to(home.resolve()):
        raise UsageError(f"`{path}` lies in the home, and would be lost with it; name a place outside, on another disk")
    if path.exists() and not path.is_file():
        raise UsageError(f"`{path}` is no file, and a backup takes the place of what is there; name a file")
    if path.exists() and not force:
        raise UsageError(f"`{path}` is there already; name another file, or replace it with --force")


def _say_what_is_elsewhere(home: Home, settings: Settings) -> None:
    """What a cluster keeps, its own tools back up."""
    if home.journal_url:
        say(
            f"not in it: the journal at {home.journal_place}, which Kafka's own means back up, and what belongs to it: "
            "ledgers and spools"
        )
    if settings.store:
        place = without_password(settings.store)
        say(f"not in it: the store at {place}, which ClickHouse's own means back up (BACKUP DATABASE)")
