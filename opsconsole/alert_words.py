"""What each rule of the console is about, in words, with the limits of the settings: for who looks at the list."""

from __future__ import annotations

from opsconsole.alert_findings import Thresholds
from opsconsole.alert_limits import LAST_DAYS
from opsconsole.model import Severity

_CRITICAL, _WARNING, _BOTH = Severity.CRITICAL.value, Severity.WARNING.value, "either"
"""A rule of both says with each alert which one it is."""

RULES: dict[str, tuple[str, str]] = {
    "access-errors": (
        _BOTH,
        "over {error_rate_percent:g} % answers 5xx in the access log of 5 min; critical over 50 %",
    ),
    "backup-age": (_BOTH, "the newest good backup is older than {backup_max_age_hours:g} h, or there is none"),
    "backup-failed": (_WARNING, "the newest backup is not good"),
    "certificate": (_BOTH, "a certificate ends within {certificate_days:g} days; critical within {last_days:g}"),
    "container-down": (_BOTH, "a container crashed, or should run and has not for {unhealthy_minutes:g} min"),
    "container-memory": (
        _WARNING,
        "a container uses over {container_memory_percent:g} % of its memory limit for {container_memory_minutes:g} min",
    ),
    "container-oom": (_WARNING, "a process in a container that runs was killed: out of memory"),
    "container-unhealthy": (_CRITICAL, "a container is unhealthy for {unhealthy_minutes:g} min"),
    "cpu": (_WARNING, "CPU of the host over {cpu_percent:g} % for {cpu_minutes:g} min"),
    "crash-loop": (_CRITICAL, "a container is restarted {restarts} times in 10 min, or is restarting now"),
    "data-missing": (_BOTH, "collections or keys that were counted before are gone, or nearly so"),
    "database-down": (_CRITICAL, "a database does not answer for {database_seconds:g} s"),
    "database-problem": (_WARNING, "a database answers and says that something is wrong"),
    "database-refused": (_WARNING, "a database answers and does not let us in"),
    "disk": (_CRITICAL, "a disk is over {disk_percent:g} % full for {disk_minutes:g} min"),
    "disk-full-soon": (_BOTH, "a disk is full within {disk_full_days:g} days at its present growth"),
    "endpoint-down": (_CRITICAL, "a health endpoint never answered, or fails for {unhealthy_minutes:g} min"),
    "engine-unreachable": (_CRITICAL, "the container engine does not answer"),
    "error-rate": (_BOTH, "over {error_rate_percent:g} % of the probes of 5 min fail for {error_minutes:g} min"),
    "inodes": (_CRITICAL, "over {disk_percent:g} % of the inodes of a disk are used for {disk_minutes:g} min"),
    "memory": (_WARNING, "memory of the host over {memory_percent:g} % for {memory_minutes:g} min"),
    "mongo-connections": (
        _BOTH,
        "over {connections_percent:g} % of the connections that MongoDB takes; critical over 95 %",
    ),
    "mongo-member": (_WARNING, "a member of the replica set is not healthy"),
    "mongo-no-primary": (_CRITICAL, "the replica set has no primary"),
    "mongo-oplog": (_WARNING, "the oplog is full and reaches back less than {oplog_hours:g} h"),
    "redis-aof": (_CRITICAL, "the append-only file of Redis cannot be written"),
    "redis-connections": (_BOTH, "over {connections_percent:g} % of the clients that Redis takes; critical over 95 %"),
    "redis-memory": (_BOTH, "Redis uses over {redis_memory_percent:g} % of maxmemory; critical where writes fail then"),
    "redis-save": (_CRITICAL, "the last save of Redis failed"),
    "response-time": (
        _WARNING,
        "a health endpoint takes over {response_seconds:g} s on average for {response_minutes:g} min",
    ),
    "service-missing": (_BOTH, "a service has no container, or too few"),
    "source-failing": (_WARNING, "something that the console looks at cannot be read for {source_seconds:g} s"),
    "volume-risk": (_BOTH, "a volume that the next `docker compose down` may lose; critical for a database"),
}


def severity_of(rule: str) -> str:
    """`critical`, `warning`, or `either`."""
    return RULES[rule][0]


def said_of(rule: str, limits: Thresholds) -> str:
    """One sentence with its limits."""
    values = {name: getattr(limits, name) for name in Thresholds.__struct_fields__}
    return RULES[rule][1].format(**values, last_days=LAST_DAYS).removesuffix(" for 0 min")
