"""What a run could not read of its recording, said once it is planned; :mod:`console.words_lost` says it beside the verdict."""

from __future__ import annotations

from msgspec.structs import replace as with_fields

from console.output import say
from echolane.errors import Inconclusive
from echolane.lost import Lost, Unread
from echolane.runspec import RunSpec
from replayer.plan import PlanSummary


def planned_spec(spec: RunSpec, plan: PlanSummary) -> RunSpec:
    """The run with where its recording comes from and what its plan could not read, which is said at once.

    Raises:
        Inconclusive: nothing is left to fire or skip.
    """
    lost = plan.losses.lost()
    if plan.selected == 0:
        if lost.frames:
            raise Unread(f"nothing is left to compare: {lost.sentence(spec.service)}; {lost.advice()}", lost)
        raise Inconclusive(f"the recording of `{spec.service}` is empty, so there is nothing to compare")
    say_lost(spec.service, lost, "the verdict cannot be pass")
    return with_fields(spec, lost=lost, origins=plan.origins)


def say_lost(service: str, lost: Lost, so: str) -> None:
    """One line, where something is lost; ``so`` is what follows from it."""
    if lost.frames:
        say(f"{lost.sentence(service)}: {so}; {lost.advice()}")
