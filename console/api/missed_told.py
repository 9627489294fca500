"""Which forges are asked for pushes that were missed, and how that went, for the API and for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from console.api.context import Site
from console.api.forge_settings import Telling
from console.api.heads import Look
from console.api.hook_settings import Armed
from console.api.messages import LookTold

TOLD_MAX = 200
"""Repositories that the API tells of, those with trouble first."""


class Source(NamedTuple):
    """One repository of one forge, and the hooks that it is for."""

    telling: Telling
    repository: str
    armed: list[Armed]

    @property
    def key(self) -> tuple[str, str]:
        """Which one it is."""
        return self.telling.api, self.repository

    @property
    def name(self) -> str:
        """The same as one text, for what is kept."""
        return "\n".join(self.key)


def sources_of(site: Site) -> Iterable[Source]:
    """Each repository once, whose hooks have a token and want to know what they missed."""
    found: dict[tuple[str, str], Source] = {}
    if not site.settings.api.missed_pushes_s:
        return []
    for one in site.hooks:
        if one.telling is not None and one.hook.missed:
            for repository in dict.fromkeys(one.hook.repositories):
                key = (one.telling.api, repository)
                found.setdefault(key, Source(one.telling, repository, [])).armed.append(one)
    return found.values()


def looks_told(site: Site, sees: Callable[[str], bool], service: str = "") -> list[LookTold]:
    """How the looks went, those with trouble first; of the services that somebody sees."""
    found = [
        LookTold(name, source.repository, look.at_ns, look.heads, look.found, look.why)
        for source in sources_of(site)
        if (look := site.heads.looks.get(source.key, Look()))
        for name in dict.fromkeys(one.hook.service for one in source.armed)
        if sees(name) and service in {"", name}
    ]
    return sorted(found, key=lambda one: not one.why)[:TOLD_MAX]


def numbers(site: Site) -> Iterator[str]:
    """How the looks went, for Prometheus."""
    looks = list(site.heads.looks.values())
    if looks:
        oldest = min(look.at_ns for look in looks) // 1_000_000_000
        yield "# HELP echolane_forge_look_oldest_seconds When the repository that waits longest was last looked at; 0 for never."
        yield "# TYPE echolane_forge_look_oldest_seconds gauge"
        yield f"echolane_forge_look_oldest_seconds {oldest}"
        yield "# HELP echolane_forge_looks_failed_total Looks at forges that failed."
        yield "# TYPE echolane_forge_looks_failed_total counter"
        yield f"echolane_forge_looks_failed_total {sum(look.failed for look in looks)}"
        yield "# HELP echolane_missed_pushes_total Pushes that were found because no delivery told of them."
        yield "# TYPE echolane_missed_pushes_total counter"
        yield f"echolane_missed_pushes_total {sum(look.found for look in looks)}"
