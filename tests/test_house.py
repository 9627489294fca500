"""The house's taste, held by the machine: sizes, docstrings, unbounded waits, and names that must not leave the workplace."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("echolane", "capture", "replayer", "differ", "console", "bench", "compiling", "dashboards")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
FILE_LINES, FUNCTION_LINES = 400, 60


def name_of(path: Path) -> str:
    """The path a reader would type."""
    return str(path.relative_to(ROOT))


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a module, nested ones too."""
    tree = ast.parse(path.read_text("utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_says_what_it_is_for_and_stays_small(module: Path) -> None:
    """A reader learns from the first lines whether this is the right file, and can hold all of it in mind."""
    text = module.read_text("utf-8")

    assert ast.get_docstring(ast.parse(text)), "needs a module docstring"
    assert text.count("\n") <= FILE_LINES


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_function_fits_on_one_screen(module: Path) -> None:
    """A function longer than a screen hides its own shape."""
    long = [
        f"{node.name}:{node.lineno}" for node in functions(module) if node.end_lineno - node.lineno >= FUNCTION_LINES
    ]

    assert not long


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_every_queue_is_bounded(module: Path) -> None:
    """A queue without a bound is memory without a bound."""
    unbounded = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(module.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and re.search(r"(^|\.)(Queue|LifoQueue|PriorityQueue|SimpleQueue)$", ast.unparse(node.func))
        and not node.args
        and not node.keywords
    ]

    assert not unbounded


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_a_test_says_its_promise(path: Path) -> None:
    """A red test explains itself: each has one sentence that says what must hold."""
    silent = [n.name for n in functions(path) if n.name.startswith("test_") and not ast.get_docstring(n)]

    assert not silent


def listed_by_git(*which: str) -> list[Path] | None:
    """Files as ``git ls-files`` tells them; None in an unpacked archive, which has no index."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return None
    command = [git, "-c", "safe.directory=*", "ls-files", "-z", "--exclude-standard", *which]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name]


def test_nothing_of_the_workplace_is_in_the_tree() -> None:
    """Machine paths and registry settings of whoever built this have no place in the repository."""
    banned = re.compile(r"/work/(main|shared|tmp)|/root/\.|index-url|extra-index|registry\s*=\s*http", re.IGNORECASE)
    found: list[str] = []
    # What git ignores (environments, the peers that `make bench` installs) is not ours.
    kept = listed_by_git("--cached", "--others")
    if kept is None:
        kept = [path for path in ROOT.rglob("*") if not path.relative_to(ROOT).parts[0].startswith(".")]
    for path in kept:
        if not path.is_file() or name_of(path).startswith(".ci/") or path == Path(__file__).resolve():
            continue
        if path.suffix in {".py", ".md", ".toml", ".sql", ".sh", ".yaml", ".css", ".js"} or path.name == "Makefile":
            found += [f"{name_of(path)}: {hit}" for hit in banned.findall(path.read_text("utf-8", "replace"))]

    assert not found


def test_nothing_that_is_ignored_is_kept_in_the_history() -> None:
    """What runs leave behind (homes with keys, environments) is no part of the repository."""
    ignored = listed_by_git("--cached", "--ignored")
    if ignored is None:
        pytest.skip("needs git and a clone; an unpacked archive has no index")
    assert ignored == []
