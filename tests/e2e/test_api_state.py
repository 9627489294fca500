"""What runs stand on, over the API and as pages: captures with their ledgers, rules, recordings, noise profiles, settings; from real ones."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.api_parts import Served, log_of
from tests.e2e.signin_parts import Person
from tests.e2e.world import World, free_port, send, stop

UP = """[[up.record]]
service = "shop"
listen = "127.0.0.1:{port}"
upstream = "http://127.0.0.1:1"
sampling = 0.25
not_paths = ["/<healthz>"]
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a recording and a run of `shop`, a recording of `depot`, and a rule for what `up` records."""
    world = World(tmp_path_factory.mktemp("state"))
    world.environ["ECHOLANE_DIFFER_PROFILE_DAYS"] = "3"
    one = Served(world, exchanges=30, more=UP.format(port=free_port()))
    one.ended(one.run())
    yield one
    world.end()
    assert "api.fault" not in log_of(world.home)


def page(served: Served, path: str, role: str = "admin") -> str:
    """A page as somebody of a role reads it: its text without marks."""
    person = Person(f"http://127.0.0.1:{served.port}")
    token = served.admin if role == "admin" else served.token(role, "shop")
    assert person.ask("POST", "/login", {"token": token, "next": "/"}).status == 303
    answer = person.ask("GET", path)
    assert answer.status == 200, answer
    return read(answer.body.decode())


def read(text: str) -> str:
    """What a page says."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text)))


