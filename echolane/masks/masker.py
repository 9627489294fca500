"""The way in: a request or response, and the same with masks.

The recorder, the importers and the replayer (for observations) each hold one :class:`Masker`. Headers repeat from request to
request, so whole header lines are remembered with what became of them; bodies and targets are read once for each class of secret by
substring. Where nothing is secret the very object that came in goes out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from echolane.exchange import Body, Headers, Request, Response
from echolane.keys import SealKey
from echolane.masks.atoms import Atoms, is_chance
from echolane.masks.edits import Edit, Undo, apply
from echolane.masks.fields import Fields
from echolane.masks.forms import Forms
from echolane.masks.names import AUTHORIZATION, COOKIE, LONG, OPEN, SECRET, Names, is_key
from echolane.masks.pairs import Pairs
from echolane.masks.rules import DEFAULT, MaskRules
from echolane.masks.scan import FOLD, Looks
from echolane.seal import Originals, Sealer

TOKENS_MAX = 32
"""Values of one exchange that join it to others; a browser sends up to 50 cookies, of which few name a session."""
_LINES_MAX = 4096  # Header lines remembered: some dozens per client population, with the cookies of many clients.
_LINE_BYTES_MAX = 1024  # so that they take 8 MB at most
_CLEAN_BYTES_MAX = 4 * 1024 * 1024  # Bodies remembered: answers that many callers get, not those of one.
_CLEAN_EACH = 128  # Bytes that each takes beside its own, twelve times those of a short one.
_CLEAN_BODY_MAX = 64 * 1024  # A larger one costs more to recognise and pushes out many.
_MEDIA_SCANNED = 64 * 1024  # Pictures and films have texts (EXIF, XMP) at their beginning, if at all.
_MEDIA = (b"image/", b"video/", b"audio/", b"font/")
_KNOWN_BYTES_MIN = 12  # A shorter value that is a word (``Switzerland``) would be found in many a text.


class MaskedRequest(NamedTuple):
    """A request as it may be stored."""

    request: Request
    seal: bytes
    """Its originals, encrypted; empty if nothing was masked or nothing is to be kept."""
    masks: int
    uses: list[str]
    """Tokens of the values it presents (cookies, credentials, CSRF tokens)."""
    session: str
    """The caller, 16 hex digits: by credential, else by cookie, else by address."""
    known: tuple[bytes, ...]
    """Secrets it holds, for :meth:`Masker.response` to find where the service echoes them; never stored."""


class MaskedResponse(NamedTuple):
    """A response as it may be stored."""

    response: Response
    masks: int
    introduces: list[str]
    """Tokens of the values it brings into being (Set-Cookie, token members of JSON)."""


class _Line(NamedTuple):
    """What became of a header line."""

    pair: tuple[bytes, bytes]
    masks: int
    held: tuple[bytes, ...]
    tokens: tuple[str, ...]
    credential: str
    """The caller's token, if the line tells it by credential."""
    cookie: str
    """The caller's token, if the line tells it by cookie."""


class _Seen:
    """What was met on the way through one message."""

    __slots__ = ("cookie", "credential", "held", "known", "masks", "tokens")

    def __init__(self) -> None:
        self.masks = 0
        self.known: list[bytes] = []
        """Secrets of remembered header lines, whose tokens are at hand."""
        self.held: list[bytes] = []
        """Secrets of everything else."""
        self.tokens: list[str] = []
        self.credential = self.cookie = ""


