"""Carry what a target gave: a cookie that it set differently from the recorded answer replaces the recorded one. Pure.

The recorded answer set ``sid=A``, this target set ``sid=B``: later requests of the session that carry ``sid=A`` carry ``sid=B`` to
this target. Recorded values are known by their masks (one value has one mask, so the mask serves as the key), the target's as it
sent them; those are written nowhere but under the seal (:mod:`replayer.keeping`). What a request carried that no recorded answer set
stays as it was.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from echolane.exchange import Headers
from replayer.domains import cookies_set, own

SESSIONS_MAX = 4_096
"""Sessions whose cookies are kept at one target, the least recently used given up first."""
COOKIES_MAX = 256
"""Cookies kept of one session; browsers stop at 180 a site."""
_GONE = frozenset({b"", b'""', b"deleted"})


class Rewritten(NamedTuple):
    """Headers for one target."""

    headers: Headers
    notes: list[str]
    """What was rewritten, in words."""
    values: list[bytes]
    """What was put in: secrets of that target's sessions."""


class Jar:
    """The cookies one target gave, by session: (name, recorded value) → its value."""

    def __init__(self) -> None:
        self._of_session: OrderedDict[str, OrderedDict[tuple[bytes, bytes], bytes]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Jar of {len(self._of_session)} sessions>"

    def __contains__(self, session: str) -> bool:
        return session in self._of_session

    def learn(
        self, session: str, recorded: Headers, answered: Headers, hosts: Collection[str] = ()
    ) -> list[tuple[bytes, bytes, bytes]]:
        """Take in the Set-Cookie headers of the recorded answer (masked) and of this target's (as sent): name, recorded value, its value.

        ``hosts`` are who was asked; a cookie that is for another domain is none of the target's.
        """
        was = cookies_set(recorded)
        theirs = {one.name: one.value for one in own(answered, hosts, {one.name: one.domain for one in was})}
        found = [(one.name, one.value, theirs[one.name]) for one in was if one.name in theirs]
        found = [one for one in found if not is_gone(one[1]) and not is_gone(one[2])]
        self.take(session, found)
        return found

    def take(self, session: str, found: Sequence[tuple[bytes, bytes, bytes]]) -> None:
        """Take in cookies that were learned now or before."""
        for name, value, given in found:
            cookies = self._of_session.setdefault(session, OrderedDict())
            cookies[name, value] = given
            cookies.move_to_end((name, value))
            if len(cookies) > COOKIES_MAX:
                cookies.popitem(last=False)
            self._of_session.move_to_end(session)
        if len(self._of_session) > SESSIONS_MAX:
            self._of_session.popitem(last=False)

    def rewrite(self, session: str, masked: Headers, opened: Headers) -> Rewritten:
        """The headers to send. ``masked`` is as recorded, ``opened`` with its seal opened."""
        cookies = self._of_session.get(session)
        if cookies is None:
            return Rewritten(opened, [], [])
        known = [pair for name, value in masked if name.lower() == b"cookie" for pair in cookie_pairs(value)]
        headers: Headers = []
        notes: list[str] = []
        values: list[bytes] = []
        at = 0
        for name, value in opened:
            if name.lower() != b"cookie":
                headers.append((name, value))
                continue
            parts = value.split(b";")
            for index, part in enumerate(parts):
                if b"=" not in part:
                    continue
                cookie, _, sent = part.partition(b"=")
                key = known[at] if at < len(known) else (b"", b"")
                at += 1
                given = cookies.get(key)
                if given is not None and key[0] == cookie.strip() and given != sent.strip():
                    parts[index] = cookie + b"=" + given
                    values.append(given)
                    notes.append(f"cookie {key[0].decode('latin-1')}")
            headers.append((name, b";".join(parts)))
        return Rewritten(headers, notes, values)


def is_gone(value: bytes) -> bool:
    """Whether a cookie that is set to this is taken away."""
    return value in _GONE


def cookie_pairs(value: bytes) -> list[tuple[bytes, bytes]]:
    """Name and value of each cookie of one Cookie header."""
    return [(n.strip(), v.strip()) for n, equals, v in (part.partition(b"=") for part in value.split(b";")) if equals]


def set_cookies(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Name and value of each cookie that an answer sets."""
    return [(one.name, one.value) for one in cookies_set(headers)]
