"""A real forge for the tests of hooks: ``python -m bench.gitea`` builds it (``make gitea``), and they skip where nobody did.

Gitea is a Go module whose go.mod replaces others, which ``go install`` refuses: its source is taken by the module's proxy, which Go checks, and built
where it lies. What it serves pages with (templates, translations, licences) lies beside the program; the scripts of its pages are left out, since nothing of
ours looks at them. Go (:mod:`bench.golang`) needs a C compiler for its SQLite. Six minutes of a processor, eleven on two cores that others used, too;
1.2 GB of Go's own cache.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from bench.golang import go, run
from bench.once import PARTS, by_turns

VERSION = "v1.26.0"
MODULE = f"code.gitea.io/gitea@{VERSION}"
HOME = PARTS / "gitea" / VERSION
GITEA = HOME / "gitea"
SERVED = ("options", "public", "templates")
"""What it reads while it runs."""
HINT = "make gitea (Go and gcc build it, in ten minutes)"


def install() -> None:
    """Build Gitea, once: whole or not at all."""
    if GITEA.exists():
        return
    with by_turns(HOME.parent), tempfile.TemporaryDirectory(dir=HOME.parent) as scratch:
        if GITEA.exists():
            return
        program, made, source = go(), Path(scratch, "made"), Path(scratch, "source")
        told = json.loads(run([program, "mod", "download", "-json", MODULE], GOTOOLCHAIN="auto"))
        shutil.copytree(told["Dir"], source, copy_function=shutil.copyfile)
        for folder in (source, *(path for path in source.rglob("*") if path.is_dir())):
            folder.chmod(0o755)  # a module's are for reading only
        words = ["build", "-trimpath", "-tags", "sqlite sqlite_unlock_notify", "-ldflags=-s -w", "-o", made / "gitea"]
        run([program, *map(str, words), "."], source, GOTOOLCHAIN="auto", CGO_ENABLED="1")
        for name in SERVED:
            (source / name).rename(made / name)
        made.rename(HOME)


if __name__ == "__main__":
    install()
    print(f"Gitea {VERSION} is in {HOME}")
