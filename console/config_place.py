"""Which ``echolane.toml`` is read: that of the folder, a file, or that of another commit, so that a branch cannot choose what judges it.

``ECHOLANE_CONFIG=git:origin/main`` takes the file and ``rules/`` beside it as that commit has them in the same folder. They are laid
down within git's own folder under the commit's name, once, so that messages and results name a place that stays.
"""

from __future__ import annotations

import os
import re
import tempfile
from functools import cache
from pathlib import Path

from echolane.errors import HomeError, UsageError

NAME = "echolane.toml"
CONFIG = "ECHOLANE_CONFIG"
FILES_MAX = 1_000
"""Files of rules of a commit; with more, one command would take seconds to read them."""
_GIT = "git:"
_RULES = re.compile(r"rules/[^/]+\.ya?ml")


def config_file() -> Path:
    """The file, which may be missing where nothing names it. UsageError where what is named is not there."""
    said = os.environ.get(CONFIG, "")
    if not said:
        return Path(NAME)
    if not said.startswith(_GIT):
        if not Path(said).is_file():
            raise UsageError(f"{CONFIG} is {said!r}, which is no file; name an {NAME}, or git:REF")
        return Path(said)
    place, commit = _of_commit(Path.cwd(), said.removeprefix(_GIT))
    # The processes of one command read the same file, wherever a branch has moved to meanwhile.
    os.environ[CONFIG] = _GIT + commit
    return place / NAME


@cache
def _of_commit(folder: Path, ref: str) -> tuple[Path, str]:
    """The folder that has a commit's files, and the commit."""
    from replayer.copies import commit_at, git  # noqa: PLC0415 - no command waits for it that reads the folder's file

    if not ref or ref.startswith("-"):
        raise UsageError(f"{CONFIG} is `{_GIT}{ref}`; name a commit, for example git:origin/main")
    top, commit = commit_at(folder, ref)
    found = folder.resolve().relative_to(Path(top).resolve())
    inside = found.as_posix() if found.parts else ""
    fault = f"the configuration of `{ref}` cannot be read"
    kept = Path(git(folder, "rev-parse", "--absolute-git-dir", fault=fault)) / "echolane" / commit
    place = kept / (inside.replace("/", "+") or "top")
    if not place.is_dir():
        _lay_down(folder, f"{commit}:{inside}", place, fault)
    return place, commit


def _lay_down(folder: Path, tree: str, place: Path, fault: str) -> None:
    """The files of a commit's folder as they are; all of them or none."""
    from replayer.copies import git, git_bytes  # noqa: PLC0415 - as above

    listed = git(folder, "ls-tree", "-z", "--full-tree", "-r", "--name-only", tree, "--", NAME, "rules", fault=fault)
    names = [name for name in listed.split("\0") if name == NAME or _RULES.fullmatch(name)]
    if len(names) > FILES_MAX:
        raise UsageError(f"{fault}: rules/ has {len(names):,} files; at most {FILES_MAX:,} are read")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as made:
            whole = Path(made) / "whole"
            (whole / "rules").mkdir(parents=True)
            for name in names:
                blob = f"{tree}{'' if tree[-1] == ':' else '/'}{name}"
                (whole / name).write_bytes(git_bytes(folder, "cat-file", "blob", blob, fault=fault))
            whole.rename(place)
    except OSError as error:
        if not place.is_dir():  # another process was faster, with the same files
            raise HomeError(f"{fault}: {error}") from error
