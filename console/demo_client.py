"""The client of the demo: a small browser that follows the links which the application itself offers.

It keeps cookies and its connection, asks for pages and for the JSON beside them, and sends nothing that writes.
"""

from __future__ import annotations

import http.client
from collections import deque
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

BODY_READ = 1024 * 1024
SEEN_MAX = 20_000
"""Links remembered; the demo's database offers a few thousand, and a crawl must end on any application."""


class Links(HTMLParser):
    """The targets of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect ``<a href>`` and ``<link href>``."""
        if tag in {"a", "link"}:
            self.found += [value for name, value in attrs if name == "href" and value]


def browse(url: str, requests: int) -> int:
    """Visit pages breadth-first from ``/``, at most ``requests`` of them; how many were asked for."""
    authority = urlsplit(url).netloc
    waiting = deque(
        ["/", "/shop", "/shop/products.json", "/shop/orders.json?_size=20", "/-/versions.json", "/no/such/page"]
    )
    seen = set(waiting)
    cookies: dict[str, str] = {}
    connection = http.client.HTTPConnection(authority, timeout=30)
    sent = 0
    while waiting and sent < requests:
        path = waiting.popleft()
        headers = {"User-Agent": "echolane-demo/1", "Accept": "text/html,application/json;q=0.9,*/*;q=0.8"}
        if cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        connection.request("GET", path, headers=headers)
        sent += 1
        answer = connection.getresponse()
        body = answer.read(BODY_READ)
        answer.read()
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = line.split(";", 1)[0].partition("=")
            cookies[name.strip()] = value.strip()
        for link in links_of(url + path, authority, body, answer.headers.get_content_type()):
            if link not in seen and len(seen) < SEEN_MAX:
                seen.add(link)
                waiting.append(link)
    connection.close()
    return sent


def links_of(url: str, authority: str, body: bytes, kind: str) -> list[str]:
    """Paths on the same host that a page links to, in its order; logout links and fragments left out."""
    if kind != "text/html":
        return []
    page = Links()
    page.feed(body.decode("utf-8", "replace"))
    found: list[str] = []
    for link in page.found:
        parts = urlsplit(urljoin(url, link))
        if parts.netloc == authority and "logout" not in parts.path:
            found.append((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    return found
