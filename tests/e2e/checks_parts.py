"""GitHub's check runs and applications as they are documented: who may write them, what a request may hold, and tokens that end after an hour."""

from __future__ import annotations

import base64
import json
import re
import time
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.e2e.forge_parts import ME, Fault, ForgeDouble

APP, INSTALLATION = 4242, 77
STATUSES = {"queued", "in_progress", "completed"}
CONCLUSIONS = {"action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"}
LEVELS = {"notice", "warning", "failure"}
Answered = tuple[int, Any, dict[str, str]]


class GitHubDouble(ForgeDouble):
    """GitHub with an application; whoever comes with the plain token may write no check runs."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.checks: list[dict[str, Any]] = []
        self.tokens: dict[str, float] = {}
        """The application's, and when they end."""
        self.proofs: list[str] = []
        """What the application has shown to prove who it is."""
        self.given = 0
        self.lasts_s = 3600.0
        self.installed = True
        self.lost = 0
        """So many check runs are made whose answers are lost."""
        self.refuses = False
        """Whether there is something wrong with every note."""
        super().__init__("github")

    def comment(self, pull: int, text: str, author: int) -> dict[str, Any]:
        """A comment; the application's are a bot's."""
        one = super().comment(pull, text, author)
        if author == ME:
            one["user"]["type"] = "Bot"
        return one

    def pem(self) -> bytes:
        """The application's key as its page gives it."""
        pkcs1 = serialization.PrivateFormat.TraditionalOpenSSL
        return self.key.private_bytes(serialization.Encoding.PEM, pkcs1, serialization.NoEncryption())

    def admitted(self, told: str) -> bool:
        """Whether somebody is let in: by the plain token, or one of the application's that has not ended."""
        return super().admitted(told) or self.tokens.get(told.removeprefix("Bearer "), 0.0) > time.time()

    def routed(self, call: Any, body: Any) -> Answered:
        """What only applications have comes first."""
        told = call.headers.get("Authorization") or ""
        if call.path == "/repos/acme/shop/installation" or re.fullmatch("/app/installations/.*", call.path):
            return self.as_app(call, told.removeprefix("Bearer "), body)
        if call.path.startswith("/user") and told.removeprefix("Bearer ") in self.tokens:
            return 403, {"message": "Resource not accessible by integration"}, {}
        found = re.fullmatch(
            r"/repos/acme/shop/(check-runs|commits/[0-9a-f]{40}/check-runs)(?:/(\d+))?(\?.*)?", call.path
        )
        if found is None:
            return super().routed(call, body)
        if not self.admitted(told):
            return 401, {"message": "Bad credentials"}, {}
        if call.command == "GET":
            return self.listed(call.path) if "commits" in call.path else self.one(int(found[2]))
        if super().admitted(told):
            return 403, {"message": "You must authenticate via a GitHub App."}, {}
        return self.written(call.command, int(found[2] or 0), body)

    def as_app(self, call: Any, token: str, body: Any) -> Answered:
        """Where the application is installed, and a token for there, asked for by what its key signed."""
        self.proofs.append(token)
        try:
            head, claims, signature = token.encode().split(b".")
            self.key.public_key().verify(decoded(signature), head + b"." + claims, padding.PKCS1v15(), hashes.SHA256())
            said, now = json.loads(decoded(claims)), time.time()
            good = said["iss"] == str(APP) and said["iat"] <= now < said["exp"] <= now + 600
        except (InvalidSignature, ValueError):
            good = False
        if not good:
            return 401, {"message": "A JSON web token could not be decoded"}, {}
        if call.command == "GET":
            return (
                (200, {"id": INSTALLATION, "app_id": APP}, {})
                if self.installed
                else (404, {"message": "Not Found"}, {})
            )
        if call.path != f"/app/installations/{INSTALLATION}/access_tokens" or body != {"repositories": ["shop"]}:
            return 404, {"message": "Not Found"}, {}
        self.given += 1
        one = f"ghs_the-app-of-the-tests-{self.given}"
        self.tokens[one] = time.time() + self.lasts_s
        until = datetime.fromtimestamp(self.tokens[one], UTC)
        return 201, {"token": one, "expires_at": f"{until:%Y-%m-%dT%H:%M:%SZ}"}, {}

    def listed(self, path: str) -> Answered:
        """The check runs of a commit, the newest first."""
        commit = path.split("/")[5]
        found = [told(one) for one in reversed(self.checks) if one["head_sha"] == commit]
        return 200, {"total_count": len(found), "check_runs": found}, {}

    def one(self, id: int) -> Answered:  # noqa: A002 - as GitHub calls it
        """One of them."""
        found = [told(one) for one in self.checks if one["id"] == id]
        return (200, found[0], {}) if found else (404, {"message": "Not Found"}, {})

    def written(self, method: str, id: int, body: Any) -> Answered:  # noqa: A002
        """Make or change one; notes are added to those that are there."""
        if why := self.wrong(body):
            return 422, {"message": f"Invalid request.\n\n{why}"}, {}
        output = body["output"]
        notes = output.pop("annotations", [])
        if method == "POST":
            self.checks.append({"id": 5000 + len(self.checks), "app": {"id": APP}, "notes": [], "went": []})
            found = self.checks[-1]
        else:
            found = next((one for one in self.checks if one["id"] == id), {})
            if not found:
                return 404, {"message": "Not Found"}, {}
        found.update(body)
        found["notes"] += notes
        found["went"].append(body.get("conclusion") or body["status"])
        if method == "POST" and self.lost:
            self.lost -= 1
            return 502, {"message": "lost on the way"}, {}
        return 201 if method == "POST" else 200, told(found), {}

    def wrong(self, body: Any) -> str:
        """What GitHub would not take."""
        output = body["output"]
        notes = output.get("annotations", [])
        if len(notes) > 50:
            return f"No more than 50 items are allowed; {len(notes)} were supplied."
        if not (output["title"] and output["summary"]) or any(
            len(output.get(name, "")) > 65_535 for name in ("summary", "text")
        ):
            return "Only 65535 characters are allowed"
        done = body["status"] == "completed"
        if body["status"] not in STATUSES or done != (body.get("conclusion") in CONCLUSIONS):
            return "status and conclusion do not go together"
        good = all(
            one["path"] and one["annotation_level"] in LEVELS and len(one["title"]) <= 255 and 0 < len(one["message"]) <= 65_536
            and one["start_line"] == one["end_line"] == 1 and not self.refuses
            for one in notes
        )  # fmt: skip
        return "" if good else "an annotation is none"

    def check(self, commit: str) -> dict[str, Any]:
        """The one check run of a commit."""
        with self.lock:
            [found] = [one for one in self.checks if one["head_sha"] == commit]
            return json.loads(json.dumps(found))


def told(one: dict[str, Any]) -> dict[str, Any]:
    """A check run as it is told: its notes are counted."""
    output = {**one["output"], "annotations_count": len(one["notes"])}
    return {**{name: value for name, value in one.items() if name not in {"notes", "went"}}, "output": output}


def decoded(part: bytes) -> bytes:
    """Base64 of URLs without its padding."""
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


__all__ = ["APP", "Fault", "GitHubDouble"]
