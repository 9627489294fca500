"""Settings of the reader (Grafana): where the embedded store answers as a ClickHouse server does, and to whom."""

from __future__ import annotations

import msgspec

PASSWORD = "ECHOLANE_GRAFANA_PASSWORD"  # noqa: S105 - a variable's name
"""The environment's variable that holds the reader's password."""
WHAT = {
    "grafana.listen": "where `echolane api` answers Grafana as a ClickHouse server does, HOST:PORT; empty for nowhere",
    "grafana.user": "who may ask there, to read only",
    "grafana.password_file": "a file that holds the password; or the password is in ECHOLANE_GRAFANA_PASSWORD",
}
"""What each means."""


class Grafana(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the embedded store answers as a ClickHouse server does, to read only."""

    listen: str = ""
    user: str = "grafana"
    password_file: str = ""
