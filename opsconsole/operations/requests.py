"""From what somebody wants to an operation that runs: the same for the command line and for the console.

`PLANS` has a line for everything that can be asked for: the function that looks at the stack and makes the plan.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from opsconsole.model import Record, SourceError
from opsconsole.operations.orders import BackupOrder, DatabaseOrder, ImportOrder, RestoreOrder
from opsconsole.operations.plan import Act, Basis, Kind, Plan, Step

if TYPE_CHECKING:
    from opsconsole.backups.progress import Told
    from opsconsole.config import Config
    from opsconsole.operations.backup_scope import Scope
    from opsconsole.operations.facts import Look


class Site(Record, frozen=True):
    """Which stack is operated on, and with which settings."""

    directory: Path
    project: str = ""  # its name, where the directory does not tell
    config_file: str = ""  # settings file that was named; "" is the one in the directory

    def config(self) -> Config:
        """As it is now: the process that runs the operation reads it again, too. Raises ConfigError."""
        from opsconsole import config

        return config.load(Path(self.config_file)) if self.config_file else config.load_from(self.directory)


class Request(Record, frozen=True):
    """What somebody wants done. `what` is a name in PLANS; the rest says how, where that applies."""

    what: str
    services: tuple[str, ...] = ()  # these only; () is the whole stack
    rolling: bool = False
    operation: str = ""  # the half-done one that is to be finished or undone; the one that is done and undone
    no_cache: bool = False  # deploy: build without the cache
    to: str = ""  # rollback: this release; "" is the one before
    commit: str = ""  # rollback of the configuration: this commit
    fetch: bool = True  # update: ask the remote what is new
    safety: bool = True  # update, rollback of the configuration: take a safety backup first
    releases: bool = False  # remove: the images that releases keep, too
    backup: BackupOrder | None = None  # backup: which one
    backups: tuple[str, ...] = ()  # verify: ids, numbers, `latest`
    level: int = 1  # verify: to this one
    imports: ImportOrder | None = None  # import: what
    database: DatabaseOrder | None = None  # validate, rebuild-index, flush: what
    restore: RestoreOrder | None = None  # restore: what; `backup` in it is an id, a number or `latest`
    server: str = ""  # replica set: of this MongoDB, where there are several


class Begun(NamedTuple):
    """An operation whose process was started."""

    place: Path
    process: subprocess.Popen[bytes]


def _unheard(what: str, done: int, total: int) -> None:
    """Nobody waits for it."""


def make_plan(site: Site, request: Request, told: Told = _unheard) -> Plan:
    """Look at the stack and plan; takes seconds, and of a restore as long as the backup is read: `told` hears of it,
    and what it raises ends it. Raises NothingToDo, SourceError."""
    if request.what not in _BESIDE_HALF_A_RESTORE:
        _refuse_half_a_restore(site)
    if request.what in ("restore", "undo-restore"):
        return (_restore if request.what == "restore" else _undo_restore)(site, request, told)
    return PLANS[request.what](site, request)


def begin(site: Site, plan: Plan) -> Begun:
    """Start the process that runs the plan. Raises LockHeld while another operation runs, SourceError."""
    from opsconsole.operations import journal, launch, places

    refuse_while_held(site, plan)
    place = journal.create(site.directory, places.new_id(plan.kind.value), plan)
    process = launch.launch(site.directory, place, config=site.config_file, project=site.project or plan.stack)
    return Begun(place, process)


def refuse_while_held(site: Site, plan: Plan) -> None:
    """Raises LockHeld while another operation changes this stack; an emergency stop does not wait for it."""
    from opsconsole.operations import lock

    if plan.kind is not Kind.EMERGENCY_STOP and (holder := lock.holder_of(site.directory)):
        raise lock.LockHeld(holder)


def ask_cancel(place: Path) -> None:
    """Ask a running operation to end at the next safe point. Raises SourceError when it does not run."""
    from opsconsole.operations import journal, who

    if not journal.is_alive(place):
        raise SourceError(f"{place.name} does not run", "See `opsconsole operations`.")
    try:
        journal.ask_cancel(place, f"asked by {who.current().words()}")
    except OSError as error:
        raise SourceError(f"the request cannot be written to {place}: {error.strerror}") from None


_BESIDE_HALF_A_RESTORE = frozenset({"finish", "undo", "stop", "emergency-stop", "verify"})


def _refuse_half_a_restore(site: Site) -> None:
    """Nothing is started, and nothing is saved, while what is live may be a mix. Raises SourceError."""
    from opsconsole.operations import unfinished

    for one in unfinished.unfinished(site.directory):
        if one.kind is Kind.RESTORE:
            raise SourceError(f"a restore is half done, so the data may be a mix: {one.operation}", one.advice())


# --- one function for everything that can be asked for ---------------------------------------------


def _stop(site: Site, request: Request) -> Plan:
    from opsconsole.operations import memory_only, stack_plans

    look = _look(site)
    return stack_plans.stop(look, request.services, memory_only.redis_in_memory_only(look, site.config()))


def _start(site: Site, request: Request) -> Plan:
    from opsconsole.operations import stack_plans

    return stack_plans.start(_look(site), request.services)


def _restart(site: Site, request: Request) -> Plan:
    from opsconsole.operations import memory_only, past, stack_plans

    look = _look(site)
    return stack_plans.restart(
        look,
        request.services,
        rolling=request.rolling,
        memory=memory_only.redis_in_memory_only(look, site.config()),
        seconds=past.seconds_by_service(site.directory),
    )


def _emergency_stop(site: Site, request: Request) -> Plan:
    from opsconsole.operations import emergency, facts

    return emergency.plan(facts.engine_look(site.directory, site.config(), project=site.project))


def _remove(site: Site, request: Request) -> Plan:
    from opsconsole.operations import memory_only, remove_plans

    config = site.config()
    there = remove_plans.holdings(site.directory, config, project=site.project)
    return remove_plans.remove(
        there, releases=request.releases, memory=memory_only.redis_in_memory_only(there.look, config)
    )


def _deploy(site: Site, request: Request) -> Plan:
    from opsconsole.operations import deploy_look, deploy_plans, memory_only

    config, look = site.config(), _look(site)
    known = deploy_look.learn(site.directory, look)
    memory = memory_only.redis_in_memory_only(look, config)
    return deploy_plans.deploy(look, config, known, no_cache=request.no_cache, memory=memory)


def _update(site: Site, request: Request) -> Plan:
    """Fetches: objects and remote-tracking references are added, no file is changed."""
    from opsconsole.operations import deploy_look, memory_only, update_plans

    config, look = site.config(), _look(site)
    arrival = update_plans.look_ahead(look, config, fetch=request.fetch)
    known = deploy_look.learn(site.directory, arrival.version.look)
    memory = memory_only.redis_in_memory_only(look, config)
    return update_plans.update(look, config, arrival, known, _safety(site, request), memory=memory)


def _config(site: Site, request: Request) -> Plan:
    from opsconsole.operations import config_plans, deploy_look, memory_only

    config, look = site.config(), _look(site)
    then = config_plans.look_back(look, config, to=request.to, commit=request.commit)
    known = deploy_look.learn(site.directory, then.version.look)
    memory = memory_only.redis_in_memory_only(look, config)
    return config_plans.rollback(look, config, then, known, _safety(site, request), memory=memory)


def _undo_config(site: Site, request: Request) -> Plan:
    from opsconsole.operations import config_plans, config_undo, deploy_look, memory_only

    config, look = site.config(), _look(site)
    then = config_undo.look_back(look, config, request.operation)
    known = deploy_look.learn(site.directory, then.version.look)
    memory = memory_only.redis_in_memory_only(look, config)
    return config_plans.rollback(look, config, then, known, _safety(site, request), memory=memory)


def _previous_image(site: Site, request: Request) -> Plan:
    from opsconsole.operations import deploy_look, facts, memory_only, rollback_plans

    config = site.config()
    try:
        look = _look(site)
    except SourceError:
        # A release needs nothing of today's files: they may be what is wrong.
        look = facts.engine_look(site.directory, config, project=site.project)
    known = deploy_look.learn(site.directory, look)
    return rollback_plans.rollback(
        look, config, known, request.to, memory=memory_only.redis_in_memory_only(look, config)
    )


def _finish(site: Site, request: Request) -> Plan:
    from opsconsole.operations import (
        container_plans,
        journal,
        releases,
        remove_plans,
        return_plans,
        stack_plans,
        unfinished,
    )

    place, old = _half_done(site, request.operation)
    if old.kind is Kind.REMOVE:
        there = remove_plans.holdings(site.directory, site.config(), project=site.project or old.stack, old=old)
        return remove_plans.rest(there, old, place.name)
    records = journal.read(place)
    if old.kind is Kind.RESTORE and any(one.event == "way-back" for one in records):
        return _restore_undone(site, place, old, finish=True)
    if old.basis is Basis.NAMED:
        return container_plans.rest(old, place.name, unfinished.done_steps(records))
    if any(one.event == "way-back" for one in records):
        kept = releases.all_releases(site.directory)
        return return_plans.undone(_look_back(site, old), old, place.name, kept, finish=True)
    look = _look_again(site, old)
    return stack_plans.rest(look, old, place.name, unfinished.done_steps(records))


def _restore_undone(site: Site, place: Path, old: Plan, *, finish: bool = False) -> Plan:
    from opsconsole.operations import restore_plans, restore_state

    settled = restore_state.settled(restore_state.home(place))
    return restore_plans.undone(old, scope_of(site), place.name, settled=settled, finish=finish)


def _undo(site: Site, request: Request) -> Plan:
    from opsconsole.operations import container_plans, releases, remove_plans, return_plans, stack_plans

    place, old = _half_done(site, request.operation)
    if old.kind in (Kind.DEPLOY, Kind.UPDATE, Kind.ROLLBACK, Kind.REPLICA_SET):
        kept = releases.all_releases(site.directory)
        return return_plans.undone(_look_back(site, old), old, place.name, kept)
    if old.kind is Kind.RESTORE:
        return _restore_undone(site, place, old)
    if old.kind in (Kind.BACKUP, Kind.VERIFY, Kind.PRUNE, Kind.COPY):
        raise SourceError(
            f"a {old.kind.value} that was cut off has nothing to undo",
            f"`opsconsole operations finish {place.name}` does it again; what it left is removed by the next backup.",
        )
    if old.kind in (Kind.ABORT, Kind.VALIDATE, Kind.REBUILD_INDEX, Kind.FLUSH):
        raise SourceError(
            f"a {old.kind.value} that was cut off is not undone by itself",
            f"`opsconsole operations finish {place.name}` does the rest of it."
            + (" The safety backup holds the keys that were there." if old.kind is Kind.FLUSH else ""),
        )
    if old.kind is Kind.IMPORT:
        raise SourceError(
            "an import that was cut off is not undone by itself",
            "Its safety backup holds what was there before: `opsconsole restore ID --collection "
            f"{old.imports.database}.{old.imports.collection}`."
            if old.imports
            else "",
        )
    look = _look_again(site, old)
    if old.kind is Kind.REMOVE:
        return remove_plans.back(look, old, place.name)
    if old.basis is Basis.NAMED:
        return container_plans.back(look, old, place.name)
    return stack_plans.back(look, old, place.name)


def _backup(site: Site, request: Request) -> Plan:
    from opsconsole.operations import backup_plans

    return backup_plans.backup(scope_of(site), site.config(), request.backup or BackupOrder())


def _verify(site: Site, request: Request) -> Plan:
    from opsconsole.backups.naming import named
    from opsconsole.backups.verifying import Level
    from opsconsole.operations import backup_acts, backup_plans

    found = scope_of(site)
    backups = backup_acts.listed(found)
    wanted = [named(backups, one) for one in request.backups or ("latest",)]
    return backup_plans.verify(found, wanted, Level(request.level))


def _copy(site: Site, request: Request) -> Plan:
    from opsconsole.backups.naming import named
    from opsconsole.operations import backup_acts, backup_plans

    found = scope_of(site)
    backups = backup_acts.listed(found)
    return backup_plans.copy(found, site.config(), [named(backups, one) for one in request.backups or ("latest",)])


def _prune(site: Site, request: Request) -> Plan:
    from opsconsole.operations import backup_acts, backup_plans

    found = scope_of(site)
    return backup_plans.prune(found, backup_acts.listed(found), site.config())


def _restore(site: Site, request: Request, told: Told = _unheard) -> Plan:
    from opsconsole.backups.naming import named
    from opsconsole.operations import backup_acts, restore_plans

    found, order = scope_of(site), request.restore
    assert order is not None
    backups = backup_acts.listed(found)
    if order.at is not None:
        order = restore_plans.up_to(found, backups, order)
    backup = named(backups, order.backup)
    return restore_plans.restore(found, site.config(), backup, order, told)


def _import(site: Site, request: Request) -> Plan:
    from opsconsole.operations import exporting

    assert request.imports is not None
    return exporting.import_plan(scope_of(site), request.imports)


def _database(make: str) -> Callable[[Site, Request], Plan]:
    def plan(site: Site, request: Request) -> Plan:
        from opsconsole.operations import database_plans

        assert request.database is not None
        made: Plan = getattr(database_plans, make)(scope_of(site), request.database)
        return made

    return plan


def _undo_restore(site: Site, request: Request, told: Told = _unheard) -> Plan:
    """The restore that is named, or the last one that was done, undone by its safety backup."""
    from opsconsole.operations import restore_plans

    order = restore_plans.undoing(site.directory, request.operation)
    return _restore(site, msgspec.structs.replace(request, restore=order), told)


def _replica_set(site: Site, request: Request) -> Plan:
    from opsconsole.operations import set_plans

    return set_plans.convert(scope_of(site), site.config(), request.server)


def _undo_replica_set(site: Site, request: Request) -> Plan:
    from opsconsole.operations import set_plans

    return set_plans.undo(scope_of(site), site.config(), request.operation)


PLANS: dict[str, Callable[[Site, Request], Plan]] = {
    "stop": _stop,
    "start": _start,
    "restart": _restart,
    "emergency-stop": _emergency_stop,
    "deploy": _deploy,
    "update": _update,
    "previous-image": _previous_image,
    "config": _config,
    "undo-config": _undo_config,
    "restart-all": _restart,
    "remove": _remove,
    "backup": _backup,
    "verify": _verify,
    "prune": _prune,
    "copy": _copy,
    "restore": _restore,
    "import": _import,
    "validate": _database("validate"),
    "rebuild-index": _database("rebuild_index"),
    "flush": _database("flush"),
    "undo-restore": _undo_restore,
    "replica-set": _replica_set,
    "undo-replica-set": _undo_replica_set,
    "finish": _finish,
    "undo": _undo,
}


def scope_of(site: Site) -> Scope:
    """What belongs into a backup of the stack. Raises SourceError."""
    from opsconsole.operations import backup_scope

    return backup_scope.scope(site.directory, site.config(), project=site.project)


def _safety(site: Site, request: Request) -> tuple[Step, ...]:
    """The step of a safety backup, before something is changed that may cost data."""
    from opsconsole.model import BackupClass
    from opsconsole.operations import backup_plans

    if not request.safety:
        return ()
    order = BackupOrder(backup_class=BackupClass.SAFETY)
    return (backup_plans.save_step(scope_of(site), order, act=Act.SAFETY_BACKUP),)


def _look(site: Site) -> Look:
    from opsconsole.operations import facts

    return facts.look(site.directory, site.config(), project=site.project)


def _half_done(site: Site, operation: str) -> tuple[Path, Plan]:
    """The half-done operation and its plan."""
    from opsconsole.operations import journal, unfinished
    from opsconsole.operations.places import operation_directory

    place = operation_directory(site.directory, operation)
    if place.name not in {one.operation for one in unfinished.unfinished(site.directory)}:
        raise SourceError(f"{place.name} is not half done", "See `opsconsole operations`.")
    return place, journal.read_plan(place)


def _look_back(site: Site, old: Plan) -> Look:
    """The same for a way back to a release, a commit or files that are kept: none of it needs today's files."""
    from opsconsole.operations import facts

    try:
        return _look_again(site, old)
    except SourceError:
        return facts.engine_look(site.directory, site.config(), project=site.project or old.stack)


def _look_again(site: Site, old: Plan) -> Look:
    """How the stack is now. What works with a broken compose file is finished and undone with a broken one."""
    from opsconsole.operations import facts

    project = site.project or old.stack
    if old.kind is not Kind.EMERGENCY_STOP and old.basis is not Basis.NAMED:
        try:
            return facts.look(site.directory, site.config(), project=project)
        except SourceError:
            if old.basis is Basis.STACK:
                raise
    return facts.engine_look(site.directory, site.config(), project=project)
