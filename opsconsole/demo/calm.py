"""The simulated stack on a good day: the same sources with everything well, for drills that make one thing ill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Event

import msgspec

from opsconsole.database_work import View, Work
from opsconsole.demo.calm_logs import CalmLogs, Voices
from opsconsole.demo.fleet import CRASHING, DRIFTED, KILLED, UNHEALTHY, Fleet, config_hash
from opsconsole.demo.roles import NAME
from opsconsole.model import (
    Backup,
    BackupContents,
    Container,
    DatabaseStatus,
    DatabaseTarget,
    Engine,
    HealthCheck,
    HostSample,
    Probe,
    Project,
    Stack,
    Usage,
    Volume,
)
from opsconsole.sources import (
    BackupSource,
    DatabaseSource,
    EngineSource,
    HostSource,
    ProbeSource,
    Sources,
    StackSource,
)
from opsconsole.sources.happenings import Happening, Heard


class Fault(Voices):
    """What a drill makes of a day that is good. Each method gets one part of it and gives it back, changed or not."""

    def stack(self, stack: Stack) -> Stack:
        return stack

    def reach_engine(self) -> None:
        """Raises SourceError where the engine does not answer."""

    def containers(self, containers: tuple[Container, ...]) -> tuple[Container, ...]:
        return containers

    def usage(self, container: Container, usage: Usage) -> Usage:
        return usage

    def host(self, sample: HostSample) -> HostSample:
        return sample

    def database(self, status: DatabaseStatus) -> DatabaseStatus:
        return status

    def probe(self, probe: Probe) -> Probe:
        return probe


def calm(sources: Sources, fleet: Fleet, fault: Fault) -> None:
    """Make well all that is ill in the demo's sources, and then one thing ill."""
    sources.stack = CalmStack(sources.stack, fault)
    sources.engine = CalmEngine(sources.engine, fleet, fault)
    sources.host = CalmHost(sources.host, fault)
    sources.databases = CalmDatabases(sources.databases, fault)
    sources.probes = CalmProbes(sources.probes, fault)
    sources.backups = CalmBackups(sources.backups)
    sources.logs = CalmLogs(sources.logs, fault)


class CalmStack:
    def __init__(self, own: StackSource, fault: Fault) -> None:
        self._own, self._fault = own, fault

    def look(self, containers: Sequence[Container]) -> Stack:
        return self._fault.stack(self._own.look(containers))


class CalmEngine:
    def __init__(self, own: EngineSource, fleet: Fleet, fault: Fault) -> None:
        self._own, self._fleet, self._fault = own, fleet, fault
        self._roles = {role.service: role for role in fleet.roles}

    def containers(self, *, project: str = "", directory: str = "") -> tuple[Container, ...]:
        self._fault.reach_engine()
        found = self._own.containers(project=project, directory=directory)
        return self._fault.containers(tuple(self._well(one) for one in found))

    def _well(self, one: Container) -> Container:
        change = msgspec.structs.replace
        if one.service == UNHEALTHY and one.health == "unhealthy":
            good = tuple(HealthCheck(started_at=check.started_at, exit_code=0, output="ok") for check in one.health_log)
            return change(one, health="healthy", health_log=good)
        if one.service in (CRASHING, KILLED):
            began = one.created_at
            return change(one, state="running", exit_code=0, oom_killed=False, restarts=0, started_at=began,
                          finished_at=None)  # fmt: skip
        if one.service == DRIFTED:
            return change(one, config_hash=config_hash(self._roles[one.service]))
        if one.service == "queue":  # in the demo its data lies in a volume without a name
            named = tuple(change(mount, name=f"{NAME}_queue-data", anonymous=False) for mount in one.mounts)
            return change(one, mounts=named)
        return one

    def describe(self) -> Engine:
        self._fault.reach_engine()
        return self._own.describe()

    def projects(self) -> tuple[Project, ...]:
        return self._own.projects()

    def inspect_missing(self, containers: Sequence[Container], limit: int = 50) -> bool:
        return False

    def usage(self, containers: Sequence[Container]) -> dict[str, Usage]:
        self._fault.reach_engine()
        found = self._own.usage(containers)
        by_id = {one.id: one for one in containers}
        return {key: self._fault.usage(by_id[key], _roomy(usage)) for key, usage in found.items()}

    def volumes(self, containers: Sequence[Container], *, project: str = "") -> tuple[Volume, ...]:
        self._fault.reach_engine()
        return self._own.volumes(containers, project=project)

    def volume_sizes(self, volumes: Sequence[Volume], stop: Event) -> dict[str, int]:
        return self._own.volume_sizes(volumes, stop)

    def watch(self, changed: Callable[[], None], stop: Event) -> None:
        self._own.watch(changed, stop)

    def listen(self, heard: Heard) -> None:
        self._own.listen(heard)

    def happened(self, since: datetime, until: datetime) -> tuple[Happening, ...]:
        return ()

    def start(self, container_id: str) -> None:
        self._own.start(container_id)

    def stop(self, container_id: str) -> None:
        self._own.stop(container_id)

    def restart(self, container_id: str) -> None:
        self._own.restart(container_id)

    def close(self) -> None:
        self._own.close()


def _roomy(usage: Usage) -> Usage:
    """Far from its memory limit."""
    limit, used = usage.memory_limit, usage.memory_bytes
    tight = bool(limit and used and used > 0.8 * limit)
    return msgspec.structs.replace(usage, memory_bytes=int(limit * 0.6)) if tight and limit else usage


class CalmHost:
    def __init__(self, own: HostSource, fault: Fault) -> None:
        self._own, self._fault = own, fault

    def sample(self, *, paths: Sequence[str] = (), processes: int = 0) -> HostSample:
        sample = self._own.sample(paths=paths, processes=processes)
        disks = tuple(
            msgspec.structs.replace(
                disk,
                used_bytes=int(disk.total_bytes * 0.61),
                free_bytes=int(disk.total_bytes * 0.39),
                used_percent=61.0,
                full_in_days=None,
            )
            if disk.used_percent > 80
            else disk
            for disk in sample.disks
        )
        return self._fault.host(msgspec.structs.replace(sample, disks=disks))


class CalmDatabases:
    def __init__(self, own: DatabaseSource, fault: Fault) -> None:
        self._own, self._fault = own, fault

    def look(self, stack: Stack, containers: Sequence[Container], *, collections: bool) -> tuple[DatabaseStatus, ...]:
        return tuple(map(self._fault.database, self._own.look(stack, containers, collections=collections)))

    def at_work(self, target: DatabaseTarget, view: View) -> Work:
        return self._own.at_work(target, view)

    def close(self) -> None:
        self._own.close()


class CalmProbes:
    def __init__(self, own: ProbeSource, fault: Fault) -> None:
        self._own, self._fault = own, fault

    def look(self, stack: Stack, containers: Sequence[Container]) -> tuple[Probe, ...]:
        return tuple(self._fault.probe(self._well(one)) for one in self._own.look(stack, containers))

    def _well(self, one: Probe) -> Probe:
        quick = min(one.latency_seconds or 0.08, 0.12)
        return msgspec.structs.replace(
            one, ok=True, status=200, problem="", errors=0, latency_seconds=quick, average_seconds=quick
        )

    def close(self) -> None:
        self._own.close()


class CalmBackups:
    """No night of them is bad."""

    def __init__(self, own: BackupSource) -> None:
        self._own = own

    def look(self, stack: Stack) -> tuple[Backup, ...]:
        return tuple(one for one in self._own.look(stack) if not one.problem and not one.missing)

    def look_inside(self, backup: Backup) -> BackupContents:
        return self._own.look_inside(backup)
