"""Snapshots for the tests of the screen, and the least that stands in for a monitor: it hands them over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec

from opsconsole.alert_findings import Thresholds
from opsconsole.model import (
    Alert,
    AlertState,
    Backup,
    BackupContents,
    BackupPart,
    BackupState,
    Container,
    DatabaseTarget,
    Disk,
    Endpoint,
    Engine,
    HealthCheck,
    HostSample,
    LogLine,
    MongoDatabase,
    MongoStatus,
    Mount,
    NetworkAddress,
    Port,
    Probe,
    Project,
    Reading,
    RedisKeyspace,
    RedisStatus,
    Safety,
    Service,
    Severity,
    Snapshot,
    SourceState,
    Stack,
    Usage,
    Volume,
    VolumeKind,
    VolumeUse,
)
from opsconsole.sources import LogRange

NOW = datetime(2026, 3, 2, 3, 14, 15, tzinfo=UTC)
MB, GB = 2**20, 2**30


def ago(**parts: float) -> datetime:
    return NOW - timedelta(**parts)


def container(service: str, **changes: Any) -> Container:
    letter = format(sum(map(ord, service)) % 16, "x")
    values: dict[str, Any] = dict(
        id=(letter * 3 + service.encode().hex() + "0" * 64)[:64],
        name=f"shop-{service}-1",
        project="shop",
        service=service,
        image=f"registry.example/shop/{service}:1.4.2",
        image_id="sha256:" + letter * 64,
        image_created=ago(days=9),
        state="running",
        health="healthy",
        restarts=0,
        created_at=ago(days=3, hours=4),
        started_at=ago(days=3, hours=4),
        ports=(),
        networks=(NetworkAddress(network="shop_default", address="172.20.0.5"),),
        command="node server.js",
        restart_policy="unless-stopped",
        environment=(("NODE_ENV", "production"), ("MONGODB_URI", "mongodb://app:********@mongodb:27017/shop")),
        labels=(("com.docker.compose.project", "shop"), ("com.docker.compose.service", service)),
        detailed=True,
        usage=Usage(
            sampled_at=NOW,
            cpu_percent=2.4,
            memory_bytes=182 * MB,
            memory_limit=512 * MB,
            network_received_rate=1200.0,
            network_sent_rate=5300.0,
            block_read_rate=0.0,
            block_written_rate=42_000.0,
            network_received=3 * GB,
            network_sent=9 * GB,
            block_read=120 * MB,
            block_written=2 * GB,
            processes=12,
        ),
    )
    return Container(**{**values, **changes})


def stack(*services: str) -> Stack:
    return Stack(
        name="shop",
        directory="/srv/shop",
        compose_files=("/srv/shop/docker-compose.yml",),
        compose_command="docker compose 2.40.3",
        env_file="/srv/shop/.env.production",
        commit="a1b2c3d+",
        branch="main",
        services=tuple(Service(name=name, image=f"shop/{name}:1", has_healthcheck=True) for name in services),
    )


def host(**changes: Any) -> HostSample:
    values: dict[str, Any] = dict(
        name="web-1",
        cpus=4,
        cpu_percent=23.0,
        cpu_per_core=(30.0, 12.0, 25.0, 25.0),
        load=(0.8, 0.7, 0.6),
        memory_total=8 * GB,
        memory_used=5 * GB,
        memory_percent=62.0,
        swap_total=2 * GB,
        swap_used=0,
        disks=(
            Disk(
                mount="/", total_bytes=80 * GB, used_bytes=49 * GB, free_bytes=31 * GB, used_percent=61.0, holds="stack"
            ),
            Disk(
                mount="/var/backups",
                total_bytes=200 * GB,
                used_bytes=90 * GB,
                free_bytes=110 * GB,
                used_percent=45.0,
                full_in_days=80.0,
                holds="backups",
            ),
        ),
    )
    return HostSample(**{**values, **changes})


MONGO = MongoStatus(
    target=DatabaseTarget(
        kind="mongodb", name="mongodb", service="mongodb", database="shop", address="mongodb://172.20.0.3"
    ),
    reachable=True,
    version="6.0.5",
    topology="replica set rs0",
    member_state="PRIMARY",
    connections=14,
    connections_available=800,
    operations={"insert": 3.0, "query": 41.0, "update": 6.0, "delete": 0.0, "getmore": 0.0, "command": 12.0},
    latency_seconds=0.002,
    databases=(MongoDatabase(name="shop", data_bytes=420 * MB, storage_bytes=190 * MB),),
    sampled_at=NOW,
)
REDIS = RedisStatus(
    target=DatabaseTarget(kind="redis", name="redis", service="redis", address="redis://172.20.0.4"),
    reachable=True,
    version="7.0.15",
    role="master",
    memory_used=38 * MB,
    clients=9,
    operations_per_second=120.0,
    hit_rate_percent=97.2,
    latency_seconds=0.001,
    keyspaces=(RedisKeyspace(database=0, keys=18_224, expires=900),),
    rdb_enabled=True,
    rdb_last_save_at=ago(minutes=9),
    rdb_last_status="ok",
    aof_enabled=True,
    aof_last_status="ok",
    sampled_at=NOW,
)


def backup(taken_at: datetime, state: BackupState = BackupState.GOOD, **changes: Any) -> Backup:
    name = taken_at.strftime("%Y%m%d_%H%M%S")
    values: dict[str, Any] = dict(
        id=name,
        path=f"/srv/shop/backups/{name}",
        layout="backup.sh",
        taken_at=taken_at,
        size_bytes=212 * MB,
        state=state,
        parts=(BackupPart(kind="mongo", path="mongo.archive", size_bytes=190 * MB),),
    )
    return Backup(**{**values, **changes})


def volume(name: str, **changes: Any) -> Volume:
    values: dict[str, Any] = dict(
        key=f"volume:{name}",
        kind=VolumeKind.NAMED,
        name=name,
        size_bytes=900 * MB,
        size_at=ago(minutes=20),
        used_by=(VolumeUse(service="mongodb", container="shop-mongodb-1", destination="/data/db"),),
        safety=Safety.PERSISTENT,
        reason="A named volume: it outlives its containers.",
    )
    return Volume(**{**values, **changes})


READINGS = {
    name: Reading(source=name, state=SourceState.OK, sampled_at=NOW)
    for name in ("stack", "engine", "usage", "volumes", "host", "databases", "probes", "backups")
}
SERVICES = ("backend", "frontend", "mongodb", "redis", "worker", "nginx")


def well(**changes: Any) -> Snapshot:
    """Everything is as it should be."""
    values: dict[str, Any] = dict(
        sampled_at=NOW,
        stack=stack(*SERVICES),
        engine=Engine(endpoint="unix:///var/run/docker.sock", version="24.0.7", api_version="1.43", cpus=4),
        containers=tuple(
            container(
                name,
                ports=(
                    Port(container_port=80, host_port=8080),
                    Port(container_port=80, host_port=8080, host_address="::"),
                )
                if name == "nginx"
                else (),
                mounts=(Mount(kind="volume", name="shop_mongo", destination="/data/db"),) if name == "mongodb" else (),
            )
            for name in SERVICES
        ),
        volumes=(volume("shop_mongo", database="mongodb"), volume("shop_redis", database="redis")),
        host=host(),
        databases=(MONGO, REDIS),
        probes=(
            Probe(
                endpoint=Endpoint(name="backend", url="http://127.0.0.1:8080/health", service="backend"),
                ok=True,
                status=200,
                latency_seconds=0.034,
                average_seconds=0.041,
                requests=60,
                asked_at=NOW,
            ),
        ),
        backups=(backup(ago(hours=3)), backup(ago(hours=27))),
        readings=READINGS,
        history={
            "host.cpu": tuple(20 + 15 * ((i * 7) % 11) / 11 for i in range(60)),
            "host.memory": tuple(60 + i * 0.04 for i in range(60)),
        },
    )
    return Snapshot(**{**values, **changes})


def troubled(**changes: Any) -> Snapshot:
    """Much is wrong at once: unhealthy, crashed, drifting, not created, unreachable, full, old backups."""
    base = well()
    containers = {one.service: one for one in base.containers if one.service != "nginx"}
    containers["backend"] = container(
        "backend",
        health="unhealthy",
        health_log=(
            HealthCheck(started_at=ago(seconds=40), exit_code=0, output="ok"),
            HealthCheck(
                started_at=ago(seconds=10), exit_code=1, output="curl: (22) The requested URL returned error: 500"
            ),
        ),
    )
    containers["worker"] = container(
        "worker",
        state="exited",
        health="",
        exit_code=137,
        oom_killed=True,
        restarts=14,
        started_at=ago(minutes=9),
        finished_at=ago(minutes=4),
        usage=None,
    )
    containers["frontend"] = container(
        "frontend", drift="It runs image 1.4.1, the compose file says 1.4.2: it was not recreated after the change."
    )
    left_behind = container("mailer", state="exited", health="", exit_code=0, finished_at=ago(days=20), usage=None)
    unreachable = msgspec.structs.replace(
        REDIS,
        reachable=False,
        problem="connection to 172.20.0.4:6379 refused",
        hint="Is the container running?",
        sampled_at=ago(minutes=2),
    )
    values: dict[str, Any] = dict(
        containers=(*containers.values(), left_behind),
        databases=(MONGO, unreachable),
        volumes=(
            volume("shop_mongo", database="mongodb"),
            volume(
                "3f2a",
                kind=VolumeKind.ANONYMOUS,
                database="redis",
                safety=Safety.AT_RISK,
                reason="An anonymous volume holds Redis data: `down -v` or a recreate loses it.",
            ),
        ),
        backups=(
            backup(ago(hours=2), BackupState.INCOMPLETE, missing=("mongo",), problem="The mongo part is missing."),
            backup(ago(hours=53)),
        ),
        host=host(
            cpu_percent=91.0,
            disks=(
                Disk(
                    mount="/",
                    total_bytes=80 * GB,
                    used_bytes=75 * GB,
                    free_bytes=5 * GB,
                    used_percent=94.0,
                    full_in_days=2.4,
                    holds="stack",
                ),
            ),
        ),
        probes=(
            msgspec.structs.replace(
                base.probes[0], ok=False, status=500, problem="HTTP 500 instead of 2xx", average_seconds=2.8
            ),
        ),
        alerts=(
            Alert(
                rule="disk",
                subject="/",
                severity=Severity.CRITICAL,
                state=AlertState.FIRING,
                since=ago(hours=2),
                message="Disk / is 94 % full, limit 90 %",
                action="Remove old images: docker image prune",
                value=94,
                limit=90,
            ),
            Alert(
                rule="backup-age",
                subject="backups",
                severity=Severity.WARNING,
                state=AlertState.FIRING,
                since=ago(hours=27),
                message="The newest good backup is 2 days old, limit 26 h",
            ),
            Alert(
                rule="cpu",
                subject="host",
                severity=Severity.WARNING,
                state=AlertState.PENDING,
                since=ago(minutes=2),
                message="CPU 91 %, limit 80 % for 5 min",
            ),
        ),
        readings={
            **READINGS,
            "probes": Reading(
                source="probes",
                state=SourceState.FAILED,
                sampled_at=ago(minutes=6),
                problem="no address answers",
                hint="Is the network up?",
                failing_since=ago(minutes=6),
                retry_at=NOW + timedelta(seconds=8),
            ),
        },
    )
    return msgspec.structs.replace(base, **{**values, **changes})


HOSTILE = (
    "[@click=app.quit]x[/]",
    "[bold]not bold",
    "[/]",
    "\x1b]0;owned\x07title",
    "\x1b[2J\x1b[31mred",
    "\u202eesrever",
    "日本語のとても長いサービス名",
    "שירות-עברי",
    "a" * 300,
    "line\nbreak\ttab",
    "$error",
    "🧨👨‍👩‍👧‍👦",
)


def hostile() -> Snapshot:
    """Names, images, labels and messages of those who mean ill."""
    containers = tuple(
        container(
            text,
            id=format(position, "x") * 64,
            name=text,
            image=text,
            drift=text,
            error=text,
            command=text,
            labels=((text, text),),
            environment=((text, text),),
            health="unhealthy",
            health_log=(HealthCheck(started_at=NOW, exit_code=1, output=text),),
            networks=(NetworkAddress(network=text, address=text),),
            mounts=(Mount(kind="bind", source=text, destination=text),),
        )
        for position, text in enumerate(HOSTILE)
    )
    base = well()
    assert base.stack is not None
    return msgspec.structs.replace(
        base,
        stack=msgspec.structs.replace(
            base.stack,
            name=HOSTILE[0],
            branch=HOSTILE[3],
            services=tuple(Service(name=text, image=text) for text in HOSTILE),
            problems=HOSTILE,
        ),
        host=host(name=HOSTILE[4]),
        containers=containers,
        volumes=tuple(volume(text, safety=Safety.AT_RISK, reason=text) for text in HOSTILE),
        alerts=tuple(
            Alert(
                rule="hostile",
                subject=text,
                severity=Severity.WARNING,
                state=AlertState.FIRING,
                since=NOW,
                message=text,
                action=text,
            )
            for text in HOSTILE
        ),
        readings={
            name: msgspec.structs.replace(
                reading, state=SourceState.FAILED, problem=HOSTILE[0], hint=HOSTILE[3], failing_since=ago(minutes=3)
            )
            for name, reading in READINGS.items()
        },
    )


def many(number: int) -> Snapshot:
    """A stack of `number` services."""
    names = [f"service-{position:04d}" for position in range(number)]
    return well(stack=stack(*names), containers=tuple(container(name) for name in names))


PROJECTS = (
    Project(name="shop", directory="/srv/shop", compose_files=("/srv/shop/docker-compose.yml",), running=6, total=6),
    Project(name="blog", directory="/srv/blog", compose_files=("/srv/blog/compose.yaml",), running=1, total=3),
    Project(name="[/]old", directory="", running=0, total=2),
)


class NoLines:
    """A log stream of containers that never wrote a line."""

    problem = ""
    caught_up = True

    def read(self) -> list[LogLine]:
        return []

    def retarget(self, containers: Sequence[Container]) -> None:
        pass

    def close(self) -> None:
        pass


class NoLogs:
    def open(self, containers: Sequence[Container], wanted: LogRange) -> NoLines:
        return NoLines()


class Feed:
    """Hands Snapshots to the console as the monitor does; asks nobody."""

    def __init__(self, snapshot: Snapshot | None = None, engine: Any = None) -> None:
        self.snapshot = snapshot
        self.thresholds = Thresholds()
        # The console looks every five seconds whether an incident is open, and a test may take as long.
        backups = SimpleNamespace(look_inside=lambda backup: BackupContents())
        self.sources = SimpleNamespace(logs=NoLogs(), engine=engine, backups=backups)
        self.focused: list[frozenset[str]] = []
        self.refreshed = 0
        self.running = False
        self._callbacks: list[Callable[[Snapshot], None]] = []

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    def subscribe(self, callback: Callable[[Snapshot], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def focus(self, topics: frozenset[str]) -> None:
        self.focused.append(topics)

    def refresh(self) -> None:
        self.refreshed += 1

    def publish(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        for callback in list(self._callbacks):
            callback(snapshot)


def painted(app: Any) -> list[str]:
    """What is on the screen now, line by line: the compositor's strips, not what widgets believe."""
    return [strip.text for strip in app.screen._compositor.render_strips()]


def text_of(app: Any) -> str:
    return "\n".join(painted(app))


async def until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Let the app work until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is on the screen, no event tells of it
            await asyncio.sleep(0.01)
