"""Canaries: secrets planted in every position of an exchange, of which none may be found in what would be stored."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable, Iterator
from urllib.parse import quote

import msgspec
import orjson
import pytest

from echolane.bodies import encode, keep
from echolane.exchange import Body, Headers, Request, Response
from echolane.keys import SealKey, SealKeys
from echolane.masks import Masker
from echolane.seal import open_seal

KEY = SealKey.of(bytes(range(32)))
CHANCE = random.Random(20240501)


def secret(size: int = 24) -> str:
    """A password or key that nothing but its name tells."""
    return "".join(CHANCE.choices(string.ascii_letters + string.digits, k=size))


def email() -> str:
    """An address of a person."""
    return f"{secret(6).lower()}.{secret(7).lower()}+{secret(3)}@{secret(8).lower()}.example.com"


def card() -> str:
    """A card number of 16 digits whose check digit holds."""
    digits = "4" + "".join(CHANCE.choices(string.digits, k=14))
    total = sum(sum(divmod(int(c) * (2 - at % 2), 10)) for at, c in enumerate(digits))
    return digits + str(-total % 10)


def jwt() -> str:
    """A token in three parts."""
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
    claims = base64.urlsafe_b64encode(b'{"sub":"' + secret().encode() + b'"}').rstrip(b"=").decode()
    return f"{head}.{claims}.{secret(43)}"


def number() -> str:
    """A number that only its name makes a secret."""
    return str(CHANCE.randrange(10**9, 10**10))


LOOKS: dict[str, Callable[[], str]] = {
    "email": email,
    "card": card,
    "jwt": jwt,
    "stripe": lambda: f"sk_live_{secret()}",
}


def request(headers: Headers = [], target: str = "/", body: bytes = b"", kind: bytes = b"", **more: object) -> Request:  # noqa: B006
    """A request with a secret somewhere."""
    headers = [*headers, (b"Content-Type", kind)] if kind else headers
    return Request(
        "POST",
        "http",
        "shop",
        target,
        "1.1",
        headers,
        more.get("kept") or Body(body, len(body)),
        more.get("trailers") or [],
    )


def multipart(name: str, value: str) -> bytes:
    """A form of two parts."""
    return (
        f'--XyZ\r\nContent-Disposition: form-data; name="title"\r\n\r\nhello\r\n--XyZ\r\nContent-Disposition: form-data; '
        f'name="{name}"\r\n\r\n{value}\r\n--XyZ--\r\n'
    ).encode()


FORM, MULTI, JSON = (
    b"application/x-www-form-urlencoded",
    b'multipart/form-data; boundary="XyZ"',
    b"application/json; charset=utf-8",
)


def by_name() -> Iterator[tuple[str, Request, list[str]]]:
    """Secrets that their name or place tells."""
    names = ["password", "access_token", "refreshToken", "client-secret", "api_key", "apikey", "X-Api-Key", "user[password]", "csrf_token",
             "sessionId", "private_key", "new_password", "passphrase", "jwt", "auth_token", "otp", "cvv", "signature"]  # fmt: skip
    for name in names:
        header = "X-" + name.replace("[", "-").replace("]", "").replace("_", "-")
        s = secret()
        yield f"header {header}", request([(header.encode(), s.encode())]), [s]
        s = secret()
        yield f"query {name}", request(target=f"/a?b=1&{quote(name)}={s}&c=2"), [s]
        s = secret()
        yield f"json {name}", request(body=orjson.dumps({"a": 1, name: s, "b": [{"c": 2}]}), kind=JSON), [s]
        s = secret(8) + ' "quoted" \\ ü ' + secret(8)
        yield (
            f"json escaped {name}",
            request(body=orjson.dumps({"a": {name: s}}, option=orjson.OPT_INDENT_2), kind=JSON),
            [s[:8], s[-8:]],
        )
        s = number()
        yield f"json number {name}", request(body=b'{"x":[{"%s": %s}]}' % (name.encode(), s.encode()), kind=JSON), [s]
        s, t = secret(), secret()
        yield f"json nested {name}", request(body=orjson.dumps({name: {"value": s, "list": [t]}}), kind=JSON), [s, t]
        s = secret()
        yield (
            f"json in json {name}",
            request(body=orjson.dumps({"e": orjson.dumps({name: s}).decode()}), kind=JSON),
            [s],
        )
        s = secret()
        yield f"form {name}", request(body=f"a=1&{quote(name)}={s}&z=%20".encode(), kind=FORM), [s]
        s = secret()
        yield f"multipart {name}", request(body=multipart(name, s), kind=MULTI), [s]
    for name in ("password", "token", "api_key", "client_secret"):
        s, t, u = secret(), secret(), secret()
        yield (
            f"text {name}",
            request(body=f"failed for {name}={s} and {name}: {t}\n{name} = '{u}'".encode(), kind=b"text/plain"),
            [s, t, u],
        )
        s, t = secret(), secret()
        yield (
            f"xml {name}",
            request(body=f'<a><x:{name} n="1">{s}</x:{name}><b {name}="{t}"/></a>'.encode(), kind=b"text/xml"),
            [s, t],
        )
        s, t = secret(), secret()
        page = f'<input type=hidden name="{name}" value="{s}"><input value="{t}" id="{name}">'
        yield f"html {name}", request(body=page.encode(), kind=b"text/html"), [s, t]
        s = secret()
        yield f"error text {name}", request(body=orjson.dumps({"error": f"bad {name}={s}, try again"}), kind=JSON), [s]
        s = secret()
        yield f"link in json {name}", request(body=orjson.dumps({"next": f"/p?x=1&{name}={s}&y=2"}), kind=JSON), [s]
        s = secret()
        yield f"referer {name}", request([(b"Referer", f"https://h/x?{name}={s}#f".encode())]), [s]
        s = secret()
        yield f"url in url {name}", request(target=f"/login?next={quote(f'/x?{name}={s}', safe='')}"), [s]
        s = secret(32)
        yield f"path {name}", request(target=f"/{name}/{s}1/x"), [s]


def by_place() -> Iterator[tuple[str, Request, list[str]]]:
    """Secrets that a header's own syntax tells."""
    for _ in range(5):
        s, t = secret(), secret()
        yield "cookies", request([(b"Cookie", f'a={s}; theme="{t}"; c=3'.encode())]), [s, t]
        s, t = secret(), secret()
        yield (
            "set-cookie",
            request([(b"Set-Cookie", f"sid={s}; Path=/; HttpOnly".encode()), (b"set-cookie", f"x={t}".encode())]),
            [s, t],
        )
        s, t = secret(), secret()
        both = base64.b64encode(f"{s}:{t}".encode()).decode()
        yield "basic", request([(b"Authorization", f"Basic {both}".encode())]), [s, t, both]
        s = secret()
        yield "bearer", request([(b"Proxy-Authorization", f"Bearer {s}".encode())]), [s]
        s = secret()
        yield "no scheme", request([(b"authorization", s.encode())]), [s]
        s, t, u = secret(), secret(), secret()
        digest = f'Digest username="{s}", realm="r", nonce="{t}", uri="/x", qop=auth, response="{u}"'
        yield "digest", request([(b"Authorization", digest.encode())]), [s, t, u]
        s, t = secret(20), secret(40)
        aws = f"AWS4-HMAC-SHA256 Credential={s}/20240501/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature={t}"
        yield "aws", request([(b"Authorization", aws.encode())]), [s, t]
        s = secret()
        echoed = orjson.dumps(
            {"headers": {"Authorization": f"Bearer {s}", "Cookie": f"a=1; b={s}"}, "cookies": {"any": s}}
        )
        yield "echoed headers", request(body=echoed, kind=JSON), [s]
        s, t = secret(), secret()
        yield "userinfo", request(target=f"http://{s}:{t}@h/x"), [s, t]
        s = secret()
        yield "matrix", request(target=f"/shop;jsessionid={s}/cart"), [s]
        s = secret()
        yield "trailer", request(trailers=[(b"X-Auth-Token", s.encode())]), [s]
        s = secret()
        body = keep(encode(orjson.dumps({"password": s, "pad": "x" * 50}), "gzip"), 10_000, encoding="gzip")
        yield "gzip", request(kept=body, kind=JSON), [s]
        s = secret(30)
        cut = orjson.dumps({"pad": 1, "password": s})
        yield "cut", request(kept=Body(cut[:-12], 999, truncated=True), kind=JSON), [s[:15]]
        s = email()
        yield (
            "cut e-mail",
            request(kept=Body(f"to {s}"[:-5].encode(), 999, truncated=True), kind=b"text/plain"),
            [s.partition("@")[0]],
        )


