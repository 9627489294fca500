"""Parts of the server alone: tokens, the audit log, rates, names of branches in targets, slow connections."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given, strategies as st

from console.api import launching, targets
from console.api.access import ROLES, TokenBook
from console.api.audit import Audit
from console.api.connections import Patience, busy
from console.api.launching import Asked, Launcher
from console.api.rates import Rates
from console.api.secrets_kept import secret
from console.api.sessions import Sessions
from console.api.targets import Target, filled, label, read_targets, words
from echolane.errors import HomeError, UsageError
from echolane.home import Home, open_home
from echolane.store import QueryError

DAY_NS = 86_400_000_000_000


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A fresh home."""
    return open_home(tmp_path / "home")


def test_a_token_is_kept_as_a_hash_and_holds_until_its_end(home: Home) -> None:
    """Its text is on no disk; a wrong secret, an end that has come and a revocation are each refused."""
    now = time.time_ns()
    clock = [now]
    book = TokenBook(home, lambda: clock[0])
    token, text = book.create("ci", "runner", ["shop"], days=1)
    on_disk = b"".join(path.read_bytes() for path in home.path.rglob("*") if path.is_file())

    assert text.rpartition("_")[2].encode() not in on_disk
    assert all(path.stat().st_mode & 0o077 == 0 for path in (home.path / "access").rglob("*.json"))
    assert book.find(text) == token
    assert book.find(text[:-1] + ("A" if text[-1] != "A" else "B")) is None
    assert book.find(f"ech_{'0' * 12}_{'A' * 43}") is None
    assert [token.may(role) for role in ROLES] == [True, True, False, False]
    clock[0] = now + DAY_NS
    assert book.find(text) is None
    clock[0] = now
    book.revoke(token.id)
    assert book.find(text) is None


def test_the_first_token_is_made_once(home: Home) -> None:
    """A home that has had a token, also one that is revoked, gives away no other by itself."""
    book = TokenBook(home)
    text = book.create_first()
    assert text is not None
    book.revoke(text.split("_")[1])

    assert book.create_first() is None
    with pytest.raises(UsageError, match="no token"):
        book.revoke("../../x")


def test_a_session_ends_with_its_token_and_cannot_be_made_up(home: Home) -> None:
    """Each part of the cookie is signed; a form's word belongs to one session."""
    book = TokenBook(home)
    token, _ = book.create("ann", "viewer", [])
    sessions = Sessions(secret(home, "session.key"), book)
    cookie = sessions.begin(token)
    _, id_, ends, signature = cookie.split(".")

    assert sessions.token(cookie) == token
    for other in (f"v1.{id_}.{int(ends) + 9}.{signature}", f"v1.{'0' * 12}.{ends}.{signature}", cookie[:-1], ""):
        assert sessions.token(other) is None
    assert sessions.is_word(cookie, sessions.word(cookie))
    assert not sessions.is_word(cookie, sessions.word(cookie + "x"))
    assert not sessions.is_word(cookie, "\ud800")
    book.revoke(token.id)
    assert sessions.token(cookie) is None


