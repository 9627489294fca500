"""`echolane doctor --bundle`: everything that helps, nothing that is secret, in a file of bounded size."""

from __future__ import annotations

import base64
import json
import re
import tarfile
from pathlib import Path

import pytest

from bench.ports import free_port
from console import bundle
from console.bundle import LOG_BYTES
from console.bundle_words import LEFT_OUT, Words
from echolane.home import open_home
from echolane.journal import open_journal
from tests.e2e.world import World

CANARIES = {
    name: f"kanarie{number}xq{name}"
    for number, name in enumerate(
        ("toml", "env", "kafka", "oidc", "header", "cookie", "path", "query", "answer", "log", "talk", "issuer")
    )
}
TOML = f"""
[api]
url = "https://user:{CANARIES["toml"]}@people"
[capture]
not_paths = ["/{CANARIES["toml"]}"]
[oidc]
issuer = "https://{CANARIES["issuer"]}.test/secret"
client_id = "{CANARIES["toml"]}"
[targets.branch.credentials]
provider = "command"
command = "echo {CANARIES["toml"]}"
[[notify]]
name = "chat"
url = "https://hooks.test/services/{CANARIES["toml"]}"
[[rules]]
where = "body:$.{CANARIES["toml"]}"
matcher = "ignore"
reason = "{CANARIES["toml"]}"
owner = "{CANARIES["toml"]}"
permanent = true
"""
NUMBER = "4111111111111111"


def bundled(path: Path) -> dict[str, bytes]:
    """The files of a bundle."""
    with tarfile.open(path) as archive:
        return {
            member.name.removeprefix("echolane-bundle/"): archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive.getmembers()
        }


def lived_in(world: World) -> list[str]:
    """A home with a capture, a run, a token, logs and settings, all of it full of secrets; what must not be told."""
    world.environ |= {
        "ECHOLANE_KAFKA_PASSWORD": CANARIES["kafka"],
        "ECHOLANE_OIDC_CLIENT_SECRET": CANARIES["oidc"],
        "CLOUD_SECRET": CANARIES["env"],
    }
    sent = {"Authorization": f"Bearer {CANARIES['header']}", "Cookie": f"sid={CANARIES['cookie']}"}
    world.record(
        world.app(),
        [(f"/items/{n}?q={CANARIES['query']}", sent) for n in range(1, 6)] + [(f"/{CANARIES['path']}", sent)],
    )
    world.run("--base-cmd", world.app_command(), "--branch-cmd", world.app_command("price"))
    token = world.call("token", "create", CANARIES["answer"], "--home", world.home).out.strip()
    (world.folder / "echolane.toml").write_text(TOML, "utf-8")
    event = {
        "at": 1,
        "event": "hook.trouble",
        "error": f"cannot reach https://x:{CANARIES['log']}@forge",
        CANARIES["log"]: 1,
    }
    talk = f"Traceback: token={CANARIES['talk']} 'the journal' {CANARIES['talk']}\n{NUMBER}\n"
    (world.home / "log" / "api.log").write_text(json.dumps(event) + "\n" + talk, "utf-8")
    (world.home / "log" / "up.log").write_text('{"event":"up.died","left":0}\n' * 50_000, "utf-8")
    (world.home / "log" / "base.log").write_text(CANARIES["answer"], "utf-8")
    keys = [path.read_bytes() for path in (world.home / "keys").iterdir() if path.is_file()]
    assert token
    assert keys
    told = [*CANARIES.values(), token, token.rpartition("_")[2], NUMBER, str(world.folder), world.folder.name]
    for key in keys:
        told += [key.hex(), base64.b64encode(key).decode(), key.decode("latin-1").strip()]
    return [secret for secret in told if len(secret) >= 8]


