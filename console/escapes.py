"""Foreign text, made harmless: one definition for each place where the console shows it.

Recorded values were written by anyone. :mod:`console.page` shows them through :func:`html`, :mod:`console.junit` through
:func:`xml`, :mod:`console.markdown` through :func:`markdown` and :func:`markdown_code`, :mod:`console.sarif` through :func:`sarif`,
:mod:`console.terminal` and all that is said through :func:`terminal`, :mod:`console.output` what it prints as JSON through
:func:`json_text`, :mod:`console.api.notify_forms` through :func:`slack`. All are pure and total: any ``str``, lone surrogates too,
gives text that the sink takes literally.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
_XML = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;", "\n": "&#10;", "\t": "&#9;"}
)
_MARKDOWN = str.maketrans({char: f"&#{ord(char)};" for char in "&<>*_[]|~`\\$!@#"})
_SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_LINKS = re.compile(r":(?=\S)|(?<=[wW])\.|(?<=&#64;)|(?<=&#35;)|(?<=:)(?=//)")
"""Where a host would find a URL, ``:name:``, ``@name`` or ``#1``, some of them after they have decoded entities."""
_SARIF = re.compile(
    r"(?<=\])(?=[(\[:])|(?<=!)(?=\[)|(?<=\{)(?=\d)|(?<=@)(?=\w)|(?<=#)(?=\w)|(?<=<)(?=[\w/!?])|(?<=&)(?=[\w#])|(?<=:)(?=//)|(?<=[wW])(?=\.)"
)
"""Where a viewer would read a link, an image, a placeholder, a mention, an element, an entity or an address."""
_COMMANDS = re.compile(r"##(?=\[|vso\[|teamcity\[)|(?<!\w)::(?=[A-Za-z])")
"""What begins a command to a runner of CI in a job's output: ``::name`` of GitHub at a line's beginning, the others anywhere."""
_JSON = re.compile(
    r"[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff]|##(?=\[|vso\[|teamcity\[)"
)
"""What JSON may hold as it is and a terminal obeys or hides, or a runner of CI obeys: in JSON it stands in texts alone."""


def visible(text: str, keep: str = "") -> str:
    """Text in which what cannot be seen (controls, direction marks, lone surrogates, odd spaces) is spelled as its escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else spelled(char) for char in text)


def spelled(char: str) -> str:
    r"""One invisible character as Python would write it: ``\x1b``, ``\u202e``, ``\n``."""
    return repr(char)[1:-1]


def cut(text: str, limit: int) -> tuple[str, int]:
    """The first ``limit`` characters, and how many are left out."""
    return (text, 0) if len(text) <= limit else (text[:limit], len(text) - limit)


def short(text: str, limit: int) -> str:
    """Text of at most ``limit`` characters; an ellipsis says that there was more."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def alike(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the common beginning, by halves: values may be long."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low


def telling(base: object, branch: object, limit: int) -> tuple[str | None, str | None]:
    """Both values as texts, from a little before they part where their first ``limit`` characters look alike; None is missing."""
    if base is None or branch is None:
        return None if base is None else str(base), None if branch is None else str(branch)
    base, branch = str(base), str(branch)
    same = alike(base, branch)
    if same <= limit // 2 or max(len(base), len(branch)) <= limit:
        return base, branch
    begin = same - limit // 4
    return "…" + base[begin:], "…" + branch[begin:]


def html(text: str, keep: str = "") -> str:
    """Text for an HTML element or a quoted attribute."""
    return visible(text, keep).translate(_HTML)


def xml(text: str, keep: str = "\n\t") -> str:
    """Text for an XML 1.0 element or a quoted attribute; characters that XML 1.0 cannot hold are spelled."""
    return (
        visible(text, keep).translate(_XML).replace("##", "#&#35;")
    )  # a runner of CI reads commands in what is printed


def markdown(text: str) -> str:
    """Text for a line of GitHub-flavoured Markdown: no markup, table cell, link, mention or reference comes of it."""
    return _LINKS.sub(_unlinked, visible(text).translate(_MARKDOWN))


def _unlinked(found: re.Match[str]) -> str:
    # A character of no width breaks the word for those who look for mentions in the finished text.
    return f"&#{ord(found[0])};" if found[0] else "&#8203;"


def markdown_code(text: str) -> str:
    """Text as code in Markdown, also inside a table; an element, because back-ticks cannot quote every value in a cell."""
    return f"<code>{markdown(text)}</code>" if text else ""


def slack(text: str) -> str:
    """Text for a message of Slack, one line: no link, mention or call for everybody comes of it."""
    return visible(text).translate(_SLACK)


def sarif(text: str) -> str:
    """Text for a message of SARIF, one line: a character of no width stands in what a viewer or a host would take for markup."""
    return _SARIF.sub("\u200b", visible(text))


def terminal(text: str) -> str:
    """Text for a terminal or a log: one line, nothing that moves the cursor, recolours the screen or commands a runner of CI."""
    return _COMMANDS.sub(lambda found: rf"{found[0][0]}\x{ord(found[0][1]):02x}", visible(text))


def json_text(text: str) -> str:
    """JSON for a terminal, too: the same data, in which what a terminal obeys or hides is spelled as JSON spells it."""
    return text if text.isascii() and "\x7f" not in text and "##" not in text else _JSON.sub(_spelled, text)


def _spelled(found: re.Match[str]) -> str:
    return "".join(f"\\u{ord(char):04x}" for char in found[0])


def shell(words: Sequence[str]) -> str:
    """A command line that ``sh`` reads back as exactly these words."""
    return shlex.join(words)
