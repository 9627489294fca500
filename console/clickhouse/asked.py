"""A request of ClickHouse's HTTP interface, read: who asks, what, with which parameters and settings."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping

from echolane.store import wire
from echolane.store.gate import STATEMENT_BYTES_MAX, Refused
from echolane.store.guarded import PASSED, VALUE

AUTHENTICATION_FAILED, UNKNOWN_DATABASE, NOT_IMPLEMENTED, READONLY, BAD_ARGUMENTS = 516, 81, 48, 164, 36
DATABASES = frozenset(("", "default", "echolane"))
"""Names under which clients may ask; all of them are the one database of the home."""
PARAMS_MAX, PARAM_BYTES_MAX = 200, 64 * 1024
"""Parameters of one statement, and the bytes of one."""
_PARAM = re.compile(r"[A-Za-z_]\w{0,127}")
_NOTED = frozenset(
    [
        "enable_http_compression",
        "http_zlib_compression_level",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "wait_end_of_query",
        "buffer_size",
        "cancel_http_readonly_queries_on_client_close",
        "session_id",
        "session_timeout",
        "session_check",
        "query_id",
        "log_comment",
        "priority",
        "max_threads",
        "max_block_size",
        "max_memory_usage",
        "quota_key",
        "close_session",
        "use_query_cache",
        "connect_timeout",
        "receive_timeout",
        "send_timeout",
        "http_receive_timeout",
        "http_send_timeout",
        "date_time_input_format",
        "http_response_buffer_size",
        "http_wait_end_of_query",
    ]
)
"""Taken and without effect: each statement has a session of its own, and the store's own limits."""
_OURS = frozenset(
    (
        "query",
        "database",
        "default_format",
        "user",
        "password",
        "max_execution_time",
        "max_result_rows",
        "client_protocol_version",
    )
)


def ask_of(url: Mapping[str, str], headers: Mapping[str, str], body: str) -> wire.Ask:
    """What a request asks; the statement is that of the URL, then the body, as ClickHouse puts them together.

    Raises:
        Refused: it asks for something that this interface does not do.
    """
    params = {name.removeprefix("param_"): value for name, value in url.items() if name.startswith("param_")}
    if len(params) > PARAMS_MAX:
        raise Refused(BAD_ARGUMENTS, f"a statement may have {PARAMS_MAX} parameters")
    for name, value in params.items():
        _check_param(name, value)
    for name, value in url.items():
        if not name.startswith("param_"):
            _check_setting(name, value)
    database = url.get("database", "") or headers.get("X-ClickHouse-Database", "")
    if database not in DATABASES:
        raise Refused(UNKNOWN_DATABASE, f"Database {database[:80]} does not exist; it is called echolane here")
    if "multipart/form-data" in headers.get("Content-Type", ""):
        raise Refused(NOT_IMPLEMENTED, "external tables and forms are not taken; send the statement as the body")
    return wire.Ask(
        statement="\n".join(part for part in (url.get("query", ""), body) if part)[: STATEMENT_BYTES_MAX + 1],
        form=(url.get("default_format", "") or headers.get("X-ClickHouse-Format", "") or "TabSeparated")[:60],
        params=params,
        seconds=_number(url, "max_execution_time"),
        rows=int(_number(url, "max_result_rows")),
        settings={name: value for name, value in url.items() if name in PASSED},
    )


def _check_setting(name: str, value: str) -> None:
    """Taken, taken without effect, or refused: nothing is passed over in silence that would change an answer."""
    if name in {"compress", "decompress"}:
        if value not in {"", "0"}:
            # Native blocks in ClickHouse's own compression; HTTP has gzip.
            raise Refused(NOT_IMPLEMENTED, f"{name}={value[:20]} is not taken; use gzip (enable_http_compression=1)")
    elif name == "readonly":
        if value not in {"1", "2"}:
            raise Refused(READONLY, "Cannot modify 'readonly' setting in readonly mode")
    elif name in PASSED:
        if not VALUE.fullmatch(value):
            raise Refused(BAD_ARGUMENTS, f"the value of {name} is not understood")
    elif name not in _NOTED | _OURS:
        raise Refused(READONLY, f"Cannot modify '{name[:80]}' setting in readonly mode")


def _check_param(name: str, value: str) -> None:
    if not _PARAM.fullmatch(name):
        raise Refused(BAD_ARGUMENTS, f"{name[:80]!r} is no name of a parameter")
    if len(value.encode("utf-8", "replace")) > PARAM_BYTES_MAX:
        raise Refused(BAD_ARGUMENTS, f"the parameter {name} has more than {PARAM_BYTES_MAX >> 10} KiB")


def _number(url: Mapping[str, str], name: str) -> float:
    """A limit that a client sets itself; 0 where it sets none."""
    value = url.get(name, "") or "0"
    if not re.fullmatch(r"\d{1,9}(\.\d{0,9})?", value):
        raise Refused(BAD_ARGUMENTS, f"{name}={value[:40]} is no number")
    return float(value)


def check_who(url: Mapping[str, str], headers: Mapping[str, str], user: str, password: str) -> None:
    """Refused unless it is the reader: by headers, by Basic, or in the URL, as ClickHouse's clients do.

    Raises:
        Refused: nobody, or another.
    """
    given = ("", "")
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        given = headers.get("X-ClickHouse-User", ""), headers.get("X-ClickHouse-Key", "")
    elif headers.get("Authorization", "").lower().startswith("basic "):
        try:
            name, _, word = base64.b64decode(headers["Authorization"][6:], validate=True).decode().partition(":")
            given = name, word
        except (binascii.Error, UnicodeDecodeError):
            pass
    elif "user" in url or "password" in url:
        given = url.get("user", ""), url.get("password", "")
    right = [
        hmac.compare_digest(ours.encode(), theirs.encode("utf-8", "replace"))
        for ours, theirs in ((user, given[0]), (password, given[1]))
    ]
    if not all(right):
        raise Refused(
            AUTHENTICATION_FAILED,
            f"{given[0][:60] or 'default'}: Authentication failed: password is incorrect, or there is no user with such name",
        )
