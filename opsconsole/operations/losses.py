"""What is less in one census than in another, in words. Pure.

What shrinks by itself (a TTL index, keys with a time to live) and what the plan announced is said and is no alarm; what
cannot be compared is never good.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from opsconsole.backups.findings import counted
from opsconsole.model import Record, VolumeKind
from opsconsole.operations.census import Census, DatabaseSeen, PlaceSeen
from opsconsole.operations.plan import DataEffect, Effect, Plan

MOST_LINES = 50


class Verdict(Record, frozen=True):
    """What a comparison found, in lines for a person."""

    less: tuple[str, ...] = ()  # data that is not there any more
    notes: tuple[str, ...] = ()  # what was not compared, shrinks by itself, or went as the plan said
    text: str = ""  # what was compared, one line


class _Finding(Record, frozen=True):
    line: str
    names: frozenset[str] = frozenset()  # as a plan would name the data
    database: str = ""  # service of the database that it is about
    alarm: bool = True


def compare(before: Census, after: Census, announced: Collection[DataEffect] = ()) -> Verdict:
    """Hold one census against the other. Pure. `announced` is what the plan said would be lost or left behind."""
    if problem := before.problem or after.problem:
        when = "before" if before.problem else "after"
        return Verdict(notes=(f"the data was not compared: {problem} ({when} the operation)",))
    names = {one.name for one in announced}
    services = {one.name.partition(":")[0] for one in announced if one.database}
    less, notes = [], []
    for found in (*_places(before, after), *_databases(before, after)):
        if not found.alarm:
            notes.append(found.line)
        elif found.names & names or found.database in services:
            notes.append(f"as the plan said: {found.line}")
        else:
            less.append(found.line)
    return Verdict(less=_bounded_lines(less), notes=_bounded_lines(notes), text=summary(after))


def announced(plan: Plan) -> tuple[DataEffect, ...]:
    """What whoever agreed to the plan has read there."""
    return tuple(one for one in plan.data if one.left_behind or one.effect in (Effect.LOST, Effect.REPLACED))


def summary(seen: Census) -> str:
    """`2 volumes, 1 bind mount, 6 files, 5 collections with 294 documents, 8 lasting keys`."""
    kinds = [place.kind for place in seen.places.values() if place.there]
    directories = kinds.count(VolumeKind.BIND)
    files = [place.files.files for place in seen.places.values() if place.files and not place.files.problem]
    counts = [n for one in seen.databases for known in one.collections.values() for n in known.values()]
    documents = counted(sum(n or 0 for n in counts), "document")
    keys = [n for one in seen.databases for n in one.keys.values()]
    parts = [
        counted(len(kinds) - directories, "volume") if len(kinds) > directories else "",
        counted(directories, "bind mount") if directories else "",
        counted(sum(files), "file") if any(files) else "",
        f"{counted(len(counts), 'collection')} with {documents}" if counts else "",
        counted(sum(keys), "lasting key") if any(keys) else "",
    ]
    return ", ".join(filter(None, parts)) or "nothing that could be counted"


# --- volumes, directories, files -------------------------------------------------------------------


def _places(before: Census, after: Census) -> Iterator[_Finding]:
    kept_in = {use: place.words for place in after.places.values() for use in place.uses}
    for key, old in before.places.items():
        new = after.places.get(key)
        names = frozenset({old.words})
        what = "directory" if old.kind is VolumeKind.BIND else "volume"
        line = _place_line(old, new)
        if line and old.holds != "nothing":
            yield _Finding(line=f"{what} {old.words} {line}", names=names)
        elif new is not None:
            yield from (
                _Finding(line=f"{what} {old.words}: {one.line}", names=names, alarm=one.alarm)
                for one in _files(old, new)
            )
        if old.holds == "nothing":
            continue
        for use in old.uses if new is not None and new.there else ():
            if use not in (new.uses if new else ()) and use.partition(":")[0] in after.services:
                where = f"is in {kept_in[use]} now" if use in kept_in else "has no mount any more"
                yield _Finding(line=f"{use} {where}; it was in the {what} {old.words}", names=names)


def _place_line(old: PlaceSeen, new: PlaceSeen | None) -> str:
    if not old.there:
        return ""
    if new is None or not new.there:
        return "is gone"
    if old.identity and new.identity and old.identity != new.identity:
        return "was made anew: it is not the one that was there before"
    if old.holds == "files" and new.holds == "nothing":
        return "is empty now"
    return ""


def _files(old: PlaceSeen, new: PlaceSeen) -> Iterator[_Finding]:
    if old.files is None or new.files is None:
        return
    if problem := old.files.problem or new.files.problem:
        yield _Finding(line=f"its files were not compared: {problem}", alarm=False)
    elif new.files.cut:
        only = counted(new.files.files, "file")
        yield _Finding(line=f"its files were not compared: only the first {only} were counted", alarm=False)
    elif new.files.files < old.files.files:
        least = "at least " if old.files.cut else ""
        yield _Finding(line=f"{least}{counted(old.files.files, 'file')} before, {new.files.files:,} now")
    elif old.files.bytes and not new.files.bytes:
        yield _Finding(line=f"its files held {counted(old.files.bytes, 'byte')} before and hold nothing now")


# --- databases -------------------------------------------------------------------------------------


def _databases(before: Census, after: Census) -> Iterator[_Finding]:
    now = {(one.kind, one.name): one for one in after.databases}
    for old in before.databases:
        places = {
            place.words
            for place in before.places.values()
            if place.database == old.kind and any(use.startswith(f"{old.service}:") for use in place.uses)
        }
        names = frozenset({old.name, *places}) if old.service else frozenset({old.name})
        if old.problem and old.service and old.service not in before.services:
            line = f"{old.name} had no container before the operation: there was nothing to compare"
            yield _Finding(line=line, alarm=False)
            continue
        for found in _database(old, now.get((old.kind, old.name))):
            line = f"{old.name}: {found.line}" if found.alarm else f"{old.name} {found.line}"
            yield msgspec.structs.replace(found, line=line, names=names, database=old.service)


def _database(old: DatabaseSeen, new: DatabaseSeen | None) -> Iterator[_Finding]:
    if old.problem:
        yield _not_compared(f"it could not be counted before the operation ({old.problem})")
    elif new is None:
        yield _not_compared("it is no longer among the databases of the stack")
    elif new.problem:
        yield _not_compared(new.problem)
    elif new.partly and new.partly != old.partly:
        yield _not_compared(new.partly)
    elif old.kind == "redis":
        yield from _keys(old, new)
    else:
        yield from _collections(old, new)


def _not_compared(why: str) -> _Finding:
    return _Finding(line=f"was not compared: {why}", alarm=False)


def _collections(old: DatabaseSeen, new: DatabaseSeen) -> Iterator[_Finding]:
    for database, known in old.collections.items():
        now = new.collections.get(database)
        if now is None and any(known.values()):
            held = counted(sum(n or 0 for n in known.values()), "document")
            yield _Finding(line=f"the database {database} is gone ({counted(len(known), 'collection')}, {held})")
            continue
        for name, documents in known.items():
            yield from _collection(f"{database}.{name}", documents, name in (now or {}), (now or {}).get(name), new)


def _collection(
    name: str, documents: int | None, there: bool, now: int | None, new: DatabaseSeen
) -> Iterator[_Finding]:
    if not there:
        if documents != 0:  # of an empty one nothing is lost
            held = f" ({counted(documents, 'document')})" if documents else ""
            yield _Finding(line=f"the collection {name} is gone{held}")
    elif documents and now is not None and now < documents:
        counts = f"{name}: {counted(documents, 'document')} before, {now:,} now"
        if why := new.shrinking.get(name):
            yield _Finding(line=f"{counts}: {why} makes it shrink by itself", alarm=False)
        else:
            yield _Finding(line=counts)


def _keys(old: DatabaseSeen, new: DatabaseSeen) -> Iterator[_Finding]:
    for database, lasting in old.keys.items():
        now = new.keys.get(database, 0)
        if now < lasting:
            counts = f"database {database}: {counted(lasting, 'lasting key')} before, {now:,} now"
            if new.evicts:
                yield _Finding(line=f"{counts}: it drops keys by itself when its memory is full", alarm=False)
            else:
                yield _Finding(line=counts)
    if new.expiring < old.expiring:
        ended = f"{counted(old.expiring, 'key')} with a time to live before, {new.expiring:,} now"
        yield _Finding(line=f"has {ended}: they end by themselves", alarm=False)


def _bounded_lines(lines: list[str]) -> tuple[str, ...]:
    over = len(lines) - MOST_LINES
    return (*lines[:MOST_LINES], f"and {over} more") if over > 0 else tuple(lines)
