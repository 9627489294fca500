"""What a command stands on: its settings and its home, from its flags and the environment."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from echolane.home import Home, open_home
from echolane.settings import Settings, load


def settings_of(args: argparse.Namespace, **flags: object) -> Settings:
    """The settings in force for this call: flag > environment > echolane.toml > default."""
    given = {key: value for key, value in flags.items() if value is not None}
    if getattr(args, "home", None) is not None:
        given["home"] = str(args.home)
    return load(given, os.environ, Path("echolane.toml"))


def home_of(args: argparse.Namespace) -> Home:
    """The home of this call, made when it is missing."""
    return open_home(Path(settings_of(args).home))
