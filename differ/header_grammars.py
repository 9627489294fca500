"""Header fields by their own grammar: what a field says as a list of named parts, whatever its spelling (RFC 9110 §5.6).

Case where it has no meaning, blanks, quotes around what needs none, empty members and ``q=1`` are spelling. A part is what can
come, go or change by itself: a member of a list, a directive, a parameter, a link by its relation, a challenge's parameter.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

FIELD_MAX = 64 * 1024
"""A longer field is compared as a text: servers refuse heads of this size, and reading it tells a person nothing more."""
Part = tuple[str, str]
"""What it is called, and what it says."""
_TOKEN = re.compile(r"[\w!#$%&'*+.^`|~:/@=?,-]+")


class Grammar(msgspec.Struct, frozen=True):
    """How a field is read."""

    parts: Callable[[str], list[Part]]
    listed: bool = True
    """Whether lines of one name are one list (RFC 9110 §5.3)."""
    order: str = "set"
    """What the order of its parts is: a ``set`` may come in any, in a ``list`` it has a meaning, ``free`` is no more than spelling."""


def split(text: str, separator: str) -> list[str]:
    """Pieces between separators that stand outside of quotes and of ``<…>``, without blanks around them; no empty ones."""
    if '"' not in text and "<" not in text:
        return [piece for part in text.split(separator) if (piece := part.strip(" \t"))]
    pieces: list[str] = []
    begin, end, held = 0, len(text), ""
    at = 0
    while at < end:
        char = text[at]
        if held:
            if char == "\\" and held == '"':
                at += 1
            elif char == held:
                held = ""
        elif char == '"':
            held = '"'
        elif char == "<":
            held = ">"
        elif char == separator:
            pieces.append(text[begin:at])
            begin = at + 1
        at += 1
    pieces.append(text[begin:])
    return [piece for part in pieces if (piece := part.strip(" \t"))]


def plain(value: str) -> str:
    """A value without quotes where a token would do, and with as few escapes as it needs."""
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    inner = re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
    if _TOKEN.fullmatch(inner):
        return inner
    return '"' + inner.replace("\\", "\\\\").replace('"', '\\"') + '"'


def named(text: str) -> Part:
    """``name=value`` with its name in lower case; a name alone says nothing."""
    name, equals, value = text.partition("=")
    return name.strip(" \t").lower(), "=" + plain(value.strip(" \t")) if equals else ""


def parameters(pieces: list[str]) -> list[Part]:
    """Parameters by name, without a weight that is the default anyway."""
    found = sorted(named(piece) for piece in pieces)
    return [(name, _weight(value) if name == "q" else value) for name, value in found if _weighs(name, value)]


def _weighs(name: str, value: str) -> bool:
    return name != "q" or _weight(value) != "=1"


def _weight(value: str) -> str:
    """A weight without zeros at its end (RFC 9110 §12.4.2)."""
    return "=" + value[1:].rstrip("0").rstrip(".") if re.fullmatch(r"=[01]\.\d{0,3}", value) else value


def _tokens(text: str) -> list[Part]:
    """Members whose case has no meaning; their parameters belong to them."""
    return [(member.lower(), "") for member, _ in _members(text)]


def _members(text: str) -> list[Part]:
    """Members with their parameters, as they are."""
    found: list[Part] = []
    for member in split(text, ","):
        head, *rest = split(member, ";") or [member]
        found.append((head + "".join(f";{name}{value}" for name, value in parameters(rest)), ""))
    return found


def _weighted(text: str) -> list[Part]:
    """Members whose case has no meaning, with their parameters apart: a weight may change by itself."""
    found: list[Part] = []
    for member in split(text, ","):
        head, *rest = split(member, ";") or [member]
        found.append((head.lower(), "".join(f";{name}{value}" for name, value in parameters(rest))))
    return found


def _directives(text: str) -> list[Part]:
    """Directives with or without an argument."""
    return [named(piece) for piece in split(text, ",")]


def _semicolons(text: str) -> list[Part]:
    """Directives between semicolons."""
    return sorted(named(piece) for piece in split(text, ";"))


def _typed(text: str) -> list[Part]:
    """A type and its parameters; the name of a charset has no case."""
    head, *rest = split(text, ";") or [""]
    found = [(name, value.lower() if name == "charset" else value) for name, value in parameters(rest)]
    return [("", head.lower()), *found]


def _token(text: str) -> list[Part]:
    """One word whose case has no meaning."""
    return [("", text.strip(" \t").lower())]


def _links(text: str) -> list[Part]:
    """Links by their relation (RFC 8288): its target and the rest of its parameters."""
    found: list[Part] = []
    for link in split(text, ","):
        target, *rest = split(link, ";") or [link]
        given = parameters(rest)
        names = " ".join(sorted(plain_of(value).lower() for name, value in given if name == "rel"))
        others = "".join(f";{name}{value}" for name, value in given if name != "rel")
        found.append((f"rel={names}", target + others))
    return found


def plain_of(value: str) -> str:
    """A parameter's value as it reads: relations in any order are the same ones."""
    return " ".join(sorted(value[1:].strip('"').split()))


