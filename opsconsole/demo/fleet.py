"""The containers of the simulated stack, and how their states move with time and with the operator's keys."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil

import msgspec

from opsconsole.demo.noise import key_of
from opsconsole.demo.roles import (
    ANONYMOUS,
    COMPOSE_VERSION,
    DIRECTORY,
    MORE,
    NAME,
    ROLES,
    Role,
    more_role,
)
from opsconsole.model import Container, HealthCheck, Mount, NetworkAddress, SourceError

DRIFTED = "worker"
CRASHING = "mailer"
UNHEALTHY = "search"
KILLED = "reports"
ONE_SHOT = "migrate"

CYCLE, RUNS = 46.0, 11.0
"""Seconds of one round of the crash loop, and how many of them the process lives."""

STARTING = 12.0
"""Seconds until the healthcheck of a started container says healthy."""

UNHEALTHY_OUTPUT = (
    '{"cluster_name":"harbour","status":"red","timed_out":false,"number_of_nodes":1,"active_primary_shards":11,'
    '"unassigned_shards":3}\ncurl: (22) The requested URL returned error: 503'
)
_HEALTHY_OUTPUT = {
    "mongodb": "{ ok: 1 }",
    "redis": "PONG",
    "nginx": "ok",
    "backend": '{"status":"ok","database":"up","redis":"up"}',
}


def digest(*words: object) -> str:
    """64 hexadecimal digits, as ids and hashes of the engine look."""
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()


@dataclass(slots=True)
class Member:
    """One container: what never changes of it, and what was done to it while the demo runs."""

    role: Role
    number: int
    key: int
    base: Container
    born: float  # seconds since 1970 of the last start before the demo began
    ended: float | None = None  # of the end, for one that was not running then
    actions: list[tuple[float, str]] = field(default_factory=list)  # ("start" or "stop"), oldest first

    @property
    def service(self) -> str:
        return self.role.service

    def runs_at(self, at: float) -> bool:
        """Whether its process was there at a moment."""
        running = self.born <= at and (self.ended is None or at < self.ended)
        since = self.born
        for moment, action in self.actions:
            if moment > at:
                break
            running, since = action == "start", moment
        if running and self.service == CRASHING:
            return (at - since) % CYCLE < RUNS
        return running

    def started(self, at: float) -> float:
        """The last time it was started by somebody."""
        starts = [moment for moment, action in self.actions if action == "start" and moment <= at]
        return starts[-1] if starts else self.born

    def stopped_by_hand(self, at: float) -> float | None:
        done = [(moment, action) for moment, action in self.actions if moment <= at]
        return done[-1][0] if done and done[-1][1] == "stop" else None


class Fleet:
    """All members, and the clock that they live by. `start`, `stop` and `restart` really change them."""

    def __init__(self, containers: int, seed: int, clock: Callable[[], datetime]) -> None:
        self.seed = seed
        self.clock = clock
        self.anchor = clock().timestamp()
        self.changed = threading.Condition()
        self.changes = 0
        self.roles = _roles(containers)
        self.members = tuple(_members(self.roles, containers, seed, self.anchor))
        self.by_id = {member.base.id: member for member in self.members}

    def now(self) -> float:
        return self.clock().timestamp()

    def containers(self) -> tuple[Container, ...]:
        at = self.now()
        return tuple(self.view(member, at) for member in self.members)

    def view(self, member: Member, at: float) -> Container:
        """The container as the engine would describe it at a moment."""
        if member.service == CRASHING:
            return _crashing(member, at)
        if not member.actions and member.service != UNHEALTHY:
            return member.base
        stopped = member.stopped_by_hand(at)
        if stopped is not None:
            return _stopped(member, stopped)
        if member.service == UNHEALTHY and not member.actions:
            return _unhealthy(member, at)
        since = member.started(at)
        health = "" if not member.role.health else "healthy" if at - since >= STARTING else "starting"
        return msgspec.structs.replace(
            member.base,
            state="running",
            exit_code=0,
            oom_killed=False,
            health=health,
            health_log=_checks(member, at) if health == "healthy" else (),
            started_at=_moment(since, member),
            finished_at=_moment(since, member),
        )

    # --- what the operator does ------------------------------------------------------------------

    def act(self, container_id: str, action: str) -> None:
        """`start`, `stop` or `restart`. Raises SourceError for a container that is not there."""
        member = self.by_id.get(container_id)
        if member is None:
            raise SourceError(f"no such container: {container_id[:12]}", "it was removed meanwhile; choose again")
        at = self.now()
        with self.changed:
            running = self.view(member, at).state in ("running", "restarting")
            if action in ("stop", "restart") and running:
                member.actions.append((at, "stop"))
            if action in ("start", "restart") and not (action == "start" and running):
                member.actions.append((at, "start"))
            self.changes += 1
            self.changed.notify_all()


# --- states ----------------------------------------------------------------------------------------


def _moment(at: float, member: Member) -> datetime:
    created = member.base.created_at
    assert created is not None
    return datetime.fromtimestamp(at, created.tzinfo)


def _stopped(member: Member, at: float) -> Container:
    return msgspec.structs.replace(
        member.base,
        state="exited",
        health="",
        health_log=(),
        exit_code=0,
        oom_killed=False,
        finished_at=_moment(at, member),
    )


def _crashing(member: Member, at: float) -> Container:
    stopped = member.stopped_by_hand(at)
    if stopped is not None:
        return msgspec.structs.replace(_stopped(member, stopped), exit_code=1)
    since = member.started(at)
    rounds = int((at - since) // CYCLE)
    began = since + rounds * CYCLE
    runs = at - began < RUNS
    return msgspec.structs.replace(
        member.base,
        state="running" if runs else "restarting",
        exit_code=0 if runs else 1,
        started_at=_moment(began, member),
        finished_at=_moment(began - CYCLE + RUNS if runs else began + RUNS, member),
        restarts=rounds,
    )


def _unhealthy(member: Member, at: float) -> Container:
    last = at // 30 * 30
    log = tuple(
        HealthCheck(started_at=_moment(last - 30 * back, member), exit_code=22, output=UNHEALTHY_OUTPUT)
        for back in range(4, -1, -1)
    )
    return msgspec.structs.replace(member.base, health="unhealthy", health_log=log)


def _checks(member: Member, at: float) -> tuple[HealthCheck, ...]:
    output = _HEALTHY_OUTPUT.get(member.service, "ok")
    return (HealthCheck(started_at=_moment(at // 30 * 30, member), exit_code=0, output=output),)


# --- making them -----------------------------------------------------------------------------------


def _roles(containers: int) -> tuple[Role, ...]:
    own = sum(role.replicas for role in ROLES)
    extra = max(0, containers - own)
    replicas = max(1, ceil(extra / len(MORE)))
    services = ceil(extra / replicas)
    return (*ROLES, *(more_role(MORE[number], number, replicas) for number in range(services)))


def _members(roles: Sequence[Role], containers: int, seed: int, anchor: float) -> list[Member]:
    members: list[Member] = []
    for role in roles:
        for number in range(1, role.replicas + 1):
            if len(members) == containers:
                return members
            members.append(_member(role, number, len(members), seed, anchor))
    return members


def _member(role: Role, number: int, index: int, seed: int, anchor: float) -> Member:
    name = f"{NAME}-{role.service}-{number}"
    identity = digest(seed, name)
    born = anchor - role.uptime_hours * 3600 - number * 1.7
    ended = {ONE_SHOT: born + 21.0, KILLED: anchor - 5.4 * 3600}.get(role.service)
    base = Container(
        id=identity,
        name=name,
        project=NAME,
        service=role.service,
        number=number,
        image=role.image,
        image_id="sha256:" + digest(role.image),
        image_created=_at(anchor - role.image_days * 86_400),
        state="running" if ended is None else "exited",
        health="healthy" if role.health else "",
        exit_code={ONE_SHOT: 0, KILLED: 137}.get(role.service, 0),
        oom_killed=role.service == KILLED,
        restarts=0,
        created_at=_at(born - 0.9),
        started_at=_at(born),
        finished_at=None if ended is None else _at(ended),
        ports=role.ports,
        mounts=mounts_of(role, seed),
        networks=(NetworkAddress(network=f"{NAME}_default", address=f"172.20.{index // 250}.{index % 250 + 2}"),),
        command=role.command,
        restart_policy=role.restart,
        environment=role.environment,
        labels=_labels(role, number),
        config_hash=config_hash(role, drifted=role.service == DRIFTED),
        detailed=True,
    )
    member = Member(role, number, key_of(seed, name), base, born, ended)
    if role.health and role.service != UNHEALTHY:
        member.base = msgspec.structs.replace(base, health_log=_checks(member, anchor))
    return member


def mounts_of(role: Role, seed: int) -> tuple[Mount, ...]:
    """A role's mounts with the anonymous volumes under the names that the engine gave them."""
    return tuple(
        msgspec.structs.replace(mount, name=digest(seed, role.service, mount.destination))
        if mount.name == ANONYMOUS
        else mount
        for mount in role.mounts
    )


def config_hash(role: Role, *, drifted: bool = False) -> str:
    return digest("config", role.service, role.image, "before the last change" if drifted else "")


def _labels(role: Role, number: int) -> tuple[tuple[str, str], ...]:
    prefix = "com.docker.compose"
    return (
        (f"{prefix}.config-hash", config_hash(role, drifted=role.service == DRIFTED)),
        (f"{prefix}.container-number", str(number)),
        (f"{prefix}.project", NAME),
        (f"{prefix}.project.config_files", f"{DIRECTORY}/docker-compose.yml"),
        (f"{prefix}.project.working_dir", DIRECTORY),
        (f"{prefix}.service", role.service),
        (f"{prefix}.version", COMPOSE_VERSION),
    )


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
