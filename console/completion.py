"""``echolane completion``: a script by which a shell completes commands, flags and values. It is made of the parsers themselves."""

from __future__ import annotations

import argparse

from console.command_line import commands, flags_before
from console.completion_scripts import SCRIPTS

EPILOG = """examples:
  source <(echolane completion bash)                    # in ~/.bashrc
  source <(echolane completion zsh)                     # in ~/.zshrc, after compinit
  echolane completion fish > ~/.config/fish/completions/echolane.fish"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.epilog = EPILOG
    parser.add_argument("shell", choices=list(SCRIPTS), help="the shell that reads the script")


def execute(args: argparse.Namespace) -> int:
    """Print the script."""
    print(SCRIPTS[args.shell](commands(), flags_before()), end="")  # noqa: T201
    return 0
