"""Mutations of whole messages: status, headers, cookies, pages and other texts, broken bodies, answers that never come."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace

from bench.accuracy_mutations import HARMLESS, RESTLESS, STEADY, Mutation, Pick, known
from bench.accuracy_noise import FOOT
from bench.accuracy_wire import Answer, get, media, spans, tags, with_header

PLAIN_HEADERS = re.compile(
    rb"(?i)(date|etag|content-length|content-type|set-cookie|connection|keep-alive|transfer-encoding|server|location)$"
)
"""Headers that have mutations of their own, or none."""
ERROR = b'{"error":{"code":"internal","message":"something went wrong"}}'
BODY = ("body",)
_DIGITS = re.compile(rb"\d+")
Change = Callable[[Answer, Pick, random.Random], Answer]


def always(name: str, place: str, change: Change, *, group: str, promise: str = STEADY, **kept: bool) -> Mutation:
    """A mutation at a place that is always the same, wherever it changes anything."""

    def pick(answer: Answer, chance: random.Random, quiet_but: frozenset[str]) -> Pick | None:
        found = Pick("", (place,), promise, below=kept.get("below", place == "body"), salt=chance.getrandbits(32))
        touched = place in quiet_but or answer.failed
        new = answer if touched else change(answer, found, random.Random(1))
        if new == answer:
            return None
        return replace(found, promise=RESTLESS) if promise == STEADY and among_noise(answer, new) else found

    return Mutation(name, pick, change, flaky=kept.get("flaky", False), group=group)


def among_noise(old: Answer, new: Answer) -> bool:
    """Whether a page changes in numbers alone, in a node whose name and whose parents' names are those of the node that its noise is in."""
    head, foot, rest = old.body.partition(FOOT)
    if not foot or _DIGITS.sub(b"0", old.body) != _DIGITS.sub(b"0", new.body):
        return False
    whole, calm, changed = tags(old.body), tags(head + rest.partition(b"</p>")[2]), tags(new.body)
    return any(whole[path] != calm.get(path) and whole[path] != changed.get(path) for path in whole)


def status(new: int, *old: int, body: bytes | None = None) -> Change:
    """Another status where it was one of these (any, without)."""

    def change(answer: Answer, _pick: Pick, _chance: random.Random) -> Answer:
        if (old and answer.status not in old) or answer.status == new:
            return answer
        return replace(answer, status=new, body=answer.body if body is None else body)

    return change


def header(name: str, new: Callable[[bytes], bytes | None]) -> Change:
    """A header's first line with another value; without one nothing changes."""
    key = name.encode()

    def change(answer: Answer, _pick: Pick, _chance: random.Random) -> Answer:
        value = get(answer, key.lower())
        return answer if value is None or new(value) == value else with_header(answer, key, new(value))

    return change


def any_header(name: str, change: Callable[[Answer, bytes], Answer], promise: str = STEADY) -> Mutation:
    """A mutation of one of the answer's plain headers."""

    def pick(answer: Answer, chance: random.Random, quiet_but: frozenset[str]) -> Pick | None:
        names = sorted({key.lower() for key, _ in answer.headers if not PLAIN_HEADERS.match(key)})
        names = [key for key in names if f"header:{key.decode('latin-1')}" not in quiet_but]
        names = [key for key in names if change(answer, key) != answer]
        if not names:
            return None
        key = chance.choice(names).decode("latin-1")
        return Pick(key, (f"header:{key}",), promise)

    return Mutation(name, pick, lambda answer, found, _: change(answer, found.path.encode("latin-1")), group="header")


def _value(answer: Answer, name: bytes) -> Answer:
    value = get(answer, name)
    return answer if value is None else with_header(answer, name, b"none" if value != b"none" else b"other")


def _second(answer: Answer, name: bytes) -> Answer:
    value = get(answer, name)
    return answer if value is None else replace(answer, headers=(*answer.headers, (name.title(), value)))