def _timings(text: str) -> list[Part]:
    """Metrics of Server-Timing by name, what they measure apart from what they are."""
    found: list[Part] = []
    for metric in split(text, ","):
        head, *rest = split(metric, ";") or [metric]
        found.append((head, ""))
        found += [(f"{head}.{name}", value) for name, value in parameters(rest)]
    return found


_SCHEME = re.compile(r"([\w!#$%&'*+.^`|~-]+)(?:[ \t]+(.*))?", re.DOTALL)


def _challenges(text: str) -> list[Part]:
    """Challenges by scheme, and their parameters by name (RFC 9110 §11.6.1): a comma parts both."""
    found: list[Part] = []
    scheme, seen, schemes = "", 0, set[str]()
    for piece in split(text, ","):
        start = _SCHEME.fullmatch(piece)
        if start is not None and not (start[2] or "").startswith("="):
            seen += 1
            # A second challenge of one scheme is another one.
            scheme = start[1].lower()
            scheme += f"#{seen}" if scheme in schemes else ""
            schemes.add(scheme)
            found.append((scheme, ""))
        rest = piece if start is None or (start[2] or "").startswith("=") else start[2]
        if rest:
            name, value = named(rest)
            found.append((f"{scheme}.{name}", value) if value.strip("=") else (f"{scheme} token", rest))
    return found


_NONCE = re.compile(r"'nonce-(.*)'", re.DOTALL)


def _policy(text: str) -> list[Part]:
    """A Content-Security-Policy: each source of each directive; a nonce is drawn anew and stands apart."""
    found: list[Part] = []
    for directive in split(text, ";"):
        name, *sources = directive.split() or [directive]
        name = name.lower()
        found.append((name, ""))
        for source in sources:
            nonce = _NONCE.fullmatch(source)
            found.append((f"{name}.nonce", nonce[1]) if nonce else (f"{name} {source}", ""))
    return found


def _options(text: str) -> list[Part]:
    """Members as they are written, in an order that means something."""
    return [(member, "") for member in split(text, ",")]


def _codings(text: str) -> list[Part]:
    return [(member.lower(), "") for member in split(text, ",")]


_GRAMMARS: tuple[tuple[Grammar, str], ...] = (
    (Grammar(_members), "allow access-control-allow-methods timing-allow-origin public"),
    (
        Grammar(_tokens),
        (
            "vary access-control-allow-headers access-control-expose-headers accept-ranges accept-patch accept-post pragma"
            " accept-ch critical-ch content-language clear-site-data x-robots-tag preference-applied allow-patch"
        ),
    ),
    (Grammar(_weighted), "accept accept-encoding accept-language accept-charset"),
    (
        Grammar(_directives),
        (
            "cache-control surrogate-control cdn-cache-control authentication-info proxy-authentication-info"
            " digest content-digest repr-digest want-content-digest want-repr-digest permissions-policy expect-ct"
        ),
    ),
    (Grammar(_links), "link"),
    (Grammar(_timings), "server-timing"),
    (Grammar(_challenges, order="free"), "www-authenticate proxy-authenticate"),
    (Grammar(_options, order="list"), "via forwarded alt-svc warning referrer-policy x-forwarded-for"),
    (Grammar(_codings, order="list"), "content-encoding"),
    (Grammar(_typed, listed=False, order="free"), "content-type content-disposition"),
    (Grammar(_semicolons, listed=False, order="free"), "strict-transport-security x-xss-protection"),
    (
        Grammar(_policy, listed=False, order="free"),
        "content-security-policy content-security-policy-report-only feature-policy",
    ),
    (
        Grammar(_token, listed=False, order="free"),
        (
            "x-content-type-options x-frame-options cross-origin-opener-policy cross-origin-embedder-policy"
            " cross-origin-resource-policy origin-agent-cluster"
        ),
    ),
)
GRAMMARS: dict[str, Grammar] = {name: grammar for grammar, names in _GRAMMARS for name in names.split()}
"""By lower-case name; what is not here is compared as a text."""
