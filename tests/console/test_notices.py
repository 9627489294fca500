"""What forges are told: the newest of each thing, tried within bounds, kept over a kill, and sent only where it may go."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, strategies as st

from console.api.alone import Alone
from console.api.forge_client import ForgeClient, Trouble, said_by, trouble_of
from console.api.forges import FINAL, FORGES, Row, comment_of, path_of, pull_of, status_of
from console.api.hook_settings import read_hooks
from console.api.notice_desk import NoticeDesk, NoticeLog
from console.api.notice_work import NoticeWork
from console.api.notices import Notice, NoticeChange, Notices, after_telling
from console.api.notices_told import forge_told
from console.api.outgoing import LASTS_NS, REFUSED_MAX, after_failure
from console.api.push_desk import PushDesk
from console.api.push_log import PushLog
from console.api.pushes import Push, Step
from console.api.targets import read_targets
from echolane import log
from echolane.errors import HomeError, UsageError
from echolane.home import open_home
from tests.console.test_push_faults import full
from tests.console.test_pushes import SECRET, TARGETS

TOKEN = "a-token-of-the-tests"
SHA = "a" * 40


def notice(word: Any = "going", run: str = "r1", **more: Any) -> Notice:
    """A status of one commit."""
    return Notice("status", "shop/github", "acme/shop", "a", SHA, run, word, **more)


def test_the_newest_of_a_commit_is_told_and_what_is_told_already_is_not() -> None:
    """What was not told is replaced, what was told is told no more, what changes while it is told is told after."""
    book = Notices()
    key = notice().key
    book.settle({key: notice("waiting")}, set(), 5)
    assert book.settle({key: notice("waiting")}, set(), 6).notices == []
    book.settle({key: notice("going")}, set(), 7)
    [due] = book.due(7)
    assert (due.word, due.turn) == ("going", 2)
    book.settle({key: notice("fail")}, set(), 8)
    after_telling(book.by_key[key], 2)
    assert [one.word for one in book.due(8)] == ["fail"]
    after_telling(book.by_key[key], 3)
    assert book.due(9) == []
    book.settle({}, set(), 10)
    assert book.by_key == {}


def test_what_is_moot_before_it_was_told_is_not_told() -> None:
    """A push that was replaced before the forge heard of it."""
    book = Notices()
    book.settle({notice().key: notice()}, set(), 5)
    book.settle({}, {notice().key}, 6)
    assert book.due(7) == []


def test_a_forge_is_tried_for_a_day_and_a_refusal_for_a_minute() -> None:
    """Waits grow to a minute, are as long as the forge says where that is longer, and end."""
    one = notice(since_ns=0)
    now, waits = 0, []
    while not one.given_up:
        after_failure(one, "away", now, wait_s=0.0, refused=False, chance=1.0)
        waits.append((one.due_ns - now) / 1e9)
        now = one.due_ns
    assert waits[:4] == [1, 2, 4, 8]
    assert max(waits) == 60
    assert LASTS_NS < now < LASTS_NS + 61e9
    one = notice()
    for _ in range(REFUSED_MAX):
        assert not one.given_up
        after_failure(one, "no", 0, wait_s=0.0, refused=True, chance=0.0)
    assert one.given_up
    one = notice()
    after_failure(one, "wait", 0, wait_s=700.0, refused=False, chance=0.0)
    assert one.due_ns == 700e9


async def test_what_is_to_be_told_outlives_its_server(tmp_path: Path) -> None:
    """Read again as it was; half a line is none; a full disk changes nothing and ends nothing."""
    file = NoticeLog(open_home(tmp_path / "home"))
    desk = NoticeDesk(file)
    await desk.open()
    await desk.settle({notice().key: notice()}, set())
    with full(), pytest.raises(HomeError):
        await desk.settle({notice().key: notice("fail")}, set())
    assert [one.word for one in desk.book.by_key.values()] == ["going"]
    await desk.settle({notice().key: notice("fail")}, set())
    with file.path.open("ab") as more:
        more.write(b'{"notices":[{"kind"')
    again = NoticeDesk(file)
    await again.open()
    assert again.book.whole() == desk.book.whole()
    assert [(one.word, one.turn, one.told) for one in again.book.by_key.values()] == [("fail", 2, 0)]


@pytest.mark.parametrize("kind", sorted(FORGES))
def test_each_forge_has_a_word_for_everything(kind: str) -> None:
    """A state for each word, of which none that is given up is one of failure; names in paths are encoded."""
    forge = FORGES[kind]
    assert set(forge.states) == FINAL | {"waiting", "going"}
    assert forge.states["cancelled"] not in {"failure", "failed", "error"}
    body = status_of(forge, "fail", {"url": "u", "text": "t", "context": "c", "branch": "b"})
    assert {body["state"], body["target_url"], body["description"]} == {forge.states["fail"], "u", "t"}
    path = path_of(forge, forge.status, {"repository": "acme/shop", "commit": SHA})
    assert path.endswith(f"{'acme%2Fshop' if kind == 'gitlab' else 'acme/shop'}/statuses/{SHA}")


@given(st.sampled_from(sorted(FORGES)), st.recursive(st.none() | st.integers() | st.text(), lambda some: st.lists(some) | st.dictionaries(st.sampled_from(["id", "body", "user", "author", "head", "base", "repo", "ref", "number", "iid"]), some), max_leaves=12))  # fmt: skip
def test_lists_of_any_shape_are_read(kind: str, tree: Any) -> None:
    """What a forge answers is no reason to fall."""
    assert isinstance(pull_of(FORGES[kind], [tree], "a"), int)
    assert isinstance(comment_of(FORGES[kind], [tree], "<!-- echolane shop -->", 7), int)
    assert len(said_by(json.dumps(tree).encode())) <= 200


@pytest.mark.parametrize("before", [0, 150, 180, 790])
def test_of_a_token_that_is_repeated_where_the_text_is_cut_nothing_is_left(before: int) -> None:
    """The text is bounded and a token may be long; its beginning is as secret as all of it."""
    secret = "ghs_" + "Zq7" * 80
    said = said_by(json.dumps({"message": "x" * before + f" {secret} is none"}).encode(), secret)

    assert "ghs_" not in said
    assert "Zq7" not in said
    assert len(said) <= 200


def test_our_comment_is_the_one_that_we_wrote() -> None:
    """With our marker at its beginning, by us or, for an application, by a bot; another's is never written into."""
    mark = "<!-- echolane shop -->"
    one = {"body": f"{mark}\n", "id": 3, "user": {"id": 7, "type": "User"}}
    assert comment_of(FORGES["github"], [{}, None, one], mark, 7) == 3
    assert comment_of(FORGES["github"], [one], mark, 8) == 0
    assert comment_of(FORGES["github"], [one], mark, 0) == 0
    assert comment_of(FORGES["github"], [{**one, "user": {"id": 9, "type": "Bot"}}], mark, 0) == 3
    assert comment_of(FORGES["github"], [{**one, "id": "3"}], mark, 7) == 0
    assert comment_of(FORGES["github"], [{**one, "body": f"see {mark}"}], mark, 7) == 0


