"""Fresh copies of two versions: started apart, answered, ended with the run, whatever ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from echolane.errors import TargetUnavailable, UsageError
from echolane.observation import TargetInfo
from echolane.recordings import Recording
from echolane.runspec import RunSpec
from replayer import copies
from tests.waiting import wait_until

SERVER = """
import http.server, os, sys, pathlib
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (pathlib.Path("version").read_text().strip() + " " + os.getcwd() + " " + os.environ.get("SHOP", "")).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *a): pass
print("starting", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
"""

STARTER = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-I", *sys.argv[1:]], stdin=subprocess.PIPE)
time.sleep(300)
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git repository with two versions of a server; the caller stands in a folder inside it."""
    place = tmp_path / "repository" / "shop"
    place.mkdir(parents=True)
    monkeypatch.setattr(copies, "START_GAP_S", 0.05)

    def git(*words):
        subprocess.run(
            ["git", "-C", place, "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True
        )

    git("init", "-q", "-b", "main", "..")
    (place / "serve.py").write_text(SERVER)
    (place / "version").write_text("one")
    git("add", ".")
    git("commit", "-qm", "one")
    (place / "version").write_text("two")
    return place


def spec_of(folder, base, branch):
    """A run that starts both versions itself."""
    infos = [TargetInfo("", managed=True)] * 4
    recording = Recording("0badcafe", "shop", 1, "test", [])
    return RunSpec("0-run", "shop", recording, infos, base_cmd=base, branch_cmd=branch, folder=str(folder))


def get(url):
    """The body of an answer."""
    import urllib.request

    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read().decode()


def test_four_copies_of_two_commits_answer_and_leave_nothing_behind(stage, repository, monkeypatch):
    """Base runs in worktrees of a commit, branch in the caller's folder and environment; all end, and the worktrees go."""
    monkeypatch.setenv("SHOP", "from-caller")
    said = []
    command = f"{sys.executable} serve.py {{port}}"
    with copies.started_copies(stage.home, spec_of(repository, f"git:main {command}", command), said.append) as spec:
        answers = [get(target.url).split() for target in spec.targets]
        assert len({target.url for target in spec.targets}) == 4
    assert [answer[0] for answer in answers] == ["one", "one", "two", "two"]
    assert len({answer[1] for answer in answers[:2]}) == 2
    assert {answer[1] for answer in answers[2:]} == {str(repository)}
    assert {answer[2] for answer in answers} == {"from-caller"}
    assert "base on port" in said[0]
    for target in spec.targets:
        with pytest.raises(OSError, match="refused"):
            get(target.url)
    listed = subprocess.run(
        ["git", "-C", repository, "worktree", "list"], capture_output=True, text=True, check=True
    ).stdout
    assert len(listed.splitlines()) == 1
    assert not list(stage.home.runs.glob("*.copies"))


def test_copies_start_apart(stage, repository, monkeypatch):
    """So that what depends on the instant of start differs between base and control."""
    starts = []
    monkeypatch.setattr(copies, "START_GAP_S", 0.3)
    real = copies.start

    def timed(*args):
        starts.append(time.monotonic())
        return real(*args)

    monkeypatch.setattr(copies, "start", timed)
    command = f"exec {sys.executable} serve.py {{port}}"
    with copies.started_copies(stage.home, spec_of(repository, command, command), lambda _text: None):
        pass
    assert all(later - earlier >= 0.3 for earlier, later in zip(starts, starts[1:], strict=False))


def test_a_copy_that_dies_is_unavailable_with_its_last_words(stage, repository):
    """Its name, its exit status and what it said; the other copies are ended."""
    good, bad = f"{sys.executable} serve.py {{port}}", "echo cannot open {port} >&2; exit 3"
    with (
        pytest.raises(TargetUnavailable, match=r"branch ended with 3 before it answered; .*cannot open \d+"),
        copies.started_copies(stage.home, spec_of(repository, good, bad), lambda _text: None),
    ):
        pytest.fail("it never answered")


def test_a_copy_that_never_answers_is_unavailable(stage, repository, monkeypatch):
    """It runs, but its port stays silent."""
    monkeypatch.setattr(copies, "START_WAIT_S", 0.5)
    with (
        pytest.raises(TargetUnavailable, match=r"base did not answer on port \d+ within 0 s; .*it said nothing"),
        copies.started_copies(
            stage.home, spec_of(repository, "sleep 60 # {port}", "sleep 60 # {port}"), lambda _text: None
        ),
    ):
        pytest.fail("it never answered")


@pytest.mark.parametrize(
    "command", ["git:nowhere ./serve {port}", "git:--help ./serve {port}", "git:main", "git: x {port}"]
)
def test_a_commit_that_is_none_is_a_usage_error(stage, repository, command):
    """The message names the command or the commit."""
    with (
        pytest.raises(UsageError, match="commit"),
        copies.started_copies(stage.home, spec_of(repository, command, command), lambda _text: None),
    ):
        pytest.fail("there is no such commit")


def test_targets_that_are_running_already_are_left_alone(stage):
    """Without a command nothing is started."""
    spec = RunSpec("r", "shop", Recording("0badcafe", "shop", 1, "t", []), [TargetInfo("http://127.0.0.1:1")] * 4)
    with copies.started_copies(stage.home, spec, pytest.fail) as same:
        assert same is spec


def test_a_kill_takes_the_copies_and_their_children_along(tmp_path):
    """Kill -9 of the one who started them closes the leash; the guard ends the whole group."""
    pids = tmp_path / "pids"
    command = f"sleep 300 & echo $! $$ > {pids}; wait"
    guard = Path(copies.__file__).with_name("guard.py")
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(guard), command],
    )
    try:
        wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        started = [int(pid) for pid in pids.read_text().split()]
        assert all(alive(pid) for pid in started)
    finally:
        starter.send_signal(signal.SIGKILL)
        starter.wait()
    wait_until(lambda: not any(alive(pid) for pid in started))


def alive(pid):
    """Whether a process runs (and is not waiting to be buried)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_ports_of_one_run_are_all_different():
    """None is given twice, however many are asked for: two copies with one port would be one server, compared with itself."""
    found = copies.free_ports(300)
    assert len(set(found)) == 300


def test_what_answers_in_the_place_of_a_copy_that_has_ended_is_not_the_copy(stage, repository):
    """A copy that could not have its port ends; whoever answers there is never taken for it."""
    port = copies.free_ports(1)[0]
    other = subprocess.Popen([sys.executable, "serve.py", str(port)], cwd=repository)
    try:
        wait_until(lambda: copies.answers("127.0.0.1", port))
        ended = subprocess.Popen(["true"])
        ended.wait()
        log = stage.home.log / "copy-base.log"
        log.write_text("address already in use")
        copy = copies.Copy("base", "serve", port, log, ended, time.monotonic() + 60)
        with pytest.raises(TargetUnavailable, match=r"base ended with 0 before it answered; .*address already in use"):
            copy.wait_ready()
    finally:
        other.kill()
        other.wait()
