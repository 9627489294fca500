"""How much of the real pairs is answered as recorded, with and without correlation: the part of base's answers in the recorded status class.

``ECHOLANE_INPUTS_DIR`` is the folder of the judge and its pairs. The judge records, starts fresh targets and replays; the figure is the run's
own ``fidelity``, so what is told here is what a user of the product is told.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.parts import Table, median

PROMISED = 0.98
JUDGE_WAIT_S = 580.0
"""A pair takes half a minute; npm, pip or Maven may have to fetch it first."""
WITH, WITHOUT = "true", "false"


def table(rounds: int = 5) -> Table:
    """Every pair, each way in turn."""
    head = [
        "pair",
        "exchanges fired",
        "answered in the recorded status class",
        "without correlation",
        f"≥ {PROMISED:.0%}",
    ]
    out = Table("14. Fidelity of the real pairs", head)
    place = os.environ.get("ECHOLANE_INPUTS_DIR", "")
    if not place or not (Path(place) / "pairs").is_dir():
        out.notes.append("not run: needs the application pairs of ECHOLANE_INPUTS_DIR")
        return out
    inputs = Path(place)
    wanted = set(os.environ.get("PAIRS", "").split())
    for pair in sorted((inputs / "pairs").iterdir()):
        if not wanted or pair.name in wanted:
            out.rows.append(_row(inputs, pair, rounds))
    out.notes += [
        "the judge of the pairs records, starts four fresh targets and replays one exchange after the other; the figure is `fidelity` of the run's result",
        f"promised: at least {PROMISED:.0%} where later requests depend on earlier answers",
    ]
    return out


def _row(inputs: Path, pair: Path, rounds: int) -> list[str]:
    found: dict[str, list[float]] = {WITH: [], WITHOUT: []}
    fired = 0
    for _ in range(rounds):
        for correlate, shares in found.items():
            try:
                result = _judged(inputs, pair, correlate)
            except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
                return [pair.name, str(error)[:160], "", "", ""]
            fired = int(result["ledger"]["fired"])
            shares.append(float(result["fidelity"] or 0.0))
    share = median(found[WITH])
    return [
        pair.name,
        f"{fired:,}",
        f"{share:.2%}",
        f"{median(found[WITHOUT]):.2%}",
        "yes" if share >= PROMISED else "no",
    ]


def _judged(inputs: Path, pair: Path, correlate: str) -> dict[str, Any]:
    """The result of one round."""
    with tempfile.TemporaryDirectory(prefix="echolane-bench-") as keep:
        done = subprocess.run(
            [sys.executable, str(inputs / "judge.py"), str(pair), "--echolane", f"{sys.executable} -m console.main", "--keep", keep],
            env={**os.environ, "ECHOLANE_REPLAY_CORRELATE": correlate},
            capture_output=True,
            text=True,
            check=False,
            timeout=JUDGE_WAIT_S,
        )  # fmt: skip
        results = sorted(Path(keep).rglob("result.json"))
        if not results:
            said = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
            raise RuntimeError(f"no result: {said}")
        return dict(json.loads(results[0].read_bytes()))
