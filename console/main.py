"""The command line: read it, run one command, turn every error into one line and an exit code.

stdout is data, stderr is talk. Each command lives in a module of its own with ``configure(parser)`` and
``execute(args) -> int``; it is imported only when it is called, so that ``echolane --version`` stays fast.
"""

from __future__ import annotations

import argparse
import difflib
import errno
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from console import first_process
from console.escapes import terminal
from echolane import __version__
from echolane.errors import EXIT_INTERRUPTED, EcholaneError, HomeError, UsageError, denied, unwritable
from echolane.store import QueryError

COMMANDS = {
    "demo": ("console.demo", "record, replay and compare a real application at two released versions"),
    "up": (
        "console.up",
        "everything of one machine: what is recorded, the API and the pages, workers; restarts what dies",
    ),
    "record": ("console.record", "a sidecar proxy that records what passes"),
    "import": ("console.imports", "read HAR or GoReplay files as a recording"),
    "recordings": ("console.recordings", "what has been recorded, and named parts of it"),
    "run": ("console.run", "replay a recording at base and branch and say what changed"),
    "runs": ("console.runs", "the runs of this home"),
    "show": ("console.show", "one run's result, its exchanges, its page"),
    "capacity": ("console.capacity", "how much recorded traffic one target bears, and what limits it"),
    "worker": ("console.worker", "fire or compare runs that others ask for, as one of many workers"),
    "api": ("console.api.serve", "the HTTP API and the pages, and runs that they are asked for"),
    "token": ("console.api.token_command", "who may use the API and the pages: make, list and end tokens"),
    "audit": ("console.api.audit_command", "who changed what over the API, and whether the record of it is whole"),
    "grafana": ("console.grafana", "dashboards for Grafana, and alerts for Prometheus, as files"),
    "rules": ("console.rules", "which differences are no regressions, and what that hides"),
    "dlq": ("console.dlq", "exchanges whose comparison ended its process: list, show, compare again"),
    "erase": ("console.erase", "remove what was captured of somebody, everywhere in a home"),
    "backup": ("console.backup", "everything that a home knows in one file, while it goes on"),
    "restore": ("console.restore", "make a home of a backup"),
    "doctor": ("console.doctor", "look for what is wrong with a home"),
    "config": ("console.config", "the settings in force and where each comes from"),
    "completion": ("console.completion", "a script by which a shell completes commands, flags and values"),
}
WITH_JOURNAL = frozenset(
    (
        "record",
        "import",
        "recordings",
        "run",
        "show",
        "dlq",
        "erase",
        "backup",
        "doctor",
        "config",
        "runs",
        "worker",
        "capacity",
        "api",
        "up",
    )
)
"""Commands that open the journal, or tell where it is."""
DISK = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG))
"""What a disk says that takes no more."""
DENIED = frozenset((errno.EACCES, errno.EPERM))
"""What the system says of a file that this user may not use."""
EXAMPLES = """examples:
  echolane record --service shop --listen 127.0.0.1:8080 --upstream http://127.0.0.1:8000
  echolane run --service shop --base http://127.0.0.1:8001 --branch http://127.0.0.1:8002 --html verdict.html
  echolane run --service shop --base-cmd 'git:main ./serve --port {port}' --branch-cmd './serve --port {port}'

exit codes: 0 pass, 1 differences, 2 usage or configuration, 3 inconclusive, 4 target unavailable,
            5 refused for safety, 130 interrupted"""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises one clear line and knows what was meant."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the whole usage."""
        raise UsageError(f"{message}; see `{self.prog} --help`")

    def arguments(self) -> list[argparse.Action]:
        """Every flag and place of this parser, in their order."""
        return list(self._actions)

    def known_flags(self) -> list[str]:
        """Every flag of this parser, for did-you-mean."""
        return [flag for action in self.arguments() for flag in action.option_strings]


def build_parser(command: str | None) -> tuple[Parser, dict[str, Parser]]:
    """The whole command line; only the called command's own flags are loaded."""
    parser = Parser(
        prog="echolane",
        description="Record real traffic, replay it at two versions, learn what changed.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"echolane {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    children: dict[str, Parser] = {}
    for name, (module, what) in COMMANDS.items():
        child = commands.add_parser(
            name, help=what, description=what, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        children[name] = child
        if name == command:
            importlib.import_module(module).configure(child)
            child.add_argument(
                "--home",
                type=Path,
                metavar="DIR",
                help="where Echolane keeps its data (default: ECHOLANE_HOME or ./.echolane)",
            )
            child.add_argument(
                "--store",
                metavar="URL",
                help="where results are kept, clickhouse://USER@HOST/DATABASE (default: ECHOLANE_STORE or the store in the home)",
            )
            if name in WITH_JOURNAL:
                child.add_argument(
                    "--journal",
                    metavar="URL",
                    help="sqlite, or kafka://HOST:PORT,… (default: ECHOLANE_JOURNAL or sqlite in the home)",
                )
    return parser, children


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line as a namespace; UsageError says what is wrong and what was perhaps meant."""
    command = next((word for word in argv if not word.startswith("-")), None)
    if command is not None and command not in COMMANDS:
        close = difflib.get_close_matches(command, COMMANDS, n=1)
        hint = f"; did you mean `{close[0]}`?" if close else f"; known: {', '.join(COMMANDS)}"
        raise UsageError(f"unknown command `{command}`{hint}")
    parser, children = build_parser(command)
    args, unknown = parser.parse_known_args(argv)
    if args.command is None:
        parser.print_help(sys.stderr)
        raise SystemExit(2)
    if unknown:
        known = children[args.command].known_flags()
        close = difflib.get_close_matches(unknown[0].split("=", 1)[0], known, n=1)
        hint = f"; did you mean `{close[0]}`?" if close else f"; see `echolane {args.command} --help`"
        raise UsageError(f"unknown argument `{unknown[0]}`{hint}")
    return args


def say_error(error: EcholaneError) -> None:
    """One line on stderr, without control characters of foreign origin."""
    print(f"echolane: {terminal(' '.join(str(error).split()))}", file=sys.stderr)  # noqa: T201 - talk goes to stderr


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code of design §6."""
    words = list(sys.argv[1:] if argv is None else argv)
    # Only where it is the program itself: who calls it from a first process of its own would be two from here on.
    if argv is None and os.getpid() == 1 and (ended := first_process.divided()) is not None:
        return ended
    try:
        args = parse(words)
        code = importlib.import_module(COMMANDS[args.command][0]).execute(args)
        sys.stdout.flush()
    except EcholaneError as error:
        say_error(error)
        return error.exit_code
    except QueryError as error:
        # Our statements are fixed, so what refuses one is a store that somebody or something has changed.
        refused = HomeError(f"the store refuses a statement of ours: {error}; `echolane doctor` looks at it")
        say_error(refused)
        return refused.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our stdout left (`echolane show … | head`); the interpreter must not complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        # Doors translate what they meet; a disk that fills up, or a file that is another user's, can be met anywhere.
        # Anything else is a fault of ours, told whole.
        if error.errno in DENIED and error.filename:
            said = denied(error)
        elif error.errno in DISK:
            said = unwritable(f"`{error.filename}`" if error.filename else "the disk", error)
        else:
            raise
        say_error(said)
        return said.exit_code
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
