"""What the steps of a deploy and a rollback do. Each can be done again: what is done already is left as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from opsconsole.model import Container, Service, SourceError
from opsconsole.operations import acts, facts, image_keeping, plan_facts, releases
from opsconsole.operations.acts import Failed, Fields, Operation, Stopped
from opsconsole.operations.deploy_changes import order
from opsconsole.operations.journal import Result
from opsconsole.operations.plan import Act, Kind, Plan, Step
from opsconsole.operations.plan_facts import Facts
from opsconsole.operations.release_making import Made, candidate, found, known_configurations, of_service, with_hashes
from opsconsole.operations.releases import Release, State
from opsconsole.operations.replacing import mend, overtaken, settled, with_labels
from opsconsole.operations.steps import step
from opsconsole.sources.engine_images import ImageFacts, find_images


def pull(operation: Operation, one: Step) -> Fields:
    """Each image by itself. One that cannot be had and is here already is used as it is, and the record says so."""
    look = facts.look(operation.directory, operation.config, project=operation.project)
    names = {service.name: service.image for service in look.services}
    kept: list[str] = []
    fields: Fields = {}
    codes: list[int] = []
    for service, command in zip(one.services, one.commands, strict=True):
        try:
            fields = acts.run_commands(operation, msgspec.structs.replace(one, commands=(command,)))
            codes.append(0)
        except Failed as failed:
            codes += failed.fields.get("exit_codes", ())  # type: ignore[arg-type]
            fields = failed.fields
            image = names.get(service, "")
            if failed.stopped.result is Result.CANCELLED or not find_images([image]):
                stopped = failed.stopped
                stopped.hint = f"Nothing was changed. {image} is not on this engine and could not be pulled."
                raise
            kept.append(image)
    text = f"could not be pulled, so the ones that are here are used: {', '.join(kept)}" if kept else ""
    return {**fields, "exit_codes": tuple(codes), "text": text}


def record(operation: Operation, one: Step) -> Fields:
    """Keep what is about to run, or, for the release that the way back leads to, what runs."""
    _drop_stale(operation, one.release)
    look = facts.look(operation.directory, operation.config, project=operation.project)
    if operation.plan.kind is Kind.DEPLOY and (changed := _changed_files(operation.plan.facts, look.facts)):
        problem = f"changed while images were pulled and built: {'; '.join(changed)}"
        raise SourceError(problem, "Nothing was recreated. Look at the plan again.")
    number = int(one.release.removeprefix("r"))
    owner = operation.plan.resolves or operation.place.name
    now = datetime.now(UTC).replace(microsecond=0)
    kept = releases.all_releases(operation.directory)
    if any(release.number == number and not _ours(release, owner, operation.plan) for release in kept):
        raise SourceError(f"{one.release} was recorded by another operation in between", "Make the plan anew.")
    images = find_images([*(one.image for one in look.services), *(one.image_id for one in look.containers)])
    if one.release == operation.plan.release:
        services = order(look.services, one.services)
        made = candidate(look, services, _about_to_run(operation, services, look, images), number, owner, now)
    else:
        known = known_configurations(operation.directory, kept)
        everything = order(look.services, [service.name for service in look.services])
        made = found(look, everything, images, known, number, owner, now)
    _keep(operation, look, made)
    return {"release": one.release, "text": f"{len(made.release.services)} services as {one.release}"}


def recreate(operation: Operation, one: Step) -> Fields:
    """Let Compose make the containers of one service anew, unless they are what the release has."""
    (service,) = one.services
    mend(operation, service)
    release = releases.read(operation.directory, one.release)
    kept = release.service(service)
    if kept is None:
        raise SourceError(f"{one.release} has no service {service}", "The compose files changed in between.")
    _refuse_other_files(operation, release)
    containers = operation.containers()
    own = of_service(containers, service)
    again = (kept.job and _awaited(operation, one, containers)) or overtaken(kept, own, containers)
    if settled(own, kept) and not again:
        return {"text": "unchanged"}
    step("D04")
    fields = acts.run_commands(operation, one)
    step("D05")
    wrong = [one.name for one in of_service(operation.containers(), service) if one.image_id != kept.image_id]
    if wrong:
        problem = f"{', '.join(wrong)} runs another image than {one.release} recorded"
        raise Failed(fields, Stopped(Result.FAILED, problem, "Somebody moved the image's name in between."))
    return fields


def mark_good(operation: Operation, one: Step) -> Fields:
    """The release is good, the oldest ones go. One that is the same as the release before takes no place of its own."""
    directory = operation.directory
    release = with_labels(releases.read(directory, one.release), operation.containers())
    before = next((r for r in releases.all_releases(directory) if r.name == operation.plan.returns_to), None)
    text = f"{release.name} is good"
    if before is not None and releases.same_content(release, before):
        if before.state is State.GOOD:
            releases.remove(directory, release.name)
            text = f"nothing had changed: {before.name} stays"
        else:
            releases.update(directory, msgspec.structs.replace(release, state=State.GOOD))
            releases.remove(directory, before.name)
    else:
        releases.update(directory, msgspec.structs.replace(release, state=State.GOOD))
    step("D07")
    dropped = _drop_old(operation)
    image_keeping.reconcile(operation, releases.all_releases(directory))
    return {"release": release.name, "text": text + (f"; {', '.join(dropped)} dropped" if dropped else "")}


# --- recording -------------------------------------------------------------------------------------


def _keep(operation: Operation, look: facts.Look, made: Made) -> None:
    from opsconsole.stack import compose

    command = compose.find()
    if command is None:
        raise SourceError("Docker Compose is not installed on this host", compose.NO_COMPOSE_HINT)
    directory = str(Path(look.directory, look.compose[look.compose.index("--project-directory") + 1]))
    wanted = compose.ComposeFiles(directory=directory, files=(), project=look.name)
    made = with_hashes(made, compose.hashes_of(command, wanted, made.compose))
    releases.write(operation.directory, made.release, made.compose, made.files)
    image_keeping.reconcile(operation, releases.all_releases(operation.directory))


def _about_to_run(
    operation: Operation, services: Sequence[Service], look: facts.Look, images: Mapping[str, ImageFacts]
) -> dict[str, ImageFacts]:
    """By service, what its image's name means now; of a service that stays, what its container runs: somebody may
    have moved the name since the plan was made."""
    moving = {name for one in operation.plan.steps if one.act is Act.RECREATE for name in one.services}
    staying = {
        service.name: images[own[-1].image_id]
        for service in services
        if service.name not in moving
        and (own := of_service(look.containers, service.name))
        and own[-1].image_id in images
    }
    return {
        service.name: staying.get(service.name) or images[service.image]
        for service in services
        if service.name in staying or service.image in images
    }


def _changed_files(planned: Facts, now: Facts) -> tuple[str, ...]:
    before, after = (Facts(compose=one.compose, files=one.files) for one in (planned, now))
    return plan_facts.differences(before, after)


def _refuse_other_files(operation: Operation, release: Release) -> None:
    """What is recreated is what was planned and recorded. Raises SourceError when somebody has changed a file since."""
    changed = []
    for one in release.files:
        try:
            digest = hashlib.sha256(Path(operation.directory, one.path).read_bytes()).hexdigest()
        except OSError:
            digest = ""
        if digest != one.sha256:
            changed.append(one.path)
    if changed:
        raise SourceError(
            f"{', '.join(changed)} changed while the deploy was at work", "Look at the changes, and deploy again."
        )


def _ours(release: Release, owner: str, what: Plan) -> bool:
    """Whether a release of the number that is to be written is one that this operation began."""
    return release.operation == owner or (release.state is State.CANDIDATE and release.name == what.release)


def _drop_stale(operation: Operation, name: str) -> None:
    """Candidates of operations that are over: nobody works on them, for the stack is locked by us."""
    releases.tidy(operation.directory)
    containers = operation.containers()
    for release in releases.all_releases(operation.directory):
        if release.state is not State.CANDIDATE or release.name in (name, operation.plan.release):
            continue
        if any((kept := release.service(one.service)) and releases.runs(one, kept) for one in containers):
            releases.update(operation.directory, msgspec.structs.replace(release, state=State.FAILED))
        else:
            releases.remove(operation.directory, release.name)


def _drop_old(operation: Operation) -> list[str]:
    """Beyond `keep_releases` the oldest go; what failed before the last good one goes too. The release before stays:
    killed from here on, the operation may still be undone."""
    kept = releases.all_releases(operation.directory)
    names = {one.service for one in operation.containers()}
    current = releases.running(kept, operation.containers(), names)
    needed = {current.name, operation.plan.returns_to} if current else {operation.plan.returns_to}
    dropped = releases.surplus(kept, operation.config.deploy.keep_releases, needed)
    for name in dropped:
        releases.remove(operation.directory, name)
    return dropped


def _awaited(operation: Operation, one: Step, containers: Sequence[Container]) -> bool:
    """Whether a service that waits for this job will be recreated after it."""
    release = releases.read(operation.directory, one.release)
    look = facts.look(operation.directory, operation.config, project=operation.project)
    waiting = {service.name for service in look.services if one.services[0] in service.depends_on}
    return any(
        not settled(of_service(containers, kept.name), kept) for kept in release.services if kept.name in waiting
    )


ACTS: dict[Act, acts.Act] = {
    Act.PULL: pull,
    Act.RECORD_RELEASE: record,
    Act.RECREATE: recreate,
    Act.MARK_GOOD: mark_good,
}
