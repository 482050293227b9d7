"""How far an operation is: its plan and its records put together. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from opsconsole.model import Record
from opsconsole.operations.journal import Entry, Result
from opsconsole.operations.plan import Plan, Step


class Mark(StrEnum):
    """Where a step stands."""

    TO_COME = "to come"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Part(StrEnum):
    """Which part of the plan a step belongs to."""

    STEPS = "steps"
    WAY_BACK = "way back"
    ON_FAILURE = "after a failure"


class StepCourse(Record, frozen=True):
    """One step of the plan, and what became of it."""

    id: str
    title: str
    part: Part = Part.STEPS
    mark: Mark = Mark.TO_COME
    began: datetime | None = None
    seconds: float | None = None  # once it is over
    ended: Entry | None = None  # its step-end record
    cuttable: bool = True


class Course(Record, frozen=True):
    """An operation as far as its records tell."""

    plan: Plan | None = None
    begin: Entry | None = None
    steps: tuple[StepCourse, ...] = ()
    turned: Entry | None = None  # when the way back began, and why
    progress: Entry | None = None  # of the step that runs
    end: Entry | None = None
    less: tuple[str, ...] = ()  # what the guard misses
    guarded: Entry | None = None  # what the guard said

    @property
    def current(self) -> int | None:
        """Index of the step that runs."""
        return next((at for at, one in enumerate(self.steps) if one.mark is Mark.RUNNING), None)

    @property
    def reached(self) -> int | None:
        """Index of the step that runs, else of the one that failed, else of the last one begun."""
        begun = [at for at, one in enumerate(self.steps) if one.mark is not Mark.TO_COME]
        failed = [at for at in begun if self.steps[at].mark is Mark.FAILED]
        if (current := self.current) is not None:
            return current
        return failed[0] if failed and self.end else begun[-1] if begun else None

    @property
    def failed(self) -> StepCourse | None:
        """The step that ended it: the last one that failed and was not told only."""
        found = [one for one in self.steps if one.mark is Mark.FAILED]
        return found[0] if found else None

    @property
    def result(self) -> Result | None:
        return self.end.result if self.end else None

    def seconds(self, now: datetime) -> float:
        """Since it began, until its end or now."""
        if self.end is not None and self.end.seconds is not None:
            return self.end.seconds
        return max(0.0, (now - self.begin.at).total_seconds()) if self.begin else 0.0

    @property
    def returns(self) -> bool:
        """Whether a cancel or a failure now takes the way back."""
        if self.plan is None or not self.plan.way_back or self.turned is not None:
            return False
        begun = {one.id for one in self.steps if one.part is Part.STEPS and one.mark is not Mark.TO_COME}
        return any(step.turns_back and step.id in begun for step in self.plan.steps)


def course(plan: Plan | None, entries: Sequence[Entry]) -> Course:
    """What the records say. Steps of the way back and of a failure are there only once they were taken."""
    steps = [_to_come(step, Part.STEPS) for step in plan.steps] if plan else []
    begin = turned = progress = end = guarded = None
    less: list[str] = []
    for entry in entries:
        less += [line for line in entry.less if line not in less]
        if entry.event == "begin":
            begin = entry
        elif entry.event == "step":
            _begun(steps, entry, plan, turned is not None)
            progress = None
        elif entry.event == "step-end":
            _ended(steps, entry)
            progress = None
        elif entry.event == "progress":
            progress = entry
        elif entry.event == "way-back":
            turned = entry
            steps += [_to_come(step, Part.WAY_BACK) for step in plan.way_back] if plan else []
        elif entry.event == "guard":
            guarded = entry
        elif entry.event == "end":
            end = entry
    return Course(
        plan=plan,
        begin=begin,
        steps=tuple(steps),
        turned=turned,
        progress=progress,
        end=end,
        less=tuple(less),
        guarded=guarded,
    )


def _to_come(step: Step, part: Part) -> StepCourse:
    return StepCourse(id=step.id, title=step.title, part=part, cuttable=step.cuttable)


def _begun(steps: list[StepCourse], entry: Entry, plan: Plan | None, turned: bool) -> None:
    part = Part.WAY_BACK if turned else Part.STEPS
    at = next(
        (at for at, one in enumerate(steps) if (one.id, one.part, one.mark) == (entry.step, part, Mark.TO_COME)), None
    )
    if at is None:
        known = next((step for step in plan.on_failure if step.id == entry.step), None) if plan else None
        steps.append(StepCourse(id=entry.step, title=entry.title, part=Part.ON_FAILURE if known else part))
        at = len(steps) - 1
    steps[at] = msgspec.structs.replace(steps[at], mark=Mark.RUNNING, began=entry.at)


def _ended(steps: list[StepCourse], entry: Entry) -> None:
    for at in range(len(steps) - 1, -1, -1):
        if steps[at].id == entry.step and steps[at].mark is Mark.RUNNING:
            mark = Mark.DONE if entry.result is Result.DONE else Mark.FAILED
            steps[at] = msgspec.structs.replace(steps[at], mark=mark, seconds=entry.seconds, ended=entry)
            return
