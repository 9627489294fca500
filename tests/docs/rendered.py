"""The parts of the reference that code knows best, and the settings' schema: `python -m tests.docs.rendered` writes them into docs/reference."""

from __future__ import annotations

import argparse
from pathlib import Path

import orjson

from console.api.problems import TITLES
from console.api.table import OPERATIONS
from console.config_schema import schema
from console.main import COMMANDS, build_parser
from echolane.settings import Settings, load

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
SCHEMA = "echolane.schema.json"
BEGIN, END = "<!-- made from the code: begin -->", "<!-- made from the code: end -->"


def cell(text: object) -> str:
    """Text for a table's cell."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def commands() -> str:
    """Each command with its arguments."""
    parts: list[str] = []
    for name, (_, words) in COMMANDS.items():
        parser = build_parser(name)[1][name]
        parts += [
            f"## `echolane {name}`",
            words[:1].upper() + words[1:] + ".",
            "",
            "| argument | meaning |",
            "|---|---|",
        ]
        for action in parser._actions:
            if isinstance(action, argparse._HelpAction):
                continue
            value = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else "")
            value = " ".join(value) if isinstance(value, tuple) else value
            flags = ", ".join(
                f"`{flag}{f' {value}' if value and action.nargs != 0 else ''}`" for flag in action.option_strings
            )
            parts.append(
                f"| {cell(flags or f'`{value or action.dest}`')} | {cell((action.help or '').replace('%%', '%'))} |"
            )
        parts.append("")
    return "\n".join(parts)


def settings() -> str:
    """Each setting with its default."""
    rows = load({}, {}, Path("/nowhere")).explain()
    lines = ["| setting | environment | default | meaning |", "|---|---|---|---|"]
    for row in rows:
        value = Settings().explain(row.key)[0].value
        lines.append(
            f"| `{row.key}` | `ECHOLANE_{row.key.replace('.', '_').upper()}` | `{cell(value)}` | {cell(row.what)} |"
        )
    return "\n".join(lines) + "\n"


def operations() -> str:
    """Each operation of the API."""
    lines = ["| operation | role | what |", "|---|---|---|"]
    lines += [f"| `{one.method} {one.path}` | {one.role or 'none'} | {cell(one.summary)} |" for one in OPERATIONS]
    problems = ["", "| problem | status | title |", "|---|---|---|"]
    problems += [f"| `{code}` | {status} | {title} |" for code, (status, title) in TITLES.items()]
    return "\n".join([*lines, *problems]) + "\n"


def schema_text() -> str:
    """The JSON Schema of echolane.toml."""
    return orjson.dumps(schema(), option=orjson.OPT_INDENT_2).decode() + "\n"


PARTS = {"cli.md": commands, "settings.md": settings, "api.md": operations}


def merged(name: str, text: str) -> str:
    """A page with its made part made anew."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{PARTS[name]()}{END}{tail}"


if __name__ == "__main__":
    for page in PARTS:
        path = REFERENCE / page
        path.write_text(merged(page, path.read_text("utf-8")), "utf-8")
    (REFERENCE / SCHEMA).write_text(schema_text(), "utf-8")
