"""A sign-in on its way: what ties a person's browser, what the provider sends back with it, and what was asked together.

The browser keeps a signed cookie for some minutes that names the state and where to go afterwards. Nonce and PKCE verifier are HMACs of the
state, so they are in no cookie and kept nowhere. A state is used once in this server; a code once at the provider.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable

from console.api.oidc_provider import Provider
from console.api.oidc_settings import Provided
from console.api.rates import Rates
from echolane.base64url import decode, encode

FLOW_S = 600
"""For a person to find a password and a second factor."""
AFTER_MAX = 1_500
"""Bytes of the path to go on with: a cookie may have 4 KiB in all."""
USED_MAX = 20_000
"""States remembered as used: more than :data:`CALLBACKS_PER_S` lets one address use before they expire."""
CALLBACKS_PER_S, CALLBACKS = 10.0, 100
"""How often one address may come back: each time has the provider asked. Behind a proxy all people have one address."""
_COOKIE = re.compile(r"v1\.([A-Za-z0-9_-]{43})\.([0-9]{1,12})\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]{43})")


class Astray(Exception):  # noqa: N818 - what the browser is
    """What came back does not belong to a sign-in that this browser began; the message says why."""


class Flows:
    """Begins sign-ins and knows them again."""

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key = hmac.new(key, b"signing in", hashlib.sha256).digest()
        self._clock = clock
        self._used: OrderedDict[str, float] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Flows, {len(self._used)} used>"

    def begin(self, after: str) -> tuple[str, str]:
        """A new state, and the cookie that ties it to a browser."""
        state, ends = _text(os.urandom(32)), int(self._clock() + FLOW_S)
        path = after.encode() if len(after.encode()) <= AFTER_MAX else b"/"
        told = f"v1.{state}.{ends}.{_text(path)}"
        return state, f"{told}.{self._hmac('cookie', told)}"

    def nonce(self, state: str) -> str:
        """What the ID token must repeat."""
        return self._hmac("nonce", state)

    def verifier(self, state: str) -> str:
        """What is shown when the code is redeemed (RFC 7636): nobody else knows it."""
        return self._hmac("verifier", state)

    def challenge(self, state: str) -> str:
        """Its digest, which goes with the question."""
        return _text(hashlib.sha256(self.verifier(state).encode()).digest())

    def take(self, cookie: str, state: str) -> str:
        """Where to go on after the sign-in of this state, which is used up; Astray where this browser did not begin it."""
        found = _COOKIE.fullmatch(cookie)
        if found is None or not hmac.compare_digest(found[4], self._hmac("cookie", cookie.rpartition(".")[0])):
            raise Astray("this browser has no sign-in on its way, or one that took too long")
        if not hmac.compare_digest(found[1].encode(), state.encode("utf-8", "replace")):
            raise Astray("this is the answer to a sign-in of another window or browser")
        now = self._clock()
        if now >= int(found[2]):
            raise Astray("this sign-in took too long")
        while self._used and (len(self._used) >= USED_MAX or next(iter(self._used.values())) <= now):
            self._used.popitem(last=False)
        if state in self._used:
            raise Astray("this sign-in was used already")
        self._used[state] = float(found[2])
        return decode(found[3].encode()).decode()

    def _hmac(self, purpose: str, text: str) -> str:
        return _text(hmac.new(self._key, f"{purpose}:{text}".encode(), hashlib.sha256).digest())


def _text(data: bytes) -> str:
    return encode(data).decode()


class SignIn:
    """All that signing in at a provider needs."""

    def __init__(self, provided: Provided, key: bytes) -> None:
        self.provided, self.flows = provided, Flows(key)
        self.provider = Provider(provided)
        self.rates = Rates(CALLBACKS_PER_S, CALLBACKS)
        secure = provided.base.startswith("https:")
        self.cookie = "__Host-echolane_signin" if secure else "echolane_signin"
        """A browser takes the first name only over https, from this very host, for all of it."""

    def __repr__(self) -> str:
        return f"<SignIn {self.provider!r}>"

    @property
    def name(self) -> str:
        """What the provider is called."""
        return self.provided.settings.name

    @property
    def only(self) -> bool:
        """Whether pages take no token."""
        return self.provided.settings.only
