"""Writes as a dry run: the header is sent with writes alone, and none is sent where no answer proves that it was heard."""

from __future__ import annotations

import asyncio
import re

import pytest

from echolane.errors import UsageError
from echolane.exchange import Body
from echolane.runspec import Firing
from echolane.settings import Settings
from replayer.dryrun import HEADER, checked_name
from replayer.fire import replay
from tests.replayer.test_replay import OK, check_ledger

ECHOED = OK.replace(b"\r\n\r\n", b"\r\nX-Echolane-Dry-Run: 1\r\n\r\n")


def echoes(request, number):
    """An application that honours the header."""
    return ECHOED if re.search(rb"(?i)\r\nx-echolane-dry-run: 1\r\n", request) else OK


def deaf(request, number):
    """One that has never heard of it."""
    return OK


def partly(request, number):
    """One that honours it but for one route."""
    return OK if b" /deaf" in request else echoes(request, number)


def recorded(stage, exchange):
    """Ten writes to two endpoints, and reads between them, each session of its own."""
    stage.record([
        exchange(n, ("/deaf" if n % 4 == 1 else "/hears") if n % 2 else f"/{n}", method="POST" if n % 2 else "GET",
                 session=f"{n:016x}", body=Body(b"x", 1) if n % 2 else None) for n in range(20)
    ])  # fmt: skip


async def run(stage):
    """The run as `echolane run --methods all --dry-run` fires it."""
    return await replay(stage.journal, stage.home, stage.spec, Settings(), asyncio.Event(), lambda *_: None)


async def test_writes_go_where_every_answer_echoes(stage, exchange, serving):
    """One safe question at each target first, then all is fired; only writes carry the header, once, whatever was recorded."""
    async with serving(echoes, echoes, echoes, echoes) as servers:
        recorded(stage, exchange)
        stage.plan([s.url for s in servers], methods="all", firing=Firing(dry_run_header=HEADER))
        summary = await run(stage)
    assert [one.skipped for one in check_ledger(stage, summary)] == [""] * 20
    assert list(summary.notes) == []
    for server in servers:
        question, *rest = server.seen
        assert question.startswith(b"GET / HTTP/1.1\r\n")
        assert b"x-echolane-replay: v1;" in question
        assert len(rest) == 20
        for request in rest:
            assert len(re.findall(rb"(?i)\r\nx-echolane-dry-run: 1\r\n", request)) == request.startswith(b"POST")


@pytest.mark.parametrize("place", range(4))
async def test_one_target_that_does_not_echo_keeps_all_writes_back(stage, exchange, serving, place):
    """Not one write reaches any target; reads are compared, and what is skipped is counted and said."""
    async with serving(*[deaf if n == place else echoes for n in range(4)]) as servers:
        recorded(stage, exchange)
        stage.plan([s.url for s in servers], methods="all", firing=Firing(dry_run_header=HEADER))
        summary = await run(stage)
    check_ledger(stage, summary)
    assert summary.skipped == {"dry-run-unproven": 10}
    assert not [line for server in servers for line in server.lines if line.startswith("POST")]
    assert len(summary.notes) == 1
    assert servers[place].url in summary.notes[0]


async def test_an_endpoint_that_does_not_echo_gets_one_write_and_no_more(stage, exchange, serving):
    """The first write of an endpoint goes alone; the others of it wait for its answer, and stay back where it has no echo."""
    async with serving(partly, partly, partly, partly) as servers:
        recorded(stage, exchange)
        stage.plan([s.url for s in servers], methods="all", firing=Firing(dry_run_header=HEADER), concurrency=16)
        summary = await run(stage)
    seen = check_ledger(stage, summary)
    assert summary.skipped == {"dry-run-unproven": 4}
    for server in servers:
        assert [line for line in server.lines if line == "POST /deaf"] == ["POST /deaf"]
        assert server.lines.count("POST /hears") == 5
    assert [one.target for one in seen if one.skipped] == ["/deaf"] * 4
    assert list(summary.notes) == ["POST /deaf did not echo the dry run: no more writes were fired there"]


async def test_a_stop_while_writes_wait_for_the_first_one_loses_none(stage, exchange, serving):
    """Those that wait are skipped as interrupted, and resume fires them."""
    stop = asyncio.Event()

    def hangs(request, number):
        if request.startswith(b"POST"):
            stop.set()
            return [0.3, ECHOED]
        return echoes(request, number)

    async with serving(hangs, echoes, echoes, echoes) as servers:
        stage.record([exchange(n, "/x", method="POST", session=f"{n:016x}", body=Body(b"x", 1)) for n in range(6)])
        stage.plan([s.url for s in servers], methods="all", firing=Firing(dry_run_header=HEADER))
        summary = await stage.fire(stop, dry_run_header=HEADER)
        seen = check_ledger(stage, summary)
        assert [bool(one.skipped) for one in seen] == [False] + [True] * 5
        servers[0].answerer = echoes
        again = await stage.fire(dry_run_header=HEADER)
    assert again.state == "finished"
    assert [one.skipped for one in check_ledger(stage, again)] == [""] * 6
    assert all(server.lines == ["POST /x"] * 6 for server in servers)


@pytest.mark.parametrize("name", ["", "a b", "x:y", "Host", "x-lane", "x-echolane-replay", "a\r\nb", "é", "x" * 65])
def test_a_header_that_cannot_be_is_refused(name):
    """What is no token, and what is set by us."""
    with pytest.raises(UsageError, match="cannot be the header"):
        checked_name(name)


def test_a_header_has_any_other_name():
    """In lower case, as it is compared."""
    assert checked_name("X-Dry-Run") == "x-dry-run"