@pytest.mark.parametrize(
    ("status", "headers", "wait", "away", "refused"),
    [
        (429, {"Retry-After": "7"}, 7, True, False),
        (403, {"Retry-After": "60"}, 60, True, False),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1700000090"}, 90, True, False),
        (429, {"RateLimit-Reset": "30"}, 30, True, False),
        (429, {"Retry-After": "Tue, 14 Nov 2023 22:13:30 GMT"}, 10, True, False),
        (429, {"Retry-After": "99999999"}, 3600, True, False),
        (429, {"Retry-After": "soon"}, 0, True, False),
        (429, {"Retry-After": "-5"}, 0, True, False),
        (503, {}, 0, True, False),
        (403, {"X-RateLimit-Remaining": "12"}, 0, False, True),
        (500, {}, 0, False, False),
        (409, {}, 0, False, False),
        (401, {}, 0, False, True),
        (302, {}, 0, False, True),
    ],
)
def test_an_answer_says_how_long_to_wait(
    status: int, headers: dict[str, str], wait: int, *, away: bool, refused: bool
) -> None:
    """Limits in each forge's words, within an hour; what is no number is none."""
    found = trouble_of("https://x", status, headers, "", 1_700_000_000.0)
    assert (found.wait_s, found.away, found.refused) == (wait, away, refused)
    assert trouble_of("https://x", 403, {}, "You have exceeded a secondary rate limit", 0.0).wait_s == 60


