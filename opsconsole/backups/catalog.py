"""Every backup in the stack's backup directory, read cheaply and judged against what the stack has."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import msgspec

from opsconsole.backups import inside, marks
from opsconsole.backups.contents import kind_by_name, read_file
from opsconsole.backups.faults import Level
from opsconsole.backups.findings import Contents, Finding, Verdict, some_of
from opsconsole.backups.identifiers import PARTIAL
from opsconsole.backups.layouts import (
    Entry,
    Reading,
    entry_of,
    is_backup_file,
    read_backup_directory,
    read_backup_file,
)
from opsconsole.backups.manifest import Manifest
from opsconsole.backups.moments import moment_of
from opsconsole.backups.oplog_ranges import with_ranges
from opsconsole.backups.retention import Policy, candidate, decide
from opsconsole.model import (
    Backup,
    BackupClass,
    BackupContents,
    BackupCopy,
    BackupPart,
    BackupState,
    OplogSpan,
    SourceError,
    Stack,
)

# A file is read once and remembered by its identity. The deep allowance covers an ordinary nightly dump from
# end to end; when a look has spent its share, the rest get the small one (a list of collections fits in it)
# and their turn at the next look.
_DEEP = 32 << 20
_SHALLOW = 256 << 10
_PER_LOOK = 128 << 20

_SOUND = (BackupState.GOOD, BackupState.INCREMENTAL)
_FUTURE = timedelta(minutes=5)
_BEING_WRITTEN = timedelta(seconds=60)
_WITH_CONFIG = ("backup.sh", "opsconsole")

_Identity = tuple[str, int, int, int, int]


def expected_parts(stack: Stack) -> tuple[str, ...]:
    """The kinds of parts without which a backup of this stack loses something.

    The env file is asked for where the layout has a place for it; a dump of databases alone never holds one.
    """
    kinds = []
    if any(target.kind == "mongodb" for target in stack.databases):
        kinds.append("mongo")
    if any(target.kind == "redis" for target in stack.databases):
        kinds.append("redis")
    if any(_has_content(directory) for directory in stack.data_directories):
        kinds.append("files")
    if stack.env_file:
        kinds.append("config")
    return tuple(kinds)


def _has_content(directory: str) -> bool:
    """backup.sh skips an upload directory with nothing in it, and rightly so."""
    try:
        with os.scandir(directory) as items:
            return any(True for _ in items)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _now() -> datetime:
    return datetime.now(UTC)


class Catalog:
    """The backups of a stack. Remembers what it read, so a second look at the same files costs their stat."""

    def __init__(
        self,
        expected: Callable[[Stack], tuple[str, ...]] = expected_parts,
        clock: Callable[[], datetime] = _now,
        zone: tzinfo | None = None,
        policy: Policy | None = None,
    ) -> None:
        self._expected = expected
        self._policy = policy  # of retention; None: why one is kept is not asked
        self._clock = clock
        self._zone = zone  # of the times in names; None: this host's
        self._known: dict[_Identity, Contents] = {}
        self._used: set[_Identity] = set()
        self._left = _PER_LOOK

    def look(self, stack: Stack) -> tuple[Backup, ...]:
        """Newest first; empty when there is no backup directory. Raises SourceError when it cannot be read."""
        self._used = set()
        self._left = _PER_LOOK
        readings = [reading for name in self._names(stack.backup_directory) if (reading := self._read(*name))]
        self._known = {key: value for key, value in self._known.items() if key in self._used}
        judge = _Judge(stack, self._expected(stack), readings, self._clock(), self._zone)
        backups = [_with_marks(judge.backup(reading)) for reading in readings]
        backups.sort(key=lambda backup: (backup.taken_at, backup.id), reverse=True)
        if self._policy is None:
            return tuple(backups)
        return with_reasons(backups, self._policy, self._clock(), self._zone)

    def look_inside(self, backup: Backup) -> BackupContents:
        """What its manifest tells and what became known of it since."""
        return inside.look_inside(backup)

    def _names(self, directory: str) -> list[tuple[str, str]]:
        """Path and name of what lies in the backup directory, newest name first: those are read most deeply."""
        if not directory:
            return []
        try:
            with os.scandir(directory) as items:
                found = [(item.path, item.name) for item in items if not item.is_symlink()]
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            raise SourceError(
                f"the backup directory {directory} is a file",
                "set [backups] directory in opsconsole.toml to the directory that holds the backups",
            ) from None
        except OSError as error:
            reason = (error.strerror or "input/output error").lower()
            raise SourceError(
                f"the backup directory {directory} cannot be read: {reason}",
                f"the age of the backups is not known; check with: ls -ld {directory}",
            ) from None
        oldest = datetime.min.replace(tzinfo=UTC)
        return sorted(found, key=lambda item: moment_of(item[1], self._zone) or oldest, reverse=True)

    def _read(self, path: str, name: str) -> Reading | None:
        try:
            found = os.lstat(path)
        except OSError:
            return None  # went away between the listing and now: a clean-up is running
        if os.path.isdir(path):
            if name.startswith(".") and not name.startswith(PARTIAL):
                return None
            return read_backup_directory(path, name, found.st_mtime_ns, self._inspect)
        if is_backup_file(name):
            return read_backup_file(entry_of(path, name, found), self._inspect)
        return None

    def _inspect(self, entry: Entry) -> Contents:
        key = (entry.path, entry.size, entry.modified_ns, entry.inode, entry.device)
        self._used.add(key)
        known = self._known.get(key)
        if known is not None and not (known.shallow and self._left > 0):
            return known
        deep = self._left > 0
        try:
            contents, spent = read_file(entry.path, entry.name, _DEEP if deep else _SHALLOW)
        except OSError as error:
            reason = f"cannot be read: {(error.strerror or 'not a regular file').lower()}"
            return Contents([Finding(kind_by_name(entry.name), "", entry.size, Verdict.UNREAD, reason)])
        self._left -= spent
        contents.shallow = not deep and not contents.whole
        self._known[key] = contents
        return contents


def _oplog(made: Manifest) -> tuple[OplogSpan, ...]:
    return tuple(
        OplogSpan(
            part=part.name,
            replica_set=part.oplog.replica_set,
            set_id=part.oplog.set_id,
            server=part.server,
            begins=part.oplog.begins,
            ends=part.oplog.ends,
            continues=part.oplog.continues,
        )
        for part in made.parts
        if part.oplog is not None
    )


def with_reasons(
    backups: Sequence[Backup], policy: Policy, now: datetime, zone: tzinfo | None = None
) -> tuple[Backup, ...]:
    """With what retention says of each."""
    listed = [candidate(one, pinned=one.pinned, proven=one.checked_level == Level.RESTORED) for one in backups]
    listed = with_ranges(listed, backups, policy, now)
    why = {one.id: one for one in decide(listed, policy, now, zone).decisions}
    return tuple(
        msgspec.structs.replace(one, **{"kept" if why[one.id].kept else "goes": why[one.id].why}) for one in backups
    )


def _part(found: Finding) -> BackupPart:
    return BackupPart(kind=found.kind, path=found.path, size_bytes=found.size, note=found.note, ok=found.ok)


def _with_marks(backup: Backup) -> Backup:
    """With what became known of it since it was made."""
    known = marks.read(Path(backup.path).parent, backup.id)
    best = known.best
    return msgspec.structs.replace(
        backup,
        state=BackupState.DAMAGED if known.fault and backup.state in _SOUND else backup.state,
        problem=backup.problem or known.fault,
        pinned=known.keeps,
        checked_level=best.level.value if best is not None and not known.fault else None,
        checked_at=best.at if best is not None and not known.fault else None,
        check_problem=known.fault,
        copies=tuple(BackupCopy(place=one.place, at=one.at, verified=one.verified) for one in known.copies),
        note="; ".join(filter(None, (backup.note, "dated by a wrong clock" if known.misdated else "", known.problem))),
    )


# --- judging ---------------------------------------------------------------------------------------


class _Judge:
    """Turns what was read into Backups, against what the stack has and what its other backups look like."""

    def __init__(
        self, stack: Stack, expected: tuple[str, ...], readings: list[Reading], now: datetime, zone: tzinfo | None
    ) -> None:
        self._expected = expected
        self._databases = {
            target.database for target in stack.databases if target.kind == "mongodb" and target.database
        }
        # Some versions of backup.sh write a manifest as their last act and some write none. Where one has it,
        # a directory without is one whose script did not get to its end.
        scripted = [reading for reading in readings if reading.layout == "backup.sh"]
        self._manifests = any(found.kind == "manifest" for reading in scripted for found in reading.findings)
        self._now = now
        self._zone = zone

    def backup(self, reading: Reading) -> Backup:
        taken_at, notes = self._dated(reading)
        there = {name for one in reading.findings if one.kind == "mongo" for name in one.databases}
        findings = [self._with_database(found, there) for found in reading.findings]
        missing = self._missing(reading, findings)
        state, problem = self._state(reading, findings, missing, taken_at)
        made = reading.manifest
        return Backup(
            id=reading.id,
            path=reading.path,
            layout=reading.layout,
            taken_at=taken_at,
            size_bytes=reading.size,
            state=state,
            parts=tuple(_part(found) for found in findings),
            missing=missing,
            problem=problem,
            in_future=taken_at > self._now + _FUTURE,
            undated=bool(notes),
            note="; ".join(notes + reading.notes),
            backup_class=made.backup_class if made else BackupClass.SCHEDULED,
            why=made.why if made else "",
            critical=made is not None and made.critical,
            asked=made.asked if made else (),
            buckets=made.buckets if made else None,
            oplog=_oplog(made) if made else (),
        )

    def _dated(self, reading: Reading) -> tuple[datetime, list[str]]:
        if reading.manifest is not None:
            return reading.manifest.taken_at.astimezone(UTC), []
        taken_at = moment_of(reading.id, self._zone)
        if taken_at is not None:
            return taken_at, []
        try:
            modified = datetime.fromtimestamp(reading.modified_ns / 1e9, UTC)
        except (ValueError, OverflowError, OSError):
            modified = datetime.fromtimestamp(0, UTC)
        return modified, ["dated by its file time: its name has no date, and a copy changes that time"]

    def _with_database(self, found: Finding, there: set[str]) -> Finding:
        """A dump of some other database is no backup of this stack's; beside one of those it is of another server.
        `there`: what all dumps of the backup hold."""
        if found.kind != "mongo" or not found.ok or not found.databases:
            return found
        lacking = sorted(self._databases - there)
        if not lacking or len(lacking) < len(self._databases):
            return found
        held = some_of(found.databases)
        return replace(found, verdict=Verdict.EMPTY, note=f"holds {held}, not {some_of(lacking)}")

    def _missing(self, reading: Reading, findings: list[Finding]) -> tuple[str, ...]:
        if reading.manifest is not None and reading.manifest.incremental:
            return ()  # it is never the whole of anything
        present = {found.kind for found in findings}
        wanted = [kind for kind in self._expected if kind != "config" or reading.layout in _WITH_CONFIG]
        if reading.layout == "backup.sh" and self._manifests:
            wanted.append("manifest")
        missing = tuple(kind for kind in wanted if kind not in present)
        unseen_rest = any("only its beginning" in note for note in reading.notes)
        # What lies behind the part that was read is not known to be missing, once a database was seen.
        return () if unseen_rest and present & {"mongo", "redis"} else missing

    def _state(
        self, reading: Reading, findings: list[Finding], missing: tuple[str, ...], taken_at: datetime
    ) -> tuple[BackupState, str]:
        if reading.partial:
            return BackupState.UNFINISHED, self._unfinished(reading)
        bad = [found for found in findings if not found.ok]
        verdicts = {found.verdict for found in bad} | {reading.flaw_verdict} - {Verdict.PLAUSIBLE}
        problem = reading.flaw
        if bad and not problem:
            problem = f"{reading.id if bad[0].path == '.' else bad[0].path} {bad[0].note}"
        if verdicts == {Verdict.CUT} and self._being_written(reading, taken_at):
            return BackupState.UNFINISHED, "is still being written"
        if verdicts & {Verdict.CUT, Verdict.WRONG}:
            return BackupState.DAMAGED, problem
        if missing == ("manifest",) and not bad:
            return BackupState.UNFINISHED, "has no manifest: being written, or its script did not get to its end"
        made = reading.manifest
        if made is not None and made.incremental and not (bad or verdicts):
            return BackupState.INCREMENTAL, ""
        if bad or verdicts or not findings:
            return BackupState.INCOMPLETE, problem or "is empty"
        asked = reading.manifest.asked if reading.manifest else ()
        if missing and asked and not set(asked) & set(missing):
            return BackupState.INCOMPLETE, f"holds only {' and '.join(asked)}, as it was asked for"
        if missing:
            return BackupState.INCOMPLETE, f"lacks {' and '.join(missing)}"
        if not any(found.kind in ("mongo", "redis", "files") for found in findings):
            return BackupState.INCOMPLETE, "holds no data"
        return BackupState.GOOD, ""

    def _unfinished(self, reading: Reading) -> str:
        age = self._now.timestamp() - reading.modified_ns / 1e9
        if age < _BEING_WRITTEN.total_seconds():
            return "is being written"
        return "was never finished: being written, or left by a run that was stopped"

    def _being_written(self, reading: Reading, taken_at: datetime) -> bool:
        changed = abs(self._now.timestamp() - reading.modified_ns / 1e9)
        return changed < _BEING_WRITTEN.total_seconds() and abs(self._now - taken_at) < timedelta(hours=24)
