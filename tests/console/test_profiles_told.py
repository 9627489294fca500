"""What was used of a profile, in one line; and what base's version is called."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from typing import Any

import pytest

from console.page import render_page
from console.run import configure, version_name
from console.terminal import plain_verdict
from console.words_profile import profile_line
from echolane.errors import UsageError
from tests.console.results import passing

USED = {
    "version": "2.4.1", "runs": 3, "exchanges": 900, "endpoints": 4, "places": 12, "age_days": 1.52, "stood_in": 1, "weighed": 2,
    "first_seen": "", "last_seen": "", "unused": None,
}  # fmt: skip
LINE = "profile of base 2.4.1, 12 noisy places from 3 runs, 1.5 days old, in place of base's control at 1 endpoint, had a say at 2 places"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (USED, LINE),
        (USED | {"version": None, "stood_in": 0, "weighed": 0}, "profile of base, whose version has no name, 12 noisy places from 3 runs, 1.5 days old"),
        (USED | {"runs": 0, "unused": "that of base v1 is 20 days old"}, "no profile was used: that of base v1 is 20 days old"),
        (None, ""),
    ],
)  # fmt: skip
def test_a_profile_is_one_line_on_terminal_and_page(found: dict[str, Any] | None, said: str) -> None:
    """The same words on both; nothing where none is kept."""
    result = {**passing(), "profile": found}
    shown, page = " ".join(plain_verdict(result).split()), render_page(result)

    assert profile_line(result) == said
    assert said in shown
    assert ("profile" in shown, "Profile of base" in page or "No profile was" in page) == (bool(said), bool(said))


def test_a_foreign_name_stays_text_on_the_page() -> None:
    """A version's name is checked when it is given, and escaped all the same."""
    assert "<b>x" not in render_page({**passing(), "profile": USED | {"version": "<b>x"}})


def parsed(*words: str) -> argparse.Namespace:
    """Flags of a run."""
    parser = argparse.ArgumentParser()
    configure(parser)
    return parser.parse_args(words)


def test_the_version_of_base_is_its_name_else_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain command and a URL have none; a name that could be taken for none is refused."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    monkeypatch.chdir(tmp_path)

    assert version_name(parsed("--base-cmd", "git:main ./serve {port}")) == commit
    assert version_name(parsed("--base-cmd", "git:main ./serve {port}", "--base-version", "2.4.1")) == "2.4.1"
    assert (
        version_name(parsed("--base-cmd", "./serve {port}"))
        == version_name(parsed("--base", "http://127.0.0.1:1"))
        == ""
    )
    with pytest.raises(UsageError, match=r"--base-version is '\? x'"):
        version_name(parsed("--base-version", "? x"))
    with pytest.raises(UsageError, match="`gone` is no commit of"):
        version_name(parsed("--base-cmd", "git:gone ./serve {port}"))
