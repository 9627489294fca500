"""Where a request presents a credential, and what it looks like with another one there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from echolane.credentials import Credentials
from echolane.exchange import Headers
from replayer.rewrite import cookie_pairs


class Gives(Protocol):
    """What a provider gave."""

    @property
    def value(self) -> bytes:
        """The credential without its scheme."""
        ...

    @property
    def cookies(self) -> Mapping[bytes, bytes]:
        """Cookies by name, where those are what a login gave."""
        ...


def presents(read: Credentials, headers: Headers) -> bool:
    """Whether a request presents a credential where these would stand: one that does not was anonymous, and stays so."""
    return presented(read, headers) is not None


def presented(read: Credentials, headers: Headers) -> bytes | None:
    """What a request presents at the place of these credentials; None where it presents nothing."""
    cookies = read.cookie or read.place == "cookies"
    wanted = b"cookie" if cookies else read.header.lower().encode()
    for name, value in headers:
        if len(name) == len(wanted) and name.lower() == wanted:
            if not read.cookie:
                return value
            for cookie, text in cookie_pairs(value):
                if cookie == read.cookie.encode():
                    return text
    return None


def dressed(read: Credentials, token: Gives, opened: Headers, headers: Headers) -> tuple[Headers, list[bytes]]:
    """The headers with the credential, and it; a cookie that the target itself has set since stays."""
    out: Headers = []
    secrets: list[bytes] = []
    cookies = token.cookies if read.place == "cookies" else {read.cookie.encode(): token.value} if read.cookie else None
    scheme = f"{read.scheme} ".encode() if read.scheme and cookies is None else b""
    for place, (name, value) in enumerate(headers):
        low = name.lower()
        old = opened[place][1] if place < len(opened) else value
        if cookies is None and low == read.header.lower().encode():
            out.append((name, scheme + token.value))
            secrets.append(token.value)
        elif cookies is not None and low == b"cookie":
            new, put = _with_cookies(value, old, cookies)
            out.append((name, new))
            secrets += put
        else:
            out.append((name, value))
    return out, secrets


def _with_cookies(value: bytes, old: bytes, cookies: Mapping[bytes, bytes]) -> tuple[bytes, list[bytes]]:
    recorded = dict(cookie_pairs(old))
    parts, put = value.split(b";"), list[bytes]()
    for place, part in enumerate(parts):
        name, _, text = part.partition(b"=")
        given = cookies.get(name.strip())
        if given is not None and recorded.get(name.strip()) == text.strip():
            parts[place] = name + b"=" + given
            put.append(given)
    return b";".join(parts), put


def with_masks(read: Credentials, masked: Headers, opened: Headers) -> Headers:
    """The opened headers, with its mask where a provider's credential is going to stand: the recorded one is not even written."""
    wanted = b"cookie" if read.cookie or read.place == "cookies" else read.header.lower().encode()
    out: Headers = []
    for place, (name, value) in enumerate(opened):
        if name.lower() != wanted or place >= len(masked):
            out.append((name, value))
        elif read.cookie:
            hidden = dict(cookie_pairs(masked[place][1]))
            mask = hidden.get(read.cookie.encode(), b"")
            parts = value.split(b";")
            for at, part in enumerate(parts):
                cookie, equals, _ = part.partition(b"=")
                if equals and cookie.strip() == read.cookie.encode():
                    parts[at] = cookie + b"=" + mask
            out.append((name, b";".join(parts)))
        else:
            out.append((name, masked[place][1]))
    return out
