"""What the form that asks for a run is taken for, and how it comes back."""

from __future__ import annotations

import pytest

from console.api.messages import ServiceTold, TargetTold
from console.api.page_start import KEPT_MAX, WRONG, Filled, asked, section
from echolane.recordings import Recording

GOOD = {"service": "shop", "base": "released", "branch": "next", "word": "of the session"}
ID = "01890000-0000-7000-8000-{:012}"
SHOP = ServiceTold(
    "shop",
    recorded=True,
    runs=0,
    latest=None,
    targets=[TargetTold(name, f"http://{name}", None, None, writes=False) for name in ("released", "next")],
)


def test_a_form_is_what_it_says_and_what_is_empty_is_not_asked() -> None:
    """Every field that has something, without the spaces around it, and no other."""
    more = {"recording": ID.format(1), "methods": "all", "pace": " 50/s ", "branch_name": "feature/a", "last": ""}
    found, wrong = asked({**GOOD, **more})
    assert wrong == {}
    assert found is not None
    told = (found.service, found.base, found.branch, found.recording, found.methods, found.pace, found.branch_name)
    assert told == ("shop", "released", "next", ID.format(1), "all", "50/s", "feature/a")
    spanned, _ = asked({**GOOD, "last": "30m"})
    assert spanned is not None
    assert spanned.last == "30m"
    assert spanned.methods == "safe"
    plain, _ = asked({**GOOD, **dict.fromkeys(more, " ")})
    assert plain == asked(GOOD)[0]


def test_each_field_that_is_wrong_is_said_with_its_value() -> None:
    """All of them at once, whichever the types tell first."""
    given = {"recording": "mine", "last": "soon", "methods": "some", "pace": "fast", "branch_name": "-a"}
    for left_out in ("recording", "last"):  # both are one mistake more
        typed = {name: text for name, text in given.items() if name != left_out}
        found, wrong = asked({**GOOD, **typed})
        assert found is None
        assert wrong == {name: f"`{text}` {WRONG[name]}" for name, text in typed.items()}
    _, wrong = asked({**GOOD, "recording": ID.format(1), "last": "30m"})
    assert list(wrong) == ["last"]
    assert asked({})[1].keys() == {""}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_form_comes_back_as_it_was_filled_in(name: str) -> None:
    """The value stays, escaped, what is wrong with it stands behind its field, which says so to a screen reader, too."""
    typed = {**GOOD, "last": "<i>", "pace": '"max', name: "<b>"}
    text = section([SHOP], [], Filled(typed, {name: "`<b>` is not it"}), word="w", may_run=True)
    assert f' name="{name}" aria-invalid="true" aria-describedby="shop-{name}-wrong"' in text
    assert f'id="shop-{name}-wrong" role="alert">`&lt;b&gt;` is not it</p>' in text
    assert "<details open>" in text
    assert "<b>`" not in text
    assert name == "pace" or 'value="&quot;max"' in text
    other = section([SHOP], [], Filled({**typed, "service": "depot"}, {name: "bad"}), word="w", may_run=True)
    assert "aria-invalid" not in other
    assert '<p class="wrong" role="alert">bad</p>' in other


def test_the_newest_recordings_of_the_service_can_be_chosen() -> None:
    """Not those of another service, and no more than a list has that somebody picks from; who may not run has no form."""
    kept = [
        Recording(ID.format(number), "shop" if number else "depot", number * 10**9, "everything", [])
        for number in range(KEPT_MAX + 10)
    ]
    text = section([SHOP], kept, Filled({**GOOD, "recording": ID.format(40)}), word="w", may_run=True)
    assert text.count("everything") == KEPT_MAX
    assert ID.format(0) not in text
    assert text.index(ID.format(KEPT_MAX + 9)) < text.index(ID.format(10))
    assert f'value="{ID.format(40)}" selected' in text
    assert section([SHOP], kept, Filled(), word="w", may_run=False) == ""
