"""Check runs: every verdict has a conclusion, notes come in pieces and once, and applications get tokens that are asked for once."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given, strategies as st

from console.api import check_telling
from console.api.app_keys import App, signed
from console.api.check_telling import tell_check
from console.api.checks import AT_ONCE, CONCLUSIONS, NOTES_MAX, TITLE_MAX, check_of, notes_of
from console.api.forge_client import Trouble
from console.api.forge_settings import Telling, telling_of
from console.api.forge_tokens import AppTokens, client_of
from console.api.forges import FINAL
from console.api.hook_settings import read_hooks
from console.api.notice_desk import NoticeDesk, NoticeLog
from console.api.notices import Notice, Notices
from console.api.targets import read_targets
from echolane.errors import UsageError
from echolane.home import open_home
from tests.console.test_notices import GOOD
from tests.console.test_pushes import SECRET, TARGETS
from tests.e2e.checks_parts import APP, GitHubDouble

SHA = "a" * 40
TOLD = {"name": "n", "run": "r1", "url": "u", "title": "t", "summary": "s", "text": ""}


def finding(number: int = 1, **more: Any) -> dict[str, Any]:
    """A regression."""
    place = {"endpoint": f"GET /items/{number}", "where": "body.price", "kind": "value", "severity": "breaking"}
    return {**place, "id": f"f{number}", "differing": 3, "observed": 6, "samples": [], **more}


@pytest.fixture(scope="module")
def forge() -> Iterator[GitHubDouble]:
    """GitHub with an application."""
    found = GitHubDouble()
    yield found
    found.close()


@pytest.fixture
def telling(forge: GitHubDouble, tmp_path: Path) -> Telling:
    """How it is told, as the application."""
    key = tmp_path / "app.pem"
    key.write_bytes(forge.pem())
    return telling_of(
        "github",
        "hook 1",
        {},
        token_env="",
        token_file="",
        app=App(APP, str(key)),
        api=forge.api,
        networks=(),
        public_url="https://e",
        context="echolane/shop",
        comment=True,
        checks=True,
    )


@pytest.fixture
def site() -> Any:
    """What telling needs of a server."""

    async def read(function: Any, *args: Any) -> Any:
        return function(*args)

    return SimpleNamespace(read=read, app_tokens=AppTokens())


def test_every_word_has_a_state_and_none_without_a_verdict_passes() -> None:
    """Queued, under way, or completed with GitHub's own conclusion: no verdict is neither success, neutral nor skipped."""
    assert set(CONCLUSIONS) == FINAL
    assert [check_of(word, TOLD, [])["status"] for word in ("waiting", "going", "pass")] == [
        "queued",
        "in_progress",
        "completed",
    ]
    assert {CONCLUSIONS[word] for word in FINAL - {"pass"}}.isdisjoint({"success", "neutral", "skipped"})
    assert check_of("fail", TOLD, [finding()], whole=False)["status"] == "in_progress"


@given(st.text(max_size=400), st.text(max_size=400), st.text(max_size=400), st.text(max_size=400))
def test_a_note_of_anything_is_one(endpoint: str, where: str, kind: str, value: str) -> None:
    """Whatever was recorded: a path, a level, a title and a message within GitHub's bounds, without what cannot be seen."""
    sample = {"exchange": "x", "base": value, "branch": value + "x"}
    result = {"groups": [finding(endpoint=endpoint, where=where, kind=kind, samples=[sample])]}
    [note] = notes_of(result)
    assert note["path"]
    assert not note["path"].startswith("/")
    assert note["annotation_level"] in {"notice", "warning", "failure"}
    assert 0 < len(note["title"]) <= TITLE_MAX
    assert 0 < len(note["message"]) <= 65_536
    assert (note["path"] + note["title"] + note["message"]).replace("\u200b", "").isprintable()


def test_notes_are_bounded() -> None:
    """The gravest five hundred; texts as long as GitHub takes."""
    result = {"groups": [finding(number) for number in range(NOTES_MAX + 1)]}
    assert len(notes_of(result)) == NOTES_MAX
    output = check_of("fail", {**TOLD, "summary": "s" * 70_000, "text": "t" * 70_000}, [])["output"]
    assert [len(output[name]) for name in ("summary", "text")] == [65_535] * 2


