"""Every backup that was found, newest first: how good it is, what is in it and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from textual.content import Content

from opsconsole.model import Alert, AlertState, Backup, BackupPart, BackupState, Reading, Snapshot, SourceState
from opsconsole.text import printable
from opsconsole.ui.panes.rows_and_detail import RowsAndDetail
from opsconsole.ui.widgets.columns import CellText, Column
from opsconsole.ui.widgets.lines import fact, fit, flowed, shorten_middle, wrapped
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.wording import Glyphs, Tone, age, ago, plural, severity_tone, sign, size

AGE_RULE = "backup-age"
READ_LAYOUTS = (
    "directories <date>_<time> of backup.sh, mps_backup_<time>.tar.gz, mongodump archives and directories "
    "(also packed), and backups of opsconsole itself"
)
LONGEST_BANNER = 3  # lines
_TONE = {
    BackupState.GOOD: Tone.GOOD,
    BackupState.INCOMPLETE: Tone.WARNING,
    BackupState.DAMAGED: Tone.BAD,
    BackupState.UNFINISHED: Tone.ACCENT,
    BackupState.INCREMENTAL: Tone.GOOD,
}
_RANK = {
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
KIND = 15  # cells of the kind column in the detail


def part_name(kind: str) -> str:
    return _PARTS.get(kind, kind)


def parts_said(backup: Backup) -> str:
    """`no Redis; MongoDB empty; files`: what is missing and what is bad first; the manifest goes without saying."""
    missing = [f"no {part_name(kind)}" for kind in backup.missing]
    bad = [f"{part_name(part.kind)} {part.note or 'damaged'}" for part in backup.parts if not part.ok]
    good = dict.fromkeys(part_name(part.kind) for part in backup.parts if part.ok and part.kind != "manifest")
    return "; ".join(", ".join(group) for group in (missing, bad, good) if group) or "nothing recognised"


def local_time(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def summary(snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Content]:
    """The alarm about the age of the newest good backup, if there is one; then where and how many."""
    lines: list[Content] = []
    for alert in snapshot.alerts:
        if alert.rule == AGE_RULE and alert.state is not AlertState.RESOLVED:
            lines += _banner(alert, width, glyphs)
    if not snapshot.backups:
        return [*lines, *wrapped(empty_said(snapshot), width, style=Tone.MUTED)]
    good = [backup for backup in snapshot.backups if backup.state is BackupState.GOOD and not backup.in_future]
    if not good:
        newest = Content.styled("none of them is good", Tone.BAD)
    else:
        newest = Content.assemble(
            "newest good one ", (ago(max(each.taken_at for each in good), snapshot.sampled_at), "")
        )
    counted = f"{plural(len(snapshot.backups), 'backup')}, {len(good)} good"
    total = size(sum(backup.size_bytes for backup in snapshot.backups))
    where = snapshot.stack.backup_directory if snapshot.stack else ""
    where = shorten_middle(where, max(16, width - 3), ellipsis=glyphs.ellipsis)
    facts = [Content.styled(counted, Tone.STRONG), newest, fact("together", total)]
    return [*lines, *flowed([*facts, fact("in", where) if where else Content("")], width, gap=3)]


def _banner(alert: Alert, width: int, glyphs: Glyphs) -> list[Content]:
    tone = severity_tone(alert.severity)
    lines = wrapped(f"{sign(tone, glyphs)} {alert.message}", width, style=tone)
    if alert.action:
        lines += wrapped(f"{glyphs.arrow} {alert.action}", width, style=Tone.ACCENT)
    return lines[:LONGEST_BANNER]


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
    return f"No backup in {where}. Looked for: {READ_LAYOUTS}."


def detail(backup: Backup, now: datetime, width: int, glyphs: Glyphs) -> list[Content]:
    """What is wrong with it, where it is, and every part with its size."""
    tone = _TONE[backup.state]
    state = f"{sign(tone, glyphs)} {backup.state.value}"
    lines = [Content.assemble((state, tone), "  ", (printable(backup.id), Tone.STRONG))]
    if backup.problem:
        lines += wrapped(backup.problem, width, style=tone)
    if backup.missing:
        missing = " and no ".join(part_name(kind) for kind in backup.missing)
        unfinished = backup.state is BackupState.UNFINISHED
        said = f"So far no {missing} in it." if unfinished else f"There is no {missing} in it, and this stack needs it."
        lines += wrapped(f"{glyphs.warning} {said}", width, style=tone)
    if backup.in_future:
        said = "Its date lies in the future: it is not counted as the newest. Check the clock that wrote it."
        lines += wrapped(f"{glyphs.warning} {said}", width, style=Tone.WARNING)
    if backup.note:
        lines += wrapped(backup.note, width, style=Tone.MUTED)
    facts = [
        fact("taken", f"{local_time(backup.taken_at)} ({ago(backup.taken_at, now)})"),
        fact("size", size(backup.size_bytes)),
        fact("layout", backup.layout),
        fact("path", shorten_middle(backup.path, max(16, width - 5), ellipsis=glyphs.ellipsis)),
    ]
    lines += flowed(facts, width, gap=3)
    for part in backup.parts:
        lines.append(_part(part, width, glyphs))
    return lines


def _part(part: BackupPart, width: int, glyphs: Glyphs) -> Content:
    tone = Tone.GOOD if part.ok else Tone.BAD
    path = max(8, min(40, width - KIND - 2 - 11 - 20))
    return Content.assemble(
        (f"{sign(tone, glyphs)} ", tone),
        fit(part_name(part.kind), KIND, ellipsis=glyphs.ellipsis),
        fit(size(part.size_bytes), 9, right=True),
        "  ",
        (fit(shorten_middle(part.path, path, ellipsis=glyphs.ellipsis), path), Tone.MUTED),
        "  ",
        (printable(part.note), "" if part.ok else Tone.BAD),
    )


class BackupsPane(RowsAndDetail[Backup]):
    pane_id = "backups"
    title = "Backups"
    letter = "b"
    topics = frozenset({"backups"})
    sources = ("backups",)

    def make_table(self) -> RowTable[Backup]:
        return RowTable(
            self._columns(),
            key=lambda backup: backup.path or backup.id,
            empty="No backup yet.",
            marks=False,
            search=lambda one: f"{one.id} {one.state} {one.layout} {parts_said(one)} {one.problem} {one.note}",
        )

    def _columns(self) -> tuple[Column[Backup], ...]:
        return (
            Column("state", "State", 12, self._state, order=lambda backup: _RANK[backup.state]),
            Column("id", "Backup", 15, lambda backup: backup.id, grow=True, most=28),
            Column("age", "Age", 8, self._age, align="right", order=lambda backup: backup.taken_at, descending=True),
            Column(
                "size",
                "Size",
                9,
                lambda backup: size(backup.size_bytes),
                priority=1,
                align="right",
                order=lambda backup: backup.size_bytes,
                descending=True,
            ),
            Column("parts", "Parts", 20, self._parts, priority=2, grow=True, most=70),
            Column("taken", "Taken (local)", 16, lambda backup: local_time(backup.taken_at)[:16], priority=3),
            # Wider than its words: on 120 cells the room is better used by the parts.
            Column("layout", "Layout", 30, lambda backup: backup.layout, priority=4),
        )

    def _state(self, backup: Backup) -> CellText:
        tone = _TONE[backup.state]
        return f"{sign(tone, self.glyphs)} {backup.state.value}", tone

    def _age(self, backup: Backup) -> CellText:
        return age(backup.taken_at, self.now), Tone.WARNING if backup.in_future else Tone.PLAIN

    def _parts(self, backup: Backup) -> CellText:
        return parts_said(backup), Tone.PLAIN if _TONE[backup.state] is Tone.GOOD else _TONE[backup.state]

    def show(self, snapshot: Snapshot) -> None:
        glyphs = self.glyphs
        self.show_rows(snapshot.backups, snapshot.sampled_at, lambda width: summary(snapshot, width, glyphs))

    def detail_of(self, record: Backup, width: int) -> Sequence[Content]:
        return detail(record, self.now, width, self.glyphs)
