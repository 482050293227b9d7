"""The services of the simulated stack: a booking system for berths, as a small company would run it."""

from __future__ import annotations

from dataclasses import dataclass

from opsconsole.model import Mount, Port

NAME = "harbour"
DIRECTORY = "/srv/harbour"
COMPOSE_VERSION = "2.40.3"
MB = 1 << 20
GB = 1 << 30


@dataclass(frozen=True, slots=True)
class Role:
    """One service. `cpu` in percent of a core on average; `lines` of log per second for all replicas together."""

    service: str
    image: str
    cpu: float
    memory: int
    lines: float
    style: str
    replicas: int = 1
    limit: int | None = None
    uptime_hours: float = 150.0
    image_days: float = 9.0
    command: str = ""
    restart: str = "unless-stopped"
    health: bool = False
    builds: bool = True
    kind: str = ""  # of a database
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    depends_on: tuple[str, ...] = ()
    traffic: float = 20_000.0  # bytes of network per second
    disk: float = 2_000.0  # bytes of block I/O per second


ANONYMOUS = "anonymous"  # stands for the 64 digits that the engine gives


def _volume(name: str, destination: str) -> Mount:
    return Mount(kind="volume", destination=destination, name=f"{NAME}_{name}")


def _bind(source: str, destination: str, *, read_only: bool = False) -> Mount:
    return Mount(kind="bind", destination=destination, source=f"{DIRECTORY}/{source}", read_only=read_only)


_UPLOADS = _bind("uploads", "/app/uploads")
_MONGO = ("MONGODB_URI", f"mongodb://{NAME}:********@mongodb:27017/{NAME}?replicaSet=rs0&authSource=admin")
_REDIS = ("REDIS_URL", "redis://:********@redis:6379/0")
_NODE = (("NODE_ENV", "production"), ("LOG_LEVEL", "info"), _MONGO, _REDIS, ("JWT_SECRET", "********"))

