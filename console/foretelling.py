"""What requests of a plan carry beside what was recorded: cookies that targets set, keys of this run, the header of a dry run.

The rewriting that fires says which (:mod:`replayer.rewrite`, :mod:`replayer.idempotency`); here it is given the plan instead of answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from console.credentials_told import Getting
from echolane.exchange import WorkItem
from echolane.observation import TARGETS, TargetInfo
from echolane.runspec import RunSpec
from echolane.settings import Settings
from replayer.idempotency import Keys
from replayer.rewrite import Jar, cookie_pairs, is_gone, set_cookies
from replayer.wire import SAFE_METHODS


class Foretelling:
    """Told the items of one plan in their order."""

    def __init__(self, spec: RunSpec, settings: Settings, given: Sequence[Getting]) -> None:
        self._spec = spec
        self._keys = Keys(
            b"", spec.run, settings.replay.idempotency_headers
        )  # which headers, and never what is in them
        self._given = {one.read.place for one in given if one.read.replaces}
        """Where a provider gives what is sent."""
        self._jar = Jar()
        """Of each cookie that a fired request's answer sets, the endpoint that sets it."""

    def __repr__(self) -> str:
        return f"<Foretelling of {self._jar}>"

    def before(self) -> Iterator[str]:
        """What is asked before anything of the recording is sent."""
        infos = self._spec.targets
        if self._spec.firing.lane_check and (lane := infos[TARGETS.index("branch")].lane):
            asked = _named([not info.managed and info.lane is not None for info in infos], infos)
            if asked:
                yield f"first, to {asked}: GET / in lane {lane}, whose answer must say x-lane-served: {lane}"
        if header := self._spec.firing.dry_run_header:
            asked = _named([True] * len(infos), infos)
            yield f"first, to {asked}: GET / with {header}: 1; no write goes anywhere unless all of them echo it"

    def of(self, item: WorkItem) -> Iterator[str]:
        """What one exchange that is fired carries."""
        if item.skip:
            return
        request, session = item.exchange.request, item.exchange.session
        rewritten = self._jar.rewrite(session, request.headers, request.headers)
        for note, endpoint in zip(rewritten.notes, rewritten.values, strict=True):
            yield f"    {note} is what each target sets in {endpoint.decode('utf-8', 'replace')}"
        if others := self._other_cookies(item, rewritten.notes):
            yield f"    cookie {', '.join(others)} as recorded"
        if request.method not in SAFE_METHODS:
            yield from self._of_write(item)
        if item.exchange.response is not None:
            source = item.endpoint.encode()
            cookies = set_cookies(item.exchange.response.headers)
            self._jar.take(session, [(name, value, source) for name, value in cookies if not is_gone(value)])

    def _of_write(self, item: WorkItem) -> Iterator[str]:
        headers = item.exchange.request.headers
        for name in dict.fromkeys(name.lower() for name, value in headers if self._keys.replaces(name, value)):
            yield f"    header {name.decode('latin-1')} is a key of this run, another at each target"
        if header := self._spec.firing.dry_run_header:
            yield f"    header {header} is 1: the first write to {item.endpoint} goes alone, others only once all targets echo it"

    def _other_cookies(self, item: WorkItem, notes: Sequence[str]) -> list[str]:
        """Cookies that are sent as they were; what a provider gives is told with the credentials."""
        if "cookies" in self._given:
            return []
        headers = item.exchange.request.headers
        pairs = [pair for name, value in headers if name.lower() == b"cookie" for pair in cookie_pairs(value)]
        names = dict.fromkeys(name.decode("latin-1") for name, _ in pairs)
        return [name for name in names if f"cookie {name}" not in {*notes, *self._given}]


def _named(chosen: Sequence[bool], infos: Sequence[TargetInfo]) -> str:
    """Those of the targets that are chosen and are asked for themselves: each place once."""
    seen: set[tuple[str, str | None, str, str]] = set()
    names: list[str] = []
    for role, wanted, info in zip(TARGETS, chosen, infos, strict=True):
        place = info.url, info.lane, info.host, role if info.managed else ""
        if wanted and place not in seen:
            seen.add(place)
            names.append(role)
    return ", ".join(names)
