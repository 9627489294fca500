"""Flags and settings of how a run is fired: the flag beats the setting, and what makes no sense is one line."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from console.firing_flags import add_firing_flags, firing_of
from echolane.errors import UsageError
from echolane.settings import load


def asked(flags, settings=""):
    """What was asked for with these flags and settings."""
    parser = argparse.ArgumentParser()
    add_firing_flags(parser)
    loaded = load({key: value for key, _, value in (s.partition("=") for s in settings.split())}, {}, Path("/nowhere"))
    return firing_of(parser.parse_args(flags), loaded)


def test_a_flag_beats_its_setting():
    """Nothing said is the default; a setting holds; a flag holds against it."""
    assert (asked([]).think_max_s, asked([]).late, asked([]).late_after_s) == (0.0, "fire", 1.0)
    found = asked(["--late", "skip"], "replay.late_after_s=0.25 replay.think_max_s=3")
    assert (found.late, found.late_after_s, found.think_max_s) == ("skip", 0.25, 3.0)
    found = asked(["--late", "skip:40ms", "--think-max", "1.5s"], "replay.late_after_s=0.25 replay.think_max_s=3")
    assert (found.late, found.late_after_s, found.think_max_s) == ("skip", 0.04, 1.5)
    found = asked(["--late", "fire", "--think-max", "0"], "replay.late=skip replay.think_max_s=3")
    assert (found.late, found.think_max_s) == ("fire", 0.0)


@pytest.mark.parametrize("text", ["never", "skip:", "skip:0ms", "skip:2h", "fire:1s", "skip:fast"])
def test_a_late_policy_that_is_none_is_refused(text, capsys):
    """The message names what was given."""
    with pytest.raises(SystemExit):
        asked(["--late", text])
    assert "--late" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["2", "-1s", "2d", "a while"])
def test_a_longest_pause_that_is_none_is_refused(text):
    """A number without a unit, below nothing, beyond a day."""
    with pytest.raises(UsageError, match=r"think-max|span of time"):
        asked([f"--think-max={text}"])
