"""The commonest case: a short number that a service made. What carries it is its place and its name, and each of these shapes is followed."""

from __future__ import annotations

import json

import pytest

from tests.replayer.linked import answer, replayed, step

FORM, HTML, XML = b"application/x-www-form-urlencoded", b"text/html", b"application/xml"
HIDDEN = '<form><input type="hidden" name="ticket" value="{0}"></form>'


def at(path: str, status: int = 201):
    """An answer that says where the thing is."""
    return answer(b"", (b"Location", path.encode()), status=status)


def made(content, line="POST /orders"):
    """The request that gives a number away, and its answer by number."""
    return line, lambda number: answer(json.loads(json.dumps(content).replace("17", str(number))))


FOLLOWED = {
    "Location": (("POST /orders", lambda n: at(f"/orders/{n}")), ("GET /orders/{}", b"")),
    "Location of what is shown": (("GET /latest", lambda n: at(f"/desk/{n}", 302)), ("GET /desk/{}", b"")),
    "id": (made({"id": 17}), ("GET /orders/{}/lines", b"")),
    "id under another collection": (made({"id": 17}), ("GET /invoices/{}", b"")),
    "id of the client's own": (made({"id": 17, "karma": 17}, "GET /me"), ("GET /profiles/{}", b"")),
    "id inside": (made({"user": {"id": 17, "age": 99}}, "POST /login"), ("GET /users/{}/posts", b"")),
    "id by its thing's name": (made({"id": 17}), ("GET /pay?order={}", b"")),
    "id by its full name": (made({"id": 17}), ("GET /pay?order_id={}", b"")),
    "id in a member": (made({"id": 17}), ("POST /pay", b'{"order": {}}')),
    "full name in a path": (made({"userId": 17}, "POST /users"), ("PUT /users/{}", b"")),
    "key": (made({"data": {"pk": 17}}, "POST /users"), ("PUT /users", b'{"pk": {}}')),
    "procedure call": (made({"result": 17}, "POST /rpc"), ("POST /rpc", b'{"params": [{}]}')),
    "query language": (made({"data": {"createOrder": {"id": "17"}}}, "POST /graphql"), ("POST /graphql", b'{"orderId": "{}"}')),
    "name that says nothing": (made({"blip": 17}, "POST /carts"), ("GET /carts/{}", b"")),
    "in a reference": (made({"blip": 17}, "POST /carts"), ("POST /orders", b'{"what": "cart-{}"}')),
    "own header": (("POST /o", lambda n: answer(b"", (b"X-Order", str(n).encode()))), ("GET /o/{}", b"")),
    "element of XML": (("POST /o", lambda n: answer(b"<o><id>%d</id></o>" % n, kind=XML)), ("GET /o/{}", b"")),
    "link": (("GET /home", lambda n: answer(b'<a href="/orders/%d">x</a>' % n, kind=HTML)), ("GET /orders/{}", b"")),
    "hidden field": (("GET /new", lambda n: answer(HIDDEN.format(n).encode(), kind=HTML)), ("POST /new", b"ticket={}&n=1")),
    "list's only one": (made([{"id": 17}], "GET /orders"), ("GET /orders/{}", b"")),
    "list's, by its text": (made([{"id": 17, "t": "saw"}, {"id": 8, "t": "axe"}], "GET /orders"), ("GET /orders/{}", b"")),
    "next page": (made({"next": "/l?after=17"}, "GET /l"), ("GET /l?after={}", b"")),
    "next offset": (made({"next": "/l?offset=17"}, "GET /l"), ("GET /l?offset={}", b"")),
    "version": (made({"version": 17}, "GET /o"), ("PUT /o", b'{"version": {}}')),
}  # fmt: skip


@pytest.mark.parametrize("shape", FOLLOWED)
def test_a_short_number_that_place_and_name_carry_is_the_targets(shape):
    """A report with the same number as a count, before and after it was given away, does not turn the request elsewhere."""
    (giving, said), (taking, body) = FOLLOWED[shape]
    kind = FORM if b"=" in body else b"application/json"

    def taken(number: int):
        return taking.replace("{}", str(number)), body.replace(b"{}", b"%d" % number)

    line, sent = taken(17)
    count = step("GET /report", answer({"visits": 17, "orders": 17, "total": 17}))
    other = answer({"visits": 18, "orders": 19, "total": 20})
    gives, takes = step(giving, said(17)), step(line, answer(), sent, kind=kind)
    for steps, given in (
        ([gives, takes], [said(42), answer()]),
        ([count, gives, takes], [other, said(42), answer()]),
        ([gives, count, takes], [said(42), other, answer()]),
    ):
        got = replayed(steps, given)[-1].request
        if len(steps) > 2 and shape in {"in a reference", "procedure call"}:
            assert (f"{got.method} {got.target}", got.body.data) == taken(17), "no name: it may have been the count"
        else:
            assert (f"{got.method} {got.target}", got.body.data) == taken(42)


def test_a_number_that_stands_everywhere_does_not_push_out_the_answer_that_made_it():
    """Of a place that repeats a number the first and the last are remembered, so that prices, rows and echoes leave room for who made it."""
    price, rows = answer({"price": 17, "lines": 0}), answer({"rows": [{"n": number} for number in range(15, 19)]})
    before = [step(f"GET /carts/{number}", price) for number in (91, 24, 39)] + [step("GET /history", rows)] * 5
    line = [step("POST /carts/17/lines", answer({"amount": 17}, status=201), {"amount": 17})] * 3
    steps = [*before, step("POST /carts", answer({"blip": 17}, status=201)), *line, step("GET /carts/17", price)]
    given = [one.response or answer() for one in steps]
    given[len(before)] = answer({"blip": 42}, status=201)

    for again in ([], [step("GET /carts/17", price)], [step("GET /carts/17", price)] * 4):
        sent = replayed([*steps, *again], [*given, *(price for _ in again)])

        assert [one.request.target for one in sent[len(before) + 1 :]] == ["/carts/42/lines"] * 3 + ["/carts/42"] * (
            1 + len(again)
        )
        assert {one.request.body.data for one in sent[len(before) + 1 : -1 - len(again)]} == {b'{"amount": 17}'}
