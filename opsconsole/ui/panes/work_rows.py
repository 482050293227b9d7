"""A database server at work, as rows: what runs, what was slow, indexes, clients, big keys. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from textual.content import Content

from opsconsole.database_work import BigKey, Growth, Index, RedisClient, SlowGroup, View, Work
from opsconsole.model import RunningOperation
from opsconsole.ui.widgets.columns import CellText, Column
from opsconsole.ui.widgets.lines import latency, wrapped
from opsconsole.ui.wording import UNKNOWN, Glyphs, Tone, ago, count, duration, size

SLOW_SECONDS = 10.0
_LABEL = 13
_DAY = 86_400
_WEEK = 7 * _DAY


@dataclass(frozen=True, slots=True)
class WorkRow:
    """One row of a view: its cells, what they are sorted by, and all that is known as (label, text)."""

    key: str
    cells: tuple[CellText, ...]
    orders: tuple[Any, ...]
    facts: tuple[tuple[str, str], ...]
    record: object


Shape = tuple[str, int, bool, int, int]  # title, width, grows to the left and is text, priority, most

_SHAPES: dict[View, tuple[Shape, ...]] = {
    View.OPERATIONS: (
        ("Runs for", 9, False, 0, 9),
        ("Kind", 9, True, 0, 16),
        ("Namespace", 16, True, 0, 40),
        ("Plan", 10, True, 1, 40),
        ("Client", 16, True, 2, 24),
        ("Command", 24, True, 3, 90),
    ),
    View.SLOW: (
        ("Together", 9, False, 0, 9),
        ("Count", 7, False, 0, 9),
        ("Longest", 8, False, 0, 9),
        ("Kind", 9, True, 0, 16),
        ("Namespace", 16, True, 1, 40),
        ("Plan", 10, True, 2, 40),
        ("Newest", 10, True, 3, 12),
        ("Example", 24, True, 4, 90),
    ),
    View.INDEXES: (
        ("Use", 9, True, 0, 10),
        ("Index", 12, True, 0, 40),
        ("Collection", 14, True, 0, 40),
        ("Uses", 10, False, 0, 12),
        ("Size", 9, False, 1, 10),
        ("Counted since", 14, True, 2, 16),
        ("Keys", 16, True, 3, 60),
    ),
    View.GROWTH: (
        ("Collection", 16, True, 0, 50),
        ("Grown a day", 12, False, 0, 12),
        ("Grown", 10, False, 0, 12),
        ("Documents", 11, False, 1, 14),
        ("Size", 9, False, 1, 10),
    ),
    View.CLIENTS: (
        ("Memory", 9, False, 0, 10),
        ("Address", 18, True, 0, 24),
        ("Name", 10, True, 0, 30),
        ("Idle", 7, False, 0, 8),
        ("Last command", 14, True, 1, 24),
        ("Kind", 8, True, 2, 9),
        ("Age", 7, False, 2, 8),
        ("Db", 4, False, 3, 5),
        ("Unfetched", 10, False, 3, 10),
    ),
    View.BIG_KEYS: (
        ("Size", 9, False, 0, 10),
        ("Type", 8, True, 0, 10),
        ("Db", 4, False, 0, 5),
        ("Key", 24, True, 0, 120),
    ),
    View.MEMORY: (("Memory", 40, True, 0, 140),),
}


_SLOW_COMMANDS: tuple[Shape, ...] = (
    ("Together", 9, False, 0, 9),
    ("Count", 7, False, 0, 9),
    ("Longest", 8, False, 0, 9),
    ("Command", 9, True, 0, 16),
    ("Client", 16, True, 1, 40),
    ("Newest", 10, True, 2, 12),
    ("Example", 24, True, 3, 90),
)
"""What is slow in Redis: it knows no namespace and no plan."""


def columns(view: View, kind: str = "mongodb") -> tuple[Column[WorkRow], ...]:
    """Those of a view of a server of this kind."""
    shapes = _SLOW_COMMANDS if view is View.SLOW and kind == "redis" else _SHAPES[view]
    return tuple(
        Column(
            title.lower(),
            title,
            width,
            lambda row, at=at: row.cells[at],  # type: ignore[misc]
            priority=priority,
            align="left" if is_text else "right",
            grow=is_text,
            most=most,
            order=lambda row, at=at: row.orders[at],  # type: ignore[misc]
            descending=not is_text,
            sortable=view is not View.MEMORY,
        )
        for at, (title, width, is_text, priority, most) in enumerate(shapes)
    )


def rows(work: Work, now: datetime, glyphs: Glyphs, kind: str = "mongodb") -> list[WorkRow]:
    """The rows of a view of a server of this kind, what matters most first."""
    if work.view is View.OPERATIONS:
        return [_operation(one, work.commands.get(one.opid, "")) for one in work.operations]
    if work.view is View.SLOW:
        return [(_slow_command if kind == "redis" else _slow)(one, now) for one in work.slow]
    if work.view is View.INDEXES:
        ranked = sorted(work.indexes, key=lambda one: (not one.unused, -(one.size_bytes or 0) if one.unused else 0))
        return [_index(one, now, glyphs) for one in ranked]
    if work.view is View.GROWTH:
        return [_growth(one) for one in work.growth]
    if work.view is View.CLIENTS:
        return [_client(one) for one in work.clients]
    return [_key(one) for one in work.keys]


def detail(row: WorkRow, width: int) -> list[Content]:
    """All that is known of a row."""
    lines = []
    for label, text in row.facts:
        for number, part in enumerate(wrapped(text, width - _LABEL)):
            lines.append(Content.assemble((f"{'' if number else label:<{_LABEL}}", Tone.MUTED), part))
    return lines


def summary(work: Work | None, problem: str, now: datetime, width: int, glyphs: Glyphs) -> list[Content]:
    """What was left out, where it is from, why there is nothing."""
    if problem:
        return wrapped(f"{glyphs.bad} {problem}", width, style=Tone.BAD)
    if work is None:
        return [Content.styled(f"{glyphs.busy} Asking.", Tone.MUTED)]
    lines = [part for line in work.said for part in wrapped(line, width, style=Tone.MUTED)]
    if work.view is View.INDEXES:
        unused = [one for one in work.indexes if one.unused]
        held = sum(one.size_bytes or 0 for one in unused)
        said = f"{len(unused)} of {len(work.indexes)} indexes are used by no query; they hold {size(held)}."
        since = min((one.since for one in work.indexes if one.since), default=now)
        if unused and (now - since).total_seconds() < _WEEK:
            said += (
                f" Counted for {duration((now - since).total_seconds())} only: what is used once a week looks unused."
            )
        lines = [*wrapped(said, width, style=Tone.WARNING if unused else Tone.GOOD), *lines]
    return lines


def _operation(one: RunningOperation, command: str) -> WorkRow:
    tone = Tone.WARNING if one.seconds >= SLOW_SECONDS or one.waits else Tone.PLAIN
    plan = "waits for a lock" if one.waits else one.plan
    return WorkRow(
        key=f"{one.opid} {one.connection}",
        cells=((_took(one.seconds), tone), one.kind, one.namespace,
               (plan, Tone.WARNING if "COLLSCAN" in plan or one.waits else Tone.PLAIN), one.client, command),
        orders=(one.seconds, one.kind, one.namespace, plan, one.client, command),
        facts=(
            ("operation", f"{one.opid}, {one.kind}, runs for {duration(one.seconds)}"),
            ("on", one.namespace or UNKNOWN),
            ("plan", plan or UNKNOWN),
            ("client", f"{one.client or 'the server itself'} {one.application}".strip()),
            ("command", command or UNKNOWN),
        ),
        record=one,
    )  # fmt: skip


def _slow(one: SlowGroup, now: datetime) -> WorkRow:
    newest = ago(one.newest, now) if one.newest else UNKNOWN
    return WorkRow(
        key=f"{one.namespace} {one.kind} {one.plan}",
        cells=(_took(one.total_seconds), count(one.count), _took(one.longest_seconds), one.kind, one.namespace,
               (one.plan, Tone.WARNING if "COLLSCAN" in one.plan else Tone.PLAIN), newest, one.example),
        orders=(one.total_seconds, one.count, one.longest_seconds, one.kind, one.namespace, one.plan,
                one.newest.timestamp() if one.newest else None, one.example),
        facts=(
            ("took", f"{_took(one.total_seconds)} in {one.count:,}, the longest {_took(one.longest_seconds)}"),
            ("on", one.namespace or UNKNOWN),
            ("plan", one.plan),
            ("newest", newest),
            ("longest one", one.example),
        ),
        record=one,
    )  # fmt: skip


def _slow_command(one: SlowGroup, now: datetime) -> WorkRow:
    newest = ago(one.newest, now) if one.newest else UNKNOWN
    return WorkRow(
        key=one.kind,
        cells=(_took(one.total_seconds), count(one.count), _took(one.longest_seconds), one.kind, one.namespace,
               newest, one.example),
        orders=(one.total_seconds, one.count, one.longest_seconds, one.kind, one.namespace,
                one.newest.timestamp() if one.newest else None, one.example),
        facts=(
            ("took", f"{_took(one.total_seconds)} in {one.count:,}, the longest {_took(one.longest_seconds)}"),
            ("client", one.namespace or UNKNOWN),
            ("newest", newest),
            ("longest one", one.example),
        ),
        record=one,
    )  # fmt: skip


def _took(seconds: float) -> str:
    return latency(seconds) if seconds < 100 else duration(seconds)


def _index(one: Index, now: datetime, glyphs: Glyphs) -> WorkRow:
    word, tone = (
        ("used", Tone.GOOD) if one.uses else (one.needed or "unused", Tone.MUTED if one.needed else Tone.WARNING)
    )
    if one.building:
        word, tone = "building", Tone.ACCENT
    if one.uses is None:
        word, tone = UNKNOWN, Tone.MUTED
    sign = {Tone.GOOD: glyphs.good, Tone.WARNING: glyphs.warning, Tone.ACCENT: glyphs.busy}.get(tone, glyphs.off)
    since = ago(one.since, now) if one.since else UNKNOWN
    why = f"no query, but it is wanted: {one.needed}" if one.needed and not one.uses else f"{count(one.uses)} uses"
    advice = "Hide it first (collMod, index.hidden), wait, then drop it." if one.unused else ""
    return WorkRow(
        key=f"{one.path} {one.name}",
        cells=((f"{sign} {word}", tone), one.name, one.path, count(one.uses), size(one.size_bytes), since, one.keys),
        orders=(word, one.name, one.path, one.uses, one.size_bytes, one.since.timestamp() if one.since else None,
                one.keys),
        facts=(
            ("index", f"{one.name} of {one.path}"),
            ("keys", one.keys),
            ("used by", f"{why}, counted since {since}"),
            ("size", size(one.size_bytes)),
            ("unused", advice),
        ),
        record=one,
    )  # fmt: skip


def _growth(one: Growth) -> WorkRow:
    a_day = one.grown_bytes / max(one.seconds, 1) * _DAY
    documents = f"{one.grown_documents:+,}" if one.grown_documents is not None else UNKNOWN
    return WorkRow(
        key=one.path,
        cells=(one.path, _signed(a_day), _signed(one.grown_bytes), documents, size(one.size_bytes)),
        orders=(one.path, a_day, one.grown_bytes, one.grown_documents, one.size_bytes),
        facts=(
            ("collection", one.path),
            ("grown", f"{_signed(one.grown_bytes)} and {documents} documents in {duration(one.seconds)}"),
            ("now", f"{size(one.size_bytes)} in {count(one.documents)} documents"),
        ),
        record=one,
    )


def _signed(amount: float) -> str:
    return f"-{size(-amount)}" if amount < 0 else f"+{size(amount)}"


def _client(one: RedisClient) -> WorkRow:
    return WorkRow(
        key=one.id,
        cells=(size(one.memory_bytes), one.address, one.name, duration(one.idle_seconds), one.command, one.kind,
               duration(one.age_seconds), str(one.database), size(one.output_bytes)),
        orders=(one.memory_bytes, one.address, one.name, one.idle_seconds, one.command, one.kind, one.age_seconds,
                one.database, one.output_bytes),
        facts=(
            ("client", " ".join(part for part in (one.id, "at", one.address, one.name, one.kind) if part)),
            ("connected", f"{duration(one.age_seconds)}, idle for {duration(one.idle_seconds)}"),
            ("last", f"{one.command} in database {one.database}"),
            ("memory", f"{size(one.memory_bytes)}, of it {size(one.output_bytes)} that it has not fetched"),
        ),
        record=one,
    )  # fmt: skip


def _key(one: BigKey) -> WorkRow:
    return WorkRow(
        key=f"{one.database} {one.name}",
        cells=(size(one.size_bytes), one.kind, str(one.database), one.name),
        orders=(one.size_bytes, one.kind, one.database, one.name),
        facts=(("key", one.name), ("holds", f"{size(one.size_bytes)}, a {one.kind} in database {one.database}")),
        record=one,
    )
