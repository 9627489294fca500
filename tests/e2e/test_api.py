"""The server as people and machines use it: ask for a run, watch it, read what it found, and what must not be done is not."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.api_parts import Served, events, log_of
from tests.e2e.test_hooks_told import PATIENT
from tests.e2e.world import World, stop


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for the tests of this file that leave it as it is."""
    world = World(tmp_path_factory.mktemp("api"))
    one = Served(world)
    yield one
    faults = log_of(world.home)
    for process in world.started:
        process.kill()
        process.wait(10)
    assert "api.fault" not in faults


@pytest.fixture(scope="module")
def run(served: Served) -> str:
    """A run of `shop` that was asked for over the API, and has ended."""
    one = served.run()
    assert served.ended(one)["state"] == "finished"
    return one


def test_a_run_asked_for_over_the_api_is_the_one_that_the_shell_shows(served: Served, run: str) -> None:
    """The result over HTTP is byte for byte what `show --json` prints, and the list has the run with its verdict."""
    shown = served.world.call("show", run, "--json", "--home", served.world.home)
    listed = served.ask("GET", "/api/v1/runs?service=shop&state=finished&verdict=fail").json

    assert served.ask("GET", f"/api/v1/runs/{run}").json == shown.result
    assert [(row["run"], row["reason_code"]) for row in listed["runs"] if row["run"] == run] == [(run, "regressions")]


def test_a_run_is_watched_live_to_its_end(served: Served) -> None:
    """Who watches is told how far it is and, last, how it ended; the state is the same to whoever asks."""
    run = served.run("depot")
    told = events(served, run, served.admin)

    assert [name for name, _ in told[-1:]] == ["ended"]
    assert {name for name, _ in told[:-1]} <= {"state"}
    assert told[-1][1] == served.ended(run)
    assert told[-1][1]["done"] == told[-1][1]["total"] == served.exchanges


def test_findings_lead_to_their_exchanges(served: Served, run: str) -> None:
    """Each regression's exchanges, page by page, are as many as it says, each once, as `show --exchanges` prints them."""
    printed = served.world.call("show", run, "--exchanges", "--json", "--home", served.world.home).out.splitlines()
    lines = {line["exchange"]: line for line in map(json.loads, printed)}
    findings = served.ask("GET", f"/api/v1/runs/{run}/findings?verdict=regression").json

    assert findings["total"] == 1
    for finding in findings["findings"]:
        path = f"/api/v1/runs/{run}/findings/{finding['id']}"
        found, cursor = [], 0
        while cursor is not None:
            page = served.ask("GET", f"{path}/exchanges?limit=7&cursor={cursor}").json
            found, cursor = found + page["exchanges"], page["next"]
        assert served.ask("GET", path).json == finding
        assert len(found) == finding["differing"]
        assert found == [lines[one["exchange"]] for one in found]
        search = f"/api/v1/runs/{run}/exchanges?finding={finding['id']}"
        assert served.ask("GET", f"{search}&limit=200").json["exchanges"] == found
        some = served.ask("GET", f"{search}&path=/items/1&verdict=different&limit=200").json["exchanges"]
        assert some == [one for one in found if "/items/1" in one["target"]]
        assert 0 < len(some) < len(found)
        assert len({one["exchange"] for one in found}) == len(found)
    for one in served.ask("GET", f"/api/v1/runs/{run}/findings").json[
        "findings"
    ]:  # of noise, some differ and some do not
        covered = served.ask("GET", f"/api/v1/runs/{run}/findings/{one['id']}/exchanges?limit=200").json["exchanges"]
        search = f"/api/v1/runs/{run}/exchanges?finding={one['id']}&limit=200"
        assert served.ask("GET", search).json["exchanges"] == covered
    for other, status in (("no-such-finding", 404), ("../x", 400)):
        assert served.ask("GET", f"/api/v1/runs/{run}/exchanges?finding={other}").status == status


def test_all_exchanges_come_by_once_page_by_page(served: Served, run: str) -> None:
    """Pages of three, end to end, are the whole run in its order."""
    printed = served.world.call("show", run, "--exchanges", "--json", "--home", served.world.home).out.splitlines()
    found, cursor = [], 0
    while cursor is not None:
        page = served.ask("GET", f"/api/v1/runs/{run}/exchanges?limit=3&cursor={cursor}").json
        assert len(page["exchanges"]) <= 3
        found, cursor = found + page["exchanges"], page["next"]

    assert found == [json.loads(line) for line in printed]


