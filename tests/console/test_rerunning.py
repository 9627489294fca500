"""A run is done again as it was asked for, and only where the server may fire."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from console.api.calls_runs import flags_of
from console.api.launching import Asked
from console.api.messages import RunRequest
from console.api.problems import Problem
from console.api.reading import Run
from console.api.rerunning import flags_again, words_of
from console.api.targets import Configured, Target
from echolane import recordings
from echolane.home import open_home
from echolane.observation import TargetInfo
from echolane.recordings import Range, Recording
from echolane.runspec import Firing, RunSpec

RUN = "01936b1c-8f2a-7c31-9d4e-5f6071829304"
KEPT = Recording("01936b1c-0000-7c31-9d4e-5f6071829304", "shop", 1, "everything", [Range(0, 0, 9)])
BASE, TWIN, BRANCH = "http://127.0.0.1:8000", "http://127.0.0.1:8001", "http://feature-a.test.example"
TARGETS = [
    Target("shop", "released", BASE, control=TWIN, writes=True),
    Target("shop", "laned", "http://{branch}.test.example", lane="other"),
    Target("shop", "branch", "http://{branch}.test.example", lane="{branch}"),
]


def spec(**more: Any) -> RunSpec:
    """A run with everything that a flag can say."""
    base, twin, branch = TargetInfo(BASE), TargetInfo(TWIN), TargetInfo(BRANCH, "feature-a")
    firing = Firing(
        think_max_s=1.5, late="skip", late_after_s=2.0, stop_on=["errors>5%"], adaptive=True, lane_check=False
    )
    given: dict[str, Any] = {
        "pace": "1x..4x over 5m",
        "concurrency": 7,
        "branch_name": "feature/a",
        "base_version": "2.4.1",
        "firing": firing,
        "stop_early": True,
        **more,
    }
    return RunSpec(RUN, "shop", KEPT, [base, twin, branch, branch], **given)


def site(folder: Path, told: RunSpec | None, asked: Asked | None = None, targets: list[Target] = TARGETS) -> Any:
    """A server that knows this of a run."""
    text = msgspec.json.encode(told).decode() if told else ""
    return SimpleNamespace(
        store=SimpleNamespace(query=lambda *_: [{"spec": text}]),
        launcher=SimpleNamespace(find=lambda _: asked),
        targets=Configured(targets),
        home=open_home(folder / "home"),
        settings=SimpleNamespace(replay=SimpleNamespace(methods="safe")),
    )


def again(*how: Any, **more: Any) -> list[str]:
    """The flags of the run once more."""
    return flags_again(site(*how, **more), Run({"run": RUN, "service": "shop", "state": "finished"}, "finished"))


WHOLE = [
    *(
        f"--base={BASE}",
        f"--control={TWIN}",
        f"--branch={BRANCH}",
        "--allow-host=feature-a.test.example",
        "--lane=feature-a",
    ),
    *(
        "--branch-name=feature/a",
        f"--recording={KEPT.id}",
        "--methods=safe",
        "--base-version=2.4.1",
        "--pace=1x..4x over 5m",
        "--concurrency=7",
    ),
    *("--think-max=1500ms", "--late=skip:2s", "--stop-on=errors>5%", "--adaptive", "--no-lane-check", "--stop-early"),
]


def test_every_flag_of_a_run_is_kept(tmp_path: Path) -> None:
    """Also of one that a shell did; its recording is kept by its id, so that the same exchanges are fired."""
    assert again(tmp_path, spec()) == WHOLE
    assert recordings.load(tmp_path / "home" / "recordings", KEPT.id) == KEPT


def test_what_the_server_was_asked_for_is_kept_as_it_was(tmp_path: Path) -> None:
    """Flags that only the server gave, too; of a run that never began there is no recording, and its selection is taken again."""
    words = ["--base=" + BASE, "--control=" + TWIN, "--branch=" + BRANCH, "--lane=feature-a", "--branch-name=feature/a"]
    asked = Asked(RUN, "shop", "t", 1, [*words, "--allow-host=evil.example", "--last=30m", "--pace=2x", "--new-flag=x"])
    assert again(tmp_path, None, asked) == [*WHOLE[:6], "--last=30m", "--methods=safe", "--pace=2x", "--new-flag=x"]
    assert again(tmp_path, spec(), asked) == [*WHOLE[:8], "--pace=2x", "--new-flag=x"]
    assert again(tmp_path, spec(), Asked(RUN, "shop", "t", 1, ["--resume", RUN])) == WHOLE


@pytest.mark.parametrize(
    ("targets", "more", "code", "said"),
    [
        (TARGETS[1:], {}, "conflict", "no target of service `shop` is configured as base"),
        (TARGETS[:2], {}, "conflict", "configured as branch"),
        ([Target("shop", "released", BASE), *TARGETS[1:]], {}, "conflict", "configured as base"),
        (TARGETS, {"branch_name": "feature/b"}, "conflict", "configured as branch"),
        (TARGETS, {"base_cmd": "./serve {port}"}, "conflict", "started its versions by commands"),
        (TARGETS, {"methods": "all"}, "forbidden", "writes = true"),
    ],
)
def test_nothing_is_fired_where_the_server_may_not(
    tmp_path: Path, targets: list[Target], more: dict[str, Any], code: str, said: str
) -> None:
    """Targets, their controls and lanes are those that are configured now; writes only where both may be written to."""
    with pytest.raises(Problem) as error:
        again(tmp_path, spec(**more), targets=targets)
    assert error.value.code == code
    assert said in str(error.value)
    assert not list((tmp_path / "home" / "recordings").glob("*")) or code == "forbidden"


def test_what_the_settings_say_of_methods_is_checked_as_what_is_asked_for(tmp_path: Path) -> None:
    """Who is silent writes where the settings say so and both targets may be written to; a run always says which it does."""
    here = site(tmp_path, None)
    here.settings.replay.methods = "all"
    wanted = RunRequest("shop", "released", "branch", branch_name="feature/a")
    with pytest.raises(Problem, match="writes = true"):
        flags_of(here, wanted)
    assert "--methods=safe" in flags_of(here, msgspec.structs.replace(wanted, methods="safe"))
    here.targets = Configured([msgspec.structs.replace(target, writes=True) for target in TARGETS])
    assert "--methods=all" in flags_of(here, wanted)


def test_a_run_that_nobody_knows_is_not_done_again(tmp_path: Path) -> None:
    """Where neither the store nor the server says how it was asked for."""
    with pytest.raises(Problem, match="nobody knows how"):
        again(tmp_path, None)
    assert words_of(spec(firing=Firing(), stop_early=False))[-1] == "--late=fire"
