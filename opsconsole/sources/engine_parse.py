"""The engine's JSON as structs: pure functions, tolerant of fields that an older or newer engine leaves out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import msgspec

from opsconsole.model import Container, Engine, HealthCheck, Mount, NetworkAddress, Port, Project
from opsconsole.sources.commands import secrets_of_command, shown_command
from opsconsole.text import is_secret_name, mask_text, mask_uri, mask_value

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"
ONE_OFF = "com.docker.compose.oneoff"
CONFIG_HASH = "com.docker.compose.config-hash"
DIRECTORY = "com.docker.compose.project.working_dir"
CONFIG_FILES = "com.docker.compose.project.config_files"
ANONYMOUS = "com.docker.volume.anonymous"
KEPT_IMAGE = "opsconsole.image"
"""On a container that came back from a kept release: what the operator calls its image."""

RUNNING_STATES = frozenset({"running", "paused", "restarting"})

_OWN_NAME = re.compile(r"[0-9a-f]{64}")
_STATUS_CODE = re.compile(r"^(?:Exited|Restarting) \((-?\d+)\)")
_STATUS_HEALTH = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")
_URI_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^\s:/@]*:([^\s]+)@", re.IGNORECASE)
_EVERY_ADDRESS = {"0.0.0.0": "::", "127.0.0.1": "::1"}


@dataclass(frozen=True, slots=True)
class Details:
    """What only an inspect tells. `environment` is unmasked: it stays inside the source."""

    container: Container
    pid: int = 0
    host_network: bool = False
    stop_timeout: int = 10  # seconds
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def parse_time(value: object) -> datetime | None:
    """An RFC 3339 time in UTC. The engine's year 1 ("never") and anything unreadable is None."""
    if not isinstance(value, str) or not value or value.startswith("0001-"):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def from_listing(raw: Mapping[str, Any]) -> Container:
    """A row of `GET /containers/json`."""
    labels = _mapping(raw.get("Labels"))
    status = str(raw.get("Status") or "")
    state = str(raw.get("State") or "")
    created = raw.get("Created")
    networks = _mapping(_mapping(raw.get("NetworkSettings")).get("Networks"))
    return Container(
        id=str(raw.get("Id") or ""),
        name=_own_name(raw.get("Names") or []),
        **_compose_fields(labels),
        image=str(labels.get(KEPT_IMAGE) or raw.get("Image") or ""),
        image_id=str(raw.get("ImageID") or ""),
        state=state,
        health=_health_of_status(status) if state in RUNNING_STATES else "",
        exit_code=_code_of_status(status),
        created_at=datetime.fromtimestamp(created, UTC) if isinstance(created, int) and created > 0 else None,
        ports=fold_ports(raw.get("Ports") or []),
        mounts=tuple(_mounts(raw.get("Mounts") or [])),
        networks=tuple(_network(name, entry) for name, entry in sorted(networks.items())),
        command=_listed_command(str(raw.get("Command") or "")),
        labels=_shown_labels(labels),
    )


def is_one_off(raw: Mapping[str, Any]) -> bool:
    """Made by `docker compose run`: not a part of the stack."""
    return str(_mapping(raw.get("Labels")).get(ONE_OFF, "")).lower() == "true"


def from_inspect(raw: Mapping[str, Any]) -> Details:
    """The answer of `GET /containers/{id}/json`."""
    state, config, host = (_mapping(raw.get(part)) for part in ("State", "Config", "HostConfig"))
    environment = parse_environment(config.get("Env") or [])
    command = [str(raw.get("Path") or ""), *map(str, raw.get("Args") or [])]
    test = [str(word) for word in _mapping(config.get("Healthcheck")).get("Test") or []]
    secrets = secret_values(environment, (*secrets_of_command(command), *secrets_of_command(test[1:])))
    labels = _mapping(config.get("Labels"))
    health = _mapping(state.get("Health"))
    status = str(state.get("Status") or "")
    error = mask_text(str(state.get("Error") or ""), secrets)
    container = Container(
        id=str(raw.get("Id") or ""),
        name=str(raw.get("Name") or "").lstrip("/"),
        **_compose_fields(labels),
        image=str(labels.get(KEPT_IMAGE) or config.get("Image") or ""),
        image_id=str(raw.get("Image") or ""),
        state=status,
        health=_health(health.get("Status")) if status in RUNNING_STATES else "",
        health_log=tuple(_health_check(entry, secrets) for entry in health.get("Log") or []),
        exit_code=_exit_code(state, status, error),
        oom_killed=bool(state.get("OOMKilled")),
        error=error,
        restarts=_number(raw.get("RestartCount")),
        created_at=parse_time(raw.get("Created")),
        started_at=parse_time(state.get("StartedAt")),
        finished_at=parse_time(state.get("FinishedAt")),
        mounts=tuple([*_mounts(raw.get("Mounts") or []), *_tmpfs(_mapping(host.get("Tmpfs")))]),
        command=shown_command(command, secrets),
        restart_policy=_restart_policy(_mapping(host.get("RestartPolicy"))),
        environment=tuple((name, _shown_value(name, value, secrets)) for name, value in environment.items()),
        labels=_shown_labels(labels),
        detailed=True,
    )
    return Details(
        container=container,
        pid=_number(state.get("Pid")) or 0,
        host_network=host.get("NetworkMode") == "host",
        stop_timeout=_number(config.get("StopTimeout")) or 10,
        environment=environment,
    )


