"""Settings: flag > environment ``ECHOLANE_*`` > ``echolane.toml`` > default. An unknown key is an error that names its line.

Each field's docstring-like text stands in :data:`WHAT` once, for ``config explain`` and ``docs/reference/settings.md``.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from echolane.credentials import Credentials, read_targets
from echolane.errors import UsageError
from echolane.exchange import ANSWER_BODY_KEPT, REQUEST_BODY_KEPT
from echolane.journal.kafka_address import PASSWORD, SCHEME, Options, completed
from echolane.reader import PASSWORD as GRAFANA_PASSWORD, WHAT as GRAFANA_WHAT, Grafana
from echolane.service_links import is_service_link
from echolane.signin import BOUNDS as OIDC_BOUNDS, SECRET as OIDC_SECRET, WHAT as OIDC_WHAT, Oidc
from echolane.store.address import hidden
from echolane.up_settings import BOUNDS as UP_BOUNDS, MARK as UP_MARK, WHAT as UP_WHAT, Up

MIB = 1024 * 1024
PROFILES_KEPT_DAYS = 90
"""Days after which profiles leave the store: a version that was not released again in a quarter is not what a branch is compared with."""


class Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a recorder keeps."""

    request_body_kept: int = REQUEST_BODY_KEPT
    answer_body_kept: int = ANSWER_BODY_KEPT
    sampling: float = 1.0
    methods: list[str] = []
    paths: list[str] = []
    not_paths: list[str] = []
    spool_bytes: int = 1024 * MIB
    spool_policy: str = "drop-oldest"


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a run fires."""

    pace: str = "max"
    concurrency: int = 16
    methods: str = "safe"
    adaptive: bool = False
    correlate: bool = True
    think_max_s: float = 0.0
    late: str = "fire"
    late_after_s: float = 1.0
    stop_on: list[str] = []
    retry_after_max_s: float = 30.0
    protected: list[str] = []
    dry_run_header: str = "x-echolane-dry-run"
    idempotency_headers: list[str] = msgspec.field(default_factory=lambda: ["Idempotency-Key", "X-Idempotency-Key"])
    connect_timeout_s: float = 3.0
    first_byte_timeout_s: float = 10.0
    total_timeout_s: float = 30.0
    workers: str = "auto"
    partitions: int = 12
    lease_s: float = 10.0
    capacities_days: float = 365.0


class Differ(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The bounds of one comparison."""

    decoded_bytes: int = 8 * MIB
    depth: int = 512
    nodes: int = 200_000
    time_ms: int = 250
    descriptors: str = ""
    profile_days: float = 14.0


