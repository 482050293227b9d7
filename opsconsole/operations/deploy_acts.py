"""What the steps of a deploy and a rollback do. Each can be done again: what is done already is left as it is."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from opsconsole.model import Container, Service, SourceError
from opsconsole.operations import acts, facts, gate_act, image_keeping, plan, releases
from opsconsole.operations.acts import Failed, Fields, Operation, Stopped
from opsconsole.operations.deploy_changes import order
from opsconsole.operations.gates import gate
from opsconsole.operations.journal import Result
from opsconsole.operations.plan import Act, Plan, Step
from opsconsole.operations.release_making import Made, candidate, found, known_configurations, of_service, with_hashes
from opsconsole.operations.releases import KeptService, Release, State
from opsconsole.operations.steps import step
from opsconsole.sources.engine_images import EngineImages, ImageFacts

_HALF_MADE = re.compile(r"^[0-9a-f]{12}_(?P<name>.+)$")
"""What Compose calls a container while it replaces another one; the name stays when it is killed in between."""

_SHORT_SECONDS = 60.0
ENGINE_SECONDS = 90.0
"""So long the way back waits for an engine that does not answer."""

_ENGINE_POLL_SECONDS = 1.0


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
            if failed.stopped.result is Result.CANCELLED or not _found([image]):
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
    number = int(one.release.removeprefix("r"))
    owner = operation.plan.resolves or operation.place.name
    now = datetime.now(UTC).replace(microsecond=0)
    kept = releases.all_releases(operation.directory)
    if any(release.number == number and not _ours(release, owner, operation.plan) for release in kept):
        raise SourceError(f"{one.release} was recorded by another operation in between", "Make the plan anew.")
    images = _found([name for service in look.services for name in (service.image,)] + _image_ids(look.containers))
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
    _mend(operation, service)
    kept = releases.read(operation.directory, one.release).service(service)
    if kept is None:
        raise SourceError(f"{one.release} has no service {service}", "The compose files changed in between.")
    containers = operation.containers()
    own = of_service(containers, service)
    again = (kept.job and _awaited(operation, one, containers)) or _overtaken(kept, own, containers)
    if _settled(own, kept) and not again:
        return {"text": "unchanged"}
    step("D04")
    fields = acts.run_commands(operation, one)
    step("D05")
    wrong = [one.name for one in of_service(operation.containers(), service) if one.image_id != kept.image_id]
    if wrong:
        problem = f"{', '.join(wrong)} runs another image than {one.release} recorded"
        raise Failed(fields, Stopped(Result.FAILED, problem, "Somebody moved the image's name in between."))
    return fields


def return_to(operation: Operation, one: Step) -> Fields:
    """Make what differs from a release into it again, gate it, and look whether it is really that."""
    release = releases.read(operation.directory, one.release)
    _wait_for_engine(operation)
    try:
        image_keeping.ensure(operation, release)
        done = [_removed(operation, release), *_returned(operation, one, release)]
        _verify(operation, release)
        _names_back(operation, release)
    except (SourceError, Failed) as error:
        stopped = error.stopped if isinstance(error, Failed) else Stopped(Result.FAILED, error.problem, error.hint)
        stopped.by_hand = tuple(plan.shown(command) for command in one.commands)
        raise Failed(error.fields if isinstance(error, Failed) else {}, stopped) from None
    _condemn(operation, release)
    said = "; ".join(filter(None, done)) or "nothing differed"
    return {"release": release.name, "text": f"{release.name} runs: {said}"}


def mark_good(operation: Operation, one: Step) -> Fields:
    """The release is good, the oldest ones go. One that is the same as the release before takes no place of its own."""
    directory = operation.directory
    release = _with_labels(releases.read(directory, one.release), operation.containers())
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
    """By the name that the configuration uses; of a service that stays, what its container runs: somebody may have
    moved the name since the plan was made."""
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
    """Beyond `keep_releases` the oldest go; what failed before the last good one goes too."""
    kept = releases.all_releases(operation.directory)
    back = [one for one in kept if one.returnable]
    names = {one.service for one in operation.containers()}
    current = releases.running(kept, operation.containers(), names)
    staying = {one.name for one in back[-operation.config.deploy.keep_releases :]}
    staying |= {current.name} if current else set()
    dropped = [one.name for one in kept if one.name not in staying and one.state is not State.CANDIDATE]
    for name in dropped:
        releases.remove(operation.directory, name)
    return dropped


def _with_labels(release: Release, containers: Sequence[Container]) -> Release:
    """With the hashes that its containers carry: what shares another's network has one that only they tell."""
    services = []
    for kept in release.services:
        seen = [one.config_hash for one in of_service(containers, kept.name) if one.image_id == kept.image_id]
        services.append(msgspec.structs.replace(kept, hashes=tuple(dict.fromkeys((*kept.hashes, *filter(None, seen))))))
    return msgspec.structs.replace(release, services=tuple(services))