def by_look() -> Iterator[tuple[str, Request, list[str]]]:
    """Secrets that their own look tells, wherever they are."""
    for look, make in LOOKS.items():
        s = make()
        yield f"{look} in a header", request([(b"X-Debug", f"user {s} seen".encode())]), [s]
        s = make()
        yield f"{look} in a path", request(target=f"/who/{s}/x"), [s]
        s = make()
        yield f"{look} in a query", request(target=f"/x?q={quote(s, safe='')}&r={s}"), [s, quote(s, safe="")]
        s = make()
        yield f"{look} in JSON", request(body=orjson.dumps({"a": [s, f"to {s}."], s: 1}), kind=JSON), [s]
        s = make()
        yield f"{look} in a form", request(body=f"a=1&x={quote(s)}".encode(), kind=FORM), [s, quote(s)]
        s = make()
        yield f"{look} in multipart", request(body=multipart("note", f"see {s}"), kind=MULTI), [s]
        s = make()
        yield f"{look} in text", request(body=f"line\n{s}\n({s}),<{s}>".encode(), kind=b"text/plain"), [s]
        s = make()
        yield f"{look} in a JSON line", request(body=orjson.dumps(f"one\n{s}\ttwo"), kind=JSON), [s]
        s = make()
        yield (
            f"{look} in unknown bytes",
            request(body=b"\x00\x01" + s.encode() + b"\x00\xff", kind=b"application/x-thing"),
            [s],
        )
        s = make()
        yield f"{look} in a trailer", request(trailers=[(b"X-Note", s.encode())]), [s]
    s = card()
    grouped = " ".join((s[:4], s[4:8], s[8:12], s[12:]))
    yield (
        "card in groups",
        request(body=f"pay {grouped} or {grouped.replace(' ', '-')}".encode(), kind=b"text/plain"),
        [grouped],
    )
    s = card()
    yield "card as a number", request(body=b'{"n":%s}' % s.encode(), kind=JSON), [s]
    s = card()
    grouped = "+".join((s[:4], s[4:8], s[8:12], s[12:]))
    yield "card in a form", request(body=f"n={grouped}".encode(), kind=FORM), [grouped]