def combine(listed: Container, details: Details, image_created: datetime | None, *, fresh: bool) -> Container:
    """A listed row with what an inspect once told. The list is newer: where the state has changed since, what
    belonged to the old state is left out. Without `fresh` the row says that its details want another look."""
    known = details.container
    same = known.state == listed.state
    return msgspec.structs.replace(
        listed,
        image=known.image or listed.image,
        image_created=image_created,
        health_log=known.health_log,
        exit_code=known.exit_code if same else listed.exit_code,
        oom_killed=known.oom_killed and same,
        error=known.error if same else "",
        restarts=known.restarts,
        created_at=known.created_at or listed.created_at,
        started_at=known.started_at if same or listed.state not in RUNNING_STATES else None,
        finished_at=known.finished_at if same else None,
        mounts=known.mounts,
        command=known.command,
        restart_policy=known.restart_policy,
        environment=known.environment,
        detailed=fresh,
    )


def parse_environment(entries: Iterable[Any]) -> dict[str, str]:
    """`["A=1", "B"]` as a dict; the last of two entries counts, as in the container."""
    pairs = (str(entry).partition("=") for entry in entries)
    return {name: value for name, _, value in pairs if name}


def secret_values(environment: Mapping[str, str], more: Iterable[str] = ()) -> tuple[str, ...]:
    """Values to hide wherever they stand, longest first: variables that are named like secrets, passwords in URIs."""
    found = {value for name, value in environment.items() if value and is_secret_name(name)} | set(more)
    for value in environment.values():
        for password in _URI_PASSWORD.findall(value):
            found |= {password, unquote(password)}
    # Shorter ones and plain words such as "admin" would mask ordinary text.
    kept = (value for value in found if len(value) >= 6 or (len(value) >= 4 and not value.isalpha()))
    return tuple(sorted(kept, key=lambda value: (-len(value), value)))


def fold_ports(entries: Iterable[Mapping[str, Any]]) -> tuple[Port, ...]:
    """Ports without the IPv6 twin of a port that is published for every, or the local, IPv4 address too."""
    ports = {
        Port(
            container_port=int(entry.get("PrivatePort") or 0),
            protocol=str(entry.get("Type") or "tcp"),
            host_address=str(entry.get("IP") or "") if entry.get("PublicPort") else "",
            host_port=int(entry["PublicPort"]) if entry.get("PublicPort") else None,
        )
        for entry in entries
    }
    twins = {
        msgspec.structs.replace(port, host_address=_EVERY_ADDRESS[port.host_address])
        for port in ports
        if port.host_address in _EVERY_ADDRESS
    }
    published = {(port.container_port, port.protocol) for port in ports if port.host_port}
    kept = (
        port
        for port in ports - twins
        if port.host_port is not None or (port.container_port, port.protocol) not in published
    )
    return tuple(
        sorted(kept, key=lambda port: (port.container_port, port.protocol, port.host_address, port.host_port or 0))
    )


def projects(rows: Iterable[Mapping[str, Any]]) -> tuple[Project, ...]:
    """The Compose projects among all containers of the engine, by name. The newest container names the directory."""
    found: dict[str, Project] = {}
    for raw in sorted(rows, key=lambda row: row.get("Created") or 0):
        labels = _mapping(raw.get("Labels"))
        name = str(labels.get(PROJECT) or "")
        if not name or is_one_off(raw):
            continue
        before = found.get(name, Project(name=name, directory=""))
        files = str(labels.get(CONFIG_FILES) or "")
        found[name] = Project(
            name=name,
            directory=str(labels.get(DIRECTORY) or before.directory),
            compose_files=tuple(files.split(",")) if files else before.compose_files,
            running=before.running + (raw.get("State") in RUNNING_STATES),
            total=before.total + 1,
        )
    return tuple(sorted(found.values(), key=lambda project: project.name))


