"""The plan that makes a standalone MongoDB a replica set of one node, and the one that makes it a standalone again.

    first     safety backup; where there are passwords a key file, then the lines in the compose file
    switch    the container of MongoDB alone is made anew; rs.initiate; it takes writes
    last      gate, and every collection of before is there

A failure brings file and standalone back. What cannot be changed with certainty is refused, with the lines to write.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from opsconsole.backups import replica_set_guide
from opsconsole.backups.replica_set_guide import KEY_FILE, NAME, Standalone
from opsconsole.backups.replica_set_making import ServerState, state_of
from opsconsole.config import Config
from opsconsole.model import Container, SourceError, Volume, VolumeKind
from opsconsole.operations import file_acts, journal, next_version, past, replica_sets, restore_state, set_steps
from opsconsole.operations.backup_scope import Scope
from opsconsole.operations.compose_call import from_here
from opsconsole.operations.journal import Result
from opsconsole.operations.orders import NewFile, ServiceEdit, SetOrder
from opsconsole.operations.places import existing_operations
from opsconsole.operations.plan import Act, Basis, DataEffect, Downtime, Effect, Fate, Kind, Plan, ServiceChange, Step
from opsconsole.operations.saving import reachable
from opsconsole.operations.stack_plans import RUNNING, NothingToDo
from opsconsole.sources import engine_processes
from opsconsole.sources.engine_images import find_images
from opsconsole.stack.address import THIS_HOST
from opsconsole.stack.compose_edit import CannotEdit, has_service, with_options
from opsconsole.stack.copies import KeptFiles
from opsconsole.stack.discover import engine_host
from opsconsole.text import mask_text, printable

_IN_CONTAINER = f"/etc/{KEY_FILE}"
_CONTEXT = 2  # lines around a change
_ENFORCES = Path("/sys/fs/selinux/enforce")


class ByHand(SourceError):
    """It is not done here. `guide` has the steps for a person."""

    def __init__(self, problem: str, guide: str) -> None:
        super().__init__(problem, "Nothing was changed. `opsconsole backup replica-set --guide` has the lines.")
        self.guide = guide


def convert(found: Scope, config: Config, name: str = "") -> Plan:
    """Raises NothingToDo for a member of a set, ByHand where a person has to do it, SourceError."""
    connection = replica_sets.server(found, name)
    state = state_of(reachable(connection))
    server = replica_sets.standalone(found, connection, port=state.port, auth=state.auth)
    if state.member_of:
        raise NothingToDo(
            f"MongoDB is a member of the set {printable(state.member_of)} already",
            "`opsconsole backup create --incremental` saves what it writes.",
        )
    if not state.may_initiate:
        raise SourceError(
            "the user that opsconsole logs in as may not make MongoDB a set", "Give it the role clusterAdmin, or root."
        )
    order = SetOrder(
        server=connection.target.name,
        service=connection.target.service,
        member=replica_set_guide.member(server),
        name=state.started_for or NAME,
    )
    if state.started_for:
        plan = _plan(found, order, set_steps.initiate(found, order), way_back=())
        note = "no backup is taken: started for a set and no member of one, MongoDB lets nobody read until this is done"
        return msgspec.structs.replace(plan, notes=(*plan.notes, note))
    if not order.service:
        raise _by_hand(found, name, "it runs beside the stack, and how it is started is not ours to change")
    return _converted(found, config, order, server, state)


def undo(found: Scope, config: Config, operation: str = "") -> Plan:
    """A standalone again after a conversion that was done: the last one, or the one that is named.

    Raises SourceError when there is none, or the compose file was changed since.
    """
    place, old = _conversion(Path(found.look.directory), operation)
    assert old.replica_set is not None
    order = msgspec.structs.replace(old.replica_set, undoes=place.name)
    state = state_of(reachable(replica_sets.server(found, order.server)))
    if len(state.members) > 1:
        raise SourceError(
            f"the set has {len(state.members)} members by now", "Take the others out of it first: rs.remove()."
        )
    kept = restore_state.home(place) / file_acts.KEPT
    files, shown = [], list[str]()
    for one in file_acts.kept_before(kept):
        path = Path(one.path)
        if file_acts.digest(path) != one.put:
            raise SourceError(
                f"{one.path} was changed after the conversion", f"Take `--replSet {order.name}` out of it by hand."
            )
        name = from_here(Path(found.look.directory), path)
        files.append(NewFile(path=name, sha256=one.sha256, backup=str(kept / one.stored)))
        shown += _difference(name, path.read_text("utf-8"), (kept / one.stored).read_text("utf-8"), found)
    renewed, gated = set_steps.renew(found, order), set_steps.gate(found)
    steps = (
        *set_steps.safety(found),
        set_steps.change_files(files, f"Take the lines of the set out of {files[0].path}"),
        renewed,
        set_steps.leave(order),
        gated,
        set_steps.compare(),
        *([set_steps.remove_key(order)] if order.key else []),
    )
    back = (
        set_steps.files_back(),
        set_steps.again(renewed),
        set_steps.initiate(found, order)[0],
        set_steps.again(gated),
    )
    plan = _plan(found, order, steps, way_back=tuple(msgspec.structs.replace(one, turns_back=False) for one in back))
    notes = (
        "incremental backups and restores to the second end with it: ranges that are there stay",
        "addresses with replicaSet= no longer work: take it out of them",
    )
    return msgspec.structs.replace(plan, files=tuple(files), keys=tuple(shown), notes=notes)


def _plan(found: Scope, order: SetOrder, steps: tuple[Step, ...], way_back: tuple[Step, ...]) -> Plan:
    look = found.look
    renewed = any(one.act is Act.RENEW for one in steps)
    seconds = past.seconds_by_service(Path(look.directory)).get(order.service)
    why = "the same files, started anew" if renewed else "the same files"
    saved = any(one.act is Act.SAFETY_BACKUP for one in steps)
    return Plan(
        kind=Kind.REPLICA_SET,
        stack=found.stack.name,
        directory=look.directory,
        facts=look.facts,
        basis=Basis.STACK if look.compose else Basis.ENGINE,
        bound=bool(look.containers),
        steps=steps,
        way_back=way_back,
        changes=(ServiceChange(service=order.service, fate=Fate.RECREATE),) if renewed else (),
        data=(
            DataEffect(name=order.server, what="MongoDB", effect=Effect.BACKED_UP if saved else Effect.SAFE, why=why),
        ),
        downtime=(Downtime(service=order.service, seconds=seconds),) if renewed else (),
        running_before=tuple(one.name for one in look.containers if one.state in RUNNING),
        services=(order.service,) if order.service else (),
        notes=found.notes,
        backup=set_steps.safety_order(found),
        replica_set=order,
    )


# --- from what is there to the change --------------------------------------------------------------


def _converted(found: Scope, config: Config, order: SetOrder, server: Standalone, state: ServerState) -> Plan:
    look, service = found.look, order.service
    (container,) = _containers(found, order)
    _refuse_more(found, container)
    rendered = look.rendered.services[service]
    started = engine_processes.started(container.id, "mongod")
    base = Path(look.directory, look.compose[look.compose.index("--project-directory") + 1])
    options: tuple[str, ...] = ("--replSet", order.name)
    volume = ""
    if state.auth and not state.key_file:
        _refuse_key(found, order, started.user)
        name = _key_name(base, service)
        options = (*options, "--keyFile", _IN_CONTAINER)
        volume = f"./{name}:{_IN_CONTAINER}:{'ro,z' if _labels() else 'ro'}"
        key = from_here(Path(look.directory), base / name)
        order = msgspec.structs.replace(order, key=key, user=started.user, group=started.group)
    edit = ServiceEdit(
        service=service, options=options, image=() if rendered.command else started.command, volume=volume
    )
    path = _file_of(look.compose_files, service)
    name = from_here(Path(look.directory), path)
    try:
        before = Path(path).read_bytes().decode("utf-8")
        after = with_options(before, service, options, image=edit.image, volume=volume)
    except (CannotEdit, OSError, UnicodeDecodeError) as why:
        raise _by_hand(found, order.server, f"{name}: {why}") from None
    host = order.member.rpartition(":")[0]
    if doubt := replica_set_guide.why_by_hand(started.entrypoint, started.command, state.tls, host):
        raise _by_hand(found, order.server, doubt, tls=bool(state.tls))
    version = next_version.read(
        KeptFiles({path: after.encode()}),
        look,
        config,
        compose_files=look.compose_files,
        what="the changed compose file",
    )
    wanted = (*(rendered.command or started.command), *options)
    touched = {(one.where, one.key) for one in version.changes}
    if version.look.rendered.services[service].command != wanted or not touched <= {
        (f"service {service}", "command"),
        (f"service {service}", "volumes"),
    }:
        raise _by_hand(found, order.server, f"{name}: Compose would read the change otherwise than it is meant")
    new = NewFile(path=name, sha256=hashlib.sha256(after.encode()).hexdigest(), edit=edit)
    renewed, gated = set_steps.renew(found, order), set_steps.gate(found)
    steps = (
        *set_steps.safety(found),
        *([set_steps.make_key(order)] if order.key else []),
        set_steps.change_files([new], f"Add `{' '.join(options)}` to {service} in {name}"),
        renewed,
        *set_steps.initiate(found, order),
    )
    back = (
        set_steps.files_back(),
        set_steps.again(renewed),
        set_steps.leave(order),
        set_steps.again(gated),
        *([set_steps.remove_key(order)] if order.key else []),
    )
    plan = _plan(found, order, steps, way_back=tuple(msgspec.structs.replace(one, turns_back=False) for one in back))
    return msgspec.structs.replace(
        plan,
        files=(new,),
        keys=tuple(_difference(name, before, after, found)),
        notes=(*plan.notes, *_notes(found, order, server, container)),
    )


def _containers(found: Scope, order: SetOrder) -> list[Container]:
    """The one that runs. Raises ByHand."""
    look = found.look
    rendered = look.rendered.services.get(order.service)
    own = [one for one in look.containers if one.service == order.service]
    if not look.compose or rendered is None:
        raise _by_hand(found, order.server, "the compose file was not read")
    if look.compose[0] == "docker-compose":
        raise _by_hand(found, order.server, "Compose v1 does not tell whether more than the command would change")
    if len(own) != 1 or own[0].state != "running":
        raise _by_hand(found, order.server, f"{order.service} has not one container that runs")
    if rendered.network_mode not in ("", "bridge"):
        raise _by_hand(found, order.server, f"{order.service} has the network {rendered.network_mode}")
    return own


def _refuse_more(found: Scope, container: Container) -> None:
    """Making the container anew must change nothing but the command, and lose nothing."""
    look, service = found.look, container.service
    for row in look.volumes:
        if row.kind in (VolumeKind.LAYER, VolumeKind.TMPFS) and row.database and service in _users(row):
            raise SourceError(
                f"{service} keeps its data in its container, which is made anew: it would be lost",
                "Give it a volume, and restore a backup into it.",
            )
    wanted = next((one for one in look.services if one.name == service), None)
    if wanted is None or wanted.config_hash != container.config_hash:
        raise SourceError(
            f"{container.name} does not run what the compose file says, and would change in more than its command",
            "`opsconsole deploy` first, then this.",
        )
    if container.image_id not in {one.id for one in find_images([wanted.image]).values()}:
        raise SourceError(
            f"{wanted.image} means another image by now than {container.name} runs", "`opsconsole deploy` first."
        )


def _users(row: Volume) -> set[str]:
    return {use.service for use in row.used_by}


def _key_name(base: Path, service: str) -> str:
    """Another server of the stack may have one already."""
    for name in (KEY_FILE, f"{KEY_FILE}-{service}"):
        if not os.path.lexists(base / name):
            return name
    raise SourceError(f"{base / KEY_FILE}-{service} is there already", "Move it away, then look again.")


def _labels() -> bool:
    """Whether SELinux keeps a container from every file of the host that was not labelled for it."""
    try:
        return _ENFORCES.read_text().strip() == "1"
    except OSError:
        return False


def _refuse_key(found: Scope, order: SetOrder, user: int) -> None:
    if engine_host(os.environ) != THIS_HOST:
        raise _by_hand(found, order.server, "it takes a key file on the engine's host, which is another one")
    if os.geteuid() not in (0, user):
        raise _by_hand(
            found, order.server, f"its key file has to belong to the user {user}, and only root can give it away"
        )


def _file_of(files: Sequence[str], service: str) -> str:
    """The compose file to change: the last one that names the service's command, else the first with the service."""
    texts = {path: Path(path).read_text("utf-8-sig", "replace") for path in files}
    naming = [path for path in files if has_service(texts[path], service, "command")]
    having = [path for path in files if has_service(texts[path], service)]
    return naming[-1] if naming else having[0] if having else files[0]


