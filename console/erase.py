"""``echolane erase``: remove what was captured of a subject, everywhere in a home, and say how much by place."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from pathlib import Path

import msgspec
import orjson

from console.api.audit import Audit
from console.erasing import Erasure, begun, counted, erase, receipts, unfinished
from console.output import put, say, table
from console.surroundings import home_in, settings_of, store_of
from echolane import ids
from echolane.erasing import Subject, subject_of
from echolane.errors import EXIT_INCONCLUSIVE, EXIT_PASS, UsageError
from echolane.home import Home
from echolane.keys import load_seal_keys

TOKEN = re.compile(r"[0-9a-f]{16}")
VALUES_MAX, VALUE_BYTES = 100, 64 * 1024
"""Values of one subject, and bytes of them all: a person has a handful of cookies, keys and addresses."""
EPILOG = """examples:
  echolane erase --subject-token 3f9ab2c41d5e6f70 --dry-run
  echolane erase --values-file - < cookie.txt
  echolane erase --resume

exit codes: 0 nothing of it is left, 2 it could not be done, 3 something stays for a while (which, and until when, is said)"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.epilog = EPILOG
    parser.add_argument(
        "--subject-token",
        action="append",
        default=[],
        metavar="HEX",
        help="whose exchanges: a `session`, `uses` or `introduces` of one of them, 16 hex digits (may be repeated)",
    )
    parser.add_argument(
        "--values-file",
        metavar="FILE",
        help="values that the subject has (cookies, keys, e-mail addresses), one a line; - for stdin. They are kept nowhere",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say how much would be erased")
    parser.add_argument("--resume", action="store_true", help="finish what was begun and killed")
    parser.add_argument("--receipts", action="store_true", help="list what was erased, and when")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")


def execute(args: argparse.Namespace) -> int:
    """Erase, after what was begun before; exit 3 where something stays for a while."""
    settings = settings_of(args)
    home = home_in(settings)
    if args.receipts:
        return _told(args, receipts(home))
    subject = _subject(args, home)
    if not (subject.tokens or subject.masks or args.resume):
        raise UsageError("whose data? give --subject-token or --values-file, or --resume to finish what was begun")
    with store_of(args, home) as store:
        if args.dry_run:
            found = counted(home, store, subject)
            print(orjson.dumps(found).decode() if args.json else _lines(found) or "nothing is its")  # noqa: T201
            return EXIT_PASS
        waiting = unfinished(home)
        if subject.tokens or subject.masks:
            now = time.time_ns()
            waiting.append(begun(home, subject, ids.uuid7(now), now))
        done: list[Erasure] = []
        for erasure in waiting:
            days = settings.journal.retention_days
            Audit(home).note(actor="shell", operation="erase", what=f"subject {erasure.subject}: begun", status=0)
            found = erase(home, store, erasure, time.time_ns(), days, embedded=not settings.store)
            note = f"subject {found.subject}: {found.total} erased"
            Audit(home).note(actor="shell", operation="erase", what=note, status=0)
            done.append(found)
    return _told(args, done)


def _subject(args: argparse.Namespace, home: Home) -> Subject:
    for token in args.subject_token:
        if not TOKEN.fullmatch(token):
            raise UsageError(f"`{token}` is no token: one has 16 hex digits, for example 3f9ab2c41d5e6f70")
    values: list[bytes] = []
    if args.values_file:
        try:
            data = (
                sys.stdin.buffer.read(VALUE_BYTES + 1)
                if args.values_file == "-"
                else Path(args.values_file).read_bytes()
            )
        except OSError as error:
            raise UsageError(f"{args.values_file} cannot be read: {error.strerror}") from error
        values = [line.strip() for line in data.splitlines() if line.strip()]
        if len(data) > VALUE_BYTES or not 0 < len(values) <= VALUES_MAX:
            raise UsageError(
                f"{args.values_file} must have 1 to {VALUES_MAX} values, one a line, {VALUE_BYTES} bytes in all"
            )
    return subject_of(load_seal_keys(home.keys, os.environ), args.subject_token, values)


def _lines(counts: dict[str, int]) -> str:
    return "\n".join(f"{count:>10,}  {place}" for place, count in sorted(counts.items()))


def _told(args: argparse.Namespace, done: list[Erasure]) -> int:
    stays = any(one.remains or not one.done_at for one in done)
    if args.json:
        shown = [
            {name: value for name, value in msgspec.to_builtins(one).items() if name not in {"tokens", "masks", "ids"}}
            for one in done
        ]
        put(shown)
    elif done:
        rows = [[one.id, one.subject, one.asked_at, one.done_at or "not finished", f"{one.total:,}"] for one in done]
        table(["erasure", "subject", "asked", "done", "erased"], rows)
        for one in done:
            say("\n".join(filter(None, [_lines(one.erased), *(f"stays: {words}" for words in one.remains)])))
    else:
        say("nothing was begun, and nothing is to be finished")
    return EXIT_INCONCLUSIVE if stays and not args.receipts else EXIT_PASS