class Api(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the server is reached, and how much it lets itself be asked."""

    listen: str = "127.0.0.1:8900"
    url: str = ""
    hosts: list[str] = []
    runs_at_once: int = 1
    runs_queued: int = 100
    rate_per_s: float = 10.0
    burst: int = 50
    missed_pushes_s: float = 300.0


class JournalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the journal is laid out."""

    url: str = "sqlite"
    partitions: int = 4
    retention_days: float = 7.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings in force, and where each comes from."""

    home: str = ".echolane"
    store: str = ""
    seal: bool = True
    capture: Capture = Capture()
    replay: Replay = Replay()
    differ: Differ = Differ()
    journal: JournalSettings = JournalSettings()
    kafka: Options = Options()
    targets: dict[str, Credentials] = {}
    """By role, host or ``default``: see :mod:`echolane.credentials`."""
    hosts: dict[str, str] = {}
    origins: dict[str, bool] = {}
    api: Api = Api()
    grafana: Grafana = Grafana()
    up: Up = Up()
    oidc: Oidc = Oidc()
    sources: dict[str, str] = {}

    @property
    def journal_url(self) -> str:
        """The journal's URL with all that the other settings add to it; empty for SQLite in the home."""
        if not self.journal.url.startswith(SCHEME):
            return ""
        added = msgspec.structs.asdict(self.kafka) | {"retention_days": self.journal.retention_days}
        return completed(self.journal.url, added)

    def explain(self, key: str | None = None) -> list[Explained]:
        """Every setting, or the one asked for; UsageError for an unknown key."""
        if key is not None and key not in WHAT:
            raise UsageError(f"unknown setting `{key}`{_meant(key)}")
        return [
            Explained(name, _shown(name, _value(self, name)), self.sources.get(name, "default"), what)
            for name, what in WHAT.items()
            if key in {None, name}
        ]


class Explained(NamedTuple):
    """One setting, its value, where that comes from, and what it means."""

    key: str
    value: Any
    source: str
    what: str


WHAT = {
    "home": "the folder in which everything is kept",
    "store": "where results are kept: clickhouse://USER@HOST:PORT/DATABASE, or empty for the store in the home",
    "seal": "whether originals of masked request values are kept, encrypted; false drops them for good",
    "capture.request_body_kept": "bytes of a request body that are kept (at most 1 MiB); a cut request cannot be fired",
    "capture.answer_body_kept": "bytes of an answer's body that are kept",
    "capture.sampling": "share of sessions that are recorded, 0 to 1; a session is kept whole or not at all",
    "capture.methods": "methods that are recorded; empty for all",
    "capture.paths": "path prefixes that are recorded; empty for all",
    "capture.not_paths": "path prefixes that are not recorded, for example /healthz",
    "capture.spool_bytes": "bytes on the disk (HOME/spool) for what is recorded of a service while a journal on Kafka is away; 0 for none",
    "capture.spool_policy": "what goes when they are used up: drop-oldest or drop-newest; it is counted as dropped{spool-full}",
    "replay.pace": "recorded, 2x, 200/s, max, or a ramp: 10/s..500/s over 5m",
    "replay.concurrency": "requests in flight per target",
    "replay.adaptive": "whether that is the most, and each target gets as many as it answers without queueing",
    "replay.methods": "safe (GET, HEAD, OPTIONS) or all",
    "replay.correlate": "whether ids, tokens and cursors that a target answers replace the recorded ones in later requests",
    "replay.think_max_s": "seconds to which pauses of the recording are cut, with a pace that follows it; 0 leaves them",
    "replay.late": "what becomes of an exchange that is late: fire it nevertheless, or skip it (skipped{late})",
    "replay.late_after_s": "seconds that it must be late to be skipped",
    "replay.stop_on": "conditions that end a run early, for example errors>5% or branch:p99>2s",
    "replay.retry_after_max_s": "seconds that a target is given at once that answers 429 or 503 with Retry-After; 0 for none",
    "replay.protected": "hosts (shop.example, *.shop.example), addresses and networks that no run ever fires at, whatever its flags allow",
    "replay.dry_run_header": "the header that writes carry with --dry-run (as NAME: 1), and that an application echoes that changes nothing",
    "replay.idempotency_headers": "headers whose keys are replaced: a new one for each run and target, the same for the same recorded key",
    "replay.connect_timeout_s": "seconds until a connection must stand",
    "replay.first_byte_timeout_s": "seconds until an answer must begin",
    "replay.total_timeout_s": "seconds until an answer must be whole",
    "replay.workers": "who does a run: own (this command's processes), shared (workers), auto (shared where the journal is on Kafka)",
    "replay.partitions": "partitions of a shared run's work: so many workers can share it",
    "replay.lease_s": "seconds without a word after which a worker's part of a run is given to others",
    "replay.capacities_days": "days that what `echolane capacity` found is kept in the store",
    "differ.decoded_bytes": "bytes that a compressed body may unpack to",
    "differ.depth": "nesting of a body that is compared",
    "differ.nodes": "values of a body that are compared",
    "differ.time_ms": "milliseconds that one comparison may take",
    "differ.descriptors": "a file of protobuf descriptors (protoc --include_imports --descriptor_set_out); empty for none",
    "differ.profile_days": "days for which the noise that runs have learned of a version of base is used in the next ones; 0 for not at all",
    "journal.url": "sqlite (in the home), or kafka://HOST:PORT,… of a cluster; `journal = ...` and ECHOLANE_JOURNAL say the same",
    "journal.partitions": "partitions of a new service's topic",
    "journal.retention_days": "days that recorded exchanges are kept",
    "api.listen": "where `echolane api` listens, HOST:PORT",
    "api.url": "the address by which people reach it, for example https://echolane.example; empty for the one it listens on",
    "api.hosts": "other host names by which it may be called; any other is refused (it is how a page elsewhere would reach it)",
    "api.runs_at_once": "runs that the server has done at the same time; others wait",
    "api.runs_queued": "runs that may wait",
    "api.rate_per_s": "calls a second that one token, or one address without a token, may make on average",
    "api.burst": "calls that it may make at once",
    "api.missed_pushes_s": "seconds between two looks at forges (of hooks with a token) for pushes whose delivery got lost; 0 for none",
    **GRAFANA_WHAT,
    **UP_WHAT,
    **OIDC_WHAT,
    "kafka.user": "who logs in to Kafka; empty for nobody. The password is in ECHOLANE_KAFKA_PASSWORD or a file",
    "kafka.password_file": "a file that holds the password",
    "kafka.sasl": "plain, scram-sha-256 or scram-sha-512 (what a user without it gets)",
    "kafka.tls": "whether brokers are reached by TLS",
    "kafka.ca_file": "certificates of the authorities that are trusted (PEM); empty for those of the system",
    "kafka.cert_file": "a certificate of our own (PEM), where brokers ask for one",
    "kafka.key_file": "the key that goes with it (PEM)",
    "kafka.prefix": "how the names of our topics and groups begin on the cluster",
    "kafka.replication": "brokers that keep each entry of a new topic; 0 for three, or as many as there are",
    "kafka.wait_s": "seconds for which an operation goes on trying while brokers do not answer",
}
BOUNDS: dict[str, tuple[float, float]] = {
    "capture.request_body_kept": (0, MIB),
    "capture.answer_body_kept": (0, 8 * MIB),
    "capture.sampling": (0, 1),
    "capture.spool_bytes": (0, 1024 * 1024 * MIB),
    "replay.concurrency": (1, 4096),
    "replay.think_max_s": (0, 86_400),
    "replay.late_after_s": (0.001, 3600),
    "replay.retry_after_max_s": (0, 300),
    "replay.connect_timeout_s": (0.01, 600),
    "replay.first_byte_timeout_s": (0.01, 600),
    "replay.total_timeout_s": (0.01, 3600),
    "replay.partitions": (1, 1024),
    "replay.lease_s": (1, 600),
    "replay.capacities_days": (1, 36_500),
    "differ.decoded_bytes": (1024, 256 * MIB),
    "differ.depth": (8, 900),
    "differ.nodes": (100, 10_000_000),
    "differ.time_ms": (1, 60_000),
    "differ.profile_days": (0, PROFILES_KEPT_DAYS),
    "journal.partitions": (1, 1024),
    "journal.retention_days": (0.04, 36_500),
    "api.runs_at_once": (1, 64),
    "api.runs_queued": (1, 10_000),
    "api.rate_per_s": (0.1, 100_000),
    "api.burst": (1, 1_000_000),
    "api.missed_pushes_s": (0, 86_400),
    **UP_BOUNDS,
    **OIDC_BOUNDS,
    "kafka.replication": (0, 16),
    "kafka.wait_s": (1, 3600),
}
"""Least and most of each number that has them."""
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_KINDS: dict[type[Any], str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
FORMS = {
    "capture.spool_policy": (re.compile(r"drop-oldest|drop-newest"), "`drop-oldest` or `drop-newest`"),
    "replay.pace": (
        re.compile(r"recorded|max|\d+(\.\d+)?(x|/s)(\s*\.\.\s*\d+(\.\d+)?(x|/s)\s+over\s+\d+(\.\d+)?(ms|s|m|h|d))?"),
        "`recorded`, `2x`, `200/s`, `max` or `10/s..500/s over 5m`",
    ),
    "replay.late": (re.compile(r"fire|skip"), "`fire` or `skip`"),
    "replay.methods": (re.compile(r"safe|all"), "`safe` or `all`"),
    "replay.workers": (re.compile(r"own|shared|auto"), "`own`, `shared` or `auto`"),
    "api.url": (re.compile(r"|https?://[^/\s]+"), "`https://HOST`, without a path"),
    "home": (re.compile(r"[^\x00]+"), "a folder"),
    "store": (
        re.compile(r"|clickhouse://[^\x00]+"),
        "`clickhouse://USER@HOST:PORT/DATABASE`, or empty for the store in the home",
    ),
    "journal.url": (re.compile(r"sqlite|kafka://.+"), "`sqlite` or `kafka://HOST:PORT,…`"),
}
"""What a text must look like, and how that is told."""
SHORT = {"journal": "journal.url"}
"""Other names of settings, in the file and, behind ``ECHOLANE_``, in the environment."""
ELSEWHERE = frozenset(("rules", "targets", "writes", "api_targets", "hooks", "notify", "oidc.roles", "up.record"))
"""Keys of the file that are no settings of one value: they have readers of their own."""
_OTHERS = "SEAL_KEY SEAL_KEY_COMMAND MARK_KEY STORE_PASSWORD CONFIG INPUTS INPUTS_DIR REQUIRE_ALL PURE"
NOT_SETTINGS = {PASSWORD, GRAFANA_PASSWORD, OIDC_SECRET, UP_MARK, *(f"ECHOLANE_{name}" for name in _OTHERS.split())}


def load(flags: Mapping[str, Any], environ: Mapping[str, str], toml_path: Path) -> Settings:
    """The settings in force. ``flags`` has dotted keys; UsageError says which value is wrong and where it stands."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    text, tree = _toml(toml_path)
    layers = [
        _from_toml(toml_path, text, tree),
        _from_environment(environ),
        [(key, value, "flag") for key, value in flags.items()],
    ]
    for layer in layers:
        for key, value, source in layer:
            values[key], sources[key] = _checked(key, value, source), source
    told = read_targets(tree.get("targets", {}), lambda key: f"{toml_path} line {_line_of(text, key)}")
    nested: dict[str, Any] = {"sources": sources, **told._asdict()}
    for key, value in values.items():
        room, dot, name = key.partition(".")
        (nested.setdefault(room, {}) if dot else nested)[name or key] = value
    return msgspec.convert(nested, Settings)


def _toml(path: Path) -> tuple[str, dict[str, Any]]:
    """The file's text and what it says; nothing where there is none."""
    try:
        text = path.read_text("utf-8")
        return text, tomllib.loads(text)
    except FileNotFoundError:
        return "", {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from error


def _from_toml(path: Path, text: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    for found, value in _flat(tree, ""):
        key = SHORT.get(found, found)
        if key in ELSEWHERE:
            continue
        line = _line_of(text, found)
        if key not in WHAT:
            raise UsageError(f"{path} line {line}: unknown setting `{key}`{_meant(key)}")
        yield key, value, f"{path} line {line}"


def _flat(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and any(key.startswith(f"{prefix}{name}.") for key in WHAT):
            yield from _flat(cast("dict[str, Any]", value), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _line_of(text: str, key: str) -> int:
    """The line where a key is set: in its own table, dotted, or inside an inline table; else where its table begins."""
    best, length, table = 1, 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].strip()
        if words.startswith("["):
            table = words.strip("[] ").replace('"', "") + "."
            name = table.removesuffix(".")
        elif "=" in words:
            name = table + words.split("=", 1)[0].strip().replace('"', "")
        else:
            continue
        if length < len(name) and (key == name or key.startswith(name + ".")):
            best, length = number, len(name)
    return best


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    by_name = {"ECHOLANE_" + key.upper().replace(".", "_"): key for key in WHAT}
    by_name |= {"ECHOLANE_" + short.upper(): key for short, key in SHORT.items()}
    for name in sorted(environ):
        if not name.startswith("ECHOLANE_") or name in NOT_SETTINGS or is_service_link(name, environ):
            continue
        if name not in by_name:
            raise UsageError(f"unknown setting `{name}` in the environment{_meant(name, by_name)}")
        yield by_name[name], environ[name], name


def _checked(key: str, value: Any, source: str) -> Any:
    """The value in its setting's type; texts (environment, flags) are read, others must fit as they are."""
    wanted = _value(Settings(), key)
    try:
        read = _read(value, wanted) if isinstance(value, str) and not isinstance(wanted, str) else value
        kind_wanted: Any = list[str] if isinstance(wanted, list) else cast("type[Any]", type(wanted))
        typed: Any = msgspec.convert(read, kind_wanted, strict=True)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        kind = "a list of texts" if isinstance(wanted, list) else _KINDS[cast("type[Any]", type(wanted))]
        raise UsageError(f"{source}: setting `{key}` needs {kind}, not {value!r}") from error
    low, high = BOUNDS.get(key, (None, None))
    if low is not None and high is not None and not low <= typed <= high:
        raise UsageError(f"{source}: setting `{key}` is {typed}; it must be between {low:g} and {high:g}")
    form, examples = FORMS.get(key, (None, ""))
    if form is not None and not form.fullmatch(typed):
        raise UsageError(f"{source}: setting `{key}` is {_shown(key, typed)!r}; it must be {examples}")
    return typed


def _read(text: str, wanted: Any) -> Any:
    """A text of the environment or the command line as the type of its setting."""
    if isinstance(wanted, list):
        return [part.strip() for part in text.split(",") if part.strip()]
    if isinstance(wanted, bool):
        return _WORDS.get(text.strip().lower(), text)
    return msgspec.json.decode(text.strip())


def _value(settings: Settings, key: str) -> Any:
    node: Any = settings
    for name in key.split("."):
        node = getattr(node, name)
    return node


def _shown(key: str, value: Any) -> Any:
    """A value as a person may see it: an address may hold a password."""
    return hidden(value) if key == "store" and isinstance(value, str) else value


def _meant(key: str, known: Iterable[str] = WHAT) -> str:
    close = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean `{close[0]}`?" if close else "; `echolane config` lists them"
