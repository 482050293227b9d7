"""The runbook's pages per symptom: what to look at, with the numbers of now filled in, and what helps."""

from __future__ import annotations

from collections.abc import Iterable

from opsconsole.alert_findings import one_line, size
from opsconsole.incident.evidence import Evidence
from opsconsole.incident.symptoms import Ill
from opsconsole.model import MongoStatus, Record, RedisStatus


class Look(Record, frozen=True):
    """One thing to look at: what it is, how it is now, how to see more of it."""

    what: str
    now: str
    more: str = ""  # a command
    bad: bool = False


class Snippet(Record, frozen=True):
    """One page of the runbook. `fits` when something that is ill now points to it."""

    title: str
    looks: tuple[Look, ...]
    helps: tuple[str, ...]
    fits: bool = False


_EXPLAIN_ERRORS = {Ill.CRASH, Ill.DOWN, Ill.DATABASE, Ill.ENGINE, Ill.DISK, Ill.SLOW}
_NOT_KNOWN = "not known"
_LOOKED_FOR = ("JWT", "AUTH", "SESSION")


def snippets(evidence: Evidence) -> tuple[Snippet, ...]:
    """All pages, those that fit first."""
    ill = {one.ill for one in evidence.symptoms}
    found = (
        Snippet(
            title="Database connection",
            looks=tuple(_databases(evidence)),
            helps=("start or restart its container", "check the network between them", "compare MONGODB_URI and "
                   "REDIS_URL with what the server takes"),
            fits=bool(ill & {Ill.DATABASE, Ill.REFUSED}),
        ),
        Snippet(
            title="What ends or does not answer",
            looks=tuple(_failing(evidence)),
            helps=("read its last lines before a restart: opsconsole logs SERVICE", "compare with what changed above"),
            fits=bool(ill & {Ill.CRASH, Ill.DOWN, Ill.UNHEALTHY, Ill.ENDPOINT}),
        ),
        Snippet(
            title="Performance",
            looks=tuple(_load(evidence)),
            helps=("more containers: docker compose up -d --scale SERVICE=2", "find the slow query, give it an index",
                   "raise the limit of what is short"),
            fits=bool(ill & {Ill.SLOW, Ill.LOAD, Ill.DISK}),
        ),
        Snippet(
            title="Authentication failures",
            looks=tuple(_logins(evidence)),
            helps=("secrets of the tokens are set, and are those of before", "look at the life time of the tokens",
                   "clear the sessions in Redis only after a backup"),
            fits=Ill.REFUSED in ill or (Ill.ERRORS in ill and not ill & _EXPLAIN_ERRORS),
        ),
    )  # fmt: skip
    return tuple(sorted((one for one in found if one.looks), key=lambda one: not one.fits))


def _databases(evidence: Evidence) -> Iterable[Look]:
    for status in evidence.snapshot.databases:
        name = status.target.name if status.target.service else f"{status.target.kind} on the host"
        logs = f"opsconsole logs {status.target.service}" if status.target.service else ""
        if not status.reachable:
            yield Look(what=name, now=one_line(status.problem) or "does not answer", more=logs, bad=True)
        elif isinstance(status, MongoStatus):
            of = (status.connections or 0) + (status.connections_available or 0)
            used = f", {status.connections} of {of:,} connections" if status.connections is not None and of else ""
            state = f", {status.member_state}" if status.member_state else ""
            yield Look(what=name, now=f"answers in {_ms(status.latency_seconds)}{state}{used}")
        else:
            yield Look(what=name, now=f"answers in {_ms(status.latency_seconds)}, {_clients(status)}{_memory(status)}")


def _clients(status: RedisStatus) -> str:
    return f"{status.clients} clients" if status.clients is not None else "clients not known"


def _memory(status: RedisStatus) -> str:
    if status.memory_used is None:
        return ""
    of = f" of {size(status.memory_limit)}" if status.memory_limit else ", no maxmemory"
    return f", {size(status.memory_used)}{of}"


