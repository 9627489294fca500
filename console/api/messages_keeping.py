"""What is said over the API about erasing."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from console.api.messages import Request

HexToken = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$", description="A keyed token of an exchange, 16 hex digits")]
SubjectValue = Annotated[
    str, Meta(min_length=4, max_length=4096, description="A cookie, a key, an address; it is kept nowhere")
]


class ErasureRequest(Request, frozen=True):
    """Whose data is to be erased: one of both at least."""

    tokens: Annotated[list[HexToken], Meta(max_length=100)] = msgspec.field(default_factory=list[str])
    values: Annotated[list[SubjectValue], Meta(max_length=100)] = msgspec.field(default_factory=list[str])


class ErasureTold(msgspec.Struct, frozen=True):
    """What was erased."""

    erasure: str
    subject: str
    """A digest of its tokens and masks."""
    asked_at: str
    done_at: str | None
    erased: dict[str, int]
    """Records, rows and letters by place."""
    remains: list[str]
    """What could not be erased, and until when it stays."""


class Erasures(msgspec.Struct, frozen=True):
    """What was erased, the newest first."""

    erasures: list[ErasureTold]
