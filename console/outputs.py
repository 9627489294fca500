"""The files a run or ``show`` can write: JSON, JUnit, SARIF, Markdown, HTML. All are functions of the result and print its numbers."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from console.escapes import json_text
from console.junit import junit
from console.markdown import markdown
from console.page import render_page
from console.sarif import sarif
from echolane.errors import UsageError

Result = dict[str, Any]
Writers = Mapping[str, Callable[[Result], str]]
"""By flag, what makes a file's text of a result."""


def add_output_flags(parser: argparse.ArgumentParser, *, with_json: bool) -> None:
    """``--json FILE --junit FILE --sarif FILE --markdown FILE --html FILE``."""
    if with_json:
        parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML")
    parser.add_argument("--sarif", type=Path, metavar="FILE", help="write SARIF 2.1.0, a result for each finding")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write a comment for a pull request")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained page")


def as_json(result: Result) -> str:
    """The result as it is, for programs."""
    return json_text(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode()) + "\n"


WRITERS: Writers = {
    "json": as_json,
    "junit": junit,
    "sarif": sarif,
    "markdown": markdown,
    "html": render_page,
}


def check_outputs(args: argparse.Namespace, writers: Writers = WRITERS) -> None:
    """Find out before a run, not after it, that a file cannot be written."""
    for name in writers:
        path = getattr(args, name, None)
        if isinstance(path, Path) and (path.is_dir() or not path.absolute().parent.is_dir()):
            raise UsageError(f"--{name} `{path}` cannot be written: its folder is missing or it is a folder")


def write_outputs(args: argparse.Namespace, result: Result, writers: Writers = WRITERS) -> None:
    """Write each file whole or not at all."""
    for name, render in writers.items():
        path = getattr(args, name, None)
        if not isinstance(path, Path):
            continue
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.write_text(render(result), "utf-8")
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise UsageError(f"--{name} `{path}` cannot be written: {error.strerror}") from error
