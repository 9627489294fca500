"""What targets and token servers do that no client would stand: cookies for others, redirects without end, tokens of a second."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter

import pytest
from aiohttp import web
from hypothesis import given, strategies as st
from msgspec.structs import replace as changed

from echolane import recordings
from echolane.frame import EXCHANGES, encode_frame
from echolane.observation import TargetInfo
from echolane.recordings import everything, topic_of
from replayer.connection import Patience
from replayer.domains import cookies_set, is_for
from replayer.rewrite import Jar
from tests.replayer.test_credentials import (
    OURS,
    SECRETS,
    asked_by_many,
    balanced,
    fired,
    masker_of,
    served,
    sharing_tokens_of,
)
from tests.replayer.test_whole import recorded_with

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


# cookies for other domains


@pytest.mark.parametrize(
    ("domain", "hosts", "expected"),
    [
        ("", ["shop.example"], True),
        ("shop.example", ["shop.example"], True),
        ("example", ["shop.example"], False),  # a whole top level
        ("localhost", ["localhost"], True),
        ("shop.example", ["www.shop.example"], True),
        ("www.shop.example", ["shop.example"], False),
        ("hop.example", ["shop.example"], False),
        ("other.example", ["shop.example", "127.0.0.1"], False),
        ("0.0.1", ["127.0.0.1"], False),
        ("127.0.0.1", ["127.0.0.1"], True),
        ("stage.example", ["shop.example", "a.stage.example"], True),
    ],
)
def test_a_domain_takes_in_itself_and_names_under_it(domain, hosts, expected):
    """RFC 6265, 5.1.3: an address belongs to no domain but itself, and no host to one without a dot."""
    assert is_for(domain, hosts) is expected


@pytest.mark.parametrize(
    ("line", "domain"),
    [
        (b"sid=a", ""),
        (b"sid=a; Domain=.Shop.Example; Path=/", "shop.example"),
        (b"sid=a; domain = first.example ;DOMAIN=last.example", "last.example"),
        (b"sid=a; Domain=", ""),
        (b"sid=a; Domain", ""),
        (b"sid=Domain=x.example; Path=/", ""),
    ],
)
def test_the_last_domain_of_a_cookie_counts(line, domain):
    """RFC 6265, 5.2.3 and 5.3: without its dot, in lower case, none where nothing is said."""
    assert [one.domain for one in cookies_set([(b"Set-Cookie", line)])] == [domain]


@given(st.binary(max_size=80))
def test_any_line_is_a_cookie_or_none(line):
    """Whatever stands in a Set-Cookie, its name, value and domain are read or it is passed over."""
    for one in cookies_set([(b"set-cookie", line)]):
        assert line.startswith(one.name) or line.strip().startswith(one.name)
        assert b";" not in one.value
        assert one.domain == one.domain.lower()


def test_the_domain_that_the_recorded_client_took_is_taken():
    """Behind a gateway the recording has another name than the client knew: the same Domain in both answers comes back."""
    jar = Jar()
    recorded = [(b"Set-Cookie", b"sid=A; Domain=shop.example"), (b"Set-Cookie", b"cart=A; Domain=shop.example")]
    answered = [(b"Set-Cookie", b"sid=B; Domain=shop.example"), (b"Set-Cookie", b"cart=B; Domain=evil.example")]
    jar.learn("s", recorded, answered, {"shop-internal"})
    sent = [(b"Cookie", b"sid=A; cart=A")]
    assert jar.rewrite("s", sent, sent).headers == [(b"Cookie", b"sid=B; cart=A")]


async def test_a_cookie_for_another_domain_is_not_sent_to_the_target(stage, exchange, serving):
    """Foreign: the recorded one goes. The target's own name, or the recorded host's domain: its own goes. One of each name: the own one."""

    def login(*lines):
        answer = b"".join(b"Set-Cookie: %b\r\n" % line for line in lines)
        return lambda request, _n: (
            b"HTTP/1.1 200 OK\r\n%bContent-Length: 0\r\n\r\n" % answer if b"/login" in request else OK
        )

    async with serving(
        login(b"sid=foreign-1; Domain=evil.example"),
        login(b"sid=theirs-2; Domain=127.0.0.1"),
        login(b"sid=theirs-3; Domain=.shop.example"),
        login(b"sid=theirs-4", b"sid=foreign-4; Domain=shop.example.evil"),
    ) as servers:
        stage.record([
            exchange(0, "/login", answer=[(b"Set-Cookie", b"sid=R; Path=/")]),
            exchange(1, "/me", headers=[(b"Cookie", b"sid=R")]),
        ])  # fmt: skip
        stage.plan([server.url for server in servers])
        await stage.fire()
    sent = [re.search(rb"Cookie: ([^\r]*)", server.seen[1])[1] for server in servers]
    assert sent == [b"sid=R", b"sid=theirs-2", b"sid=theirs-3", b"sid=theirs-4"]


@pytest.mark.parametrize(
    ("domain", "given"), [(b"", True), (b"; Domain=127.0.0.1", True), (b"; Domain=evil.example", False)]
)
async def test_a_login_that_sets_a_cookie_for_another_domain_gives_none(
    stage, exchange, serving, tmp_path, domain, given
):
    """What a client would not send back is no credential: nothing is fired in its place, and the reason is told."""
    masker = masker_of(stage)
    login = exchange(0, "/login", method="POST", answer=[(b"Set-Cookie", b"sid=recorded-login-cookie-4711")])
    stage.journal.create(topic_of("logins"), 1)
    frame = [changed(recorded_with(masker, login), service="logins")]
    stage.journal.append(
        topic_of("logins"), 0, [encode_frame(frame, kind=EXCHANGES, partition=0, first_ns=1, last_ns=2)]
    )
    recordings.save(stage.home.recordings, everything(stage.journal, "logins", id="deadbeef", now_ns=1))
    text = '[targets.branch.credentials]\nprovider = "login"\nrecording = "deadbeef"\n'

    def target(request, _number):
        if b"/login" in request:
            return b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=given-0a1b2c3d%b\r\nContent-Length: 0\r\n\r\n" % domain
        return OK

    async with serving(lambda *_: OK, lambda *_: OK, target) as servers:
        mine = exchange(0, "/me", headers=[(b"Cookie", b"sid=" + SECRETS[0])])
        stage.record([recorded_with(masker, mine)])
        urls = [server.url for server in servers]
        stage.plan([], infos=[*map(TargetInfo, urls), TargetInfo(urls[2], own_instance=False)])
        summary = await fired(stage, tmp_path, text)
    asked = [request for request in servers[2].seen if b"/me" in request]
    assert (summary.skipped == {}) is given
    assert len(asked) == 2 * given
    assert all(b"sid=given-0a1b2c3d\r\n" in request for request in asked)
    if not given:
        assert summary.skipped == {"credentials-unavailable": 1}
        assert summary.paused[0].endswith("was answered 200 without cookies")
    balanced(summary, stage.observations())


# redirects without end


async def test_a_chain_of_redirects_is_replayed_request_by_request(stage, exchange, serving):
    """A target that redirects for ever gets what was recorded and nothing else, each by its own name of the place."""
    hops = 20

    def moved(token):
        def answer(request, number):
            line = request.split(b" ", 2)[1]
            hop = int(line.split(b"/")[2]) + 1
            return b"HTTP/1.1 302 Found\r\nLocation: /hop/%d/%b-%d\r\nContent-Length: 0\r\n\r\n" % (hop, token, hop)

        return answer

    def place(token, hop):
        return f"/hop/{hop}/{token}-{hop}"

    base, branch = "tok0base-x7Qm2k9Zw4", "tok1bran-p3Rt8v5Ny6"
    recorded = "tok2reco-a1Bc4d7Ef0"
    chain = [
        exchange(hop, place(recorded, hop), status=302, answer=[(b"Location", place(recorded, hop + 1).encode())])
        for hop in range(hops)
    ]
    async with serving(*[moved(token.encode()) for token in (base, base, branch, branch)]) as servers:
        stage.record(chain)
        stage.plan([server.url for server in servers])
        summary = await stage.fire()
    first = f"GET {place(recorded, 0)}"
    for server, token in zip(servers, (base, base, branch, branch), strict=True):
        assert server.lines == [first, *(f"GET {place(token, hop)}" for hop in range(1, hops))]
    assert {one.answer_of(index).status for one in stage.observations() for index in range(4)} == {302}
    balanced(summary, stage.observations())


# a token server whose tokens end every second


async def test_tokens_of_a_second_cost_one_refresh_a_second_under_five_hundred_requests(
    stage, exchange, tmp_path, monkeypatch
):
    """All 500 in the air are refused together when their token ends: one refresh for all, none sooner than a second after the one before."""
    monkeypatch.setenv("CLIENT_SECRET", OURS[0].decode())
    issued: dict[str, float] = {}
    asking_now, at_once, refused_waves = 0, 0, 0
    waiting: list[asyncio.Future[bool]] = []
    waves = 0

    async def token(_request):
        nonlocal asking_now, at_once
        asking_now += 1
        at_once = max(at_once, asking_now)
        await asyncio.sleep(0.05)
        asking_now -= 1
        issued[f"issued-{len(issued)}"] = time.monotonic()
        return web.json_response({"access_token": list(issued)[-1], "token_type": "Bearer", "expires_in": 1})

    async def end_of_wave():
        """Every second wave finds its token ended: of all that are in the air, at once."""
        nonlocal waves, refused_waves
        waves += 1
        taken = waves % 2 == 1
        if not taken:
            refused_waves += 1
            await asyncio.sleep(max(0.0, 1.01 - (time.monotonic() - list(issued.values())[-1])))
        done, waiting[:] = list(waiting), []
        for one in done:
            one.set_result(taken)

    async def me(request):
        assert request.headers["Authorization"].removeprefix("Bearer ") in issued
        waiting.append(asyncio.get_running_loop().create_future())
        mine = waiting[-1]
        if len(waiting) == 500:
            await end_of_wave()
        return web.Response(status=200 if await mine else 401)

    recorded = asked_by_many(stage, exchange, 375)
    async with served(web.post("/token", token), web.get("/me", me)) as url:
        stage.record(recorded)
        stage.plan([f"{url}/", url, f"{url}//", f"{url}///"], concurrency=125)
        text = sharing_tokens_of(url)
        summary = await fired(stage, tmp_path, text, patience=Patience(60.0, 60.0, 120.0))
    observations = stage.observations()
    balanced(summary, observations)
    assert (summary.fired, summary.skipped, summary.paused) == (375, {}, [])
    assert Counter(one.answer_of(index).status for one in observations for index in range(4)) == {200: 1_500}
    assert (waves, refused_waves) == (5, 2)
    assert at_once == 1
    times = list(issued.values())
    assert len(times) > refused_waves
    assert all(later - sooner >= 1.0 for sooner, later in zip(times, times[1:], strict=False))
