"""Mutations of single JSON values: numbers, texts, types, nulls, times, ids, links."""

from __future__ import annotations

import random
import re
import unicodedata
import uuid

from bench.accuracy_mutations import ELSEWHERE, HARMLESS, RESTLESS, known, leaf, noise_leaf
from bench.accuracy_wire import Span

_ISO = re.compile(rb'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"')
_UUID = re.compile(rb'"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"')
_INT = re.compile(rb"-?\d+")
_FLOAT = re.compile(rb"-?\d+\.\d+")
_URL = re.compile(rb'"https?://[^"]+"')
_WORDS = re.compile(rb'"[A-Za-z][A-Za-z ,.\'-]{3,}"')


def is_int(_: Span, raw: bytes) -> bool:
    """An integer of an everyday size."""
    return bool(_INT.fullmatch(raw)) and len(raw) < 15


def is_big(_: Span, raw: bytes) -> bool:
    """An integer that a double does not hold."""
    return bool(_INT.fullmatch(raw)) and abs(int(raw)) > 2**53


def is_float(_: Span, raw: bytes) -> bool:
    """A decimal that says more than one digit."""
    return bool(_FLOAT.fullmatch(raw))


def is_whole(_: Span, raw: bytes) -> bool:
    """A decimal without a fraction."""
    return bool(re.fullmatch(rb"-?\d+\.0+", raw))


def is_number(span: Span, _: bytes) -> bool:
    """Any number."""
    return span.kind == "number"


def is_bool(span: Span, _: bytes) -> bool:
    """True or false."""
    return span.kind == "bool"


def is_words(_: Span, raw: bytes) -> bool:
    """A text of words."""
    return bool(_WORDS.fullmatch(raw))


def is_text(span: Span, raw: bytes) -> bool:
    """A text of some length."""
    return span.kind == "string" and len(raw) > 6


def is_digits(_: Span, raw: bytes) -> bool:
    """A number written as a text."""
    return bool(re.fullmatch(rb'"\d{1,12}"', raw))


def is_leaf(span: Span, raw: bytes) -> bool:
    """A value that is no container and says something."""
    return span.kind in {"number", "string", "bool"} and raw != b'""'


def is_time(_: Span, raw: bytes) -> bool:
    """An instant in ISO 8601."""
    return bool(_ISO.fullmatch(raw))


def is_utc(_: Span, raw: bytes) -> bool:
    """An instant in ISO 8601 that ends with Z."""
    return bool(_ISO.fullmatch(raw)) and raw.endswith(b'Z"')


def is_uuid(_: Span, raw: bytes) -> bool:
    """A UUID."""
    return bool(_UUID.fullmatch(raw))


def is_url(_: Span, raw: bytes) -> bool:
    """An absolute URL."""
    return bool(_URL.fullmatch(raw))


def is_path(_: Span, raw: bytes) -> bool:
    """A path without a host."""
    return bool(re.fullmatch(rb'"/[\w./-]{5,}"', raw))


def is_slug(_: Span, raw: bytes) -> bool:
    """Words with hyphens, as in the path of an article."""
    return bool(re.fullmatch(rb'"[a-z]+(-[a-z0-9]+){2,}"', raw)) and b"-" in raw


def is_release(_: Span, raw: bytes) -> bool:
    """A version of a program."""
    return bool(re.fullmatch(rb'"v?\d+\.\d+\.\d+[\w.-]*"', raw))


def is_foreign(_: Span, raw: bytes) -> bool:
    """A text beyond ASCII."""
    return raw[:1] == b'"' and any(byte > 127 for byte in raw)


def is_object(span: Span, _: bytes) -> bool:
    """An object with members."""
    return span.kind == "object" and bool(span.children)


def _hours(raw: bytes, zone: bytes) -> bytes:
    hour = (int(raw[12:14]) + 2) % 24
    return raw[:12] + b"%02d" % hour + raw[14:-2] + zone + b'"'


def _epoch(raw: bytes) -> bytes:
    return str(1_700_000_000 + int.from_bytes(raw[-8:], "big") % 10**8).encode()


def _mojibake(raw: bytes) -> bytes:
    return raw.decode().encode().decode("latin-1").encode()


def _decomposed(raw: bytes) -> bytes:
    return unicodedata.normalize("NFD", raw.decode()).encode()


def _rounded(raw: bytes) -> bytes:
    head, _, tail = raw.partition(b".")
    return head if len(tail) == 1 else head + b"." + tail[:-1]


