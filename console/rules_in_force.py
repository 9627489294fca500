"""The rules that hold now, and those of a run: files, today, the functions that are installed, and the branch's name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from console.config_place import config_file
from console.output import say
from console.rules_files import written_rules
from differ.rules_custom import installed
from differ.rules_reading import Refusal
from differ.rules_refusing import EXPIRED, decided, in_force
from echolane.errors import UsageError
from echolane.rules import CUSTOM, Rule

BRANCH_NAMES = ("GITHUB_HEAD_REF", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_REF_NAME", "GITHUB_REF_NAME")
"""What CI systems say of the branch, the source of a pull request first."""
GIT_S = 5.0


def rules_now(toml_path: Path | None = None) -> tuple[list[Rule], list[Refusal]]:
    """The rules that hold today, and why the others do not."""
    written = written_rules(toml_path or config_file())
    # Looking through all that is installed takes a while, and most rules ask no function.
    functions = installed() if any(one.fields.get("matcher") == CUSTOM for one in written) else frozenset[str]()
    return decided(written, today=datetime.now(UTC).date().isoformat(), functions=functions)


def rules_of_run(service: str, branch_name: str | None) -> tuple[list[Rule], str]:
    """The rules of a new run and its branch's name. A rule that is refused stops the run; one that has expired is left out, aloud."""
    rules, refusals = rules_now()
    for refusal in refusals:
        if refusal.code == EXPIRED:
            say(f"{told(refusal)}; it is not applied")
    if wrong := [refusal for refusal in refusals if refusal.code != EXPIRED]:
        more = f", and {len(wrong) - 1} more; see `echolane rules check`" if len(wrong) > 1 else ""
        raise UsageError(f"{told(wrong[0])}{more}")
    name = branch_name or ""
    if not name and any(rule.branch for rule in rules):
        name = branch_of(os.environ)
        if not name:
            say(
                "rules that are bound to a branch are not applied: nothing says what the branch is called; give --branch-name"
            )
    return in_force(rules, service, name), name


def told(refusal: Refusal) -> str:
    """A refusal as one line."""
    return f"{refusal.source}: rule `{refusal.rule}` is refused ({refusal.code}): {refusal.text}"


def branch_of(environ: Mapping[str, str]) -> str:
    """The branch as CI says it, else as git does of this folder; empty where neither knows."""
    for name in BRANCH_NAMES:
        if environ.get(name):
            return environ[name]
    try:
        done = subprocess.run(
            ["git", "symbolic-ref", "--short", "HEAD"], capture_output=True, timeout=GIT_S, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