@pytest.mark.parametrize("lost_at", [None, 0, 1, 2])
async def test_notes_come_in_pieces_and_once(
    forge: GitHubDouble, telling: Telling, site: Any, monkeypatch: pytest.MonkeyPatch, lost_at: int | None
) -> None:
    """120 findings are three requests, the last of which completes; whichever answer is lost, telling it again adds what is missing."""
    commit = f"{lost_at}".encode().hex().ljust(40, "0")
    notes = notes_of({"groups": [finding(number) for number in range(120)]})
    monkeypatch.setattr(check_telling, "_contents", lambda *_: (notes, TOLD))
    notice = Notice("check", "shop/github", "acme/shop", "a", commit, "r1", "fail")
    names = {"repository": "acme/shop", "commit": commit, "branch": "a"}
    written, written_at = forge.written, iter(range(100))

    def breaking(method: str, id: int, body: Any) -> Any:  # noqa: A002
        assert len(body["output"].get("annotations", [])) <= AT_ONCE
        answer = written(method, id, body)
        return (502, {"message": "lost"}, {}) if next(written_at) == lost_at else answer

    monkeypatch.setattr(forge, "written", breaking)
    client = await client_of(site, telling, "acme/shop")
    for _ in range(2):
        with contextlib.suppress(Trouble):
            await tell_check(site, client, telling, notice, dict(names), "u")
    check = forge.check(commit)
    assert check["notes"] == notes
    assert (check["status"], check["conclusion"], check["went"][-1]) == ("completed", "failure", "failure")
    assert set(check["went"][:2]) == {"in_progress"}


async def test_a_check_run_that_was_taken_away_is_made_again(
    forge: GitHubDouble, telling: Telling, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its id is known and leads nowhere; one of the same external id that another app made is not ours."""
    commit = "b" * 40
    monkeypatch.setattr(check_telling, "_contents", lambda *_: ([], TOLD))
    theirs = {"id": 1, "head_sha": commit, "external_id": "r1", "app": {"id": 1}, "notes": [], "went": [], "output": {}}
    forge.checks.append(theirs)
    notice = Notice("check", "shop/github", "acme/shop", "a", commit, "r1", "pass", comment=999_999)
    client = await client_of(site, telling, "acme/shop")
    names = {"repository": "acme/shop", "commit": commit, "branch": "a"}
    id = await tell_check(site, client, telling, notice, names, "u")  # noqa: A001
    forge.checks.remove(theirs)
    assert forge.check(commit)["id"] == id
    assert forge.check(commit)["conclusion"] == "success"


def test_another_run_of_a_commit_has_another_check_run() -> None:
    """The id of a check run stays with its run; that of a comment stays with its branch."""
    book = Notices()
    for kind in ("check", "comment"):
        one = Notice(kind, "shop/github", "acme/shop", "a", SHA, "r1", "fail", pull=3, comment=5)
        book.settle({one.key: one}, set(), 1)
        for run, word in (("r1", "pass"), ("r2", "fail")):
            now = Notice(kind, "shop/github", "acme/shop", "a", SHA, run, word)  # type: ignore[arg-type]
            book.settle({now.key: now}, set(), 2)
            assert book.by_key[now.key].comment == (0 if (kind, run) == ("check", "r2") else 5)


async def test_a_check_run_that_is_told_while_another_run_begins_is_not_taken_for_that_ones(tmp_path: Path) -> None:
    """Where the notice was renewed meanwhile, the id that comes back is of the run before: the next one makes its own, with all its notes."""
    desk = NoticeDesk(NoticeLog(open_home(tmp_path)))
    await desk.open()
    one, two = (Notice("check", "shop/github", "acme/shop", "a", SHA, run, "fail") for run in ("r1", "r2"))
    await desk.settle({one.key: one}, set())
    turn = one.turn
    await desk.settle({two.key: two}, set())
    await desk.told(one, turn, 0, 7)

    now = desk.book.by_key[two.key]
    assert (now.run, now.comment, now.is_due) == ("r2", 0, True)
    await desk.told(now, now.turn, 0, 8)
    assert desk.book.by_key[two.key].comment == 8


def test_an_app_proves_itself_as_github_wants_it() -> None:
    """RS256 over its id, made a minute ago, good for less than ten minutes."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    parts = signed(APP, key, 1_700_000_000.9).encode().split(b".")
    head, claims, signature = (base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)) for part in parts)
    key.public_key().verify(signature, b".".join(parts[:2]), padding.PKCS1v15(), hashes.SHA256())
    assert json.loads(head) == {"alg": "RS256", "typ": "JWT"}
    assert json.loads(claims) == {"iat": 1_699_999_940, "exp": 1_700_000_540, "iss": str(APP)}