# Most telling first: a demo of few containers has these.
ROLES: tuple[Role, ...] = (
    Role(
        "mongodb",
        "mongo:6.0.19",
        24,
        int(2.6 * GB),
        0.9,
        "mongodb",
        limit=4 * GB,
        uptime_hours=462,
        image_days=64,
        command="docker-entrypoint.sh mongod --replSet rs0 --keyFile /etc/mongo.key --bind_ip_all",
        health=True,
        builds=False,
        kind="mongodb",
        mounts=(
            _volume("mongodb-data", "/data/db"),
            Mount(kind="volume", destination="/data/configdb", name=ANONYMOUS, anonymous=True),
        ),
        ports=(Port(container_port=27017, host_address="127.0.0.1", host_port=27017),),
        environment=(("MONGO_INITDB_ROOT_USERNAME", "admin"), ("MONGO_INITDB_ROOT_PASSWORD", "********")),
        traffic=260_000,
        disk=180_000,
    ),
    Role(
        "redis",
        "redis:7.2.5-alpine",
        3.2,
        268 * MB,
        0.12,
        "redis",
        limit=512 * MB,
        uptime_hours=462,
        image_days=88,
        command="docker-entrypoint.sh redis-server --appendonly yes --requirepass ********",
        health=True,
        builds=False,
        kind="redis",
        mounts=(_volume("redis-data", "/data"),),
        ports=(Port(container_port=6379, host_address="127.0.0.1", host_port=6379),),
        traffic=90_000,
        disk=24_000,
    ),
    Role(
        "mailer",
        "registry.example.com/harbour/mailer:2.3.1",
        6,
        74 * MB,
        0,
        "mailer",
        uptime_hours=19,
        image_days=2,
        command="python -m mailer",
        environment=(("SMTP_HOST", "smtp.example.com"), ("SMTP_PASSWORD", "********"), _REDIS),
        depends_on=("redis",),
        traffic=400,
        disk=0,
    ),
    Role(
        "search",
        "opensearchproject/opensearch:2.17.1",
        38,
        int(1.2 * GB),
        0.4,
        "search",
        limit=int(1.5 * GB),
        uptime_hours=150,
        image_days=41,
        health=True,
        builds=False,
        command="./opensearch-docker-entrypoint.sh opensearch",
        mounts=(_volume("search-data", "/usr/share/opensearch/data"),),
        ports=(Port(container_port=9200, host_address="127.0.0.1", host_port=9200),),
        environment=(("discovery.type", "single-node"), ("OPENSEARCH_JAVA_OPTS", "-Xms1g -Xmx1g")),
        traffic=60_000,
        disk=90_000,
    ),
    Role(
        "backend",
        "registry.example.com/harbour/backend:4.12.0",
        21,
        312 * MB,
        4.5,
        "backend",
        replicas=3,
        limit=640 * MB,
        uptime_hours=43,
        image_days=2,
        health=True,
        command="node dist/main.js",
        mounts=(_UPLOADS,),
        ports=(Port(container_port=3000),),
        environment=(*_NODE, ("SEARCH_URL", "http://search:9200")),
        depends_on=("mongodb", "redis", "migrate"),
        traffic=180_000,
    ),
    Role(
        "nginx",
        "nginx:1.27-alpine",
        2.1,
        22 * MB,
        3.2,
        "nginx",
        uptime_hours=43,
        image_days=53,
        health=True,
        builds=False,
        command="/docker-entrypoint.sh nginx -g 'daemon off;'",
        ports=(
            Port(container_port=80, host_address="0.0.0.0", host_port=80),
            Port(container_port=443, host_address="0.0.0.0", host_port=443),
        ),
        mounts=(
            _bind("nginx/nginx.conf", "/etc/nginx/nginx.conf", read_only=True),
            _bind("certificates", "/etc/nginx/certificates", read_only=True),
            Mount(kind="tmpfs", destination="/var/cache/nginx"),
        ),
        depends_on=("frontend", "backend"),
        traffic=420_000,
    ),
    Role(
        "frontend",
        "registry.example.com/harbour/frontend:4.12.0",
        8,
        188 * MB,
        1.6,
        "frontend",
        limit=512 * MB,
        uptime_hours=43,
        image_days=2,
        health=True,
        command="node server.js",
        ports=(Port(container_port=3001),),
        environment=(("NODE_ENV", "production"), ("API_URL", "http://backend:3000")),
        depends_on=("backend",),
        traffic=210_000,
    ),
    Role(
        "worker",
        "registry.example.com/harbour/worker:4.11.3",
        17,
        246 * MB,
        1.4,
        "worker",
        limit=512 * MB,
        uptime_hours=214,
        image_days=16,
        command="node dist/worker.js",
        mounts=(_UPLOADS,),
        environment=_NODE,
        depends_on=("mongodb", "queue"),
        traffic=70_000,
        disk=30_000,
    ),
    Role(
        "reports",
        "registry.example.com/harbour/reports:1.8.0",
        45,
        470 * MB,
        0.3,
        "reports",
        limit=512 * MB,
        uptime_hours=31,
        image_days=30,
        command="node dist/reports.js",
        restart="no",
        environment=_NODE,
        depends_on=("mongodb",),
    ),
    Role(
        "migrate",
        "registry.example.com/harbour/backend:4.12.0",
        10,
        120 * MB,
        0,
        "migrate",
        uptime_hours=43.02,
        image_days=2,
        command="node dist/migrate.js up",
        restart="no",
        environment=_NODE,
        depends_on=("mongodb",),
    ),
    Role(
        "queue",
        "redis:7.2.5-alpine",
        1.4,
        31 * MB,
        0.06,
        "redis",
        uptime_hours=214,
        image_days=88,
        command="docker-entrypoint.sh redis-server",
        builds=False,
        kind="redis",
        mounts=(Mount(kind="volume", destination="/data", name=ANONYMOUS, anonymous=True),),
        traffic=30_000,
    ),
    Role(
        "cron",
        "registry.example.com/harbour/cron:1.2.0",
        0.2,
        9 * MB,
        0.03,
        "cron",
        uptime_hours=462,
        image_days=120,
        command="crond -f -l 8",
        mounts=(_bind("backups", "/backups"), _bind("scripts", "/scripts", read_only=True)),
        traffic=100,
    ),
)

# Where the demo is asked for more containers than the stack has: services that a grown one would have.
MORE = (
    "ingest",
    "thumbnails",
    "webhooks",
    "billing",
    "exports",
    "tariffs",
    "notifier",
    "scheduler",
    "geocoder",
    "gateway",
    "audit",
    "sessions",
    "media",
    "pricing",
    "sync",
    "imports",
    "archiver",
    "translator",
    "metrics",
    "previews",
    "weather",
    "tides",
    "documents",
    "payments",
    "accounts",
    "moorings",
    "permits",
    "invoices",
    "telemetry",
    "cameras",
    "access",
    "forecast",
    "ledger",
    "mail-in",
    "calendar",
    "maps",
    "reviews",
    "offers",
    "partners",
    "feeds",
)


def more_role(service: str, number: int, replicas: int) -> Role:
    """A plain service of a grown stack."""
    return Role(
        service,
        f"registry.example.com/harbour/{service}:1.{number % 7}.{number % 4}",
        cpu=0.6 + number % 9 * 0.7,
        memory=(28 + number % 11 * 13) * MB,
        lines=1.5,
        style="service",
        replicas=replicas,
        limit=256 * MB,
        uptime_hours=24.0 + number * 7,
        image_days=2.0 + number,
        health=number % 3 == 0,
        command="node dist/main.js",
        environment=_NODE,
        traffic=6_000,
        disk=500,
    )
