"""The engine's images by name, and what else a deploy has to know of it before it begins."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from opsconsole.model import Record, SourceError
from opsconsole.sources.engine_connection import EngineConnection
from opsconsole.sources.engine_faults import ContainerGone, EngineRefused

KEEPS = "opsconsole.keeps"
"""Label of the containers that hold the images of a project's releases; its value is the project."""

# What a registry allows as a part of a name.
_ALLOWED = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")


class ImageFacts(Record, frozen=True):
    """One image. `digests` are as a registry knows it: `mongo@sha256:...`."""

    id: str
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    size_bytes: int = 0
    volumes: tuple[str, ...] = ()  # paths that it declares as volumes


class Keeper(Record, frozen=True):
    """A container that is never started and holds an image."""

    name: str
    image_id: str


def tag_of(project: str, service: str, number: int) -> str:
    """`opsconsole/shop/backend:r4`."""
    return f"{repository_of(project)}/{_component(service)}:r{number}"


def repository_of(project: str) -> str:
    return f"opsconsole/{_component(project)}"


def _component(name: str) -> str:
    """A part of an image's name: what is not allowed there is replaced, and a hash keeps two such apart."""
    if _ALLOWED.fullmatch(name):
        return name
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "x"
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


class EngineImages:
    """Asks the engine at each call; nothing is remembered. Every method raises SourceError."""

    def __init__(self, docker_host: str | None = None, *, timeout: float = 5.0) -> None:
        self._timeout = timeout
        self._connection = EngineConnection(docker_host, timeout=timeout)

    def find(self, references: Sequence[str]) -> dict[str, ImageFacts]:
        """What these names or ids point at; one that the engine does not have is left out."""
        found = {}
        for reference in dict.fromkeys(one for one in references if one):
            try:
                found[reference] = _image(self._connection.get(f"/images/{reference}/json"))
            except (ContainerGone, EngineRefused):
                continue
        return found

    def tags(self, repositories: str) -> dict[str, str]:
        """Tag -> image id of everything whose name matches, such as `opsconsole/shop/*`."""
        import json

        rows = self._connection.get("/images/json", {"filters": json.dumps({"reference": [repositories]})})
        return {str(tag): str(row.get("Id")) for row in rows for tag in row.get("RepoTags") or []}

    def keepers(self, label: str) -> tuple[Keeper, ...]:
        """The containers with this label (`name=value`), running or not."""
        import json

        rows = self._connection.get("/containers/json", {"all": "1", "filters": json.dumps({"label": [label]})})
        return tuple(
            Keeper(name=str((row.get("Names") or [""])[0]).lstrip("/"), image_id=str(row.get("ImageID") or ""))
            for row in rows
        )

    def in_registry(self, name: str) -> str:
        """The digest that a name has in its registry now, `sha256:...`; with the login that `docker pull` would use."""
        try:
            answer = self._connection.ask(lambda client: client.inspect_distribution(name))
        except ContainerGone:
            raise SourceError(f"its registry does not have {name}") from None
        except EngineRefused as refused:
            raise SourceError(
                refused.problem.replace("The engine refused", "its registry could not be asked")
            ) from None
        except SourceError:
            raise SourceError(f"its registry did not answer within {self._timeout:g} s") from None
        return str((answer.get("Descriptor") or {}).get("digest") or "")

    def root(self) -> str:
        """The directory where the engine keeps its images, on the host that it runs on."""
        return str(self._connection.get("/info").get("DockerRootDir") or "")

    def is_here(self) -> bool:
        """Whether the engine runs on this host (it is reached by a socket)."""
        return bool(self._connection.address.socket)

    def close(self) -> None:
        self._connection.close()


def find_images(references: Sequence[str]) -> dict[str, ImageFacts]:
    """`EngineImages.find` over a connection of its own."""
    images = EngineImages()
    try:
        return images.find(references)
    finally:
        images.close()


def _image(raw: Mapping[str, Any]) -> ImageFacts:
    config = raw.get("Config") or {}
    return ImageFacts(
        id=str(raw.get("Id") or ""),
        tags=tuple(map(str, raw.get("RepoTags") or ())),
        digests=tuple(map(str, raw.get("RepoDigests") or ())),
        size_bytes=int(raw.get("Size") or 0),
        volumes=tuple(sorted(map(str, (config.get("Volumes") or {}).keys()))),
    )
