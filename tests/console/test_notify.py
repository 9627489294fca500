"""Who is told that a verdict changed: changes alone, once each, kept over a kill, tried within bounds, sent only where it may go."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, strategies as st

from console.api.notify_book import (
    MESSAGES_MAX,
    Message,
    MessageChange,
    Messages,
    Seen,
)
from console.api.notify_client import NotTold, hand_in
from console.api.notify_desk import MessageDesk, MessageLog
from console.api.notify_forms import HEADER_MAX, event, slack_message
from console.api.notify_settings import Destination, Notify, read_destinations
from console.api.outgoing import LASTS_NS, REFUSED_MAX, after_failure, wait_of
from echolane.errors import HomeError, UsageError
from echolane.home import open_home
from tests.console.results import HOSTILE
from tests.console.test_push_faults import full

SECRET = "whsec_" + base64.b64encode(b"a key of the tests, 32 bytes long").decode()
VERDICTS = ("pass", "fail", "inconclusive")


def seen(number: int, verdict: str, *, branch: str = "a", again: int = 0) -> Seen:
    """What the run of this number came to; ``again`` where it was gone on with."""
    return Seen(f"run-{number:04}", "shop", branch, verdict, number * 10 + 1, number * 10 + 5 + again)


def taken(book: Messages, one: Seen, *tell: Notify) -> list[tuple[str, str, str]]:
    """Who is told which change by a verdict."""
    if not book.is_news(one):
        return []
    change, _ = book.take(one, tell, lambda to, before: Message(f"{to}-{one.run}-{one.ended_ns}", to, one, before))
    return [(message.to, message.before, message.seen.verdict) for message in change.messages]


@pytest.mark.parametrize(
    ("told_of", "runs", "expected"),
    [
        (VERDICTS, "ppffp", ["pf", "fp"]),
        (VERDICTS, "ppip", ["pi", "ip"]),
        (VERDICTS, "iif", ["-i", "if"]),
        (("pass", "fail"), "pipifif", ["pf"]),
        (("fail",), "fpf", ["-f", "pf"]),
        (("fail",), "fif", ["-f"]),
        (("inconclusive",), "ipi", ["-i", "pi"]),
    ],
)
def test_changes_alone_are_told(told_of: tuple[Any, ...], runs: str, expected: list[str]) -> None:
    """By each verdict of a branch in turn (p, f, i), who is told which change; a first pass is none; runs without a verdict may be looked over."""
    names = {name[0]: name for name in VERDICTS} | {"-": ""}
    book, notify = Messages(), Notify("n", verdicts=list(told_of))
    found = [told for number, letter in enumerate(runs) for told in taken(book, seen(number, names[letter]), notify)]

    assert found == [("n", names[before], names[after]) for before, after in expected]


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(VERDICTS)), max_size=40))
def test_rows_that_come_late_twice_and_out_of_order_tell_no_change_that_was_none(
    rows: list[tuple[int, str]],
) -> None:
    """Whatever the order: what is told is a chain in which each begins with what the one before ended with, of newer and newer runs."""
    book, notify = Messages(), Notify("n")
    verdicts = dict(rows)
    for number, _ in [*rows, *rows]:
        taken(book, seen(number, verdicts[number]), notify)
    told = [(one.before, one.seen.verdict) for one in book.by_id.values()]
    runs = [one.seen.run for one in book.by_id.values()]

    assert all(before != after for before, after in told)
    assert runs == sorted(set(runs))
    state = "pass" if told and told[0][0] == "pass" else ""
    for before, after in told:
        assert before == state
        state = after
    if rows:
        assert book.branches["shop\na"].seen.verdict == verdicts[max(verdicts)]
        assert (state or "pass") == verdicts[max(verdicts)]


def test_a_run_that_is_gone_on_with_may_change_its_verdict() -> None:
    """The same run with a later end is news; the same row again is none; what was over before all began is none."""
    book, notify = Messages(), Notify("n")
    assert taken(book, seen(5, "inconclusive"), notify) == [("n", "", "inconclusive")]
    assert taken(book, seen(5, "fail", again=1), notify) == [("n", "inconclusive", "fail")]
    assert taken(book, seen(5, "fail", again=1), notify) == []
    assert taken(book, seen(4, "pass", again=30), notify) == []
    book.since_ns = 1_000
    assert not book.is_news(seen(7, "fail", branch="b"))


def test_filters_are_of_service_branch_and_verdict() -> None:
    """Each is a pattern; what is not wanted is remembered nevertheless."""
    book = Messages()
    some = Notify("some", services=["sh*"], branches=["main", "release/*"], not_branches=["release/old*"])
    other = Notify("other", services=["depot"])
    assert taken(book, seen(1, "fail", branch="feature"), some, other) == []
    assert taken(book, seen(1, "fail", branch="release/old-1"), some, other) == []
    assert taken(book, seen(1, "fail", branch="release/2"), some, other) == [("some", "", "fail")]
    assert set(book.branches) == {"shop\nfeature", "shop\nrelease/old-1", "shop\nrelease/2"}


def test_what_waits_is_bounded_and_goes_in_order() -> None:
    """A destination's messages go one after another; the oldest makes room for the newest; trying ends after a day, refusals after a minute."""
    book, one, two = Messages(), Notify("one"), Notify("two", branches=["b"])
    for number in range(MESSAGES_MAX + 3):
        taken(book, seen(number, ("fail", "pass")[number % 2]), one)
    taken(book, seen(9, "fail", branch="b"), two)
    assert len(book.by_id) == MESSAGES_MAX + 1
    assert [(message.to, message.seen.run) for message in book.due(1)] == [("one", "run-0003"), ("two", "run-0009")]
    first = book.due(1)[0]
    now, waits = 0, []
    while not after_failure(first, "away", now, wait_s=0.0, refused=False, chance=1.0):
        waits.append((first.due_ns - now) / 1e9)
        now = first.due_ns
    assert waits[:4] == [1, 2, 4, 8]
    assert max(waits) == 60
    assert LASTS_NS - 61e9 < now <= LASTS_NS
    assert [message.to for message in book.due(1)] == ["two"]
    second = book.due(1)[0]
    over = [after_failure(second, "no", 0, wait_s=0.0, refused=True, chance=0.0) for _ in range(REFUSED_MAX)]
    assert over == [False] * (REFUSED_MAX - 1) + [True]
    assert [wait_of(text, 0.0) for text in ("7", "999999999999", "x", "Thu, 01 Jan 1970 00:01:00 GMT")] == [
        7,
        3600,
        0,
        60,
    ]


