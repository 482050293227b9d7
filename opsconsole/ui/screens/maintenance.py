"""The runbook's tasks: what is proven, what somebody ticked, what is due. Enter ticks, or takes a tick back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from opsconsole.maintenance.due import Row, State
from opsconsole.maintenance.listing import Listing, listing, tick
from opsconsole.maintenance.ticks import Ticks
from opsconsole.model import Snapshot, SourceError
from opsconsole.runbook_tasks import Every
from opsconsole.text import printable
from opsconsole.ui import standing
from opsconsole.ui.screens.picking import PickingScreen
from opsconsole.ui.widgets.columns import CellText, Column
from opsconsole.ui.widgets.footer import keys_line
from opsconsole.ui.widgets.lines import wrapped
from opsconsole.ui.widgets.operation_line import OperationLine
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.widgets.sheet import Sheet
from opsconsole.ui.wording import Glyphs, Tone, sign

if TYPE_CHECKING:
    from opsconsole.config import Config
    from opsconsole.maintenance.images import Asked
    from opsconsole.persistence.verdict import Verdict

KEYS = "Enter tick, or take a tick back   / filter   Esc back"
_TONES = {State.DUE: Tone.WARNING, State.PROVEN: Tone.GOOD, State.TICKED: Tone.GOOD}


def known(row: Row) -> str:
    """What is known of a task, in a few words."""
    if row.tick is not None:
        return f"{row.tick.at.astimezone():%Y-%m-%d %H:%M} by {row.tick.who}"
    return row.said


def detail(row: Row, width: int, glyphs: Glyphs) -> list[Content]:
    """The row in full: what is known, how it is done, when it was done before."""
    tone = _TONES[row.state]
    head = Content.assemble(
        (f"{sign(tone, glyphs)} {row.state.value}", tone), "  ", (printable(row.task.title), Tone.STRONG)
    )
    lines = [head, *wrapped(known(row) + (f": {row.tick.note}" if row.tick and row.tick.note else ""), width)]
    if row.task.how:
        lines += wrapped(f"{glyphs.arrow} {row.task.how}", width, style=Tone.ACCENT)
    since = "" if row.task.every is Every.DAILY else f" since {row.since:%Y-%m-%d}"
    facts = f"{row.task.every.value}, {row.slot}{since}; its name is {row.task.name}"
    if row.last is not None and row.last != row.tick:
        facts += f"; last ticked {row.last.at.astimezone():%Y-%m-%d} by {row.last.who}"
    return [*lines, *wrapped(facts, width, style=Tone.MUTED)]


class MaintenanceScreen(PickingScreen[Row, None]):
    DEFAULT_CSS = """
    MaintenanceScreen RowTable { height: 1fr; }
    MaintenanceScreen .detail { padding: 0 1; margin-top: 1; height: auto; max-height: 8; }
    MaintenanceScreen.-flat .detail { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._files: tuple[Config, Ticks, Verdict | None, Asked | None] | None = None
        self._listing = Listing()
        self._problem = ""
        self._detail = Sheet(classes="detail")

    @property
    def keys_line(self) -> str:  # type: ignore[override]
        return "/ filter   Esc back" if self.console_app.read_only else KEYS

    def heading(self) -> Content:
        if self._files is None:
            return Content.assemble("Maintenance", ("   reading the ticks", Tone.MUTED))
        due = len(self._listing.due)
        rest = len(self._listing.rows) - due
        return Content.assemble(
            "Maintenance   ",
            (f"{due} due", Tone.WARNING) if due else ("nothing is due", Tone.GOOD),
            (f"   {rest} proven or ticked", Tone.MUTED),
            (f"   {printable(self._problem)}" if self._problem else "", Tone.BAD),
        )

    def make_table(self) -> RowTable[Row]:
        return RowTable(
            (
                Column("state", "State", 9, self._state, sortable=False),
                Column("task", "Task", 20, lambda row: row.task.title, grow=True, most=40, sortable=False),
                Column("every", "Every", 9, lambda row: row.task.every.value, sortable=False),
                Column("known", "What is known", 20, lambda row: (known(row), Tone.MUTED), priority=1, grow=True,
                       most=110, sortable=False),
            ),
            key=lambda row: row.task.name,
            empty="",
            marks=False,
            search=lambda row: f"{row.task.title} {row.task.name} {row.task.every} {row.state} {row.said}",
        )  # fmt: skip

    def _state(self, row: Row) -> CellText:
        tone = _TONES[row.state]
        return f"{sign(tone, self.console_app.glyphs)} {row.state.value}", tone

    def compose(self) -> ComposeResult:
        yield Static(self.heading(), classes="heading", markup=False)
        yield OperationLine()
        self.table = self.make_table()
        yield self.table
        yield self._detail
        yield Static(keys_line(f"{self.keys_line}{self.help_key}"), classes="keys", markup=False)

    def records(self) -> list[Row]:
        return list(self._listing.rows)

    def opened(self) -> None:
        self._read()

    def receive(self, snapshot: Snapshot) -> None:
        """Called by the shell with each Snapshot: what it proves may be more, or less."""
        self._say()

    # --- reading and showing -------------------------------------------------------------------------

    def _read(self) -> None:
        app = self.console_app

        def read() -> tuple[Config, Ticks, Verdict | None, Asked | None] | SourceError:
            try:
                kept = standing.ledger(app)
                ticks = kept.read() if kept is not None else Ticks()
                return standing.settings(app), ticks, standing.persistence(app), standing.images(app)
            except SourceError as error:
                return error

        def have(found: tuple[Config, Ticks, Verdict | None, Asked | None] | SourceError) -> None:
            if isinstance(found, SourceError):
                self._problem = found.problem
            else:
                self._files, self._problem = found, found[1].problem
            if self.is_mounted:
                self._say()

        app.aside(read, have, "maintenance")

    def _say(self) -> None:
        app = self.console_app
        if self._files is not None and app.snapshot is not None:
            config, ticks, verdict, asked = self._files
            self._listing = listing(config, ticks, app.snapshot, verdict, app.clock(), asked=asked)
            self.table.show(self.records())
        self.query_one(".heading", Static).update(self.heading())
        self._show_detail()

    def _show_detail(self) -> None:
        row, glyphs = self.table.current, self.console_app.glyphs
        self._detail.paint(lambda width: detail(row, width, glyphs) if row is not None else ())

    def on_row_table_moved(self, event: RowTable.Moved) -> None:
        self._show_detail()

    # --- ticking -------------------------------------------------------------------------------------

    def taken(self, record: Row) -> None:
        if self.console_app.read_only:
            return
        if record.tick is not None:
            self._ask_back(record)
        else:
            self._ask(record)

    def _ask(self, row: Row) -> None:
        from opsconsole.ui.screens.asking import AskingScreen

        said = [f"{row.task.every.value}, {row.slot}: {row.said}", *([row.task.how] if row.task.how else [])]
        self.app.push_screen(
            AskingScreen(
                f"Tick: {row.task.title}", said, "A word about it may stay empty. Enter ticks it, Esc does not."
            ),
            lambda note: self._write(row, note=note) if note is not None else None,
        )

    def _ask_back(self, row: Row) -> None:
        from opsconsole.ui.screens.confirm import ConfirmScreen

        said: Sequence[Content] = [Content(printable(f"Ticked {known(row)}.")), Content("It is due again then.")]
        self.app.push_screen(
            ConfirmScreen(f"Take the tick of {row.task.title} back?", said, "Take it back"),
            lambda agreed: self._write(row, undone=True) if agreed else None,
        )

    def _write(self, row: Row, *, note: str = "", undone: bool = False) -> None:
        app = self.console_app

        def write() -> str:
            from opsconsole.operations.who import current

            try:
                kept = standing.ledger(app)
                if kept is None:
                    return "there is no stack to write it for"
                tick([row.task], kept, row.task.name, current().words(), app.clock(), note=note, undone=undone)
            except SourceError as error:
                return f"{error.problem}. {error.hint}".strip()
            return ""

        def written(problem: str) -> None:
            if problem:
                app.report(f"{row.task.title} was left as it is: {problem}", Tone.BAD)
                self._problem = problem
            else:
                app.note(f"{row.task.title}: {'not ticked any more' if undone else 'ticked'}.", Tone.GOOD)
            if self.is_mounted:
                self._read()

        app.in_background(write, written, f"tick {row.task.name}")
