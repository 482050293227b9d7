"""Alert rules about the services: their containers and their databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from opsconsole.alert_findings import Finding, Restarts, Thresholds, one_line, rule, size
from opsconsole.model import Container, MongoStatus, RedisStatus, Service, Severity, Snapshot, SourceState
from opsconsole.roles import is_job

RESTART_WINDOW = timedelta(minutes=10)

DATABASE_ROLES = ("mongodb", "redis")

_STOPPED_BY_SOMEBODY = (0, 137, 143)
"""Exit codes after `docker stop`: a clean end, SIGTERM, and SIGKILL after the grace period."""

_BREAKABLE_STATES = ("exited", "dead", "created", "paused")


def remember_restarts(known: Restarts, snapshot: Snapshot, now: datetime) -> Restarts:
    """Restart counts with the time they were first seen; as far back as the window, and one before it."""
    remembered: Restarts = {}
    for container in snapshot.containers:
        seen = known.get(container.name, ())
        if seen and seen[-1][0] - now > RESTART_WINDOW:
            seen = ()  # the clock was set back: these would count until it has caught up
        if container.restarts is not None and (not seen or container.restarts != seen[-1][1]):
            # A count that fell belongs to a new container of this name.
            fresh = bool(seen) and container.restarts < seen[-1][1]
            seen = (*(() if fresh else seen), (now, container.restarts))
        while len(seen) > 1 and seen[1][0] <= now - RESTART_WINDOW:
            seen = seen[1:]
        if seen:
            remembered[container.name] = seen
    return remembered


@rule("engine", "container-down", "container-unhealthy", "crash-loop", "container-oom")
def containers(limits: Thresholds, snapshot: Snapshot, now: datetime, restarts: Restarts) -> Iterable[Finding]:
    """Containers that do not do what the compose file wants of them."""
    own = [container for container in snapshot.containers if not _is_one_off(container)]
    per_service = _per_service(own)
    services = {service.name: service for service in snapshot.stack.services} if snapshot.stack else {}
    # Until the files were looked at, nobody can say what should run; where they cannot be read, everything should.
    unread = "stack" in snapshot.readings and snapshot.readings["stack"].state is SourceState.WAITING
    all_wanted = not services and not unread
    for container in own:
        subject = _subject(container, per_service)
        service = services.get(container.service)
        yield from _crash_loop(limits, container, subject, restarts)
        if container.state in _BREAKABLE_STATES:
            yield from _down(limits, container, subject, service, all_wanted)
        elif container.health == "unhealthy" and container.state == "running":
            yield from _unhealthy(limits, container, subject)
        if container.oom_killed and container.state == "running":
            yield Finding(
                rule="container-oom",
                subject=subject,
                message=f"a process of {subject} was killed: out of memory{_limit_of(container)}",
                action="raise its memory limit or find out what it holds",
            )


def _per_service(among: Sequence[Container]) -> Counter[str]:
    return Counter(container.service for container in among)


def _subject(container: Container, per_service: Counter[str]) -> str:
    """The service, unless several containers share it."""
    return container.service if container.service and per_service[container.service] == 1 else container.name


def _is_one_off(container: Container) -> bool:
    """Whether `docker compose run` made it: nobody expects it to stay."""
    return ("com.docker.compose.oneoff", "True") in container.labels


def _crash_loop(limits: Thresholds, container: Container, subject: str, restarts: Restarts) -> Iterable[Finding]:
    seen = restarts.get(container.name, ())
    grown = (container.restarts or 0) - seen[0][1] if seen and container.restarts is not None else 0
    if container.state != "restarting" and grown < limits.restarts:
        return
    ended = f", last exit code {container.exit_code}" if container.exit_code is not None else ""
    ended += ", out of memory" if container.oom_killed else ""
    counted = f"{grown} restarts in 10 minutes (limit {limits.restarts})" if grown > 1 else "it is restarting now"
    yield Finding(
        rule="crash-loop",
        subject=subject,
        severity=Severity.CRITICAL,
        message=f"{subject} crashes again and again: {counted}{ended}",
        action=f"read what it says before it ends: docker compose logs --tail 50 {container.service or container.name}",
        value=float(grown),
        limit=float(limits.restarts),
        clear_seconds=60.0,
    )


def _down(
    limits: Thresholds, container: Container, subject: str, service: Service | None, all_wanted: bool
) -> Iterable[Finding]:
    """A container that does not run although it should. One-shot jobs that ended well are as they should be."""
    wanted = (service.active and service.replicas > 0) if service else all_wanted
    code = container.exit_code if container.state in ("exited", "dead") else None
    crashed = container.state == "dead" or container.oom_killed or bool(container.error)
    crashed = crashed or (code is not None and code not in _STOPPED_BY_SOMEBODY)
    if not crashed and (not wanted or (code == 0 and is_job(container, service))):
        return
    is_database = service is not None and service.role in DATABASE_ROLES
    yield Finding(
        rule="container-down",
        subject=subject,
        severity=Severity.CRITICAL if wanted and (crashed or is_database) else Severity.WARNING,
        message=_how_it_is_down(container, subject),
        action=f"read its log, then: docker compose up -d {container.service or container.name}"
        if crashed
        else f"docker compose {'unpause' if container.state == 'paused' else 'up -d'} {container.service or subject}",
        value=float(code) if code is not None else None,
        # What somebody stopped may be on its way up again; what crashed is not.
        hold_seconds=0.0 if crashed else limits.unhealthy_minutes * 60,
        since=container.finished_at if code is not None else container.created_at,
    )


def _how_it_is_down(container: Container, subject: str) -> str:
    if container.error:
        return f"{subject} could not be started: {one_line(container.error)}"
    if container.oom_killed:
        return f"{subject} was killed: out of memory{_limit_of(container)} (exit code {container.exit_code})"
    if container.state == "created":
        return f"{subject} was created and never started"
    if container.state == "paused":
        return f"{subject} is paused"
    if container.exit_code in _STOPPED_BY_SOMEBODY:
        return f"{subject} is stopped (exit code {container.exit_code}) and should run"
    return f"{subject} ended with exit code {container.exit_code}"


def _limit_of(container: Container) -> str:
    limit = container.usage.memory_limit if container.usage else None
    return f" (limit {size(limit)})" if limit else ""


def _unhealthy(limits: Thresholds, container: Container, subject: str) -> Iterable[Finding]:
    checks = container.health_log
    failed = 0
    while failed < len(checks) and checks[-1 - failed].exit_code != 0:
        failed += 1
    said = one_line(checks[-1].output, 100) if failed else ""
    yield Finding(
        rule="container-unhealthy",
        subject=subject,
        severity=Severity.CRITICAL,
        message=f"{subject} is unhealthy{f': {said}' if said else ''}",
        action="see its log and its health output; restarting it is the usual first step",
        hold_seconds=limits.unhealthy_minutes * 60,
        since=checks[-failed].started_at if failed else None,
    )


@rule("engine", "service-missing")
def missing(limits: Thresholds, snapshot: Snapshot, now: datetime, restarts: Restarts) -> Iterable[Finding]:
    """Services of the compose file that have no container, or too few."""
    if snapshot.stack is None:
        return
    wanted = [one for one in snapshot.stack.services if one.active and one.replicas > 0 and not one.one_shot]
    present = Counter(container.service for container in snapshot.containers if not _is_one_off(container))
    if wanted and not any(present[service.name] for service in wanted):
        yield Finding(
            rule="service-missing",
            subject=snapshot.stack.name,
            severity=Severity.CRITICAL,
            message=f"the stack is down: none of its {len(wanted)} services has a container",
            action="docker compose up -d",
            value=0.0,
            limit=float(len(wanted)),
        )
        return
    for service in wanted:
        if present[service.name] < service.replicas:
            many = f"{present[service.name]} of {service.replicas} containers"
            yield Finding(
                rule="service-missing",
                subject=service.name,
                severity=Severity.CRITICAL if service.role in DATABASE_ROLES else Severity.WARNING,
                message=f"{service.name} has {many if present[service.name] else 'no container'}",
                action=f"docker compose up -d {service.name}",
                value=float(present[service.name]),
                limit=float(service.replicas),
            )


@rule("usage", "container-memory")
def memory(limits: Thresholds, snapshot: Snapshot, now: datetime, restarts: Restarts) -> Iterable[Finding]:
    """Containers close to their own memory limit: the kernel kills at 100 %."""
    own = [container for container in snapshot.containers if not _is_one_off(container)]
    per_service = _per_service(own)
    for container in own:
        usage = container.usage
        if container.state != "running" or usage is None or not usage.memory_limit or usage.memory_bytes is None:
            continue
        percent = 100.0 * usage.memory_bytes / usage.memory_limit
        if percent > limits.container_memory_percent:
            subject = _subject(container, per_service)
            yield Finding(
                rule="container-memory",
                subject=subject,
                message=f"{subject} uses {percent:.0f} % of its memory limit of {size(usage.memory_limit)} "
                f"(limit {limits.container_memory_percent:g} %)",
                action="raise the limit or restart it before the kernel does",
                value=percent,
                limit=limits.container_memory_percent,
                hold_seconds=limits.container_memory_minutes * 60,
                clear_seconds=60.0,
            )


# --- databases -------------------------------------------------------------------------------------


@rule(
    "databases",
    "database-down",
    "database-refused",
    "database-problem",
    "mongo-no-primary",
    "mongo-member",
    "redis-save",
    "redis-aof",
    "redis-memory",
)
def databases(limits: Thresholds, snapshot: Snapshot, now: datetime, restarts: Restarts) -> Iterable[Finding]:
    """Databases that cannot be reached, or that answer and are not well."""
    for status in snapshot.databases:
        name = status.target.name if status.target.name != "host" else f"{status.target.kind} on the host"
        if not status.reachable:
            yield Finding(
                rule="database-refused" if status.refused else "database-down",
                subject=name,
                severity=Severity.WARNING if status.refused else Severity.CRITICAL,
                message=f"{name}: {one_line(status.problem) or 'cannot be reached'}",
                action=status.hint or f"see the log of {name}",
                hold_seconds=limits.database_seconds if status.sampled_at and not status.refused else 0.0,
                since=status.sampled_at,
            )
            continue
        found = list(_mongo(status, name) if isinstance(status, MongoStatus) else _redis(limits, status, name))
        if status.problem and not found:
            found.append(
                Finding(rule="database-problem", subject=name, message=f"{name}: {status.problem}", action=status.hint)
            )
        yield from found


def _mongo(status: MongoStatus, name: str) -> Iterable[Finding]:
    if not status.topology.startswith("replica set"):
        return
    if not any(member.state == "PRIMARY" for member in status.members) and status.member_state != "PRIMARY":
        yield Finding(
            rule="mongo-no-primary",
            subject=name,
            severity=Severity.CRITICAL,
            message=f"{name}: {status.problem or f'{status.topology} has no primary: nothing can be written'}",
            action=status.hint or "see rs.status(): start the missing members",
        )
    for member in status.members:
        if not member.health:
            yield Finding(
                rule="mongo-member",
                subject=f"{name} {member.name}",
                message=f"{name}: member {member.name} of {status.topology} is {member.state or 'not healthy'}",
                action="start it or see its log",
            )


def _redis(limits: Thresholds, status: RedisStatus, name: str) -> Iterable[Finding]:
    if status.rdb_last_status == "err":
        yield Finding(
            rule="redis-save",
            subject=name,
            severity=Severity.CRITICAL,
            message=f"{name}: {status.problem or 'the last save failed'}",
            action=status.hint or "check space and permissions of its data directory, then: redis-cli BGSAVE",
        )
    if status.aof_last_status == "err":
        yield Finding(
            rule="redis-aof",
            subject=name,
            severity=Severity.CRITICAL,
            message=f"{name}: {status.problem or 'the append-only file cannot be written'}",
            action=status.hint or "check space and permissions of its data directory",
        )
    # A cache that may evict any key is full on purpose.
    if status.memory_limit and status.memory_used is not None and not status.eviction_policy.startswith("allkeys"):
        percent = 100.0 * status.memory_used / status.memory_limit
        if percent > limits.redis_memory_percent:
            full = "then writes fail" if status.eviction_policy == "noeviction" else "then keys are evicted"
            yield Finding(
                rule="redis-memory",
                subject=name,
                severity=Severity.CRITICAL if status.eviction_policy == "noeviction" else Severity.WARNING,
                message=f"{name} uses {percent:.0f} % of its maxmemory of {size(status.memory_limit)} "
                f"(limit {limits.redis_memory_percent:g} %): {full}",
                action="raise maxmemory, or find what fills it: redis-cli --bigkeys",
                value=percent,
                limit=limits.redis_memory_percent,
                clear_seconds=60.0,
            )


RULES = (containers, missing, memory, databases)
