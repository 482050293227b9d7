"""The acts of backups: one is made, some are verified, some are removed."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from opsconsole.backups import marks, pruning
from opsconsole.backups.findings import counted
from opsconsole.backups.progress import Cancelled
from opsconsole.backups.retention import Policy
from opsconsole.backups.verifying import Level, verify
from opsconsole.model import Backup, BackupClass, SourceError
from opsconsole.operations import acts, backup_plans, plan, saving
from opsconsole.operations.acts import Failed, Fields, Operation, Stopped
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.journal import Result
from opsconsole.operations.plan import Act, BackupOrder, Step


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
    level = Level(operation.plan.level)
    found = operation.scope()
    backup = _of(found, name)
    required = operation.config.backups.required_collections
    seen = verify(
        found.directory / backup.id,
        level,
        told=in_bytes(operation),
        required=required if level >= Level.PARSED else (),
    )
    problem = str(seen.faults[0]) if seen.faults else ""
    known = marks.read(found.directory, name)
    marks.write(
        found.directory, name, marks.checked(known, marks.Check(level=level, at=datetime.now(UTC), problem=problem))
    )
    if seen.faults:
        more = f" and {len(seen.faults) - 1} more faults" if len(seen.faults) > 1 else ""
        raise SourceError(f"{name} is not right: {problem}{more}", "Take another backup now; this one is not counted.")
    return {"text": f"level {level.value}: right"}


def prune(operation: Operation, one: Step) -> Fields:
    """Act.PRUNE. Of a plan that names backups only those go; after a backup, what no rule keeps."""
    found = operation.scope()
    backups = listed(found)
    answer = backup_plans.decided(found.directory, backups, operation.config)
    if answer.frozen:
        return {"text": answer.frozen}
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
}


def in_bytes(operation: Operation) -> Callable[[str, int, int], None]:
    """Tells watchers how far it is, once a second at most."""
    next_at = 0.0

    def told(what: str, done: int, total: int) -> None:
        nonlocal next_at
        if what and time.monotonic() >= next_at:
            next_at = time.monotonic() + 1.0
            operation.progress(what, done, total or None, "bytes")

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
