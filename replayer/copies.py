"""Fresh copies of two versions for one run: started a second apart, controls included, ended with the run.

``--base-cmd './serve {port}'`` runs in the caller's folder and environment; ``git:REF ./serve {port}`` runs in a worktree of that
commit, one for each copy, so that no copy sees another's files. A second lies between two starts, so that what depends on the
instant of start shows between base and control, too. Each copy stands behind a guard (:mod:`replayer.guard`).
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from echolane.errors import TargetUnavailable, UsageError
from echolane.home import Home
from echolane.observation import TARGETS
from echolane.runspec import RunSpec

START_GAP_S = 1.0
START_WAIT_S = 90.0
"""A cold start of a large application takes tens of seconds."""
POLL_S = 0.1
ANSWER_S = 10.0
"""How long a copy may take for its first answer; what is compiled at the first request is compiled then."""
END_WAIT_S = 8.0
LAST_LINES = 5
GIT_WAIT_S = 300.0
"""A checkout of a large repository."""
_HOSTS = ("127.0.0.1", "::1")

Say = Callable[[str], None]


@dataclass(slots=True)
class Copy:
    """One running copy."""

    name: str
    command: str
    port: int
    log: Path
    guard: subprocess.Popen[bytes]
    deadline: float

    def __repr__(self) -> str:
        return f"<Copy {self.name} on {self.port}, {'running' if self.guard.poll() is None else 'ended'}>"

    def wait_ready(self) -> str:
        """Wait until it answers HTTP; its URL. TargetUnavailable with its last words when it does not."""
        while time.monotonic() < self.deadline:
            for host in _HOSTS:
                # One that has ended does not answer: somebody else does, who has taken its port.
                if answers(host, self.port) and self.guard.poll() is None:
                    return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
            if self.guard.poll() is not None:
                raise TargetUnavailable(
                    f"{self.name} ended with {self.guard.returncode} before it answered; {self._words()}"
                )
            time.sleep(POLL_S)
        raise TargetUnavailable(
            f"{self.name} did not answer on port {self.port} within {START_WAIT_S:.0f} s; {self._words()}"
        )

    def let_go(self) -> None:
        """Cut the leash: the guard ends it and all it started."""
        if self.guard.stdin:
            with suppress(OSError):
                self.guard.stdin.close()

    def end(self) -> None:
        """Wait until it has ended."""
        try:
            self.guard.wait(END_WAIT_S)
        except subprocess.TimeoutExpired:
            self.guard.kill()
            self.guard.wait()

    def _words(self) -> str:
        lines = self.log.read_text("utf-8", "replace").strip().splitlines()[-LAST_LINES:]
        said = " | ".join(line.strip() for line in lines) or "it said nothing"
        return f"`{self.command}` said: {said} (all of it: {self.log})"


@contextmanager
def started_copies(home: Home, spec: RunSpec, say: Say) -> Generator[RunSpec]:
    """The spec with the URLs of copies that were started for it; they run until the block ends. Nothing to start: as it is."""
    if not any(target.managed for target in spec.targets):
        yield spec
        return
    folder = Path(spec.folder or ".")
    work = home.runs / f"{spec.run}.copies"
    with ExitStack() as trees:
        trees.callback(shutil.rmtree, work, ignore_errors=True)
        remove_leftovers(home.runs, spec.run)
        running: dict[int, Copy] = {}
        ports = free_ports(len(spec.targets))
        try:
            for index, target in enumerate(spec.targets):
                if target.managed:
                    if running:
                        time.sleep(START_GAP_S)
                    command = (spec.base_cmd, spec.branch_cmd)[index // 2]
                    running[index] = start(trees, TARGETS[index], command, folder, (work, home.log), ports[index])
            targets = [
                replace(target, url=running[index].wait_ready()) if target.managed else target
                for index, target in enumerate(spec.targets)
            ]
            say("started " + ", ".join(f"{copy.name} on port {copy.port}" for copy in running.values()))
            yield replace(spec, targets=targets)
        finally:
            end_all(list(running.values()))


def end_all(copies: Sequence[Copy]) -> None:
    """End them all at once."""
    for copy in copies:
        copy.let_go()
    for copy in copies:
        copy.end()


def start(trees: ExitStack, name: str, command: str, folder: Path, places: tuple[Path, Path], port: int) -> Copy:
    """Start one copy; ``trees`` removes its worktree. ``places`` are for worktrees and for logs."""
    work, logs = places
    ref, command = split_ref(command)
    if ref:
        folder = worktree(trees, folder, ref, work / name)
    line = command.replace("{port}", str(port))
    log = logs / f"copy-{name}.log"
    program = [sys.executable, "-I", str(Path(__file__).with_name("guard.py")), line]
    with log.open("wb") as sink:
        guard = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=sink, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True
        )
    return Copy(name, line, port, log, guard, time.monotonic() + START_WAIT_S)


def split_ref(command: str) -> tuple[str, str]:
    """The commit and the command of ``git:REF CMD``; an empty commit for a plain command."""
    if not command.startswith("git:"):
        return "", command
    ref, _, rest = command[4:].partition(" ")
    if not ref or ref.startswith("-") or not rest.strip():
        raise UsageError(f"`{command}` needs a commit and a command, for example `git:main ./serve {{port}}`")
    return ref, rest.strip()


def commit_of(folder: Path, command: str) -> str:
    """The commit that ``git:REF CMD`` starts; empty where a command names none. UsageError as when it is started."""
    ref, _ = split_ref(command)
    return commit_at(folder, ref)[1] if ref else ""


def commit_at(folder: Path, ref: str) -> tuple[str, str]:
    """The repository that a folder is in, and the commit that is meant."""
    top = git(
        folder, "rev-parse", "--show-toplevel", fault=f"`git:{ref}` needs a git repository, which {folder} is not in"
    )
    return top, git(
        folder,
        "rev-parse",
        "--verify",
        "--quiet",
        f"{ref}^{{commit}}",
        fault=f"`{ref}` is no commit of {top}; `git log {ref}` finds none",
    )


def worktree(trees: ExitStack, folder: Path, ref: str, place: Path) -> Path:
    """A worktree of ``ref`` at ``place``; the folder in it that corresponds to the caller's."""
    top, commit = commit_at(folder, ref)
    place.parent.mkdir(parents=True, exist_ok=True)
    git(
        folder,
        "worktree",
        "add",
        "--detach",
        "--force",
        str(place),
        commit,
        fault=f"no worktree of `{ref}` could be made",
    )
    trees.callback(_remove_worktree, folder, place)
    inside = place / folder.resolve().relative_to(Path(top).resolve())
    if not inside.is_dir():
        raise UsageError(
            f"commit `{ref}` has no folder {inside.relative_to(place)}; run from a folder that both versions have"
        )
    return inside


