"""How a backup comes into being: built aside, published whole, or not at all.

    .partial-<id>/     what is being written; listed as unfinished, swept by the next backup
    <id>/              published by one rename, after every file and the manifest are on the disk
    .removed-<name>    what retention removes: hidden by one rename first, so no half of it is ever listed

A backup of which one part could not be saved is no backup: nothing is published and the error goes on to the caller.
`make` passes every point of `DECLARED`; wherever it dies, the backups that were there before are untouched.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from time import sleep
from typing import Protocol

import msgspec

from opsconsole.backups import manifest
from opsconsole.backups.buckets import buckets_of
from opsconsole.backups.encryption import MAGIC, SUFFIX, recipients_of
from opsconsole.backups.faults import Level
from opsconsole.backups.identifiers import PARTIAL, REMOVED, next_id
from opsconsole.backups.manifest import CHECKSUMS, HeldFile, Manifest, Part, PartKind
from opsconsole.backups.verifying import verify
from opsconsole.durable import sync_directory, write_private
from opsconsole.model import BackupClass, Record, SourceError
from opsconsole.steps import Steps

DECLARED = {
    "B00": "before the lock is taken",
    "B01": "locked, before anything is looked at",
    "B02": "before the partial directory is made",
    "B03": "before MongoDB is saved",
    "B04": "before Redis is saved",
    "B05": "before files are saved",
    "B06": "before the configuration is saved",
    "B07": "all parts are written, not all is on the disk",
    "B08": "before the manifest is written",
    "B09": "the manifest is on the disk, its name is not",
    "B10": "before the rename that publishes",
    "B11": "renamed, the new name is not on the disk",
    "B12": "published, before its files are read again",
    "B13": "before it is recorded",
    "B14": "before old ones are removed",
    "B15": "all is done, the lock is still held",
}
"""Every point of `make`."""

step = Steps(DECLARED)

_POINTS: tuple[tuple[str, PartKind], ...] = (("B03", "mongo"), ("B04", "redis"), ("B05", "files"), ("B06", "config"))
_MAY_BE_EMPTY = ("config",)


class Saver(Protocol):
    """Saves one part."""

    @property
    def kind(self) -> PartKind: ...

    @property
    def name(self) -> str:
        """Of the service, the directory or the volume: what an error is about."""

    def save(self, place: Path) -> Part:
        """Write files below `place` and say what they hold. Raises SourceError or OSError when it cannot."""


class Order(Record, frozen=True):
    """What backup is wanted, and what its manifest tells besides its parts."""

    backup_class: BackupClass
    why: str = ""
    critical: bool = False
    asked: tuple[PartKind, ...] = ()
    stack: str = ""
    host: str = ""
    release: str = ""
    opsconsole: str = ""
    encrypted_to: tuple[str, ...] = ()  # public keys; then every saver has to encrypt


def _no_preflight() -> None:
    """Nothing to look at."""


def _unrecorded(made: Manifest, place: Path) -> None:
    """Nobody writes it down."""


@dataclass(frozen=True)
class Surroundings:
    """What `make` is given by whoever runs it."""

    lock: Callable[[], AbstractContextManager[object]] = nullcontext
    preflight: Callable[[], None] = _no_preflight  # raises SourceError when there is no use in beginning
    record: Callable[[Manifest, Path], None] = _unrecorded
    prune: Callable[[], None] = _no_preflight
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    wait: Callable[[float], object] = sleep
    zone: tzinfo | None = None  # of the ids and buckets; None: this host's
    disregarded: Collection[str] = ()  # ids that were dated by a wrong clock


class BackupFailed(SourceError):
    """No backup was made; those that were there are untouched."""


def make(directory: Path, order: Order, savers: Sequence[Saver], around: Surroundings | None = None) -> Manifest:
    """Make one backup in `directory` (made when it is not there) and return its manifest.

    Raises BackupFailed when a part or the disk fails, SourceError for a key that is none; what `record` and `prune`
    raise comes after the backup is made.
    """
    around = around or Surroundings()
    recipients_of(order.encrypted_to)
    step("B00")
    with around.lock():
        step("B01")
        around.preflight()
        made = _make(directory, order, savers, around)
        step("B13")
        around.record(made, directory / made.id)
        step("B14")
        around.prune()
        step("B15")
    return made


def _make(directory: Path, order: Order, savers: Sequence[Saver], around: Surroundings) -> Manifest:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        sweep(directory)
        name, begun = next_id(directory, around.clock, around.wait, around.zone, around.disregarded)
        step("B02")
        place = directory / f"{PARTIAL}{name}"
        place.mkdir(mode=0o700)
    except OSError as error:
        raise _failed(f"nothing can be written to {directory}", error) from error
    try:
        made = _written(place, name, begun, order, savers, around)
        _publish(place, made)
    except OSError as error:
        _discard(place)
        raise _failed("the backup could not be written", error) from error
    except BaseException:
        _discard(place)
        raise
    return made


def _written(
    place: Path, name: str, begun: datetime, order: Order, savers: Sequence[Saver], around: Surroundings
) -> Manifest:
    parts = []
    for point, kind in _POINTS:
        step(point)
        parts += [_saved(saver, place, bool(order.encrypted_to)) for saver in savers if saver.kind == kind]
    if not parts:
        raise BackupFailed("there is nothing to back up", "See `opsconsole status` for what was found in this stack.")
    step("B07")
    listed = tuple(file for part in parts for file in part.files)
    lines = manifest.checksum_lines(listed)
    write_private(place / CHECKSUMS, lines)
    _sync_tree(place, {file.path: file.size for file in listed} | {CHECKSUMS: len(lines)})
    local = begun.astimezone(around.zone)
    offset = local.utcoffset()
    made = Manifest(
        id=name,
        taken_at=begun,
        utc_offset_seconds=int(offset.total_seconds()) if offset else 0,
        buckets=buckets_of(begun, around.zone),
        duration_seconds=max(0.0, (around.clock() - begun).total_seconds()),
        parts=tuple(parts),
        checksums=HeldFile(path=CHECKSUMS, size=len(lines), sha256=manifest.sha256(lines)),
        **msgspec.structs.asdict(order),
    )
    step("B08")
    write_private(place / manifest.NAME, manifest.encode(made))
    step("B09")
    sync_directory(place)
    return made


def _saved(saver: Saver, place: Path, encrypted: bool) -> Part:
    what = f"{saver.kind} part {saver.name}"
    try:
        part = saver.save(place)
    except OSError as error:
        raise _failed(f"the {what} could not be saved", error) from error
    except SourceError as error:
        raise BackupFailed(f"the {what} could not be saved: {error.problem}", error.hint) from error
    if not part.files:
        raise BackupFailed(f"the {what} could not be saved: nothing was written")
    for file in part.files:
        if not file.size and part.kind not in _MAY_BE_EMPTY:
            raise BackupFailed(f"the {what} could not be saved: {file.path} is empty (0 bytes)")
        if encrypted != _is_encrypted(place / file.path):
            raise BackupFailed(
                f"the {what} could not be saved: {file.path} is {'not ' if encrypted else ''}encrypted",
                "This is a fault of opsconsole.",
            )
    return part


def _is_encrypted(path: Path) -> bool:
    with path.open("rb") as file:
        return path.suffix == SUFFIX and file.read(len(MAGIC)) == MAGIC


def _publish(place: Path, made: Manifest) -> None:
    final = place.with_name(made.id)
    step("B10")
    if os.path.lexists(final):
        raise BackupFailed(f"{final} is there already", "It is left alone; try again.")
    place.rename(final)
    try:
        step("B11")
        sync_directory(final.parent)
        step("B12")
        faults = verify(final, Level.HASHES).faults
        if faults:
            raise BackupFailed(
                f"what was written does not read back: {faults[0]}", "Look at the disk: dmesg, smartctl -a."
            )
    except BaseException:
        # Whole it may be, but nobody can say so: it must not be listed as good.
        with contextlib.suppress(OSError):
            final.rename(place)
        raise


def _sync_tree(place: Path, expected: dict[str, int]) -> None:
    """Every file and every name below `place` is on the disk, for the owner alone, and there is nothing else."""
    seen = set()
    for directory, names, files in os.walk(place, topdown=False):
        for name in files:
            path = Path(directory, name)
            relative = str(path.relative_to(place))
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                found = os.fstat(fd)
                if not stat.S_ISREG(found.st_mode) or expected.get(relative) != found.st_size:
                    raise BackupFailed(f"{relative} is not what was written: {found.st_size:,} bytes")
                os.fchmod(fd, 0o600)
                os.fsync(fd)
            finally:
                os.close(fd)
            seen.add(relative)
        for name in names:
            os.chmod(Path(directory, name), 0o700)
        sync_directory(Path(directory))
    if lost := sorted(set(expected) - seen):
        raise BackupFailed(f"{lost[0]} is not there although it was written")


def _failed(what: str, error: OSError) -> BackupFailed:
    reason = error.strerror or str(error)
    hint = (
        "Free space on that disk, or set [backups] directory to another."
        if error.errno in (errno.ENOSPC, errno.EDQUOT)
        else ""
    )
    return BackupFailed(f"{what}: {reason}", hint)


# --- removing --------------------------------------------------------------------------------------


def remove(path: Path) -> None:
    """Remove a backup, a directory or a file. One rename hides it, so it is there whole or not at all.

    Raises OSError; what is left then is swept by the next backup.
    """
    hidden = path.with_name(f"{REMOVED}{path.name}")
    path.rename(hidden)
    sync_directory(path.parent)
    _delete(hidden)


def sweep(directory: Path) -> tuple[str, ...]:
    """Remove what killed runs left and return the names. Only while the lock is held: a partial directory may be
    in the making. Raises OSError."""
    swept = []
    for path in _leftovers(directory):
        _delete(path)
        swept.append(path.name)
    return tuple(swept)


def _leftovers(directory: Path) -> Iterator[Path]:
    for name in sorted(os.listdir(directory)):
        if name.startswith(REMOVED) or (name.startswith(PARTIAL) and manifest.is_id(name.removeprefix(PARTIAL))):
            yield directory / name


def _delete(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    (path / manifest.NAME).unlink(missing_ok=True)
    shutil.rmtree(path)


def _discard(place: Path) -> None:
    """As much as the disk lets us; the rest is swept by the next backup."""
    with contextlib.suppress(OSError):
        if os.path.lexists(place):
            _delete(place)
