"""The command line as records: each command with its flags, its places and what may stand there, read off the parsers."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import NamedTuple

from console.main import COMMANDS, build_parser

_WORDS = re.compile(r"[a-z-]+(\|[a-z-]+)+")
"""What a value is called where that is all that it may be, ``fire|skip``."""
_PATHS = {"FILE": "file", "DIR": "folder"}


class Argument(NamedTuple):
    """One flag, or one place behind the flags, and what may stand there."""

    flags: tuple[str, ...]
    """How it is written, ``--home``; empty for a place."""
    value: str
    """What its value is called; empty for a flag without one."""
    words: tuple[str, ...]
    """The values that it may have, where they are fixed."""
    path: str
    """``file`` or ``folder``, where it names one."""
    many: bool
    """Whether it may be given again: a flag, or the last place for all words that follow."""
    what: str


class Command(NamedTuple):
    """One command with its arguments, in their order."""

    name: str
    what: str
    flags: list[Argument]
    places: list[Argument]


def commands() -> list[Command]:
    """Every command. All their modules are loaded for it."""
    found: list[Command] = []
    for name, (_, what) in COMMANDS.items():
        arguments = list(_arguments(build_parser(name)[1][name].arguments()))
        flags = [one for one in arguments if one.flags]
        found.append(Command(name, what, flags, [one for one in arguments if not one.flags]))
    return found


def flags_before() -> list[Argument]:
    """The flags that stand before a command."""
    return [one for one in _arguments(build_parser(None)[0].arguments()) if one.flags]


def _arguments(actions: list[argparse.Action]) -> Iterator[Argument]:
    for action in actions:
        # An argument without a word of its own (`--json`) takes none; the choices of subparsers are commands.
        takes = action.nargs != 0
        metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
        if action.choices is not None:
            words = tuple(str(word) for word in action.choices)
        else:
            words = tuple(metavar.split("|")) if _WORDS.fullmatch(metavar) else ()
        yield Argument(
            flags=tuple(action.option_strings),
            value=metavar if takes else "",
            words=words if takes else (),
            path=_PATHS.get(metavar, "") if takes else "",
            many=action.nargs in {"+", "*"} or (takes and bool(action.option_strings) and _appends(action)),
            what=(action.help or "").replace("%%", "%"),
        )


def _appends(action: argparse.Action) -> bool:
    return isinstance(action, argparse._AppendAction)  # noqa: SLF001 - there is no other way to know it  # pyright: ignore[reportPrivateUsage]
