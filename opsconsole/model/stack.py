"""The engine, and the stack as its files want it."""

from __future__ import annotations

from opsconsole.model.containers import Mount, Port
from opsconsole.model.record import Record


class Engine(Record, frozen=True):
    """The container engine as it describes itself."""

    endpoint: str = ""  # e.g. unix:///var/run/docker.sock
    version: str = ""
    api_version: str = ""
    operating_system: str = ""
    storage_driver: str = ""
    cgroup_version: str = ""
    cpus: int | None = None
    memory_bytes: int | None = None
    containers_running: int | None = None
    containers_total: int | None = None
    images: int | None = None


class Project(Record, frozen=True):
    """A Compose project seen on the engine, for the choice in a directory without a stack."""

    name: str
    directory: str
    compose_files: tuple[str, ...] = ()
    running: int = 0
    total: int = 0


class Service(Record, frozen=True):
    """A service as the compose configuration wants it, whether or not a container exists."""

    name: str
    image: str = ""
    builds: bool = False  # has a `build:` section
    profiles: tuple[str, ...] = ()
    active: bool = True  # belongs to the profiles in use
    replicas: int = 1
    has_healthcheck: bool = False
    one_shot: bool = False  # restart "no" and waited for with service_completed_successfully
    depends_on: tuple[str, ...] = ()
    config_hash: str = ""
    image_id: str = ""  # what its image name points at on the engine now; "" when not known
    role: str = ""  # "mongodb", "redis" or ""
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()


class Endpoint(Record, frozen=True):
    """An HTTP address that says whether the stack is well."""

    name: str
    url: str
    service: str = ""
    origin: str = ""  # where it was found: "config", "healthcheck", "published port"
    expect_status: int | None = None  # the only good status; None: 200 to 399
    timeout_seconds: float = 5.0


class DatabaseTarget(Record, frozen=True):
    """A database server of the stack and how this host reaches it. `address` never holds a password."""

    kind: str  # "mongodb" or "redis"
    name: str  # service name, or "host" for one outside the stack
    service: str = ""  # "" when it does not run in a container of the stack
    database: str = ""  # the application's database, from the URI
    address: str = ""  # masked URI as this host reaches it
    origin: str = ""  # e.g. "service mongodb", "MONGODB_URI in .env.production.local"


class Stack(Record, frozen=True):
    """What was found out about the stack: files, project, services, databases, endpoints."""

    name: str
    directory: str
    compose_files: tuple[str, ...] = ()
    compose_command: str = ""  # "docker compose 2.40.3", "docker-compose 1.29.2" or ""
    profiles: tuple[str, ...] = ()  # in use
    env_file: str = ""
    config_file: str = ""  # opsconsole.toml, if there is one
    commit: str = ""  # short git commit, "+" behind it when the tree is dirty
    branch: str = ""
    services: tuple[Service, ...] = ()
    data_directories: tuple[str, ...] = ()  # bind-mounted directories that hold data, absolute
    outside_binds: tuple[str, ...] = ()  # bind mounts written as relative paths that lead out of the stack, absolute
    databases: tuple[DatabaseTarget, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    backup_directory: str = ""
    problems: tuple[str, ...] = ()  # one line each: broken compose file, missing env file ...
