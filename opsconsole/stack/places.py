"""Where the stack's data and its backups lie on this host."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from opsconsole.config import Config
from opsconsole.roles import data_path
from opsconsole.stack.rendered import ServiceConfig

BACKUP_VARIABLES = ("BACKUP_PATH", "BACKUP_DIR")

_SYSTEM = re.compile(r"^/(?:etc|proc|sys|dev|run|var/run|boot|bin|sbin|lib|lib64|usr|var/lib/docker)(?:/|$)|^/$")
_NOT_DATA = re.compile(
    r"^(?:backups?|logs?|node_modules|\.git|src|dist|build|conf(?:ig)?|conf\.d|certs?|ssl|nginx)$", re.I
)
_SIGNS_OF_CODE = (
    ".git",
    "package.json",
    "pyproject.toml",
    "go.mod",
    "Dockerfile",
    "compose.yaml",
    "docker-compose.yml",
)


def data_directories(
    services: Iterable[ServiceConfig], directory: Path, backup_directory: str, config: Config
) -> tuple[str, ...]:
    """Bind-mounted directories that the stack writes data into, absolute. What is configured replaces what is found.

    Not among them: what a database keeps (its dump is the backup of that), configuration, code, logs, the
    backups themselves, the host's own directories, single files and sockets.
    """
    if config.data.directories:
        return tuple(str(directory / one) for one in config.data.directories)
    found = []
    for service in services:
        for mount in service.mounts:
            if mount.kind != "bind" or mount.read_only or data_path(service.role, mount.destination):
                continue
            if holds_data(mount.source, mount.destination, backup_directory):
                found.append(mount.source)
    return tuple(dict.fromkeys(found))


def holds_data(source: str, destination: str, backup_directory: str) -> bool:
    """Whether a writable bind mount looks like data of the stack rather than code, configuration or the host."""
    if _SYSTEM.search(source) or source.endswith(".sock") or destination.startswith(("/etc/", "/var/log")):
        return False
    if _NOT_DATA.match(Path(source).name) or _is_within(source, backup_directory):
        return False
    if os.path.exists(source) and not os.path.isdir(source):
        return False
    return not any(os.path.exists(os.path.join(source, sign)) for sign in _SIGNS_OF_CODE)


def outside_binds(services: Iterable[ServiceConfig], directory: str) -> tuple[str, ...]:
    """Bind mounts that are written as relative paths and lead out of the stack's directory, absolute."""
    written = (source for service in services for source in service.written_binds)
    relative = (os.path.normpath(os.path.join(directory, source)) for source in written if source.startswith("."))
    return tuple(dict.fromkeys(path for path in relative if not _is_within(path, directory)))


def backup_directory(directory: Path, project: str, variables: Mapping[str, str], config: Config) -> str:
    """The configured one; else the first that exists of what the env file names, `backups/` and `/var/backups/`.

    When none exists yet it is the one that the env file names, or `backups/` beside the compose file.
    """
    if config.backups.directory:
        return os.path.normpath(directory / config.backups.directory)
    named = [variables[name] for name in BACKUP_VARIABLES if variables.get(name)]
    usual = [directory / "backups", Path("/var/backups", project), Path("/var/backups", directory.name)]
    candidates = [os.path.normpath(directory / str(one)) for one in (*named, *usual)]
    return next((one for one in candidates if os.path.isdir(one)), candidates[0])


def _is_within(path: str, root: str) -> bool:
    return bool(root) and (path == root or path.startswith(root.rstrip("/") + "/"))
