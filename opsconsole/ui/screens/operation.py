"""One operation: its steps with marks and times, what its commands write, and how it ended. Live while it runs.

The screen only reads the operation's files. Esc leaves it and it goes on; whoever opens it again sees the same.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from textual import events
from textual.containers import Container as Box
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget

from opsconsole.log_filter import Pattern, pattern
from opsconsole.model import SourceError
from opsconsole.operations.attached import Attached, Standing, last_words
from opsconsole.operations.course import Course, Mark, Part, StepCourse
from opsconsole.operations.journal import Result
from opsconsole.operations.plan import Kind
from opsconsole.operations.requests import Request
from opsconsole.text import printable
from opsconsole.ui.keys import Action
from opsconsole.ui.panes.logs import frame_seconds
from opsconsole.ui.screens import operation_lines
from opsconsole.ui.screens.acting import ON_TOP, ActingScreen
from opsconsole.ui.screens.operation_lines import mark_of
from opsconsole.ui.widgets.columns import CellText, Column
from opsconsole.ui.widgets.log_prompt import SEARCH, LogPrompt
from opsconsole.ui.widgets.log_rows import Times
from opsconsole.ui.widgets.log_view import LogView
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.widgets.scrolled import Scrolled
from opsconsole.ui.widgets.sheet import Sheet
from opsconsole.ui.wording import Tone, clock, plural

SIDE_BY_SIDE = 100  # cells
_AT_WORK = (Standing.BEGINNING, Standing.RUNNING)


class OperationScreen(ActingScreen):
    """`request` and `words` are what it was begun for, if it was begun here: to make the plan anew."""

    place = "running"
    actions = (
        Action("cancel", ("C",), "cancel it", "Ask the operation to end at the next safe point, after a question.",
               footer=3, changes=True, palette=False),
        Action("resolve('finish')", ("F",), "finish", "Show the plan that does the rest of a half-done operation.",
               footer=1, palette=False),
        Action("resolve('undo')", ("U",), "undo", "Show the plan that undoes a half-done operation.", footer=1,
               palette=False),
        Action("restore", ("R",), "restore", "Where data is missing: restore from the newest good backup, by a plan.",
               footer=1, changes=True, opens=True, palette=False),
        Action("anew", ("p",), "plan anew", "After a refusal: make the plan anew.", footer=1, palette=False),
        Action("search", ("slash", "backslash", "ctrl+f"), "search", "Search the output; n and N go on.", footer=10,
               palette=False),
        Action("next_hit(1)", ("n",), "Next hit", "Go to the next line that holds the searched text.", palette=False),
        Action("next_hit(-1)", ("N",), "Hit before", "Go to the line before that holds it.", palette=False),
        Action("follow", ("f",), "follow", "Follow the end of the output, or stay here.", footer=11, palette=False),
        Action("wrap", ("w",), "wrap", "Wrap long lines of the output, or cut them at the edge.", footer=12,
               palette=False),
        Action("other_side", ("tab",), "next part", "Go to the steps, the result or the output.", footer=13,
               palette=False),
        Action("other_side(-1)", ("shift+tab",), "Part before", "Go to the part before.", palette=False),
        Action("save", ("S",), "save", "Save the whole operation as Markdown to a file.", footer=14, palette=False),
        Action("close", ("escape",), "back", "Leave this screen; the operation goes on.", footer=2, palette=False),
        Action("app.leave", ("q",), "quit", "Leave the console; the operation goes on.", footer=90, palette=False),
        *ON_TOP,
    )  # fmt: skip
    DEFAULT_CSS = """
    OperationScreen > .op-state { height: auto; max-height: 6; padding: 0 1; background: $surface; }
    OperationScreen > .op-sides { height: 1fr; layout: vertical; }
    OperationScreen .op-steps { height: auto; max-height: 35%; width: 1fr; }
    OperationScreen .op-steps RowTable, OperationScreen .op-steps RowLines { height: auto; }
    OperationScreen .op-right { height: 1fr; width: 1fr; }
    OperationScreen .op-result { height: auto; max-height: 65%; padding: 0 1; }
    OperationScreen .op-result:focus { background: $surface; }
    OperationScreen.-over .op-steps { max-height: 5; }
    OperationScreen.-over .op-result { max-height: 75%; }
    OperationScreen.-wide .op-sides { layout: horizontal; }
    OperationScreen.-wide .op-steps { width: 1fr; max-width: 72; height: 1fr; max-height: 100%; }
    OperationScreen.-wide .op-steps RowTable, OperationScreen.-wide .op-steps RowLines { height: 1fr; }
    OperationScreen.-wide .op-right { width: 1fr; }
    OperationScreen .op-out { height: 1; padding: 0 1; }
    OperationScreen LogView { min-height: 2; }
    """

    def __init__(
        self,
        place: Path,
        *,
        process: subprocess.Popen[bytes] | None = None,
        request: Request | None = None,
        words: str = "",
    ) -> None:
        super().__init__()
        self.attached = Attached(place, process)
        self.request = request
        self.words = words
        self._shown: tuple[object, ...] = ()
        self._searched = Pattern()
        self._timer: Timer | None = None
        self._reached: int | None = None  # the step that the cursor was put on
        self._fallen_back = False
        self.state = Sheet(classes="op-state")
        self.result = Sheet()
        self.out_said = Sheet(classes="op-out")
        self.view = LogView()
        self.prompt = LogPrompt()
        self.table: RowTable[tuple[int, StepCourse]] = RowTable(
            (
                Column("mark", "", 1, self._mark, sortable=False),
                Column("number", "", 2, self._number, align="right", sortable=False),
                Column("title", "Step", 20, self._title, grow=True, most=160, sortable=False),
                Column("time", "Time", 7, self._time, align="right", sortable=False),
            ),
            key=self._key,
            marks=False,
            filters=False,
            empty="",
        )

    def body(self) -> Iterable[Widget]:
        yield self.state
        right = Box(Scrolled(self.result, classes="op-result"), self.out_said, self.view, classes="op-right")
        yield Box(Box(self.table, classes="op-steps"), right, classes="op-sides")
        yield self.prompt

    def opened(self) -> None:
        self.view.look.ascii = self.glyphs.ascii
        self.view.set_times(Times.OFF)
        self.view.set_wrap(True)
        self.view.focus()
        self.query_one(".op-result").display = False
        self.attached.start()
        self._timer = self.set_interval(frame_seconds(), self._frame)
        self._frame()

    def on_unmount(self) -> None:
        self.attached.close()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= SIDE_BY_SIDE, "-wide")

    def operations_changed(self) -> None:
        """A half-done one may be finished and undone once it is known as such."""
        self.say_keys()

    # --- showing -----------------------------------------------------------------------------------

    @property
    def operation(self) -> str:
        """Its id."""
        return self.attached.place.name

    @property
    def course(self) -> Course:
        return self.attached.course

    @property
    def standing(self) -> Standing:
        return self.attached.standing

    def heading(self) -> Content:
        return operation_lines.heading(self.course, self.operation)

    def _frame(self) -> None:
        if self.console_app.terminal_is_behind or not self.is_mounted:
            return
        standing, course = self.standing, self.course  # before the lines: what comes after them is taken next time
        self.view.add(self.attached.take())
        # Once a second the times go on; everything else only when there is news.
        second = int(course.seconds(self.console_app.clock())) if standing in _AT_WORK else 0
        shown = (course, standing, self.attached.cancel_asked, self.attached.expected, second)
        if shown != self._shown:
            before, self._shown = self._shown, shown
            self._say(course, standing)
            if not before or before[1] is not standing:
                self._stands_otherwise(course, standing)
        self._say_output()

    def _say(self, course: Course, standing: Standing) -> None:
        glyphs, now, attached = self.glyphs, self.console_app.clock(), self.attached
        self.say_heading()
        self.state.paint(
            lambda width: operation_lines.state_lines(
                course, standing, attached.expected, now, width, glyphs, cancel_asked=attached.cancel_asked
            )
        )
        self.table.show(list(enumerate(course.steps)))
        at = course.reached
        if at is not None and at != self._reached:  # once: then the cursor is the reader's
            self._reached = at
            self.table.move_to(self._key((at, course.steps[at])))

    def _stands_otherwise(self, course: Course, standing: Standing) -> None:
        """It began, ended or was killed: other keys, and everything that is to be said of it."""
        over = standing not in _AT_WORK
        box = self.query_one(".op-result", Scrolled)
        box.display = over
        self.set_class(over, "-over")
        if over:
            glyphs = self.glyphs
            words = last_words(self.attached.place) if standing is Standing.NOTHING_DONE else ""
            self.result.paint(
                lambda width: operation_lines.result_lines(course, standing, width, glyphs, last_words=words)
            )
            if self._timer is not None:
                self._timer.pause()
            self.view.add(self.attached.take())
            self.console_app.operating.ended(course, self.operation)
            self._stop_without_journal(course, standing)
        self.say_keys()

    def _say_output(self) -> None:
        view, glyphs = self.view, self.glyphs
        said: list[tuple[str, str]] = [("Output ", Tone.STRONG)]
        if view.store.forgotten:
            said.append((f" {view.store.forgotten:,} older lines not kept", Tone.MUTED))
        if not view.following:
            new = f", {plural(view.new_lines, 'new line')} below" if view.new_lines else ""
            said.append((f" {glyphs.warning} paused{new}, f follows", Tone.WARNING))
        if view.search:
            note = f" ({view.search_note})" if view.search_note else ""
            said.append((printable(f"  search {view.search.typed}{note}"), Tone.ACCENT))
        if not len(view.store) and self.standing not in _AT_WORK:
            said.append((" none was written", Tone.MUTED))
        line = Content.assemble(*said)
        self.out_said.paint(lambda width: [line])

    def _key(self, row: tuple[int, StepCourse]) -> str:
        """With the length of its title: the column grows with it."""
        return f"{row[0]}:{len(self._title(row)[0])}"

    def _mark(self, row: tuple[int, StepCourse]) -> CellText:
        one = row[1]
        if one.mark is Mark.RUNNING and self.standing is Standing.HALF_DONE:
            return self.glyphs.warning, Tone.BAD
        return mark_of(one.mark, self.glyphs)

    def _number(self, row: tuple[int, StepCourse]) -> CellText:
        at, one = row
        return (str(at + 1) if one.part is Part.STEPS else "-"), Tone.ACCENT

    def _title(self, row: tuple[int, StepCourse]) -> tuple[str, Tone]:
        one = row[1]
        front = "" if one.part is Part.STEPS else f"{one.part.value}: "
        cut_off = " (cut off here)" if one.mark is Mark.RUNNING and self.standing is Standing.HALF_DONE else ""
        text = f": {one.ended.text}" if one.ended is not None and one.ended.text else ""
        tone = {Mark.FAILED: Tone.BAD, Mark.TO_COME: Tone.MUTED, Mark.RUNNING: Tone.STRONG}.get(one.mark, Tone.PLAIN)
        return f"{front}{one.title}{cut_off}{text}", tone

    def _time(self, row: tuple[int, StepCourse]) -> CellText:
        one = row[1]
        if one.seconds is not None:
            return f"{one.seconds:.1f} s" if one.seconds < 10 else clock(one.seconds)
        if one.mark is Mark.RUNNING and one.began is not None and self.standing in _AT_WORK:
            return clock((self.console_app.clock() - one.began).total_seconds()), Tone.ACCENT
        expected = self.attached.expected.by_step.get(one.id)
        if expected is not None and self.standing in _AT_WORK:
            return f"~{clock(max(1, round(expected)))}", Tone.MUTED
        return ""

    def on_row_table_moved(self, event: RowTable.Moved) -> None:
        event.stop()

    def on_row_table_chosen(self, event: RowTable.Chosen) -> None:
        """Enter on a step: its output."""
        event.stop()
        title = event.record[1].title
        store = self.view.store
        number = next((at for at in range(store.first, store.end) if store[at].service == title), None)
        if number is not None:
            self.view.show_line(number)
            self.view.focus()

    # --- keys ----------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        standing = self.standing
        if action == "cancel":
            return standing is Standing.RUNNING
        if action == "resolve":
            name = self.operation
            return standing is Standing.HALF_DONE and not self.console_app.operating.is_resolved(name)
        if action == "restore":
            return standing is Standing.ENDED and bool(self.course.less)
        if action == "anew":
            return self.request is not None and self.course.result in (Result.REFUSED, Result.FAILED, Result.CANCELLED)
        return True

    def action_cancel(self) -> None:
        app = self.console_app
        if app.read_only or self.standing is not Standing.RUNNING:
            return
        from opsconsole.ui.screens.agree import AgreeScreen

        words = [Content(printable(line)) for line in operation_lines.cancel_words(self.course)]
        said = [operation_lines.heading(self.course, ""), Content(""), *words]
        app.push_screen(
            AgreeScreen("Cancel the operation?", said, "Cancel it"), lambda agreed: self._cancel() if agreed else None
        )

    def _cancel(self) -> None:
        place = self.attached.place

        def ask() -> str:
            from opsconsole.operations import beginning

            try:
                beginning.ask_cancel(place)
            except SourceError as error:
                return str(error)
            return ""

        def asked(problem: str) -> None:
            if problem:
                self.console_app.report(f"The operation was not asked to end: {problem}.", Tone.BAD)

        self.console_app.aside(ask, asked, "cancel")

    def action_resolve(self, what: str) -> None:
        name = self.operation
        self.dismiss()
        self.console_app.operating.plan(Request(what=what, operation=name), f"{what} {name}")

    def action_anew(self) -> None:
        request = self.request
        if request is not None:
            self.dismiss()
            self.console_app.operating.plan(request, self.words)

    def action_restore(self) -> None:
        self.console_app.operating.restore_newest()

    def action_search(self) -> None:
        self.prompt.open(SEARCH, self.view.search.typed)

    def on_log_prompt_typed(self, event: LogPrompt.Typed) -> None:
        event.stop()
        wanted = pattern(event.text, may_invert=False)
        self.view.search_for(wanted)
        self.prompt.say(wanted.note)
        if event.done:
            self.view.focus()
            self.view.find_next(-1)
        self._say_output()

    def on_log_prompt_dropped(self, event: LogPrompt.Dropped) -> None:
        event.stop()
        self.view.search_for(pattern(event.before, may_invert=False))
        self.view.focus()
        self._say_output()

    def on_log_view_moved(self, event: LogView.Moved) -> None:
        event.stop()
        self._say_output()

    def action_next_hit(self, step: int) -> None:
        if self.view.search:
            self.view.find_next(step)
        else:
            self.action_search()

    def action_follow(self) -> None:
        self.view.follow(not self.view.following)
        self._say_output()

    def action_wrap(self) -> None:
        self.view.set_wrap(not self.view.wrap)

    def action_other_side(self, step: int = 1) -> None:
        result = self.query_one(".op-result", Scrolled)
        parts: list[Widget] = [self.view, self.table, *([result] if result.display else [])]
        chain = [] if self.focused is None else self.focused.ancestors_with_self
        here = next((at for at, part in enumerate(parts) if part in chain), 0)
        parts[(here + step) % len(parts)].focus()

    def action_save(self) -> None:
        self.console_app.operating.save_report(self.attached.place)

    def action_close(self) -> None:
        if self.view.search:
            self.view.search_for(Pattern())
            self._say_output()
            return
        self.dismiss()  # where it goes on, the line at the top says so

    # --- an emergency stop that cannot be recorded ------------------------------------------------------

    def _stop_without_journal(self, course: Course, standing: Standing) -> None:
        """Its process has ended without an end, as on a disk that is full: it still stops."""
        plan = course.plan
        own = self.request is not None
        if plan is None or plan.kind is not Kind.EMERGENCY_STOP or standing is Standing.ENDED or not own:
            return
        if not self._fallen_back:
            self._fallen_back = True
            from opsconsole.ui import emergency_stop

            why = f"the process of {self.operation} ended too early"
            emergency_stop.stop_unrecorded(self.console_app.operating, why)
