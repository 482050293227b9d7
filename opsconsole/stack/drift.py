"""Does a container run what the compose file says? Pure: labels of containers against the rendered services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from opsconsole.model import Container, Service, Stack
from opsconsole.stack.files import CONFIG_FILES, KEPT_FILE

VERSION_LABEL = "com.docker.compose.version"
ONE_OFF_LABEL = "com.docker.compose.oneoff"


def with_drift(containers: Sequence[Container], stack: Stack) -> tuple[Container, ...]:
    """The containers with `drift` filled: one sentence for each that differs, "" for the others.

    Where it cannot be told (no Compose, another Compose generation wrote the label) nothing is claimed;
    `untellable` says so once for the stack.
    """
    services = {service.name: service for service in stack.services}
    major = _major(stack.compose_command.rpartition(" ")[2])
    return tuple(_judged(container, stack, services, major) for container in containers)


def untellable(containers: Sequence[Container], stack: Stack) -> str:
    """One line when some containers were made by a Compose whose fingerprints this host's cannot compare, else ""."""
    here = stack.compose_command.rpartition(" ")[2]
    others = {
        version
        for container in containers
        if (version := _label(container, VERSION_LABEL)) and here and _major(version) != _major(here)
    }
    if not others:
        return ""
    return (
        f"containers were created by Compose {', '.join(sorted(others))} and this host has {here}: "
        "whether they run what the compose file says is not known until they are recreated"
    )


def _judged(container: Container, stack: Stack, services: Mapping[str, Service], major: str) -> Container:
    if not container.service or (container.project and container.project != stack.name):
        return container
    if _label(container, ONE_OFF_LABEL).lower() == "true":
        return container  # `compose run`: never meant to equal its service
    drift = _sentence(container, services, major)
    return container if drift == container.drift else msgspec.structs.replace(container, drift=drift)


def _sentence(container: Container, services: Mapping[str, Service], major: str) -> str:
    service = services.get(container.service)
    if service is None:
        if not any(known.config_hash for known in services.values()):
            return ""  # no Compose has read the files: who reads them without it does not follow includes
        return f"service {container.service} is no longer in the compose file"
    if kept := KEPT_FILE.search(_label(container, CONFIG_FILES)):
        return f"runs release {kept['release']}, as it was kept: the next deploy or `up` recreates it"
    if _differs(container.config_hash, service.config_hash) and _same_generation(container, major):
        return "runs another configuration than the compose file: the next `up` recreates it"
    if _differs(_digest(container.image_id), _digest(service.image_id)):
        return f"runs an older image than {service.image} is now: the next `up` recreates it"
    return ""


def _differs(running: str, wanted: str) -> bool:
    """Both known and not the same."""
    return bool(running and wanted) and running != wanted


def _same_generation(container: Container, major: str) -> bool:
    written_by = _major(_label(container, VERSION_LABEL))
    return not written_by or not major or written_by == major


def _major(version: str) -> str:
    return version.strip().lstrip("v").split(".", 1)[0]


def _digest(image_id: str) -> str:
    return image_id.removeprefix("sha256:")


def _label(container: Container, name: str) -> str:
    return next((value for key, value in container.labels if key == name), "")
