"""What the server asks of an OpenID provider: what it is (discovery), its keys, and an ID token for a code.

The provider's address is the operator's; its own addresses come from its discovery document, so they too must be https (http for a provider on
this machine). No proxy, no redirect; bounded in time and size. What it said is kept for minutes; a key that is not among those kept has
them read again, so seldom that nobody can have the provider asked without end.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec

from console.api.oidc_settings import Provided, check_url
from console.api.oidc_tokens import Key, UnknownKey, Unproven, Wanted, keys_of, verified
from console.api.rates import Rates
from echolane.errors import UsageError

ANSWER_S = 10.0
"""For one answer, the wait for a free connection included; a person waits."""
CONNECTIONS_MAX = 8
ANSWER_MAX = 512 * 1024
"""Bytes; the largest lists of keys and tokens have some tens of kilobytes."""
KEPT_S = 900.0
"""After which discovery and keys are read again, so that a key that was withdrawn is soon believed no more."""
FAILED_S = 3.0
"""For which a provider that did not answer is not asked again: those who wait at the door do not queue for ten seconds each."""
ROTATIONS_PER_S, ROTATIONS = 1 / 30, 5
"""How often keys are read before their time."""
SECRET_POST, SECRET_BASIC = "client_secret_post", "client_secret_basic"


class Away(Exception):  # noqa: N818 - what the provider is
    """The provider did not answer, or not as one; the message says what, in words of ours."""


class Metadata(msgspec.Struct, frozen=True):
    """What a provider says of itself, as far as we ask (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: list[str] = msgspec.field(default_factory=lambda: [SECRET_BASIC])
    authorization_response_iss_parameter_supported: bool = False


class _Granted(msgspec.Struct, frozen=True):
    id_token: str


class Provider:
    """One provider, asked at need; to be used in one event loop."""

    def __init__(self, provided: Provided, clock: Callable[[], float] = time.monotonic) -> None:
        self._provided, self._settings, self._clock = provided, provided.settings, clock
        self._client: aiohttp.ClientSession | None = None
        self._lock = asyncio.Lock()
        self._metadata: tuple[float, Metadata] | None = None
        self._keys: tuple[float, list[Key]] | None = None
        self._failed: tuple[float, str] = (-FAILED_S, "")
        self._rotations = Rates(ROTATIONS_PER_S, ROTATIONS)

    def __repr__(self) -> str:
        return f"<Provider {self._settings.issuer}>"

    async def close(self) -> None:
        """Let go of its connections."""
        if self._client is not None:
            await self._client.close()

    async def address(self, state: str, nonce: str, challenge: str) -> str:
        """Where a person is sent to say who they are."""
        endpoint = (await self.metadata()).authorization_endpoint
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._provided.callback,
            "scope": " ".join(self._settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def claims(self, code: str, verifier: str, nonce: str) -> dict[str, Any]:
        """Who it was that came back with this code; Unproven where that is not proven, Away where nobody can say."""
        token = await self._token(code, verifier)
        wanted = Wanted(self._settings.issuer, self._settings.client_id, nonce, self._settings.skew_s)
        keys = await self._known_keys()
        try:
            return verified(token, keys, wanted, time.time())
        except UnknownKey:
            keys = await self._known_keys(again=True)
            return verified(token, keys, wanted, time.time())

    async def metadata(self) -> Metadata:
        """What it says of itself."""
        async with self._lock:
            if self._metadata is None or self._clock() - self._metadata[0] > KEPT_S:
                self._metadata = (self._clock(), await self._remembered(self._discovered))
            return self._metadata[1]

    async def _discovered(self) -> Metadata:
        url = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        status, data = await self._ask("GET", url)
        try:
            found = msgspec.json.decode(data, type=Metadata) if status == 200 else None
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError):
            found = None
        if found is None:
            raise Away(f"its discovery document cannot be read (status {status})")
        if found.issuer != self._settings.issuer:
            raise Away("its discovery document is of another issuer than oidc.issuer")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            self._check_endpoint(name, getattr(found, name))
        return found

    def _check_endpoint(self, name: str, url: str) -> None:
        try:
            parts = urlsplit(url)
            check_url(parts._replace(query="").geturl(), name, "secrets go there")
        except (UsageError, ValueError) as error:
            raise Away(f"its {name} is not one that may be asked") from error
        if parts.scheme == "http" and self._settings.issuer.startswith("https:"):
            raise Away(f"its {name} is not https")

    async def _known_keys(self, *, again: bool = False) -> list[Key]:
        url = (await self.metadata()).jwks_uri
        async with self._lock:
            old = self._keys is None or self._clock() - self._keys[0] > KEPT_S
            if old or (again and not self._rotations.wait_s("keys", self._clock())):

                async def read() -> list[Key]:
                    status, data = await self._ask("GET", url)
                    if status != 200:
                        raise Away(f"its keys cannot be read (status {status})")
                    return keys_of(data)

                self._keys = (self._clock(), await self._remembered(read))
            assert self._keys is not None  # noqa: S101 - it was read
            return self._keys[1]

    async def _token(self, code: str, verifier: str) -> str:
        """The ID token for a code (RFC 6749 §4.1.3, RFC 7636 §4.5)."""
        told = await self.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._provided.callback,
            "code_verifier": verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        secret, methods = self._provided.secret, told.token_endpoint_auth_methods_supported
        if secret and (SECRET_BASIC in methods or SECRET_POST not in methods):
            pair = f"{quote(self._settings.client_id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self._settings.client_id, **({"client_secret": secret} if secret else {})}
        status, data = await self._ask("POST", told.token_endpoint, urlencode(form).encode(), headers)
        if status >= 500 or status == 429:
            raise Away(f"it answered {status} when it was asked for a token")
        try:
            if status == 200:
                return msgspec.json.decode(data, type=_Granted).id_token
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unproven("the provider gave no ID token") from error
        word = re.search(rb'"error"\s*:\s*"([a-z_]{1,40})"', data[:4096])
        raise Unproven(f"the provider gave no token ({word[1].decode() if word else status})")

    async def _remembered(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """What is asked for; a failure is not tried again at once."""
        at, why = self._failed
        if self._clock() - at < FAILED_S:
            raise Away(why)
        try:
            return await ask()
        except Away as error:
            self._failed = (self._clock(), str(error))
            raise

    async def _ask(
        self, method: str, url: str, data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """One answer, whole: its status and body."""
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, ssl=self._provided.tls or True),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # so that a bound on what comes in is one on what is kept
                trust_env=False,
            )
        body, host = b"", urlsplit(url).netloc
        sent = {"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})}
        try:
            async with (
                asyncio.timeout(ANSWER_S),
                self._client.request(method, url, data=data, headers=sent, allow_redirects=False) as answer,
            ):
                async for part in answer.content.iter_chunked(ANSWER_MAX):
                    body += part
                    if len(body) > ANSWER_MAX:
                        raise Away(f"{host} answered more than {ANSWER_MAX:,} bytes")
                return answer.status, body
        except TimeoutError as error:
            raise Away(f"{host} did not answer within {ANSWER_S:.0f} s") from error
        except (ssl.SSLError, aiohttp.ClientSSLError) as error:
            raise Away(f"{host}: TLS failed") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Away(f"{host} cannot be reached ({type(error).__name__})") from error
