"""The store's tables reach their shape from anywhere: empty, half made, made twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from echolane.errors import HomeError
from echolane.store.migrate import Migration, migrate, migrations, statements

STOP_AT_EVERY_STATEMENT = """
import os, sys
from pathlib import Path
from echolane.store.chdb import Engine
from echolane.store.migrate import migrate, migrations
os.chdir(sys.argv[1])


class Stopped(Exception):
    pass


class StoppedAfter:
    def __init__(self, session, count):
        self.session, self.left = session, count

    def run(self, sql):
        if self.left == 0:
            raise Stopped
        self.left -= 1
        return self.session.run(sql)


def shape(session, name):
    rows = session.run(f"SELECT name, create_table_query FROM system.tables WHERE database = '{name}' ORDER BY name")
    done = session.run("SELECT number FROM migrations FINAL ORDER BY number")
    return rows.decode().replace(name, "DB"), done.decode()


engine = Engine(Path("engine"))
session = engine.first
wanted, count = None, 0
while True:
    name = f"stopped_{count}"
    session.run(f"CREATE DATABASE {name}")
    session.run(f"USE {name}")
    try:
        migrate(StoppedAfter(session, count))
        whole = True
    except Stopped:
        whole = False
        migrate(session)
    migrate(session)
    found = shape(session, name)
    wanted = wanted or found
    assert found == wanted, (count, found, wanted)
    session.run(f"DROP DATABASE {name}")
    count += 1
    if whole:
        break
print(count)
engine.close()
sys.stdout.flush()
os._exit(0)
"""


class Recorder:
    """Carries out nothing and remembers everything; ``done`` are the migrations a store says it has."""

    def __init__(self, done: str = "") -> None:
        self.done = done
        self.ran: list[str] = []

    def run(self, sql: str) -> bytes:
        """Remember the statement."""
        self.ran.append(sql)
        return self.done.encode() if sql.startswith("SELECT") else b""


def test_stopped_after_any_statement_the_next_run_gives_the_same_tables(tmp_path: Path) -> None:
    """For every statement of every migration: stop after it, run again, and the schema is the one of an undisturbed run."""
    done = subprocess.run(
        [sys.executable, "-c", STOP_AT_EVERY_STATEMENT, tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > sum(len(step.statements) for step in migrations())


def test_only_what_is_not_done_is_run() -> None:
    """A store that has a migration does not run it again; the new one is run and then written down."""
    steps = [Migration(1, "one", ["CREATE one"]), Migration(2, "two", ["CREATE two", "CREATE three"])]
    session = Recorder(done="1\n")

    assert migrate(session, steps) == ["0002_two"]
    assert session.ran[2:] == ["CREATE two", "CREATE three", "INSERT INTO migrations SELECT 2, 'two'"]


def test_a_store_of_a_newer_version_is_refused() -> None:
    """Tables that this version does not know are not guessed at: the message says which schema they have."""
    with pytest.raises(HomeError, match="schema 9, this Echolane knows 1"):
        migrate(Recorder(done="1\n9\n"), [Migration(1, "one", [])])


def test_the_files_are_numbered_without_gaps_and_may_run_twice() -> None:
    """Numbers go up by one, and each statement says what to do when its work is done already."""
    steps = migrations()

    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    for step in steps:
        for statement in step.statements:
            assert any(word in statement for word in ("IF NOT EXISTS", "OR REPLACE", "MODIFY SETTING")), statement


def test_statements_end_with_a_semicolon_at_the_end_of_a_line() -> None:
    """Comments have lines of their own and are dropped; a semicolon inside a line is text."""
    text = "-- one; two;\nCREATE a\n  (';' String);\n\n-- more\nCREATE b;  \nCREATE c"

    assert list(statements(text)) == ["CREATE a\n  (';' String)", "CREATE b", "CREATE c"]
