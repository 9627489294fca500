"""Who may what: tokens with a role, a list of services and an end, kept as hashes in ``HOME/access/tokens``.

A token is ``ech_ID_SECRET``; its secret is 256 random bits, so one round of SHA-256 keeps it. A token is told once, when it is made.
Files are one a token, so that the command and any number of servers of one home see what the others do.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from echolane.base64url import encode
from echolane.errors import HomeError, UsageError, unwritable
from echolane.home import Home
from echolane.lease import held
from echolane.whole import write_whole

ROLES = ("viewer", "runner", "editor", "admin")
"""Each may what those before it may: see; start runs and recordings; decide what findings mean; give access."""
DAYS = 90
"""For which a token holds unless it is told otherwise."""
DAYS_MAX = 3650
TOKENS_MAX = 10_000
"""Files that are looked at; it bounds a damaged home."""
PEOPLE_MAX = 2_000
"""Sessions of people at a time; beyond that the one that began first ends. The rest of the files is left to tokens."""
SESSIONS_MAX = 10
"""Of one person: so many browsers has nobody, and who signs in for ever ends nobody else's."""
NAME_MAX = 80
EVERY = "*"
_TOKEN = re.compile(r"ech_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_DAY_NS = 86_400_000_000_000


class Token(msgspec.Struct, frozen=True):
    """One token, without its secret."""

    id: str
    name: str
    role: str
    services: list[str]
    """`*` for all."""
    created_at_ns: int
    expires_at_ns: int
    secret: str
    """SHA-256 of the secret, in hex digits."""
    by: str = ""
    """Who made it: a token's id, or `shell`."""
    revoked_at_ns: int = 0
    subject: str = ""
    """Whose session it is, as their provider calls them; empty where somebody was told the secret."""

    def may(self, role: str) -> bool:
        """Whether it has a role, or more."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def sees(self, service: str) -> bool:
        """Whether a service is one of its own."""
        return EVERY in self.services or service in self.services

    @property
    def sees_all(self) -> bool:
        """Whether it is for every service, also those to come."""
        return EVERY in self.services

    def holds(self, now_ns: int) -> bool:
        """Whether it is neither revoked nor expired."""
        return not self.revoked_at_ns and now_ns < self.expires_at_ns


class TokenBook:
    """The tokens of a home."""

    def __init__(self, home: Home, clock: Callable[[], int] = time.time_ns) -> None:
        self._lock = home.path / "access" / "lock"
        self._folder = home.path / "access" / "tokens"
        self._clock = clock
        try:
            self._lock.parent.mkdir(mode=0o700, exist_ok=True)
            self._folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise unwritable(f"`{self._folder}`", error) from error

    def __repr__(self) -> str:
        return f"<TokenBook {self._folder}>"

    def create(
        self, name: str, role: str, services: Sequence[str], days: float = DAYS, by: str = "shell"
    ) -> tuple[Token, str]:
        """A new token, and its text, which nobody can be told again."""
        if not 0 < days <= DAYS_MAX:
            raise UsageError(f"a token holds for more than 0 and at most {DAYS_MAX} days, not {days:g}")
        if role not in ROLES:
            raise UsageError(f"there is no role `{role}`; known: {', '.join(ROLES)}")
        if not name or len(name) > NAME_MAX or not name.isprintable():
            raise UsageError(f"a token's name has 1 to {NAME_MAX} printable characters: who or what uses it")
        now = self._clock()
        id, raw = os.urandom(6).hex(), encode(os.urandom(32)).decode()  # noqa: A001
        token = Token(id, name, role, sorted(set(services)) or [EVERY], now, now + int(days * _DAY_NS), _hash(raw), by)
        self._write(token)
        return token, f"ech_{id}_{raw}"

    def sign_in(self, subject: str, name: str, role: str, services: Sequence[str], hours: float) -> Token:
        """The session of a person whom a provider knows: a token that has no secret, so that it opens nothing but their cookie."""
        now = self._clock()
        self._make_room(subject, now)
        ends = now + int(hours * 3600e9)
        token = Token(os.urandom(6).hex(), name[:NAME_MAX], role, sorted(set(services)), now, ends, "", "oidc")
        token = msgspec.structs.replace(token, subject=subject)
        self._write(token)
        return token

    def _make_room(self, subject: str, now: int) -> None:
        people = [token for token in self.listed() if token.subject]
        holding = [token for token in people if token.holds(now)]
        own = [token for token in holding if token.subject == subject]
        gone = [token for token in people if not token.holds(now)] + own[: max(0, len(own) + 1 - SESSIONS_MAX)]
        gone += holding[: max(0, len(holding) + 1 - PEOPLE_MAX)]
        for token in gone:
            try:
                (self._folder / f"{token.id}.json").unlink(missing_ok=True)
            except OSError as error:
                raise unwritable(f"`{self._folder}`", error) from error

    def create_first(self) -> str | None:
        """The text of an admin's token where the home has never had one, else None."""
        with held(self._lock, "the tokens of this home"):
            if next(self._folder.glob("*.json"), None) is not None:
                return None
            return self.create("first admin", "admin", [EVERY], by="first start")[1]

    def find(self, text: str) -> Token | None:
        """The token of this text, where it holds."""
        found = _TOKEN.fullmatch(text)
        token = self.by_id(found[1]) if found else None
        if found is None or token is None or not hmac.compare_digest(token.secret, _hash(found[2])):
            return None
        return token

    def by_id(self, id: str) -> Token | None:  # noqa: A002
        """The token of this id, where it holds."""
        token = self._read(self._folder / f"{id}.json")
        return token if token is not None and token.holds(self._clock()) else None

    def listed(self) -> list[Token]:
        """All tokens, those that do not hold too; the oldest first."""
        found = [self._read(path) for path in sorted(self._folder.glob("*.json"))[:TOKENS_MAX]]
        return sorted((token for token in found if token is not None), key=lambda token: token.created_at_ns)

    def revoke(self, id: str) -> Token:  # noqa: A002
        """End a token at once; UsageError where there is none."""
        token = self._read(self._folder / f"{id}.json") if re.fullmatch(r"[0-9a-f]{12}", id) else None
        if token is None:
            raise UsageError(f"there is no token `{id}`; `echolane token list` lists them")
        if not token.revoked_at_ns:
            token = msgspec.structs.replace(token, revoked_at_ns=self._clock())
            self._write(token)
        return token

    def _read(self, path: Path) -> Token | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Token)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise HomeError(f"token file `{path}` cannot be read ({error}); remove it") from error

    def _write(self, token: Token) -> None:
        write_whole(self._folder / f"{token.id}.json", msgspec.json.encode(token), mode=0o600)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