async def test_a_verdict_and_its_messages_are_kept_together(tmp_path: Path) -> None:
    """Read again as they were; half a line is none; with a full disk neither happened, and it is taken when it is seen again."""
    file = MessageLog(open_home(tmp_path / "home"))
    desk, notify = MessageDesk(file), Notify("n")
    await desk.open()
    began = desk.book.since_ns
    assert began

    def one(number: int, verdict: str) -> Seen:
        return Seen(f"r{number}", "shop", "a", verdict, began + number, began + number)

    def told(to: str, before: str) -> Message:
        return Message(f"m-{before}", to, one(1, "fail"), before, since_ns=time.time_ns())

    await desk.take(one(1, "fail"), [notify], told)
    with full(), pytest.raises(HomeError):
        await desk.take(one(2, "pass"), [notify], told)
    assert list(desk.book.by_id) == ["m-"]
    await desk.take(one(2, "pass"), [notify], told)
    with file.path.open("ab") as more:
        more.write(b'{"branches":[{"se')
    again = MessageDesk(file)
    await again.open()
    assert again.book.whole() == desk.book.whole()
    assert list(again.book.by_id) == ["m-", "m-fail"]
    await again.drop(again.book.by_id["m-"])
    for _ in range(REFUSED_MAX):
        over = await again.failed(again.book.by_id["m-fail"], "no", wait_s=0.0, refused=True, chance=0.0)
    assert over
    last = MessageDesk(file)
    await last.open()
    assert (last.book.by_id, last.book.since_ns) == ({}, began)
    assert last.book.branches == again.book.branches
    assert MessageChange(list(again.book.branches.values()), [], [], began) == last.book.whole()