class Masker:
    """Masks with one key and one set of rules; not for use by several threads at once."""

    def __init__(self, key: bytes, *, seal_key: SealKey | None = None, rules: MaskRules = DEFAULT) -> None:
        atoms = self._atoms = Atoms(key)
        names = self._names = Names(rules.names, rules.keep)
        self._looks = Looks(atoms, emails=rules.emails, cards=rules.cards, tokens=rules.tokens)
        self._fields = Fields(atoms, self._looks)
        self._pairs = Pairs(atoms, names, self._fields.mask)
        self._forms = Forms(atoms, names, self._looks, self._pairs, self._fields)
        self._sealer = Sealer(seal_key) if seal_key else None
        self._clients: dict[str, str] = {}
        self._lines: dict[tuple[bytes, bytes], _Line | None] = {}
        self._open_lines: set[tuple[bytes, bytes]] = set()
        """Those of them that hold nothing secret: headers that are all in here need no closer look."""
        self._clean: dict[bytes, bytes] = {}
        """Bodies met lately that hold nothing secret, and the kind of text as which they were read."""
        self._clean_bytes = 0

    def request(self, request: Request, client: str = "") -> MaskedRequest:
        """The request with masks, its seal, and whose it is; ``client`` is the address it came from."""
        seen = _Seen()
        headers, old_headers = self._headers(request.headers, seen)
        target, authority, body, trailers = request.target, request.authority, request.body, request.trailers
        old_target = old_authority = None
        undo: list[Undo] = []
        old_trailers: list[tuple[int, bytes]] = []
        masked = self._target(target, seen)
        if masked is not target:
            target, old_target = masked, target
        if "@" in authority:
            masked = self._authority(authority, seen)
            if masked != authority:
                authority, old_authority = masked, authority
        if body.data:
            body, undo = self._body(body, request.headers, seen)
        if trailers:
            trailers, old_trailers = self._headers(trailers, seen)
        session = seen.credential or seen.cookie or self._address(client)
        uses = self._tokens(seen)
        if not seen.masks:
            return MaskedRequest(request, b"", 0, uses, session, ())
        out = Request(request.method, request.scheme, authority, target, request.http_version, headers, body, trailers)
        seal = b""
        if self._sealer is not None:
            seal = self._sealer.seal(out, Originals(old_target, old_authority, old_headers, undo, old_trailers))
        return MaskedRequest(out, seal, seen.masks, uses, session, (*seen.known, *seen.held))

    def response(self, response: Response, known: Sequence[bytes] = ()) -> MaskedResponse:
        """The response with masks; ``known`` are secrets of its request, masked wherever the service repeats them."""
        if not (known or response.trailers) and self._is_clean(response.headers, response.body):
            return MaskedResponse(response, 0, [])
        seen = _Seen()
        headers, _ = self._headers(response.headers, seen)
        body, trailers = response.body, response.trailers
        if body.data:
            body, _ = self._body(body, response.headers, seen, known)
        if trailers:
            trailers, _ = self._headers(trailers, seen)
        for secret in known:
            if _is_telling(secret):
                headers = self._echoes(headers, secret, seen)
        introduces = self._tokens(seen)
        if not seen.masks:
            return MaskedResponse(response, 0, introduces)
        out = Response(
            response.status, response.http_version, headers, body, trailers, response.reason, response.incomplete
        )
        return MaskedResponse(out, seen.masks, introduces)

    def _headers(self, headers: Headers, seen: _Seen) -> tuple[Headers, list[tuple[int, bytes]]]:
        """Masked headers, and the originals by place."""
        if self._open_lines.issuperset(headers):
            return headers, []
        get = self._lines.get
        out = headers
        old: list[tuple[int, bytes]] = []
        for place, pair in enumerate(headers):
            line = get(pair, _NEW)
            if line is None:
                continue
            if line is _NEW:
                line = self._line(pair)
                if line is None:
                    continue
            seen.credential = seen.credential or line.credential
            seen.cookie = seen.cookie or line.cookie
            seen.known += line.held
            seen.tokens += line.tokens
            if line.masks:
                if out is headers:
                    out = headers.copy()
                out[place] = line.pair
                old.append((place, pair[1]))
                seen.masks += line.masks
        return out, old

    def _line(self, pair: tuple[bytes, bytes]) -> _Line | None:
        """Mask one header line and remember what became of it."""
        name, value = pair
        if name.lower() in _PLAIN:
            self._remember(pair, None)
            return None
        held: list[bytes] = []
        kind = self._names.judge(name)
        if kind == OPEN or (kind == LONG and not is_key(value)):
            masked, count = self._open_line(value, held)
        else:
            masked = self._fields.mask(kind, value, held)
            count = max(1, len(held)) if masked != value else 0
        line = None
        if held or count:
            tokens = tuple(self._atoms.token(secret) for secret in dict.fromkeys(held) if is_chance(secret))
            credential = self._atoms.token(value) if kind in _CREDENTIALS else ""
            cookie = self._atoms.token(_caller_of(held, value)) if kind == COOKIE else ""
            line = _Line((name, masked), count, tuple(held), tokens, credential, cookie)
        self._remember(pair, line)
        return line

    def _remember(self, pair: tuple[bytes, bytes], line: _Line | None) -> None:
        if len(pair[0]) + len(pair[1]) > _LINE_BYTES_MAX:
            return
        if len(self._lines) >= _LINES_MAX:
            self._lines.clear()
            self._open_lines.clear()
        self._lines[pair] = line
        if line is None:
            self._open_lines.add(pair)

    def _open_line(self, value: bytes, held: list[bytes]) -> tuple[bytes, int]:
        """A header whose name promises nothing: what its value shows by look, or by names inside it."""
        # One word of letters and digits (request ids, lengths, versions) can only be a card or one of three issuers' keys.
        if value.isalnum() and not (value.isdigit() and len(value) > 12) and value[:4] not in _KEY_HEADS:
            return value, 0
        edits = self._looks.find(value)
        if 61 in value or 58 in value:
            edits += self._pairs.find_text(value, value.translate(FOLD), held)
        if not edits:
            return value, 0
        masked, undo = apply(value, edits)
        return masked, len(undo)

    def _authority(self, authority: str, seen: _Seen) -> str:
        """An authority with user information, which a proxy's client may send."""
        user, _, host = authority.rpartition("@")
        data, charset = _latin(user)
        parts = [self._fields.atom(part, seen.held) if part else part for part in data.split(b":", 1)]
        masked = b":".join(parts).decode(charset, "replace") + "@" + host
        seen.masks += masked != authority
        return masked

    def _address(self, client: str) -> str:
        found = self._clients.get(client)
        if found is None:
            if len(self._clients) >= _LINES_MAX:
                self._clients.clear()
            found = self._clients[client] = self._atoms.token(b"address " + client.encode("utf-8", "surrogatepass"))
        return found

    def _target(self, target: str, seen: _Seen) -> str:
        data, charset = _latin(target)
        edits = self._forms.find_target(data, seen.held)
        if not edits:
            return target
        masked, undo = apply(data, edits)
        seen.masks += len(undo)
        return masked.decode(charset, "strict" if charset == "latin-1" else "surrogatepass") if undo else target

    def _body(self, body: Body, headers: Headers, seen: _Seen, known: Sequence[bytes] = ()) -> tuple[Body, list[Undo]]:
        data = body.data
        in_json, kind = _kind_of(data, headers)
        edits: list[Edit] = []
        if self._clean.get(data) != kind:
            held = len(seen.held)
            if in_json:
                edits = self._pairs.find_json(data, seen.held)
                edits += self._looks.find(data)
            else:
                if kind.startswith(_MEDIA) and len(data) > _MEDIA_SCANNED:
                    data = data[:_MEDIA_SCANNED]
                edits = self._edits(data, kind, seen.held)
            # A value that is held has an edit, even one that changes nothing; asked all the same, for a secret hangs on it.
            if not edits and len(seen.held) == held and len(body.data) <= _CLEAN_BODY_MAX:
                self._remember_clean(data, kind)
        for secret in known:
            if secret in data and _is_telling(secret):
                edits += self._repeated(data, secret)
        if body.truncated and not any(edit.end == len(data) for edit in edits):
            edits += _tail(data, self._atoms)
        if not edits:
            return body, []
        masked, undo = apply(body.data, edits)
        if not undo:
            return body, undo
        seen.masks += len(undo)
        new = Body(masked, body.size, body.encoding, body.digest, body.truncated, body.undecoded, body.chunked)
        return new, undo

    def _is_clean(self, headers: Headers, body: Body) -> bool:
        """Whether all of it was met lately and holds nothing secret."""
        if body.truncated or not self._open_lines.issuperset(headers):
            return False
        return not body.data or self._clean.get(body.data) == _kind_of(body.data, headers)[1]

    def _remember_clean(self, data: bytes, kind: bytes) -> None:
        """So that the same body need not be read again: what is found in one depends on its bytes and kind alone."""
        size = len(data) + _CLEAN_EACH
        if self._clean_bytes + size > _CLEAN_BYTES_MAX:
            self._clean.clear()
            self._clean_bytes = 0
        if data not in self._clean:
            self._clean_bytes += size
        self._clean[data] = kind

    def _edits(self, data: bytes, content_type: bytes, held: list[bytes]) -> list[Edit]:
        """What is to be masked in a body, by the kind of text it is."""
        edits: list[Edit] = []
        if b"json" in content_type:
            edits += self._pairs.find_json(data, held)
        elif b"urlencoded" in content_type:
            self._forms.find_members(data, 0, held, edits)
        else:
            if content_type.startswith(b"multipart/"):
                edits += self._forms.find_multipart(data, content_type, held)
            stream = b"event-stream" in content_type  # of JSON, mostly
            edits += self._pairs.find_text(data, data.translate(FOLD), held, in_json=stream)
            if b'":' in data:
                edits += self._pairs.find_json(data, held)
        edits += self._looks.find(data)
        return edits

    def _repeated(self, data: bytes, secret: bytes) -> list[Edit]:
        mask = self._atoms.mask(secret)
        whole = re.compile(rb"(?<![0-9A-Za-z])" + re.escape(secret) + rb"(?![0-9A-Za-z])")
        return [Edit(*found.span(), mask) for found in whole.finditer(data)]

    def _echoes(self, headers: Headers, secret: bytes, seen: _Seen) -> Headers:
        """Headers that repeat a secret of the request (``Location``, ``X-Debug``)."""
        out = headers
        for place, (name, value) in enumerate(headers):
            if secret in value:
                masked, undo = apply(value, self._repeated(value, secret))
                if undo:
                    out = headers.copy() if out is headers else out
                    out[place] = (name, masked)
                    seen.masks += len(undo)
        return out

    def _tokens(self, seen: _Seen) -> list[str]:
        """Tokens of those values that are chance enough to prove a relation: ``theme=dark`` would join all users."""
        if seen.held:
            seen.tokens += [self._atoms.token(value) for value in dict.fromkeys(seen.held) if is_chance(value)]
        return list(dict.fromkeys(seen.tokens))[:TOKENS_MAX] if seen.tokens else []