@pytest.fixture
async def api() -> AsyncIterator[str]:
    """Something that answers as no forge should."""
    app = web.Application()

    async def there(request: web.Request) -> web.StreamResponse:
        if request.path == "/long":
            answer = web.StreamResponse()
            await answer.prepare(request)
            for part in (b"[", *[b" " * 1024 * 1024] * 40, b"]"):
                await answer.write(part)
            return answer
        if request.path == "/away":
            raise web.HTTPFound("/inside")
        if request.path.startswith("/echo"):
            return web.json_response({"message": f"not {request.headers['Authorization']}"}, status=401)
        return web.Response(text="no JSON")

    app.router.add_route("*", "/{any:.*}", there)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_nothing_of_an_answer_leads_elsewhere_or_tells_the_token(api: str) -> None:
    """Redirects are not followed, floods and nonsense are ended, and an answer that repeats the token is told without it."""
    client = ForgeClient(FORGES["github"], api, TOKEN, ())
    for path, said in (
        ("/away", "redirects are not followed"),
        ("/long", "cannot be read"),
        ("/text", "cannot be read"),
        ("/echo", "[token]"),
    ):
        with pytest.raises(Trouble) as raised:
            await client.ask(Row("GET", path), {})
        assert said in str(raised.value)
        assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("host", ["10.1.2.3", "2130706433", "[::ffff:127.0.0.1]", "169.254.169.254", "127.1"])
async def test_no_forge_is_told_at_an_address_that_is_not_allowed(host: str) -> None:
    """However it is written, unless its network is named, and metadata not even then."""
    with pytest.raises(Trouble, match="api_networks") as raised:
        await ForgeClient(FORGES["github"], f"https://{host}", TOKEN, ()).ask(Row("GET", "/user"), {})
    assert raised.value.refused


