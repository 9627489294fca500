"""Traffic whose every field is hostile, through every output of the command line and every message: nothing of it has an effect there."""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest

from bench.ports import free_port
from console.explain import explanation, lines
from console.junit import junit
from console.markdown import markdown
from console.sarif import sarif
from console.show import find_run
from console.terminal import plain_verdict
from echolane.home import open_home
from echolane.ledger import run_identities
from echolane.store import open_store
from tests.console.results import JUNIT_ELEMENTS
from tests.console.test_sarif import schema
from tests.e2e.api_parts import WAIT_S
from tests.e2e.hostile_parts import (
    BRANCH_NAME,
    COMMAND,
    CORPUS,
    UNSEEN,
    messages_of,
    no_link,
    no_markup,
    nothing_unseen,
    record,
    targets,
    texts_of,
)
from tests.e2e.test_notify import SECRET, Receiver
from tests.e2e.world import Done, World, listening, stop
from tests.waiting import wait_until

__all__ = ["schema"]
ELEMENTS = JUNIT_ELEMENTS | {"testsuites"}
AT_ONCE = 5
"""Findings of one comment; a screen has a few more."""
EXPLAINED = 5
"""Findings, of all sorts; each takes a process of its own."""


class There(NamedTuple):
    """A run of hostile traffic that is done, its files, and who was told of it."""

    world: World
    done: Done
    result: dict[str, Any]
    receiver: Receiver

    def file(self, name: str) -> str:
        """A file that the run wrote."""
        return (self.world.folder / name).read_text("utf-8")

    def show(self, *words: object) -> str:
        """What `echolane show` of the run prints."""
        done = self.world.call("show", self.result["run"], *words, "--home", self.world.home)
        assert done.code == 0, done.err
        return done.out + done.err

    def parts(self) -> Iterator[dict[str, Any]]:
        """The result with a few of its findings at a time, so that each is among the first that are shown."""
        groups = self.result["groups"]
        for first in range(0, len(groups), AT_ONCE):
            yield {**self.result, "groups": groups[first : first + AT_ONCE]}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    """Recorded, replayed at two versions and compared by the command line, beside a server that tells of it: once for all tests of this file."""
    world, port = World(tmp_path_factory.mktemp("hostile")), free_port()
    receiver = Receiver(port)
    world.environ |= {"OPS_SECRET": SECRET, "SLACK": f"http://127.0.0.1:{port}/slack"}
    hook = f'[[notify]]\nname = "hook"\nurl = "http://127.0.0.1:{port}/hook"\nsecret_env = "OPS_SECRET"\n'
    chat = '[[notify]]\nname = "chat"\nkind = "slack"\nurl_env = "SLACK"\n'
    (world.folder / "echolane.toml").write_text(hook + chat, "utf-8")
    at = free_port()
    words = ("api", "--home", world.home, "--listen", f"127.0.0.1:{at}")
    server = world.start(sys.executable, "-m", "console.main", *words, cwd=world.folder)
    listening(at, WAIT_S, server)
    base, branch = targets(world)
    count = record(world, base)
    files = {name: world.folder / f"run.{name}" for name in ("json", "junit", "sarif", "markdown", "html")}
    done = world.call(
        *("run", "--service", "hostile", "--home", world.home, "--branch-name", BRANCH_NAME),
        *("--base", f"http://127.0.0.1:{base}", "--branch", f"http://127.0.0.1:{branch}"),
        *(word for name, path in files.items() for word in (f"--{name}", path)),
    )
    assert done.code == 1, done.err
    result = json.loads(files["json"].read_bytes())
    assert run_identities(result["ledger"]) == []
    assert result["ledger"]["compared"] == result["ledger"]["different"] == count
    wait_until(lambda: len(receiver.got) == 2, WAIT_S)
    assert stop(server) == 0
    yield There(world, done, result, receiver)
    receiver.server.shutdown()
    receiver.server.server_close()
    world.end()
    shutil.rmtree(world.folder, ignore_errors=True)


def test_every_text_is_in_some_finding(there: There) -> None:
    """What the others of this file look at is there: most texts in places, in values and in paths."""
    said = json.dumps(there.result["groups"], ensure_ascii=False)
    kinds = {one["where"].partition(":")[0] for one in there.result["groups"]}
    named = [text for text in CORPUS if json.dumps(text)[1:-1] in said or text in said]
    assert kinds >= {"header", "body"}
    assert len(there.result["groups"]) > 100
    assert len(named) > len(CORPUS) / 2