_NEW = _Line((b"", b""), 0, (), (), "", "")
_KEY_HEADS = frozenset((b"AKIA", b"ASIA", b"AIza"))
_PLAIN = frozenset(
    (b"content-length", b"date", b"age", b"expires", b"last-modified", b"if-modified-since", b"if-unmodified-since", b"connection",
     b"accept-encoding", b"accept-ranges", b"content-encoding", b"transfer-encoding", b"keep-alive", b"vary")
)  # fmt: skip
"""Headers whose syntax leaves no room for a secret."""
_CREDENTIALS = frozenset((AUTHORIZATION, SECRET))
_JSON_STARTS = frozenset((b"{", b"["))
_SESSION_COOKIE = re.compile(rb"(?i)(?:^|;)\s*[a-z0-9_.-]*(?:sess|sid|auth|login|token|user)[a-z0-9_.-]*=([^;]+)")
_LAST = re.compile(rb"[0-9A-Za-z]+\Z")
_TAIL = re.compile(rb"(?![0-9]{1,6}\Z)[^\s\"'<>{}\[\](),;&=:]{1,256}\Z")


def _is_telling(secret: bytes) -> bool:
    """Whether a secret of the request, met again in its answer, is the secret."""
    return len(secret) >= _KNOWN_BYTES_MIN or is_chance(secret)


