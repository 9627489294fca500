"""Settings of signing in to the pages: the OpenID provider that says who somebody is. What they may is told by ``[[oidc.roles]]``."""

from __future__ import annotations

import msgspec

SECRET = "ECHOLANE_OIDC_CLIENT_SECRET"  # noqa: S105 - a variable's name
"""The environment's variable that holds the client's secret."""
HOURS = 12.0
"""A working day: then people are asked again who they are."""
WHAT = {
    "oidc.issuer": "the OpenID provider that says who people are, as it calls itself, for example https://id.example; empty for none",
    "oidc.client_id": "what this server is called at the provider",
    "oidc.client_secret_file": "a file that holds the client's secret; or it is in ECHOLANE_OIDC_CLIENT_SECRET; neither for a public client",
    "oidc.scopes": "what the provider is asked to tell; openid is one of them",
    "oidc.groups_claim": "the claim of the ID token that holds groups; a.b looks for b inside a",
    "oidc.name": "what the provider is called on the page that asks who somebody is",
    "oidc.hours": "hours after which a person is asked again; whoever loses a role at the provider keeps it here for as long",
    "oidc.skew_s": "seconds by which the clocks of provider and server may differ",
    "oidc.ca_file": "certificates of the authorities that are trusted for the provider (PEM); empty for those of the system",
    "oidc.only": "whether pages take no token, so that people sign in at the provider alone; the API takes tokens as before",
}
"""What each means."""
BOUNDS: dict[str, tuple[float, float]] = {"oidc.hours": (0.01, HOURS), "oidc.skew_s": (0, 120)}
"""Least and most."""


class Oidc(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The provider, and what it is asked."""

    issuer: str = ""
    client_id: str = ""
    client_secret_file: str = ""
    scopes: list[str] = msgspec.field(default_factory=lambda: ["openid", "email", "profile"])
    groups_claim: str = "groups"
    name: str = "single sign-on"
    hours: float = HOURS
    skew_s: float = 30.0
    ca_file: str = ""
    only: bool = False
