"""What was recorded: one request and, where it was seen, its response.

Headers are a list of name-value pairs of bytes, as sent: order, case and repetition are kept. Texts of the request line are
latin-1, so that every byte of the wire has its character. Bodies are *decoded* (Content-Encoding undone); ``encoding`` says how
they were sent, so that the sender can encode again. Records of this module travel in frames (:mod:`echolane.frame`); their
fields may only be appended (golden files under ``tests/golden`` hold every past version).
"""

from __future__ import annotations

import msgspec

Headers = list[tuple[bytes, bytes]]

REQUEST_BODY_KEPT = 256 * 1024
"""Bytes of a recorded request body that are kept; a cut request cannot be fired (``skipped{truncated-body}``)."""
ANSWER_BODY_KEPT = 1024 * 1024
"""Bytes of a recorded answer's body that are kept: the recording is a witness of its status, the comparison is made live."""
OBSERVED_BODY_KEPT = 3 * 1024 * 1024
"""Bytes of an observed answer's body that are kept: four of them fit one record of 16 MiB, and what is cut cannot be compared;
cut answers with equal digests are the same."""


ERASED = "erased"
"""Why nothing is left of an exchange but its place: somebody had what belongs to its caller removed (:mod:`echolane.erasing`)."""


class Body(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A message body after Content-Encoding was undone."""

    data: bytes = b""
    """What is kept of it: all of it, unless ``truncated``."""
    size: int = 0
    """Length of the whole body on the wire (after de-chunking, before decoding), in bytes."""
    encoding: str = ""
    """The Content-Encoding it was sent with (lower case, comma separated); empty when none or when it could not be decoded."""
    digest: bytes = b""
    """blake2b-128 of the whole body on the wire; only set when ``truncated`` or ``undecoded``."""
    truncated: bool = False
    """Whether ``data`` is only the beginning."""
    undecoded: str = ""
    """Why the Content-Encoding could not be undone (``bomb``, ``corrupt``, ``unsupported``); then ``data`` is as on the wire."""
    chunked: bool = False
    """Whether it was sent with Transfer-Encoding: chunked."""


EMPTY = Body()


class Request(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The request as the client sent it."""

    method: str
    scheme: str
    authority: str
    target: str
    """Raw request target with its query, as on the wire."""
    http_version: str
    headers: Headers
    body: Body = EMPTY
    trailers: Headers = []


class Response(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The response as the service sent it."""

    status: int
    http_version: str
    headers: Headers
    body: Body = EMPTY
    trailers: Headers = []
    reason: bytes = b""
    incomplete: bool = False
    """Whether the message ended before the length it announced."""


class Exchange(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One recorded request and its response, masked, with its identity and its place in the capture."""

    id: str
    """UUIDv7."""
    service: str
    agent: str
    """The recorder that saw it (8 hex digits, fixed for a home and service)."""
    epoch: int
    """Counts the recorder's starts; (agent, epoch, seq) is unique and a gap in seq is a loss, exactly counted."""
    seq: int
    session: str
    """The caller's identity at capture as a keyed hash (16 hex digits): a hint for order."""
    captured_at_ns: int
    """When the first byte of the request was seen, wall clock."""
    duration_ns: int
    """From the first byte of the request to the last byte of the response; 0 when there was no response."""
    request: Request
    response: Response | None = None
    introduces: list[str] = []
    """Keyed tokens (16 hex digits) of values the response brought into being (Set-Cookie values)."""
    uses: list[str] = []
    """Keyed tokens of values the request presented (cookies, credentials)."""
    masks: int = 0
    """How many atoms were replaced by masks."""
    seal: bytes = b""
    """The originals of the masked request atoms, encrypted (:mod:`echolane.seal`); empty if there are none or ``seal = false``."""
    sampling_rule: str = ""
    sampling_probability: float = 1.0
    tags: dict[str, str] = {}
    no_answer: str = ""
    """Why there is no response (``unframeable``, ``upgrade``, ``client-closed``, ``server-closed``, ``not-recorded``, ``erased``)."""


class Given(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A value of a recorded answer that later requests of its session take."""

    id: int
    """Its number in the run."""
    place: str
    """``header:location``, ``body:$.id``, ``body:input[csrf]@value``; ``body`` for text."""
    path: list[str | int | tuple[int, str, str]] = []
    """Where in a JSON body: members, indexes, indexes with the member and value that tell the element apart."""
    sub: str = ""
    """Which part of that value; empty for all of it."""
    value: str = ""
    """The recorded value, where it is one of many of a list or page: a target that has it too, wherever in there, means the same."""


class Taken(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A place of a recorded request that holds what an earlier answer gave."""

    where: str
    """``path[2]``, ``query:cursor``, ``header:if-match``, ``cookie:sid``, ``body:$.id``."""
    start: int
    end: int
    """Which part of that value."""
    escape: int
    """How it is written in there: 0 as it is, 1 as in a path, 2 as in a query."""
    given: list[int]
    """The values that it may be, the likeliest first."""
    tied: int
    """How many of them are equally likely: only one that a target gave differently tells which it is."""
    whys: list[str]
    """Of each: ``id from POST /orders at body:$.id``."""


class WorkItem(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One line of a run's plan: an exchange, when it is due and whom it follows."""

    seq: int
    """Rank in the run: recorded order (captured_at, agent, epoch, seq)."""
    due_ns: int
    """Nanoseconds after the start of the run at which it is to be fired; 0 with pace ``max``."""
    endpoint: str
    """Template of the endpoint, for example ``GET /users/{id}``."""
    follows: list[int]
    """Ranks that every target must have answered or failed before this one may be fired."""
    exchange: Exchange
    skip: str = ""
    """Why it is not fired (``unsafe-method``, ``truncated-body`` …); empty when it is to be fired."""
    gives: list[Given] = []
    """Values of the recorded answer that later requests take: learned from each target's answer."""
    takes: list[Taken] = []
    """Values of the request that earlier answers gave: rewritten for each target to what that one gave."""
