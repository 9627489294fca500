"""Keys: made once however many start at once, readable by their owner alone, and every fault says what to do."""

from __future__ import annotations

import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from echolane.errors import HomeError, UsageError
from echolane.keys import SealKey, load_mark_key, load_seal_keys

HEX = "ab" * 32


def test_a_home_gets_its_keys_at_first_use(tmp_path: Path):
    """The first use makes a key of mode 0600, every later one reads it."""
    first = load_seal_keys(tmp_path / "keys", {})
    path = tmp_path / "keys" / "seal.key"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_seal_keys(tmp_path / "keys", {}) == first
    assert load_mark_key(tmp_path / "keys", {}) == load_mark_key(tmp_path / "keys", {}) != first.current.secret
    assert sorted(os.listdir(tmp_path / "keys")) == ["mark.key", "seal.key"]


def test_many_starts_at_once_agree(tmp_path: Path):
    """Of processes that race for a missing key one wins, and all read the same."""
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: load_seal_keys(tmp_path, {}).current.secret, range(24)))

    assert len(set(keys)) == 1


def test_the_environment_comes_first(tmp_path: Path):
    """A key that is given is used, and none is made."""
    assert load_seal_keys(tmp_path, {"ECHOLANE_SEAL_KEY": f" {HEX}\n"}).current.secret == bytes.fromhex(HEX)
    assert load_mark_key(tmp_path, {"ECHOLANE_MARK_KEY": HEX}) == bytes.fromhex(HEX)
    assert list(tmp_path.iterdir()) == []


def test_a_command_gives_the_key(tmp_path: Path):
    """Keys may live in a vault that a command reads."""
    command = f"{sys.executable} -c 'print(\"{HEX}\")'"

    assert load_seal_keys(tmp_path, {"ECHOLANE_SEAL_KEY_COMMAND": command}).current.secret == bytes.fromhex(HEX)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("no-such-program-here", "cannot be run"),
        (f"{sys.executable} -c 'import sys; sys.exit(\"vault is shut\")'", "vault is shut"),
        (f"{sys.executable} -c 'print(7)'", "64 hex digits"),
        ("'", "cannot be run"),
    ],
)
def test_a_command_that_fails_is_named(tmp_path: Path, command: str, said: str):
    """The message says which command, and what it said."""
    with pytest.raises(UsageError, match=said):
        load_seal_keys(tmp_path, {"ECHOLANE_SEAL_KEY_COMMAND": command})


def test_older_keys_still_open(tmp_path: Path):
    """A new key goes first and seals; the old ones behind it are still found by name."""
    new, old = SealKey.of(bytes(32)), SealKey.of(bytes.fromhex(HEX))
    keys = load_seal_keys(tmp_path, {"ECHOLANE_SEAL_KEY": f"{bytes(32).hex()},{HEX}"})

    assert keys.current == new
    assert keys.find(old.id) == old
    assert keys.find(b"none") is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606, 0o660])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int):
    """A key in the open is no key; the message has the command that mends it."""
    load_seal_keys(tmp_path, {})
    (tmp_path / "seal.key").chmod(mode)

    with pytest.raises(HomeError, match=r"mode 0\d+.*chmod 600"):
        load_seal_keys(tmp_path, {})


@pytest.mark.parametrize("content", ["", "zz" * 32, "ab" * 31, f"{HEX} {HEX}x", "é" * 64])
def test_a_damaged_key_is_refused_without_showing_it(tmp_path: Path, content: str):
    """Damage names the file and the way to a key, never what the file holds."""
    path = tmp_path / "mark.key"
    path.write_text(content, "utf-8")
    path.chmod(0o600)

    with pytest.raises(HomeError, match=r"mark\.key must hold.*openssl rand -hex 32") as caught:
        load_mark_key(tmp_path, {})
    assert not content or content not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    """A home that cannot hold keys is one line with the path."""
    (tmp_path / "file").write_text("x")

    with pytest.raises(HomeError, match=r"file/keys/seal\.key"):
        load_seal_keys(tmp_path / "file" / "keys", {})


def test_a_directory_in_the_place_of_a_key_is_named(tmp_path: Path):
    """What is no file cannot be a key."""
    (tmp_path / "seal.key").mkdir()

    with pytest.raises(HomeError, match=r"seal\.key cannot be read"):
        load_seal_keys(tmp_path, {})


def test_a_key_never_shows_itself():
    """Neither repr nor the mask key tells the seal key."""
    key = SealKey.of(bytes.fromhex(HEX))

    assert HEX not in repr(key)
    assert key.mask_key() != key.secret
    assert key.mask_key() == SealKey.of(bytes.fromhex(HEX)).mask_key()
    with pytest.raises(ValueError, match="32 bytes"):
        SealKey.of(b"short")