def test_a_terminal_is_told_letters_alone(there: There) -> None:
    """Verdict, findings, explanations, rewrites, lists and plans: nothing moves the cursor, turns the text or commands a runner of CI."""
    nothing_unseen(there.done.out + there.done.err)
    for words in ((), ("--rewrites",), ("--explain", there.result["groups"][0]["id"])):
        nothing_unseen(there.show(*words))
    world = there.world
    plan = (
        "run",
        "--service",
        "hostile",
        "--base",
        "http://127.0.0.1:9",
        "--branch",
        "http://127.0.0.1:9",
        "--explain",
    )
    for words in (("runs",), plan, ("show", BRANCH_NAME)):
        done = world.call(*words, "--home", world.home)
        assert "Traceback" not in done.err
        nothing_unseen(done.out + done.err)
    for part in there.parts():
        nothing_unseen(plain_verdict(part))


def test_a_finding_is_explained_in_letters_alone(there: There) -> None:
    """Each change of findings of all sorts, as `show --explain` prints it."""
    home = open_home(there.world.home)
    with open_store(there.world.home) as store:
        run = find_run(store, there.result["run"])
        for finding in there.result["groups"][:: len(there.result["groups"]) // EXPLAINED]:
            told = lines(explanation(home, store, run, finding["id"]))
            assert len(told) > 1
            nothing_unseen("\n".join(told))


def test_lines_of_json_are_the_same_data_and_letters_alone(there: There) -> None:
    """One line for each exchange, which a program reads as it was: hostile texts are in it, as JSON spells them."""
    printed = there.show("--exchanges", "--json")
    told = [json.loads(one) for one in printed.split("\n")[:-1]]
    assert len(told) == there.result["ledger"]["selected"]
    nothing_unseen(printed)
    nothing_unseen(there.file("run.json"))
    said = "\n".join(texts_of(told))
    assert UNSEEN.search(said)
    assert COMMAND.search(said)


def test_junit_is_well_formed_and_has_no_element_of_theirs(there: There) -> None:
    """The file and what `show` prints parse, with a failure for each finding."""
    for text in (there.file("run.junit"), there.show("--format", "junit")):
        tree = ET.fromstring(text.encode())
        assert {one.tag for one in tree.iter()} <= ELEMENTS
        assert len(tree.findall("testsuite/testcase/failure")) == len(there.result["groups"])
        nothing_unseen(text)
        assert not UNSEEN.search(
            "".join([*tree.itertext(), *(said for one in tree.iter() for said in one.attrib.values())])
        )
    assert all(ET.fromstring(junit(part).encode()) is not None for part in there.parts())


def test_sarif_is_valid_and_no_text_is_markup(there: There, schema: Any, require_module: Any) -> None:
    """By the published schema; what a viewer shows has no link, image, element, mention or placeholder, and no address of another host."""
    require_module("jsonschema_rs")
    import jsonschema_rs

    log = json.loads(there.file("run.sarif"))
    assert there.show("--format", "sarif") == there.file("run.sarif") == sarif(there.result)
    assert [str(error) for error in jsonschema_rs.validator_for(schema, validate_formats=True).iter_errors(log)] == []
    [run] = log["runs"]
    assert len(run["results"]) == len(there.result["groups"])
    said = [one for part in (run["results"], run["tool"], run["invocations"]) for one in messages_of(part)]
    assert len(said) > 2 * len(run["results"])
    for text in said:
        no_link(text)
    nothing_unseen(there.file("run.sarif").replace("\u200b", ""))


def test_a_comment_has_no_markup_of_theirs(there: There) -> None:
    """The comment on a pull request, whichever findings are among the first: their texts are text to a parser of CommonMark, and to its host."""
    no_markup(there.file("run.markdown"))
    assert there.show("--format", "markdown") == there.file("run.markdown")
    for part in there.parts():
        no_markup(markdown(part))


def test_who_is_told_of_a_verdict_reads_text(there: There) -> None:
    """A webhook's event is plain data; to Slack nothing of a branch's name is a link, a mention, a call for everybody or its mark-up."""
    [event], [chat] = there.receiver.of("/hook"), there.receiver.of("/slack")
    assert event["data"]["branch"].startswith("x \\x1b[2J\\u202e<!channel>")
    assert chat["mrkdwn"] is False
    assert not UNSEEN.search("".join([*texts_of(event), *texts_of(chat)]))
    told = list(texts_of(chat))
    assert any("&lt;!channel&gt;" in text for text in told)
    assert not any("<" in text or ">" in text for text in told)
    for block in chat["blocks"]:
        for one in [block.get("text"), *block.get("elements", [])]:
            assert one is None or (one["type"], one["emoji"]) == ("plain_text", False)


def test_proposed_rules_are_toml_and_nothing_else(there: There, tmp_path: Path) -> None:
    """What is proposed of such a run parses, and every line of it is a comment or a field of a rule."""
    world = there.world
    done = world.call("rules", "export", there.result["run"], "--home", world.home, cwd=tmp_path)
    assert done.code == 0, done.err
    nothing_unseen(done.out)
    assert set(tomllib.loads(done.out)) <= {"rules"}