CANARIES = [*by_name(), *by_place(), *by_look()]


@pytest.mark.parametrize("side", ["request", "response"])
def test_no_canary_is_stored(side: str):
    """Of hundreds of planted secrets none is found in the bytes that would go to disk, on either side, and the seal restores all."""
    masker = Masker(KEY.mask_key(), seal_key=KEY)
    planted = 0
    leaks: list[str] = []
    for position, message, secrets in CANARIES:
        if side == "request":
            masked = masker.request(message)
            stored = msgspec.msgpack.encode([masked.request, masked.seal, masked.uses, masked.session])
            assert open_seal(masked.request, masked.seal, SealKeys(KEY)) == message, position
            assert masker.request(masked.request).masks == 0, position
        else:
            answer = Response(200, "1.1", message.headers, message.body, message.trailers)
            stored = msgspec.msgpack.encode(masker.response(answer).response)
            if "target" in position or message.target != "/":
                continue
        planted += len(secrets)
        leaks += [f"{position}: {canary}" for canary in secrets if canary.encode() in stored]

    assert leaks == []
    assert planted >= 200


def test_an_echo_of_a_secret_is_masked():
    """A service that repeats a credential in any words repeats its mask."""
    masker = Masker(KEY.mask_key(), seal_key=KEY)
    s, t = secret(), secret()
    asked = masker.request(request([(b"Authorization", f"Bearer {s}".encode()), (b"Cookie", f"a={t}".encode())]))
    body = f"no user has the word {s}; you are {t}".encode()
    answer = Response(401, "1.1", [(b"X-Seen", f"<{s}>".encode())], Body(body, len(body)))
    masked = masker.response(answer, asked.known).response

    assert s.encode() not in msgspec.msgpack.encode(masked)
    assert t.encode() not in msgspec.msgpack.encode(masked)
    assert masked.headers[0][1][1:-1] == asked.request.headers[0][1][7:]