GOOD = 'name = "ops"\nurl = "https://hooks.example/in"\nsecret_env = "S"\n'


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (GOOD, ""),
        ('name = "ops"\nkind = "slack"\nurl_env = "U"\n', ""),
        (GOOD.replace('secret_env = "S"\n', ""), "say where the secret is"),
        (GOOD + 'secret_file = "x"\n', "not both"),
        (GOOD.replace('"S"', '"EMPTY"'), "needs 16 to 4096 bytes and has 0"),
        (GOOD.replace("secret_env", "secret_file"), "cannot be read from file S: No such file"),
        (GOOD + 'url_env = "U"\n', "give its address once"),
        (GOOD.replace("https://hooks.example/in", "ftp://hooks.example"), "its address is none"),
        (GOOD.replace("hooks.example", "user:pw@hooks.example"), "without a user"),
        (GOOD + 'networks = ["10.0.0.1/8"]\n', "networks: "),
        (GOOD + 'verdicts = ["red"]\n', "Invalid enum value 'red'"),
        (GOOD + "verdicts = []\n", "length >= 1"),
        (GOOD + 'colour = "red"\n', "unknown field `colour`"),
        ('name = "ops"\nkind = "slack"\nurl = "https://hooks.slack.com/T/B/x"\n', "give url_env or url_file"),
        ('name = "ops"\nkind = "slack"\nurl_env = "PLAIN"\n', "write https:"),
        ('name = "ops"\nkind = "slack"\nurl_env = "U"\nsecret_env = "S"\n', "Slack takes no signature"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(tmp_path: Path, table: str, said: str) -> None:
    """Which table, what of it, what to do; never what is secret."""
    file = tmp_path / "echolane.toml"
    file.write_text(f"[[notify]]\n{table}", "utf-8")
    environ = {"S": SECRET, "U": "https://hooks.slack.com/services/T0/B0/zzz", "PLAIN": "http://hooks.slack.com/zzz"}
    if not said:
        [found] = read_destinations(file, environ).values()
        assert found.notify.name == "ops"
        assert "zzz" not in repr(found)
        assert SECRET not in repr(found)
        return
    with pytest.raises(UsageError) as error:
        read_destinations(file, environ)
    assert said in str(error.value)
    assert "notify 1" in str(error.value)
    assert "zzz" not in str(error.value)
    assert "\n" not in str(error.value)


def message(text: str = "feature/a") -> Message:
    """A message whose texts are foreign."""
    one = Seen("01936b1c-8f2a-7c31-9d4e-0a1b2c3d4e00", "shop", text, "fail", 1, 10**18)
    return Message("msg_1", "ops", one, "pass", text * 50, {"breaking": 2, "visible": 1})


@pytest.mark.parametrize("text", [*HOSTILE, "<!channel> <https://e.example|x> & :fire: *b*", "&" * 3_000])
def test_a_message_is_bounded_and_has_no_markup_of_theirs(text: str) -> None:
    """Slack: foreign text is plain, escaped, within what Slack takes; the one link is ours. The event holds the same facts."""
    told = json.loads(slack_message(message(text), "https://echolane.example/runs/1"))
    texts = [block.get("text") for block in told["blocks"] if "text" in block] + told["blocks"][2]["elements"]

    assert len(told["blocks"][0]["text"]["text"]) <= HEADER_MAX
    for one in texts:
        assert 0 < len(one["text"]) <= 3_000
        if one["type"] == "plain_text":
            assert not set("<>") & set(one["text"])
            assert one["text"].replace("\u200b", "").isprintable()
            assert one["emoji"] is False
        else:
            assert one["text"] == "<https://echolane.example/runs/1|Open the run>"
    assert not set("<>") & set(told["text"])
    assert len(told["text"]) <= 5 * 500
    data = json.loads(event(message(text), ""))["data"]
    assert (data["verdict"], data["previous"], data["findings"]) == ("fail", "pass", {"breaking": 2, "visible": 1})
    assert len(data["reason"]) <= 500 * 10
    assert data["url"] is None


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[str, list[web.Request], list[bytes]]]:
    """A receiver that keeps what it gets; /moved leads to where it would be taken, /busy asks for time."""
    requests: list[web.Request] = []
    bodies: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        requests.append(request)
        bodies.append(await request.read())
        status = {"/moved": 307, "/busy": 429, "/gone": 410, "/broken": 500}.get(request.path, 204)
        return web.Response(status=status, headers={"Location": "/", "Retry-After": "7"})

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    place = web.TCPSite(runner, "127.0.0.1", 0)
    await place.start()
    port = runner.addresses[0][1]
    yield f"http://127.0.0.1:{port}", requests, bodies
    await runner.cleanup()


