"""Which services `echolane up` records: ``[[up.record]]`` of ``echolane.toml``, each as `echolane record` takes it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from console.api.targets import structs_of, tables_of
from console.flags import host_port, http_url, service_name
from echolane.errors import UsageError

RECORDS_MAX = 100
"""Two processes each; more belong on machines of their own, with a journal on Kafka."""
TABLE = "up.record"


class Recorded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One recorded service as configured. What is not given is as ``capture.*`` says for all."""

    service: str
    listen: str
    upstream: str
    seal: bool | None = None
    sampling: Annotated[float, Meta(ge=0, le=1)] | None = None
    methods: list[str] | None = None
    paths: list[str] | None = None
    not_paths: list[str] | None = None

    @property
    def words(self) -> list[str]:
        """The command that records it."""
        return ["record", f"--service={self.service}", f"--listen={self.listen}", f"--upstream={self.upstream}"]

    @property
    def environ(self) -> dict[str, str]:
        """Its filters, as the environment tells them."""
        found = {
            "ECHOLANE_SEAL": None if self.seal is None else str(self.seal).lower(),
            "ECHOLANE_CAPTURE_SAMPLING": None if self.sampling is None else str(self.sampling),
        }
        for name in ("methods", "paths", "not_paths"):
            given: list[str] | None = getattr(self, name)
            found[f"ECHOLANE_CAPTURE_{name.upper()}"] = None if given is None else ",".join(given)
        return {name: text for name, text in found.items() if text is not None}


def read_records(path: Path, api: tuple[str, int]) -> list[Recorded]:
    """The services that the file names, and the address of the pages, which none may take; UsageError says which one is wrong."""
    tables = tables_of(path, TABLE)
    if len(tables) > RECORDS_MAX:
        raise UsageError(f"{path}: {TABLE} names {len(tables)} services; one `echolane up` records {RECORDS_MAX}")
    found: list[Recorded] = []
    taken = {api: "the pages listen"}
    for where, record in structs_of(path, TABLE, tables, Recorded):
        _check(record, where)
        listen = host_port(record.listen, f"{where}: listen")
        if listen in taken:
            raise UsageError(f"{where}: listen `{record.listen}` is taken: {taken[listen]} there")
        taken[listen] = f"{where.removeprefix(f'{path}: ')} (`{record.service}`) listens"
        found.append(record)
    return found


def _check(record: Recorded, where: str) -> None:
    try:
        service_name(record.service)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    host, port = host_port(record.listen, f"{where}: listen")
    upstream = urlsplit(http_url(record.upstream, f"{where}: upstream"))
    if (upstream.hostname, upstream.port or 80) == (host, port):
        raise UsageError(f"{where}: listen and upstream are both {host}:{port}; clients connect to the first")
    for name, given in (("methods", record.methods), ("paths", record.paths), ("not_paths", record.not_paths)):
        for text in given or []:
            if not text.strip() or "," in text:
                raise UsageError(f"{where}: {name} has `{text}`; each is one word without a comma")


def names_of(records: list[Recorded]) -> list[str]:
    """What each part is called; a service that is recorded at two addresses has the address in the name."""
    times = Counter(record.service for record in records)
    return [f"record {r.service}" + (f" {r.listen}" if times[r.service] > 1 else "") for r in records]
