"""What a container is for: which program an image runs, where that keeps its data, whether it is made to end. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from opsconsole.model import Container, Service

MONGODB = "mongodb"
REDIS = "redis"

DEFAULT_PORTS = {MONGODB: 27017, REDIS: 6379}

DATA_PATHS = {
    MONGODB: ("/data/db", "/bitnami/mongodb", "/var/lib/mongodb", "/var/lib/mongo"),
    REDIS: ("/data", "/bitnami/redis", "/bitnami/valkey", "/var/lib/redis", "/var/lib/valkey"),
}
"""Where the images of each role write. The first one is the official image's. `/data/configdb` is left out on
purpose: the official image declares a volume there that stays empty unless mongod is a config server."""

_IMAGES = {
    MONGODB: {
        "mongo",
        "mongodb",
        "mongodb-atlas-local",
        "mongodb-community-server",
        "mongodb-enterprise-server",
        "mongodb-sharded",
        "percona-server-mongodb",
    },
    REDIS: {
        "dragonfly",
        "keydb",
        "redis",
        "redis-cluster",
        "redis-stack",
        "redis-stack-server",
        "valkey",
        "valkey-bundle",
        "valkey-cluster",
    },
}

# A server among the words of a command line. The same images also run `mongodump` in a loop or `redis-cli` once.
_SERVERS = {
    MONGODB: re.compile(r"(?<![\w-])(?:mongod|mongos)(?![\w.-])"),
    REDIS: re.compile(r"(?<![\w-])(?:redis-server|valkey-server|keydb-server|dragonfly|redis-stack-server)(?![\w.-])"),
}
_ENTRY = re.compile(r"(?:^|/)(?:[\w-]*entrypoint[\w-]*(?:\.sh)?|run\.sh|tini|dumb-init|--)$")


def image_basename(image: str) -> str:
    """`registry.example.com:5000/team/mongo:6.0@sha256:...` -> `mongo`. "" for a bare image id."""
    if image.startswith("sha256:"):
        return ""
    return image.split("@", 1)[0].rsplit("/", 1)[-1].split(":", 1)[0].lower()


def role_of(image: str, command: str | Iterable[str] = "") -> str:
    """ "mongodb", "redis" or "". `command` is the whole command line (words or text) if it is known.

    An image of a database that runs something else (a dump, a shell, `rs.initiate`) has no role.
    """
    base = image_basename(image)
    for role, names in _IMAGES.items():
        if base in names:
            return role if _starts_server(role, command) else ""
    return ""


def data_path(role: str, destination: str) -> bool:
    """Whether a database of this role keeps its data at or below this path of its container."""
    path = destination.rstrip("/") or "/"
    return any(path == root or path.startswith(root + "/") for root in DATA_PATHS.get(role, ()))


def _starts_server(role: str, command: str | Iterable[str]) -> bool:
    words = command.split() if isinstance(command, str) else list(command)
    while words and _ENTRY.search(words[0]):
        words = words[1:]
    if not words or words[0].startswith("-"):
        return True  # the image's own command, with or without options
    if role == REDIS and words[0].endswith(".conf"):
        return True
    return bool(_SERVERS[role].search(" ".join(words)))


def is_job(container: Container, service: Service | None) -> bool:
    """Whether a container is made to end: it is waited for, or nothing restarts, checks or connects to it."""
    if service is None:
        return False
    serves = service.role or service.has_healthcheck or service.ports
    policy = container.restart_policy.partition(":")[0]  # "on-failure:3"
    return service.one_shot or (policy in ("", "no", "on-failure") and not serves)