def test_a_list_goes_on_where_it_was_whatever_was_added(served: Served, run: str) -> None:
    """A recording made between two pages neither repeats nor hides another; findings come once, one by one; an offset is refused."""
    listed = "/api/v1/recordings?service=shop"
    for _ in range(3):
        assert served.ask("POST", "/api/v1/recordings", {"service": "shop"}).status == 201
    first = served.ask("GET", f"{listed}&limit=2").json
    assert served.ask("POST", "/api/v1/recordings", {"service": "shop"}).status == 201
    rest = served.ask("GET", f"{listed}&limit=200&cursor={first['next']}").json
    everything = served.ask("GET", f"{listed}&limit=200").json
    assert (first["recordings"] + rest["recordings"], rest["next"]) == (everything["recordings"][1:], None)

    path = f"/api/v1/runs/{run}/findings"
    whole = served.ask("GET", path).json
    assert (whole["total"], whole["next"]) == (len(whole["findings"]), None)
    found, cursor = [], ""
    while cursor is not None:
        page = served.ask("GET", f"{path}?limit=1{cursor and f'&cursor={cursor}'}").json
        found, cursor = found + page["findings"], page["next"]
    assert found == whole["findings"]
    assert served.ask("GET", f"{path}?cursor={'0' * 32}").status == 409
    triage = "/api/v1/services/shop/triage"
    for wrong in (
        f"{path}?cursor=1",
        f"{path}?offset=1",
        f"{listed}&cursor=1",
        f"{triage}?offset=1",
    ):
        assert served.ask("GET", wrong).status == 400, wrong


def test_an_idempotency_key_asks_once(served: Served) -> None:
    """The same key and body give the same run, also to a second server's start; another body is refused; another token's key is its own."""
    body = {"service": "shop", "base": "released", "branch": "next"}
    key = {"Idempotency-Key": "push-2f1c9a-1"}
    first = served.ask("POST", "/api/v1/runs", body, headers=key)
    again = served.ask("POST", "/api/v1/runs", body, headers=key)
    other = served.ask("POST", "/api/v1/runs", {**body, "branch": "released"}, headers=key)
    foreign = served.ask("POST", "/api/v1/runs", body, headers=key, token=served.token("runner"))
    for answer in (first, foreign):
        served.ended(answer.json["run"])

    assert (first.status, again.status, foreign.status) == (201, 200, 201)
    assert first.json["run"] == again.json["run"] != foreign.json["run"]
    assert again.headers["idempotency-replayed"] == "true"
    assert (other.status, other.json["type"]) == (422, "urn:echolane:problem:key-reused")


def test_what_cannot_be_a_run_is_said_at_once(served: Served) -> None:
    """Unknown services, targets and recordings, addresses instead of names, writes that nobody allowed: a problem each, and no run."""
    before = served.ask("GET", "/api/v1/runs").json["runs"]
    good = {"service": "shop", "base": "released", "branch": "next"}
    cases = [
        ({**good, "service": "nobody"}, 404),
        ({**good, "branch": "elsewhere"}, 404),
        ({**good, "branch": "http://169.254.169.254"}, 400),
        ({**good, "branch": "[::ffff:127.0.0.1]:22"}, 400),
        ({**good, "recording": "01890000-0000-7000-8000-000000000000"}, 404),
        ({**good, "methods": "all"}, 403),
        ({**good, "url": "http://127.0.0.1:1"}, 400),
        ({**good, "last": "forever"}, 400),
        ([], 400),
        (b"[" * 100_000, 400),
        (b'{"service": "shop"', 400),
        (b"\xff\xfe", 400),
    ]
    for body, status in cases:
        answer = served.ask("POST", "/api/v1/runs", body, headers={"Content-Type": "application/json"})
        assert answer.status == status, (body, answer)
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json) == {"type", "title", "status", "detail"}
    assert served.ask("GET", "/api/v1/runs").json["runs"] == before


def test_a_run_whose_target_is_down_says_so(served: Served) -> None:
    """A run that never began is listed as failed, with the reason, and has no result."""
    toml = served.world.folder / "echolane.toml"
    assert "[[api_targets]]" in toml.read_text("utf-8")
    world = World(served.world.folder / "down")
    world.folder.mkdir()
    one = Served(world, exchanges=3)
    for process in world.started[-3:-1]:  # the two targets
        process.kill()
        process.wait(10)
    state = one.ended(one.run())
    assert stop(one.process) == 0
    for process in world.started:
        process.kill()
        process.wait(10)

    assert (state["state"], state["verdict"], state["reason_code"]) == ("failed", "inconclusive", "target-unavailable")
    assert "refuses connections" in state["said"]


