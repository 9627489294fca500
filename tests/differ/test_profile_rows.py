"""Profiles in the store: a run counts once however often it is closed, of the same version and not too old, and old ones go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from msgspec.structs import replace

from console.main import main
from differ.close import close_run
from differ.difference import TYPE, VALUE, Difference
from differ.profile_rows import ROWS_MAX, Ended, newest, profile_of, save_profile, taught, version_of_base
from differ.profiles import Learning, Profile
from differ.worker import Worker
from echolane.errors import UsageError
from echolane.observation import TargetInfo
from echolane.recordings import Recording
from echolane.retention import DAY_NS, expire_profiles
from echolane.runspec import RunSpec
from echolane.settings import PROFILES_KEPT_DAYS, Differ
from echolane.store import Store, open_store
from tests.differ.test_profiles import ENDPOINT, WHERE, learned
from tests.differ.test_verdicts import row

NOW = 1_795_448_000_000_000_000
NUMBERS = iter(range(1_000_000))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of all tests here; each has a service of its own."""
    return tmp_path_factory.mktemp("profiles")


@pytest.fixture(scope="module")
def store(home: Path) -> Iterator[Store]:
    """Its store."""
    with open_store(home) as opened:
        yield opened


@pytest.fixture
def service() -> str:
    """A service that no other test has."""
    return f"shop-{next(NUMBERS)}"


def spec(service: str, version: str = "v1", days: float = 0.0, **how: Any) -> RunSpec:
    """A run that began so many days ago."""
    targets = [TargetInfo(f"http://127.0.0.1:{8001 + n}") for n in range(4)]
    began = NOW - int(days * DAY_NS)
    run = f"{service}-{next(NUMBERS)}"
    found = RunSpec(run, service, Recording("r", service, 0, "everything", []), targets, base_version=version)
    return replace(found, started_at_ns=began, **how)


def noise(count: int, kind: str = "value", facet: int = VALUE, where: str = WHERE) -> Learning:
    """What a run learns in which base differs so often from itself."""
    return learned([row(n, [(1, where, kind, facet, n)]) | {"fired_at": 1 + n} for n in range(count)])


def save(store: Store, run: RunSpec, learning: Learning, control: int = 100, reason: str = "passed") -> None:
    """Close a run as far as its profile goes."""
    at = run.started_at_ns
    save_profile(store, run, learning, [Ended(ENDPOINT, control, at + 1, at + 1000)], reason)


def used(store: Store, run: RunSpec) -> Profile:
    """The profile that a run uses; it must be one."""
    found = profile_of(store, run)
    assert found.profile is not None, found.unused
    return found.profile


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=6), st.randoms(use_true_random=False))
def test_only_the_latest_closing_of_each_run_counts(store: Store, closings: list[tuple[int, int]], chance: Any) -> None:
    """Three runs, closed again and again in any order, resumed with more or less: each is counted once."""
    service = f"shop-{next(NUMBERS)}"
    runs, last = [spec(service, days=days) for days in (3, 2, 1)], dict[int, int]()
    for number, differing in closings:
        for _ in range(chance.choice((1, 2))):
            save(store, runs[number], noise(differing), control=10 + differing)
        last[number] = differing
    kept = profile_of(store, spec(service)).profile

    assert (kept.runs if kept else 0) == len(last)
    if kept:
        known = kept.known(ENDPOINT, WHERE, VALUE)
        assert (known.observed, known.differing) == (sum(10 + n for n in last.values()), sum(last.values()))
        assert known.kinds == (frozenset({"value"}) if known.differing else frozenset())


def test_a_place_that_a_later_closing_does_not_show_is_forgotten(store: Store, service: str) -> None:
    """A resumed run may have replaced the very exchanges that differed."""
    run = spec(service, days=1)
    save(store, run, noise(5))
    save(store, run, noise(0))

    assert used(store, spec(service)).places == {}


def test_the_worker_knows_from_its_first_exchange_on_what_is_noise(store: Store, service: str) -> None:
    """What is watched while a run goes on leaves out what base is known to do by itself."""
    save(store, spec(service, days=1), noise(5))
    nothing: Any = None
    worker = Worker(nothing, store, spec(service), nothing, nothing, nothing)
    for _ in range(100):
        worker._maker.live.add(
            ENDPOINT, [(0, Difference(WHERE, "value", VALUE)), (0, Difference("body:$.b", "value", VALUE))]
        )

    assert worker._maker.live.sure == {(ENDPOINT, "body:$.b")}


