"""Where a deploy or a rollback starts from: the release that runs, or the one that what runs is recorded as. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from opsconsole.model import Record, Service
from opsconsole.operations import releases
from opsconsole.operations.deploy_look import Known
from opsconsole.operations.facts import Look
from opsconsole.operations.plan import Act, Step
from opsconsole.operations.release_making import configuration_of, of_service, same_configuration
from opsconsole.operations.stack_plans import RUNNING


class Origin(Record, frozen=True):
    """Where a deploy starts from: the release that runs, or the one that what runs is recorded as."""

    name: str = ""  # "" when no container is there
    record: bool = False
    drifted: tuple[str, ...] = ()


def origin_of(look: Look, services: Sequence[Service], known: Known) -> Origin:
    names = {one.name for one in look.services} or {one.service for one in look.containers}
    own = [one for one in look.containers if one.service in names]
    if current := releases.running(known.releases, look.containers, names):
        return Origin(name=current.name)
    if not own:
        return Origin()
    drifted = tuple(
        one.name
        for one in services
        if (containers := of_service(look.containers, one.name))
        and not same_configuration(containers[-1], one)
        and configuration_of(containers[-1], one, known.configurations) is None
    )
    return Origin(name=f"r{known.number}", record=True, drifted=drifted)


def in_use(look: Look) -> set[str]:
    """The services of the profiles in use, and those that run although nobody chose their profile."""
    running = {one.service for one in look.containers if one.state in RUNNING}
    chosen = {one.name for one in look.services if one.active}
    return chosen | (running & {one.name for one in look.services})


def record_found(look: Look, origin: Origin) -> tuple[Step, ...]:
    if not origin.record:
        return ()
    step = Step(
        id="record-found",
        title=f"Record what runs now as release {origin.name}",
        act=Act.RECORD_RELEASE,
        effect="Its images get a tag of ours and stay, whatever is pruned.",
        cuttable=False,
        release=origin.name,
    )
    return (step,)


def drift_notes(origin: Origin) -> list[str]:
    if not origin.drifted:
        return []
    return [
        f"{', '.join(origin.drifted)}: the container was made from another configuration than the files have now, and "
        "nobody kept that one: the way back brings its image and its mounts back, with the rest of the configuration "
        "as it is now"
    ]
