"""Recorded exchanges of one session, what ties them, and the requests that a target gets that answers otherwise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from echolane.exchange import Body, Exchange, Headers, Request, Response
from echolane.templating import Templates
from replayer.carrying import Carried, Learned, carried
from replayer.deciding import Links
from replayer.hiding import Hiding
from replayer.linking import Mask
from replayer.plan import find_links

HIDING = Hiding(b"k" * 32)


def body_of(content: Any) -> Body:
    """JSON of a dict or list, else bytes as they are."""
    data = json.dumps(content).encode() if isinstance(content, dict | list) else content or b""
    return Body(data, len(data))


def answer(
    content: Any = b"", *headers: tuple[bytes, bytes], status: int = 200, kind: bytes = b"application/json"
) -> Response:
    """An answer of a service."""
    return Response(status, "1.1", [(b"Content-Type", kind), *headers], body_of(content))


def step(
    line: str,
    said: Response,
    body: Any = b"",
    headers: Headers | None = None,
    kind: bytes = b"application/json",
    session: str = "a" * 16,
) -> Exchange:
    """One exchange; :func:`session` numbers it."""
    method, _, target = line.partition(" ")
    sent = [*(headers or []), (b"Content-Type", kind)]
    request = Request(method, "http", "shop.example", target, "1.1", sent, body_of(body))
    return Exchange("", "shop", "0badcafe", 1, 0, session, 0, 0, request, said)


def in_time(steps: Sequence[Exchange]) -> list[Exchange]:
    """The exchanges one after the other."""
    numbered: list[Exchange] = []
    for n, one in enumerate(steps):
        numbered.append(
            Exchange(str(n), one.service, one.agent, 1, n, one.session, n * 1000, 500, one.request, one.response)
        )
    return numbered


def links_of(steps: Sequence[Exchange], mask: Mask | None = None) -> Links:
    """What ties the requests to earlier answers."""
    templates = Templates()
    templates.learn([one.request.target for one in steps])
    return find_links(in_time(steps), "all", templates, mask)


def replayed(steps: Sequence[Exchange], answers: Sequence[Response]) -> list[Carried]:
    """What a target is sent that gives these answers."""
    links, learned, sent = links_of(steps), Learned(), []
    for rank, (one, given) in enumerate(zip(steps, answers, strict=True)):
        sent.append(carried(one.request, one.request, links.takes(rank), learned.get, HIDING))
        learned.learn(links.gives(rank), given, one.response.status if one.response else 0)
    return sent