def _caller_of(held: Sequence[bytes], value: bytes) -> bytes:
    """The cookie that names the caller: one called so, else the first that is chance enough, else all of them."""
    named = _SESSION_COOKIE.search(value)
    if named is not None:
        return named[1]
    return next((secret for secret in held if is_chance(secret)), value)


def _tail(data: bytes, atoms: Atoms) -> list[Edit]:
    """The word in which a body was cut: half a secret has no shape, so it goes whatever it is."""
    found = _TAIL.search(data, max(0, len(data) - 256))
    if found is None:
        return []
    last = _LAST.search(found[0])
    if last is not None and atoms.mask(last[0]) == last[0]:
        return []
    return [Edit(*found.span(), atoms.mask(found[0]))]


def _kind_of(data: bytes, headers: Headers) -> tuple[bool, bytes]:
    """Whether a body is read as JSON by its first byte, and the type as which it is read if not."""
    return (True, b"") if data[:1] in _JSON_STARTS else (False, _content_type(headers))


def _content_type(headers: Headers) -> bytes:
    for name, value in headers:
        if len(name) == 12 and name.lower() == b"content-type":
            return value.lower() if b"multipart" not in value.lower() else value
    return b""


def _latin(text: str) -> tuple[bytes, str]:
    """The bytes of a target and the charset that leads back; imports may hold characters that never were on a wire."""
    try:
        return text.encode("latin-1"), "latin-1"
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass"), "utf-8"
