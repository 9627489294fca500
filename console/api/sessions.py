"""The cookie of a person who logged in to the pages with a token, and the word that their forms must bring back.

The cookie names the token and when the session ends, signed; it holds no secret of the token, and ends with it. A form's word is an HMAC of
the cookie, so another site cannot know it (and with ``SameSite=Lax`` cannot have the cookie sent along either).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable

from console.api.access import Token, TokenBook
from echolane.base64url import encode

COOKIE = "echolane_session"
HOURS = 12
"""A working day: then the token is asked for again."""
_COOKIE = re.compile(r"v1\.([0-9a-f]{12})\.([0-9]{1,12})\.([A-Za-z0-9_-]{43})")


class Sessions:
    """Makes cookies and reads them."""

    def __init__(
        self, key: bytes, book: TokenBook, clock: Callable[[], float] = time.time, *, people_only: bool = False
    ) -> None:
        self._key, self._book, self._clock, self._people_only = key, book, clock, people_only

    def __repr__(self) -> str:
        return "<Sessions>"

    def begin(self, token: Token) -> str:
        """The cookie of a new session of whoever has this token."""
        ends = int(min(self._clock() + HOURS * 3600, token.expires_at_ns / 1e9))
        return f"v1.{token.id}.{ends}.{self._signed('session', f'{token.id}.{ends}')}"

    def token(self, cookie: str) -> Token | None:
        """Whose cookie this is, while session and token hold."""
        found = _COOKIE.fullmatch(cookie)
        if found is None or not hmac.compare_digest(found[3], self._signed("session", f"{found[1]}.{found[2]}")):
            return None
        token = self._book.by_id(found[1]) if self._clock() < int(found[2]) else None
        return token if token is not None and self.admits(token) else None

    def admits(self, token: Token) -> bool:
        """Whether pages are shown to this one: where people sign in at a provider alone, to no token that somebody was told."""
        return bool(token.subject) or not self._people_only

    def word(self, cookie: str) -> str:
        """What forms of this session carry."""
        return self._signed("form", cookie)

    def is_word(self, cookie: str, word: str) -> bool:
        """Whether a form is of this session."""
        return hmac.compare_digest(self.word(cookie).encode(), word.encode("utf-8", "replace"))

    def _signed(self, purpose: str, text: str) -> str:
        digest = hmac.new(self._key, f"{purpose}:{text}".encode(), hashlib.sha256).digest()
        return encode(digest).decode()