@pytest.mark.parametrize("host", ["evil.example", "169.254.169.254", "echolane.example.evil", ""])
def test_a_foreign_name_is_not_answered(served: Served, host: str) -> None:
    """A page elsewhere whose name leads here (DNS rebinding) is told nothing, with a token too."""
    answer = served.ask("GET", "/api/v1/services", headers={"Host": host})

    assert answer.status == 421
    assert "shop" not in answer.body.decode()


def test_every_answer_tells_browsers_to_be_careful(served: Served, run: str) -> None:
    """Pages, data, errors and styles: sniffing, frames and foreign sources are forbidden."""
    for path in ("/", f"/runs/{run}", "/api/v1/runs", "/api/v1/none", "/login", "/assets/list.css", "/livez"):
        headers = served.ask("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["x-frame-options"] == "DENY", path
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"], path


def test_what_is_too_large_or_no_http_is_refused(served: Served) -> None:
    """A body over a megabyte, a long head, and noise get their problem; the server goes on."""
    large = served.ask("POST", "/api/v1/runs", b"x" * (1024 * 1024 + 1), headers={"Content-Type": "application/json"})
    with socket.create_connection(("127.0.0.1", served.port), 30) as raw:
        raw.sendall(
            b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(300)) + b"\r\n"
        )
        head = raw.recv(65536)
    with socket.create_connection(("127.0.0.1", served.port), 30) as raw:
        raw.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        noise = raw.recv(65536)

    assert large.status == 413
    for answer in (head, noise):
        assert answer.split()[1] == b"400"
        assert b"application/problem+json" in answer
        assert b"frame-ancestors 'none'" in answer
    assert served.ask("GET", "/livez").status == 200


def test_a_browser_without_a_token_is_sent_to_the_door_and_back(served: Served, run: str) -> None:
    """Logged in with a token, a person has a cookie that scripts cannot read, and is where they wanted to go; not on another site."""
    sent = served.ask("GET", f"/runs/{run}", token=None)
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    def login(fields: str, **headers: str) -> tuple[int, dict[str, str]]:
        answer = served.ask("POST", "/login", fields.encode(), token=None, headers={**form, **headers})
        return answer.status, answer.headers

    status, headers = login(f"token={served.admin}&next=%2Fruns%2F{run}")
    cookie = headers["set-cookie"]
    jar = {"Cookie": cookie.partition(";")[0]}

    assert (sent.status, sent.headers["location"]) == (303, f"/login?next=%2Fruns%2F{run}")
    assert (status, headers["location"]) == (303, f"/runs/{run}")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert served.admin not in cookie
    assert served.ask("GET", f"/runs/{run}", token=None, headers=jar).status == 200
    assert login("token=ech_000000000000_x&next=/")[0] == 403
    for other in ("https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example"):
        assert login(f"token={served.admin}&next={other}")[1]["location"] == "/"
    for foreign in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert login(f"token={served.admin}", **foreign)[0] == 403


