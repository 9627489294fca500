"""What tests of every room share: real parts that a machine may lack.

``require("chromium")`` gives a program's path, or skips the test and says what is missing. With ``ECHOLANE_REQUIRE_ALL=1``
a missing part is a failure instead, so that CI cannot pass by lacking it.

Laws are tried on the same examples each time, so that a change passes or fails by what it changes; ``ECHOLANE_FUZZ=20`` (which
``make fuzz`` sets) tries them on twenty times as many, new ones each time.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socketserver
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers
from xdist.scheduler import LoadScopeScheduling

from bench import broker as kafka
from bench.ports import free_port
from compiling import building
from echolane import compiled
from tests.store.bridge import Bridge

REQUIRE_ALL = "ECHOLANE_REQUIRE_ALL"
os.environ.setdefault("ECHOLANE_PURE", "1")  # the pure form is the reference; test_compiled.py holds the other to it
FUZZ = int(os.environ.get("ECHOLANE_FUZZ", "0"))
# Of the tests' own servers; five, as the library has it, are dropped and come again after seconds where a machine stands still.
socketserver.TCPServer.request_queue_size = 128
settings.register_profile("steady", derandomize=True, deadline=None)
if not FUZZ:
    settings.load_profile("steady")
    # Else Hypothesis puts constants of whichever of our modules are loaded by then among its draws: other examples after each change.
    providers.is_local_module_file = lambda _path: False


FAULTS, ROOMS, SERVICE = GROUPS = ("faults", "rooms", "service")
OF_THE_SERVICE = (
    "api",
    "erase",
    "exchange",
    "grafana",
    "hooks",
    "hostile",
    "keeping",
    "notify",
    "profiles",
    "signin",
    "traces",
    "triage",
)
"""How the names of those end-to-end tests go on that press pages and questions rather than processes."""


def group_of(path: str) -> str:
    """What may run beside what: three groups for two processes, so that tests that kill and flood never meet another of their kind.

    They begin beside the rooms' tests, and whoever is done first takes the service's.
    """
    folder, _, name = path.rpartition("/")
    if not folder.endswith("e2e"):
        return ROOMS
    return SERVICE if name.removeprefix("test_").startswith(OF_THE_SERVICE) else FAULTS


class InGroups(LoadScopeScheduling):
    """Gives a process one group after another."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> InGroups:
    """Who hands out the tests, where they run in several processes (``make test``)."""
    return InGroups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the order of the groups; when fuzzing the laws alone, with more examples."""
    items.sort(key=lambda item: GROUPS.index(group_of(item.nodeid.partition("::")[0])))
    if not FUZZ:
        return
    items[:] = [item for item in items if getattr(getattr(item, "obj", None), "is_hypothesis_test", False)]
    for law in {getattr(item.obj, "__func__", item.obj) for item in items}:  # type: ignore[attr-defined]
        given = law._hypothesis_internal_use_settings
        law._hypothesis_internal_use_settings = settings(given, max_examples=given.max_examples * FUZZ, deadline=None)


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it where all parts are required."""
    if os.environ.get(REQUIRE_ALL) == "1":
        pytest.fail(f"{reason} ({REQUIRE_ALL}=1)", pytrace=False)
    pytest.skip(f"{reason}; {REQUIRE_ALL}=1 makes this a failure")


def required_program(*names: str, hint: str = "") -> str:
    """The path of the first of these programs that is installed."""
    for name in names:
        if path := shutil.which(name):
            return path
    missing(f"needs the program {' or '.join(names)}" + (f": {hint}" if hint else ""))


def required_module(name: str, hint: str = "") -> str:
    """A module's name, when it can be imported."""
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        found = None
    if found is None:
        missing(f"needs the module {name}: {hint or f'pip install {name}'}")
    return name


@pytest.fixture(scope="session")
def require() -> Callable[..., str]:
    """``require(program, …, hint=…)``: the path of an installed program, else skip or fail."""
    return required_program


@pytest.fixture(scope="session")
def require_module() -> Callable[..., str]:
    """``require_module(name, hint)``: skip or fail where a module is not installed."""
    return required_module


@pytest.fixture(scope="session")
def lacking() -> Callable[[str], NoReturn]:
    """``lacking(reason)``: for parts that are neither a program nor a module, such as input files."""
    return missing


@pytest.fixture(scope="session")
def inputs() -> Path:
    """The folder of real pairs and suites by others."""
    folder = os.environ.get("ECHOLANE_INPUTS_DIR", "")
    if not folder or not Path(folder).is_dir():
        missing("needs the real inputs: set ECHOLANE_INPUTS_DIR to their folder")
    return Path(folder)


@pytest.fixture(scope="session")
def kafka_parts() -> None:
    """What brokers of a test's own are started of."""
    required_module("kafka", "pip install 'kafka-python[crc32c]'")
    if lack := kafka.lacks():
        missing(f"needs {lack} for Apache Kafka: {kafka.HINT}")
    kafka.install()


@pytest.fixture(scope="session")
def broker(kafka_parts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka.Broker]:
    """An Apache Kafka broker that all tests of a session share; each takes a prefix of its own."""
    shared = kafka.Broker(tmp_path_factory.mktemp("kafka"))
    shared.start()
    yield shared
    shared.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        missing("needs the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.fixture(scope="session")
def fill() -> Callable[[Path], None]:
    """``fill(path)``: a file that takes all that is left of its disk."""

    def write(path: Path) -> None:
        with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
            while file.write(bytes(1 << 12)):
                pass

    return write


@pytest.fixture(scope="session")
def bridge(require_module: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    """What speaks ClickHouse's protocol before the engine; one for the session, a database for each who asks."""
    require_module("clickhouse_driver", "pip install 'echolane[clickhouse]'")
    found = Bridge(tmp_path_factory.mktemp("bridge"), free_port())
    try:
        found.start()
        yield found
    finally:
        found.kill()


@pytest.fixture
def mortal(require_module: Callable[..., str], tmp_path: Path) -> Iterator[Bridge]:
    """A bridge of a test's own, to be stopped and killed."""
    require_module("clickhouse_driver", "pip install 'echolane[clickhouse]'")
    found = Bridge(tmp_path / "bridge", free_port())
    try:
        found.start()
        yield found
    finally:
        found.kill()


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the compiled modules: those of ``make compiled``, else some that are built now."""
    if compiled.built(building.ROOM)[0] == "compiled":
        return compiled.BUILT / building.ROOM
    if why := building.lacking():
        missing(f"needs {why}, or make compiled")
    folder = tmp_path_factory.mktemp("forms") / "compiled"
    building.build(folder)
    return folder / building.ROOM