def _word(_: bytes, chance: random.Random) -> bytes:
    return b'"' + chance.choice((b"Unavailable", b"Pending review", b"Out of order", b"Archived item")) + b'"'


def _uuid(chance: random.Random) -> bytes:
    return b'"' + str(uuid.UUID(int=chance.getrandbits(128), version=4)).encode() + b'"'


def _hex(chance: random.Random, bits: int) -> bytes:
    return f'"{chance.getrandbits(bits) | 0xA1:0{bits // 4}x}"'.encode()


known(
    (
        leaf("value-number", is_number, lambda raw, c: str(int(float(raw)) + c.randrange(2, 9)).encode() if is_int(Span("", 0, 0, "", 0), raw) else raw + b"7"),
        leaf("off-by-one-number", is_int, lambda raw, _: str(int(raw) + 1).encode()),
        leaf("number-sign", is_number, lambda raw, _: raw[1:] if raw[:1] == b"-" else raw if float(raw) == 0 else b"-" + raw),
        leaf("number-zeroed", is_number, lambda _raw, _c: b"0"),
        leaf("float-precision", is_float, lambda raw, _: raw + b"00000001"),
        leaf("float-rounded", is_float, lambda raw, _: _rounded(raw)),
        leaf("float-to-int", is_whole, lambda raw, _: raw.partition(b".")[0]),
        leaf("big-int-precision", is_big, lambda raw, _: str(int(float(raw))).encode()),
        leaf("number-to-string", is_number, lambda raw, _: b'"' + raw + b'"'),
        leaf("string-to-number", is_digits, lambda raw, _: raw.strip(b'"').lstrip(b"0") or b"0"),
        leaf("bool-flipped", is_bool, lambda raw, _: b"false" if raw == b"true" else b"true"),
        leaf("bool-to-string", is_bool, lambda raw, _: b'"' + raw + b'"'),
        leaf("bool-to-int", is_bool, lambda raw, _: b"1" if raw == b"true" else b"0"),
        leaf("value-string", is_words, _word),
        leaf("string-case", is_words, lambda raw, _: raw.upper() if raw.upper() != raw else raw.lower()),
        leaf("string-space", is_text, lambda raw, _: raw[:-1] + b' "'),
        leaf("string-cut", is_words, lambda raw, _: raw[: max(3, len(raw) * 6 // 10)].rstrip() + b'"'),
        leaf("string-emptied", is_text, lambda _raw, _c: b'""'),
        leaf("string-escaped-html", lambda s, r: s.kind == "string" and any(c in r for c in b"&<'"), lambda raw, _: raw.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b"'", b"&#39;")),
        leaf("string-mojibake", is_foreign, lambda raw, _: _mojibake(raw)),
        leaf("string-decomposed", is_foreign, lambda raw, _: _decomposed(raw)),
        leaf("value-null", is_leaf, lambda _raw, _c: b"null"),
        leaf("null-to-empty-string", lambda s, _: s.kind == "null", lambda _raw, _c: b'""'),
        leaf("null-filled", lambda s, _: s.kind == "null", lambda _raw, c: str(c.randrange(9)).encode()),
        leaf("scalar-to-list", is_leaf, lambda raw, _: b"[" + raw + b"]"),
        leaf("scalar-to-object", is_leaf, lambda raw, _: b'{"value":' + raw + b"}"),
        leaf("object-nulled", is_object, lambda _raw, _c: b"null"),
        leaf("object-to-list", is_object, lambda raw, _: b"[" + raw + b"]"),
        leaf("empty-list-to-null", lambda s, _: s.kind == "array" and not s.children, lambda _raw, _c: b"null"),
        leaf("time-zone", is_utc, lambda raw, _: _hours(raw, b"+02:00")),
        leaf("time-zone-dropped", is_utc, lambda raw, _: raw[:-2] + b'"'),
        leaf("time-shifted", is_time, lambda raw, _: _hours(raw, raw[-2:-1]) if raw[-2:-1] == b"Z" else raw[:9] + b"28" + raw[11:] if raw[9:11] != b"28" else raw[:9] + b"27" + raw[11:]),
        leaf("time-format", is_time, lambda raw, _: raw.replace(b"T", b" ")),
        leaf("time-to-epoch", is_time, lambda raw, _: _epoch(raw)),
        leaf("uuid-other", is_uuid, lambda _raw, c: _uuid(c)),
        leaf("uuid-upper", is_uuid, lambda raw, _: raw.upper()),
        leaf("id-prefixed", lambda s, r: s.key in {"id", "sku", "code"} and r[:1] == b'"', lambda raw, _: b'"v2_' + raw[1:]),
        leaf("link-path", is_url, lambda raw, _: raw[:-1] + b'/v2"'),
        leaf("link-query", is_url, lambda raw, _: raw[:-1] + (b'&ref=1"' if b"?" in raw else b'?ref=1"')),
        leaf("link-scheme", is_url, lambda raw, _: raw.replace(b"http://", b"HTTPS://").replace(b"https://", b"http://").replace(b"HTTPS", b"https")),
        leaf("link-relative", is_url, lambda raw, _: b'"/' + raw.split(b"/", 3)[3] if raw.count(b"/") > 2 else raw),
        leaf("path-value", is_path, lambda raw, _: raw[:-1] + b'/v2"'),
        leaf("slug-value", is_slug, lambda raw, _: raw[:-1] + b'-two"'),
        leaf("release-value", is_release, lambda raw, _: b'"9.' + raw[1:]),
        leaf("constant-to-random-token", is_words, lambda _raw, c: _hex(c, 96), own=True),
        leaf("branch-only-random", is_int, lambda raw, c: str(c.randrange(10 ** max(0, len(raw) - 1), 10 ** len(raw))).encode() if len(raw) > 2 else raw, own=True, promise=HARMLESS),
        leaf("harmless-escapes", is_foreign, lambda raw, _: raw.decode().encode("ascii", "backslashreplace").replace(b"\\x", b"\\u00"), promise=HARMLESS),
        leaf("harmless-slash", is_url, lambda raw, _: raw.replace(b"/", b"\\/"), promise=HARMLESS),
        leaf("harmless-zeros", is_float, lambda raw, _: raw + b"0", promise=HARMLESS),
        noise_leaf("noisy-time-nulled", "generatedAt", lambda _raw, _c: b"null", "steady"),
        noise_leaf("noisy-number-to-string", "took", lambda raw, _: b'"' + raw + b'"', "steady"),
        noise_leaf("noisy-uuid-format", "traceId", lambda raw, _: raw.replace(b"-", b""), "steady"),
        noise_leaf("noisy-uuid-to-words", "traceId", lambda _raw, _c: b'"not available"', "steady"),
        noise_leaf("noisy-token-length", "csrf", lambda raw, _: raw[:17] + b'"', "steady"),
        noise_leaf("noisy-time-format", "generatedAt", lambda raw, _: _epoch(raw), "steady"),
        noise_leaf("noisy-time-zone", "generatedAt", lambda raw, _: raw[:-2] + b'+00:00"', RESTLESS),
        noise_leaf("noisy-time-stuck", "generatedAt", lambda _raw, _c: b'"1970-01-01T00:00:00.000Z"', RESTLESS),
        noise_leaf("noisy-uuid-stuck", "traceId", lambda _raw, _c: b'"00000000-0000-4000-8000-000000000000"', RESTLESS),
        noise_leaf("range-shift", "queue", lambda raw, _: str(int(raw) * 10).encode(), RESTLESS),
        noise_leaf("range-negative", "load", lambda raw, _: b"-" + raw, RESTLESS),
        noise_leaf("null-rate", "eta", lambda _raw, _c: b"null", RESTLESS),
        noise_leaf("distribution-shift", "accent", lambda _raw, _c: b'"teal"', RESTLESS),
        noise_leaf("new-choice", "accent", lambda _raw, _c: b'"crimson"', RESTLESS),
        noise_leaf("noisy-list-types", "suggested", lambda _, c: b"[" + str(c.randrange(100)).encode() + b"]", "steady", below=True),
        noise_leaf("noisy-list-emptied", "suggested", lambda _raw, _c: b"[]", RESTLESS, below=True),
        noise_leaf("set-shrunk", "roles", lambda raw, _: raw.replace(b'"audit",', b"").replace(b',"audit"', b""), "steady", below=True),
        noise_leaf("instance-value-nulled", "node", lambda _raw, _c: b"null", "steady"),
        noise_leaf("instance-format", "startedAt", lambda raw, _: _epoch(raw), "steady"),
        noise_leaf("echo-path", "self", lambda raw, _: raw[:-1] + b'/v2"', "steady"),
        noise_leaf("echo-relative", "self", lambda raw, _: b'"/' + raw.split(b"/", 3)[3], "steady"),
        noise_leaf("list-beside-noise-reversed", "labels", lambda _raw, _c: b'["local","eco","sale","new"]', ELSEWHERE),
    )
)  # fmt: skip
