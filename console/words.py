"""What the console says of a result: every count, order and sentence that more than one of its faces shows, defined once.

:mod:`console.page`, :mod:`console.markdown`, :mod:`console.terminal` and :mod:`console.junit` print what is told here, so
that they never disagree. Pure functions of the ■ result (design §7); a key that an older result lacks counts as empty.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from console.escapes import shell
from differ.reach import order
from differ.verdict import SEVERITIES
from echolane.ledger import run_identities
from echolane.observation import TARGETS

Result = Mapping[str, Any]
Finding = Mapping[str, Any]

REWRITES_MAX = 8
"""Rewrites of one request that are shown for a target."""
SAMPLES_MAX = 3
EXCERPT_BYTES = 16 * 1024
FIDELITY_MIN = 0.9
Q_MAX = 0.01

KINDS = {
    "value": "value changed",
    "type": "type changed",
    "format": "format changed",
    "missing": "missing in branch",
    "added": "added in branch",
    "order": "order changed",
    "length": "length changed",
    "status": "changed",  # its place is the word before it
    "failure": "failure in one version",
    "truncated": "truncated",
    "renamed": "renamed",
    "moved": "moved",
    "encoding": "encoding changed",
    "distribution": "distribution changed",
}
COMPARISONS = (
    ("branch against base", "differing", "observed"),
    ("base against its control", "control_differing", "control_observed"),
    ("branch against its control", "branch_control_differing", "branch_control_observed"),
)
"""What is compared, and the keys of how often it differs and how often it was seen."""
ADVICE = {
    "nothing-compared": "See in the account why the exchanges were skipped or not compared; --methods all includes writes.",
    "ledger": "This is a fault of Echolane, not of your service: run it again, and report it if it stays.",
    "fidelity": "Start base in the state it was recorded in, and give it credentials it accepts (targets.base.credentials); then run again.",
    "controls-missing": "Give --control and --branch-control, or let --base-cmd and --branch-cmd start them.",
    "undecided": "Record and replay more of these endpoints; each finding says how many samples are missing.",
    "target-unavailable": "Look at the target's own log, bring it up again, then go on with the run.",
    "refused": "Allow the target by name, or choose another; see echolane run --help.",
    "interrupted": "What was done is kept; go on with the run to reach a verdict.",
}
UNFINISHED = frozenset({"interrupted", "target-unavailable"})


Reasons = tuple[tuple[str, int], ...]
Part = tuple[str, int, Reasons]
"""A part of a sum: its name, its number, and that number by reason."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the account: a whole and the parts it must equal."""

    name: str
    whole: int
    parts: tuple[Part, ...]

    @property
    def total(self) -> int:
        """What the parts come to."""
        return sum(number for _, number, _ in self.parts)

    @property
    def balanced(self) -> bool:
        """Whether they come to the whole."""
        return self.total == self.whole


def count(number: int, noun: str) -> str:
    """``1 endpoint``, ``1,200 endpoints``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def text(of: Mapping[str, Any], key: str) -> str:
    """A text of a result or finding; empty where it is missing."""
    value = of.get(key)
    return "" if value is None else str(value)


def section(of: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A part of a result that is a table of its own; empty where it is missing."""
    value = of.get(key)
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def listed(of: Mapping[str, Any], key: str) -> list[Any]:
    """A part of a result that is a list; empty where it is missing."""
    value = of.get(key)
    return cast("list[Any]", value) if isinstance(value, list) else []


def verdict(result: Result) -> str:
    """The verdict as one of its three words."""
    return str(result["verdict"]) if result.get("verdict") in {"pass", "fail"} else "inconclusive"


def ledger(result: Result) -> Mapping[str, Any]:
    """The run's account as it was counted."""
    return section(result, "ledger")


def seconds(result: Result) -> float:
    """How long the run took; 0 where a time is missing or unreadable."""
    try:
        begun, ended = (datetime.fromisoformat(str(result[key])) for key in ("started_at", "finished_at"))
        return max(0.0, (ended - begun).total_seconds())
    except (KeyError, ValueError, TypeError):
        return 0.0


def findings(result: Result, part: str) -> list[Finding]:
    """The findings of one part (``groups``, ``undecided``, ``noise``, ``expected``), the gravest and farthest reaching first."""
    return sorted(listed(result, part), key=order)


def severity(finding: Finding) -> str:
    """A finding's severity as one of the three words."""
    return str(finding["severity"]) if finding.get("severity") in SEVERITIES else "visible"


def by_severity(found: Iterable[Finding]) -> dict[str, int]:
    """How many findings of each severity, in their order; those without any are left out."""
    counts = Counter(severity(finding) for finding in found)
    return {name: counts[name] for name in SEVERITIES if counts[name]}


def endpoint(finding: Finding) -> str:
    """Where a finding lies: its endpoint, or ``12 endpoints``."""
    number = int(finding.get("endpoints") or 1)
    return text(finding, "endpoint") if number <= 1 else count(number, "endpoint")


