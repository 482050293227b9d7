"""One tick: do what is due, keep what came of it, tell somebody when it failed.

Ticks come often, and most find nothing due. One works at a time; a second one leaves again. What is done is a command
of our own, an operation like any other: it takes the stack's lock, and while another operation has that the tick waits
for a later one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import msgspec

from opsconsole.config import Config
from opsconsole.operations import left_behind, lock
from opsconsole.operations.site import Site
from opsconsole.schedule import alarm, records
from opsconsole.schedule.commands import COMMANDS, NAMES, RunOne, run_command
from opsconsole.schedule.due import Due, Kind, Outcome, Run, Situation, credible, due, went_back
from opsconsole.schedule.records import Log, Records
from opsconsole.schedule.telling import tell

_REFUSED, _CANCELLED, _LESS_DATA, _INTERRUPTED = 2, 5, 6, 130
_STUCK = timedelta(hours=3)
_KILLED = "it was killed before it ended"


@dataclass(frozen=True)
class Around:
    """What a tick is given by whoever makes it; None stands for the real thing."""

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    zone: tzinfo | None = None
    run_one: RunOne | None = None


def tick(site: Site, config: Config, around: Around | None = None) -> int:
    """Do what is due. 0: all went well, or there was nothing to do. 1: something failed. Raises SourceError."""
    around = around or Around()
    with records.taken(site.directory) as held:
        if held is None:
            return _beside(site, config, around.clock())
        log = Log(site.directory)
        try:
            return _Tick(site, config, around, log, held).work()
        finally:
            log.close()


def situation(directory: Path) -> Situation:
    """What was done, and whether there is a backup that an incremental one can stand on; reads two small files."""
    known, seen = records.read(directory), records.read_alarm(directory)
    return Situation(runs=known.runs, incremental=seen.incremental and Kind.INCREMENTAL in COMMANDS)


# --- the tick that works ---------------------------------------------------------------------------


class _Tick:
    def __init__(self, site: Site, config: Config, around: Around, log: Log, held: int) -> None:
        self._site = site
        self._config = config
        self._clock = around.clock
        self._zone = around.zone
        self._run_one = around.run_one or run_command(site, log)
        self._log = log
        self._held = held
        self._known = Records()
        self._incremental = situation(site.directory).incremental
        self._failed = False

    def work(self) -> int:
        self._known = records.read(self._site.directory)
        if self._known.problem:
            self._log.line(f"{self._known.problem}; begun anew")
        now = self._clock()
        self._set_clock_right(now)
        if self._known.ticked is None or self._known.ticked.date() != now.date() or self._due(now):
            self._remove_left_behind()
        did = False
        if holder := lock.holder_of(self._site.directory):
            if self._due(now):
                self._log.line(f"waits: {holder.what} by {holder.who.words()} runs since {holder.since:%H:%M:%S} UTC")
        else:
            self._settle_killed()
            did = self._do_all()
        self._keep(ticked=self._clock())
        said = tell(self._site, self._config, self._log)
        alarm.check(self._site, self._config, self._clock(), said, at_once=did)
        return 1 if self._failed else 0

    def _remove_left_behind(self) -> None:
        """Once a day, and before work begins: to find the backups costs more than an idle tick."""
        if left := left_behind.words(left_behind.remove(self._site.directory, _backups(self._site, self._config))):
            self._log.line(left)

    def _due(self, now: datetime) -> tuple[Due, ...]:
        there = Situation(runs=self._known.runs, incremental=self._incremental)
        return due(self._config.schedule, there, now, self._zone)

    def _do_all(self) -> bool:
        """Each kind once at most: what fails has its next turn at a later tick."""
        done: set[Kind] = set()
        while rest := [one for one in self._due(self._clock()) if one.kind not in done]:
            done.add(rest[0].kind)
            if not self._do(rest[0]):
                break
        return bool(done)

    def _do(self, one: Due) -> bool:
        """Run it and keep what came of it. False: another operation was quicker."""
        began = self._clock()
        before = _published(self._site, self._config) if one.kind is Kind.BACKUP else frozenset()
        earlier = [run for run in self._known.runs if run.kind is one.kind and run.slot == one.slot]
        refused = [run for run in earlier if run.outcome is Outcome.REFUSED]
        others = tuple(run for run in self._known.runs if run not in refused)
        begun = Run(kind=one.kind, slot=one.slot, began=began)
        self._keep(runs=(*others, begun))
        self._log.line(f"{one.kind.value} for {one.slot}: begins")
        ended = self._run_one(one.kind, self._held)
        made = max(_published(self._site, self._config) - before, default="") if one.kind is Kind.BACKUP else ""
        outcome = _outcome(ended.code, made)
        if outcome is Outcome.REFUSED and lock.holder_of(self._site.directory):
            self._keep(runs=(*others, *refused))
            return False
        problem = (ended.problem or f"exit code {ended.code}") if ended.code else ""
        run = msgspec.structs.replace(begun, ended=self._clock(), outcome=outcome, problem=problem, backup=made)
        self._keep(runs=(*others, run))
        self._log.line(f"{one.kind.value} for {one.slot}: {outcome.value}{f': {problem}' if problem else ''}")
        if not (outcome is Outcome.REFUSED and refused):  # it is tried at every tick, and told once
            self._tell(run, ended.hint)
        return True

    def _settle_killed(self) -> None:
        """What an earlier tick began and did not see the end of. It is over: we hold the schedule, nobody the stack."""
        runs = list(self._known.runs)
        for at, run in enumerate(runs):
            if run.outcome is not Outcome.BEGUN or run.problem:
                continue
            since = _published(self._site, self._config, since=run.began) if run.kind is Kind.BACKUP else frozenset()
            outcome = Outcome.DONE if since else Outcome.BEGUN
            runs[at] = msgspec.structs.replace(run, outcome=outcome, problem=_KILLED, backup=max(since, default=""))
            self._log.line(f"{run.kind.value} for {run.slot}: {_KILLED}{', and the backup is there' if since else ''}")
            self._keep(runs=tuple(runs))
            if not since:
                self._tell(runs[at])

    def _set_clock_right(self, now: datetime) -> None:
        behind = went_back(self._known.runs, now)
        kept = credible(self._known.runs, now)
        if behind is not None and len(kept) < len(self._known.runs):
            self._log.line(f"the clock went back by {behind}: what it dated later than now does not count")
            self._keep(runs=kept)

    def _tell(self, run: Run, hint: str = "") -> None:
        from opsconsole.notifying import Event

        name = NAMES[run.kind]
        said = tell(self._site, self._config, self._log)
        if run.outcome is Outcome.DONE and not run.problem:
            said(Event.DONE, f"{name} is done", "", "", run.backup, run.kind.value)
            return
        self._failed = True
        title, otherwise = {
            Outcome.DONE: (f"{name} was made, and something is wrong", "See what: opsconsole backup list"),
            Outcome.REFUSED: (f"{name} could not be begun", "It is tried again at every tick."),
            Outcome.GIVEN_UP: (f"{name} was cancelled", ""),
        }.get(run.outcome, (f"{name} failed", ""))
        said(Event.FAILED, title, run.problem, hint or otherwise, run.backup, run.kind.value)

    def _keep(self, **fields: object) -> None:
        self._known = msgspec.structs.replace(self._known, **fields)
        records.write(self._site.directory, self._known)


def _beside(site: Site, config: Config, now: datetime) -> int:
    """Another tick works. When that has been so for hours, somebody still hears that the backups grow old."""
    running = [run for run in records.read(site.directory).runs if run.outcome is Outcome.BEGUN]
    if running and now - running[-1].began > _STUCK:
        log = Log(site.directory)
        try:
            alarm.check(site, config, now, tell(site, config, log))
        finally:
            log.close()
    return 0


def _outcome(code: int, made: str) -> Outcome:
    if code in (0, _LESS_DATA) or made:
        return Outcome.DONE
    if code in (_CANCELLED, _INTERRUPTED):
        return Outcome.GIVEN_UP
    return Outcome.REFUSED if code == _REFUSED else Outcome.FAILED


def _backups(site: Site, config: Config) -> Path:
    from opsconsole.stack.discover import StackDiscovery

    return Path(StackDiscovery(site.directory, config, project=site.project).first_look().backup_directory)


def _published(site: Site, config: Config, since: datetime | None = None) -> frozenset[str]:
    """Ids of the backups that were finished; only those begun since then."""
    from opsconsole.backups import manifest
    from opsconsole.model import SourceError

    directory = _backups(site, config)
    found = set()
    for path in directory.iterdir() if directory.is_dir() else ():
        if not manifest.is_id(path.name) or not (path / manifest.NAME).is_file():
            continue
        if since is not None:
            try:
                if manifest.read(path).taken_at < since:
                    continue
            except SourceError:
                continue
        found.add(path.name)
    return frozenset(found)
