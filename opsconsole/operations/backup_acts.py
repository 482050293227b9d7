"""The acts of backups: one is made, some are verified, some are removed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from opsconsole.backups import copying, manifest, marks, pruning
from opsconsole.backups.copying import CopyInDoubt
from opsconsole.backups.encryption import NO_KEYS
from opsconsole.backups.faults import Level
from opsconsole.backups.findings import counted
from opsconsole.backups.manifest import Part
from opsconsole.backups.progress import Cancelled, Pace, Told
from opsconsole.backups.proof import LiveServer, Proof
from opsconsole.backups.retention import Policy
from opsconsole.backups.verified_backups import Asked, verify_and_mark
from opsconsole.model import Backup, BackupClass, SourceError
from opsconsole.operations import acts, backup_plans, journal, plan, saving
from opsconsole.operations.acts import Failed, Fields, Operation, Stopped
from opsconsole.operations.backup_keys import private_keys
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.journal import Result
from opsconsole.operations.orders import BackupOrder
from opsconsole.operations.plan import Act, Kind, Step


def save(operation: Operation, one: Step) -> Fields:
    """Act.SAVE and Act.SAFETY_BACKUP. A part that cannot be saved is no backup, and fails the step."""
    safety = one.act is Act.SAFETY_BACKUP
    order = _safety_order(operation) if safety else operation.plan.backup or BackupOrder()
    found = operation.scope()
    earlier = listed(found)
    try:
        made = saving.save(
            found,
            operation.config,
            order,
            earlier=earlier,
            told=in_bytes(operation),
            cancelled=lambda: bool(operation.cancel()),
        )
    except Cancelled:
        raise acts.cancelled(operation, one) from None
    fields: Fields = {"text": saving.described(made), "backup": made.id}
    if (doubt := saving.doubt(made, earlier)) and not safety:
        problem = f"the backup {made.id} was made and {doubt}"
        hint = "Look at it: `opsconsole backup list`. Nothing older is removed as long as it is the newest."
        raise Failed(fields, Stopped(Result.FAILED, problem, hint))
    return fields


def verify_backup(operation: Operation, one: Step) -> Fields:
    """Act.VERIFY. What was found is written beside the backup; a fault fails the step and names the file."""
    name = one.id.partition(":")[2]
    found = operation.scope()
    asked = Asked(
        level=Level(operation.plan.level),
        required=operation.config.backups.required_collections,
        operation=operation.place.name,
        keys=private_keys(operation.config) if operation.plan.level >= Level.PARSED else NO_KEYS,
    )
    try:
        seen = verify_and_mark(
            _of(found, name),
            asked,
            live_servers(found),
            told=in_bytes(operation),
            cancelled=lambda: bool(operation.cancel()),
        )
    except Cancelled:
        raise acts.cancelled(operation, one) from None
    if seen.faults:
        more = f" and {len(seen.faults) - 1} more faults" if len(seen.faults) > 1 else ""
        raise SourceError(
            f"{name} is not right: {seen.faults[0]}{more}", "Take another backup now; this one is not counted."
        )
    said = f"level {seen.level.value}: right" + (f": {seen.proof.words}" if seen.proof else "")
    if seen.proof is not None and seen.proof.proven:
        said += f"; restored in {seen.proof.seconds:.1f} s ({', '.join(dict.fromkeys(way_words(seen.proof)))})"
    if not seen.complete and asked.level is Level.RESTORED:
        raise SourceError(f"{name} could not be proven: {seen.note}", f"{said}. It says nothing against the backup.")
    counts = seen.counts or (_counts(found.directory / name) if seen.level >= Level.PARSED else {})
    text = said + "".join(f"; {more}" for more in (seen.note, seen.unrecorded) if more)
    return {"text": text, "counts": counts}


def _counts(directory: Path) -> dict[str, int]:
    """As its manifest has them, which was found right; {} without one."""
    if not directory.is_dir() or not (directory / manifest.NAME).exists():
        return {}
    return counts_of(manifest.read(directory).parts)


def counts_of(parts: Sequence[Part]) -> dict[str, int]:
    """Documents by "database.collection"; of several servers by "server/database.collection"."""
    having = [part for part in parts if part.collections]
    return {
        f"{part.name}/{one.database}.{one.name}" if len(having) > 1 else f"{one.database}.{one.name}": one.documents
        for part in having
        for one in part.collections
    }


def way_words(proof: Proof) -> Iterator[str]:
    """How each part was tried: `restored into a container of mongo:6.0`."""
    return (part.way for part in proof.parts if part.way)


def live_servers(found: Scope) -> tuple[LiveServer, ...]:
    """The stack's databases with the images that their containers run, for a proof in throw-away ones."""
    images = {one.service: one.image_id or one.image for one in found.look.containers}
    return tuple(LiveServer(one, images.get(one.target.service, "")) for one in found.connections if one.uri)


