"""What a comparison of two answers knows besides them."""

from __future__ import annotations

import msgspec

from differ.bodies_of import Parsed, parsed
from differ.descriptors import Registry
from differ.echoes import NOBODY, Own
from differ.rules import Lens
from differ.walk import Bounds
from echolane.exchange import Headers


class Reading(msgspec.Struct, gc=False):
    """A body as it is compared: what its target echoes of itself is masked, and it is parsed when that is asked for."""

    data: bytes
    headers: Headers
    parsed: Parsed | None = None

    def parse(self) -> Parsed:
        """Its form and value."""
        found = self.parsed
        if found is None:
            found = self.parsed = parsed(self.data, self.headers)
        return found


class Context(Bounds, frozen=True, gc=False):
    """What a comparison may know besides the two answers."""

    method: str = "GET"
    path: str = ""
    """The target of the request: where a service is called by gRPC, it names the method and so the message of the answer."""
    registry: Registry | None = None
    """What messages of protobuf are called, where that was told."""
    own: tuple[Own, Own] = (NOBODY, NOBODY)
    now_ns: tuple[int, int] = (0, 0)
    """When each answer was given, wall clock."""
    read: dict[tuple[int, int], Reading] | None = None
    """Bodies that were read before, by answer and target (their ids: both outlive the context): one is compared with two others."""
    lens: Lens | None = None
    """The rules in scope; None where there are none."""