# --- recreating --------------------------------------------------------------------------------------


def _settled(own: Sequence[Container], kept: KeptService) -> bool:
    """Whether the service is as the release has it and nothing is to be done for it."""
    if kept.job and len(own) == 1:
        (job,) = own
        return releases.runs(job, kept) and job.state == "exited" and job.exit_code == 0
    return len(own) == kept.replicas and all(
        kept.hashes and releases.runs(one, kept) and one.state == "running" for one in own
    )


def _overtaken(kept: KeptService, own: Sequence[Container], containers: Sequence[Container]) -> bool:
    """Whether what it is to be restarted with was made anew after it was started."""
    made = [one.created_at for name in kept.restarts_with for one in of_service(containers, name) if one.created_at]
    started = [one.started_at for one in own if one.started_at]
    return bool(made and started) and max(made) > min(started)


def _awaited(operation: Operation, one: Step, containers: Sequence[Container]) -> bool:
    """Whether a service that waits for this job will be recreated after it."""
    release = releases.read(operation.directory, one.release)
    look = facts.look(operation.directory, operation.config, project=operation.project)
    waiting = {service.name for service in look.services if one.services[0] in service.depends_on}
    return any(
        not _settled(of_service(containers, kept.name), kept) for kept in release.services if kept.name in waiting
    )


def _mend(operation: Operation, service: str) -> None:
    """Set right what a Compose that was killed while it replaced a container has left."""
    names = {one.name for one in operation.containers()}
    for one in of_service(operation.containers(), service):
        half = _HALF_MADE.match(one.name)
        if half is None:
            continue
        # Where the old one is gone, the half-made one holds its volumes without a name: then it is kept.
        command = ("docker", "rm", "--force", one.name) if half["name"] in names else ()
        _order(operation, command or ("docker", "rename", one.name, half["name"]))


def _order(operation: Operation, *commands: tuple[str, ...]) -> None:
    for command in commands:
        ran = operation.run_command(command, _SHORT_SECONDS, cuttable=False)
        if ran.exit_code:
            said = ran.last_lines[-1] if ran.last_lines else ran.problem
            raise Failed({}, Stopped(Result.FAILED, f"{plan.shown(command)}: {said}", "", ran.last_lines))


# --- going back --------------------------------------------------------------------------------------


def _removed(operation: Operation, release: Release) -> str:
    """What only the new version had goes; volumes stay."""
    try:
        new = releases.read(operation.directory, operation.plan.release) if operation.plan.release else None
    except SourceError:
        new = None
    names = [
        one.name
        for one in operation.containers()
        if new is not None and new.service(one.service) is not None and release.service(one.service) is None
    ]
    if not names:
        return ""
    _order(operation, ("docker", "stop", *names), ("docker", "rm", *names))
    return f"{', '.join(names)} removed"


def _returned(operation: Operation, one: Step, release: Release) -> list[str]:
    done: list[str] = []
    for service, command in zip(one.services, one.commands, strict=True):
        kept = release.service(service)
        if kept is None:
            continue
        _mend(operation, service)
        containers = operation.containers()
        own = of_service(containers, service)
        wanted = "--detach" in command
        if _cut_off(kept, own, containers):
            command = (*command[:-1], "--force-recreate", service)
        elif _is_back(own, kept, running=wanted):
            if _overtaken(kept, own, containers):
                _order(operation, ("docker", "restart", *(container.name for container in own)))
                done.append(_gated(operation, one, kept, "restarted"))
            continue
        operation.progress(f"{service} goes back to {release.name}")
        ran = operation.run_command(command, one.seconds + _SHORT_SECONDS, cuttable=False)
        step("D06")
        if ran.exit_code and not kept.job:
            said = ran.problem or f"exit code {ran.exit_code}"
            raise Failed({}, Stopped(Result.FAILED, f"{plan.shown(command)}: {said}", "", ran.last_lines))
        done.append(_gated(operation, one, kept, "recreated") if wanted else f"{service} put back, not started")
    return done


