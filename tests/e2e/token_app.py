"""A service that logs people in with JSON web tokens, signed anew each time. Standard library only.

    token_app.py PORT [CHANGE …]

Changes: ``role`` (clerks become owners), ``claim`` (another claim is there), ``life`` (tokens live a minute and no hour).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
import time
from base64 import urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = os.urandom(32)


def token(person: str, changes: frozenset[str]) -> str:
    """A token for a person."""
    now = int(time.time())
    claims = {
        "sub": f"person-{person}",
        "email": f"{person}@shop.example",
        "role": "owner" if "role" in changes else "clerk",
        "level": 3,
        "jti": os.urandom(16).hex(),
        "iat": now,
        "exp": now + (60 if "life" in changes else 3600),
    }
    if "claim" in changes:
        claims["scope"] = "everything"
    parts = [
        urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in ({"alg": "HS256", "typ": "JWT"}, claims)
    ]
    said = b".".join(parts)
    return b".".join([said, urlsafe_b64encode(hmac.digest(KEY, said, hashlib.sha256)).rstrip(b"=")]).decode()


class Service(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    changes: frozenset[str] = frozenset()

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """A token for who is named, and the same in a word that no list of names knows."""
        person = self.path.rpartition("/")[2]
        data = json.dumps(
            {"token": token(person, self.changes), "carried": {"here": token(person, self.changes)}}
        ).encode()
        self.send_response(200)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(data)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    Service.changes = frozenset(sys.argv[2:])
    ThreadingHTTPServer.request_queue_size = 128  # so many may wait while this machine stands still
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Service)
    server.daemon_threads = True
    server.serve_forever()
