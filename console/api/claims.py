"""Where a run that a server was asked for fires (:class:`console.api.turns.Claim`), looked up."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import msgspec

from console.api.turns import Claim, claim_of_flags, claim_of_spec
from echolane.runspec import RunSpec
from echolane.store import Store

SPEC = "SELECT spec FROM runs_v WHERE run = {run:String}"


def claim_of(store: Store, run: str, words: Sequence[str]) -> Claim:
    """By its flags, and of one that is gone on with by what it began with. Waits for the store."""
    if words[:1] != ["--resume"]:
        return claim_of_flags(words)
    rows = store.query(SPEC, {"run": run})
    with contextlib.suppress(msgspec.DecodeError):  # none, or of another version: its process says so and fires nothing
        return claim_of_spec(msgspec.json.decode(str(rows[0]["spec"]) if rows else "", type=RunSpec))
    return Claim()
