"""Documents of unlike media types at one place: a finding each, weighed together, so that nothing is hidden and nothing tested twice."""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies as st

from differ.difference import Difference, form_of, formed, names_of
from differ.evidence import NOISE, REGRESSION
from differ.gathering import Row, gather
from differ.judging import Judgement, judge
from differ.result import finding_json, line, places_json, places_read
from differ.rules import meant
from differ.samples import Samples
from echolane.observation import ANSWERED, Observation, Shot
from echolane.rules import Rule
from tests.differ.forms import answer
from tests.differ.test_renaming_judged import SEEN, row

TURTLE, STYLE, PLAIN = "text/turtle", "text/css", "text/plain"
WORDS = ("ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine")
TYPES = st.sampled_from([TURTLE, STYLE, PLAIN, "font/woff2", "application/octet-stream"])
CHANGED = st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS)).map(lambda two: [two[0], two[0], two[1], two[1]])
VARIED = st.lists(st.sampled_from(WORDS[:3]), min_size=4, max_size=4)
ANSWERS = st.tuples(TYPES, CHANGED | CHANGED | CHANGED | VARIED)
"""A media type, and what base, its control, branch and its control say."""


def rows_of(exchanges: list[tuple[str, list[str]]]) -> list[Row]:
    """The rows of a run of one endpoint."""
    return [
        row(number, [answer(f"{word} stands here", media) for word in four])
        for number, (media, four) in enumerate(exchanges)
    ]


def changed(media: str, words: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """Answers of one type in which branch says another word, each time another one."""
    return [(media, [word, word, f"no {word}", f"no {word}"]) for word in words]


def formless(rows: list[Row]) -> list[Row]:
    """The same rows as they were without media types."""
    return [{**one, "d_signature": [form_of(text)[1] for text in one["d_signature"]]} for one in rows]


def judged(rows: list[Row]) -> Judgement:
    """The judgement of a run."""
    return judge("shop", gather(rows), SEEN)


def told(judgement: Judgement) -> list[dict[str, Any]]:
    """The regressions as the result shows them."""
    return [finding_json(finding, REGRESSION, judgement, SEEN, {}) for finding in judgement.regressions]


def test_documents_of_unlike_types_are_findings_of_their_own() -> None:
    """Turtle in another notation, style sheets and messages: each with its exchanges, its first one and its type, at one endpoint."""
    rows = rows_of([*changed(TURTLE, WORDS[:5]), *changed(STYLE, WORDS[:6]), *changed(PLAIN, WORDS[:7])])
    found = judged(rows)
    firsts = {found.places[one.lead].seen[0][0] for one in found.regressions}

    assert {(one["differing"], one["explanation"]) for one in told(found)} == {
        (5, "answers of the type text/turtle"),
        (6, "answers of the type text/css"),
        (7, ""),
    }
    assert firsts == {0, 5, 11}
    assert len(judged(formless(rows)).regressions) == 1


def test_a_finding_of_one_type_has_one_id_whatever_its_texts_are() -> None:
    """Two runs with other words and other answers beside them."""
    one = judged(rows_of([*changed(TURTLE, WORDS[:5]), *changed(STYLE, WORDS[:5])]))
    two = judged(rows_of([*changed(PLAIN, WORDS[:5]), *changed(TURTLE, WORDS[5:])]))

    assert len({f.id for f in one.regressions} & {f.id for f in two.regressions}) == 1


def test_one_change_is_one_finding_in_documents_of_whatever_type() -> None:
    """A licence's line in a script and in a style sheet has one signature, and the id that it had."""
    rows = rows_of([(media, ["ash", "ash", "oak", "oak"]) for media in (STYLE, TURTLE, PLAIN)])

    assert [f.id for f in judged(rows).regressions] == [f.id for f in judged(formless(rows)).regressions]
    assert [one["differing"] for one in told(judged(rows))] == [3]


@given(st.lists(ANSWERS, min_size=1, max_size=40))
def test_media_types_part_what_is_told_and_not_what_is_weighed(exchanges: list[tuple[str, list[str]]]) -> None:
    """Each exchange has the verdict, and each test the q-value, that it has where types are not told apart; each is in one finding that shows it."""
    rows = rows_of(exchanges)
    apart, whole = judged(rows), judged(formless(rows))
    lines = [line(one, places_read(places_json(gather(rows).numbers, apart))) for one in rows]
    before = [line(one, places_read(places_json(gather(formless(rows)).numbers, whole))) for one in formless(rows)]

    assert [one["verdict"] for one in lines] == [one["verdict"] for one in before]
    assert {w.q_value for w in apart.weighed} == {w.q_value for w in whole.weighed}
    assert sum(f.differing for f in apart.regressions if f.kind != "distribution") == sum(
        f.differing for f in whole.regressions if f.kind != "distribution"
    )
    assert all(f.differing for f in apart.regressions)


def test_a_type_that_versions_vary_is_no_regression_by_another_one() -> None:
    """Triples with fresh names beside Turtle in another notation: the place is a regression, and only Turtle shows it."""
    drawn = [(STYLE, [f"{one} {two}" for two in WORDS[:4]]) for one in WORDS[:2]]
    found = judged(rows_of([*changed(TURTLE, WORDS), *drawn]))

    assert [(one["differing"], one["explanation"]) for one in told(found)] == [(10, "answers of the type text/turtle")]
    assert [finding_json(f, NOISE, found, SEEN, {})["differing"] for f in found.noise] == [2]


def test_each_type_has_samples_of_its_own() -> None:
    """However many answers of another type came before."""
    samples = Samples("run")
    for rank in range(9):
        observation = Observation(f"x{rank}", rank, 1, "GET /", "GET", "/", 200, 0, [Shot(ANSWERED)] * 4, "", "", 0, 0)
        signature = "value:" + formed(TURTLE if rank < 6 else STYLE, "a>b")
        samples.take(observation, [(0, Difference("body", "value", 2, signature=signature))])

    assert samples.columns()["seq"] == [0, 1, 2, 6, 7, 8]


def test_verdicts_that_were_kept_without_types_are_still_read() -> None:
    """A run that an earlier version closed."""
    assert places_read('[["GET /","body","value",2,"","regression",false]]') == {
        ("GET /", "body", "value", 2, "", ""): ("regression", False)
    }


def test_a_rule_names_a_change_with_its_type_or_without() -> None:
    """What was said of a finding is about its change, whose type the finding does not name."""
    signature = "value:" + formed(STYLE, "text:a>b")

    assert names_of(signature) == ("value:as text/css:text:a>b", "value:text:a>b")
    assert all(meant(Rule("r", "body", changes=[name]), signature, ()) for name in names_of(signature))
    assert not meant(Rule("r", "body", changes=["value:text:b>a"]), signature, ())


@given(st.text(max_size=80), st.text(max_size=30))
def test_a_type_is_read_back_as_it_was_written(media: str, signature: str) -> None:
    """Whatever a service calls its answers: what is no media type is none, and no text is lost."""
    form, text = form_of("value:" + formed(media, signature))

    assert form in {"", media} or signature.startswith("as ")
    assert not form or text == f"value:{signature}" or signature.startswith("as ")
    assert form_of("value:" + formed(STYLE, signature)) == (STYLE, f"value:{signature}")
