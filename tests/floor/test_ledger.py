"""Counters that survive kill -9, and the identities that must balance."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from echolane.errors import HomeError
from echolane.ledger import (
    NAME_BYTES,
    SLOTS,
    Counters,
    capture_identities,
    read_counters,
    run_identities,
    summed,
    unaccounted,
)

ROOT = Path(__file__).resolve().parents[2]


def a_ledger() -> dict[str, Any]:
    """The ledger of the design's example: it balances."""
    return {
        "selected": 300,
        "skipped": {"unsafe-method": 20},
        "fired": 280,
        "answered": {"base": 280, "control": 200, "branch": 279, "branch_control": 200},
        "failed": {"branch": {"timeout": 1}},
        "spared": {"control": {"sampled": 80}, "branch_control": {"sampled": 80}},
        "in_doubt": {},
        "not_compared": {},
        "compared": 280,
        "same": 230,
        "noise_only": 40,
        "undecided": 0,
        "different": 10,
        "uncomparable": {},
        "unaccounted": 0,
    }


def test_counters_are_what_was_added(tmp_path: Path) -> None:
    """Adds, sets, new names and a second opening: one account."""
    counters = Counters(tmp_path / "deep/relay.ledger")
    counters.add("seen", 3)
    counters.add("dropped{sampled}")
    counters.add("seen")
    counters.set("spooled", 2)
    assert (counters.get("seen"), counters.get("never")) == (4, 0)
    counters.close()

    again = Counters(tmp_path / "deep/relay.ledger")
    again.add("seen")

    assert again.read() == read_counters(again.path) == {"seen": 5, "dropped{sampled}": 1, "spooled": 2}
    assert repr(again) == "<Counters relay.ledger {'seen': 5, 'dropped{sampled}': 1, 'spooled': 2}>"
    again.close()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.text(max_size=80), st.integers(0, 1000)), max_size=150))
def test_no_count_is_lost_whatever_the_names(
    tmp_path_factory: pytest.TempPathFactory, adds: list[tuple[str, int]]
) -> None:
    """Sums over reasons stay exact with any names, also beyond the slots: what finds none counts as {other}."""
    counters = Counters(tmp_path_factory.mktemp("ledger") / "c")
    for name, count in adds:
        counters.add(f"dropped{{{name.replace(chr(0), '')}}}", count)

    counts = read_counters(counters.path)
    counters.close()

    assert summed(counts, "dropped") == sum(count for _, count in adds)
    assert len(counts) <= SLOTS


def test_names_beyond_the_slots_count_as_other(tmp_path: Path) -> None:
    """A bounded file takes any number of reasons; capture's identity still balances."""
    counters = Counters(tmp_path / "c")
    for n in range(500):
        counters.add("seen")
        counters.add(f"dropped{{reason-{n}}}")
        counters.add("failed{" + "x" * NAME_BYTES + f"{n}}}")

    counts = counters.read()
    counters.close()

    assert counts["dropped{other}"] > 300
    assert summed(counts, "failed") == 500
    assert capture_identities(counts) == []


def test_counts_survive_kill_9(tmp_path: Path) -> None:
    """What was added before the process was killed is in the file."""
    script = (
        "import os, signal, sys; from pathlib import Path; from echolane.ledger import Counters\n"
        "c = Counters(Path(sys.argv[1]))\n"
        "for n in range(1000): c.add('seen'); c.add('dropped{busy}', 2)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )

    done = subprocess.run([sys.executable, "-c", script, tmp_path / "c"], cwd=ROOT, timeout=120, check=False)

    assert done.returncode == -signal.SIGKILL
    assert read_counters(tmp_path / "c") == {"seen": 1000, "dropped{busy}": 2000}


def test_a_file_without_room_is_an_error_at_the_start(tmp_path: Path) -> None:
    """The blocks are taken when the file is made, so a disk that fills later cannot kill who counts."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(HomeError, match=r"ledger .* cannot be used"):
            Counters(tmp_path / "c")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    counters = Counters(tmp_path / "d")
    assert os.stat(counters.path).st_blocks * 512 >= SLOTS * 64
    counters.close()


def test_a_missing_or_strange_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """No file, no counts; a short or foreign one raises nothing."""
    (tmp_path / "short").write_bytes(b"seen")
    (tmp_path / "strange").write_bytes(os.urandom(20_000))

    assert read_counters(tmp_path / "none") == {}
    assert read_counters(tmp_path / "short") == {"seen": 0}
    read_counters(tmp_path / "strange")
    with pytest.raises(HomeError, match="cannot be read"):
        read_counters(tmp_path)


def test_capture_balances_or_says_what_does_not() -> None:
    """Seen is stored and spooled and all that was dropped, whatever the reason."""
    assert capture_identities({}) == []
    assert (
        capture_identities({"seen": 9, "stored": 4, "spooled": 2, "dropped{a}": 1, "dropped{b}": 2, "other": 7}) == []
    )
    assert capture_identities({"seen": 9, "stored": 4}) == ["seen 9 != stored and spooled 4 + dropped 0"]


def test_the_design_s_example_balances() -> None:
    """A run's ledger in the shape of the result's JSON."""
    assert run_identities(a_ledger()) == []
    assert unaccounted(a_ledger()) == 0
    assert run_identities({}) == []


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("selected", 301, "selected = fired + skipped: 301 != 300"),
        ("skipped", {"unsafe-method": 20, "truncated-body": 1}, "selected = fired + skipped: 300 != 301"),
        ("same", 231, "compared = same + noise_only + undecided + different + uncomparable: 280 != 281"),
        (
            "uncomparable",
            {"too-large": 2},
            "compared = same + noise_only + undecided + different + uncomparable: 280 != 282",
        ),
        ("not_compared", {"dead-letter": 1}, "fired = compared + not_compared: 280 != 281"),
        ("failed", {}, "fired = answered + failed + in_doubt + spared at branch: 280 != 279"),
        ("in_doubt", {"base": 1}, "fired = answered + failed + in_doubt + spared at base: 280 != 281"),
        (
            "spared",
            {"control": {"sampled": 80}},
            "fired = answered + failed + in_doubt + spared at branch_control: 280 != 200",
        ),
        ("unaccounted", 3, "unaccounted: 3 != 0"),
    ],
)
def test_each_identity_of_a_run_is_watched(key: str, value: object, words: str) -> None:
    """One number that is wrong is said, in words."""
    assert run_identities(a_ledger() | {key: value}) == [words]


def test_a_failure_of_two_targets_is_two_lines() -> None:
    """Every equation that fails is said, and unaccounted adds them up."""
    wrong = a_ledger() | {"answered": {"base": 279, "control": 200, "branch": 279, "branch_control": 198}}

    assert len(run_identities(wrong)) == 2
    assert unaccounted(wrong) == 3
