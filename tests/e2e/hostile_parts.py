"""Texts that do something where they are not taken literally, traffic that has them in every field, and what each output must not make of them."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO
from urllib.parse import quote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from bench.ports import free_port
from tests.e2e.hostile_fields_app import FIELDS, line
from tests.e2e.test_exchange_search import CORPUS as OF_PAGES
from tests.e2e.world import HERE, World, listening, stop

CORPUS = [
    *(text[:700] for text in OF_PAGES),
    "::error file=app.py,line=1::owned",
    "\t::set-output name=verdict::pass",
    "a\n::add-mask::e\n##[error]owned",
    "%0A::warning::owned%0D%0A",
    "##vso[task.setvariable variable=x]owned",
    "##teamcity[buildStatus text='owned']",
    "section_start:1:x[collapsed=true]\r\x1b[0Kowned",
    "![alt](https://evil.example/x.png)",
    "[x](javascript:alert(1))",
    "[x][1]\n\n[1]: https://evil.example",
    "<https://evil.example/> <a@evil.example>",
    "https://evil.example www.evil.example mail@evil.example",
    "org/repository#1 gh-1 !1 &1 @user\\@user",
    ":tada: *b* _i_ ~s~ `c` $x$ ==h==",
    "| a | b |\n|---|---|\n| c",
    "# heading\n- item\n    code",
    "<details><summary>x</summary>",
    "<!channel> <!here|x> <@U012AB3CD> <#C012AB3CD>",
    "<https://evil.example|click>",
    "{0} {1} {{2}}",
    "\x85\u2028\u2029\x9d0;owned\x9c",
    "&#64;user &commat;user &lt;img src=x&gt;",
]
BRANCH_NAME = "x \x1b[2J\u202e<!channel> <@U012AB3CD> <https://evil.example|click> *b* @org/team ##[error]o"
"""What a stranger may call a branch."""
RAW = "".join(char for char in map(chr, range(33, 127)) if char not in "/?#%")
"""What goes into a path as it is."""
UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)
COMMAND = re.compile(r"^\s*::[\w-]+[^:]*::|##\[|##vso\[|##teamcity\[", re.MULTILINE)
"""What a runner of CI obeys in a job's output: GitHub's at a line's beginning, the others anywhere."""


def targets(world: World) -> list[int]:
    """The application at its two versions; their ports."""
    file = world.folder / "corpus.json"
    file.write_text(json.dumps(CORPUS), "ascii")
    ports = []
    for words in ([], ["branch"]):
        ports.append(free_port())
        app = world.start(sys.executable, HERE / "hostile_fields_app.py", ports[-1], file, *words)
        listening(ports[-1], process=app)
    return ports


def record(world: World, upstream: int) -> int:
    """Each text in each field of requests and answers, recorded as a service `hostile`; how many exchanges."""
    process, port = world.recorder(upstream, service="hostile")
    with socket.create_connection(("127.0.0.1", port), 20) as wire, wire.makefile("rb") as answers:
        for number, text in enumerate(CORPUS):
            for field in FIELDS:
                wire.sendall(_request(number, text, field))
                _answered(answers)
    assert stop(process) == 0
    count = len(CORPUS) * len(FIELDS)
    world.check_capture("hostile", stored=count)
    return count


def _request(number: int, text: str, field: str) -> bytes:
    said = line(text)
    path = quote(text, safe=RAW).encode() if number % 2 else quote(text.encode("latin-1", "replace"), safe=RAW).encode()
    body = json.dumps({text: text}).encode() if field == "key" else b""
    head = [
        b"GET /%s/%s?%s HTTP/1.1" % (path, field.encode(), quote(text, safe=RAW).encode()),
        b"Host: shop.example",
        b"X-N: %d" % number,
        b"X-Asked: " + said,
        # A cookie's value is masked wherever it stands, so here it is a little another one.
        b"Cookie: a=of-cookie" + said.replace(b";", b""),
        b"Content-Length: %d" % len(body),
    ]
    return b"\r\n".join([*head, b"", body])


def _answered(answers: BinaryIO) -> None:
    length, row = 0, answers.readline()
    assert row.startswith(b"HTTP/1.1 200 "), row
    while (row := answers.readline()) != b"\r\n":
        name, _, value = row.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    assert len(answers.read(length)) == length


def nothing_unseen(text: str) -> None:
    """No control but line end and tab, no mark of direction or of no width; and nothing that a runner obeys."""
    assert not (found := UNSEEN.search(text)), ascii(text[max(0, found.start() - 80) : found.end() + 20])
    assert not (obeyed := COMMAND.search(text)), ascii(text[max(0, obeyed.start() - 80) : obeyed.end() + 20])


def no_markup(text: str) -> None:
    """A comment in Markdown: no element, link, image or line of theirs, no mention, reference, address or emoji in what a reader's host shows."""
    assert not UNSEEN.search(text), ascii(text)
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)
    elements = {token.content for token in _all(tokens) if token.type == "html_inline"}
    kinds = {token.type for token in _all(tokens)}
    blocks = [token.content for token in tokens if token.type == "html_block"]
    assert elements <= {"<code>", "</code>", "<br>"}, elements
    assert len(blocks) == 1
    assert re.fullmatch(r"<!-- echolane [A-Za-z0-9-]* -->\n", blocks[0])
    assert not kinds & {"link_open", "image", "code_inline", "code_block", "fence", "bullet_list_open", "s_open", "hr"}
    assert [token.tag for token in tokens if token.type == "heading_open"] == ["h3"]
    for row in re.findall(r"^\|.*", text, re.MULTILINE):
        assert row.count("|") in {5, 6}, row
    assert not re.search(r"\bwww\.\w|\w://", text)
    # Hosts look for more in the finished text, in which an entity is the letter that it stands for; what is code they mostly leave alone.
    code, shown, words = 0, {True: "", False: ""}, {"<code>": 1, "</code>": -1}
    for token in _all(tokens):
        code += words.get(token.content, 0) if token.type == "html_inline" else 0
        shown[code > 0] += token.content if token.type == "text" else " "
    assert not (found := re.search(r"[@#]\w", shown[True])), found
    assert not (found := re.search(r"[@#]\w|\w://|mailto:\w|:\w+:", shown[False])), found


def _all(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _all(token.children or [])


def no_link(text: str) -> None:
    """A text of a log in SARIF, in which viewers find links and placeholders, and which hosts put into comments."""
    plain = text.replace("\u200b", "")
    assert not UNSEEN.search(plain), ascii(text)
    assert "\n" not in plain
    for pattern in (
        r"\]\(",
        r"\]\[",
        r"\]:",
        r"!\[",
        r"\{\d",
        r"@\w",
        r"<[\w/!?]",
        r"\w://",
        r"www\.",
        r"#\d",
        r"&\w+;|&#",
    ):
        assert not re.search(pattern, text), (pattern, ascii(text))


def texts_of(tree: Any) -> Iterator[str]:
    """Every text of a JSON tree, names too."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield key
            yield from texts_of(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from texts_of(value)


def messages_of(tree: Any) -> Iterator[str]:
    """What a log in SARIF says; names and facts beside it are for programs."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key == "text":
                yield value
            yield from messages_of(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from messages_of(value)
