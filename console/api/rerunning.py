"""Do a run again: the same exchanges at the same targets, as far as the configuration still allows it.

A run is done again whole: which exchanges are fired is told by ranges of the journal, and each depends on those before it in its session. Its
targets are looked up by their addresses among those that are configured now, so a run that was done by a shell, or before the configuration
was narrowed, is not done again here at places that the server may not fire at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from console.api import reading
from console.api.calls_runs import flags_of, once, run_of_path
from console.api.context import Call, Site
from console.api.messages import RunRequest
from console.api.problems import Problem
from console.api.targets import Target, filled
from echolane import recordings
from echolane.errors import UsageError
from echolane.observation import TARGETS
from echolane.runspec import RunSpec

SPEC = "SELECT spec FROM runs_v WHERE run = {run:String}"
MADE_ANEW = frozenset(
    f"--{name}"
    for name in (
        *("base", "branch", "control", "branch-control", "lane", "allow-host", "allow-writes", "pin"),
        *("branch-name", "methods", "recording", "last"),
    )
)
"""Flags that are made of the configuration and of the run's recording; the others are kept as they are."""
NO_SHELL = "`echolane run` in a shell does it again"


async def rerun_run(call: Call) -> Any:
    """Ask for a run once more."""
    run = await run_of_path(call)
    if run.goes_on:
        raise Problem(
            "conflict", f"run {run.id} is {run.state}; it is done again when it is over, so cancel it or wait"
        )
    fingerprint = hashlib.sha256(f"rerun:{run.id}".encode()).hexdigest()
    return await once(call, run.service, fingerprint, lambda: flags_again(call.site, run))


def flags_again(site: Site, run: reading.Run) -> list[str]:
    """The flags of ``echolane run`` by which a run is done again; Problem where the server may not. Waits for store and disk."""
    rows = site.store.query(SPEC, {"run": run.id})
    spec = msgspec.json.decode(str(rows[0]["spec"]), type=RunSpec) if rows and rows[0]["spec"] else None
    asked = site.launcher.find(run.id)
    if asked is not None and asked.words[:1] != ["--resume"]:
        given = asked.words
    elif spec is not None:
        given = words_of(spec)
    else:
        raise Problem("conflict", f"nobody knows how run {run.id} was asked for; {NO_SHELL}")
    if spec is not None and (spec.base_cmd or spec.branch_cmd):
        raise Problem(
            "conflict", f"run {run.id} started its versions by commands, which the server does not; {NO_SHELL}"
        )
    known: dict[str, str] = {}
    for word in given:
        name, _, value = word.partition("=")
        known[name] = value
    wanted = RunRequest(
        service=run.service,
        base=_target(site, run, known, "base", "control").name,
        branch=_target(site, run, known, "branch", "branch-control").name,
        branch_name=known.get("--branch-name") or UNSET,
        recording=_recording(site, spec) or known.get("--recording") or UNSET,
        last=known.get("--last", UNSET) if spec is None else UNSET,
        methods=_methods(known.get("--methods")),
    )
    return flags_of(site, wanted) + [word for word in given if word.partition("=")[0] not in MADE_ANEW]


def words_of(spec: RunSpec) -> list[str]:
    """A run as flags; which exchanges it has is told by its recording."""
    urls = {name: target.url for name, target in zip(TARGETS, spec.targets, strict=True)}
    given = {name: urls[name] for name in ("base", "branch")}
    for name, twin in (("control", "base"), ("branch_control", "branch")):
        given[name.replace("_", "-")] = urls[name] if urls[name] != urls[twin] else ""
    firing = spec.firing
    given |= {
        "lane": spec.targets[TARGETS.index("branch")].lane or "",
        "branch-name": spec.branch_name,
        "base-version": spec.base_version,
        "pace": spec.pace,
        "concurrency": str(spec.concurrency),
        "methods": spec.methods,
        "think-max": _span(firing.think_max_s) if firing.think_max_s else "",
        "late": firing.late if firing.late == "fire" else f"{firing.late}:{_span(firing.late_after_s)}",
    }
    flags = {
        "adaptive": firing.adaptive,
        "dry-run": bool(firing.dry_run_header),
        "no-lane-check": not firing.lane_check,
        "stop-early": spec.stop_early,
    }
    found = [f"--{name}={value}" for name, value in given.items() if value]
    found += [f"--stop-on={condition}" for condition in firing.stop_on]
    if spec.networks is not None:
        found.append(f"--networks={','.join(['public', *spec.networks])}")
    return found + [f"--{name}" for name, on in flags.items() if on]


def _span(seconds: float) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 1000}s" if ms % 1000 == 0 else f"{ms}ms"


def _recording(site: Site, spec: RunSpec | None) -> str:
    """The recording of a run, kept by its id so that the same exchanges are fired again; empty where the run had none yet."""
    if spec is None:
        return ""
    folder = site.home.recordings
    if not any(one.id == spec.recording.id for one in recordings.listed(folder)):
        recordings.save(folder, spec.recording)
    return spec.recording.id


def _target(site: Site, run: reading.Run, known: dict[str, str], role: str, twin: str) -> Target:
    """The configured target that has an address of a run."""
    url, control = known.get(f"--{role}", ""), known.get(f"--{twin}", "")
    lane, branch = known.get("--lane", "") if role == "branch" else "", known.get("--branch-name", "")
    for target in site.targets.of(run.service):
        texts = (target.url, target.control, target.lane if role == "branch" else "")
        if _filled(texts, branch) == [url, control, lane]:
            return target
    raise Problem(
        "conflict", f"no target of service `{run.service}` is configured as {role} of run {run.id} was; {NO_SHELL}"
    )


def _filled(texts: Sequence[str], branch: str) -> list[str]:
    try:
        return [filled(text, branch) for text in texts]
    except UsageError:  # it needs a branch's name, and the run had none
        return []


def _methods(word: str | None) -> Literal["safe", "all"] | UnsetType:
    return "all" if word == "all" else "safe" if word else UNSET
