"""The bodies of a HAR: texts back to the bytes they were, as far as that can be known. Pure.

``content.text`` and ``postData.text`` are text (or base64) with the Content-Encoding undone. Which bytes they were is told by the charset
and, where that is silent, by the length: binary bodies are often written one character per byte.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, cast
from urllib.parse import quote_plus

from echolane.bodies import codings_of, decode, digest_of, encode, keep
from echolane.exchange import EMPTY, Body, Headers

_CHARSET = re.compile(r"charset\s*=\s*\"?([A-Za-z0-9._:-]+)", re.IGNORECASE)
_BOUNDARY = re.compile(r"boundary\s*=\s*(?:\"([^\"]{1,200})\"|([^\s;,]{1,200}))", re.IGNORECASE)
_MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}


def request_body(request: dict[str, Any], headers: Headers, limit: int) -> Body:
    """The body of a request. One that is known to be missing is ``truncated``, so that it is never fired as if it were whole."""
    announced = _length(headers)
    if announced is None:
        size = request.get("bodySize")
        announced = size if isinstance(size, int) and size > 0 else None
    chunked = b"chunked" in _field(headers, b"transfer-encoding").lower()
    post = request.get("postData")
    data = _posted(cast("dict[str, Any]", post), announced) if isinstance(post, dict) else b""
    if data is None or (not data and announced):
        return Body(size=announced or 0, digest=digest_of(b""), truncated=True, chunked=chunked)
    coding = _field(headers, b"content-encoding").decode("latin-1").lower()
    if not data or not codings_of(coding):
        return keep(data, limit, chunked=chunked)
    packed = _packed(data, coding, announced)
    if packed is not None:
        return keep(packed, limit, encoding=coding, chunked=chunked)
    body = keep(data, limit, chunked=chunked)
    # Decoded by the producer: the sender is told how to encode it again, where it can.
    known = _encodable(coding) and not body.truncated
    return Body(data, announced or len(data), ", ".join(codings_of(coding)), chunked=chunked) if known else body


def _posted(post: dict[str, Any], announced: int | None) -> bytes | None:
    """The bytes of ``postData``; None when they are not in the file."""
    text = post.get("text")
    kind = post.get("mimeType")
    kind = kind if isinstance(kind, str) else ""
    params = post.get("params")
    if isinstance(text, str) and (text or not params):
        return _bytes_of(text, post, kind, announced)
    if not isinstance(params, list) or not params:
        return b""
    given = [cast("dict[str, Any]", each) for each in cast("list[Any]", params) if isinstance(each, dict)]
    if any(each.get("fileName") and each.get("value") is None for each in given):
        return None
    if kind.lower().startswith("multipart/"):
        return _multipart(given, kind)
    return "&".join(f"{_form(each.get('name'))}={_form(each.get('value'))}" for each in given).encode()


def _form(value: object) -> str:
    return "" if value is None else quote_plus(str(value).encode("utf-8", "surrogateescape"))


def _multipart(given: list[dict[str, Any]], kind: str) -> bytes | None:
    """A form of several parts as its client must have sent it; None without its boundary."""
    found = _BOUNDARY.search(kind)
    if found is None:
        return None
    boundary = (found[1] or found[2]).encode("utf-8", "replace")
    parts: list[bytes] = []
    for each in given:
        name = f'; filename="{each["fileName"]}"' if each.get("fileName") else ""
        head = f'Content-Disposition: form-data; name="{each.get("name", "")}"{name}\r\n'
        if each.get("contentType"):
            head += f"Content-Type: {each['contentType']}\r\n"
        value = each.get("value")
        value = "" if value is None else str(value)
        parts.append(b"--%b\r\n%b\r\n%b\r\n" % (boundary, _utf8(head), _utf8(value)))
    return b"".join(parts) + b"--%b--\r\n" % boundary


def answer_body(response: dict[str, Any], headers: Headers, limit: int, *, bodiless: bool) -> tuple[Body, Headers]:
    """The body of an answer, and its headers without what the decoded body no longer is."""
    chunked = b"chunked" in _field(headers, b"transfer-encoding").lower()
    if bodiless:
        return EMPTY, headers
    content = response.get("content")
    content = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    text, size = content.get("text"), content.get("size")
    size = int(size) if isinstance(size, (int, float)) and size > 0 else None
    announced = _length(headers)
    kind = content.get("mimeType")
    kind = kind if isinstance(kind, str) else ""
    data = _bytes_of(text, content, kind, size) if isinstance(text, str) and text else b""
    if data is None or (not data and (size or announced)):
        # Browsers leave large and binary bodies out: what is known of it is its length.
        missing = Body(size=size or announced or 0, digest=digest_of(b""), truncated=True, chunked=chunked)
        return missing, headers
    coding = _field(headers, b"content-encoding").decode("latin-1").lower()
    if codings_of(coding):
        packed = _packed(data, coding, None)
        if packed is not None:
            return keep(packed, limit, encoding=coding, chunked=chunked), headers
        headers = [pair for pair in headers if pair[0].lower() != b"content-encoding"]
    if announced is not None and announced != len(data):
        length = b"%d" % len(data)
        headers = [(name, length if name.lower() == b"content-length" else value) for name, value in headers]
    return keep(data, limit, chunked=chunked), headers


def _bytes_of(text: str, holder: dict[str, Any], kind: str, size: int | None) -> bytes | None:
    """The bytes of a text; None when it says base64 and is none."""
    encoding = holder.get("encoding") or holder.get("_encoding")
    if isinstance(encoding, str) and encoding.strip().lower() == "base64":
        try:
            return base64.b64decode("".join(text.split()).encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            return None
    charset = _CHARSET.search(kind)
    names = [charset[1]] if charset and charset[1].lower() not in {"utf-8", "utf8"} else []
    utf8 = _utf8(text)
    if size is None:
        return next((data for data in (_encoded(text, name) for name in names) if data is not None), utf8)
    if len(utf8) == size:
        return utf8
    for name in (*names, "latin-1"):
        data = _encoded(text, name)
        if data is not None and len(data) == size:
            return data
    return next((data for data in (_encoded(text, name) for name in names) if data is not None), utf8)


def _encoded(text: str, charset: str) -> bytes | None:
    """The text in a charset that a header names; None when it is unknown or has no such characters."""
    try:
        return text.encode(charset)
    except (LookupError, UnicodeError, ValueError):
        return None


def _utf8(text: str) -> bytes:
    """UTF-8; lone surrogates that stand for bytes (as Python writes them) become those bytes, others question marks."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _packed(data: bytes, coding: str, announced: int | None) -> bytes | None:
    """The data, if a producer left it in its Content-Encoding; None when it is decoded as HAR wants it."""
    magic = _MAGIC.get(codings_of(coding)[-1])
    if magic is not None:
        return data if data.startswith(magic) else None
    if announced == len(data) and not decode(data, coding).undecoded:
        return data
    return None


def _encodable(coding: str) -> bool:
    try:
        encode(b"", coding)
    except ValueError:
        return False
    return True


def _field(headers: Headers, name: bytes) -> bytes:
    return b", ".join(value for key, value in headers if key.lower() == name)


def _length(headers: Headers) -> int | None:
    """Content-Length, where it is one number."""
    values = {value for name, value in headers if name.lower() == b"content-length"}
    value = values.pop() if len(values) == 1 else b""
    return int(value) if value.isdigit() and len(value) <= 18 else None
