"""Credentials of the targets' own, as a user has them: in ``echolane.toml``, told by ``--explain``, and nowhere in what is kept or said.

Run as a program it is the service: ``test_providers.py PORT TOKEN…`` takes these tokens, repeats what it was shown, and refuses all others.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Mirror(BaseHTTPRequestHandler):
    """Says to whom it speaks, and repeats the credential, as a careless service does."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write an answer: two meet Nagle's algorithm and wait 40 ms
    tokens: tuple[str, ...] = ()

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """The user by their token."""
        shown = self.headers.get("Authorization", "").removeprefix("Bearer ")
        known = shown in self.tokens or self.path == "/public"
        body = {
            "user": self.tokens.index(shown) if shown in self.tokens else None,
            "you_sent": shown,
            "path": self.path,
        }
        data = json.dumps(body if known else {"error": f"no such token: {shown}"}).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Shown", shown)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Serve until killed."""
    Mirror.tokens = tuple(sys.argv[2:])
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Mirror)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":  # as a program it needs nothing but the standard library
    main()

import pytest  # noqa: E402

from bench.ports import free_port  # noqa: E402
from tests.e2e.world import World, files_below, listening  # noqa: E402

RECORDED = [f"pr0d-canary-of-user-{n}-Zq8Lw3" for n in range(3)]
OWN = [f"st4ge-canary-of-tester-{n}-Vb6Nt2" for n in range(3)]
EACH = 6


def service(world: World, tokens: list[str]) -> int:
    """The service that takes these; its port."""
    port = free_port()
    listening(port, process=world.start(sys.executable, __file__, port, *tokens))
    return port


def kept_anywhere(world: World, *outputs: str) -> list[str]:
    """Where a secret stands: in any file of the home or of the folder that is not the secret's own, or in what was said."""
    found = [f"output {n}" for n, text in enumerate(outputs) if any(secret in text for secret in RECORDED + OWN)]
    for path, data in files_below(world.folder).items():
        if not path.name.startswith("secret-"):
            found += [f"{path}: {secret}" for secret in RECORDED + OWN if secret.encode() in data]
    return found


@pytest.fixture
def recorded(world: World) -> World:
    """Three users' requests, and one of nobody."""
    traffic = [(f"/orders/{n}", {"Authorization": f"Bearer {RECORDED[n % 3]}"}) for n in range(3 * EACH)]
    world.record(service(world, RECORDED), [*traffic, ("/public", {})])
    for n, secret in enumerate(OWN):
        (world.folder / f"secret-{n}").write_text(secret)
    return world


def configure(world: World, identities: int) -> None:
    """So many identities for both versions."""
    listed = ", ".join(f'{{file = "secret-{n}"}}' for n in range(identities))
    text = f'[targets.default.credentials]\nprovider = "static"\nrest = "masked"\nidentities = [{listed}]\n'
    (world.folder / "echolane.toml").write_text(text)


def test_each_user_is_one_of_the_targets_and_no_secret_is_kept_or_told(recorded: World) -> None:
    """Users keep apart, the run passes, `--explain` says which from where, and canaries are in no file and no output."""
    configure(recorded, 3)
    targets = [word for name in ("--base", "--branch") for word in (name, f"http://127.0.0.1:{service(recorded, OWN)}")]
    told = recorded.call("run", "--service", "shop", "--home", recorded.home, *targets, "--explain")
    outputs = [
        "--html",
        recorded.folder / "page.html",
        "--markdown",
        recorded.folder / "page.md",
        "--junit",
        recorded.folder / "j.xml",
    ]
    done, result = recorded.run(*targets, *outputs)
    shown = recorded.call("show", "latest", "--home", recorded.home, "--rewrites")
    lines = recorded.call("show", "latest", "--home", recorded.home, "--exchanges", "--json")

    assert (done.code, result["verdict"], result["fidelity"]) == (0, "pass", 1.0), (done.err, result["reason"])
    assert result["ledger"]["compared"] == 3 * EACH + 1
    assert "base, control, branch, branch_control: header authorization from the file secret-0" in told.out, told.out
    assert "3 for 3 recorded identities; other secrets are masks" in told.out
    assert (
        "header authorization is the static credential of identity 2 at base, control, branch, branch_control"
        in told.out
    )
    assert shown.out.count("branch: header authorization: static credential") == 3 * EACH
    assert kept_anywhere(recorded, told.out, told.err, done.out, done.err, shown.out, lines.out) == []


def test_who_has_no_identity_is_skipped_and_the_way_out_is_told(recorded: World) -> None:
    """Two identities for three users: the third's requests are counted, before and after, with what to do."""
    configure(recorded, 2)
    targets = [word for name in ("--base", "--branch") for word in (name, f"http://127.0.0.1:{service(recorded, OWN)}")]
    told = recorded.call("run", "--service", "shop", "--home", recorded.home, *targets, "--explain")
    done, result = recorded.run(*targets)

    assert "what the other 1 sent is skipped (no-identity)" in told.out
    assert told.out.count(": no-identity") == EACH
    assert result["ledger"]["skipped"] == {"no-identity": EACH}, done.err
    assert (done.code, result["ledger"]["compared"]) == (0, 2 * EACH + 1)
    assert "share = true" in " ".join((done.out + done.err).split())


def test_credentials_that_never_work_are_paused_and_the_run_says_why(recorded: World) -> None:
    """Base takes none of them: a few refusals, the rest skipped, and the verdict says what to look at; no secret in any of it."""
    configure(recorded, 3)
    base, branch = service(recorded, ["some-other-token-altogether"]), service(recorded, OWN)
    done, result = recorded.run(
        "--base", f"http://127.0.0.1:{base}", "--branch", f"http://127.0.0.1:{branch}", "--concurrency", "1"
    )

    assert (done.code, result["reason_code"]) == (3, "fidelity"), done.err
    assert result["ledger"]["skipped"] == {"credentials-refused": 3}, "five each, then the sixth is skipped"
    assert [line for line in done.err.splitlines() if line.startswith("identity 1 is paused at base (static, ")], (
        done.err
    )
    assert len(result["paused"]) in {3, 6}
    assert "targets.NAME.credentials in echolane.toml" in " ".join((done.out + done.err).split())
    assert kept_anywhere(recorded, done.out, done.err) == []


def test_a_secret_that_is_not_there_is_an_error_before_anything_is_sent(recorded: World) -> None:
    """Exit 2, and one line with the setting's line and what is missing."""
    configure(recorded, 3)
    Path(recorded.folder / "secret-1").unlink()
    port = service(recorded, OWN)
    done, result = recorded.run(
        "--base", f"http://127.0.0.1:{port}", "--branch", f"http://127.0.0.1:{service(recorded, OWN)}"
    )

    assert (done.code, result) == (2, {})
    assert "echolane.toml line 1" in done.err
    assert "secret-1" in done.err
