"""What the schedule of backups will do next, and what is wrong with it, in a phrase or two. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content

from opsconsole.text import printable
from opsconsole.ui.wording import Tone, age

if TYPE_CHECKING:
    from opsconsole.schedule.state import ScheduleState


def schedule_said(state: ScheduleState, now: datetime) -> Iterator[Content]:
    """`next backup in 7 h`, `no schedule`; then each problem."""
    if not state.installed:
        yield Content.styled("no schedule", Tone.MUTED)
        return
    soonest = next(iter(state.coming), None)
    if soonest is not None:
        when = age(soonest.at, now) if soonest.at > now else "due now"
        yield Content(f"next {soonest.kind.value} {when}")
    for problem in state.problems:
        yield Content.styled(printable(problem), Tone.WARNING)