def test_a_form_without_the_sessions_word_does_nothing(served: Served) -> None:
    """A cookie alone starts no run, neither by a form nor over the API: both must carry a word that only our pages know."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    entered = served.ask("POST", "/login", f"token={served.admin}".encode(), token=None, headers=form)
    jar = {"Cookie": entered.headers["set-cookie"].partition(";")[0]}
    page = served.ask("GET", "/", token=None, headers=jar).body.decode()
    word = page.partition('name="word" value="')[2].partition('"')[0]
    fields = "service=shop&base=released&branch=next"
    body = {"service": "shop", "base": "released", "branch": "next"}
    bare = served.ask("POST", "/runs", fields.encode(), token=None, headers={**form, **jar})
    wrong = served.ask("POST", "/runs", f"{fields}&word={word[:-2]}xx".encode(), token=None, headers={**form, **jar})
    api = served.ask("POST", "/api/v1/runs", body, token=None, headers=jar)
    good = served.ask("POST", "/runs", f"{fields}&word={word}".encode(), token=None, headers={**form, **jar})

    assert (bare.status, wrong.status, api.status) == (403, 403, 403)
    assert good.status == 303
    assert served.ended(good.headers["location"].rpartition("/")[2])["state"] == "finished"


def test_a_token_that_is_revoked_ends_what_it_watches(world: World) -> None:
    """Revoked in mid-stream a token is told so and hears no more; its calls are refused at once, and the log has all of it."""
    served = Served(world, exchanges=60)
    token = served.token("viewer", "shop")
    name = token.split("_")[1]
    run = served.run(pace="1/s")  # a minute: it goes on until it is cancelled, however slow this machine is
    with socket.create_connection(("127.0.0.1", served.port), 60) as stream:
        head = f"GET /api/v1/runs/{run}/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        stream.sendall(head.encode())
        told = b""
        while b"event: state" not in told:
            data = stream.recv(65536)
            assert data, told
            told += data
        assert served.ask("DELETE", f"/api/v1/tokens/{name}").status == 200
        while b"event: denied" not in told:
            data = stream.recv(65536)
            assert data, told
            told += data

    assert served.ask("GET", "/api/v1/services", token=token).status == 401
    assert served.ask("POST", f"/api/v1/runs/{run}/cancel").status == 202
    assert served.ended(run)["state"] == "interrupted"
    entries = served.ask("GET", "/api/v1/audit").json["entries"]
    assert [(entry["operation"], entry["status"]) for entry in entries[:3]] == [
        ("cancelRun", 202),
        ("revokeToken", 200),
        ("createRun", 201),
    ]
    assert world.call("audit", "verify", "--home", world.home).code == 0


def test_a_server_that_is_stopped_or_killed_loses_no_run(world: World) -> None:
    """Of three runs one goes on, is cut off by a stop, then by a kill; all of them end, each exchange accounted for once."""
    served = Served(world, exchanges=40)
    runs = [served.run(pace="4/s"), served.run(), served.run("depot")]
    served.wait(runs[0], "running", "finished")
    deadline = time.monotonic() + 90
    while not served.ask("GET", f"/api/v1/runs/{runs[0]}/state").json["done"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert stop(served.process, 90) == 0
    served.start()
    served.wait(runs[0], "running", "finished")
    served.process.kill()
    served.process.wait(10)
    served.start()
    states = [served.ended(run) for run in runs]

    assert [state["state"] for state in states] == ["finished"] * 3
    assert [state["total"] for state in states] == [40] * 3
    assert stop(served.process, 90) == 0
    assert "api.fault" not in log_of(world.home)


def test_a_run_that_workers_do_is_held_and_gone_on_with(world: World) -> None:
    """Where workers share runs the server only asks them: paused it stands still and says so, resumed it ends, accounted for."""
    world.environ |= PATIENT
    served = Served(world, exchanges=60, settings='[replay]\nworkers = "shared"\n')
    for role in ("replay", "diff"):
        world.start(sys.executable, "-m", "console.main", "worker", role, "--home", world.home)
    with served.held():
        run = served.run(pace="5/s")
        deadline = time.monotonic() + 120
        while served.ask("POST", f"/api/v1/runs/{run}/pause").status != 202:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        served.wait(run, "paused")
    assert served.ask("POST", f"/api/v1/runs/{run}/resume").status == 202
    state = served.ended(run)

    assert (state["state"], state["verdict"], state["total"]) == ("finished", "fail", 60)


def test_who_asks_too_fast_is_told_when_to_go_on(world: World) -> None:
    """A token has a burst and then a rate, of its own: another one is served meanwhile."""
    served = Served(world, exchanges=1, settings="[api]\nrate_per_s = 0.1\nburst = 5\n")
    other = served.token("viewer")
    statuses = [served.ask("GET", "/api/v1/services").status for _ in range(5)]
    for _ in range(20):  # in ten seconds of a machine that stands still one more is let through
        refused = served.ask("GET", "/api/v1/services")
        if refused.status != 200:
            break

    assert statuses == [200] * 5
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert served.ask("GET", "/api/v1/services", token=other).status == 200


def test_bad_configuration_is_one_line(world: World) -> None:
    """A target that is none, twice there, or of another scheme; an address that is taken: exit 2 and which one."""
    for text, said in (
        ('[[api_targets]]\nservice = "shop"\nname = "a"\n', "target 1"),
        ('[[api_targets]]\nservice = "shop"\nname = "a"\nurl = "ftp://x"\n', "ftp://x"),
        ('[[api_targets]]\nservice = "shop"\nname = "a"\nurl = "http://a"\nport = 3\n', "port"),
        ('[[api_targets]]\nservice = "shop"\nname = "a"\nurl = "http://a"\n' * 2, "there already"),
        ('api_targets = "none"\n', "[[api_targets]]"),
        ('[api]\nurl = "echolane.example"\n', "api.url"),
    ):
        (world.folder / "echolane.toml").write_text(text, "utf-8")
        done = world.call("api", "--home", world.home, "--listen", "127.0.0.1:1")
        assert done.code == 2, done
        assert said in done.err
        assert "Traceback" not in done.err
    Path(world.folder / "echolane.toml").unlink()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = world.call("api", "--home", world.home, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.code == 2
    assert "cannot be listened on" in done.err