def test_a_run_does_not_use_what_it_or_a_later_one_has_learned(store: Store, service: str) -> None:
    """Closed again, a run comes to the same result."""
    earlier, run, later = spec(service, days=2), spec(service, days=1), spec(service)
    for one in (earlier, run, later):
        save(store, one, noise(5))

    assert used(store, run).runs == 1
    assert profile_of(store, earlier).profile is None
    assert used(store, spec(service, days=-1)).runs == 3


def test_a_profile_that_is_too_old_or_of_another_version_is_not_used_and_this_is_said(
    store: Store, service: str
) -> None:
    """Fourteen days, unless the settings say otherwise; 0 is not at all."""
    save(store, spec(service, days=15), noise(5))
    save(store, spec(service, "v0", days=1), noise(5))

    assert "that of base v1 is 14 days old" in profile_of(store, spec(service)).unused
    assert "base is of version v2, and the newest is of v0" in profile_of(store, spec(service, "v2")).unused
    assert used(store, spec(service, differ=Differ(profile_days=20))).version == "v1"
    off = profile_of(store, spec(service, "v0", differ=Differ(profile_days=0)))
    assert (off.profile, off.unused) == (None, "")


def test_what_has_no_name_is_bound_to_how_base_is_reached(store: Store, service: str) -> None:
    """The same address, or the same command in the same folder; neither is known to be one version."""
    by_url = spec(service, "", days=1)
    by_command = replace(by_url, run="c", base_cmd="./serve {port}", folder="/srv/shop")
    save(store, by_url, noise(5))
    save(store, by_command, noise(6))

    assert version_of_base(by_url) == "? http://127.0.0.1:8001"
    assert version_of_base(by_command) == "? /srv/shop$ ./serve {port}"
    assert (used(store, spec(service, "")).named, used(store, spec(service, "")).runs) == (False, 1)
    assert profile_of(store, replace(by_command, run="d", folder="/srv/other", started_at_ns=NOW)).profile is None


def test_a_run_that_replays_nothing_faithfully_teaches_nothing(store: Store, service: str) -> None:
    """A base that answers 401 to all is quiet; what an earlier closing of the run said is taken back."""
    run = spec(service, days=1)
    save(store, run, noise(5))
    save(store, run, noise(5), reason="fidelity")

    assert profile_of(store, spec(service)).profile is None


def test_endpoints_that_are_not_known_whole_are_left_out() -> None:
    """No answer of a control, all comparisons given up, or no room: an endpoint is told whole or not at all."""
    learning = Learning()
    learning.given_up, learning.left_out = {"GET /b": 7, "GET /c": 3}, {"GET /d"}
    ended = [Ended(f"GET /{name}", 7 if name != "a" else 0, 1, 2) for name in "abcde"]
    assert [(one.endpoint, one.control) for one in taught(learning, ended)] == [("GET /c", 4), ("GET /e", 7)]

    many = [Ended(f"GET /{n:06d}", 7, 1, 2) for n in range(ROWS_MAX + 5)]
    assert len(taught(learning, many)) == ROWS_MAX


def test_profiles_leave_the_store_when_no_run_may_use_them(store: Store, service: str) -> None:
    """After a quarter, and not a day before."""
    save(store, spec(service, "old", days=PROFILES_KEPT_DAYS + 1), noise(5))
    save(store, spec(service, "new", days=PROFILES_KEPT_DAYS - 1), noise(5))

    def kept() -> set[str]:
        rows = store.query("SELECT DISTINCT target FROM noise WHERE service = {s:String}", {"s": service})
        return {row["target"] for row in rows}

    assert kept() == {"old", "new"}
    assert expire_profiles(store, NOW) > 0
    assert kept() == {"new"}
    assert expire_profiles(store, NOW) == 0


def test_what_was_taken_back_does_not_come_back_by_retention(store: Store, service: str) -> None:
    """The row that takes an earlier closing back is as old as its run, and leaves with it."""
    run = spec(service, days=1)
    save(store, run, noise(5))
    save(store, run, noise(5), reason="fidelity")
    expire_profiles(store, NOW)

    assert profile_of(store, spec(service)).profile is None


