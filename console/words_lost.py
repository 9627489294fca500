"""What a run could not read of its recording, in the words of its result. Pure."""

from __future__ import annotations

import msgspec

from console import words
from echolane.lost import Lost


def lost_line(result: words.Result) -> str:
    """A sentence for beside the verdict; empty where nothing was lost, and where the verdict's own reason says it."""
    told = words.section(result, "lost")
    if not told:
        return ""
    said = msgspec.convert(told, Lost).sentence(words.text(result, "service"))
    return "" if said in words.headline(result) else f"{said}."
