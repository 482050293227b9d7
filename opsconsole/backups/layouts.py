"""The layouts in which backups are found, and which parts one backup has.

Five systems, five habits: a directory by backup.sh (database, uploads, env file, manifest), a packed pair
of mongo.archive and redis_dump.rdb, a mongodump archive, a mongodump directory, the same packed; and the
console's own, a directory that counts once its manifest.json is written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from opsconsole.backups import own_layout
from opsconsole.backups.contents import files_part, is_litter, kind_by_name
from opsconsole.backups.findings import Contents, Finding, Verdict, counted
from opsconsole.backups.identifiers import PARTIAL
from opsconsole.backups.manifest import NAME as MANIFEST
from opsconsole.backups.manifest import Manifest
from opsconsole.backups.moments import moment_in
from opsconsole.backups.mongo_dump import DumpTally, is_dump_file

_MOST_FILES = 20_000
_DEEPEST = 8
_ARCHIVES = (".archive", ".archive.gz", ".tar", ".tar.gz", ".tgz", ".gz", ".rdb", ".dump")
_FOREIGN = re.compile(r"\.(?:log|sql|txt|json|csv)\b")
_SAYS_BACKUP = re.compile("backup|dump", re.IGNORECASE)

Inspect = Callable[["Entry"], Contents]


@dataclass(frozen=True, slots=True)
class Entry:
    """A file below a backup. The last four say whether it is still the file that was read."""

    path: str
    relative: str
    size: int
    modified_ns: int
    inode: int
    device: int

    @property
    def name(self) -> str:
        return self.relative.rpartition("/")[2]


@dataclass(slots=True)
class Reading:
    """One backup as it lies there, not yet judged against what the stack has."""

    id: str
    path: str
    layout: str
    size: int
    modified_ns: int
    findings: list[Finding] = field(default_factory=list)
    flaw: str = ""
    flaw_verdict: Verdict = Verdict.PLAUSIBLE
    notes: list[str] = field(default_factory=list)
    partial: bool = False
    manifest: Manifest | None = None  # of the console's own layout


@dataclass(slots=True)
class _Walk:
    entries: list[Entry] = field(default_factory=list)
    links: int = 0
    unread: str = ""
    whole: bool = True


def entry_of(path: str, relative: str, found: os.stat_result) -> Entry:
    return Entry(path, relative, found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev)


# --- files -----------------------------------------------------------------------------------------


def is_backup_file(name: str) -> bool:
    """Whether a file in the backup directory is a backup by its name; a log or a note beside them is none."""
    lower = name.lower()
    return not name.startswith(".") and lower.endswith(_ARCHIVES) and not _FOREIGN.search(lower)


def read_backup_file(entry: Entry, inspect: Inspect) -> Reading | None:
    """A backup that is one file. None for a packed file that has neither a date nor anything of a backup in it."""
    contents = inspect(entry)
    reading = Reading(entry.name, entry.path, "archive", entry.size, entry.modified_ns)
    reading.findings = [found if found.path else _at(found, entry.name) for found in contents.findings]
    if contents.flaw:
        reading.flaw, reading.flaw_verdict = f"{entry.name} {contents.flaw}", contents.verdict
    named = moment_in(entry.name) or _SAYS_BACKUP.search(entry.name)
    if not named and not any(found.kind in ("mongo", "redis") for found in reading.findings):
        return None
    if contents.unknown and not contents.flaw:
        reading.findings = [Finding("mongo", entry.name, entry.size, Verdict.WRONG, "is not a mongodump archive")]
    elif not reading.findings and not contents.flaw:
        reading.findings = [files_part(contents, entry.name, entry.size)]
    if any(found.path != entry.name for found in reading.findings):
        reading.layout = _layout_of(reading.findings)
    elif contents.flaw and not reading.findings:
        reading.layout = "mps" if entry.name.startswith("mps_backup_") else "mongodump"
    if contents.tar and not contents.whole:
        reading.notes.append("only its beginning was read")
    return reading


def _at(found: Finding, path: str) -> Finding:
    return Finding(found.kind, path, found.size, found.verdict, found.note, found.databases, found.whole)


def _layout_of(findings: list[Finding]) -> str:
    names = {found.path.rpartition("/")[2] for found in findings}
    if MANIFEST in names:
        return "opsconsole"
    if any(found.kind in ("manifest", "config", "files") for found in findings) and "backup_metadata.txt" not in names:
        return "backup.sh"
    if any(name.endswith((".archive", ".rdb", ".archive.gz")) for name in names):
        return "mps"
    if any(found.path.startswith("mongodb") for found in findings):
        return "backup.sh"
    return "mongodump"


# --- directories -----------------------------------------------------------------------------------


def read_backup_directory(path: str, name: str, modified_ns: int, inspect: Inspect) -> Reading | None:
    """A backup that is a directory. None when it is neither dated nor holds anything of a backup."""
    walk = _walk(path)
    reading = Reading(name, path, "", sum(entry.size for entry in walk.entries), modified_ns)
    reading.partial = name.startswith(PARTIAL)
    reading.findings = _parts(walk, inspect)
    if not reading.findings and not reading.partial and not moment_in(name):
        return None
    reading.layout = "opsconsole" if reading.partial else _layout_of(reading.findings)
    if reading.layout == "opsconsole" and not reading.partial:
        _check_manifest(reading, walk)
    if walk.unread:
        reading.flaw, reading.flaw_verdict = walk.unread, Verdict.UNREAD
    if not walk.whole:
        reading.notes.append(f"more than {_MOST_FILES:,} files, size is at least what is shown")
    if walk.links:
        reading.notes.append(f"{counted(walk.links, 'symbolic link')} not followed")
    return reading


def _walk(path: str) -> _Walk:
    walk = _Walk()
    pending = [(path, "", 0)]
    while pending:
        directory, prefix, depth = pending.pop()
        try:
            with os.scandir(directory) as items:
                for item in items:
                    relative = prefix + item.name
                    if item.is_symlink():
                        walk.links += 1
                    elif item.is_dir(follow_symlinks=False):
                        if depth < _DEEPEST and not is_litter(item.name):
                            pending.append((item.path, relative + "/", depth + 1))
                    elif item.is_file(follow_symlinks=False) and not is_litter(item.name):
                        walk.entries.append(entry_of(item.path, relative, item.stat(follow_symlinks=False)))
                    if len(walk.entries) >= _MOST_FILES:
                        walk.whole = False
                        return walk
        except OSError as error:
            where = prefix.rstrip("/") or os.path.basename(path)
            walk.unread = f"{where} cannot be read: {(error.strerror or 'input/output error').lower()}"
    walk.entries.sort(key=lambda entry: entry.relative)
    return walk


def _parts(walk: _Walk, inspect: Inspect) -> list[Finding]:
    tally = DumpTally()
    findings: list[Finding] = []
    below: dict[str, list[Entry]] = {}
    for entry in walk.entries:
        top, slash, _ = entry.relative.partition("/")
        if is_dump_file(entry.name) and kind_by_name(top) != "files":
            tally.add(entry.relative, entry.size, _verdict(inspect(entry)))
        elif slash and kind_by_name(entry.name) != "redis":
            below.setdefault(top, []).append(entry)
        elif kind_by_name(entry.name):
            findings += _file_parts(entry, inspect(entry))
    dump = tally.finding(whole=walk.whole)
    if dump is not None:
        findings.append(dump)
    for top, entries in below.items():
        size = sum(entry.size for entry in entries)
        findings.append(Finding("files", top, size, note=counted(len(entries), "file"), whole=walk.whole))
    return findings


def _verdict(contents: Contents) -> Verdict:
    return contents.findings[0].verdict if contents.findings else contents.verdict


def _file_parts(entry: Entry, contents: Contents) -> list[Finding]:
    """One file of the directory as one part, or as several when it is a tar file that holds several."""
    if not contents.findings:
        return [] if contents.unknown else [files_part(contents, entry.relative, entry.size)]
    if len(contents.findings) > 1:
        return contents.under(entry.relative)
    found = contents.findings[0]
    broken = contents.flaw and found.ok
    return [
        Finding(
            found.kind,
            entry.relative,
            entry.size,
            contents.verdict if broken else found.verdict,
            contents.flaw if broken else found.note,
            found.databases,
            found.whole,
        )
    ]


def _check_manifest(reading: Reading, walk: _Walk) -> None:
    """The console's own manifest is written last: when it cannot be read the backup was never finished."""
    sizes = {entry.relative: entry.size for entry in walk.entries}
    reading.manifest, reading.flaw = own_layout.read(reading.path, sizes)
    if reading.manifest is not None:
        if reading.manifest.encrypted_to:
            reading.notes.append("encrypted")
        reading.findings = own_layout.findings(reading.manifest, reading.findings)
    if reading.flaw:
        reading.flaw_verdict = Verdict.WRONG
