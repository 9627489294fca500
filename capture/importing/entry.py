"""One entry of a HAR as a request and a response. Pure.

A HAR holds what a browser or a proxy remembered, not what was on the wire: bodies as text and without Content-Encoding, headers of HTTP/2
with names that are none, answers that never came. Each such habit has a line here; :mod:`capture.importing.payload` has those of bodies.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from capture.importing.material import HEAD_BYTES_MAX, NOT_HTTP, UNPARSEABLE, WEBSOCKET, Imported
from capture.importing.payload import answer_body, request_body
from echolane.exchange import Headers, Request, Response

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSAFE = re.compile(rb"[^\x21-\x7e]")
_VERSION = re.compile(r"(?:http/|h)?([123])(?:\.([01]))?$")
_DURATION_MAX_NS = 30 * 24 * 3600 * 10**9
"""A month: a longer exchange is a slip of a clock."""


class Limits(NamedTuple):
    """How much of bodies is kept."""

    request: int
    answer: int


def time_ns(text: object) -> int | None:
    """The wall clock of ``startedDateTime``; None when it tells no time. Without a zone it is UTC."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    try:
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except OverflowError:
        return None
    return max(0, (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000)


def exchange_of(
    entry: dict[str, Any], start_ns: int, limits: Limits, client: str, notes: Counter[str]
) -> Imported | str:
    """The exchange of an entry, or the reason why there is none."""
    request = _object(entry.get("request"))
    url, method = request.get("url"), request.get("method")
    if not isinstance(url, str) or not isinstance(method, str) or not _TOKEN.fullmatch(_bytes(method)):
        return UNPARSEABLE
    response = _object(entry.get("response"))
    scheme, split, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme in {"ws", "wss"} or "_webSocketMessages" in entry or entry.get("_resourceType") == "websocket":
        return WEBSOCKET
    if not split or scheme not in {"http", "https"} or method.upper() == "CONNECT":
        return NOT_HTTP
    headers = headers_of(request.get("headers"))
    status = int(number(response.get("status")) or 0)
    if status == 101:
        return WEBSOCKET
    authority, target = _place(rest, headers)
    made = Request(
        method=method,
        scheme=scheme,
        authority=authority,
        target=target,
        http_version=_version(request.get("httpVersion")),
        headers=_with_cookies(_plain(headers), request.get("cookies")),
        body=request_body(request, headers, limits.request),
    )
    _check_size(made.headers, target)
    if made.body.truncated and not made.body.data:
        notes["request-bodies-missing"] += 1
    answer = None
    if 100 <= status <= 999:
        answer = _answer(response, status, method, limits, notes)
    else:
        notes["answers-missing"] += 1
    return Imported(made, answer, "" if answer else "not-recorded", start_ns, _duration_ns(entry), client)


def _answer(response: dict[str, Any], status: int, method: str, limits: Limits, notes: Counter[str]) -> Response:
    recorded = _plain(headers_of(response.get("headers")))
    bodiless = method.upper() == "HEAD" or status < 200 or status in {204, 304}
    body, headers = answer_body(response, recorded, limits.answer, bodiless=bodiless)
    _check_size(headers, "")
    if body.truncated and not body.data:
        notes["answer-bodies-missing"] += 1
    return Response(
        status=status,
        http_version=_version(response.get("httpVersion")),
        headers=headers,
        body=body,
        reason=_value(response.get("statusText") or ""),
    )


def headers_of(given: object) -> Headers:
    """Name-value pairs, however they are written: objects, pairs, or one object with a member per header.

    Browsers join headers of one name with line ends; they are taken apart again.
    """
    pairs: list[tuple[object, object]] = []
    if isinstance(given, dict):
        pairs = list(cast("dict[object, object]", given).items())
    elif isinstance(given, list):
        for each in cast("list[Any]", given):
            if isinstance(each, dict):
                one = cast("dict[str, Any]", each)
                pairs.append((one.get("name"), one.get("value")))
            elif isinstance(each, list) and len(pair := cast("list[object]", each)) == 2:
                pairs.append((pair[0], pair[1]))
    found: Headers = []
    for name, value in pairs:
        if not isinstance(name, str):
            continue
        lines = _text(value).split("\n")
        found += [(_bytes(name.strip()), _value(line)) for line in lines]
    return found


def _plain(headers: Headers) -> Headers:
    """Without the pseudo headers of HTTP/2 and names that no HTTP/1 header can have."""
    return [pair for pair in headers if _TOKEN.fullmatch(pair[0])]


def _with_cookies(headers: Headers, cookies: object) -> Headers:
    """Some producers list cookies and leave out the header that carried them."""
    if not isinstance(cookies, list) or any(name.lower() == b"cookie" for name, _ in headers):
        return headers
    given = [cast("dict[str, Any]", each) for each in cast("list[Any]", cookies) if isinstance(each, dict)]
    pairs = [(_text(each.get("name")), _text(each.get("value"))) for each in given]
    line = "; ".join(f"{name}={value}" for name, value in pairs if name)
    return [*headers, (b"cookie", _value(line))] if line else headers


def _place(rest: str, headers: Headers) -> tuple[str, str]:
    """Authority and raw target of what follows the ``://`` of a URL."""
    found = re.search(r"[/?#]", rest)
    netloc, path = (rest[: found.start()], rest[found.start() :]) if found else (rest, "")
    path = path.split("#", 1)[0]
    # Browsers write the address as they show it; on the wire it had no blanks and nothing beyond ASCII.
    target = _UNSAFE.sub(lambda byte: b"%%%02X" % byte[0][0], path.encode("utf-8", "surrogateescape"))
    if not target.startswith(b"/"):
        target = b"/" + target
    named = {name.lower(): value for name, value in reversed(headers)}
    host = named.get(b"host") or named.get(b":authority") or _UNSAFE.sub(b"", _bytes(netloc.rpartition("@")[2]))
    return host.decode("latin-1"), target.decode("ascii")


def _version(text: object) -> str:
    """``1.0``, ``1.1``, ``2`` or ``3``; what is empty or unknown is taken for 1.1."""
    found = _VERSION.match(text.strip().lower()) if isinstance(text, str) else None
    if found is None:
        return "1.1"
    return f"1.{found[2] or 1}" if found[1] == "1" else found[1]


def _duration_ns(entry: dict[str, Any]) -> int:
    """Of ``time``, or the sum of ``timings``; parts that do not apply are -1."""
    whole = number(entry.get("time"))
    if whole is None or whole <= 0:
        timings = _object(entry.get("timings"))
        whole = sum(max(0.0, number(timings.get(name)) or 0.0) for name in ("send", "wait", "receive"))
    return int(min(whole * 1e6, _DURATION_MAX_NS))


def _check_size(headers: Headers, target: str) -> None:
    if len(target) + sum(len(name) + len(value) + 4 for name, value in headers) > HEAD_BYTES_MAX:
        raise ValueError("the head is too long")


def number(value: object) -> float | None:
    """A number, also one written as text; None when it is none or not finite."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else str(value)


def _value(value: object) -> bytes:
    """A header's value as one line."""
    return re.sub(rb"[\r\n\0]", b"", _bytes(_text(value))).strip(b" \t")


def _bytes(text: str) -> bytes:
    """Header bytes: characters stand for bytes where they can, else UTF-8."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape" if _escaped(text) else "replace")


def _escaped(text: str) -> bool:
    """Whether its lone surrogates stand for bytes, as Python writes them."""
    return all(not "\ud800" <= char <= "\udfff" or "\udc80" <= char <= "\udcff" for char in text)
