"""Where credentials for a target come from: a variable or file, a command, a token endpoint, a recorded login, a key that signs.

Each gives a :class:`~replayer.tokens.Token` for an identity, or says in one line why it has none
(:class:`~replayer.tokens.NoCredential`), never with a secret in it.
Connections are made as to targets: no proxy, no redirect, bounded in time and size. :mod:`replayer.keeper` asks, once at a time.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import shlex
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

import orjson

from echolane.credentials import COMMAND, LOGIN, OAUTH2, STATIC, Credentials
from echolane.errors import RefusedForSafety
from echolane.exchange import Exchange, Given, Request, Response
from echolane.protected import NOTHING, Protected
from replayer.answer import Garbage
from replayer.framing import AnswerReader
from replayer.observing import response_of
from replayer.origins import Reader
from replayer.resigning import Unsignable, resigned
from replayer.rewrite import set_cookies
from replayer.targets import is_loopback
from replayer.tokens import Asked, NoCredential, Provide, Token

SECRET_MAX = 64 * 1024
"""Bytes of a secret, and of what a command or endpoint says; servers take headers of 8 to 64 KiB."""
BURIAL_S = 2.0
"""For what was killed to be gone; it only takes longer where something of it has left the group and holds the pipe."""
_VALUE = re.compile(rb"[\x21-\x7e\x80-\xff](?:[\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?")


SendLogin = Callable[[Exchange, float], Awaitable[Response]]
"""Replays a recorded login at its target, within so many seconds."""


def provider_of(
    read: Credentials, logins: Sequence[Exchange], send: SendLogin, protected: Protected = NOTHING
) -> Provide:
    """What gives the credentials that the settings ask for; a token endpoint must not be at what is protected."""
    if read.provider == STATIC:
        return lambda asked: _static(read, asked)
    if read.provider == COMMAND:
        return lambda asked: _commanded(read, asked)
    if read.provider == OAUTH2:
        return lambda asked: _granted(read, asked, protected)
    if read.provider == LOGIN:
        return lambda asked: _logged_in(read, logins, send, asked)
    return lambda asked: _signed(read, asked)


async def _static(read: Credentials, asked: Asked) -> Token:
    identity = read.identity(asked.identity)
    return Token(secret_of(identity.env, identity.file))


def secret_of(env: str, file: str) -> bytes:
    """The secret that a variable or a file holds, without the line break at its end."""
    where = f"the variable {env}" if env else f"the file {file}"
    if env:
        value = os.environb.get(env.encode(), b"")
    else:
        try:
            with Path(file).open("rb") as source:
                value = source.read(SECRET_MAX + 1)
        except OSError as error:
            raise NoCredential(f"{where} cannot be read: {error.strerror}") from error
    return _checked(value, where)


def _checked(value: bytes, where: str) -> bytes:
    value = value.strip(b" \t\r\n")
    if not value:
        raise NoCredential(f"{where} is empty or not set")
    if len(value) > SECRET_MAX:
        raise NoCredential(f"{where} holds more than {SECRET_MAX} bytes")
    if not _VALUE.fullmatch(value):
        raise NoCredential(f"{where} holds several lines or control characters; a credential is one line")
    return value


async def _commanded(read: Credentials, asked: Asked) -> Token:
    number = str(asked.identity + 1)
    words = [word.replace("{identity}", number) for word in shlex.split(read.command)]
    name = Path(words[0]).name
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # whatever a command complains of may hold a secret
            env={**os.environ, "ECHOLANE_IDENTITY": number},
            start_new_session=True,
        )
    except OSError as error:
        raise NoCredential(f"the command `{name}` cannot be started: {error.strerror}") from error
    output = b""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        async with asyncio.timeout(read.timeout_s):
            while len(output) <= SECRET_MAX and (part := await process.stdout.read(SECRET_MAX)):
                output += part
            if len(output) <= SECRET_MAX:
                await process.wait()
    except TimeoutError as error:
        raise NoCredential(f"the command `{name}` did not end within {read.timeout_s:g} s", again=True) from error
    finally:
        await _ended(process)
    if process.returncode and len(output) <= SECRET_MAX:
        raise NoCredential(f"the command `{name}` ended with status {process.returncode}", again=True)
    return Token(_checked(output, f"the output of the command `{name}`"), lifetime_s=read.expires_s)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End a command and all that it has started, and let go of its pipe."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BURIAL_S):
            while process.stdout is not None and await process.stdout.read(SECRET_MAX):
                pass
            await process.wait()


async def _granted(read: Credentials, asked: Asked, protected: Protected) -> Token:
    """OAuth2 client credentials (RFC 6749 §4.4), the client authenticated by Basic (§2.3.1)."""
    identity = read.identity(asked.identity)
    secret = secret_of(identity.client_secret_env, identity.client_secret_file)
    form = {"grant_type": "client_credentials", "scope": read.scope, "audience": read.audience}
    body = urlencode({name: value for name, value in form.items() if value}).encode()
    client = f"{quote(identity.client_id, safe='')}:{quote(secret.decode('latin-1'), safe='', encoding='latin-1')}"
    basic = base64.b64encode(client.encode("latin-1", "replace")).decode()
    parts = urlsplit(read.token_url)
    host = parts.hostname or ""
    if parts.scheme == "http" and not is_loopback(host):
        raise NoCredential(f"{read.token_url} would be sent a client's secret in clear; use https://")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    wire = (
        f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Basic {basic}\r\nAccept: application/json\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode("latin-1") + body
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    answer = await ask(host, port, wire, read.timeout_s, read.token_url, tls, protected)
    if answer.status != 200:
        error = _error_word(answer.body.data)
        raise NoCredential(
            f"{read.token_url} answered {answer.status}{error}", again=answer.status >= 500 or answer.status == 429
        )
    return _token_of(answer.body.data, read.token_url)


def _token_of(data: bytes, url: str) -> Token:
    try:
        told = cast("dict[str, Any]", orjson.loads(data))
        value, lifetime = told["access_token"], float(told.get("expires_in") or 0)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise NoCredential(f"{url} answered without a readable access_token") from error
    return Token(
        _checked(str(value).encode("latin-1", "replace"), f"the access_token of {url}"), lifetime_s=max(0.0, lifetime)
    )


def _error_word(data: bytes) -> str:
    """The error code of RFC 6749 §5.2, which is one of a few words; nothing else of an answer is told."""
    found = re.search(rb'"error"\s*:\s*"([a-z_]{1,40})"', data[:4096])
    return f" ({found[1].decode()})" if found else ""


async def ask(
    host: str,
    port: int,
    wire: bytes,
    timeout_s: float,
    name: str,
    tls: ssl.SSLContext | None = None,
    protected: Protected = NOTHING,
) -> Response:
    """One request on a connection of its own, without proxies or redirects; NoCredential says what went wrong."""
    reader = AnswerReader(head_only=False)
    try:
        async with asyncio.timeout(timeout_s):
            stream, writer = await _connected(host, port, name, tls, protected)
            try:
                writer.write(wire)
                while data := await stream.read(SECRET_MAX):
                    if reader.feed(data):
                        return response_of(reader.answer)
                if reader.end():
                    return response_of(reader.answer)
            finally:
                writer.close()
    except TimeoutError as error:
        raise NoCredential(f"{name} did not answer within {timeout_s:g} s", again=True) from error
    except RefusedForSafety as error:
        raise NoCredential(str(error)) from error
    except ssl.SSLError as error:
        raise NoCredential(f"{name}: TLS failed ({error.reason or 'handshake'})") from error
    except OSError as error:
        raise NoCredential(f"{name} cannot be reached ({type(error).__name__})", again=True) from error
    except Garbage as error:
        raise NoCredential(f"{name} answered what is no HTTP") from error
    raise NoCredential(f"{name} closed the connection without an answer", again=True)


async def _connected(
    host: str, port: int, name: str, tls: ssl.SSLContext | None, protected: Protected
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the first of the addresses that takes it; they were checked just now, and no other is looked up."""
    failure = OSError("no address")
    for ip in await allowed_addresses(host, port, name, protected):
        try:
            return await asyncio.open_connection(
                ip, port, ssl=tls, server_hostname=host if tls else None, limit=SECRET_MAX
            )
        except ssl.SSLError:
            raise
        except OSError as error:
            failure = error
    raise failure