def kind(finding: Finding) -> str:
    """What sort of change it is, in two or three words."""
    return KINDS.get(text(finding, "kind"), text(finding, "kind"))


def endpoints_by_severity(found: Iterable[Finding]) -> list[tuple[str, dict[str, int]]]:
    """Each endpoint (``*`` for findings of several) with its findings by severity, the gravest first."""
    table: dict[str, Counter[str]] = {}
    for finding in found:
        table.setdefault(str(finding.get("endpoint", "")), Counter())[severity(finding)] += 1
    rows = sorted(table.items(), key=lambda row: ([-row[1][name] for name in SEVERITIES], row[0]))
    return [(name, {key: counts[key] for key in SEVERITIES}) for name, counts in rows]


def seen(finding: Finding) -> str:
    """How often the branch differs from base: ``9 of 120``."""
    return share(finding.get("differing"), finding.get("observed"))


def share(part: Any, whole: Any) -> str:
    """``9 of 120``."""
    return f"{int(part or 0):,} of {int(whole or 0):,}"


def controls(finding: Finding) -> str:
    """How often each version differs from itself: ``base against its control 0 of 120, branch against its control 2 of 120``."""
    return ", ".join(f"{name} {share(finding.get(part), finding.get(whole))}" for name, part, whole in COMPARISONS[1:])


def basis(finding: Finding) -> str:
    """Why this counts, in words: the basis and, where it was tested, p and q."""
    name = str(finding.get("basis") or "")
    if name == "deterministic" and finding.get("profile"):
        return "deterministic: base in its profile, and branch in this run, never differ from themselves here"
    if name == "deterministic":
        return "deterministic: the controls answered here and never differed"
    p_value, q_value = finding.get("p_value"), finding.get("q_value")
    if p_value is None or q_value is None:
        return name
    return f"{name}: p = {p_value:.2g}, q = {q_value:.2g} (a regression needs q ≤ {Q_MAX})"


def missing(finding: Finding) -> int:
    """How many more samples would decide it."""
    return int(finding.get("missing_samples") or 0)


def greedy(finding: Finding) -> str:
    """That an array was too large to be paired exactly; empty where none was."""
    number = int(finding.get("greedy") or 0)
    return f"elements paired greedily in {count(number, 'exchange')}: too many to be paired exactly" if number else ""


def explanation(finding: Finding) -> str:
    """Why a finding has its verdict, as the differ says it."""
    return str(finding.get("explanation") or finding.get("reason") or "")


def known(finding: Finding) -> str:
    """``known bug``, where somebody said that it is one."""
    return "known bug" if section(finding, "triage").get("decision") == "bug" else ""


def samples(finding: Finding) -> list[Mapping[str, Any]]:
    """The samples that may be shown."""
    return listed(finding, "samples")[:SAMPLES_MAX]


def rewrites(sample: Mapping[str, Any]) -> dict[str, list[str]]:
    """What was rewritten in a sample's request for base and for branch, in words."""
    given = section(sample, "rewrites")
    found = {name: listed(given, name) for name in ("base", "branch")}
    return {name: [str(note) for note in notes[:REWRITES_MAX]] for name, notes in found.items() if notes}


def account(ledger: Mapping[str, Any]) -> list[Line]:
    """The three sums of a run (design §4)."""

    def part(key: str) -> Part:
        return (key.replace("_", " "), *tally(ledger.get(key)))

    def line(key: str, *parts: str) -> Line:
        return Line(key, int(ledger.get(key) or 0), tuple(part(name) for name in parts))

    return [
        line("selected", "fired", "skipped"),
        line("fired", "compared", "not_compared"),
        line("compared", "same", "noise_only", "undecided", "different", "uncomparable"),
    ]


def tally(value: Any) -> tuple[int, Reasons]:
    """A number of the ledger with its reasons, the most frequent first; a bare number has none."""
    if not isinstance(value, Mapping):
        return int(value or 0), ()
    table = cast("Mapping[str, Any]", value)
    reasons = sorted(((str(key), int(number or 0)) for key, number in table.items()), key=lambda row: (-row[1], row[0]))
    return sum(number for _, number in reasons), tuple(reasons)


def by_target(ledger: Mapping[str, Any]) -> list[tuple[str, Line]]:
    """For each target that was fired at: ``fired = answered + failed + in doubt + spared``."""
    rows: list[tuple[str, Line]] = []
    for name in TARGETS:
        parts = tuple(
            (key.replace("_", " "), *tally(section(ledger, key).get(name)))
            for key in ("answered", "failed", "in_doubt", "spared")
        )
        rows.append((name, Line("fired", int(ledger.get("fired") or 0), parts)))
    return rows


