"""Where runs of the server may fire: ``[[api_targets]]`` of ``echolane.toml``, and nowhere else.

A client names a target and never gives an address, so it can have nothing fired at that the configuration does not name. ``{branch}`` in a
target's URL and lane is filled with the branch's name, made a DNS label: a name from outside can choose a label, never another host.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from console.api.messages import Name, Service
from console.flags import http_url
from echolane.errors import UsageError
from replayer.targets import host_of, is_loopback

TARGETS_MAX = 10_000
LABEL_MAX = 63
HOLE = "{branch}"

S = TypeVar("S", bound=msgspec.Struct)


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One target as configured."""

    service: Service
    name: Name
    url: str
    lane: str = ""
    control: str = ""
    """A second instance of it; without one it is fired at twice."""
    address: str = ""
    """Where it is, so that nobody is asked where its name leads."""
    control_address: str = ""
    """The same of its control."""
    writes: bool = False
    """Whether runs may write to it."""


class Configured:
    """The targets of a server, by service and name."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self._by_name = {(target.service, target.name): target for target in targets}

    def __repr__(self) -> str:
        return f"<Configured {len(self._by_name)} targets>"

    def of(self, service: str) -> list[Target]:
        """The targets of a service."""
        return [target for target in self._by_name.values() if target.service == service]

    def services(self) -> set[str]:
        """Services that have targets."""
        return {service for service, _ in self._by_name}

    def find(self, service: str, name: str) -> Target | None:
        """One target."""
        return self._by_name.get((service, name))


def read_targets(path: Path) -> Configured:
    """The targets that the file names; UsageError says which one is wrong."""
    tables = tables_of(path, "api_targets")
    if len(tables) > TARGETS_MAX:
        raise UsageError(
            f"{path}: {len(tables)} targets are named, and {TARGETS_MAX} are taken at most; leave some out"
        )
    found: dict[tuple[str, str], Target] = {}
    for number, one in enumerate(tables, 1):
        target = _target(one, f"{path}: target {number}")
        if (target.service, target.name) in found:
            raise UsageError(f"{path}: target {number}: `{target.name}` of service `{target.service}` is there already")
        found[target.service, target.name] = target
    return Configured(list(found.values()))


def structs_of(path: Path, name: str, tables: Sequence[Any], kind: type[S]) -> Iterator[tuple[str, S]]:
    """Tables as what they are, each with the words that say which one it is; UsageError says what is wrong with one."""
    for number, one in enumerate(tables, 1):
        where = f"{path}: {name} {number}"
        try:
            found = msgspec.convert(one, kind)
        except msgspec.ValidationError as error:
            raise UsageError(f"{where}: {error}") from error
        yield where, found


def tables_of(path: Path, name: str) -> list[Any]:
    """The tables ``[[name]]`` of a file, none where it is not there; UsageError where it cannot be read or they are no tables.

    A name with a dot is of tables within a table.
    """
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    listed: Any = tree
    for part in name.split("."):
        listed = cast("dict[str, Any]", listed).get(part, []) if isinstance(listed, dict) else []
    if not isinstance(listed, list):
        raise UsageError(f"{path}: {name} are written as tables, [[{name}]]")
    return cast("list[Any]", listed)


def _target(one: Any, where: str) -> Target:
    try:
        target = msgspec.convert(one, Target)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}") from error
    for key, url in (("url", target.url), ("control", target.control)):
        if url:
            http_url(url.replace(HOLE, "branch"), f"{where}: {key}")
    if HOLE in target.control and HOLE not in target.url:
        raise UsageError(f"{where}: control has {HOLE} and url has not")
    for key, address in (("address", target.address), ("control_address", target.control_address)):
        if address and not is_address(address):
            raise UsageError(f"{where}: {key} is `{address}`; it must be an address such as 10.0.0.7 or fd00::7")
    if target.control_address and not target.control:
        raise UsageError(f"{where}: control_address is set and control is not")
    same = target.control and host_of(target.url.replace(HOLE, "b")) == host_of(target.control.replace(HOLE, "b"))
    if same and target.control_address != target.address:
        raise UsageError(f"{where}: url and control have one host, so address and control_address must be the same")
    return target


def is_address(text: str) -> bool:
    """Whether a text is an address as such."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def label(branch: str) -> str:
    """A branch's name as a DNS label: ``feature/New_Prices`` is ``feature-new-prices``; empty where nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", branch.lower()).strip("-")[:LABEL_MAX].strip("-")


def filled(text: str, branch: str) -> str:
    """A configured text for a branch; UsageError where it needs one and has none."""
    if HOLE not in text:
        return text
    if not label(branch):
        raise UsageError(f"the target `{text}` needs a branch's name that has letters or digits: give branch_name")
    return text.replace(HOLE, label(branch))


def words(base: Target, branch: Target, branch_name: str, *, writes: bool) -> list[str]:
    """The flags of ``echolane run`` that stand for these targets."""
    found: list[str] = []
    for role, target in (("base", base), ("branch", branch)):
        url, control = filled(target.url, branch_name), filled(target.control, branch_name)
        found.append(f"--{role}={url}")
        twin = "control" if role == "base" else "branch-control"
        found += [f"--{twin}={control}"] if control else []
        for address, pin in ((url, target.address), (control, target.control_address)):
            host = host_of(address) if address else "localhost"
            if not is_loopback(host):
                found += [f"--allow-host={host}"]
                found += [f"--allow-writes={host}"] if writes and target.writes else []
            found += [f"--pin={host}={pin}"] if pin else []
    lane = filled(branch.lane, branch_name)
    return [*found, f"--lane={lane}"] if lane else found