@given(data=st.data())
def test_whatever_is_done_to_the_audit_log_is_seen(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any byte that is changed, any lines that are dropped, added again, moved or cut off."""
    audit = Audit(open_home(tmp_path_factory.mktemp("audit") / "home"))
    for number in range(5):
        audit.note(actor=f"a{number}", operation="createRun", status=201)
    assert audit.verify() == (5, [])
    lines = audit.path.read_bytes().splitlines(keepends=True)
    way = data.draw(st.sampled_from(["bit", "drop", "double", "swap", "cut"]))
    at = data.draw(st.integers(0, 4))
    if way == "bit":
        place = data.draw(st.integers(0, len(lines[at]) - 2))
        line = bytearray(lines[at])
        line[place] ^= 1 << data.draw(st.integers(0, 6))
        lines[at] = bytes(line)
    elif way == "drop":
        del lines[at]
    elif way == "double":
        lines.insert(at, lines[at])
    elif way == "swap":
        other = data.draw(st.integers(0, 4).filter(lambda n: n != at))
        lines[at], lines[other] = lines[other], lines[at]
    else:
        lines = [b"".join(lines)[: -data.draw(st.integers(1, 300))]]
    audit.path.write_bytes(b"".join(lines))

    assert audit.verify()[1]


def test_an_audit_log_goes_on_after_a_kill(home: Home) -> None:
    """Half a line at its end is nothing; a whole one that the head does not know yet was said."""
    audit = Audit(home)
    audit.note(actor="a", operation="createRun", status=201)
    before = (home.path / "access" / "audit.head").read_bytes()
    audit.note(actor="b", operation="createRun", status=201)
    (home.path / "access" / "audit.head").write_bytes(before)
    with audit.path.open("ab") as file:
        file.write(b'{"seq": 3, "at')
    audit.note(actor="c", operation="createRun", status=201)

    assert audit.verify() == (3, [])
    assert [entry["actor"] for entry in audit.entries(9)] == ["c", "b", "a"]


def test_a_log_without_its_head_is_not_gone_on_with(home: Home) -> None:
    """Nothing may be changed over the API where that could not be shown."""
    audit = Audit(home)
    audit.note(actor="a", operation="createRun", status=201)
    head = home.path / "access" / "audit.head"
    told = head.read_bytes()
    head.write_bytes(told.replace(b'"count":1', b'"count":0'))
    with pytest.raises(HomeError, match="was changed"):
        audit.check()
    head.unlink()
    with pytest.raises(HomeError, match="missing"):
        audit.check()


@given(gaps=st.lists(st.floats(0, 3), max_size=60), per_s=st.floats(0.5, 20), burst=st.integers(1, 20))
def test_no_caller_gets_more_than_its_rate(gaps: list[float], per_s: float, burst: int) -> None:
    """In any span a caller was let through at most its burst and what its rate gave meanwhile; another's calls change nothing."""
    rates, now, let = Rates(per_s, burst), 0.0, []
    for gap in gaps:
        now += gap
        wait = rates.wait_s("one", now)
        rates.wait_s("other", now)
        if not wait:
            let.append(now)
        else:
            assert wait <= 1 / per_s + 1e-9
    for first in range(len(let)):
        for last in range(first, len(let)):
            assert last - first + 1 <= burst + (let[last] - let[first]) * per_s + 1e-6


@given(st.text(max_size=200))
def test_a_branchs_name_chooses_a_label_and_never_a_host(name: str) -> None:
    """Whatever a branch is called, the URL's host ends as configured and has one label more."""
    target = Target("shop", "branch", "http://{branch}.shop.test:8000", lane="{branch}")
    if not label(name):
        with pytest.raises(UsageError, match="branch_name"):
            filled(target.url, name)
        return
    flags = words(Target("shop", "base", "http://127.0.0.1:1"), target, name, writes=False)
    (url,) = [flag.partition("=")[2] for flag in flags if flag.startswith("--branch=")]
    host = url.removeprefix("http://").removesuffix(":8000")

    assert host.endswith(".shop.test")
    assert set(host.removesuffix(".shop.test")) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert f"--allow-host={host}" in flags
    assert not any(flag.startswith("--allow-writes") for flag in flags)


async def test_who_sends_a_byte_now_and_then_is_let_go_and_others_are_served() -> None:
    """Five hundred sockets that trickle a head are closed at its deadline, counted from their first byte; one that asks is answered meanwhile."""

    async def answer(request: web.Request) -> web.Response:
        with busy(request.protocol):
            return web.Response(text="ok")

    server = web.Server(answer, access_log=None)
    patience = Patience(server, head_s=1.0)
    listening = await asyncio.get_running_loop().create_server(patience, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(500)]
    ended = asyncio.Event()

    async def trickle(writer: asyncio.StreamWriter) -> None:
        for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + os.urandom(10_000).hex().encode():
            if ended.is_set() or writer.is_closing():
                return
            writer.write(bytes([byte]))
            await asyncio.sleep(0.1)

    async def closed(reader: asyncio.StreamReader) -> bool:
        try:
            return await reader.read() == b""
        except ConnectionError:
            return True

    async with asyncio.TaskGroup() as tasks:
        for _, writer in slow:
            tasks.create_task(trickle(writer))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answered = await reader.readline()
        async with asyncio.timeout(60):
            assert all([await closed(reader) for reader, _ in slow])
        ended.set()
    for _, one in [*slow, (reader, writer)]:
        one.close()
    listening.close()
    await server.shutdown(1)

    assert answered.startswith(b"HTTP/1.1 200")
    assert patience.let_go == 500


async def test_more_connections_than_may_be_are_closed_at_once() -> None:
    """Those who are there go on being served."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    server = web.Server(answer, access_log=None)
    patience = Patience(server, most=2)
    listening = await asyncio.get_running_loop().create_server(patience, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    while patience.open < 2:  # noqa: ASYNC110 - a number of the server's
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        refused = await reader.read()
    except ConnectionError:
        refused = b""
    pairs[0][1].write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    served = await pairs[0][0].readline()
    for _, one in [*pairs, (reader, writer)]:
        one.close()
    listening.close()
    await server.shutdown(1)

    assert refused == b""
    assert served.startswith(b"HTTP/1.1 200")


SLEEP = ("env", "--default-signal=INT", "sleep")
"""A child that Ctrl-C ends, also where the tests themselves were begun by a shell in the background, which has it ignored."""


class SlowStore:
    """A store whose insert takes as long as somebody says."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def insert(self, *_: object) -> None:
        """Wait for the word."""
        assert self.go.wait(60)

    def query(self, sql: str, *_: object) -> list[dict[str, object]]:
        """Nothing."""
        return [{"last": 0}] if "max(version)" in sql else []


AWAY = HomeError("the store does not answer")


class StoreAway(SlowStore):
    """One that answers at once, or is away."""

    def __init__(self, says: Exception = AWAY) -> None:
        super().__init__()
        self.go.set()
        self._says = says
        self.away, self.refused = threading.Event(), 0

    def query(self, sql: str, *_: object) -> list[dict[str, object]]:
        """Refused while it is away."""
        if self.away.is_set():
            self.refused += 1
            raise self._says
        return super().query(sql)


def test_a_run_is_begun_when_it_is_kept_and_not_before(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue that is looked at while a run is written leaves it where it is: else two would write its file, and the run be lost."""
    store, begun = SlowStore(), list[str]()

    async def started(asked: Asked) -> None:
        begun.append(asked.run)
        raise OSError("enough was seen")

    async def until(true: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not true():  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.01)

    async def scene() -> None:
        launcher, stop = Launcher(home, store, [], 1, 4), asyncio.Event()  # type: ignore[arg-type] - what is asked of a store
        monkeypatch.setattr(launcher, "_started", started)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(launcher.work(stop))
            asking = tasks.create_task(launcher.ask(Asked("r1", "shop", "me", 1, [])))
            await until((home.runs / "r1.asked").exists)
            launcher._changed.set()  # as when another run ends
            await until(lambda: not launcher._changed.is_set())  # it has looked
            assert begun == []
            store.go.set()
            await asking
            await until(lambda: begun)
            stop.set()

    asyncio.run(scene())
    assert begun == ["r1"]


@pytest.mark.parametrize("says", [AWAY, QueryError("the engine has no memory left")])
def test_a_run_of_a_killed_server_that_ends_while_the_store_is_away_is_done_when_it_is_back(
    home: Home, monkeypatch: pytest.MonkeyPatch, says: Exception
) -> None:
    """The server that took it over does not leave it as running until it is started again."""
    store = StoreAway(says)
    store.away.set()
    monkeypatch.setattr(launching, "AWAY_S", 0.05)

    async def scene() -> str:
        stop, asked = asyncio.Event(), Asked("r1", "shop", "me", 1, [], state="running")
        launcher = Launcher(home, store, [], 1, 4)  # type: ignore[arg-type] - what is asked of a store
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(launcher._adopted(asked, stop))
            while store.refused < 3:  # noqa: ASYNC110 - what it was told, also when it asked again
                await asyncio.sleep(0.01)
            store.away.clear()
        assert [one.run for one in launcher._queue] == ["r1"]
        return asked.state

    assert asyncio.run(scene()) == "queued"


def test_a_run_whose_store_is_away_at_its_end_is_done_when_it_is_back(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not left as running until somebody starts the server again; one that was cancelled meanwhile is not done again."""
    store, begun = StoreAway(), list[str]()
    monkeypatch.setattr(launching, "AWAY_S", 0.05)

    async def started(asked: Asked) -> asyncio.subprocess.Process:
        begun.append(asked.run)
        return await asyncio.create_subprocess_exec(*SLEEP, "0" if len(begun) > 2 else "300")

    async def scene() -> None:
        stop = asyncio.Event()
        launcher = Launcher(home, store, [], 2, 4)  # type: ignore[arg-type] - what is asked of a store
        monkeypatch.setattr(launcher, "_started", started)
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(launcher.work(stop))
            for run in ("r1", "r2"):
                await launcher.ask(Asked(run, "shop", "me", 1, []))
            while len(launcher._children) < 2:  # noqa: ASYNC110 - what it keeps
                await asyncio.sleep(0.01)
            store.away.set()
            assert await launcher.cancel("r2")
            launcher._children["r1"].kill()
            while store.refused < 6:  # noqa: ASYNC110 - what each was told, also when it asked again
                await asyncio.sleep(0.01)
            store.away.clear()
            while {one.state for run in ("r1", "r2") if (one := launcher.find(run))} != {"ended"}:  # noqa: ASYNC110 - files
                await asyncio.sleep(0.01)
            stop.set()

    asyncio.run(scene())
    assert sorted(begun) == ["r1", "r1", "r2"]


def test_more_targets_than_are_taken_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is left out without a word."""
    toml = tmp_path / "echolane.toml"
    toml.write_text(
        "".join(f'[[api_targets]]\nservice = "shop"\nname = "n{n}"\nurl = "http://127.0.0.1:{n}"\n' for n in (1, 2))
    )
    assert read_targets(toml).find("shop", "n2") is not None
    monkeypatch.setattr(targets, "TARGETS_MAX", 1)

    with pytest.raises(UsageError, match="2 targets are named, and 1 are taken at most"):
        read_targets(toml)
