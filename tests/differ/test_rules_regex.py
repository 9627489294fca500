"""Regular expressions of rules: they say what CPython's say, in linear time, and refuse what no automaton can."""

from __future__ import annotations

import random
import re
import time

import pytest
from hypothesis import given, settings, strategies as st

from differ.rules_automaton import Automaton, Budget
from differ.rules_regex import Unsafe

ATOMS = st.sampled_from(
    ["a", "b", ".", "[ab]", "[^a]", r"\d", r"\w", r"\S", "-", r"\.", "[a-c1]", "(?:ab)", "^", "$", "(?i:B)"]
)
REPEATS = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}", "{2,}", "*?"])


def piece(atom: str, repeat: str) -> str:
    """One repeated atom; anchors are not repeated."""
    return atom if atom in "^$" else atom + repeat


SIMPLE = st.lists(st.builds(piece, ATOMS, REPEATS), min_size=1, max_size=4).map("".join)
PATTERNS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{0,2}"])).map(lambda p: f"(?:{p[0]}){p[1]}"),
        st.tuples(inner, inner).map("".join),
    ),
    max_leaves=4,
)


@settings(max_examples=400)
@given(PATTERNS, st.text("abcAB1-. \n", max_size=8))
def test_it_says_what_cpython_says(pattern: str, text: str) -> None:
    """Over the syntax that both know, a pattern matches the same whole texts ($ is the very end, as in RE2)."""
    wanted = re.fullmatch(pattern.replace("$", r"\Z"), text, re.ASCII) is not None

    assert Automaton(pattern).matches(text, Budget()) == wanted


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "(a|aa)+$", "(.*a){20}", "a*a*a*a*a*a*a*a*b", "((a*)*)*b"])
def test_an_adversarial_pattern_does_not_stall(pattern: str) -> None:
    """What takes CPython longer than a life takes milliseconds here, matched or not."""
    found, begun = Automaton(pattern), time.process_time()
    found.matches("a" * 10_000 + "!", Budget())
    found.matches("a" * 10_000, Budget())

    assert time.process_time() - begun < 1.0


@pytest.mark.parametrize(
    ("pattern", "text", "wanted"),
    [
        ("a$", "a", True), ("^a", "a", True), ("^a$|b", "b", True), ("(^a|b$)+", "ab", True), ("a$b", "ab", False), ("a^b", "ab", False),
        ("^$", "", True), ("(a|^)b", "b", True), ("(?i)straSSe", "STRASSE", True), ("a(?i:b)c", "aBc", True), ("a(?i:b)c", "aBC", False),
        ("(?s)a.b", "a\nb", True), ("a.b", "a\nb", False), (r"[\]\-x]+", "]-x", True), ("[]a]+", "]a", True), ("[^]a]", "b", True), (r"\x41\u00e9", "Aé", True),
        ("a{2,3}", "aa", True), ("a{2,3}", "aaaa", False), ("a{x}", "a{x}", True), (r"[\d.]+ms", "1.5ms", True), (r"[^\d]", "7", False), ("(?P<n>a)(?<m>b)", "ab", True),
        ("", "", True), ("a||b", "", True), (r"\D+", "é", True), (r"\w", "é", False),
    ],
)  # fmt: skip
def test_the_syntax_means_what_it_means_elsewhere(pattern: str, text: str, wanted: bool) -> None:
    """Anchors, flags, sets and counts, one by one."""
    assert Automaton(pattern).matches(text, Budget()) is wanted


def test_a_spent_budget_is_no_match() -> None:
    """What cannot be looked at within the bound is not explained."""
    assert Automaton("a+").matches("a" * 50, Budget(1_000_000))
    assert not Automaton("a+").matches("a" * 50, Budget(10))


def test_a_set_explosion_stays_bounded() -> None:
    """A pattern whose sets of states double with each letter ends by its budget, not by memory."""
    found, budget, begun = Automaton("(a|b)*a(a|b){300}"), Budget(), time.process_time()
    chance = random.Random(1)
    text = "".join(chance.choice("ab") for _ in range(16_000))
    assert not found.matches(text, budget)
    assert budget.left < 0
    assert time.process_time() - begun < 2.0
    assert len(found._sets) <= 2001


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"(a)\1", "refers back"), ("(?=a)b", "looks ahead"), ("(?!a)b", "looks ahead"), ("(?<=a)b", "looks behind"),
        ("(?<!a)b", "looks behind"), ("(?>a+)b", "atomic"), ("a++b", "possessive"), ("(?P=x)", "refers back"), ("a**", "repeats a repetition"),
        ("(a{100}){100}", "states"), ("a{1001}", "count"), ("a{99999999999}", "count"), ("(" * 60 + ")" * 60, "nests"), ("(a", "does not end"),
        ("a)", "too many"), ("[a", "ends in the middle"), ("*a", "repeats nothing"), (r"\bword", "not known"), ("[z-a]", "range"), ("a\\", "ends"),
        ("x" * 1001, "characters"), ("a{2}{3}", "repeats a repetition"), ("(?x)a", "flag"), ("[[:alpha:]]", "named class"), (r"\p{L}", "not known"),
    ],
)  # fmt: skip
def test_what_an_automaton_cannot_do_is_refused(pattern: str, words: str) -> None:
    """Each with the reason, and never with another error."""
    with pytest.raises(Unsafe, match=words):
        Automaton(pattern)


@given(st.text("ab()[]{}|*+?^$.\\-,0123<=!:>iPsdwx", max_size=30))
def test_any_text_is_a_pattern_or_refused(pattern: str) -> None:
    """Nothing else comes out of reading a pattern, and what an automaton has learned changes no answer."""
    try:
        automaton = Automaton(pattern)
        found = [automaton.matches(text, Budget()) for text in ("ab1", "b", "ab1")]
    except Unsafe:
        return
    assert found[0] is found[2]
