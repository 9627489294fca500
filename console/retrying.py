"""``echolane dlq retry``: compare dead letters again, after an upgrade or within larger bounds, and close their run anew.

The comparison is the run's own second look (:mod:`differ.second_look`) with the settings in force. What it finds is a row of a higher
version, which replaces the former one whole; then the run is closed from its rows, as at its end. Killed anywhere it may be
called again: a letter is there until its row is stored, and a run that was not closed since is closed by the next call. Where the journal
is shared, one at a time does it on all machines (:mod:`console.retry_lease`), and each step is a word that all of them read.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

import msgspec
import orjson

from console.comparing import finish, second
from console.conduct import save_run
from console.output import put, say
from console.retry_lease import letters_held
from console.run_lease import run_held
from console.show import find_run
from console.terminal import print_verdict
from differ.attempts import AGAIN, CLOSED, Attempts
from differ.close import close_run
from differ.letters import Letter, observation_at
from differ.shared_letters import Letters, SharedLetters, letters_at
from differ.verdict import count
from echolane.errors import EXIT_INCONCLUSIVE, HomeError, UsageError
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.runspec import RunSpec
from echolane.settings import Settings
from echolane.store import Store, open_store

STATES = {"interrupted": "interrupted", "target-unavailable": "unavailable", "refused": "refused"}
"""How the firing of a run ended, by the reason of its result; else it was finished."""


class _Chosen(NamedTuple):
    """The run that is meant, and which of its letters: all where ``id`` is empty."""

    run: str
    id: str


def retry(home: Home, settings: Settings, text: str, *, as_json: bool) -> int:
    """Compare again; exit 3 when one stays a dead letter."""
    with ExitStack() as stack:
        store = stack.enter_context(open_store(home.path, settings.store, tell=say))
        seen = stack.enter_context(letters_at(home))
        run, only = _chosen(seen, store, text)
        journal = stack.enter_context(closing(open_journal(home)))
        stack.enter_context(run_held(home, run))
        shared = seen.shared(run)
        still = stack.enter_context(letters_held(journal, shared, settings.replay.lease_s))
        row = find_run(store, run)
        if not row["result"]:
            raise UsageError(f"run {run} has no result yet; `echolane run --resume {run}` goes on with it first")
        before, spec = orjson.loads(row["result"]), msgspec.json.decode(str(row["spec"]), type=RunSpec)
        attempts = Attempts(home.runs, run)
        letters = _there(journal, _mine(seen, run, only), run, closed=_was_closed(attempts, shared))
        _ask_again(journal, letters, attempts, shared)
        if attempts.pending:
            finish(second(home, run, attempts, settings.differ, settings.store))
        still()
        result = _closed(journal, store, spec, before, str(row["state"]))
        if shared is not None:
            shared.close()
        attempts.add(CLOSED)
        left = {letter.id for letter in seen.of(run)}
    dead = sum(letter.id in left for letter in letters)
    if as_json:
        told = {"run": run, "retried": len(letters), "compared": len(letters) - dead, "dead": dead}
        put({**told, "verdict": result["verdict"], "reason_code": result["reason_code"]})
    else:
        print_verdict(result)
    again = f"; {dead} ended the comparison again and stayed" if dead else ""
    say(f"compared {count(len(letters) - dead, 'dead letter')} of {len(letters)}{again}")
    if before["verdict"] != result["verdict"]:
        say(f"run {run} was `{before['verdict']}` and is `{result['verdict']}` now")
    return EXIT_INCONCLUSIVE if dead else 0


def _chosen(seen: Letters, store: Store, text: str) -> _Chosen:
    """What is meant: a letter, or all of a run."""
    found: set[_Chosen] = set()
    for letters in seen.each():
        found |= {_Chosen(one.run, one.id) for one in letters if one.id.startswith(text)}
        found |= {_Chosen(one.run, "") for one in letters if one.run.startswith(text)}
    if len(found) > 1:
        raise UsageError(f"`{text}` is the beginning of several runs or dead letters; give more of it")
    if found:
        return found.pop()
    try:
        return _Chosen(str(find_run(store, text)["run"]), "")
    except UsageError as error:
        raise UsageError(f"there is no dead letter and no run `{text}`; `echolane dlq ls` lists them") from error


def _mine(seen: Letters, run: str, only: str) -> list[Letter]:
    """Those that are meant, as they are now that nobody else asks for them again."""
    letters = [letter for letter in seen.of(run) if letter.id.startswith(only)]
    if seen.left_out:
        raise HomeError(f"run {run} has more words about dead letters than are read; run it again to compare them")
    return letters


def _was_closed(attempts: Attempts, shared: SharedLetters | None) -> bool:
    """Whether the run's verdict knows of all that was compared again, wherever that was."""
    if shared is None:
        return attempts.closed
    shared.refresh()
    return shared.closed


def _ask_again(journal: Journal, letters: Sequence[Letter], attempts: Attempts, shared: SharedLetters | None) -> None:
    """Have them looked at: said where others see it first, so that no version of a row is given twice."""
    if shared is None or not letters:
        for letter in letters:
            attempts.add(AGAIN, letter.place)
        return
    for letter, version in zip(letters, shared.ask_again(letters), strict=True):
        observation = observation_at(journal, letter.run, letter.place)
        if observation is not None:
            attempts.add(AGAIN, letter.place, tries=version - observation.attempt)


def _there(journal: Journal, letters: Sequence[Letter], run: str, *, closed: bool) -> Sequence[Letter]:
    """The letters that can be compared; UsageError when there are none. None are needed where the run is to be closed anyway."""
    found = [letter for letter in letters if _is_there(journal, letter)]
    if len(found) < len(letters):
        gone = count(len(letters) - len(found), "dead letter")
        words = f"the answers of {gone} of run {run} are no longer in the journal (`journal.retention_days`)"
        if not found:
            raise UsageError(f"{words}; run it again to compare them")
        say(f"{words}, and stay as they are")
    if not found and closed:
        raise UsageError(f"run {run} has no dead letters; `echolane dlq ls` lists those of all runs")
    return found


def _is_there(journal: Journal, letter: Letter) -> bool:
    observation = observation_at(journal, letter.run, letter.place)
    return observation is not None and observation.exchange == letter.exchange


def _closed(journal: Journal, store: Store, spec: RunSpec, before: dict[str, Any], state: str) -> dict[str, Any]:
    """The run closed anew from its rows: how its firing ended is as it was."""
    result = close_run(
        store,
        spec,
        state=STATES.get(before["reason_code"], "finished"),
        reason=before["reason"],
        selected=before["ledger"]["selected"],
        fired_per_s=before["rates"]["fired_per_s"],
        journal=journal,
    )
    save_run(store, spec, state, result)
    return result
