"""A forge that is told things: the documented paths, statuses and pages of GitHub's, GitLab's and Gitea's APIs, on a real port, with faults to order."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from bench.ports import free_port

TOKEN = "tok_the-secret-of-the-tests"
ME, OTHER = 7, 8
ROOTS = {"github": "", "gitlab": "/api/v4", "gitea": "/api/v1"}
STATES = {
    "github": {"error", "failure", "pending", "success"},
    "gitlab": {"pending", "running", "success", "failed", "canceled"},
    "gitea": {"pending", "success", "error", "failure", "warning"},
}
REPOSITORY = {"github": "/repos/([^/]+/[^/]+)", "gitlab": "/projects/([^/]+)", "gitea": "/repos/([^/]+/[^/]+)"}


@dataclass(frozen=True)
class Fault:
    """What is answered in the place of the right thing."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    slow_s: float = 0.0


class Seen(NamedTuple):
    """One call."""

    at: float
    """When it came, not when it was answered: a slow answer is no late call."""
    method: str
    path: str
    status: int


class ForgeDouble:
    """One forge: what it knows, what it was told, and a server that can be away."""

    def __init__(self, kind: str) -> None:
        self.kind, self.port = kind, free_port()
        self.api = f"http://127.0.0.1:{self.port}{ROOTS[kind]}"
        self.lock = threading.Lock()
        self.statuses: list[tuple[str, dict[str, Any]]] = []
        self.pulls: list[dict[str, Any]] = []
        self.branches: dict[str, dict[str, str]] = {}
        """By repository: where its branches are."""
        self.comments: dict[int, list[dict[str, Any]]] = {}
        self.seen: list[Seen] = []
        self.faults: list[Fault] = []
        """Answered one after the other, before anything is right again."""
        self.ids = 1000
        self._server: ThreadingHTTPServer | None = None
        self.open()

    def open(self) -> None:
        """Answer from now on, at the same port."""
        forge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                forge.answer(self)

            do_POST = do_PATCH = do_PUT = do_GET  # noqa: N815 - as the standard library calls them

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, call: BaseHTTPRequestHandler) -> None:
        """One call, as it is documented."""
        came = time.monotonic()
        body = json.loads(call.rfile.read(int(call.headers.get("Content-Length") or 0)) or b"null")
        with self.lock:
            fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            time.sleep(fault.slow_s)
            status, tree, headers = fault.status, {"message": f"bad luck with {TOKEN}"}, fault.headers
        else:
            with self.lock:
                status, tree, headers = self.routed(call, body)
        with self.lock:
            self.seen.append(Seen(came, call.command, call.path, status))
        data = b"" if status == 304 else json.dumps(tree).encode()
        call.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(data))}.items():
            call.send_header(name, value)
        call.end_headers()
        call.wfile.write(data)

    def routed(self, call: BaseHTTPRequestHandler, body: Any) -> tuple[int, Any, dict[str, str]]:
        """Status, body and headers."""
        told = call.headers.get("PRIVATE-TOKEN") if self.kind == "gitlab" else call.headers.get("Authorization")
        if not self.admitted(told or ""):
            return 401, {"message": "Bad credentials"}, {}
        parts = urlsplit(call.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        for method, pattern, handle in self.routes():
            found = re.fullmatch(ROOTS[self.kind] + pattern, parts.path)
            if found and method == call.command:
                names = [unquote(one) for one in found.groups()]
                if names and names[0] not in {"acme/shop", "acme/depot"}:
                    break
                if handle == self.list_branches:
                    return self.list_branches(call, query, names[0])
                return handle(call, query, body, *names[1:])
        return 404, {"message": "Not Found"}, {}

    def admitted(self, told: str) -> bool:
        """Whether a header has the token."""
        return told == {"github": f"Bearer {TOKEN}", "gitlab": TOKEN, "gitea": f"token {TOKEN}"}[self.kind]

    def routes(self) -> list[tuple[str, str, Callable[..., tuple[int, Any, dict[str, str]]]]]:
        """Method, path and what is done."""
        r = REPOSITORY[self.kind]
        if self.kind == "gitlab":
            return [
                ("GET", "/user", lambda *_: (200, {"id": ME, "username": "bot"}, {})),
                ("POST", f"{r}/statuses/([0-9a-f]{{40}})", self.take_status),
                ("GET", f"{r}/repository/branches", self.list_branches),
                ("GET", f"{r}/merge_requests", self.list_pulls),
                ("GET", f"{r}/merge_requests/([0-9]+)/notes", self.list_comments),
                ("POST", f"{r}/merge_requests/([0-9]+)/notes", self.add_comment),
                ("PUT", f"{r}/merge_requests/([0-9]+)/notes/([0-9]+)", self.edit_comment),
            ]
        return [
            ("GET", "/user", lambda *_: (200, {"id": ME, "login": "bot", "type": "User"}, {})),
            ("POST", f"{r}/statuses/([0-9a-f]{{40}})", self.take_status),
            ("GET", f"{r}/commits/([0-9a-f]{{40}})/check-runs", lambda *_: (200, {"check_runs": []}, {})),
            ("POST", f"{r}/check-runs", lambda *_: (403, {"message": "You must authenticate via a GitHub App."}, {})),
            ("GET", f"{r}/branches", self.list_branches),
            ("GET", f"{r}/pulls", self.list_pulls),
            ("GET", f"{r}/issues/([0-9]+)/comments", self.list_comments),
            ("POST", f"{r}/issues/([0-9]+)/comments", self.add_comment),
            ("PATCH", f"{r}/issues/comments/([0-9]+)", lambda c, q, b, one: self.edit_comment(c, q, b, "0", one)),
        ]

    def take_status(self, _call: Any, _query: Any, body: Any, commit: str) -> tuple[int, Any, dict[str, str]]:
        """A commit's status; GitLab's state machine refuses the state that it has."""
        if body["state"] not in STATES[self.kind] or len(body["description"]) > 140:
            return 422, {"message": "Validation Failed"}, {}
        name = body["name" if self.kind == "gitlab" else "context"]
        before = [one["state"] for sha, one in self.statuses if sha == commit and name in one.values()]
        if self.kind == "gitlab" and before and before[-1] == body["state"] in {"pending", "running"}:
            return 400, {"message": f'Cannot transition status via :run from :{before[-1]} (Reason(s): "x")'}, {}
        self.statuses.append((commit, body))
        return 201, {"id": len(self.statuses), **body}, {}

    def list_branches(self, call: Any, query: Any, repository: str) -> tuple[int, Any, dict[str, str]]:
        """Branches by name; GitHub says by ETag whether a page is another, a Gitea gives at most fifty and neither says when GitHub's were pushed."""
        name, dated = {"github": ("sha", ""), "gitlab": ("id", "committed_date"), "gitea": ("id", "timestamp")}[
            self.kind
        ]
        found = [
            {"name": branch, "commit": {name: commit, **({dated: "2023-11-14T22:13:20Z"} if dated else {})}}
            for branch, commit in sorted(self.branches.get(repository, {}).items())
        ]
        if self.kind == "gitea":
            query = {**query, "limit": str(min(int(query["limit"]), 50))}
        status, tree, headers = self.paged(call, query, found)
        if self.kind == "github":
            headers["ETag"] = f'W/"{hashlib.sha1(json.dumps(tree).encode()).hexdigest()}"'
            if call.headers.get("If-None-Match") == headers["ETag"]:
                return 304, None, headers
        return status, tree, headers

    def list_pulls(self, call: Any, query: Any, _body: Any) -> tuple[int, Any, dict[str, str]]:
        """Open pull requests; GitHub and GitLab look for a branch, Gitea lists all."""
        found = self.pulls
        if self.kind == "github":
            owner, _, branch = query["head"].partition(":")
            found = [one for one in found if one["head"]["ref"] == branch and owner == "acme"]
        if self.kind == "gitlab":
            found = [one for one in found if one["source_branch"] == query["source_branch"]]
        return self.paged(call, query, found)

    def list_comments(self, call: Any, query: Any, _body: Any, pull: str) -> tuple[int, Any, dict[str, str]]:
        """Comments, the oldest first; Gitea gives all of them at once."""
        found = self.comments[int(pull)]
        return (200, found, {}) if self.kind == "gitea" else self.paged(call, query, found)

    def paged(self, call: Any, query: Any, found: list[Any]) -> tuple[int, Any, dict[str, str]]:
        """A page of a list, with the link to the next."""
        size = int(query.get("limit" if self.kind == "gitea" else "per_page", 20))
        page = int(query.get("page", 1))
        last = page * size >= len(found)
        link = f'<http://127.0.0.1:{self.port}{call.path.replace(f"page={page}", f"page={page + 1}")}>; rel="next"'
        return 200, found[(page - 1) * size : page * size], {} if last else {"Link": link}

    def add_comment(self, _call: Any, _query: Any, body: Any, pull: str) -> tuple[int, Any, dict[str, str]]:
        """A new comment."""
        return 201, self.comment(int(pull), body["body"], ME), {}

    def edit_comment(self, _c: Any, _q: Any, body: Any, _pull: str, id: str) -> tuple[int, Any, dict[str, str]]:  # noqa: A002
        """Another text; nobody edits what is another's."""
        for one in [one for listed in self.comments.values() for one in listed]:
            if one["id"] == int(id):
                if (one.get("user") or one["author"])["id"] != ME:
                    return 403, {"message": "Forbidden"}, {}
                one["body"] = body["body"]
                return 200, one, {}
        return 404, {"message": "Not Found"}, {}

    def pull(self, branch: str, *, comments: int = 0, fork: bool = False, repository: str = "acme/shop") -> int:
        """Open a pull request, on which others have talked; its number."""
        with self.lock:
            number = len(self.pulls) + 1
            if self.kind == "gitlab":
                one = {"iid": number, "id": 9000 + number, "source_branch": branch, "target_project_id": 1}
                self.pulls.append({**one, "source_project_id": 2 if fork else 1})
            else:
                head = {"ref": branch, "repo": {"full_name": "eve/shop" if fork else repository}}
                self.pulls.append({"number": number, "head": head, "base": {"repo": {"full_name": repository}}})
            self.comments[number] = []
            for talk in range(comments):
                self.comment(number, f"talk {talk}", OTHER)
        return number

    def comment(self, pull: int, text: str, author: int) -> dict[str, Any]:
        """A comment of somebody."""
        self.ids += 1
        who = {"id": author, "type": "User"}
        one = {"id": self.ids, "body": text, **({"author": who} if self.kind == "gitlab" else {"user": who})}
        self.comments[pull].append(one)
        return one

    def mine(self, pull: int) -> list[str]:
        """The texts of the bot's own comments."""
        with self.lock:
            listed = self.comments[pull]
            return [one["body"] for one in listed if (one.get("user") or one["author"])["id"] == ME]

    def states(self, commit: str) -> list[str]:
        """What a commit was told, in order."""
        with self.lock:
            return [one["state"] for sha, one in self.statuses if sha == commit]
