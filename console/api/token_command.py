"""``echolane token``: give access to the API and the pages, list who has it, and end it."""

from __future__ import annotations

import argparse
import time

import orjson

from console.api.access import DAYS, EVERY, ROLES, Token, TokenBook
from console.api.audit import Audit
from console.flags import service_name
from console.output import put, say, table
from console.surroundings import home_of
from differ.result import iso
from echolane.errors import UsageError

EPILOG = """examples:
  echolane token create ci --role runner --service shop --days 30
  echolane token list
  echolane token revoke 0123456789ab"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.epilog = EPILOG
    parser.add_argument("action", choices=["create", "list", "revoke"], help="make one, list all, end one")
    parser.add_argument("name", nargs="?", metavar="NAME", help="who or what uses it (create); its id (revoke)")
    parser.add_argument("--role", choices=ROLES, default="viewer", help="what it may do (default: viewer)")
    parser.add_argument(
        "--service",
        action="append",
        default=[],
        metavar="NAME",
        help="only this service; may be repeated (default: all)",
    )
    parser.add_argument("--days", type=float, default=DAYS, metavar="N", help=f"how long it holds (default: {DAYS})")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")


def execute(args: argparse.Namespace) -> int:
    """Make, list or end tokens."""
    home = home_of(args)
    book = TokenBook(home)
    if args.action == "list":
        show(book.listed(), as_json=args.json)
        return 0
    if not args.name:
        raise UsageError(f"`token {args.action}` needs {'a name' if args.action == 'create' else 'the id of a token'}")
    audit = Audit(home)
    audit.check()
    if args.action == "revoke":
        token = book.revoke(args.name)
        say(f"token {token.id} ({token.name}) holds no more")
    else:
        services = [service_name(name) for name in args.service] or [EVERY]
        token, text = book.create(args.name, args.role, services, args.days)
        print(orjson.dumps({"id": token.id, "secret": text}).decode() if args.json else text)  # noqa: T201
        say(
            f"token {token.id}, {token.role} of {' '.join(services)}, until {iso(token.expires_at_ns)}; it is told this once"
        )
    audit.note(actor="shell", operation=f"token {args.action}", service="", what=token.id, status=0, address="")
    return 0


def show(tokens: list[Token], *, as_json: bool) -> None:
    """All tokens, without their secrets."""
    now = time.time_ns()
    if as_json:
        rows = [
            {
                "id": token.id,
                "name": token.name,
                "role": token.role,
                "services": token.services,
                "expires_at": iso(token.expires_at_ns),
                "holds": token.holds(now),
            }
            for token in tokens
        ]
        put(rows)
        return
    table(
        ["id", "name", "role", "services", "expires", "state"],
        [
            [t.id, t.name, t.role, " ".join(t.services), iso(t.expires_at_ns), "holds" if t.holds(now) else "ended"]
            for t in tokens
        ],
    )
