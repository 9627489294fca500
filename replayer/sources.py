"""The sources of credentials that a run's targets use: one for all targets that use the same, so that it is asked once for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace as with_fields

from echolane.authorities import host_in
from echolane.credentials import AS_RECORDED, IDENTITIES_MAX, JWT, LOGIN, OAUTH2, STATIC, Credentials
from echolane.errors import UsageError
from echolane.exchange import Body, Exchange, Response
from echolane.home import Home
from echolane.journal import open_journal
from echolane.lost import Lost, Unread
from echolane.recordings import Recording, load, topic_of
from replayer.domains import cookies_set, own
from replayer.keeper import Source
from replayer.providers import SendLogin, allowed_addresses, ask, key_of, provider_of, secret_of, taken
from replayer.reading import Reader
from replayer.targets import Target
from replayer.tokens import NoCredential
from replayer.wire import OpenSeal, Wires


def sources_of(
    home: Home, run: str, targets: Sequence[Target], mark_key: bytes, opened: OpenSeal
) -> list[Source | None]:
    """Four places; None where a target gets the recorded credentials, or masks.

    UsageError where a login's recording is none, Unread where it is not whole.
    """
    found: dict[bytes, Source] = {}
    sources: list[Source | None] = [None, None, None, None]
    for target in targets:
        read = target.credentials
        if not read.replaces:
            continue
        # What a target gives itself is good there only; all else is the same wherever it is sent.
        key = msgspec.json.encode(read) + (
            target.url.encode() + str(target.lane).encode() if read.provider == LOGIN else b""
        )
        if key not in found:
            _check_secrets(read)
            logins = logins_of(home, read) if read.provider == LOGIN else []
            identities = len(logins) if read.provider == LOGIN else read.configured()
            send = _sender(run, target, mark_key, opened)
            found[key] = Source(read, provider_of(read, logins, send, target.protected), identities)
        sources[target.index] = found[key]
    return sources


async def check_endpoints(targets: Sequence[Target]) -> None:
    """RefusedForSafety where a token endpoint is at what is protected, by name or by address: nothing has been sent yet."""
    asked: set[str] = set()
    for target in targets:
        read = target.credentials
        if read.provider != OAUTH2 or read.token_url in asked:
            continue
        asked.add(read.token_url)
        name = f"the token endpoint {read.token_url.partition('?')[0]} ({read.source})"
        # One that cannot be found, or is no address at all (UnicodeError), gives no token, and who asks it says so.
        with suppress(OSError, TimeoutError, ValueError):
            parts = urlsplit(read.token_url)
            async with asyncio.timeout(read.timeout_s):
                await allowed_addresses(parts.hostname or "", parts.port or 443, name, target.protected)


def _check_secrets(read: Credentials) -> None:
    """UsageError where a secret is not there at all: nothing has been sent yet."""
    try:
        for number in range(len(read.identities) or 1):
            identity = read.identity(number)
            if read.provider == STATIC:
                secret_of(identity.env, identity.file)
            elif read.provider == OAUTH2:
                secret_of(identity.client_secret_env, identity.client_secret_file)
        if read.provider == JWT:
            key_of(read)
    except NoCredential as none:
        raise UsageError(f"{read.source}: {none}") from none


def _sender(run: str, target: Target, mark_key: bytes, opened: OpenSeal) -> SendLogin:
    """Replays a recorded login at one target: it was recorded for this, so its secrets are that target's own."""
    alone: list[Target | None] = [None, None, None, None]
    alone[target.index] = replace(target, credentials_recorded=True, credentials=AS_RECORDED)
    wires = Wires(run, alone, mark_key, opened)

    async def send(login: Exchange, timeout_s: float) -> Response:
        prepared = wires.prepare(login)
        prepared.write_ahead([target.index])
        answer = await ask(*target.address, prepared.ready[target.index], timeout_s, f"{target.name} {target.url}")
        return _own_cookies(answer, login, target)

    return send


def _own_cookies(answer: Response, login: Exchange, target: Target) -> Response:
    """The answer without cookies that are for other domains: no client of the target would send them there."""
    hosts = target.names | {host_in(login.request.authority.rpartition("@")[2]).lower()}
    known = {one.name: one.domain for one in cookies_set(login.response.headers)} if login.response else {}
    kept = [line for line in answer.headers if not cookies_set([line]) or own([line], hosts, known)]
    return with_fields(answer, headers=kept)


def logins_of(home: Home, read: Credentials) -> list[Exchange]:
    """The logins of a recording in recorded order: the exchanges whose answer gave what is taken."""
    recording = load(home.recordings, read.recording)
    journal = open_journal(home)
    reader = Reader(journal, recording, kept=True)
    found: list[Exchange] = []
    try:
        for one in reader.exchanges() if topic_of(recording.service) in journal.topics() else ():
            found += [one] if _is_login(one, read) else []
            if len(found) > IDENTITIES_MAX:
                raise UsageError(f"{read.source}: recording `{recording.id}` holds more than {IDENTITIES_MAX:,} logins")
    finally:
        journal.close()
    _check_whole(read, recording, reader.losses.lost())
    if not found:
        raise UsageError(
            f"{read.source}: no answer of recording `{recording.id}` gives {read.take}; record the login itself, or it has been removed by now"
        )
    found.sort(key=lambda one: (one.captured_at_ns, one.agent, one.epoch, one.seq))
    return [_without_answer(one) for one in found]


def _without_answer(login: Exchange) -> Exchange:
    """Of the recorded answer only what it set stays: for which domains."""
    if (answer := login.response) is None:
        return login
    headers = [line for line in answer.headers if cookies_set([line])]
    return with_fields(login, response=with_fields(answer, headers=headers, body=Body()))


def _check_whole(read: Credentials, recording: Recording, lost: Lost) -> None:
    """Unread where a frame of the recording is: with a login that was in it every later one would be another identity's."""
    if lost.frames:
        todo = lost.advice() if lost.newer == lost.frames else "record the logins again"
        raise Unread(
            f"{read.source}: {lost.sentence(recording.service)}, so nobody knows whose the logins of recording `{recording.id}` are; {todo}",
            lost,
        )


def _is_login(exchange: Exchange, read: Credentials) -> bool:
    response = exchange.response
    return response is not None and response.status < 400 and taken(response, read.take) is not None
