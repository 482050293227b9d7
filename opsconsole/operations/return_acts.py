"""The act that goes back to a release: the way back of a deploy, and a rollback."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from opsconsole.model import Container, SourceError
from opsconsole.operations import acts, gate_act, image_keeping, plan, releases
from opsconsole.operations.acts import Failed, Fields, Operation, Stopped
from opsconsole.operations.gates import gate
from opsconsole.operations.journal import Result
from opsconsole.operations.plan import Act, Step
from opsconsole.operations.release_making import of_service
from opsconsole.operations.releases import KeptService, Release, State
from opsconsole.operations.replacing import SHORT_SECONDS, cut_off, mend, order, overtaken, with_labels
from opsconsole.operations.steps import step
from opsconsole.sources.engine_images import find_images

_ENGINE_POLL_SECONDS = 1.0


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
    order(operation, ("docker", "stop", *names), ("docker", "rm", *names))
    return f"{', '.join(names)} removed"


def _returned(operation: Operation, one: Step, release: Release) -> list[str]:
    done: list[str] = []
    for service, command in zip(one.services, one.commands, strict=True):
        kept = release.service(service)
        if kept is None:
            continue
        mend(operation, service)
        containers = operation.containers()
        own = of_service(containers, service)
        wanted = "--detach" in command
        if cut_off(kept, own, containers):
            command = (*command[:-1], "--force-recreate", service)
        elif _is_back(own, kept, running=wanted):
            if overtaken(kept, own, containers):
                order(operation, ("docker", "restart", *(container.name for container in own)))
                done.append(_gated(operation, one, kept, "restarted"))
            continue
        operation.progress(f"{service} goes back to {release.name}")
        ran = operation.run_command(command, one.seconds + SHORT_SECONDS, cuttable=False)
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
    deadline = time.monotonic() + operation.config.deploy.engine_seconds
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
    found = find_images(list(built))
    for name, image in built.items():
        if name not in found or found[name].id != image:
            operation.run_command(("docker", "tag", image, name), SHORT_SECONDS, cuttable=False)


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
    releases.update(operation.directory, with_labels(release, containers))


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


ACTS: dict[Act, acts.Act] = {Act.RETURN: return_to}
