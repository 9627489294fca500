"""What targets are called in Host (design §8): at servers that build links of it, as most applications do.

Run as a program it is the service: ``test_hosts.py PORT [MORE]`` says how it was called; MORE stands in each answer.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Mirror(BaseHTTPRequestHandler):
    """Says how it was called, in a field, in a link, in a query and in a header."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write an answer: two meet Nagle's algorithm and wait 40 ms
    more = ""

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """The name, in all its places."""
        name = self.headers.get("Host", "")
        told = {
            "host": name,
            "self": f"http://{name}{self.path}",
            "login": "/login?next=http%3A%2F%2F" + name.replace(":", "%3A"),
            "text": f"mail@shop.example, work.shop.example.org {self.more}",
        }
        data = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Link", f'<http://{name}/items>; rel="next"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Serve until killed."""
    Mirror.more = " ".join(sys.argv[2:])
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Mirror)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":  # as a program it needs nothing but the standard library
    main()

import pytest  # noqa: E402

from bench.ports import free_port  # noqa: E402
from echolane.frame import decode_frame  # noqa: E402
from echolane.journal import open_journal  # noqa: E402
from echolane.observation import TARGETS, Observation  # noqa: E402
from tests.e2e.world import World, listening, places  # noqa: E402

COUNT = 12
RECORDED = "shop.example"


def service(world: World, *more: str) -> int:
    """A service of its own; its port."""
    port = free_port()
    listening(port, process=world.start(sys.executable, __file__, port, *more))
    return port


@pytest.fixture
def recorded(world: World) -> World:
    """Users who called the service by its public name."""
    world.record(service(world), [(f"/items/{n}", {"Host": RECORDED}) for n in range(COUNT)])
    return world


def heard(world: World, run: str) -> dict[str, set[str]]:
    """By which names each target says that it was called."""
    journal = open_journal(world.home)
    seen = [one for entry in journal.read(f"observations.{run}", 0) for one in decode_frame(entry.frame, Observation)]
    journal.close()
    return {
        name: {json.loads(answer.body.data)["host"] for one in seen if (answer := one.answer_of(index)) is not None}
        for index, name in enumerate(TARGETS)
    }


def two(base: int, branch: int) -> list[str]:
    """The flags that name them."""
    return ["--base", f"http://127.0.0.1:{base}", "--branch", f"http://127.0.0.1:{branch}"]


def test_without_a_setting_each_target_is_called_by_its_own_name(recorded: World) -> None:
    """The default is the target's own host and port, and its echo of them is no difference."""
    base, branch = service(recorded), service(recorded)
    done, result = recorded.run(*two(base, branch))

    own = {f"127.0.0.1:{base}"}, {f"127.0.0.1:{branch}"}
    assert list(heard(recorded, result["run"]).values()) == [own[0], own[0], own[1], own[1]]
    assert (done.code, result["groups"], result["undecided"]) == (0, [], []), done.err


def test_a_name_is_sent_to_its_target_and_its_echo_is_no_difference(recorded: World) -> None:
    """A control is called as its version is, `--explain` says so, and what changed beside the echo is still found."""
    (recorded.folder / "echolane.toml").write_text(f'[targets.branch]\nhost = "{RECORDED}"\n')
    base, branch = service(recorded), service(recorded, "and", "more")
    told = recorded.call("run", "--service", "shop", "--home", recorded.home, *two(base, branch), "--explain")
    _, result = recorded.run(*two(base, branch))

    assert f"branch, branch_control: Host is {RECORDED}\n" in told.out, told.out
    own = {f"127.0.0.1:{base}"}
    assert list(heard(recorded, result["run"]).values()) == [own, own, {RECORDED}, {RECORDED}]
    assert places(result) == {("body:$.text", "value")}, result["groups"]
    assert result["undecided"] == []


def test_the_recorded_name_is_sent_where_it_is_wanted(recorded: World) -> None:
    """With `recorded` every target hears what the service had heard, also copies that Echolane starts."""
    (recorded.folder / "echolane.toml").write_text('[targets.default]\nhost = "recorded"\n')
    start = f"{sys.executable} {__file__} {{port}}"
    done, result = recorded.run("--base-cmd", start, "--branch-cmd", start)

    assert heard(recorded, result["run"]) == {key: {RECORDED} for key in TARGETS}
    assert (done.code, result["verdict"]) == (0, "pass"), done.err


@pytest.mark.parametrize("named", ["branch", "base"])
def test_recorded_names_at_some_targets_only_are_no_difference(recorded: World, named: str) -> None:
    """Targets that echo the recorded name beside targets that echo their own differ in nothing but what really changed."""
    (recorded.folder / "echolane.toml").write_text(f'[targets.{named}]\nhost = "recorded"\n')
    base, branch, other = service(recorded), service(recorded), service(recorded, "and", "more")
    alike, calm = recorded.run(*two(base, branch))
    _, changed = recorded.run(*two(base, other))

    own = {"base": {f"127.0.0.1:{base}"}, "branch": {f"127.0.0.1:{branch}"}} | {named: {RECORDED}}
    assert list(heard(recorded, calm["run"]).values()) == [own["base"], own["base"], own["branch"], own["branch"]]
    assert (alike.code, calm["groups"], calm["undecided"]) == (0, [], []), alike.err
    assert places(changed) == {("body:$.text", "value")}, changed["groups"]
    assert changed["undecided"] == []