async def allowed_addresses(host: str, port: int, name: str, protected: Protected) -> list[str]:
    """Where a name leads. RefusedForSafety where it, or any of its addresses, is protected; OSError where it leads nowhere."""
    protected.refuse(name, host=host)
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    found = [str(sockaddr[0]) for *_, sockaddr in infos]
    for ip in found:
        protected.refuse(name, address=ip)
    return found


async def _logged_in(read: Credentials, logins: Sequence[Exchange], send: SendLogin, asked: Asked) -> Token:
    login = logins[asked.identity]
    what = f"the login {login.request.method} {login.request.target.partition('?')[0]}"
    answer = await send(login, read.timeout_s)
    if answer.status >= 400:
        raise NoCredential(f"{what} was answered {answer.status}", again=answer.status >= 500 or answer.status == 429)
    token = taken(answer, read.take)
    if token is None:
        raise NoCredential(f"{what} was answered {answer.status} without {read.take}")
    return token._replace(lifetime_s=read.expires_s)


def taken(answer: Response, take: str) -> Token | None:
    """What a login's answer gives; None where it gives no such thing."""
    kind, _, name = take.partition(":")
    if kind in {"cookies", "cookie"}:
        cookies = dict(set_cookies(answer.headers))
        if kind == "cookies":
            return Token(cookies=cookies) if cookies else None
        value = cookies.get(name.encode("latin-1", "replace"))
        return Token(value) if value else None
    path = [] if kind == "header" else _steps(name)
    place = f"header:{name.lower()}" if kind == "header" else f"body:{name}"
    text = Reader(answer).value(Given(0, place, cast("list[Any]", path)))
    value = text.encode("latin-1", "replace") if text else b""
    return Token(value) if _VALUE.fullmatch(value) else None


