"""Reads a compose configuration: what Compose prints, or the file as people write it. Pure.

Both the long syntax (Compose v2 renders everything to it) and the short one (Compose v1 keeps it, people
write it) are understood. What is malformed is left out, never guessed.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping
from typing import Any

from opsconsole.model import Mount, Port
from opsconsole.stack.rendered import Rendered, ServiceConfig, VolumeConfig


def parse(raw: Mapping[str, Any], *, project: str, directory: str) -> Rendered:
    """Structs from the mapping that Compose prints or the file holds. `directory` is where paths are relative to."""
    name = str(raw.get("name") or project)
    volumes = _volume_names(_mapping(raw.get("volumes")), name)
    secrets = _mapping(raw.get("secrets"))
    return Rendered(
        name=name,
        services={
            service: _service(service, _mapping(body), volumes, directory)
            for service, body in _mapping(raw.get("services")).items()
        },
        volumes={one.name: one for one in _volumes(_mapping(raw.get("volumes")), volumes)},
        secret_files={
            key: _absolute(str(value["file"]), directory)
            for key, value in secrets.items()
            if isinstance(value, Mapping) and value.get("file")
        },
    )


# --- one service -----------------------------------------------------------------------------------


def _service(name: str, raw: Mapping[str, Any], volumes: Mapping[str, str], directory: str) -> ServiceConfig:
    deploy = _mapping(raw.get("deploy"))
    networks = raw.get("networks")
    aliases = [
        str(alias)
        for network in (networks.values() if isinstance(networks, Mapping) else ())
        for alias in _list(_mapping(network).get("aliases"))
    ]
    mounts, written = _mounts(raw, volumes, directory)
    return ServiceConfig(
        name=name,
        image=_text(raw.get("image")),
        builds=raw.get("build") is not None,
        profiles=tuple(str(profile) for profile in _list(raw.get("profiles"))),
        command=words(raw.get("command")),
        entrypoint=words(raw.get("entrypoint")),
        environment=_pairs(raw.get("environment")),
        ports=tuple(port for entry in _list(raw.get("ports")) for port in _ports(entry)),
        exposed=tuple(port.container_port for entry in _list(raw.get("expose")) for port in _ports(str(entry))),
        mounts=mounts,
        health_test=_health_test(_mapping(raw.get("healthcheck"))),
        depends_on=_depends_on(raw.get("depends_on")),
        restart=_text(raw.get("restart")) or _text(_mapping(deploy.get("restart_policy")).get("condition")),
        replicas=_number(deploy.get("replicas"), _number(raw.get("scale"), 1)),
        network_mode=_text(raw.get("network_mode")),
        container_name=_text(raw.get("container_name")),
        hostname=_text(raw.get("hostname")),
        aliases=tuple(dict.fromkeys(aliases)),
        extra_hosts=_extra_hosts(raw.get("extra_hosts")),
        secrets=_secret_paths(raw.get("secrets")),
        written_binds=written,
        strict_binds=_strict_binds(raw, directory),
        volumes_from=_volumes_from(raw.get("volumes_from")),
    )


def words(value: object) -> tuple[str, ...]:
    """A command or entrypoint, given as a list or as text, as words."""
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError:
            return tuple(value.split())
    return tuple(str(word) for word in _list(value))


def _health_test(raw: Mapping[str, Any]) -> tuple[str, ...]:
    if str(raw.get("disable")).lower() == "true":
        return ()
    test = raw.get("test")
    if isinstance(test, str):
        return ("CMD-SHELL", test)
    found = tuple(str(word) for word in _list(test))
    return () if found[:1] == ("NONE",) else found


def _depends_on(raw: object) -> dict[str, str]:
    if isinstance(raw, Mapping):
        return {str(name): _text(_mapping(body).get("condition")) or "service_started" for name, body in raw.items()}
    return {str(name): "service_started" for name in _list(raw)}


def _extra_hosts(raw: object) -> dict[str, str]:
    """`name=address` (Compose v2), `name:address` (as it is written and in v1) or a mapping."""
    if isinstance(raw, Mapping):
        return {str(name).lower(): str(address) for name, address in raw.items()}
    lines = (str(line) for line in _list(raw))
    split = (line.partition("=" if "=" in line else ":") for line in lines)
    return {name.strip().lower(): address.strip().strip("[]") for name, _, address in split if address}


def _secret_paths(raw: object) -> dict[str, str]:
    paths = {}
    for entry in _list(raw):
        source = _text(entry.get("source")) if isinstance(entry, Mapping) else str(entry)
        target = (_text(entry.get("target")) if isinstance(entry, Mapping) else "") or source
        paths[target if target.startswith("/") else f"/run/secrets/{target}"] = source
    return paths


# --- ports -----------------------------------------------------------------------------------------

_PORT = re.compile(
    r"^(?:(?:(?P<host>\[[^\]]*\]|[^\[\]]*?):)?(?P<published>[\d-]*):)?(?P<target>\d+(?:-\d+)?)(?:/(?P<protocol>\w+))?$"
)


def _ports(entry: object) -> list[Port]:
    """One entry of `ports` or `expose`: a mapping, a number, or `[host:][published:]target[/protocol]` with ranges."""
    if isinstance(entry, Mapping):
        published = _text(entry.get("published"))
        target = _number(entry.get("target"), 0)
        protocol = _text(entry.get("protocol")) or "tcp"
        host = _text(entry.get("host_ip"))
        return _paired((target, target), published, host, protocol) if target else []
    found = _PORT.match(str(entry))
    if found is None:
        return []
    first, _, last = found["target"].partition("-")
    host = (found["host"] or "").strip("[]")
    return _paired((int(first), int(last or first)), found["published"] or "", host, found["protocol"] or "tcp")


def _paired(targets: tuple[int, int], published: str, host: str, protocol: str) -> list[Port]:
    """One Port per container port. Where the engine chooses the host's port it is None."""
    first, last = targets
    start, _, end = published.partition("-")
    chosen = not start.isdigit() or (bool(end) and first == last)
    return [
        Port(
            container_port=port,
            protocol=protocol,
            host_address=host or "0.0.0.0",
            host_port=None if chosen else int(start) + port - first,
        )
        for port in range(first, min(last, first + 1000) + 1)
    ]


