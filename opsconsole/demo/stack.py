"""What the simulated stack's compose file and env file say."""

from __future__ import annotations

from collections.abc import Sequence

from opsconsole.demo.fleet import ONE_SHOT, Fleet, config_hash, digest, mounts_of
from opsconsole.demo.roles import COMPOSE_VERSION, DIRECTORY, NAME, Role
from opsconsole.model import Container, DatabaseTarget, Endpoint, Service, Stack

MONGODB = DatabaseTarget(
    kind="mongodb",
    name="mongodb",
    service="mongodb",
    database=NAME,
    address=f"mongodb://{NAME}:********@127.0.0.1:27017/{NAME}?replicaSet=rs0&authSource=admin",
    origin="MONGODB_URI in .env.production",
)
REDIS = DatabaseTarget(
    kind="redis",
    name="redis",
    service="redis",
    address="redis://:********@127.0.0.1:6379/0",
    origin="REDIS_URL in .env.production",
)
QUEUE = DatabaseTarget(
    kind="redis", name="queue", service="queue", address="redis://172.20.0.12:6379/0", origin="service queue"
)
TARGETS = (MONGODB, REDIS, QUEUE)

ENDPOINTS = (
    Endpoint(name="website", url="https://harbour.example/", service="nginx", origin="config"),
    Endpoint(name="api", url="http://127.0.0.1/api/health", service="backend", origin="healthcheck"),
    Endpoint(name="search", url="http://127.0.0.1:9200/_cluster/health", service="search", origin="healthcheck"),
)


class DemoStack:
    """See `StackSource`."""

    def __init__(self, fleet: Fleet) -> None:
        present = {member.service for member in fleet.members}
        self._stack = Stack(
            name=NAME,
            directory=DIRECTORY,
            compose_files=(f"{DIRECTORY}/docker-compose.yml",),
            compose_command=f"docker compose {COMPOSE_VERSION}",
            env_file=f"{DIRECTORY}/.env.production",
            commit="4f2c91e",
            branch="main",
            services=tuple(_service(role, fleet.seed) for role in fleet.roles),
            data_directories=(f"{DIRECTORY}/uploads",),
            databases=tuple(target for target in TARGETS if target.service in present),
            endpoints=tuple(endpoint for endpoint in ENDPOINTS if endpoint.service in present),
            backup_directory=f"{DIRECTORY}/backups",
        )

    def look(self, containers: Sequence[Container]) -> Stack:
        return self._stack


def _service(role: Role, seed: int) -> Service:
    return Service(
        name=role.service,
        image=role.image,
        builds=role.builds,
        replicas=role.replicas,
        has_healthcheck=role.health,
        one_shot=role.service == ONE_SHOT,
        depends_on=role.depends_on,
        config_hash=config_hash(role),
        image_id="sha256:" + digest(role.image),
        role=role.kind,
        ports=role.ports,
        mounts=tuple(mount for mount in mounts_of(role, seed) if not mount.anonymous),
    )
