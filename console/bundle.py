"""``echolane doctor --bundle FILE``: what somebody needs who is to help, in one file that may be given away.

Nothing is in it but what is listed in :data:`README`. It is made of what is known to be harmless (numbers, names of our own, the words of our
own messages: :mod:`console.bundle_words`), not of everything less what looks like a secret.
"""

from __future__ import annotations

import io
import os
import platform
import sys
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import orjson

from capture.account import total_ledger
from console.api.targets import tables_of
from console.bundle_words import LEFT_OUT, Words
from console.config_place import config_file
from echolane import __version__, frame
from echolane.checks import Check
from echolane.errors import EcholaneError, UsageError
from echolane.home import FOLDERS, Home
from echolane.journal import Journal, open_journal
from echolane.settings import NOT_SETTINGS, Settings
from echolane.store import TABLES, QueryError, Store
from echolane.store.migrate import migrations
from echolane.whole import write_whole

LOGS = ("api", "recorder", "relay", "store", "up", "worker", "worker-diff", "worker-replay")
"""Logs of our own processes. What replayed applications print beside them is theirs."""
LOG_BYTES = 128 * 1024
"""Of each log and its predecessor, from the end: some hundred events."""
RUNS = 20
TOPICS_MAX = 2_000
"""Topics of a journal that are counted; each is asked for its partitions."""
FILES_MAX = 200_000
"""Files of a home that are counted."""
HOLDS = "versions, findings, settings, sums, sizes and ends of logs, without secrets; its README.txt says what is in it"
README = f"""What `echolane doctor --bundle` put together for whoever is to help.

versions.json   Echolane, Python, the system, the libraries; versions of frames and tables
checks.json     what `echolane doctor` found
settings.json   each setting and where it comes from; which variables are set; how many tables echolane.toml has of each kind
ledger.json     the sums of each service's capture, and of the last {RUNS} runs; services and runs are numbered, not named
sizes.json      files and bytes of each folder of the home, entries of {TOPICS_MAX:,} topics at most, rows of the store
logs/           the end of each log, at most {LOG_BYTES // 1024} KiB of it

No recorded exchange, key, token, value of a variable, address or name is in it. Of texts only those words are kept that stand in
Echolane's own source, and numbers of at most five digits; everything else is {LEFT_OUT}
"""


def check_file(path: Path, *, force: bool) -> None:
    """UsageError where the file may not be written."""
    if path.is_dir():
        raise UsageError(f"--bundle `{path}` is a folder; name a file, for example echolane.tar.gz")
    if not path.parent.is_dir():
        raise UsageError(f"--bundle `{path}`: there is no folder `{path.parent}`")
    if path.exists() and not force:
        raise UsageError(f"--bundle `{path}` is there already; name another file, or replace it with --force")


def write(path: Path, home: Home, settings: Settings, found: Sequence[Check], store: Callable[[], Store]) -> int:
    """Write the bundle; its bytes. What cannot be looked at is said in its place."""
    words = Words()
    parts: dict[str, Any] = {
        "versions.json": _versions,
        "checks.json": lambda: [check._asdict() for check in found],
        "settings.json": lambda: _settings(settings),
        "ledger.json": lambda: _ledger(home, store),
        "sizes.json": lambda: _sizes(home, store),
    }
    files = {"README.txt": README.encode()}
    for name, look in parts.items():
        # Versions are names and numbers of ours and of libraries, which no rule of words needs to thin out.
        value = look() if name == "versions.json" else words.cleaned(look())
        files[name] = orjson.dumps(value, option=orjson.OPT_INDENT_2)
    files |= _logs(home, words)
    data = _packed(files)
    write_whole(path, data, mode=0o600)
    return len(data)


def _packed(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"echolane-bundle/{name}")
            entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def _versions() -> dict[str, Any]:
    named = {line.split(";")[0].split(">")[0].split("[")[0].strip() for line in metadata.requires("echolane") or []}
    libraries: dict[str, str] = {}
    for name in sorted(named - {"echolane"}):
        try:
            libraries[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "echolane": __version__,
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "libraries": libraries,
        "frame": frame.VERSION,
        "tables_known": max(step.number for step in migrations()),
    }


def _settings(settings: Settings) -> dict[str, Any]:
    rows = [{"key": row.key, "value": _value(row.value), "source": _source(row.source)} for row in settings.explain()]
    toml = config_file()
    counted = {
        name: len(tables_of(toml, name)) for name in ("rules", "writes", "api_targets", "hooks", "notify", "up.record")
    }
    return {
        "settings": rows,
        "variables": sorted(NOT_SETTINGS & os.environ.keys()),
        "tables": counted,
        "targets": len(settings.targets),
    }