def _is_back(own: Sequence[Container], kept: KeptService, *, running: bool) -> bool:
    if not own or (len(own) != kept.replicas and not kept.job) or not all(releases.runs(one, kept) for one in own):
        return False
    if not running or kept.job or not kept.well:
        return True
    return all(one.state == "running" and one.health in ("", "healthy") for one in own)


def _cut_off(kept: KeptService, own: Sequence[Container], containers: Sequence[Container]) -> bool:
    """Whether the container whose network (or the like) it shares was made anew: it hangs on the one that is gone."""
    made = [one.created_at for name in kept.joins for one in of_service(containers, name) if one.created_at]
    since = [one.created_at for one in own if one.created_at]
    return bool(made and since) and max(made) > min(since)


def _gated(operation: Operation, one: Step, kept: KeptService, done: str) -> str:
    names = [container.name for container in of_service(operation.containers(), kept.name)]
    verdict = gate(
        operation.containers,
        names,
        ending=kept.ending,
        cancelled=lambda: bool(operation.cancel()),
        limit=one.seconds,
    )
    if verdict.cancelled:
        raise acts.cancelled(operation, one)
    if verdict.problem and kept.well and not kept.job:
        raise gate_act.failed(operation, verdict.problem, verdict.failed)
    if verdict.problem:
        return f"{kept.name} {done} ({verdict.problem}{'' if kept.job else ', as it was before'})"
    return f"{kept.name} {done}"


def _wait_for_engine(operation: Operation) -> None:
    """One that was restarted in the middle is back in a moment. Raises SourceError when it is not."""
    deadline = time.monotonic() + ENGINE_SECONDS
    while True:
        try:
            operation.containers()
            return
        except SourceError:
            if time.monotonic() > deadline or operation.cancel():
                raise
            time.sleep(_ENGINE_POLL_SECONDS)


def _names_back(operation: Operation, release: Release) -> None:
    """The names of images that the stack builds mean what runs again: `docker compose up` by hand would bring the
    failed version back. Names from a registry are left alone, other stacks may use them."""
    built = {one.image: one.image_id for one in release.services if one.built and one.image}
    found = _found(list(built))
    for name, image in built.items():
        if name not in found or found[name].id != image:
            operation.run_command(("docker", "tag", image, name), _SHORT_SECONDS, cuttable=False)


def _verify(operation: Operation, release: Release) -> None:
    """By what the engine says that runs: going back is only done when it is."""
    containers = operation.containers()
    wrong = [
        f"{one.name} runs {one.image_id.removeprefix('sha256:')[:12]}"
        for kept in release.services
        for one in of_service(containers, kept.name)
        if one.image_id != kept.image_id
    ]
    absent = [one.name for one in release.services if one.replicas and not of_service(containers, one.name)]
    if wrong or absent:
        said = "; ".join((*wrong, *(f"{name} has no container" for name in absent)))
        raise SourceError(f"what runs is not {release.name}: {said}", "")
    releases.update(operation.directory, _with_labels(release, containers))


def _condemn(operation: Operation, release: Release) -> None:
    """The release that it came back from has failed; it stays until the next good one, to be looked at."""
    releases.tidy(operation.directory)
    name = operation.plan.release
    if not name or name == release.name:
        return
    try:
        new = releases.read(operation.directory, name)
    except SourceError:
        return
    if new.state is State.CANDIDATE:
        releases.update(operation.directory, msgspec.structs.replace(new, state=State.FAILED))


# --- images --------------------------------------------------------------------------------------------


def _found(names: Sequence[str]) -> dict[str, ImageFacts]:
    images = EngineImages()
    try:
        return images.find(names)
    finally:
        images.close()


def _image_ids(containers: Sequence[Container]) -> list[str]:
    return [one.image_id for one in containers]
