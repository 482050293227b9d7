"""Snapshots for the panes: a well stack, its first second, one in trouble, a huge one, a hostile one."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from textual.pilot import Pilot

from opsconsole.model import (
    AccessRate,
    Alert,
    AlertState,
    Backup,
    BackupPart,
    BackupState,
    Collection,
    Container,
    DatabaseTarget,
    Disk,
    Endpoint,
    HostSample,
    MongoDatabase,
    MongoStatus,
    Probe,
    Process,
    Reading,
    RedisKeyspace,
    RedisStatus,
    ReplicaMember,
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
from opsconsole.ui.app import ConsoleApp

NOW = datetime(2025, 3, 14, 14, 2, 11, tzinfo=UTC)
MB, GB = 1 << 20, 1 << 30
HOSTILE = "\x1b]52;c;aGk=\x07\u202e[/red][@click=app.exit]\n日本語"
SOURCES = ("stack", "engine", "usage", "volumes", "sizes", "host", "databases", "probes", "access", "backups")


def ago(**units: float) -> datetime:
    return NOW - timedelta(**units)


def wave(middle: float, swing: float, every: float, samples: int = 300) -> tuple[float, ...]:
    return tuple(max(0.0, middle + swing * math.sin(i / every) + swing / 3 * math.sin(i / 2.3)) for i in range(samples))


def first_second() -> Snapshot:
    """Before any source has answered."""
    return Snapshot(sampled_at=NOW, readings={name: Reading(source=name) for name in SOURCES})


def well() -> Snapshot:
    """A stack of five services on a healthy host, with what real ones have: a firing alert, a bad backup."""
    containers = _containers()
    return Snapshot(
        sampled_at=NOW,
        stack=_stack(),
        containers=containers,
        volumes=_volumes(),
        host=_host(),
        databases=(_mongo(), _redis()),
        probes=_probes(),
        access=(
            AccessRate(service="nginx", requests=4120, errors=3),
            AccessRate(service="api", requests=300, errors=41),
        ),
        backups=_backups(),
        alerts=_alerts(),
        readings={name: Reading(source=name, state=SourceState.OK, sampled_at=NOW) for name in SOURCES},
        history=_history(containers),
    )


def away() -> Snapshot:
    """Engine, MongoDB and backups were there and are not any more."""
    problem = "permission denied on /var/run/docker.sock"
    failed = Reading(
        source="engine",
        state=SourceState.FAILED,
        sampled_at=ago(minutes=3),
        problem=problem,
        hint="add your user to the group docker and log in again",
        failing_since=ago(minutes=3),
        retry_at=NOW + timedelta(seconds=20),
    )
    base = well()
    names = ("volumes", "usage", "host", "databases", "backups", "stack", "engine")
    readings = base.readings | {name: msgspec.structs.replace(failed, source=name) for name in names}
    mongo = msgspec.structs.replace(
        _mongo(),
        reachable=False,
        problem="mongodb:27017 refuses connections",
        hint="start it: docker compose up -d mongodb",
        sampled_at=ago(minutes=3),
    )
    redis = RedisStatus(
        target=_redis().target,
        problem="the password is wrong (WRONGPASS)",
        hint="check REDIS_PASSWORD in .env.production.local",
    )
    return msgspec.structs.replace(base, databases=(mongo, redis), readings=readings)


def huge() -> Snapshot:
    """64 cores, 100 volumes, 500 collections, 200 containers, 150 backups."""
    base = well()
    assert base.host is not None
    host = msgspec.structs.replace(
        base.host,
        cpus=64,
        cpu_per_core=tuple(float((core * 37) % 101) for core in range(64)),
        disks=base.host.disks * 4,
    )
    volumes = tuple(
        msgspec.structs.replace(_volumes()[number % 6], key=f"volume:data-{number}", name=f"data-{number:03}")
        for number in range(100)
    )
    measured = tuple(
        Collection(
            name=f"events_{number:04}", documents=number * 997, data_bytes=number * MB, storage_bytes=number * MB // 3
        )
        for number in range(500)
    )
    many = MongoDatabase(name="thynk", data_bytes=9 * GB, collections=measured)
    mongo = msgspec.structs.replace(_mongo(), databases=(many, *_mongo().databases[1:]))
    containers = tuple(
        msgspec.structs.replace(
            base.containers[number % 4], id=f"{number:064x}", name=f"web-{number}", service=f"web-{number}"
        )
        for number in range(200)
    )
    backups = tuple(
        msgspec.structs.replace(
            _backups()[number % 5], id=f"backup-{number:03}", path=f"/b/{number}", taken_at=ago(hours=6 * number + 1)
        )
        for number in range(150)
    )
    return msgspec.structs.replace(
        base, host=host, volumes=volumes, databases=(mongo, _redis()), containers=containers, backups=backups
    )


def hostile() -> Snapshot:
    """Every text that comes from outside tries to act on the terminal or on the markup."""
    return msgspec.convert(_with_texts(msgspec.to_builtins(well())), Snapshot)


_OURS = {"kind", "state", "backup_class", "safety", "severity", "rule", "source", "sampled_at", "since"}


def _with_texts(value: object, name: str = "") -> object:
    if isinstance(value, dict):
        return {key: _with_texts(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_texts(each, name) for each in value]
    if isinstance(value, str) and name not in _OURS and not _is_time(value):
        return f"{HOSTILE}{value}"
    return value


def _is_time(text: str) -> bool:
    return len(text) > 18 and text[4:5] == "-" and text[10:11] == "T"


# --- parts -----------------------------------------------------------------------------------------


def _stack() -> Stack:
    return Stack(
        name="thynk",
        directory="/srv/thynk",
        compose_files=("/srv/thynk/docker-compose.yml", "/srv/thynk/docker-compose.prod.yml"),
        compose_command="docker compose 2.40.3",
        profiles=("production",),
        env_file="/srv/thynk/.env.production.local",
        commit="3f2a91c+",
        branch="main",
        services=tuple(Service(name=name) for name in ("nginx", "api", "worker", "mongodb", "redis", "mailer")),
        backup_directory="/srv/thynk/backups",
    )


def _containers() -> tuple[Container, ...]:
    drifted = {"api": "runs image api:1.4 of 3 weeks ago; the compose file says api:1.5"}
    found = []
    for number, (name, cpu, memory) in enumerate(
        (("nginx", 2.4, 41 * MB), ("api", 63.2, 412 * MB), ("worker", 11.0, 230 * MB), ("mongodb", 7.8, 1900 * MB))
    ):
        usage = Usage(sampled_at=NOW, cpu_percent=cpu, memory_bytes=memory)
        found.append(
            Container(
                id=f"{number:064x}",
                name=f"thynk-{name}-1",
                service=name,
                state="running",
                usage=usage,
                drift=drifted.get(name, ""),
            )
        )
    found.append(Container(id="f" * 64, name="thynk-redis-1", service="redis", state="exited", exit_code=1))
    return tuple(found)


def _volumes() -> tuple[Volume, ...]:
    def use(service: str, destination: str, running: bool = True) -> VolumeUse:
        return VolumeUse(service=service, container=f"thynk-{service}-1", destination=destination, running=running)

    return (
        Volume(
            key="volume:thynk_mongo",
            kind=VolumeKind.NAMED,
            name="thynk_mongo",
            driver="local",
            path="/var/lib/docker/volumes/thynk_mongo/_data",
            created_at=ago(days=90),
            size_bytes=5 * GB,
            size_at=ago(minutes=4),
            used_by=(use("mongodb", "/data/db"),),
            database="mongodb",
            safety=Safety.PERSISTENT,
            reason="A named volume; the newest good backup holds this database.",
        ),
        Volume(
            key="volume:4f",
            kind=VolumeKind.ANONYMOUS,
            name="4f9c1b" * 10,
            size_bytes=80 * MB,
            size_at=ago(hours=2),
            used_by=(use("redis", "/data", running=False),),
            database="redis",
            safety=Safety.AT_RISK,
            reason="An anonymous volume holds Redis' data: `docker compose down -v` or a renamed service loses it.",
        ),
        Volume(
            key="bind:/srv/thynk/backend/uploads",
            kind=VolumeKind.BIND,
            name="./backend/uploads",
            path="/srv/thynk/backend/uploads",
            size_bytes=1_250_000_000,
            size_at=ago(minutes=4),
            used_by=(use("api", "/app/uploads"), use("nginx", "/usr/share/nginx/uploads")),
            safety=Safety.NOT_IN_BACKUP,
            reason="No backup that was found has a part for these files.",
        ),
        Volume(
            key="volume:thynk_old",
            kind=VolumeKind.NAMED,
            name="thynk_old",
            size_bytes=300 * MB,
            size_at=ago(minutes=4),
            safety=Safety.ORPHANED,
            reason="No container and no service of this stack mounts it.",
        ),
        Volume(
            key="tmpfs:api:/tmp",
            kind=VolumeKind.TMPFS,
            name="/tmp",
            used_by=(use("api", "/tmp"),),
            reason="Memory: meant to be lost.",
        ),
        Volume(
            key="volume:thynk_certs",
            kind=VolumeKind.NAMED,
            name="thynk_certs",
            used_by=(use("nginx", "/etc/certs"),),
            reason="A named volume that every backup holds.",
        ),
    )


def _host() -> HostSample:
    return HostSample(
        name="prod-1",
        boot_at=ago(days=31),
        cpus=4,
        cpu_percent=37.2,
        cpu_per_core=(31.0, 44.5, 12.1, 92.0),
        iowait_percent=1.2,
        steal_percent=0.3,
        load=(1.21, 0.98, 0.74),
        memory_total=16 * GB,
        memory_used=10 * GB,
        memory_available=5 * GB,
        memory_percent=64.1,
        swap_total=4 * GB,
        swap_used=90 * MB,
        disks=(
            Disk(
                mount="/",
                device="/dev/sda1",
                filesystem="ext4",
                total_bytes=80 * GB,
                used_bytes=74 * GB,
                free_bytes=6 * GB,
                used_percent=92.5,
                inodes_total=5_000_000,
                inodes_free=4_100_000,
                full_in_days=6.2,
                holds="engine, stack",
            ),
            Disk(
                mount="/mnt/backups",
                device="/dev/sdb1",
                filesystem="xfs",
                total_bytes=500 * GB,
                used_bytes=120 * GB,
                free_bytes=380 * GB,
                used_percent=24.0,
                inodes_total=9_000_000,
                inodes_free=8_900_000,
                holds="backups",
            ),
        ),
        disk_read_rate=120_000.0,
        disk_write_rate=3_400_000.0,
        network_received_rate=840_000.0,
        network_sent_rate=2_100_000.0,
        processes=tuple(
            Process(pid=pid, name=name, user=user, cpu_percent=cpu, memory_bytes=memory, command=command)
            for pid, name, user, cpu, memory, command in (
                (4211, "node", "1000", 61.0, 410 * MB, "node --max-old-space-size=512 /app/server.js --port 3000"),
                (1830, "mongod", "999", 7.5, 1900 * MB, "mongod --bind_ip_all --auth"),
                (977, "dockerd", "root", 1.1, 90 * MB, "/usr/bin/dockerd -H fd://"),
                (2044, "nginx", "www-data", 0.6, 12 * MB, "nginx: worker process"),
            )
        ),
    )


def _mongo() -> MongoStatus:
    measured = tuple(
        Collection(
            name=name,
            documents=documents,
            data_bytes=data,
            storage_bytes=data // 3,
            index_bytes=data // 20,
            indexes=indexes,
            kind=kind,
        )
        for name, kind, documents, data, indexes in (
            ("messages", "collection", 1_204_331, 2 * GB, 4),
            ("users", "collection", 18_210, 14 * MB, 3),
            ("sessions", "collection", 90_113, 55 * MB, 2),
            ("metrics", "timeseries", 8_000_000, 700 * MB, 1),
        )
    )
    collections = (*measured, Collection(name="active_users", kind="view"))
    return MongoStatus(
        target=DatabaseTarget(
            kind="mongodb",
            name="mongodb",
            service="mongodb",
            database="thynk",
            address="mongodb://admin:********@172.18.0.3:27017/thynk",
            origin="service mongodb",
        ),
        reachable=True,
        version="6.0.5",
        topology="replica set rs0",
        member_state="PRIMARY",
        members=(
            ReplicaMember(name="mongodb:27017", state="PRIMARY"),
            ReplicaMember(name="mongodb-2:27017", state="SECONDARY", lag_seconds=2.0),
        ),
        uptime_seconds=270_000.0,
        connections=23,
        connections_available=838_837,
        operations={"insert": 3.0, "query": 41.0, "update": 6.0, "delete": 0.0, "getmore": 1.0, "command": 12.0},
        latency_seconds=0.0021,
        memory_resident=1900 * MB,
        cache_used=1 * GB,
        cache_total=8 * GB,
        databases=(
            MongoDatabase(
                name="admin",
                data_bytes=80_000,
                storage_bytes=90_000,
                index_bytes=40_000,
                collections=(Collection(name="system.users", documents=2, data_bytes=900),),
            ),
            MongoDatabase(
                name="thynk", data_bytes=3 * GB, storage_bytes=1 * GB, index_bytes=150 * MB, collections=collections
            ),
            MongoDatabase(
                name="thynk_test",
                data_bytes=3 * MB,
                storage_bytes=1 * MB,
                index_bytes=90_000,
                collections=(Collection(name="fixtures", documents=12, data_bytes=3 * MB),),
            ),
        ),
        sampled_at=NOW,
    )


def _redis() -> RedisStatus:
    return RedisStatus(
        target=DatabaseTarget(
            kind="redis",
            name="redis",
            service="redis",
            address="redis://:********@172.18.0.4:6379/0",
            origin="service redis",
        ),
        reachable=True,
        version="7.0.15",
        role="master",
        uptime_seconds=270_000.0,
        memory_used=61 * MB,
        memory_peak=80 * MB,
        memory_limit=256 * MB,
        eviction_policy="allkeys-lru",
        evicted_keys=0,
        clients=9,
        clients_limit=10_000,
        operations_per_second=212.0,
        hit_rate_percent=93.4,
        latency_seconds=0.0004,
        keyspaces=(RedisKeyspace(database=0, keys=12_004, expires=11_000), RedisKeyspace(database=3, keys=7)),
        rdb_enabled=True,
        rdb_last_save_at=ago(minutes=3),
        rdb_last_status="ok",
        rdb_changes_since_save=120,
        aof_enabled=True,
        aof_last_status="ok",
        sampled_at=NOW,
    )


def _probes() -> tuple[Probe, ...]:
    return (
        Probe(
            endpoint=Endpoint(name="api", url="http://127.0.0.1:3000/api/health", service="api"),
            ok=True,
            status=200,
            latency_seconds=0.034,
            asked_at=ago(seconds=4),
            requests=30,
            errors=0,
            average_seconds=0.041,
        ),
        Probe(
            endpoint=Endpoint(name="frontend", url="http://127.0.0.1:8080/", service="nginx"),
            ok=False,
            status=502,
            latency_seconds=2.8,
            asked_at=ago(seconds=4),
            requests=30,
            errors=12,
            average_seconds=2.4,
            problem="502 Bad Gateway: nginx answers, what is behind it does not",
        ),
    )


def _backups() -> tuple[Backup, ...]:
    def part(kind: str, path: str, amount: int, note: str = "", ok: bool = True) -> BackupPart:
        return BackupPart(kind=kind, path=path, size_bytes=amount, note=note, ok=ok)

    files = part("files", "uploads", 900 * MB, "2,113 files")
    mongo = part("mongo", "database/thynk", 310 * MB, "42 collections")
    empty = part("mongo", "database/thynk", 0, "empty", ok=False)
    config = part("config", ".env.production.local", 1204)
    manifest = part("manifest", "backup_info.txt", 300)
    return tuple(
        Backup(
            id=at.strftime("%Y%m%d_%H%M%S"),
            path=f"/srv/thynk/backups/{at:%Y%m%d_%H%M%S}",
            taken_at=at,
            size_bytes=sum(each.size_bytes for each in parts),
            state=state,
            parts=parts,
            missing=missing,
            problem=problem,
            layout="backup.sh",
        )
        for at, state, parts, missing, problem in (
            (ago(minutes=1), BackupState.UNFINISHED, (files,), ("mongo",), "It is being written, or a run was killed."),
            (ago(hours=31), BackupState.GOOD, (mongo, files, config, manifest), (), ""),
            (
                ago(hours=55),
                BackupState.INCOMPLETE,
                (files, config, manifest),
                ("mongo",),
                "The database is not in it.",
            ),
            (ago(hours=79), BackupState.DAMAGED, (empty, files, config), (), "The dump of the database is empty."),
            (ago(days=6), BackupState.GOOD, (mongo, files, config, manifest), (), ""),
        )
    )


def _alerts() -> tuple[Alert, ...]:
    return (
        Alert(
            rule="disk",
            subject="/",
            severity=Severity.CRITICAL,
            state=AlertState.FIRING,
            since=ago(hours=2),
            message="Disk / is 92.5 % full (limit 90 %).",
            action="Free space: docker image prune, old logs, old backups.",
        ),
        Alert(
            rule="backup-age",
            subject="backups",
            severity=Severity.CRITICAL,
            state=AlertState.FIRING,
            since=ago(hours=5),
            message="The newest good backup is 31 h old (limit 26 h).",
            action="Run ./backup.sh and look at its parts here.",
        ),
        Alert(
            rule="cpu",
            subject="host",
            severity=Severity.WARNING,
            state=AlertState.PENDING,
            since=ago(minutes=2),
            message="CPU 84 % (limit 80 % for 5 min).",
            action="See the top processes below.",
        ),
        Alert(
            rule="response-time",
            subject="api",
            severity=Severity.WARNING,
            state=AlertState.RESOLVED,
            since=ago(minutes=9),
            message="api answers in 0.04 s on average again (limit 2 s).",
        ),
    )


def _history(containers: tuple[Container, ...]) -> dict[str, tuple[float, ...]]:
    found = {
        "host.cpu": wave(45, 40, 17),
        "host.memory": wave(62, 3, 40),
        "host.disk_read": wave(2e5, 2e5, 9),
        "host.disk_write": wave(3e6, 2e6, 21),
        "host.network_received": wave(8e5, 5e5, 30),
        "host.network_sent": wave(2e6, 1e6, 13),
        "probe.api": wave(0.04, 0.02, 8),
        "probe.frontend": wave(1.4, 1.2, 20),
        "mongodb.mongodb": wave(60, 30, 11),
        "redis.redis": wave(200, 80, 15),
    }
    for number, container in enumerate(containers):
        found[f"cpu.{container.id}"] = wave(20 + number, 15, 6 + number)
        found[f"memory.{container.id}"] = wave(4e8, 2e7, 30)
    return found


# --- the screen ------------------------------------------------------------------------------------


@asynccontextmanager
async def console(
    snapshot: Snapshot, *, pane: str = "deploy", size: tuple[int, int] = (120, 40), **options: Any
) -> AsyncIterator[tuple[ConsoleApp, Pilot[Any]]]:
    """The console on one Snapshot, one pane open and painted."""
    app = ConsoleApp(None, clock=lambda: NOW, theme="dark", **{"ascii_only": False, **options})
    async with app.run_test(size=size) as pilot:
        app.snapshot = snapshot
        await app.go(pane)
        before: list[str] = []
        for _ in range(100):  # a busy machine paints the frame before the last layout first
            await pilot.pause(0.02)
            if before == (before := painted(app)):
                break
        yield app, pilot


def painted(app: ConsoleApp) -> list[str]:
    """The lines of the screen as they stand in the terminal."""
    return [strip.text for strip in app.screen._compositor.render_strips(app.size)]
