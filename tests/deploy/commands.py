"""Whether a command line of a deployment file is one of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from console.flags import host_port, http_url, service_name
from console.main import COMMANDS, parse

COMING = {"worker"}
"""Commands that another change brings; where they are not there yet a test says so and is left out."""


def accepted(words: Sequence[str], lacking: Callable[[str], NoReturn]) -> None:
    """Our own parser takes it, and what it checks later, too; UsageError says why not."""
    if words[0] in COMING - set(COMMANDS):
        lacking(f"needs the command `{words[0]}`")
    args = parse(words)
    if words[0] == "record":
        service_name(args.service)
        host_port(args.listen)
        http_url(args.upstream, "--upstream")