def test_a_bundle_helps_and_holds_no_secret(world: World) -> None:
    """Secrets of settings, environment, tokens, keys, journal, store and logs are in no file of it, in no usual form; sums and findings are."""
    secrets = lived_in(world)
    path = world.folder / "help.tar.gz"

    done = world.call("doctor", "--home", world.home, "--bundle", path)
    files = bundled(path)

    assert done.code == 0, done
    assert f"wrote {path}" in done.err
    assert path.stat().st_mode & 0o077 == 0
    everything = b"\n".join(files.values()).lower()
    for secret in secrets:
        raw = secret.encode("latin-1")
        for form in (raw, raw.hex().encode(), base64.b64encode(raw)):
            assert form.lower() not in everything, secret
    ledger, sizes, checks = (json.loads(files[f"{name}.json"]) for name in ("ledger", "sizes", "checks"))
    assert ledger["capture"][0]["stored"] == 6
    assert ledger["runs"][0]["verdict"] == "fail"
    assert ledger["runs"][0]["ledger"]["selected"] == 6
    assert sizes["journal"]["exchanges"]["damaged"] == 0
    assert sizes["journal"]["exchanges"]["entries"] >= 1
    assert sizes["store"]["runs"] >= 1
    assert sizes["store"]["tables_there"] == json.loads(files["versions.json"])["tables_known"]
    assert {check["state"] for check in checks} == {"ok"}
    settings = {row["key"]: row for row in json.loads(files["settings.json"])["settings"]}
    assert settings["replay.concurrency"] == {"key": "replay.concurrency", "value": 16, "source": "default"}
    assert settings["oidc.client_id"]["source"] == "file"
    assert json.loads(files["settings.json"])["tables"]["notify"] == 1
    assert "ECHOLANE_KAFKA_PASSWORD" in json.loads(files["settings.json"])["variables"]
    event, *talk = files["logs/api.log"].decode().splitlines()
    assert json.loads(event)["event"] == "hook.trouble"
    assert json.loads(event)["error"] == f"cannot reach {LEFT_OUT}"
    assert talk == [f"Traceback: {LEFT_OUT} 'the journal' {LEFT_OUT}", LEFT_OUT]
    assert "logs/base.log" not in files
    assert LOG_BYTES // 2 < len(files["logs/up.log"]) <= LOG_BYTES
    assert set(re.findall(r"^(\S+\.json|logs)", files["README.txt"].decode(), re.MULTILINE)) == {
        name.partition("/")[0] for name in files if name != "README.txt"
    }


def test_a_bundle_replaces_nothing_unasked(world: World) -> None:
    """A file that is there stays as it is, unless --force says otherwise; other mistakes are one line each."""
    path = world.folder / "help.tar.gz"
    path.write_text("mine", "utf-8")

    refused = world.call("doctor", "--home", world.home, "--bundle", path)
    assert (refused.code, path.read_text("utf-8")) == (2, "mine")
    assert "--force" in refused.err.splitlines()[-1]
    assert world.call("doctor", "--home", world.home, "--bundle", path, "--force").code == 0
    assert set(bundled(path)) >= {"README.txt", "ledger.json"}
    for words in (["--bundle", world.folder], ["--bundle", world.folder / "none" / "x"], ["--force"]):
        done = world.call("doctor", "--home", world.home, *words)
        assert done.code == 2
        assert len(done.err.splitlines()) == 1


def test_a_bundle_is_made_while_the_store_is_away(world: World) -> None:
    """What cannot be looked at is said in its place; the rest is there, and the exit code is doctor's."""
    world.record(world.app(), [("/items/1", {})])
    path = world.folder / "help.tar.gz"

    away = f"clickhouse://echolane@127.0.0.1:{free_port()}/echolane"

    done = world.call("doctor", "--home", world.home, "--store", away, "--bundle", path)

    assert (done.code, "Traceback" in done.err) == (2, False)
    files = bundled(path)
    assert "bad" in {check["state"] for check in json.loads(files["checks.json"])}
    assert json.loads(files["ledger.json"])["capture"][0]["stored"] == 1
    assert set(json.loads(files["ledger.json"])["runs"]) == {"error"}
    assert json.loads(files["sizes.json"])["journal"]["exchanges"]["topics"] == 1


def test_topics_that_are_not_counted_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a journal has more topics than are counted, the bundle says how many were left out."""
    home = open_home(tmp_path)
    journal = open_journal(home.path)
    for number in range(5):
        journal.create(f"exchanges.s{number}", 1)
    journal.close()
    assert "not counted" not in bundle._journal(home)
    monkeypatch.setattr(bundle, "TOPICS_MAX", 3)
    counted = bundle._journal(home)

    assert counted["exchanges"]["topics"] == 3
    assert Words().cleaned(counted)["not counted"] == {"topics": 2}


def test_only_words_of_ours_are_kept() -> None:
    """Messages keep their sentences; names, paths, addresses, long numbers and whatever is glued to them go."""
    words = Words()

    assert words.clean("the journal has 12 damaged frames, dropped{spool-full} 3") == (
        "the journal has 12 damaged frames, dropped{spool-full} 3"
    )
    for secret in (
        "s3cr3tzz",
        "a@b.example",
        "/home/qqx/.echolane",
        "123456",
        "store:s3cr3tzz",
        "journal@store",
        "Zq-store",
    ):
        assert words.clean(f"the {secret} journal") == f"the {LEFT_OUT} journal"
    assert words.cleaned({"zzqx": ["zzqx", 5, True, None]}) == {LEFT_OUT: [LEFT_OUT, 5, True, None]}
    assert len(words.clean("journal " * 10_000)) < 3_000
    deep: list[object] = []
    for _ in range(100):
        deep = [deep]
    assert LEFT_OUT in json.dumps(words.cleaned(deep), ensure_ascii=False)
