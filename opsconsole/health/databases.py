"""MongoDB and Redis: do they answer, and what will stop them from it?"""

from __future__ import annotations

from collections.abc import Iterator

from opsconsole.alert_findings import Thresholds, one_line, size
from opsconsole.alert_limits import OPLOG_FULL_PERCENT
from opsconsole.health.lines import HealthLine, Verdict, is_fresh, spoken, unseen
from opsconsole.model import DatabaseStatus, MongoStatus, RedisStatus, RunningOperation, Snapshot


def lines(snapshot: Snapshot, limits: Thresholds) -> Iterator[HealthLine]:
    if not is_fresh(snapshot, "databases"):
        for area in ("mongodb", "redis"):
            yield from unseen(snapshot, "databases", area, "the database servers")
        return
    for status in snapshot.databases:
        name = name_of(status)
        if not status.reachable:
            yield _away(status, name)
        elif isinstance(status, MongoStatus):
            yield from _mongo(status, name, limits)
        else:
            yield from _redis(status, name, limits)
    for area, kind in (("mongodb", MongoStatus), ("redis", RedisStatus)):
        if not any(isinstance(status, kind) for status in snapshot.databases):
            yield HealthLine(
                area=area,
                subject=area,
                verdict=Verdict.NOTHING,
                looked_at="services, images and the env file",
                number="this stack has none",
            )


def name_of(status: DatabaseStatus) -> str:
    """As the alerts call it."""
    return f"{status.target.kind} on the host" if status.target.name == "host" else status.target.name


def _away(status: DatabaseStatus, name: str) -> HealthLine:
    asked = status.problem or status.sampled_at is not None
    return HealthLine(
        area=status.target.kind,
        subject=name,
        verdict=Verdict.UNKNOWN if status.refused or not asked else Verdict.CRITICAL,
        looked_at="ping",
        number=one_line(status.problem) or ("it does not answer" if asked else "no answer yet"),
        limit="an answer",
        action=status.hint or f"see the log of {name}",
    )


def _ping(status: DatabaseStatus, name: str, limits: Thresholds) -> HealthLine:
    said = f"answers in {spoken(status.latency_seconds)}" if status.latency_seconds is not None else "answers"
    slow = (status.latency_seconds or 0.0) > limits.response_seconds
    troubled = bool(status.problem) or slow
    return HealthLine(
        area=status.target.kind,
        subject=name,
        verdict=Verdict.ATTENTION if troubled else Verdict.WELL,
        looked_at="ping",
        number=f"{said}; {one_line(status.problem)}" if status.problem else said,
        limit=f"{limits.response_seconds:g} s",
        action=(status.hint or f"see the log of {name}") if troubled else "",
    )


def _connections(kind: str, name: str, used: int | None, most: int | None, limits: Thresholds) -> HealthLine:
    limit = f"{limits.connections_percent:g} % of what it takes"
    looked_at = "connections against the limit"
    if used is None or not most:
        return HealthLine(
            area=kind,
            subject=name,
            verdict=Verdict.UNKNOWN,
            looked_at=looked_at,
            number="it does not tell",
            limit=limit,
            action="allow its user serverStatus" if kind == "mongodb" else "allow its user INFO and CONFIG GET",
        )
    percent = 100 * used / most
    full = percent > limits.connections_percent
    return HealthLine(
        area=kind,
        subject=name,
        verdict=Verdict.ATTENTION if full else Verdict.WELL,
        looked_at=looked_at,
        number=f"{used:,} of {most:,} connections ({percent:.0f} %)",
        limit=limit,
        action="find who holds them in Databases; look at the pool sizes of the application" if full else "",
    )


# --- MongoDB ---------------------------------------------------------------------------------------


def _mongo(status: MongoStatus, name: str, limits: Thresholds) -> Iterator[HealthLine]:
    yield _ping(status, name, limits)
    if status.topology.startswith("replica set"):
        yield _primary(status, name)
        yield _oplog(status, name, limits)
    yield _slow(status, name, limits)
    left = status.connections_available
    most = status.connections + left if status.connections is not None and left is not None else None
    yield _connections("mongodb", name, status.connections, most, limits)


def _primary(status: MongoStatus, name: str) -> HealthLine:
    sick = [member for member in status.members if not member.health]
    primary = next((one.name for one in status.members if one.state == "PRIMARY"), "")
    if not primary and status.member_state == "PRIMARY":
        primary = "the one that was asked"
    verdict, action = Verdict.WELL, ""
    many = f"{len(status.members)} member{'s' if len(status.members) != 1 else ''}"
    number = f"primary: {primary}; {many}"
    if not primary:
        verdict, number = Verdict.CRITICAL, f"{status.topology} has no primary: nothing can be written"
        action = "see rs.status(): start the missing members"
    elif sick:
        verdict, action = Verdict.ATTENTION, "start it or see its log"
        number += f"; {sick[0].name} is {sick[0].state or 'not healthy'}"
    return HealthLine(
        area="mongodb",
        subject=name,
        verdict=verdict,
        looked_at="primary and members of the replica set",
        number=number,
        limit="one primary, every member healthy",
        action=action,
    )