async def test_a_message_is_signed_as_standard_webhooks_say(receiver: Any) -> None:
    """Id, time and body under the key that the secret stands for; the id stays, the time is that of the attempt; Slack gets no signature."""
    url, requests, bodies = receiver
    body = event(message(), "")
    for now in (1_700_000_000.9, 1_700_000_060.0):
        await hand_in(Destination(Notify("ops"), f"{url}/in?x=%20", SECRET.encode(), ()), "msg_1", body, now)
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    for request, stamp in zip(requests, ("1700000000", "1700000060"), strict=True):
        mac = hmac.new(key, f"msg_1.{stamp}.".encode() + body, hashlib.sha256).digest()
        assert request.headers["webhook-id"] == "msg_1"
        assert request.headers["webhook-timestamp"] == stamp
        assert request.headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()
        assert request.headers["Content-Type"] == "application/json"
        assert request.path_qs == "/in?x=%20"
    assert bodies == [body, body]
    await hand_in(Destination(Notify("ops", kind="slack"), url, b"", ()), "msg_1", body, 1.0)
    assert not [name for name in requests[-1].headers if name.lower().startswith("webhook-")]


@pytest.mark.parametrize(
    ("path", "refused", "wait_s"),
    [("/moved", True, 0), ("/gone", True, 0), ("/busy", False, 7), ("/broken", False, 0)],
)
async def test_what_is_not_taken_is_told_without_its_address(
    receiver: Any, path: str, refused: bool, wait_s: float
) -> None:
    """A redirect is followed nowhere, a no is a no, and time that is asked for is given; the address, which may be secret, is not told."""
    url, requests, _ = receiver
    with pytest.raises(NotTold) as error:
        await hand_in(Destination(Notify("ops"), url + path, b"x" * 16, ()), "msg_1", b"{}", 1.0)
    assert (error.value.refused, error.value.wait_s) == (refused, wait_s)
    assert [request.path for request in requests] == [path]
    assert url not in str(error.value)


@pytest.mark.parametrize(
    ("host", "networks", "said"),
    [
        ("10.1.2.3", (), "not public"),
        ("169.254.169.254", (), "metadata"),
        ("[::ffff:10.1.2.3]", (), "not public"),
        ("0.0.0.0", (), "nobody"),
        ("127.1.2.3.nip.invalid", (), "has no address"),
    ],
)
async def test_private_addresses_are_refused(host: str, networks: Any, said: str) -> None:
    """The rule that holds for targets: nothing is sent to what is not public, unless its network is named."""
    with pytest.raises(NotTold, match=said):
        await hand_in(Destination(Notify("ops"), f"http://{host}:9/", b"x" * 16, networks), "msg_1", b"{}", 1.0)


def test_no_setting_is_no_setting_of_another_kind(tmp_path: Path) -> None:
    """A file without such tables names nobody; two of one name are refused."""
    file = tmp_path / "echolane.toml"
    assert read_destinations(file, os.environ) == {}
    file.write_text(f"[[notify]]\n{GOOD}[[notify]]\n{GOOD}", "utf-8")
    with pytest.raises(UsageError, match="notify 2: there is a notify called `ops` already"):
        read_destinations(file, {"S": SECRET})


def test_the_document_has_settings_that_are_read(tmp_path: Path) -> None:
    """What docs/how-to/notify.md shows is taken as it stands."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "notify.md").read_text("utf-8")
    file = tmp_path / "echolane.toml"
    file.write_text(page.split("```toml\n")[1].split("```")[0], "utf-8")
    found = read_destinations(file, {"OPS_SECRET": SECRET, "SLACK_URL": "https://hooks.slack.com/services/T0/B0/x"})

    assert [one.notify.kind for one in found.values()] == ["webhook", "slack"]
