"""MongoDB restored to a second: which ranges can be had, and the second in one of them. Then what of it is restored.

A range has no gap: what was not saved in between is another range. Nothing is read and nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from textual import events
from textual.content import Content
from textual.widget import Widget

from opsconsole.backups import oplog_ranges, seconds
from opsconsole.backups.oplog_ranges import Range
from opsconsole.model import MongoStatus, Snapshot, SourceError
from opsconsole.ui.keys import Action
from opsconsole.ui.operating import NO_SITE
from opsconsole.ui.screens import moment_lines
from opsconsole.ui.screens.acting import ON_TOP, ActingScreen
from opsconsole.ui.widgets.columns import Column
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.widgets.sheet import Sheet
from opsconsole.ui.wording import duration

FIELDS = tuple(seconds.STEPS)
_OF_A_SECOND = ("choose_pieces", "step", "field", "type_it", "edge")


class MomentScreen(ActingScreen):
    place = "second"
    actions = (
        Action("choose_pieces", ("enter",), "choose what", "Choose what of that second is restored; nothing runs yet.",
               footer=1, palette=False),
        Action("step(-1)", ("minus", "underscore"), "earlier", "Earlier by one of what is marked.", footer=3, shown="-",
               palette=False),
        Action("step(1)", ("plus", "equals_sign"), "later", "Later by one of what is marked.", footer=4, shown="+",
               palette=False),
        Action("field(-1)", ("left",), "unit", "Mark day, hour, minute or second: + and - change what is marked.",
               footer=5, shown="Left Right", palette=False),
        Action("field(1)", ("right",), "Unit", "Mark the next one.", palette=False),
        Action("type_it", ("t",), "type", "Type the second.", footer=6, palette=False),
        Action("edge(0)", ("home", "g"), "first", "Go to the first second of the range.", footer=7, shown="g",
               palette=False),
        Action("edge(1)", ("end", "G"), "last", "Go to the last second of the range.", footer=8, shown="G",
               palette=False),
        Action("convert", ("C",), "make it a set", "Show the plan that makes the standalone MongoDB a replica set.",
               footer=9, changes=True, opens=True, palette=False),
        Action("close", ("escape", "q"), "back", "Go back; nothing is done.", footer=2, palette=False),
        *ON_TOP,
    )  # fmt: skip
    first = tuple(one for one in actions if one.run.startswith(("edge", "field")))
    DEFAULT_CSS = """
    MomentScreen > .moment-head { height: auto; padding: 0 1; }
    MomentScreen > RowTable { height: auto; max-height: 40%; min-height: 3; }
    MomentScreen > RowTable RowLines { height: auto; max-height: 100%; }
    MomentScreen > .moment-said { height: 1fr; padding: 1 1 0 1; }
    MomentScreen.-flat > .moment-said { padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.shown: tuple[Range, ...] = ()
        self.at: datetime | None = None
        self._marked = len(FIELDS) - 1
        self._said = ""
        self._title = Sheet(classes="moment-head")
        self._below = Sheet(classes="moment-said")
        self.table: RowTable[Range] = RowTable(
            (
                Column("first", "First second", 19, lambda one: seconds.local(one.first), sortable=False),
                Column("last", "Last second", 19, lambda one: seconds.local(one.last), sortable=False),
                Column("length", "Length", 8, lambda one: duration((one.last - one.first).total_seconds() + 1),
                       align="right", sortable=False),
                Column("base", "Full backup", 15, lambda one: one.chain.base, priority=1, sortable=False),
                Column("slices", "Incremental", 11, lambda one: str(len(one.chain.slices)), priority=2, align="right",
                       sortable=False),
                Column("part", "Server", 10, lambda one: one.part, priority=3, grow=True, most=30, sortable=False),
            ),
            key=lambda one: f"{one.part} {one.first}",
            marks=False,
            filters=False,
            empty="",
        )  # fmt: skip

    def heading(self) -> Content:
        return Content("Restore MongoDB to a second")

    def body(self) -> Iterable[Widget]:
        yield self._title
        yield self.table
        yield self._below

    def opened(self) -> None:
        self.say_heading()
        snapshot = self.console_app.snapshot
        if snapshot is not None:
            self.receive(snapshot)
        self.table.focus()

    def receive(self, snapshot: Snapshot) -> None:
        """Backups come and go: what is chosen stays where it can still be had."""
        shown = oplog_ranges.ranges(snapshot.backups)
        self.shown = shown
        newest_first = list(reversed(shown))
        if self.at is None or seconds.range_of(self.at, shown) is None:
            self._said = "The second that was chosen cannot be had any more." if self.at is not None else ""
            self.at = newest_first[0].last if newest_first else None
        self.table.display = bool(shown)
        self.table.show(newest_first)
        self._show()

    @property
    def within(self) -> Range | None:
        """The range under the cursor."""
        return self.table.current

    def _show(self) -> None:
        glyphs, now, snapshot = self.glyphs, self.console_app.clock(), self.console_app.snapshot
        at, within, marked, said = self.at, self.within, FIELDS[self._marked], self._said
        shown, backups = self.shown, snapshot.backups if snapshot else ()
        self._title.paint(lambda width: moment_lines.head(shown, width))
        if at is None or within is None:
            databases = snapshot.databases if snapshot else ()
            self._below.paint(lambda width: moment_lines.nothing(backups, databases, width, glyphs))
        else:
            chain = oplog_ranges.chain_to(backups, within.part, at)
            self._below.paint(lambda width: moment_lines.chosen(at, within, chain, marked, said, now, width, glyphs))
        self.say_keys()

    # --- keys --------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "convert":
            return not self.shown and self._standalone() is not None
        return bool(self.shown) or action not in _OF_A_SECOND

    def _standalone(self) -> MongoStatus | None:
        snapshot = self.console_app.snapshot
        return moment_lines.standalone(snapshot.databases if snapshot else ())

    def _set(self, at: datetime, said: str = "") -> None:
        self.at, self._said = at, said
        self._show()

    def on_row_table_moved(self, event: RowTable.Moved) -> None:
        event.stop()
        within = self.within
        if within is not None and self.at is not None and not within.first <= self.at <= within.last:
            self._set(within.last)
        else:
            self._show()

    def on_row_table_chosen(self, event: RowTable.Chosen) -> None:
        event.stop()
        self.action_choose_pieces()

    def on_key(self, event: events.Key) -> None:
        if self.shown and (event.character or "").isdecimal():
            event.stop()
            self._type(str(event.character))

    def action_step(self, direction: int) -> None:
        if self.at is None or self.within is None:
            return
        wanted = self.at + direction * seconds.STEPS[FIELDS[self._marked]]
        at = seconds.held(wanted, self.within)
        edge = "first" if wanted < at else "last"
        self._set(at, "" if at == wanted else f"This is the {edge} second of the range: there is nothing beyond it.")

    def action_field(self, direction: int) -> None:
        self._marked = max(0, min(len(FIELDS) - 1, self._marked + direction))
        self._show()

    def action_edge(self, which: int) -> None:
        if self.within is not None:
            self._set(self.within.last if which else self.within.first)

    def action_type_it(self) -> None:
        self._type(seconds.local(self.at) if self.at is not None else "")

    def _type(self, value: str) -> None:
        from opsconsole.ui.screens.asking import AskingScreen

        day, shown = self.at, self.shown
        if day is None:
            return

        def wrong(text: str) -> str:
            try:
                at = seconds.typed(text, day)
            except SourceError as error:
                return f"{error.problem[:1].upper()}{error.problem[1:]}. {error.hint}"
            return "" if seconds.range_of(at, shown) is not None else seconds.why_not(at, shown)

        def typed(text: str | None) -> None:
            if text is None:
                return
            at = seconds.typed(text, day)
            number = seconds.range_of(at, shown)
            if number is not None:
                one = shown[number]
                self.at = at
                self.table.move_to(f"{one.part} {one.first}")
                self._set(at)

        said = [f"By the clock of this host ({seconds.zone_said(day)}). A time alone is of {seconds.local(day)[:10]}."]
        hint = "Enter takes it, Esc leaves it as it is. Everything written in that second is in it."
        self.app.push_screen(AskingScreen("To which second", said, hint, value, wrong), typed)

    def action_choose_pieces(self) -> None:
        app, within, at = self.console_app, self.within, self.at
        if within is None or at is None:
            return
        if app.operating.refused(changes=True):  # which the status line says, and that is covered here
            self._set(at, NO_SITE if app.operating.site is None else "This console is read-only: nothing is planned.")
            return
        backups = app.snapshot.backups if app.snapshot else ()
        chain = oplog_ranges.chain_to(backups, within.part, at)
        base = next((one for one in backups if chain is not None and one.id == chain.base), None)
        if base is None:
            self._set(at, "The backups of this second are not there any more.")
            return
        from opsconsole.ui.screens.restore_second import RestoreSecondScreen

        self.app.push_screen(RestoreSecondScreen(base, within.part, at, self._begun))

    def _begun(self) -> None:
        """The restore runs: Esc there leads back to the backups."""
        self.dismiss()

    def action_convert(self) -> None:
        from opsconsole.operations.requests import Request

        standalone = self._standalone()
        if standalone is not None:
            request = Request(what="replica-set", server=standalone.target.name)
            self.console_app.operating.plan(request, "replica set of one node", begun=self._begun)

    def action_close(self) -> None:
        self.dismiss()
