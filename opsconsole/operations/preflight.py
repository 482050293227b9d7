"""What must be so before a deploy changes anything. Everything that is wrong is named at once."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from opsconsole.config import Config
from opsconsole.model import Container, Port, Service
from opsconsole.operations import acts, facts, mounts
from opsconsole.operations.acts import Failed, Fields, Operation, Stopped
from opsconsole.operations.facts import Look
from opsconsole.operations.journal import Result
from opsconsole.operations.plan import Act, Step
from opsconsole.operations.release_making import of_service
from opsconsole.operations.stack_plans import RUNNING
from opsconsole.sources.engine_images import EngineImages, ImageFacts
from opsconsole.stack import envfile

ASK_SECONDS = 3.0
"""For the answers of the databases beside the stack; a connection alone may take two."""

UNKNOWN_IMAGE_BYTES = 500 * 1024 * 1024
"""What an image takes that was never here."""

_REFERENCE = re.compile(r"\$(?:(?P<escaped>\$)|(?P<plain>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?P<operator>:?[-?+])?)")


def preflight(operation: Operation, one: Step) -> Fields:
    """The act of the step: a look as fresh as can be. Raises Failed with every problem."""
    from opsconsole.operations import probing

    look = facts.look(operation.directory, operation.config, project=operation.project)
    services = [service for service in look.services if service.name in one.services]
    asked, unwell = databases_beside(look, operation.config)
    problems = [*problems_of(look, services), *_port_problems(look, services), *_disk_problems(services), *unwell]
    if problems:
        hint = "Nothing was changed. Mend this and deploy again."
        raise Failed({}, Stopped(Result.FAILED, "; ".join(problems), hint))
    probing.remember(operation)
    answers = f"; {', '.join(asked)} beside the stack answers" if asked else ""
    return {"text": f"{len(services)} services, all that they need is there{answers}"}


def problems_of(look: Look, services: Sequence[Service]) -> list[str]:
    """What the look alone tells: for a plan, before anything is asked."""
    names = [service.name for service in services]
    return [*_variable_problems(look), *mounts.obstacles(look, names), *_data_service_problems(look, services)]


# --- variables -----------------------------------------------------------------------------------------


def _variable_problems(look: Look) -> Iterator[str]:
    missing = set(look.rendered.missing_variables)
    empty = [name for name in required(_texts(look)) if name not in missing and look.variables.get(name) == ""]
    where = ", ".join(os.path.relpath(path, look.directory) for path in look.env_files) or _usual_env_file(look)
    for name in sorted(missing):
        yield f"the variable {name} is not set: the compose file uses it and {where} does not have it"
    for name in sorted(empty):
        yield f"the variable {name} is empty in {where} (write ${{{name}:-}} in the compose file if that is meant)"


def required(texts: Sequence[str]) -> tuple[str, ...]:
    """Names of the variables that compose files refer to without a default."""
    names = []
    for text in texts:
        for line in text.splitlines():
            for found in _REFERENCE.finditer(line.split(" #")[0] if not line.lstrip().startswith("#") else ""):
                name = found["plain"] or found["name"]
                if name and not (found["operator"] or "").endswith(("-", "+")):
                    names.append(name)
    return tuple(dict.fromkeys(names))


def _texts(look: Look) -> list[str]:
    texts = []
    for path in look.compose_files:
        try:
            texts.append(Path(path).read_text("utf-8-sig", "replace"))
        except OSError:
            continue
    return texts


def _usual_env_file(look: Look) -> str:
    found = envfile.find(Path(look.directory))
    return os.path.basename(found) if found else "no env file"


# --- ports -----------------------------------------------------------------------------------------------


def _port_problems(look: Look, services: Sequence[Service]) -> Iterator[str]:
    """A port that somebody else holds: the old container would be gone before the engine says so."""
    from opsconsole.sources.engine import DockerEngine
    from opsconsole.sources.listeners import holder_of

    wanted = [(service, port) for service in services for port in service.ports if port.host_port]
    if not wanted:
        return
    engine, images = DockerEngine(), EngineImages()
    try:
        everyone = engine.containers()
        here = images.is_here()
    finally:
        engine.close()
        images.close()
    for service, port in wanted:
        holder = _container_with(everyone, port)
        if holder is None and here:
            who = holder_of(port.host_port or 0, port.host_address, port.protocol)
        elif holder is not None and holder.project != look.name:
            who = f"the container {holder.name}"
        else:
            continue
        if who:
            yield f"{service.name}: port {port.host_port} is held by {who}"


def _container_with(containers: Sequence[Container], wanted: Port) -> Container | None:
    every = ("", "0.0.0.0", "::")
    for one in containers:
        if one.state not in RUNNING:
            continue
        for port in one.ports:
            same = port.host_port == wanted.host_port and port.protocol == wanted.protocol
            addresses = {port.host_address, wanted.host_address}
            if same and (len(addresses) == 1 or any(address in every for address in addresses)):
                return one
    return None


# --- disk, data services ---------------------------------------------------------------------------------


def _disk_problems(services: Sequence[Service]) -> Iterator[str]:
    images = EngineImages()
    try:
        root = images.root() if images.is_here() else ""
        known = images.find([one.image for one in services])
    finally:
        images.close()
    if not root or not os.path.isdir(root):
        return  # the engine runs elsewhere
    needed = space_for(services, known)
    free = shutil.disk_usage(root).free
    if free < needed:
        yield f"{free >> 20} MiB free on the disk of {root}, and new images may take {needed >> 20} MiB"


def space_for(services: Sequence[Service], known: Mapping[str, ImageFacts]) -> int:
    """Bytes that new images may take: as much as the ones that are here now."""
    names = {one.image for one in services if one.image}
    return sum(known[name].size_bytes if name in known else UNKNOWN_IMAGE_BYTES for name in names)


def _data_service_problems(look: Look, services: Sequence[Service]) -> Iterator[str]:
    """A database that is ill now is not deployed around: it would be recreated while it repairs itself."""
    for service in services:
        for one in of_service(look.containers, service.name) if service.role else ():
            if one.state in RUNNING and (one.health == "unhealthy" or one.state == "restarting"):
                yield f"{one.name} ({service.role}) is {one.health if one.health == 'unhealthy' else one.state}"


def databases_beside(look: Look, config: Config) -> tuple[list[str], list[str]]:
    """(those that were asked and answer, what is wrong with the others) of the databases that run in no container of
    the stack: nothing else looks after them. One to which this host has no address, or a login of which only the
    application knows, is no obstacle. Takes ASK_SECONDS at most; raises SourceError when the engine does not answer."""
    from opsconsole.operations.reach import reach
    from opsconsole.sources.databases import Databases

    behind = reach(look, config)
    beside = [one for one in behind.connections if not one.target.service and one.uri]
    asked = Databases(lambda stack, containers: beside, patience_seconds=ASK_SECONDS)
    try:
        found = asked.look(behind.stack, look.containers, collections=False) if beside else ()
    finally:
        asked.close()
    answering, problems = [], []
    for one in found:
        name = one.target.address or one.target.name
        if one.reachable:
            answering.append(name)
        elif not one.refused or "was refused" in one.problem:
            section = f"[{one.target.kind}] in opsconsole.toml"
            other = f"if the containers reach it otherwise than this host does, name its address under {section}"
            problems.append(f"the database {name} beside the stack: {one.problem} ({one.hint}; {other})")
    return answering, problems


ACTS: dict[Act, acts.Act] = {Act.PREFLIGHT: preflight}
