"""The operations about what runs stand on: rows of :data:`console.api.table.OPERATIONS`."""

from __future__ import annotations

from console.api import calls_state, messages_rules as r, messages_state as s
from console.api.context import Operation

V1 = "/api/v1"
SERVICE = f"{V1}/services/{{service}}"
ROWS: tuple[Operation, ...] = (
    Operation(
        "GET",
        f"{V1}/captures",
        "listCaptures",
        "Captures of this server's home, the newest first: who recorded, what came of each exchange, what was lost",
        "viewer",
        calls_state.list_captures,
        s.Captures,
        s.CapturesQuery,
        problems=("not-found",),
    ),
    Operation(
        "GET",
        f"{SERVICE}/capture-rules",
        "getCaptureRules",
        "What is recorded of a service, as the server's configuration says",
        "viewer",
        calls_state.show_capture_rules,
        s.CaptureRules,
        problems=("not-found",),
    ),
    Operation(
        "GET",
        f"{SERVICE}/rules",
        "listRules",
        "The rules that hold for a service now, of files and of what was said of findings: where from, why, whose, and until when",
        "viewer",
        calls_state.list_rules,
        r.RulesHeld,
        r.RulesQuery,
        problems=("not-found", "conflict"),
    ),
    Operation(
        "GET",
        f"{SERVICE}/profiles",
        "listProfiles",
        "Noise profiles: what runs learned of each version's own noise",
        "viewer",
        calls_state.list_profiles,
        s.Profiles,
        problems=("not-found",),
    ),
    Operation(
        "GET",
        f"{SERVICE}/noise",
        "listNoise",
        "The places at which a version differs from itself, those first that do most often",
        "viewer",
        calls_state.list_noise,
        s.Noise,
        s.NoiseQuery,
        problems=("not-found",),
    ),
    Operation(
        "GET",
        f"{V1}/settings",
        "getSettings",
        "The settings in force, and where each comes from",
        "admin",
        calls_state.show_settings,
        s.SettingsTold,
    ),
)
