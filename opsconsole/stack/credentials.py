"""How a database service is told its password: variables, secret files, its command line, redis.conf."""

from __future__ import annotations

import shlex
from pathlib import Path

from opsconsole.stack.plain_file import interpolate
from opsconsole.stack.rendered import Rendered, ServiceConfig

LONGEST_SECRET = 64 << 10  # bytes read of a secret or of redis.conf

# User and password variables of the official image, MongoDB's own image and Bitnami's; a default user where it has one.
_ADMINISTRATORS = (
    ("MONGO_INITDB_ROOT_USERNAME", "MONGO_INITDB_ROOT_PASSWORD", ""),
    ("MONGODB_INITDB_ROOT_USERNAME", "MONGODB_INITDB_ROOT_PASSWORD", ""),
    ("MONGODB_ROOT_USER", "MONGODB_ROOT_PASSWORD", "root"),
)


def administrator(service: ServiceConfig, rendered: Rendered) -> tuple[str, str]:
    """User and password of MongoDB's administrator; two empty strings when none is set."""
    for user_name, password_name, default_user in _ADMINISTRATORS:
        user = _given(service, rendered, user_name) or default_user
        password = _given(service, rendered, password_name)
        if user and password:
            return user, password
    return "", ""


def redis_password(service: ServiceConfig, rendered: Rendered) -> str:
    """The password that the server asks for, from its command line, its variables or its redis.conf; "" without one."""
    line = server_words(service)
    if password := option(line, "--requirepass"):
        return password
    if "bitnami" in service.image:
        for name in ("REDIS_PASSWORD", "VALKEY_PASSWORD"):
            if password := _given(service, rendered, name):
                return password
    if password := option(_split(service.environment.get("REDIS_ARGS", "")), "--requirepass"):
        return password
    for word in line:
        if word.endswith(".conf") and (text := _file_text(service, rendered, word)):
            for row in text.splitlines():
                words = _split(row.strip())
                if words[:1] == ("requirepass",) and len(words) > 1:
                    return words[1]
    return ""


def server_words(service: ServiceConfig) -> tuple[str, ...]:
    """The words that start the server; a shell's script is taken apart and its variables are filled in."""
    line = (*service.entrypoint, *service.command)
    if "-c" in line[:-1] and "sh" in Path(line[0]).name:
        return _split(interpolate(line[line.index("-c") + 1], service.environment, []))
    return line


def option(words: tuple[str, ...], name: str) -> str:
    """Value of `--name value` or `--name=value`, "" without it."""
    for index, word in enumerate(words):
        if word.startswith(name + "="):
            return word.partition("=")[2]
        if word == name and index + 1 < len(words):
            return words[index + 1]
    return ""


def _split(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text, comments=False))
    except ValueError:
        return tuple(text.split())


def _given(service: ServiceConfig, rendered: Rendered, name: str) -> str:
    """A value that is given as NAME, or as NAME_FILE: the path of a secret in the container."""
    if value := service.environment.get(name):
        return value
    path = service.environment.get(f"{name}_FILE", "")
    return _file_text(service, rendered, path).rstrip("\r\n") if path else ""


def _file_text(service: ServiceConfig, rendered: Rendered, path: str) -> str:
    """Text of a file in the container that comes from this host (a secret, a bind mount); "" if it cannot be read."""
    secret = service.secrets.get(path, "")
    source = rendered.secret_files.get(secret, "")
    for mount in service.mounts:
        if mount.kind == "bind" and mount.source and (path + "/").startswith(mount.destination.rstrip("/") + "/"):
            source = source or mount.source + path[len(mount.destination.rstrip("/")) :]
    try:
        return Path(source).read_bytes()[:LONGEST_SECRET].decode("utf-8", "replace") if source else ""
    except OSError:
        return ""
