"""The report of the accuracy bench: tables by kind and rate, by noise, calibration, and which of the wanted figures hold."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.accuracy_cases import SHAPES
from bench.accuracy_mutations import ELSEWHERE, HARMLESS, RESTLESS, STEADY
from bench.accuracy_scoring import FOUND, NOISE, OURS, PEERS, SAME, UNDECIDED, Score
from bench.parts import Table

LEVELS = (0.01, 0.05, 0.1)
LISTED = 60
"""Rows that are told one by one."""
ENOUGH = 20
"""Changed exchanges from which on generative values and orders must be found."""
TELLABLE = 7
"""Changed exchanges from which on an exact test can be sure at all where the facet varies anyway: with fewer, p is 1/64 or more."""
HEAD = """# Measured accuracy

Written by `make accuracy`. A case is one simulated run of one endpoint: real answers as four instances give them among noise, with one kind
of change at one rate, put through the differ's own path. **found**: a regression at the changed place or at a container of it;
**undecided**: such a finding asks for more samples; else it was missed. Diffy's rule and a plain A/A' filter judge the same bytes.
A false alarm is a finding (of a peer: a place) where nothing was planted and nothing follows from what was. In the shape `1 of 1` the
endpoint stands among 14 others that are seen once each.

Promises: `steady` – a facet that never varies within a version, of no generative class; `elsewhere` – generative values and orders;
`restless` – the facet varies in the controls too, so that nothing is promised; `harmless` – the change means nothing and must not be reported.
Where a facet is restless every case is judged a second time, the same exchanges with nothing planted (of what comes now and then: with all four
instances alike): who shows the place then, too, gives a false alarm, and it is no recall. With fewer than seven changed exchanges no test that
takes nothing for granted of how values are drawn can tell such a change: six of six are 1 in 64 by chance.

A row is a kind of change at a rate. **undecided** is no miss beside a peer where one exchange is not promised to be enough and there are fewer
than twenty, or fewer than seven different pairs of values: one order seen thirty times is one draw. A false alarm that is there with nothing
planted, too, is no doing of the kind: it is compared among all cases of its noise at that rate, and those are rows as well.
"""


@dataclass(slots=True)
class Permuted:
    """What became of base against itself under random labels."""

    runs: Counter[str] = field(default_factory=Counter[str])
    fails: Counter[str] = field(default_factory=Counter[str])
    inconclusive: Counter[str] = field(default_factory=Counter[str])
    shown: list[str] = field(default_factory=list[str])

    def count(self, way: str, verdict: str) -> None:
        """One run more."""
        self.runs[way] += 1
        self.fails[way] += verdict == "fail"
        self.inconclusive[way] += verdict == "inconclusive"


def share(part: float, whole: float) -> str:
    """A share with three digits; empty of nothing."""
    return f"{part / whole:.3f}".rstrip("0").rstrip(".") if whole else ""


def planted(scores: Iterable[Score]) -> list[Score]:
    """Cases in which a change really shows and may be found."""
    return [one for one in scores if one.promise in {STEADY, ELSEWHERE, RESTLESS} and one.changed]


def found(scores: Sequence[Score], peer: str = "") -> int:
    """How many were found, by us or by a peer."""
    return sum(one.peers[peer][0] if peer else one.verdict == FOUND for one in scores)


def false(scores: Iterable[Score], peer: str = "") -> int:
    """False alarms, of ours or of a peer."""
    return sum(one.peers[peer][1] if peer else one.false for one in scores)


def by(scores: Iterable[Score], *names: str) -> dict[tuple[str, ...], list[Score]]:
    """Scores by some of their fields."""
    out: dict[tuple[str, ...], list[Score]] = defaultdict(list)
    for one in scores:
        out[tuple(getattr(one, name) for name in names)].append(one)
    return out


def report(scores: Sequence[Score], labels: Permuted, *, services: Sequence[str]) -> str:
    """The whole report as Markdown."""
    kinds = len({one.kind for one in scores if one.kind})
    head = f"{len(scores):,} cases, {kinds} kinds of change, {len({one.profile for one in scores})} kinds of noise; answers of {', '.join(services)}.\n"
    tables = [
        figures(scores, labels),
        promises(scores),
        noises(scores),
        calibration(scores),
        permutations(labels),
        kind_table(scores),
    ]
    return "\n".join([HEAD, head, *[table.markdown() for table in tables]])


def figures(scores: Sequence[Score], labels: Permuted) -> Table:
    """The wanted figures, and whether they hold."""
    out = Table("1. Figures", ["figure", "wanted", "measured", "holds"])
    steady = [one for one in planted(scores) if one.promise == STEADY]
    elsewhere = [one for one in planted(scores) if one.promise == ELSEWHERE]
    enough = [one for one in elsewhere if one.changed >= ENOUGH]
    few = [one for one in elsewhere if one.changed < ENOUGH]
    silent = sum(one.verdict in {SAME, NOISE} for one in few)
    alarms, findings = false(scores), sum(one.findings for one in scores)
    rows = compared(scores)

    def row(name: str, wanted: str, measured: str, holds: bool | None) -> None:
        out.rows.append([name, wanted, measured, "" if holds is None else "yes" if holds else "**no**"])

    row(
        "recall, steady, from one changed exchange on",
        "≥ 0.99",
        f"{found(steady):,} of {len(steady):,} = {found(steady) / max(1, len(steady)):.3f}",
        found(steady) >= 0.99 * len(steady),
    )
    row(
        "recall, elsewhere, from 20 on",
        "≥ 0.95",
        f"{found(enough):,} of {len(enough):,} = {found(enough) / max(1, len(enough)):.3f}",
        found(enough) >= 0.95 * len(enough),
    )
    row("elsewhere, below 20: missed without a word", "0", f"{silent} of {len(few):,}", silent == 0)
    row(
        "false alarms per finding",
        "≤ 0.001",
        f"{alarms} of {findings:,} = {alarms / max(1, findings):.5f}",
        alarms <= findings / 1000,
    )
    row("rows (kind × rate; false alarms: noise × rate) worse than a peer", "0", str(len(rows.worse)), not rows.worse)
    row("rows where a peer is not perfect and we are not better", "0", str(len(rows.equal)), not rows.equal)
    row("the same, where no test can tell the change from noise", "", str(len(rows.hopeless)), None)
    row("rows where a peer hits more by luck alone", "", str(len(rows.lucky)), None)
    if runs := sum(labels.runs.values()):
        fails = sum(labels.fails.values())
        row("base against itself, random labels, fails", "≤ 1 in 500", f"{fails} of {runs:,}", fails <= runs / 500)
    for word, texts in (("worse", rows.worse), ("not better", rows.equal), ("by luck", rows.lucky)):
        out.notes += [f"{word}: {text}" for text in texts[:LISTED]]
    return out


@dataclass(slots=True)
class Rows:
    """Rows (a kind at a rate) beside a peer's, each as a line of text."""

    worse: list[str] = field(default_factory=list[str])
    """The peer has more recall, or fewer false alarms."""
    equal: list[str] = field(default_factory=list[str])
    """The peer misses something or gives a false alarm, and so do we, as often."""
    hopeless: list[str] = field(default_factory=list[str])
    """The same, of changes that no test can tell from noise."""
    lucky: list[str] = field(default_factory=list[str])
    """The peer shows the place more often, but no more often than with nothing planted there."""


