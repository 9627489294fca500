"""Nothing of the pairs that score us is in the code that compares: no application's name, no header that only it has, no path of its own."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READ = [*sorted((ROOT / "differ").glob("*.py")), ROOT / "echolane" / "templating.py"]
STANDARD = frozenset(
    """accept accept-encoding accept-ranges access-control-allow-credentials access-control-allow-headers access-control-allow-methods
    access-control-allow-origin access-control-expose-headers access-control-max-age age allow authorization cache-control connection
    content-disposition content-encoding content-language content-length content-location content-md5 content-range content-security-policy
    content-type cookie date etag expires host keep-alive last-modified link location origin permissions-policy pragma proxy-authenticate
    referrer-policy retry-after server set-cookie strict-transport-security te trailer transfer-encoding upgrade vary via warning
    www-authenticate x-content-type-options x-forwarded-for x-frame-options x-powered-by x-request-id x-xss-protection""".split()  # noqa: SIM905
)
"""Headers that standards and most servers have: grammars of theirs are no application's."""
COMMON_MAX = 4
"""Letters of a path's word that says nothing: `api`, `get`, `item`."""


def foreign(inputs: Path) -> set[str]:
    """Names, headers and paths of all pairs."""
    found: set[str] = set()
    for pair in sorted(path for path in (inputs / "pairs").iterdir() if path.is_dir()):
        found.add(pair.name.lower())
        rows = json.loads((pair / "truth.json").read_text("utf-8"))
        found |= {
            row["where"].partition(":")[2].partition("[")[0].lower()
            for row in rows
            if row["where"].startswith("header:")
        }
        paths = {row["path_pattern"] for row in rows}
        paths |= {
            json.loads(line)["path"].partition("?")[0]
            for line in (pair / "workload.jsonl").read_text("utf-8").splitlines()
            if line
        }
        found |= {path.lower() for path in paths if len(path.split("/")) > 2 and len(path) > 2 * COMMON_MAX}
        found |= {word.lower() for path in paths for word in path.split("/") if word.startswith(("_", "-"))}
    return {word for word in found - STANDARD if len(word) > COMMON_MAX}


def said(path: Path) -> str:
    """The texts that a module works with, one a line; what its docstrings and comments give as examples is none of it."""
    tree = ast.parse(path.read_text("utf-8"))
    told = {
        id(first.value)
        for node in ast.walk(tree)
        if isinstance(body := getattr(node, "body", None), list)
        for first in body
        if isinstance(first, ast.Expr)
    }
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in told]
    return "\n".join(
        text.decode("latin-1") if isinstance(text, bytes) else text for text in texts if isinstance(text, str | bytes)
    )


@pytest.mark.inputs
def test_nothing_of_a_pair_is_in_the_code_that_compares(inputs: Path) -> None:
    """Each word of theirs is looked for, as a word, in the texts of the differ and of what names endpoints."""
    words = foreign(inputs)
    assert len(words) > 50
    pattern = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    word = re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.IGNORECASE)
    met = {f"{path.relative_to(ROOT)}: {found[0]}" for path in READ for found in word.finditer(said(path))}
    assert met == set()
