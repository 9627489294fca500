"""What `--explain` says of cookies, keys and dry runs, before anything is sent."""

from __future__ import annotations

from typing import Any

from console.credentials_told import Getting
from console.foretelling import Foretelling
from echolane.credentials import AS_RECORDED, Credentials
from echolane.exchange import Body, Exchange, Headers, Request, Response, WorkItem
from echolane.observation import TargetInfo
from echolane.recordings import Recording
from echolane.runspec import Firing, RunSpec
from echolane.settings import Settings

KEY = (b"Idempotency-Key", b"3f0c9a7e-0000-4000-8000-5d1be5dead00")
FOUR = [TargetInfo(f"http://127.0.0.1:{port}") for port in (1, 1, 2, 2)]


def item(
    seq: int,
    what: str,
    headers: Headers | None = None,
    answer: Headers | None = None,
    *,
    session: str = "a",
    skip: str = "",
) -> WorkItem:
    """One exchange of a plan."""
    method, _, target = what.partition(" ")
    request = Request(method, "http", "shop.example", target, "1.1", headers or [], Body())
    exchange = Exchange(
        f"e{seq}", "shop", "0badcafe", 1, seq, session, seq, 1, request, Response(200, "1.1", answer or [])
    )
    return WorkItem(seq, 0, what, [], exchange, skip)


def foretelling(credentials: Credentials = AS_RECORDED, targets: list[TargetInfo] = FOUR, **firing: Any) -> Foretelling:
    """Of a run with this firing."""
    spec = RunSpec("r", "shop", Recording("r", "shop", 0, "everything", []), targets, firing=Firing(**firing))
    return Foretelling(spec, Settings(), [Getting("base", credentials, local=True, identities=None)])


def test_cookies_are_told_by_who_sets_them() -> None:
    """Those that an earlier fired answer of the session set come from each target, all others go as recorded."""
    told, sid = foretelling(), (b"Cookie", b"sid=abc; theme=dark")
    assert list(
        told.of(
            item(0, "POST /login", [sid], [(b"Set-Cookie", b"sid=abc; Path=/"), (b"Set-Cookie", b"theme=; Max-Age=0")])
        )
    ) == ["    cookie sid, theme as recorded"]
    assert list(told.of(item(1, "GET /cart", [sid]))) == [
        "    cookie sid is what each target sets in POST /login",
        "    cookie theme as recorded",
    ]
    assert list(told.of(item(2, "GET /cart", [sid], session="b"))) == ["    cookie sid, theme as recorded"]
    assert list(told.of(item(3, "GET /cart"))) == []


def test_what_is_skipped_sets_and_carries_nothing() -> None:
    """A login that is not fired gives no cookie to those that follow."""
    told, sid = foretelling(), (b"Cookie", b"sid=abc")
    assert list(told.of(item(0, "POST /login", [sid], [(b"Set-Cookie", b"sid=abc")], skip="unsafe-method"))) == []
    assert list(told.of(item(1, "GET /cart", [sid]))) == ["    cookie sid as recorded"]


def test_cookies_that_a_provider_gives_are_told_with_the_credentials() -> None:
    """They do not go as recorded, one of them or all."""
    one, every = Credentials("static", cookie="sid", env="SID"), Credentials("login", recording="r")
    sent = item(0, "GET /cart", [(b"Cookie", b"sid=abc; theme=dark")])
    assert list(foretelling(one).of(sent)) == ["    cookie theme as recorded"]
    assert list(foretelling(every).of(sent)) == []


def test_keys_of_writes_are_told_without_their_values() -> None:
    """Only of writes, and only where the key is long enough to be replaced."""
    told = foretelling()
    assert list(told.of(item(0, "POST /orders", [KEY]))) == [
        "    header idempotency-key is a key of this run, another at each target"
    ]
    assert list(told.of(item(1, "GET /orders", [KEY]))) == []
    assert list(told.of(item(2, "POST /orders", [(b"Idempotency-Key", b"short")]))) == []


def test_a_dry_run_says_what_it_asks_first_and_what_its_writes_carry() -> None:
    """Each target is asked once; a write carries the header, a safe request does not."""
    told = foretelling(dry_run_header="x-dry")
    assert list(told.before()) == [
        "first, to base, branch: GET / with x-dry: 1; no write goes anywhere unless all of them echo it"
    ]
    assert list(told.of(item(0, "POST /orders"))) == [
        "    header x-dry is 1: the first write to POST /orders goes alone, others only once all targets echo it"
    ]
    assert list(told.of(item(1, "GET /orders"))) == []
    assert list(foretelling().before()) == []


def test_the_question_for_a_lane_is_told() -> None:
    """Of targets that answer in it, and not where the check is off or we started them."""
    laned = [*FOUR[:2], *(TargetInfo("http://127.0.0.1:1", "feat-1") for _ in range(2))]
    (line,) = foretelling(targets=laned).before()
    assert line == "first, to branch: GET / in lane feat-1, whose answer must say x-lane-served: feat-1"
    assert list(foretelling(targets=laned, lane_check=False).before()) == []
    assert list(foretelling(targets=[*FOUR[:2], *[TargetInfo("", "feat-1", managed=True)] * 2]).before()) == []
