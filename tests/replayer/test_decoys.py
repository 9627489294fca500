"""Values that are equal by chance or by custom are no ties: what a target answers elsewhere does not change them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given as drawn, strategies as st

from tests.replayer.linked import answer, replayed, step


@pytest.mark.parametrize(
    ("recorded", "other", "line"),
    [
        ({"karma": 20}, {"karma": 21}, "GET /list?limit=20"),
        ({"unread": 50, "name": "x"}, {"unread": 51, "name": "x"}, "GET /list?page_size=50"),
        ({"attempts": 3}, {"attempts": 4}, "GET /products/3"),
        ({"active": 1, "x": 0}, {"active": 0, "x": 1}, "GET /list?page=1"),
        ({"total": 100_000}, {"total": 100_001}, "GET /list?max_price=100000"),
        ({"created": 1_790_000_000}, {"created": 1_790_000_777}, "GET /log?until=1790000000"),
        ({"created": 1_790_000_000_123}, {"created": 1_790_000_000_777}, "GET /log?until=1790000000123"),
        ({"today": 20_261_126}, {"today": 20_261_127}, "GET /log?day=20261126"),
        ({"today": "2026-11-26"}, {"today": "2026-11-27"}, "GET /log?day=2026-11-26"),
        ({"today": "26.11.2026"}, {"today": "27.11.2026"}, "GET /log?day=26.11.2026"),
        ({"opens": "08:30:00"}, {"opens": "09:00:00"}, "GET /slots?at=08%3A30%3A00"),
        ({"sum": "1,299.00"}, {"sum": "1,399.00"}, "GET /list?from=1,299.00"),
        ({"sum": "1.299,00 €"}, {"sum": "1.399,00 €"}, "GET /list?from=1.299,00%20%E2%82%AC"),
        ({"sum": "EUR 1299.00"}, {"sum": "EUR 1399.00"}, "GET /list?from=EUR%201299.00"),
        ({"state": "waiting_for_payment"}, {"state": "paid"}, "GET /orders?status=waiting_for_payment"),
        ({"zone": "America/Argentina/Buenos_Aires"}, {"zone": "Europe/Paris"}, "GET /now?tz=America/Argentina/Buenos_Aires"),
        ({"lang": "de-DE"}, {"lang": "en-US"}, "GET /list?hl=de-DE"),
        ({"ok": True, "n": "true"}, {"ok": False, "n": "false"}, "GET /list?all=true"),
        ({"currency": "EUR"}, {"currency": "USD"}, "GET /list?in=EUR"),
        ({"charset": "iso-8859-1"}, {"charset": "utf-8"}, "GET /list?enc=iso-8859-1"),
        ({"best": "iPhone 15 Pro"}, {"best": "Galaxy S24 Ultra"}, "GET /search?q=iPhone+15+Pro"),
        ({"size": "1920x1080"}, {"size": "1280x720"}, "GET /picture?res=1920x1080"),
        ({"server": "192.168.10.12"}, {"server": "192.168.10.13"}, "GET /ping?host=192.168.10.12"),
        ({"v": "2024.10.1"}, {"v": "2024.10.2"}, "GET /docs?since=2024.10.1"),
        ({"type": "application/octet-stream"}, {"type": "text/plain"}, "GET /files?mime=application/octet-stream"),
        ({"limit": 33}, {"limit": 44}, "GET /list?limit=33"),
        ({"paging": {"page_size": 33}}, {"paging": {"page_size": 44}}, "GET /list?page_size=33"),
        ({"orders": 37}, {"orders": 38}, "GET /list?order=37"),
        ({"attempts": 13}, {"attempts": 14}, "GET /products/13"),
        ({"shelf": {"N": "37"}}, {"shelf": {"N": "38"}}, "GET /list?n=37"),
    ],
)  # fmt: skip
def test_a_value_that_is_equal_by_custom_stays(recorded, other, line):
    """Page sizes, amounts, dates, times, states, languages: no name says that they are one, so the target gets what the client meant."""
    steps = [step("GET /home", answer(recorded)), step(line, answer())]
    sent = replayed(steps, [answer(other), answer()])[1]
    assert (sent.request.target, sent.notes) == (steps[1].request.target, [])


def bodies(steps: list[Any], answers: list[Any]) -> list[Any]:
    """What the target is sent, its bodies read."""
    return [json.loads(one.request.body.data or b"null") for one in replayed(steps, answers)]


def person(name: str, at: int) -> dict[str, Any]:
    """A row in which each value stands in an object of its own, under its type."""
    return {"id": {"S": name}, "at": {"N": str(at)}}


NAMES = ["p0", "p1", "p2", "p13"]
ORDERS = st.permutations(NAMES)
ASKED = st.sampled_from(
    [
        lambda name: {"Key": {"id": {"S": name}}},
        lambda name: {"Keys": [{"id": {"S": name}}]},
        lambda name: {"Values": {":i": {"S": name}}},
        lambda name: {"Values": {":i": {"S": name}, ":y": {"N": "51"}}},
        lambda name: {"id": name},
        lambda name: {"foo": name},
    ]
)


@drawn(ORDERS, ORDERS, st.integers(2, 4), ASKED, st.booleans())
def test_another_order_of_a_list_changes_no_name(ours, theirs, size, asked, first):
    """A page and the last of it, in another order at the target: who is asked for by name is asked for there, too, under whatever name."""

    def page(order: list[str]) -> Any:
        items = [person(name, 51 + n) for n, name in enumerate(order[:size])]
        return answer({"Items": items, "Last": person(order[size - 1], 50 + size)})

    body = asked(ours[size - 1])
    steps = [*([step("POST /", answer(), {"all": 1})] if first else []), step("POST /", page(ours), {"all": 2})]
    given = [*([answer()] if first else []), page(theirs)]
    assert bodies([*steps, step("POST /", answer(), body)], [*given, answer()])[-1] == body


def test_what_was_met_elsewhere_or_sent_before_is_no_new_thing():
    """A short number that no name speaks for is followed only where one answer alone brought it: not where another had it, nor the client."""
    made, asked = step("POST /things", answer({"blip": 37})), step("PUT /state", answer(), {"foo": 37})
    new, other = answer({"blip": 42}), answer({"zork": 43})
    assert bodies([made, asked], [new, answer()])[-1] == {"foo": 42}
    shown = step("GET /report", answer({"zork": 37}))
    assert bodies([made, shown, asked], [new, other, answer()])[-1] == {"foo": 37}
    roles = [{"id": 18}, {"id": 37}]
    steps = [step("POST /login", answer({"user": {"id": 37, "roles": roles}})), step("GET /users/37", answer())]
    given = answer({"user": {"id": 42, "roles": roles}})
    assert replayed(steps, [given, answer()])[-1].request.target == "/users/42", (
        "a list of other things has it by chance"
    )
    twins = {"id": 37, "age": 37}, {"id": 42, "age": 38}
    steps = [step("GET /me", answer(twins[0])), step("GET /profiles/37", answer())]
    assert replayed(steps, [answer(twins[1]), answer()])[-1].request.target == "/profiles/42", (
        "an id says more than an age"
    )
    report = step("GET /report", answer({"things": 37}))
    pay = step("POST /pay", answer(), {"thing": 37})
    steps = [step("POST /things", answer({"id": 37})), report, pay]
    given = [answer({"id": 42}), answer({"things": 38}), answer()]
    assert bodies(steps, given)[-1] == {"thing": 42}, "how many there are is not which"
    sent = step("PUT /state", answer({}), {"depth": 37})
    assert bodies([sent, made, asked], [answer({}), new, answer()])[-1] == {"foo": 37}
    assert replayed([sent, made, step("GET /things/37", answer())], [answer({}), new, answer()])[-1].request.target == (
        "/things/42"
    ), "its place and its maker speak for it"


def test_a_list_of_other_things_speaks_for_none_that_was_made():
    """Behind one address for all, an order that is made has the number of a user that was listed: it is followed by what made it."""
    steps = [
        step("POST /rpc", answer({"users": [{"id": 17}, {"id": 18}]}), {"list": "users"}),
        step("POST /rpc", answer({"placed": {"id": 17}}), {"make": "order"}),
        step("POST /rpc", answer(), {"show": "order", "id": 17}),
    ]
    given = [answer({"users": [{"id": 17}, {"id": 18}]}), answer({"placed": {"id": 42}}), answer()]
    assert bodies(steps, given)[-1] == {"show": "order", "id": 42}


@pytest.mark.parametrize(
    "body", [b'{"a": 17, "a": {"S": "p17"}}', b'1 {"S": "p17"}', b'[{"S": {"S": "p17"}}', b'{"": {"": 17}}']
)
def test_what_is_no_proper_json_is_read_as_far_as_it_goes(body):
    """A member that comes twice, and texts that end early or go on, tie nothing that breaks."""
    steps = [step("POST /rows", answer(body), body), step("POST /rows", answer(), body)]
    assert replayed(steps, [answer(body), answer()])[-1].request.body.data == body


@pytest.mark.parametrize("ask", ["POST /rows?after=p13", "POST /rows"])
def test_a_place_to_go_on_from_is_the_targets_own(ask):
    """The last of a page is where the next one begins: there a target is sent its own last one, and none that it did not list."""

    def page(*names: str) -> Any:
        return answer({"Items": [person(name, 1) for name in names], "Last": person(names[-1], 1)})

    body = {} if "?" in ask else {"ExclusiveStartKey": {"id": {"S": "p13"}}}
    steps = [step("POST /rows", page("p0", "p13")), step(ask, answer(), body)]
    sent = replayed(steps, [page("p7", "p2"), answer()])[-1].request
    assert (sent.target + sent.body.data.decode()).replace("p13", "-").count("p2") == 1
    steps[1] = step("POST /rows", answer(), {"Key": {"id": {"S": "p13"}}})
    assert bodies(steps, [page("p7", "p2"), answer()])[-1] == {"Key": {"id": {"S": "p13"}}}


@pytest.mark.parametrize(
    ("recorded", "other", "sent", "expected"),
    [
        ({"id": {"N": "17"}}, {"id": {"N": "42"}}, {"Key": {"id": {"N": "17"}}}, {"Key": {"id": {"N": "42"}}}),
        ({"id": {"N": "17"}}, {"id": {"N": "42"}}, {"qty": {"N": "17"}, "of": {"N": "3"}, "row_id": {"N": "17"}},
         {"qty": {"N": "17"}, "of": {"N": "3"}, "row_id": {"N": "42"}}),
        ({"fields": {"order": {"integerValue": "17"}, "n": {"integerValue": "3"}}},
         {"fields": {"order": {"integerValue": "42"}, "n": {"integerValue": "3"}}},
         {"order": {"integerValue": "17"}, "price": {"integerValue": "17"}},
         {"order": {"integerValue": "42"}, "price": {"integerValue": "17"}}),
        ({"seat": {"$numberLong": "17"}}, {"seat": {"$numberLong": "42"}}, {"seat": 17, "total": 17}, {"seat": 42, "total": 17}),
        ({"x": 17, "y": 18}, {"x": 42, "y": 43}, {"x": 17, "y": 18}, {"x": 42, "y": 43}),
        ({"result": {"x": 17}}, {"result": {"x": 42}}, {"input": {"x": 17, "y": 17}}, {"input": {"x": 42, "y": 17}}),
        ({"doc": {"_rev": "1-a"}}, {"doc": {"_rev": "2-b"}}, {"put": {"_rev": "1-a"}}, {"put": {"_rev": "2-b"}}),
        ({"ids": {"NS": ["17"]}}, {"ids": {"NS": ["42"]}}, {"ids": {"NS": ["17"]}}, {"ids": {"NS": ["42"]}}),
    ],
)  # fmt: skip
def test_a_type_is_no_name(recorded, other, sent, expected):
    """What stands alone under its type is called like what holds it: that ties a short number, and its type ties it to nothing."""
    steps = [step("POST /rows", answer(recorded)), step("PUT /rows", answer(), sent)]
    assert bodies(steps, [answer(other), answer()])[-1] == expected
