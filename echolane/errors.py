"""The errors a user can meet, and whose fault each is.

::

    EcholaneError                 exit 1 is a verdict, so no error has it
    ├── UsageError                exit 2: the command line, a setting, an input file
    ├── HomeError                 exit 2: home, journal or store cannot be used (path, disk, owner, damage)
    │   ├── JournalFull           the disk is full; readers go on
    │   ├── JournalDown           the journal's brokers did not answer in the time they are given
    │   ├── StoreBusy             another program owns the store
    │   ├── StoreDown             the store's server did not answer in the time it is given
    │   └── Fenced                another worker holds this part of the work now
    ├── Inconclusive              exit 3: nothing to say (an empty recording)
    ├── TargetUnavailable         exit 4: a target refuses or hangs
    └── RefusedForSafety          exit 5: the target or the method is not allowed

:mod:`console.main` turns each into one line on stderr and its exit code. A message says what, which value, what to do.
"""

from __future__ import annotations

EXIT_PASS, EXIT_FAIL, EXIT_USAGE, EXIT_INCONCLUSIVE, EXIT_UNAVAILABLE, EXIT_REFUSED, EXIT_INTERRUPTED = (
    0,
    1,
    2,
    3,
    4,
    5,
    130,
)


class EcholaneError(Exception):
    """Base of every error that is shown to the user as one line."""

    exit_code = EXIT_USAGE


class UsageError(EcholaneError):
    """The command line, a setting or an input file is wrong."""


class HomeError(EcholaneError):
    """The home, its journal or its store cannot be used."""


def unwritable(what: str, error: OSError) -> HomeError:
    """What a disk that takes no more means for a user."""
    return HomeError(f"{what} cannot be written: {error.strerror}; free space, or give another home with --home")


def denied(error: OSError) -> HomeError:
    """What a file of the home that this user may not use means for him."""
    return HomeError(
        f"`{error.filename}` cannot be used by this user: {error.strerror}; change its owner, or give another home with --home"
    )


class JournalFull(HomeError):  # noqa: N818 - the word of the design
    """There is no room left for the journal; what was acknowledged stays readable."""


class JournalDown(HomeError):  # noqa: N818
    """The journal's brokers do not answer; what was not acknowledged may be sent again."""


class StoreBusy(HomeError):  # noqa: N818
    """Another program owns the store's files."""


class StoreDown(HomeError):  # noqa: N818
    """The store's server does not answer; what was not acknowledged may be sent again."""


class StoreDamaged(HomeError):  # noqa: N818
    """A server of the store has lost data: asked again, it will not be able to answer either."""


class Fenced(HomeError):  # noqa: N818 - the word of the design
    """A worker slept past its lease, or its part was given away: what it wanted to commit was not."""


class Inconclusive(EcholaneError):  # noqa: N818
    """There is nothing to compare, so there is no verdict."""

    exit_code = EXIT_INCONCLUSIVE


class TargetUnavailable(EcholaneError):  # noqa: N818
    """A target does not answer."""

    exit_code = EXIT_UNAVAILABLE


class RefusedForSafety(EcholaneError):  # noqa: N818
    """The target or the method is not allowed for this run."""

    exit_code = EXIT_REFUSED
