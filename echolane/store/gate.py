"""What a foreign reader (Grafana) may ask of the embedded engine: one statement that reads, of tables that are on a list.

``readonly`` of the engine is not enough: it lets through INTO OUTFILE, file(), url(), KILL QUERY and more. So a statement is cut into
tokens first (:mod:`echolane.store.tokens`), its kind must be on a list, and then the engine's parser, which is the only one
that knows the language, draws its tree (``EXPLAIN AST`` runs nothing) in which every node, table and table function must be on a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from echolane.store import QueryError
from echolane.store.tokens import Token, Unreadable, tokens, written

STATEMENT_BYTES_MAX = 256 * 1024
"""As ClickHouse's own ``max_query_size``; a panel's statement has some hundred bytes."""
SYNTAX_ERROR, UNKNOWN_TABLE, TOO_LARGE, READONLY, UNKNOWN_FORMAT, DENIED = 62, 60, 307, 164, 73, 497
"""Codes of ClickHouse, which its clients know."""

DATABASE = "echolane"
VIEWS = frozenset(
    (
        "runs_v",
        "results_v",
        "samples_v",
        "noise_v",
        "noise_runs_v",
        "findings_v",
        "triage_v",
        "capacities_v",
        "capacity_steps_v",
    )
)
"""Our tables as everybody reads them: folded, so that nothing counts twice."""
RAW = frozenset(
    ("runs", "results", "samples", "noise", "findings", "triage", "rules", "capacities", "capacity_steps", "migrations")
)
"""The tables below them, in which a row may stand more than once."""
FOREIGN = {
    "system": frozenset(
        (
            "build_options",
            "columns",
            "data_type_families",
            "databases",
            "formats",
            "functions",
            "numbers",
            "one",
            "settings",
            "tables",
            "time_zones",
        )
    ),
    "information_schema": frozenset(("tables", "columns", "schemata", "views")),
}
"""What clients ask about the server itself."""
TABLE_FUNCTIONS = frozenset(("numbers", "numbers_mt", "zeros", "generate_series", "generateseries", "values"))
"""Rows out of nothing: calendars and constants for a panel."""
BOTH = frozenset(("format",))
"""Names of a table function that are a harmless function of values, too."""
FUNCTIONS_DENIED = re.compile(
    r"sleep\w*|joinget\w*|dict\w*|file\w*|catboost\w*|model\w*|addressto\w*|region\w*|demangle|__\w*|getclienthttpheader|getmacro"
    r"|getserver\w*|getoskernelversion|serveruuid|showcertificate|logtrace|hascolumnintable|hasthreadfuzzer|getmergetreesetting"
    r"|editdistance\w*|levenshtein\w*|dameraulevenshtein\w*|jaro\w*"
    r"|generateserial\w*|zookeeper\w*|tid|finalizeaggregation|initializeaggregation"
    r"|ai[A-Z_]\w*|llm\w*|fuzz\w*|executable\w*|url|remote\w*|s3\w*"
)
"""Functions of values that wait, read files or dictionaries, ask the network, tell of the machine, or take the engine's own states;
distances of texts, which take the product of two lengths in time and memory that no limit of the engine counts."""
FORMATS = frozenset(
    [
        "Native",
        "JSON",
        "JSONStrings",
        "JSONColumns",
        "JSONColumnsWithMetadata",
        "JSONCompact",
        "JSONCompactStrings",
        "JSONCompactColumns",
        "JSONEachRow",
        "JSONStringsEachRow",
        "JSONCompactEachRow",
        "JSONCompactEachRowWithNames",
        "JSONCompactEachRowWithNamesAndTypes",
        "JSONObjectEachRow",
        "NDJSON",
        "JSONLines",
        "TabSeparated",
        "TabSeparatedRaw",
        "TabSeparatedWithNames",
        "TabSeparatedWithNamesAndTypes",
        "TSV",
        "TSVRaw",
        "TSVWithNames",
        "TSVWithNamesAndTypes",
        "CSV",
        "CSVWithNames",
        "CSVWithNamesAndTypes",
        "RowBinary",
        "RowBinaryWithNames",
        "RowBinaryWithNamesAndTypes",
        "Values",
        "Vertical",
        "XML",
        "Markdown",
        "Pretty",
        "PrettyCompact",
        "PrettySpace",
        "Null",
        "Arrow",
        "ArrowStream",
        "Parquet",
    ]
)
"""Formats that need no file of their own beside them."""

_NODES = frozenset(
    [
        "SelectWithUnionQuery",
        "SelectQuery",
        "SelectIntersectExceptQuery",
        "ExpressionList",
        "Identifier",
        "TableIdentifier",
        "Subquery",
        "Function",
        "TablesInSelectQuery",
        "TablesInSelectQueryElement",
        "TableExpression",
        "TableJoin",
        "ArrayJoin",
        "Literal",
        "Asterisk",
        "QualifiedAsterisk",
        "ColumnsRegexpMatcher",
        "ColumnsListMatcher",
        "QualifiedColumnsRegexpMatcher",
        "QualifiedColumnsListMatcher",
        "ColumnsTransformerList",
        "ColumnsExceptTransformer",
        "ColumnsReplaceTransformer",
        "ColumnsReplaceTransformer::Replacement",
        "OrderByElement",
        "WithElement",
        "WindowDefinition",
        "WindowListElement",
        "InterpolateElement",
        "SampleRatio",
        "DescribeQuery",
        "DataType",
        "NameTypePair",
        "StorageOrderByElement",
    ]
)
"""Nodes of the engine's tree that only read. ``Set`` is not here, limits are ours to set; nor ColumnsApplyTransformer, which hides
its function."""
_IN = re.compile(r"(global)?(not)?(null)?(not)?in(ignoreset)?")
_LINE = re.compile(r"(?P<kind>[A-Za-z:]+)_?(?: (?P<name>.*?))?(?: \(alias .*\))?(?: \(children \d+\))?", re.DOTALL)
_EXPLAINED = ("AST", "SYNTAX", "PLAN", "PIPELINE", "ESTIMATE")
_NAME = r"(?:[A-Za-z_]\w*|`[^`]*`|\"[^\"]*\")"
_PLACE = rf"(?P<place>{_NAME}(?: ?\. ?{_NAME})?)"
_LIKE = r"(?: (?:NOT )?I?LIKE '[^'\\]*')?(?: LIMIT \d+)?"
_SHOWN = (
    re.compile(rf"SHOW DATABASES{_LIKE}", re.IGNORECASE),
    re.compile(rf"SHOW (?:FULL )?TABLES(?: (?:FROM|IN) (?P<db>{_NAME}))?{_LIKE}", re.IGNORECASE),
    re.compile(
        rf"SHOW (?:EXTENDED )?(?:FULL )?COLUMNS (?:FROM|IN) {_PLACE}(?: (?:FROM|IN) (?P<db>{_NAME}))?{_LIKE}",
        re.IGNORECASE,
    ),
    re.compile(rf"SHOW CREATE (?:TABLE |VIEW )?{_PLACE}", re.IGNORECASE),
    re.compile(rf"EXISTS (?:TABLE |VIEW )?{_PLACE}", re.IGNORECASE),
)


class Refused(QueryError):  # noqa: N818 - as the errors of the floor do
    """A statement that is not answered; ``code`` is ClickHouse's number for why."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Admitted(NamedTuple):
    """A statement whose kind is on the list."""

    sql: str
    format: str
    """What its own FORMAT clause says; empty without one."""
    tree_of: str
    """What the engine's parser must draw and :func:`check_tree` see before it runs; empty where the form alone is enough."""
    ctes: frozenset[str]
    """Names that it gives to its own parts."""


