"""Variables that Kubernetes puts into the environment for its Services, some of which begin as ours do."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SERVICE_LINK = re.compile(
    r"(ECHOLANE(?:_[A-Z0-9]+)*?)_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)


def is_service_link(name: str, environ: Mapping[str, str]) -> bool:
    """Whether Kubernetes has put a variable there: for a Service named ``echolane-…`` every pod of its namespace gets some."""
    found = _SERVICE_LINK.fullmatch(name)
    return found is not None and f"{found[1]}_SERVICE_HOST" in environ and f"{found[1]}_SERVICE_PORT" in environ