def cookie(new: Callable[[bytes], bytes | None]) -> Change:
    """The first cookie with another text; None takes it out."""

    def change(answer: Answer, _pick: Pick, _chance: random.Random) -> Answer:
        for number, (key, value) in enumerate(answer.headers):
            if key.lower() == b"set-cookie":
                made = new(value)
                pairs = [
                    *answer.headers[:number],
                    *([] if made is None else [(key, made)]),
                    *answer.headers[number + 1 :],
                ]
                return replace(answer, headers=tuple(pairs))
        return answer

    return change


def text(forms: tuple[str, ...], pattern: bytes, new: bytes) -> Change:
    """The first piece of a text body that a pattern finds, replaced."""

    def change(answer: Answer, _pick: Pick, _chance: random.Random) -> Answer:
        if media(answer) not in forms:
            return answer
        head, foot, rest = answer.body.partition(FOOT)  # noise is in the foot of a page: the change is not
        return replace(answer, body=re.sub(pattern, new, head, count=1) + foot + rest)

    return change


def _cut(answer: Answer, _pick: Pick, _chance: random.Random) -> Answer:
    return replace(answer, body=answer.body[: len(answer.body) * 2 // 3]) if len(answer.body) > 40 else answer


def _truncated(answer: Answer, pick: Pick, chance: random.Random) -> Answer:
    return replace(_cut(answer, pick, chance), incomplete=True) if len(answer.body) > 40 else answer


def _emptied(answer: Answer, _pick: Pick, _chance: random.Random) -> Answer:
    return replace(answer, body=b"")


def _envelope(answer: Answer, _pick: Pick, _chance: random.Random) -> Answer:
    return replace(answer, body=b'{"data":' + answer.body + b"}") if spans(answer.body) else answer


def _error_body(answer: Answer, _pick: Pick, _chance: random.Random) -> Answer:
    return replace(answer, body=ERROR) if spans(answer.body) else answer


def _page(answer: Answer, _pick: Pick, _chance: random.Random) -> Answer:
    page = b"<!doctype html><html><body><h1>Internal error</h1></body></html>"
    return replace(answer, body=page) if spans(answer.body) else answer


def _flipped(answer: Answer, _pick: Pick, _chance: random.Random) -> Answer:
    """One byte of an image."""
    if not media(answer).startswith("image/") or not answer.body:
        return answer
    middle = len(answer.body) // 2
    body = answer.body[:middle] + bytes([answer.body[middle] ^ 0x55]) + answer.body[middle + 1 :]
    return replace(answer, body=body)


def _latin(answer: Answer, _pick: Pick, _chance: random.Random) -> Answer:
    try:
        return replace(answer, body=answer.body.decode().encode("latin-1"))
    except UnicodeError:
        return answer


def _turned(answer: Answer, _pick: Pick, _chance: random.Random) -> Answer:
    once = [pair for pair in answer.headers if pair[0].lower() != b"set-cookie"]
    return replace(answer, headers=tuple(once[::-1] + [p for p in answer.headers if p not in once]))


def _cased(answer: Answer, _pick: Pick, _chance: random.Random) -> Answer:
    return replace(answer, headers=tuple((key.lower(), value) for key, value in answer.headers))


def _commas_turned(value: bytes) -> bytes:
    return b", ".join(reversed([part.strip() for part in value.split(b",")]))


HTML, XML, CSV = ("text/html",), ("application/xml", "text/xml", "application/rss+xml"), ("text/csv", "text/plain")
LINES, SSE, FORM = ("application/x-ndjson",), ("text/event-stream",), ("application/x-www-form-urlencoded",)
TYPE = "header:content-type"
NUMBER = rb"(?<=[ ,>])(\d{2,4})(?!\d|[\d.]*\s?(?:ms|s|\xc2\xb5s)\b)(?=[\s,<.])"
"""A number in a text that says something of what was asked for: of one that says how long it took (``took 12.9ms``) nothing is promised."""
known(
    (
        always("status-500", "status", status(500, body=ERROR), group="status"),
        always("status-404", "status", status(404, 200, 201), group="status"),
        always("status-201", "status", status(201, 200), group="status"),
        always("status-error-to-200", "status", status(200, 400, 401, 403, 404, 405, 409, 422, 500), group="status"),
        always("status-redirect", "status", status(302, 301, 303, 307, 308), group="status"),
        always("failure-timeout", "status", lambda a, _p, _c: replace(a, failed="timeout"), group="status"),
        always("failure-reset", "status", lambda a, _p, _c: replace(a, failed="reset"), group="status"),
        always("status-500-flaky", "status", status(500, body=ERROR), group="status", promise=RESTLESS, flaky=True),
        any_header("header-value", _value),
        any_header("header-missing", lambda answer, name: with_header(answer, name, None)),
        any_header("header-second-line", _second),
        always("header-added", "header:x-powered-by", lambda a, _p, _c: with_header(a, b"X-Powered-By", b"gears"), group="header"),
        always("cors-opened", "header:access-control-allow-origin", lambda a, _p, _c: with_header(a, b"Access-Control-Allow-Origin", b"*"), group="header"),
        always("cache-control-public", "header:cache-control", lambda a, _p, _c: with_header(a, b"Cache-Control", b"public, max-age=31536000"), group="header"),
        always("cache-control-missing", "header:cache-control", header("Cache-Control", lambda _v: None), group="header"),
        always("content-type-other", TYPE, header("Content-Type", lambda _v: b"application/octet-stream"), group="header"),
        always("charset-other", TYPE, header("Content-Type", lambda v: v.split(b";")[0] + b"; charset=iso-8859-1"), group="header"),
        always("charset-missing", TYPE, header("Content-Type", lambda v: v.split(b";")[0]), group="header"),
        always("content-type-missing", TYPE, header("Content-Type", lambda _v: None), group="header"),
        always("location-path", "header:location", header("Location", lambda v: v + b"/v2"), group="header"),
        always("location-relative", "header:location", header("Location", lambda v: b"/" + v.split(b"/", 3)[3] if v.count(b"/") > 2 else v), group="header"),
        always("location-missing", "header:location", header("Location", lambda _v: None), group="header"),
        always("link-next-page", "header:link", header("Link", lambda v: re.sub(rb"page=(\d+)", lambda m: b"page=%d" % (int(m[1]) + 1), v, count=1)), group="header"),
        always("link-next-missing", "header:link", header("Link", lambda _v: None), group="header"),
        always("server-other", "header:server", header("Server", lambda _v: b"other/2.0"), group="header"),
        always("cookie-insecure", "header:set-cookie[sid]", cookie(lambda v: v.replace(b"; HttpOnly", b"")), group="cookie"),
        always("cookie-same-site", "header:set-cookie[sid]", cookie(lambda v: v.replace(b"SameSite=Lax", b"SameSite=None")), group="cookie"),
        always("cookie-path", "header:set-cookie[sid]", cookie(lambda v: v.replace(b"Path=/", b"Path=/app")), group="cookie"),
        always("cookie-max-age", "header:set-cookie[sid]", cookie(lambda v: v.replace(b"Max-Age=3600", b"Max-Age=60")), group="cookie"),
        always("cookie-missing", "header:set-cookie[sid]", cookie(lambda _v: None), group="cookie"),
        always("cookie-added", "header:set-cookie[tracker]", lambda a, _p, _c: replace(a, headers=(*a.headers, (b"Set-Cookie", b"tracker=on; Path=/"))), group="cookie"),
        always("body-truncated", "body", _truncated, group="body"),
        always("body-cut", "body", _cut, group="body"),
        always("body-emptied", "body", _emptied, group="body"),
        always("body-envelope", "body", _envelope, group="body"),
        always("error-envelope-200", "body", _error_body, group="body"),
        always("body-json-to-html", "body", _page, group="body"),
        always("body-latin-1", "body", _latin, group="body"),
        always("image-byte", "body", _flipped, group="body"),
        always("html-text", "body", text(HTML, rb"(<(?:h1|h2|title|p|a|li|td|b)[^>]*>)[^<]{3,}", rb"\1Out of order"), group="text"),
        always("html-link", "body", text(HTML, rb'href="([^"]+)"', rb'href="\1/v2"'), group="text"),
        always("html-attribute", "body", text(HTML, rb'(class|id|lang|name|type|rel)="[^"]*"', rb'\1="other"'), group="text"),
        always("html-element-missing", "body", text(HTML, rb"<(p|li|a|h1|h2|td|b)( [^>]*)?>[^<]*</\1>", b""), group="text"),
        always("html-template", "body", text(HTML, rb"<body[^>]*>", rb'<body><div class="banner">We have moved</div>'), group="text"),
        always("html-doctype", "body", text(HTML, rb"(?i)<!doctype[^>]*>", b'<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">'), group="text"),
        always("text-number", "body", text((*CSV, *HTML), NUMBER, rb"9\1"), group="text"),
        always("xml-text", "body", text(XML, rb"(<(?:title|name|price)[^>]*>)[^<]+", rb"\1Out of order"), group="text"),
        always("xml-attribute", "body", text(XML, rb'currency="[^"]*"', rb'currency="ZZZ"'), group="text"),
        always("xml-element-missing", "body", text(XML, rb"<price[^>]*>[^<]*</price>", b""), group="text"),
        always("csv-row-missing", "body", text(CSV, rb"(?<=\n)[^\n]*,[^\n]*\n", b""), group="text"),
        always("csv-cell", "body", text(CSV, rb"(?<=\n)([^\n,]*),[^\n,]*", rb"\1,changed"), group="text"),
        always("csv-delimiter", "body", lambda a, _p, _c: replace(a, body=a.body.replace(b",", b";")) if media(a) == "text/csv" else a, group="text"),
        always("ndjson-line-missing", "body", text(LINES, rb"(?<=\n)[^\n]*\n", b""), group="text"),
        always("ndjson-value", "body", text(LINES, rb'"level":"info"', b'"level":"warn"'), group="text"),
        always("sse-event-missing", "body", text(SSE, rb"(?s)\n\nevent:.*?(?=\n\n)", b""), group="text"),
        always("sse-data", "body", text(SSE, rb'"step":(\d+)', rb'"step":9\1'), group="text"),
        always("form-value", "body", text(FORM, rb"state=\w+", b"state=closed"), group="text"),
        always("nonce-flag", "header:www-authenticate", header("WWW-Authenticate", lambda v: v.replace(b"stale=FALSE", b"stale=TRUE")), group="noisy"),
        always("nonce-realm", "header:www-authenticate", header("WWW-Authenticate", lambda v: v.replace(b'realm="shop"', b'realm="store"')), group="noisy"),
        always("noisy-header-missing", "header:x-request-id", header("X-Request-Id", lambda _v: None), group="noisy"),
        always("noisy-header-format", "header:x-request-id", header("X-Request-Id", lambda v: b"req-" + v[:8]), group="noisy"),
        always("etag-missing", "header:etag", header("ETag", lambda _v: None), group="noisy"),
        always("allow-shrunk", "header:allow", header("Allow", lambda v: b", ".join(p for p in v.split(b", ") if p != b"PUT")), group="noisy"),
        always("last-modified-missing", "header:last-modified", header("Last-Modified", lambda _v: None), group="noisy"),
        always("echo-header-path", "header:content-location", header("Content-Location", lambda v: v + b"/v2"), group="noisy"),
        always("harmless-header-order", "header:*", _turned, group="header", promise=HARMLESS),
        always("harmless-header-case", "header:*", _cased, group="header", promise=HARMLESS),
        always("harmless-cache-control-order", "header:cache-control", header("Cache-Control", _commas_turned), group="header", promise=HARMLESS),
        always("harmless-charset-case", TYPE, header("Content-Type", lambda v: v.replace(b"charset=utf-8", b"charset=UTF-8")), group="header", promise=HARMLESS),
        always("harmless-cookie-order", "header:set-cookie[sid]", cookie(lambda v: v.replace(b"Path=/; HttpOnly", b"HttpOnly; Path=/")), group="cookie", promise=HARMLESS),
    )
)  # fmt: skip
NEEDS = {
    "cookie-": ("Set-Cookie",), "harmless-cookie": ("Set-Cookie",), "nonce-": ("WWW-Authenticate",), "noisy-header": ("X-Request-Id",),
    "etag-": ("ETag",), "allow-": ("Allow",), "last-modified": ("Last-Modified",), "echo-header": ("Content-Location",),
}  # fmt: skip
"""Noise that mutations by these beginnings are planted into."""
