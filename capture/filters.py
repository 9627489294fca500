"""What is recorded: pure rules over a request. A session is kept whole or not at all, on every agent alike."""

from __future__ import annotations

from echolane.settings import Capture

_SPACE = 2**64


class Filters:
    """The rules of one service's capture."""

    def __init__(self, settings: Capture) -> None:
        self._methods = frozenset(method.upper() for method in settings.methods)
        self._paths, self._not_paths = tuple(settings.paths), tuple(settings.not_paths)
        self.probability = settings.sampling
        self.rule = "session" if settings.sampling < 1.0 else ""
        self._share = int(settings.sampling * _SPACE)
        self._open = not (self._methods or self._paths or self._not_paths)

    def __repr__(self) -> str:
        return (
            f"<Filters {sorted(self._methods)} {self._paths} not {self._not_paths}, {self.probability:.0%} of sessions>"
        )

    def keeps(self, method: str, target: str) -> bool:
        """Whether requests of this method and target are recorded."""
        if self._open:
            return True
        if self._methods and method.upper() not in self._methods:
            return False
        path = path_of(target)
        if self._paths and not path.startswith(self._paths):
            return False
        return not (self._not_paths and path.startswith(self._not_paths))

    def samples(self, session: str) -> bool:
        """Whether this session is among those that are recorded."""
        return self._share == _SPACE or session_point(session) < self._share


def session_point(session: str) -> int:
    """Where a session stands between 0 and 2**64. It is a keyed hash already, so it is its own chance."""
    try:
        return int(session, 16) % _SPACE
    except ValueError:
        return 0


def path_of(target: str) -> str:
    """The path of a request target, also of one in absolute form (``http://host/path``)."""
    if target.startswith("/"):
        return target
    scheme, colon, rest = target.partition("://")
    if not colon or not scheme.isalpha():
        return target
    slash = rest.find("/")
    return rest[slash:] if slash >= 0 else "/"
