"""The kill switch: two files, looked at ten times a second while anything is fired.

``HOME/STOP`` holds everything that fires from this home, for as long as it is there; a person makes it with ``touch``, from
wherever the home can be reached, without Echolane. ``HOME/runs/RUN.cancel`` ends one run; ``echolane runs cancel`` makes it.
"""

from __future__ import annotations

from echolane.errors import RefusedForSafety, unwritable
from echolane.home import Home

STOP = "STOP"


class Switch:
    """The switch of one run."""

    def __init__(self, home: Home, run: str) -> None:
        self._stop = home.path / STOP
        self._cancel = home.runs / f"{run}.cancel"

    def __repr__(self) -> str:
        return f"<Switch {self.thrown() or 'not thrown'}>"

    def thrown(self) -> str:
        """Why nothing may be fired any more; empty while it may. A home that cannot be looked at fires nothing."""
        try:
            if self._stop.exists():
                return f"the run was stopped by {self._stop}"
            return "the run was cancelled" if self._cancel.exists() else ""
        except OSError as error:
            return f"the run was stopped: {self._stop} cannot be looked at ({error.strerror})"

    def cancel(self) -> None:
        """End the run."""
        try:
            self._cancel.touch()
        except OSError as error:
            raise unwritable(f"`{self._cancel}`", error) from error

    def take_back(self) -> None:
        """A run that is begun or resumed is not cancelled by what was said of it before."""
        try:
            self._cancel.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(f"`{self._cancel}`", error) from error


def refuse_while_stopped(home: Home) -> None:
    """RefusedForSafety while nothing may be fired from this home."""
    stop = home.path / STOP
    if stop.exists():
        raise RefusedForSafety(f"{stop} is there, so nothing is fired from this home; remove it when all may go on")


__all__ = ["STOP", "Switch", "refuse_while_stopped"]