def describe(endpoint: str, version: Mapping[str, Any], info: Mapping[str, Any], api_version: str) -> Engine:
    """`GET /version` and `GET /info` as one struct. `api_version` is the one agreed on."""
    return Engine(
        endpoint=mask_uri(endpoint),
        version=str(version.get("Version") or ""),
        api_version=api_version,
        operating_system=str(info.get("OperatingSystem") or ""),
        storage_driver=str(info.get("Driver") or ""),
        cgroup_version=str(info.get("CgroupVersion") or ""),
        cpus=_number(info.get("NCPU")),
        memory_bytes=_number(info.get("MemTotal")),
        containers_running=_number(info.get("ContainersRunning")),
        containers_total=_number(info.get("Containers")),
        images=_number(info.get("Images")),
    )


# --- parts -----------------------------------------------------------------------------------------


def _compose_fields(labels: Mapping[str, Any]) -> dict[str, Any]:
    number = str(labels.get(NUMBER) or "1")
    return {
        "project": str(labels.get(PROJECT) or ""),
        "service": str(labels.get(SERVICE) or ""),
        "number": int(number) if number.isascii() and number.isdigit() else 1,
        "config_hash": str(labels.get(CONFIG_HASH) or ""),
    }


def _own_name(names: Iterable[Any]) -> str:
    """A container that others link to has a name per link, such as `/web/db`; its own has one slash."""
    cleaned = [str(name).lstrip("/") for name in names]
    return next((name for name in cleaned if "/" not in name), cleaned[0] if cleaned else "")


def _mounts(entries: Iterable[Mapping[str, Any]]) -> Iterable[Mount]:
    for entry in entries:
        kind = str(entry.get("Type") or "")
        if kind not in ("volume", "bind", "tmpfs"):
            continue  # a named pipe or an image: no data of the stack lies there
        name = str(entry.get("Name") or "")
        yield Mount(
            kind=kind,
            destination=str(entry.get("Destination") or ""),
            name=name,
            source=str(entry.get("Source") or ""),
            read_only=not entry.get("RW", True),
            anonymous=kind == "volume" and bool(_OWN_NAME.fullmatch(name)),
        )


def _tmpfs(entries: Mapping[str, Any]) -> Iterable[Mount]:
    for destination, options in entries.items():
        yield Mount(kind="tmpfs", destination=destination, read_only="ro" in str(options).split(","))


def _network(name: str, entry: object) -> NetworkAddress:
    facts = _mapping(entry)
    return NetworkAddress(network=name, address=str(facts.get("IPAddress") or facts.get("GlobalIPv6Address") or ""))


def _health(status: object) -> str:
    return status if isinstance(status, str) and status in ("starting", "healthy", "unhealthy") else ""


def _health_of_status(status: str) -> str:
    found = _STATUS_HEALTH.search(status)
    return found[1] if found else ""


def _code_of_status(status: str) -> int | None:
    found = _STATUS_CODE.match(status)
    return int(found[1]) if found else None


def _exit_code(state: Mapping[str, Any], status: str, error: str) -> int | None:
    """The engine says 0 for one that never ended; only an end, or a failed start, has a code."""
    return _number(state.get("ExitCode")) if status in ("exited", "dead", "restarting") or error else None


def _health_check(entry: object, secrets: tuple[str, ...]) -> HealthCheck:
    facts = _mapping(entry)
    return HealthCheck(
        started_at=parse_time(facts.get("Start")),
        exit_code=_number(facts.get("ExitCode")) or 0,
        output=mask_text(str(facts.get("Output") or ""), secrets),
    )


def _restart_policy(policy: Mapping[str, Any]) -> str:
    name = str(policy.get("Name") or "no")
    most = _number(policy.get("MaximumRetryCount"))
    return f"{name}:{most}" if most else name


def _listed_command(command: str) -> str:
    try:
        return shown_command(shlex.split(command))
    except ValueError:
        return mask_text(command)  # the engine does not quote: an odd quote is part of the command


def _shown_labels(labels: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, _shown_label(name, str(value))) for name, value in sorted(labels.items()))


@lru_cache(maxsize=16384)
def _shown_label(name: str, value: str) -> str:
    return mask_value(name, value)


def _shown_value(name: str, value: str, secrets: tuple[str, ...]) -> str:
    return mask_text(mask_value(name, value), secrets)


def _mapping(value: object) -> Mapping[str, Any]:
    """Go writes `null` for an empty map."""
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
