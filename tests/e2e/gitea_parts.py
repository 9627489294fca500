"""A real Gitea in a folder of a test's own: an administrator, a token of theirs, a repository with a webhook, and what people do there."""

from __future__ import annotations

import base64
import http.client
import http.cookiejar
import json
import os
import signal
import sqlite3
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bench import gitea
from bench.ports import free_port
from tests.e2e.world import listening

WAIT_S = 120.0
WHO, PASSWORD = "keeper", "only-of-the-tests-1"
SETTINGS = """
APP_NAME = Forge of a test
RUN_USER = {user}
RUN_MODE = prod
WORK_PATH = {folder}
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = http://127.0.0.1:{port}/
STATIC_ROOT_PATH = {static}
DISABLE_SSH = true
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
PATH = {folder}/gitea.db
[security]
INSTALL_LOCK = true
[service]
DISABLE_REGISTRATION = true
[webhook]
ALLOWED_HOST_LIST = loopback
[log]
LEVEL = warn
MODE = console
[actions]
ENABLED = false
[indexer]
ISSUE_INDEXER_TYPE = db
[cron]
ENABLED = false
"""


class Delivery(NamedTuple):
    """A delivery as Gitea sent it."""

    uuid: str
    event: str
    headers: dict[str, str]
    body: bytes
    status: int
    """What it was answered."""


class Gitea:
    """One forge, with the repository `keeper/shop`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder.mkdir()
        (folder / "home").mkdir()
        self.settings = folder / "app.ini"
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        text = SETTINGS.format(user=user, folder=folder, port=self.port, static=gitea.HOME)
        self.settings.write_text(text, "utf-8")
        # Gitea refuses to work as root unless it is told so: here it serves nobody but the test.
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITEA"))},
            "HOME": str(folder / "home"),
            "GITEA_I_AM_BEING_UNSAFE_RUNNING_AS_ROOT": "true",
        }
        self.said = folder / "said"
        self._command("migrate")
        self._command(
            "admin", "user", "create", "--admin", "--username", WHO, "--password", PASSWORD,
            "--email", f"{WHO}@example.org", "--must-change-password=false",
        )  # fmt: skip
        scopes = ["--scopes", "write:repository,write:issue,write:user,read:user", "--raw"]
        words = ["admin", "user", "generate-access-token", "--username", WHO, "--token-name", "tests", *scopes]
        self.token = self._command(*words).split()[-1]
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [gitea.GITEA, "web", "--config", str(self.settings)],
                env=self.environ, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip
        listening(self.port, WAIT_S, self.process)

    def _command(self, *words: str) -> str:
        done = subprocess.run(
            [gitea.GITEA, *words, "--config", str(self.settings)],
            env=self.environ, cwd=self.folder, capture_output=True, text=True, check=False, timeout=WAIT_S,
        )  # fmt: skip
        assert done.returncode == 0, (words[:3], done.stdout, done.stderr)
        return done.stdout

    def end(self) -> None:
        """End it in good order, else at once."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One call of its API, which has to go well."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
            connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        assert answer.status < 300, (method, path, answer.status, data)
        return json.loads(data) if data else None

    def repository(self) -> None:
        """Make the repository."""
        self.ask("POST", "/user/repos", {"name": "shop", "auto_init": True, "default_branch": "main"})

    def hook(self, url: str, secret: str) -> int:
        """A webhook of the repository; its id."""
        config = {"url": url, "content_type": "json", "secret": secret}
        events = ["push", "pull_request", "pull_request_sync", "delete"]
        hook = {"type": "gitea", "active": True, "branch_filter": "*", "config": config, "events": events}
        return self.ask("POST", f"/repos/{WHO}/shop/hooks", hook)["id"]

    def unhook(self, hook: int) -> None:
        """Take a webhook away."""
        self.ask("DELETE", f"/repos/{WHO}/shop/hooks/{hook}")

    def commit(self, branch: str, text: str, *, onto: str = "") -> str:
        """Write a file on a branch, which is made of ``onto`` where that is given; the commit."""
        content = base64.b64encode(text.encode()).decode()
        path = f"/repos/{WHO}/shop/contents/{urllib.parse.quote(text)}.txt"
        where = {"branch": onto, "new_branch": branch} if onto else {"branch": branch}
        return self.ask("POST", path, {"content": content, "message": text, **where})["commit"]["sha"]

    def pull(self, branch: str) -> int:
        """Open a pull request; its number."""
        body = {"head": branch, "base": "main", "title": branch}
        return self.ask("POST", f"/repos/{WHO}/shop/pulls", body)["number"]

    def comments(self, pull: int) -> list[dict[str, Any]]:
        """What stands on a pull request."""
        return self.ask("GET", f"/repos/{WHO}/shop/issues/{pull}/comments")

    def statuses(self, commit: str) -> list[dict[str, Any]]:
        """What a commit was told, the oldest first."""
        found = self.ask("GET", f"/repos/{WHO}/shop/commits/{commit}/statuses?limit=50")
        return sorted(found, key=lambda one: one["id"])

    def deliveries(self) -> list[Delivery]:
        """What it delivered, the oldest first, by its own book."""
        book = sqlite3.connect(f"file:{self.folder}/gitea.db?mode=ro", uri=True, timeout=30)
        try:
            words = "SELECT uuid, event_type, request_content, response_content FROM hook_task WHERE is_delivered ORDER BY id"
            rows = book.execute(words).fetchall()
        finally:
            book.close()
        found = []
        for uuid, event, asked, answered in rows:
            if asked and answered:
                sent = json.loads(asked)
                status = json.loads(answered)["status"]
                found.append(Delivery(uuid, event, sent["headers"], sent["body"].encode(), status))
        return found

    def redeliver(self, hook: int, uuid: str) -> None:
        """What "Replay" does on the webhook's page, for which Gitea has no call of its API."""
        jar = http.cookiejar.CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar), _Stay())
        browser.addheaders = [("Origin", self.url), ("Sec-Fetch-Site", "same-origin")]
        for path, form in (
            ("/user/login", {"user_name": WHO, "password": PASSWORD}),
            (f"/{WHO}/shop/settings/hooks/{hook}/replay/{uuid}", {}),
        ):
            with pytest.raises(urllib.error.HTTPError) as raised:
                browser.open(self.url + path, urllib.parse.urlencode(form).encode(), timeout=60)
            assert raised.value.code == 303, (path, raised.value.code, raised.value.read()[:300])
            raised.value.close()


class _Stay(urllib.request.HTTPRedirectHandler):
    """Pages are not asked for: they need scripts that are not built."""

    def redirect_request(self, *_: Any) -> None:
        """Not followed."""