# --- mounts ----------------------------------------------------------------------------------------


def _mounts(
    raw: Mapping[str, Any], volumes: Mapping[str, str], directory: str
) -> tuple[tuple[Mount, ...], tuple[str, ...]]:
    mounts: list[Mount] = []
    written: list[str] = []
    for entry in _list(raw.get("volumes")):
        long = entry if isinstance(entry, Mapping) else _long_mount(str(entry))
        kind, source, target = _text(long.get("type")), _text(long.get("source")), _text(long.get("target"))
        if not target or kind not in ("volume", "bind", "tmpfs"):
            continue
        if kind == "bind":
            written.append(source)
        mounts.append(
            Mount(
                kind=kind,
                destination=target,
                name=volumes.get(source, source) if kind == "volume" else "",
                source=_absolute(source, directory) if kind == "bind" else "",
                read_only=str(long.get("read_only")).lower() == "true",
                anonymous=kind == "volume" and not source,
            )
        )
    for entry in _list(raw.get("tmpfs")):
        mounts.append(Mount(kind="tmpfs", destination=str(entry).split(":", 1)[0]))
    return tuple(mounts), tuple(written)


def _long_mount(short: str) -> dict[str, Any]:
    """`[source:]target[:options]` as a mapping."""
    parts = short.split(":")
    if len(parts) == 1:
        return {"type": "volume", "target": parts[0]}
    source, target = parts[0], parts[1]
    options = parts[2].split(",") if len(parts) > 2 else []
    kind = "bind" if source.startswith((".", "/", "~")) else "volume"
    return {"type": kind, "source": source, "target": target, "read_only": "ro" in options}


def _volume_names(raw: Mapping[str, Any], project: str) -> dict[str, str]:
    """Engine's name of each declared volume."""
    names = {}
    for key, body in raw.items():
        described = _mapping(body)
        external = described.get("external")
        external = None if str(external).lower() == "false" else external
        own = _text(described.get("name")) or (_text(external.get("name")) if isinstance(external, Mapping) else "")
        names[key] = own or (key if external else f"{project}_{key}")
    return names


def _volumes(raw: Mapping[str, Any], names: Mapping[str, str]) -> list[VolumeConfig]:
    return [
        VolumeConfig(
            name=names[key],
            external=str(_mapping(body).get("external") or "false").lower() != "false",
            driver=_text(_mapping(body).get("driver")),
            options=_pairs(_mapping(body).get("driver_opts")),
        )
        for key, body in raw.items()
    ]


def _strict_binds(raw: Mapping[str, Any], directory: str) -> tuple[str, ...]:
    """The long syntax makes a missing source only when it is told to; the short one always does."""
    long = [_mapping(entry) for entry in _list(raw.get("volumes")) if isinstance(entry, Mapping)]
    return tuple(
        _absolute(_text(entry.get("source")), directory)
        for entry in long
        if _text(entry.get("type")) == "bind" and _mapping(entry.get("bind")).get("create_host_path") is not True
    )


def _volumes_from(raw: object) -> tuple[str, ...]:
    """`service`, `service:ro`; those of a container outside the stack (`container:name`) are not known here."""
    return tuple(name.partition(":")[0] for name in map(str, _list(raw)) if not name.startswith("container:"))


def _absolute(path: str, directory: str) -> str:
    if path.startswith("~"):
        return posixpath.normpath(posixpath.expanduser(path))
    return posixpath.normpath(posixpath.join(directory, path))


# --- loose values ----------------------------------------------------------------------------------


def _mapping(value: object) -> dict[str, Any]:
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    if isinstance(value, str):
        return [value]
    return list(value) if isinstance(value, (list, tuple)) else []


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"  # YAML reads an unquoted `restart: no` as false
    return str(value) if isinstance(value, (str, int, float)) else ""


def _number(value: object, default: int) -> int:
    try:
        return int(str(value))
    except ValueError:
        return default


def _pairs(raw: object) -> dict[str, str]:
    """Environment as a mapping or as `NAME=value` lines. A name without a value is left out."""
    if isinstance(raw, Mapping):
        return {str(name): _scalar(value) for name, value in raw.items() if value is not None}
    split = (str(line).partition("=") for line in _list(raw))
    return {name: value for name, separator, value in split if separator}


def _scalar(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
