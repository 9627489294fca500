"""Statements of foreign readers, run: a throwaway session for each, its limits set before it may only read.

What may be asked is decided by :mod:`echolane.store.gate`; here the engine draws the tree that the gate looks at, and answers.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

import orjson

from echolane.store.gate import DATABASE, Admitted, Refused, check_tree

SECONDS_MAX, SECONDS = 60.0, 30.0
"""One statement, at most, and where the client says nothing: a panel that takes longer is not looked at."""
MEMORY_MAX = 256 * 1024 * 1024
"""One statement, of the 1 GiB of the whole engine, so that the foreign ones at once leave room for the runs."""
ROWS_MAX, BYTES_MAX = 500_000, 32 * 1024 * 1024
"""Of an answer, as the engine holds it; Grafana draws some ten thousand points."""
BODY_BYTES_MAX = 64 * 1024 * 1024
"""Of an answer as it is written: formats for people are wide."""
READ_ROWS_MAX, READ_BYTES_MAX = 50_000_000, 16 * 1024 * 1024 * 1024
"""What a statement may look at."""
_LIMITS = {
    "max_memory_usage": MEMORY_MAX,
    "max_result_rows": ROWS_MAX,
    "max_result_bytes": BYTES_MAX,
    "result_overflow_mode": "'throw'",
    "max_rows_to_read": READ_ROWS_MAX,
    "max_bytes_to_read": READ_BYTES_MAX,
    "read_overflow_mode": "'throw'",
    "timeout_overflow_mode": "'throw'",
    "max_threads": 2,
    "max_block_size": 512,
    "max_ast_depth": 500,
    "max_ast_elements": 20_000,
    "max_expanded_ast_elements": 50_000,
    "max_subquery_depth": 50,
    "max_recursive_cte_evaluation_depth": 1000,
    # What does not fit in memory is refused: a reader makes no files, not even for a while.
    "max_bytes_before_external_sort": 0,
    "max_bytes_before_external_group_by": 0,
    "max_bytes_ratio_before_external_sort": 0,
    "max_bytes_ratio_before_external_group_by": 0,
    "max_temporary_columns": 10_000,
    "log_queries": 0,
    "allow_ddl": 0,
    "allow_introspection_functions": 0,
}
PASSED = frozenset(
    [
        "date_time_output_format",
        "output_format_json_quote_64bit_integers",
        "output_format_json_quote_denormals",
        "output_format_json_quote_decimals",
        "output_format_json_named_tuples_as_objects",
        "output_format_write_statistics",
        "output_format_native_encode_types_in_binary_format",
        "output_format_arrow_string_as_string",
        "session_timezone",
        "join_use_nulls",
        "group_by_use_nulls",
        "extremes",
    ]
)
"""Settings of a client's own that change how an answer is written, never what may be read."""
VALUE = re.compile(r"[\w./+-]{0,64}")
"""What their values look like."""
_CODE = re.compile(r"Code: (\d+)\. DB::\w+: (.*)", re.DOTALL)
_NESTED = re.compile(r"Code: \d+\. DB::\w+: ")
_STD_EXCEPTION = 1001
_TOO_LARGE = 396  # TOO_MANY_ROWS_OR_BYTES
_cache: list[frozenset[str]] = []


class Answer(NamedTuple):
    """What a statement gave."""

    body: bytes
    rows_read: int
    bytes_read: int
    elapsed_s: float


class Limits(NamedTuple):
    """What a client asks for itself, within ours."""

    seconds: float
    rows: int
    settings: Mapping[str, str]


class Reader:
    """One throwaway conversation with the engine that may only read."""

    def __init__(self, native: Any, limits: Limits) -> None:
        """Take over a fresh connection of the engine."""
        self._native = native
        self._ask(f"USE {DATABASE}")
        if not _cache:
            names = self._ask("SELECT lower(name) FROM system.table_functions").body.decode().split()
            _cache.append(frozenset(names))
        for name, value in limits.settings.items():
            if name not in PASSED or not VALUE.fullmatch(value):
                raise Refused(164, f"Cannot modify '{name[:80]}' setting in readonly mode")
            self._ask(f"SET {name} = '{value}'")
        ours = {
            **_LIMITS,
            "max_execution_time": min(SECONDS_MAX, limits.seconds if limits.seconds > 0 else SECONDS),
            "max_result_rows": min(ROWS_MAX, limits.rows if limits.rows > 0 else ROWS_MAX),
        }
        self._ask(f"SET {', '.join(f'{name} = {value}' for name, value in ours.items())}, readonly = 1")

    def answer(self, admitted: Admitted, form: str, params: Mapping[str, str]) -> Answer:
        """Look at the statement's tree, then run it.

        Raises:
            Refused: the gate or the engine will not.
        """
        if admitted.tree_of:
            drawn = self._ask(f"EXPLAIN AST {admitted.tree_of}", "JSONCompactEachRow", params).body
            lines = [str(orjson.loads(line)[0]) for line in drawn.splitlines()]
            check_tree(lines, admitted.ctes, _cache[0])
        answer = self._ask(admitted.sql, form, params)
        if len(answer.body) > BODY_BYTES_MAX:
            raise Refused(
                _TOO_LARGE, f"Limit for result exceeded: {len(answer.body)} bytes, and {BODY_BYTES_MAX} are allowed"
            )
        return answer

    def _ask(self, sql: str, form: str = "TabSeparated", params: Mapping[str, str] | None = None) -> Answer:
        try:
            result = self._native.query(sql, form, params=dict(params or {}))
        except RuntimeError as error:
            raise _told(error) from error
        return Answer(bytes(result.bytes()), int(result.rows_read()), int(result.bytes_read()), float(result.elapsed()))


@contextlib.contextmanager
def reading(native: Any, limits: Limits) -> Generator[Reader]:
    """A reader on a fresh connection, which ends with it."""
    try:
        yield Reader(native, limits)
    finally:
        native.close()


def _told(error: Exception) -> Refused:
    """The engine's words with their number."""
    text = " ".join(str(error).split())
    found = _CODE.search(text)
    if found is None:
        return Refused(_STD_EXCEPTION, text)
    return Refused(int(found[1]), _NESTED.sub("", found[2]))
