"""Over the API: captures and what they record, noise profiles, settings."""

from __future__ import annotations

from typing import cast

from console.api import reading, rules_told, states
from console.api.context import Call
from console.api.messages_rules import RulesHeld, RulesQuery
from console.api.messages_state import CaptureRules, Captures, CapturesQuery, Noise, NoiseQuery, Profiles, SettingsTold
from console.api.problems import Problem


async def list_captures(call: Call) -> Captures:
    """A page of captures, the newest first."""
    query = cast("CapturesQuery", call.query)
    if isinstance(query.service, str):
        call.see(query.service, f"service `{query.service}`")
    return await call.site.read(states.captures, call.site, call.token, query)


async def show_capture_rules(call: Call) -> CaptureRules:
    """What is recorded of a service."""
    return states.rules(call.site, await service_of(call))


async def list_rules(call: Call) -> RulesHeld:
    """A page of the rules that hold for a service now."""
    return await call.site.read(rules_told.rules, call.site, await service_of(call), cast("RulesQuery", call.query))


async def list_profiles(call: Call) -> Profiles:
    """The noise profiles of a service."""
    return await call.site.read(states.profiles, call.site, await service_of(call))


async def list_noise(call: Call) -> Noise:
    """A page of the places at which a version of a service differs from itself."""
    return await call.site.read(states.noise, call.site, await service_of(call), cast("NoiseQuery", call.query))


async def show_settings(call: Call) -> SettingsTold:
    """The settings in force."""
    return states.settings(call.site, call.token)


async def service_of(call: Call) -> str:
    """The service of the path; Problem where there is none that the token sees."""
    name = call.path("service")
    if name not in {one.service for one in await call.site.read(reading.services, call.site, call.token)}:
        raise Problem("not-found", f"there is no service `{name[:64]}`, or this token is not for it")
    call.service = name
    return name