def _by_hand(found: Scope, name: str, why: str, *, tls: bool = False) -> ByHand:
    return ByHand(f"MongoDB is not converted by opsconsole: {why}", replica_sets.guide_of(found, name, tls=tls))


def _conversion(directory: Path, operation: str) -> tuple[Path, Plan]:
    undone = set[str]()
    for place in reversed(existing_operations(directory)):
        if f"-{Kind.REPLICA_SET.value}-" not in place.name:
            continue
        plan, records = journal.read_plan(place), journal.read(place)
        if plan.replica_set is None or not records or records[-1].result is not Result.DONE or plan.as_undo:
            continue
        if plan.replica_set.undoes:
            undone.add(plan.replica_set.undoes)
        elif plan.files and place.name not in undone and (not operation or place.name.endswith(operation)):
            return place, plan
    raise SourceError(
        "no conversion by opsconsole is there to undo", "Take --replSet out by hand, start MongoDB anew, drop `local`."
    )


# --- what an operator should know ------------------------------------------------------------------


def _difference(name: str, before: str, after: str, found: Scope) -> Iterator[str]:
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), name, f"{name} (new)", lineterm="", n=_CONTEXT
    )
    for line in lines:
        yield mask_text(printable(line), found.look.secrets)


def _notes(found: Scope, order: SetOrder, server: Standalone, container: Container) -> Iterator[str]:
    yield from replica_set_guide.address_lines(server)
    for port in container.ports:
        if port.container_port == server.port and port.host_port is not None:
            yield (
                f"who comes by the published port {port.host_port} (scripts of this host, Compass) adds "
                "directConnection=true to the address"
            )
    if found.look.facts.commit:
        yield "git will show the compose file as changed: commit it, so that the next version has the lines, too"
    if order.key:
        yield f"{order.key} is a secret and needed at each start: keep it out of git (.gitignore), and keep a copy"
    yield "the oplog takes 5 % of the disk, 990 MB at least"
    yield "releases of before have MongoDB without --replSet: a rollback to one brings the standalone back"
    yield "take a full backup afterwards: incremental ones and restores to the second begin with it"
    yield "`opsconsole backup replica-set --undo` makes it a standalone server again"