def _oplog(status: MongoStatus, name: str, limits: Thresholds) -> HealthLine:
    """One that nothing has left yet reaches back to its beginning: it is young, not short."""
    reach, used = status.oplog_seconds, status.oplog_used_percent
    if reach is None:
        verdict, number, action = Verdict.UNKNOWN, "it does not tell", "allow its user serverStatus (clusterMonitor)"
    else:
        young = used is not None and used < OPLOG_FULL_PERCENT
        short = reach < limits.oplog_hours * 3600
        number = f"oplog reaches back {spoken(reach)}"
        if used is not None:
            number += f"{', to its beginning' if young and short else ''}; {used:.0f} % of its size is used"
        verdict, action = Verdict.WELL, ""
        if short and not young:
            verdict = Verdict.ATTENTION
            action = "make it larger: db.adminCommand({replSetResizeOplog: 1, size: MEGABYTES})"
    return HealthLine(
        area="mongodb",
        subject=name,
        verdict=verdict,
        looked_at="oplog window",
        number=number,
        limit=f"{limits.oplog_hours:g} h",
        action=action,
    )


def _slow(status: MongoStatus, name: str, limits: Thresholds) -> HealthLine:
    limit = limits.slow_operation_seconds
    found = [one for one in status.slow or () if one.seconds >= limit]
    if status.slow is None:
        verdict, number, action = Verdict.UNKNOWN, "it does not tell", "grant its user the role clusterMonitor"
    elif found:
        verdict, action = Verdict.ATTENTION, "see it in Databases (w); an index may be missing, Z there aborts it"
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        number = f"{operation_words(found[0])}{more}"
    else:
        verdict, number, action = Verdict.WELL, "no slow operation runs", ""
    return HealthLine(
        area="mongodb",
        subject=name,
        verdict=verdict,
        looked_at="slow operations that run now",
        number=number,
        limit=f"{limit:g} s",
        action=action,
    )


def operation_words(one: RunningOperation) -> str:
    """`query of shop.orders for 42 s, COLLSCAN`."""
    where = f" of {one.namespace}" if one.namespace else ""
    plan = f", {one.plan}" if one.plan else ""
    return (
        f"{one.kind or 'operation'}{where} for {spoken(one.seconds)}{plan}{', waits for a lock' if one.waits else ''}"
    )


# --- Redis -----------------------------------------------------------------------------------------


def _redis(status: RedisStatus, name: str, limits: Thresholds) -> Iterator[HealthLine]:
    yield _ping(status, name, limits)
    yield _memory(status, name, limits)
    yield _evictions(status, name)
    yield _persistence(status, name)
    yield _connections("redis", name, status.clients, status.clients_limit, limits)


def _memory(status: RedisStatus, name: str, limits: Thresholds) -> HealthLine:
    used, most = status.memory_used, status.memory_limit
    cache = status.eviction_policy.startswith("allkeys")
    verdict, action, limit = Verdict.WELL, "", "no maxmemory is set"
    number = f"memory: {size(used)}" if used is not None else "it does not tell"
    if used is None:
        verdict, action = Verdict.UNKNOWN, "allow its user INFO"
    elif most:
        percent = 100 * used / most
        number = f"memory: {size(used)} of {size(most)} ({percent:.0f} %)"
        limit = (
            "full on purpose: any key may be evicted" if cache else f"{limits.redis_memory_percent:g} % of maxmemory"
        )
        if percent > limits.redis_memory_percent and not cache:
            full = status.eviction_policy in ("noeviction", "")
            verdict = Verdict.CRITICAL if full else Verdict.ATTENTION
            number += ": then writes fail" if full else ": then keys are evicted"
            action = "raise maxmemory, or find what fills it: big keys in Databases (w)"
    return HealthLine(
        area="redis",
        subject=name,
        verdict=verdict,
        looked_at="memory against maxmemory",
        number=number,
        limit=limit,
        action=action,
    )


def _evictions(status: RedisStatus, name: str) -> HealthLine:
    """A cache that may evict anything does so on purpose; elsewhere keys are lost that somebody wanted."""
    total, rate = status.evicted_keys, status.evictions_per_second
    cache = status.eviction_policy.startswith("allkeys")
    verdict, action = Verdict.WELL, ""
    if total is None:
        verdict, number, action = Verdict.UNKNOWN, "it does not tell", "allow its user INFO"
    else:
        number = f"{total:,} evictions since its start"
        if rate is not None:
            number = f"{rate:.1f} a second now, {number}" if rate else f"none now, {number}"
        # One look alone knows no rate; then what was ever evicted is all there is to go by.
        if not cache and (rate or (rate is None and total)):
            verdict, action = Verdict.ATTENTION, "raise maxmemory, or give fewer keys a time to live"
    return HealthLine(
        area="redis",
        subject=name,
        verdict=verdict,
        looked_at="evictions",
        number=number,
        limit="a cache may evict" if cache else "none",
        action=action,
    )


def _persistence(status: RedisStatus, name: str) -> HealthLine:
    verdict, action = Verdict.WELL, ""
    if status.rdb_last_status == "err" or status.aof_last_status == "err":
        what = "the last save failed" if status.rdb_last_status == "err" else "the append-only file cannot be written"
        verdict, number = Verdict.CRITICAL, what
        action = status.hint or "check space and permissions of its data directory, then: redis-cli BGSAVE"
    elif status.rdb_enabled is None and status.aof_enabled is None:
        verdict, number, action = Verdict.UNKNOWN, "it does not tell", "allow its user CONFIG GET"
    else:
        ways = [way for way, on in (("snapshots", status.rdb_enabled), ("append-only file", status.aof_enabled)) if on]
        number = f"{' and '.join(ways)}, last write ok" if ways else "nothing is saved: a restart loses every key"
    return HealthLine(
        area="redis",
        subject=name,
        verdict=verdict,
        looked_at="persistence errors",
        number=number,
        limit="none",
        action=action,
    )
