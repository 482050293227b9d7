"""From what somebody wants to an operation that runs: the same for the command line and for the console.

`PLANS` has a line for everything that can be asked for: the function that looks at the stack and makes the plan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from opsconsole.model import Record, SourceError
from opsconsole.operations.orders import BackupOrder, DatabaseOrder, ImportOrder, RestoreOrder
from opsconsole.operations.plan import Act, Kind, Plan, Step
from opsconsole.operations.site import Site

if TYPE_CHECKING:
    from opsconsole.backups.progress import Told
    from opsconsole.operations.facts import Look


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
    known = deploy_look.learn(site.directory, look, config.deploy.scratch)
    memory = memory_only.redis_in_memory_only(look, config)
    return deploy_plans.deploy(look, config, known, no_cache=request.no_cache, memory=memory)


def _update(site: Site, request: Request) -> Plan:
    """Fetches: objects and remote-tracking references are added, no file is changed."""
    from opsconsole.operations import deploy_look, memory_only, update_plans

    config, look = site.config(), _look(site)
    arrival = update_plans.look_ahead(look, config, fetch=request.fetch)
    known = deploy_look.learn(site.directory, arrival.version.look, config.deploy.scratch)
    memory = memory_only.redis_in_memory_only(look, config)
    return update_plans.update(look, config, arrival, known, _safety(site, request), memory=memory)


def _config(site: Site, request: Request) -> Plan:
    from opsconsole.operations import config_plans, deploy_look, memory_only

    config, look = site.config(), _look(site)
    then = config_plans.look_back(look, config, to=request.to, commit=request.commit)
    known = deploy_look.learn(site.directory, then.version.look, config.deploy.scratch)
    memory = memory_only.redis_in_memory_only(look, config)
    return config_plans.rollback(look, config, then, known, _safety(site, request), memory=memory)


def _undo_config(site: Site, request: Request) -> Plan:
    from opsconsole.operations import config_plans, config_undo, deploy_look, memory_only

    config, look = site.config(), _look(site)
    then = config_undo.look_back(look, config, request.operation)
    known = deploy_look.learn(site.directory, then.version.look, config.deploy.scratch)
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
    known = deploy_look.learn(site.directory, look, config.deploy.scratch)
    return rollback_plans.rollback(
        look, config, known, request.to, memory=memory_only.redis_in_memory_only(look, config)
    )


def _finish(site: Site, request: Request) -> Plan:
    from opsconsole.operations import half_done_plans

    return half_done_plans.finish(site, request.operation)


def _undo(site: Site, request: Request) -> Plan:
    from opsconsole.operations import half_done_plans

    return half_done_plans.undo(site, request.operation)


def _backup(site: Site, request: Request) -> Plan:
    from opsconsole.operations import backup_plans

    return backup_plans.backup(site.scope(), site.config(), request.backup or BackupOrder())


def _verify(site: Site, request: Request) -> Plan:
    from opsconsole.backups.faults import Level
    from opsconsole.backups.naming import named
    from opsconsole.operations import backup_acts, backup_plans

    found = site.scope()
    backups = backup_acts.listed(found)
    wanted = [named(backups, one) for one in request.backups or ("latest",)]
    return backup_plans.verify(found, wanted, Level(request.level))


def _copy(site: Site, request: Request) -> Plan:
    from opsconsole.backups.naming import named
    from opsconsole.operations import backup_acts, backup_plans

    found = site.scope()
    backups = backup_acts.listed(found)
    return backup_plans.copy(found, site.config(), [named(backups, one) for one in request.backups or ("latest",)])


def _prune(site: Site, request: Request) -> Plan:
    from opsconsole.operations import backup_acts, backup_plans

    found = site.scope()
    return backup_plans.prune(found, backup_acts.listed(found), site.config())


def _restore(site: Site, request: Request, told: Told = _unheard) -> Plan:
    from opsconsole.backups.naming import named
    from opsconsole.operations import backup_acts, restore_plans

    found, order = site.scope(), request.restore
    assert order is not None
    backups = backup_acts.listed(found)
    if order.at is not None:
        order = restore_plans.up_to(found, backups, order)
    backup = named(backups, order.backup)
    return restore_plans.restore(found, site.config(), backup, order, told)


def _import(site: Site, request: Request) -> Plan:
    from opsconsole.operations import exporting

    assert request.imports is not None
    return exporting.import_plan(site.scope(), request.imports)


def _database(make: str) -> Callable[[Site, Request], Plan]:
    def plan(site: Site, request: Request) -> Plan:
        from opsconsole.operations import database_plans

        assert request.database is not None
        made: Plan = getattr(database_plans, make)(site.scope(), request.database)
        return made

    return plan


def _undo_restore(site: Site, request: Request, told: Told = _unheard) -> Plan:
    """The restore that is named, or the last one that was done, undone by its safety backup."""
    from opsconsole.operations import restore_plans

    order = restore_plans.undoing(site.directory, request.operation)
    return _restore(site, msgspec.structs.replace(request, restore=order), told)


def _replica_set(site: Site, request: Request) -> Plan:
    from opsconsole.operations import set_plans

    return set_plans.convert(site.scope(), site.config(), request.server)


def _undo_replica_set(site: Site, request: Request) -> Plan:
    from opsconsole.operations import set_plans

    return set_plans.undo(site.scope(), site.config(), request.operation)


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


def _safety(site: Site, request: Request) -> tuple[Step, ...]:
    """The step of a safety backup, before something is changed that may cost data."""
    from opsconsole.model import BackupClass
    from opsconsole.operations import backup_plans

    if not request.safety:
        return ()
    order = BackupOrder(backup_class=BackupClass.SAFETY)
    return (backup_plans.save_step(site.scope(), order, act=Act.SAFETY_BACKUP),)


def _look(site: Site) -> Look:
    from opsconsole.operations import facts

    return facts.look(site.directory, site.config(), project=site.project)
