"""Makes a release of what is about to run, or of what runs already. Pure: a look in, a release and its files out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from opsconsole.model import Container, Service, SourceError
from opsconsole.operations import releases
from opsconsole.operations.facts import Look
from opsconsole.operations.plan import Ending
from opsconsole.operations.releases import KeptFile, KeptService, Release, State
from opsconsole.operations.stack_plans import RUNNING
from opsconsole.roles import is_job
from opsconsole.sources.engine_images import ImageFacts, tag_of
from opsconsole.sources.engine_parse import KEPT_IMAGE

_SHARED = ("networks", "volumes", "secrets", "configs")


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """One service as a release kept it, with the networks and volumes that belong to it. Holds secrets."""

    release: str
    image: str
    service: dict[str, Any]
    shared: dict[str, dict[str, Any]]

    def __repr__(self) -> str:
        return f"Configuration({self.release})"


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A release that is not written yet. `compose` is complete but for the hashes, which only Compose can tell."""

    release: Release
    compose: str
    files: dict[str, bytes]

    def __repr__(self) -> str:
        return f"Made({self.release.name})"


def known_configurations(directory: Path, kept: Sequence[Release]) -> dict[str, Configuration]:
    """By config hash, what each release's compose.yaml says of its services; one that cannot be read is left out."""
    found: dict[str, Configuration] = {}
    for release in kept:
        try:
            raw = json.loads(releases.compose_file(directory, release.name).read_text())
        except (OSError, ValueError):
            continue
        shared = {part: raw.get(part) or {} for part in _SHARED}
        for service in release.services:
            body = (raw.get("services") or {}).get(service.name)
            if body is not None and not service.drifted:
                one = Configuration(release=release.name, image=service.image, service=body, shared=shared)
                found |= dict.fromkeys(service.hashes, one)
    return found


def candidate(
    look: Look, services: Sequence[Service], images: Mapping[str, ImageFacts], number: int, operation: str, at: datetime
) -> Made:
    """What is about to run; `images` by service. Raises SourceError when an image is not there."""
    raw = look.rendered.raw
    if absent := sorted({one.image for one in services if one.name not in images}):
        raise SourceError(
            f"not on this engine: {', '.join(absent)}", "Nothing was recreated. Check the names and the registry."
        )
    kept = [
        KeptService(
            name=one.name,
            image=one.image,
            image_id=images[one.name].id,
            digests=images[one.name].digests,
            tag=tag_of(look.name, one.name, number),
            hashes=(one.config_hash,) if one.config_hash else (),
            replicas=one.replicas,
            built=one.builds,
            job=one.one_shot,
            ending=ending(look, one),
            joins=joined(raw["services"][one.name]),
            restarts_with=restarts_with(raw["services"][one.name]),
        )
        for one in services
    ]
    bodies = {one.name: raw["services"][one.name] for one in services}
    shared = {part: raw.get(part) or {} for part in _SHARED}
    return _made(look, kept, bodies, shared, number, State.CANDIDATE, operation, at)


def found(
    look: Look,
    services: Sequence[Service],
    images: Mapping[str, ImageFacts],
    known: Mapping[str, Configuration],
    number: int,
    operation: str,
    at: datetime,
) -> Made:
    """What runs now, by its containers. Where a container's configuration is no longer known, that of the files is
    kept, with the mounts of the container, and the service is marked as drifted."""
    raw = look.rendered.raw
    shared = {part: dict(raw.get(part) or {}) for part in _SHARED}
    bodies, kept = {}, []
    for one in services:
        own = of_service(look.containers, one.name)
        if not own:
            continue
        newest = own[-1]
        old = configuration_of(newest, one, known)
        drifted = old is None and not same_configuration(newest, one)
        if old is not None:
            shared = {part: {**old.shared[part], **shared[part]} for part in _SHARED}
        body = old.service if old is not None else raw["services"][one.name]
        bodies[one.name] = _as_mounted(body, newest, shared["volumes"]) if old is not None or drifted else body
        facts = images.get(newest.image_id)
        kept.append(
            KeptService(
                name=one.name,
                image=old.image if old is not None else one.image,
                image_id=newest.image_id,
                digests=facts.digests if facts else (),
                tag=tag_of(look.name, one.name, number),
                hashes=(newest.config_hash,) if newest.config_hash else (),
                replicas=len(own),
                built=one.builds,
                job=one.one_shot,
                ending=ending(look, one),
                joins=joined(bodies[one.name]),
                restarts_with=restarts_with(bodies[one.name]),
                ran=any(container.state in RUNNING for container in own),
                well=all(container.health != "unhealthy" and container.state != "restarting" for container in own),
                drifted=drifted,
            )
        )
    return _made(look, kept, bodies, shared, number, State.FOUND, operation, at)


def ending(look: Look, service: Service) -> Ending:
    """Whether a gate lets it pass when it has ended well."""
    if service.one_shot:
        return Ending.MUST
    config = look.rendered.services.get(service.name)
    own = of_service(look.containers, service.name)
    if own:
        job = is_job(own[-1], service)
    else:
        serves = service.role or service.has_healthcheck or service.ports
        job = config is not None and config.restart in ("", "no") and not serves
    return Ending.MAY if job else Ending.NEVER


