"""Bring a store's tables to the shape this version knows: numbered SQL files, each safe to run again.

A migration is a file ``NNNN_name.sql`` in ``migrations/``. Its number is written down only after its last statement, and every
statement is idempotent (``IF NOT EXISTS``, ``OR REPLACE``); so a process killed between any two statements leaves a store
that the next run finishes. Released files never change: a change is a new file, and views are created again after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from typing import NamedTuple, Protocol

from echolane.errors import HomeError

_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_RECORD = """CREATE TABLE IF NOT EXISTS migrations (number UInt32, name String)
ENGINE = ReplacingMergeTree ORDER BY number SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"""


class Runner(Protocol):
    """What carries out a statement: a session of :mod:`echolane.store.chdb`."""

    def run(self, sql: str) -> bytes:
        """One statement; its answer as tab separated text."""
        ...


class Migration(NamedTuple):
    """One numbered step."""

    number: int
    name: str
    statements: list[str]


def migrations() -> list[Migration]:
    """The steps this version knows, in order."""
    return sorted(
        Migration(int(match[1]), match[2], list(statements(file.read_text("utf-8"))))
        for file in resources.files("echolane.store").joinpath("migrations").iterdir()
        if (match := _NAME.fullmatch(file.name))
    )


def statements(text: str) -> Iterator[str]:
    """The statements of a file: they end with ``;`` at the end of a line, comments have lines of their own."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    for statement in re.split(r";[ \t]*(?:\n|\Z)", kept):
        if statement.strip():
            yield statement.strip()


def migrate(session: Runner, steps: list[Migration] | None = None) -> list[str]:
    """Run the steps that are not yet done; returns their names.

    Raises:
        HomeError: the store was written by a newer version.
    """
    steps = migrations() if steps is None else steps
    session.run(_RECORD)
    done = {int(line) for line in session.run("SELECT DISTINCT number FROM migrations").split()}
    newest = max((step.number for step in steps), default=0)
    if done and max(done) > newest:
        raise HomeError(
            f"the store has schema {max(done)}, this Echolane knows {newest}: it was written by a newer version; use that one"
        )
    ran: list[str] = []
    for step in steps:
        if step.number in done:
            continue
        for statement in step.statements:
            session.run(statement)
        # A selection, not values: a server may wait for values to come as blocks after the statement.
        session.run(f"INSERT INTO migrations SELECT {step.number}, '{step.name}'")
        ran.append(f"{step.number:04d}_{step.name}")
    return ran
