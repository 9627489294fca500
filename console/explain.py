"""``echolane show RUN --explain FINDING``: the first sample of a finding, every change in it with its real index."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from console import words
from console.escapes import short, terminal
from differ.echoes import unechoed
from differ.explain import Explained, Step, explain
from differ.letters import observed
from differ.rows import owns_in, owns_of
from echolane.errors import HomeError, UsageError
from echolane.home import Home
from echolane.journal import open_journal
from echolane.observation import BASE, BRANCH, TARGETS, Observation
from echolane.runspec import RunSpec
from echolane.store import Store

PARTS = ("groups", "undecided", "noise", "expected")
IN_ORDER = frozenset({"order", "moved"})
"""Kinds whose samples are compared place by place: in any order nothing would be left of them."""
LINE_MAX = 100
"""Characters of a value on a terminal; ``--json`` has all of it."""
STEPS_MAX = 40
"""Changes on a terminal, some two screens."""
WHY: dict[str, str] = {
    "too-large": "the two are too large to be explained; see the values of the finding",
    "too-slow": "the explanation took too long and was ended; see the values of the finding",
    "failed": "the explanation ran into its bounds and was ended; see the values of the finding",
    "": "",
}
ROW = """
SELECT topic, partition, position FROM results_v WHERE run = {run:String} AND exchange = {exchange:String}"""


def explanation(home: Home, store: Store, run: Mapping[str, Any], text: str) -> dict[str, Any]:
    """The explanation as ``--json`` prints it: whole bodies where the journal has them, else the sample's values."""
    result = msgspec.json.decode(str(run["result"]))
    finding = finding_of(result, text)
    samples = words.samples(finding)
    if not samples:
        raise UsageError(f"finding `{finding['id']}` has no sample to explain")
    sample, where = samples[0], words.text(finding, "where")
    spec = msgspec.json.decode(str(run["spec"]), type=RunSpec)
    bodies = _bodies(home, store, spec, str(sample["exchange"])) if where.startswith("body") else None
    ordered = finding.get("kind") in IN_ORDER
    found, of = (explain(*bodies, ordered=ordered), "bodies") if bodies else (Explained(reason="failed"), "")
    if found.reason:  # what is too much as a whole can often be told of the one value
        found, of = explain(sample.get("base"), sample.get("branch"), ordered=ordered), "values"
    places = [str(place) for place in words.listed(finding, "places")] or [where]
    here = [step for step in found.steps if of == "values" or any(_is_under(f"body:{step.place}", p) for p in places)]
    elsewhere = [step for step in found.steps if step not in here]
    return {
        "schema": "echolane/explanation/1",
        "run": str(run["run"]),
        "finding": finding["id"],
        "endpoint": finding["endpoint"],
        "where": where,
        "kind": finding["kind"],
        "exchange": sample["exchange"],
        "of": of,
        "ordered": found.ordered,
        "reason": found.reason or None,
        "count": found.count,
        "changes": [_told(step) for step in here],
        "elsewhere": [_told(step) for step in elsewhere],
    }


def finding_of(result: Mapping[str, Any], text: str) -> Mapping[str, Any]:
    """The finding a person meant; UsageError when none or several match."""
    found = [one for part in PARTS for one in words.listed(result, part) if str(one.get("id", "")).startswith(text)]
    if not found:
        raise UsageError(f"there is no finding `{text}` in this run; `echolane show RUN --json` has the ids of all")
    # One id may be in several parts: what is a regression at one endpoint may be undecided at another. The gravest is meant.
    if len({str(one.get("id", "")) for one in found}) > 1:
        raise UsageError(f"`{text}` is the beginning of several findings; give more of it")
    return found[0]


def _bodies(home: Home, store: Store, spec: RunSpec, exchange: str) -> tuple[str, str] | None:
    """Both answers' bodies as texts; None where the journal has them no longer, or they are no texts."""
    rows = store.query(ROW, {"run": spec.run, "exchange": exchange})
    if not rows:
        return None
    journal = open_journal(home)
    try:
        row = rows[0]
        frame = observed(journal, str(row["topic"]), int(row["partition"]), int(row["position"]))
        found = [one for one in frame if one.exchange == exchange]
    except HomeError:
        return None
    finally:
        journal.close()
    if not found or not found[-1].shots:
        return None
    texts = [_text(found[-1], spec, index) for index in (BASE, BRANCH)]
    return (texts[0], texts[1]) if texts[0] is not None and texts[1] is not None else None


def _text(observation: Observation, spec: RunSpec, index: int) -> str | None:
    """A body without what its target echoes of itself, as a comparison sees it; None where it is not whole, or no text."""
    answer = observation.answer_of(index)
    if answer is None or answer.body.truncated or answer.body.undecoded:
        return None
    try:
        return unechoed(answer.body.data, owns_in(owns_of(spec.targets), observation)[index]).decode()
    except UnicodeDecodeError:
        return None


def _is_under(place: str, other: str) -> bool:
    """Whether a change is at a finding's place, in it, or holds it."""
    return (
        other in {"body", place}
        or place.startswith((f"{other}.", f"{other}["))
        or other.startswith((f"{place}.", f"{place}["))
    )


def _told(step: Step) -> dict[str, Any]:
    return msgspec.to_builtins(step)


def print_explanation(found: Mapping[str, Any]) -> None:
    """The same for a person, on stdout: it is what was asked for."""
    sys.stdout.write("\n".join(lines(found)) + "\n")


def lines(found: Mapping[str, Any]) -> list[str]:
    """All lines, without control characters of foreign origin."""
    said = [f"{found['endpoint']}  {found['where']}  {found['kind']}", f"exchange {found['exchange']}: {_scope(found)}"]
    here, elsewhere = found["changes"], found["elsewhere"]
    for step in here[:STEPS_MAX]:
        said += _step_lines(step)
    if elsewhere:
        said.append(f"elsewhere in the same answers: {words.count(len(elsewhere), 'change')}")
        for step in elsewhere[: max(STEPS_MAX - len(here), 0)]:
            said += _step_lines(step)
    told = len(here) + len(elsewhere)
    if found["count"] > told or told > STEPS_MAX:
        said.append(f"{found['count']:,} changes in all; --json has the first {told:,}")
    return [terminal(line) for line in said]


def _scope(found: Mapping[str, Any]) -> str:
    if found["reason"]:
        return WHY[str(found["reason"])]
    what = "the whole bodies" if found["of"] == "bodies" else "the values of the sample"
    how = "element by element" if found["ordered"] else "arrays in any order"
    return f"{what} of {TARGETS[BASE]} and {TARGETS[BRANCH]}, {how}"


def _step_lines(step: Mapping[str, Any]) -> list[str]:
    said = [f"  {step['path']}  {words.kind(step)}"]
    if step["lines"]:
        return said + [f"    {short(line, LINE_MAX)}" for line in step["lines"][2:]]
    for name in ("base", "branch"):
        value = step[name]
        said.append(f"    {name:<7}{'(missing)' if value is None else short(value, LINE_MAX)}")
    return said
