"""What a target is called in Host: ``host`` in ``[targets.NAME]`` of ``echolane.toml`` (design §8). Pure.

It is a name and nothing more. Where a request goes, whether it may go there and what leave the run needs follow the target's URL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlsplit

from msgspec.structs import replace

from echolane.errors import UsageError
from echolane.observation import TARGETS, TargetInfo

OWN, RECORDED = "target", "recorded"
"""The two words that are no name: the target's own authority, and that of each recorded request."""
FORM = r"([A-Za-z0-9_]([A-Za-z0-9._~-]{0,251}[A-Za-z0-9_~-])?|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?"
"""A DNS name is 253 characters at most; ``_`` and ``~`` are in names that proxies and clusters give."""
PORT_MAX = 65_535
_AUTHORITY = re.compile(FORM)

T = TypeVar("T")


def authority_ok(text: str) -> bool:
    """Whether a text can be sent as an authority: a host with or without a port, in ASCII."""
    found = _AUTHORITY.fullmatch(text)
    return found is not None and (not found[3] or int(found[3][1:]) <= PORT_MAX)


def host_in(authority: str) -> str:
    """The host of an authority, without its port."""
    found = _AUTHORITY.fullmatch(authority)
    return found[1] if found else ""


def recorded_name(authority: str) -> str:
    """A recorded authority as it may be sent: without a user's name, which Host never has; empty where it is none."""
    name = authority.rpartition("@")[2]
    return name if authority_ok(name) else ""


def checked_host(text: object, where: str, place: str) -> str:
    """The value of ``host``; UsageError says what is wrong with it and where it stands."""
    if isinstance(text, str) and authority_ok(text):
        return text
    raise UsageError(
        f"{place}: `{where}` is {text!r}; use {OWN}, {RECORDED}, or a name with or without a port such as shop.example:8443"
    )


def names_of(role: str, authority: str) -> tuple[str, ...]:
    """The names by which ``[targets.NAME]`` means a target, in the order in which they count; a control has its version's."""
    twin = {"control": "base", "branch_control": "branch"}.get(role, role)
    host = authority.rpartition(":")[0] if re.search(r":\d+\Z", authority) else authority
    return role, twin, authority.lower(), host.lower(), "default"


def chosen(table: Mapping[str, T], role: str, authority: str) -> T | None:
    """What ``[targets.NAME]`` says of a target: by role, by address, by default; None where nothing does."""
    return next((table[name] for name in names_of(role, authority) if name in table), None)


def with_hosts(infos: Sequence[TargetInfo], hosts: Mapping[str, str]) -> list[TargetInfo]:
    """The targets of a run with what each is called; a copy that is not started yet is a target on this machine."""
    return [
        replace(info, host=_host_of(hosts, role, urlsplit(info.url).netloc or "127.0.0.1"))
        for role, info in zip(TARGETS, infos, strict=False)
    ]


def sent_to(info: TargetInfo) -> str:
    """What a target is sent where no recorded request says it."""
    return urlsplit(info.url).netloc if info.host in {OWN, RECORDED} else info.host


def told(infos: Sequence[TargetInfo]) -> list[str]:
    """One line for each name that targets are sent, where it is not their own."""
    lines: dict[str, list[str]] = {}
    for role, info in zip(TARGETS, infos, strict=False):
        lines.setdefault(info.host, []).append(role)
    said = {RECORDED: "the authority that was recorded"}
    return [f"{', '.join(roles)}: Host is {said.get(host, host)}" for host, roles in lines.items() if host != OWN]


def _host_of(hosts: Mapping[str, str], role: str, authority: str) -> str:
    return chosen(hosts, role, authority) or OWN
