"""Plans for a rollback to a release that is kept. Pure: data in, data out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from opsconsole.config import Config
from opsconsole.model import SourceError
from opsconsole.operations import deploy_changes, hooks, releases
from opsconsole.operations.deploy_costs import data_of
from opsconsole.operations.deploy_look import Known
from opsconsole.operations.deploy_origin import Origin, drift_notes, origin_of, record_found
from opsconsole.operations.facts import Look
from opsconsole.operations.image_keeping import GONE_HINT
from opsconsole.operations.plan import Basis, Downtime, Fate, Kind, Plan, ServiceChange
from opsconsole.operations.release_making import of_service
from opsconsole.operations.releases import Release, State
from opsconsole.operations.return_plans import of_release, return_step, way_back
from opsconsole.operations.stack_plans import RUNNING, NothingToDo


def rollback(look: Look, config: Config, known: Known, to: str = "", *, memory: Sequence[tuple[str, int]] = ()) -> Plan:
    """To the good release before the one that runs, or to the one that is named. Raises SourceError."""
    services = deploy_changes.order(look.services, {one.name for one in look.services})
    origin = origin_of(look, services, known)
    target = _target(known, origin, to)
    if known.gone.get(target.name):
        names = ", ".join(known.gone[target.name])
        raise SourceError(f"{target.name} cannot run: its images are gone from the engine ({names})", GONE_HINT)
    if origin.record and not look.compose:
        raise SourceError(
            "what runs now is in no release, and without a readable compose file none is made of it", _MEND
        )
    moving = _moving(look, target)
    if not moving and not origin.record:
        raise NothingToDo(f"{target.name} is what runs", "`opsconsole releases` lists the others.")
    step = return_step(
        look,
        target.name,
        of_release(look, target),
        stopped=[one.name for one in target.services if not one.ran and not one.job],
        seconds=config.deploy.gate_seconds,
    )
    return Plan(
        kind=Kind.ROLLBACK,
        stack=look.name,
        directory=look.directory,
        facts=look.facts,
        basis=Basis.STACK if look.compose else Basis.ENGINE,
        steps=(*record_found(look, origin), msgspec.structs.replace(step, turns_back=True)),
        changes=_rollback_changes(look, target, moving),
        data=data_of(known.under.get(target.name, look), known, set(moving), memory),
        downtime=tuple(Downtime(service=name, seconds=known.seconds.get(name)) for name in moving),
        running_before=tuple(one.name for one in look.containers if one.state in RUNNING),
        services=tuple(one.name for one in target.services),
        notes=(
            f"{target.name} is from {target.at:%Y-%m-%d %H:%M} UTC, commit {target.commit or 'not known'}, "
            f"{target.state.value}: images and configuration as they were; the files stay as they are",
            "databases keep what was written since: this goes back in code and configuration, not in data",
            *drift_notes(origin),
            *([] if look.compose else ["the compose file cannot be read now; the release needs none of it"]),
        ),
        way_back=way_back(look, config, services, origin, known),
        returns_to=origin.name,
        on_failure=hooks.on_failure(config, Path(look.directory)),
    )


_MEND = "Mend the compose file first; `opsconsole rollback emergency-stop` works without it."


def _target(known: Known, origin: Origin, to: str) -> Release:
    good = [one for one in known.releases if one.returnable]
    if to:
        name = to if to.startswith("r") else f"r{to}"
        chosen = next((one for one in known.releases if one.name == name), None)
        if chosen is None:
            listed = ", ".join(one.name for one in good) or "none"
            raise SourceError(f"there is no release {name}", f"There are: {listed}; see `opsconsole releases`.")
        if not chosen.returnable:
            why = "was not well when it was recorded" if chosen.state is State.FOUND else "did not pass its gate"
            raise SourceError(f"{name} {why}", "See `opsconsole releases` for the good ones.")
        return chosen
    now = int(origin.name.removeprefix("r") or known.number)  # nothing there: the newest
    before = [one for one in good if one.number < now]
    if not before:
        names = ", ".join(one.name for one in good if one.name != origin.name)
        hint = f"Newer ones: {names}; name one with --to." if names else "Each deploy that is good records one."
        raise SourceError("no release before the one that runs is kept", hint)
    return before[-1]


def _moving(look: Look, target: Release) -> list[str]:
    """The services that are not as the release has them."""
    return [
        kept.name
        for kept in target.services
        if len(own := of_service(look.containers, kept.name)) != kept.replicas
        or any(not releases.runs(one, kept) or (one.state not in RUNNING and not kept.job) for one in own)
    ]


def _rollback_changes(look: Look, target: Release, moving: Sequence[str]) -> tuple[ServiceChange, ...]:
    found = []
    for name in of_release(look, target):
        kept = next(one for one in target.services if one.name == name)
        own = of_service(look.containers, kept.name)
        if kept.name not in moving:
            found.append(ServiceChange(service=kept.name, fate=Fate.UNCHANGED))
            continue
        change = Fate.RECREATE if own else Fate.CREATE
        if own and all(releases.runs(one, kept) for one in own) and len(own) == kept.replicas:
            change = Fate.START
        why = [f"image {kept.image} ({kept.image_id.removeprefix('sha256:')[:12]})"]
        if kept.drifted:
            why.append("the configuration that it ran with then is not known: it gets that of the files of then")
        found.append(ServiceChange(service=kept.name, fate=change, why=tuple(why)))
    return tuple(found)
