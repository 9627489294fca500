"""Which commit is the newest, whatever the order; what is kept outlives its server; where a branch's name may lead."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from console.api import deliveries as d
from console.api.hook_settings import read_hooks
from console.api.problems import Problem
from console.api.push_log import PushLog
from console.api.pushes import OPEN_MAX, Book, Push, Step, TooMany
from console.api.readiness import addresses, unready
from console.api.signatures import is_fresh, is_same, is_signed_hex, is_signed_standard
from console.api.targets import filled, read_targets
from echolane.addresses import refusal
from echolane.errors import RefusedForSafety, UsageError
from echolane.home import open_home
from replayer.answer import Answer

SECRET = b"sixteen bytes or more"


def sha(number: int) -> str:
    """A commit; none for 0."""
    return f"{number:040x}" if number else ""


def push(commit: str, branch: str = "a", run: str = "") -> Push:
    """A push of a branch."""
    return Push("shop/github", "shop", "acme/shop", branch, commit, 1, run or f"run-{commit}", "hook")


def tell(book: Book, step: Step, delivery: str) -> None:
    """One delivery, as the desk takes it in."""
    if not book.was_seen([delivery], 2):
        book.take([(push(step.after), step)], [delivery], 2, lambda: "again")


@given(st.data(), st.integers(1, 12), st.booleans())
def test_whatever_the_order_the_newest_commit_remains_and_each_is_run_once(
    data: st.DataObject, count: int, lying: bool
) -> None:
    """Deliveries shuffled and doubled, under their ids or others, with true times or with times that lie: the last commit waits, and alone."""
    times = [data.draw(st.integers(0, 5)) if lying else number for number in range(count)]
    steps = [Step(sha(number), sha(number + 1), times[number]) for number in range(count)]
    told = [(step, f"d{step.after}") for step in steps] + data.draw(
        st.lists(st.sampled_from(steps).map(lambda step: (step, f"other{step.after}")), max_size=6)
    )
    told += data.draw(st.lists(st.sampled_from(told), max_size=6))
    book, began = Book(), list[str]()
    for step, delivery in data.draw(st.permutations(told)):
        tell(book, step, delivery)
        for one in book.of("waiting"):
            if not lying:
                one.state = "asked"
                began.append(one.commit)

    left = [one.commit for one in book.of("waiting", "asked")]
    assert left == [sha(count)]
    assert len(book.pushes) == count
    assert len(began) == len(set(began))


def test_a_branch_that_goes_back_is_run_again_and_a_deleted_one_is_not() -> None:
    """A forced push to an older commit makes that the newest, with a run of its own; deletion leaves none."""
    book = Book()
    for number, (before, after) in enumerate([(0, 1), (1, 2), (2, 1)]):
        tell(book, Step(sha(before), sha(after), number), f"d{number}")
    assert [(one.commit, one.run) for one in book.of("waiting")] == [(sha(1), "again")]
    tell(book, Step(sha(1), "", 9), "d9")
    assert list(book.of("waiting", "asked")) == []


def test_a_run_is_of_the_trace_of_the_delivery_that_it_is_due_to() -> None:
    """A commit that is run again, since its branch went back to it, is so for the delivery that said that, and not for its first one."""
    book = Book()
    for number, (before, after) in enumerate([(0, 1), (1, 2), (2, 1)]):
        told = push(sha(after))
        told.trace = f"trace {number}"
        book.take([(told, Step(sha(before), sha(after), number))], [f"d{number}"], 2, lambda: "again")

    assert [(one.commit, one.run, one.trace) for one in book.of("waiting")] == [(sha(1), "again", "trace 2")]


def test_as_many_wait_as_may() -> None:
    """A flood of branches is refused, and changes nothing."""
    book = Book()
    for number in range(OPEN_MAX):
        book.take([(push(sha(1), f"b{number}"), Step("", sha(1), 1))], [f"d{number}"], 2, lambda: "again")
    with pytest.raises(TooMany):
        book.take([(push(sha(1), "one more"), Step("", sha(1), 1))], ["more"], 2, lambda: "again")
    assert not book.was_seen(["more"], 2)


def test_what_was_taken_in_outlives_its_server(tmp_path: Path) -> None:
    """Deliveries, pushes and the order of commits are read again; half a line that a kill left is none."""
    log = PushLog(open_home(tmp_path / "home"))
    book = Book()
    for number in range(1, 4):
        step = Step(sha(number - 1), sha(number), number)
        log.append(book.take([(push(sha(number)), step)], [f"d{number}"], 2, lambda: "again"), book)
    with log.path.open("ab") as file:
        file.write(b'{"seen":{"d9"')
    for _ in range(2):
        again = log.load()
        assert again.whole() == book.whole()
    assert again.was_seen(["d2"], 3)
    assert not again.was_seen(["d9"], 3)


@given(st.binary(max_size=64), st.integers(0, 10_000), st.integers(0, 7))
def test_a_signature_holds_for_its_bytes_alone(body: bytes, place: int, bit: int) -> None:
    """Right as documented; wrong with any bit of the body turned, another secret, or another id."""
    plain = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    key = base64.b64encode(SECRET).decode()
    mac = hmac.new(SECRET, b"id.7." + body, hashlib.sha256).digest()
    standard = "v1," + base64.b64encode(mac).decode()
    other = bytearray(body or b"\0")
    other[place % len(other)] ^= 1 << bit

    assert is_signed_hex(SECRET, body, f"sha256={plain}", "sha256=")
    assert is_signed_hex(SECRET, body, plain)
    assert not is_signed_hex(SECRET, bytes(other), plain)
    assert not is_signed_hex(SECRET + b"x", body, plain)
    assert is_signed_standard(f"whsec_{key}".encode(), "id", "7", body, f"v1,AAAA {standard}")
    assert not is_signed_standard(SECRET, "id", "7", bytes(other), standard)
    assert not is_signed_standard(SECRET, "ie", "7", body, standard)
    assert is_same(SECRET, SECRET.decode())
    assert not is_same(SECRET, "\udcff")


def test_a_signed_time_is_about_now() -> None:
    """Five minutes to either side; what is no number is none."""
    assert [is_fresh(text, 1000.0) for text in ("700", "1300", "699", "1301", "", "1e3", "-1", "٣")] == [
        True,
        True,
        *[False] * 6,
    ]


def test_forges_are_read_as_they_document_it() -> None:
    """Pushes, pull requests, deletions and pings of each; forks, tags and other events start nothing, and say so."""
    one, two = "1" * 40, "2" * 40
    repo = {"full_name": "acme/shop", "pushed_at": 1_700_000_000}
    pushed = {"ref": "refs/heads/feature/a", "before": one, "after": two, "repository": repo}
    head = {"ref": "feature/a", "sha": two, "repo": {"full_name": "acme/shop"}}
    pull = {"action": "synchronize", "before": one, "after": two, "repository": repo, "pull_request": {"head": head}}
    expected = Step(one, two, 1_700_000_000_000_000_000)
    assert d.read("github", "push", pushed, 5) == d.Told("", "acme/shop", "feature/a", expected)
    assert d.read("github", "pull_request", pull, 5).step == Step(one, two, 5)
    fork = {**pull, "pull_request": {"head": {**head, "repo": {"full_name": "eve/shop"}}}}
    assert "fork" in d.read("github", "pull_request", fork, 5).said
    assert d.read("github", "push", {**pushed, "after": "0" * 40}, 5).step == Step(one, "", 5)
    assert d.read("gitea", "delete", {"ref": "a", "ref_type": "branch", "repository": repo}, 5).step == Step("", "", 5)
    assert d.read("github", "ping", {}, 5).step is None
    assert d.read("github", "star", {"repository": repo}, 5).step is None
    assert d.read("github", "push", {**pushed, "ref": "refs/tags/v1"}, 5).step is None
    commit = {"id": two, "timestamp": "2023-11-14T22:13:20+00:00"}
    project = {"path_with_namespace": "acme/shop"}
    gitlab = {"ref": "refs/heads/feature/a", "before": one, "after": two, "project": project, "commits": [commit]}
    assert d.read("gitlab", "Push Hook", gitlab, 5).step == expected
    about = {
        "action": "open",
        "source_branch": "a",
        "last_commit": commit,
        "source_project_id": 1,
        "target_project_id": 1,
    }
    merge = {"project": project, "object_attributes": about}
    assert d.read("gitlab", "Merge Request Hook", merge, 5) == d.Told(
        "", "acme/shop", "a", Step("", two, expected.at_ns)
    )
    assert (
        "fork"
        in d.read(
            "gitlab", "Merge Request Hook", {**merge, "object_attributes": {**about, "source_project_id": 2}}, 5
        ).said
    )
    for broken in ({}, {"repository": repo}, {**pushed, "after": "x"}, {**pushed, "ref": 3}):
        with pytest.raises(Problem):
            d.read("github", "push", broken, 5)


@given(
    st.text() | st.sampled_from(["evil.example:1/", "u@evil", "..", "[::1]", "a/../b", "é", "%2e", "http://x", "\n"])
)
def test_a_branch_chooses_a_label_and_nothing_else(branch: str) -> None:
    """Whatever it is called, scheme, port, domain and path stay as configured; a name of which nothing is left is refused."""
    try:
        url = filled("http://{branch}.test.example:8000/x", branch)
    except UsageError:
        return
    label = url.removeprefix("http://").removesuffix(".test.example:8000/x")
    assert 0 < len(label) <= 63
    assert set(label) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1", "10.1.2.3", "100.64.0.1", "169.254.169.254", "::1", "fe80::1%eth0", "fd00:ec2::254", "224.0.0.1",
     "0.0.0.0", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe", "::ffff:10.0.0.1", "::7f00:1",
     "192.0.0.192", "192.0.0.8", "192.88.99.1", "fec0::1", "5f00::1", "::ffff:0:7f00:1"],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(text: str) -> None:
    """Private ones, those of this machine and of links, and those that carry one of these inside."""
    assert refusal(text, ())


def test_networks_that_are_named_are_allowed_but_for_metadata() -> None:
    """A network opens its own addresses, in whatever form, and never a cloud's metadata."""
    named = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("169.254.0.0/16"))
    assert refusal("10.1.2.3", named) == ""
    assert refusal("8.8.8.8", ()) == ""
    assert refusal("2606:4700:4700::1111", ()) == ""
    assert refusal("192.168.1.1", named)
    assert refusal("169.254.169.254", named)
    assert refusal("64:ff9b::7f00:1", (ipaddress.ip_network("64:ff9b::/96"),))