def _steps(path: str) -> list[str | int]:
    """``$.data.tokens[0].access`` as steps."""
    return [int(index) if index else name for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path)]


async def _signed(read: Credentials, asked: Asked) -> Token:
    key = key_of(read)
    try:
        token, lifetime_s = resigned(_recorded_of(read, asked.request), read.algorithm, key, read.kid, read.lifetime_s)
    except Unsignable as error:
        raise NoCredential(str(error)) from error
    return Token(token, lifetime_s=lifetime_s)


def key_of(read: Credentials) -> bytes:
    """The signing key; a PEM has several lines."""
    where = f"the variable {read.key_env}" if read.key_env else f"the file {read.key_file}"
    try:
        key = os.environb.get(read.key_env.encode(), b"") if read.key_env else Path(read.key_file).read_bytes()
    except OSError as error:
        raise NoCredential(f"{where} cannot be read: {error.strerror}") from error
    if not key.strip():
        raise NoCredential(f"{where} is empty or not set")
    return key if b"-----BEGIN" in key else key.strip(b"\r\n")


def _recorded_of(read: Credentials, request: Request | None) -> bytes:
    """The recorded credential without its scheme."""
    for name, value in request.headers if request is not None else ():
        if read.cookie and name.lower() == b"cookie":
            for part in value.split(b";"):
                cookie, _, text = part.strip().partition(b"=")
                if cookie == read.cookie.encode():
                    return text
        elif not read.cookie and name.lower() == read.header.lower().encode():
            return value.rpartition(b" ")[2]
    return b""
