"""What JSON means beyond its syntax: tokens by their claims, errors of GraphQL, links by relation."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import orjson
import pytest
from hypothesis import given, strategies as st

from differ.context import Context
from differ.difference import FORMAT, PRESENCE, VALUE
from differ.echoes import Own
from differ.jwts import token_of, tokens
from tests.differ.forms import between, places

JSON = "application/json"
CLAIMS = {"sub": "u1", "scope": "read", "iat": 1_795_448_000, "exp": 1_795_451_600, "jti": "a1"}


def token(claims: dict[str, object], signature: str = "c2lnbmF0dXJl", **header: object) -> str:
    """A JSON web token."""
    parts = ({"alg": "RS256", "typ": "JWT", "kid": "k1", **header}, claims)
    texts = [urlsafe_b64encode(orjson.dumps(part)).decode().rstrip("=") for part in parts]
    return ".".join([*texts, signature])


@pytest.mark.parametrize(
    ("claims", "header", "signature"),
    [
        ({"iat": 1_795_448_900, "exp": 1_795_452_500}, {}, "jwt"),
        ({"jti": "zz-9"}, {"kid": "k2"}, "jwt"),
        ({}, {}, "jwt"),
        ({"scope": "read write"}, {}, "jwt:scope"),
        ({"sub": "u2"}, {}, "jwt:sub"),
        ({"sub": 1}, {}, "jwt:sub"),
        ({"admin": True}, {}, "jwt:admin"),
        ({"exp": 1_795_448_060}, {}, "jwt:lifetime"),
        ({}, {"alg": "none"}, "jwt:alg"),
        ({"scope": "all", "sub": "u2"}, {"alg": "none"}, "jwt:alg,scope,sub"),
    ],
)
def test_a_token_is_compared_by_its_claims(
    claims: dict[str, object], header: dict[str, object], signature: str
) -> None:
    """Another time, id, key or signature is noise of a token; another claim is named, and no noise hides it."""
    old, new = token(CLAIMS), token(CLAIMS | claims, "b3RoZXI", **header)
    for body in (orjson.dumps({"token": old}), orjson.dumps({"token": new})):
        assert between(body, body, JSON) == []
    (found,) = between(orjson.dumps({"token": old}), orjson.dumps({"token": new}), JSON)

    assert (found.where, found.signature) == ("body:$.token", f"value:{signature}")
    assert (found.facet, found.klass) == ((VALUE, "token") if signature == "jwt" else (FORMAT, ""))


def test_what_a_token_claims_is_shown() -> None:
    """A person reads the claim, not base64."""
    (found,) = between(orjson.dumps([token(CLAIMS)]), orjson.dumps([token(CLAIMS | {"scope": "all"})]), JSON)

    assert (found.old, found.new) == ('{"scope":"read"}', '{"scope":"all"}')


@given(st.text(alphabet="eyJab.-_=1", max_size=40))
def test_what_looks_like_a_token_is_read_or_left(text: str) -> None:
    """Any text after the opening: never an exception."""
    assert tokens("eyJ" + text, "eyJ" + text[::-1]) is None or token_of("eyJ" + text) is not None


def test_an_error_of_graphql_is_a_finding_of_its_own() -> None:
    """Under status 200 an error appears beside partial data; the signature says which error, numbers masked."""
    fine = '{"data": {"user": {"id": 1, "name": "a"}}}'
    broken = '{"data": {"user": null}, "errors": [{"message": "timeout after 30 s", "path": ["user"]}]}'
    other = broken.replace("timeout after 30 s", "forbidden")
    found = {d.where: d for d in between(fine, broken, JSON)}
    another = {d.where: d for d in between(other, fine, JSON)}

    assert {(d.where, d.kind) for d in found.values()} == {("body:$.errors", "added"), ("body:$.data.user", "type")}
    assert found["body:$.errors"].facet == PRESENCE
    assert found["body:$.errors"].signature == "added:errors:timeout after <number> s"
    assert another["body:$.errors"].signature == "missing:errors:forbidden"


def test_errors_in_another_order_are_an_order() -> None:
    """Resolvers run side by side, so their errors come as they like."""
    errors = ['{"message": "a", "path": ["x"]}', '{"message": "b", "path": ["y"]}']
    body = '{{"data": null, "errors": [{}]}}'
    (found,) = between(body.format(",".join(errors)), body.format(",".join(errors[::-1])), JSON)

    assert (found.where, found.kind) == ("body:$.errors", "order")


def test_links_are_told_by_relation_and_without_their_own_host() -> None:
    """HAL and JSON:API: one relation that points elsewhere, while all echo their own port."""
    own = (Own((b"127.0.0.1:8001",), "8001"), Own((b"127.0.0.1:8002",), "8002"))
    old = (
        '{"_links": {"self": {"href": "http://127.0.0.1:8001/a"}, "next": {"href": "http://127.0.0.1:8001/a?page=2"}}}'
    )
    new = old.replace("8001", "8002")
    api = '{"data": [{"type": "a", "id": "1", "links": {"self": "http://127.0.0.1:8001/a/1"}}]}'

    assert between(old, new, "application/hal+json", Context(own=own)) == []
    assert places(between(old, new.replace("page=2", "page=3"), "application/hal+json", Context(own=own))) == {
        ("body:$._links.next.href", "value")
    }
    assert places(between(api, api.replace("8001/a/1", "8002/b/1"), "application/vnd.api+json", Context(own=own))) == {
        ("body:$.data[*].links.self", "value")
    }