def lucky(scores: Iterable[Score], peer: str = OURS) -> int:
    """How often the place of a change is shown in the same exchanges with nothing planted."""
    return sum(one.twins.get(peer, False) for one in scores)


def caused(scores: Iterable[Score], who: str = OURS) -> int:
    """False alarms that are not there with nothing planted, ours or of a peer, in the cases in which we give one."""
    cases = [one for one in scores if one.false]
    return sum((one.false if who == OURS else one.peers[who][1]) - one.anyway.get(who, 0) for one in cases)


def may_ask(one: Score) -> bool:
    """Whether it is right to ask for more samples: no promise says that one exchange is enough, and there are few, or few draws seen often."""
    few = one.changed < ENOUGH or 0 < one.draws < TELLABLE
    return one.verdict == UNDECIDED and one.promise != STEADY and few


def compared(scores: Sequence[Score]) -> Rows:
    """Rows in which a peer is better in recall or false alarms, and rows in which an imperfect peer is equalled in both.

    A change that is to be undecided with that few exchanges is no miss against a peer that calls anything a difference. Where the facet
    varies within a version too, who shows the place has found something only so far as it is not shown with nothing planted; that is
    taken from recall, and is a false alarm as any other.
    """
    rows = Rows()
    for (kind, shape), row in sorted(by(scores, "kind", "shape").items()):
        asked = [one for one in planted(row) if not may_ask(one)]
        for peer in PEERS:
            hits = found(asked) - found(asked, peer)
            recall = hits - lucky(asked) + lucky(asked, peer)
            quieter = false(row, peer) + lucky(row, peer) - false(row) - lucky(row)
            alarms = quieter + false(row) - caused(row)
            told = f"{kind or 'nothing'}, {shape}, {peer}: found {found(asked)} against {found(asked, peer)} of {len(asked)}, with nothing planted {lucky(row)} against {lucky(row, peer)}, false {false(row)} against {false(row, peer)}"
            if recall < 0 or alarms < 0 or caused(row) > caused(row, peer):
                rows.worse.append(told)
            elif (
                recall == 0
                and quieter <= 0
                and (found(asked, peer) < len(asked) or false(row, peer) + lucky(row, peer))
            ):
                missed = [one for one in asked if one.verdict != FOUND]
                hopeless = all(one.promise == RESTLESS and one.changed < TELLABLE for one in missed)
                (rows.hopeless if missed and hopeless else rows.equal).append(told)
            if hits < 0 <= recall:
                rows.lucky.append(told)
    for (profile, shape), row in sorted(by(scores, "profile", "shape").items()):
        worse = [peer for peer in PEERS if false(row) > false(row, peer)]
        rows.worse += [
            f"noise {profile}, {shape}, {peer}: false {false(row)} against {false(row, peer)}" for peer in worse
        ]
    return rows