def joined(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The services whose network, processes, memory or volumes a service shares."""
    modes = [str(body.get(key) or "") for key in ("network_mode", "ipc", "pid")]
    names = [mode.removeprefix("service:") for mode in modes if mode.startswith("service:")]
    names += [str(one).split(":")[0] for one in body.get("volumes_from") or () if not str(one).startswith("container:")]
    return tuple(dict.fromkeys(names))


def restarts_with(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The services that it depends on with `restart: true`."""
    depends = body.get("depends_on")
    if not isinstance(depends, Mapping):
        return ()
    return tuple(name for name, how in depends.items() if isinstance(how, Mapping) and how.get("restart") is True)


def same_configuration(container: Container, service: Service) -> bool:
    """Whether a container was made from the files as they are. Unknown hashes count as the same."""
    return not container.config_hash or not service.config_hash or container.config_hash == service.config_hash


def configuration_of(
    container: Container, service: Service, known: Mapping[str, Configuration]
) -> Configuration | None:
    """What a release kept of the configuration that a container runs; None where the files say it themselves."""
    if container.config_hash and container.config_hash == service.config_hash:
        return None
    return known.get(container.config_hash)


def of_service(containers: Sequence[Container], name: str) -> list[Container]:
    """Its containers, oldest first."""
    own = [one for one in containers if one.service == name]
    return sorted(own, key=lambda one: one.created_at.timestamp() if one.created_at else 0.0)


def with_hashes(made: Made, hashes: Mapping[str, str]) -> Made:
    """The release with the hashes that Compose gives its own compose.yaml."""
    services = tuple(
        msgspec.structs.replace(one, hashes=tuple(dict.fromkeys((*one.hashes, hashes[one.name]))))
        if one.name in hashes
        else one
        for one in made.release.services
    )
    return msgspec.structs.replace(made, release=msgspec.structs.replace(made.release, services=services))


def _made(
    look: Look,
    kept: Sequence[KeptService],
    bodies: Mapping[str, Mapping[str, Any]],
    shared: Mapping[str, Mapping[str, Any]],
    number: int,
    state: State,
    operation: str,
    at: datetime,
) -> Made:
    files, contents = _files(look)
    env = "".join(one.sha256 for one in files if one.env)
    release = Release(
        number=number,
        state=state,
        at=at,
        project=look.name,
        operation=operation,
        commit=look.facts.commit,
        env_hash=hashlib.sha256(env.encode()).hexdigest(),
        services=tuple(kept),
        files=files,
    )
    compose = {
        "x-opsconsole": {"compose_files": look.compose_files, "env_files": look.env_files},
        **({} if look.rendered.separator == "_" else {"name": look.name}),  # Compose v1 refuses it
        "services": {one.name: _kept_body(bodies[one.name], one, bodies) for one in kept},
        **{part: value for part, value in shared.items() if value},
    }
    return Made(release=release, compose=json.dumps(compose, indent=1, default=str) + "\n", files=contents)


def _kept_body(body: Mapping[str, Any], kept: KeptService, others: Mapping[str, Any]) -> dict[str, Any]:
    """A service that runs from our image alone. Profiles go: what is kept was in use."""
    changed = {key: value for key, value in body.items() if key not in ("build", "profiles", "scale")}
    depends = body.get("depends_on")
    if isinstance(depends, Mapping):
        changed["depends_on"] = {name: how for name, how in depends.items() if name in others}
    elif isinstance(depends, list):
        changed["depends_on"] = [name for name in depends if name in others]
    labels = {KEPT_IMAGE: kept.image}
    had = body.get("labels") or {}
    changed["labels"] = (
        {**had, **labels} if isinstance(had, Mapping) else [*had, *(f"{k}={v}" for k, v in labels.items())]
    )
    if kept.replicas != 1 or "replicas" in (body.get("deploy") or {}):
        changed["deploy"] = {**(body.get("deploy") or {}), "replicas": kept.replicas}
    return {**changed, "image": kept.tag, "pull_policy": "never"}


def _as_mounted(
    body: Mapping[str, Any], container: Container, declared: dict[str, dict[str, Any] | None]
) -> dict[str, Any]:
    """A service with the mounts that its container has: whatever else of its configuration is not known any more, the
    way back must lead to the same data. Volumes are named in `declared` as the engine names them."""
    given = [entry for part in ("secrets", "configs") for entry in body.get(part) or ()]
    targets = {str(entry.get("target") or "") for entry in given if isinstance(entry, Mapping)}
    written = [entry for entry in body.get("volumes") or () if isinstance(entry, Mapping)]
    mounts = [dict(entry) for entry in written if entry.get("type") not in ("volume", "bind")]
    for mount in container.mounts:
        own = mount.destination.startswith("/run/secrets/") or mount.destination in targets
        if mount.kind not in ("volume", "bind") or own:
            continue
        entry: dict[str, Any] = {"type": mount.kind, "target": mount.destination, "read_only": mount.read_only}
        if mount.kind == "bind":
            entry |= {"source": mount.source.replace("$", "$$"), "bind": {"create_host_path": True}}
        elif not mount.anonymous:
            declared[mount.name] = {"name": mount.name, "external": True}
            entry["source"] = mount.name
        mounts.append(entry)
    return {**{key: value for key, value in body.items() if key != "volumes_from"}, "volumes": mounts}


def _files(look: Look) -> tuple[tuple[KeptFile, ...], dict[str, bytes]]:
    """The compose and env files. One that cannot be read is left out: Compose has read it or will say so."""
    env = {Path(look.directory, name) for name in (".env",)} | {Path(path) for path in look.env_files}
    kept: list[KeptFile] = []
    contents: dict[str, bytes] = {}
    for name, digest in look.facts.files.items():
        path = Path(look.directory, name)
        try:
            content = path.read_bytes()
        except OSError:
            continue
        stored = f"files/{len(kept)}-{path.name}"
        is_env = path in env or str(path) not in look.compose_files
        kept.append(KeptFile(path=name, stored=stored, sha256=digest, env=is_env))
        contents[stored] = content
    return tuple(kept), contents