def git(folder: Path, *words: str, fault: str) -> str:
    """What git says; UsageError with ``fault`` when it fails."""
    return git_bytes(folder, *words, fault=fault).decode("utf-8", "surrogateescape").strip()


def git_bytes(folder: Path, *words: str, fault: str) -> bytes:
    """What git gives, as it is."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            check=False,
            timeout=GIT_WAIT_S,
            env=_git_env(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{fault}: {error}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UsageError(f"{fault}{f' ({said[-1]})' if said else ''}")
    return done.stdout


def remove_leftovers(runs: Path, run: str) -> None:
    """Remove the worktrees that a killed attempt of this run has left."""
    for place in (runs / f"{run}.copies").glob("*"):
        _remove_worktree(place, place)


def answers(host: str, port: int) -> bool:
    """Whether something on this machine answers HTTP there, whatever it says."""
    try:
        with socket.create_connection((host, port), 1.0) as connection:
            connection.settimeout(ANSWER_S)
            connection.sendall(f"GET / HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n".encode())
            return bool(connection.recv(1))
    except OSError:
        return False


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on now. All are held until the last is chosen, so that none is given twice."""
    with ExitStack() as probes:
        found = [probes.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in found]


def _remove_worktree(folder: Path, place: Path) -> None:
    with suppress(UsageError):
        git(folder, "worktree", "remove", "--force", "--force", str(place), fault=shlex.quote(str(place)))
    shutil.rmtree(place, ignore_errors=True)
    with suppress(UsageError):
        git(folder, "worktree", "prune", fault="prune")


def _git_env() -> dict[str, str]:
    """The caller's environment without what a git hook would have set for its own repository."""
    return {
        key: value for key, value in os.environ.items() if key not in {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
    }
