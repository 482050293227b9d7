"""The engine, and every service: does what should run run, and is it well?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from opsconsole.alert_findings import Thresholds, one_line, size
from opsconsole.health.lines import HealthLine, Verdict, is_fresh, unseen
from opsconsole.model import Container, Service, Snapshot
from opsconsole.roles import is_job

_STOPPED = ("exited", "dead", "created", "paused")


def lines(snapshot: Snapshot, limits: Thresholds) -> Iterator[HealthLine]:
    yield from _engine(snapshot)
    yield from _stack(snapshot)
    if not is_fresh(snapshot, "engine"):
        yield from unseen(snapshot, "engine", "services", "the containers")
        return
    yield from _services(snapshot, limits)


def _engine(snapshot: Snapshot) -> Iterator[HealthLine]:
    looked_at = "the engine's list of containers"
    failed = list(unseen(snapshot, "engine", "engine", looked_at))
    if failed:
        yield from failed
        return
    running = sum(container.state == "running" for container in snapshot.containers)
    version = f"version {snapshot.engine.version}, " if snapshot.engine and snapshot.engine.version else ""
    yield HealthLine(
        area="engine",
        subject="engine",
        verdict=Verdict.WELL,
        looked_at=looked_at,
        number=f"{version}answers; {running} of {len(snapshot.containers)} containers run",
    )


def _stack(snapshot: Snapshot) -> Iterator[HealthLine]:
    """What is wrong with the files of the stack."""
    looked_at = "compose and env files"
    yield from unseen(snapshot, "stack", "services", looked_at)
    for problem in snapshot.stack.problems if snapshot.stack else ():
        yield HealthLine(
            area="services",
            subject="stack",
            verdict=Verdict.ATTENTION,
            looked_at=looked_at,
            number=problem,
            action="correct the file; `docker compose config` says where",
        )


def _services(snapshot: Snapshot, limits: Thresholds) -> Iterator[HealthLine]:
    stack = snapshot.stack
    services = {service.name: service for service in stack.services} if stack else {}
    own = [one for one in snapshot.containers if ("com.docker.compose.oneoff", "True") not in one.labels]
    by_service: dict[str, list[Container]] = {name: [] for name, service in services.items() if _wanted(service)}
    for container in own:
        service = services.get(container.service)
        if service is None or _wanted(service) or container.state == "running":
            by_service.setdefault(container.service or container.name, []).append(container)
    for name, containers in by_service.items():
        yield _service(name, services.get(name), containers, limits)
    if not by_service:
        yield HealthLine(
            area="services",
            subject="services",
            verdict=Verdict.NOTHING,
            looked_at="compose file and containers",
            number="no service and no container",
        )


def _wanted(service: Service) -> bool:
    return service.active and service.replicas > 0


def _service(name: str, service: Service | None, containers: Sequence[Container], limits: Thresholds) -> HealthLine:
    """The worst of its containers, or that it has too few."""
    looked_at = "state, health, restarts and memory of its containers"
    wanted = service.replicas if service is not None and not service.one_shot else 0
    found = [_container(one, service, limits) for one in containers]
    found.sort(key=lambda one: list(Verdict).index(one[0]))
    if len(containers) < wanted:
        have = f"{len(containers)} of {wanted} containers" if containers else "no container"
        severe = Verdict.CRITICAL if service is not None and service.role else Verdict.ATTENTION
        found.insert(0, (severe, have, f"docker compose up -d {name}"))
    if not found:
        found = [(Verdict.NOTHING, "it runs once, and has not yet", "")]
    verdict, number, action = found[0]
    if verdict is Verdict.WELL and len(containers) > 1:
        number = f"{len(containers)} containers {number}"
    limit = f"{wanted} running" if wanted else ""
    if service is not None and service.has_healthcheck and wanted:
        limit += " and healthy"
    return HealthLine(
        area="services",
        subject=name,
        verdict=verdict,
        looked_at=looked_at,
        number=number,
        limit=limit,
        action=action,
    )


def _container(one: Container, service: Service | None, limits: Thresholds) -> tuple[Verdict, str, str]:
    name = one.service or one.name
    log = f"docker compose logs --tail 50 {name}"
    if one.state == "restarting":
        return Verdict.CRITICAL, f"crashes again and again{_ended(one)}", f"read what it says before it ends: {log}"
    if one.state in _STOPPED:
        if one.exit_code == 0 and one.state == "exited" and is_job(one, service):
            return Verdict.WELL, "has done its work (exit code 0)", ""
        why = one_line(one.error) or (f"{one.state}{_ended(one)}")
        crashed = one.oom_killed or bool(one.error) or one.exit_code not in (None, 0, 137, 143)
        verdict = Verdict.CRITICAL if crashed or (service is not None and service.role) else Verdict.ATTENTION
        again = "unpause" if one.state == "paused" else "up -d"
        return verdict, why, f"read its log ({log}), then: docker compose {again} {name}"
    if one.health == "unhealthy":
        said = one_line(one.health_log[-1].output, 100) if one.health_log else ""
        return (
            Verdict.CRITICAL,
            f"running, unhealthy{f': {said}' if said else ''}",
            f"see its health output and its log ({log}); restarting it is the usual first step",
        )
    if one.oom_killed:
        return Verdict.ATTENTION, "running; a process in it was killed: out of memory", "raise its memory limit"
    if one.health == "starting":
        return Verdict.ATTENTION, "running, its health check has not passed yet", "wait for it, then look again"
    return _memory(one, limits)


def _memory(one: Container, limits: Thresholds) -> tuple[Verdict, str, str]:
    usage, words = one.usage, "running and healthy" if one.health == "healthy" else "running"
    if usage is None or not usage.memory_limit or usage.memory_bytes is None:
        return Verdict.WELL, words, ""
    percent = 100 * usage.memory_bytes / usage.memory_limit
    if percent <= limits.container_memory_percent:
        return Verdict.WELL, words, ""
    return (
        Verdict.ATTENTION,
        f"{words}, {percent:.0f} % of its memory limit of {size(usage.memory_limit)} "
        f"(limit {limits.container_memory_percent:g} %)",
        "raise the limit or restart it before the kernel does",
    )


def _ended(one: Container) -> str:
    code = f", exit code {one.exit_code}" if one.exit_code is not None else ""
    restarts = f", {one.restarts} restarts" if one.restarts else ""
    return f"{code}{', out of memory' if one.oom_killed else ''}{restarts}"
