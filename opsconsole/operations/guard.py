"""The guard: whether an operation left less data than there was. Less is named, and nothing is restored by itself.

A census before the first step, one after the last, both kept beside the journal.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from opsconsole.config import Config
from opsconsole.model import BackupState, SourceError
from opsconsole.operations import census, facts, losses
from opsconsole.operations.census import Census
from opsconsole.operations.facts import Look
from opsconsole.operations.journal import Journal, open_private, read_plan
from opsconsole.operations.plan import DataEffect, Kind, Plan
from opsconsole.operations.steps import step
from opsconsole.sources.lane import Lane

BEFORE, AFTER = "census-before.json", "census-after.json"
BACKUP_SECONDS = 10.0
_LEEWAY_SECONDS = 3.0  # the engine's answers, beside the databases

_UNGUARDED = frozenset({
    Kind.EMERGENCY_STOP,  # it has no time for it
    Kind.BACKUP, Kind.VERIFY, Kind.PRUNE, Kind.COPY,  # they touch no data of the stack
    Kind.ABORT, Kind.VALIDATE, Kind.REBUILD_INDEX,
})  # fmt: skip

Made = TypeVar("Made")


class Guard:
    """The two censuses of an operation. Never raises, and never waits long: a fault of ours is told in the verdict."""

    def __init__(self, directory: Path, place: Path, plan: Plan, config: Config, project: str) -> None:
        self._directory = directory
        self._place = place
        self._plan = plan
        self._config = config
        self._project = project
        self._look: Look | None = None
        self._before: Census | None = None

    def before(self, look: Look | None) -> None:
        """Count before the first step. What finishes or undoes another operation begins where that one did."""
        self._look = look
        if self._plan.kind not in _UNGUARDED:
            self._before = self._resolved() or self._taken(census.BEFORE_SECONDS, None)
        step("O11")
        if self._before is not None:
            self._keep(BEFORE, self._before)

    def after(self, records: Journal, *, in_haste: bool = False) -> tuple[str, ...]:
        """Count after the last step, compare, record. What is less, one line each. `in_haste`: do not count."""
        verdict: losses.Verdict | None = None
        if self._before is not None and in_haste:
            verdict = losses.Verdict(notes=("the data was not compared: an emergency stop ended the operation",))
        elif self._before is not None:
            now = self._taken(census.SECONDS, self._before)
            self._keep(AFTER, now)
            verdict = losses.compare(self._before, now, self._announced())
        step("O12")
        if verdict is not None:
            hint = f"{self._backup()} Nothing was restored." if verdict.less else ""
            records.write("guard", text=verdict.text, less=verdict.less, notes=verdict.notes, hint=hint)
        return verdict.less if verdict is not None else ()

    # --- counting --------------------------------------------------------------------------------

    def _keep(self, name: str, seen: Census) -> None:
        """Write a census beside the journal. A disk that is full stops the journal, not us."""
        with suppress(OSError):
            fd = open_private(self._place / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            with os.fdopen(fd, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(seen), indent=1))
                file.flush()
                os.fsync(file.fileno())

    def _announced(self) -> tuple[DataEffect, ...]:
        """By this plan, and by the one whose operation it finishes or undoes."""
        effects = losses.announced(self._plan)
        if self._plan.resolves:
            with suppress(SourceError):
                effects += losses.announced(read_plan(self._place.parent / self._plan.resolves))
        return effects

    def _resolved(self) -> Census | None:
        if not self._plan.resolves:
            return None
        try:
            text = (self._place.parent / self._plan.resolves / BEFORE).read_bytes()
            return msgspec.json.decode(text, type=Census)
        except (OSError, msgspec.DecodeError):
            return None

    def _taken(self, seconds: float, before: Census | None) -> Census:
        began = time.monotonic()
        found = _in_time(lambda: self._count(seconds, before), seconds + _LEEWAY_SECONDS)
        if isinstance(found, Census):
            return found
        return Census(at=datetime.now(UTC), seconds=round(time.monotonic() - began, 2), problem=found)

    def _count(self, seconds: float, before: Census | None) -> Census:
        if before is not None or self._look is None:
            if self._look is None:
                self._look = facts.engine_look(self._directory, self._config, project=self._project)
            else:
                self._look = facts.look_again(self._look, self._directory, self._config, project=self._project)
        return census.take(self._look, self._config, after=before, seconds=seconds)

    # --- what a restore would begin with -----------------------------------------------------------

    def _backup(self) -> str:
        found = _in_time(self._newest_good, BACKUP_SECONDS)
        return found if found.endswith(".") else f"Which backup is the newest good one is not known: {found}."

    def _newest_good(self) -> str:
        from opsconsole.backups.catalog import Catalog
        from opsconsole.operations.reach import reach

        assert self._look is not None  # it was counted
        stack = reach(self._look, self._config).stack
        good = [one for one in Catalog().look(stack) if one.state is BackupState.GOOD and not one.in_future]
        if not good:
            return f"There is no good backup in {stack.backup_directory}."
        newest = max(good, key=lambda one: one.taken_at)
        return (
            f"The newest good backup is {newest.id} of {newest.taken_at:%Y-%m-%d %H:%M} UTC; it is looked at "
            f"by `opsconsole restore {newest.id} --plan`."
        )


def _in_time(work: Callable[[], Made], seconds: float) -> Made | str:
    """What `work` made, or why there is nothing: it failed, or took longer. It goes on then, on a thread of its own."""

    def guarded() -> Made | str:
        try:
            return work()
        except SourceError as error:
            return error.problem
        except Exception as error:  # a fault of ours must not end the operation; runner.log has all of it
            traceback.print_exc(file=sys.stderr)
            return f"unexpected {type(error).__name__}"

    lane: Lane[Made | str] = Lane("guard")
    lane.ask(guarded)
    if not lane.wait(time.monotonic() + seconds) or lane.answer is None:
        return f"it took longer than {seconds:.0f} s"
    return lane.answer