TARGETS = """
[[api_targets]]
service = "shop"
name = "released"
url = "http://a"
[[api_targets]]
service = "shop"
name = "branch"
url = "{url}"
[[hooks]]
service = "shop"
base = "released"
branch = "branch"
forge = "github"
"""


@pytest.mark.parametrize(
    ("url", "more", "said"),
    [
        ("http://{branch}.x", 'repositories = ["a/b"]', "secret_env"),
        ("http://{branch}.x", 'secret_env = "GOOD"', "repositories"),
        ("http://{branch}.x", 'secret_env = "SHORT"\nrepositories = ["a/b"]', "16"),
        ("http://{branch}.x", 'secret = "here"\nrepositories = ["a/b"]', "secret"),
        ("http://{branch}.x", 'secret_file = "/nowhere"\nrepositories = ["a/b"]', "/nowhere"),
        ("http://{branch}", 'secret_env = "GOOD"\nrepositories = ["a/b"]', "domain"),
        ("http://{branch}.1", 'secret_env = "GOOD"\nrepositories = ["a/b"]', "domain"),
        ("http://{branch}.x", 'secret_env = "GOOD"\nrepositories = ["a/b"]\nnetworks = ["10"]', "networks"),
    ],
)
def test_a_hook_that_is_wrong_is_said_at_the_start(tmp_path: Path, url: str, more: str, said: str) -> None:
    """Each message names the hook and what is wrong with it, and no secret."""
    toml = tmp_path / "echolane.toml"
    toml.write_text(TARGETS.replace("{url}", url) + more, "utf-8")
    with pytest.raises(UsageError, match=said) as raised:
        read_hooks(toml, read_targets(toml), {"GOOD": SECRET.decode(), "SHORT": "short"})
    assert "hook 1" in str(raised.value)
    assert SECRET.decode() not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["http://10.1.2.3", "http://2130706433", "http://0x7f000001:80", "http://[::ffff:127.0.0.1]"]
)
def test_no_branch_is_asked_at_an_address_that_is_not_allowed(url: str) -> None:
    """However it is written, it is looked up first and refused by what it leads to; this machine is asked where the URL says so."""
    with pytest.raises(RefusedForSafety):
        asyncio.run(addresses(url, ()))
    assert asyncio.run(addresses("http://127.0.0.1:8", ())) == [("127.0.0.1", 8)]


