"""Whether the newest good backup is too old, looked at once an hour and told once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from opsconsole.config import Config
from opsconsole.model import BackupState, SourceError
from opsconsole.notifying import Event
from opsconsole.operations.site import Site
from opsconsole.schedule import records
from opsconsole.schedule.due import FUTURE
from opsconsole.schedule.records import Alarm

if TYPE_CHECKING:
    from opsconsole.backups.manifest import Manifest
    from opsconsole.stack.discover import StackDiscovery

_AGAIN_AFTER = timedelta(hours=1)

Tell = Callable[[Event, str, str, str, str], bool]
"""Event, title, problem, hint, id of the backup -> whether everybody was told."""


def check(site: Site, config: Config, now: datetime, tell: Tell, *, at_once: bool = False) -> Alarm:
    """Look, tell what has changed, and keep it. Raises SourceError when it cannot be kept."""
    before = records.read_alarm(site.directory)
    if not at_once and before.looked is not None and timedelta() <= now - before.looked < _AGAIN_AFTER:
        return before
    found = look(site, config, now)
    if found.problem:
        # What is not known is no reason to wake anybody, and none to forget that somebody was woken.
        found = msgspec.structs.replace(before, looked=now, problem=found.problem)
    elif found.too_old:
        told = before.told or tell(Event.TOO_OLD, *_words(found, config, now), found.newest)
        found = msgspec.structs.replace(found, told=told)
    elif before.told:
        again = tell(Event.GOOD_AGAIN, "there is a good backup again", "", "", found.newest)
        found = msgspec.structs.replace(found, told=not again)
    records.write_alarm(site.directory, found)
    return found


def look(site: Site, config: Config, now: datetime) -> Alarm:
    """How old the newest good backup is. Never raises.

    Our own backups are asked first, by their manifests; the whole catalogue, with the layouts of other tools, only
    when they are too old.
    """
    from opsconsole.stack.discover import StackDiscovery

    limit = timedelta(hours=config.backups.max_age_hours)
    try:
        discovery = StackDiscovery(site.directory, config, project=site.project)
        ours = newest_of_ours(Path(discovery.first_look().backup_directory), now)
        newest = (ours.id, ours.taken_at.astimezone(UTC)) if ours else None
        if newest is None or now - newest[1] > limit:
            newest = _newest_of_all(discovery, now) or newest
    except SourceError as error:
        return Alarm(looked=now, problem=error.problem)
    incremental = ours is not None and _at_one_point(ours)
    if newest is None:
        return Alarm(looked=now, too_old=True)
    too_old = now - newest[1] > limit
    return Alarm(looked=now, newest=newest[0], taken_at=newest[1], too_old=too_old, incremental=incremental)


def newest_of_ours(directory: Path, now: datetime) -> Manifest | None:
    """The newest backup of ours that holds all that was there to save and was not found faulty."""
    from opsconsole.backups import manifest, marks

    try:
        names = sorted((path.name for path in directory.iterdir() if manifest.is_id(path.name)), reverse=True)
    except OSError:
        return None
    for name in names:
        try:
            made = manifest.read(directory / name)
        except SourceError:
            continue
        if made.taken_at <= now + FUTURE and not made.asked and not marks.read(directory, name).fault:
            return made
    return None


def _at_one_point(made: Manifest) -> bool:
    """Whether it holds MongoDB at one point in time: only a replica set gives that."""
    from opsconsole.backups.manifest import ONE_POINT

    return any(part.kind == "mongo" and part.consistency == ONE_POINT for part in made.parts)


def _newest_of_all(discovery: StackDiscovery, now: datetime) -> tuple[str, datetime] | None:
    from opsconsole.backups.catalog import Catalog

    good = [
        one
        for one in Catalog(clock=lambda: now).look(discovery.look(()))
        if one.state is BackupState.GOOD and not one.in_future
    ]
    return (good[0].id, good[0].taken_at) if good else None


def _words(found: Alarm, config: Config, now: datetime) -> tuple[str, str, str]:
    """(title, problem, hint)"""
    hint = "See `opsconsole schedule show` for why none was made, and make one: opsconsole backup create"
    if found.taken_at is None:
        return "there is no good backup", "no backup in the backup directory is good", hint
    hours = (now - found.taken_at).total_seconds() / 3600
    said = f"{found.newest} is {hours:.0f} hours old; the limit is {config.backups.max_age_hours:g} hours"
    return "the newest good backup is too old", said, hint
