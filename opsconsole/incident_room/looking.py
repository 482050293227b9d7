"""What is known beside the Snapshot: operations and their guard, releases, files, git, backups. Reads, changes nothing.

Each thing is looked at by itself: what cannot be read is one line in `Known.problems`, and the rest is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from opsconsole.incident.data_signs import Baseline, Restored, Sign, good_backups
from opsconsole.incident.evidence import LOOKED_BACK, Change, Known, What, gather
from opsconsole.incident_room import kept_releases, records
from opsconsole.incident_room.happenings import happenings
from opsconsole.model import Backup, BackupContents, Snapshot, SourceError
from opsconsole.operations import journal, plan
from opsconsole.operations.census import Census
from opsconsole.operations.journal import Entry, Result
from opsconsole.operations.places import existing_operations
from opsconsole.operations.plan import Kind, Plan
from opsconsole.operations.releases import Release
from opsconsole.stack.git import git_directory

RECENT = timedelta(days=3)
"""Counts and backups that are older say little about what was lost now; the newest backup is asked at any age."""

_BACKUPS = 3
_COUNTED = 6  # operations whose counts are looked at
_LOGGED = 64 << 10  # bytes of git's log of HEAD

LookInside = Callable[[Backup], BackupContents]
"""What a backup holds, read from its files. Raises SourceError."""


def look(directory: Path, snapshot: Snapshot, look_inside: LookInside, since: datetime | None = None) -> Known:
    """All of it. Never raises; takes milliseconds, and is for a thread all the same."""
    now = snapshot.sampled_at
    since = since or now - LOOKED_BACK
    problems: list[str] = []

    def tried(what: str, work: Callable[[], Known]) -> Known:
        try:
            return work()
        except (SourceError, OSError, msgspec.MsgspecError) as error:
            problems.append(f"{what} cannot be read: {error}")
            return Known()

    kept = tried("the releases", lambda: kept_releases.ways_back(directory, snapshot))
    all_kept = kept_releases.all_kept(directory)
    done = tried("the operations", lambda: _operations(directory, since, all_kept))
    moved = tried("the log of git", lambda: Known(changes=tuple(_commits(directory, since))))
    seen = tried("what was collected", lambda: Known(changes=happenings(directory, since, now)))
    held = tried("the backups", lambda: Known(baselines=tuple(held_by_backups(snapshot, look_inside, now))))
    counted = tried("the counts of the guard", lambda: Known(baselines=tuple(_censuses(directory, now))))
    closed = tried("the incidents", lambda: Known(settled=tuple(_settled(directory, now))))
    by_hand = [one for one in moved.changes if not any(each.at <= one.at <= each.end for each in done.changes)]
    return Known(
        changes=(*done.changes, *by_hand, *seen.changes),
        release=kept.release,
        before=kept.before,
        files=kept.files,
        files_from=kept.files_from,
        losses=done.losses,
        baselines=(*counted.baselines, *held.baselines),
        settled=closed.settled,
        problems=tuple(problems),
    )


def missing(directory: Path, snapshot: Snapshot, look_inside: LookInside) -> tuple[Sign, ...]:
    """The signs of missing data alone. Raises SourceError, OSError."""
    now = snapshot.sampled_at
    done = _operations(directory, now - LOOKED_BACK, ())
    held = held_by_backups(snapshot, look_inside, now)
    counted = (*_censuses(directory, now), *held)
    known = Known(changes=done.changes, losses=done.losses, baselines=counted, settled=tuple(_settled(directory, now)))
    return gather(snapshot, known, now).data


# --- operations ------------------------------------------------------------------------------------


def _operations(directory: Path, since: datetime, kept: Sequence[Release]) -> Known:
    changes, losses = [], []
    for place in reversed(existing_operations(directory)):
        if began(place.name) < since:
            break
        records = journal.read(place)
        if not records:
            continue
        try:
            what = journal.read_plan(place)
        except SourceError:
            continue
        if (change := _change(place, what, records, kept)) is not None:
            changes.append(change)
        for one in records:
            if one.event == "guard":
                losses += [Sign(at=one.at, text=line, operation=place.name, gone=_all_of_it(line)) for line in one.less]
    return Known(changes=tuple(changes), losses=tuple(losses))


_WHAT = {
    Kind.DEPLOY: What.DEPLOY,
    Kind.UPDATE: What.DEPLOY,
    Kind.RESTART: What.RESTART,
    Kind.START: What.RESTART,
    Kind.STOP: What.RESTART,
    Kind.RESTORE: What.RESTORE,
}


def _change(place: Path, what: Plan, records: Sequence[Entry], kept: Sequence[Release]) -> Change | None:
    first, last = records[0], records[-1]
    result = last.result if last.event == "end" else None
    if result is Result.REFUSED or what.kind in (Kind.VERIFY, Kind.COPY, Kind.PRUNE):
        return None
    unended = "runs" if journal.is_alive(place) else "half done"
    said = unended if result is None else last.text or result.value
    kind = _WHAT.get(what.kind, What.OTHER)
    if what.kind is Kind.ROLLBACK:
        kind = What.CONFIG if what.files else What.DEPLOY
    code: bool | None = None
    config: bool | None = None
    if kind in (What.DEPLOY, What.CONFIG):
        code, config = _brought(records, what, kept)
        if result is Result.ROLLED_BACK:
            kind = What.OTHER  # what ran before runs again
        elif code is False:
            kind = What.CONFIG if config else What.RESTART
    by = f" by {first.who.words()}" if first.who else ""
    return Change(
        at=first.at,
        until=last.at,
        what=kind,
        text=f"{first.title or plan.title(what)}{by}: {said}",
        services=_touched(records, what),
        operation=place.name,
        bad=result not in (Result.DONE, Result.CANCELLED, None) or said == "half done",
        code=code,
        config=config,
        done=result is Result.DONE,
        runs=said == "runs",
        back=result is Result.DONE and what.kind is Kind.ROLLBACK,
        first=_is_first(first.at, what, kept),
        restored=_restored(what),
        emptied=tuple(f"{one.name}: " for one in what.data)
        if what.kind is Kind.FLUSH and result is Result.DONE
        else (),
    )


def _is_first(at: datetime, what: Plan, kept: Sequence[Release]) -> bool:
    """Whether it is a deploy that nothing ran before, and no release is kept from."""
    deploys = what.kind in (Kind.DEPLOY, Kind.UPDATE)
    return deploys and not what.returns_to and not any(one.at < at and one.returnable for one in kept)


def _restored(what: Plan) -> tuple[str, ...]:
    """The collections and databases of MongoDB that a restore puts there; () for all of them."""
    order = what.restore
    if order is None:
        return ()
    if order.parts and "mongo" not in order.parts:
        return order.parts  # nothing of MongoDB
    return order.collections or order.databases


def _touched(records: Sequence[Entry], what: Plan) -> tuple[str, ...]:
    """The services that it made anew, where it makes some anew; else those of its plan."""
    made = [
        one.step.removeprefix("recreate:")
        for one in records
        if one.event == "step-end" and one.step.startswith("recreate:") and one.text != "unchanged"
    ]
    return tuple(dict.fromkeys(made)) or what.services


def _brought(records: Sequence[Entry], what: Plan, kept: Sequence[Release]) -> tuple[bool | None, bool | None]:
    """Whether other images and another configuration came with it, by the releases before and after."""
    if what.files:
        return False, True
    number = next((one.release for one in reversed(records) if one.release), "")
    made = next((one for one in kept if one.name == number), None)
    earlier = [one for one in kept if made is not None and one.number < made.number and one.returnable]
    if what.kind is Kind.ROLLBACK or made is None or not earlier:
        return None, None
    before = earlier[-1]
    images = {one.name: one.image_id for one in before.services}
    code = any(images.get(one.name, "") != one.image_id for one in made.services)
    hashes = any(
        (old := before.service(one.name)) is not None and not set(old.hashes) & set(one.hashes) for one in made.services
    )
    return code, made.env_hash != before.env_hash or (hashes and not code)


def _all_of_it(line: str) -> bool:
    return "gone" in line or line.endswith(" 0 now") or "empty now" in line


def began(operation: str) -> datetime:
    """When an operation began, by its id."""
    return datetime.strptime(operation[:18], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)


# --- git -------------------------------------------------------------------------------------------


_LOGGED_LINE = re.compile(r"^\S+ (\S+) .*?> (\d+) [+-]\d{4}\t(.*)$")


def _commits(directory: Path, since: datetime) -> Iterable[Change]:
    """When the tree moved to another commit, as git itself keeps it."""
    found = git_directory(directory)
    if found is None:
        return
    try:
        with (found[1] / "logs" / "HEAD").open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _LOGGED))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        if (match := _LOGGED_LINE.match(line)) is None:
            continue
        at = datetime.fromtimestamp(int(match[2]), UTC)
        if at >= since:
            yield Change(at=at, what=What.CONFIG, text=f"git: {match[3]} ({match[1][:7]})", config=None, code=False)


# --- counts ----------------------------------------------------------------------------------------


def _settled(directory: Path, now: datetime) -> Iterable[Restored]:
    """What somebody knew to be less when an incident was closed: it is meant so, or was seen to."""
    for one in records.all_incidents(directory):
        if one.closed_at is not None and now - one.closed_at <= RECENT:
            red = next((each.symptoms for each in reversed(one.entries) if each.event == "close"), ())
            collections = [line.partition(":")[0] for line in red if "." in line.partition(":")[0]]
            if red:
                yield Restored(at=one.closed_at, names=(*red, *collections))


def held_by_backups(snapshot: Snapshot, look_inside: LookInside, now: datetime) -> Iterable[Baseline]:
    """What the newest good backups hold, by their manifests. Reads files."""
    good = good_backups(snapshot)
    for one in (*good[:1], *(late for late in good[1 : _BACKUPS + 1] if now - late.taken_at <= RECENT)):
        inside = look_inside(one)
        collections: dict[str, dict[str, int]] = {}
        keys: dict[str, int] = {}
        for part in inside.parts:
            for held in part.collections:
                if held.kind == "collection":
                    collections.setdefault(f"{part.name} {held.database}", {})[held.name] = held.documents
            if part.kind == "redis":
                keys[part.name] = sum(held.keys - held.expiring for held in part.keys)
        if collections or keys:
            yield Baseline(
                at=one.taken_at, origin=f"the backup {one.id}", collections=collections, keys=keys, backup=one.id
            )


def _censuses(directory: Path, now: datetime) -> Iterable[Baseline]:
    """What the guard counted around the last operations."""
    for place in list(reversed(existing_operations(directory)))[:_COUNTED]:
        if now - began(place.name) > RECENT:
            return
        for name in ("census-after.json", "census-before.json"):
            try:
                seen = msgspec.json.decode((place / name).read_bytes(), type=Census)
            except (OSError, msgspec.MsgspecError):
                continue  # most operations have one, and one that was killed may have none
            if seen.problem:
                continue
            at = seen.at
            if name == "census-after.json" and (records := journal.read(place)):
                # It counts what the operation has left behind: also after a restore, which it is part of.
                at = max(at, records[-1].at + timedelta(microseconds=1))
            yield _counted(seen, at)


def _counted(seen: Census, at: datetime) -> Baseline:
    return Baseline(
        at=at,
        origin=f"the guard's count of {seen.at.astimezone():%H:%M}",
        collections={
            f"{one.name} {database}": {name: documents for name, documents in known.items() if documents is not None}
            for one in seen.databases
            for database, known in one.collections.items()
        },
        keys={one.name: sum(one.keys.values()) for one in seen.databases if one.kind == "redis" and not one.problem},
        shrinking=tuple(name for one in seen.databases for name in one.shrinking),
    )
