"""An application whose every answer says something hostile, another thing in each version: ``hostile_app.py PORT [branch]``. Standard library only."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote_to_bytes, urlsplit

BRANCH = "branch" in sys.argv[2:]


class App(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """Say the query's text."""
        self._say(unquote_to_bytes(urlsplit(self.path).query).decode("utf-8", "replace"))

    def do_POST(self) -> None:
        """Say what the body says."""
        self._say(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["said"])

    def _say(self, text: str) -> None:
        """The text as a key, a value, a list, a header and HTML; branch says more of it."""
        url = urlsplit(self.path)
        said = f"{text}{text}" if BRANCH else text
        header = said.encode("latin-1", "replace").decode("latin-1").translate(dict.fromkeys((*range(32), 127), " "))
        if url.path.startswith("/page"):
            kind, body = "text/html", f"<html><body><p title=x>{said}</p></body></html>".encode("utf-8", "replace")
        else:
            told = {"said": said, said: 1, "list": [text, {"in": said}]}
            kind, body = "application/json", json.dumps(told).encode()
        self.send_response(404 if BRANCH and url.path.startswith("/gone") else 200)
        for name, value in (
            ("Content-Type", kind),
            ("X-Said", header.strip() or "-"),
            ("Content-Length", str(len(body))),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer.request_queue_size = 128  # so many may wait while this machine stands still
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), App).serve_forever()
