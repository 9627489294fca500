"""``echolane import``: HAR and GoReplay files as a recording. stdout is the recording's id, the account is talk."""

from __future__ import annotations

import argparse
from pathlib import Path

from capture.importing import FORMATS, ImportSummary, import_files
from console.escapes import terminal
from console.flags import service_name
from console.output import put, say
from console.surroundings import home_of, settings_of
from echolane.ledger import capture_identities

_NOTES = {
    "answers-missing": "requests without an answer in the file, imported without one",
    "answer-bodies-missing": "answers whose body is not in the file (their status is still a witness)",
    "request-bodies-missing": "requests whose body is not in the file; they cannot be replayed",
    "times-missing": "entries without a time, placed where they stand in the file",
    "unterminated": "last records without a separator at their end, imported as they are",
    "replayed-answers-ignored": "answers of GoReplay's own replays, ignored",
    "answers-without-request": "answers without their request, ignored",
    "bytes-behind-messages": "bytes behind the end of a message, left out",
    "answers-unframeable": "answers that are not whole HTTP/1, left out; their requests are imported",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="HAR or GoReplay files; .gz and .zhar are unpacked"
    )
    parser.add_argument("--service", required=True, metavar="NAME", help="whose traffic it is (a DNS label)")
    parser.add_argument("--format", choices=FORMATS, help="what the files are (default: by name, then by content)")
    parser.add_argument("--no-seal", action="store_true", help="drop the originals of masked values for good")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")
    parser.epilog = "Every file is read to its end before anything is stored: a broken file leaves nothing behind."


def execute(args: argparse.Namespace) -> int:
    """Import and print the recording's id."""
    service = service_name(args.service)
    settings = settings_of(args, seal=False if args.no_seal else None)
    summary = import_files(home_of(args), service, args.files, args.format, settings)
    tell(summary)
    if args.json:
        shown = {"recording": summary.recording, "counts": summary.counts, "notes": summary.notes}
        put(shown)
    else:
        print(summary.recording)  # noqa: T201
    return 0


def tell(summary: ImportSummary) -> None:
    """The ledger and what is worth knowing, as talk."""
    counts = summary.counts
    dropped = "".join(f" + {name} {value}" for name, value in sorted(counts.items()) if name.startswith("dropped{"))
    say(f"seen {counts['seen']} = stored {counts['stored']}{dropped}")
    for name, count in summary.notes.items():
        say(terminal(f"note: {count} {_NOTES.get(name, name)}"))
    for wrong in capture_identities(counts):
        say(f"the ledger does not balance: {wrong}")
