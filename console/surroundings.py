"""What a command stands on: its settings and its home, from its flags and the environment."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

from echolane.home import Home, open_home
from echolane.settings import Settings, load


def settings_of(args: argparse.Namespace, **flags: object) -> Settings:
    """The settings in force for this call: flag > environment > echolane.toml > default."""
    given = {key: value for key, value in flags.items() if value is not None}
    for key, flag in (("home", "home"), ("journal.url", "journal")):
        if getattr(args, flag, None) is not None:
            given[key] = str(getattr(args, flag))
    return load(given, os.environ, Path("echolane.toml"))


def home_of(args: argparse.Namespace) -> Home:
    """The home of this call, made when it is missing."""
    return home_in(settings_of(args))


def home_in(settings: Settings) -> Home:
    """The home that the settings name, made when it is missing."""
    return open_home(Path(settings.home), settings.journal_url)


def same_place(args: argparse.Namespace) -> str:
    """The flags of this call that lead another command to the same data."""
    words = [
        f" --{name} {shlex.quote(str(value))}" for name in ("home", "journal") if (value := getattr(args, name, None))
    ]
    return "".join(words)
