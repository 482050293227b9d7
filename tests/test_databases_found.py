"""Which database servers a stack uses: each one once, with the best credentials, and no password in sight."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.pretty import pretty_repr

from opsconsole.config import Config
from opsconsole.config.sections import MongodbSection, RedisSection
from opsconsole.model import Container, NetworkAddress, Port
from opsconsole.sources.connection import Connection
from opsconsole.stack import compose_parse, databases
from opsconsole.stack.address import Neighbourhood

MPS: dict[str, Any] = {
    "mongodb": {
        "image": "mongo:6.0",
        "environment": {
            "MONGO_INITDB_ROOT_USERNAME": "admin",
            "MONGO_INITDB_ROOT_PASSWORD": "p@ss word",
            "MONGO_INITDB_DATABASE": "mps",
        },
        "ports": ["127.0.0.1:27117:27017"],
    },
    "redis": {
        "image": "redis:7",
        "command": "redis-server --requirepass s3cret! --appendonly yes",
        "ports": ["6379:6379"],
    },
    "backend": {
        "build": ".",
        "environment": {
            "MONGODB_URI": "mongodb://app:app-secret@mongodb:27017/mps_db?authSource=admin",
            "REDIS_URL": "redis://:s3cret!@redis:6379/2",
        },
    },
}


def found(
    services: Mapping[str, Any],
    variables: Mapping[str, str] | None = None,
    *,
    config: Config | None = None,
    containers: tuple[Container, ...] = (),
    secrets: Mapping[str, Any] | None = None,
    **more: Any,
) -> tuple[Connection, ...]:
    read = compose_parse.parse({"services": services, "secrets": secrets or {}}, project="shop", directory="/srv/shop")
    return databases.connections(
        read,
        read.services,
        variables or {},
        config or Config(),
        Neighbourhood(read.services, containers),
        env_file="/srv/shop/.env",
        **more,
    )


def test_a_service_and_the_uris_that_name_it_are_one_server() -> None:
    mongo, redis = found(MPS)
    assert mongo.uri == "mongodb://admin:p%40ss%20word@127.0.0.1:27117/?authSource=admin&directConnection=true"
    assert mongo.others == ("mongodb://app:app-secret@127.0.0.1:27117/mps_db?authSource=admin&directConnection=true",)
    assert (mongo.target.name, mongo.target.service, mongo.target.database) == ("mongodb", "mongodb", "mps")
    assert mongo.target.origin == "service mongodb"
    assert redis.uri == "redis://:s3cret%21@127.0.0.1:6379"
    assert (redis.target.name, redis.target.database) == ("redis", "2")


def test_no_password_is_in_a_target_or_in_a_text_form() -> None:
    for one in found(MPS):
        for shown in (repr(one), str(one), f"{[one]}", pretty_repr([one]), repr(one.target)):
            for secret in ("p@ss", "p%40ss", "app-secret", "s3cret"):
                assert secret not in shown
        assert "********" in one.target.address


def test_mongodb_on_the_host_is_found_in_the_env_file() -> None:
    services = {
        "backend": {
            "build": ".",
            "environment": {"MONGODB_URI": "mongodb://host.docker.internal:27017/thynk"},
            "extra_hosts": ["host.docker.internal:host-gateway"],
        }
    }
    (one,) = found(services, {"MONGODB_URI": "mongodb://localhost:27017/thynk"})
    assert one.uri == "mongodb://127.0.0.1:27017/thynk?directConnection=true"
    assert (one.target.name, one.target.service, one.target.origin) == ("host", "", "MONGODB_URI in .env")


def test_localhost_that_a_container_was_given_by_the_env_file_is_no_second_server() -> None:
    services = {"backend": {"build": ".", "environment": {"MONGO_URL": "mongodb://localhost:27017/x"}}}
    assert found(services) == ()
    assert len(found(services, {"MONGO_URL": "mongodb://localhost:27017/x"})) == 1


def test_redis_in_three_variables_is_one_address() -> None:
    (one,) = found({}, {"REDIS_HOST": "localhost", "REDIS_PORT": "6390", "REDIS_PASSWORD": "a b", "REDIS_DB": "1"})
    assert one.uri == "redis://:a%20b@127.0.0.1:6390/1"
    (bare,) = found({}, {"REDIS_URL": "cache.example.net:6379"})
    assert (bare.uri, bare.target.name) == ("redis://cache.example.net:6379", "cache.example.net")


def test_secret_files_and_config_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "password.txt").write_text("from-a-file\n")
    (tmp_path / "redis.conf").write_text('# x\nrequirepass "in conf"\n')
    services = {
        "db": {
            "image": "mongo:6",
            "environment": {"MONGO_INITDB_ROOT_USERNAME": "root", "MONGO_INITDB_ROOT_PASSWORD_FILE": "/run/secrets/pw"},
            "secrets": ["pw"],
            "ports": ["27017:27017"],
        },
        "cache": {
            "image": "redis:7",
            "command": ["redis-server", "/etc/redis/redis.conf"],
            "volumes": [f"{tmp_path}/redis.conf:/etc/redis/redis.conf:ro"],
            "ports": ["6379:6379"],
        },
    }
    mongo, redis = found(services, secrets={"pw": {"file": str(tmp_path / "password.txt")}})
    assert mongo.uri.startswith("mongodb://root:from-a-file@")
    assert redis.uri == "redis://:in%20conf@127.0.0.1:6379"


def test_a_shell_that_fills_in_the_password_and_another_port_are_understood() -> None:
    services = {
        "redis": {
            "image": "redis:7",
            "command": ["sh", "-c", 'exec redis-server --port 6400 --requirepass "$REDIS_PASSWORD"'],
            "environment": {"REDIS_PASSWORD": "x y"},
            "ports": ["6500:6400"],
        }
    }
    assert [one.uri for one in found(services)] == ["redis://:x%20y@127.0.0.1:6500"]


def test_the_password_that_the_running_container_has_is_kept_as_a_second_way() -> None:
    (one,) = found(
        {"mongodb": MPS["mongodb"]},
        running={"mongodb": {"MONGO_INITDB_ROOT_USERNAME": "admin", "MONGO_INITDB_ROOT_PASSWORD": "older"}},
    )
    assert one.others == ("mongodb://admin:older@127.0.0.1:27117/?authSource=admin&directConnection=true",)


def test_what_is_configured_replaces_what_is_found() -> None:
    config = Config(mongodb=MongodbSection(uri_env="REAL_URI"), redis=RedisSection(enabled=False))
    (one,) = found(MPS, {"REAL_URI": "mongodb://ops:pw@db.example.net/mps"}, config=config)
    assert one.uri == "mongodb://ops:pw@db.example.net/mps"
    assert one.target.origin == "REAL_URI, named in opsconsole.toml"


def test_a_configured_variable_that_holds_no_uri_is_one_line() -> None:
    config = Config(mongodb=MongodbSection(uri_env="REAL_URI"))
    (mongo, _) = found(MPS, {"REAL_URI": "hunter2"}, config=config)
    assert mongo.uri == ""
    assert mongo.problem == "REAL_URI, named in opsconsole.toml is not a mongodb:// address"


def test_the_same_image_at_other_work_is_no_server() -> None:
    services = {"dump": {"image": "mongo:6", "command": "bash -c 'mongodump --host mongodb'"}}
    assert found(services) == ()


def test_a_replica_set_of_containers_is_three_servers_each_asked_directly() -> None:
    names = ("m1", "m2", "m3")
    services: dict[str, Any] = {name: {"image": "mongo:6", "command": "--replSet rs0"} for name in names}
    seeds = ",".join(f"{name}:27017" for name in names)
    services["app"] = {"build": ".", "environment": {"DATABASE_URL": f"mongodb://{seeds}/shop?replicaSet=rs0"}}
    containers = tuple(
        Container(
            id=name,
            name=f"shop-{name}-1",
            service=name,
            state="running",
            ports=(Port(container_port=27017),),
            networks=(NetworkAddress(network="n", address=f"172.20.0.{number}"),),
        )
        for number, name in enumerate(names, 2)
    )
    connections = found(services, containers=containers)
    assert [one.target.name for one in connections] == list(names)
    assert connections[1].uri == "mongodb://172.20.0.3:27017/shop?directConnection=true"


def test_two_servers_on_one_host_have_two_names() -> None:
    one, two = found({}, {"A_URL": "redis://localhost:6379", "B_URL": "redis://localhost:6380"})
    assert (one.target.name, two.target.name) == ("host", "host:6380")


def test_a_database_that_nobody_can_reach_says_why() -> None:
    (one,) = found({"mongodb": {"image": "mongo:6"}})
    assert (one.uri, one.target.address) == ("", "")
    assert one.problem == "no container of service mongodb is running and it publishes no port"
