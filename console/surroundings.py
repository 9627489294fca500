"""What a command stands on: its settings, its home and its store, from its flags and the environment."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

from console.config_place import config_file
from console.output import say
from echolane.home import Home, open_home
from echolane.settings import Settings, load
from echolane.store import Store, open_store
from echolane.store.address import without_password


def settings_of(args: argparse.Namespace, **flags: object) -> Settings:
    """The settings in force for this call: flag > environment > echolane.toml > default."""
    given = {key: value for key, value in flags.items() if value is not None}
    for key, flag in (("home", "home"), ("journal.url", "journal"), ("store", "store")):
        if getattr(args, flag, None) is not None:
            given[key] = str(getattr(args, flag))
    return load(given, os.environ, config_file())


def home_of(args: argparse.Namespace) -> Home:
    """The home of this call, made when it is missing."""
    return home_in(settings_of(args))


def home_in(settings: Settings) -> Home:
    """The home that the settings name, made when it is missing."""
    return open_home(Path(settings.home), settings.journal_url)


def store_of(args: argparse.Namespace, home: Home) -> Store:
    """The store of this call; whoever has to wait for its server is told."""
    return open_store(home.path, settings_of(args).store, tell=say)


def same_place(args: argparse.Namespace) -> str:
    """The flags by which another command finds the same home, journal and store, without a password."""
    places = {name: getattr(args, name, None) for name in ("home", "journal", "store")}
    if places["store"]:
        places["store"] = without_password(places["store"])
    return "".join(f" --{name} {shlex.quote(str(value))}" for name, value in places.items() if value)


def places_of(args: argparse.Namespace, home: Home) -> list[str]:
    """The flags by which processes of our own find the same home, journal and store."""
    found = [f"--home={home.path}"]
    found += [f"--journal={args.journal}"] if args.journal else []
    return found + ([f"--store={args.store}"] if args.store else [])
