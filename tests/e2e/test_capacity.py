"""`echolane capacity` as a user calls it, against a target whose limit is known exactly and whose own log of arrivals is the witness."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.limited import Limited, Workers, limited
from tests.e2e.test_kill_switch import Heart
from tests.e2e.world import World, send, stop
from tests.waiting import wait_until

INTERVAL_S = 2.0
WAITED_S = 0.05
"""A request that found so long a queue came to a target above its limit: jitter of a busy machine makes half of it."""
GAP_S = 0.1
"""Between two arrivals, twice as long as the lowest rate has it: for more than that this machine stood still, and nothing came."""
STOOD_S = 0.2
"""A machine that stood still for longer may have another limit for once, and is asked again."""


def recorded(world: World, requests: int = 40) -> None:
    """Traffic of a service that has no limit worth speaking of."""
    world.record(world.app(), [(f"/items/{n % 8 + 1}?n={n}", {}) for n in range(requests)])


def capacity(world: World, target: Limited, *words: object, seconds: float = 400.0) -> tuple[int, dict[str, Any]]:
    """Evaluate; exit code and result, whose ledger balances."""
    path = world.folder / "capacity.json"
    path.unlink(missing_ok=True)
    done = world.call(*call(world, target, path), *words, seconds=seconds)
    assert "Traceback" not in done.err, done.err
    result = json.loads(path.read_bytes())
    balanced(result)
    return done.code, result


def call(world: World, target: Limited, path: Path) -> list[object]:
    """The command."""
    words = ["capacity", "--service", "shop", "--home", world.home, "--target", target.url, "--json", path]
    return [*words, "--start", "20/s", "--max", "2000/s"]


def balanced(result: dict[str, Any]) -> None:
    """Every request that was due is accounted for."""
    ledger = result["ledger"]
    assert ledger["unaccounted"] == []
    assert ledger["due"] == ledger["fired"] + sum(ledger["skipped"].values())
    assert ledger["fired"] == ledger["answered"] + sum(ledger["failed"].values())


def above(times_ns: Sequence[int], target: Workers) -> list[float]:
    """How long each stretch of arrivals lasted that found a queue, in seconds; the queue follows from the target's own log."""
    found: list[float] = []
    last_s, was_above = 0.0, False
    for time_ns in times_ns:
        now_s = time_ns / 1e9
        answered_s = target.take(now_s)
        assert answered_s is not None
        is_above = answered_s - now_s - target.service_s > WAITED_S
        if is_above and was_above:
            found[-1] += min(now_s - last_s, GAP_S)
        elif is_above:
            found.append(0.0)
        last_s, was_above = now_s, is_above
    return found


def test_the_limit_of_a_target_is_found_and_never_stayed_above(world: World) -> None:
    """Within 5 % of a limit drawn at random, with its interval and its first signal; by the target's log no stay above it was longer than an interval."""
    seed = int(os.environ.get("ECHOLANE_SEED", "20261126"))
    draw = random.Random(seed)
    service_s, workers = draw.uniform(0.02, 0.05), draw.randint(2, 4)
    print(f"seed {seed}: {workers} workers of {service_s * 1e3:.2f} ms, limit {workers / service_s:.2f}/s")
    recorded(world)
    for _ in range(3):
        with limited(service_s, workers) as target:
            heart = Heart()
            code, result = capacity(world, target, "--interval", f"{INTERVAL_S}s", "--html", world.folder / "page.html")
            stood_s = heart.stop()
        assert len(target.times_ns) == result["ledger"]["fired"]
        stays = above(target.times_ns, Workers(workers, service_s, 0))
        assert stays, "it was never above the limit, so it cannot have found it"
        assert max(stays) <= INTERVAL_S * 1.25
        is_right = result["safe_rate_per_s"] == pytest.approx(target.limit, rel=0.05)
        if result["state"] == "found" and (is_right or stood_s < STOOD_S):
            break
    else:
        pytest.skip(f"this machine stands still too often to find any limit: {stood_s:.1f} s, {result['reason']}")
    assert code == 0
    assert result["safe_rate_per_s"] == pytest.approx(target.limit, rel=0.05)
    sure = result["confidence"]
    assert sure["low_per_s"] <= target.limit * 1.03
    assert sure["high_per_s"] >= target.limit * 0.97
    assert result["limit"]["signal"] in {"backlog", "latency"}
    assert [point["rate_per_s"] for point in result["curve"]] == sorted(p["rate_per_s"] for p in result["curve"])
    assert (world.folder / "page.html").stat().st_size > 10_000


def test_a_target_that_sheds_load_is_limited_by_its_errors(world: World) -> None:
    """What answers 503 above its limit has errors as its first limit; --at-least makes that a failure for scripts."""
    recorded(world)
    with limited(0.02, 2, depth=3) as target:
        code, result = capacity(
            world, target, "--interval", "1s", "--precision", "20%", "--hold", 1, "--at-least", "500/s"
        )

    if result["state"] == "unsure":
        pytest.skip(f"this machine stands still too often: {result['reason']}")
    assert code == 1
    assert result["limit"]["signal"] == "errors"
    assert result["safe_rate_per_s"] < target.limit * 1.2


