"""A server whose embedded store answers as ClickHouse does, over a real recording and a real run."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlencode

from bench.ports import free_port
from tests.e2e.api_parts import Answer, Served
from tests.e2e.world import World, listening

PASSWORD = "a reader's own word"


class Read:
    """The server, and a client that knows the reader's password."""

    def __init__(self, world: World) -> None:
        self.port = free_port()
        world.environ["ECHOLANE_GRAFANA_LISTEN"] = f"127.0.0.1:{self.port}"
        world.environ["ECHOLANE_GRAFANA_PASSWORD"] = PASSWORD
        self.served = Served(world)
        listening(self.port)

    def ask(
        self, statement: str, *, method: str = "POST", user: str = "grafana", password: str = PASSWORD, **url: Any
    ) -> Answer:
        """One statement over HTTP."""
        return self.raw(
            method,
            "/?" + urlencode({**url, **({} if method == "POST" else {"query": statement})}),
            statement.encode() if method == "POST" else None,
            {"X-ClickHouse-User": user, "X-ClickHouse-Key": password},
        )

    def raw(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        """Any request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def rows(self, statement: str, **url: Any) -> list[dict[str, Any]]:
        """The rows of an answer."""
        answer = self.ask(statement, default_format="JSON", **url)
        assert answer.status == 200, answer
        return answer.json["data"]
