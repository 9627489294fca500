"""What runs stand on, as the API's types: captures and their rules, noise profiles, settings. Everything here waits."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from capture.account import NOTES, SPOOLED, Session, ledger_of, losses, recorders, sessions
from console.api import paging
from console.api.access import Token
from console.api.context import Site
from console.api.messages_state import (
    CaptureRule,
    CaptureRules,
    Captures,
    CapturesQuery,
    CaptureTold,
    Noise,
    NoiseQuery,
    NoisyPlace,
    Profiles,
    ProfileTold,
    SettingsTold,
    SettingTold,
)
from console.api.problems import Problem
from console.up_records import Recorded
from differ.difference import VALUE
from differ.profile_rows import RUNS, RUNS_MAX, Row, is_named, read
from differ.profiles import Profile, Spot
from differ.result import iso
from echolane.errors import EcholaneError
from echolane.retention import DAY_NS

PROFILES_MAX = 100
"""Versions that are told of a service: the newest, more than anybody looks back at."""
DROPPED = "dropped{"


def captures(site: Site, token: Token, query: CapturesQuery) -> Captures:
    """A page of the captures that the token sees. A ledger that is being forgotten is left out."""
    only = query.service if isinstance(query.service, str) else ""
    names = [name for name in recorders(site.home) if token.sees(name) and only in {"", name}]
    found = [(_began_ns(session), session) for name in names for session in sessions(site.home, name)]
    page, more = paging.newest_first(
        found, lambda one: (one[0], f"{one[1].service}-{one[1].epoch}"), query.cursor, query.limit
    )
    return Captures([told for began, session in page if (told := _capture(session, began))], more)


def _began_ns(session: Session) -> int:
    """When it began: its lock was made then, and a home that was restored has none of it."""
    try:
        return session.lock.stat().st_mtime_ns
    except OSError:
        return 0


def _capture(session: Session, began_ns: int) -> CaptureTold | None:
    try:
        counts = ledger_of(session)
    except (EcholaneError, OSError):
        return None
    return CaptureTold(
        service=session.service,
        agent=session.agent,
        epoch=session.epoch,
        alive=session.lives,
        began_at=iso(began_ns) if began_ns else None,
        seen=counts.get("seen", 0),
        stored=counts.get("stored", 0),
        spooled=counts.get(SPOOLED, 0),
        dropped={name[len(DROPPED) : -1]: value for name, value in sorted(counts.items()) if name.startswith(DROPPED)},
        lost=losses(counts),
        notes={name: counts[name] for name in NOTES if counts.get(name)},
    )


def rules(site: Site, service: str) -> CaptureRules:
    """What the configuration records of a service. Pure."""
    settings, capture = site.settings, site.settings.capture
    every = CaptureRule(
        listen=None,
        upstream=None,
        seal=settings.seal,
        sampling=capture.sampling,
        methods=capture.methods,
        paths=capture.paths,
        not_paths=capture.not_paths,
        request_body_kept=capture.request_body_kept,
        answer_body_kept=capture.answer_body_kept,
    )
    return CaptureRules(service, [_over(every, one) for one in site.records if one.service == service] or [every])


def _over(every: CaptureRule, one: Recorded) -> CaptureRule:
    """The rule of one address: what it does not give is as for all."""
    given = {name: getattr(one, name) for name in ("seal", "sampling", "methods", "paths", "not_paths")}
    own = {name: value for name, value in given.items() if value is not None}
    return msgspec.structs.replace(every, listen=one.listen, upstream=one.upstream, **own)


def profiles(site: Site, service: str) -> Profiles:
    """The noise profiles of a service, by version of base."""
    return Profiles(service, [_profile(site, runs) for runs in _runs(site, service)[:PROFILES_MAX]])


def _runs(site: Site, service: str) -> list[list[Row]]:
    """The runs that taught something, by version, that which was learned last first."""
    found: dict[str, list[Row]] = {}
    for row in site.store.query(RUNS, {"services": [service]}):
        found.setdefault(str(row["target"]), []).append(row)
    return [runs[:RUNS_MAX] for runs in found.values()]


def _profile(site: Site, runs: Sequence[Row]) -> ProfileTold:
    base, last_ns = str(runs[0]["target"]), max(int(row["last_seen"]) for row in runs)
    age = (time.time_ns() - last_ns) / DAY_NS
    return ProfileTold(
        version=base if is_named(base) else None,
        base=base,
        runs=len(runs),
        exchanges=sum(int(row["observed"]) for row in runs),
        first_seen=iso(min(int(row["first_seen"]) for row in runs)),
        last_seen=iso(last_ns),
        age_days=round(age, 2),
        in_use=age <= site.settings.differ.profile_days,
    )


def noise(site: Site, service: str, query: NoiseQuery) -> Noise:
    """A page of the places at which a version differs from itself."""
    kept = _runs(site, service)
    wanted = query.base if isinstance(query.base, str) else ""
    chosen = next((runs for runs in kept if wanted in {"", str(runs[0]["target"])}), None)
    if chosen is None:
        if wanted:
            raise Problem("not-found", f"no profile of base `{wanted[:200]}` is kept of service `{service}`")
        return Noise(service, None, 0, [], None)
    found = read(site.store, service, str(chosen[0]["target"]), chosen)
    spots = sorted((_place(found, spot) for spot in found.noisy()), key=_most)
    start = int(query.cursor) if isinstance(query.cursor, str) else 0
    end = start + query.limit
    return Noise(service, _profile(site, chosen), len(spots), spots[start:end], str(end) if end < len(spots) else None)


def _place(profile: Profile, spot: Spot) -> NoisyPlace:
    endpoint, where = spot
    known, noted = profile.known(endpoint, where, VALUE), profile.places[spot].values()
    return NoisyPlace(
        endpoint=endpoint,
        where=where,
        kinds=sorted(known.kinds),
        klass=max(one.klass for one in noted),
        differing=known.differing,
        observed=known.observed,
        last_seen=iso(max(one.last_ns for one in noted)),
    )


def _most(one: NoisyPlace) -> tuple[float, str, str]:
    return -one.differing / max(1, one.observed), one.endpoint, one.where


def settings(site: Site, token: Token) -> SettingsTold:
    """The settings in force, for who sees every service: they are of none."""
    rows = site.settings.explain() if token.sees_all else []
    return SettingsTold([SettingTold(row.key, row.value, row.source, row.what) for row in rows])
