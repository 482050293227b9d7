"""What a deploy makes of each service, and why. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from opsconsole.model import Container, Service
from opsconsole.operations import compose_changes
from opsconsole.operations.deploy_look import Known
from opsconsole.operations.facts import Look
from opsconsole.operations.plan import Fate, ServiceChange
from opsconsole.operations.release_making import of_service, restarts_with
from opsconsole.operations.stack_plans import RUNNING
from opsconsole.sources.engine_parse import KEPT_IMAGE

# What is no part of a container: Compose leaves it out of its hash, or the line about the image says it.
_NOT_IN_CONTAINER = frozenset({"build", "pull_policy", "depends_on", "profiles", "scale", "image", "deploy"})


def changes(look: Look, services: Sequence[Service], known: Known) -> tuple[ServiceChange, ...]:
    """One for each service that is deployed, in their order."""
    first = [_change(look, one, known) for one in services]
    moved = {one.service for one in first if one.fate not in (Fate.UNCHANGED, Fate.START)}
    return tuple(
        _follows(look, one, service, services, moved) if one.fate is Fate.UNCHANGED else one
        for one, service in zip(first, services, strict=True)
    )


def pulled(look: Look, service: Service, known: Known) -> bool:
    """Whether a registry is asked for its image."""
    policy = str(_raw(look, service.name).get("pull_policy") or "")
    built = {one.image for one in look.services if one.builds}
    if service.image in built or not service.image or policy in ("never", "build"):
        return False
    there = service.image in known.images
    return not (there and (policy in ("missing", "if_not_present") or "@sha256:" in service.image))


def configuration_lines(
    old: Mapping[str, Any], new: Mapping[str, Any], secrets: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """The keys of a service's configuration that make another container of it, one line each; secrets masked."""
    before, after = ({"services": {"": _of_container(one)}} for one in (old, new))
    found = (one.words() for one in compose_changes.changes(before, after, secrets))
    return tuple(line.replace("service : ", "", 1) for line in found)


def _of_container(body: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in body.items() if key not in _NOT_IN_CONTAINER and value is not None}
    labels = kept.get("labels")
    if isinstance(labels, Mapping):
        kept["labels"] = {name: value for name, value in labels.items() if name != KEPT_IMAGE}
    return {key: value for key, value in kept.items() if value not in ({}, [])}


# --- one service -----------------------------------------------------------------------------------


def _change(look: Look, service: Service, known: Known) -> ServiceChange:
    own = of_service(look.containers, service.name)
    how = _how(look, service, known)
    if not own:
        what = Fate.CREATE if service.replicas else Fate.UNCHANGED
        return ServiceChange(service=service.name, fate=what, why=(f"image {service.image}{how}",))
    if why := tuple(_surely(look, service, own, known)):
        return ServiceChange(service=service.name, fate=Fate.RECREATE, why=why)
    if how or not service.config_hash:
        unknown = (
            "Compose v1 tells only when it does it"
            if look.rendered.separator == "_"
            else "it shares something of another service's container"
        )
        why = (f"image {service.image}{how}" if how else unknown,)
        return ServiceChange(service=service.name, fate=Fate.PERHAPS, why=why)
    if not service.one_shot and any(one.state not in RUNNING for one in own):
        return ServiceChange(service=service.name, fate=Fate.START)
    return ServiceChange(service=service.name, fate=Fate.UNCHANGED)


def _how(look: Look, service: Service, known: Known) -> str:
    if service.image in {one.image for one in look.services if one.builds}:
        return " is built"
    return " is pulled" if pulled(look, service, known) else ""


def _surely(look: Look, service: Service, own: Sequence[Container], known: Known) -> Iterator[str]:
    """What makes Compose recreate it whatever is built or pulled."""
    newest = own[-1]
    if newest.image and newest.image != service.image and not newest.image.startswith("sha256:"):
        yield f"image {newest.image} -> {service.image}"
    elif (now := known.images.get(service.image)) and now.id != newest.image_id:
        yield f"image {service.image}: runs {_short(newest.image_id)}, the name means {_short(now.id)} now"
    if service.config_hash and any(one.config_hash not in ("", service.config_hash) for one in own):
        old = known.configurations.get(newest.config_hash)
        lines = configuration_lines(old.service, _raw(look, service.name), look.secrets) if old else ()
        if old is None:
            lines = ("its configuration changed; what it was is kept by no release",)
        elif KEPT_IMAGE in dict(newest.labels):
            lines = (f"it runs from the kept release {old.release}", *lines)
        yield from lines or ("its configuration changed",)
    if len(own) != service.replicas and service.config_hash and not service.one_shot:
        yield f"containers {len(own)} -> {service.replicas}"


def _follows(
    look: Look, change: ServiceChange, service: Service, services: Sequence[Service], moved: set[str]
) -> ServiceChange:
    """What others make of a service that would stay as it is."""
    waiting = sorted(_waiting(services, service.name) & moved)
    if service.one_shot and waiting:
        return ServiceChange(service=service.name, fate=Fate.RUN, why=(f"{', '.join(waiting)} waits for it",))
    if needed := [name for name in restarts_with(_raw(look, service.name)) if name in moved]:
        return ServiceChange(service=service.name, fate=Fate.RESTART, why=(f"depends on {', '.join(needed)}",))
    return change


def _waiting(services: Sequence[Service], job: str) -> set[str]:
    return {one.name for one in services if job in one.depends_on}


def _raw(look: Look, service: str) -> Mapping[str, Any]:
    body = (look.rendered.raw.get("services") or {}).get(service)
    return body if isinstance(body, Mapping) else {}


def _short(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:12]


def order(services: Sequence[Service], wanted: Collection[str]) -> list[Service]:
    """Dependencies first; in a circle, as they come."""
    named = {one.name: one for one in services}
    found: dict[str, Service] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in found or name in path or name not in named:
            return
        for other in named[name].depends_on:
            visit(other, (*path, name))
        found[name] = named[name]

    for one in services:
        visit(one.name, ())
    return [one for one in found.values() if one.name in wanted]
