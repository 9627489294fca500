"""The compiled form of the differ says what the pure form says, and is taken only while it was built from the source that is here."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compiling.building import MODULES, ROOM, NotBuilt, build
from compiling.rewriting import Records, Unsupported, rewritten
from console import doctor
from echolane import compiled

ROOT = Path(__file__).resolve().parents[2]
SEED = int(os.environ.get("ECHOLANE_SEED", "20261126"))


def told(folder: str) -> list[str]:
    """What one form says of all pairs."""
    command = [sys.executable, str(Path(__file__).with_name("both_forms.py")), folder, str(SEED)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), compiled.PURE: "1"}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=300).stdout.split("\n")


def test_both_forms_say_the_same(modules: Path) -> None:
    """Of thousands of pairs, with and without rules, both forms find the same differences in the same order, to the last digest."""
    print(f"seed {SEED}")
    pure, fast = told(""), told(str(modules))

    assert (pure[0], fast[0]) == (".py", ".so")
    assert len(pure) > 4000
    assert pure[1:] == fast[1:]


def test_every_compiled_module_is_taken_from_where_it_was_built(modules: Path) -> None:
    """A module that falls back to its source would mix classes of two forms."""
    code = f"""import differ, importlib
differ.__path__.insert(0, {str(modules)!r})
for name in {MODULES!r}: print(importlib.import_module("differ." + name).__file__)"""
    env = {**os.environ, compiled.PURE: "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, check=True)

    assert [Path(line).parent for line in done.stdout.split()] == [modules] * len(MODULES)
    assert all(line.endswith(".so") for line in done.stdout.split())


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stamp of the source that is here, in a place of its own."""
    monkeypatch.setattr(compiled, "BUILT", tmp_path)
    monkeypatch.delenv(compiled.PURE, raising=False)
    stamp = tmp_path / ROOM / compiled.STAMP
    stamp.parent.mkdir()
    stamp.write_text(compiled.stamp(ROOM, MODULES))
    return stamp


def test_a_compiled_form_is_taken_while_its_source_is_here(built: Path) -> None:
    """What was built from this source runs."""
    assert compiled.folders(ROOM) == [str(built.parent)]
    assert compiled.form(ROOM) == ("compiled", sorted(MODULES))


@pytest.mark.parametrize("text", ["", "0" * 32, "0" * 32 + "\nwalk", "0" * 32 + "\nno_such_module", "\udce9"])
def test_a_compiled_form_of_other_source_is_left_alone(built: Path, text: str) -> None:
    """One changed line of a module, or a stamp of something else, and the pure form runs."""
    built.write_text(text, "utf-8", "surrogateescape")

    assert compiled.folders(ROOM) == []
    assert compiled.form(ROOM)[0] == "stale"


def test_the_stamp_changes_with_the_source(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that was edited after it was compiled makes its stamp another one."""
    (tmp_path / "source" / ROOM).mkdir(parents=True)
    for name in MODULES:
        (tmp_path / "source" / ROOM / f"{name}.py").write_bytes((ROOT / ROOM / f"{name}.py").read_bytes())
    monkeypatch.setattr(compiled, "ROOT", tmp_path / "source")
    before = compiled.form(ROOM)[0]
    with (tmp_path / "source" / ROOM / "walk.py").open("a") as file:
        file.write("\n")

    assert (before, compiled.form(ROOM)[0]) == ("compiled", "stale")


def test_the_pure_form_can_be_asked_for(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ECHOLANE_PURE=1 leaves a compiled form out."""
    monkeypatch.setenv(compiled.PURE, "1")

    assert compiled.folders(ROOM) == []


def test_what_is_missing_to_build_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a C compiler one line names it, and nothing is built."""
    monkeypatch.setattr("compiling.building.importlib.util.find_spec", lambda _: object())
    monkeypatch.setattr("compiling.building.shutil.which", lambda _: None)

    with pytest.raises(NotBuilt, match=r"needs the C compiler that this Python was built with \(.+\): install it"):
        build(tmp_path / "compiled")
    assert list(tmp_path.iterdir()) == []


RECORD = '''
class Change(msgspec.Struct, gc=False):
    """What changed."""

    old: Any
    """Before."""
    more: list[Any] = msgspec.field(default_factory=list[Any])
    count: int = 1

class Ruled(Change, gc=False):
    """With rules."""

    rule: int = 0

class Other(msgspec.Struct):
    """Not declared: left as it is."""

    name: str
'''
DECLARED = (
    "cdef class Change:\n    cdef public object old\n    cdef public list more\n    cdef public Py_ssize_t count\n"
)


def test_a_record_keeps_its_fields_and_defaults() -> None:
    """The class that C holds takes the same arguments as the record, in the same order, and makes each default anew."""
    text = rewritten(RECORD, DECLARED, {})
    space: dict[str, object] = {"msgspec": __import__("msgspec")}
    exec(compile(ast.parse("from __future__ import annotations\n" + text), "record", "exec"), space)
    ruled, change = space["Ruled"], space["Change"]
    one, two = ruled(7, rule=3), ruled(8)  # type: ignore[operator]

    assert (one.old, one.more, one.count, one.rule, two.rule) == (7, [], 1, 3, 0)
    assert one.more is not two.more
    assert issubclass(ruled, change)  # type: ignore[arg-type]
    assert "class Other(msgspec.Struct)" in text


@pytest.mark.parametrize(
    "source",
    [RECORD.replace("    old: Any\n", ""), RECORD.replace("count: int = 1", "count: int = 1\n    new: int = 2")],
    ids=["dropped", "added"],
)
def test_a_field_that_its_declaration_does_not_know_is_refused(source: str) -> None:
    """A field added in the source and forgotten in its .pxd file stops the build instead of failing at run time."""
    records: Records = {}

    with pytest.raises(Unsupported, match=r"class Change: (old|new): not in both the class and its \.pxd file"):
        rewritten(source, DECLARED, records)


@pytest.mark.parametrize(
    ("form", "state", "words"),
    [
        (("pure", []), "ok", "pure Python"),
        (("compiled", ["sink", "walk"]), "ok", "compiled: 2 modules"),
        (("stale", []), "warn", "run make compiled, or make pure"),
    ],
    ids=["pure", "compiled", "stale"],
)
def test_doctor_says_which_form_runs(
    form: tuple[str, list[str]], state: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person learns which form compares, and what to do about one that is left alone."""
    monkeypatch.setattr(compiled, "form", lambda _: form)
    found = doctor.differ()

    assert found[:2] == ("differ", state)
    assert words in f"{found.what}; {found.do}"
