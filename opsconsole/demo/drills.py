"""Incidents to practise on: each makes one thing of the simulated stack ill, twelve minutes before the console opens.

The right way through the incident screen mends it; the wrong one changes nothing, and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec

from opsconsole.demo.drill import Drill, image_of
from opsconsole.demo.fleet import Fleet, digest
from opsconsole.demo.roles import NAME, Role
from opsconsole.incident.evidence import Change, ChangedFile, What
from opsconsole.incident.recommendation import Issue
from opsconsole.model import (
    Container,
    DatabaseStatus,
    HealthCheck,
    HostSample,
    MongoStatus,
    Probe,
    Process,
    RedisStatus,
    Service,
    SourceError,
    Stack,
    Usage,
)

WHO = "sam from 10.0.0.7"
ENV_FILE = ".env.production"
EMPTIED = "bookings"
_CYCLE, _RUNS = 20.0, 4.0  # seconds of one round of a crash loop, and of it alive
_CRASHES = frozenset({"backend"})


class Crashing(Drill):
    """The containers of the backend end again and again since they were made anew."""

    exit_code = 1
    silent = _CRASHES

    def new_image(self, one: Container) -> str:
        return one.image_id

    def new_hash(self, one: Container) -> str:
        return one.config_hash

    def containers(self, containers: tuple[Container, ...]) -> tuple[Container, ...]:
        if not self.ill:
            return containers
        return tuple(self._crashing(one) if one.service in _CRASHES else one for one in containers)

    def _crashing(self, one: Container) -> Container:
        age = (self.now - self.began).total_seconds()
        rounds = int(age // _CYCLE)
        began = self.began + timedelta(seconds=rounds * _CYCLE)
        runs = age % _CYCLE >= _CYCLE - _RUNS
        return msgspec.structs.replace(
            one,
            state="running" if runs else "restarting",
            health="starting" if runs else "",
            health_log=(),
            exit_code=self.exit_code,
            restarts=rounds,
            image_id=self.new_image(one),
            config_hash=self.new_hash(one),
            created_at=self.began,
            started_at=began + timedelta(seconds=_CYCLE - _RUNS if runs else -_RUNS),
            finished_at=began,
        )

    def stack(self, stack: Stack) -> Stack:
        """The files say what the containers are: nothing has drifted."""
        if not self.ill:
            return stack
        return msgspec.structs.replace(
            stack, services=tuple(self.service(one) if one.name in _CRASHES else one for one in stack.services)
        )

    def service(self, one: Service) -> Service:
        return one

    def probe(self, probe: Probe) -> Probe:
        hit = self.ill and probe.endpoint.name == "api"
        return _failing(probe, "answered 502 Bad Gateway, expected 200") if hit else probe

    def first_alert(self) -> tuple[str, str]:
        return "api", "api fails: answered 502 Bad Gateway, expected 200"


class CrashLoopAfterDeploy(Crashing):
    name = "crash-loop-after-deploy"
    said = "Bookings cannot be made since the deploy of this afternoon."
    issue = Issue.CODE
    mended_by = frozenset({"previous-image"})
    release_age = timedelta(minutes=2)

    def image(self, role: Role) -> str:
        return _new_image(role.service) if role.service in _CRASHES else image_of(role)

    def new_image(self, one: Container) -> str:
        return _new_image(one.service)

    def service(self, one: Service) -> Service:
        return msgspec.structs.replace(one, image_id=_new_image(one.name))

    def changes(self) -> tuple[Change, ...]:
        begun = self.began - timedelta(seconds=95)
        return (
            Change(
                at=begun,
                until=self.began + timedelta(seconds=66),
                what=What.DEPLOY,
                text=f"deploy of the stack {NAME} by {WHO}: deployed",
                services=("backend",),
                operation=f"{begun:%Y%m%dT%H%M%S}000Z-deploy-00d811",
                code=True,
                config=False,
            ),
        )


class ChangedEnv(Crashing):
    name = "changed-env"
    said = "Nobody can log in. The deploys of today are all older."
    issue = Issue.CONFIGURATION
    mended_by = frozenset({"config"})

    def new_hash(self, one: Container) -> str:
        return _new_hash(one.service)

    def service(self, one: Service) -> Service:
        return msgspec.structs.replace(one, config_hash=_new_hash(one.name))

    def files(self) -> tuple[ChangedFile, ...]:
        return (ChangedFile(path=ENV_FILE, release="r8", at=self.began - timedelta(minutes=2)),)


def _new_image(service: str) -> str:
    return "sha256:" + digest("the image of the last deploy", service)


def _new_hash(service: str) -> str:
    return digest("the configuration of the changed env file", service)


class EmptiedCollection(Drill):
    name = "emptied-collection"
    said = "The list of bookings is empty, a customer says."
    issue = Issue.DATA
    mended_by = frozenset({"restore"})
    every_seconds = 1e9  # once

    def database(self, status: DatabaseStatus) -> DatabaseStatus:
        if not self.ill or not isinstance(status, MongoStatus):
            return status
        databases = tuple(
            msgspec.structs.replace(
                one,
                collections=tuple(
                    msgspec.structs.replace(each, documents=0, data_bytes=0) if each.name == EMPTIED else each
                    for each in one.collections
                ),
            )
            for one in status.databases
        )
        return msgspec.structs.replace(status, databases=databases)


class FullDisk(Drill):
    name = "full-disk"
    said = "Uploads fail, and the log is full of errors."
    issue = Issue.INFRASTRUCTURE
    mended_by = frozenset({"prune"})
    by_hand = "du -xh"

    def first_alert(self) -> tuple[str, str]:
        return "/srv", "disk /srv at 100 % (limit 90 %), 0 B free"

    def host(self, sample: HostSample) -> HostSample:
        if not self.ill:
            return sample
        disks = tuple(
            msgspec.structs.replace(disk, used_bytes=disk.total_bytes, free_bytes=0, used_percent=100.0)
            if "stack" in disk.holds
            else disk
            for disk in sample.disks
        )
        return msgspec.structs.replace(sample, disks=disks)

    def database(self, status: DatabaseStatus) -> DatabaseStatus:
        if not self.ill or not isinstance(status, RedisStatus) or not status.aof_enabled:
            return status
        return msgspec.structs.replace(
            status, rdb_last_status="err", problem="the last save failed: no space left on device"
        )


class CpuHog(Drill):
    name = "cpu-hog"
    said = "Everything is slow."
    issue = Issue.PERFORMANCE
    mended_by = frozenset({"restart", "restart-all"})

    def first_alert(self) -> tuple[str, str]:
        return "host", "CPU at 97 % (limit 80 %)"

    def host(self, sample: HostSample) -> HostSample:
        if not self.ill:
            return sample
        hog = Process(pid=4711, name="node", user="node", cpu_percent=371.0, memory_bytes=246 << 20,
                      command="node dist/worker.js")  # fmt: skip
        load = (8.4, 7.9, 5.2)
        return msgspec.structs.replace(
            sample,
            cpu_percent=97.0,
            cpu_per_core=tuple(97.0 for _ in sample.cpu_per_core),
            load=load,
            processes=(hog, *sample.processes)[: len(sample.processes)],
        )

    def usage(self, container: Container, usage: Usage) -> Usage:
        hog = self.ill and container.service == "worker"
        return msgspec.structs.replace(usage, cpu_percent=368.0) if hog else usage

    def probe(self, probe: Probe) -> Probe:
        return _slow(probe, 2.9) if self.ill and probe.endpoint.name == "api" else probe


class SlowEndpoint(Drill):
    name = "slow-endpoint"
    said = "Pages of the website take seconds, or end with an error."
    issue = Issue.PERFORMANCE
    mended_by = frozenset({"restart", "restart-all"})

    def first_alert(self) -> tuple[str, str]:
        return "api", "api answers in 4.2 s on average (limit 2 s)"

    def probe(self, probe: Probe) -> Probe:
        if not self.ill or probe.endpoint.name != "api":
            return probe
        return msgspec.structs.replace(_slow(probe, 4.2), errors=max(1, probe.requests // 8))


class MongoStopped(Drill):
    name = "mongodb-stopped"
    said = "The application shows errors on every page."
    issue = Issue.INFRASTRUCTURE
    mended_by = frozenset({"start", "restart", "restart-all"})
    silent = frozenset({"mongodb"})

    def containers(self, containers: tuple[Container, ...]) -> tuple[Container, ...]:
        if not self.ill:
            return containers
        return tuple(self._stopped(one) for one in containers)

    def _stopped(self, one: Container) -> Container:
        if one.service == "mongodb":
            return msgspec.structs.replace(one, state="exited", health="", health_log=(), finished_at=self.began)
        if one.service == "backend":
            output = '{"status":"error","database":"connect ECONNREFUSED 172.20.0.2:27017"}'
            check = HealthCheck(started_at=self.now - timedelta(seconds=20), exit_code=1, output=output)
            return msgspec.structs.replace(one, health="unhealthy", health_log=(check,))
        return one

    def database(self, status: DatabaseStatus) -> DatabaseStatus:
        if not self.ill or not isinstance(status, MongoStatus):
            return status
        return MongoStatus(
            target=status.target,
            problem=f"container {NAME}-mongodb-1 is not running",
            hint="opsconsole start mongodb",
            sampled_at=self.now,
        )

    def probe(self, probe: Probe) -> Probe:
        return _failing(probe, "answered 503, expected 200") if self.ill and probe.endpoint.name == "api" else probe

    def first_alert(self) -> tuple[str, str]:
        return "mongodb", f"mongodb: container {NAME}-mongodb-1 is not running"


class RedisMaxmemory(Drill):
    name = "redis-maxmemory"
    said = "Some users are logged out again and again."
    issue = Issue.PERFORMANCE
    by_hand = "maxmemory"

    def first_alert(self) -> tuple[str, str]:
        return "redis", "redis uses 100 % of its maxmemory of 384.0 MiB (limit 90 %): then writes fail"

    def database(self, status: DatabaseStatus) -> DatabaseStatus:
        if not self.ill or not isinstance(status, RedisStatus) or not status.memory_limit:
            return status
        return msgspec.structs.replace(
            status, memory_used=int(status.memory_limit * 0.998), eviction_policy="noeviction"
        )


class EngineStopped(Drill):
    name = "engine-stopped"
    said = "Nothing answers any more."
    issue = Issue.INFRASTRUCTURE
    by_hand = "systemctl"

    def first_alert(self) -> tuple[str, str]:
        return "engine", "the container engine cannot be reached: connection refused"

    def reach_engine(self) -> None:
        if self.ill:
            raise SourceError("nobody listens on /var/run/docker.sock: connection refused", "systemctl start docker")

    def database(self, status: DatabaseStatus) -> DatabaseStatus:
        if not self.ill:
            return status
        return type(status)(target=status.target, problem="connection refused", sampled_at=self.now)

    def probe(self, probe: Probe) -> Probe:
        return _failing(probe, "connection refused") if self.ill else probe


def _failing(probe: Probe, problem: str) -> Probe:
    return msgspec.structs.replace(
        probe, ok=False, status=None, problem=problem, errors=probe.requests, latency_seconds=None, average_seconds=None
    )


def _slow(probe: Probe, seconds: float) -> Probe:
    return msgspec.structs.replace(probe, latency_seconds=seconds, average_seconds=seconds)


DRILLS: dict[str, Callable[[Fleet], Drill]] = {
    one.name: one
    for one in (
        CrashLoopAfterDeploy, EmptiedCollection, ChangedEnv, FullDisk, CpuHog, MongoStopped, RedisMaxmemory,
        EngineStopped, SlowEndpoint,
    )
}  # fmt: skip
