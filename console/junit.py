"""A run as JUnit XML, which every CI can show: a suite per run, a case per finding. Pure.

A regression is a failure, a run without a verdict an error, an undecided finding is skipped with what is missing. The first
case says whether a verdict was reached, so that a run without findings has a case too. Words come from :mod:`console.words`.
"""

from __future__ import annotations

from typing import Any

from console import words
from console.escapes import short, telling, visible, xml
from console.words_place import exceptions
from console.words_reach import reach
from console.words_undecided import deciding

VALUE_MAX = 1_000
"""Characters of one value in a failure's text: enough to recognise it; the page has the rest."""
DETAILED_MAX = 1_000
"""Cases with samples in their text; readers of JUnit refuse files of tens of megabytes, so later ones have their message only."""
TEXT_MAX = 500


def junit(result: words.Result) -> str:
    """The whole document."""
    regressions, undecided = words.findings(result, "groups"), words.findings(result, "undecided")
    error = words.verdict(result) == "inconclusive"
    totals = {
        "tests": 1 + len(regressions) + len(undecided),
        "failures": len(regressions),
        "errors": int(error),
        "skipped": len(undecided),
        "time": f"{words.seconds(result):.3f}",
    }
    suite = {"name": f"echolane {words.text(result, 'service')}", **totals}
    suite["timestamp"] = words.text(result, "started_at")[:19]
    cases = [_verdict_case(result, error)]
    cases += [_case(finding, "failure", number < DETAILED_MAX) for number, finding in enumerate(regressions)]
    cases += [_case(finding, "skipped", number < DETAILED_MAX) for number, finding in enumerate(undecided)]
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f"<testsuites{_attributes({'name': 'echolane', **totals})}>",
            f"<testsuite{_attributes(suite)}>",
            *_properties(result),
            *cases,
            f"<system-out>{xml(_account(result))}</system-out>",
            "</testsuite>",
            "</testsuites>\n",
        ]
    )


def _attributes(values: dict[str, Any]) -> str:
    return "".join(f' {key}="{xml(short(str(value), TEXT_MAX))}"' for key, value in values.items())


def _properties(result: words.Result) -> list[str]:
    facts = {key: words.text(result, key) for key in ("run", "service", "verdict", "reason_code", "reason")}
    facts["fidelity"] = words.fidelity(result)
    lines = [f"<property{_attributes({'name': name, 'value': value})}/>" for name, value in facts.items()]
    return ["<properties>", *lines, "</properties>"]


def _verdict_case(result: words.Result, error: bool) -> str:
    head = _attributes({"classname": words.text(result, "service"), "name": "a verdict is reached"})
    if not error:
        return f"<testcase{head}/>"
    facts = {"type": words.text(result, "reason_code"), "message": words.text(result, "reason")}
    return f"<testcase{head}><error{_attributes(facts)}>{xml(words.advice(result))}</error></testcase>"


def _case(finding: words.Finding, outcome: str, detailed: bool) -> str:
    where, kind = words.text(finding, "where"), words.text(finding, "kind")
    head = {"classname": words.endpoint(finding), "name": f"{where} {kind} [{words.text(finding, 'id')}]"}
    message = _message(finding)
    facts = {"message": message} if outcome == "skipped" else {"type": words.severity(finding), "message": message}
    text = _text(finding) if detailed else ""
    return f"<testcase{_attributes(head)}><{outcome}{_attributes(facts)}>{xml(text)}</{outcome}></testcase>"


def _message(finding: words.Finding) -> str:
    """What a finding is, how often it differs and how far it reaches, in one line; a long place gives way to the figures."""
    begin, kind = f"{words.severity(finding)}: ", short(words.kind(finding), VALUE_MAX // 10)
    end = ", ".join(filter(None, (f" ({kind}) in {words.seen(finding)} exchanges", reach(finding))))
    return f"{begin}{short(words.text(finding, 'where'), TEXT_MAX - len(begin) - len(end))}{end}"


def _text(finding: words.Finding) -> str:
    lines = [
        words.controls(finding),
        words.basis(finding),
        words.explanation(finding),
        ", ".join(filter(None, (reach(finding), exceptions(finding)))),
        words.greedy(finding),
    ]
    if finding.get("verdict") == "undecided" and (how := deciding(finding)) not in lines:
        lines.append(how)
    for sample in words.samples(finding):
        lines.append(f"exchange {words.text(sample, 'exchange')}")
        texts = telling(sample.get("base"), sample.get("branch"), VALUE_MAX)
        for name, text in zip(("base", "branch"), texts, strict=True):
            lines.append(f"  {name}: " + ("(missing)" if text is None else visible(short(text, VALUE_MAX))))
    return "\n".join(short(line, VALUE_MAX + TEXT_MAX) for line in lines if line)


def _account(result: words.Result) -> str:
    ledger = words.ledger(result)
    return "\n".join([*(words.sum_text(line) for line in words.account(ledger)), words.balance(ledger)])
