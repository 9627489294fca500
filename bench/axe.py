"""axe-core for the tests of the pages: ``python -m bench.axe`` fetches it (``make axe``).

It is one script of a package of npm's registry, taken once into ``.parts/axe`` and known by its digest.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from bench.once import PARTS, by_turns

VERSION = "4.10.3"
AXE = PARTS / "axe" / VERSION / "axe.min.js"
DIGEST = "Xm7bpRXnDSX2YE2YFfBk2FnF0ep6tmG7xPh8iHee8MIcrgq762Nkce856dYtJYLkuIoYZvGfTs/PbZhideTcEg=="
"""SHA-512 of the package, as its registry tells it."""
HINT = "make axe (npm fetches it)"
FETCH_WAIT_S = 120
"""It has half a megabyte."""


def install() -> None:
    """Fetch it, once: whole or not at all."""
    if AXE.exists():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("there is no npm: apt-get install npm")
    with by_turns(AXE.parent.parent), tempfile.TemporaryDirectory(dir=AXE.parent.parent) as scratch:
        if AXE.exists():
            return
        words = [npm, "pack", "--silent", f"axe-core@{VERSION}"]
        done = subprocess.run(words, cwd=scratch, capture_output=True, text=True, check=False, timeout=FETCH_WAIT_S)
        packed = next(iter(Path(scratch).glob("*.tgz")), None)
        if done.returncode or packed is None:
            raise SystemExit(f"`{' '.join(words)}` failed:\n{done.stdout}{done.stderr}")
        if base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode() != DIGEST:
            raise SystemExit(f"axe-core {VERSION} is not the package that it was")
        AXE.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(packed) as archive:
            script = archive.extractfile("package/axe.min.js")
            if script is None:
                raise SystemExit(f"axe-core {VERSION} has no script")
            part = Path(scratch, "axe.min.js")
            part.write_bytes(script.read())
        part.replace(AXE)


if __name__ == "__main__":
    install()
    print(f"axe-core {VERSION} is in {AXE}")
