"""Plans for what is done with backups: one is made, some are verified, some are removed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from opsconsole.backups import copying, pruning
from opsconsole.backups.faults import Level
from opsconsole.backups.findings import counted
from opsconsole.backups.opening import OWN
from opsconsole.backups.policy import policy_of, said
from opsconsole.backups.retention import Retention
from opsconsole.config import Config
from opsconsole.model import Backup, BackupClass, BackupState, SourceError
from opsconsole.operations import journal
from opsconsole.operations.backup_keys import recipients
from opsconsole.operations.backup_scope import KINDS, Scope
from opsconsole.operations.orders import BackupOrder
from opsconsole.operations.places import existing_operations
from opsconsole.operations.plan import Act, DataEffect, Effect, IfFails, Kind, Plan, Step
from opsconsole.operations.stack_plans import NothingToDo

NEEDED_LEVEL = Level.PARSED
"""To which a backup is read before anything of it is restored."""

MAY_TAKE_SECONDS = 24 * 3600.0
"""Of data: as long as it takes. What hangs is noticed by the connection, not by a clock."""


def backup(found: Scope, config: Config, order: BackupOrder, *, prune: bool = True) -> Plan:
    """One recovery point of the stack, or of some kinds of its parts. Raises SourceError."""
    recipients(config)
    if order.incremental and order.parts:
        raise SourceError("an incremental backup is of MongoDB alone", "Leave --part out.")
    kinds = chosen_kinds(found, ("mongo",) if order.incremental else order.parts)
    if not order.parts and kinds == ("config",):
        raise SourceError(
            "there is nothing to back up: no database and no directory with data was found",
            "See `opsconsole status`; [mongodb], [redis] and [data] in opsconsole.toml say where they are.",
        )
    steps = [save_step(found, order)]
    if order.backup_class is not BackupClass.SAFETY and config.copy.chosen:
        steps.append(copy_step(found, config))
    if prune and not order.parts and not order.incremental and order.backup_class is not BackupClass.SAFETY:
        steps.append(
            Step(
                id="prune",
                title="Remove backups that no rule keeps",
                act=Act.PRUNE,
                effect=f"{said(policy_of(config))}. Nothing goes when this backup is not good.",
                seconds=MAY_TAKE_SECONDS,
                if_fails=IfFails.GOES_ON,
            )
        )
    offered = [f"the volume {name} is in no backup: name it in [backups] volumes" for name in found.offered]
    return Plan(
        kind=Kind.BACKUP,
        stack=found.stack.name,
        directory=found.look.directory,
        bound=False,  # it changes nothing, and what it saves is what is there when it runs
        steps=tuple(steps),
        data=tuple(_held(found, kinds)),
        notes=(*found.notes, *offered),
        backup=order,
    )


def save_step(found: Scope, order: BackupOrder, *, act: Act = Act.SAVE) -> Step:
    """The step that makes a backup: its own, or the safety backup of another operation."""
    what = "Safety backup" if act is Act.SAFETY_BACKUP else "Backup"
    if order.incremental:
        what = "Incremental backup"
    names = ", ".join(part_names(found, chosen_kinds(found, ("mongo",) if order.incremental else order.parts)))
    return Step(
        id="safety-backup" if act is Act.SAFETY_BACKUP else "backup",
        title=f"{what} of {names}",
        act=act,
        effect=f"Into {found.directory}; published once every byte is on the disk and reads back.",
        seconds=MAY_TAKE_SECONDS,
    )


def chosen_kinds(found: Scope, wanted: Sequence[str]) -> tuple[str, ...]:
    """The kinds of parts that are meant. Raises SourceError for one that this stack does not have."""
    there = found.kinds
    for kind in wanted:
        if kind not in there:
            raise SourceError(f"this stack has nothing of kind {kind} to back up", f"There are: {', '.join(there)}.")
    return tuple(kind for kind in KINDS if kind in (wanted or there))


def part_names(found: Scope, kinds: Sequence[str]) -> list[str]:
    """What an operator calls the parts."""
    words = {"mongodb": ("mongo", "MongoDB"), "redis": ("redis", "Redis")}
    names = [
        word if one.target.name in (one.target.kind, "host") else f"{word} {one.target.name}"
        for one in found.connections
        for kind, word in [words[one.target.kind]]
        if kind in kinds
    ]
    names += [f"{place.name}/" for place in found.places if "files" in kinds]
    return [*names, *(["configuration"] if "config" in kinds else [])]


def _held(found: Scope, kinds: Sequence[str]) -> list[DataEffect]:
    """Everything that there is: what is saved, and what is not."""
    databases = {"mongodb": "mongo", "redis": "redis"}
    effects = [
        DataEffect(
            name=one.target.name,
            what="MongoDB" if one.target.kind == "mongodb" else "Redis",
            effect=Effect.BACKED_UP if databases[one.target.kind] in kinds else Effect.SAFE,
        )
        for one in found.connections
    ]
    return effects + [
        DataEffect(
            name=place.volume or str(place.path),
            what="volume" if place.volume else "directory",
            effect=Effect.BACKED_UP if "files" in kinds else Effect.SAFE,
        )
        for place in found.places
    ]


# --- copy ------------------------------------------------------------------------------------------


def copy(found: Scope, config: Config, backups: Sequence[Backup]) -> Plan:
    """Copy backups to the place that the settings name. Raises SourceError when they name none."""
    if not config.copy.chosen:
        raise SourceError(
            "there is no place to copy to", "Set rclone, rsync or command under [copy] in opsconsole.toml."
        )
    for one in backups:
        if one.layout != OWN and not config.copy.command:
            raise SourceError(
                f"{one.id} was not made by opsconsole: without a manifest no copy of it can be compared",
                f"Copy it by hand: {one.path}",
            )
    return Plan(
        kind=Kind.COPY,
        stack=found.stack.name,
        directory=found.look.directory,
        bound=False,
        steps=tuple(copy_step(found, config, one.id) for one in backups),
        backups=tuple(one.id for one in backups),
    )


def copy_step(found: Scope, config: Config, backup: str = "") -> Step:
    """The step that copies a backup, the one that the operation has made by default. Raises SourceError."""
    return Step(
        id=f"copy:{backup}" if backup else "copy",
        title=f"Copy {backup or 'it'} to {copying.place_of(config.copy)}",
        act=Act.COPY,
        commands=copying.commands(found.directory / (backup or "BACKUP"), config.copy),
        effect="Compared over there; its manifest goes last, so that half a copy is none.",
        seconds=config.copy.timeout_hours * 3600,
        if_fails=IfFails.GOES_ON,
    )


# --- verify ----------------------------------------------------------------------------------------


def verify(found: Scope, backups: Sequence[Backup], level: Level) -> Plan:
    """Look at backups, to a level. Nothing but what is known of them is written."""
    words = {
        Level.MANIFEST: "The manifest is whole and the files that it lists are there.",
        Level.HASHES: "Every byte is what it was: SHA-256 of every file.",
        Level.PARSED: "Everything in it can be read: every document, key and file; counts are those of the manifest.",
        Level.RESTORED: "It is restored into throw-away servers and compared: counts, digests, indexes.",
    }
    steps = [
        Step(
            id=f"verify:{one.id}",
            title=f"Verify {one.id} to level {level.value}",
            act=Act.VERIFY,
            effect=words[level],
            seconds=MAY_TAKE_SECONDS,
            if_fails=IfFails.GOES_ON,
        )
        for one in backups
    ]
    return Plan(
        kind=Kind.VERIFY,
        stack=found.stack.name,
        directory=found.look.directory,
        bound=False,
        steps=tuple(steps),
        backups=tuple(one.id for one in backups),
        level=level.value,
    )


# --- prune -----------------------------------------------------------------------------------------


def prune(found: Scope, backups: Sequence[Backup], config: Config, now: datetime | None = None) -> Plan:
    """Remove what no rule keeps. Raises NothingToDo, with the reason why nothing may go."""
    answer = decided(found.directory, backups, config, now)
    if answer.frozen:
        raise NothingToDo(
            answer.frozen,
            "`opsconsole backup list` says what is wrong with it. The next good one lets older ones go again: "
            "`opsconsole backup create`.",
        )
    if failed := last_attempt_failed(Path(found.look.directory), backups):
        raise NothingToDo(failed, "`opsconsole history` says why; a backup that is made lets older ones go again.")
    going = answer.removable
    if not going:
        raise NothingToDo(
            f"every one of {counted(len(backups), 'backup')} is kept", "`opsconsole backup list` says why."
        )
    sizes = {one.id: one.size_bytes for one in backups}
    why = {one.id: one.why for one in answer.decisions}
    staying = [one for one in answer.decisions if one.kept]
    return Plan(
        kind=Kind.PRUNE,
        stack=found.stack.name,
        directory=found.look.directory,
        bound=False,  # what may go is asked again when it runs, and only what stands here goes
        steps=(
            Step(
                id="prune",
                title=f"Remove {counted(len(going), 'backup')}, oldest first",
                act=Act.PRUNE,
                effect=f"{said(policy_of(config))}.",
                seconds=MAY_TAKE_SECONDS,
            ),
        ),
        data=tuple(
            DataEffect(name=one, what=f"backup, {sizes[one]:,} bytes", effect=Effect.LOST, why=why[one])
            for one in going
        ),
        notes=tuple(f"{one.id} stays: {one.why}" for one in staying),
        backups=going,
    )


def nothing_goes(directory: Path, backups: Sequence[Backup], config: Config) -> str:
    """Why no backup is removed for now, whatever the rules say of each; "" when they decide. `directory`: of the
    stack."""
    where = Path(backups[0].path).parent if backups else directory
    return decided(where, backups, config).frozen or last_attempt_failed(directory, backups)


def last_attempt_failed(directory: Path, backups: Sequence[Backup]) -> str:
    """Why nothing is removed in the stack of this directory: no whole backup was made since the last attempt failed."""
    made = max((one.taken_at for one in backups if one.state is BackupState.GOOD and not one.asked), default=None)
    for place in reversed(existing_operations(directory)):
        if f"-{Kind.BACKUP.value}-" not in place.name or not (records := journal.read(place)):
            continue
        if made is not None and records[0].at < made:
            return ""
        order = journal.read_plan(place).backup
        if order is None or order.parts or order.incremental:
            continue
        if any(entry.backup for entry in records):  # also when it was not copied
            return ""
        if records[-1].result is journal.Result.FAILED:
            return f"nothing is removed: the last backup, begun {records[0].at:%Y-%m-%d %H:%M} UTC, failed"
    return ""


def decided(directory: Path, backups: Sequence[Backup], config: Config, now: datetime | None = None) -> Retention:
    """What retention says of each backup."""
    return pruning.plan(directory, backups, policy_of(config), now or datetime.now(UTC))
