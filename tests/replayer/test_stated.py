"""What a request states of itself: digests of a rewritten body are written anew, idempotency keys are each target's own."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import re
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace as changed

from echolane.exchange import Body
from echolane.keys import load_seal_keys
from echolane.masks import Masker
from echolane.settings import Settings
from replayer.digests import Bodies, with_digests
from replayer.idempotency import Keys
from replayer.preparing import prepared
from replayer.targets import make_targets
from tests.replayer.test_whole import recorded_with

JSON = (b"Content-Type", b"application/json")
OLD, NEW = b'{"order": 17}', b'{"order": 4242}'
UUID = b"c9bf9e57-1685-4c89-bafb-ff5af830be8a"


def stated(name: bytes, data: bytes) -> bytes:
    """A digest header's value as a client writes it."""
    b64 = lambda algorithm: base64.b64encode(hashlib.new(algorithm, data).digest())  # noqa: E731
    return {
        b"Content-MD5": b64("md5"),
        b"Digest": b"SHA-256=" + b64("sha256") + b",md5=" + b64("md5"),
        b"Content-Digest": b"sha-512=:" + b64("sha512") + b":, sha-256=:" + b64("sha256") + b":",
        b"Repr-Digest": b"sha-256=:" + b64("sha256") + b":",
        b"x-amz-content-sha256": hashlib.sha256(data).hexdigest().encode(),
    }[name]


NAMES = [b"Content-MD5", b"Digest", b"Content-Digest", b"Repr-Digest", b"x-amz-content-sha256"]


@pytest.mark.parametrize("name", NAMES)
def test_a_true_digest_is_that_of_the_new_body_and_a_false_one_stays(name):
    """Also where it was of the decoded body; what was wrong when it was recorded is sent as wrong as it was."""
    zipped = Bodies(gzip.compress(OLD), OLD), Bodies(gzip.compress(NEW), NEW)
    for form in (0, 1):
        headers, notes = with_digests([(b"A", b"b"), (name, stated(name, zipped[0][form]))], *zipped)
        assert headers == [(b"A", b"b"), (name, stated(name, zipped[1][form]))]
        assert notes == [f"header {name.decode().lower()}: digest of the rewritten body"]
    wrong = [(name, stated(name, b"another"))]
    assert with_digests(wrong, *zipped) == (wrong, [])
    for odd in (b"UNSIGNED-PAYLOAD", b"sha-256", b"", b"unixsum=30637"):
        assert with_digests([(name, odd)], *zipped) == ([(name, odd)], [])


@given(st.binary(min_size=8, max_size=80), st.integers(0, 3), st.integers(0, 3), st.text(max_size=8))
def test_one_recorded_key_is_one_key_in_a_run_and_target_and_another_in_others(key, one, other, run):
    """A key keeps its length; the same recorded key repeats, at another target or in another run it does not."""
    keys = Keys(b"k" * 32, run, ["Idempotency-Key"])
    headers = [(b"idempotency-KEY", key), (b"Other", key)]
    (first, again, there, later) = (
        keys.rewritten(headers, one)[0][0][1],
        Keys(b"k" * 32, run, ["idempotency-key"]).rewritten(headers, one)[0][0][1],
        keys.rewritten(headers, other)[0][0][1],
        Keys(b"k" * 32, run + "x", ["Idempotency-Key"]).rewritten(headers, one)[0][0][1],
    )
    assert first == again
    assert len(first) == len(key)
    chance = len(re.findall(rb"[0-9A-Za-z]", key))
    if chance >= 12:
        assert (first == there) == (one == other)
        assert later != first
        assert first != key


