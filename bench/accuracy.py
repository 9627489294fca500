"""Accuracy: planted changes found, noise left alone, against Diffy's rule and an A/A' filter; ``make accuracy`` writes bench/ACCURACY.md.

Floor plan::

    accuracy.py               plans the cases, runs them, writes the report
    accuracy_report.py        tables and the figures that hold or do not
    accuracy_cases.py         one case: an endpoint, its noise, a change at a rate, as four answers to each exchange
    accuracy_mutations.py     what a mutation is; values, shapes, messages: the kinds
    accuracy_noise.py         what services answer differently each time
    accuracy_answers.py       real answers, captured from the pairs; accuracy_samples.py: made ones
    accuracy_harness.py       the differ's own path, offline: the only module here that imports it
    accuracy_scoring.py       found, undecided or missed; false alarms; accuracy_peers.py: the peers on the same answers
    accuracy_permutations.py  base against itself under random labels
    accuracy_level.py         how often base against itself fails: permutations, and accuracy_kept.py: services that keep their values

A case is named by its seed: ``python -m bench.accuracy --case SEED`` shows it again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import bench.accuracy_messages
import bench.accuracy_shapes
import bench.accuracy_values  # noqa: F401 - importing them makes their kinds known
from bench.accuracy_answers import FOLDER, Sample, samples
from bench.accuracy_cases import SHAPES, Case, drawn, simulated
from bench.accuracy_mutations import KINDS
from bench.accuracy_permutations import permuted
from bench.accuracy_report import Permuted, misses, report
from bench.accuracy_scoring import Score, scored
from bench.parts import machine

SEED = "echolane"
FULL, QUICK = 5, 1
"""Cases of each kind and shape: with 170 kinds and six shapes, five are above 5,000."""
NULLS = 25
"""As many times more cases in which nothing is planted."""
QUICK_SHAPES = 3
"""A quick bench leaves out the long shapes."""
PERMUTATIONS = 1000
CHUNK = 16
TOLD_EVERY = 200
"""Cases between two words about how far it is."""


def planned(seed: str, repeats: int, shapes: int, kinds: Iterable[str] = ()) -> Iterator[str]:
    """Seeds of all cases: bench seed, kind, shape, number."""
    for turn in range(repeats):  # all kinds once, then all of them again: a run that ends early has every row
        for kind in ("", *(kinds or sorted(KINDS))):
            for shape in SHAPES[:shapes]:
                each = 1 if kind else NULLS
                for number in range(turn * each, (turn + 1) * each):
                    yield f"{seed}/{kind}/{shape.name}/{number}"


@lru_cache(maxsize=2)
def _samples(real: bool) -> Sequence[Sample]:
    return samples(real=real)


def case_of(seed: str, *, real: bool = True) -> Case | None:
    """The case of a seed; None where no answer suits."""
    _, kind, shape, _ = seed.split("/")
    return drawn(seed, kind, next(one for one in SHAPES if one.name == shape), _samples(real))


def run(seed: str, real: bool = True) -> Score | None:
    """Draw, simulate and judge one case."""
    case = case_of(seed, real=real)
    return None if case is None else scored(case)


def measured(
    seeds: Sequence[str], *, real: bool = True, jobs: int = 1, kept: Path | None = None, until: float = math.inf
) -> list[Score]:
    """Scores of all cases, in the order of their seeds; ``kept``: where scores are read from and added to, ``until``: no case begins later."""
    done = read(kept)
    left = [seed for seed in seeds if seed not in done]
    with ExitStack() as stack:
        out = stack.enter_context(kept.open("a", encoding="ascii")) if kept else None
        pool = stack.enter_context(ProcessPoolExecutor(jobs)) if jobs > 1 else None
        mapped = map if pool is None else partial(pool.map, chunksize=CHUNK)
        found = mapped(run, left, [real] * len(left))
        for number, (seed, score) in enumerate(zip(left, found, strict=True), 1):
            done[seed] = score
            if out is not None:
                out.write(json.dumps([source(), seed, None if score is None else asdict(score)]) + "\n")
                out.flush()
            if number % TOLD_EVERY == 0:
                print(f"{number} of {len(left)} cases", file=sys.stderr, flush=True)
            if time.monotonic() > until:
                print(f"time is up after {number} of {len(left)} cases", file=sys.stderr, flush=True)
                if pool is not None:
                    pool.shutdown(wait=False, cancel_futures=True)
                break
    return [score for seed in seeds if (score := done.get(seed)) is not None]


def read(kept: Path | None) -> dict[str, Score | None]:
    """Scores that an earlier run of the very same source has kept, by seed."""
    if kept is None or not kept.exists():
        return {}
    lines = (json.loads(line) for line in kept.read_text("ascii").splitlines() if line.endswith("]"))
    return {seed: revived(score) for digest, seed, score in lines if digest == source()}


def revived(fields: dict[str, Any] | None) -> Score | None:
    """A kept score, its pairs tuples again."""
    peers = {name: tuple(told) for name, told in fields["peers"].items()} if fields else {}
    return Score(**{**fields, "peers": peers}) if fields else None


@lru_cache(maxsize=1)
def source() -> str:
    """A digest of everything that a score depends on: this bench, the differ, the floor, the answers that were captured."""
    root, found = Path(__file__).resolve().parents[1], blake2b(digest_size=8)
    paths = [
        *root.glob("bench/accuracy*.py"),
        *root.glob("differ/*.py"),
        *root.glob("echolane/**/*.py"),
        *FOLDER.glob("*"),
    ]
    for path in sorted(one for one in paths if one.stem != "accuracy_report"):
        found.update(path.read_bytes())
    return found.hexdigest()


def show(seed: str, real: bool) -> None:
    """One case again: what was planted, and the first exchange that shows it."""
    case = case_of(seed, real=real)
    if case is None:
        print("no answer suits")
        return
    print(
        case.kind or "nothing planted",
        case.shape.name,
        case.profile,
        case.sample.service,
        case.sample.endpoint,
        case.pick,
    )
    for exchange in simulated(case):
        if exchange.planted or not case.kind:
            for name, answer in zip(("base", "control", "branch", "branch_control"), exchange.answers, strict=True):
                print(f"--- {name}: {answer.status} {answer.failed}{' incomplete' if answer.incomplete else ''}")
                print(b"\n".join(b": ".join(pair) for pair in answer.headers).decode("latin-1"))
                print(answer.body[:2000].decode("utf-8", "replace"))
            break
    print(scored(case))


def main() -> int:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.accuracy", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--quick", action="store_true", help="a few hundred cases without the long shapes")
    parser.add_argument("--seed", default=SEED, help="of all cases; printed with each")
    parser.add_argument("--repeats", type=int, default=0, help=f"cases of each kind and shape (default {FULL})")
    parser.add_argument("--kinds", default="", help="only these, separated by commas")
    parser.add_argument("--made", action="store_true", help="only answers made here, none that were captured")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--permutations", type=int, default=PERMUTATIONS, help="of base's own four answers; 0 for none")
    parser.add_argument("--case", default="", help="show one case by its seed")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("ACCURACY.md"))
    parser.add_argument(
        "--kept", type=Path, help="keep scores here as they come, and take up those that the same source has kept"
    )
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="begin no case later than that, and report what there is"
    )
    parser.add_argument("--misses", type=Path, help="write every miss and false alarm with its seed here")
    options = parser.parse_args()
    real = not options.made
    if options.case:
        show(options.case, real)
        return 0
    repeats = options.repeats or (QUICK if options.quick else FULL)
    kinds = [kind for kind in options.kinds.split(",") if kind]
    seeds = list(planned(options.seed, repeats, QUICK_SHAPES if options.quick else len(SHAPES), kinds))
    begun = time.monotonic()
    source()  # now: who edits meanwhile changes nothing of what runs
    until = begun + 60 * options.minutes
    scores = measured(seeds, real=real, jobs=options.jobs, kept=options.kept, until=until)
    labels = permuted(0 if options.quick else options.permutations, options.seed) if real else Permuted()
    text = report(scores, labels, services=sorted({one.service for one in _samples(real)}))
    now = datetime.datetime.now(datetime.UTC)
    text += f"\nMeasured {now:%Y-%m-%d %H:%M} UTC in {time.monotonic() - begun:.0f} s on {machine()}, seed `{options.seed}`.\n"
    print(text)
    options.out.write_text(text, "utf-8")
    if options.misses:
        options.misses.write_text(misses(scores), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