SOME_BYTES = 8_000
"""More than six requests of this load have, and less than a hundred."""
AT_ONCE_S = 10.0
"""A machine may stand still for so long before it hears of anything."""


def begun(world: World, target: Limited, path: Path) -> subprocess.Popen[bytes]:
    """An evaluation whose first interval lasts ten minutes, once it fires."""
    words = [*call(world, target, path), "--interval", "10m"]
    return world.start(sys.executable, "-m", "console.main", *words, stderr=subprocess.PIPE)


def fires(target: Limited) -> None:
    """Wait until the target has been sent some requests: its process reads them."""
    before = _read(target.pid)
    wait_until(lambda: _read(target.pid) >= before + SOME_BYTES, 120)


def _read(pid: int) -> int:
    return int(Path(f"/proc/{pid}/io").read_text("ascii").split()[1])


@pytest.mark.parametrize("how", ["Ctrl-C", "STOP"])
def test_ctrl_c_and_the_kill_switch_bring_it_to_rest_at_once(world: World, how: str) -> None:
    """In the middle of a long interval: exit 130, the result so far, and by the target's log nothing arrives any more."""
    recorded(world)
    path = world.folder / "capacity.json"
    with limited(0.01, 4) as target:
        process = begun(world, target, path)
        fires(target)
        if how == "Ctrl-C":
            process.send_signal(signal.SIGINT)
        else:
            (Path(world.home) / "STOP").touch()
        told_ns = time.monotonic_ns()
        assert process.wait(60) == 130
        ended_ns = time.monotonic_ns()
        time.sleep(0.5)

    result = json.loads(path.read_bytes())
    balanced(result)
    assert result["state"] == "interrupted"
    assert len(target.times_ns) > 5
    assert target.times_ns[-1] <= ended_ns
    after = sum(time_ns > told_ns for time_ns in target.times_ns)
    # Twenty a second, and ten minutes of them were still to come.
    assert after <= 20 * (AT_ONCE_S + (ended_ns - told_ns) / 1e9), f"the load went on after {how}"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_target_ends_it(world: World, how: signal.Signals) -> None:
    """Killed or hanging in the middle of a ten-minute interval: exit 4 long before its end, and every request accounted for."""
    recorded(world)
    path = world.folder / "capacity.json"
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(limited(0.01, 4))
        process = begun(world, target, path)
        fires(target)
        os.kill(target.pid, how)
        stack.callback(os.kill, target.pid, signal.SIGCONT)
        assert process.wait(180) == 4

    result = json.loads(path.read_bytes())
    balanced(result)
    assert result["state"] == "unavailable"
    assert target.url in result["reason"]
    assert result["ledger"]["failed"]


def test_without_writes_allowed_none_is_fired(world: World) -> None:
    """A recording of writes alone has nothing to fire, unless all methods are asked for; then each time anew."""
    app = world.app()
    process, port = world.recorder(app)
    send(port, [(f"/items/{n}", {}) for n in range(5)], method="PUT")
    stop(process)
    with limited(0.005, 4) as target:
        words = call(world, target, world.folder / "capacity.json")
        done = world.call(*words, "--interval", "500ms", "--max", "20/s", "--hold", 1)
        assert done.code == 3
        assert "unsafe-method" in done.err
        code, result = capacity(world, target, "--interval", "1s", "--max", "20/s", "--hold", 1, "--methods", "all")

    assert code in {0, 3}
    assert result["ledger"]["fired"] == len(target.times_ns)
    assert len(target.times_ns) > 5, "the recording is fired over and over"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--target", "http://shop.example:80"], 5, "--allow-host shop.example"),
        (["--target", "http://127.0.0.1:1"], 4, "target http://127.0.0.1:1 refuses connections"),
        (["--target", "ftp://127.0.0.1"], 2, "plain HTTP URL"),
        (["--start", "fast"], 2, "--start `fast` is no rate"),
        (["--start", "50/s", "--max", "20/s"], 2, "--start 50/s is above --max 20/s"),
        (["--latency", "500ms"], 2, "p99<=500ms"),
        (["--errors", "1/100"], 2, "--errors `1/100` is no share"),
        (["--interval", "1ms"], 2, "--interval 1ms must be between"),
        (["--precision", "0.1%"], 2, "--precision 0.1% must be between"),
        (["--metric", "up <= 1"], 2, "--prometheus URL and --metric RULE go together"),
        (["--prometheus", "http://127.0.0.1:1", "--metric", "up"], 2, "is no rule"),
        (["--prometheus", "nowhere", "--metric", "up >= 1"], 2, "is not the address of a server"),
        (["--prometheus", "http://127.0.0.1:1", "--metric", "up >= 1"], 2, "Connection refused"),
        (["--json", "/nowhere/at/all.json"], 2, "cannot be written"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_fired(
    world: World, words: list[str], code: int, said: str
) -> None:
    """One line that says what, which value and what to do; the target saw nothing."""
    recorded(world, 3)
    with limited(0.01, 1) as target:
        given = ["--target", target.url] if "--target" not in words else []
        done = world.call("capacity", "--service", "shop", "--home", world.home, *given, *words)

    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert target.times_ns == []
