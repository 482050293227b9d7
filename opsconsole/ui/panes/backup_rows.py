"""One line for each backup: its cells, how its size changed, and the lines above the rows. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from textual.content import Content

from opsconsole.backups.identifiers import PARTIAL
from opsconsole.backups.naming import short
from opsconsole.backups.oplog_ranges import ranges
from opsconsole.backups.retention import suspicion
from opsconsole.model import Alert, AlertState, Backup, BackupState, Reading, Snapshot, SourceState
from opsconsole.ui.widgets.chart import inked
from opsconsole.ui.widgets.columns import CellText
from opsconsole.ui.widgets.lines import fact, flowed, shorten_middle, wrapped
from opsconsole.ui.wording import UNKNOWN, Glyphs, Tone, age, ago, moment, plural, severity_tone, sign, size

AGE_RULE = "backup-age"
READ_LAYOUTS = (
    "directories <date>_<time> of backup.sh, mps_backup_<time>.tar.gz, mongodump archives and directories "
    "(also packed), and backups of opsconsole itself"
)
PROVEN = 3
"""The level of a backup that was restored and compared."""

_LONGEST_BANNER = 3  # lines
_HISTORY = 24  # backups in the small chart of sizes
_LARGEST_PERCENT = 999  # more does not fit
_FALL = 0.3  # of the size before: more is no ordinary day
_TONE = {
    BackupState.GOOD: Tone.GOOD,
    BackupState.INCOMPLETE: Tone.WARNING,
    BackupState.DAMAGED: Tone.BAD,
    BackupState.UNFINISHED: Tone.ACCENT,
    BackupState.INCREMENTAL: Tone.GOOD,
}
RANK = {
    BackupState.DAMAGED: 0,
    BackupState.INCOMPLETE: 1,
    BackupState.UNFINISHED: 2,
    BackupState.INCREMENTAL: 3,
    BackupState.GOOD: 4,
}
_PARTS = {
    "mongo": "MongoDB",
    "redis": "Redis",
    "files": "files",
    "config": "configuration",
    "manifest": "manifest",
}


def is_restorable(backup: Backup) -> bool:
    """Whether it can be restored by itself."""
    return backup.state not in (BackupState.UNFINISHED, BackupState.INCREMENTAL)


def part_name(kind: str) -> str:
    return _PARTS.get(kind, kind)


def is_of_parts(backup: Backup) -> bool:
    """Whether it lacks only what was not asked for, and all that was asked for is there and right."""
    sound = all(part.ok for part in backup.parts) and not set(backup.asked) & set(backup.missing)
    return bool(backup.asked) and backup.state is BackupState.INCOMPLETE and sound


def state_of(backup: Backup) -> tuple[str, Tone]:
    if is_of_parts(backup):
        return "parts only", Tone.GOOD
    return backup.state.value, _TONE[backup.state]


def parts_said(backup: Backup) -> str:
    """`no Redis; MongoDB empty; files`: what is missing and what is bad first; the manifest goes without saying."""
    names = {**_PARTS, "config": "config"}  # it stands in a column
    wanted = [kind for kind in backup.missing if not backup.asked or kind in backup.asked]
    missing = [f"no {names.get(kind, kind)}" for kind in wanted]
    bad = [f"{names.get(part.kind, part.kind)} {part.note or 'damaged'}" for part in backup.parts if not part.ok]
    good = dict.fromkeys(
        names.get(part.kind, part.kind) for part in backup.parts if part.ok and part.kind != "manifest"
    )
    return "; ".join(", ".join(group) for group in (missing, bad, good) if group) or "nothing recognised"


def name_said(backup: Backup) -> str:
    """Its id without what the other columns say."""
    return short(backup.id.removeprefix(PARTIAL))


def local_time(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


# --- cells -----------------------------------------------------------------------------------------


def class_said(backup: Backup) -> str:
    """`manual pinned`."""
    marks = [*(["pinned"] if backup.pinned else []), *(["critical"] if backup.critical else [])]
    return " ".join([backup.backup_class.value, *marks])


def level_said(backup: Backup, now: datetime) -> CellText:
    """`L2 3 h`: to which level it was found right, and how long ago."""
    if backup.check_problem:
        return "wrong", Tone.BAD
    if backup.checked_level is None:
        return UNKNOWN, Tone.MUTED
    tone = Tone.GOOD if backup.checked_level >= PROVEN else Tone.PLAIN
    return f"L{backup.checked_level} {age(backup.checked_at, now)}", tone


def kept_said(backup: Backup) -> CellText:
    """Why retention keeps it, or that it may go."""
    if backup.kept or not backup.goes:
        return backup.kept
    return f"may go: {backup.goes}", Tone.MUTED


def copies_said(backup: Backup) -> CellText:
    if not backup.copies:
        return UNKNOWN, Tone.MUTED
    return ", ".join(one.place if one.verified else f"{one.place} (not compared)" for one in backup.copies)


# --- sizes -----------------------------------------------------------------------------------------


def earlier_like(backup: Backup, backups: Sequence[Backup]) -> list[Backup]:
    """The sound ones before it that one may hold it against: same class, layout and kinds of parts. Newest first."""
    return [
        one
        for one in backups
        if one.taken_at < backup.taken_at
        and (one.state is BackupState.GOOD or is_of_parts(one))
        and _alike(one, backup)
    ]


def _alike(one: Backup, other: Backup) -> bool:
    return (one.backup_class, one.layout, _kinds(one)) == (other.backup_class, other.layout, _kinds(other))


def _kinds(backup: Backup) -> frozenset[str]:
    return frozenset(part.kind for part in backup.parts)


def change_said(backup: Backup, backups: Sequence[Backup]) -> CellText:
    """`+3 %` against the one before of its like; a fall that is no ordinary one is a warning."""
    earlier = [one.size_bytes for one in earlier_like(backup, backups)]
    if not earlier or not earlier[0] or not is_restorable(backup):
        return ""
    change = backup.size_bytes / earlier[0] - 1
    percent = round(100 * change)
    said = f"{percent:+d} %" if percent else "0 %"
    if percent > _LARGEST_PERCENT:
        said = f"x{1 + change:.0f}"
    falls = change <= -_FALL or suspicion(backup.size_bytes, earlier)
    return said, Tone.WARNING if falls else Tone.MUTED


def sizes(backups: Sequence[Backup]) -> list[int]:
    """Of the newest whole backup that is sound, and of those like it before: oldest first."""
    newest = next((one for one in backups if one.state is BackupState.GOOD and not one.in_future), None)
    if newest is None:
        return []
    return [one.size_bytes for one in reversed([newest, *earlier_like(newest, backups)])]


# --- above the rows --------------------------------------------------------------------------------


def summary(snapshot: Snapshot, width: int, glyphs: Glyphs, schedule: Sequence[Content] = ()) -> list[Content]:
    """The alarm about the age of the newest good backup, if there is one; then how many, how good, what comes next by
    the `schedule`, and where."""
    lines: list[Content] = []
    for alert in snapshot.alerts:
        if alert.rule == AGE_RULE and alert.state is not AlertState.RESOLVED:
            lines += _banner(alert, width, glyphs)
    if not snapshot.backups:
        return [*lines, *wrapped(empty_said(snapshot), width, style=Tone.MUTED)]
    good = [backup for backup in snapshot.backups if backup.state is BackupState.GOOD and not backup.in_future]
    more = sum(1 for backup in snapshot.backups if backup.state is BackupState.INCREMENTAL)
    counted = f"{plural(len(snapshot.backups) - more, 'backup')}, {len(good)} good"
    counted += f", {more} incremental" if more else ""
    total = size(sum(backup.size_bytes for backup in snapshot.backups))
    where = snapshot.stack.backup_directory if snapshot.stack else ""
    where = shorten_middle(where, max(16, width - 3), ellipsis=glyphs.ellipsis)
    facts = [
        Content.styled(counted, Tone.STRONG),
        *_newest(good, snapshot.sampled_at),
        *schedule,
        _to_the_second(snapshot),
        fact("together", total),
        _chart(snapshot.backups, glyphs),
        fact("in", where) if where else Content(""),
    ]
    return [*lines, *flowed(facts, width, gap=3)]


def _newest(good: Sequence[Backup], now: datetime) -> list[Content]:
    if not good:
        return [Content.styled("none of them is good", Tone.BAD)]
    proven = [backup.taken_at for backup in good if (backup.checked_level or 0) >= PROVEN]
    return [
        Content(f"newest good one {ago(max(each.taken_at for each in good), now)}"),
        Content.styled(f"proven one (L3) {ago(max(proven), now)}", Tone.GOOD)
        if proven
        else Content.styled("none proven by a restore (L3)", Tone.MUTED),
    ]


def _to_the_second(snapshot: Snapshot) -> Content:
    """Until when MongoDB can be restored to each second, where it can at all."""
    shown = ranges(snapshot.backups)
    if not shown:
        return Content("")
    until = moment(max(one.last for one in shown), snapshot.sampled_at)
    return Content.assemble(("to the second until ", Tone.MUTED), until, (" (t)", Tone.MUTED))


def _chart(backups: Sequence[Backup], glyphs: Glyphs) -> Content:
    found = sizes(backups)[-_HISTORY:]
    if len(found) < 2:
        return Content("")
    return Content.assemble(("sizes ", Tone.MUTED), inked(found, len(found), ascii=glyphs.ascii))


def _banner(alert: Alert, width: int, glyphs: Glyphs) -> list[Content]:
    tone = severity_tone(alert.severity)
    lines = wrapped(f"{sign(tone, glyphs)} {alert.message}", width, style=tone)
    if alert.action:
        lines += wrapped(f"{glyphs.arrow} {alert.action}", width, style=Tone.ACCENT)
    return lines[:_LONGEST_BANNER]


def empty_said(snapshot: Snapshot) -> str:
    """What stands where the rows would be: what was looked for, and where."""
    reading: Reading | None = snapshot.readings.get("backups")
    if reading is None or reading.state is SourceState.WAITING:
        return "Looking for backups."
    where = snapshot.stack.backup_directory if snapshot.stack else ""
    if reading.state is SourceState.FAILED and reading.problem:
        return f"The backups could not be read: {reading.problem}. {reading.hint}".strip()
    if not where:
        return "No backup directory is known. Set directory under [backups] in opsconsole.toml."
    return f"No backup in {where}. Looked for: {READ_LAYOUTS}. B makes one."
