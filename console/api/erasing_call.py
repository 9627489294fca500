"""Erase somebody's data over the API: the same as ``echolane erase``, in the audit log by a digest of whose it was."""

from __future__ import annotations

import os
import time
from typing import cast

from console.api.context import Call, Site
from console.api.messages_keeping import ErasureRequest, Erasures, ErasureTold
from console.api.problems import Problem
from console.erasing import Erasure, Hindered, begun, erase, receipts, unfinished
from echolane import ids
from echolane.erasing import subject_of
from echolane.keys import load_seal_keys


async def create_erasure(call: Call) -> ErasureTold:
    """Erase, and answer when it is done."""
    wanted = cast("ErasureRequest", call.body)
    if not call.token.sees_all:
        raise Problem(
            "conflict", "erasing goes through all services, and this token is for some; use one that is for all"
        )
    if not wanted.tokens and not wanted.values:
        raise Problem("conflict", "nobody is named, so there is nothing to erase; give `tokens`, `values` or both")
    site = call.site
    keys = await site.read(load_seal_keys, site.home.keys, os.environ)
    subject = subject_of(keys, wanted.tokens, [value.encode() for value in wanted.values])
    call.what = f"subject {subject.digest}"
    now = time.time_ns()
    try:
        done = await site.read(_erased, site, await site.read(begun, site.home, subject, ids.uuid7(now), now))
    except Hindered as error:
        raise Problem("conflict", str(error)) from error
    call.what += f": {done.total} erased"
    return _told(done)


async def list_erasures(call: Call) -> Erasures:
    """Receipts, the newest first."""
    found = await call.site.read(receipts, call.site.home) if call.token.sees_all else []
    return Erasures([_told(one) for one in reversed(found[-200:])])


def _erased(site: Site, asked: Erasure) -> Erasure:
    days, embedded = site.settings.journal.retention_days, not site.settings.store
    done = asked
    for erasure in [*(one for one in unfinished(site.home) if one.id != asked.id), asked]:
        done = erase(site.home, site.store, erasure, time.time_ns(), days, embedded=embedded)
    return done


def _told(one: Erasure) -> ErasureTold:
    return ErasureTold(one.id, one.subject, one.asked_at, one.done_at or None, one.erased, one.remains)
