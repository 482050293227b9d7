"""The plan of a restore: what is replaced, what is newer and would go, what stands still meanwhile, and the way back.

    first     every byte of the backup is read; a safety backup of what is live
    aside     application services stop; everything is loaded beside the live data and compared
    switch    what was loaded takes the place of what is live; services start; gate
    last      what was there before goes; the safety backup keeps it

A failure up to the gate exchanges everything back. Databases stay up all the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from opsconsole.backups import manifest, oplog_ranges, seconds
from opsconsole.backups.encryption import Keys
from opsconsole.backups.findings import counted, some_of
from opsconsole.backups.mongo_choosing import loadable
from opsconsole.backups.naming import BEFORE_RESTORE
from opsconsole.backups.opening import Opened, open_backup
from opsconsole.backups.progress import Told
from opsconsole.config import Config
from opsconsole.model import Backup, BackupClass, Container, SourceError
from opsconsole.operations import backup_acts, backup_plans, journal, restore_redis_ways, restore_state
from opsconsole.operations.backup_keys import private_keys
from opsconsole.operations.backup_plans import MAY_TAKE_SECONDS, NEEDED_LEVEL
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.config_files import config_files
from opsconsole.operations.orders import BackupOrder, NewFile, RestoreOrder
from opsconsole.operations.places import existing_operations, state_directory
from opsconsole.operations.plan import Act, Basis, DataEffect, Downtime, Effect, IfFails, Kind, Plan, Step
from opsconsole.operations.restore_effects import (
    DATA,
    files_said,
    kinds_of,
    mongo_effects,
    notes,
    redis_effects,
    safety_parts,
)
from opsconsole.operations.restore_files import file_targets
from opsconsole.operations.restore_servers import FILES, MONGO, REDIS, only, room
from opsconsole.operations.stack_plans import RUNNING, gate_step
from opsconsole.roles import role_of
from opsconsole.sources.throwaway_places import private_directory

FILE = "file"


def restore(
    found: Scope,
    config: Config,
    backup: Backup,
    order: RestoreOrder,
    told: Told = lambda what, done, total: None,
) -> Plan:
    """Read the backup (unless it was read to level 2 before) and what is live, and plan. Takes as long as that takes.

    Raises SourceError when the backup is not right, or does not have what was chosen; what `told` raises ends it, and
    nothing stays.
    """
    keys = private_keys(config)
    with _read(found, backup, keys, told) as opened:
        told("what is live now", 0, 0)
        return _planned(found, backup, order, opened, keys)


def _planned(found: Scope, backup: Backup, order: RestoreOrder, opened: Opened, keys: Keys) -> Plan:
    opened = only(opened, order)
    kinds = kinds_of(opened, order)
    order = msgspec.structs.replace(order, backup=backup.id, path=backup.path, identity=opened.identity, parts=kinds)
    if order.users and not any(one.users for one in opened.parts):
        raise SourceError(f"the backup {opened.id} holds no users and roles", "Leave them out: they stay as they are.")
    planted = restore_redis_ways.ways(found, opened, order, keys)
    order = msgspec.structs.replace(order, redis_by_files=tuple(planted))
    effects = [*mongo_effects(found, opened, order), *redis_effects(found, opened, order, planted)]
    files = config_files(found, opened, Path(backup.path), keys) if "config" in kinds else ()
    targets = file_targets(opened, found, order) if FILES in kinds else ()
    effects += [
        DataEffect(
            name=one.live,
            what="directory",
            effect=Effect.REPLACED,
            why=f"by {one.part}: {files_said(opened, one.part)}; what is there now is in the safety backup",
        )
        for one in targets
    ]
    effects += [DataEffect(name=one.path, what=FILE, effect=Effect.REPLACED) for one in files]
    stopping = _applications(found) if _touches_data(effects) else ()
    steps = tuple(restore_redis_ways.said_in(_steps(found, order, kinds, stopping, files), planted))
    return Plan(
        kind=Kind.RESTORE,
        stack=found.stack.name,
        directory=found.look.directory,
        facts=found.look.facts,
        basis=Basis.STACK if found.look.compose else Basis.ENGINE,
        bound=bool(found.look.containers),
        steps=steps,
        data=tuple(effects),
        downtime=tuple(
            Downtime(service=name) for name in dict.fromkeys((*(one.service for one in stopping), *planted))
        ),
        running_before=tuple(one.name for one in found.look.containers if one.state in RUNNING),
        services=tuple(dict.fromkeys(one.service for one in stopping)),
        notes=(*found.notes, *notes(backup, opened, order, kinds)),
        way_back=tuple(_way_back(found, kinds, stopping, files)),
        returns_to="the data of before",
        files=tuple(files),
        restore=order,
        backup=BackupOrder(
            backup_class=BackupClass.SAFETY,
            why=f"{BEFORE_RESTORE}{backup.id}",
            parts=safety_parts(found, kinds),
            databases=tuple(new for _, new in order.to),
        ),
        confirm=found.stack.name,
    )


def up_to(found: Scope, backups: Sequence[Backup], order: RestoreOrder) -> RestoreOrder:
    """The order with the backups that reach its moment. Raises SourceError for one outside of every range."""
    assert order.at is not None
    servers = [one.target.name for one in found.connections if one.target.kind == "mongodb"]
    if unknown := sorted(set(order.servers) - set(servers)):
        raise SourceError(f"this stack has no MongoDB {', '.join(unknown)}", f"It has: {', '.join(servers) or 'none'}.")
    shown = oplog_ranges.ranges(backups)
    chains = {
        name: chain
        for name in servers
        if (not order.servers or name in order.servers) and (chain := oplog_ranges.chain_to(backups, name, order.at))
    }
    if len(chains) > 1:
        having = {name: chain for name, chain in chains.items() if _has(found.directory / chain.base, name, order)}
        chains = having if len(having) == 1 else chains
    if len(chains) > 1:
        raise SourceError(f"several servers can be restored to that second: {', '.join(chains)}", "Name one: --server.")
    if not chains:
        said = [f"{seconds.local(one.first)} to {seconds.local(one.last)}" for one in shown]
        raise SourceError(
            f"{seconds.local(order.at)} ({seconds.zone_said(order.at)}) cannot be restored to the second",
            f"What can: {'; '.join(said)}."
            if said
            else "It takes a replica set, a full backup and incremental ones: `opsconsole backup replica-set`.",
        )
    ((name, chain),) = chains.items()
    return msgspec.structs.replace(order, backup=chain.base, slices=chain.slices, parts=(MONGO,), servers=(name,))


def _has(base: Path, server: str, order: RestoreOrder) -> bool:
    """Whether a full backup has of this server what was chosen."""
    chosen = {*order.databases, *(path.partition(".")[0] for path in order.collections)}
    parts = [part for part in manifest.read(base).parts if part.kind == MONGO and part.name == server]
    return bool(chosen) and any(chosen <= {one.database for one in part.collections} for part in parts)


def undoing(directory: Path, operation: str = "") -> RestoreOrder:
    """What brings back what a restore replaced: its safety backup, for the same pieces of data. The last restore that
    was done, unless one is named. Raises SourceError when there is none."""
    for place in reversed(existing_operations(directory)):
        if f"-{Kind.RESTORE.value}-" not in place.name or (operation and not place.name.endswith(operation)):
            continue
        home, records = restore_state.home(place), journal.read(place)
        old, safety = journal.read_plan(home).restore, backup_acts.made_by(place)
        if old is None or restore_state.settled(home) != "new" or not safety:
            if records and records[-1].result is journal.Result.DONE and not journal.read_plan(place).as_undo:
                raise SourceError(
                    f"{place.name} put only configuration in place",
                    f"`opsconsole rollback config --undo --operation {place.name}` takes it back; --operation names "
                    "another restore.",
                )
            continue
        to = dict(old.to)
        return RestoreOrder(
            backup=safety,
            parts=tuple(kind for kind in old.parts if kind in DATA),
            servers=_servers(home, old),
            databases=tuple(to.get(name, name) for name in _databases(home, old)),
            collections=tuple(_renamed(path, to) for path in old.collections),
            redis_databases=old.redis_databases,
            redis_keys=old.redis_keys,
            files=old.files,
            undoes=place.name,
        )
    raise SourceError("there is no restore to undo", "See `opsconsole history`.")


def _servers(home: Path, old: RestoreOrder) -> tuple[str, ...]:
    """Those that were chosen, by name or by what they have; () is all."""
    if old.servers or not (old.databases or old.collections):
        return old.servers
    return tuple(restore_state.servers(home, "mongo"))


def _renamed(path: str, to: Mapping[str, str]) -> str:
    """Where a collection was restored to."""
    database, dot, name = path.partition(".")
    return f"{to.get(database, database)}{dot}{name}"


def _databases(home: Path, old: RestoreOrder) -> tuple[str, ...]:
    """Those that were restored whole: chosen, or all that the backup had."""
    if old.databases or old.collections:
        return old.databases
    opened = restore_state.opened(home)
    held = [one for part in opened.parts if part.kind == MONGO for one in loadable(part.collections)]
    return tuple(sorted({one.database for one in held}))


def undone(old: Plan, look: Scope, operation: str, *, settled: str, finish: bool = False) -> Plan:
    """Exchange everything back after a restore that was left half done. `finish`: its way back had begun."""
    if settled == "new":
        raise SourceError(
            "this restore is done but for removing what was there before: it cannot be exchanged back",
            f"`opsconsole operations finish {operation}`, then `opsconsole restore --undo`.",
        )
    steps = old.way_back if old.way_back and not old.as_undo else old.steps
    return Plan(
        kind=Kind.RESTORE,
        stack=old.stack,
        directory=old.directory,
        facts=look.look.facts,
        bound=False,
        steps=steps,
        running_before=old.running_before,
        services=old.services,
        resolves=operation,
        as_undo=not finish,
        files=old.files,
        restore=old.restore,
        backup=old.backup,
        data=tuple(DataEffect(name=one.name, what=one.what, database=one.database) for one in old.data),
        notes=("everything is exchanged back: the data is the one of before the restore",),
    )


@contextmanager
def _read(found: Scope, backup: Backup, keys: Keys, told: Told) -> Iterator[Opened]:
    """What the backup holds; an older layout is unpacked for the look, and gone afterwards. Raises SourceError."""
    with private_directory(state_directory(Path(found.look.directory))) as scratch:
        known = (backup.checked_level or 0) >= NEEDED_LEVEL
        yield open_backup(backup, scratch, room(scratch), check=not known, keys=keys, told=told)


# --- steps -----------------------------------------------------------------------------------------


def _steps(
    found: Scope, order: RestoreOrder, kinds: Sequence[str], stopping: Sequence[Container], files: Sequence[NewFile]
) -> Iterator[Step]:
    data = [kind for kind in kinds if kind in DATA]
    yield Step(
        id="check",
        title=f"Read every byte of {order.backup}",
        act=Act.CHECK_BACKUP,
        effect="Hashes, documents, keys and files. Nothing is touched when anything is wrong.",
        seconds=MAY_TAKE_SECONDS,
    )
    if data:
        safety = BackupOrder(backup_class=BackupClass.SAFETY, parts=safety_parts(found, kinds))
        yield backup_plans.save_step(found, safety, act=Act.SAFETY_BACKUP)
    if stopping:
        yield _compose(found, "stop", "Stop", stopping, "Nobody writes meanwhile; databases stay up.")
    if order.at is not None:
        yield Step(
            id="put-together",
            title=f"Put MongoDB together as it was at {order.at:%Y-%m-%d %H:%M:%S} UTC",
            act=Act.PUT_TOGETHER,
            effect=f"{order.backup} and {counted(len(order.slices), 'incremental backup')} after it, in a throw-away "
            "server; the live one is not touched.",
            seconds=MAY_TAKE_SECONDS,
            turns_back=True,
        )
    for kind in data:
        yield Step(
            id=f"load:{kind}",
            title=f"Load {_words(kind)} beside the live data and compare",
            act=Act.LOAD,
            effect="The live data is not touched.",
            seconds=MAY_TAKE_SECONDS,
            turns_back=True,
        )
    for kind in data:
        yield Step(
            id=f"swap:{kind}",
            title=f"Put {_words(kind)} in place",
            act=Act.SWAP,
            cuttable=False,
            effect=_SWAPS[kind],
            seconds=MAY_TAKE_SECONDS,
            turns_back=True,
        )
    if files:
        yield Step(
            id="restore-files",
            title=f"Put {some_of([one.path for one in files])} in place",
            act=Act.RESTORE_FILES,
            cuttable=False,
            effect="The files of now are kept beside the journal.",
            turns_back=True,
        )
    if stopping:
        yield _compose(found, "start", "Start", stopping, "The same containers as before.")
        yield msgspec.structs.replace(gate_step(tuple(one.name for one in stopping)), turns_back=True)
    if order.users and MONGO in kinds:
        yield Step(
            id="users",
            title="Users and roles of MongoDB as the backup has them",
            act=Act.USERS,
            cuttable=False,
            effect="Others stay, and whoever is logged in here.",
            if_fails=IfFails.GOES_ON,
        )
    if data:
        yield Step(
            id="clear:new-stays",
            title="Remove what was there before",
            act=Act.CLEAR_BESIDE,
            cuttable=False,
            effect="The safety backup keeps it: `opsconsole restore --undo` brings it back.",
            if_fails=IfFails.IS_TOLD,
        )


def _way_back(
    found: Scope, kinds: Sequence[str], stopping: Sequence[Container], files: Sequence[NewFile]
) -> Iterator[Step]:
    data = [kind for kind in kinds if kind in DATA]
    if stopping:
        yield msgspec.structs.replace(_compose(found, "stop", "Stop", stopping, ""), id="stop-again", turns_back=False)
    if files:
        yield Step(id="files-back", title="Put the files of before back", act=Act.FILES_BACK, cuttable=False)
    if data:
        yield Step(
            id="swap-back",
            title="Put the data of before back in its place",
            act=Act.SWAP_BACK,
            cuttable=False,
            seconds=MAY_TAKE_SECONDS,
        )
    if stopping:
        again = _compose(found, "start", "Start", stopping, "")
        yield msgspec.structs.replace(again, id="start-again", turns_back=False)
        yield msgspec.structs.replace(gate_step(tuple(one.name for one in stopping)), id="gate-again")
    if data:
        yield Step(
            id="clear:old-stays",
            title="Remove what was loaded",
            act=Act.CLEAR_BESIDE,
            cuttable=False,
            if_fails=IfFails.IS_TOLD,
        )


_SWAPS = {
    MONGO: "Collection by collection, by renaming: milliseconds each. What was live stays beside.",
    REDIS: "All databases in one transaction; works with and without appendonly.",
    FILES: "By renaming directories. What was live stays beside.",
}


def _words(kind: str) -> str:
    return {MONGO: "MongoDB", REDIS: "Redis", FILES: "files"}[kind]


def _compose(found: Scope, verb: str, title: str, containers: Sequence[Container], effect: str) -> Step:
    names = tuple(one.name for one in containers)
    return Step(
        id=f"{verb}-applications",
        title=f"{title} {some_of(list(dict.fromkeys(one.service for one in containers)))}",
        commands=(("docker", verb, *names),),
        services=tuple(dict.fromkeys(one.service for one in containers)),
        cuttable=False,
        effect=effect,
        turns_back=True,
    )


def _applications(found: Scope) -> tuple[Container, ...]:
    """What may write and runs: everything but the databases, those that depend on others first."""
    running = [one for one in found.look.containers if one.state in RUNNING]
    return tuple(one for one in running if not role_of(one.image, one.command) and not _is_database(found, one))


def _is_database(found: Scope, container: Container) -> bool:
    return any(one.target.service == container.service for one in found.connections if one.target.service)


def _touches_data(effects: Sequence[DataEffect]) -> bool:
    """A file of the configuration is put in place while everything runs."""
    return any(one.effect is not Effect.SAFE and one.what != FILE for one in effects)
