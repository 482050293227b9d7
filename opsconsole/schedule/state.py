"""The schedule as it is shown: how it is installed, what comes next, what was done last, what is wrong with it."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from opsconsole.config import Config
from opsconsole.model import Record, SourceError
from opsconsole.operations.site import Site
from opsconsole.schedule import crontab, installing, records
from opsconsole.schedule.due import Due, Kind, Outcome, Run, coming, went_back
from opsconsole.schedule.job import MINUTES
from opsconsole.schedule.telling import stack_name
from opsconsole.schedule.tick import situation

_SILENT = timedelta(minutes=3 * MINUTES)


class ScheduleState(Record, frozen=True):
    """`coming` has what is due or comes next, soonest first; `last` the newest run of each kind."""

    installed: tuple[str, ...] = ()  # "systemd timer", "crontab"; () when nothing is
    coming: tuple[Due, ...] = ()
    last: tuple[Run, ...] = ()
    ticked: datetime | None = None
    newest_good: str = ""  # id of the newest good backup, as it was when it was last looked for
    newest_good_at: datetime | None = None
    too_old: bool = False
    problems: tuple[str, ...] = ()  # one line each


def state(
    directory: Path, config: Config, now: datetime, *, project: str = "", zone: tzinfo | None = None
) -> ScheduleState:
    """Looks only: a few files, and `crontab -l`. Never raises; what cannot be known is among the problems."""
    site = Site(directory=directory, project=project)
    known, alarm = records.read(directory), records.read_alarm(directory)
    problems = [text for text in (known.problem, alarm.problem) if text]
    found: tuple[installing.Installed, ...] = ()
    try:
        found = installing.installed(stack_name(site, config))
    except SourceError as error:
        problems.append(error.problem)
    mine = tuple(one for one in found if one.directory in ("", str(directory)))
    last = tuple(run for kind in Kind if (run := known.last(kind)) is not None)
    if mine:
        problems += _silence(known.ticked, now)
        if mine[0].way is installing.Way.CRONTAB and not crontab.is_served():
            problems.append(crontab.NOT_SERVED)
    if (behind := went_back(known.runs, now)) is not None:
        problems.append(f"the clock went back: a run is dated {_spoken(behind)} later than now")
    problems += [f"{run.kind.value}: {run.problem}" for run in last if run.problem or run.outcome is Outcome.FAILED]
    return ScheduleState(
        installed=tuple(one.way.value for one in mine),
        coming=coming(config.schedule, situation(directory), now, zone),
        last=last,
        ticked=known.ticked,
        newest_good=alarm.newest,
        newest_good_at=alarm.taken_at,
        too_old=alarm.too_old,
        problems=tuple(problems),
    )


def _silence(ticked: datetime | None, now: datetime) -> list[str]:
    if ticked is None:
        return ["it is installed and has not ticked yet"]
    if now - ticked > _SILENT:
        return [f"it has not ticked for {_spoken(now - ticked)}: does the timer, or cron, run?"]
    return []


def _spoken(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours"