def admit(statement: str) -> Admitted:
    """The one statement, made plain.

    Raises:
        Refused: it is none, more than one, or of a kind that does not only read.
    """
    if len(statement.encode("utf-8", "replace")) > STATEMENT_BYTES_MAX:
        raise Refused(TOO_LARGE, f"a statement may have {STATEMENT_BYTES_MAX >> 10} KiB here")
    try:
        found = tokens(statement)
    except Unreadable as error:
        raise Refused(SYNTAX_ERROR, str(error)) from error
    while found and found[-1].written == ";":
        found.pop()
    if not found:
        raise Refused(SYNTAX_ERROR, "Empty query")
    if any(token.kind == "mark" and token.written == ";" for token in found):
        raise Refused(SYNTAX_ERROR, "Multi-statements are not allowed: one statement, please")
    form = ""
    if len(found) > 2 and found[-2].upper == "FORMAT" and found[-1].kind == "word":
        form = format_named(found[-1].written)
        del found[-2:]
    if any(token.upper == "OUTFILE" for token in found):
        raise Refused(READONLY, "INTO OUTFILE is not allowed: this store is read over HTTP, it writes no files")
    sql = written(_without_revision(found))
    kind = found[0].upper
    if kind in {"SHOW", "EXISTS"}:
        _check_shown(sql)
        return Admitted(sql, form, "", frozenset())
    if kind in {"SELECT", "WITH", "DESCRIBE", "DESC"} or found[0].written == "(":
        return Admitted(sql, form, sql, _ctes(found))
    if kind == "EXPLAIN":
        rest = _explained(found)
        return Admitted(sql, form, written(rest), _ctes(rest))
    raise Refused(
        READONLY,
        f"Cannot execute query in readonly mode: it begins with {found[0].written[:20]!r},"
        " and SELECT, WITH, SHOW, DESCRIBE, EXISTS and EXPLAIN are answered",
    )


