"""The overview's panels about data: databases, backups, volumes and probes. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content

from opsconsole.model import (
    Backup,
    BackupState,
    DatabaseStatus,
    MongoStatus,
    RedisStatus,
    Safety,
    SourceState,
    Volume,
    VolumeKind,
)
from opsconsole.text import printable
from opsconsole.ui.panes.overview_frame import Frame, heading, joined_edges
from opsconsole.ui.wording import Tone, ago, count, duration, percent, plural, short_id, sign, size


def databases(frame: Frame) -> list[Content]:
    found = frame.snapshot.databases
    answering = sum(status.reachable for status in found)
    said = f"{answering} of {len(found)} answer" if found else ""
    lines = [heading(frame, "Databases", said, Tone.GOOD if answering == len(found) else Tone.BAD)]
    if not found:
        return [*lines, _nothing(frame, "databases", "none found in this stack")]
    for status in found:
        lines += _database(frame, status)
    return lines


def _database(frame: Frame, status: DatabaseStatus) -> list[Content]:
    mongo = isinstance(status, MongoStatus)
    kind = "MongoDB" if mongo else "Redis"
    name = f"{kind} {printable(status.version)}".rstrip()
    tone = Tone.GOOD if status.reachable else Tone.BAD
    left = Content.assemble((f"{sign(tone, frame.glyphs)} {name}", tone))
    if not status.reachable:
        said = printable(status.problem) or "no answer"
        return [joined_edges(left + Content(f"  {said}"), Content(""), frame.width, frame.glyphs)]
    facts = _mongo_facts(status) if isinstance(status, MongoStatus) else _redis_facts(status)
    right = ""
    for fact in facts:  # as many as there is room for
        longer = f"{right}, {fact}" if right else fact
        if cell_len(longer) + left.cell_length + 2 > frame.width:
            break
        right = longer
    return [joined_edges(left, Content(right), frame.width, frame.glyphs)]


def _mongo_facts(status: MongoStatus) -> list[str]:
    operations = f"{sum(status.operations.values()):.0f} ops/s" if status.operations else ""
    stored = sum(database.data_bytes or 0 for database in status.databases)
    facts = [operations, size(stored) if stored else "", status.member_state or status.topology]
    facts.append(plural(status.connections, "connection") if status.connections is not None else "")
    return [printable(fact) for fact in facts if fact]


def _redis_facts(status: RedisStatus) -> list[str]:
    keys = sum(space.keys for space in status.keyspaces)
    facts = [
        f"{status.operations_per_second:.0f} ops/s" if status.operations_per_second is not None else "",
        size(status.memory_used) if status.memory_used is not None else "",
        f"{count(keys)} keys",
        f"hits {percent(status.hit_rate_percent)}" if status.hit_rate_percent is not None else "",
    ]
    return [fact for fact in facts if fact]


def newest_good(backups: Sequence[Backup]) -> Backup | None:
    good = [backup for backup in backups if backup.state is BackupState.GOOD and not backup.in_future]
    return max(good, key=lambda backup: backup.taken_at, default=None)


def backups(frame: Frame) -> list[Content]:
    found, now, glyphs = frame.snapshot.backups, frame.snapshot.sampled_at, frame.glyphs
    good = [backup for backup in found if backup.state is BackupState.GOOD]
    total = sum(1 for backup in found if backup.state is not BackupState.INCREMENTAL)
    lines = [heading(frame, "Backups", f"{len(good)} good of {total}" if found else "")]
    if not found:
        return [*lines, _nothing(frame, "backups", "no backup was found", Tone.BAD)]
    newest = newest_good(found)
    if newest is None:
        lines.append(Content.styled(f"{glyphs.bad} not one good backup", Tone.BAD))
    else:
        stale = any(alert.rule.startswith("backup") and alert.state == "firing" for alert in frame.snapshot.alerts)
        tone = Tone.WARNING if stale else Tone.GOOD
        left = Content.assemble((f"{sign(tone, glyphs)} newest good {ago(newest.taken_at, now)}", tone))
        lines.append(joined_edges(left, Content.styled(size(newest.size_bytes), Tone.MUTED), frame.width, glyphs))
    whole = [one for one in found if not one.in_future and one.state is not BackupState.INCREMENTAL]
    latest = max(whole, key=lambda one: one.taken_at, default=None)
    if latest is not None and latest is not newest and latest.state is not BackupState.GOOD:
        missing = f", no {', '.join(latest.missing)}" if latest.missing else ""
        left = Content.assemble((f"{glyphs.warning} latest is {latest.state.value}{printable(missing)}", Tone.WARNING))
        lines.append(joined_edges(left, Content.styled(ago(latest.taken_at, now), Tone.MUTED), frame.width, glyphs))
    return lines


def volumes(frame: Frame) -> list[Content]:
    found, glyphs = frame.snapshot.volumes, frame.glyphs
    known = [volume.size_bytes for volume in found if volume.size_bytes is not None]
    lines = [heading(frame, "Volumes", f"{len(found)}, {size(sum(known))}" if known else str(len(found) or ""))]
    if not found:
        return [*lines, _nothing(frame, "volumes", "none")]
    for safety, tone in (
        (Safety.AT_RISK, Tone.BAD),
        (Safety.NOT_IN_BACKUP, Tone.WARNING),
        (Safety.ORPHANED, Tone.MUTED),
    ):
        names = [_volume_name(volume) for volume in found if volume.safety is safety]
        if names:
            left = Content.assemble(
                (f"{sign(tone, glyphs)} {len(names)} {safety.value}", tone), f"  {', '.join(names)}"
            )
            lines.append(joined_edges(left, Content(""), frame.width, glyphs))
    if len(lines) == 1:
        lines.append(Content.styled(f"{glyphs.good} all persistent", Tone.GOOD))
    return lines


def _volume_name(volume: Volume) -> str:
    """The name; of one that the engine made up itself, its beginning."""
    return short_id(volume.name) if volume.kind is VolumeKind.ANONYMOUS else printable(volume.name)


def probes(frame: Frame) -> list[Content]:
    found, glyphs = frame.snapshot.probes, frame.glyphs
    answered = [probe for probe in found if probe.ok is not None]
    ok = sum(bool(probe.ok) for probe in answered)
    tone = Tone.GOOD if ok == len(answered) else Tone.BAD
    lines = [heading(frame, "Probes", f"{ok} of {len(found)} ok" if found else "", tone)]
    if not found:
        return [*lines, _nothing(frame, "probes", "no health endpoint was found")]
    for probe in sorted(found, key=lambda probe: probe.ok is not False)[:4]:
        tone = Tone.ACCENT if probe.ok is None else Tone.GOOD if probe.ok else Tone.BAD
        word = "not asked yet" if probe.ok is None else str(probe.status or "no answer")
        left = Content.assemble((f"{sign(tone, glyphs)} {word}", tone), f"  {printable(probe.endpoint.name)}")
        if probe.problem:
            left += Content.styled(f"  {printable(probe.problem)}", Tone.PLAIN)
        latency = duration(probe.latency_seconds) if probe.latency_seconds is not None else ""
        lines.append(joined_edges(left, Content.styled(latency, Tone.MUTED), frame.width, glyphs))
    return lines


def _nothing(frame: Frame, source: str, said: str, tone: str = Tone.MUTED) -> Content:
    reading = frame.snapshot.readings.get(source)
    if reading is not None and reading.state is SourceState.WAITING:
        return Content.styled("looking", Tone.MUTED)
    if reading is not None and reading.state is SourceState.FAILED:
        return Content.styled(f"{frame.glyphs.bad} cannot be read: {printable(reading.problem)}", Tone.BAD)
    return Content.styled(said, tone)
