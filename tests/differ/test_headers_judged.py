"""Headers from four answers to a verdict: the noise of a value hides nothing beside it, and stays noise itself."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from hashlib import md5

from differ.evidence import NOISE, REGRESSION, Observed
from differ.gathering import gather
from differ.judging import judge
from differ.rows import CONSTANT, DIFFERING, VARYING, RowMaker
from echolane.exchange import Body, Response
from echolane.observation import ANSWERED, Observation, Shot, TargetInfo
from echolane.runspec import Recording, RunSpec
from echolane.settings import Differ

NOW_NS = 1_795_626_000_400_000_000
Answers = Callable[[int, int, random.Random], tuple[list[tuple[str, str]], bytes]]
"""Headers and body by target (base, control, branch, branch control) and number of the exchange."""


def verdicts(
    answers: Answers, count: int = 30, ports: Sequence[int] = (8001, 8002, 8003, 8004)
) -> dict[tuple[str, str], str]:
    """The verdict of each place and kind of a run with four targets, as a rule instances of their own."""

    def response(target: int, n: int, chance: random.Random) -> Response:
        pairs, data = answers(target, n, chance)
        return Response(200, "1.1", [(name.encode(), value.encode()) for name, value in pairs], Body(data, len(data)))

    return _judged(response, count, ports)


def judged_of(
    bodies: Callable[[int, int, random.Random], Body], ports: Sequence[int] = (8001, 8002, 8003, 8004)
) -> dict[tuple[str, str], str]:
    """The same of bodies without headers."""
    return _judged(lambda target, n, chance: Response(200, "1.1", [], bodies(target, n, chance)), 30, ports)


def _judged(
    response: Callable[[int, int, random.Random], Response], count: int, ports: Sequence[int]
) -> dict[tuple[str, str], str]:
    infos = [TargetInfo(f"http://127.0.0.1:{port}") for port in ports]
    maker, chance = (
        RowMaker(RunSpec("r", "shop", Recording("r", "shop", 0, "everything", []), infos), Differ()),
        random.Random(3),
    )
    for n in range(count):
        shots = [Shot(ANSWERED, "", response(target, n, chance), sent_at_ns=NOW_NS) for target in range(4)]
        maker.add(Observation(f"{n:036d}", n, 1, "GET /items", "GET", "/items", 200, NOW_NS, shots), 0, n)
    columns = maker.take()
    rows = [
        {name: columns[name][n] for name in (*CONSTANT, *VARYING, *DIFFERING)}
        | {"has_control": True, "has_branch_control": True}
        for n in range(count)
    ]
    found = judge("shop", gather(rows), {"GET /items": Observed(count, count, count)})
    return {(p.where, p.kind): w.verdict for p, w in zip(found.places, found.weighed, strict=True)}


def test_a_flag_beside_a_random_cookie_is_a_regression() -> None:
    """The session differs in every answer, by a value with no shape; HttpOnly is gone in branch."""

    def answers(target: int, _: int, chance: random.Random) -> tuple[list[tuple[str, str]], bytes]:
        value = "".join(chance.choice("abcdef12") for _ in range(chance.randrange(3, 7)))
        return [("Set-Cookie", f"s={value}; Path=/" + ("; HttpOnly" if target < 2 else ""))], b""

    assert verdicts(answers) == {("header:set-cookie[s]", "format"): REGRESSION}


def test_a_changed_challenge_beside_its_nonce_is_a_regression() -> None:
    """The nonce differs in every answer; the quality of protection in branch."""

    def answers(target: int, _: int, chance: random.Random) -> tuple[list[tuple[str, str]], bytes]:
        qop = "auth" if target < 2 else "auth-int"
        return [("WWW-Authenticate", f'Digest realm="a", nonce="{chance.getrandbits(32)}", qop="{qop}"')], b""

    assert verdicts(answers) == {("header:www-authenticate", "value"): REGRESSION}


def test_a_validator_of_one_instance_is_noise() -> None:
    """Equal bodies, tags and times made of each instance's own files: the controls show it."""

    def answers(target: int, n: int, _: random.Random) -> tuple[list[tuple[str, str]], bytes]:
        return [("ETag", f'"{n:x}-{target}abc"'), ("Last-Modified", f"Wed, 25 Nov 2020 17:00:0{target} GMT")], b"same"

    assert set(verdicts(answers).values()) == {NOISE}


def test_a_tag_of_a_set_in_the_order_of_an_instance_is_noise_though_controls_agree() -> None:
    """Base and its control agree by luck on the order of a list, branch on another: the list is no evidence, nor are its digests."""

    def answers(target: int, n: int, _: random.Random) -> tuple[list[tuple[str, str]], bytes]:
        data = (b'["a","b"]', b'["b","a"]')[target // 2].replace(b"a", b"a%d" % n)
        return [("ETag", f'"{md5(data, usedforsecurity=False).hexdigest()}"')], data

    found = verdicts(answers, 6)

    assert found["header:etag", "value"] == NOISE


def test_a_digest_that_went_stale_under_a_noisy_body_is_a_regression() -> None:
    """Every body differs, so does every digest; in branch it is that of another body."""

    def answers(target: int, n: int, chance: random.Random) -> tuple[list[tuple[str, str]], bytes]:
        data = b'{"id": %d}' % chance.getrandbits(40)
        length = len(data) + (1 if target > 1 else 0)
        return [("Content-Length", str(length)), ("Date", f"Wed, 25 Nov 2026 17:00:0{n % 3} GMT")], data

    assert verdicts(answers)["header:content-length", "length"] == REGRESSION