def _without_revision(found: list[Token]) -> list[Token]:
    """``revision()`` is 0 here: blocks of ``FORMAT Native`` are written as of that revision, and clients read them as of what it says."""
    for at in range(len(found) - 2):
        if found[at].upper == "REVISION" and [token.written for token in found[at + 1 : at + 3]] == ["(", ")"]:
            found[at] = Token("word", "toUInt32", found[at].apart)
            found[at + 1] = Token("mark", "(0", found[at + 1].apart)
    return found


def format_named(name: str) -> str:
    """A format that is written here.

    Raises:
        Refused: it is not.
    """
    if name not in FORMATS:
        raise Refused(UNKNOWN_FORMAT, f"Unknown format {name[:60]}; known here: {', '.join(sorted(FORMATS))}")
    return name


def _explained(found: Sequence[Token]) -> list[Token]:
    """What an EXPLAIN explains, behind its kind and its switches (``header = 1, actions = 1``)."""
    at = 1
    if at < len(found) and found[at].upper in _EXPLAINED:
        at += 1
    elif [token.upper for token in found[at : at + 2]] == ["QUERY", "TREE"]:
        at += 2
    while at + 2 < len(found) and found[at + 1].written == "=" and found[at + 2].written.isdigit():
        at += 4 if at + 3 < len(found) and found[at + 3].written == "," else 3
    rest = list(found[at:])
    if not rest or not (rest[0].upper in {"SELECT", "WITH"} or rest[0].written == "("):
        raise Refused(READONLY, "EXPLAIN explains a SELECT here, and nothing else")
    return rest


def _check_shown(sql: str) -> None:
    for form in _SHOWN:
        if match := form.fullmatch(sql):
            parts = match.groupdict()
            database = _unquoted(parts.get("db") or "")
            if database and database.lower() not in {DATABASE, "default", *FOREIGN}:
                raise Refused(DENIED, f"Not enough privileges: the database {database} is not shown here")
            if parts.get("place"):
                named = [_unquoted(part.strip()) for part in re.findall(_NAME, parts["place"])]
                check_table(".".join([database] * (database != "" and len(named) == 1) + named), frozenset())
            return
    raise Refused(
        READONLY, "of SHOW and EXISTS these are answered: DATABASES, TABLES, COLUMNS FROM, CREATE TABLE, EXISTS TABLE"
    )


def _unquoted(name: str) -> str:
    return name[1:-1] if name[:1] in {"`", '"'} else name


