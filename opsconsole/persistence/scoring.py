"""The score: a pure function of the facts and of the time. Every point stands for a proof; what is not known is not
proven, and what is missing says how to get it.

    60  the databases, in equal shares: where they write (25), that they keep it (15), that a twin kept it (20)
    15  a good backup of all of them that is young enough
    20  a backup that was really restored, within so many days
     5  how long a restore takes
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from opsconsole.model import Backup, BackupState, Mount
from opsconsole.persistence.facts import MEMORY, Database, Facts, Home
from opsconsole.persistence.verdict import Check, Verdict

PLACE, KEPT, RESTART, BACKUP, RESTORE, TIME = 25.0, 15.0, 20.0, 15.0, 20.0, 5.0

PROGRAMS = {"mongodb": "MongoDB", "redis": "Redis"}
PARTS = {"mongodb": "mongo", "redis": "redis"}
_FUTURE = timedelta(minutes=5)
_TAKE_ONE = "opsconsole backup create"
_AGAIN = "opsconsole verify-persistence"
_ELSEWHERE = "it is no program of this host and in no container of this stack: its disk cannot be looked at from here"


def judge(facts: Facts, now: datetime) -> Verdict:
    counted = [one for one in facts.databases if not one.cache]
    checks: list[Check] = []
    for one in facts.databases:
        checks += _cache(one) if one.cache else _database(one, len(counted))
    checks += [_backup(facts, now), _restore(facts, now), _time(facts, now)]
    return Verdict(stack=facts.stack, at=now, checks=tuple(checks))


# --- a database --------------------------------------------------------------------------------------


def words(one: Database) -> str:
    """`MongoDB mongodb`; `Redis` where it is called that."""
    program = PROGRAMS.get(one.kind, one.kind)
    return program if one.name.lower() in (program.lower(), one.kind) else f"{program} {one.name}"


def _cache(one: Database) -> Iterator[Check]:
    yield Check(
        name="cache",
        subject=one.name,
        title=f"{words(one)} is a cache",
        points=0.0,
        said="caches in [persistence] of the settings names it: its data may be lost and is not counted",
    )


def _database(one: Database, of: int) -> Iterator[Check]:
    held, found, mend = place(one)
    yield Check(
        name="place",
        subject=one.name,
        title=f"{words(one)} writes to a disk that outlives it",
        points=PLACE / of,
        proven=held,
        said=found,
        get_it="" if held else mend,
    )
    keeps = one.keeping.lasts is True
    yield Check(
        name="kept",
        subject=one.name,
        title=f"{words(one)} keeps what is written",
        points=KEPT / of,
        proven=keeps,
        said=one.keeping.said or _unknown(one),
        get_it="" if keeps else _mend_keeping(one),
    )
    yield _restart(one, of)


def place(one: Database) -> tuple[bool, str, str]:
    """(whether it is proven, what was found, how to get there)"""
    directory = one.keeping.directory
    if one.home is Home.ELSEWHERE:
        return False, _ELSEWHERE, f"on that host: {_AGAIN}"
    if not directory:
        return False, _unknown(one), one.keeping.hint or f"make it answer, then: {_AGAIN}"
    said = f"it writes {directory}, as it says itself"
    if one.home is Home.HOST:
        return _place_on_host(one, said)
    mount = holding(directory, one.mounts)
    # Never only a new volume: it is empty.
    mend = (
        f"{_TAKE_ONE}; mount a named volume at {directory} in the compose file; opsconsole deploy; "
        "opsconsole restore latest"
    )
    if mount is None:
        return False, f"{said}: into the container itself, which `down` removes", mend
    if mount.kind == "tmpfs" or mount.name in one.memory_volumes or one.filesystem in MEMORY:
        return False, f"{said}: that is memory ({_named(mount)})", mend
    if mount.read_only:
        return False, f"{said}: {_named(mount)} is mounted read-only", mend
    if mount.anonymous:
        return False, f"{said}: a volume without a name, replaced by a new one after `down` and `up`", mend
    return True, f"{said}: {_named(mount)}, mounted at {mount.destination}", ""


def _place_on_host(one: Database, said: str) -> tuple[bool, str, str]:
    mend = f"{_TAKE_ONE}; name a directory on a disk (dbPath, dir) and restart it; opsconsole restore latest"
    if not one.filesystem:
        return False, f"{said}: this host has no such directory, or does not show it", f"as root: {_AGAIN}"
    if one.filesystem in MEMORY:
        return False, f"{said}: that is memory ({one.filesystem})", mend
    return True, f"{said}: on this host, {one.filesystem}", ""


def holding(directory: str, mounts: tuple[Mount, ...]) -> Mount | None:
    """The mount that what is written into a directory of the container lands in: the deepest one above it."""
    path = PurePosixPath(directory)
    above = [mount for mount in mounts if path.is_relative_to(PurePosixPath(mount.destination or "/nowhere"))]
    return max(above, key=lambda mount: len(PurePosixPath(mount.destination).parts), default=None)


def _named(mount: Mount) -> str:
    match mount.kind:
        case "volume":
            return f"volume {mount.name[:12] if mount.anonymous else mount.name}"
        case "bind":
            return f"directory {mount.source} of the host"
    return "tmpfs"


def _unknown(one: Database) -> str:
    return one.keeping.problem or "it does not say"


def _mend_keeping(one: Database) -> str:
    if one.keeping.lasts is False and one.kind == "redis":
        inside = one.home is Home.CONTAINER
        cli, name = (f"docker compose exec {one.name} redis-cli", one.name) if inside else ("redis-cli", one.kind)
        return f'{cli} {one.keeping.mend}; or, where it is a cache: [persistence] caches = ["{name}"]'
    return one.keeping.mend or one.keeping.hint or f"make it answer, then: {_AGAIN}"


def _restart(one: Database, of: int) -> Check:
    twin = one.twin
    match twin.survived:
        case True:
            said = f"a marker written into {twin.way} was there after its restart ({twin.seconds:.1f} s)"
            mend = ""
        case False:
            said = f"a marker written into {twin.way} was gone after its restart"
            mend = _mend_keeping(one)
        case None:
            said = f"not tried: {twin.problem or 'no throw-away server was started'}"
            mend = twin.hint or _AGAIN
    return Check(
        name="restart",
        subject=one.name,
        title=f"a twin of {words(one)} keeps its data over a restart",
        points=RESTART / of,
        proven=twin.survived is True,
        said=said,
        get_it=mend,
    )


# --- backups -----------------------------------------------------------------------------------------


def _backup(facts: Facts, now: datetime) -> Check:
    newest = next((one for one in facts.backups if _counts(one, facts, now)), None)
    title = "a good backup of all of them is young enough"
    if newest is None:
        said = facts.backups_problem or f"no good backup holds {_wanted_words(facts)}"
        return Check(name="backup", subject="", title=title, points=BACKUP, said=said, get_it=_TAKE_ONE)
    hours = (now - newest.taken_at).total_seconds() / 3600
    young = hours <= facts.max_age_hours
    age = f"{hours // 24:.0f} days" if hours >= 72 else "1 hour" if round(hours) == 1 else f"{hours:.0f} hours"
    said = f"{newest.id}, {age} old (limit {facts.max_age_hours:g})"
    return Check(
        name="backup",
        subject="",
        title=title,
        points=BACKUP,
        proven=young,
        said=said,
        get_it="" if young else f"{_TAKE_ONE}; by itself: opsconsole schedule install",
    )


def restored(facts: Facts, now: datetime) -> Backup | None:
    """The backup whose restore into throw-away servers was right, the last time within the days that are asked for."""
    since = now - timedelta(days=facts.proven_days)
    proven = [
        one
        for one in facts.backups
        if _counts(one, facts, now)
        and one.checked_level == 3
        and one.checked_at is not None
        and since <= one.checked_at <= now + _FUTURE
        and one.taken_at >= since
    ]
    return max(proven, key=lambda one: one.checked_at or one.taken_at, default=None)


def _restore(facts: Facts, now: datetime) -> Check:
    found = restored(facts, now)
    said = f"none was taken and restored for a test within {facts.proven_days} days"
    if found is not None and found.checked_at is not None:
        hours = max(0, round((now - found.checked_at).total_seconds() / 3600))
        when = "just now" if hours < 1 else f"{hours} hours ago" if hours < 48 else f"{hours // 24} days ago"
        said = f"{found.id} was restored into throw-away servers and compared, {when}"
    return Check(
        name="restore",
        subject="",
        title=f"a backup was really restored within {facts.proven_days} days",
        points=RESTORE,
        proven=found is not None,
        said=said,
        get_it="" if found is not None else _prove(facts, now),
    )


def _prove(facts: Facts, now: datetime) -> str:
    if any(_counts(one, facts, now) for one in facts.backups):
        return f"{_AGAIN} --prove, which is: opsconsole backup verify latest --level 3"
    return f"{_TAKE_ONE}, then: {_AGAIN} --prove"


def _time(facts: Facts, now: datetime) -> Check:
    took = facts.took
    since = now - timedelta(days=facts.proven_days)
    known = took is not None and since <= took.at <= now + _FUTURE
    said = f"no restore was timed within {facts.proven_days} days"
    if took is not None and known:
        said = f"{took.seconds:.1f} s ({took.how})"
    return Check(
        name="time",
        subject="",
        title="how long a restore takes is known",
        points=TIME,
        proven=known,
        said=said,
        get_it="" if known else _prove(facts, now),
    )


def _counts(one: Backup, facts: Facts, now: datetime) -> bool:
    """A good backup with all that must not be lost, in which no look found a fault."""
    held = {part.kind for part in one.parts if part.ok}
    return (
        one.state is BackupState.GOOD
        and not one.check_problem
        and one.taken_at <= now + _FUTURE
        and _wanted(facts) <= held
    )


def _wanted(facts: Facts) -> set[str]:
    """The kinds of parts that a backup must have."""
    databases = {PARTS[one.kind] for one in facts.databases if not one.cache and one.kind in PARTS}
    return databases | ({"files"} if facts.files else set())


def _wanted_words(facts: Facts) -> str:
    names = sorted({PROGRAMS[one.kind] for one in facts.databases if not one.cache})
    return " and ".join([*names, *facts.files]) or "anything"