def imbalance(ledger: Mapping[str, Any]) -> list[str]:
    """What does not balance; empty when all does."""
    return run_identities(ledger)


def balance(ledger: Mapping[str, Any]) -> str:
    """``balanced``, or what is not."""
    broken = imbalance(ledger)
    return "balanced" if not broken else f"NOT balanced: {broken[0]}"


def sum_text(line: Line) -> str:
    """``selected 300 = fired 280 + skipped 20``."""
    return f"{line.name} {line.whole:,} = " + " + ".join(f"{name} {number:,}" for name, number, _ in line.parts)


def reasons_text(line: Line, limit: int = 4) -> str:
    """``skipped: 20 unsafe-method``, for every part that has reasons; empty when none has."""
    found: list[str] = []
    for name, _, reasons in line.parts:
        given = [f"{number:,} {reason}" for reason, number in reasons if number]
        if given:
            more = [f"{len(given) - limit} more reasons"] if len(given) > limit else []
            found.append(f"{name}: " + ", ".join(given[:limit] + more))
    return "; ".join(found)


def skipped_hint(ledger: Mapping[str, Any]) -> str:
    """How to include what was skipped, where a flag does it."""
    skipped = section(ledger, "skipped")
    hints = {
        "unsafe-method": "--methods all includes what was skipped as unsafe-method",
        "write-refused": "[[writes]] of echolane.toml keep back what was skipped as write-refused",
        "dry-run-unproven": "an application that echoes the header of the dry run gets what was skipped as dry-run-unproven",
        "no-identity": "identities (or share = true) in targets.NAME.credentials include what was skipped as no-identity",
        "credentials-refused": "credentials that the target takes include what was skipped as credentials-refused",
        "credentials-unavailable": "a provider that answers includes what was skipped as credentials-unavailable",
        "decided": "a run without --stop-early includes what was skipped as decided",
    }
    return "; ".join(hint for reason, hint in hints.items() if skipped.get(reason))


def percent(value: float) -> str:
    """A share in percent, rounded down to a tenth, so that 89.96 % never reads as the 90 % it misses."""
    tenths = math.floor(round(value * 1000, 6))
    return f"{tenths // 10} %" if tenths % 10 == 0 else f"{tenths / 10:.1f} %"


def fidelity(result: Result) -> str:
    """``99 %``, or ``unknown``."""
    value = result.get("fidelity")
    return "unknown" if value is None else percent(float(value))


def summary(result: Result) -> str:
    """The compared exchanges in one sentence."""
    compared = account(ledger(result))[2]
    if not compared.whole:
        return "No exchange was compared."
    same, noise, undecided, different, uncomparable = (number for _, number, _ in compared.parts)
    parts = [f"{same:,} answered the same", f"{noise:,} differ by noise only", f"{different:,} differ beyond noise"]
    parts += [f"{undecided:,} are undecided"] if undecided else []
    parts += [f"{uncomparable:,} could not be compared"] if uncomparable else []
    return f"Of {count(compared.whole, 'compared exchange')}, {', '.join(parts[:-1])} and {parts[-1]}."


def headline(result: Result) -> str:
    """The verdict's reason without the advice that may follow it after a semicolon."""
    return text(result, "reason").partition("; ")[0]


def advice(result: Result) -> str:
    """What to do about a run without a verdict, the reason's own advice first; empty when there is a verdict."""
    if verdict(result) != "inconclusive":
        return ""
    own = text(result, "reason").partition("; ")[2]
    return sentence(own) if own else ADVICE.get(text(result, "reason_code"), "")


def sentence(body: str) -> str:
    """A clause of ours with a capital and a full stop."""
    return body[:1].upper() + body[1:] + ("" if body.endswith((".", "…")) or not body else ".")


def commands(result: Result) -> list[tuple[str, str]]:
    """What to type next: (what it does, command line)."""
    run, service = str(result.get("run", "")), str(result.get("service", ""))
    found: list[tuple[str, str]] = []
    if result.get("reason_code") in UNFINISHED:
        found.append(("Go on with this run", shell(["echolane", "run", "--resume", run])))
    given = result.get("command")
    if not isinstance(given, str):
        given = shell(["echolane", "run", "--service", service, *target_flags(result)])
    found.append(("Run it again", given))
    found.append(("List every exchange", shell(["echolane", "show", run, "--exchanges", "--json"])))
    return found


def target_flags(result: Result) -> list[str]:
    """The targets as flags of ``echolane run``; a control that is its twin's address is left to the default."""
    targets = section(result, "targets")
    words: list[str] = []
    for name, twin in (("base", ""), ("branch", ""), ("control", "base"), ("branch_control", "branch")):
        url = section(targets, name).get("url")
        if url and url != section(targets, twin).get("url"):
            words += [f"--{name.replace('_', '-')}", str(url)]
    lane = section(targets, "branch").get("lane")
    return [*words, "--lane", str(lane)] if lane else words