def _source(source: str) -> str:
    """Where a value comes from, without the path of a file."""
    if source.startswith("ECHOLANE_"):
        return "environment"
    return "file" if " line " in source else source


def _value(value: Any) -> Any:
    """A list may hold anything; how long it is is enough."""
    return {"items": len(value)} if isinstance(value, list) else value  # pyright: ignore[reportUnknownArgumentType]


def _ledger(home: Home, store: Callable[[], Store]) -> dict[str, Any]:
    services = sorted(
        path.name.removeprefix("agent.").removesuffix(".json") for path in home.ledger.glob("agent.*.json")
    )
    return {"capture": [total_ledger(home, service) for service in services], "runs": _told(store, _runs)}


def _runs(store: Store) -> list[dict[str, Any]]:
    rows = store.query(
        "SELECT state, verdict, reason_code, toInt64(toUnixTimestamp(started_at)) AS started_s, "  # noqa: S608 - constant text
        "toInt64(toUnixTimestamp(finished_at)) AS finished_s, JSONExtractRaw(result, 'ledger') AS ledger "
        f"FROM runs_v ORDER BY started_at DESC LIMIT {RUNS}"
    )
    return [{**row, "ledger": msgspec.json.decode(row["ledger"] or b"null")} for row in rows]


def _sizes(home: Home, store: Callable[[], Store]) -> dict[str, Any]:
    folders = {name: _size(home.path / name) for name in (*FOLDERS, "spool", "hooks")}
    return {"folders": folders, "journal": _journal(home), "store": _told(store, _rows)}


def _size(folder: Path) -> dict[str, int]:
    files = total = 0
    for parent, _, names in os.walk(folder):
        for name in names[: FILES_MAX - files]:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - a Path for each of 200,000 files
            except OSError:  # it went meanwhile
                continue
            files += 1
        if files >= FILES_MAX:
            break
    return {"files": files, "bytes": total}


def _journal(home: Home) -> dict[str, Any]:
    try:
        journal = open_journal(home)
    except EcholaneError as error:
        return {"error": str(error)}
    try:
        return _topics(journal)
    except EcholaneError as error:
        return {"error": str(error)}
    finally:
        journal.close()


def _topics(journal: Journal) -> dict[str, Any]:
    """By the kind of topic, since the rest of its name is a service or a run."""
    kinds: dict[str, dict[str, int]] = {}
    topics = journal.topics()
    for topic in topics[:TOPICS_MAX]:
        kind = kinds.setdefault(topic.partition(".")[0], {"topics": 0, "partitions": 0, "entries": 0, "damaged": 0})
        partitions = journal.partitions(topic)
        kind["topics"] += 1
        kind["partitions"] += partitions
        kind["entries"] += sum(journal.end(topic, one) - journal.begin(topic, one) for one in range(partitions))
        kind["damaged"] += journal.damaged(topic)
    if len(topics) > TOPICS_MAX:
        kinds["not counted"] = {"topics": len(topics) - TOPICS_MAX}
    return kinds


def _rows(store: Store) -> dict[str, int]:
    counts = {name: int(store.query(f"SELECT count() AS rows FROM {name}")[0]["rows"]) for name in TABLES}  # noqa: S608 - names of ours
    return {**counts, "tables_there": int(store.query("SELECT max(number) AS newest FROM migrations")[0]["newest"])}


def _told(store: Callable[[], Store], look: Callable[[Store], Any]) -> Any:
    """What the store says, or why it does not."""
    try:
        with store() as opened:
            return look(opened)
    except (EcholaneError, QueryError, msgspec.DecodeError) as error:
        return {"error": str(error)}


def _logs(home: Home, words: Words) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in (home.log / f"{name}{ending}" for name in LOGS for ending in (".log", ".1", ".log.1")):
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - LOG_BYTES))
                lines = file.read(LOG_BYTES).splitlines()
        except OSError:
            continue
        whole = lines if size <= LOG_BYTES else lines[1:]
        found[f"logs/{path.name}"] = b"".join(_line(line, words) + b"\n" for line in whole)[-LOG_BYTES:]
    return found


def _line(line: bytes, words: Words) -> bytes:
    """One event with its texts cleaned, or one line of talk: a number alone is talk too."""
    if line.startswith(b"{"):
        try:
            return orjson.dumps(words.cleaned(orjson.loads(line)))
        except orjson.JSONDecodeError:
            pass
    return words.clean(line.decode("utf-8", "replace")).encode()
