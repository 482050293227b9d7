"""A backup verified on the level that is asked for, whatever its layout, and the result written down beside it.

Older layouts have no manifest: on levels 0 and 1 there is only what the catalogue says of their files (level 0).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from opsconsole.backups import marks
from opsconsole.backups.encryption import NO_KEYS, Keys
from opsconsole.backups.faults import Fault, Level
from opsconsole.backups.marks import Check
from opsconsole.backups.progress import Cancelled, IsCancelled, Told
from opsconsole.backups.proof import LiveServer, Proof, is_corrupt
from opsconsole.backups.verifying import verify
from opsconsole.model import Backup, BackupState, Record, SourceError

OWN = "opsconsole"
_RESERVE = 1 << 30


class Verification(Record, frozen=True):
    """What was found. Right up to `level` when there are no faults, else wrong on it."""

    id: str
    asked: Level
    level: Level
    faults: tuple[Fault, ...] = ()
    proof: Proof | None = None  # on level 3
    note: str = ""  # why it is not the level that was asked for
    counts: dict[str, int] = {}  # documents by "database.collection", of a layout without a manifest
    unrecorded: str = ""  # why the result could not be written down

    @property
    def ok(self) -> bool:
        """Nothing is wrong. Whether all that was asked could be looked at is another matter: see `complete`."""
        return not self.faults

    @property
    def complete(self) -> bool:
        return self.ok and self.level >= self.asked


@dataclass(frozen=True)
class Asked:
    """How to look. `required`: collections that must have documents, from level 2 on; `keys`: of an encrypted one."""

    level: Level
    required: tuple[str, ...] = ()
    operation: str = ""
    keys: Keys = NO_KEYS


def verify_and_mark(
    backup: Backup,
    asked: Asked,
    servers: Sequence[LiveServer] = (),
    told: Told = lambda what, done, total: None,
    cancelled: IsCancelled = lambda: False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Verification:
    """Verify a backup and write the result into its marks. `servers` are needed for level 3 only.

    Raises Cancelled, and SourceError when nothing could be looked at; nothing is written down then.
    """

    def listen(what: str, done: int, total: int) -> None:
        if cancelled():
            raise Cancelled
        told(what, done, total)

    looking = _own if backup.layout == OWN else _older
    found = looking(backup, asked, servers, listen, cancelled)
    return _recorded(backup, found, clock())


def _own(
    backup: Backup, asked: Asked, servers: Sequence[LiveServer], told: Told, cancelled: IsCancelled
) -> Verification:
    from opsconsole.backups.proving import prove

    directory = Path(backup.path)
    found = verify(directory, min(asked.level, Level.PARSED), told=told, required=asked.required, keys=asked.keys)
    if not found.ok or asked.level < Level.RESTORED:
        return Verification(id=backup.id, asked=asked.level, level=found.reached, faults=found.faults)
    assert found.manifest is not None
    proof = prove(directory, found.manifest, servers, told, cancelled, operation=asked.operation, keys=asked.keys)
    return _with_proof(backup, asked, proof)


def _older(
    backup: Backup, asked: Asked, servers: Sequence[LiveServer], told: Told, cancelled: IsCancelled
) -> Verification:
    if backup.state in (BackupState.DAMAGED, BackupState.UNFINISHED):
        problem = backup.problem.removeprefix(f"{backup.id} ")
        if problem == backup.problem:
            problem = f"is {backup.state.value}: {problem}"
        fault = Fault(path=backup.id, problem=problem)
        return _wrong(backup, asked, Level.MANIFEST, (fault,))
    if asked.level < Level.PARSED:
        note = "it has no manifest: there are no hashes to compare" if asked.level is Level.HASHES else ""
        return Verification(id=backup.id, asked=asked.level, level=Level.MANIFEST, note=note)
    from opsconsole.backups import older_layouts
    from opsconsole.backups.proving import prove_older
    from opsconsole.sources.throwaway_places import private_directory

    parent = Path(backup.path).parent
    with private_directory(parent) as scratch:
        limit = max(0, shutil.disk_usage(parent).free - _RESERVE)
        try:
            parts = older_layouts.opened(backup, scratch, limit, told)
        except SourceError as error:
            if not is_corrupt(error):
                raise
            name, _, problem = error.problem.partition(" ")
            return _wrong(backup, asked, Level.PARSED, (Fault(path=name, problem=problem),))
        faults, counts = older_layouts.check(parts, asked.required)
        if faults:
            return _wrong(backup, asked, Level.PARSED, faults)
        if asked.level < Level.RESTORED:
            return Verification(id=backup.id, asked=asked.level, level=Level.PARSED, counts=counts)
        proof = prove_older(parts, scratch, servers, told, cancelled, operation=asked.operation)
    return msgspec.structs.replace(_with_proof(backup, asked, proof), counts=counts)


def _wrong(backup: Backup, asked: Asked, level: Level, faults: tuple[Fault, ...]) -> Verification:
    return Verification(id=backup.id, asked=asked.level, level=level, faults=faults)


def _with_proof(backup: Backup, asked: Asked, proof: Proof) -> Verification:
    level = Level.RESTORED if proof.faults or proof.proven else Level.PARSED
    note = "; ".join(f"{one.name} was not restored: {one.problem}" for one in proof.unproven)
    return Verification(id=backup.id, asked=asked.level, level=level, faults=proof.faults, proof=proof, note=note)


def _recorded(backup: Backup, found: Verification, at: datetime) -> Verification:
    directory = Path(backup.path).parent
    known = marks.read(directory, backup.id)
    if known.problem:
        # Written over, it would be pinned no more.
        return msgspec.structs.replace(found, unrecorded=known.problem)
    seconds = found.proof.seconds if found.proof is not None and found.proof.proven else None
    checks = [Check(level=found.level, at=at, problem=str(found.faults[0]) if found.faults else "", seconds=seconds)]
    if found.faults and found.level is Level.RESTORED:
        checks.append(Check(level=Level.PARSED, at=at))
    for check in checks:
        known = marks.checked(known, check)
    try:
        marks.write(directory, backup.id, known)
    except SourceError as error:
        return msgspec.structs.replace(found, unrecorded=error.problem)
    return found
