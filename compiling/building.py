"""Build the compiled form of the differ into ``build/compiled``; whole or not at all."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from compiling.rewriting import Records, Unsupported, rewritten
from echolane.compiled import BUILT, ROOT, STAMP, stamp

ROOM = "differ"
MODULES = (
    "jsons",
    "places",
    "echoes",
    "sink",
    "keying",
    "aligning",
    "walk",
    "raws",
    "bodies",
    "renaming",
    "rules",
)
"""What a comparison spends its time in, bases of classes before what derives from them."""
DIRECTIVES = ("annotation_typing=False", "nonecheck=True")
"""Types are those of the .pxd files; None where an object is meant is an AttributeError, as it is in the pure form."""
BUILD_S = 900
"""Half a minute on one core is usual."""


class NotBuilt(Exception):  # noqa: N818
    """Why there is no compiled form; says what to do."""


def lacking() -> str:
    """What is missing to build; empty when nothing is."""
    if importlib.util.find_spec("Cython") is None or importlib.util.find_spec("setuptools") is None:
        return "Cython and setuptools: pip install -e '.[compiled]'"
    compiler = str(sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"the C compiler that this Python was built with ({compiler}): install it, on Debian apt-get install gcc"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return f"Python.h in {sysconfig.get_path('include')}: install Python's headers, on Debian apt-get install python3-dev"
    return ""


def build(folder: Path = BUILT) -> None:
    """Build all modules, then put them in their place.

    Raises:
        NotBuilt: something is missing, or Cython or the compiler refused.
    """
    if why := lacking():
        raise NotBuilt(f"needs {why}")
    made = folder.with_name(folder.name + ".new")
    shutil.rmtree(made, ignore_errors=True)
    (made / ROOM).mkdir(parents=True)
    before = stamp(ROOM, MODULES)
    try:
        sources(made / ROOM)
    except (Unsupported, SyntaxError) as error:
        raise NotBuilt(str(error)) from error
    command = [sys.executable, "-m", "Cython.Build.Cythonize", "--inplace", "--quiet", "--parallel=2", "-3"]
    for directive in DIRECTIVES:
        command += ["-X", directive]
    done = subprocess.run(
        [*command, *(f"{ROOM}/{name}.py" for name in MODULES)],
        cwd=made,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=BUILD_S,
        check=False,
    )
    suffix = str(sysconfig.get_config_var("EXT_SUFFIX"))
    absent = [name for name in MODULES if not (made / ROOM / f"{name}{suffix}").exists()]
    if done.returncode or absent:
        raise NotBuilt(f"Cython failed ({', '.join(absent)}):\n{done.stdout.decode(errors='replace')[-4000:]}")
    for name in MODULES:
        (made / ROOM / f"{name}.c").unlink()
    shutil.rmtree(made / "build", ignore_errors=True)
    (made / ROOM / STAMP).write_text(before, "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    made.rename(folder)


def sources(folder: Path) -> None:
    """The modules as Cython takes them, with their declarations."""
    records: Records = {}
    (folder / "__init__.py").write_text('"""Built by compiling.building."""\n', "utf-8")
    for name in MODULES:
        declarations = Path(__file__).with_name(f"{name}.pxd")
        pxd = declarations.read_text("utf-8") if declarations.exists() else ""
        if pxd:
            (folder / f"{name}.pxd").write_text(pxd, "utf-8")
        source = (ROOT / ROOM / f"{name}.py").read_text("utf-8")
        (folder / f"{name}.py").write_text(rewritten(source, pxd, records), "utf-8")
