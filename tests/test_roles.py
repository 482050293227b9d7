"""Which images are databases of the stack, and which only look like one."""

from __future__ import annotations

import pytest

from opsconsole.roles import data_path, image_basename, role_of


@pytest.mark.parametrize(
    ("image", "command", "role"),
    [
        ("mongo", "", "mongodb"),
        ("mongo:6.0", "docker-entrypoint.sh mongod --replSet rs0", "mongodb"),
        ("docker.io/library/mongo@sha256:abc", "", "mongodb"),
        ("registry.example.com:5000/team/mongo:6", "", "mongodb"),
        ("mongodb/mongodb-community-server:7.0-ubi8", "", "mongodb"),
        ("percona/percona-server-mongodb:6.0", "", "mongodb"),
        ("bitnami/mongodb:6.0", "", "mongodb"),
        ("mongo:6.0", ["--replSet", "rs0"], "mongodb"),
        ("mongo:6.0", ["sh", "-c", "exec mongod --bind_ip_all"], "mongodb"),
        ("redis:7-alpine", "", "redis"),
        ("valkey/valkey:8", "", "redis"),
        ("eqalpha/keydb", "", "redis"),
        ("redis/redis-stack-server:latest", "", "redis"),
        ("redis:7", "docker-entrypoint.sh redis-server /etc/redis.conf", "redis"),
        ("redis:7", ["/etc/redis/redis.conf"], "redis"),
        # the same images at other work
        ("mongo:latest", ["bash", "-c", "mongodump --host mongodb --out /backups"], ""),
        ("mongo:6.0", "mongosh --host mongodb --eval rs.initiate()", ""),
        ("redis:7", "redis-cli -h redis ping", ""),
        # names that only look alike
        ("mongo-express:1", "", ""),
        ("oliver006/redis_exporter", "", ""),
        ("rediscommander/redis-commander", "", ""),
        ("shop/backend:1", "mongod", ""),
        ("sha256:0123", "mongod", ""),
        ("", "", ""),
    ],
)
def test_role_of_an_image(image: str, command: str | list[str], role: str) -> None:
    assert role_of(image, command) == role


def test_basename_survives_a_port_and_a_digest() -> None:
    assert image_basename("host:5000/a/b:1@sha256:ff") == "b"


def test_data_paths_are_whole_path_elements() -> None:
    assert data_path("mongodb", "/data/db")
    assert data_path("mongodb", "/data/db/journal/")
    assert not data_path("mongodb", "/data/dbx")
    assert not data_path("mongodb", "/data/configdb")
    assert data_path("redis", "/data")
    assert not data_path("", "/data")