def _failing(evidence: Evidence) -> Iterable[Look]:
    for one in evidence.snapshot.containers:
        if one.state == "restarting" or (one.state in ("exited", "dead") and one.exit_code not in (0, None)):
            why = "out of memory" if one.oom_killed else f"exit code {one.exit_code}"
            again = f", {one.restarts} restarts" if one.restarts else ""
            yield Look(what=one.name, now=f"{one.state}, {why}{again}", more=f"opsconsole logs {one.service}", bad=True)
        elif one.health == "unhealthy":
            said = one_line(one.health_log[-1].output, 80) if one.health_log else ""
            yield Look(what=one.name, now=f"unhealthy{f': {said}' if said else ''}",
                       more=f"opsconsole logs {one.service}", bad=True)  # fmt: skip
    for probe in evidence.snapshot.probes:
        if probe.ok is False:
            yield Look(what=probe.endpoint.name, now=one_line(probe.problem) or f"answers {probe.status}",
                       more=f"curl -i {probe.endpoint.url}", bad=True)  # fmt: skip


def _load(evidence: Evidence) -> Iterable[Look]:
    snapshot = evidence.snapshot
    if (host := snapshot.host) is not None:
        load = f", load {host.load[0]:.1f} on {host.cpus} cores" if host.load else ""
        cpu = _NOT_KNOWN if host.cpu_percent is None else f"{host.cpu_percent:.0f} %"
        yield Look(what="CPU", now=f"{cpu}{load}", bad=(host.cpu_percent or 0) > 80)
        if host.memory_percent is not None:
            yield Look(what="Memory", now=f"{host.memory_percent:.0f} % used", bad=host.memory_percent > 85)
        for disk in host.disks:
            if disk.holds or disk.used_percent > 90:
                yield Look(what=f"Disk {disk.mount}", now=f"{disk.used_percent:.0f} %, {size(disk.free_bytes)} free",
                           bad=disk.used_percent > 90)  # fmt: skip
    used = [(one.usage.cpu_percent, one.name) for one in snapshot.containers if one.usage and one.usage.cpu_percent]
    if used:
        most, name = max(used)
        yield Look(what="Busiest container", now=f"{name}, {most:.0f} % of a core", more="docker stats")
    if host is not None and host.processes:
        top = max(host.processes, key=lambda one: one.cpu_percent)
        yield Look(what="Busiest process", now=f"{top.name} ({top.pid}), {top.cpu_percent:.0f} %")
    slow = [(one.average_seconds, one.endpoint.name) for one in snapshot.probes if one.average_seconds]
    if slow:
        seconds, name = max(slow)
        yield Look(what="Slowest endpoint", now=f"{name}, {_ms(seconds)} on average", bad=seconds > 2)
    for status in snapshot.databases:
        if isinstance(status, MongoStatus) and status.reachable:
            rate = sum(status.operations.values())
            yield Look(what=f"{status.target.name} at work", now=f"{rate:.0f} operations/s", more="db.currentOp()")


def _logins(evidence: Evidence) -> Iterable[Look]:
    names: dict[str, bool] = {}
    for one in evidence.snapshot.containers:
        for name, value in one.environment:
            if any(word in name.upper() for word in _LOOKED_FOR) and not name.startswith("MONGO_INITDB"):
                names[f"{name} of {one.service}"] = bool(value)
    for name, there in sorted(names.items())[:6]:
        yield Look(what=name, now="set (value hidden)" if there else "EMPTY", bad=not there)
    for status in evidence.snapshot.databases:
        if status.refused:
            yield Look(what=status.target.name, now=one_line(status.problem) or "refuses the password", bad=True)
        elif isinstance(status, RedisStatus) and status.reachable:
            expiring = sum(one.expires for one in status.keyspaces)
            if expiring:
                yield Look(what=f"{status.target.name}: keys that expire", now=f"{expiring:,}, sessions among them")
    yield Look(what="What the log says", now="lines with auth, jwt or login",
               more="opsconsole logs --since 30m --grep 'auth|jwt|login'")  # fmt: skip


def _ms(seconds: float | None) -> str:
    if seconds is None:
        return _NOT_KNOWN
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
