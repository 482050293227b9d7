"""The simulated engine: containers, their usage, volumes, events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from threading import Event

import msgspec

from opsconsole.demo.fleet import CYCLE, RUNS, Fleet, Member
from opsconsole.demo.noise import business, unit, walk, wave
from opsconsole.demo.roles import DIRECTORY, GB, MB, NAME
from opsconsole.model import Container, Engine, Project, Usage, Volume, VolumeKind, VolumeUse
from opsconsole.sources.happenings import Happening, Heard

_SIZES = {
    f"volume:{NAME}_mongodb-data": int(11.4 * GB),
    f"volume:{NAME}_redis-data": 214 * MB,
    f"volume:{NAME}_search-data": int(6.1 * GB),
    f"volume:{NAME}_postgres-data": int(3.8 * GB),
    f"bind:{DIRECTORY}/uploads": int(27.6 * GB),
    f"bind:{DIRECTORY}/backups": int(38.2 * GB),
    f"bind:{DIRECTORY}/certificates": 21_504,
    f"bind:{DIRECTORY}/scripts": 14_336,
    f"bind:{DIRECTORY}/nginx/nginx.conf": 3_912,
}
_GROWTH = {f"volume:{NAME}_mongodb-data": 900.0, f"bind:{DIRECTORY}/uploads": 2_600.0}  # bytes per second


class DemoEngine:
    """See `EngineSource`."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def describe(self) -> Engine:
        containers = self._fleet.containers()
        large = len(containers) > 100
        return Engine(
            endpoint="demo://simulated",
            version="28.5.1",
            api_version="1.51",
            operating_system="Debian GNU/Linux 12 (bookworm)",
            storage_driver="overlay2",
            cgroup_version="2",
            cpus=64 if large else 4,
            memory_bytes=(256 if large else 16) * GB,
            containers_running=sum(container.state == "running" for container in containers),
            containers_total=len(containers),
            images=len({container.image for container in containers}) + 6,
        )

    def projects(self) -> tuple[Project, ...]:
        containers = self._fleet.containers()
        running = sum(container.state == "running" for container in containers)
        files = (f"{DIRECTORY}/docker-compose.yml",)
        return (Project(name=NAME, directory=DIRECTORY, compose_files=files, running=running, total=len(containers)),)

    def containers(self, *, project: str = "", directory: str = "") -> tuple[Container, ...]:
        if project not in ("", NAME) or directory not in ("", DIRECTORY):
            return ()
        return self._fleet.containers()

    def inspect_missing(self, containers: Sequence[Container], limit: int = 50) -> bool:
        return False

    def usage(self, containers: Sequence[Container]) -> dict[str, Usage]:
        at = self._fleet.now()
        moment = datetime.fromtimestamp(at, UTC)
        busy = 0.55 + 0.6 * business(at)
        members = self._fleet.by_id
        return {
            container.id: usage_of(members[container.id], at, moment, busy)
            for container in containers
            if container.state == "running" and container.id in members
        }

    def volumes(self, containers: Sequence[Container], *, project: str = "") -> tuple[Volume, ...]:
        found: dict[str, tuple[Volume, list[VolumeUse]]] = {}
        for container in containers:
            running = container.state in ("running", "restarting")
            for mount in container.mounts:
                volume = _volume_of(container, mount.kind, mount.name, mount.source, mount.destination, mount.anonymous)
                uses = found.setdefault(volume.key, (volume, []))[1]
                uses.append(
                    VolumeUse(
                        service=container.service,
                        container=container.id,
                        destination=mount.destination,
                        read_only=mount.read_only,
                        running=running,
                    )
                )
        orphan = f"{NAME}_postgres-data"
        found[orphan] = (
            Volume(
                key=f"volume:{orphan}",
                kind=VolumeKind.NAMED,
                name=orphan,
                path=f"/var/lib/docker/volumes/{orphan}/_data",
                driver="local",
                created_at=datetime.fromtimestamp(self._fleet.anchor - 511 * 86_400, UTC),
            ),
            [],
        )
        return tuple(_with_uses(volume, uses) for volume, uses in found.values())

    def volume_sizes(self, volumes: Sequence[Volume], stop: Event) -> dict[str, int]:
        grown = self._fleet.now() - self._fleet.anchor
        return {
            volume.key: _SIZES.get(volume.key, 4 * MB) + int(_GROWTH.get(volume.key, 0) * grown)
            for volume in volumes
            if volume.kind is not VolumeKind.TMPFS
        }

    def watch(self, changed: Callable[[], None], stop: Event) -> None:
        fleet = self._fleet
        before = (fleet.changes, self._phase())
        while not stop.is_set():
            with fleet.changed:
                fleet.changed.wait(timeout=0.25)
            now = (fleet.changes, self._phase())
            if now != before:
                before = now
                changed()

    def listen(self, heard: Heard) -> None:
        pass  # the past of the demo is made up as a whole

    def happened(self, since: datetime, until: datetime) -> tuple[Happening, ...]:
        return ()

    def _phase(self) -> tuple[tuple[str, str], ...]:
        """The states that change by themselves: the crash loop, and healthchecks after a start."""
        at = self._fleet.now()
        views = (
            self._fleet.view(member, at) for member in self._fleet.members if member.actions or not member.role.lines
        )
        return tuple((view.state, view.health) for view in views)

    def start(self, container_id: str) -> None:
        self._fleet.act(container_id, "start")

    def stop(self, container_id: str) -> None:
        self._fleet.act(container_id, "stop")

    def restart(self, container_id: str) -> None:
        self._fleet.act(container_id, "restart")

    def close(self) -> None:
        with self._fleet.changed:
            self._fleet.changed.notify_all()