def test_closing_a_run_writes_its_profile_and_says_what_was_used(store: Store, service: str) -> None:
    """Rows of results as the worker writes them; closed twice, it is one run."""
    run = spec(service, days=1)
    rows = [row(n, [(1, WHERE, "value", VALUE, n)] if n < 3 else []) for n in range(8)]
    unstored = {"has_control", "has_branch_control"}
    columns: dict[str, list[Any]] = {name: [one[name] for one in rows] for name in rows[0] if name not in unstored}
    store.insert(
        "results",
        columns
        | {"run": [run.run] * 8, "id": [f"{n}" for n in range(8)], "version": [1] * 8, "service": [service] * 8}
        | {
            "outcomes": [["answered"] * 4] * 8,
            "statuses": [[200] * 4] * 8,
            "fired_at": [run.started_at_ns + n for n in range(8)],
        },
    )
    for _ in range(2):
        result = close_run(store, run, state="finished", reason="", selected=8, fired_per_s=1.0)
    known = used(store, spec(service))

    assert result["profile"] is None
    assert (known.runs, known.exchanges, known.first_ns, known.last_ns) == (
        1,
        8,
        run.started_at_ns,
        run.started_at_ns + 7,
    )
    assert (known.known(ENDPOINT, WHERE, VALUE).differing, known.known(ENDPOINT, WHERE, TYPE).differing) == (3, 0)
    noted = known.places[ENDPOINT, WHERE][VALUE]
    assert (noted.first_ns, noted.last_ns, noted.own) == (run.started_at_ns, run.started_at_ns + 2, 3)


def test_a_profile_is_chosen_by_service_and_version(store: Store, service: str) -> None:
    """The newest by default; what is not kept is named with what is."""
    save(store, spec(service, "v1", days=2), noise(5))
    save(store, spec(service, "v2", days=1), noise(5))

    assert newest(store, service)[1].version == "v2"
    assert newest(store, service, "v1")[1].version == "v1"
    with pytest.raises(UsageError, match="known are v2, v1"):
        newest(store, service, "v3")
    with pytest.raises(UsageError, match="no profile of service `nobody` is kept"):
        newest(store, "nobody")
    with pytest.raises(UsageError, match="say which with --service"):
        newest(store)


@pytest.fixture
def export(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """``echolane rules export --profile`` into a file of rules; then its text and what `rules check` says of it."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[str, int, str]:
        assert main(["rules", "export", "--profile", "--home", str(home), *words]) == 0
        text = capsys.readouterr().out
        (tmp_path / "echolane.toml").write_text(text, "utf-8")
        code = main(["rules", "check"])
        return text, code, capsys.readouterr().err

    return run


def test_a_profile_is_exported_as_rules_that_are_accepted(
    store: Store, service: str, export: Callable[..., Any]
) -> None:
    """With the evidence as reason, an end, and an owner to fill in; what is over-broad or grave is left out, aloud."""
    rows = [row(n, [(1, WHERE, "value", VALUE, n), (1, "body:$.order", "order", VALUE, n)]) for n in range(9)]
    rows += [row(n, [(1, "body", "value", VALUE, n), (1, "body:$.gone", "missing", 0, n)]) for n in range(2)]
    save(store, spec(service, days=1), learned(rows))
    text, code, said = export("--service", service, "--owner", "team-shop")

    assert (code, text.count("[[rules]]")) == (0, 2), said
    assert (
        f'service = "{service}"\nmethod = "GET"\nendpoint = "/items/{{id}}"\nwhere = "{WHERE}"\nmatcher = "ignore"'
        in text
    )
    assert 'where = "body:$.order"\nmatcher = "ignore-order"' in text
    assert 'reason = "base differs from itself in 9 of 100 exchanges of 1 run' in text
    assert "expires = " in text
    assert "# not proposed: body: ROOT_VALUE" in text
    assert "# not proposed: body:$.gone: a change of this kind is for a person to look at" in text

    text, code, said = export("--service", service)
    assert (code, text.count('owner = ""  # fill in')) == (2, 2)
    assert said.count("`owner` is missing") == 2