def _ctes(found: Sequence[Token]) -> frozenset[str]:
    """Names before ``AS (``; only looked at where a table stands, and a raw table's name is none of them."""
    named: set[str] = set()
    for name, word, bracket in zip(found, found[1:], found[2:], strict=False):
        if word.upper == "AS" and bracket.written == "(" and name.kind in {"word", "name"}:
            given = _unquoted(name.written)
            if given.lower() in RAW:
                raise Refused(DENIED, f"WITH {given} AS has the name of a table; give it another")
            if "." not in given:
                named.add(given)
    return frozenset(named)


@dataclass(slots=True)
class _Node:
    """One line of the engine's tree."""

    kind: str
    name: str
    children: list[_Node] = field(default_factory=list["_Node"])

    def all(self) -> Iterator[_Node]:
        """It and everything below; without recursion, trees may be deep."""
        waiting: list[_Node] = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.children)


def check_tree(lines: Iterable[str], ctes: frozenset[str], table_functions: frozenset[str]) -> None:
    """Whether each node of a statement's tree may be read; ``table_functions`` are the names (lower case) that the engine knows.

    Raises:
        Refused: one may not, and which.
    """
    root = _tree(lines)
    if any(child.kind not in {"ExpressionList", "TableExpression"} for child in root.children):
        # A format, a file or settings behind the statement hang there.
        raise Refused(READONLY, "FORMAT, INTO and SETTINGS are not taken inside of a statement here")
    for node in root.all():
        if node.kind not in _NODES:
            raise Refused(READONLY, f"{node.kind or 'this'} is not taken here: limits and settings are the store's")
        if node.kind == "TableIdentifier":
            check_table(node.name, ctes)
        elif node.kind == "TableExpression":
            for child in node.children:
                if child.kind == "Function" and child.name.lower() not in TABLE_FUNCTIONS:
                    raise Refused(DENIED, f"Not enough privileges: the table function {child.name} is not allowed")
        elif node.kind == "Function":
            _check_function(node, ctes, table_functions)


def _check_function(node: _Node, ctes: frozenset[str], table_functions: frozenset[str]) -> None:
    name = node.name.lower()
    if FUNCTIONS_DENIED.fullmatch(node.name) or FUNCTIONS_DENIED.fullmatch(name):
        raise Refused(DENIED, f"Not enough privileges: the function {node.name} is not allowed")
    if name in table_functions - TABLE_FUNCTIONS - BOTH:
        raise Refused(DENIED, f"Not enough privileges: the table function {node.name} is not allowed")
    if _IN.fullmatch(name):
        # `x IN name` reads the table of that name, `x IN f(…)` the table function.
        for side in [child for group in node.children for child in group.children][1:]:
            if side.kind == "Identifier":
                check_table(side.name, ctes)
            elif side.kind == "Function" and side.name.lower() in table_functions:
                raise Refused(DENIED, f"Not enough privileges: IN {side.name}(…) is not allowed")


def check_table(name: str, ctes: frozenset[str]) -> None:
    """Refused unless it is one that may be read."""
    if name in ctes:
        return
    database, dot, table = name.rpartition(".")
    if not dot or database == DATABASE:
        if table in VIEWS:
            return
        if table in RAW:
            raise Refused(DENIED, f"Not enough privileges: the table {table} holds rows twice; read {table}_v")
        raise Refused(
            UNKNOWN_TABLE, f"Unknown table expression identifier '{name}'; readable: {', '.join(sorted(VIEWS))}"
        )
    if table.lower() not in FOREIGN.get(database.lower(), frozenset()):
        raise Refused(DENIED, f"Not enough privileges: {name} is not readable here")


def _tree(lines: Iterable[str]) -> _Node:
    """Lines indented by a space per level."""
    path: list[_Node] = []
    for line in lines:
        text = line.lstrip(" ")
        match = _LINE.fullmatch(text)
        node = _Node(match["kind"], match["name"] or "") if match else _Node("", "")
        depth = len(line) - len(text)
        if depth > len(path) or (not depth and path):
            raise Refused(SYNTAX_ERROR, "the statement has a name that is not taken here")
        del path[depth:]
        if path:
            path[-1].children.append(node)
        path.append(node)
    if not path:
        raise Refused(SYNTAX_ERROR, "Empty query")
    return path[0]
