"""What is answered, in ClickHouse's words: the status and the name of an error by its number, and the type of a format."""

from __future__ import annotations

from echolane.store.gate import Refused

NAMES = {
    36: "BAD_ARGUMENTS",
    48: "NOT_IMPLEMENTED",
    60: "UNKNOWN_TABLE",
    62: "SYNTAX_ERROR",
    73: "UNKNOWN_FORMAT",
    81: "UNKNOWN_DATABASE",
    159: "TIMEOUT_EXCEEDED",
    164: "READONLY",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    210: "NETWORK_ERROR",
    307: "TOO_MANY_BYTES",
    396: "TOO_MANY_ROWS_OR_BYTES",
    497: "ACCESS_DENIED",
    516: "AUTHENTICATION_FAILED",
    1001: "STD_EXCEPTION",
}
"""Of the errors that are ours; the engine tells the name of its own."""
_STATUSES = {
    **dict.fromkeys((26, 27, 36, 38, 41, 43, 50, 53, 62, 117, 131, 167, 377, 456, 457), 400),
    **dict.fromkeys((46, 47, 60, 73, 81, 115), 404),
    **dict.fromkeys((193, 192, 497), 403),
    48: 501,
    159: 408,
    202: 503,
    210: 503,
    307: 413,
    516: 401,
}
_TYPES = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONCompactEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONStringsEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONLines": "application/x-ndjson; charset=UTF-8",
    "NDJSON": "application/x-ndjson; charset=UTF-8",
    "JSON": "application/json; charset=UTF-8",
    "XML": "application/xml; charset=UTF-8",
    "Markdown": "text/markdown; charset=UTF-8",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "Parquet": "application/octet-stream",
}


def status_of(error: Refused) -> int:
    """The status that ClickHouse answers with."""
    return _STATUSES.get(error.code, 500)


def text_of(error: Refused, version: str) -> str:
    """The line that ClickHouse's clients read."""
    said = " ".join(str(error).split()).rstrip(".")
    named = f" ({NAMES[error.code]})" if error.code in NAMES and NAMES[error.code] not in said else ""
    return f"Code: {error.code}. DB::Exception: {said}.{named} (version {version} (Echolane))\n"


def type_of(form: str) -> str:
    """The content type of a format."""
    longest = max((name for name in _TYPES if form.startswith(name)), key=len, default="")
    return _TYPES.get(longest, "text/plain; charset=UTF-8")
