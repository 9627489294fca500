"""The room's front door with real keys and masks, and its processes killed in the middle."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest
import uvloop
from msgspec.structs import replace as changed

from echolane.errors import TargetUnavailable
from echolane.exchange import Body
from echolane.keys import load_seal_keys
from echolane.masks import Masker
from echolane.settings import Settings
from replayer.connection import Patience
from replayer.fire import replay
from tests.replayer.conftest import QUICK

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
SECRET, GIVEN = b"c0ffee-c0ffee-c0ffee-c0ffee", b"5e55-10n0-fth3-branch"
KEY = b"b3arer-0f-the-user-alone"


def recorded_with(masker, one):
    """The exchange as a recorder would have stored it."""
    masked = masker.request(one.request, "127.0.0.1")
    answer = masker.response(one.response, masked.known)
    return changed(
        one, request=masked.request, seal=masked.seal, session=masked.session, response=answer.response,
        uses=masked.uses, introduces=answer.introduces, masks=masked.masks,
    )  # fmt: skip


async def test_seals_are_opened_for_this_machine_and_answers_are_masked_before_they_are_written(
    stage, exchange, serving
):
    """The target gets the user's own credentials and cookies, its own where it gave others; the journal holds none of them."""
    keys = load_seal_keys(stage.home.keys, os.environ)
    masker = Masker(keys.current.mask_key(), seal_key=keys.current)

    def branch(request, number):
        if b"/login" in request:
            return b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=%b; Path=/\r\nContent-Length: 0\r\n\r\n" % GIVEN
        body = b'{"you": "%b"}' % re.search(rb"sid=([^\r;]*)", request)[1]
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    login = exchange(0, "/login", answer=[(b"Set-Cookie", b"sid=%b; Path=/" % SECRET)])
    me = exchange(1, "/me", headers=[(b"Authorization", b"Bearer " + KEY), (b"Cookie", b"theme=dark; sid=" + SECRET)])
    recorded = [recorded_with(masker, one) for one in (login, me)]
    assert SECRET not in repr(recorded).encode()
    assert KEY not in repr(recorded).encode()
    async with serving(lambda *_: OK, lambda *_: OK, branch, branch) as servers:
        stage.record(recorded)
        stage.plan([server.url for server in servers])
        summary = await replay(stage.journal, stage.home, stage.spec, Settings(), asyncio.Event(), lambda *_: None)
    assert summary.fired == 2
    for server, sid in zip(servers, [SECRET, SECRET, GIVEN, GIVEN], strict=True):
        assert b"Bearer " + KEY in server.seen[1]
        assert b"theme=dark; sid=" + sid in server.seen[1]
    login, me = stage.observations()
    assert me.shots[2].rewrites == ["cookie sid"]
    for one in (login, me):
        text = repr(one).encode()
        assert SECRET not in text
        assert GIVEN not in text
    assert b'{"you": "' in me.answer_of(2).body.data


async def test_a_target_that_hangs_from_the_start_is_unavailable(stage, exchange, serving):
    """It accepts and never answers: the first shots and three probes later the run ends and names it."""
    async with serving(lambda *_: OK, lambda *_: OK, lambda *_: [300.0, OK], lambda *_: OK) as servers:
        stage.record([exchange(n, session=f"{n:016x}") for n in range(100)])
        stage.plan([server.url for server in servers], concurrency=32)
        begun = time.monotonic()
        summary = await stage.fire(patience=QUICK, probe_patience=Patience(0.5, 0.2, 0.2))
    assert (summary.state, summary.down) == ("unavailable", "branch")
    assert time.monotonic() - begun < 150  # it hangs for twice as long
    assert {one.not_compared or one.skipped for one in stage.observations()} == {"unavailable", "target-unavailable"}


async def test_a_target_that_refuses_at_the_start_is_unavailable_before_anything_is_fired(stage, exchange, serving):
    """An error that names it, and no shot anywhere."""
    async with serving(*[lambda *_: OK] * 4) as servers:
        stage.record([exchange(0)])
        stage.plan([server.url for server in servers])
        await servers[3].stop()
        with pytest.raises(TargetUnavailable, match=f"branch_control {servers[3].url} refuses"):
            await replay(stage.journal, stage.home, stage.spec, Settings(), asyncio.Event(), lambda *_: None)
        assert not servers[0].seen


WORKER = """
import asyncio, sys
from pathlib import Path
import msgspec
from echolane import service
from echolane.home import open_home
from echolane.journal import open_journal
from echolane.runspec import RunSpec
from echolane.settings import Settings
from replayer.connection import Patience
from replayer.fire import replay
home = open_home(Path(sys.argv[1]))
spec = msgspec.json.decode(sys.argv[2], type=RunSpec)
journal = open_journal(home.path)
summary = service.run(lambda stop: replay(journal, home, spec, Settings(), stop, lambda *_: None))
journal.close()
print(summary.state)
"""


def test_killed_at_any_instant_no_unsafe_request_is_fired_twice_and_nothing_is_lost(stage, exchange, serving):
    """Three kills and a last attempt: every exchange has one result, POSTs arrived at most once, GETs again only if in flight."""
    count, concurrency = 600, 8

    async def story():
        async with serving(*[lambda *_: [0.002, OK]] * 4) as servers:
            kinds = ["POST" if n % 3 == 0 else "GET" for n in range(count)]
            stage.record([
                exchange(n, f"/{n}", method=kind, session=f"{n % 20:016x}", body=Body(b"x", 1) if kind == "POST" else Body())
                for n, kind in enumerate(kinds)
            ])  # fmt: skip
            stage.plan([server.url for server in servers], methods="all", concurrency=concurrency)
            command = [sys.executable, "-c", WORKER, str(stage.home.path), msgspec.json.encode(stage.spec).decode()]
            kills = 3
            for attempt in range(kills + 1):
                worker = await asyncio.create_subprocess_exec(
                    *command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
                )
                if attempt < kills:
                    goal = len(servers[0].seen) + 60 + 25 * attempt
                    while len(servers[0].seen) < goal:  # noqa: ASYNC110 - the server counts, it does not signal
                        await asyncio.sleep(0.005)
                    worker.send_signal(signal.SIGKILL)
                    await worker.wait()
                else:
                    said, _ = await asyncio.wait_for(worker.communicate(), 300)
                    assert said.strip() == b"finished"
            return [Counter(server.lines) for server in servers], kills

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        arrived, kills = runner.run(story())
    seen = stage.observations()
    assert [one.seq for one in seen] == list(range(count))
    doubtful = [one for one in seen if one.not_compared == "in-doubt"]
    assert len(doubtful) <= kills * 64
    assert all(one.method == "POST" for one in doubtful)
    assert all(shot.outcome == "answered" for one in seen if not one.not_compared for shot in one.shots)
    for lines in arrived:
        assert all(times == 1 for line, times in lines.items() if line.startswith("POST"))
        assert sum(line.startswith("GET") for line in lines) == count * 2 // 3
        assert sum(times - 1 for times in lines.values()) <= kills * 128
