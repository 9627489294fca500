"""``echolane dlq``: exchanges whose comparison ended its process again and again: list them, show one, compare them again."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from console.escapes import short, terminal
from console.output import put, say, table
from console.retrying import retry
from console.show import find_run
from console.surroundings import home_of, settings_of, store_of
from differ.attempts import ATTEMPTS_MAX
from differ.letters import Letter, observation_at
from differ.result import iso
from differ.shared_letters import Letters, letters_at
from echolane.errors import UsageError
from echolane.exchange import Response
from echolane.home import Home
from echolane.journal import open_journal
from echolane.observation import TARGETS, Observation

ID_SHOWN = 12
"""Characters of an id on a terminal: as many as nobody has twice."""
LISTED_MAX = 200
"""Rows shown; `--json` has the rest."""
EXCERPT_CHARS = 200
"""Of an answer: enough to know it by, and no page of it in a log."""
EPILOG = """examples:
  echolane dlq ls
  echolane dlq show 3f9ab2
  ECHOLANE_DIFFER_TIME_MS=1000 echolane dlq retry RUN"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.epilog = EPILOG
    parser.add_argument("action", choices=["ls", "show", "retry"], help="list them, show one, compare them again")
    parser.add_argument(
        "what", nargs="?", metavar="RUN|ID", help="the id of a dead letter, or its beginning; with retry also a run"
    )
    parser.add_argument("--run", metavar="RUN", help="only those of this run (with ls)")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")


def execute(args: argparse.Namespace) -> int:
    """Do what was asked for; exit 3 when what was compared again still cannot be."""
    if args.action == "ls":
        if args.what:
            raise UsageError(f"`dlq ls` takes no `{args.what}`; give a run with --run, or use `dlq show`")
        return listed(args, home_of(args))
    if args.run:
        raise UsageError(f"--run goes with `dlq ls`; `dlq {args.action}` takes what it is about as an argument")
    if not args.what:
        raise UsageError(f"`dlq {args.action}` needs an id; `echolane dlq ls` lists them")
    if args.action == "show":
        return show(home_of(args), args.what, as_json=args.json)
    return retry(home_of(args), settings_of(args), args.what, as_json=args.json)


def listed(args: argparse.Namespace, home: Home) -> int:
    """All dead letters, or those of a run."""
    with letters_at(home) as seen:
        letters = _of(seen, args, home)
        if seen.left_out:
            rest = "run it again to compare all" if args.run else "list older ones with --run RUN"
            say(f"there are more dead letters than are read; {rest}")
    if args.json:
        put([told(letter) for letter in letters])
        return 0
    if not letters:
        say("no dead letters" + (f" in run {args.run}" if args.run else ""))
        return 0
    table(
        ["id", "run", "seq", "endpoint", "when", "reason"],
        [
            [one.id[:ID_SHOWN], one.run, str(one.seq), short(one.endpoint, 60), iso(one.at_ns), short(one.reason, 80)]
            for one in letters[:LISTED_MAX]
        ],
    )
    if len(letters) > LISTED_MAX:
        say(f"and {len(letters) - LISTED_MAX} more; --json has all")
    return 0


def _of(seen: Letters, args: argparse.Namespace, home: Home) -> list[Letter]:
    if args.run is None:
        return seen.all()
    with store_of(args, home) as store:
        run = str(find_run(store, args.run)["run"])
    return seen.of(run)


def told(letter: Letter) -> dict[str, Any]:
    """A letter as JSON."""
    found = msgspec.to_builtins(letter)
    return {**{key: value for key, value in found.items() if key != "at_ns"}, "at": iso(letter.at_ns)}


def show(home: Home, text: str, *, as_json: bool) -> int:
    """One dead letter, with the beginning of each answer as the journal has it: masked when it was recorded."""
    with letters_at(home) as seen:
        found = [letter for letters in seen.each() for letter in letters if letter.id.startswith(text)]
    if not found:
        raise UsageError(f"there is no dead letter `{text}`; `echolane dlq ls` lists them")
    if len(found) > 1:
        raise UsageError(f"`{text}` is the beginning of several dead letters; give more of it")
    letter = found[0]
    journal = open_journal(home)
    try:
        observation = observation_at(journal, letter.run, letter.place)
    finally:
        journal.close()
    answers = None if observation is None else {name: _answer(observation, n) for n, name in enumerate(TARGETS)}
    if as_json:
        put({"schema": "echolane/dead-letter/1", **told(letter), "answers": answers})
        return 0
    print("\n".join(terminal(line) for line in lines(letter, answers)))  # noqa: T201
    return 0


def _answer(observation: Observation, index: int) -> dict[str, Any]:
    """What a target answered, its body cut. No header is shown but the one that says what the body is."""
    shot, answer = observation.shots[index], observation.answer_of(index)
    outcome = f"{shot.outcome}:{shot.reason}" if shot.reason else shot.outcome
    if answer is None:
        return {"outcome": outcome}
    if shot.same_as >= 0:
        return {"outcome": outcome, "status": answer.status, "same_as": TARGETS[shot.same_as]}
    data = answer.body.data
    text = data[: 4 * EXCERPT_CHARS].decode("utf-8", "replace")
    whole = len(data) <= 4 * EXCERPT_CHARS and len(text) <= EXCERPT_CHARS
    return {
        "outcome": outcome,
        "status": answer.status,
        "media_type": _media_type(answer),
        "bytes": answer.body.size,
        "excerpt": text if whole else text[: EXCERPT_CHARS - 1] + "…",
    }


def _media_type(answer: Response) -> str:
    values = [value for name, value in answer.headers if name.lower() == b"content-type"]
    return short(values[0].decode("latin-1"), 100) if values else ""


def lines(letter: Letter, answers: dict[str, dict[str, Any]] | None) -> list[str]:
    """The same for a person."""
    said = [
        f"dead letter {letter.id}",
        f"  run        {letter.run}",
        f"  exchange   {letter.exchange} (seq {letter.seq}): {letter.method} {short(letter.target, EXCERPT_CHARS)}",
        f"  endpoint   {letter.endpoint}",
        f"  reason     {letter.reason}",
        f"  deaths     {letter.deaths} of {ATTEMPTS_MAX}, at attempt {letter.attempt}, last {iso(letter.at_ns)}",
        f"  journal    {letter.topic}, partition {letter.partition}, position {letter.position}, record {letter.record}",
        f"  digest     {letter.digest}",
    ]
    if answers is None:
        return [*said, "  the answers are no longer in the journal (`journal.retention_days`)"]
    for name, answer in answers.items():
        what = [str(answer["outcome"])]
        if "status" in answer:
            what.append(str(answer["status"]))
        if "same_as" in answer:
            what.append(f"the same as {answer['same_as']}")
        if "bytes" in answer:
            what += [str(answer["media_type"] or "no media type"), f"{answer['bytes']:,} bytes"]
        said.append(f"  {name:<15}{', '.join(what)}")
        if answer.get("excerpt"):
            said.append(f"    {answer['excerpt']}")
    return [*said, f"compare it again: echolane dlq retry {letter.id[:ID_SHOWN]}"]
