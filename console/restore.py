"""``echolane restore``: a home as it was when ``echolane backup`` was called."""

from __future__ import annotations

import argparse
from pathlib import Path

from console.backup import tell
from console.output import say
from console.restoring import restore
from console.surroundings import settings_of

EPILOG = """examples:
  echolane restore /backups/shop-2026-11-27.tar.zst --home /var/lib/echolane

exit codes: 0 the home is there, 2 it is not, and nothing of it is"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.epilog = EPILOG
    parser.add_argument("file", type=Path, metavar="FILE", help="a backup that `echolane backup` wrote")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")


def execute(args: argparse.Namespace) -> int:
    """Make the home."""
    home = Path(settings_of(args).home)
    written = restore(args.file, home)
    tell(written, args.file, as_json=args.json)
    say(f"restored {home}; look at it with: echolane doctor --home {home}")
    return 0