async def test_a_name_is_led_to_the_address_that_was_checked(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that leads elsewhere the next time leads nowhere: each call checks what it connects to."""
    loop, found = asyncio.get_running_loop(), ["127.0.0.1", "10.1.2.3"]

    async def getaddrinfo(_host: str, port: int, **_: Any) -> Any:
        return [(2, 1, 6, "", (found.pop(0), port))]

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    client = ForgeClient(FORGES["github"], api.replace("127.0.0.1", "flips.localhost"), TOKEN, ())
    with pytest.raises(Trouble, match="cannot be read"):
        await client.ask(Row("GET", "/text"), {})
    with pytest.raises(Trouble, match=r"10\.1\.2\.3"):
        await client.ask(Row("GET", "/text"), {})


GOOD = 'secret_env = "GOOD"\nrepositories = ["a/b"]\n'


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('token_env = "NONE"\npublic_url = "https://e"', "variable NONE"),
        ('token_env = "TOKEN"', "public_url"),
        ('token_env = "TOKEN"\ntoken_file = "x"\npublic_url = "https://e"', "not both"),
        ('token_file = "/nowhere"\npublic_url = "https://e"', "/nowhere"),
        ('token_env = "TOKEN"\npublic_url = "https://e"\napi = "http://forge.example"', "in clear"),
        ('token_env = "TOKEN"\npublic_url = "https://e"\napi = "https://u:p@forge.example"', "https://HOST"),
        ('token_env = "TOKEN"\npublic_url = "ftp://e"', "public_url"),
        ('token_env = "TOKEN"\npublic_url = "https://e"\napi_networks = ["10"]', "api_networks"),
        ('token = "here"', "token"),
    ],
)
def test_a_forge_that_cannot_be_told_is_said_at_the_start(tmp_path: Path, more: str, said: str) -> None:
    """Each message names the hook and what is wrong with it, and no secret."""
    toml = tmp_path / "echolane.toml"
    environ = {"GOOD": SECRET.decode(), "TOKEN": TOKEN}
    toml.write_text(TARGETS.replace("{url}", "http://{branch}.x") + GOOD + more, "utf-8")
    with pytest.raises(UsageError, match=said) as raised:
        read_hooks(toml, read_targets(toml), environ)
    assert "hook 1" in str(raised.value)
    assert TOKEN not in str(raised.value)
    toml.write_text(TARGETS.replace("{url}", "http://{branch}.x") + GOOD + 'token_env = "TOKEN"', "utf-8")
    armed = read_hooks(toml, read_targets(toml), environ, "https://e/").find("shop/github")
    assert armed is not None
    assert armed.telling is not None
    assert (armed.telling.api, armed.telling.public_url) == ("https://api.github.com", "https://e")
    assert TOKEN not in repr(armed)


async def test_what_is_given_up_is_said(api: str, tmp_path: Path) -> None:
    """A forge that refuses to the end: the API says so, the log says so, and neither says the token."""
    toml, home = tmp_path / "echolane.toml", open_home(tmp_path / "home")
    more = f'token_env = "TOKEN"\napi = "{api}/echo"\npublic_url = "https://e"\nchecks = false'
    toml.write_text(TARGETS.replace("{url}", "http://{branch}.x") + GOOD + more, "utf-8")
    hooks = read_hooks(toml, read_targets(toml), {"GOOD": SECRET.decode(), "TOKEN": TOKEN})
    desk, pushes = NoticeDesk(NoticeLog(home)), PushDesk(PushLog(home))
    await desk.open()
    push = Push("shop/github", "shop", "acme/shop", "a", SHA, desk.book.since_ns, "r1", "hook")
    await pushes.take([(push, Step("", SHA, 1))], ["d1"])

    async def read(function: Any, *args: Any) -> Any:
        return function(*args)

    site: Any = SimpleNamespace(notices=desk, pushes=pushes, hooks=hooks, read=read, alone=Alone())
    log.to(home.log / "api.log")
    stop, work = asyncio.Event(), NoticeWork(site)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(work.work(stop))
            async with asyncio.timeout(60):
                while not desk.book.by_key:  # noqa: ASYNC110 - it is read off the disk's change
                    await asyncio.sleep(0.01)
                [one] = desk.book.by_key.values()
                one.refused = REFUSED_MAX - 1
                while not one.given_up:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            stop.set()
    finally:
        log.stop()
    told = forge_told(site, push)
    assert told is not None
    assert (told.status, told.comment) == ("given-up", "none")
    assert "401: not Bearer [token]" in told.why
    written = (home.log / "api.log").read_text("utf-8")
    assert "notice.given-up" in written
    assert TOKEN not in written + desk._log.path.read_text("utf-8")


def test_changes_are_read_in_their_order() -> None:
    """What is gone is gone, and comes back when it is told again."""
    book = Notices()
    for change in (NoticeChange([notice()], [], 3), NoticeChange(gone=[notice().key]), NoticeChange([notice("fail")])):
        book.apply(change)
    assert (book.since_ns, [one.word for one in book.by_key.values()]) == (3, ["fail"])


def test_the_documented_hook_is_one(tmp_path: Path) -> None:
    """What docs/how-to/pushes.md shows is read as it stands, but for where the token is."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "pushes.md").read_text("utf-8")
    first, second = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[:2]
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n", "ascii")
    toml = tmp_path / "echolane.toml"
    text = first + second.replace("[[hooks]]\n", "").replace("/run/secrets/shop-forge-token", str(token))
    toml.write_text(text, "utf-8")
    armed = read_hooks(toml, read_targets(toml), {"SHOP_HOOK_SECRET": SECRET.decode()}).find("shop/github")
    assert armed is not None
    assert armed.telling is not None
    assert armed.telling.token() == TOKEN
    assert armed.telling.api == "https://gitea.example/api/v1"
    token.unlink()
    with pytest.raises(UsageError, match=str(token)):
        armed.telling.token()


def test_what_a_forge_asks_for_holds_whatever_others_hear() -> None:
    """A wait that it named is never cut short, by no answer and no shorter wait; one that it did not name doubles."""
    alone = Alone()
    assert alone.left_s("a") == 0.0
    alone.leave("a", 0.0)
    assert 0.9 < alone.left_s("a") <= 1.0
    alone.leave("a", 30.0)
    alone.leave("a", 0.0)
    alone.leave("a", 3.0)
    alone.answered("a")
    assert 29.9 < alone.left_s("a") <= 30.0
    assert alone.left_s("b") == 0.0
