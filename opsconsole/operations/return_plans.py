"""The way to a release that is kept, and back from a deploy, an update or a rollback that was left half done. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from opsconsole.config import Config
from opsconsole.model import Service
from opsconsole.operations import deploy_changes, releases
from opsconsole.operations.compose_call import from_here
from opsconsole.operations.deploy_look import Known
from opsconsole.operations.deploy_origin import Origin
from opsconsole.operations.facts import Look
from opsconsole.operations.plan import Act, Basis, Plan, Step
from opsconsole.operations.releases import Release
from opsconsole.operations.stack_plans import RUNNING, data_effects


def return_step(look: Look, name: str, services: Sequence[str], *, seconds: float, stopped: Sequence[str]) -> Step:
    """To a release that is kept. Its act runs the commands of those services only that differ from it; containers of
    `stopped` are made and not started."""
    base = look.compose[: look.compose.index("--file")] if look.compose else _bare_words(look)
    directory = Path(look.directory)
    file = from_here(directory, releases.compose_file(directory, name))

    def command(service: str) -> tuple[str, ...]:
        how = "--no-start" if service in stopped else "--detach"
        return (*base, "--file", file, "up", how, "--no-deps", "--no-build", *never_pull(base), service)

    return Step(
        id=f"return:{name}",
        title=f"Return to release {name}: recreate what differs from it, gate each service",
        act=Act.RETURN,
        commands=tuple(command(service) for service in services),
        services=tuple(services),
        cuttable=False,
        effect="Same images and configuration as recorded; data stays. Needs no registry and no build.",
        seconds=seconds,
        release=name,
    )


def _bare_words(look: Look) -> tuple[str, ...]:
    """For a stack whose files cannot be read: what is kept needs none of them."""
    return ("docker", "compose", "--project-directory", ".", "--project-name", look.name)


def way_back(look: Look, config: Config, services: Sequence[Service], origin: Origin, known: Known) -> tuple[Step, ...]:
    if not origin.name:
        return ()
    target = next((one for one in known.releases if one.name == origin.name), None)
    with_containers = {one.service for one in look.containers}
    names = of_release(look, target) if target else [one.name for one in services if one.name in with_containers]
    up = {one.service for one in look.containers if one.state in RUNNING}
    stopped = [name for name in names if name not in up and not _is_one_shot(look, name)]
    step = return_step(look, origin.name, names, seconds=config.deploy.gate_seconds, stopped=stopped)
    return (step,)


def undone(look: Look, old: Plan, operation: str, kept: Sequence[Release], *, finish: bool = False) -> Plan:
    """Go back from a half-done deploy, update or rollback to where it began. `finish`: its way back had begun."""
    recorded = {one.name for one in kept}
    notes: tuple[str, ...] = ()
    if old.as_undo:
        steps = old.steps  # cut off on its way there: the same way again
    elif old.returns_to in recorded or (old.way_back and not old.returns_to):
        steps = old.way_back
    elif old.returns_to:
        # What an update did to the tree, or a rollback to the files, is undone all the same.
        steps = tuple(step for step in old.way_back if step.act is not Act.RETURN)
        gone = f"{old.returns_to} is not kept any more: the containers stay as {old.release} has them"
        notes = ("nothing was recreated: there is nothing to undo",) if not steps else ()
        notes = (gone,) if old.release in recorded else notes
    else:
        steps = _removal(look, old)
    return Plan(
        kind=old.kind,
        stack=look.name,
        directory=look.directory,
        facts=look.facts,
        steps=steps,
        data=data_effects(look.containers, look.volumes, ()),
        running_before=old.running_before,
        services=old.services,
        notes=notes,
        release=old.release,
        returns_to=old.returns_to if steps else "",
        resolves=operation,
        as_undo=not finish,
        basis=Basis.STACK if look.compose else Basis.ENGINE,
        commit_from=old.commit_from,
        commit_to=old.commit_to,
        stash=old.stash,
        files=old.files,
        replica_set=old.replica_set,
    )


def _removal(look: Look, old: Plan) -> tuple[Step, ...]:
    before = {one.id for one in old.facts.containers}
    names = tuple(one.name for one in look.containers if one.id not in before)
    if not names:
        return ()
    step = Step(
        id="remove-new",
        title=f"Remove the containers that it created: {', '.join(names)}",
        commands=(("docker", "stop", *names), ("docker", "rm", *names)),
        cuttable=False,
        effect="Volumes stay.",
    )
    return (step,)


def of_release(look: Look, release: Release) -> list[str]:
    """Its services, dependencies first as far as the files still know them."""
    names = [one.name for one in release.services]
    known = [one.name for one in deploy_changes.order(look.services, names)]
    return [*(name for name in names if name not in known), *known]


def never_pull(words: Sequence[str]) -> tuple[str, ...]:
    """Compose v1 has no such option, and never pulls what is there."""
    return () if words[0] == "docker-compose" else ("--pull", "never")


def _is_one_shot(look: Look, name: str) -> bool:
    return any(one.name == name and one.one_shot for one in look.services)