def paged(served: Served, path: str, key: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A list read in pages of one, to its end; and its last page."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        told = served.ask("GET", f"{path}limit=1{cursor}").json
        found += told[key]
        if not told["next"]:
            return found, told
        cursor = f"&cursor={told['next']}"


def captures(served: Served, service: str = "shop") -> list[dict[str, Any]]:
    """The captures of a service: each balances, and none comes twice."""
    found, _ = paged(served, f"/api/v1/captures?service={service}&", "captures")
    for one in found:
        assert one["seen"] == one["stored"] + one["spooled"] + sum(one["dropped"].values()), one
    assert len({one["epoch"] for one in found}) == len(found)
    return found


def test_captures_are_told_with_what_was_left_out_and_what_was_lost(served: Served) -> None:
    """A recorder that ran, one that leaves paths out, and one that was killed: each has its account, alive while it is."""
    world = served.world
    (first,) = captures(served)
    assert (first["seen"], first["stored"], first["lost"], first["alive"]) == (30, 30, 0, False)
    assert first["began_at"]
    world.environ["ECHOLANE_CAPTURE_NOT_PATHS"] = "/items/2"
    try:
        process, port = world.recorder(world.app())
    finally:
        del world.environ["ECHOLANE_CAPTURE_NOT_PATHS"]
    send(port, [(f"/items/{number}", {}) for number in (1, 2, 20)])
    assert captures(served)[0]["alive"] is True
    assert "records shop" in page(served, "/recordings")
    assert stop(process) == 0
    ended, again = captures(served)
    assert again == first
    assert (ended["epoch"], ended["alive"], ended["seen"], ended["stored"]) == (first["epoch"] + 1, False, 3, 1)
    assert (ended["dropped"], ended["lost"]) == ({"filtered": 2}, 0)
    assert "seen 3 = stored 1 + on the way 0 + dropped 2 (filtered 2)" in page(served, "/recordings")
    assert [one["service"] for one in captures(served, "depot")] == ["depot"]
    assert "depot" not in page(served, "/recordings", "viewer")


def test_what_is_recorded_is_told_as_configured(served: Served) -> None:
    """The table of `up` for its service, `capture.*` for another; foreign words are words on the page."""
    (rule,) = served.ask("GET", "/api/v1/services/shop/capture-rules").json["rules"]
    assert (rule["sampling"], rule["not_paths"], rule["methods"], rule["seal"]) == (0.25, ["/<healthz>"], [], True)
    assert rule["upstream"] == "http://127.0.0.1:1"
    (other,) = served.ask("GET", "/api/v1/services/depot/capture-rules").json["rules"]
    assert (other["listen"], other["sampling"], other["not_paths"]) == (None, 1.0, [])
    shown = page(served, "/recordings?service=shop")
    assert "all methods · all paths · not /<healthz> · 25% of sessions · originals sealed" in shown
    assert served.ask("GET", "/api/v1/services/nobody/capture-rules").status == 404


def test_a_recording_is_kept_from_the_page_and_refused_in_words(served: Served) -> None:
    """A runner keeps a window by the form; a span that is none comes back with the reason; a viewer has no form."""
    base = f"http://127.0.0.1:{served.port}"
    person = Person(base)
    assert person.ask("POST", "/login", {"token": served.token("runner", "shop"), "next": "/"}).status == 303
    found = re.search(
        r'action="/recordings"><input type="hidden" name="word" value="([^"]+)"',
        person.ask("GET", "/recordings").body.decode(),
    )
    assert found
    wrong = person.ask("POST", "/recordings", {"word": found[1], "service": "shop", "last": "soon"})
    assert wrong.status == 400
    assert "last" in read(wrong.body.decode())
    before = served.ask("GET", "/api/v1/recordings?service=shop").json["recordings"]
    kept = person.ask("POST", "/recordings", {"word": found[1], "service": "shop", "last": "1h"})
    assert (kept.status, kept.headers["location"]) == (303, "/recordings#recordings")
    (made,) = [
        one for one in served.ask("GET", "/api/v1/recordings?service=shop").json["recordings"] if one not in before
    ]
    assert made["recording"] in page(served, "/recordings")
    assert person.ask("POST", "/recordings", {"word": found[1], "service": "depot"}).status == 404
    assert 'action="/recordings"' not in page(served, "/recordings", "viewer")


def test_a_service_tells_what_it_is_known_to_do_by_itself(served: Served) -> None:
    """The profile that the run taught, its places page by page as the result has them, and none where nothing was learned."""
    (profile,) = served.ask("GET", "/api/v1/services/shop/profiles").json["profiles"]
    assert (profile["version"], profile["runs"], profile["exchanges"], profile["in_use"]) == (None, 1, 30, True)
    found, told = paged(served, "/api/v1/services/shop/noise?", "places")
    assert told["total"] == len(found) > 1
    shares = [one["differing"] / one["observed"] for one in found]
    assert shares == sorted(shares, reverse=True)
    run = served.ask("GET", "/api/v1/runs?service=shop").json["runs"][0]["run"]
    noise = {
        place
        for one in served.ask("GET", f"/api/v1/runs/{run}").json["noise"]
        for place in [one["where"], *one["places"]]
    }
    assert {one["where"] for one in found} & noise
    shown = page(served, "/services/shop/noise")
    assert f"{found[0]['differing']} of {found[0]['observed']} {found[0]['where']}" in shown
    assert "in use no name" in shown
    assert "30 exchanges of 1 run" in shown
    assert served.ask("GET", "/api/v1/services/depot/noise").json == {
        "service": "depot", "profile": None, "total": 0, "places": [], "next": None,
    }  # fmt: skip
    assert "Nothing is learned yet" in page(served, "/services/depot/noise")
    assert served.ask("GET", "/api/v1/services/shop/noise?base=v9").status == 404


def test_settings_are_told_with_where_they_come_from_to_admins_of_all(served: Served) -> None:
    """What the environment says, and what is as it comes; an admin of one service is told none, and has no link to them."""
    told = {one["setting"]: one for one in served.ask("GET", "/api/v1/settings").json["settings"]}
    assert told["differ.profile_days"]["value"] == 3
    assert told["differ.profile_days"]["source"] == "ECHOLANE_DIFFER_PROFILE_DAYS"
    assert told["replay.lease_s"]["source"] == "default"
    shown = page(served, "/settings")
    assert shown.index("differ.profile_days") < shown.index("As they come") < shown.index("replay.lease_s")
    narrow = served.token("admin", "shop")
    assert served.ask("GET", "/api/v1/settings", token=narrow).json == {"settings": []}
    assert served.ask("GET", "/api/v1/settings", token=served.token("editor")).status == 403
    assert "Settings" in page(served, "/")
    assert "Settings" not in page(served, "/", "viewer")