def test_a_key_keeps_its_look():
    """A service that insists on a UUID, on hexadecimal digits or on digits gets such a one."""
    keys = Keys(b"k" * 32, "run", ["Idempotency-Key"])
    for key, form in (
        (UUID, rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-b[0-9a-f]{3}-[0-9a-f]{12}"),
        (UUID.upper(), rb"[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-B[0-9A-F]{3}-[0-9A-F]{12}"),
        (b"0123456789", rb"[0-9]{10}"),
        (b'"order-ABC-1234567"', rb'"order-ABC-[0-9]{7}"'),
        (b"client-5a7e9b04784585", rb"client-[0-9a-f]{14}"),
        (b"abcdef-ghijkl-1", rb"[a-z]{6}-[a-z]{6}-[0-9]"),
    ):
        assert re.fullmatch(form, keys.rewritten([(b"Idempotency-Key", key)], 2)[0][0][1])
    assert keys.rewritten([(b"Idempotency-Key", b"7")], 2) == ([(b"Idempotency-Key", b"7")], {})


async def test_each_target_gets_keys_of_its_own_and_an_echo_of_them_is_no_difference(stage, exchange, serving):
    """A repetition stays one within a target; the journal has the recorded key, at every target alike; the digest fits the new body."""

    def shop(offset):
        def answer(request, number):
            key = re.search(rb"(?i)idempotency-key: ([^\r]*)", request)
            text = b'{"id": %d, "key": "%b"}' % (17 + offset, key[1] if key else b"")
            return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Key: %b\r\nContent-Length: %d\r\n\r\n%b" % (
                key[1] if key else b"-", len(text), text)  # fmt: skip

        return answer

    body = b'{"order_id": 17}'
    order = {"method": "POST", "headers": [JSON, (b"Idempotency-Key", UUID)], "body": Body(b"{}")}
    pay = {"method": "POST", "headers": [JSON, (b"Content-MD5", stated(b"Content-MD5", body))], "body": Body(body)}
    recorded = [exchange(0, "/orders", **order), exchange(1, "/orders", **order), exchange(2, "/pay", **pay)]
    answered = Body(b'{"id": 17}')
    recorded = [changed(one, response=changed(one.response, headers=[JSON], body=answered)) for one in recorded]
    async with serving(*[shop(n) for n in (0, 0, 900, 900)]) as servers:
        stage.record(recorded)
        stage.plan([server.url for server in servers], methods="all")
        targets, options = await prepared(stage.home, stage.spec, Settings())
        assert options.keys is not None
        summary = await stage.fire(targets=targets, keys=options.keys)
    assert summary.fired == 3
    keys = [
        {re.search(rb"(?i)idempotency-key: ([^\r]*)", request)[1] for request in server.seen[:2]} for server in servers
    ]
    assert all(len(of) == 1 for of in keys), "a repetition is one at each target"
    assert len(set.union(*keys)) == 4
    assert UUID not in set.union(*keys)
    first, _, paid = stage.observations()
    for index in range(4):
        assert UUID in first.answer_of(index).body.data
        assert (b"X-Key", UUID) in first.answer_of(index).headers
        assert first.shots[index].rewrites == ["header idempotency-key: key of this run and target"]
    sent = servers[2].seen[2]
    assert sent.endswith(b'{"order_id": 917}')
    assert b"Content-MD5: " + stated(b"Content-MD5", b'{"order_id": 917}') + b"\r\n" in sent
    assert "header content-md5: digest of the rewritten body" in paid.shots[2].rewrites


async def test_the_digest_of_a_masked_body_is_its_own(stage, exchange, serving):
    """A target that is not this machine gets masks, and a digest that fits them; the original is nowhere."""
    secret = b'{"password": "correct-horse-battery-1"}'
    keys = load_seal_keys(stage.home.keys, os.environ)
    masker = Masker(keys.current.mask_key(), seal_key=keys.current)
    one = exchange(
        0, "/login", method="POST", headers=[JSON, (b"Content-MD5", stated(b"Content-MD5", secret))], body=Body(secret)
    )
    async with serving(*[lambda *_: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"] * 4) as servers:
        stage.record([recorded_with(masker, one)])
        stage.plan([server.url for server in servers], methods="all")
        targets = make_targets(stage.spec.targets, [], [], "all")
        targets[2] = changed_target(targets[2])
        _, options = await prepared(stage.home, stage.spec, Settings())
        await stage.fire(targets=targets, open_seal=options.open_seal, mask=options.mask, hiding=options.hiding)
    assert servers[0].seen[0].endswith(secret)
    head, _, body = servers[2].seen[0].partition(b"\r\n\r\n")
    assert b"correct-horse" not in body
    assert b"Content-MD5: " + stated(b"Content-MD5", body) in head
    assert stage.observations()[0].shots[2].rewrites == ["header content-md5: digest of the rewritten body"]


def changed_target(target):
    """The target as if it were another machine."""
    return replace(target, credentials_recorded=False)
