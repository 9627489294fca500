"""Settings: who wins, what a typo earns, and that every value is checked where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from echolane.errors import UsageError
from echolane.settings import WHAT, Settings, load


def from_toml(tmp_path: Path, text: str, environ: dict[str, str] | None = None, **flags: object) -> Settings:
    """Settings with this echolane.toml."""
    path = tmp_path / "echolane.toml"
    path.write_text(text)
    return load({key.replace("__", "."): value for key, value in flags.items()}, environ or {}, path)


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    """Four layers, and each value says where it comes from."""
    toml = "home = 'file'\n[replay]\nconcurrency = 2\npace = '2x'\nmethods = 'all'\n"
    environ = {"ECHOLANE_REPLAY_CONCURRENCY": "3", "ECHOLANE_REPLAY_PACE": "3x", "PATH": "/bin"}

    found = from_toml(tmp_path, toml, environ, replay__concurrency=4)

    assert (found.replay.concurrency, found.replay.pace, found.replay.methods, found.home) == (4, "3x", "all", "file")
    assert found.replay.connect_timeout_s == 3.0
    source = {row.key: row.source for row in found.explain()}
    assert source["replay.concurrency"] == "flag"
    assert source["replay.pace"] == "ECHOLANE_REPLAY_PACE"
    assert source["replay.methods"] == f"{tmp_path}/echolane.toml line 5"
    assert source["seal"] == "default"


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    """No file is no error, and the defaults are the design's."""
    found = load({}, {}, tmp_path / "none.toml")

    assert found == Settings()
    assert (found.home, found.seal, found.journal.partitions) == (".echolane", True, 4)
    assert (found.replay.pace, found.replay.concurrency, found.replay.methods) == ("max", 16, "safe")
    assert (found.replay.connect_timeout_s, found.replay.first_byte_timeout_s, found.replay.total_timeout_s) == (
        3,
        10,
        30,
    )
    assert (found.differ.decoded_bytes, found.differ.depth, found.differ.nodes, found.differ.time_ms) == (
        8 << 20,
        512,
        200_000,
        250,
    )
    assert (found.capture.request_body_kept, found.capture.answer_body_kept) == (256 << 10, 1 << 20)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[replay]\n\nconcurency = 3",
            "line 3: unknown setting `replay.concurency`; did you mean `replay.concurrency`?",
        ),
        ("a = 1\nreplay.pase = 'max'", "line 1: unknown setting `a`"),
        ("replay.pase = 'max'", "line 1: unknown setting `replay.pase`; did you mean `replay.pace`?"),
        ("seal = true\nreplay = {pase = 'max'}", "line 2: unknown setting `replay.pase`"),
        ("\n[replays]\n", "line 2: unknown setting `replays`"),
        ("\nreplay = 5", "line 2: unknown setting `replay`"),
        ("[[replay]]\npace = 'max'", "line 1: unknown setting `replay`"),
        ("[replay.pace]\nx = 1", "line 1: setting `replay.pace` needs a text, not {'x': 1}"),
        ("[replay]\nconcurrency = 'many'", "line 2: setting `replay.concurrency` needs a whole number, not 'many'"),
        ("[replay]\nconcurrency = true", "line 2: setting `replay.concurrency` needs a whole number, not True"),
        ("[replay]\nconcurrency = 0", "line 2: setting `replay.concurrency` is 0; it must be between 1 and 4096"),
        ("[capture]\nsampling = nan", "line 2: setting `capture.sampling` is nan; it must be between 0 and 1"),
        ("[capture]\npaths = '/a'\nmethods = [1]", "line 3: setting `capture.methods` needs a list of texts, not [1]"),
        (
            "[replay]\npace = 'quick'",
            "line 2: setting `replay.pace` is 'quick'; it must be `recorded`, `2x`, `200/s`, `max` or `10/s..500/s over 5m`",
        ),
        ("[replay]\nmethods = 'unsafe'", "line 2: setting `replay.methods` is 'unsafe'; it must be `safe` or `all`"),
        ("home = ''", "line 1: setting `home` is ''; it must be a folder"),
        ("seal = 1", "line 1: setting `seal` needs true or false, not 1"),
        ("home = ", "is not TOML"),
        ("[targets.base]\nhots = 'a'", "line 2: unknown setting `targets.base.hots`; did you mean `host`?"),
        ("[targets.base]\nhost = 'a b'", "line 2: `targets.base.host` is 'a b'; use target, recorded, or a name"),
        ("[targets.base]\nhost = 'a\\r\\nx: y'".replace("'", '"'), "`targets.base.host` is 'a\\r\\nx: y'; use"),
        ("[targets.base]\nhost = 'shop.example:65536'", "line 2: `targets.base.host` is 'shop.example:65536'; use"),
        ("[targets.base]\nhost = 'http://shop.example'", "line 2: `targets.base.host` is 'http://shop.example'; use"),
        ("[targets.base]\nhost = 'user@shop.example'", "line 2: `targets.base.host` is 'user@shop.example'; use"),
        ("[targets.base]\norigin = 'yes'", "line 2: `targets.base.origin` is 'yes'; use true or false"),
        ("[targets.base]\norigins = true", "line 2: unknown setting `targets.base.origins`; did you mean `origin`?"),
        ("[targets.base]\nhost = 8001", "line 2: `targets.base.host` is 8001; use"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_its_line(tmp_path: Path, text: str, words: str) -> None:
    """Unknown keys, wrong types and values out of bounds say which, where and what to do."""
    with pytest.raises(UsageError) as caught:
        from_toml(tmp_path, text)

    assert words in str(caught.value)
    assert str(tmp_path / "echolane.toml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_which_targets_may_be_where_the_recording_comes_from_is_read_by_name(tmp_path: Path) -> None:
    """In any case, each as it is said, beside what else is said of it."""
    file = tmp_path / "echolane.toml"
    file.write_text('[targets.base]\norigin = true\nhost = "a"\n[targets."Shop.example:80"]\norigin = false\n')
    found = load({}, {}, file)
    assert found.origins == {"base": True, "shop.example:80": False}
    assert found.hosts == {"base": "a"}


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    """Bytes that are not UTF-8, or a folder of that name, are one line."""
    (tmp_path / "echolane.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        load({}, {}, tmp_path / "echolane.toml")
    with pytest.raises(UsageError, match="cannot be read"):
        load({}, {}, tmp_path)


def test_the_environment_is_read_by_type(tmp_path: Path) -> None:
    """Texts become what their setting is; words for yes and no are understood."""
    environ = {
        "ECHOLANE_SEAL": "off",
        "ECHOLANE_REPLAY_TOTAL_TIMEOUT_S": "5",
        "ECHOLANE_CAPTURE_NOT_PATHS": "/healthz, /metrics,",
        "ECHOLANE_CAPTURE_SAMPLING": "0.25",
        "ECHOLANE_HOME": "0123",
        "ECHOLANE_SEAL_KEY": "a secret is no setting",
        "ECHOLANE_PURE": "which form runs is none either",
    }

    found = load({}, environ, tmp_path / "none")

    assert (found.seal, found.replay.total_timeout_s, found.capture.sampling, found.home) == (False, 5.0, 0.25, "0123")
    assert found.capture.not_paths == ["/healthz", "/metrics"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "ECHOLANE_REPLAY_PASE",
            "max",
            "unknown setting `ECHOLANE_REPLAY_PASE` in the environment; did you mean `ECHOLANE_REPLAY_PACE`?",
        ),
        ("ECHOLANE_SEAL", "maybe", "ECHOLANE_SEAL: setting `seal` needs true or false, not 'maybe'"),
        (
            "ECHOLANE_REPLAY_CONCURRENCY",
            "1e3x",
            "ECHOLANE_REPLAY_CONCURRENCY: setting `replay.concurrency` needs a whole number, not '1e3x'",
        ),
        ("ECHOLANE_REPLAY_CONCURRENCY", "", "needs a whole number, not ''"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, name: str, value: str, words: str) -> None:
    """The environment is held to the same rules as the file."""
    with pytest.raises(UsageError) as caught:
        load({}, {name: value}, tmp_path / "none")

    assert words in str(caught.value)


def test_every_setting_can_be_explained(tmp_path: Path) -> None:
    """Each field has its words, and there are no words without a field."""
    rows = load({}, {}, tmp_path / "none").explain()
    fields = {"home", "store", "seal"} | {
        f"{room}.{name}"
        for room in ("capture", "replay", "differ", "journal", "kafka", "api", "grafana", "up", "oidc")
        for name in getattr(Settings(), room).__struct_fields__
    }

    assert [row.key for row in rows] == list(WHAT)
    assert {row.key for row in rows} == fields
    assert all(row.what for row in rows)
    assert Settings().explain("replay.pace")[0].value == "max"
    with pytest.raises(UsageError, match=r"unknown setting `pace`"):
        Settings().explain("pace")


def test_what_kubernetes_puts_into_the_environment_is_no_setting(tmp_path: Path) -> None:
    """A Service named echolane-… makes variables in every pod beside it; a mistyped setting is told all the same."""
    links = {
        "ECHOLANE_SERVICE_HOST": "10.0.0.1",
        "ECHOLANE_SERVICE_PORT": "8901",
        "ECHOLANE_REPLAY_SERVICE_HOST": "10.0.0.2",
        "ECHOLANE_REPLAY_SERVICE_PORT": "8901",
        "ECHOLANE_REPLAY_SERVICE_PORT_HEALTH": "8901",
        "ECHOLANE_REPLAY_PORT": "tcp://10.0.0.2:8901",
        "ECHOLANE_REPLAY_PORT_8901_TCP": "tcp://10.0.0.2:8901",
        "ECHOLANE_REPLAY_PORT_8901_TCP_PROTO": "tcp",
        "ECHOLANE_REPLAY_PORT_8901_TCP_PORT": "8901",
        "ECHOLANE_REPLAY_PORT_8901_TCP_ADDR": "10.0.0.2",
    }
    none = tmp_path / "none"

    assert load({}, links | {"ECHOLANE_REPLAY_PACE": "2x"}, none).replay.pace == "2x"
    for name in ("ECHOLANE_REPLAY_PORTS", "ECHOLANE_DIFF_PORT", "ECHOLANE_DIFF_SERVICE_PORT", "ECHOLANE_REPLAY_PAC"):
        with pytest.raises(UsageError, match=f"unknown setting `{name}`"):
            load({}, links | {name: "1"}, none)
