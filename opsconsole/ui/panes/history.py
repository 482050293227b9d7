"""Who did what to this stack, when, from where, with what result, how long: newest first.

The records are read on a thread when the pane is opened and when an operation begins or ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from opsconsole.model import Snapshot, SourceError
from opsconsole.operations.past import Past
from opsconsole.text import printable
from opsconsole.ui.keys import Action
from opsconsole.ui.panes.rows_and_detail import RowsAndDetail
from opsconsole.ui.widgets.columns import CellText, Column
from opsconsole.ui.widgets.lines import fact, flowed, wrapped
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.wording import Glyphs, Tone, ago, clock, plural, sign

_TONES = {
    "done": Tone.GOOD,
    "failed": Tone.BAD,
    "refused": Tone.MUTED,
    "cancelled": Tone.WARNING,
    "rolled-back": Tone.BAD,
    "rollback-failed": Tone.BAD,
    "running": Tone.ACCENT,
    "half done": Tone.BAD,
    "killed before it did anything": Tone.MUTED,
}
_SHORT = {
    "killed before it did anything": "nothing done",
    "rollback-failed": "way back failed",
    "rolled-back": "rolled back",
}


def result_of(one: Past) -> tuple[str, Tone]:
    """In a word or two, and how bad it is."""
    if one.result == "half done" and one.resolved:
        return "half done, resolved", Tone.MUTED
    if one.less:
        return f"{_SHORT.get(one.result, one.result)}, less data", Tone.BAD
    return _SHORT.get(one.result, one.result), _TONES.get(one.result, Tone.PLAIN)


def detail(one: Past, width: int, glyphs: Glyphs) -> list[Content]:
    """What is known without opening it."""
    word, tone = result_of(one)
    lines = [Content.assemble((f"{sign(tone, glyphs)} {word}", tone), "  ", (printable(one.title), Tone.STRONG))]
    if one.problem:
        lines += wrapped(one.problem, width, style=tone)
    for less in one.less:
        lines += wrapped(f"less than before: {less}", width, style=Tone.BAD)
    facts = [
        fact("began", one.began.astimezone().strftime("%Y-%m-%d %H:%M:%S")),
        fact("took", clock(one.seconds)),
        fact("by", one.who.words() if one.who else "?"),
        fact("exit code", "-" if one.exit_code is None else str(one.exit_code)),
        fact("id", one.operation),
    ]
    return [*lines, *flowed(facts, width, gap=3)]


def _searched(one: Past) -> str:
    return f"{one.result} {one.title} {one.who.words() if one.who else ''} {one.operation} {one.problem}"


class HistoryPane(RowsAndDetail[Past]):
    pane_id = "history"
    title = "History"
    letter = "h"
    sources = ()
    actions = (
        Action("open_operation", ("enter",), "open", "Show the operation: steps, output, result; live while it runs.",
               footer=10),
        Action("save", ("S",), "save", "Save the operation as Markdown to a file.", footer=20),
        Action("verify", ("V",), "verify", "Check every record against the chain; say which one was touched.",
               footer=21),
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._past: tuple[Past, ...] = ()
        self._looked = False
        self._reading = False
        self._again = False
        self._problem = ""
        self._verified: list[tuple[str, Tone]] = []

    def make_table(self) -> RowTable[Past]:
        return RowTable(
            (
                Column("result", "Result", 12, self._result, grow=True, most=21),
                Column("began", "Began (local)", 19, self._began, order=lambda one: one.began, descending=True),
                Column("took", "Took", 7, lambda one: clock(one.seconds), priority=2, align="right",
                       order=lambda one: one.seconds, descending=True),
                Column("title", "What", 18, lambda one: one.title, grow=True, most=70),
                Column("who", "Who", 8, lambda one: one.who.login if one.who else "?", priority=1, grow=True, most=24),
                Column("source", "From", 9, lambda one: (one.who.source if one.who else "") or "this host", priority=3,
                       grow=True, most=40),
                Column("problem", "Problem", 20, lambda one: (one.problem, Tone.MUTED), priority=4, grow=True, most=80),
            ),
            key=lambda one: one.operation,
            empty="",
            marks=False,
            search=_searched,
        )  # fmt: skip

    def _result(self, one: Past) -> CellText:
        word, tone = result_of(one)
        return f"{sign(tone, self.glyphs)} {word}", tone

    def _began(self, one: Past) -> CellText:
        return one.began.astimezone().strftime("%Y-%m-%d %H:%M:%S")

    # --- reading -------------------------------------------------------------------------------------

    def entered(self) -> None:
        self._read()

    def operations_changed(self) -> None:
        """An operation began, went on or ended."""
        self._read()

    def _read(self) -> None:
        site = self.console_app.operating.site
        if site is None:
            self._looked = True
            return
        if self._reading:
            self._again = True
            return
        self._reading = True
        known = {one.operation: one for one in self._past}

        def read() -> tuple[Past, ...] | SourceError:
            from opsconsole.operations import past

            try:
                return past.past(site.directory, known)
            except SourceError as error:
                return error

        self.console_app.aside(read, self._have_read, "history")

    def _have_read(self, found: tuple[Past, ...] | SourceError) -> None:
        self._reading, self._looked = False, True
        if isinstance(found, SourceError):
            self._problem = f"{found.problem}. {found.hint}".strip()
        else:
            self._past, self._problem = found, ""
        self.say()
        if self._again:
            self._again = False
            self._read()

    # --- showing -------------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        self.say()

    def say(self) -> None:
        glyphs = self.glyphs
        self.show_rows(self._past, self.console_app.clock(), lambda width: self._summary(width, glyphs))
        self.console_app.refresh_footer()

    def _summary(self, width: int, glyphs: Glyphs) -> list[Content]:
        if self._problem:
            return wrapped(f"{glyphs.bad} {self._problem}", width, style=Tone.BAD)
        if not self._past:
            return wrapped(self._empty(), width, style=Tone.MUTED)
        bad = len([one for one in self._past if result_of(one)[1] is Tone.BAD])
        facts = [
            Content.styled(plural(len(self._past), "operation"), Tone.STRONG),
            Content.styled(f"{bad} failed or half done", Tone.WARNING) if bad else Content(""),
            Content.styled(f"last {ago(self._past[0].began, self.now)}", Tone.MUTED),
        ]
        lines = flowed(facts, width, gap=3)
        for text, tone in self._verified[:8]:
            lines += wrapped(text, width, style=tone)
        return lines

    def _empty(self) -> str:
        if not self._looked:
            return "Reading the records."
        if self.console_app.operating.site is None:
            return "This is the demo: no operation was ever run on it."
        return "No operation yet. d opens the menu; what is done there stands here, with its output."

    def detail_of(self, record: Past, width: int) -> Sequence[Content]:
        return detail(record, width, self.glyphs)

    # --- keys ----------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("open_operation", "save"):
            return self.table.current is not None
        if action == "verify":
            return bool(self._past)
        return super().check_action(action, parameters)

    def on_row_table_chosen(self, event: RowTable.Chosen) -> None:
        event.prevent_default()  # of the base: it would open the detail, too
        self.action_open_operation()

    def action_open_operation(self) -> None:
        if self.table.current is not None:
            self.console_app.operating.open(self.table.current.operation)

    def action_save(self) -> None:
        operating = self.console_app.operating
        if self.table.current is not None and operating.site is not None:
            operating.save_report(operating.place(self.table.current.operation))

    def action_verify(self) -> None:
        site = self.console_app.operating.site
        if site is None:
            return
        glyphs = self.glyphs

        def verify() -> list[tuple[str, Tone]]:
            from opsconsole.operations import chain

            try:
                problems = chain.verify(site.directory)
            except (SourceError, OSError) as error:
                return [(f"{glyphs.bad} The records cannot be checked: {error}", Tone.BAD)]
            if not problems:
                return [(f"{glyphs.good} Every record is as it was written.", Tone.GOOD)]
            return [(f"{glyphs.bad} {one.where} {one.what}", Tone.BAD) for one in problems]

        self._verified = [(f"{glyphs.busy} Checking every record.", Tone.ACCENT)]
        self.say()
        self.console_app.aside(verify, self._have_verified, "verify")

    def _have_verified(self, said: list[tuple[str, Tone]]) -> None:
        more = len(said) - 7
        self._verified = said if more <= 1 else [*said[:7], (f"and {more} more: opsconsole history --verify", Tone.BAD)]
        for text, tone in said:
            self.console_app.note(text[2:], tone)
        self.say()

    def back(self) -> bool:
        if super().back():
            return True
        if self._verified:
            self._verified = []
            self.say()
            return True
        return False