def copy_away(operation: Operation, one: Step) -> Fields:
    """Act.COPY. The backup that the plan names, else the one that the operation has made."""
    found = operation.scope()
    name = one.id.partition(":")[2] or made_by(operation.place)
    if not name:
        raise SourceError("nothing was copied: no backup was made", "See what failed before.")
    try:
        made = copying.copy(
            found.directory / name,
            operation.config.copy,
            operation.run_command,
            lambda: datetime.now(UTC),
            operation.directory,
            told=lambda what: operation.progress(what),
        )
    except CopyInDoubt:
        known = marks.read(found.directory, name)
        if (doubted := marks.doubted(known, copying.place_of(operation.config.copy))) != known:
            marks.write(found.directory, name, doubted)
        raise
    marks.write(found.directory, name, marks.copied(marks.read(found.directory, name), made))
    return {"text": copying.words(made)}


def made_by(place: Path) -> str:
    """Id of the backup that an operation has made, or the one that it finishes; "" before it did."""
    if found := next((entry.backup for entry in reversed(journal.read(place)) if entry.backup), ""):
        return found
    resolves = journal.read_plan(place).resolves
    return made_by(place.parent / resolves) if resolves else ""


def prune(operation: Operation, one: Step) -> Fields:
    """Act.PRUNE. Of a plan that names backups only those go; after a backup, what no rule keeps."""
    found = operation.scope()
    backups = listed(found)
    answer = backup_plans.decided(found.directory, backups, operation.config)
    frozen = answer.frozen
    if operation.plan.kind is Kind.PRUNE:  # else this is the operation that has just made one
        frozen = frozen or backup_plans.last_attempt_failed(operation.directory, backups)
    if frozen:
        return {"text": frozen}
    approved = operation.plan.backups or answer.removable
    gone = pruning.apply(found.directory, approved, answer, told=lambda name: operation.progress(f"removes {name}"))
    spared = sorted(set(approved) - set(gone))
    text = f"{counted(len(gone), 'backup')} removed" + (f": {', '.join(gone)}" if gone else "")
    return {"text": text + (f"; kept after all: {', '.join(spared)}" if spared else "")}


ACTS: dict[Act, acts.Act] = {
    Act.SAVE: save,
    Act.SAFETY_BACKUP: save,
    Act.VERIFY: verify_backup,
    Act.PRUNE: prune,
    Act.COPY: copy_away,
}


def in_bytes(operation: Operation) -> Told:
    """Tells watchers how far it is, once a second at most."""
    next_at, pace = 0.0, Pace()

    def told(what: str, done: int, total: int) -> None:
        nonlocal next_at
        now, speed = time.monotonic(), pace.words(done, total)
        if what and now >= next_at:
            next_at = now + 1.0
            operation.progress(what + speed, done, total or None, "bytes")

    return told


def listed(found: Scope, policy: Policy | None = None) -> tuple[Backup, ...]:
    """The backups that are there, newest first; with a policy, why each is kept. Raises SourceError."""
    from opsconsole.backups.catalog import Catalog

    return Catalog(policy=policy).look(found.stack)


def _safety_order(operation: Operation) -> BackupOrder:
    order = operation.plan.backup or BackupOrder(why=f"before the {plan.title(operation.plan)}")
    return msgspec.structs.replace(order, backup_class=BackupClass.SAFETY)


def _of(found: Scope, name: str) -> Backup:
    for one in listed(found):
        if one.id == name:
            return one
    raise SourceError(f"the backup {name} is not there any more", "See `opsconsole backup list`.")
