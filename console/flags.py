"""Values of flags that several commands share, each with one definition and one clear error."""

from __future__ import annotations

import argparse
import re
from urllib.parse import urlsplit

from echolane.errors import UsageError

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def service_name(text: str) -> str:
    """A service is a DNS label: it names topics, files and columns."""
    if not _LABEL.fullmatch(text):
        raise UsageError(
            f"service `{text}` is not a DNS label: use 1-63 letters, digits and inner hyphens, for example `shop`"
        )
    return text


def host_port(text: str, flag: str = "--listen") -> tuple[str, int]:
    """HOST:PORT of an address to listen on."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"{flag} `{text}` needs HOST:PORT with a port of 1-65535, for example 127.0.0.1:8080")
    return host.strip("[]") or "127.0.0.1", int(port)


def http_url(text: str, flag: str) -> str:
    """An http URL without a path that could be lost; returned without a trailing slash."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{flag} `{text}` is not a URL ({error}); use http://HOST:PORT") from error
    if parts.scheme != "http" or not parts.hostname or (port is not None and port == 0):
        raise UsageError(f"{flag} `{text}` is not a plain HTTP URL; use http://HOST:PORT")
    if parts.path not in {"", "/"} or parts.query or parts.fragment or "@" in parts.netloc:
        raise UsageError(f"{flag} `{text}` must end after the port: recorded requests bring their own path")
    return f"http://{parts.netloc}"


def place_of(url: str) -> tuple[str, int]:
    """Host and port; ``localhost`` is the address that it is nearly everywhere."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return "127.0.0.1" if host == "localhost" else host, parts.port or 80


def time_span_ns(text: str) -> int:
    """A span such as 30m, 1.5h or 2d in nanoseconds."""
    found = _SPAN.fullmatch(text)
    if not found:
        raise UsageError(f"`{text}` is not a span of time; use a number with ms, s, m, h or d, for example 30m")
    return int(float(found[1]) * _UNIT_S[found[2]] * 1e9)


def positive(text: str) -> int:
    """A whole number of at least 1 (an argparse type)."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a whole number of at least 1")
    return int(text)
