"""Every backup that was found, newest first: how good it is, what is in it, why it is kept. What is done with one ends
in a plan; only a pin is written at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from textual.content import Content

from opsconsole.model import Backup, BackupContents, Snapshot, SourceError
from opsconsole.operations.requests import Request
from opsconsole.ui.keys import Action
from opsconsole.ui.panes.backup_choices import levels, saves
from opsconsole.ui.panes.backup_lines import contents_lines, detail
from opsconsole.ui.panes.backup_rows import (
    RANK,
    change_said,
    class_said,
    copies_said,
    is_restorable,
    kept_said,
    level_said,
    local_time,
    name_said,
    parts_said,
    state_of,
    summary,
)
from opsconsole.ui.panes.backup_schedule import schedule_said
from opsconsole.ui.panes.rows_and_detail import RowsAndDetail
from opsconsole.ui.screens.choosing import Choice, ChoosingScreen
from opsconsole.ui.widgets.columns import CellText, Column
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.wording import Tone, age, sign, size


class BackupsPane(RowsAndDetail[Backup]):
    pane_id = "backups"
    title = "Backups"
    letter = "b"
    topics = frozenset({"backups", "databases"})  # details hold a backup against what is there now
    sources = ("backups",)
    actions = (
        *RowsAndDetail.actions,
        Action("create", ("B",), "back up", "Make a backup: choose of what, a plan is shown first.", footer=12,
               changes=True, opens=True),
        Action("restore", ("R",), "restore", "Restore this backup, whole or in part; a plan is shown first.", footer=13,
               changes=True, opens=True),
        Action("verify", ("V",), "verify", "Verify this backup: choose how far.", footer=14, changes=True, opens=True),
        Action("pin", ("p",), "pin/unpin", "Keep this backup whatever the rules say, or let the rules decide again.",
               footer=16, changes=True, opens=True),
        Action("prune", ("P",), "prune plan", "Show which backups no rule keeps and why; removing them is asked.",
               footer=17),
        Action("to_second", ("t",), "to a second", "Restore MongoDB to a second, of the ranges that can be had.",
               footer=18),
        Action("export", ("E",), "export", "Write collections of this backup as JSON files: choose which.", footer=20,
               changes=True, opens=True),
        Action("import_json", ("I",), "import", "Import a JSON file into a collection; a plan is shown first.",
               footer=21, changes=True, opens=True),
        Action("undo_restore", ("U",), "undo restore", "Bring back what the last restore replaced; a plan comes first.",
               footer=19, changes=True, opens=True),
        Action("schedule", ("S",), "schedule", "Show the schedule: installed, what comes next, what was done last.",
               footer=22),
        Action("copy_away", (), "copy off this host", "Copy this backup to the place that the settings name.",
               changes=True, opens=True),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._snapshot: Snapshot | None = None
        self._inside: tuple[Backup, BackupContents] | None = None
        self._asked: Backup | None = None
        self._schedule: tuple[Content, ...] = ()
        self._scheduled_for: datetime | None = None  # the look at the backups that it was read for

    def make_table(self) -> RowTable[Backup]:
        return RowTable(
            self._columns(),
            key=lambda backup: backup.path or backup.id,
            empty="No backup yet.",
            marks=False,
            search=lambda one: (
                f"{one.id} {state_of(one)[0]} {class_said(one)} {one.layout} {parts_said(one)} {one.problem} "
                f"{one.note} {one.why}"
            ),
        )

    def _columns(self) -> tuple[Column[Backup], ...]:
        """80 cells have room for those of priority 0 and 1."""
        return (
            Column("state", "State", 13, self._state, order=lambda backup: RANK[backup.state]),
            Column("id", "Backup", 15, name_said, grow=True, most=29),
            Column("age", "Age", 7, self._age, align="right", order=lambda backup: backup.taken_at, descending=True),
            Column("size", "Size", 10, lambda backup: size(backup.size_bytes), priority=1, align="right",
                   order=lambda backup: backup.size_bytes, descending=True),
            Column("change", "Change", 6, self._change, priority=1, align="right", sortable=False),
            Column("level", "Verified", 9, self._level, priority=1,
                   order=lambda backup: -1 if backup.checked_level is None else backup.checked_level, descending=True),
            Column("class", "Class", 9, class_said, priority=2, grow=True, most=18),
            Column("parts", "Parts", 29, self._parts, priority=3, grow=True, most=50),
            Column("kept", "Why kept", 32, kept_said, priority=4, grow=True, most=70),
            Column("copies", "Copied to", 15, copies_said, priority=5, grow=True, most=40),
            Column("taken", "Taken (local)", 16, lambda backup: local_time(backup.taken_at)[:16], priority=6),
            Column("checked", "Verified (local)", 16, lambda backup: local_time(backup.checked_at)[:16]
                   if backup.checked_at else "", priority=8),
            Column("layout", "Layout", 10, lambda backup: backup.layout, priority=7),
        )  # fmt: skip

    def _state(self, backup: Backup) -> CellText:
        word, tone = state_of(backup)
        return f"{sign(tone, self.glyphs)} {word}", tone

    def _age(self, backup: Backup) -> CellText:
        return age(backup.taken_at, self.now), Tone.WARNING if backup.in_future else Tone.PLAIN

    def _change(self, backup: Backup) -> CellText:
        return change_said(backup, self._backups)

    def _level(self, backup: Backup) -> CellText:
        return level_said(backup, self.now)

    def _parts(self, backup: Backup) -> CellText:
        tone = state_of(backup)[1]
        return parts_said(backup), Tone.PLAIN if tone is Tone.GOOD else tone

    # --- showing -----------------------------------------------------------------------------------

    @property
    def _backups(self) -> Sequence[Backup]:
        return self._snapshot.backups if self._snapshot is not None else ()

    def show(self, snapshot: Snapshot) -> None:
        glyphs, before = self.glyphs, self._snapshot
        self._snapshot = snapshot
        self._read_schedule(snapshot)
        self.show_rows(
            snapshot.backups, snapshot.sampled_at, lambda width: summary(snapshot, width, glyphs, self._schedule)
        )
        if before is not None and before.backups != snapshot.backups:
            self.table.measure()  # one was pinned, verified or copied
        if self.detail.is_open:
            self._look_inside()

    def _read_schedule(self, snapshot: Snapshot) -> None:
        """What comes next, read again with each look at the backups: a few files, and `crontab -l`."""
        site, now = self.console_app.operating.site, self.console_app.clock()
        looked = snapshot.readings["backups"].sampled_at if "backups" in snapshot.readings else None
        if site is None or looked is None or looked == self._scheduled_for:
            return
        self._scheduled_for = looked

        def read() -> tuple[Content, ...]:
            from opsconsole.schedule.state import state

            try:
                return tuple(schedule_said(state(site.directory, site.config(), now, project=site.project), now))
            except SourceError:
                return ()  # the settings cannot be read: whatever uses them says so

        def have(found: tuple[Content, ...]) -> None:
            if found != self._schedule:
                self._schedule = found
                if self._snapshot is not None and self.is_mounted:
                    self.show(self._snapshot)

        self.console_app.aside(read, have, "schedule")

    def detail_of(self, record: Backup, width: int) -> Sequence[Content]:
        lines = detail(record, self.now, width, self.glyphs)
        snapshot = self._snapshot
        if not self.detail.is_open or snapshot is None:
            return lines
        inside = self._inside[1] if self._inside is not None and self._inside[0] == record else None
        more = contents_lines(record, inside, snapshot.backups, snapshot.databases, self.now, width, self.glyphs)
        return [*lines, *more]

    def action_open_detail(self) -> None:
        super().action_open_detail()
        self._show_detail()
        self._look_inside()

    def _close_detail(self) -> None:
        super()._close_detail()
        self._show_detail()

    def _look_inside(self) -> None:
        """Read the manifest of the backup that is open, once for as long as the list says the same of it."""
        backup, app = self.table.current, self.console_app
        if backup is None or backup == self._asked or app.monitor is None:
            return
        self._asked = backup
        source = app.sources.backups

        def have(found: BackupContents) -> None:
            self._inside = (backup, found)
            if self.is_mounted:
                self._show_detail()

        app.aside(lambda: source.look_inside(backup), have, "backup")

    # --- keys --------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("restore", "export", "verify", "pin", "copy_away"):
            current = self.table.current
            return current is not None and (action not in ("restore", "export") or is_restorable(current))
        if action == "prune":
            return bool(self._backups)
        return super().check_action(action, parameters)

    def _refused(self) -> bool:
        return self.console_app.operating.refused(changes=True)

    def action_create(self) -> None:
        if not self._refused():
            snapshot = self._snapshot
            self._choose("Back up", saves(snapshot.stack, snapshot.databases) if snapshot else saves(None))

    def action_restore(self) -> None:
        if self.table.current is not None:
            self.console_app.operating.restore(self.table.current)

    def action_export(self) -> None:
        backup = self.table.current
        if backup is not None and not self._refused():
            from opsconsole.ui.screens.exporting import ExportScreen

            self.app.push_screen(ExportScreen(backup))

    def action_to_second(self) -> None:
        from opsconsole.ui.screens.moment import MomentScreen

        self.app.push_screen(MomentScreen())

    def action_import_json(self) -> None:
        from opsconsole.ui.screens import importing

        importing.begin(self.console_app)

    def action_schedule(self) -> None:
        operating = self.console_app.operating
        if not operating.refused(plans=False) and operating.site is not None:
            from opsconsole.ui.screens.schedule import ScheduleScreen

            self.app.push_screen(ScheduleScreen(operating.site))

    def action_verify(self) -> None:
        backup = self.table.current
        if backup is not None and not self._refused():
            self._choose(f"Verify {backup.id}", levels([backup.id]))

    def _choose(self, title: str, found: Sequence[Choice]) -> None:
        operating = self.console_app.operating
        self.app.push_screen(
            ChoosingScreen(title, found),
            lambda chosen: operating.plan(chosen.request, chosen.label) if chosen else None,
        )

    def action_prune(self) -> None:
        self.console_app.operating.plan(Request(what="prune"), "prune")

    def action_copy_away(self) -> None:
        backup = self.table.current
        if backup is not None and not self._refused():
            self.console_app.operating.plan(Request(what="copy", backups=(backup.id,)), f"copy of {backup.id}")

    def action_undo_restore(self) -> None:
        if not self._refused():
            self.console_app.operating.plan(Request(what="undo-restore"), "undo of the last restore")

    def action_pin(self) -> None:
        backup = self.table.current
        if backup is None or self.console_app.operating.refused(changes=True, plans=False):
            return
        from opsconsole.ui.screens.asking import AskingScreen
        from opsconsole.ui.screens.confirm import ConfirmScreen

        if backup.pinned:
            said = [
                Content.styled(line, Tone.PLAIN) for line in ("The rules decide about it again.", "Nothing goes now.")
            ]
            self.app.push_screen(
                ConfirmScreen(f"Unpin {backup.id}?", said, "Unpin"),
                lambda agreed: self._pin(backup, pinned=False) if agreed else None,
            )
            return
        said_of_it = ["Nothing removes it until it is unpinned. What for? (may stay empty)"]
        self.app.push_screen(
            AskingScreen(f"Pin {backup.id}", said_of_it, "Enter pins it. Esc does not."),
            lambda why: self._pin(backup, pinned=True, why=why) if why is not None else None,
        )

    def _pin(self, backup: Backup, *, pinned: bool, why: str = "") -> None:
        app = self.console_app

        def write() -> str:
            from opsconsole.backups import marks

            try:
                marks.pin(backup, pinned=pinned, why=why)
            except SourceError as error:
                return f"{error.problem}. {error.hint}".strip()
            return ""

        def written(problem: str) -> None:
            if problem:
                app.report(f"{backup.id} was left as it is: {problem}", Tone.BAD)
            else:
                said = "is pinned: nothing removes it until it is unpinned" if pinned else "is not pinned any more"
                app.report(f"{backup.id} {said}.", Tone.GOOD)
                if app.monitor is not None:
                    app.monitor.refresh()

        app.in_background(write, written, f"pin {backup.id}")
