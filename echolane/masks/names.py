"""Which names promise a secret: of headers, query and form members, JSON keys, XML elements, and in plain text.

A name is split into words (``accessToken``, ``access-token`` and ``user[access_token]`` end in *access token*) and judged by its
last ones, so ``token_type``, ``expires_in``, ``max_tokens`` and ``author`` are left alone. Decisions are cached by spelling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import unquote_to_bytes

OPEN, SECRET, TEXT, LONG, AUTHORIZATION, COOKIE, SET_COOKIE, CHALLENGE = range(8)
"""Not secret · secret · secret where it is text, not a number (``tokens`` may be their count) · secret where it looks like a
key (``key``) · credentials with a scheme · cookies · a cookie being set · a challenge with a nonce."""

_KEY = re.compile(rb"(?=.*[0-9])[A-Za-z0-9_.~+/-]{20,}={0,2}")
_CACHE_MAX = 4096  # An API has some hundred names; a client that invents names only empties the cache.
_NAME_BYTES_MAX = 128
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_ALONE = frozenset(
    """password passwd passphrase passcode passwort motdepasse contrasena senha pwd pass userpass secret secrets token jwt
    csrf xsrf apikey apitoken appkey appsecret authtoken accesstoken refreshtoken idtoken sessiontoken clientsecret privatekey
    accesskey secretkey csrftoken xsrftoken csrfmiddlewaretoken authenticitytoken awsaccesskeyid auth credential credentials
    sessionid sessid phpsessid jsessionid sid session otp totp pin cvv cvc cvv2 cvc2 ssn iban signature sig hmac bearer pan
    ccnum ccnumber cardnumber creditcard cookies viewstate""".split()  # noqa: SIM905 - words read as words
)
"""Secret as the last word, or as all words written together."""
_PAIRS = frozenset(
    tuple(pair.split())
    for pair in """api key,access key,secret key,private key,session key,encryption key,signing key,master key,app key,auth key,
    license key,account key,subscription key,functions key,webhook key,consumer key,shared key,session id,access id,key id,
    card number,card no,credit card,account number,security code,verification code,auth code,authorization code,recovery code,
    backup code,reset code,sms code,recovery codes,backup codes,connection string,social security,code verifier,session data,
    client assertion,saml response,password hash,password confirmation,password confirm,password again,password repeat,
    password old,password new,magic link,view state,token value,secret value,request verification""".split(",")  # noqa: SIM905
)
"""Secret as the last two words."""
_PLURALS = frozenset(("tokens", "passwords", "passwds", "jwts", "pins", "signatures"))
_WHOLE: dict[tuple[str, ...], int] = {
    ("authorization",): AUTHORIZATION,
    ("proxy", "authorization"): AUTHORIZATION,
    ("cookie",): COOKIE,
    ("set", "cookie"): SET_COOKIE,
    ("www", "authenticate"): CHALLENGE,
    ("proxy", "authenticate"): CHALLENGE,
    ("authentication", "info"): CHALLENGE,
    ("proxy", "authentication", "info"): CHALLENGE,
    ("key",): LONG,
}
_PAGING = frozenset(
    [
        "page",
        "paging",
        "pagination",
        "next",
        "previous",
        "prev",
        "continuation",
        "continue",
        "sync",
        "cursor",
        "resume",
        "start",
        "skip",
        "position",
    ]
)
"""``pageToken``, ``next_token``: where a list goes on. Whoever masks them compares the wrong page, and they open nothing."""
_PREFIXES = ("http", "x", "original", "forwarded")
"""``HTTP_AUTHORIZATION`` in a dump of an environment, ``X-Original-Authorization`` behind a proxy."""

STEMS = (
    b"pass",
    b"pwd",
    b"secret",
    b"token",
    b"key",
    b"jwt",
    b"srf",
    b"auth",
    b"cred",
    b"cookie",
    b"sess",
    b"sid",
    b"sig",
    b"card",
)
"""What a secret name in plain text holds: there a name of few letters (``pin``, ``pan``) is an ordinary word."""


class Names:
    """The judge of names, with what a user adds and takes away."""

    def __init__(self, extra: Iterable[str] = (), keep: Iterable[str] = ()) -> None:
        self._extra = frozenset(_words(name.encode()) for name in extra)
        self._keep = frozenset(_words(name.encode()) for name in keep)
        self._cache: dict[bytes, int] = {}
        self.open: set[bytes] = set()
        """Names known to be harmless: a body whose keys are all in here needs no closer look."""
        self.stems = tuple(dict.fromkeys((*STEMS, *(max(words, key=len).encode() for words in self._extra if words))))

    def judge(self, name: bytes) -> int:
        """What a name promises of its value."""
        found = self._cache.get(name)
        if found is None:
            if len(self._cache) >= _CACHE_MAX:
                self._cache.clear()
                self.open.clear()
            found = self._judge(name, _words(name[-_NAME_BYTES_MAX:]))
            if len(name) <= _NAME_BYTES_MAX:
                self._cache[name] = found
                if found == OPEN:
                    self.open.add(name)
        return found

    def _judge(self, name: bytes, words: Sequence[str]) -> int:
        if not words or tuple(words) in self._keep:
            return OPEN
        while len(words) > 1 and words[0] in _PREFIXES and tuple(words) not in self._extra:
            words = words[1:]
        if tuple(words) in self._keep:
            return OPEN
        if tuple(words) in self._extra:
            return SECRET
        whole = _WHOLE.get(tuple(words))
        if whole is not None:
            return whole
        if name == b"_token" or (words[-1] in {"token", "tokens"} and len(words) > 1 and words[-2] in _PAGING):
            return LONG if name == b"_token" else OPEN  # a form's secret in one framework, a page's mark in another
        if words[-1].isdigit() and len(words) > 1:  # password2, token_1
            if words[-2] + words[-1] in _ALONE:
                return SECRET
            words = words[:-1]
        if words[-1] in _ALONE or tuple(words[-2:]) in _PAIRS or "".join(words) in _ALONE:
            return SECRET
        return TEXT if words[-1] in _PLURALS else OPEN


def is_key(value: bytes) -> bool:
    """Whether a value under the name ``key`` is a secret: ``key=main`` is a name, ``key=AIza…`` is not."""
    return _KEY.fullmatch(value) is not None


def _words(name: bytes) -> tuple[str, ...]:
    if b"%" in name:
        name = unquote_to_bytes(name)
    return tuple(word.lower() for word in _WORDS.findall(name.decode("latin-1")))
