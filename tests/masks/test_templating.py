"""Endpoint templates: learned in any order, merged and never split, bounded whatever the traffic."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from echolane.errors import HomeError
from echolane.templating import DEPTH_MAX, ENDPOINTS_MAX, NAMES_MAX, ROOT_NAMES_MAX, Templates, shape

SEGMENT = st.one_of(
    st.sampled_from(["users", "items", "7", "api", "v1", "", "a b", "{id}"]), st.integers(0, 45).map(lambda n: f"n{n}x")
)
PATHS = st.lists(st.lists(SEGMENT, max_size=4).map(lambda parts: "/" + "/".join(parts)), max_size=120)


def learned(*paths: str) -> Templates:
    """Templates of some paths."""
    templates = Templates()
    templates.learn(paths)
    return templates


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        ("123", "{id}"),
        ("-5", "{id}"),
        ("1.5", "{id}"),
        ("1,2,3", "{id}"),
        ("c9bf9e57-1685-4c89-bafb-ff5af830be8a", "{id}"),
        ("9f86d081", "{id}"),
        ("507f1f77bcf86cd799439011", "{id}"),
        ("cus_9s6XKzkNRiz8i3ab12cd34", "{id}"),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "{id}"),
        ("V1StGXR8_Z5jdHi6B-myT", "{id}"),
        ("2024-05-01", "{date}"),
        ("2024-05-01T10:00:00Z", "{date}"),
        ("ann@example.com", "{email}"),
        ("ann%40example.com", "{email}"),
        ("x" * 65, "{id}"),
        ("{x}", "{id}"),
        ("users", "users"),
        ("v1", "v1"),
        ("facade", "facade"),
        ("internationalization-settings", "internationalization-settings"),
        ("main.3f2a.js", "main.3f2a.js"),
        ("", ""),
    ],
)
def test_a_segment_shows_what_it_is(segment: str, expected: str):
    """Identities are parameters at first sight, names of an API are not."""
    assert shape(segment) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/users/123?x=1", "GET /users/{id}"),
        ("/users/123/", "GET /users/{id}/"),
        ("http://host:80/users/7?a", "GET /users/{id}"),
        ("/a;v=1/b", "GET /a/b"),
        ("/", "GET /"),
        ("*", "GET *"),
        ("host:443", "GET /host:443"),
        ("?x", "GET /"),
    ],
)
def test_every_form_of_a_target_has_an_endpoint(target: str, expected: str):
    """Query, host and matrix parameters are no part of an endpoint."""
    assert Templates().template("GET", target) == expected


def test_a_place_with_too_many_names_is_a_parameter():
    """Names made by users come in hundreds; what lies behind them is one endpoint."""
    names = [f"article-{n}-about" for n in range(NAMES_MAX)]
    templates = learned(*(f"/blog/{name}/comments" for name in names))
    assert templates.template("GET", "/blog/article-3-about/comments") == "GET /blog/article-3-about/comments"

    templates.learn(["/blog/one-more"])

    assert templates.template("GET", "/blog/article-3-about/comments") == "GET /blog/{arg}/comments"
    assert templates.template("GET", "/blog/never-seen") == "GET /blog/{arg}"
    assert templates.template("GET", "/blog/7") == "GET /blog/{id}"


def test_an_api_may_list_many_resources():
    """At the root and behind /api/v1 stand the resources of an API, which are not merged so soon."""
    paths = [f"/res{n}x" for n in range(100)] + [f"/api/v1/res{n}x" for n in range(100)]
    templates = learned(*paths)

    assert templates.template("GET", "/res7x") == "GET /res7x"
    assert templates.template("GET", "/api/v1/res7x") == "GET /api/v1/res7x"
    templates.learn(f"/slug{n}x" for n in range(ROOT_NAMES_MAX))
    assert templates.template("GET", "/res7x") == "GET /{arg}"


@given(PATHS, st.randoms(use_true_random=False), st.integers(1, 5))
@settings(max_examples=60)
def test_order_and_pieces_do_not_matter(paths: list[str], chance: random.Random, pieces: int):
    """The same traffic gives the same templates in any order, in any pieces, and merged from several processes."""
    straight = learned(*paths)
    shuffled = paths.copy()
    chance.shuffle(shuffled)
    parts = [learned(*shuffled[at::pieces]) for at in range(pieces)]
    merged = parts[0]
    for part in parts[1:]:
        merged.merge(part)

    assert sorted(merged.endpoints()) == sorted(straight.endpoints())
    assert [merged.template("GET", path) for path in paths] == [straight.template("GET", path) for path in paths]


@given(PATHS, PATHS)
@settings(max_examples=60)
def test_what_is_merged_stays_merged(before: list[str], after: list[str]):
    """Two requests that once had one endpoint have one endpoint ever after."""
    templates = learned(*before)
    old = {path: templates.template("GET", path) for path in before}
    templates.learn(after)
    new = {path: templates.template("GET", path) for path in before}

    for one in before:
        for other in before:
            if old[one] == old[other]:
                assert new[one] == new[other]


@given(PATHS)
@settings(max_examples=60)
def test_what_is_learned_is_what_is_said(paths: list[str]):
    """Every learned path has one of the listed endpoints, and its template is its own template."""
    templates = learned(*paths)
    listed = set(templates.endpoints())

    assert {templates.template("GET", path)[4:] for path in paths} <= listed


def test_endpoints_are_bounded():
    """A service of a hundred thousand distinct deep paths has a bounded number of endpoints."""
    chance = random.Random(7)
    templates = Templates()
    for _ in range(20):
        templates.learn("/" + "/".join(f"w{chance.randrange(25)}x" for _ in range(5)) for _ in range(500))

    assert len(list(templates.endpoints())) <= ENDPOINTS_MAX
    assert templates.template("GET", "/w1x/w2x/w3x/w4x/w5x").endswith("{rest}")
    assert templates.template("GET", "/w1x/" + "y/" * 500).count("/") <= DEPTH_MAX + 1


def test_a_method_nobody_knows_makes_no_endpoint():
    """Garbage in a request line does not become a label."""
    assert Templates().template("G\x00T", "/x") == "OTHER /x"
    assert Templates().template("PURGE", "/x") == "PURGE /x"


def test_templates_are_stable_across_runs(tmp_path: Path):
    """What a run has learned is what the next one begins with; saving again what is known changes nothing."""
    path = tmp_path / "templates" / "shop.json"
    first = learned(*(f"/blog/title-{n}-x" for n in range(40)), "/items/7")
    first.save(path)
    second = Templates.load(path)

    assert sorted(second.endpoints()) == sorted(first.endpoints())
    assert second.revision == first.revision
    held = path.read_bytes()
    second.save(path)
    assert path.read_bytes() == held
    second.learn(["/new/thing"])
    second.save(path)
    assert Templates.load(path).revision > first.revision


def test_two_processes_save_at_once(tmp_path: Path):
    """Nobody's learning is lost when several save the same file."""
    path = tmp_path / "shop.json"

    def work(number: int) -> None:
        for step in range(6):
            templates = Templates.load(path)
            templates.learn([f"/w{number}x/step{step}x"])
            templates.save(path)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    assert len(list(Templates.load(path).endpoints())) == 24


def test_no_file_is_no_templates(tmp_path: Path):
    """A service that was never seen begins with nothing."""
    assert list(Templates.load(tmp_path / "none.json").endpoints()) == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"version":1,"revision":1,"depth":99,"tree":{}}',
                                     b'{"version":1,"revision":1,"depth":3,"tree":{"a":7}}', b"\xff\xfe"])  # fmt: skip
def test_a_damaged_file_says_what_to_do(tmp_path: Path, content: bytes):
    """Damage is one line that names the file and the way out."""
    path = tmp_path / "shop.json"
    path.write_bytes(content)

    with pytest.raises(HomeError, match=r"shop\.json.*remove"):
        Templates.load(path)


def test_a_newer_file_is_not_touched(tmp_path: Path):
    """A file of a newer Echolane is refused, not overwritten."""
    path = tmp_path / "shop.json"
    path.write_bytes(orjson.dumps({"version": 2, "revision": 1, "depth": 3, "tree": {}}))

    with pytest.raises(HomeError, match="version 2"):
        learned("/x").save(path)
    assert orjson.loads(path.read_bytes())["version"] == 2