async def test_a_token_of_an_app_is_asked_for_once(forge: GitHubDouble, telling: Telling, site: Any) -> None:
    """Ten who need it at once are one request; it is kept until five minutes before its end, and dropped when it is refused."""
    app, given = telling.app, forge.given
    assert app is not None

    async def ten() -> set[str]:
        return set(await asyncio.gather(*(site.app_tokens.of(site, telling, app, "acme/shop") for _ in range(10))))

    began = time.monotonic()
    [first] = await ten()
    assert forge.given == given + 1
    [kept] = site.app_tokens._kept.values()
    assert began + 3290 < kept.until <= time.monotonic() + 3301
    site.app_tokens.spent(first)
    assert await ten() != {first}
    assert forge.given == given + 2
    forge.lasts_s = 299.0
    site.app_tokens.spent(next(iter(await ten())))
    await site.app_tokens.of(site, telling, app, "acme/shop")
    await site.app_tokens.of(site, telling, app, "acme/shop")
    assert forge.given == given + 4
    forge.lasts_s = 3600.0


async def test_an_app_that_gets_no_token_says_why(
    forge: GitHubDouble, telling: Telling, site: Any, tmp_path: Path
) -> None:
    """It is installed nowhere, its key is another's, or the file is gone: each is one line without the key or the token that it signed."""
    forge.installed = False
    with pytest.raises(Trouble, match="is not installed where acme/shop is") as raised:
        await client_of(site, telling, "acme/shop")
    assert raised.value.refused
    forge.installed = True
    kind = serialization.PrivateFormat.PKCS8
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (tmp_path / "app.pem").write_bytes(
        other.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
    )
    with pytest.raises(Trouble, match="answers 401") as raised:
        await client_of(site, telling, "acme/shop")
    assert "eyJ" not in str(raised.value)
    (tmp_path / "app.pem").unlink()
    with pytest.raises(Trouble, match=r"app\.pem: No such file") as raised:
        await client_of(site, telling, "acme/shop")
    assert raised.value.away


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("app_id = 7", "app_id and app_key_file; give both"),
        ('app_key_file = "{good}"', "app_id and app_key_file; give both"),
        ('app_id = 7\napp_key_file = "{good}"\ntoken_env = "TOKEN"', "a token or an app, not both"),
        ('app_id = 7\napp_key_file = "/nowhere"', "/nowhere: No such file"),
        ('app_id = 7\napp_key_file = "{text}"', "no private key in PEM"),
        ('app_id = 7\napp_key_file = "{locked}"', "has a password"),
        ('app_id = 7\napp_key_file = "{curve}"', "no RSA key of 2048 bits"),
        ('app_id = -7\napp_key_file = "{good}"', "app_id"),
        ('app_id = 7\napp_key_file = "{good}"\nforge = "gitea"\napi = "https://e/api/v1"', "are for github"),
    ],
)
def test_an_app_that_cannot_be_one_is_said_at_the_start(tmp_path: Path, more: str, said: str) -> None:
    """Each message names the hook and the file, and nothing of what is in it."""
    pem, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    good = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    files = {
        "good": good.private_bytes(pem, kind, serialization.NoEncryption()),
        "locked": good.private_bytes(pem, kind, serialization.BestAvailableEncryption(b"word")),
        "curve": ec.generate_private_key(ec.SECP256R1()).private_bytes(pem, kind, serialization.NoEncryption()),
        "text": b"a word that is secret",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        more = more.replace(f"{{{name}}}", str(tmp_path / name))
    toml = tmp_path / "echolane.toml"
    hook = TARGETS.replace("{url}", "http://{branch}.x") + GOOD
    if "forge" in more:
        hook = hook.replace('forge = "github"\n', "")
    toml.write_text(f"{hook}{more}\npublic_url = 'https://e'\n", "utf-8")
    environ = {"GOOD": SECRET.decode(), "TOKEN": "a-token-of-the-tests"}
    with pytest.raises(UsageError, match=said) as raised:
        read_hooks(toml, read_targets(toml), environ)
    assert "hook 1" in str(raised.value)
    assert "PRIVATE" not in str(raised.value)
    assert "secret" not in str(raised.value)
    toml.write_text(
        f"{TARGETS.replace('{url}', 'http://{branch}.x')}{GOOD}app_id = 7\napp_key_file = '{tmp_path}/good'", "utf-8"
    )
    armed = read_hooks(toml, read_targets(toml), environ, "https://e").find("shop/github")
    assert armed is not None
    assert armed.telling is not None
    assert armed.telling.checks
    assert armed.telling.app == App(7, f"{tmp_path}/good")
