"""What a command stands on: its settings, its home and its store, from its flags and the environment."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from console.output import say
from echolane.home import Home, open_home
from echolane.settings import Settings, load
from echolane.store import Store, open_store
from echolane.store.address import without_password


def settings_of(args: argparse.Namespace, **flags: object) -> Settings:
    """The settings in force for this call: flag > environment > echolane.toml > default."""
    given = {key: value for key, value in flags.items() if value is not None}
    if getattr(args, "home", None) is not None:
        given["home"] = str(args.home)
    if getattr(args, "store", None) is not None:
        given["store"] = args.store
    return load(given, os.environ, Path("echolane.toml"))


def home_of(args: argparse.Namespace) -> Home:
    """The home of this call, made when it is missing."""
    return open_home(Path(settings_of(args).home))


def store_of(args: argparse.Namespace, home: Home) -> Store:
    """The store of this call; whoever has to wait for its server is told."""
    return open_store(home.path, settings_of(args).store, tell=say)


def same_place(args: argparse.Namespace) -> str:
    """The flags by which another command finds the same home and store, without a password."""
    return (f" --home {args.home}" if args.home else "") + (
        f" --store '{without_password(args.store)}'" if args.store else ""
    )
