"""The page's style and scripts, packaged as files, and the policy that admits these and nothing else."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

SCRIPTS = ("keys.js", "copy.js", "page.js")
"""Of a run's page; the last adds its keys to the first."""
FAVICONS = {"pass": "1b6b3f", "fail": "b3261e", "inconclusive": "8a5a00"}


@cache
def asset(file: str) -> str:
    """A packaged text file."""
    return files("console").joinpath("assets", file).read_text("utf-8")


@cache
def policy(form: str = "'none'") -> str:
    """The content security policy: no source but this file, no script or style but ours (by their hashes); where forms may go."""
    style, *scripts = (_digest(asset(file)) for file in ("page.css", *SCRIPTS))
    script = " ".join(f"'{one}'" for one in scripts)
    return f"default-src 'none'; style-src '{style}'; script-src {script}; img-src data:; base-uri 'none'; form-action {form}"


def served_policy() -> str:
    """The same for a page of the server, whose forms go to the server."""
    return policy("'self'")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def favicon(verdict: str) -> str:
    """A dot in the verdict's colour, inside the page, so that no browser asks a server for one."""
    circle = f"%3Ccircle cx='8' cy='8' r='7' fill='%23{FAVICONS[verdict]}'/%3E"
    return f"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E{circle}%3C/svg%3E"
