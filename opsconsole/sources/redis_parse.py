"""What Redis says in INFO, as our struct. Pure: text in, struct out. Valkey writes the same text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from opsconsole.model import DatabaseTarget, RedisKeyspace, RedisStatus

_KEYSPACE = re.compile(r"^db(\d+)$")


def fields_from(info: str) -> dict[str, str]:
    """INFO's `name:value` lines; section headings and anything else are left out."""
    lines = (line.strip() for line in info.splitlines())
    pairs = (line.partition(":") for line in lines if line and not line.startswith("#"))
    return {name: value for name, colon, value in pairs if colon}


def status_from_info(
    target: DatabaseTarget,
    info: str,
    *,
    settings: Mapping[str, str] | None = None,
    latency_seconds: float | None = None,
    now: datetime,
) -> RedisStatus:
    """A status from the text of INFO.

    `settings` are the answers to CONFIG GET by name; None when the user may not ask, and then whether RDB
    saves are on is unknown.
    """
    fields = fields_from(info)
    known = settings or {}
    return RedisStatus(
        target=target,
        reachable=True,
        version=fields.get("valkey_version") or fields.get("redis_version", ""),
        role=fields.get("role", "").replace("slave", "replica"),
        uptime_seconds=_number(fields, "uptime_in_seconds"),
        memory_used=_number(fields, "used_memory"),
        memory_peak=_number(fields, "used_memory_peak"),
        memory_limit=_number(fields, "maxmemory") or None,  # 0 is "no limit"
        eviction_policy=fields.get("maxmemory_policy", ""),
        evicted_keys=_number(fields, "evicted_keys"),
        clients=_number(fields, "connected_clients"),
        clients_limit=_number(fields, "maxclients") or _number(known, "maxclients"),
        operations_per_second=_number(fields, "instantaneous_ops_per_sec"),
        hit_rate_percent=_hit_rate(fields),
        latency_seconds=latency_seconds,
        keyspaces=_keyspaces(fields),
        rdb_enabled=bool(known["save"].strip()) if "save" in known else None,
        rdb_last_save_at=_last_save(fields),
        rdb_last_status=fields.get("rdb_last_bgsave_status", ""),
        rdb_changes_since_save=_number(fields, "rdb_changes_since_last_save"),
        aof_enabled=fields["aof_enabled"] == "1" if "aof_enabled" in fields else None,
        aof_last_status=_aof_status(fields),
        loading=fields.get("loading") == "1",
        sampled_at=now,
    )


def standing_problem(status: RedisStatus, info: str, settings: Mapping[str, str]) -> tuple[str, str]:
    """What is wrong with a server that answers, and what to do; two empty texts when nothing is."""
    fields = fields_from(info)
    if status.loading:
        share = fields.get("loading_loaded_perc", "")
        return f"Redis is loading its data{f' ({share} %)' if share else ''}: clients get LOADING until it is done", ""
    if fields.get("aof_last_write_status") == "err":
        return (
            "Redis cannot write its append-only file and refuses writes (MISCONF)",
            "make room on the disk of its data directory; it goes on by itself",
        )
    if status.rdb_last_status == "err":
        # The default is yes: when CONFIG is forbidden, it is the likelier one.
        refuses = settings.get("stop-writes-on-bgsave-error", "yes") == "yes" and status.rdb_enabled is not False
        meaning = ": it refuses writes (MISCONF)" if refuses else ""
        return (
            f"the last save of Redis failed{meaning}",
            "check space and permissions of its data directory, then: redis-cli BGSAVE",
        )
    if status.aof_last_status == "err":
        return (
            "the last rewrite of Redis' append-only file failed",
            "check space and memory, then: redis-cli BGREWRITEAOF",
        )
    if status.role == "replica" and fields.get("master_link_status") == "down":
        return "this replica has lost its master", "check the master and the network between the two"
    return "", ""


def _keyspaces(fields: Mapping[str, str]) -> tuple[RedisKeyspace, ...]:
    found = []
    for name, value in fields.items():
        if match := _KEYSPACE.match(name):
            counts = dict(part.partition("=")[::2] for part in value.split(","))
            keys, expires = _number(counts, "keys") or 0, _number(counts, "expires") or 0
            found.append(RedisKeyspace(database=int(match[1]), keys=keys, expires=expires))
    return tuple(sorted(found, key=lambda keyspace: keyspace.database))


def _hit_rate(fields: Mapping[str, str]) -> float | None:
    hits, misses = _number(fields, "keyspace_hits"), _number(fields, "keyspace_misses")
    if hits is None or misses is None or hits + misses == 0:
        return None
    return 100.0 * hits / (hits + misses)


def _last_save(fields: Mapping[str, str]) -> datetime | None:
    """When Redis last saved since it started. Before the first save it reports its own start: that is none."""
    saved = _number(fields, "rdb_last_save_time")
    if not saved or fields.get("rdb_saves") == "0":
        return None
    # `rdb_saves` (since 7.0) already counts a save that is still being written, and older ones do not have it.
    now, uptime = _number(fields, "server_time_usec"), _number(fields, "uptime_in_seconds")
    finished = (_number(fields, "rdb_last_bgsave_time_sec") or 0) >= 0 and "rdb_saves" in fields
    if not finished and now is not None and uptime is not None and saved <= now // 1_000_000 - uptime + 1:
        return None
    return datetime.fromtimestamp(saved, UTC)


def _aof_status(fields: Mapping[str, str]) -> str:
    """Of both writes and rewrites: one that failed is a failure. "" while the file is off."""
    if fields.get("aof_enabled") != "1":
        return ""
    last = {fields.get("aof_last_write_status", "ok"), fields.get("aof_last_bgrewrite_status", "ok")}
    return "err" if "err" in last else "ok"


def _number(fields: Mapping[str, str], name: str) -> int | None:
    try:
        return int(fields[name])
    except (KeyError, ValueError):
        return None