def test_one_value_has_one_mask_everywhere():
    """A login's token is the same mask in the answer that brings it and the requests that use it, so joins still work."""
    masker = Masker(KEY.mask_key(), seal_key=KEY)
    s = secret()
    body = orjson.dumps({"access_token": s})
    login = masker.response(Response(200, "1.1", [(b"Set-Cookie", f"sid={s}; Path=/".encode())], Body(body, len(body))))
    use = masker.request(request([(b"Authorization", f"Bearer {s}".encode())], f"/x?token={s}"))
    mask = orjson.loads(login.response.body.data)["access_token"]

    assert login.response.headers[0][1] == f"sid={mask}; Path=/".encode()
    assert use.request.headers[0][1] == f"Bearer {mask}".encode()
    assert use.request.target == f"/x?token={mask}"
    assert login.introduces == use.uses
    assert len(use.uses) == 1


def test_a_session_is_the_callers():
    """Credential first, else the cookie that names a session, else the address; words join nobody."""
    masker = Masker(KEY.mask_key())
    bearer = [(b"Authorization", b"Bearer abcdefgh12345678")]
    cookies = [(b"Cookie", b"theme=dark; sid=0123456789abcdef; x=1")]
    other = [(b"Cookie", b"theme=light; sid=0123456789abcdef")]

    assert masker.request(request([*cookies, *bearer]), "1").session == masker.request(request(bearer), "2").session
    assert masker.request(request(cookies), "1").session == masker.request(request(other), "2").session
    assert masker.request(request(), "1").session != masker.request(request(), "2").session
    assert masker.request(request([(b"Cookie", b"theme=dark; lang=en")])).uses == []
    assert len(masker.request(request(), "1").session) == 16


PLAIN = [
    (b'{"token_type":"bearer","expires_in":3600,"max_tokens":100,"author":"Ann","tokens":57,"passed":true,"keys":[1,2]}', JSON),
    (b'{"created":1700000000123,"id":1234567890123456789,"price":0.5333333333333333,"key":"main","note":"4111-1111"}', JSON),
    (b"Invalid token: expected a string. The password is wrong. See http://h/a?b=c", b"text/plain"),
    (b"<html><body class='x'>pass the key to author@ home</body></html>", b"text/html"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "kind"), PLAIN)
def test_ordinary_words_are_left_alone(body: bytes, kind: bytes):
    """Counts, kinds, times and prose are no secrets: what is not masked can be compared."""
    answer = Response(200, "1.1", [(b"Content-Type", kind), (b"ETag", b'"5d8c72a5edda8d6a"')], Body(body, len(body)))

    assert Masker(KEY.mask_key()).response(answer).response is answer


def test_what_has_nothing_to_hide_is_the_same_object():
    """Plain traffic costs no copies and has no seal."""
    plain = request([(b"Accept", b"*/*")], "/items/7?limit=20")
    masked = Masker(KEY.mask_key(), seal_key=KEY).request(plain)

    assert masked.request is plain
    assert (masked.seal, masked.masks, masked.known) == (b"", 0, ())


def test_marks_of_pages_stay():
    """Tokens that say where a list goes on open nothing, and a masked one would ask for another page; a form's ``_token`` is long."""
    masker = Masker(KEY.mask_key(), seal_key=KEY)
    for target in (
        "/a?pageToken=CAoQAA&next_token=abc",
        "/a?continuation-token=10",
        "/a?_token=abc&_limit=2",
        "/a?syncToken=x1",
    ):
        request = Request("GET", "http", "h", target, "1.1", [], Body())
        assert masker.request(request).request.target == target

    long = Request("GET", "http", "h", "/a?_token=f8kq2LmZx09QpR4tYw7uBv1c", "1.1", [], Body())
    assert masker.request(long).request.target != long.target
