"""Answers that want to hurt: bodies kept in ``corpus/``, any bytes in any coding, any one token changed, and one change in noise.

Laws of one form or one part are beside it (``test_forms_any.py``, ``test_compare.py``, ``test_verdicts.py``); here are those of the whole.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from differ.compare import Compared, compare
from differ.context import Context
from differ.difference import Difference
from differ.evidence import REGRESSION, Observed
from differ.gathering import gather
from differ.judging import Judgement, judge
from differ.rows import RowMaker
from echolane.exchange import Body, Response
from echolane.observation import ANSWERED, Observation, Shot, TargetInfo
from echolane.recordings import Recording
from echolane.runspec import RunSpec
from echolane.settings import Differ
from tests.differ.test_compare import json_text, trees
from tests.differ.test_forms_any import MEDIA

ROOT = Path(__file__).resolve().parents[2]
CORPUS = {path.name: path.read_bytes() for path in sorted(Path(__file__).with_name("corpus").iterdir())}
CODINGS = {".gz": "gzip", ".deflate": "deflate"}
BOX_S = 1.0
"""The box of a small body is a quarter of a second of computing; a machine that is busy may look away in one step of it."""
MIRROR = {"missing": "added", "added": "missing"}


def answer(data: bytes, media: str = "application/json", coding: str = "", status: int = 200) -> Response:
    """An answer with a body that calls itself so."""
    headers = [(b"Content-Type", media.encode())] if media else []
    headers += [(b"Content-Encoding", coding.encode())] if coding else []
    return Response(status, "1.1", headers, Body(data, len(data)))


def timed(one: Response, two: Response) -> Compared:
    """A comparison that ends in its box and never by an error, not even one that it caught."""
    began = time.thread_time()
    found = compare(one, two, Context())

    assert time.thread_time() - began < BOX_S
    assert not found.uncomparable.startswith("error-")
    return found


def told(found: list[Difference]) -> list[tuple[Any, ...]]:
    """What each says, in an order of their own."""
    return sorted((d.where, d.kind, d.facet, d.old or "", d.new or "", d.count) for d in found)


def mirrored(found: list[Difference]) -> list[tuple[Any, ...]]:
    """The same seen from the other side."""
    return sorted((d.where, MIRROR.get(d.kind, d.kind), d.facet, d.new or "", d.old or "", d.count) for d in found)


@pytest.mark.parametrize("media", MEDIA)
def test_each_of_the_corpus_is_compared_with_each(media: str) -> None:
    """DIF-2, DIF-3: no nasty body raises, takes long, equals another one, differs from itself, or differs otherwise seen mirrored."""
    answers = [answer(data, media, CODINGS.get(Path(name).suffix, "")) for name, data in CORPUS.items()]
    for at, one in enumerate(answers):
        assert timed(one, one).differences == []
        for two in answers[:at]:
            there, back = timed(one, two), timed(two, one)
            assert there.differences or there.uncomparable
            assert there.uncomparable == back.uncomparable
            assert mirrored(there.differences) == told(back.differences)


codings = st.sampled_from(["", "gzip", "deflate", "br", "zstd", "identity", "gzip, gzip", "GZIP ,deflate", "x", ","])
bodies = st.sampled_from(sorted(CORPUS.values())) | st.binary(max_size=400)


@st.composite
def cut(draw: st.DrawFn) -> bytes:
    """A body of the corpus or any bytes, cut somewhere and with something put in."""
    data, more = draw(bodies), draw(st.binary(max_size=8))
    at = draw(st.integers(0, len(data)))
    return data[:at] + more + data[draw(st.integers(at, len(data))) :]


@settings(max_examples=200)
@given(cut(), cut(), st.sampled_from(MEDIA) | st.text(max_size=20), st.sampled_from(MEDIA), codings, codings)
def test_any_bytes_in_any_coding_end_in_their_box(one: bytes, two: bytes, a: str, b: str, c: str, d: str) -> None:
    """DIF-2: whatever the bytes, the type and the coding they claim."""
    a = a.encode("utf-8", "replace").decode()
    timed(answer(one, a, c), answer(two, b, d))
    assert timed(answer(one, a, c), answer(one, a, c)).differences == []


TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[\[\]{}:,]')
OTHERS = [
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "12345678901234567890123",
    "0.1",
    '""',
    '"x"',
    '"\\ud800"',
    "[",
    "}",
    ",",
]


@settings(max_examples=300)
@given(trees, st.data())
def test_any_one_token_changed_is_found(tree: object, data: st.DataObject) -> None:
    """DIF-3: a token of a JSON text becomes another one or goes: a key, a value, a comma, a bracket."""
    text = json_text(tree)
    token = data.draw(st.sampled_from(list(TOKEN.finditer(text))))
    other = data.draw(st.sampled_from(["", *OTHERS]).filter(lambda new: new != token.group()))
    changed = text[: token.start()] + other + text[token.end() :]
    found = timed(answer(text.encode()), answer(changed.encode()))

    assert found.differences or found.uncomparable, changed


def spec() -> RunSpec:
    """A run of four targets."""
    targets = [TargetInfo(f"http://127.0.0.1:{9000 + n}") for n in range(4)]
    return RunSpec("r", "shop", Recording("r", "shop", 0, "everything", []), targets, started_at_ns=1)


def observation(number: int, answers: list[Response]) -> Observation:
    """One exchange: base, control, branch, branch control."""
    shots = [Shot(ANSWERED, "", one) for one in answers]
    path = f"/items/{number}"
    return Observation(f"x{number:05d}", number, 1, "GET /items/{id}", "GET", path, 200, 1_000 + number, shots)


def rows_of(observations: list[Observation]) -> Iterator[dict[str, Any]]:
    """The rows of results of these exchanges, as the store has them."""
    maker = RowMaker(spec(), Differ(time_ms=60_000))
    for one in observations:
        maker.add(one, 0, one.seq)
    columns = maker.take()
    for cells in zip(*columns.values(), strict=True):
        yield dict(zip(columns, cells, strict=True)) | {"has_control": True, "has_branch_control": True}


def judged(rows: list[dict[str, Any]]) -> Judgement:
    """What the run says of its places."""
    count = len(rows)
    return judge("shop", gather(rows), {"GET /items/{id}": Observed(count, count, count, True, True)})


def verdicts(judgement: Judgement) -> dict[tuple[str, str], str]:
    """The verdict of each place, by where and kind."""
    pairs = zip(judgement.places, judgement.weighed, strict=True)
    return {(place.where, place.kind): weighed.verdict for place, weighed in pairs}


def fingerprint(seed: int) -> str:
    """A digest of all that is written of the corpus, met in an order by this seed."""
    chance, bodies = random.Random(5), sorted(CORPUS.items())
    observations: list[Observation] = []
    for number in range(150):
        four = [chance.choice(bodies) for _ in range(4)]
        media = chance.choice(MEDIA)
        answers = [answer(data, media, CODINGS.get(Path(name).suffix, "")) for name, data in four]
        observations.append(observation(number, answers))
    random.Random(seed).shuffle(observations)
    rows = sorted(rows_of(observations), key=lambda row: row["seq"])
    verdict = sorted((*place, verdict) for place, verdict in verdicts(judged(rows)).items())
    return blake2b(repr((rows, verdict)).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def test_rows_are_the_same_in_any_order_and_process() -> None:
    """DIF-5: the same answers give the same bytes, whatever was compared before and however the process hashes."""
    program = "import sys; from tests.differ.test_poison import fingerprint; print(fingerprint(int(sys.argv[1])))"
    found = {
        subprocess.run(
            [sys.executable, "-c", program, seed],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "12345")
    }

    assert len(found) == 1


NOISY = 10_000


def body(chance: random.Random) -> dict[str, Any]:
    """An answer in which much is new each time: an id, a time, a number, an order, a member that may be absent."""
    tags = ["a", "b", "c"]
    chance.shuffle(tags)
    seconds = f"{chance.randrange(60):02d}.{chance.randrange(1000):03d}"
    found = {"id": f"{chance.getrandbits(64):016x}", "at": f"2026-03-01T10:00:{seconds}Z", "ms": chance.randrange(1000)}
    found |= {"tags": tags, "price": 12, "name": "lamp", "stock": {"count": 3, "where": "north"}}
    return found if chance.random() < 0.5 else found | {"hint": "sale"}


def four(chance: random.Random) -> list[dict[str, Any]]:
    """What each target says."""
    return [body(chance) for _ in range(4)]


@pytest.fixture(scope="module")
def noise() -> list[dict[str, Any]]:
    """Ten thousand exchanges in which branch differs from base as each differs from itself."""
    chance = random.Random(11)
    return list(
        rows_of([observation(n, [answer(json_text(one).encode()) for one in four(chance)]) for n in range(NOISY)])
    )


CHANGES: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "a stable value": ({"price": 13}, ("body:$.price", "value")),
    "a stable text": ({"name": "lamq"}, ("body:$.name", "value")),
    "a member more": ({"extra": 1}, ("body:$.extra", "added")),
    "a member less": ({"name": ...}, ("body:$.name", "missing")),
    "a container": ({"stock": []}, ("body:$.stock", "type")),
    "the type of a noisy value": ({"ms": "12"}, ("body:$.ms", "type")),
    "a noisy value to null": ({"id": None}, ("body:$.id", "type")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_one_change_in_ten_thousand_noisy_exchanges_is_found(noise: list[dict[str, Any]], name: str) -> None:
    """DIF-4: noise hides what is noisy, and nothing beside it."""
    change, place = CHANGES[name]
    answers = four(random.Random(12))
    for at in (2, 3):
        answers[at] = {name: value for name, value in (answers[at] | change).items() if value is not ...}
    (row,) = rows_of([observation(NOISY, [answer(json_text(one).encode()) for one in answers])])

    assert verdicts(judged([*noise, row]))[place] == REGRESSION


@pytest.mark.parametrize(
    ("changed", "where"), [({"status": 203}, "status"), ({"media": "application/hal+json"}, "header:content-type")]
)
def test_noise_never_hides_a_status_or_a_type(noise: list[dict[str, Any]], changed: dict[str, Any], where: str) -> None:
    """DIF-4: once in ten thousand noisy exchanges."""
    texts = [json_text(one).encode() for one in four(random.Random(13))]
    answers = [answer(text, **(changed if at > 1 else {})) for at, text in enumerate(texts)]
    (row,) = rows_of([observation(NOISY, answers)])

    found = verdicts(judged([*noise, row]))
    assert {said for place, said in found.items() if place[0] == where} == {REGRESSION}


def test_ten_thousand_noisy_exchanges_are_no_regression(noise: list[dict[str, Any]]) -> None:
    """DIF-4: the same noise without a change."""
    assert REGRESSION not in verdicts(judged(noise)).values()
