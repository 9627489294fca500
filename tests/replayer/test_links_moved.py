"""Links that a version writes under another path than the recorded one: who follows them goes to the target's own thing, or as recorded."""

from __future__ import annotations

import pytest

from tests.replayer.linked import answer, replayed, step

OURS, THEIRS = "7f3c9a52d1e84b06", "b21e64f0a97d5c38"


def followed(recorded: str, given: str, taken: str = "/orders/{}") -> str:
    """What a target is asked for that gives another link than the recorded one."""
    steps = [
        step("POST /orders", answer({"href": recorded.format(OURS)}, status=201)),
        step("GET " + taken.format(OURS), answer()),
    ]
    return replayed(steps, [answer({"href": given.format(THEIRS)}, status=201), answer()])[1].request.target


MOVED = {
    "under a prefix": ("/orders/{}", "/api/v2/orders/{}"),
    "without its prefix": ("http://shop.example/api/orders/{}", "http://shop.example/orders/{}"),
    "with something behind": ("/orders/{}", "/orders/{}/details"),
    "with a slash at its end": ("/orders/{}", "/orders/{}/"),
    "without its prefix, and with something behind": ("/api/orders/{}", "/orders/{}/details"),
    "in another collection": ("/orders/{}", "/purchases/{}"),
    "with a segment that is cut in two": ("/%40shop%2Fx/orders/{}", "/@shop/x/orders/{}"),
}


@pytest.mark.parametrize("way", MOVED)
def test_an_id_in_a_link_that_moved_is_found_behind_the_same_segment(way: str):
    """The request takes the target's id wherever its link has it, and never a segment that merely stands at the recorded index."""
    assert followed(*MOVED[way]) == f"/orders/{THEIRS}"


def test_a_link_that_was_built_anew_changes_no_request():
    """Where neither the segment before nor the number of segments is the recorded one, nothing says which part is the id."""
    assert followed("/orders/{}", "/shop/2024/purchases/{}") == f"/orders/{OURS}"


def test_an_id_behind_an_id_is_found_by_its_index():
    """The segment before is drawn by each target here: as many segments in a row are the same ones."""
    steps = [
        step("POST /x", answer({"href": f"/{OURS}/{OURS[::-1]}"}, status=201)),
        step(f"GET /notes/{OURS[::-1]}", answer()),
    ]
    sent = replayed(steps, [answer({"href": f"/{THEIRS}/{THEIRS[::-1]}"}, status=201), answer()])
    assert sent[1].request.target == f"/notes/{THEIRS[::-1]}"


def test_a_file_that_both_versions_have_is_asked_for_as_recorded_whatever_the_links_are():
    """A registry that writes a scope with a slash or with %2f names one archive: no target is asked for another one."""
    link = "http://registry.example/{}/-/lib-0.1.0.tgz"
    steps = [
        step("GET /@scope%2flib", answer({"dist": {"tarball": link.format("@scope%2flib")}})),
        step("GET /@scope/lib/-/lib-0.1.0.tgz", answer()),
    ]
    sent = replayed(steps, [answer({"dist": {"tarball": link.format("@scope/lib")}}), answer()])
    assert sent[1].request.target == "/@scope/lib/-/lib-0.1.0.tgz"
