"""Whether a command line of a deployment file is one of ours."""

from __future__ import annotations

from collections.abc import Sequence

from console.flags import host_port, http_url, service_name
from console.main import parse


def accepted(words: Sequence[str]) -> None:
    """Our own parser takes it, and what it checks later, too; UsageError says why not."""
    args = parse(words)
    if words[0] == "record":
        service_name(args.service)
        host_port(args.listen)
        http_url(args.upstream, "--upstream")
    if words[0] == "worker":
        host_port(args.health, "--health")