@pytest.mark.parametrize(
    ("status", "header", "path", "lane", "ready"),
    [
        (200, "", "", "", True),
        (302, "", "", "", True),
        (401, "", "", "", True),
        (404, "", "", "", False),
        (503, "", "", "", False),
        (302, "", "/healthz", "", False),
        (204, "", "/healthz", "", True),
        (200, "", "", "a", False),
        (200, "x-lane-served: a", "", "a", True),
    ],
)
def test_a_branch_is_there_when_it_answers_as_it_serves(
    status: int, header: str, path: str, lane: str, ready: bool
) -> None:
    """Without a path anything but what proxies say of a branch that is missing; with one 2xx; in a lane only where that is named."""
    answer = Answer(status, f"HTTP/1.1 {status} X\r\n{header}".encode())
    assert (unready(answer, path, lane, ("", "2f1c9a7")) == "") is ready


@pytest.mark.parametrize(
    ("told", "ready"),
    [("2F1C9A7", True), ("2f1c9a7b" + "0" * 32, True), ("2f1c9", False), ("0" * 40, False), ("", False)],
)
def test_a_branch_is_there_when_it_is_the_commit(told: str, ready: bool) -> None:
    """A header that names the commit, also shortened, and neither another nor too little of it."""
    answer = Answer(200, f"HTTP/1.1 200 OK\r\nX-Version: {told}".encode())
    assert (unready(answer, "", "", ("x-version", "2f1c9a7b" + "0" * 32)) == "") is ready