# --- usage -----------------------------------------------------------------------------------------


def cpu_of(member: Member, at: float, busy: float) -> float:
    """Percent of one core. A process that has just come up works harder."""
    role, age = member.role, at - member.started(at)
    level = role.cpu * busy * (1 + 0.5 * walk(member.key, at, 240)) * (0.8 + 0.4 * unit(member.key, member.number))
    if role.service == "mailer":
        return level * (4 if age % CYCLE < RUNS / 2 else 1)
    return max(0.0, level + (role.cpu * 3 if age < 20 else 0))


def memory_of(member: Member, at: float) -> int:
    """Bytes: a slow saw-tooth of garbage collection on a level that wanders; it fills up after a start."""
    role = member.role
    age = at - member.started(at)
    filled = min(1.0, 0.55 + age / 600)
    saw = (at / 95 + unit(member.key, 3)) % 1
    level = role.memory * filled * (1 + 0.06 * wave(member.key + 5, at, 900) + 0.05 * saw)
    return int(min(level, role.limit * 0.985 if role.limit else level))


def usage_of(member: Member, at: float, moment: datetime, busy: float) -> Usage:
    role = member.role
    age = max(0.0, at - member.started(at))
    traffic = role.traffic * busy * (1 + 0.6 * wave(member.key + 7, at, 60))
    disk = role.disk * (1 + 0.9 * wave(member.key + 9, at, 40))
    total, written = int(role.traffic * 0.8 * age), int(role.disk * age)
    return Usage(
        sampled_at=moment,
        cpu_percent=round(cpu_of(member, at, busy), 2),
        memory_bytes=memory_of(member, at),
        memory_limit=role.limit,
        network_received=total,
        network_sent=int(total * 1.6),
        network_received_rate=traffic,
        network_sent_rate=traffic * 1.6,
        block_read=written // 3,
        block_written=written,
        block_read_rate=disk / 3,
        block_written_rate=disk,
        processes=4 + member.key % 19,
    )


# --- volumes ---------------------------------------------------------------------------------------


def _volume_of(container: Container, kind: str, name: str, source: str, destination: str, anonymous: bool) -> Volume:
    if kind == "bind":
        return Volume(key=f"bind:{source}", kind=VolumeKind.BIND, name=source, path=source)
    if kind == "tmpfs":
        return Volume(key=f"tmpfs:{container.name}:{destination}", kind=VolumeKind.TMPFS, name=destination)
    return Volume(
        key=f"volume:{name}",
        kind=VolumeKind.ANONYMOUS if anonymous else VolumeKind.NAMED,
        name=name,
        path=f"/var/lib/docker/volumes/{name}/_data",
        driver="local",
        created_at=container.created_at,
    )


def _with_uses(volume: Volume, uses: list[VolumeUse]) -> Volume:
    return msgspec.structs.replace(volume, used_by=tuple(uses))
