"""Nothing of a run goes to what is protected (REP-3): not a request for a token either. A tripwire counts who connects."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace

import pytest

from echolane.credentials import OAUTH2, Credentials
from echolane.errors import RefusedForSafety
from echolane.protected import NOTHING, protected_of
from replayer.providers import allowed_addresses, ask, provider_of
from replayer.sources import check_endpoints
from replayer.tokens import Asked, NoCredential
from tests.replayer.test_credentials import asking, fired, masker_of
from tests.replayer.test_whole import recorded_with

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
NAME = "login.shop.test"


@pytest.fixture
def leads(monkeypatch):
    """Where the name leads; it may move at any moment."""
    found, real = ["127.0.0.8"], socket.getaddrinfo

    def looked_up(host, port, *rest, **more):
        if host != NAME:
            return real(host, port, *rest, **more)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    return found


async def tripwire(hits):
    """Production's token endpoint: whoever connects has been where nobody may go."""

    async def hit(_reader, writer):
        hits.append(writer.get_extra_info("peername"))
        writer.close()

    return await asyncio.start_server(hit, "127.0.0.9", 0)


def text_of(url, protected, folder):
    """A file of settings with a token endpoint and what is protected."""
    (folder / "secret").write_text("s3cret")
    return (
        f"[replay]\nprotected = [{protected}]\n"
        f'[targets.branch.credentials]\nprovider = "oauth2"\ntoken_url = "{url}"\nclient_id = "replay"\n'
        f'client_secret_file = "{folder}/secret"\nshare = true\n'
    )


@pytest.mark.parametrize("protected", ['"127.0.0.9"', '"127.0.0.8/29"'])
async def test_a_token_endpoint_that_is_protected_is_refused_before_anything_is_sent(
    stage, exchange, serving, tmp_path, protected
):
    """By address or network: the run is refused with the endpoint and the line of its setting, no target and no endpoint was asked."""
    hits = []
    async with (
        await tripwire(hits) as wire,
        serving(*[lambda *_: OK] * 4) as servers,
    ):
        url = f"http://127.0.0.9:{wire.sockets[0].getsockname()[1]}/token"
        stage.record([recorded_with(masker_of(stage), asking(exchange, 0, 0))])
        stage.plan([server.url for server in servers])
        with pytest.raises(RefusedForSafety, match=rf"the token endpoint {url} .*line 3.* is protected") as refused:
            await fired(stage, tmp_path, text_of(url, protected, tmp_path))
        assert not any(server.seen for server in servers)
    assert hits == []
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("host", [f"{'a' * 70}.example", "x..example", "h:99999"])
def test_a_token_endpoint_that_is_no_address_is_left_to_who_asks_it(host):
    """It is at nothing that is protected, and ends no run before it begins."""
    target = SimpleNamespace(
        credentials=Credentials(OAUTH2, token_url=f"https://{host}/t", client_id="a"),
        protected=protected_of(["127.0.0.9"]),
    )
    asyncio.run(check_endpoints([target]))


@pytest.mark.parametrize(
    ("protected", "moved_to"),
    [([NAME], "127.0.0.8"), (["*.shop.test"], "127.0.0.8"), (["127.0.0.9"], "127.0.0.9"), (["127.0.0.9"], "::ffff:127.0.0.9")],
)  # fmt: skip
def test_a_token_endpoint_is_looked_at_each_time_it_is_asked(tmp_path, leads, protected, moved_to):
    """A name that is protected, or that has moved to what is since the run began: no credential, with the reason, and no connection."""
    (tmp_path / "secret").write_text("s3cret")

    async def asked():
        hits = []
        async with await tripwire(hits) as wire:
            port = wire.sockets[0].getsockname()[1]
            read = Credentials(
                OAUTH2, token_url=f"https://{NAME}:{port}/t", client_id="a", client_secret_file=f"{tmp_path}/secret"
            )
            leads[:] = [moved_to]
            with pytest.raises(NoCredential, match=rf"{NAME}:{port}/t.* is protected") as why:
                await provider_of(read, [], None, protected_of(protected))(Asked(0))
        return hits, str(why.value)

    hits, why = asyncio.run(asked())
    assert hits == []
    assert "s3cret" not in why


def test_of_several_addresses_one_that_is_protected_is_enough(tmp_path, leads):
    """Nobody knows which one would have been connected to."""
    leads[:] = ["127.0.0.8", "127.0.0.9"]
    with pytest.raises(RefusedForSafety, match=r"\(127.0.0.9\) is protected"):
        asyncio.run(allowed_addresses(NAME, 443, "it", protected_of(["127.0.0.9"])))
    assert asyncio.run(allowed_addresses(NAME, 443, "it", NOTHING)) == leads


def test_the_next_address_of_an_endpoint_is_tried(tmp_path, leads):
    """Where nothing listens at the first one, as a client of a name with several addresses does."""

    async def served():
        async def answer(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.9", 0) as server:
            port = server.sockets[0].getsockname()[1]
            leads[:] = ["127.0.0.8", "127.0.0.9"]
            return await ask(NAME, port, b"GET / HTTP/1.1\r\n\r\n", 20.0, "it")

    assert asyncio.run(served()).body.data == b"ok"