def promises(scores: Sequence[Score]) -> Table:
    """Recall by promise and rate."""
    out = Table(
        "2. Recall by promise and rate",
        [
            "promise",
            "rate",
            "cases",
            "found",
            "undecided",
            "noise",
            "same",
            "Diffy",
            "A/A'",
            "with nothing planted: ours / Diffy / A/A'",
        ],
    )
    grouped = by(planted(scores), "promise", "shape")
    for promise in (STEADY, ELSEWHERE, RESTLESS):
        for shape in SHAPES:
            row = grouped.get((promise, shape.name), [])
            if row:
                words = Counter(one.verdict for one in row)
                ours = [share(words[word], len(row)) for word in (FOUND, UNDECIDED, NOISE, SAME)]
                peers = [share(found(row, peer), len(row)) for peer in PEERS]
                twins = " / ".join(share(lucky(row, who), len(row)) for who in (OURS, *PEERS))
                out.rows.append(
                    [promise, shape.name, str(len(row)), *ours, *peers, twins if promise == RESTLESS else ""]
                )
    return out


def noises(scores: Sequence[Score]) -> Table:
    """False alarms by noise and by rate."""
    head = ["among", "cases", "findings", "false", "cases with one", "Diffy: false", "cases", "A/A': false", "cases"]
    out = Table("3. False alarms", head)
    groups = [*by(scores, "profile").items(), *by(scores, "shape").items()]
    groups += [
        ((f"promise {name[0]}",), row) for name, row in by(scores, "promise").items() if name[0] in {HARMLESS, "null"}
    ]
    for (name,), row in [*sorted(groups), (("all",), list(scores))]:
        cells = [
            str(len(row)),
            f"{sum(one.findings for one in row):,}",
            str(false(row)),
            share(sum(one.false > 0 for one in row), len(row)),
        ]
        for peer in PEERS:
            cells += [str(false(row, peer)), share(sum(one.peers[peer][1] > 0 for one in row), len(row))]
        out.rows.append([name, *cells])
    return out


def calibration(scores: Sequence[Score]) -> Table:
    """p-values of places where nothing was planted."""
    out = Table(
        "4. Calibration: p-values of places where nothing was planted",
        ["rate", "places", *[f"p ≤ {level:g}" for level in LEVELS]],
    )
    for shape in (*[one.name for one in SHAPES], "all"):
        values = [p for one in scores if shape in {"all", one.shape} for p in one.p_values]
        if values:
            out.rows.append(
                [shape, f"{len(values):,}", *[share(sum(p <= level for p in values), len(values)) for level in LEVELS]]
            )
    out.notes.append(
        "places that differ in any comparison, counted over exchanges; a calibrated test has no share above its level"
    )
    return out


def permutations(labels: Permuted) -> Table:
    """Base against itself."""
    out = Table("5. Base against itself under random labels", ["labels of", "runs", "fail", "inconclusive"])
    for way in sorted(labels.runs):
        out.rows.append([way, *[str(counter[way]) for counter in (labels.runs, labels.fails, labels.inconclusive)]])
    out.notes += labels.shown or [
        "none failed" if labels.runs else "not measured: no captured answers, or a quick bench"
    ]
    return out


def kind_table(scores: Sequence[Score]) -> Table:
    """Recall of each kind at each rate: ours, Diffy's, the filter's."""
    names = [shape.name for shape in SHAPES if any(one.shape == shape.name for one in scores)]
    out = Table(
        "6. Recall by kind and rate: ours (undecided) / Diffy / A/A'",
        ["kind", "promise", *names, "false: ours / Diffy / A/A'"],
    )
    for (kind,), all_ in sorted(by(scores, "kind").items()):
        cells: list[str] = []
        for name in names:
            row = planted(one for one in all_ if one.shape == name)
            unsure = sum(one.verdict == UNDECIDED for one in row)
            ours = share(found(row), len(row)) + (f" ({share(unsure, len(row))})" if unsure else "")
            cells.append(" / ".join([ours, *[share(found(row, peer), len(row)) for peer in PEERS]]) if row else "")
        told = "/".join(sorted({one.promise for one in all_}))
        out.rows.append(
            [
                kind or "nothing",
                told,
                *cells,
                " / ".join(map(str, [false(all_), *[false(all_, peer) for peer in PEERS]])),
            ]
        )
    return out


def misses(scores: Iterable[Score]) -> str:
    """Every miss and false alarm, one a line, with what is needed to see it again."""
    lines: list[str] = []
    for one in sorted(scores, key=lambda one: (one.promise, one.kind, one.shape, one.seed)):
        if one.false or (one.verdict not in {FOUND, ""} and one.changed):
            told = "\t".join(
                [
                    one.promise,
                    one.kind,
                    one.shape,
                    one.profile,
                    one.service,
                    str(one.changed),
                    one.verdict,
                    one.seed,
                    one.note,
                ]
            )
            lines.append(told)
    return "\n".join(lines) + "\n"
