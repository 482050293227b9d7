"""Where a job is installed, would be installed, and is taken away from: systemd where it runs, else the crontab."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from opsconsole.model import Record, SourceError
from opsconsole.schedule import crontab, systemd
from opsconsole.schedule.job import Job, Work, key_of, made_for

_WORDS = {Work.SCHEDULE: "schedule", Work.COLLECT: "collector"}


class Way(StrEnum):
    SYSTEMD = "systemd timer"
    CRONTAB = "crontab"


class Installed(Record, frozen=True):
    """The job as it is installed. `text`: the units one after the other, or the lines of the crontab."""

    way: Way
    place: str
    text: str

    @property
    def directory(self) -> str:
        """Of the stack that it was made for."""
        return made_for(self.text)


class Change(Record, frozen=True):
    """What is going to be written or taken away, and the commands that are run for it."""

    way: Way
    texts: tuple[tuple[str, str], ...]  # (where, what), exactly as it is written
    commands: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()


def way_here() -> Way:
    """How it is done on this host."""
    return Way.SYSTEMD if systemd.is_running() else Way.CRONTAB


def installed(stack: str, work: Work = Work.SCHEDULE) -> tuple[Installed, ...]:
    """Every place that the job is installed in, systemd first. Raises SourceError when one cannot be read."""
    found = []
    place = systemd.directory()
    if units := systemd.found_units(stack, place, work):
        text = "\n".join(f"# {place / name}\n{text}" for name, text in units.items())
        found.append(Installed(way=Way.SYSTEMD, place=str(place), text=text))
    try:
        lines = crontab.found_block(crontab.read(), key_of(stack, work))
    except SourceError:
        if not found and way_here() is Way.CRONTAB:
            raise
        lines = ""  # a host with systemd needs no cron
    if lines:
        found.append(Installed(way=Way.CRONTAB, place="crontab", text=lines))
    return tuple(found)


def plan_install(job: Job) -> Change:
    """What `install` writes. Raises SourceError when it is not to be done."""
    way = way_here()
    for one in installed(job.stack, job.work):
        if one.directory and one.directory != job.directory:
            raise SourceError(
                f"a {_WORDS[job.work]} for a stack {job.stack} in {one.directory} is installed already "
                f"({one.way.value})",
                "Give this one another name: [stack] name in opsconsole.toml.",
            )
        if one.way is not way:
            raise SourceError(
                f"it is installed already, as {one.way.value}, and here it would be a {way.value}",
                f"Take that away first: opsconsole {job.removed_by}",
            )
    if way is Way.CRONTAB:
        unserved = () if crontab.is_served() else (crontab.NOT_SERVED,)
        return Change(way=way, texts=(("crontab", crontab.block(job).decode()),), notes=unserved)
    place = systemd.directory()
    notes: tuple[str, ...] = ()
    if place != systemd.SYSTEM and not systemd.lingers():
        notes = ("It runs only while you are logged in. Let it go on without you: loginctl enable-linger",)
    texts = tuple((str(place / name), text) for name, text in systemd.units(job).items())
    return Change(way=way, texts=texts, commands=systemd.commands(job.stack, work=job.work), notes=notes)


def install(job: Job, change: Change) -> None:
    """Write what was shown. Raises SourceError; nothing is different then."""
    if change.way is Way.SYSTEMD:
        systemd.install(job, systemd.directory())
        return
    now = crontab.read()
    crontab.replace(now, crontab.with_block(now, job))


def plan_remove(stack: str, work: Work = Work.SCHEDULE) -> tuple[Change, ...]:
    """What `remove` takes away; () when nothing is installed."""
    changes = []
    for one in installed(stack, work):
        commands = systemd.removal(stack, work=work) if one.way is Way.SYSTEMD else ()
        changes.append(Change(way=one.way, texts=((one.place, one.text),), commands=commands))
    return tuple(changes)


def remove(stack: str, change: Change, work: Work = Work.SCHEDULE) -> None:
    """Take away what was shown. Raises SourceError."""
    if change.way is Way.SYSTEMD:
        systemd.remove(stack, Path(change.texts[0][0]), work=work)
        return
    now = crontab.read()
    crontab.replace(now, crontab.without_block(now, key_of(stack, work)))
