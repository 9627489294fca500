"""JUnit XML: a run as a test suite, a finding as a test case that failed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

Result = Mapping[str, Any]
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
CASES_MAX = 2000
"""Cases written; CI servers choke on more, and the page has all."""


def clean(text: object) -> str:
    """Text that XML 1.0 may hold."""
    return _ILLEGAL.sub("\ufffd", str(text))


def junit(result: Result) -> str:
    """The result as JUnit XML."""
    groups = result["groups"][:CASES_MAX]
    broken = result["verdict"] == "inconclusive"
    suite = ElementTree.Element(
        "testsuite",
        name=clean(f"echolane {result['service']}"),
        tests=str(len(groups) + 1),
        failures=str(len(groups)),
        errors=str(int(broken)),
        timestamp=str(result["started_at"]),
    )
    whole = ElementTree.SubElement(suite, "testcase", classname=clean(result["service"]), name="run")
    if broken:
        ElementTree.SubElement(whole, "error", type=result["reason_code"], message=clean(result["reason"]))
    for group in groups:
        case = ElementTree.SubElement(
            suite, "testcase", classname=clean(group["endpoint"]), name=clean(f"{group['where']} {group['kind']}")
        )
        message = f"{group['differing']} of {group['observed']} exchanges differ ({group['basis']})"
        failure = ElementTree.SubElement(case, "failure", type=group["kind"], message=message)
        failure.text = clean("\n".join(f"base: {s['base']}\nbranch: {s['branch']}" for s in group["samples"]))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"
