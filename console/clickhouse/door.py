"""The server: ClickHouse's HTTP interface on a port of its own, with a user of its own, each statement in bounds."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import re
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
from aiohttp import web

from console.api.connections import Patience, busy
from console.api.rates import Rates
from console.clickhouse.asked import ask_of, check_who
from console.clickhouse.hello import greeted
from console.clickhouse.told import status_of, text_of, type_of
from console.flags import host_port
from console.output import say
from echolane import log
from echolane.errors import EcholaneError, HomeError, UsageError
from echolane.reader import PASSWORD, Grafana
from echolane.settings import Settings
from echolane.store import Store, wire
from echolane.store.client import StoreClient
from echolane.store.gate import STATEMENT_BYTES_MAX, Refused

AT_ONCE, WAITING_MAX = 3, 60
"""Statements that run at once, each with two threads of the engine on two cores and 256 MiB at most; and those that wait for them: a
dashboard asks some twenty at a time."""
BODY_S = 30.0
"""Until a request must be whole."""
CONNECTIONS_MAX = 200
PASSWORD_MIN = 12
FAILED_PER_S, FAILED_BURST = 0.5, 10
"""Wrong passwords of one address before it must wait."""
GZIP_MIN = 1024
_QUERY_ID = re.compile(r"[\w-]{1,64}")
_TOO_MANY, _NETWORK, _FAULT = 202, 210, 1001


def password_of(settings: Grafana, environ: Mapping[str, str]) -> str:
    """The reader's password, from the environment or its file.

    Raises:
        UsageError: there is none, or it is short.
    """
    word = environ.get(PASSWORD, "")
    if not word and settings.password_file:
        try:
            word = Path(settings.password_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"`grafana.password_file` {settings.password_file} cannot be read: {error}") from error
    if len(word) < PASSWORD_MIN:
        raise UsageError(
            f"`grafana.listen` needs a password of {PASSWORD_MIN} characters or more for its reader:"
            f" set {PASSWORD}, or `grafana.password_file`"
        )
    return word


class Door:
    """Answers ClickHouse's clients from the embedded store."""

    def __init__(self, store: StoreClient, user: str, password: str) -> None:
        """A door that is not open yet."""
        self._store, self._user, self._password = store, user, password
        self._pool = ThreadPoolExecutor(AT_ONCE, "reader")
        self._asking = 0
        self._failed = Rates(FAILED_PER_S, FAILED_BURST)
        self._version, self._zone = "", "UTC"
        self.app = web.Application(client_max_size=STATEMENT_BYTES_MAX)
        for path in ("/ping", "/replicas_status"):
            self.app.router.add_get(path, self._ping)
        self.app.router.add_route("*", "/", self._answer)

    def __repr__(self) -> str:
        return f"<Door for {self._user}: {self._asking} asking>"

    def look(self) -> None:
        """Ask the engine who it is; its clients want to know."""
        _, body = self._store.ask(wire.Ask("SELECT version(), timezone()", "TabSeparated", {}))
        self._version, self._zone = body.decode().split()

    def close(self) -> None:
        """Take no more statements."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _ping(self, request: web.Request) -> web.Response:
        with busy(request.protocol):
            return web.Response(text="Ok.\n", headers=self._headers("ping"))

    async def _answer(self, request: web.Request) -> web.Response:
        named = request.query.get("query_id", "")
        query_id = named if _QUERY_ID.fullmatch(named) else secrets.token_hex(16)
        with busy(request.protocol):
            try:
                return await self._answered(request, query_id)
            except Refused as error:
                return self._refusal(error, query_id)
            except (EcholaneError, HomeError) as error:
                return self._refusal(Refused(_NETWORK, f"the store does not answer: {error}"), query_id)
            except Exception as error:  # noqa: BLE001 - a fault of ours is told as one, and the door stays open
                log.event("grafana.fault", error=f"{type(error).__name__}: {error}")
                return self._refusal(Refused(_FAULT, "see HOME/log/api.log; please report it"), query_id)

    async def _answered(self, request: web.Request, query_id: str) -> web.Response:
        if request.method not in {"GET", "HEAD", "POST"}:
            return web.Response(status=405, headers={"Allow": "GET, HEAD, POST"}, text="use GET or POST\n")
        if request.method != "POST" and "query" not in request.query:
            return web.Response(text="Ok.\n", headers=self._headers(query_id))
        self._check_who(request)
        body = await _body(request)
        ask = ask_of(request.query, request.headers, body)
        answered, data = await self._asked(ask)
        if answered.form == "Native":
            data = greeted(ask.statement, data, request.query.get("client_protocol_version", ""))
        headers = self._headers(query_id) | {
            "Content-Type": type_of(answered.form),
            "X-ClickHouse-Format": answered.form,
            "X-ClickHouse-Summary": orjson.dumps(
                {
                    "read_rows": str(answered.rows_read),
                    "read_bytes": str(answered.bytes_read),
                    "elapsed_ns": str(int(answered.elapsed_s * 1e9)),
                }
            ).decode(),
        }
        wanted = (
            "gzip" in request.headers.get("Accept-Encoding", "") and request.query.get("enable_http_compression") == "1"
        )
        if wanted and len(data) >= GZIP_MIN:
            data = await asyncio.get_running_loop().run_in_executor(self._pool, lambda: gzip.compress(data, 3))
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=data, headers=headers)

    def _check_who(self, request: web.Request) -> None:
        address = request.remote or ""
        if not self._failed.let(address, time.monotonic()):  # the right one is not told from a wrong one then
            log.event("grafana.refused", address=address)
            raise Refused(_TOO_MANY, "too many wrong passwords from this address; wait a moment")
        try:
            check_who(request.query, request.headers, self._user, self._password)
        except Refused:
            log.event("grafana.refused", address=address)
            self._failed.wait_s(address, time.monotonic())
            raise

    async def _asked(self, ask: wire.Ask) -> tuple[wire.Answered, bytes]:
        if self._asking >= AT_ONCE + WAITING_MAX:
            raise Refused(_TOO_MANY, f"Too many simultaneous queries. Maximum: {AT_ONCE}, and {WAITING_MAX} that wait")
        self._asking += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._store.ask, ask)
        finally:
            self._asking -= 1

    def _headers(self, query_id: str) -> dict[str, str]:
        return {
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Server-Display-Name": "echolane",
            "X-ClickHouse-Timezone": self._zone,
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }

    def _refusal(self, error: Refused, query_id: str) -> web.Response:
        headers = self._headers(query_id) | {"X-ClickHouse-Exception-Code": str(error.code)}
        status = status_of(error)
        if status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="Echolane (ClickHouse HTTP interface)"'
        if status == 503:
            headers["Retry-After"] = "2"
        return web.Response(status=status, text=text_of(error, self._version), headers=headers)


async def _body(request: web.Request) -> str:
    """The whole body as text."""
    try:
        async with asyncio.timeout(BODY_S):
            return (await request.read()).decode()
    except TimeoutError:
        raise Refused(159, f"the request was not whole within {BODY_S:.0f} s") from None
    except web.HTTPRequestEntityTooLarge:
        raise Refused(307, f"a statement may have {STATEMENT_BYTES_MAX >> 10} KiB here") from None
    except UnicodeDecodeError:
        raise Refused(62, "the statement is not UTF-8") from None
    except web.RequestPayloadError:
        raise Refused(36, "the body's compression is damaged") from None


@contextlib.asynccontextmanager
async def opened(settings: Settings, store: Store, environ: Mapping[str, str] = os.environ) -> AsyncGenerator[None]:
    """The door, where ``grafana.listen`` says one; open while this lasts.

    Raises:
        UsageError: it cannot be opened as it is set.
    """
    if not settings.grafana.listen:
        yield
        return
    host, port = host_port(settings.grafana.listen, "grafana.listen")
    if not isinstance(store, StoreClient):
        raise UsageError("`grafana.listen` is for the store in the home; let Grafana ask your ClickHouse server itself")
    door = Door(store, settings.grafana.user, password_of(settings.grafana, environ))
    await asyncio.get_running_loop().run_in_executor(None, door.look)
    runner = web.AppRunner(door.app, handle_signals=False, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    assert runner.server is not None  # noqa: S101 - it was set up
    try:
        try:
            server = await asyncio.get_running_loop().create_server(
                Patience(runner.server, most=CONNECTIONS_MAX), host, port, reuse_address=True
            )
        except OSError as error:
            raise UsageError(f"`grafana.listen` {host}:{port} cannot be listened on: {error.strerror}") from error
        say(
            f"ClickHouse's HTTP interface, to read only, on http://{host}:{port} for the user `{settings.grafana.user}`"
        )
        try:
            yield
        finally:
            server.close()
    finally:
        door.close()
        await runner.cleanup()
