"""MongoDB and Redis at work: one view of one server after the other, asked only while it is on the screen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

from textual.containers import Container as Box
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget

from opsconsole.database_work import VIEWS, Growth, Index, RedisClient, View, Work
from opsconsole.model import (
    DatabaseTarget,
    RunningOperation,
    Snapshot,
    SourceError,
)
from opsconsole.operations.orders import DatabaseOrder
from opsconsole.operations.requests import Request
from opsconsole.text import mask_text, printable
from opsconsole.ui.keys import Action
from opsconsole.ui.panes.past_metrics import kept_metrics
from opsconsole.ui.panes.work_rows import WorkRow, columns, detail, rows, summary
from opsconsole.ui.screens.acting import ON_TOP, ActingScreen
from opsconsole.ui.screens.confirm import ConfirmScreen
from opsconsole.ui.screens.work_past import growth_of, with_seen
from opsconsole.ui.widgets.row_table import RowTable
from opsconsole.ui.widgets.scrolled import Detail
from opsconsole.ui.widgets.sheet import Sheet
from opsconsole.ui.wording import Tone, sign

LIVE = {View.OPERATIONS: 2.0, View.CLIENTS: 2.0}
"""Seconds between two questions; the other views are asked once, and again by F5."""

NAMES = {"mongodb": "MongoDB", "redis": "Redis"}


class Stop(NamedTuple):
    """One view of one server."""

    target: DatabaseTarget
    view: View


class Answer(NamedTuple):
    stop: Stop
    work: Work | None
    problem: str = ""


class WorkScreen(ActingScreen):
    place: ClassVar[str] = "work"
    actions = (
        Action("end_it", ("Z",), "end it", "End this operation of MongoDB or this client of Redis, after a question.",
               footer=3, changes=True, palette=False),
        Action("validate", ("V",), "validate", "Validate this collection, or all of them; a plan is shown first.",
               footer=4, changes=True, opens=True, palette=False),
        Action("rebuild_index", ("I",), "rebuild", "Drop this index and build it again; a plan is shown first.",
               footer=5, changes=True, opens=True, palette=False),
        Action("flush", ("F",), "empty it", "Empty Redis; a plan with a safety backup is shown first.", footer=9,
               changes=True, opens=True, palette=False),
        Action("next_view(1)", ("tab", "right"), "next view", "Go to the next view, then to the next server.",
               footer=1, palette=False),
        Action("next_view(-1)", ("shift+tab", "left"), "View before", "Go to the view before.", palette=False),
        Action("open_detail", ("enter", "i"), "details", "Show all that is known about the row.", footer=8,
               palette=False),
        Action("ask_now", ("f5", "ctrl+l"), "ask now", "Ask the server again.", footer=7, palette=False),
        Action("close", ("escape",), "back", "Go back to the databases.", footer=2, palette=False),
        Action("app.leave", ("q",), "quit", "Leave the console.", footer=90, palette=False),
        *ON_TOP,
    )  # fmt: skip
    DEFAULT_CSS = """
    WorkScreen > Sheet { padding: 0 1; }
    WorkScreen > .work-rows { height: 1fr; }
    WorkScreen .work-rows RowTable { height: 1fr; min-height: 4; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.stop: Stop | None = None  # what is looked at: stays it, whatever servers come and go
        self._answer: Answer | None = None
        self._outcome: list[Content] = []  # of what was done last
        self._asking: Stop | None = None
        self._timer: Timer | None = None
        self._tables: dict[tuple[str, View], RowTable[WorkRow]] = {}
        self.views = Sheet()
        self.said = Sheet()
        self.rows = Box(classes="work-rows")
        self.detail = Detail()

    # --- what there is -----------------------------------------------------------------------------

    @property
    def snapshot(self) -> Snapshot | None:
        return self.console_app.snapshot

    @property
    def stops(self) -> list[Stop]:
        """Every view of every server, in the order of the databases pane."""
        found = self.snapshot.databases if self.snapshot is not None else ()
        return [Stop(one.target, view) for one in found for view in VIEWS.get(one.target.kind, ())]

    @property
    def table(self) -> RowTable[WorkRow] | None:
        return self._tables.get(_shape(self.stop)) if self.stop is not None else None

    @property
    def _record(self) -> object:
        row = self.table.current if self.table is not None else None
        return row.record if row is not None else None

    def heading(self) -> Content:
        stop = self.stop
        if stop is None:
            return Content("No database")
        return Content.assemble(
            (f"{_called(stop.target)} at work", Tone.STRONG), (f"   {stop.view.value}", Tone.ACCENT)
        )

    def body(self) -> Iterable[Widget]:
        yield self.views
        yield self.said
        yield self.rows
        yield self.detail

    def opened(self) -> None:
        self.detail.display = False
        self.call_after_refresh(self._go, 0)

    # --- going through the views -------------------------------------------------------------------

    async def _go(self, step: int) -> None:
        stops = self.stops
        if not stops:
            self.said.paint(lambda width: [Content.styled("There is no database server to ask.", Tone.MUTED)])
            return
        at = stops.index(self.stop) if self.stop in stops else 0
        stop = self.stop = stops[(at + step) % len(stops)]
        if self.detail.is_open:
            self._close_detail()
        for shape, table in self._tables.items():
            table.display = shape == _shape(stop)
        if _shape(stop) not in self._tables:
            table = RowTable(
                columns(stop.view, stop.target.kind),
                key=lambda row: row.key,
                empty="",
                marks=False,
                search=lambda row: " ".join(text for _, text in row.facts),
            )
            self._tables[_shape(stop)] = table
            await self.rows.mount(table)
        self._answer = None
        self._outcome = [] if step else self._outcome
        self._show()
        self._tables[_shape(stop)].focus()
        self._ask()

    def _ask(self) -> None:
        """One question at a time; the answer to one that nobody looks at any more is dropped."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        stop, snapshot = self.stop, self.snapshot
        if stop is None or snapshot is None or self._asking == stop:
            return
        self._asking = stop
        sources, reader = self.console_app.sources, kept_metrics(self.console_app)

        def ask() -> Answer:
            try:
                if stop.view is View.GROWTH:
                    return Answer(stop, growth_of(stop.target, snapshot, sources.backups.look_inside, reader))
                work = sources.databases.at_work(stop.target, stop.view)
                return Answer(stop, with_seen(work, stop.target, snapshot.sampled_at, reader))
            except SourceError as error:
                return Answer(
                    stop, None, f"{error.problem}{f' {self.glyphs.arrow} {error.hint}' if error.hint else ''}"
                )
            except Exception as error:  # a fault of ours must not end the screen
                return Answer(stop, None, f"unexpected {type(error).__name__}: {mask_text(str(error))}")

        self.console_app.aside(ask, self._answered, f"at work: {stop.view}")

    def _answered(self, answer: Answer) -> None:
        if self._asking == answer.stop:
            self._asking = None
        if not self.is_mounted or answer.stop != self.stop:
            return
        self._answer = answer
        self._show()
        if answer.stop.view in LIVE:
            self._timer = self.set_timer(LIVE[answer.stop.view], self._ask_while_seen)

    def _ask_while_seen(self) -> None:
        if self.is_current:
            self._ask()

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        if self._answer is not None and self._answer.stop.view in LIVE:
            self._ask()

    # --- showing -----------------------------------------------------------------------------------

    def _show(self) -> None:
        stop, table, glyphs = self.stop, self.table, self.glyphs
        if stop is None or table is None:
            return
        self.say_heading()
        self.views.paint(lambda width: [self._ring(width)])
        work = self._answer.work if self._answer is not None else None
        problem = self._answer.problem if self._answer is not None else ""
        now = self.console_app.clock()
        outcome = [part for line in self._outcome for part in line.wrap(self.size.width - 2)]
        self.said.paint(lambda width: [*outcome, *summary(work, problem, now, width, glyphs)])
        table.display = stop.view is not View.MEMORY
        table.say("" if work is None else "Nothing.")
        table.show(rows(work, now, glyphs, stop.target.kind) if work is not None else [])
        self._show_detail()
        self.say_keys()

    def _ring(self, width: int) -> Content:
        """The views of this server, the open one marked; and that there are other servers."""
        stop, stops = self.stop, self.stops
        own = [one for one in stops if stop is not None and one.target == stop.target]
        parts = [Content.styled(f" {one.view.value} ", "bold reverse" if one == stop else Tone.PLAIN) for one in own]
        others = list(dict.fromkeys(_called(one.target) for one in stops if one not in own))
        if others:
            parts.append(Content.styled(f"   then {', '.join(others)}", Tone.MUTED))
        return Content("").join(parts)

    def _show_detail(self) -> None:
        row = self.table.current if self.table is not None else None
        self.detail.paint(None if row is None else lambda width: detail(row, width))

    def on_row_table_moved(self, event: RowTable.Moved) -> None:
        self._show_detail()
        self.say_keys()

    def on_row_table_chosen(self, event: RowTable.Chosen) -> None:
        self.action_open_detail()

    def on_detail_closed(self, event: Detail.Closed) -> None:
        self._close_detail()

    def _close_detail(self) -> None:
        self.detail.shut([self.rows])
        if self.table is not None:
            self.table.focus()

    # --- keys --------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        record, stop = self._record, self.stop
        if action == "end_it":
            return isinstance(record, RunningOperation | RedisClient)
        if action == "rebuild_index":
            return isinstance(record, Index)
        if action == "validate":
            return stop is not None and stop.target.kind == "mongodb"
        if action == "flush":
            return stop is not None and stop.target.kind == "redis"
        if action == "open_detail":
            return record is not None and not self.detail.is_open
        return True

    async def action_next_view(self, step: int = 1) -> None:
        await self._go(step)

    def action_open_detail(self) -> None:
        if self._record is not None:
            self.detail.open([self.rows])

    def action_ask_now(self) -> None:
        self._ask()

    def action_close(self) -> None:
        if self.detail.is_open:
            self._close_detail()
        elif self.table is None or not self.table.back():
            self.dismiss(None)

    def action_validate(self) -> None:
        record, stop = self._record, self.stop
        if stop is None:
            return
        path = record.path if isinstance(record, Index | Growth) else ""
        order = DatabaseOrder(kind="mongodb", server=stop.target.name, collections=(path,) if path else ())
        self._plan(Request(what="validate", database=order), f"validate {path or 'every collection'}")

    def action_rebuild_index(self) -> None:
        record, stop = self._record, self.stop
        if isinstance(record, Index) and stop is not None:
            order = DatabaseOrder(
                kind="mongodb", server=stop.target.name, collections=(record.path,), index=record.name
            )
            self._plan(Request(what="rebuild-index", database=order), f"rebuild the index {record.name}")

    def action_flush(self) -> None:
        if self.stop is not None:
            order = DatabaseOrder(kind="redis", server=self.stop.target.name)
            self._plan(Request(what="flush", database=order), f"empty {self.stop.target.name}")

    def _plan(self, request: Request, words: str) -> None:
        if not self._refused():
            self.console_app.operating.plan(request, words)

    def _refused(self) -> bool:
        """Said here, too: the status line is below this screen."""
        refused = self.console_app.operating.refused(changes=True)
        if refused:
            self._say(self.console_app.messages[-1].text, Tone.WARNING)
        return refused

    def _say(self, text: str, tone: Tone) -> None:
        self._outcome = [Content.styled(f"{sign(tone, self.glyphs)} {printable(text)}", tone)]
        self._show()

    def action_end_it(self) -> None:
        """What is ended is the operation or the client of this moment, by its number and all that is known of it."""
        record, stop, operating = self._record, self.stop, self.console_app.operating
        if not isinstance(record, RunningOperation | RedisClient) or stop is None or self._refused():
            return
        from opsconsole.operations import database_plans

        site, snapshot = operating.site, self.snapshot
        assert site is not None  # it was not refused
        stack = snapshot.stack.name if snapshot is not None and snapshot.stack is not None else ""
        if isinstance(record, RunningOperation):
            plan = database_plans.abort_operation(stack, site.directory, stop.target, record)
            what, button = f"Abort {printable(record.kind)} {record.opid}", "Abort it"
        else:
            plan = database_plans.end_client(stack, site.directory, stop.target, record)
            what, button = f"Disconnect the client {record.id} at {printable(record.address)}", "Disconnect it"
        row = self.table.current if self.table is not None else None
        said = [operating.target(), Content(""), *(detail(row, 70) if row is not None else ())]
        said += [Content(""), Content.styled(plan.steps[0].effect, Tone.MUTED)]

        def told(outcome: tuple[str, bool]) -> None:
            tone = Tone.GOOD if outcome[1] else Tone.BAD
            self.console_app.report(outcome[0], tone)
            self._say(outcome[0], tone)
            self._ask()

        def answered(yes: bool | None) -> None:
            if yes:
                self.console_app.in_background(lambda: database_plans.carry_out(site, plan), told, what)

        self.app.push_screen(ConfirmScreen(f"{what}?", said, button), answered)


def _shape(stop: Stop) -> tuple[str, View]:
    """Stops of the same have a table in common."""
    return stop.target.kind, stop.view


def _called(target: DatabaseTarget) -> str:
    """`MongoDB`, `Redis queue`, `MongoDB on the host`."""
    name = NAMES.get(target.kind, target.kind)
    if target.name == "host":
        return f"{name} on the host"
    return name if target.name == target.kind else f"{name} {printable(target.name)}"
