"""Two values side by side with what changed marked inside them: the samples of :mod:`console.page`. Pure.

Values are JSON text (design §7). JSON is laid out by its own punctuation, never parsed and written again, so that what is
shown is what was answered: ``10.0`` stays ``10.0``, a key given twice stays twice. Lines are matched first, then words
within lines that changed; both are bounded, and beyond the bound a value is marked as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from console.escapes import alike, html
from console.words import EXCERPT_BYTES

EFFORT_MAX = 250_000
"""Pairs of lines or words that are compared in one sample. Matching is quadratic at worst; at this size it takes some 50 ms."""
BLINK = 2
"""Equal stretches this short between two changes are marked with them: three marks in one word are harder to read than one."""
KEPT, FOLDED_MIN = 240, 900
"""Characters of equal text kept around a change; a longer equal stretch is folded, so that the change is in sight."""
PREVIEW, PREVIEW_BEFORE = 60, 12
INLINE_MAX = 72
"""JSON up to this long stays on one line."""
INDENT_MAX = 8
"""Levels that move to the right; deeper ones would leave no room for their text."""
GROWTH_MAX = 4
"""Times a value may grow by its layout; a value of nothing but brackets would be all indentation."""

_TOKEN = re.compile(r"\d+(?:\.\d+)*|[^\W\d]+|\s+|[^\w\s]|\w")
JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\],:]|\s+|[^"{}\[\],:\s]+', re.DOTALL)
_WORD = re.compile(r"[\w.]")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_SHORT_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class Piece(NamedTuple):
    """A stretch of one value."""

    changed: bool
    text: str


Pair = tuple[bool, str, str]
"""Whether it changed, and the text on either side."""


class Shown(NamedTuple):
    """One value, ready for the page."""

    shape: str
    """What it is: ``text, 1,204 characters``, ``number``, ``missing``."""
    body: str
    """HTML."""
    long: bool


def side_by_side(base: str | None, branch: str | None) -> tuple[Shown, Shown]:
    """Both values of a sample as HTML, changes marked."""
    kept = [(None, 0) if value is None else excerpt(value) for value in (base, branch)]
    texts = laid_out(kept[0][0], kept[1][0])
    if texts[0] is None or texts[1] is None:
        pieces = [[Piece(changed=False, text=text or "")] for text in texts]
    else:
        pieces = list(matched(texts[0], texts[1]))
    first, second = (
        Shown(shape(value), _body(parts, mark, left_out) if value is not None else '<span class="none">missing</span>',
              sum(len(part.text) for part in parts) > 2 * FOLDED_MIN)
        for value, parts, mark, (_, left_out) in zip((base, branch), pieces, ("del", "ins"), kept, strict=True)
    )  # fmt: skip
    return first, second


def alone(value: str | None) -> str:
    """One value as HTML, nothing marked."""
    if value is None:
        return '<span class="none">missing</span>'
    text, left_out = excerpt(value)
    return _body([Piece(changed=False, text=laid_out(text, text)[0] or "")], "b", left_out)


def preview(base: str | None, branch: str | None) -> tuple[str, str]:
    """Both values in one short line each, cut around the first change."""
    if base is None or branch is None:
        return _preview(base, 0, len(base or ""), "del"), _preview(branch, 0, len(branch or ""), "ins")
    before = alike(base, branch)
    while before and _WORD.match(base, before - 1):
        before -= 1
    after = min(alike(base[::-1], branch[::-1]), min(len(base), len(branch)) - before)
    while after and _WORD.match(base, len(base) - after):
        after -= 1
    return _preview(base, before, len(base) - after, "del"), _preview(branch, before, len(branch) - after, "ins")


def _preview(value: str | None, begin: int, end: int, mark: str) -> str:
    if value is None:
        return '<span class="none">missing</span>'
    start = max(0, min(begin - PREVIEW_BEFORE, len(value) - PREVIEW))
    stop = min(len(value), start + PREVIEW)
    begin, end = min(begin, stop), min(end, stop)
    inner = (
        f"<{mark}>{html(value[begin:end])}</{mark}>"
        if end > begin and end - begin < len(value)
        else html(value[begin:end])
    )
    head, tail = "…" if start else "", "…" if stop < len(value) else ""
    return f"{head}{html(value[start:begin])}{inner}{html(value[end:stop])}{tail}"


def shape(value: str | None) -> str:
    """What sort of value this is, in a word or two."""
    if value is None:
        return "missing"
    name = {'"': "text", "{": "object", "[": "list", "t": "boolean", "f": "boolean", "n": "null"}.get(value[:1], "")
    name = name or ("number" if value[:1].isdigit() or value[:1] == "-" else "text")
    return f"{name}, {len(value):,} characters" if len(value) > INLINE_MAX else name


def excerpt(value: str) -> tuple[str, int]:
    """At most 16 KiB of a value, and how many characters are left out."""
    data = value.encode("utf-8", "surrogatepass")
    if len(data) <= EXCERPT_BYTES:
        return value, 0
    text = data[:EXCERPT_BYTES].decode("utf-8", "ignore")
    return text, len(value) - len(text)


def laid_out(base: str | None, branch: str | None) -> tuple[str | None, str | None]:
    """Both values for reading: long texts as their lines, structures indented, alike on both sides."""
    present = [value for value in (base, branch) if value is not None]
    if present and all(value.startswith('"') for value in present):
        lined = any("\\n" in value or ('\\"' in value and len(value) > INLINE_MAX) for value in present)
        layout: Callable[[str], str] = unquoted if lined else str
    elif any(value[:1] in "{[" and len(value) > INLINE_MAX for value in present):
        layout = indented
    else:
        layout = str
    return (None if base is None else layout(base)), (None if branch is None else layout(branch))


def unquoted(value: str) -> str:
    """The text that a JSON string stands for; the end may be cut off."""
    inner = value[1:-1] if value.endswith('"') and len(value) > 1 else value[1:]
    text = _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _SHORT_ESCAPES.get(m[2], m[2]), inner)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def indented(value: str) -> str:
    """JSON text with a line a member; its tokens stay as they are."""
    out: list[str] = []
    depth = 0
    words = [word for word in JSON_TOKEN.findall(value) if not word.isspace()]
    for index, word in enumerate(words):
        following = words[index + 1] if index + 1 < len(words) else ""
        if word in {"{", "["}:
            depth += 1
            out.append(word if following in {"}", "]"} else word + _newline(depth))
        elif word in {"}", "]"}:
            depth -= 1
            empty = index > 0 and words[index - 1] in {"{", "["}
            out.append(word if empty else _newline(depth) + word)
        elif word == ",":
            out.append("," + _newline(depth))
        else:
            out.append(": " if word == ":" else word)
    laid = "".join(out)
    return laid if len(laid) <= GROWTH_MAX * len(value) else value


def _newline(depth: int) -> str:
    return "\n" + "  " * max(0, min(depth, INDENT_MAX))


def matched(base: str, branch: str, effort: int = EFFORT_MAX) -> tuple[list[Piece], list[Piece]]:
    """Both texts as pieces that are equal or changed."""
    left, right = base.splitlines(keepends=True), branch.splitlines(keepends=True)
    pairs: list[Pair] = []
    for changed, old, new in _aligned(left, right, effort):
        if not changed:
            pairs.append((False, old, new))
            continue
        ones, others = _TOKEN.findall(old), _TOKEN.findall(new)
        pairs += _aligned(ones, others, effort)
        effort -= len(ones) * len(others)
    joined = _joined(pairs)
    olds = [Piece(changed, old) for changed, old, _ in joined if old]
    return olds, [Piece(changed, new) for changed, _, new in joined if new]


def effort_of(base: str, branch: str) -> int:
    """Pairs of words of two lines, of which each may have to be compared."""
    return len(_TOKEN.findall(base)) * len(_TOKEN.findall(branch))


def _aligned(left: Sequence[str], right: Sequence[str], effort: int) -> list[Pair]:
    """Runs of equal and of changed parts; with too much between the common ends to match, all of it is changed."""
    before = alike(left, right)
    after = min(alike(left[::-1], right[::-1]), min(len(left), len(right)) - before)
    ones, others = left[before : len(left) - after], right[before : len(right) - after]
    if len(ones) * len(others) > effort:
        middle = [(True, "".join(ones), "".join(others))]
    else:
        codes = SequenceMatcher(None, ones, others, autojunk=False).get_opcodes()
        middle = [(tag != "equal", "".join(ones[a:b]), "".join(others[c:d])) for tag, a, b, c, d in codes]
    head, tail = "".join(left[:before]), "".join(left[len(left) - after :])
    return [(False, head, head), *middle, (False, tail, tail)]


def _joined(pairs: Sequence[Pair]) -> list[Pair]:
    """Neighbours of one sort as one; a blink of equal text between two changes joins them."""
    out: list[Pair] = []
    for index, (changed, old, new) in enumerate(pairs):
        between = 0 < index < len(pairs) - 1 and pairs[index - 1][0] and pairs[index + 1][0]
        now = changed or (between and len(old) <= BLINK and "\n" not in old)
        if out and out[-1][0] == now:
            out[-1] = (now, out[-1][1] + old, out[-1][2] + new)
        elif old or new:
            out.append((now, old, new))
    return out


def _body(pieces: Sequence[Piece], mark: str, left_out: int) -> str:
    out: list[str] = []
    alone = len(pieces) == 1
    for index, piece in enumerate(pieces):
        if piece.changed:
            text = html(piece.text, "\n\t")
            out.append(text if alone and "\n" in piece.text else f"<{mark}>{text}</{mark}>")
        else:
            out.append(_equal(piece.text, head=index > 0, tail=index < len(pieces) - 1))
    if not pieces or not any(piece.text for piece in pieces):
        out.append('<span class="none">empty</span>')
    if left_out:
        out.append(f'<span class="cut">{left_out:,} more characters are left out here</span>')
    return "".join(out)


def _equal(text: str, *, head: bool, tail: bool) -> str:
    """Equal text; its middle folds away when it is long and a change stands beside it."""
    if len(text) < FOLDED_MIN or not (head or tail):
        return html(text, "\n\t")
    begin = text.rfind("\n", 0, KEPT) + 1 or KEPT if head else 0
    end = len(text) - KEPT if tail else len(text)
    newline = text.find("\n", end, len(text) - 1) if tail else -1
    end = newline + 1 if newline >= 0 else end
    folded = f'<details class="gap"><summary>{end - begin:,} characters alike</summary>{html(text[begin:end], chr(10) + chr(9))}</details>'
    return html(text[:begin], "\n\t") + folded + html(text[end:], "\n\t")
