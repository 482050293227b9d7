"""A database server's state as lines: MongoDB and Redis, reachable, away, or never seen.

Pure functions: a status and a width in, lines out. What is older than it should be is said with its
time as well as dimmed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from textual.content import Content

from opsconsole.model import DatabaseStatus, MongoStatus, RedisStatus, ReplicaMember
from opsconsole.text import printable
from opsconsole.ui.widgets.chart import inked
from opsconsole.ui.widgets.gauge import gauge, level_tone
from opsconsole.ui.widgets.lines import fact, fit, flowed, joined, latency, section, share_of, shorten_middle, wrapped
from opsconsole.ui.wording import Glyphs, Tone, age, ago, count, duration, moment, percent, plural, size

LABEL = 12
NAMES = {"mongodb": "MongoDB", "redis": "Redis"}
CACHE_LIMIT = 95.0
"""Percent of WiredTiger's cache at which the server's own eviction makes clients work for it (its default trigger)."""

MEMORY_LIMIT = 90.0
CONNECTIONS_LIMIT = 80.0
SECOND_RANK = ("resident", "members")  # not said where lines are few; a member that is not well is
_MEMBER_WELL = {"PRIMARY", "SECONDARY", "ARBITER"}


def lines_of(
    status: DatabaseStatus,
    history: Mapping[str, Sequence[float]],
    now: datetime,
    width: int,
    glyphs: Glyphs,
    *,
    compact: bool = False,
) -> list[Content]:
    """All there is to say about one server. `compact` leaves out bars and second-rank facts."""
    target = status.target
    kind = NAMES.get(target.kind, target.kind)
    origin = target.name if target.name not in (kind.lower(), "") else (target.origin or target.service)
    lines = [section(kind, width, glyphs, shorten_middle(origin, max(4, width - len(kind) - 6)))]
    lines += _reachability(status, now, width, glyphs)
    if not known(status):
        return lines
    body = _mongo(status, glyphs) if isinstance(status, MongoStatus) else _redis(status, now, glyphs)
    series = history.get(f"{target.kind}.{target.name}", ())
    room = 16 if compact else max(0, min(40, width - LABEL - 12))
    rows = [*body, ("operations", _operations(status, series, room, glyphs))]
    if compact:
        first = sorted((row for row in rows if row[0] not in SECOND_RANK), key=lambda row: not _is_trouble(row[1]))
        details = flowed([_labelled(label, said) for label, said in first], width, gap=3)
        return [*lines, *_dimmed(details, status)]
    if isinstance(status, MongoStatus):
        rows.append(("by kind", _by_kind(status)))
    address = shorten_middle(target.address, max(8, width - LABEL), ellipsis=glyphs.ellipsis)
    rows.append(("address", Content.styled(address, Tone.MUTED)))
    return [*lines, *_dimmed(_table(rows, width), status)]


def _is_trouble(said: Content) -> bool:
    return any(span.style in (Tone.BAD, Tone.WARNING) for span in said.spans)


def _dimmed(lines: list[Content], status: DatabaseStatus) -> list[Content]:
    return lines if status.reachable else [Content.styled(line.plain, Tone.MUTED) for line in lines]


def known(status: DatabaseStatus) -> bool:
    """Whether the server has answered at least once."""
    return status.sampled_at is not None and bool(status.version)


def _reachability(status: DatabaseStatus, now: datetime, width: int, glyphs: Glyphs) -> list[Content]:
    if status.reachable:
        version, uptime = status.version, status.uptime_seconds
        if isinstance(status, MongoStatus):
            role = [status.topology, status.member_state]
        else:
            role = [status.role, "loading its data from disk" if status.loading else ""]
        parts: list[str | tuple[str, str]] = [
            (f"{glyphs.good} reachable", Tone.GOOD),
            *((printable(text), "") for text in (version, *role)),
            f"up {duration(uptime)}" if uptime is not None else "",
            f"answers in {latency(status.latency_seconds)}" if status.latency_seconds is not None else "",
        ]
        return flowed_parts(parts, width, glyphs)
    if not status.problem and status.sampled_at is None:
        return [Content.styled(f"{glyphs.busy} Not asked yet.", Tone.MUTED)]
    said = status.problem or "It does not answer."
    lines = wrapped(f"{glyphs.bad} {said}", width, style=Tone.BAD)
    if status.hint:
        lines += wrapped(f"{glyphs.arrow} {status.hint}", width, style=Tone.ACCENT)
    if known(status):
        then = f"What follows is as of {moment(status.sampled_at, now)} ({ago(status.sampled_at, now)})."
        lines += wrapped(then, width, style=Tone.WARNING)
    return lines


def flowed_parts(parts: Sequence[str | tuple[str, str]], width: int, glyphs: Glyphs) -> list[Content]:
    """Parts joined by dots on one line, or on as many as they need."""
    line = joined(parts, f" {glyphs.dot} ")
    return [line] if line.cell_length <= width else flowed([Content.assemble(part) for part in parts], width, hang=2)


def _table(rows: Sequence[tuple[str, Content]], width: int) -> list[Content]:
    """One labelled row each; what does not fit beside its label is broken at spaces under it."""
    lines = []
    for label, said in rows:
        if not said.plain:
            continue
        broken = said.wrap(max(1, width - LABEL), overflow="fold")
        for number, part in enumerate(broken):
            lines.append(Content.assemble((fit("" if number else label, LABEL), Tone.MUTED), part))
    return lines


def _labelled(label: str, said: Content) -> Content:
    return Content.assemble((f"{label} ", Tone.MUTED), said) if said.plain else Content("")


def _operations(status: DatabaseStatus, series: Sequence[float], room: int, glyphs: Glyphs) -> Content:
    total = sum(status.operations.values()) if isinstance(status, MongoStatus) else status.operations_per_second
    if isinstance(status, MongoStatus) and not status.operations:
        total = None
    line = Content(f"{count(total)} /s")
    if len(series) > 1 and room >= 8:
        line += Content("  ") + inked(series, room, ascii=glyphs.ascii)
    return line


def _by_kind(status: MongoStatus) -> Content:
    told = [f"{printable(name)} {count(value)}" for name, value in status.operations.items() if value >= 0.5]
    return Content.styled(", ".join(told), Tone.MUTED)


def _share(used: float | None, total: float | None, limit: float, said: str, glyphs: Glyphs) -> Content:
    """`━━──── 12 % <said>`; without a total only what is said."""
    if used is None or not total:
        return Content(said)
    share = 100 * used / total
    return Content.assemble(
        gauge(share, 12, warning=limit, critical=98.0, glyphs=glyphs),
        (f" {percent(share)} ", level_tone(share, limit, 98.0) if share >= limit else ""),
        (f" {said}", Tone.MUTED),
    )


# --- MongoDB ---------------------------------------------------------------------------------------


def _mongo(status: MongoStatus, glyphs: Glyphs) -> list[tuple[str, Content]]:
    used, left = status.connections, status.connections_available
    total = used + left if used is not None and left is not None else None
    connections = f"{count(used)} of {count(total)}" if total else count(used)
    full = used is not None and bool(total) and 100 * used / (total or 1) >= CONNECTIONS_LIMIT
    cache = share_of(status.cache_used, status.cache_total)
    rows = [
        ("connections", Content.styled(connections, Tone.WARNING) if full else Content(connections)),
        ("cache", _share(status.cache_used, status.cache_total, CACHE_LIMIT, cache, glyphs)),
        ("resident", Content(size(status.memory_resident))),
    ]
    if status.members:
        told = [_member(member, glyphs) for member in status.members]
        well = all(_is_well(member) for member in status.members)
        rows.append(("members" if well else "replica set", Content(", ").join(told)))
    return rows


def _is_well(member: ReplicaMember) -> bool:
    return member.health and member.state in _MEMBER_WELL


def _member(member: ReplicaMember, glyphs: Glyphs) -> Content:
    lag = f" {duration(member.lag_seconds)} behind" if member.lag_seconds and member.lag_seconds >= 1 else ""
    said = f"{printable(member.name)} {printable(member.state)}{lag}"
    return Content(said) if _is_well(member) else Content.styled(f"{glyphs.bad} {said}", Tone.BAD)


# --- Redis -----------------------------------------------------------------------------------------


def _redis(status: RedisStatus, now: datetime, glyphs: Glyphs) -> list[tuple[str, Content]]:
    return [
        ("memory", _redis_memory(status, glyphs)),
        ("clients", Content(_of(status.clients, status.clients_limit))),
        ("hit rate", Content(_hit_rate(status))),
        ("keys", _keys(status)),
        ("snapshots", _rdb(status, now, glyphs)),
        ("append log", _aof(status, glyphs)),
    ]


def _redis_memory(status: RedisStatus, glyphs: Glyphs) -> Content:
    if status.memory_limit:
        said = share_of(status.memory_used, status.memory_limit)
    else:
        said = f"{size(status.memory_used)}, no limit set"
    if status.memory_peak is not None:
        said += f", peak {size(status.memory_peak)}"
    if status.memory_limit and status.eviction_policy:
        said += f", {printable(status.eviction_policy)}"
    line = _share(status.memory_used, status.memory_limit, MEMORY_LIMIT, said, glyphs)
    if status.evicted_keys:
        line += Content.styled(f"  {glyphs.warning} {plural(status.evicted_keys, 'key')} evicted", Tone.WARNING)
    return line


def _of(used: int | None, limit: int | None) -> str:
    return f"{count(used)} of {count(limit)}" if limit else count(used)


def _hit_rate(status: RedisStatus) -> str:
    if status.hit_rate_percent is None:
        return "no reads yet"
    return f"{percent(status.hit_rate_percent, 1)} since start"


def _keys(status: RedisStatus) -> Content:
    if not status.keyspaces:
        return Content("none")
    told = [
        fact(f"db{space.database}", count(space.keys) + (f" ({count(space.expires)} expire)" if space.expires else ""))
        for space in status.keyspaces
    ]
    return Content("  ").join(told)


def _rdb(status: RedisStatus, now: datetime, glyphs: Glyphs) -> Content:
    """How the snapshots to disk (RDB) are doing. A failed one matters even where they are not scheduled."""
    if status.rdb_enabled is None and not status.rdb_last_status:
        return Content("-")
    changes = status.rdb_changes_since_save
    since = f", {plural(changes, 'change')} since" if changes else ""
    saved = f"last save {ago(status.rdb_last_save_at, now)}" if status.rdb_last_save_at else "no save yet"
    if status.rdb_last_status == "err":
        said = (
            f"{glyphs.bad} the last save failed; the newest good one is {age(status.rdb_last_save_at, now)} old{since}"
        )
        return Content.styled(said, Tone.BAD)
    if not status.rdb_enabled:
        if status.aof_enabled:
            return Content.styled("off", Tone.MUTED)
        return Content.styled(
            f"{glyphs.warning} off, and so is the append log: a restart loses every key", Tone.WARNING
        )
    return Content.assemble((f"{glyphs.good} on", Tone.GOOD), f", {saved}{since}")


def _aof(status: RedisStatus, glyphs: Glyphs) -> Content:
    if status.aof_enabled is None:
        return Content("-")
    if not status.aof_enabled:
        return Content.styled("off", Tone.MUTED)
    if status.aof_last_status == "err":
        return Content.styled(
            f"{glyphs.bad} on, but the last write or rewrite failed: new keys are not on disk", Tone.BAD
        )
    return Content.assemble((f"{glyphs.good} on", Tone.GOOD), ", last write ok" if status.aof_last_status else "")
